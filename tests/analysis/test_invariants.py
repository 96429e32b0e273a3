"""Invariants against the flow: each one holds, and there is none where the flow drifts."""

import numpy as np
import pytest

import dynamics as dyn
from dynamics.generated import catalogue

VIEWS = dyn.Views.modes([0.6, 2.0, 1.5], [0.4, 1.7, 1.0], [0.5, 1.6, 1.2])
S0, TIMES, NOISE = np.array([0.2, 0.5, 1.5]), np.array([0.0, 0.5, 1.0, 2.0]), (0.3, 0.1)


def closed(alpha=0.5, **options):
    return dyn.ClosedForm(alpha, **options)


MODELS = {
    "cosine": dyn.Model("cosine"),
    "cosine, noise, decay": dyn.Model("cosine", noise=NOISE, weight_decay=0.05),
    "cosine, any predictor": dyn.Model("cosine", predictor=closed(2.0, epsilon=0.3, normalize=True), noise=NOISE),
    "cosine, tracked": dyn.Model("cosine", predictor=closed(tracking=0.9), noise=NOISE, weight_decay=0.05),
    "cosine, no predictor": dyn.Model("cosine", predictor=dyn.NoPredictor(), noise=NOISE, symmetrised=True),
    "cosine, no stop-gradient": dyn.Model("cosine", stop_gradient="none", noise=NOISE, weight_decay=0.05),
    "cosine, separate target": dyn.Model("cosine", target=dyn.EMA(0.9), noise=NOISE),
    "cosine, learned": dyn.Model("cosine", predictor=dyn.Learned(2.0, 0.4), noise=NOISE, weight_decay=0.05),
    "isotropic": dyn.Model("cosine", isotropic=True, predictor=closed(), noise=NOISE, weight_decay=0.05),
    "isotropic, shifted": dyn.Model("cosine", isotropic=True, predictor=closed(epsilon=0.2), noise=NOISE),
    "isotropic, normalized": dyn.Model("cosine", isotropic=True, predictor=closed(normalize=True), weight_decay=0.05),
    "isotropic, separate target": dyn.Model(
        "cosine", isotropic=True, target=dyn.EMA(0.9), noise=NOISE, weight_decay=0.05
    ),
    "cosine, views": dyn.Model("cosine", views=VIEWS),
    "cosine, views, no stop-gradient": dyn.Model("cosine", stop_gradient="none", views=VIEWS, weight_decay=0.05),
    "cosine, views, learned": dyn.Model("cosine", predictor=dyn.Learned(2.0, 0.4), views=VIEWS, weight_decay=0.05),
    "isotropic, views": dyn.Model("cosine", isotropic=True, predictor=closed(), views=VIEWS, weight_decay=0.05),
    "isotropic, views, shifted": dyn.Model("cosine", isotropic=True, predictor=closed(epsilon=0.2), views=VIEWS),
    "euclidean, views, learned": dyn.Model("euclidean", predictor=dyn.Learned(0.5), views=VIEWS, weight_decay=0.05),
    "euclidean, learned": dyn.Model("euclidean", predictor=dyn.Learned(0.5, [0.3, -0.2, 1.0]), weight_decay=0.05),
}
DRIFTING = {
    "euclidean": dyn.Model("euclidean", noise=NOISE),
    "euclidean isotropic": dyn.Model("euclidean", isotropic=True),
    "euclidean, learned, no stop-gradient": dyn.Model(
        "euclidean", stop_gradient="none", predictor=dyn.Learned(2.0, 0.4), noise=NOISE
    ),
    "isotropic, tracked": dyn.Model("cosine", isotropic=True, predictor=closed(tracking=0.9), noise=NOISE),
    "isotropic, shifted, decay": dyn.Model("cosine", isotropic=True, predictor=closed(epsilon=0.2), weight_decay=0.05),
    "isotropic, shifted, normalized": dyn.Model(
        "cosine", isotropic=True, predictor=dyn.ClosedForm(1, 0.2, True), noise=NOISE
    ),
}


def solve(model, s0=S0, times=TIMES):
    rate = {"learning_rate": 0.1} if model.needs_learning_rate else {}
    return dyn.solve(model, s0, times, rtol=1e-10, **rate)


def drift(invariant, flow):
    """Largest deviation from V(0) e^(-decay t), relative to the largest V(0)."""
    values = invariant(flow)
    expected = values[..., :1, :] * np.exp(-np.asarray(invariant.decay)[..., None] * flow.t)[..., None]
    return np.abs(values - expected).max() / np.abs(values[..., 0, :]).max()


@pytest.mark.parametrize("name", MODELS)
def test_invariants_hold_along_the_flow(name):
    flow, conserved = solve(MODELS[name]), dyn.invariants(MODELS[name])
    assert len(conserved) == (2 if name in ("cosine, learned", "cosine, views, learned") else 1)
    assert np.abs(flow.s[-1] / S0 - 1).max() > 0.02
    for invariant in conserved:
        assert drift(invariant, flow) < 1e-8  # a hundred times the flow's rtol


def test_sums_without_the_shared_moments_drift():
    """Those that white views conserve, under views that share other moments in each mode."""
    flow = solve(MODELS["cosine, views"])
    assert np.ptp(flow.s.sum(axis=-1)) > 1e-2
    learned = solve(MODELS["euclidean, views, learned"])
    assert np.abs(learned.s - learned.predictor**2 / 0.5)[-1].max() / np.exp(-0.1 * 2.0) > 1e-2


@pytest.mark.parametrize("name", DRIFTING)
def test_models_whose_power_sums_drift_have_no_invariant(name):
    """The power sums of s and of s + epsilon drift by more than a hundred times what the flow may be wrong by."""
    flow, p = solve(DRIFTING[name]), DRIFTING[name].parameters
    assert dyn.invariants(DRIFTING[name]) == ()
    for power in (1, 1 + p.alpha):
        for shift in (0, p.epsilon):
            values = ((flow.s + shift) ** power).sum(axis=-1)
            assert np.ptp(values) / values[0] > 1e-6


def test_cosine_losses_of_the_catalogue_have_an_invariant():
    """All of them, and it holds; no Euclidean one without a learned predictor."""
    for loss, stop_gradient, isotropic, has_predictor, symmetrised in catalogue.MODULES:
        predictor = dyn.ClosedForm() if has_predictor else dyn.NoPredictor()
        options = {"stop_gradient": stop_gradient, "isotropic": isotropic, "symmetrised": symmetrised}
        model = dyn.Model(loss, predictor=predictor, noise=NOISE, **options)
        conserved = dyn.invariants(model)
        assert len(conserved) == (loss == "cosine")
        for invariant in conserved:
            assert drift(invariant, solve(model, times=[0.0, 0.2])) < 1e-8


def test_the_descent_map_breaks_an_invariant_at_second_order():
    model = MODELS["cosine"]
    (invariant,) = dyn.invariants(model)
    jumps = [np.ptp(invariant(dyn.iterate(model, S0, 1, eta))) for eta in (0.02, 0.01)]
    assert jumps[0] > 1e-6 and jumps[0] / jumps[1] == pytest.approx(4, rel=1e-6)  # exactly eta^2 sum s r^2


def test_the_imbalance_is_a_matter_of_modes():
    """With correlated inputs, eigenvalues of encoder and learned predictor have no common eigenvectors."""
    model = dyn.Model("euclidean", inputs=np.diag([1.0, 0.5, 0.2]), predictor=dyn.Learned(0.7, 0.3))
    flow = dyn.solve(model, np.random.default_rng(0).normal(0, 0.4, (2, 3)), [0.0, 1.0])
    assert np.abs(np.diff(flow.s - flow.predictor**2 / 0.7, axis=0)).max() > 1e-3
    assert dyn.invariants(model) == ()


@pytest.mark.parametrize("isotropic", [False, True])
def test_correlated_inputs_conserve_the_size_of_the_weights(isotropic):
    """The size of the weights stays; what the isotropic loss conserves is a matter of white inputs."""
    inputs, W0 = np.diag([1.0, 0.3, 0.01]), np.random.default_rng(1).normal(0, 0.6, (2, 3))
    model = dyn.Model("cosine", isotropic=isotropic, noise=NOISE, weight_decay=0.05, inputs=inputs)
    conserved = dyn.invariants(model)
    assert [invariant.formula for invariant in conserved] == ([] if isotropic else ["|W|^2"])
    gd = dyn.iterate(model, W0, 5, 1e-6)
    for invariant in conserved:
        np.testing.assert_allclose(invariant(gd)[:, 0], (gd.weights**2).sum(axis=(1, 2)))
        # Second order in eta; what is left of the first is the closure's 1e-9.
        assert abs(invariant(gd)[-1, 0] / invariant(gd)[0, 0] - np.exp(-0.1 * gd.t[-1])) < 1e-10


def test_ensembles_have_invariants_of_their_shape():
    decays = np.array([0.0, 0.05])
    model = dyn.Model("cosine", isotropic=True, predictor=closed([0.5, 1.0]), weight_decay=decays)
    (invariant,) = dyn.invariants(model)
    np.testing.assert_allclose(invariant.decay, 2 * decays * np.array([1.5, 2.0]))
    flow = solve(model)
    assert invariant(flow).shape == (2, 4, 1)
    assert drift(invariant, flow) < 1e-8
    assert str(invariant) == f"{invariant.formula}: decays at the rate 0, 0.2"
    (each,) = dyn.invariants(MODELS["euclidean, learned"])
    assert each(solve(MODELS["euclidean, learned"])).shape == (4, 3)


def test_print_gives_formula_and_decay():
    assert [str(a) for a in dyn.invariants(MODELS["cosine"])] == ["Sum_j[s[j]]: conserved"]
    assert str(dyn.invariants(MODELS["euclidean, learned"])[0]) == "s[m] - lam[m]**2/rate_ratio: decays at the rate 0.1"


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: dyn.invariants("cosine"), r"`model` must be a Model, such as Model\('cosine'\), but is 'cosine'"),
        (lambda: dyn.invariants(MODELS["cosine"])[0](S0), "`trajectory` must be a trajectory of the model"),
    ],
)
def test_bad_arguments_are_refused(call, message):
    with pytest.raises(dyn.ArgumentError, match=message):
        call()
