r"""Compute the gain h(lambda) of a loss that gives every mode a desired rate or a desired time.

Under the Euclidean loss with a gain h the rate of a mode is r = h(lambda) q(lambda). Here lambda = s^alpha is the
eigenvalue of the predictor in this mode, and s is the eigenvalue of the correlation. The factor q = 1 - n1 lambda is
the derived rate of the isotropic loss, with the variance n1 = 1 + sigma1^2 of view 1. So the gain h = r/q yields a
desired rate r(lambda).

A desired time can be given instead. Let T(lambda) be the time that a mode takes from lambda to its final value.
As d lambda/dt = 2 alpha lambda r, the rate must be r = -1/(2 alpha lambda T'(lambda)).

Gains are expressions of the loss grammar.
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
rest = sp.Symbol("rest", positive=True)  # the eigenvalue lambda = 1/n1, at which the rate is zero under any gain
speed, threshold, leak = sp.symbols("speed threshold leak", positive=True)  # leak: weight decay
steepness = sp.Symbol("steepness", positive=True)  # power of lambda with which a rate changes from fast to slow
fast, slow = sp.symbols("fast slow", positive=True)  # rates
low, high, goal = sp.symbols("low high goal", positive=True)  # smallest initial, largest initial, and final lambda
h = sp.Symbol("h", positive=True)  # the gain at one eigenvalue


@cache
def per_gain() -> sp.Expr:
    """Return q(lambda) = r/h, the rate r of the Euclidean loss divided by the gain h of this loss.

    lambda is an eigenvalue of the predictor. q is zero at lambda = 1/n1, where n1 = 1 + sigma1^2 is the variance of
    view 1. The returned expression contains the symbol ``rest`` in place of 1/n1.
    """
    return sp.factor(_rate().subs(n.n1, sp.solve(level() - rest, n.n1)[0]))


def level() -> sp.Expr:
    """Return 1/n1, the predictor eigenvalue at which the Euclidean loss has the rate zero; n1: variance of view 1."""
    return sp.solve(_rate(), lam)[0]


def _rate() -> sp.Expr:
    rate = rates.shared_weights(rates.rates(Setting("euclidean", gain="1").in_eigenbasis()))
    return rate.subs(n.lam[n.m], lam)


def velocity(rate: sp.Expr) -> sp.Expr:
    """Return the velocity d lambda/dt = 2 alpha lambda r of a predictor eigenvalue lambda, without weight decay.

    rate: the rate r of the mode with this eigenvalue. alpha is the exponent of the predictor.
    """
    return solutions.predictor_velocity(rate).subs({solutions.lam: lam, n.rho: 0})


def gain_of_rate(rate: sp.Expr) -> sp.Expr:
    """Return the gain h = r/q with which the Euclidean loss has the rate r; ``per_gain`` returns q.

    At the fixed point lambda = ``rest`` the divisor q is zero. If r is zero there too, the pole of h at the fixed point
    cancels. To cancel the pole, r and q are written as polynomials in v = (lambda/rest)^(1/d), where d is the common
    denominator of the exponents of lambda, and the common factors of both polynomials are divided out.
    """
    exponents = [power.exp for power in rate.atoms(sp.Pow) if power.base.has(lam) and power.exp.is_Rational]
    d, v = sp.ilcm(1, 1, *(exponent.q for exponent in exponents)), sp.Symbol("v", positive=True)
    ratio = sp.powdenest(sp.together((rate / per_gain()).subs(lam, rest * v**d)), force=True)
    return sp.cancel(ratio).subs(v, (lam / rest) ** (1 / sp.Integer(d)))


def rate_of_arrival(time: sp.Expr) -> sp.Expr:
    """Return the rate r(lambda) for which a mode reaches its final predictor eigenvalue after a desired time.

    time: the desired time T(lambda) that is left when the predictor eigenvalue is lambda. T decreases by dt in each
    interval dt, so that T'(lambda) d lambda/dt = -1. With the exponent alpha of the predictor, the flow is
    d lambda/dt = 2 alpha lambda r. Therefore the rate is r = -1/(2 alpha lambda T'(lambda)).
    """
    r = sp.Symbol("r")
    return sp.solve(time.diff(lam) * velocity(r) + 1, r)[0]


def until_goal(rate: sp.Expr) -> sp.Expr:
    """Return the gain h = r/q for lambda <= ``goal``; for a larger predictor eigenvalue lambda the gain is h(goal).

    rate: the desired rate r(lambda). q(lambda) is the rate of the Euclidean loss divided by its gain (see
    ``per_gain``).
    """
    return (rate / per_gain()).subs(lam, sp.Min(lam, goal))


class Gathering(NamedTuple):
    """A rate r(lambda) that brings the predictor eigenvalues lambda of all modes close to each other.

    The rate has the constant value ``fast`` for lambda <= ``high``. For larger lambda, the rate changes as a power of
    lambda from ``fast`` to ``slow``, and then stays at ``slow``.
    """

    rate: sp.Expr
    fast: sp.Expr  # the fast rate for which a mode takes the time t from low to high
    extreme: sp.Expr  # the changing rate at lambda = goal; the slow rate must lie between this value and the fast rate
    time: sp.Expr  # the time that a mode takes from high to goal, as a function of the slow rate


@cache
def gathering(steepness: sp.Expr | int, rises: bool = False) -> Gathering:
    """Return a rate of a mode that depends on the predictor eigenvalue lambda and has two constant values.

    The rate is ``fast`` for lambda <= ``high``. For larger lambda it falls as lambda^-steepness until it equals
    ``slow``, and then stays at ``slow``. rises: if True, the rate rises as lambda^steepness instead of falling; the
    symbol ``slow`` then stands for a rate larger than ``fast``.
    """
    power = sp.Symbol("power", real=True, nonzero=True)
    x = sp.Symbol("x", real=True)  # log(lambda/high), in which the changing rate is fast e^(-power x)
    turn = sp.log(fast / slow) / power
    slowness = sp.expand((lam / velocity(fast)) * sp.exp(power * x))  # dt/dx
    time = sp.integrate(slowness, (x, 0, turn)) + duration(slow, high * sp.exp(turn), goal)
    changing = fast * (high / lam) ** (-steepness if rises else steepness)
    time = sp.expand_log(time.subs(power, -steepness if rises else steepness), force=True)
    return Gathering(
        rate=sp.Min(slow, sp.Max(fast, changing)) if rises else sp.Max(slow, sp.Min(fast, changing)),
        fast=sp.solve(duration(fast, low, high) - n.t, fast)[0],
        extreme=changing.subs(lam, goal),
        time=time,
    )


def duration(rate: sp.Expr, start: sp.Expr, end: sp.Expr) -> sp.Expr:
    """Return the time that the predictor eigenvalue of a mode takes from ``start`` to ``end``.

    rate: the rate of the mode, as a function of the predictor eigenvalue lambda. There is no weight decay.
    """
    return sp.integrate(1 / velocity(rate), (lam, start, end))


def uniform_gain(alpha: sp.Rational) -> sp.Expr:
    """Return the gain for the rate r = speed (w*/w - 1), with which every singular value obeys dw/dt = speed (w* - w).

    w is a singular value of the encoder, and w* is its value at the fixed point.
    """
    return speed * gain_of_rate((lam / rest) ** (-1 / (2 * alpha)) - 1)


def gain_at_fixed_point(gain: sp.Expr) -> sp.Expr:
    """Return the value of a gain at the fixed point lambda = ``rest`` of the Euclidean loss."""
    return sp.simplify(gain.subs(lam, rest))


def growth_at_fixed_point() -> sp.Expr:
    """Return the growth rate of a perturbation of a correlation eigenvalue s, at the fixed point of the Euclidean loss.

    With the gain h, the rate of a mode is h q, where the factor q is zero at the fixed point (see ``per_gain``).
    Therefore the growth rate depends on the value of h at the fixed point, but not on the slope of h.
    """
    return equilibria.growth(h * per_gain().subs(lam, equilibria.lam)).subs(equilibria.lam, rest)


def largest_learning_rate() -> sp.Expr:
    """Return the largest learning rate eta for which the fixed point of the Euclidean loss with a gain is stable.

    One step of gradient descent multiplies a perturbation of the fixed point by 1 + eta g, where g is the growth rate
    from ``growth_at_fixed_point``. At the largest stable learning rate this factor is -1.
    """
    return sp.solve(1 + n.eta * growth_at_fixed_point() + 1, n.eta)[0]


def recruitment_gain(sharpness: sp.Expr) -> sp.Expr:
    """Return the gain h = speed/(1 + (c/lambda)^sharpness), for which modes with lambda above ``threshold`` grow.

    lambda is the predictor eigenvalue of a mode. The symbol ``speed`` is the value of h for large lambda, and
    ``sharpness`` determines how abruptly h rises from 0 to ``speed``. The constant c is chosen such that the rate h q
    at lambda = ``threshold`` equals the weight decay ``leak``; ``per_gain`` returns q.
    """
    c = sp.Symbol("c", positive=True)
    gain = speed / (1 + c / lam**sharpness)
    (power,) = sp.solve(growth_at_threshold(gain), c)
    return gain.subs(c, sp.factor(power))


def growth_at_threshold(gain: sp.Expr) -> sp.Expr:
    """Return the growth rate of a mode with predictor eigenvalue ``threshold``: its rate minus the weight decay."""
    return (gain * per_gain()).subs(lam, threshold) - leak


def parts_modes(gain: sp.Expr) -> sp.Expr:
    """Return the derivative of the rate h q with respect to the predictor eigenvalue lambda at the threshold.

    gain: the gain h as a function of lambda. ``per_gain`` returns q. The threshold is the predictor eigenvalue
    lambda = ``threshold``. If the derivative is positive, the threshold is an unstable fixed point that separates
    growing modes from vanishing modes. Otherwise the threshold attracts modes.
    """
    return (gain * per_gain()).diff(lam).subs(lam, threshold)


def noise_at_fixed_point(growth: sp.Expr, gain: sp.Expr) -> sp.Expr:
    """Return P B/eta, the scaled variance of a correlation eigenvalue s under stochastic gradient descent.

    P is the stationary variance of s near the fixed point of the Euclidean loss, B the number of samples per step, and
    eta the learning rate. growth: the growth rate g of a perturbation of s; it is negative. gain: the value of the
    gain at the fixed point. Let Q be the variance of ds/dt over samples, computed from the derived force. P is
    stationary if relaxation balances the sampling noise: 2 g P + eta Q/B = 0. Therefore P B/eta = -Q/(2 g). The
    formula holds for small eta and large B.
    """
    w, zeta1, zeta2 = sp.Symbol("w", positive=True), n.zeta1[n.m], n.zeta2[n.m]
    force = gradients.force(Setting("euclidean", gain="1").in_eigenbasis(), 1)
    shift = 2 * w * zeta1 * force.subs({n.z1[n.m]: w * zeta1, n.z2[n.m]: w * zeta2, n.lam[n.m]: lam, n.ratio[n.m]: 1})
    mean, square = (moments.moment(shift**power, moments.VIEWS, n.m) for power in (1, 2))
    variance = sp.factor(sp.expand(moments.without_index(square - mean**2).subs(moments.VIEW_STATISTICS)))
    return gain**2 * variance.subs(w, lam ** (1 / (2 * n.alpha))) / (-2 * growth)


@cache
def relative_noise() -> sp.Expr:
    """Return the stationary variance for the gain h, divided by the stationary variance for the standard loss.

    ``noise_at_fixed_point`` defines the stationary variance of a correlation eigenvalue. The standard loss has the gain
    lambda, the predictor eigenvalue. The quotient is finite also for views without noise.
    """
    growth = growth_at_fixed_point()
    return sp.cancel(noise_at_fixed_point(growth, h) / noise_at_fixed_point(growth.subs(h, lam), lam))


def read_desired(text: str) -> sp.Expr:
    """Return a desired rate or a desired time as a SymPy expression, read from a text in the loss grammar.

    The text may contain ``lambda``, the predictor eigenvalue, and ``rest``, the eigenvalue 1/n1 at which the rate is
    zero; n1 is the variance of view 1. Raises ExpressionError if the text is not a valid expression.
    """
    return read_gain(text, (rest.name,)).subs({n.lam[n.k]: lam, sp.Symbol(rest.name, real=True): rest})


def value(expression: sp.Expr, values: dict[str, float]) -> float:
    """Return the value of an expression as a number; ``values`` maps the names of its symbols to numbers."""
    return float(expression.subs({symbol: values[symbol.name] for symbol in expression.free_symbols}))
