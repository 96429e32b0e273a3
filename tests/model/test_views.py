"""Views whose second moments differ between modes."""

import pickle

import numpy as np
import pytest

import dynamics as dyn
from dynamics.vector_field.eigenmodes import EigenmodeField
from dynamics.vector_field.state import State
from tests.marks import parametrize

CROSS = np.array([0.4, 1.0, 1.7, 0.9])
ONLINE = CROSS * np.array([1.6, 1.0, 1.2, 2.5])
TARGET = CROSS * np.array([0.8, 1.1, 1.9, 1.0])  # below CROSS in the first mode: view 1 has more noise than view 2
VIEWS = dyn.Views.modes(ONLINE, CROSS, TARGET)
S0 = np.array([0.3, 0.1, 0.7, 0.2])
PARTS = {
    "DirectCopy": {},
    "DirectPred": {"predictor": dyn.ClosedForm(0.5)},
    "tracked": {"predictor": dyn.ClosedForm(tracking=0.9)},
    "learned": {"predictor": dyn.Learned(0.7)},
    "no predictor": {"predictor": dyn.NoPredictor()},
    "isotropic": {"isotropic": True},
    "symmetrised": {"symmetrised": True},
    "no stop-gradient": {"stop_gradient": "none"},
    "EMA": {"target": dyn.EMA(0.9)},
    "weight decay": {"weight_decay": 0.02},
}
MODELS = [(loss, name) for loss in ("euclidean", "cosine") for name in PARTS]
QUICK = [("euclidean", "learned"), ("cosine", "DirectCopy"), ("cosine", "isotropic")]


def model_of(loss, name, views=VIEWS):
    return dyn.Model(loss, views=views, **PARTS[name])


def sampled_views(rng, count):
    """Two views (count, M) with the second moments of VIEWS."""
    first, second = rng.standard_normal((2, count, len(CROSS)))
    return np.sqrt(ONLINE) * first, CROSS / np.sqrt(ONLINE) * first + np.sqrt(TARGET - CROSS**2 / ONLINE) * second


@pytest.mark.parametrize(("loss", "name"), MODELS)
def test_force_is_the_mean_over_views_with_these_moments(loss, name):
    """dw/dt of the weights w of a network whose inputs are the modes; z-scores of 20 sets of samples."""
    model, rng = model_of(loss, name), np.random.default_rng(5)
    field, scale = EigenmodeField(model), np.sqrt(CROSS)
    start = field.start(S0)
    lam, derived = field.observables(start).predictor, model.generated
    predicted = field.forces(start)
    forces, on_predictor = [], []
    for _ in range(20):
        x1, x2 = sampled_views(rng, 20_000)
        z1, z2 = (x * np.sqrt(S0) / scale for x in (x1, x2))
        drive = sum(
            force(z1, z2, lam, np.ones(1)) * x
            for force, x in ((derived.force_on_view1, x1), (derived.force_on_view2, x2))
        )
        forces.append(scale * drive.mean(axis=0))  # with respect to w sqrt(c), in which a mode has the eigenvalue w^2 c
        if predicted.predictor is not None:
            on_predictor.append(derived.force_on_predictor(z1, z2, lam, np.ones(1)).mean(axis=0))
    for samples, value in ((forces, predicted.encoder), (on_predictor, predicted.predictor)):
        if samples:
            error = np.std(samples, axis=0, ddof=1) / np.sqrt(len(samples))
            # Student's t with 19 degrees of freedom exceeds 6 with a chance of 1e-5; there are about 100 values.
            assert (np.abs(np.mean(samples, axis=0) - value) < 6 * error + 1e-15).all()


def test_the_force_of_other_moments_is_found_wrong():
    """The statistic of the test above, for moments of the target view that are 5 % larger."""
    model, rng = (
        model_of("cosine", "DirectCopy", dyn.Views.modes(ONLINE, CROSS, 1.05 * TARGET)),
        np.random.default_rng(5),
    )
    start = EigenmodeField(model).start(S0)
    x1, x2 = sampled_views(rng, 400_000)
    z1, z2 = (x * np.sqrt(S0 / CROSS) for x in (x1, x2))
    drive = np.sqrt(CROSS) * model.generated.force_on_view1(z1, z2, S0, np.ones(1)) * x1
    z = (drive.mean(axis=0) - EigenmodeField(model).forces(start).encoder) / drive.std(axis=0) * np.sqrt(len(drive))
    assert np.abs(z).max() > 6


@parametrize(("loss", "name"), MODELS, QUICK)
def test_all_methods_agree(loss, name):
    model, times = model_of(loss, name), np.linspace(0, 5, 4)
    rate = {"learning_rate": 0.05} if model.needs_learning_rate else {}
    for closure in (None,) if loss == "euclidean" else (None, "mean_field"):
        flow = dyn.solve(model, S0, times, method="scipy", closure=closure, **rate)
        for method in ("exact", "heyoka", "jax"):
            try:
                other = dyn.solve(model, S0, times, method=method, closure=closure, **rate)
            except dyn.ArgumentError as error:
                assert "`method` must be" in str(error)
                continue
            # Each method keeps the relative error of a mode near rtol = 1e-8; a factor 10 for its amplification.
            np.testing.assert_allclose(other.s, flow.s, rtol=1e-7, atol=1e-14)


@parametrize(("loss", "name"), MODELS, QUICK[:2])
def test_networks_follow_the_descent_map(loss, name):
    model = model_of(loss, name)
    rotation = np.linalg.qr(np.random.default_rng(0).standard_normal((4, 4)))[0]
    arguments = {"batch_size": 50_000, "record": 60, "seed": range(6)}
    s = dyn.train(model, rotation * np.sqrt(S0 / CROSS), 60, 0.05, **arguments).s[:, -1]
    descent = np.sort(dyn.iterate(model, S0, 60, 0.05, record=60).s[-1])
    visible = descent > 1e-3 * descent.max()
    error = 6 * s.std(axis=0, ddof=1) / np.sqrt(len(s)) + 1e-3 * descent  # effects of finite batches: some N/B = 8e-5
    assert (np.abs(s.mean(axis=0) - descent) < error)[visible].all()
    assert (error < 0.07 * descent)[visible].all()


# --- results by hand ------------------------------------------------------------------------------------------------


def test_modes_rest_at_the_regression_coefficient():
    """lambda = c/n1 under the Euclidean loss, for DirectCopy lambda = s."""
    flow = dyn.solve(model_of("euclidean", "DirectCopy"), S0, [0.0, 300.0])
    np.testing.assert_allclose(flow.s[-1], CROSS / ONLINE, rtol=1e-12)


@pytest.mark.parametrize("share", [0.99, 1.01])
def test_threshold_of_directcopy_with_noise_in_a_subspace(share):
    """Wang et al. 2021: a mode survives weight decay below Sigma^2/(4 (Sigma + sigma^2)), for each input variance."""
    sigma2 = np.array([0.0, 0.5, 2.0])
    views = dyn.Views.modes(1 + sigma2, np.ones(3), 1 + sigma2)
    for mode, threshold in enumerate(1 / (4 * (1 + sigma2))):
        model = dyn.Model("euclidean", views=views, weight_decay=share * threshold)
        s = dyn.solve(model, np.full(3, 1.0), [0.0, 2000.0]).s[-1, mode]
        assert (s > 0.1) == (share < 1)


def test_convergence_times_are_those_of_the_flow():
    """By the formula, and by integration: with weight decay there is no formula."""
    for model in (model_of("euclidean", "DirectCopy"), model_of("euclidean", "weight decay")):
        level = 0.8 * CROSS / ONLINE
        times = dyn.convergence_time(model, np.full(4, 0.1), level)
        flow = dyn.solve(model, np.full(4, 0.1), np.sort(times))
        reached = flow.s[np.argsort(np.argsort(times)), np.arange(4)]
        np.testing.assert_allclose(reached, level, rtol=1e-7)


def test_effective_rates_are_derivatives_of_the_flow():
    """ds/dt = 2 s (c s - n1 s^2)/c for DirectCopy, in which s is the predictor eigenvalue."""
    rates = dyn.effective_rates(model_of("euclidean", "DirectCopy"), S0)
    np.testing.assert_allclose(rates, 2 * (2 * CROSS * S0 - 3 * ONLINE * S0**2), rtol=1e-8)


def test_modes_that_meet_part_again():
    """Equal modes of white views stay equal under the cosine loss; modes with other moments do not."""
    model = dyn.Model("cosine", views=dyn.Views.modes([1.0, 2.0], [1.0, 1.0], [1.0, 2.0]))
    flow = dyn.solve(model, [0.5, 0.5], [0.0, 5.0], until="steady")
    assert flow.s[-1, 0] > 1.1 * flow.s[-1, 1]


def test_time_is_in_units_of_the_shared_moment():
    """With n1/c and n2/c of white views, a mode is c times as fast."""
    white = dyn.Model("euclidean", noise=(0.3, 0.5))
    model = dyn.Model("euclidean", views=dyn.Views.modes(CROSS * 1.09, CROSS, CROSS * 1.25))
    expected = [dyn.solve(white, [s], [0.0, 2.0 * c]).s[-1, 0] for s, c in zip(S0, CROSS, strict=True)]
    np.testing.assert_allclose(dyn.solve(model, S0, [0.0, 2.0]).s[-1], expected, rtol=1e-12)  # both by Lambert's W


# --- the option -----------------------------------------------------------------------------------------------------


def test_white_views_are_noise():
    assert dyn.Model("cosine", views=dyn.Views.white(0.1, [0.2, 0.3])) == dyn.Model("cosine", noise=(0.1, [0.2, 0.3]))


def test_moments_of_white_views_give_the_dynamics_of_noise():
    one = np.ones(4)
    model = dyn.Model("cosine", views=dyn.Views.modes(1.01 * one, one, 1.25 * one))
    flow = dyn.solve(model, S0, [0.0, 3.0])
    expected = dyn.solve(dyn.Model("cosine", noise=(0.1, 0.5)), S0, [0.0, 3.0])
    np.testing.assert_allclose(flow.s, expected.s, rtol=1e-9)  # rounding of 1.01 - 1, amplified by the flow's steps


def test_views_of_one_mode():
    mode = VIEWS.mode(2)
    assert (mode.count, mode.online, mode.cross, mode.target) == (1, ONLINE[2], CROSS[2], TARGET[2])
    assert mode.are_alike and not VIEWS.are_alike and dyn.Views.modes([1.0, 1.0], 1.0, 2.0).are_alike
    ensemble = dyn.Views.modes(np.stack([ONLINE, 2 * ONLINE]), CROSS, TARGET).mode(3)
    np.testing.assert_array_equal(ensemble.online, [[ONLINE[3]], [2 * ONLINE[3]]])


def test_an_ensemble_of_views():
    views = dyn.Views.modes(np.stack([ONLINE, 2 * ONLINE]), CROSS, TARGET)
    together = dyn.solve(dyn.Model("euclidean", views=views), S0, [0.0, 2.0])
    for member, online in enumerate((ONLINE, 2 * ONLINE)):
        alone = dyn.solve(dyn.Model("euclidean", views=dyn.Views.modes(online, CROSS, TARGET)), S0, [0.0, 2.0])
        np.testing.assert_array_equal(together.s[member], alone.s)


def test_views_survive_a_round_trip(tmp_path):
    model = model_of("cosine", "DirectCopy")
    assert dyn.Model.from_dict(model.to_dict()) == model == pickle.loads(pickle.dumps(model))
    dyn.solve(model, S0, [0.0, 1.0]).save(tmp_path / "a.npz")
    assert dyn.load(tmp_path / "a.npz").model == model
    assert str(model) == "Model(loss='cosine', views=Views of 4 modes)"


CASES = {
    "cross too large": (lambda: dyn.Views.modes([1.0], [2.0], [1.0]), "`cross` must be at most"),
    "no moment": (lambda: dyn.Views.modes([1.0], [0.0], [1.0]), "`cross` must be second moments above zero"),
    "one number": (lambda: dyn.Views.modes(1.0, 1.0, 1.0), "`cross` must be an array with one second moment"),
    "shapes": (lambda: dyn.Views.modes([1.0, 1.0], np.ones(3), 1.0), "must have shapes that broadcast"),
    "no views": (
        lambda: dyn.Model("cosine", views=(0.1, 0.2)),
        r"`views` must be Views.modes\(online, cross, target\)",
    ),
    "with noise": (lambda: dyn.Model("cosine", views=VIEWS, noise=(0.1, 0)), "`noise` must be left out with `views`"),
    "with inputs": (
        lambda: dyn.Model("cosine", views=VIEWS, inputs=np.eye(4)),
        "`inputs` must be left out with `views`",
    ),
    "other modes": (lambda: dyn.solve(dyn.Model("cosine", views=VIEWS), [0.1], [0.0, 1.0]), "each of the 4 modes"),
    "batch": (
        lambda: dyn.iterate(dyn.Model("cosine", views=VIEWS), S0, 2, 0.1, batch_size=9, input_dimension=4),
        "`batch_size` must be left out for a model with `views`",
    ),
    "equilibria": (lambda: dyn.equilibria(dyn.Model("cosine", views=VIEWS), S0), "same second moments in all modes"),
    "no mode": (lambda: VIEWS.mode(4), "`m` must be the index of one of 4 modes"),
    "check": (
        lambda: dyn.check(dyn.Model("euclidean", views=dyn.Views.modes([1.0], 1.0, 1.0)), [0.1, 0.2]),
        "`s0` must have 1 eigenvalue",
    ),
    "design": (
        lambda: dyn.design(dyn.SimultaneousArrival(10.0), dyn.Model("euclidean", views=VIEWS)),
        "`model` must have white views",
    ),
    "keys": (
        lambda: dyn.Model.from_dict({"loss": "cosine", "views": {"online": [1.0]}}),
        "`cross` must be given in views",
    ),
}


@pytest.mark.parametrize(("call", "message"), CASES.values(), ids=CASES)
def test_views_that_make_no_sense_are_refused(call, message):
    with pytest.raises(dyn.ArgumentError, match=message):
        call()


def test_a_state_of_equal_modes_and_moments_is_that_of_white_views():
    """Both fields agree to rounding, at the same state."""
    one = np.ones(4)
    views = EigenmodeField(dyn.Model("cosine", views=dyn.Views.modes(1.25 * one, one, 2 * one)))
    white = EigenmodeField(dyn.Model("cosine", noise=(0.5, 1.0)))
    state = State(np.sqrt(S0))
    np.testing.assert_allclose(views(state).rates, white(state).rates, rtol=1e-13)
