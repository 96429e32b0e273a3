"""Times to converge and effective rates: formulas against the flow, and against theory section 4."""

import numpy as np
import pytest

import dynamics as dyn
from dynamics.analysis import timescales
from dynamics.solvers import flow_scipy

S0, NOISE = np.array([0.0, 0.02, 0.3, 0.8, 1.5]), (0.3, 0.1)
N1 = 1 + NOISE[0] ** 2
FORMULA = {
    "euclidean": (dyn.Model("euclidean", noise=NOISE), 0.6),
    "euclidean, square root": (dyn.Model("euclidean", noise=NOISE, predictor=dyn.ClosedForm(0.5)), 0.6),
    "symmetrised": (dyn.Model("euclidean", noise=NOISE, symmetrised=True), 0.6),
    "isotropic, weight decay": (dyn.Model("euclidean", isotropic=True, noise=NOISE, weight_decay=0.1), 0.6),
    "wrong side": (dyn.Model("euclidean", stop_gradient="online", noise=NOISE, weight_decay=0.1), 2.0),
    "no predictor": (dyn.Model("euclidean", noise=NOISE, predictor=dyn.NoPredictor()), 0.01),
}


@pytest.mark.parametrize("name", FORMULA)
def test_formula_and_flow_agree(name, monkeypatch):
    """1e-7: ten times the flow's tolerance, as a crossing is late by the error of s over its velocity."""
    model, level = FORMULA[name]
    formula = dyn.convergence_time(model, S0, level)
    monkeypatch.setattr(timescales, "has_exact_solution", lambda model: False)
    flow = dyn.convergence_time(model, S0, level)
    assert np.isfinite(formula).any() and np.isinf(formula).any()
    np.testing.assert_allclose(flow, formula, rtol=1e-7)


def test_times_of_small_modes_grow_as_their_inverse_or_its_logarithm():
    """Small modes wait for a time of order 1/u0, or of order log(1/u0) where the loss is isotropic."""
    u0, u1, alpha = 0.001, 0.9, 0.5
    odds = np.log(u1 * (1 - u0) / (u0 * (1 - u1)))
    s0, level = ((u / N1) ** (1 / alpha) for u in (u0, u1))
    for isotropic, expected in (
        (False, N1 / (2 * alpha) * (1 / u0 - 1 / u1 + odds)),
        (True, odds / (2 * alpha)),
    ):
        model = dyn.Model("euclidean", isotropic=isotropic, noise=NOISE, predictor=dyn.ClosedForm(alpha))
        np.testing.assert_allclose(dyn.convergence_time(model, [s0], level), expected, rtol=1e-12)


def test_the_ghost_of_the_fold_delays_a_mode():
    """It holds a mode for n1 pi/(2 alpha sqrt(n1 n2 - 1)), but for terms of order one."""
    noise = (0.0, 1e-3)
    model = dyn.Model("euclidean", stop_gradient="none", noise=noise)
    held = np.pi / (2 * np.sqrt(1 + noise[1] ** 2 - 1))
    (time,) = dyn.convergence_time(model, [1.5], 0.6)
    assert time == pytest.approx(held, abs=5)


@pytest.mark.parametrize(
    ("model", "eta"),
    [
        (dyn.Model("cosine", noise=NOISE), None),
        (dyn.Model("euclidean", noise=NOISE, predictor=dyn.Learned(2.0, 0.5)), None),
        (dyn.Model("euclidean", noise=NOISE, target=dyn.EMA(0.9)), 0.1),
        (dyn.Model("euclidean", noise=NOISE, weight_decay=0.05), None),
        (dyn.Model("cosine", noise=NOISE, weight_decay=0.05), None),
    ],
    ids=str,
)
def test_the_flow_has_the_level_at_these_times(model, eta):
    level = 0.35
    times = dyn.convergence_time(model, S0[1:], level, learning_rate=eta)
    reached = np.flatnonzero(np.isfinite(times))
    assert len(reached)
    at = dyn.solve(model, S0[1:], np.sort(times[reached]), learning_rate=eta, rtol=1e-10, method="scipy").s
    for row, m in enumerate(reached[np.argsort(times[reached])]):
        assert at[row, m] == pytest.approx(level, rel=1e-7)
    never = np.setdiff1d(np.arange(4), reached)
    later = dyn.solve(model, S0[1:], np.linspace(0, 300, 1000), learning_rate=eta, method="scipy").s[:, never] - level
    assert (later.min(axis=0) * later.max(axis=0) > 0).all()


def test_an_ensemble_has_the_times_of_its_members():
    starts, noise = np.array([[0.1, 0.4], [0.2, 0.9]]), (np.array([0.0, 0.3]), 0.1)
    for options in ({"loss": "cosine"}, {"loss": "euclidean"}):
        both = dyn.convergence_time(dyn.Model(noise=noise, **options), starts, 0.35)
        for i in range(2):
            one = dyn.convergence_time(dyn.Model(noise=(noise[0][i], 0.1), **options), starts[i], 0.35)
            np.testing.assert_allclose(both[i], one, rtol=1e-12)


@pytest.mark.parametrize(
    ("predictor", "weight_decay", "s0", "level", "expected"),
    [(dyn.Learned(1, 0.9), 0.1, 0.5, 0.498485, 0.2369), (dyn.Learned(3, 0.16147), 0.2, 0.86269, 0.85981, 0.0495)],
)
def test_a_level_that_is_passed_twice_within_a_step(predictor, weight_decay, s0, level, expected):
    """The eigenvalue falls, passes the level, and soon passes it again; the times are those of a fine grid."""
    model = dyn.Model("euclidean", predictor=predictor, weight_decay=weight_decay)
    (time,) = dyn.convergence_time(model, [s0], level)
    assert time == pytest.approx(expected, abs=1e-4)
    fine = dyn.solve(model, [s0], np.linspace(0, 2 * time, 100_001), rtol=1e-10).s[:, 0]
    assert np.flatnonzero(fine <= level)[0] * 2 * time / 100_000 == pytest.approx(time, abs=1e-4 * time)


def test_levels_that_equal_modes_reach_by_weight_decay_alone():
    """epsilon sets a scale, so that the flow is followed as it is; below s = 1e-2 the modes are equal."""
    model = dyn.Model("cosine", predictor=dyn.ClosedForm(0.5, 0.1), isotropic=True, weight_decay=0.2, symmetrised=True)
    s0 = [1.846, 1.581, 0.271]
    times = dyn.convergence_time(model, [s0] * 3, [[0.6], [1e-4], [1e-20]])
    assert times[0, 2] == np.inf  # the smallest mode stays below this level
    np.testing.assert_allclose(times[2] - times[1], np.log(1e16) / 0.4, rtol=1e-9)
    for mode, (early, late) in enumerate(times[:2, :2].T):
        np.testing.assert_allclose(dyn.solve(model, s0, [early, late]).s[:, mode], [0.6, 1e-4], rtol=1e-7)


def test_too_many_evaluations_end_with_a_warning(monkeypatch):
    """The first mode has reached its level; the other one may reach it later than the flow is followed."""
    monkeypatch.setattr(timescales, "most_evaluations", lambda y: 60)
    warning = r"The flow is followed to t = .* only: more than 60 evaluations of the rates are needed\. Modes whose"
    with pytest.warns(dyn.AccuracyWarning, match=warning):
        times = dyn.convergence_time(dyn.Model("cosine", noise=NOISE), [0.1, 0.5], [0.1001, 0.30001])
    assert 0 < times[0] < 1 and np.isnan(times[1])


def test_a_step_that_fails_ends_with_a_warning(monkeypatch):
    def steps(slope, y, end, tolerances):
        for number, (solver, message) in enumerate(flow_scipy.steps(slope, y, end, tolerances)):
            solver.status, message = ("failed", "no step is short enough") if number == 5 else (solver.status, message)
            yield solver, message

    monkeypatch.setattr(timescales, "steps", steps)
    with pytest.warns(dyn.AccuracyWarning, match=r"The flow is followed to t = .* only: no step is short enough\."):
        assert np.isnan(dyn.convergence_time(dyn.Model("cosine", noise=NOISE), [0.1, 0.5], 0.31)).all()


def test_times_beyond_within_are_nan():
    model = dyn.Model("cosine", noise=NOISE)
    known, at_once, unknown = dyn.convergence_time(model, [0.35, 0.3, 0.01], 0.3, within=5.0)
    assert at_once == 0 and 0 < known < 5 and np.isnan(unknown)


def test_effective_rates_of_independent_modes_are_the_derivative_of_the_flow():
    """s (1 - lambda n1) lambda has a polynomial slope; differences of the sixth order leave (0.01)^6 = 1e-12."""
    s = S0[1:]
    for alpha in (0.5, 1.0):
        standard, isotropic = (
            dyn.Model("euclidean", isotropic=i, noise=NOISE, predictor=dyn.ClosedForm(alpha), weight_decay=0.1)
            for i in (False, True)
        )
        lam = s**alpha
        expected = 2 * (1 + alpha) * lam - 2 * (1 + 2 * alpha) * N1 * lam**2 - 0.2
        np.testing.assert_allclose(dyn.effective_rates(standard, s), expected, rtol=1e-10)
        expected = 2 - 2 * (1 + alpha) * N1 * lam - 0.2
        np.testing.assert_allclose(dyn.effective_rates(isotropic, s), expected, rtol=1e-10)


def test_effective_rates_along_a_trajectory_end_at_those_of_the_equilibrium():
    model = dyn.Model("cosine", noise=NOISE)
    flow = dyn.solve(model, [0.2, 0.5, 1.5], [0.0, 1.0, 400.0])
    rates = dyn.effective_rates(model, flow.s)
    assert rates.shape == flow.s.shape
    np.testing.assert_allclose(rates[1], dyn.effective_rates(model, flow.s[1]), rtol=1e-9)
    g = dyn.equilibria(model, flow.s[0])[0].growth.real
    np.testing.assert_allclose(rates[-1], g.mean() * 2 / 3, rtol=1e-6)  # I - 1/M of modes that keep their sum


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: dyn.convergence_time("cosine", S0, 0.5), "`model` must be a Model"),
        (lambda: dyn.convergence_time(dyn.Model("cosine", inputs=np.eye(3)), S0, 0.5), "white inputs"),
        (lambda: dyn.convergence_time(dyn.Model("cosine"), S0, 0.0), "`level` must be a number above zero"),
        (lambda: dyn.convergence_time(dyn.Model("cosine"), S0, [0.1, 0.2]), "`level` must be a number above zero"),
        (lambda: dyn.convergence_time(dyn.Model("cosine"), S0, 0.5, within=-1), "`within` must be"),
        (lambda: dyn.convergence_time(dyn.Model("cosine", target=dyn.EMA(0.9)), S0, 0.5), "`learning_rate` must be"),
        (lambda: dyn.convergence_time(dyn.Model("cosine"), [1e-200, 1e200], 1.0), "`s0` must have values for which"),
        (lambda: dyn.effective_rates(dyn.Model("cosine"), S0), "`s` must be finite eigenvalues"),
        (lambda: dyn.effective_rates(dyn.Model("cosine"), 0.5), "`s` must be finite eigenvalues"),
        (
            lambda: dyn.effective_rates(dyn.Model("cosine", noise=([0.1, 0.2], 0)), S0[1:]),
            "plain numbers as parameters",
        ),
        (lambda: dyn.effective_rates(dyn.Model("cosine", target=dyn.EMA(0.9)), S0[1:]), "no EMA target"),
    ],
)
def test_bad_arguments_are_refused(call, message):
    with pytest.raises(dyn.ArgumentError, match=message):
        call()
