r"""Derive the fixed points of a mode whose rate r(lambda) is a polynomial in the mode's predictor eigenvalue lambda.

The mode has the correlation eigenvalue s, and lambda = s^alpha. The mode is at a fixed point if
s (r(lambda) - rho) = 0, with weight decay rho. So lambda = 0, the collapsed mode, is a fixed point, and every root of
r(lambda) = rho is a further fixed point.

In the flow, a perturbation of s at a root grows as e^(g t), with g = 2 alpha lambda r'(lambda). A step of the descent
map with learning rate eta multiplies the perturbation by 1 + eta g. Two roots meet in a fold, where r = rho and r' = 0.
"""

import sympy as sp

from derivations.symbols import notation as n
from derivations.theory import rates

lam = sp.Symbol("lam", positive=True)


def independent_rate(rate: object) -> sp.Expr | None:
    """Return the rate of a mode as a function r(lambda) of the predictor eigenvalue lambda in this mode.

    Returns None if the rate depends on other modes, or on the correlation eigenvalue s.
    """
    if not isinstance(rate, sp.Expr):
        return None
    of_lambda = sp.expand(rates.shared_weights(rate)).subs(n.lam[n.m], lam)
    return None if of_lambda.has(sp.Sum, sp.Indexed) else of_lambda


def has_roots(rate: sp.Expr | None) -> bool:
    """Return True if ``roots`` can solve r(lambda) = rho in closed form, where rho is the weight decay.

    A closed form exists if r is linear in lambda, or a parabola with positive slope at 0 that opens downwards.
    """
    if rate is None or not rate.is_polynomial(lam) or sp.degree(rate, lam) not in (1, 2):
        return False
    c2, c1 = (sp.factor(rate.coeff(lam, power)) for power in (2, 1))
    return bool(c2 == 0 or (c1.is_positive and c2.is_negative))


def roots(rate: sp.Expr) -> list[sp.Expr]:
    """Return formulas for the values of lambda at which the rate r(lambda) equals the weight decay rho.

    The list has one formula if r is linear, and two if r is a parabola, the larger root first. If the roots are real,
    the formulas do not suffer from cancellation.
    """
    c2, c1, c0 = (sp.factor((rate - n.rho).coeff(lam, power)) for power in (2, 1, 0))
    if c2 == 0:
        return [sp.factor(-c0 / c1)]
    # As c1 > 0 > c2, the larger root is a sum of numbers of one sign; the product of both roots gives the smaller root.
    larger = (c1 + sp.sqrt(sp.expand(c1**2 - 4 * c2 * c0))) / (-2 * c2)
    return [sp.factor_terms(larger), sp.factor_terms(c0 / (c2 * larger))]


def growth(rate: sp.Expr) -> sp.Expr:
    """Return the growth rate of a perturbation of a correlation eigenvalue s at a fixed point.

    The growth rate is the derivative of ds/dt with respect to s. At the fixed point, the rate r(lambda) equals the
    weight decay rho.
    """
    s = sp.Symbol("s", positive=True)
    velocity = rates.velocity().subs({n.s[n.m]: s, rates.rate: rate.subs(lam, s**n.alpha)})
    slope = velocity.diff(s).subs(s, lam ** (1 / n.alpha))
    return sp.factor(sp.simplify(slope.subs(n.rho, rate)))


def fold(rate: sp.Expr) -> tuple[sp.Expr, sp.Expr] | None:
    """Return the weight decay rho and the eigenvalue lambda at which two roots of r(lambda) = rho meet in a fold.

    Returns None if the rate r has no fold.
    """
    if sp.degree(rate, lam) < 2:
        return None
    (where,) = sp.solve(rate.diff(lam), lam)
    return sp.factor(rate.subs(lam, where)), where
