"""Compute special functions of the exact solutions accurately, also if their formulas overflow or terms cancel."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from dynamics.numerics.axes import Array

NEGLIGIBLE = -40.0  # logarithm below which a number is lost next to 1
LARGE, SMALL = 1e100, 1e-100  # limits of ratios, between which float64 holds the square of the ratio
MODERATE = 100.0  # largest exponent x for which e^x counts as neither large nor small
LATEST = 1e307  # upper limit of the time tau; for ratios below LARGE, lambda reaches the level long before this time
NEAR = 0.1  # |w| below which the series of log(1 - w) is used
EXACT, UNIT = 2.0**40, 2.0**-10  # multiples of UNIT below EXACT have exact differences
ABOVE_ONE = 1 + 2**-52  # next number above 1
CLOSE_TO_BRANCH = -1.02  # above this value of y + log|y|, y < 0 is close to the branch point y = -1


@dataclass(frozen=True, eq=False)
class LogRatio:
    """The logarithm of a ratio of positive numbers, which is kept as the ratio.

    ``times_exp`` uses the ratio itself. NumPy's functions convert the object to an array with the logarithm. Numerator
    and denominator broadcast.
    """

    numerator: npt.NDArray[np.float64] | float
    denominator: npt.NDArray[np.float64]

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> npt.NDArray[np.float64]:
        return np.log(self.numerator / self.denominator).astype(dtype or np.float64, copy=False)

    def __neg__(self) -> "LogRatio":
        return LogRatio(self.denominator, np.asarray(self.numerator))

    def __mul__(self, factor: Any) -> npt.NDArray[np.float64]:
        return np.asarray(self) * factor

    def __truediv__(self, divisor: Any) -> Any:
        return self if np.ndim(divisor) == 0 and divisor == 1 else np.asarray(self) / divisor


def times_exp(
    a: npt.NDArray[np.float64], x: npt.NDArray[Any] | LogRatio, out: npt.NDArray[np.float64] | None = None
) -> npt.NDArray[np.float64]:
    """Return a e^x, also if e^x alone overflows.

    If x is in extended precision, the result is accurate to the rounding of float64. out: array for the result.
    """
    if isinstance(x, LogRatio):
        return np.divide(a * x.numerator, x.denominator, out=out)
    rounded = np.asarray(x, float)
    root = np.exp(rounded / 2)
    if x.dtype == np.float64:
        return np.multiply(a * root, root, out=out)
    with np.errstate(invalid="ignore"):
        rest = np.where(np.isfinite(rounded), x - rounded, 0).astype(float)
    return np.multiply(a * root * root, 1 + rest, out=out)


def linear_growth(
    log_x0: npt.ArrayLike, c: npt.ArrayLike, b: npt.ArrayLike, tau: npt.ArrayLike
) -> npt.NDArray[Any] | LogRatio:
    """Return log(x(tau)/x(0)) for dx/dtau = b x + c, x(0) > 0; not a number once x has passed through zero.

    The ratio x(tau)/x(0) equals e^(b tau) + c/x(0) (e^(b tau) - 1)/b. If both terms are positive and neither large nor
    small, the result is the logarithm of their sum; otherwise the larger of the terms is factored out, to avoid
    overflow. log_x0: log x(0). Arguments broadcast.
    """
    b, tau = np.asarray(b), np.asarray(tau)
    with np.errstate(all="ignore"):
        exponent, sign = b * tau, np.sign(c)
        size = np.abs(exponent)
        weight = np.where(size > 1, -np.expm1(-size) / np.abs(b), tau * _exprel(-size))
        if np.result_type(log_x0, c, exponent) == np.float64 and _moderate(log_x0, c, exponent, weight):
            total = np.asarray(c * np.exp(-np.asarray(log_x0)) * (weight * np.exp(np.maximum(exponent, 0))))
            total += np.exp(exponent)
            return LogRatio(total, np.asarray(1.0))
        first, second = np.minimum(exponent, 0), np.log(np.abs(c) * weight) - log_x0
        gap, total = np.asarray(first - second), np.asarray(np.maximum(first, second))
        for function in (np.abs, np.negative, np.exp, np.log1p):  # in place, because the arrays may be large
            function(gap, out=gap)
        total += gap
        if (sign < 0).any():  # terms of opposite sign
            opposite = np.where(second < first, first + np.log1p(-np.exp(second - first)), np.nan)
            total = np.where(sign < 0, opposite, total)
        total = np.asarray(total + np.maximum(exponent, 0))
        np.copyto(total, 0, where=tau == 0)
        return total


def _moderate(log_x0: npt.ArrayLike, c: npt.ArrayLike, exponent: npt.NDArray[Any], weight: npt.NDArray[Any]) -> bool:
    """Return True if the terms of ``linear_growth`` are positive, and their sum is in the range of float64."""
    logarithms = (exponent, np.abs(log_x0), np.abs(np.log(c)), np.log(weight))
    return all(bool(np.all(logarithm < MODERATE)) for logarithm in logarithms)


def linear_time(log_x0: npt.ArrayLike, log_x1: npt.ArrayLike, c: npt.ArrayLike, b: npt.ArrayLike) -> npt.NDArray[Any]:
    """Return the time log((b x1 + c)/(b x0 + c))/b in which dx/dtau = b x + c leads from x0 to x1.

    The time is negative, infinite or not a number if the flow does not lead from x0 to x1. x0 and x1 are given by their
    logarithms. The computation uses units of the largest of x0, x1 and 1, so that nothing overflows. Arguments
    broadcast.
    """
    log_x0, log_x1, c, b = (np.asarray(a) for a in (log_x0, log_x1, c, b))
    with np.errstate(all="ignore"):
        larger = np.maximum(log_x0, log_x1)
        unit = np.maximum(larger, 0)
        change = np.sign(log_x1 - log_x0) * -np.expm1(-np.abs(log_x1 - log_x0)) * np.exp(larger - unit)
        start = b * np.exp(log_x0 - unit) + c * np.exp(-unit)
        elapsed = change / start  # the time for small b
        x = b * elapsed
        near = np.where(x == 0, elapsed, elapsed * np.log1p(x) / x)
        far = (_log_speed(log_x1, c, b) - _log_speed(log_x0, c, b)) / b
        return np.where(np.abs(x) < 1, near, np.where(x > 0, far, np.nan))


def _log_speed(log_x: npt.NDArray[Any], c: npt.NDArray[Any], b: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Return log|b x + c|, where x is given by its logarithm and may overflow."""
    unit = np.maximum(log_x, 0)
    return unit + np.log(np.abs(b * np.exp(log_x - unit) + c * np.exp(-unit)))


def _exprel(x: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Return (e^x - 1)/x, with the value 1 at x = 0."""
    return np.where(x == 0, 1, np.expm1(x) / x)


def lambert_growth(
    lam0: npt.ArrayLike, log_lam0: npt.ArrayLike, level: npt.ArrayLike, tau: npt.ArrayLike
) -> npt.NDArray[Any] | LogRatio:
    """Return log(lambda(tau)/lam0), where d lambda/dtau = lambda^2 (q - lambda)/q^2 and lambda(0) = lam0 > 0.

    level: the stationary value q of lambda. The solution is lambda = q/(1 + y), where y = W(y0 e^(y0 - tau)),
    y0 = q/lam0 - 1, and W is the Lambert function. y is computed as the root of y + log|y| = c, where
    c = y0 + log|y0| - tau, so that large y0, such as 1e6, does not overflow. y0 - tau is computed in extended precision
    if the platform has it; so is 1 + y near the branch point y = -1. If lam0 has underflowed, lambda stays constant. If
    lam0 has overflowed, log_lam0 = log(lam0) is used in its place. Arguments broadcast.
    """
    level, tau = np.asarray(level, np.longdouble), np.asarray(tau, np.longdouble)
    with np.errstate(all="ignore"):
        ratio = level / lam0
        y0 = ratio - 1
        c = _difference(y0, np.minimum(tau, LATEST), np.log(np.abs(y0)).astype(float))
        np.maximum(c, NEGLIGIBLE, out=c)
        negative = y0 < 0
        y = _fritsch(_guess(c, negative), c)
        y += 1
        if negative.any():
            close = negative & (c > CLOSE_TO_BRANCH)
            if close.any():
                y[close] = _at_branch(*(np.broadcast_to(a, c.shape)[close] for a in (ratio, tau)))
        if (tau == 0).any():
            np.copyto(y, ratio.astype(float), where=tau == 0)
        far = ~((ratio > SMALL) & (ratio < LARGE))
        if not far.any():
            return LogRatio(ratio.astype(float), y)
        growth = np.log(ratio.astype(float) / y)
        np.copyto(growth, _far_growth(ratio, log_lam0, level, tau, y), where=far)
        return np.where(tau == 0, 0.0, growth)


def _far_growth(
    ratio: npt.NDArray[Any],
    log_lam0: npt.ArrayLike,
    level: npt.NDArray[Any],
    tau: npt.NDArray[Any],
    y_plus_1: npt.NDArray[np.float64],
) -> npt.NDArray[Any]:
    """Return the result of ``lambert_growth`` if the square of ``ratio`` = level/lam0 may overflow or underflow.

    The solution is lambda = level/(1 + y), where y + log|y| = y0 + log|y0| - tau and y0 = ratio - 1. If lam0 is far
    below the level, y and y0 are so large that the logarithms are negligible, and y = y0 - tau. If lam0 is far above
    the level, the ratio is negligible in y0, and log(ratio) is computed as log(level) - log_lam0.
    """
    below = np.where(tau < ratio, -np.log1p(-tau / ratio), np.log(ratio))
    below = np.where(np.isinf(ratio), 0.0, np.fmin(below, np.log(ratio / y_plus_1)))
    return np.where(ratio > 1, below, np.log(level) - log_lam0 - np.log(y_plus_1))


def lambert_time(log_lam0: npt.ArrayLike, log_lam1: npt.ArrayLike, level: npt.ArrayLike) -> npt.NDArray[Any]:
    """Return the time tau in which d lambda/dtau = lambda^2 (q - lambda)/q^2 leads from lam0 to lam1.

    level: the stationary value q of lambda. lam0 and lam1 are given by their logarithms. The time is negative, infinite
    or not a number if the flow does not lead from lam0 to lam1. It equals y0 - y1 + log(y0/y1), where y = q/lambda - 1
    at lam0 and lam1. These terms may cancel. The computation therefore uses the equal expression
    w u0 - w - log(1 - w), where u = q/lambda at lam0 and lam1, and w = (u1 - u0)/(1 - u0).
    """
    log_lam0, log_lam1 = np.asarray(log_lam0), np.asarray(log_lam1)
    with np.errstate(all="ignore"):
        u0, u1 = (level * np.exp(-log) for log in (log_lam0, log_lam1))
        change = np.sign(log_lam0 - log_lam1) * np.maximum(u0, u1) * -np.expm1(-np.abs(log_lam0 - log_lam1))
        w = change / (1 - u0)
        return w * u0 + np.where(np.abs(w) < NEAR, _log_remainder(w), -w - np.log1p(-w))


def _log_remainder(w: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Return -w - log(1 - w) for |w| < NEAR, by the series w^2/2 + w^3/3 + ..."""
    return np.sum([w**power / power for power in range(2, 20)], axis=0)


def _difference(a: npt.NDArray[Any], b: npt.NDArray[Any], shift: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Return a - b + shift in float64, for a and b in extended precision.

    a and b are split into two float64 each. If both are below EXACT, the first parts are multiples of UNIT, so that
    their difference is exact. Otherwise Knuth's formula gives the rounding error of the difference.
    """
    small = bool(np.all(np.abs(a) < EXACT) and np.all(np.abs(b) < EXACT))
    (high_a, low_a), (high_b, low_b) = (_split(x, small) for x in (a, b))
    difference = high_a - high_b
    if small:
        difference += (low_a + shift) - low_b
        return difference
    back = difference - high_a
    rest = (high_a - (difference - back)) - (high_b + back)
    return difference + (rest + (low_a - low_b) + shift)


def _split(x: npt.NDArray[Any], small: bool) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Return two arrays of float64 with the sum x; the first are multiples of UNIT if ``small`` is True."""
    high = (np.round(x / UNIT) * UNIT if small else x).astype(float)
    return high, (x - high).astype(float)


def _guess(c: npt.NDArray[Any], negative: npt.NDArray[np.bool_]) -> npt.NDArray[Any]:
    """Return an approximation of the root y of y + log|y| = c; ``negative`` is True where -1 < y < 0."""
    if not negative.any():
        return _guess_above(c)
    below = _guess_below(c)
    return below if negative.all() else np.where(negative, below, _guess_above(c))


def _guess_above(c: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Return an approximation, with an error of up to 8 %, of the positive root y of y + log(y) = c."""
    softplus = np.maximum(c, 0.0) + np.log(ABOVE_ONE + np.exp(-np.abs(c)))  # above zero
    return softplus / (1 + np.log(1 + softplus) / (2 + softplus))


def _guess_below(c: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Return an approximation, with an error of up to 0.06 %, of the root -1 < y < 0 of y + log|y| = c.

    The factor e^-y of y = -e^c e^-y is a polynomial in the variable p of the series at the branch point y = -1.
    """
    x = np.exp(np.minimum(c, -1.0))
    p = np.sqrt(2 - 2 * np.e * x)
    return x * (p * (2.6109 - p * (1.8027 - p * (0.79926 - p * 0.15973))) - 2.7092)


def _fritsch(y: npt.NDArray[Any], c: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Change the guess y into the root of y + log|y| = c near it, by two steps of a fourth-order method; return y.

    A step multiplies y by 1 + (m/u) (v - m)/(v - 2m), where m = c - y - log|y|, u = 1 + y and v = 2u (u + 2m/3). It is
    computed in place, because new arrays for all terms would take as long as the operations.
    Fritsch, Shafer, Crowley, Communications of the ACM 16, 123 (1973).
    """
    m, u, v, w = (np.empty_like(y) for _ in range(4))
    for _ in range(2):
        np.log(np.abs(y, out=m), out=m)
        m += y
        np.subtract(c, m, out=m)
        np.add(y, 1, out=u)
        np.multiply(m, 2 / 3, out=v)
        v += u
        v *= u
        v *= 2
        v -= m
        np.subtract(v, m, out=w)
        v /= w
        m /= u
        m *= v
        m += 1
        y *= m
    return y


def _at_branch(gap: npt.NDArray[Any], tau: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Return 1 + y for the root y of y + log|y| = y0 + log|y0| - tau near the branch point y = -1.

    Near y = -1 the value of y + log|y| hardly changes with y. Halley's method therefore solves for the difference
    y - y0, which keeps its digits. gap: 1 + y0.
    """
    y0 = gap - 1
    added = 2 * tau / (gap + np.sqrt(gap**2 + 2 * tau))  # root of the expansion to second order
    for _ in range(4):
        y = y0 + added
        mismatch, slope = added + np.log1p(added / y0) + tau, 1 + 1 / y
        added = added - np.where(slope == 0, 0, 2 * mismatch * slope / (2 * slope**2 + mismatch / y**2))
    return (gap + added).astype(float)


def tilt(x: Array, X: Array, y: Array, Y: Array) -> tuple[Array, Array, Array, Array]:
    """Return X K^T, Y K^T, K and |det K|, where K^T K = (1 + 2x^2 X^T X + 2y^2 Y^T Y)^(-1).

    K describes a tilted Gaussian. Let l (d,) be independent standard normals, and multiply their density by the factor
    exp(-x^2 |X l|^2 - y^2 |Y l|^2). K^T K is the covariance of l under this tilted density, and |det K| is the
    expectation of the factor. The shapes are (..., M, d) with M <= d for X, Y, X K^T and Y K^T, (..., d, d) for K, and
    (..., 1, 1) for x, y and |det K|.

    The computation uses the singular vectors of Y, and then those of X K^T. In this way the unit matrix 1 is not lost
    next to terms that are 1e20 times as large, and terms that cancel in products with K cancel exactly. Axis -3 of x
    and y counts the nodes of a quadrature. Neither decomposition depends on x, so that both are computed only once for
    all nodes that have the same y.
    """
    xp = X.__array_namespace__()
    y, places = _different(y)
    Y, s, directions = _directions(Y)
    decay_y = _decay(y, s)
    K = decay_y * directions
    X, s, directions = _directions(X @ K.mT)
    Y, K, weight_y = (Y * decay_y.mT) @ directions.mT, directions @ K, xp.prod(decay_y, axis=-2, keepdims=True)
    X, Y, K, s, weight_y = (a[places] for a in (X, Y, K, s, weight_y))
    decay_x = _decay(x, s)
    return X * decay_x.mT, Y * decay_x.mT, decay_x * K, xp.prod(decay_x, axis=-2, keepdims=True) * weight_y


def _different(y: Array) -> tuple[Array, Any]:
    """Return the distinct entries of y (..., K, 1, 1) along axis -3, and the index that gives y from these entries."""
    if y.ndim < 3 or y.shape[-3] == 1:
        return y, ...
    _, first, nodes = np.unique(y, axis=-3, return_index=True, return_inverse=True)
    return y[..., first, :, :], (..., nodes.ravel(), slice(None), slice(None))


def _decay(y: Array, s: Array) -> Array:
    """Return (1 + 2 y^2 s^2)^(-1/2), the standard deviation of a normal variable u tilted by exp(-y^2 s^2 u^2).

    Without the tilt the standard deviation of u is 1.
    """
    return 1 / s.__array_namespace__().sqrt(1 + 2 * (y * s) ** 2)


def _directions(Y: Array) -> tuple[Array, Array, Array]:
    """Return Y V, s and V^T, where Y = U diag(s) V^T is the singular value decomposition of Y.

    The shapes are (..., M, d), (..., d, 1) and (..., d, d). The singular values s are in ascending order. The columns
    of X K^T in ``tilt`` then descend in size. This order makes the decomposition of X K^T accurate even if the sizes of
    its columns are very different.
    """
    xp = Y.__array_namespace__()
    U, s, directions = xp.linalg.svd(Y)
    rest = Y.shape[-1] - s.shape[-1]
    along = xp.concat([U * s[..., None, :], xp.zeros((*U.shape[:-1], rest))], axis=-1)
    s = xp.concat([s, xp.zeros((*s.shape[:-1], rest))], axis=-1)
    s, along = xp.flip(s, axis=-1)[..., None], xp.flip(along, axis=-1)
    return along, s, xp.flip(directions, axis=-2)
