r"""Find how the rates change with the scale of the representations and of the predictor.

s are the eigenvalues of the correlation, lambda those of the predictor, and r the rates of all modes. If the forces on
the representations are homogeneous, of degree a in the representations and of degree b in lambda, then the rates are
homogeneous too: their degree is (a - 1)/2 in s at fixed lambda, and b in lambda.

Suppose that lambda also changes as a power of the scale of s. Then there is a number d with r(g s) = g^(-d) r(s) for
every factor g > 0. In this case weight decay rho can be removed from the flow ds/dt = 2 s (r(s) - rho): with
s = e^(-2 rho t) x and a new time tau, where dtau = e^(2 rho d t) dt, the flow becomes dx/dtau = 2 x r(x).
"""

from typing import NamedTuple

import sympy as sp

from derivations.losses import gradients
from derivations.symbols import notation as n
from derivations.symbols.modes import Largest
from derivations.symbols.stop_gradient import StopGradient


class Degrees(NamedTuple):
    """Degrees of homogeneity of the rates: in s at fixed lambda, and in lambda at fixed s.

    s are the eigenvalues of the correlation, and lambda those of the predictor.
    """

    s: sp.Rational
    lam: sp.Rational


def degrees_of_rates(loss: sp.Expr, trains_predictor: bool) -> Degrees | None:
    """Return the degrees of the rates in s and in lambda; return None if the rates are not homogeneous.

    trains_predictor: True if the predictor is learned. Let the forces on the representations have the degree a in the
    representations and the degree b in the predictor eigenvalues. A learned predictor then scales with the
    representations only if the force on the predictor has the degree a + 1 in the representations and the degree b - 1
    in the predictor eigenvalues. If the predictor is learned and its force has other degrees, the result is None.
    """
    of_views = {_degrees(force) for view in gradients.VIEWS if (force := gradients.force(loss, view)) != 0}
    if len(of_views) != 1 or (common := of_views.pop()) is None:
        return None
    a, b = common
    if trains_predictor and _degrees(gradients.force_on_predictor(loss)) != (a + 1, b - 1):
        return None
    return Degrees((a - 1) / 2, b)


def _degrees(force: sp.Expr) -> tuple[sp.Rational, sp.Rational] | None:
    """Return the degrees of homogeneity of a force, in the representations and in the predictor eigenvalues."""
    views = {base: sp.Integer(1) for pair in gradients.VIEWS.values() for base in pair}
    unscaled = dict.fromkeys([*views, n.lam, n.ratio], sp.Integer(0))
    a, b = (degree(force, unscaled | scaled) for scaled in (views, {n.lam: sp.Integer(1)}))
    return None if a is None or b is None else (a, b)


def degree(expression: sp.Expr, weights: dict[sp.IndexedBase, sp.Rational]) -> sp.Rational | None:
    """Return the degree of homogeneity of an expression; return None if no degree is found.

    weights: degree of each vector. Parameters have degree zero, and so has a function whose argument has degree zero.
    """
    if isinstance(expression, sp.Indexed):
        return weights.get(expression.base)
    if expression.is_number or isinstance(expression, sp.Symbol):
        return sp.Integer(0)
    if isinstance(expression, sp.Sum):
        return degree(expression.function, weights)
    degrees = [degree(argument, weights) for argument in expression.args]
    if None in degrees:
        return None
    if expression.is_Mul:
        return sp.Add(*degrees)
    if expression.is_Pow and expression.exp.is_number:
        return degrees[0] * expression.exp
    if expression.is_Add or isinstance(expression, (sp.Max, sp.Min, sp.Abs, StopGradient, Largest)):
        return degrees[0] if len(set(degrees)) == 1 else None
    return sp.Integer(0) if not any(degrees) else None
