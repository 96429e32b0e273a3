"""Replace norms in a denominator by integrals over Gaussian weights, and derive the covariance that results.

Each norm is written as ||a||^(-q) = 2/Gamma(q/2) int_0^oo x^(q-1) exp(-x^2 ||a||^2) dx; the integration variable of a
second norm is y. The exponentials multiply the Gaussian density of the views, which has covariance K, and add a
precision P. The product is a Gaussian with another covariance S = (1 + K P)^(-1) K: the exponentials *tilt* the
Gaussian. The integral of the product is the weight Z = prod_k Delta_k^(-1/2), with Delta = det(1 + K P) in each mode k.

The square of a norm may contain a constant, the *softening*: ||a||^2 = softening + sum_k a_k^2.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

import sympy as sp

from derivations.errors import UndecidedError, UnsupportedLossError
from derivations.symbols import notation as n
from derivations.symbols.modes import total
from derivations.theory.moments import VIEWS, moment

TILTED = sp.Matrix([[n.S11[n.k], n.S12[n.k]], [n.S12[n.k], n.S22[n.k]]])


@dataclass(frozen=True)
class Norm:
    """The norm (softening + sum_k square_k)^(1/2).

    square: the summand square_k in mode ``k``. softening: a constant that a loss adds to the square of the norm.
    """

    square: sp.Expr
    softening: sp.Expr = sp.S.Zero

    @property
    def whole(self) -> sp.Expr:
        """The square of the norm: softening + sum_k square_k."""
        return self.softening + total(self.square)

    def map(self, change: Callable[[sp.Expr], sp.Expr]) -> "Norm":
        """Return a new norm, whose ``square`` and ``softening`` are the results of the function ``change``."""
        return Norm(change(self.square), change(self.softening))


@dataclass(frozen=True)
class Tilt:
    """The Gaussian of the views, tilted by the exponentials of one or two norms (see the docstring of this module).

    definitions: formulas in mode ``k`` for Delta = det(1 + K P) and for the entries S11, S12, S22 of the tilted
    covariance; K is the covariance of the views, and P the precision that the exponentials add. mean_squares: for each
    norm, the contribution of mode ``k`` to the mean square of the norm. The mean square sets the scale of the norm's
    integration variable. It includes the constant that softens the norm; each mode contributes a share of this constant
    in proportion to the mode's correlation eigenvalue.
    """

    norms: tuple[Norm, ...]
    definitions: dict[sp.Expr, sp.Expr] = field(hash=False)
    mean_squares: tuple[sp.Expr, ...] = ()


def tilt(norms: tuple[Norm, ...]) -> Tilt:
    """Return the product of the Gaussian density of the views and the exponential exp(-x^2 ||a||^2) of each norm ||a||.

    The views have the covariance K, and the exponentials add a precision P. The product is a Gaussian with the
    covariance S = (1 + K P)^(-1) K and the weight prod_k Delta_k^(-1/2), with Delta_k = det(1 + K P) in mode k.
    """
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
    """Return 2Q, twice the matrix Q (2, 2) of a norm whose square is the sum of zeta^T Q zeta over modes.

    zeta = (zeta1, zeta2) are the two views in a mode. A constant in the square of the norm is ignored. Raises
    UnsupportedLossError if the argument is not a norm.
    """
    pair = (n.zeta1[n.k], n.zeta2[n.k])
    square = sp.Poly(norm.square, *pair)
    if not square.is_homogeneous or square.total_degree() != 2:
        raise UnsupportedLossError(f"the square {norm.square} of a norm is not a quadratic form of the representations")
    form = sp.hessian(norm.square, pair)
    determinant = sp.expand(form.det())
    needed = [form[0, 0].is_nonnegative, form[1, 1].is_nonnegative, determinant.is_zero, norm.softening.is_nonnegative]
    if not all(needed):
        wrong = f"the gradient is divided by a power of {norm.whole}, which is not the square of a norm"
        raise UnsupportedLossError(wrong) if False in needed else UndecidedError(wrong)
    return form


def _mean_square(norm: Norm) -> sp.Expr:
    """Return the contribution of one mode to the mean square of a norm.

    The contribution is written as a sum of terms that do not cancel if the two views are similar.
    """
    form = quadratic_form(norm) / 2
    if form[0, 1] == 0:
        return moment(norm.square, VIEWS)
    return sp.factor(sum(form)) + n.sigma1**2 * form[0, 0] + n.sigma2**2 * form[1, 1]


def _scale(norm: Norm) -> sp.Expr:
    share = n.s[n.k] / total(n.s[n.k])
    return _mean_square(norm) + (norm.softening * share if norm.softening else 0)


def _determinant(norms: tuple[Norm, ...]) -> sp.Expr:
    """Return det(1 + K P) in a mode as a sum of positive terms.

    K is the covariance of the views zeta1 and zeta2 in the mode, and D its determinant. P is the precision that the
    factors exp(-x_i^2 ||v_i||^2) add. Here i = 1, 2 numbers the norms, v_i = a_i zeta1 + b_i zeta2 is the vector in a
    norm, and x_i is the integration variable of the norm (x_1 = x, x_2 = y). The sum is
    1 + sum_i 2 x_i^2 E[v_i^2] + 4 x_1^2 x_2^2 D (a_1 b_2 - a_2 b_1)^2.
    """
    pairs = list(zip((n.x, n.y), norms, strict=False))
    determinant = 1 + sum(2 * variable**2 * _mean_square(norm) for variable, norm in pairs)
    if len(norms) == 2:
        first, second = (quadratic_form(norm) / 2 for norm in norms)
        cross = first[0, 0] * second[1, 1] + first[1, 1] * second[0, 0] - 2 * first[0, 1] * second[0, 1]
        determinant += 4 * n.x**2 * n.y**2 * n.D_of[n.k] * sp.factor(cross)
    return determinant


def norm_weight(variable: sp.Symbol, power: sp.Expr, softening: sp.Expr = sp.S.Zero) -> sp.Expr:
    """Return the weight f(x) with int_0^oo f(x) exp(-x^2 ||a||^2) dx = (c + ||a||^2)^(-q/2).

    variable: the integration variable x. power: the exponent q of the norm. softening: the constant c.
    """
    return 2 * variable ** (power - 1) / sp.gamma(power / 2) * sp.exp(-softening * variable**2)


def _in_determinant(polynomial: sp.Expr) -> sp.Expr:
    """Replace the product n1 n2 by 1 + D in a polynomial, so that all terms of the polynomial are positive.

    n1 and n2 are the variances of the two views in a mode. As the covariance of the two views is 1, the determinant of
    the covariance matrix is D = n1 n2 - 1. If the views are similar, code that computes this difference would lose
    digits. Therefore D is a separate symbol (see ``moments.VIEW_STATISTICS``).
    """
    return sp.expand(sp.expand(polynomial).subs(n.n1_of[n.k] * n.n2_of[n.k], 1 + n.D_of[n.k]))
