"""The flow by heyoka: against exact solutions, SciPy's solvers, and where it hands members over to them."""

import builtins

import numpy as np
import pytest
from scipy.optimize import brentq

import dynamics as dyn
from derivations.losses.catalogue import catalogue
from dynamics.solvers import flow_heyoka as heyoka_flow
from tests.marks import parametrize
from tests.reference import model_of, systems

pytest.importorskip("heyoka", reason="heyoka comes for Linux on x86-64 only")

TIMES = np.array([0.0, 0.5, 0.5, 2.0, 5.0])
S0 = [0.05, 0.4, 1.5]
RTOL = 1e-9


@pytest.mark.parametrize(
    "name", ["target alpha=1.0 sigma=0.5", "isotropic alpha=0.5 rho=0.01", "no predictor rho=0.01"]
)
@pytest.mark.parametrize("s0", [1e-6, 1e-3, 0.1, 1.2, 10.0])
def test_it_equals_the_exact_solution(name, s0):
    system = systems()[name]
    times = np.array([0.0, 0.1, 1.0, 4.0]) if not name.startswith("target") else np.array([0.0, 0.5, 0.99, 1.02]) / s0
    flow = dyn.solve(system.model, [s0], times, method="heyoka", rtol=1e-10)
    expected = system.solution(np.array([s0]), times)
    # 1e-8, a hundred times rtol, and rounding in some hundred steps, times what a small mode amplifies, 1/lambda0.
    tolerance = 1e-8 + 1e2 * np.finfo(float).eps / s0**system.alpha
    assert (flow.method, flow.status) == ("heyoka", "complete")
    np.testing.assert_allclose(flow.s, expected, rtol=tolerance)


MODELS = {
    "mean field": (dyn.Model("cosine", noise=(0.1, 0.3)), {"closure": "mean_field"}),
    "isotropic": (dyn.Model("cosine", isotropic=True, weight_decay=0.02), {"closure": "mean_field"}),
    "power": (dyn.Model("euclidean", predictor=dyn.ClosedForm(alpha=0.7, epsilon=0.1), weight_decay=0.01), {}),
    "learned": (dyn.Model("euclidean", predictor=dyn.Learned(rate=2.0, init=0.3), weight_decay=0.01), {}),
    "own target": (dyn.Model("euclidean", target=dyn.EMA(0.9), noise=(0.1, 0.3)), {"learning_rate": 0.1}),
    "tracked": (dyn.Model("euclidean", predictor=dyn.ClosedForm(tracking=0.5)), {"learning_rate": 0.1}),
}


@pytest.mark.parametrize("name", MODELS)
def test_it_agrees_with_scipy(name):
    model, options = MODELS[name]
    found, expected = (
        dyn.solve(model, S0, TIMES, method=method, rtol=RTOL, **options) for method in ("heyoka", "scipy")
    )
    assert np.abs(expected.s[-1] / expected.s[0] - 1).max() > 0.2  # it did move
    for part in ("s", "target", "predictor"):
        # rtol each, times what the start at 0.05 amplifies
        np.testing.assert_allclose(getattr(found, part), getattr(expected, part), rtol=2 * RTOL / 0.05)


CATALOGUE = [setting.name for setting in catalogue()]
VANISHING = [[0.05, 0.4, 1.5], [1e-5, 1e-3, 2.5], [0.0, 3e-9, 0.3]]


@parametrize("name", CATALOGUE, quick=CATALOGUE[:14:3])
def test_every_loss_agrees_with_scipy_where_modes_vanish_or_diverge(name):
    """To 100 rtol: a fast mode amplifies errors."""
    setting = next(setting for setting in catalogue() if setting.name == name)
    euclidean = setting.loss == "euclidean"
    model = model_of(setting, 1.0, (0.1, 0.3), 0.02 if euclidean else 0.0)
    times, options = ([0.0, 0.5, 3.0, 30.0, 1e3], {}) if euclidean else ([0.0, 0.5, 3.0], {"closure": "mean_field"})
    found, expected = (
        dyn.solve(model, VANISHING, times, method=method, rtol=RTOL, **options) for method in ("heyoka", "scipy")
    )
    np.testing.assert_array_equal(np.isfinite(found.blow_up_time), np.isfinite(expected.blow_up_time))
    np.testing.assert_allclose(found.s, expected.s, rtol=100 * RTOL, atol=1e-12)


def test_a_vanishing_mode_leaves_the_others_accurate():
    """ds/dt = -2 s (1 - s)^2: F(s) - F(s0) = -2 t, with F = log(s/(s - 1)) - 1/(s - 1), here for s slightly above 1."""

    def potential(x):  # x = s - 1
        return np.log1p(x) - np.log(x) - 1 / x

    times = [0.0, 1e3, 1e4, 1e6]
    expected = [
        1 + brentq(lambda x, t=t: potential(x) - potential(1.0) + 2 * t, 1e-12, 1.0, xtol=1e-18, rtol=1e-14)
        for t in times[1:]
    ]
    flow = dyn.solve(dyn.Model("euclidean", stop_gradient="none"), [2.0, 0.5], times, method="heyoka")
    np.testing.assert_allclose(flow.s[1:, 0], expected, rtol=3e-8)  # rtol is 1e-8
    assert flow.s[-1, 1] < 1e-14


def test_rates_that_are_the_same_for_all_modes():
    """Without a predictor r = -sigma1^2."""
    model = dyn.Model("euclidean", predictor=dyn.NoPredictor(), noise=(0.1, 0.1))
    flow = dyn.solve(model, [0.2, 0.5], [0.0, 1.0], method="heyoka")
    np.testing.assert_allclose(flow.s[-1], np.array([0.2, 0.5]) * np.exp(-0.02), rtol=1e-8)
    own = dyn.Model(dyn.Loss("|z1 - sg(z2)|^2 / 2"), predictor=dyn.NoPredictor(), noise=(0.1, 0.1))
    np.testing.assert_allclose(dyn.solve(own, [0.2, 0.5], [0.0, 1.0], method="heyoka").s, flow.s, rtol=1e-8)


def test_an_ensemble_equals_its_members_one_by_one():
    """In lanes, with some left over; with numbers of their own, and dead modes."""
    model = dyn.Model("euclidean", stop_gradient="none", noise=(np.linspace(0.01, 0.3, 11), 0.1))
    starts = np.random.default_rng(0).uniform(0.1, 1.5, (11, 3))
    starts[3, 0] = 0.0
    whole = dyn.solve(model, starts, TIMES, method="heyoka", rtol=RTOL)
    for number, (sigma1, start) in enumerate(zip(model.noise[0], starts, strict=True)):
        alone = dyn.Model("euclidean", stop_gradient="none", noise=(sigma1, 0.1))
        expected = dyn.solve(alone, start, TIMES, method="scipy", rtol=RTOL)
        np.testing.assert_allclose(whole.s[number], expected.s, rtol=20 * RTOL)  # rtol each, 1/lambda0 up to 10


def test_members_that_diverge_are_left_to_scipy():
    model = dyn.Model("euclidean", stop_gradient="online", noise=(0.0, 0.5), weight_decay=0.01)
    starts = [[0.3, 0.5], [0.4, 2.0], [0.2, 0.6]]
    found = dyn.solve(model, starts, TIMES, method="heyoka", rtol=RTOL)
    exact = dyn.solve(model, starts, TIMES, method="exact")
    np.testing.assert_allclose(found.blow_up_time, exact.blow_up_time, rtol=1e3 * RTOL)  # at infinity, s is t
    np.testing.assert_array_equal(np.isinf(found.s), np.isinf(exact.s))
    np.testing.assert_allclose(found.s[[0, 2]], exact.s[[0, 2]], rtol=20 * RTOL)
    alone = dyn.solve(model, starts[1], TIMES, method="heyoka", rtol=RTOL)
    assert alone.status.startswith("eigenvalues diverge at t = ")


def test_many_members_that_diverge_are_integrated_by_jax():
    """Each by SciPy would take 0.1 s."""
    model = dyn.Model("euclidean", stop_gradient="online", noise=(0.1, 0.3), weight_decay=0.01)
    starts = np.random.default_rng(0).uniform(0.1, 3.0, (64, 3))
    found, exact = (dyn.solve(model, starts, TIMES, method=method, rtol=RTOL) for method in ("heyoka", "exact"))
    assert np.isfinite(exact.blow_up_time).sum() > 30
    np.testing.assert_allclose(found.blow_up_time, exact.blow_up_time, rtol=1e3 * RTOL)  # at infinity, s is t
    finite = np.isfinite(exact.s) & (TIMES[:, None] < 0.99 * exact.blow_up_time[:, None, None])
    np.testing.assert_allclose(found.s[finite], exact.s[finite], rtol=1e3 * RTOL)  # near infinity, s amplifies errors


def test_many_modes_compile_as_calls():
    s0 = np.geomspace(0.1, 2.0, heyoka_flow.COMPACT)
    model = dyn.Model("cosine")
    found, expected = (
        dyn.solve(model, s0, [0.0, 3.0], closure="mean_field", method=method, rtol=RTOL)
        for method in ("heyoka", "scipy")
    )
    np.testing.assert_allclose(found.s, expected.s, rtol=20 * RTOL)


def test_ctrl_c_keeps_the_members_that_are_done(press_ctrl_c):
    model, starts = dyn.Model("euclidean", stop_gradient="none"), np.full((20, 2), 0.5)
    press_ctrl_c(heyoka_flow, at_update=2)
    part = dyn.solve(model, starts, TIMES, method="heyoka")
    assert part.status.startswith("interrupted after ensemble member 16 of 20")
    assert np.isfinite(part.s[:16]).all() and np.isnan(part.s[16:]).all()


REFUSED = {
    "in place of formulas": (dyn.Model("cosine"), {}),
    "for a normalized predictor": (dyn.Model("euclidean", predictor=dyn.ClosedForm(normalize=True)), {}),
}


@pytest.mark.parametrize("reason", REFUSED)
def test_what_it_cannot_do_is_refused(reason):
    model, options = REFUSED[reason]
    with pytest.raises(dyn.ArgumentError, match=f"`method` must be 'auto', 'jax' or 'scipy' .*{reason}"):
        dyn.solve(model, S0, TIMES, method="heyoka", **options)


def test_a_missing_package_is_named(monkeypatch):
    real = builtins.__import__

    def without(name, *arguments, **options):
        if name == "heyoka":
            raise ImportError(name)
        return real(name, *arguments, **options)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(
        dyn.ArgumentError, match=r'where heyoka is not installed \(pip install "\.\[heyoka\]" in a clone\), but'
    ):
        dyn.solve(dyn.Model("euclidean", stop_gradient="none"), S0, TIMES, method="heyoka")
