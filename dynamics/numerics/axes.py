r"""Define the axes of the Gaussian closure's integrals: a trapezoidal rule for the variable x of one norm.

``quadrature`` defines the integrals. The integrand f(x, y) is even and smooth in x and y. Its singularities in x lie on
the imaginary axis, at the distances 1/sqrt(2 d_k), where d_k is the contribution of mode k to the norm's mean square.
With x = X sinh(tau), X = 1/sqrt(2 sum_k d_k), every singularity lies at |Im tau| >= pi/2, even if the d_k are very
different. The trapezoidal rule in tau therefore converges geometrically, at a speed that does not depend on the
spectrum. Only the length of the tau axis grows, as the logarithm of the ratio of the largest to the smallest d_k.

If the norm occurs with an inverse power q that is not an odd number, the factor x^(q-1) makes f neither even nor smooth
at zero. The substitution is then x = X exp(tau). At large negative tau, f dx ~ exp(q tau), so that the terms of the
rule form a geometric series; the weight of the first node includes the sum of all terms to the left of this node.
"""

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]
Array = Any  # an array of NumPy, or of JAX (also a traced one)

FARTHEST = 300.0  # largest end of a tau axis, where sinh(tau)^2 is 1e260
NEWTON_STEPS = 8  # steps of Newton's method from FARTHEST to the end of the axis
NEAR = 1e-16  # relative deviation of f dx from a geometric series at the first node of an exp(tau) axis
FASTEST_RISE = 2.5  # bound on ``rise`` in ``extent``: a single mode reduces the weight of a node only as exp(-3 tau)
ROUNDED = 1e-32  # share of a mode in a mean square that stands for 0, the square of a difference smaller than rounding
NEGLIGIBLE = 1e-13  # fraction of the largest eigenvalue below which a mode lengthens the axes less (``mode_weights``)


class Axis(NamedTuple):
    """Trapezoidal rule with n + 1 nodes for the integration variable x of one norm.

    nodes: values of x/X, where X is the scale of x. fine: weights of the rule. coarse: weights of a second rule, which
    has twice the step and serves to estimate the error. It uses the same nodes, so that every second weight is zero.
    step: distance of the nodes in the variable tau, with x/X = sinh(tau) or exp(tau).
    """

    nodes: FloatArray
    fine: FloatArray
    coarse: FloatArray
    step: float


def extent(d: Array, mode_weight: Array, power: float, tail: float) -> Array:
    """Return the length T (...,) of the tau axis of a norm whose mean square is sum_k d_k.

    d: contributions d_k (..., M) of the modes to the mean square. mode_weight: result of ``mode_weights``, which
    reduces the effect of nearly collapsed modes on T. power: exponent q of the divisor |norm|^q in the expectation.

    Consider the contribution that a node at y = 0 makes to the integral of one mode, multiplied by the width of the
    integrand in y. This product equals 1 at tau = 0 and falls with tau. T is the tau at which the product has fallen to
    ``tail`` in the mode with the slowest fall. The logarithm of the product is concave in tau. Newton's method, started
    at tau = FARTHEST, therefore converges to the only tau > 0 at which the logarithm equals log(tail). (For q >= 2,
    every two factors of x are multiplied by a variance of the tilted Gaussian. This variance is ~ 1/x^2 and cancels the
    two factors.)
    """
    share = d / np.sum(d, axis=-1, keepdims=True)
    slowest = np.min(np.where(share > 0, share, ROUNDED) ** mode_weight, axis=-1, keepdims=True)
    tau, rise = FARTHEST + 0 * slowest, min(1 + (power % 2 or 2), FASTEST_RISE)
    for _ in range(NEWTON_STEPS):
        square, double = np.sinh(tau) ** 2, np.sinh(2 * tau)
        growth = np.sum(np.log1p(share * square), axis=-1, keepdims=True) / 2
        steepness = np.sum(share * double / (1 + share * square), axis=-1, keepdims=True) / 2
        decay = rise * tau - growth - np.log1p(slowest * square)
        slope = rise - steepness - slowest * double / (1 + slowest * square)
        tau = tau - (decay - np.log(tail)) / slope
    return tau[..., 0]


def left_extent(power: float) -> float:
    """Return the length of the negative part of the tau axis; 0 if the axis begins at tau = 0.

    power: exponent q of the divisor |norm|^q in the expectation. For an odd q, x = X sinh(tau), and the axis begins at
    tau = 0. For any other q, x = X exp(tau), and the axis begins at a negative tau. Below this tau the terms of the
    rule form a geometric series, whose sum is known.
    """
    return 0.0 if power % 2 == 1 else -np.log(NEAR) / (power + 2)


def trapezoidal_axis(length: float, n: int, power: float = 1) -> Axis:
    """Return the trapezoidal rule with n intervals, n even, on a tau axis that ends at tau = ``length``.

    power: exponent q of the divisor |norm|^q in the expectation. The nodes x/X are sinh(tau) if q is odd, and
    exp(tau) for any other q, where X is the scale of x.
    """
    start, even = left_extent(power), np.arange(n + 1) % 2 == 0
    step = (start + length) / n
    tau, last = step * np.arange(n + 1) - start, np.where(np.arange(n + 1) == n, 0.5, 1.0)
    if power % 2 == 1:
        x, slope = np.sinh(tau), np.cosh(tau)
        fine = coarse = np.where(tau == 0, 0.5, last)
    else:
        x = slope = np.exp(tau)
        fine, coarse = (np.where(np.arange(n + 1) == 0, -1 / np.expm1(-power * h), last) for h in (step, 2 * step))
    return Axis(x, step * slope * fine, step * slope * (2 * coarse * even), step)


POINT = Axis(np.zeros(1), np.ones(1), np.ones(1), np.inf)  # the y axis of an integral with a single norm


def significant_modes(s: Array) -> Array:
    """Return a mask (..., M), True for modes whose eigenvalue exceeds NEGLIGIBLE times the largest eigenvalue."""
    return s > NEGLIGIBLE * s.max(axis=-1, keepdims=True)


def mode_weights(s: Array) -> Array:
    """Return the weight (..., M) of each mode in the length of an integration axis: 1 if significant, 0 if collapsed.

    s: eigenvalues (..., M) of the correlation. ``extent`` uses the weight as an exponent of the mode's share in the
    mean square of a norm. While the eigenvalue falls from NEGLIGIBLE to NEGLIGIBLE^2 times the largest eigenvalue, the
    weight falls continuously from 1 to 0. The length of an axis therefore does not jump when a mode vanishes.
    """
    xp = s.__array_namespace__()
    share = xp.maximum(s / xp.max(s, axis=-1, keepdims=True), NEGLIGIBLE**2)
    return 2 / xp.maximum(xp.log(share) / np.log(NEGLIGIBLE), 1.0) - 1
