"""Exact solutions against the same formulas in 80 digits."""

import mpmath as mp
import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

import dynamics as dyn
from derivations.losses.catalogue import Setting
from tests.reference import DIGITS, lambert_time, logistic, model_of, n_of, systems, wrong_side_blow_up

ROUNDING = np.finfo(np.longdouble).eps / 2  # 5.4e-20 where the platform has 80-bit numbers
FRACTIONS = (0.01, 0.3, 0.5, 0.9, 1 - 1e-6)  # of the way, where a solution is looked at
SYSTEMS = list(systems())
STARTS = [1e-6, 1e-4, 0.02, 0.5, 1.5, 10.0]


def solve_exactly(system, s0, times):
    flow = dyn.solve(system.model, s0, times, method="exact")
    assert flow.method == f"exact solution ({system.kind})"
    assert flow.status == "complete"
    return flow.s


def tolerance(system, s0):
    """1e-12, or what rounding makes of the number 1/u0 that Lambert's function is computed from.

    y + log y = y0 + log y0 - tau/n1 holds to about six roundings of y0 = 1/u0 - 1, and an error d of it is one of
    d y/(1 + y)^2/alpha <= d/(4 alpha) <= d/2 relative to s.
    """
    if system.kind != "Lambert W":
        return 1e-12
    return max(1e-12, 3 * ROUNDING * system.level / s0**system.alpha)


def transition_times(system, s0):
    """Times at which lambda has gone the given fractions of the way from its start to its level, in tau = 2 alpha t."""
    if system.kind != "Lambert W":
        return np.array([0.0, 0.01, 1.0, 5.0, 20.0]) / (2 * system.alpha)
    with mp.workdps(DIGITS):
        u0 = mp.mpf(s0) ** system.alpha / system.level
        reached = [u0 + fraction * (1 - u0) for fraction in FRACTIONS]
        times = [lambert_time(u0, u, 1 / system.level) / (2 * system.alpha) for u in reached]
        return np.array([0.0, *(float(t) for t in times)])


@pytest.mark.parametrize("name", SYSTEMS)
@pytest.mark.parametrize("s0", STARTS)
def test_solution_equals_the_formula_in_many_digits(name, s0):
    system = systems()[name]
    if name.startswith("wrong side") and s0**system.alpha > 1.35:  # above n2 + rho: see the blow-up tests
        s0 = 1.2 ** (1 / system.alpha)
    times = transition_times(system, s0)
    found = solve_exactly(system, [s0], times)
    np.testing.assert_allclose(found, system.solution([s0], times), rtol=tolerance(system, s0), atol=0)


@given(
    name=st.sampled_from([name for name in SYSTEMS if name.startswith(("target", "isotropic"))]),
    exponent=st.floats(-6, 1),
    progress=st.floats(1e-3, 1 - 1e-3),
)
def test_solution_at_any_start_and_time(name, exponent, progress):
    system, s0 = systems()[name], 10.0**exponent
    assume(abs(s0**system.alpha / system.level - 1) > 1e-6 if system.level else True)
    times = np.quantile(transition_times(system, s0), [progress])
    found = solve_exactly(system, [s0], times)
    np.testing.assert_allclose(found, system.solution([s0], times), rtol=tolerance(system, s0), atol=0)


@pytest.mark.parametrize("name", SYSTEMS)
def test_all_modes_at_once_are_as_good_as_one_by_one(name):
    system, s0 = systems()[name], np.array([1e-4, 0.02, 0.5])
    times = np.geomspace(1e-2, 1e3, 6) / (2 * system.alpha)
    together = solve_exactly(system, s0, times)
    alone = np.hstack([solve_exactly(system, [s], times) for s in s0])
    np.testing.assert_array_equal(together, alone)


@pytest.mark.parametrize("name", [name for name in SYSTEMS if "alpha=1.0" in name])
def test_starts_a_hundred_decades_apart_do_not_overflow(name):
    """The small mode cannot have moved from its start, but for a factor that is the same for any small mode."""
    system, s0 = systems()[name], np.array([1e-100, 1e-3, 1.0])
    times = np.array([0.0, 1.0, 10.0])
    found = solve_exactly(system, s0, times)
    np.testing.assert_allclose(found, system.solution(s0, times), rtol=1e-12, atol=0)


@pytest.mark.parametrize("name", SYSTEMS)
def test_dead_modes_stay_dead(name):
    found = solve_exactly(systems()[name], [0.0, 0.5], [0.0, 1.0, 100.0])
    assert (found[:, 0] == 0).all()
    assert (found[:, 1] > 0).all()


@pytest.mark.parametrize("name", [name for name in SYSTEMS if systems()[name].level])
def test_solution_stays_at_its_level(name):
    system = systems()[name]
    level = system.level ** (1 / system.alpha)
    # The level is a float: half a unit off, as is its power, which decays from there.
    np.testing.assert_allclose(solve_exactly(system, [level], [0.0, 1.0, 1e3]), level, rtol=1e-15)


@pytest.mark.parametrize("alpha", [0.5, 1.0, 2.0])
@pytest.mark.parametrize("isotropic", [False, True])
def test_solution_reaches_u_at_the_time_the_theory_says(alpha, isotropic):
    u0, n1 = 0.01, 1.25
    model = model_of(Setting("euclidean", isotropic=isotropic), alpha, (0.5, 0.1))
    odds = mp.log(0.9 * (1 - mp.mpf(u0)) / (u0 * (1 - mp.mpf(0.9))))
    time = (odds if isotropic else lambert_time(mp.mpf(u0), mp.mpf(0.9), n1)) / (2 * alpha)
    flow = dyn.solve(model, [(u0 / n1) ** (1 / alpha)], [float(time)], method="exact")
    # u0, u and the time are rounded to 1.1e-16; du/u = 2 alpha u (1 - u) dt/n1, with t up to 110.
    np.testing.assert_allclose(n1 * flow.predictor[0], 0.9, rtol=1e-14)


# --- the wrong side: up to infinity in finite time ------------------------------------------------------------------

WRONG = Setting("euclidean", "online")
THRESHOLDS = [(0.0, 0.0), (0.5, 0.0), (0.1, 0.3)]  # sigma2, rho
CLOSEST = 1e-3  # lambda0 is at least this far above the threshold, and t from t*, in relative terms
# t* goes with the logarithm of 1 - threshold/lambda0, of which rounding is ROUNDING/CLOSEST; the result and its
# reference are rounded to 64 bits.
BLOW_UP = 2 * ROUNDING / CLOSEST + 3.4e-16
# lambda ~ 1/(t* - t), and s = lambda^(1/alpha) with 1/alpha <= 2.
NEAR_BLOW_UP = 2 * 2 * ROUNDING / CLOSEST**2 + 3.4e-16


def wrong_side(alpha, sigma2, rho, relative):
    """The model, and s0 at ``relative`` times its threshold n2 + rho."""
    return model_of(WRONG, alpha, (0.2, sigma2), rho), (relative * (1 + sigma2**2 + rho)) ** (1 / alpha)


@mp.workdps(DIGITS)
def wrong_side_solution(s0, t, alpha, sigma2, rho):
    lam0, tau = mp.mpf(float(s0)) ** mp.mpf(alpha), 2 * mp.mpf(alpha) * mp.mpf(float(t))
    return float(logistic(lam0, tau, -n_of(sigma2) - mp.mpf(rho), -1) ** (1 / mp.mpf(alpha)))


@pytest.mark.parametrize("alpha", [0.5, 1.0, 2.0])
@pytest.mark.parametrize(("sigma2", "rho"), THRESHOLDS)
def test_wrong_side_decays_below_its_threshold(alpha, sigma2, rho):
    model, s0 = wrong_side(alpha, sigma2, rho, 0.99)
    flow = dyn.solve(model, [s0], [0, 1, 10, 40])
    assert flow.status == "complete"
    assert np.isinf(flow.blow_up_time)
    assert (np.diff(flow.s[:, 0]) < 0).all()
    assert flow.s[-1, 0] < 1e-6 * s0


@pytest.mark.parametrize("alpha", [0.5, 1.0, 2.0])
@pytest.mark.parametrize(("sigma2", "rho"), THRESHOLDS)
@pytest.mark.parametrize("relative", [1 + CLOSEST, 1.5, 10.0])
def test_wrong_side_blows_up_at_the_exact_time(alpha, sigma2, rho, relative):
    model, s0 = wrong_side(alpha, sigma2, rho, relative)
    blow_up = wrong_side_blow_up(s0, alpha, sigma2, rho)
    times = blow_up * np.array([0, 0.5, 0.9, 1 - CLOSEST, 1 + 1e-9, 1.5, 30])
    flow = dyn.solve(model, [s0], times)
    np.testing.assert_allclose(flow.blow_up_time, blow_up, rtol=BLOW_UP)
    assert flow.status == f"eigenvalues diverge at t = {float(flow.blow_up_time):.10g}"
    np.testing.assert_array_equal(flow.t, times[:4])
    expected = [[wrong_side_solution(s0, t, alpha, sigma2, rho)] for t in times[:4]]
    np.testing.assert_allclose(flow.s, expected, rtol=NEAR_BLOW_UP)


def test_a_blow_up_after_the_last_time_ends_nothing():
    model, s0 = wrong_side(1.0, 0.0, 0.0, 2.0)
    blow_up = wrong_side_blow_up(s0, 1.0, 0.0, 0.0)
    flow = dyn.solve(model, [s0, 0.5], [0, 0.99 * blow_up])
    assert flow.status == "complete"
    assert len(flow.t) == 2
    np.testing.assert_allclose(flow.blow_up_time, blow_up, rtol=BLOW_UP)


def test_in_an_ensemble_members_that_diverge_are_infinite_from_there_on():
    model, s0 = wrong_side(1.0, 0.0, 0.0, 2.0)
    blow_up = wrong_side_blow_up(s0, 1.0, 0.0, 0.0)
    flow = dyn.solve(model, [[0.5, 0.9], [s0, 0.5]], [0, 0.5 * blow_up, 1.5 * blow_up])
    np.testing.assert_allclose(flow.blow_up_time, [np.inf, blow_up], rtol=BLOW_UP)
    assert flow.status == f"eigenvalues diverge at t = {blow_up:.10g} (first of 1 members that diverge)"
    assert np.isfinite(flow.s[0]).all()
    assert np.isfinite(flow.s[1, :2]).all()
    assert np.isposinf(flow.s[1, 2]).all()


# --- where there is none --------------------------------------------------------------------------------------------

WITHOUT = {
    "no stop-gradient": dyn.Model("euclidean", stop_gradient="none"),
    "weight decay": dyn.Model("euclidean", weight_decay=0.01),
    "weight decay in one member": dyn.Model("euclidean", weight_decay=[0.0, 0.01]),
    "cosine": dyn.Model("cosine"),
}


@pytest.mark.parametrize("name", WITHOUT)
def test_no_exact_solution_is_claimed_where_there_is_none(name):
    with pytest.raises(dyn.ArgumentError, match="has no exact solution"):
        dyn.solve(WITHOUT[name], [0.5], [0, 1], method="exact")


@pytest.mark.parametrize("name", SYSTEMS)
def test_the_exact_solution_is_the_first_choice(name):
    flow = dyn.solve(systems()[name].model, [0.5], [0, 1])
    assert flow.method.startswith("exact solution")
    assert flow.error == 0


@pytest.mark.parametrize(
    ("setting", "ends"),
    [(Setting("euclidean", isotropic=True), [0.0, 1.0]), (Setting("euclidean", "online"), [0.0, 0.0])],
    ids=lambda a: getattr(a, "name", None),
)
def test_long_times_are_finite(setting, ends):
    """e^(2 t) overflows, and a dead mode stays dead."""
    flow = dyn.solve(model_of(setting), [0.0, 0.2], [0.0, 6000.0, 1e6])
    assert flow.method.startswith("exact")
    np.testing.assert_allclose(flow.s[1:], [ends, ends], atol=1e-300, rtol=1e-15)
