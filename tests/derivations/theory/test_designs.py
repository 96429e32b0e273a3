"""From wanted rates to gains: every step against what is derived by hand, and in many digits."""

import mpmath as mp
import numpy as np
import pytest
import sympy as sp

from derivations.printers import loss_grammar
from derivations.symbols import notation as n
from derivations.theory import designs
from derivations.theory.designs import lam, leak, rest, speed, threshold
from dynamics.model.expressions import Gain

ALPHAS = ["1/4", "1/2", "1", "3/2", "2"]
DIGITS = 60
ROUNDING = np.finfo(float).eps / 2


def same(found, expected):
    return sp.simplify(found - expected) == 0


def wanted(text):
    return designs.read_desired(text)


def test_per_gain_is_the_error_of_a_mode():
    assert same(designs.per_gain(), 1 - lam / rest)


def test_velocity():
    r = sp.Symbol("r")
    assert same(designs.velocity(r), 2 * n.alpha * lam * r)


@pytest.mark.parametrize(
    ("rate", "gain"),
    [
        ("1 - lambda/rest", "1"),
        ("lambda * (1 - lambda/rest)", "lambda"),
        ("(1 - lambda/rest)^2", "1 - lambda/rest"),
        ("1/lambda - 1/rest", "1/lambda"),
        ("sqrt(rest/lambda) - 1", "1/(sqrt(lambda/rest) + lambda/rest)"),
        ("1 - (lambda/rest)^3", "1 + lambda/rest + (lambda/rest)^2"),
        ("exp(-lambda) * (1 - lambda/rest)", "exp(-lambda)"),
    ],
)
def test_gain_of_a_rate_that_is_zero_at_rest_has_no_pole_there(rate, gain):
    found = designs.gain_of_rate(wanted(rate))
    assert same(found, wanted(gain))
    assert designs.gain_at_fixed_point(found).is_finite is not False
    assert not found.subs(lam, rest).has(sp.nan, sp.zoo)  # by insertion, not as a limit: the pole is gone


@pytest.mark.parametrize("rate", ["1", "lambda", "1 + lambda/rest", "sqrt(lambda)"])
def test_gain_of_another_rate_keeps_the_pole(rate):
    found = designs.gain_of_rate(wanted(rate))
    assert found.subs(lam, rest).has(sp.zoo)
    assert same(found * (1 - lam / rest), wanted(rate))


@pytest.mark.parametrize(
    ("time", "rate"),
    [
        ("-log(lambda)", "1/2"),
        ("1/lambda", "lambda/2"),
        ("-lambda", "1/(2*lambda)"),
        ("-3*sqrt(lambda)", "lambda^-0.5/3"),
    ],
)
def test_rate_of_arrival(time, rate):
    """r = -1/(2 alpha lambda T')."""
    assert same(designs.rate_of_arrival(wanted(time)), wanted(rate) / n.alpha)


@pytest.mark.parametrize("alpha", ALPHAS)
def test_gathering_takes_its_time(alpha):
    """From low to high and on to the goal, by quadrature of d lambda/(2 alpha lambda r), with r typed by hand."""
    found, a = designs.gathering(5), float(sp.Rational(alpha))
    numbers = {"alpha": a, "low": 0.02, "high": 0.3, "goal": 0.7, "slow": 0.1, "t": 2.0}
    fast = numbers["fast"] = designs.value(found.fast, numbers)

    def elapsed(*ends):
        return mp.quad(lambda x: 1 / (2 * a * x * max(0.1, min(fast, fast * (0.3 / x) ** 5))), ends)

    assert designs.value(found.rate, numbers | {"lambda": 0.35}) == pytest.approx(fast * (0.3 / 0.35) ** 5, rel=1e-13)
    turn = 0.3 * (fast / 0.1) ** (1 / 5)
    assert turn < 0.7
    assert elapsed(0.02, 0.3) == pytest.approx(2, rel=1e-12)
    assert designs.value(found.time, numbers) == pytest.approx(float(elapsed(0.3, turn, 0.7)), rel=1e-12)
    least = designs.value(found.extreme, numbers)
    assert 0.3 * (fast / least) ** (1 / 5) == pytest.approx(0.7, rel=1e-13)


@pytest.mark.parametrize("rate", ["3/5", "lambda^2", "1/lambda - 1", "sqrt(lambda)*(1 - lambda)"])
def test_duration(rate):
    """By quadrature; alpha = 1."""
    desired, (start, end) = wanted(rate), (sp.Rational(1, 10), sp.Rational(3, 4))
    by_hand = mp.quad(lambda x: 1 / (2 * x * desired.subs(lam, x)), [start, end])
    assert designs.value(designs.duration(desired, start, end), {"alpha": 1}) == pytest.approx(
        float(by_hand), rel=1e-12
    )


@pytest.mark.parametrize("alpha", ALPHAS)
def test_uniform_gain_moves_singular_values_straight_to_rest(alpha):
    """h q = speed (w*/w - 1), with w = lambda^(1/(2 alpha)), typed by hand; in 60 digits, a few of which cancel."""
    exponent, gain = sp.Rational(alpha), designs.uniform_gain(sp.Rational(alpha))
    a = mp.mpf(exponent.p) / exponent.q
    with mp.workdps(DIGITS):
        for at in ("1e-6", "0.01", "0.3", "0.999", "1.7", "20"):
            level, c, x = mp.mpf("0.8"), mp.mpf(3), mp.mpf(at)
            found = mp.mpf(
                str(gain.subs({rest: sp.Float("0.8", DIGITS), speed: 3, lam: sp.Float(at, DIGITS)}).evalf(DIGITS))
            )
            expected = c * ((level / x) ** (1 / (2 * a)) - 1) / (1 - x / level)
            assert abs(found / expected - 1) < mp.mpf(10) ** (10 - DIGITS)


@pytest.mark.parametrize("alpha", ALPHAS)
@pytest.mark.parametrize("distance", [-1e-2, -1e-6, -1e-10, -1e-14, 0.0, 1e-14, 1e-8])
def test_uniform_gain_has_no_cancellation_next_to_rest(alpha, distance):
    """Sums and products of positive numbers only: as many roundings as operations, fewer than 40."""
    exponent, level, c = sp.Rational(alpha), 0.8, 3.0
    gain = Gain.parse(loss_grammar.formula(designs.uniform_gain(exponent)), rest=level, speed=c)
    x = level * (1 + distance)
    with mp.workdps(DIGITS):
        a, u = mp.mpf(exponent.p) / exponent.q, mp.mpf(x) / mp.mpf(level)
        expected = mp.mpf(c) * ((u ** (-1 / (2 * a)) - 1) / (1 - u) if u != 1 else 1 / (2 * a))
        assert abs(mp.mpf(float(gain([x])[0])) / expected - 1) < 40 * ROUNDING


@pytest.mark.parametrize("alpha", ALPHAS)
def test_uniform_gain_at_rest(alpha):
    """The limit of (v^(-1/(2 alpha)) - 1)/(1 - v)."""
    a = sp.Rational(alpha)
    assert same(designs.gain_at_fixed_point(designs.uniform_gain(a)), speed / (2 * a))


@pytest.mark.parametrize("alpha", [0.25, 0.5, 1.0, 1.5, 2.0])
@pytest.mark.parametrize("gain", [lambda x: 1.7 + 0 * x, lambda x: x * x, lambda x: 1 / (0.3 + x)])
def test_largest_learning_rate_is_where_the_slope_of_the_map_is_minus_one(alpha, gain):
    """w <- w (1 + eta h(lambda) (1 - lambda/rest)), w^2 = s = lambda^(1/alpha): by a complex step."""
    level, step = 0.8, 1e-30

    def mapped(w, eta):
        x = w ** (2 * alpha)
        return w * (1 + eta * gain(x) * (1 - x / level))

    eta = designs.value(designs.largest_learning_rate(), {"h": gain(level), "alpha": alpha})
    assert eta == pytest.approx(1 / (alpha * gain(level)), rel=1e-13)
    w = level ** (1 / (2 * alpha))
    slope = mapped(w + 1j * step, eta).imag / step
    assert slope == pytest.approx(-1, abs=1e-13)  # some twenty roundings of numbers up to 2


@pytest.mark.parametrize("sharpness", [1, 2, 4, 7])
def test_recruitment_gain(sharpness):
    gain = designs.recruitment_gain(sharpness)
    assert same((gain * (1 - lam / rest)).subs(lam, threshold), leak)  # where modes stand still
    assert sp.limit(gain.subs({leak: sp.Rational(1, 20), rest: 1, threshold: sp.Rational(1, 10)}), lam, sp.oo) == speed
    numbers = {leak: sp.Rational(1, 20), rest: 1, threshold: sp.Rational(1, 10), speed: 1}
    below, above = (
        gain.subs(numbers).subs(lam, sp.Rational(1, 10) * (1 + sign * sp.Rational(1, 100))) for sign in (-1, 1)
    )
    assert below * (1 - sp.Rational(99, 1000)) < sp.Rational(1, 20) < above * (1 - sp.Rational(101, 1000))
    # far below the gain falls with the power that it is given
    assert sp.limit(gain.subs(numbers) / lam**sharpness, lam, 0, "+").is_positive


def test_growth_at_threshold():
    assert same(designs.growth_at_threshold(speed), speed * (1 - threshold / rest) - leak)


@pytest.mark.parametrize(("sharpness", "at", "parts"), [(4, "1/10", True), (4, "9/10", False), (1, "1/2", False)])
def test_whether_a_threshold_parts_modes(sharpness, at, parts):
    """n (1 - leak/(speed q)) > threshold/(rest - threshold), by hand."""
    numbers = {leak: sp.Rational(1, 20), rest: 1, threshold: sp.Rational(at), speed: 1}
    q = 1 - sp.Rational(at)
    by_hand = sharpness * (1 - sp.Rational(1, 20) / q) > sp.Rational(at) / q
    assert (designs.parts_modes(designs.recruitment_gain(sharpness)).subs(numbers) > 0) == by_hand == parts


def test_noise_at_rest():
    """Var[2 w (zeta2 - lambda zeta1) zeta1 w] by Isserlis' theorem, by hand."""
    growth, h = sp.symbols("growth h")
    n1, n2 = 1 + n.sigma1**2, 1 + n.sigma2**2
    s = lam ** (1 / n.alpha)
    by_hand = 4 * s**2 * h**2 * (n1 * n2 + 1 - 4 * n1 * lam + 2 * (n1 * lam) ** 2) / (-2 * growth)
    assert same(designs.noise_at_fixed_point(growth, h), by_hand)


def test_relative_noise():
    """Pull and noise of a mode are multiplied by h in place of lambda."""
    assert same(designs.relative_noise(), designs.h / lam)


@pytest.mark.parametrize(
    "expression",
    [
        lam**2 / rest - sp.Rational(1, 3),
        sp.sqrt(lam / rest) + lam ** sp.Rational(-3, 2),
        sp.Min(lam, rest) / sp.Max(lam, rest / 2),
        sp.exp(-lam) * sp.log(lam) + sp.tanh(lam / rest),
        1 / (1 + (rest / lam) ** 4),
        designs.uniform_gain(sp.Rational(3, 2)).subs(speed, 2),
        designs.recruitment_gain(3).subs({speed: 2, leak: sp.Rational(1, 10), threshold: sp.Rational(1, 5)}),
    ],
    ids=str,
)
def test_a_sentence_reads_back_to_the_expression(expression):
    assert same(wanted(loss_grammar.formula(expression)), expression)
