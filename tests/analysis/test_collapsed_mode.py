"""Growth of collapsed modes: limits of rates against formulas, and the derived powers of w against rates."""

import numpy as np
import pytest

import dynamics as dyn
from dynamics.analysis.collapsed_mode import _rate, _scalings, collapsed_growth
from tests.marks import parametrize


@pytest.mark.parametrize(("rho", "growth", "recovers"), [(0.0, 1.0, True), (0.4, 0.6, True), (1.2, -0.2, False)])
def test_a_collapsed_mode_grows_at_the_rate_less_weight_decay(rho, growth, recovers):
    """Under the isotropic Euclidean loss the rate at zero is 1."""
    model = dyn.Model("euclidean", isotropic=True, weight_decay=rho)
    assert collapsed_growth(model, []) == (pytest.approx(growth), recovers)


@pytest.mark.parametrize(("stop_gradient", "recovers"), [("target", True), ("none", False)])
def test_a_small_mode_decides_where_the_rate_at_zero_is_zero(stop_gradient, recovers):
    """Under the Euclidean loss it is lambda (1 - lambda), or lambda (1 - lambda) - (1 - lambda), noiseless."""
    growth, result = collapsed_growth(dyn.Model("euclidean", stop_gradient=stop_gradient), [])
    assert result == recovers and growth == pytest.approx(0.0 if recovers else -1.0, abs=1e-7)


@pytest.mark.parametrize("offset", [1e-9, -1e-9])
def test_a_rate_at_zero_that_differs_from_weight_decay_decides(offset):
    """However little: here the rate at zero is 1, and it falls with lambda."""
    model = dyn.Model("euclidean", isotropic=True, weight_decay=1 + offset)
    assert collapsed_growth(model, []) == (pytest.approx(-offset, rel=1e-6), offset < 0)
    assert collapsed_growth(model.replace(weight_decay=1.0), []) == (0.0, False)


@pytest.mark.parametrize(
    ("gain", "growth", "recovers"),
    [
        ("1/sqrt(lambda)", np.inf, True),
        ("log(1/lambda)", np.inf, True),
        ("lambda * log(1/lambda)", 0.0, True),
        ("exp(-1/lambda)", 0.0, True),
        ("log(2 * lambda)", -np.inf, False),
    ],
)
def test_the_rate_of_an_independent_mode_has_the_limit_of_its_gain(gain, growth, recovers):
    """r = h(lambda) (1 - lambda), and lambda = s goes to zero."""
    assert collapsed_growth(dyn.Model("euclidean", gain=gain), []) == (growth, recovers)


def test_only_a_rate_of_zero_makes_any_spectrum_stationary():
    assert "stationary" not in dyn.equilibria(dyn.Model("euclidean", gain="lambda^2"), [0.5]).remark
    still = dyn.Model("euclidean", predictor=dyn.NoPredictor())
    assert "all eigenvalues are stationary" in dyn.equilibria(still, [0.5]).remark


# --- beside surviving modes, under the cosine loss ------------------------------------------------------------------


@pytest.mark.parametrize("share", [1e-8, 1e-12])
def test_without_stop_gradient_the_rate_beside_one_mode_is_minus_two_over_pi_w1_w(share):
    """For w much below w1 = sqrt(0.7): E[z2_m^2 |z1|/|z|^3] over w^2, an integral over the angle of (zeta1, zeta)."""
    rate = _rate(dyn.Model("cosine", stop_gradient="none"), [0.7, 0.7 * share])
    assert rate == pytest.approx(-2 / np.pi / (0.7 * np.sqrt(share)), rel=3 * np.sqrt(share))  # the next order


@pytest.mark.parametrize("noise", [(0.0, 0.0), (0.0, 0.2), (0.3, 0.1)])
def test_no_learning_rate_is_stable_where_a_collapsed_mode_decays_infinitely_fast(noise):
    model = dyn.Model("cosine", stop_gradient="none", noise=noise)
    alone = dyn.equilibria(model, [0.4, 0.8])[-1]
    assert (alone.surviving, alone.verdict, alone.collapsed_growth) == (1, "stable", -np.inf)
    assert alone.largest_learning_rate == 0 and "at no learning rate" in str(alone)
    assert np.abs(alone.multipliers(1e-6)).max() == np.inf


def test_a_step_of_any_size_throws_a_collapsed_mode_over_zero():
    """w - eta (2/pi)/w1: however small a mode is, a step gives it that size."""
    eta, s1 = 0.001, 1.2
    gd = dyn.iterate(dyn.Model("cosine", stop_gradient="none"), [1e-14, s1], 1, eta)
    assert gd.s[1, 0] == pytest.approx((eta * 2 / np.pi) ** 2 / s1, rel=1e-3)  # less the start, w = 1e-7


ROWS = [  # stop-gradient, noise, survivors, alpha, epsilon: limit
    ("target", (0, 0), 1, 0.3, 0, np.inf),  # w^(2 alpha - 1) log(1/w)
    ("target", (0, 0), 1, 0.5, 0, np.inf),  # log(1/w)
    ("target", (0, 0), 1, 1.0, 0, 0),
    ("target", (0.3, 0.1), 1, 0.3, 0, 0),
    ("target", (0, 0), 2, 1.0, 0, 0),
    ("none", (0, 0), 2, 1.0, 0, -np.inf),  # log(1/w)
    ("none", (0, 0), 3, 1.0, 0, -1.0),  # E[z2_m^2/|z|^2]/w^2 = E[1/(zeta_1^2 + zeta_2^2 + zeta_3^2)], of unit modes
    ("none", (0.3, 0.1), 1, 1.0, 0, -np.inf),
    ("none", (0, 0.1), 1, 1.0, 0.1, np.inf),  # log(1/w)^2, of the pull to the prediction
    ("online", (0, 0.1), 1, 1.0, 0.1, np.inf),  # ... which wins later than at any w that a computer can represent
]


@parametrize(("stop_gradient", "noise", "survivors", "alpha", "epsilon", "limit"), ROWS, quick=ROWS[1:6:2])
def test_limits_beside_surviving_modes(stop_gradient, noise, survivors, alpha, epsilon, limit):
    predictor = dyn.ClosedForm(alpha, epsilon)
    model = dyn.Model("cosine", stop_gradient=stop_gradient, noise=noise, predictor=predictor)
    growth, recovers = collapsed_growth(model, [1.0] * survivors)
    assert growth == pytest.approx(limit, rel=1e-7)
    assert recovers == (limit > 0 if limit else True)


SETTINGS = [
    (stop_gradient, noise, survivors, alpha)
    for stop_gradient in ("target", "none", "online")
    for noise in ((0, 0), (0.3, 0.1))
    for survivors in (1, 2, 3)
    for alpha in (0.3, 0.5, 1.0, 2.0)
]


@parametrize(("stop_gradient", "noise", "survivors", "alpha"), SETTINGS, quick=SETTINGS[2:70:18])
def test_the_derived_powers_are_those_of_the_rates(stop_gradient, noise, survivors, alpha):
    """r ~ c w^e log(1/w)^j: between s = 1e-16 and 1e-20 it changes by 1e-2^e (20/16)^j, up to corrections 1/log."""
    model = dyn.Model("cosine", stop_gradient=stop_gradient, noise=noise, predictor=dyn.ClosedForm(alpha))
    exponent, logarithms = min(_scalings(model, survivors))
    far, near = (_rate(model, [1.0] * survivors + [s]) for s in (1e-16, 1e-20))
    power = np.log(near / far) / np.log(1e-2)
    assert power == pytest.approx(exponent + logarithms * np.log(20 / 16) / np.log(100), abs=0.03)
