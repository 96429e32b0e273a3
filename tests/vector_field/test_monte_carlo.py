"""The Monte Carlo closure: right to within the error that it states, the same in every call, and refused by name."""

import numpy as np
import pytest
from scipy.stats import f as fisher

import dynamics as dyn
from dynamics.vector_field.eigenmode_state import spectrum
from dynamics.vector_field.eigenmodes import EigenmodeField
from dynamics.vector_field.monte_carlo import REPLICATES, Samples, normals, sampled_forces
from tests.marks import parametrize

S0 = np.array([0.2, 0.5, 1.0])
NOISE = (0.3, 0.2)
BELL = dyn.Loss.parse("-exp(-|p - sg(z2)|^2 / 2)")
LOG = dyn.Loss.parse("log(1 + |p - sg(z2)|^4) / 2 + beta * |z1|^2 / 4", beta=0.3)
# The error comes from 8 replicates: Student's t with 7 degrees of freedom exceeds 4.5 once in 350 times. All points are
# the same in every run, so that what holds once does not fail by chance.
CHANCE = 4.5

ONE_VIEW = dyn.Views.modes([0.5, 2.0, 1.0], [0.7, 1.0, 0.5], [1.2, 0.8, 1.0])  # either view has less than is shared
MODELS = [
    dyn.Model("euclidean", noise=NOISE),
    dyn.Model("euclidean", isotropic=True, noise=NOISE, weight_decay=0.1),
    dyn.Model("cosine", noise=NOISE),
    dyn.Model("cosine", stop_gradient="none", noise=NOISE, symmetrised=True),
    dyn.Model("cosine", isotropic=True, noise=NOISE),
    dyn.Model("cosine", views=ONE_VIEW, predictor=dyn.Learned(2.0, 0.7)),
    dyn.Model("euclidean", noise=NOISE, predictor=dyn.Learned(2.0, 0.7)),
    dyn.Model("cosine", noise=NOISE, predictor=dyn.Learned(0.5, [0.5, 1.0, 2.0]), target=dyn.EMA(0.9)),
]


def sizes(model):
    """Return the scale of errors, and the closure's forces by its own error: mean sizes of independent samples."""
    rates = EigenmodeField(model, "monte_carlo")
    state, learned = rates.start(S0), model.structure.predictor == "learned"
    _, lam, ratio = spectrum(model.structure, rates.parameters, state)
    rng = np.random.default_rng(100)
    zeta1, zeta2 = rates.parameters.views(*rng.standard_normal((3, 100_000, len(S0))))
    drive, *other = sampled_forces(model.generated, state.encoder, lam, ratio, rates.parameters, zeta1, zeta2, learned)
    return rates, state, [np.abs(a).mean() for a in (drive / state.encoder, *other)]


@pytest.mark.parametrize("model", MODELS, ids=str)
def test_closure_is_the_exact_one_to_within_its_error(model):
    rates, state, size = sizes(model)
    found, exact = rates(state), EigenmodeField(model)(state)
    assert 0 < rates.error < 0.02
    for ours, theirs, scale in zip(found, exact, size, strict=False):
        assert (np.abs(ours - theirs) < CHANCE * rates.error * scale).all()
        assert (ours != theirs).all()  # it is no formula


@pytest.mark.parametrize("loss", [BELL, LOG, dyn.Loss.parse("|p - sg(z2)|^2 / 2")], ids=lambda loss: loss.text)
def test_stated_error_is_that_of_independent_points(loss):
    """For one mode, the spread over ten independent sets agrees with the error that each set states."""
    model, modes, sets = dyn.Model(loss, noise=NOISE), 1, 10
    rates = EigenmodeField(model, "monte_carlo")
    state = rates.start(np.array([0.6]))
    _, lam, ratio = spectrum(model.structure, rates.parameters, state)
    values, stated = [], []
    for number in range(sets):
        samples = Samples(model.generated, False)
        samples.normals = normals(modes, first=REPLICATES * number)
        values.append(samples(state.encoder, lam, ratio, rates.parameters)[0][0])
        x, *noise = samples.normals
        zeta = [x + sigma * xi for sigma, xi in zip(NOISE, noise, strict=True)]
        (drive,) = sampled_forces(model.generated, state.encoder, lam, ratio, rates.parameters, *zeta, False)
        stated.append(samples.worst * np.abs(drive / state.encoder).mean())
    ratio = np.var(values, ddof=1) / np.mean(np.square(stated))
    # Fisher's F with 9 and 70 degrees of freedom is outside of this once in 1000 times.
    low, high = fisher.ppf([5e-4, 1 - 5e-4], sets - 1, sets * (REPLICATES - 1))
    assert low < ratio < high


def test_closure_is_the_same_in_every_call():
    model = dyn.Model(BELL, noise=NOISE)
    first, second = (dyn.solve(model, S0, [0.0, 1.0, 2.0]) for _ in range(2))
    np.testing.assert_array_equal(first.s, second.s)
    assert first.error == second.error > 0


@pytest.mark.parametrize("run", ["solve", "iterate"])
def test_each_member_of_an_ensemble_is_that_of_a_run_of_its_own(run):
    """The descent map agrees to the last bit; the flow, whose steps fit the whole ensemble, to its tolerance."""
    betas, starts = np.array([0.1, 0.5]), np.array([[0.2, 0.5, 1.0], [0.3, 0.1, 0.7]])

    def at(loss, s0):
        model = dyn.Model(loss, noise=NOISE)
        if run == "iterate":
            return dyn.iterate(model, s0, 5, 0.1)
        return dyn.solve(model, s0, [0.0, 0.5, 1.0], method="scipy")

    whole = at(LOG.replace(beta=betas), starts)
    for i, (beta, s0) in enumerate(zip(betas, starts, strict=True)):
        one = at(LOG.replace(beta=float(beta)), s0)
        np.testing.assert_allclose(whole.s[i], one.s, rtol=1e-7 if run == "solve" else 0)
    assert not np.allclose(whole.s[0, -1], whole.s[1, -1], rtol=0.1)


def test_learned_predictor_moves_as_under_the_exact_closure():
    """By the descent map: errors of the rates of 1e-4 at most, over a time of 2, of what moves by a factor e or so."""
    model = dyn.Model("euclidean", noise=NOISE, predictor=dyn.Learned(2.0, 0.5), weight_decay=0.1)
    exact, found = (dyn.iterate(model, S0, 20, 0.1, closure=closure) for closure in ("gaussian", "monte_carlo"))
    assert found.error < 2e-3
    for name in ("s", "predictor"):
        ours, theirs = getattr(found, name)[-1], getattr(exact, name)[-1]
        # d log s <= 2 |dr| t, with |dr| <= 4.5 errors of mean sizes of at most 2, and t = 2
        np.testing.assert_allclose(ours, theirs, rtol=CHANCE * 2 * found.error * 2 * 2)
        assert (np.abs(theirs / getattr(exact, name)[0] - 1) > 0.05).any()


@pytest.mark.parametrize("method", ["jax", "heyoka"])
def test_compiled_methods_are_refused(method):
    with pytest.raises(dyn.ArgumentError, match=r"`method` must be 'auto' or 'scipy' with the closure 'monte_carlo'"):
        dyn.solve(dyn.Model(BELL), S0, [0.0, 1.0], method=method)
    with pytest.raises(dyn.ArgumentError, match=r"`method` must be 'auto' or 'scipy' with the closure 'monte_carlo'"):
        dyn.solve(dyn.Model("euclidean"), S0, [0.0, 1.0], method=method, closure="monte_carlo")


def test_compiled_descent_is_refused():
    with pytest.raises(dyn.ArgumentError, match=r"`method` must be 'auto' or 'numpy' .* the closure 'monte_carlo'"):
        dyn.iterate(dyn.Model(BELL), S0, 5, 0.1, method="jax")


def test_large_ensembles_are_not_sent_to_compiled_methods():
    assert dyn.solve(dyn.Model(BELL), np.full((64, 1), 0.5), [0.0, 0.01]).method.startswith("scipy")


@pytest.mark.parametrize("closure", ["gaussian", "mean_field"])
def test_other_closures_are_refused_for_a_loss_without_them(closure):
    with pytest.raises(
        dyn.ArgumentError, match=r"`closure` must be 'monte_carlo' for this loss, because the gradient contains"
    ):
        dyn.solve(dyn.Model(BELL), S0, [0.0, 1.0], closure=closure)


def test_correlated_inputs_are_refused():
    inputs, W0 = np.diag([1.0, 2.0]), np.eye(2) / 2
    with pytest.raises(dyn.ArgumentError, match=r"`closure` must be 'gaussian' for a model with correlated inputs"):
        dyn.solve(dyn.Model("euclidean", inputs=inputs), W0, [0.0, 1.0], closure="monte_carlo")
    with pytest.raises(dyn.ArgumentError, match=r"`inputs` must be None for this loss, because the force contains"):
        dyn.Model(BELL, inputs=inputs)


def test_error_is_kept_and_shown(tmp_path):
    found = dyn.iterate(dyn.Model(LOG), S0, 3, 0.1)
    assert found.settings["closure"] == "monte_carlo" and 1e-7 < found.error < 0.01
    assert dyn.load(found.save(tmp_path / "a")).error == found.error
    assert f"estimated error of the rates {found.error:.1e}" in str(found)
    exact = dyn.iterate(dyn.Model("euclidean"), S0, 3, 0.1)
    assert exact.error == 0 and "estimated error" not in str(exact)


@parametrize("loss", [BELL, LOG], quick=[LOG], ids=lambda loss: loss.text)
def test_network_follows_the_descent_map_and_this_the_flow(loss):
    W0 = np.random.default_rng(0).standard_normal((3, 5)) / 3
    s0 = np.linalg.svd(W0, compute_uv=False)[::-1] ** 2
    model = dyn.Model(loss, noise=NOISE)
    theory = dyn.iterate(model, s0, 20, 0.1)
    found = dyn.compare(theory, dyn.train(model, W0, 20, 0.1, batch_size=20_000))
    assert (np.abs(theory.s[-1] / s0 - 1) > 0.05).any()
    # Fluctuations from batch to batch of at most 0.3 %, beside which the closure's 1e-4 does not count.
    assert found.within(4.5) == 1 and found.max_relative() < 0.015
    steps = [np.abs(dyn.iterate(model, s0, n, 2 / n).s[-1] - dyn.solve(model, s0, [2.0]).s[-1]).max() for n in (20, 40)]
    assert 1.8 < steps[0] / steps[1] < 2.2  # first order; the next one is a learning rate of 0.1 times r < 1 smaller
