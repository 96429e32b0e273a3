r"""Compute the Gaussian expectation of a gradient, exactly or in mean field; the gradient may be divided by norms.

The representations of the two views in mode k are z1_k = w_k zeta1_k and z2_k = v_k zeta2_k. Here w_k is a singular
value of the encoder, and v_k a singular value of the target encoder. The pair (zeta1_k, zeta2_k) is Gaussian with
covariance K = [[n1, 1], [1, n2]], n_i = 1 + sigma_i^2, and pairs of different modes are independent. A gradient is a
sum of terms. Each term is a factor in mode m times sums over modes, divided by powers of norms:

    local(zeta1_m, zeta2_m) * prod_i [sum_k f_i(zeta_k)] / prod_j ||a_j||^q_j .

- *moments*: The expectation of a term without norms is a joint moment of its factors. A joint moment is a sum over set
  partitions of products of joint cumulants. As modes are independent, a cumulant of sums over modes is the sum over
  modes of one-mode cumulants.
- *gaussian* (exact): A term has at most two norms. Each norm is replaced by an integral,
  ||a||^(-q) = 2/Gamma(q/2) int_0^oo x^(q-1) exp(-x^2 ||a||^2) dx. (With x^2 in the exponential, the integrand is even
  and smooth for odd q.) The squares of the norms are quadratic forms of the views with matrices Q1 and Q2. Their
  exponentials *tilt* the Gaussian of the views: they add the precision P = 2x^2 Q1 + 2y^2 Q2, so that the covariance
  becomes S = (1 + K P)^(-1) K. The tilted Gaussian has the weight Z = prod_k Delta_k^(-1/2) with Delta = det(1 + K P).
  A *tilted integral* is the integral over x and y of a moment of the tilted Gaussian.
  A softened norm, (c + ||a||^2)^(1/2), adds the factor exp(-c x^2).
- *mean field*: Every factor of a term is replaced by its expectation, so that the expectation of a ratio becomes the
  ratio of expectations.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Self

import sympy as sp

from derivations.errors import UndecidedError, UnsupportedLossError
from derivations.symbols import notation as n
from derivations.symbols.modes import expanded, per_mode, total
from derivations.theory.moments import VIEWS, joint_moment, moment
from derivations.theory.tilting import TILTED, Norm, Tilt, norm_weight, tilt


@dataclass(frozen=True)
class Term:
    """One term of a gradient: a coefficient, times a factor in one mode, times sums over modes, over powers of norms.

    local: the factor that depends on the views of a single mode only, written in mode ``m``. sums: the summand of each
    sum over modes, written in mode ``k``. norms: pairs (norm, q) for the factors norm^(-q).
    """

    coefficient: sp.Expr
    local: sp.Expr
    sums: tuple[sp.Expr, ...]
    norms: tuple[tuple[Norm, sp.Expr], ...]


@dataclass(frozen=True)
class TiltedIntegral:
    """The expectation of terms with norms in their denominator: the integral of ``integrand`` over x and y in (0, oo).

    If there is one norm, the integral is over x alone. tilt: the Gaussian of the views, multiplied by exponentials of
    the norms (see the docstring of this module). The integrand contains the entries S11, S12, S22 of the covariance of
    this Gaussian, and the weight Z of this Gaussian. powers: for each norm ||a||, the lowest exponent q of the factors
    ||a||^(-q) in the terms. The exponent in any term equals this q or is larger by an even integer.
    """

    tilt: Tilt
    integrand: sp.Expr
    powers: tuple[sp.Expr, ...]


class Mixed(tuple[TiltedIntegral, ...]):
    """An expectation in two parts: integrals for the terms with norms, and ``formula`` for the terms without norms."""

    formula: sp.Expr

    def __new__(cls, integrals: Iterable[TiltedIntegral], formula: sp.Expr) -> Self:
        mixed = super().__new__(cls, integrals)
        mixed.formula = formula
        return mixed


def terms(expression: sp.Expr) -> list[Term]:
    """Split an expression in zeta1, zeta2 into terms.

    Raises UnsupportedLossError if the expression is not a polynomial divided by powers of norms.
    """
    return [_term(term) for term in sp.Add.make_args(expanded(expression)) if term != 0]


def _random(expression: sp.Expr) -> bool:
    return expression.has(n.zeta1, n.zeta2)


def _term(term: sp.Expr) -> Term:
    coefficient, local = sp.Integer(1), sp.Integer(1)
    sums: list[sp.Expr] = []
    norms: list[tuple[Norm, sp.Expr]] = []
    for factor in sp.Mul.make_args(term):
        base, exponent = factor.as_base_exp()
        natural = exponent.is_Integer and exponent > 0
        if not _random(factor):
            coefficient *= factor
        elif isinstance(base, sp.Sum) and exponent.is_Rational and exponent > 0:
            whole = sp.ceiling(exponent)  # ||v|| = ||v||^2/||v||
            sums += [per_mode(base)] * int(whole)
            norms += [] if natural else [(Norm(per_mode(base)), 2 * (whole - exponent))]
        elif isinstance(base, sp.Indexed) and natural:
            local *= factor
        elif exponent.is_Rational and (norm := _norm(base)):
            norms.append((norm, -2 * exponent))
        else:
            wrong = f"the gradient contains {factor}, but must be a polynomial divided by powers of norms"
            undecided = _random(base) and exponent.free_symbols  # the exponent contains a parameter
            raise UndecidedError(wrong) if undecided else UnsupportedLossError(wrong)
    # Norms that contain view 1 come first, so that x is their integration variable.
    norms.sort(key=lambda pair: (not pair[0].square.has(n.zeta1), sp.default_sort_key(pair[0].whole)))
    return Term(coefficient, local, tuple(sums), tuple(norms))


def _norm(base: sp.Expr) -> Norm | None:
    """Return the norm whose square is ``base``; return None unless ``base`` is a sum of a constant and sums over modes.

    The function ``tilt`` checks later that ``base`` is the square of a norm.
    """
    constant, summed = base.as_independent(sp.Sum, as_Add=True)
    square = sp.Integer(0)
    for term in sp.Add.make_args(sp.expand(summed)):
        coefficient, last = term.as_independent(sp.Sum, as_Add=False)
        if not isinstance(last, sp.Sum) or _random(coefficient) or _random(constant):
            return None
        square += coefficient * per_mode(last)
    return Norm(square, constant)


def mean_field(expression: sp.Expr) -> sp.Expr:
    """Return the mean-field expectation of an expression, an approximation of its Gaussian expectation.

    In each term, the expectation of a product is replaced by the product of the expectations of its factors. A norm is
    replaced by the square root of the expectation of its square. The result is exact if the expression contains neither
    norms nor sums over modes, because each term then has a single random factor.
    """
    result = sp.Integer(0)
    for term in terms(expression):
        value = term.coefficient * moment(term.local, VIEWS, n.m)
        for summand in term.sums:
            value *= total(moment(summand, VIEWS))
        for norm, power in term.norms:
            value *= norm.map(lambda square: moment(square, VIEWS)).whole ** (-power / 2)
        result += value
    return result


def gaussian(expression: sp.Expr) -> sp.Expr | tuple[TiltedIntegral, ...]:
    """Return the exact Gaussian expectation of an expression: a formula, integrals, or both.

    Terms without norms give a formula. Terms with norms give integrals over a Gaussian of the views whose covariance
    the norms change (see the docstring of this module). Two terms share an integral if they contain the same norms, and
    if the exponents of each norm in the two terms differ by an even integer.
    """
    groups: dict[tuple[object, ...], list[Term]] = {}
    for term in terms(expression):
        groups.setdefault(tuple((norm, power % 2) for norm, power in term.norms), []).append(term)
    without = groups.pop((), [])
    formula = sum((t.coefficient * joint_moment(t.local, t.sums, VIEWS) for t in without), sp.Integer(0))
    if not groups:
        return formula
    integrals = tuple(map(_integral, groups.values()))
    return Mixed(integrals, formula) if without else integrals


def _integral(members: list[Term]) -> TiltedIntegral:
    """Return the expectation of terms that have the same norms in their denominators, as an integral over x and y."""
    powers = (tuple(power for _, power in term.norms) for term in members)
    lowest = tuple(map(min, zip(*powers, strict=True)))
    return TiltedIntegral(tilt(tuple(norm for norm, _ in members[0].norms)), _integrand(members), lowest)


def _integrand(members: list[Term]) -> sp.Expr:
    result = sp.Integer(0)
    for term in members:
        weight = sp.Integer(1)
        for variable, (norm, power) in zip((n.x, n.y), term.norms, strict=False):
            weight *= norm_weight(variable, power, norm.softening)
        result += weight * term.coefficient * joint_moment(term.local, term.sums, TILTED)
    return n.Z * result
