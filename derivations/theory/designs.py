r"""Gains for desired dynamics: from the rate of a mode back to the loss that yields it.

Under the Euclidean loss the gain multiplies what the isotropic loss does to a mode, r = h(lambda) q(lambda) with the
derived q = 1 - n1 lambda. So h = r/q yields a desired rate r(lambda), and r = -1/(2 alpha lambda T'(lambda)) a desired
time of arrival T(lambda), as d lambda/dt = 2 alpha lambda r. Gains are expressions of the loss grammar.
"""

from functools import cache
from typing import NamedTuple

import sympy as sp

from derivations.losses import gradients
from derivations.losses.catalogue import Setting
from derivations.losses.gain import EIGENVALUE, read_gain
from derivations.symbols import notation as n
from derivations.theory import equilibria, moments, rates, solutions

lam = sp.Symbol(EIGENVALUE[0], positive=True)
rest = sp.Symbol("rest", positive=True)  # 1/n1, where the rate is zero under any gain
speed, threshold, leak = sp.symbols("speed threshold leak", positive=True)  # leak: weight decay
fast, slow = sp.symbols("fast slow", positive=True)  # rates
low, high, goal = sp.symbols("low high goal", positive=True)  # lambda at the smallest start, the largest, and the end
h = sp.Symbol("h", positive=True)  # the gain at one eigenvalue


@cache
def per_gain() -> sp.Expr:
    """Return q(lambda) = r/h of the Euclidean loss, from its derived rate."""
    return sp.factor(_rate().subs(n.n1, sp.solve(level() - rest, n.n1)[0]))


def level() -> sp.Expr:
    """Return the fixed point, as a function of the noise of the views."""
    return sp.solve(_rate(), lam)[0]


def _rate() -> sp.Expr:
    rate = rates.shared_weights(rates.rates(Setting("euclidean", gain="1").in_eigenbasis()))
    return rate.subs(n.lam[n.m], lam)


def velocity(rate: sp.Expr) -> sp.Expr:
    """Return d lambda/dt without weight decay."""
    return solutions.predictor_velocity(rate).subs({solutions.lam: lam, n.rho: 0})


def gain_of_rate(rate: sp.Expr) -> sp.Expr:
    """Return h = r/q, without the pole at the fixed point where the rate is zero there as well.

    With v = (lambda/rest)^(1/d), d the common denominator of lambda's exponents, powers are polynomials in v, and
    common factors of r and q cancel.
    """
    exponents = [power.exp for power in rate.atoms(sp.Pow) if power.base.has(lam) and power.exp.is_Rational]
    d, v = sp.ilcm(1, 1, *(exponent.q for exponent in exponents)), sp.Symbol("v", positive=True)
    ratio = sp.powdenest(sp.together((rate / per_gain()).subs(lam, rest * v**d)), force=True)
    return sp.cancel(ratio).subs(v, (lam / rest) ** (1 / sp.Integer(d)))


def rate_of_arrival(time: sp.Expr) -> sp.Expr:
    """Return the r for which a mode at lambda arrives after the time T(lambda): T'(lambda) d lambda/dt = -1."""
    r = sp.Symbol("r")
    return sp.solve(time.diff(lam) * velocity(r) + 1, r)[0]


def until_goal(rate: sp.Expr) -> sp.Expr:
    """Return h = r/q up to the goal, constant from there on."""
    return (rate / per_gain()).subs(lam, sp.Min(lam, goal))


class Gathering(NamedTuple):
    """A rate with which modes come together: fast up to ``high``, and in the end slow."""

    rate: sp.Expr
    fast: sp.Expr  # with which a mode takes the time t from low to high
    least_slow: sp.Expr  # which the rate only reaches at the goal
    time: sp.Expr  # from high to the goal


@cache
def gathering(steepness: sp.Expr | int) -> Gathering:
    """Return the rate that falls as lambda^-steepness from ``high`` on, until it is slow."""
    fading = fast * (high / lam) ** steepness
    (turn,) = sp.solve(fading - slow, lam)
    return Gathering(
        rate=sp.Max(slow, sp.Min(fast, fading)),
        fast=sp.solve(duration(fast, low, high) - n.t, fast)[0],
        least_slow=fading.subs(lam, goal),
        time=duration(fading, high, turn) + duration(slow, turn, goal),
    )


def duration(rate: sp.Expr, start: sp.Expr, end: sp.Expr) -> sp.Expr:
    """Return the time that a mode takes from one eigenvalue to another."""
    return sp.integrate(1 / velocity(rate), (lam, start, end))


def uniform_gain(alpha: sp.Rational) -> sp.Expr:
    """Return the h for which all singular values relax alike, dw/dt = speed (w* - w), so r = speed (w*/w - 1)."""
    return speed * gain_of_rate((lam / rest) ** (-1 / (2 * alpha)) - 1)


def gain_at_fixed_point(gain: sp.Expr) -> sp.Expr:
    """Return h(lambda*)."""
    return sp.simplify(gain.subs(lam, rest))


def growth_at_fixed_point() -> sp.Expr:
    """Return the growth rate of a perturbation of s at the fixed point, where q = 0 and the slope of h drops out."""
    return equilibria.growth(h * per_gain().subs(lam, equilibria.lam)).subs(equilibria.lam, rest)


def largest_learning_rate() -> sp.Expr:
    """Return the eta at which the multiplier of the descent map at the fixed point, 1 + eta growth, reaches -1."""
    return sp.solve(1 + n.eta * growth_at_fixed_point() + 1, n.eta)[0]


def recruitment_gain(sharpness: sp.Expr) -> sp.Expr:
    """Return speed/(1 + (c/lambda)^sharpness), with c such that modes are stationary at the threshold: h q = leak."""
    c = sp.Symbol("c", positive=True)
    gain = speed / (1 + c / lam**sharpness)
    (power,) = sp.solve(growth_at_threshold(gain), c)
    return gain.subs(c, sp.factor(power))


def growth_at_threshold(gain: sp.Expr) -> sp.Expr:
    """Return h q - leak at the threshold."""
    return (gain * per_gain()).subs(lam, threshold) - leak


def parts_modes(gain: sp.Expr) -> sp.Expr:
    """Return the slope of h q at the threshold: positive where it repels modes, negative where it attracts them."""
    return (gain * per_gain()).diff(lam).subs(lam, threshold)


def noise_at_fixed_point(growth: sp.Expr, gain: sp.Expr) -> sp.Expr:
    """Return the variance of s at the fixed point per learning rate and 1/batch, for small ones; relaxation at -growth.

    P = 2 growth P + eta Q, so P = eta Q/(-2 growth), with Q of s = w^2 from the derived force on each sample.
    """
    w, zeta1, zeta2 = sp.Symbol("w", positive=True), n.zeta1[n.m], n.zeta2[n.m]
    force = gradients.force(Setting("euclidean", gain="1").in_eigenbasis(), 1)
    shift = 2 * w * zeta1 * force.subs({n.z1[n.m]: w * zeta1, n.z2[n.m]: w * zeta2, n.lam[n.m]: lam, n.ratio[n.m]: 1})
    mean, square = (moments.moment(shift**power, moments.VIEWS, n.m) for power in (1, 2))
    variance = sp.factor(sp.expand((square - mean**2).subs(moments.VIEW_STATISTICS)))
    return gain**2 * variance.subs(w, lam ** (1 / (2 * n.alpha))) / (-2 * growth)


@cache
def relative_noise() -> sp.Expr:
    """Return this variance relative to the standard loss, h = lambda; finite also for views without noise (0/0)."""
    growth = growth_at_fixed_point()
    return sp.cancel(noise_at_fixed_point(growth, h) / noise_at_fixed_point(growth.subs(h, lam), lam))


def read_desired(text: str) -> sp.Expr:
    """Return a desired rate or time, given as text in lambda and ``rest``; raises ExpressionError."""
    return read_gain(text, (rest.name,)).subs({n.lam[n.k]: lam, sp.Symbol(rest.name, real=True): rest})


def value(expression: sp.Expr, values: dict[str, float]) -> float:
    """Evaluate the expression for values of its symbols, by their names."""
    return float(expression.subs({symbol: values[symbol.name] for symbol in expression.free_symbols}))
