"""Compute moments and cumulants of the Gaussian views in one mode, and moments of sums over independent modes."""

from functools import cache
from math import factorial
from typing import Any

import sympy as sp
from sympy.utilities.iterables import multiset_partitions

from derivations.symbols import notation as n
from derivations.symbols.modes import total

# Covariance of (zeta1, zeta2) in mode k. Its entries have an index, because the variances may differ between modes.
VIEWS = sp.Matrix([[n.n1_of[n.k], 1], [1, n.n2_of[n.k]]])
VIEW_STATISTICS = {  # n1, n2 and D in terms of the standard deviations of the noise
    n.n1: 1 + n.sigma1**2,
    n.n2: 1 + n.sigma2**2,
    n.D: n.sigma1**2 + n.sigma2**2 + n.sigma1**2 * n.sigma2**2,
}


def without_index(expression: sp.Basic, *modes: sp.Symbol) -> sp.Basic:
    """Return an expression in which n1, n2 and D have no index where they belong to one of the given modes.

    Without modes, the index is removed everywhere, also in sums over modes.
    """
    return expression.replace(
        lambda e: isinstance(e, sp.Indexed) and e.base in n.STATISTICS and (not modes or e.indices[0] in modes),
        lambda e: n.STATISTICS[e.base],
    )


def white(expectation: Any) -> Any:
    """Return the expectation for white views, whose statistics n1, n2 and D are the same in all modes.

    The statistics have no index, and are put before sums over modes. Expectations that are integrals stay as they are.
    """
    if not isinstance(expectation, sp.Expr):
        return expectation
    return without_index(expectation).replace(sp.Sum, _with_constant_before)


def _with_constant_before(summand: sp.Expr, limits: sp.Tuple) -> sp.Expr:
    constant, rest = summand.as_independent(limits[0], as_Add=False)
    return constant * sp.Sum(rest, limits)


@cache
def _isserlis(a: int, b: int, covariance: sp.ImmutableMatrix) -> sp.Expr:
    """Return E[zeta1^a zeta2^b] of a centred Gaussian pair, by Isserlis' theorem.

    The function pairs the first factor with each other factor, and calls itself for the factors that remain.
    """
    if (a + b) % 2:
        return sp.Integer(0)
    if a + b == 0:
        return sp.Integer(1)
    if a == 0:
        return (b - 1) * covariance[1, 1] * _isserlis(0, b - 2, covariance)
    with_first = (a - 1) * covariance[0, 0] * _isserlis(a - 2, b, covariance) if a > 1 else 0
    with_second = b * covariance[0, 1] * _isserlis(a - 1, b - 1, covariance) if b > 0 else 0
    return with_first + with_second


def moment(polynomial: sp.Expr, covariance: sp.Matrix, index: sp.Symbol = n.k) -> sp.Expr:
    """Return the expectation of a polynomial in the views zeta1 and zeta2 of mode ``index``.

    covariance: covariance of zeta1 and zeta2, written in mode ``k``.
    """
    matrix = sp.ImmutableMatrix(covariance.subs(n.k, index))
    monomials = sp.Poly(sp.expand(polynomial), n.zeta1[index], n.zeta2[index]).terms()
    return sum(coefficient * _isserlis(*powers, matrix) for powers, coefficient in monomials)


def cumulant(polynomials: list[sp.Expr], covariance: sp.Matrix, index: sp.Symbol) -> sp.Expr:
    """Return the joint cumulant of polynomials in the views of mode ``index``, by Moebius inversion of their moments.

    covariance: covariance of the views zeta1 and zeta2, written in mode ``k``.
    """
    result = sp.Integer(0)
    for blocks in multiset_partitions(list(range(len(polynomials)))):
        sign = (-1) ** (len(blocks) - 1) * factorial(len(blocks) - 1)
        moments = [moment(sp.Mul(*(polynomials[i] for i in block)), covariance, index) for block in blocks]
        result += sign * sp.Mul(*moments)
    return sp.expand(result)


def joint_moment(local: sp.Expr, sums: tuple[sp.Expr, ...], covariance: sp.Matrix) -> sp.Expr:
    """Return E[local_m prod_i sum_k f_i(k)] for independent Gaussian modes.

    local: the factor local_m, written in mode m. sums: the summands f_i, written in mode ``k``. The result is a sum
    over all partitions of the factors into blocks; a partition contributes the product of the joint cumulants of its
    blocks.
    """
    result = sp.Integer(0)
    for blocks in multiset_partitions(list(range(len(sums) + 1))):  # factor 0 is the local one
        product = sp.Integer(1)
        for block in blocks:
            index = n.m if 0 in block else n.k
            factors = [local if i == 0 else sums[i - 1].subs(n.k, index) for i in block]
            kappa = cumulant(factors, covariance, index)
            product *= kappa if 0 in block else (total(kappa) if kappa != 0 else 0)
        result += product
    return result
