r"""Gains for wanted dynamics: the way back from the rate of a mode to the loss that gives it.

Under the Euclidean loss the gain multiplies what the isotropic loss does to a mode, r = h(lambda) q(lambda) with the
derived q = 1 - n1 lambda. So a wanted rate r(lambda) is had with h = r/q; a wanted time of arrival T(lambda) with
r = -1/(2 alpha lambda T'(lambda)), as d lambda/dt = 2 alpha lambda r. Gains are written in the language of ``grammar``.
"""

import sympy as sp
from sympy.printing.str import StrPrinter

from derivations import notation as n
from derivations import rates
from derivations.losses import EIGENVALUE, Setting, read_gain

lam = sp.Symbol(EIGENVALUE[0], positive=True)
rest = sp.Symbol("rest", positive=True)  # 1/n1, where the rate is zero under any gain
speed, threshold, leak = sp.symbols("speed threshold leak", positive=True)  # leak: weight decay


def per_gain() -> sp.Expr:
    """q(lambda) = r/h of the Euclidean loss, from its derived rate."""
    rate = rates.shared_weights(rates.rates(Setting("euclidean", gain="1").in_eigenbasis()))
    (zero,) = sp.solve(rate, n.lam[n.m])
    return sp.factor(rate.subs(n.lam[n.m], lam).subs(n.n1, sp.solve(zero - rest, n.n1)[0]))


def velocity(rate: sp.Expr) -> sp.Expr:
    """d lambda/dt, from the derived flow of s."""
    s = sp.Symbol("s", positive=True)
    own = {n.s[n.m]: s, n.epsilon: 0, n.rho: 0, rates.rate: rate}
    return sp.powsimp((rates.predictor().subs(own).diff(s) * rates.velocity().subs(own)).subs(s, lam ** (1 / n.alpha)))


def gain_of_rate(rate: sp.Expr) -> sp.Expr:
    """h = r/q, without the pole at rest where the rate is zero there as well."""
    return sp.cancel(sp.together(rate / per_gain()))


def rate_of_arrival(time: sp.Expr) -> sp.Expr:
    """The r for which a mode at lambda arrives after the time T(lambda): T'(lambda) d lambda/dt = -1."""
    r = sp.Symbol("r")
    return sp.solve(time.diff(lam) * velocity(r) + 1, r)[0]


def uniform_gain(alpha: sp.Rational) -> sp.Expr:
    """h with which all singular values approach rest alike, dw/dt = speed (w* - w): r = speed (w*/w - 1).

    In lambda = w^(2 alpha) both r and q vanish at rest. With v = (lambda/rest)^(1/q), 1/(2 alpha) = p/q, they are
    polynomials in v, and what they have in common goes.
    """
    p, q = (1 / (2 * alpha)).as_numer_denom()
    v = sp.Symbol("v", positive=True)
    in_v = (v ** (-p) - 1) / per_gain().subs(lam, rest * v**q)
    return speed * sp.cancel(sp.together(in_v)).subs(v, (lam / rest) ** (1 / sp.Integer(q)))


def at_rest(gain: sp.Expr) -> sp.Expr:
    """h(lambda*)."""
    return sp.simplify(gain.subs(lam, rest))


def largest_learning_rate(gain_at_rest):
    """eta below which the descent map keeps modes at rest: the multiplier 1 + 2 eta s dr/ds reaches -1."""
    s, h = sp.Symbol("s", positive=True), sp.Symbol("h", positive=True)
    slope = (h * per_gain().subs(lam, s**n.alpha)).diff(s) * s
    multiplier = 1 + 2 * n.eta * slope.subs(s, rest ** (1 / n.alpha))
    (eta,) = sp.solve(sp.simplify(multiplier) + 1, n.eta)
    return eta.subs(h, gain_at_rest)


def recruitment_gain(sharpness: sp.Expr) -> sp.Expr:
    """speed/(1 + (c/lambda)^sharpness), with c such that h(threshold) q(threshold) = leak: there modes stand still."""
    c = sp.Symbol("c", positive=True)
    gain = speed / (1 + c / lam**sharpness)
    (power,) = sp.solve((gain * per_gain()).subs(lam, threshold) - leak, c)
    return gain.subs(c, sp.factor(power))


class _Language(StrPrinter):
    """SymPy -> the language of ``grammar``."""

    def _print_Min(self, expr):
        return f"min({', '.join(self._print(a) for a in expr.args)})"

    def _print_Max(self, expr):
        return f"max({', '.join(self._print(a) for a in expr.args)})"

    def _print_Pow(self, expr, rational=False):
        return super()._print_Pow(expr, rational=False).replace("**", "^")


def sentence(expression: sp.Expr) -> str:
    """An expression in lambda and named numbers, in the language that gains are written in."""
    return _Language().doprint(expression)


def wanted(text: str) -> sp.Expr:
    """What is wanted, as a function of lambda, and rest; raises SentenceError."""
    return read_gain(text, (rest.name,)).subs({n.lam[n.k]: lam, sp.Symbol(rest.name, real=True): rest})
