"""Compute orders of magnitude: the powers with which quantities scale as a small number w goes to zero.

A ``SignedOrder`` takes the place of an array in generated code. It holds two exponents for each quantity: one for the
sum of the positive terms of the quantity, and one for the sum of its negative terms. A sum of terms of one sign scales
as w^e, where e is the smallest of the exponents of the terms.

The scaling of an integral is computed from the exponent E of its integrand: at the integration variables x = w^(-a) and
y = w^(-b), the terms of one sign scale as w^E(a, b). The integrand consists of products of powers of sums. The exponent
of a sum is the minimum of the exponents of its terms, which are linear functions of a and b. E is therefore piecewise
linear. The sums in the numerator contribute minima to E. The determinants Delta of the tilted Gaussian (see
``quadrature``) occur only as divisors, and contribute minima with a minus sign.

Every sum of terms of one sign lies between its largest term and a constant times this term. Therefore the integral
scales as w^(min E) log(1/w)^j, where j is the dimension of the set on which E is smallest. Minima of linear functions
are concave. Therefore E is smallest at a point where two lines meet; on each of these lines, two terms of a Delta are
equal.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from dynamics.derived_loss import Expectation, Integral

FloatArray = npt.NDArray[np.float64]

EQUAL = 1e-9  # difference of exponents below which they are equal


@dataclass(frozen=True, eq=False)
class SignedOrder:
    """Orders of magnitude of quantities (..., M), which generated code accepts in place of an array.

    positive: exponents e (..., M); the sum of the positive terms of a quantity scales as w^e if w goes to zero.
    negative: the same for the negative terms. An exponent is inf if the quantity has no positive terms, or no negative
    terms.
    """

    positive: FloatArray
    negative: FloatArray

    __array_priority__ = 1000  # NumPy leaves operations of its numbers with this class to the class

    @classmethod
    def power(cls, exponents: npt.ArrayLike) -> "SignedOrder":
        """Return the order of magnitude of the quantities w^e as w goes to zero, for an array of exponents e."""
        e = np.asarray(exponents, float)
        return cls(e, np.full(e.shape, np.inf))

    @classmethod
    def of(cls, number: Any) -> "SignedOrder":
        """Return the SignedOrder of numbers that do not depend on w; return a SignedOrder unchanged."""
        if isinstance(number, SignedOrder):
            return number
        number = np.asarray(number, float)
        return cls(np.where(number > 0, 0.0, np.inf), np.where(number < 0, 0.0, np.inf))

    def __array_namespace__(self) -> "type[Orders]":
        return Orders

    def __add__(self, other: Any) -> "SignedOrder":
        other = SignedOrder.of(other)
        return SignedOrder(np.minimum(self.positive, other.positive), np.minimum(self.negative, other.negative))

    def __neg__(self) -> "SignedOrder":
        return SignedOrder(self.negative, self.positive)

    def __sub__(self, other: Any) -> "SignedOrder":
        return self + -SignedOrder.of(other)

    def __rsub__(self, other: Any) -> "SignedOrder":
        return SignedOrder.of(other) - self

    def __mul__(self, other: Any) -> "SignedOrder":
        other = SignedOrder.of(other)
        return SignedOrder(
            np.minimum(self.positive + other.positive, self.negative + other.negative),
            np.minimum(self.positive + other.negative, self.negative + other.positive),
        )

    def __truediv__(self, other: Any) -> "SignedOrder":
        return self * SignedOrder.of(other) ** -1

    def __rtruediv__(self, other: Any) -> "SignedOrder":
        return SignedOrder.of(other) / self

    def __pow__(self, power: Any) -> "SignedOrder":
        if np.isinf(self.negative).all():
            return SignedOrder.power(self.positive * power)
        if power not in (2, 3, 4):
            raise NotImplementedError(f"the power {power} of a quantity with negative terms has no order of magnitude")
        return self * self ** (power - 1) if power > 2 else self * self

    def __getitem__(self, key: Any) -> "SignedOrder":
        return SignedOrder(self.positive[key], self.negative[key])

    __radd__, __rmul__ = __add__, __mul__


class Orders:
    """The array namespace of ``SignedOrder``: the functions that occur in integrands."""

    pi = np.pi

    @staticmethod
    def sum(order: Any, axis: int = -1, keepdims: bool = True) -> Any:
        """Return the order of magnitude of a sum over modes."""
        return SignedOrder(*(np.min(e, axis=axis, keepdims=keepdims) for e in (order.positive, order.negative)))

    max = sum  # the largest of positive quantities has the order of their sum

    @staticmethod
    def sqrt(order: SignedOrder) -> SignedOrder:
        """Return the order of magnitude of a square root."""
        return order**0.5

    @staticmethod
    def prod(order: SignedOrder, axis: int = -1, keepdims: bool = True) -> SignedOrder:
        """Return the order of magnitude of a product over modes, for positive factors."""
        return SignedOrder.power(np.sum(order.positive, axis=axis, keepdims=keepdims))

    @staticmethod
    def exp(argument: SignedOrder) -> SignedOrder:
        """Return the order of magnitude of the exponential of a quantity that is bounded above as w goes to zero."""
        if (argument.positive < 0).any():
            raise NotImplementedError("an exponential that diverges has no power as its order of magnitude")
        return SignedOrder.power(np.where(argument.negative < 0, np.inf, 0.0))


class PowerLaw(NamedTuple):
    """The scaling w^exponent log(1/w)^(-logarithms) of a quantity as w goes to zero.

    exponent: inf if the quantity is zero. logarithms: the power of log(1/w) times -1. Scalings compare as tuples: the
    smaller of two scalings belongs to the larger of two quantities.
    """

    exponent: float
    logarithms: int

    @property
    def diverges(self) -> bool:
        """True if the quantity is infinite at w = 0."""
        return self < (0, 0)

    @property
    def vanishes(self) -> bool:
        """True if the quantity is zero at w = 0."""
        return self.exponent > 0


NOTHING = PowerLaw(np.inf, 0)


def scalings(expectation: Expectation, arguments: Sequence[SignedOrder], mode: int) -> tuple[PowerLaw, PowerLaw]:
    """Return two scalings: of the positive terms and of the negative terms of an expectation, for one mode.

    arguments: orders of magnitude of the arguments of the expectation, each (M,) or (1,). Raises NotImplementedError if
    the expectation contains a function whose order of magnitude is not a power of w.
    """
    shape, parts = arguments[0].positive.shape, []
    for formula in (expectation.formula, expectation.moments):
        if formula is not None:
            order = SignedOrder.of(formula(*arguments))
            signs = (np.broadcast_to(e, shape)[mode] for e in (order.positive, order.negative))
            parts.append([PowerLaw(_rounded(e), 0) for e in signs])
    parts += [_of_integral(integral, arguments, mode) for integral in expectation.integrals]
    positive, negative = (min(column) for column in zip(*parts, strict=True))
    return positive, negative


def _of_integral(integral: Integral, arguments: Sequence[SignedOrder], mode: int) -> list[PowerLaw]:
    """Return two scalings: of the positive terms and of the negative terms of an integral, for one mode."""
    modes = len(arguments[0].positive)
    d = integral.mean_squares(*arguments)
    squares = [np.broadcast_to(of_norm.positive, modes) for of_norm in (d if isinstance(d, tuple) else (d,))]

    def exponents(points: FloatArray, sign: int) -> FloatArray:
        """Return the exponent E (K,) of the integrand's terms of one sign, at K points (a, b) in an array (K, 2).

        The terms scale as w^E(a, b) at the integration variables x = w^(-a) and y = w^(-b). The integral is taken over
        log x and log y. Because dx dy = x y d(log x) d(log y), E includes the exponents of the factors x and y.
        """
        x, y = (SignedOrder.power(-points[:, i]) for i in (0, 1))
        order = integral.integrand(x, y, *(a[:, None] for a in arguments)) * (x * y if len(squares) == 2 else x)
        return np.broadcast_to((order.negative, order.positive)[sign > 0], (modes, len(points)))[mode]

    points = _meeting_points(squares)
    return [_smallest(points, lambda at, sign=sign: exponents(at, sign)) for sign in (1, -1)]


def _smallest(points: FloatArray, exponents: Any) -> PowerLaw:
    """Return the scaling of an integral over x and y, which follows from the smallest exponent E of its integrand.

    The integrand scales as w^E(a, b) at x = w^(-a) and y = w^(-b). points: the points (a, b), in an array (K, 2), at
    which E may be smallest. exponents: function that returns E at points (K, 2).
    """
    values = exponents(points)
    lowest = values.min()
    if np.isinf(lowest):
        return NOTHING
    corners = points[values < lowest + EQUAL]
    return PowerLaw(_rounded(lowest), -max(d for d in (0, 1, 2) if _has_piece(corners, d, exponents, lowest)))


def _has_piece(corners: FloatArray, dimension: int, exponents: Any, lowest: float) -> bool:
    """Return True if the set on which the exponent E is smallest contains a simplex of the dimension ``dimension``.

    A simplex of dimension 0, 1 or 2 is a point, an edge or a triangle. exponents: function that returns E at points
    (K, 2). lowest: the smallest value of E. The set is a union of convex polygons, and ``corners`` are the corners of
    these polygons. An edge between two corners belongs to the set if its centre does. A triangle between three corners
    belongs to the set if its centre and the centres of its edges do.
    """
    for simplex in combinations(corners, dimension + 1):
        if np.linalg.matrix_rank(np.subtract(simplex, simplex[0]), tol=EQUAL) == dimension:
            middles = [np.mean(face, axis=0) for n in (2, 3) for face in combinations(simplex, n)]
            if not middles or (exponents(np.array(middles)) < lowest + EQUAL).all():
                return True
    return False


def _rounded(exponent: float) -> float:
    return float(np.round(exponent, 12)) + 0.0


def _meeting_points(squares: Sequence[FloatArray]) -> FloatArray:
    """Return the points (K, 2) at which two of the lines x^2 d_k = 1, y^2 e_k = 1 and x^2 d_k = y^2 e_k meet.

    d_k and e_k are the contributions of mode k to the mean squares of the first and of the second norm. squares: the
    exponents of d_k and, if there are two norms, of e_k. The coordinates of a point are (a, b), where x = w^(-a) and
    y = w^(-b). In these coordinates the lines are straight: for d_k = w^c, for example, x^2 d_k = 1 is the line
    a = c/2.
    """
    a, *others = (np.unique(d[np.isfinite(d)]) / 2 for d in squares)
    if not others:
        return np.stack([a, 0 * a], axis=-1)
    both = np.isfinite(squares[0]) & np.isfinite(squares[1])
    shifts = np.unique(squares[0][both] - squares[1][both]) / 2
    lines = [(1, 0, value) for value in a] + [(0, 1, value) for value in others[0]] + [(1, -1, c) for c in shifts]
    pairs = [(p, q) for p, q in combinations(lines, 2) if p[:2] != q[:2]]
    return np.unique([np.linalg.solve([p[:2], q[:2]], [p[2], q[2]]) for p, q in pairs], axis=0)
