"""The estimated error covers the true one; a batch, its pieces and collapsed modes change no result."""

from functools import partial

import numpy as np
import pytest

import dynamics as dyn
import dynamics.numerics.adaptive_quadrature
import dynamics.vector_field.base
from dynamics.numerics.adaptive_quadrature import DROPPED, Adaptive
from dynamics.vector_field.eigenmodes import EigenmodeField
from tests.marks import parametrize
from tests.numerics.drifts import ALPHAS, CANCELLED, ONE, REFERENCE, TARGET, scale_of
from tests.reference import COSINE, cosine_drift, model_of, predictor_of

# --- the error estimate ---------------------------------------------------------------------------------------------


def random_case(seed):
    """A setting, spectrum and noise at random: 2 to 12 modes over up to six decades."""
    random = np.random.default_rng(seed)
    setting = COSINE[seed % len(COSINE)]
    s = 10 ** random.uniform(-random.uniform(0.1, 6), 0.7, random.integers(2, 13))
    noise = tuple(float(a) for a in random.choice([0.0, 0.01, 0.1, 0.5, 1.0], 2))
    return setting, s, float(random.choice(ALPHAS)), noise


@parametrize("seed", range(500), quick=range(0, 56, 5))
def test_estimated_error_covers_the_true_one(seed):
    setting, s, alpha, noise = random_case(seed)
    drift, terms = cosine_drift(setting, s, alpha, noise)
    model = model_of(setting, alpha, noise)
    rows = (s[None], predictor_of(setting, s, alpha)[None], ONE, *(np.array([[sigma**2]]) for sigma in noise))
    for rtol in (1e-2, 1e-3, 1e-4, 1e-6, 1e-9):
        quadrature, scale = Adaptive(model.generated.rates.integrals, rtol), scale_of(drift, terms)
        for estimate in (
            quadrature(*rows),
            quadrature(*rows),
        ):  # with all nodes, and without idle ones
            error = np.abs(s * estimate.value[0] - drift)
            assert (error <= s * estimate.error[0] + DROPPED * rtol * scale + REFERENCE * terms).all()
            assert error.max() / scale <= quadrature.worst + REFERENCE * terms.max() / scale
        rounding = 1e-13 * estimate.mass.max()
        np.testing.assert_allclose(quadrature.value(*rows), estimate.value, rtol=0, atol=rounding)
        assert quadrature.missed <= rtol


HARD = {"s0": [0.1, 1.0, 3.0], "closure": "gaussian"}
TOO_FEW = {
    "scipy": lambda model: dyn.solve(model, times=[0, 1e-4], method="scipy", **HARD),
    "jax": lambda model: dyn.solve(model, times=[0, 1e-4], method="jax", **HARD),
    "descent": lambda model: dyn.iterate(model, steps=1, learning_rate=0.01, **HARD),
}


@parametrize("run", TOO_FEW, quick=["scipy", "descent"])
def test_too_few_nodes_warn_and_the_stated_error_covers_the_true_one(run, monkeypatch):
    monkeypatch.setattr(dynamics.vector_field.base, "Adaptive", partial(Adaptive, max_nodes=24))
    model = model_of(TARGET, noise=(0.1, 0.5))
    with pytest.warns(dyn.AccuracyWarning, match="24 nodes"):
        result = TOO_FEW[run](model)
    s = result.s[0]
    rates = EigenmodeField(model)
    drift, terms = cosine_drift(TARGET, s, 1.0, (0.1, 0.5))
    error = np.abs(s * rates.of_eigenvalues(s) - drift).max() / scale_of(drift, terms)
    assert 1e-9 < error <= result.error


def test_enough_nodes_meet_the_tolerance_without_a_warning():
    result = dyn.iterate(model_of(TARGET), **HARD, steps=1, learning_rate=0.01)
    assert 0 < result.error <= result.settings["rtol"]


# --- ensembles, collapsed modes --------------------------------------------------------------------------------------


@pytest.mark.parametrize("setting", COSINE, ids=lambda s: s.name)
def test_rates_of_a_batch_equal_those_of_its_members(setting):
    random = np.random.default_rng(3)
    s = 10 ** random.uniform(-3, 0.5, (2, 3, 4))
    alpha, sigma = np.array([0.5, 1.0, 2.0]), np.array([[0.1], [0.5]])
    batch = EigenmodeField(model_of(setting, alpha, (sigma, 0.3)), rtol=1e-10).of_eigenvalues(s)
    for i, j in np.ndindex(2, 3):
        alone = EigenmodeField(model_of(setting, alpha[j], (sigma[i, 0], 0.3)), rtol=1e-10).of_eigenvalues(s[i, j])
        # Each is within rtol of the truth, relative to its largest entry.
        np.testing.assert_allclose(batch[i, j], alone, rtol=0, atol=2e-10 * np.abs(alone).max())


def test_rates_do_not_depend_on_the_size_of_chunks(monkeypatch):
    """Pieces small enough to split both the batch and the x axis: the same sums in another order."""
    s = np.geomspace(1e-4, 1, 5) * np.array([[1.0], [0.3], [2.0]])
    model = model_of(TARGET, noise=(0.1, 0.5))
    whole = EigenmodeField(model).of_eigenvalues(s)
    monkeypatch.setattr(dynamics.numerics.adaptive_quadrature, "CHUNK", 1000)
    np.testing.assert_allclose(EigenmodeField(model).of_eigenvalues(s), whole, rtol=0, atol=1e-13 * np.abs(whole).max())


@pytest.mark.parametrize("setting", COSINE, ids=lambda s: s.name)
def test_collapsed_modes_do_not_change_the_rates_of_the_others(setting):
    alive = np.array([0.2, 1.1, 0.7])
    s = np.array([0.2, 0.0, 1.1, 0.7, 0.0])
    rates = EigenmodeField(model_of(setting, 1.0, (0.1, 0.5)), rtol=1e-10)
    expected, full = rates.of_eigenvalues(alive), rates.of_eigenvalues(s)
    assert np.isfinite(full).all()
    assert 0 < rates.error <= 1e-10
    np.testing.assert_allclose(full[s > 0], expected, rtol=0, atol=2e-10 * np.abs(expected).max())


@pytest.mark.parametrize("setting", COSINE, ids=lambda s: s.name)
def test_rates_are_zero_where_all_modes_have_collapsed(setting):
    s = np.array([[0.0, 0.0], [0.3, 1.0]])
    batch = EigenmodeField(model_of(setting, 0.5, (0.1, 0.5))).of_eigenvalues(s)
    assert (batch[0] == 0).all()
    assert (batch[1] != 0).all()


@pytest.mark.parametrize("setting", COSINE, ids=lambda s: s.name)
@pytest.mark.parametrize("s", [1e-6, 0.7, 1e4])
def test_the_rate_of_a_single_mode_is_zero(setting, s):
    """Its cosine is a sign: no gradient. Terms cancel down to CANCELLED rtol of their size, lambda A <= 1."""
    rate = EigenmodeField(model_of(setting, 1.0, (0.1, 0.5)), rtol=1e-9).of_eigenvalues(np.array([s]))
    unit = max(1.0, 1 / s) if setting.isotropic else 1.0  # A <= 1/lambda for the isotropic loss
    assert abs(s * rate[0]) <= 1e-9 * CANCELLED * 4 * unit


@parametrize("method", ["scipy", "jax"], quick=["scipy"])
def test_an_ensemble_may_have_a_member_whose_modes_have_all_collapsed(method):
    s0 = np.array([[0.0, 0.0], [0.1, 0.5]])
    flow = dyn.solve(model_of(TARGET), s0, [0.0, 1.0], method=method)
    assert flow.complete and (flow.s[0] == 0).all()
    np.testing.assert_allclose(flow.s[1], dyn.solve(model_of(TARGET), s0[1], [0.0, 1.0]).s, rtol=2e-8)  # rtol each


def test_the_status_names_eigenvalues_beyond_double_precision():
    """lambda^2 s = 1e-312 has lost its digits: no endless loop, no number that means nothing."""
    gd = dyn.iterate(model_of(TARGET), [1e-104, 2e-104], 3, 0.1)
    assert gd.status == "stopped before step 1: the closure's integrals overflow at eigenvalues 1e-104 ... 2e-104"
    flow = dyn.solve(model_of(TARGET), [1e-104, 2e-104], [0.0, 1.0], method="scipy")
    assert "stopped at t = 0" in flow.status or flow.s[0, 0] == 1e-104


def test_a_vanishing_mode_takes_few_steps(monkeypatch):
    """The rates are as smooth as they are exact, for negligible modes, too: no step is refused for their noise."""
    model, evaluated = dyn.Model("cosine", stop_gradient="online", noise=(0.3, 0.1)), []
    velocity = EigenmodeField.velocity
    monkeypatch.setattr(EigenmodeField, "velocity", lambda *given: evaluated.append(1) or velocity(*given))
    flow = dyn.solve(model, [2.222, 0.01, 0.01], [0.0, 20.0], method="scipy")
    # Some 40 factors of e, down to where atol = 1e-14 ends all, each in 4 steps of 12 evaluations.
    assert (flow.s[-1, 1:] < 1e-14).all() and len(evaluated) < 3000
