"""Define vectors, and sums over a symbolic number M of modes.

A vector is represented by the expression of its component in mode ``k``. Sums over modes stay ``sympy.Sum`` objects.
Therefore derived results hold for every M, and the time that generated code takes is proportional to M.
"""

from itertools import chain

import sympy as sp

from derivations.symbols.notation import M, k, m

_BOUND = sp.symbols("j i l h", integer=True)  # a new sum takes the first index that no sum inside it uses


def total(component: sp.Expr) -> sp.Expr:
    """Return the sum over all modes of a component in mode ``k``; factors independent of k are put before the sum."""
    taken = {index for inner in component.atoms(sp.Sum) for index in inner.variables}
    names = chain(_BOUND, sp.numbered_symbols("j", start=len(_BOUND), integer=True))
    bound = next(index for index in names if index not in taken)
    constant, summand = component.subs(k, bound).as_independent(bound, as_Add=False)
    return constant * sp.Sum(summand, (bound, 1, M))


def dot(a: sp.Expr, b: sp.Expr) -> sp.Expr:
    """Return a . b = sum_j a_j b_j."""
    return total(a * b)


def norm(a: sp.Expr) -> sp.Expr:
    """Return ||a|| = sqrt(sum_j a_j^2)."""
    return sp.sqrt(dot(a, a))


class Largest(sp.Function):
    """The largest component of a vector, max_k component_k."""

    nargs = 1


def derivative(expression: sp.Expr, vector: sp.IndexedBase) -> sp.Expr:
    """Return the derivative of an expression with respect to the component of a vector in mode ``m``.

    Sums over Kronecker deltas are evaluated.
    """
    return expression.diff(vector[m]).replace(sp.Sum, _contract)


def _contract(summand: sp.Expr, limits: sp.Tuple) -> sp.Expr:
    """Evaluate the Kronecker delta in a sum over j: sum_j (delta_{jm} f_j + g_j) = f_m + sum_j g_j."""
    j = limits[0]
    delta = sp.KroneckerDelta(j, m)
    if summand == 0:
        return summand
    f, g = summand.expand().coeff(delta), summand.subs(delta, 0)
    return f.subs(j, m) + (sp.Sum(g, limits) if g != 0 else 0)


def per_mode(summation: sp.Sum) -> sp.Expr:
    """Return the summand of a sum over modes, as a component in mode ``k``."""
    return summation.function.subs(summation.variables[0], k)


def expanded(expression: sp.Expr) -> sp.Expr:
    """Expand an expression into a sum of products; negative and fractional powers of sums over modes are not expanded.

    A norm ||v|| in a numerator is the root of a sum over modes. It is first written as ||v||^2/||v||, so that the
    numerator ||v||^2 can be expanded.
    """
    powers: dict[sp.Symbol, sp.Expr] = {}

    def keep(power: sp.Pow) -> sp.Expr:
        power = sp.expand_power_base(power)
        if not isinstance(power, sp.Pow):
            return power.replace(_is_root_of_sums, keep)
        base, exponent = power.args
        whole = max(sp.ceiling(exponent), 0) if exponent.is_Rational else 0
        symbol = next((name for name, a in powers.items() if a == base ** (exponent - whole)), sp.Dummy())
        powers[symbol] = base ** (exponent - whole)
        return base**whole * symbol

    result = sp.expand(expression.replace(_is_root_of_sums, keep))
    for symbol, power in reversed(powers.items()):  # a later power may contain earlier symbols
        result = result.xreplace({symbol: power})
    return result


def _is_root_of_sums(e: sp.Basic) -> bool:
    return isinstance(e, sp.Pow) and e.base.has(sp.Sum) and not (e.exp.is_Integer and e.exp > 0)
