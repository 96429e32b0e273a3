"""Exact solutions from any start, exponent and time that float64 holds, against the formulas in many digits."""

import mpmath as mp
import numpy as np
import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

import dynamics as dyn
from derivations.losses.catalogue import Setting
from tests.reference import EUCLIDEAN, model_of

LARGEST = float(np.finfo(float).max)
LEAST = 5e-324  # smallest denormal number
NOISE, WEIGHT_DECAYS = (0.5, 0.25), (0.0, 0.125, 1.0, 1.5)  # exact in binary; at 1.0 a rate is zero
N1, N2 = 1.25, 1.0625
SETTINGS = {setting.name: setting for setting in EUCLIDEAN if setting.isotropic or setting.stop_gradient != "none"}
SETTINGS |= {s.name: s for s in EUCLIDEAN if not s.predictor}
LAMBERT = ("euclidean_stop_target", "euclidean_stop_target_symmetrised")


def coefficients(setting: Setting):
    """Return c0 and c1 of r = c0 + c1 lambda, and the level q of r = lambda (1 - lambda/q); None if there is none."""
    mean = (N1 + N2) / 2
    if not setting.predictor:
        n1, n2 = (mean, mean) if setting.symmetrised else (N1, N2)
        return {"target": 1 - n1, "online": 1 - n2, "none": 2 - n1 - n2}[setting.stop_gradient], 0, None
    if setting.isotropic:
        return 1, -(mean if setting.symmetrised else N1), None
    if setting.stop_gradient == "online":
        return -(mean if setting.symmetrised else N2), 1, None
    return 0, 0, 1 / mp.mpf(mean if setting.symmetrised else N1)


def log_growth(setting, log_lam0, tau, weight_decay):
    """Return log(lambda(tau)/lam0) in the precision of mpmath; None where lambda has diverged."""
    c0, c1, level = coefficients(setting)
    if level is not None:
        return lambert_growth(log_lam0, level * tau, level)
    b = mp.mpf(c0) - weight_decay
    change = tau if b == 0 else (1 - mp.exp(-b * tau)) / b
    inverse = mp.exp(-b * tau) - c1 * mp.exp(log_lam0) * change  # lam0/lambda
    return -mp.log(inverse) if inverse > 0 else None


def lambert_growth(log_lam0, tau, level):
    """Solve y + log|y| = y0 + log|y0| - tau by bisection, for the growth g = log((1 + y0)/(1 + y)).

    For early times g = tau/ratio or -tau/ratio^2, with ratio = 1 + y0, which is negligible below 1e-40.
    """
    ratio, final = level * mp.exp(-log_lam0), mp.log(level) - log_lam0
    if tau < mp.mpf(10) ** -40 * max(ratio, 1) * min(ratio, 1) ** 2:
        return mp.mpf(0)

    def mismatch(g):
        return ratio * (1 - mp.exp(-g)) - mp.log((ratio * mp.exp(-g) - 1) / (ratio - 1)) - tau

    low, high = mp.mpf(0), mp.mpf(1)
    for _ in range(130):
        middle = (low + high) / 2
        low, high = (middle, high) if mismatch(middle * final) < 0 else (low, middle)
    return high * final


def expected(setting, alpha, s0, t, weight_decay):
    """Return log s(t), and its change with log s(0); None after a divergence."""
    with mp.workprec(4500):
        values, nudge = [], mp.mpf(2) ** -200
        for start in (mp.mpf(s0), mp.mpf(s0) * (1 + nudge)):
            log_s, exponent = mp.log(start), mp.mpf(alpha)
            tau = 2 * exponent * mp.mpf(t)
            growth = log_growth(setting, exponent * log_s, tau, mp.mpf(weight_decay))
            if growth is None:  # from the start, or from beside it
                return (values[0], np.inf) if values else None
            values.append(log_s + growth / exponent)
        return values[0], float(abs(values[1] - values[0]) / nudge)


starts = st.floats(np.log(LEAST), np.log(LARGEST)).map(lambda x: max(float(np.exp(x)), LEAST))
exponents = st.floats(-3, 300).map(lambda x: 10.0**x) | st.floats(-3, 3).map(lambda x: 10.0**x)
times = st.floats(-320, 308).map(lambda x: 10.0**x) | st.floats(-4, 8).map(lambda x: 10.0**x)


@settings(max_examples=20)
@given(name=st.sampled_from(sorted(SETTINGS)), alpha=exponents, s0=starts, t=times, rho=st.sampled_from(WEIGHT_DECAYS))
@example("euclidean_stop_target", 1.0, 1e-160, 10.0, 0.0)
@example("euclidean_stop_target", 10.0, 1e-16, 1.0, 0.0)
@example("euclidean_stop_target", 1e300, 0.5, 1.0, 0.0)
@example("euclidean_stop_target", 1e300, 2.0, 1.0, 0.0)
@example("euclidean_stop_target", 1e300, 2.0, 1e308, 0.0)
@example("euclidean_isotropic", 100.0, 1e-300, 500.0, 0.0)
@example("euclidean_isotropic", 1e300, 1e-300, 1e20, 0.125)
@example("euclidean_stop_online", 1e300, 0.5, 1e20, 0.125)
def test_any_start_exponent_and_time(name, alpha, s0, t, rho):
    setting = SETTINGS[name]
    alpha = alpha if setting.predictor else 1.0
    weight_decay = 0.0 if name in LAMBERT else rho
    flow = dyn.solve(model_of(setting, alpha, NOISE, weight_decay), [0.0, s0], [0.0, t], method="exact")
    assert (flow.s[:, 0] == 0).all() and flow.s[0, 1] == s0
    solution = expected(setting, alpha, s0, t, weight_decay)
    if solution is None:
        assert len(flow.t) == 1 and flow.blow_up_time <= t
        return
    log_s, condition = solution
    if condition > 1e6:  # at a divergence, or at the end of a wait of more than a million lifetimes
        return
    assert len(flow.t) == 2, flow.status
    # s = e^x with |x| < 1500, x rounded to float64; log lambda rounded, and divided by alpha; lambda(0) rounded
    rounding, extended = np.finfo(float).eps, np.finfo(np.longdouble).eps
    tolerance = 1500 * rounding + 16 * rounding / min(alpha, 1) + 64 * extended * condition * (1 + 1 / alpha)
    with mp.workprec(200):
        value = float(mp.exp(log_s))
    np.testing.assert_allclose(flow.s[1, 1], value, rtol=tolerance, atol=2 * LEAST)


@pytest.mark.long
@settings(max_examples=60)
@given(name=st.sampled_from(sorted(SETTINGS)), alpha=exponents, s0=starts, t=times, rho=st.sampled_from(WEIGHT_DECAYS))
@example("euclidean_isotropic", 1.0, 0.5, 3.0, 1.0)
@example("euclidean_stop_target", 1.0, 1e-300, 1e290, 0.0)
def test_time_to_the_level_of_a_time(name, alpha, s0, t, rho):
    """The time to reach s(t) is t, to the rounding of s(t)."""
    setting = SETTINGS[name]
    alpha = alpha if setting.predictor else 1.0
    weight_decay = 0.0 if name in LAMBERT else rho
    solution = expected(setting, alpha, s0, t, weight_decay)
    assume(solution is not None)
    with mp.workprec(200):
        s = float(mp.exp(solution[0]))
    assume(s != s0 and 1e-300 < s < 1e300)
    later = expected(setting, alpha, s0, t * 1.01, weight_decay)
    assume(later is not None)
    slope = float(abs(later[0] - solution[0])) / 0.01  # d log s/d log t
    found = dyn.convergence_time(model_of(setting, alpha, NOISE, weight_decay), [s0], s)
    # s(0) and s(t) are rounded; a time with an error above one part in a thousand is not compared
    error = 4 * np.finfo(float).eps * (1 + solution[1]) / max(slope, 1e-300)
    assume(error < 1e-3 and 1e-290 < t < 1e290)
    np.testing.assert_allclose(found, [t], rtol=1e-12 + 2 * error)
