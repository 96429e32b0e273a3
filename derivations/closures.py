r"""Gaussian expectations of a gradient: exact, with norms in the denominator, and mean field.

The two views of mode k are z1_k = w_k zeta1_k and z2_k = v_k zeta2_k, with (zeta1, zeta2) Gaussian, independent over
modes, of covariance K = [[n1, 1], [1, n2]]. An expression is a sum of terms

    local(zeta1_m, zeta2_m) * prod_i [sum_k f_i(zeta_k)] / prod_q ||.||^q .

- *moments* (no norm): the joint moment of the factors is the sum over set partitions of products of joint
  cumulants; as modes are independent, a cumulant of sums over modes is the sum over modes of one-mode cumulants.
- *gaussian* (exact): each norm, of which a term may have one or two, is written as
  ||v||^(-q) = 2 Gamma(q/2)^(-1) int_0^oo x^(q-1) exp(-x^2 ||v||^2) dx (x is the root of theory's x: the integrand is
  then even and smooth for odd q), which tilts K to S = (1 + K P)^(-1) K with weight
  Z = prod_k Delta_k^(-1/2), Delta = det(1 + K P), P = 2x^2 Q1 + 2y^2 Q2 for norms with quadratic forms Q1, Q2.
  A norm that is softened, (c + ||v||^2)^(1/2), has the factor exp(-c x^2) beside that.
- *mean field*: the expectation of a ratio is replaced by the ratio of expectations, factor by factor.
"""

from dataclasses import dataclass, field
from functools import cache
from math import factorial

import sympy as sp
from sympy.utilities.iterables import multiset_partitions

from derivations import notation as n
from derivations.modes import expanded, per_mode, total

VIEWS = sp.Matrix([[n.n1, 1], [1, n.n2]])  # covariance of (zeta1, zeta2) per mode: Sigma_x = 1
VIEW_STATISTICS = {  # what n1, n2 and D stand for
    n.n1: 1 + n.sigma1**2,
    n.n2: 1 + n.sigma2**2,
    n.D: n.sigma1**2 + n.sigma2**2 + n.sigma1**2 * n.sigma2**2,
}
TILTED = sp.Matrix([[n.S11[n.k], n.S12[n.k]], [n.S12[n.k], n.S22[n.k]]])


class UnsupportedLossError(ValueError):
    """The expectation of this expression is outside what the closures can do; the message names the culprit."""


@dataclass(frozen=True)
class Norm:
    """(softening + sum_k square_k)^(1/2), with the square in mode ``k``."""

    square: sp.Expr
    softening: sp.Expr = sp.S.Zero

    @property
    def whole(self) -> sp.Expr:
        """Its square."""
        return self.softening + total(self.square)

    def map(self, change) -> "Norm":
        """With both parts changed."""
        return Norm(change(self.square), change(self.softening))


@dataclass(frozen=True)
class Term:
    """coefficient * local * prod(sums) * prod(norm^(-power)), all at mode ``m``; summands in mode ``k``."""

    coefficient: sp.Expr
    local: sp.Expr
    sums: tuple[sp.Expr, ...]
    norms: tuple[tuple[Norm, sp.Expr], ...]


@dataclass(frozen=True)
class Tilt:
    """The tilted Gaussian of one or two norms: definitions in mode ``k``, and the mean squares the norms have.

    What softens a norm is shared among the modes in proportion to their eigenvalues: what is wanted is a scale.
    """

    norms: tuple[Norm, ...]
    definitions: dict[sp.Expr, sp.Expr] = field(hash=False)
    mean_squares: tuple[sp.Expr, ...] = ()


@dataclass(frozen=True)
class TiltedIntegral:
    """int_0^oo dx int_0^oo dy integrand, in the symbols S11, S12, S22, Z that ``tilt`` defines; of one norm, over x.

    powers: the lowest q of each norm; others in the integrand differ from it by even numbers.
    """

    tilt: Tilt
    integrand: sp.Expr
    powers: tuple[sp.Expr, ...]


class Mixed(tuple):
    """Tilted integrals, and a ``formula`` that is added to them: of terms with norms, and terms without."""

    formula: sp.Expr

    def __new__(cls, integrals, formula: sp.Expr):
        mixed = super().__new__(cls, integrals)
        mixed.formula = formula
        return mixed


def terms(expression: sp.Expr) -> list[Term]:
    """Split an expression in zeta1, zeta2 into terms; refuses, by name, what is no polynomial over norms."""
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
            raise UnsupportedLossError(f"the gradient contains {factor}, which is no polynomial over powers of norms")
    norms.sort(key=lambda pair: (not pair[0].square.has(n.zeta1), sp.default_sort_key(pair[0].whole)))  # x: the online
    return Term(coefficient, local, tuple(sums), tuple(norms))


def _norm(base: sp.Expr) -> Norm | None:
    """A sum over modes, or several and a constant, as the square of a norm; whether it is one is told in ``tilt``."""
    constant, summed = base.as_independent(sp.Sum, as_Add=True)
    square = sp.Integer(0)
    for term in sp.Add.make_args(sp.expand(summed)):
        coefficient, last = term.as_independent(sp.Sum, as_Add=False)
        if not isinstance(last, sp.Sum) or _random(coefficient) or _random(constant):
            return None
        square += coefficient * per_mode(last)
    return Norm(square, constant)


# --- moments and cumulants of one mode ------------------------------------------------------------------------------


@cache
def _isserlis(a: int, b: int, covariance: sp.ImmutableMatrix) -> sp.Expr:
    """E[zeta1^a zeta2^b] of a centred Gaussian pair (Isserlis): pair the first factor with each of the others."""
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
    """E[polynomial(zeta1_index, zeta2_index)] for the covariance given in mode ``k``."""
    matrix = sp.ImmutableMatrix(covariance.subs(n.k, index))
    monomials = sp.Poly(sp.expand(polynomial), n.zeta1[index], n.zeta2[index]).terms()
    return sum(coefficient * _isserlis(*powers, matrix) for powers, coefficient in monomials)


def cumulant(polynomials: list[sp.Expr], covariance: sp.Matrix, index: sp.Symbol) -> sp.Expr:
    """Joint cumulant of polynomials of one mode, by Moebius inversion of their moments."""
    result = sp.Integer(0)
    for blocks in multiset_partitions(list(range(len(polynomials)))):
        sign = (-1) ** (len(blocks) - 1) * factorial(len(blocks) - 1)
        moments = [moment(sp.Mul(*(polynomials[i] for i in block)), covariance, index) for block in blocks]
        result += sign * sp.Mul(*moments)
    return sp.expand(result)


def joint_moment(local: sp.Expr, sums: tuple[sp.Expr, ...], covariance: sp.Matrix) -> sp.Expr:
    """E[local_m prod_i sum_k f_i(k)]: sum over set partitions of products of cumulants."""
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


# --- the closures ---------------------------------------------------------------------------------------------------


def mean_field(expression: sp.Expr) -> sp.Expr:
    """Every factor replaced by its own expectation. Without norms and sums this is exact."""
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
    """Exact expectation: a formula if there are no norms, else a tilted integral for each choice of norms; or both.

    Powers of a norm that differ by no even number stand in integrals of their own.
    """
    groups: dict[tuple, list[Term]] = {}
    for term in terms(expression):
        groups.setdefault(tuple((norm, power % 2) for norm, power in term.norms), []).append(term)
    without = groups.pop((), [])
    formula = sum((t.coefficient * joint_moment(t.local, t.sums, VIEWS) for t in without), sp.Integer(0))
    if not groups:
        return formula
    integrals = tuple(map(_integral, groups.values()))
    return Mixed(integrals, formula) if without else integrals


def _integral(members: list[Term]) -> TiltedIntegral:
    """Of terms that share their norms."""
    powers = (tuple(power for _, power in term.norms) for term in members)
    lowest = tuple(map(min, zip(*powers, strict=True)))
    return TiltedIntegral(tilt(tuple(norm for norm, _ in members[0].norms)), _integrand(members), lowest)


def tilt(norms: tuple[Norm, ...]) -> Tilt:
    """S = (1 + K P)^(-1) K and Z = prod Delta^(-1/2) for norms given by their quadratic forms in mode ``k``."""
    if len(norms) > 2:
        raise UnsupportedLossError(f"a term has {len(norms)} norms in its denominator; at most 2 are supported")
    precision = sp.zeros(2)
    for variable, norm in zip((n.x, n.y), norms, strict=False):
        precision += variable**2 * quadratic_form(norm)
    system = sp.eye(2) + VIEWS * precision
    covariance = (system.adjugate() * VIEWS).applyfunc(_in_determinant)
    definitions = {n.Delta[n.k]: _determinant(norms)}
    for symbol, entry in zip(
        (n.S11, n.S12, n.S22), (covariance[0, 0], covariance[0, 1], covariance[1, 1]), strict=True
    ):
        definitions[symbol[n.k]] = entry / n.Delta[n.k]
    return Tilt(norms, definitions, tuple(map(_scale, norms)))


def quadratic_form(norm: Norm) -> sp.Matrix:
    """2Q of a mode, with zeta^T Q zeta its square; refuses what is no norm."""
    pair = (n.zeta1[n.k], n.zeta2[n.k])
    square = sp.Poly(norm.square, *pair)
    if not square.is_homogeneous or square.total_degree() != 2:
        raise UnsupportedLossError(f"{norm.square} is no quadratic form in the representations")
    form = sp.hessian(norm.square, pair)
    positive = form[0, 0].is_nonnegative and form[1, 1].is_nonnegative and sp.expand(form.det()) == 0
    if not (positive and norm.softening.is_nonnegative):
        raise UnsupportedLossError(f"the gradient is divided by a power of {norm.whole}, which is no norm")
    return form


def _mean_square(norm: Norm) -> sp.Expr:
    """E[(a zeta1 + b zeta2)^2] in terms that do not cancel where the views hardly differ."""
    form = quadratic_form(norm) / 2
    if form[0, 1] == 0:
        return moment(norm.square, VIEWS)
    return sp.factor(sum(form)) + n.sigma1**2 * form[0, 0] + n.sigma2**2 * form[1, 1]


def _scale(norm: Norm) -> sp.Expr:
    share = n.s[n.k] / total(n.s[n.k])
    return _mean_square(norm) + (norm.softening * share if norm.softening else 0)


def _determinant(norms: tuple[Norm, ...]) -> sp.Expr:
    """det(1 + K P) = 1 + sum 2x^2 E[v^2] + 4x^2 y^2 D (a1 b2 - a2 b1)^2, of v = a zeta1 + b zeta2: all are positive."""
    pairs = list(zip((n.x, n.y), norms, strict=False))
    determinant = 1 + sum(2 * variable**2 * _mean_square(norm) for variable, norm in pairs)
    if len(norms) == 2:
        first, second = (quadratic_form(norm) / 2 for norm in norms)
        cross = first[0, 0] * second[1, 1] + first[1, 1] * second[0, 0] - 2 * first[0, 1] * second[0, 1]
        determinant += 4 * n.x**2 * n.y**2 * n.D * sp.factor(cross)
    return determinant


def norm_weight(variable: sp.Symbol, power: sp.Expr, softening: sp.Expr = sp.S.Zero) -> sp.Expr:
    """(c + ||v||^2)^(-q/2) is the integral over x of this times exp(-x^2 ||v||^2)."""
    return 2 * variable ** (power - 1) / sp.gamma(power / 2) * sp.exp(-softening * variable**2)


def _in_determinant(polynomial: sp.Expr) -> sp.Expr:
    """n1 n2 = 1 + D, so that nothing cancels when the views hardly differ: every term is positive."""
    return sp.expand(sp.expand(polynomial).subs(n.n1 * n.n2, 1 + n.D))


def _integrand(members: list[Term]) -> sp.Expr:
    result = sp.Integer(0)
    for term in members:
        weight = sp.Integer(1)
        for variable, (norm, power) in zip((n.x, n.y), term.norms, strict=False):
            weight *= norm_weight(variable, power, norm.softening)
        result += weight * term.coefficient * joint_moment(term.local, term.sums, TILTED)
    return n.Z * result
