"""Norms in a denominator as integrals over a Gaussian weight, which tilts the covariance of the views."""

from collections.abc import Callable
from dataclasses import dataclass, field

import sympy as sp

from derivations.errors import UnsupportedLossError
from derivations.symbols import notation as n
from derivations.symbols.modes import total
from derivations.theory.moments import VIEWS, moment

TILTED = sp.Matrix([[n.S11[n.k], n.S12[n.k]], [n.S12[n.k], n.S22[n.k]]])


@dataclass(frozen=True)
class Norm:
    """(softening + sum_k square_k)^(1/2), with the square in mode ``k``."""

    square: sp.Expr
    softening: sp.Expr = sp.S.Zero

    @property
    def whole(self) -> sp.Expr:
        """The square of the norm."""
        return self.softening + total(self.square)

    def map(self, change: Callable[[sp.Expr], sp.Expr]) -> "Norm":
        """Return the norm with both parts changed."""
        return Norm(change(self.square), change(self.softening))


@dataclass(frozen=True)
class Tilt:
    """The tilted Gaussian of one or two norms: definitions in mode ``k``, and the mean squares the norms have.

    The softening of a norm is shared among the modes in proportion to their eigenvalues, as only a scale is needed.
    """

    norms: tuple[Norm, ...]
    definitions: dict[sp.Expr, sp.Expr] = field(hash=False)
    mean_squares: tuple[sp.Expr, ...] = ()


def tilt(norms: tuple[Norm, ...]) -> Tilt:
    """Return S = (1 + K P)^(-1) K and Z = prod Delta^(-1/2) for norms given by their quadratic forms in mode ``k``."""
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
    """Return 2Q of a mode, with zeta^T Q zeta the square of the norm; refuses what is no norm."""
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
    """Return the weight whose integral over x, times exp(-x^2 ||v||^2), is (c + ||v||^2)^(-q/2)."""
    return 2 * variable ** (power - 1) / sp.gamma(power / 2) * sp.exp(-softening * variable**2)


def _in_determinant(polynomial: sp.Expr) -> sp.Expr:
    """n1 n2 = 1 + D, so that nothing cancels when the views hardly differ: every term is positive."""
    return sp.expand(sp.expand(polynomial).subs(n.n1 * n.n2, 1 + n.D))
