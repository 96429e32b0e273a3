r"""Axes of the Gaussian closure's integrals: the trapezoidal rule on the axis of one norm.

The integrand f(x, y) is even and smooth in x and y. Its singularities lie on the imaginary axis, at the distances
1/sqrt(2 d_k) set by the mean square d_k that mode k gives to the norm. With x = X sinh(tau), X = 1/sqrt(2 sum_k d_k),
every singularity moves to |Im tau| >= pi/2 whatever the spread of the d_k, so the trapezoidal rule in tau converges
geometrically at a speed that does not depend on the spectrum. Only the length of the tau axis grows, as the logarithm
of the spread.

Where a norm has a power q that is not odd, x^(q-1) makes f neither even nor smooth at zero. There x = X exp(tau), and
what lies left of the first node is a geometric series, f dx ~ exp(q tau), which the weight of that node sums up.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

Array = Any  # of any array namespace: NumPy's, or JAX's while it traces

FARTHEST = 300.0  # end of a tau axis, at most: sinh(tau)^2 is 1e260
NEWTON_STEPS = 8  # from there to where it ends
NEAR = 1e-16  # how far f dx is from a geometric series, relative, where one begins
FASTEST_RISE = 2.5  # of an exponent: faster than tau^2.5 a single mode would not let the weight of a node come down
NEGLIGIBLE = 1e-13  # modes below this fraction of the largest eigenvalue lengthen the axes less and less


@dataclass(frozen=True)
class Axis:
    """Trapezoidal rule on one norm's axis: nodes and weights (..., n + 1), and the weights at twice the step."""

    nodes: Array
    fine: Array
    coarse: Array
    step: Array  # of tau, (..., 1)

    def __getitem__(self, part: slice) -> "Axis":
        """Return a part of the nodes."""
        return Axis(self.nodes[..., part], self.fine[..., part], self.coarse[..., part], self.step)

    def rows(self, part: slice) -> "Axis":
        """Return the axes of a part of the batch (B, n + 1)."""
        return Axis(self.nodes[part], self.fine[part], self.coarse[part], self.step[part])


def extent(d: Array, mode_weight: Array, power: float, tail: float) -> tuple[Array, Array]:
    """Return the scale X and the length T, each (...,), of the tau axis of a norm of mean square sum_k d_k.

    d, mode_weight: (..., M); see ``mode_weights``. T is where the weight of a node at y = 0, times the room that the
    other axis gives it, has come down to the tail, for the slowest mode; a mode counts by its mode weight. (From the
    second power on, every two factors of x come with one of S, which takes them back.) The logarithm of that weight is
    concave in tau and starts at 0, so that Newton's method from the right comes down to its only crossing. The number
    of steps is fixed: a jump would be noise to an integrator.
    """
    xp = d.__array_namespace__()
    total = xp.sum(d, axis=-1, keepdims=True)
    share = d / total
    slowest = xp.min(share**mode_weight, axis=-1, keepdims=True)
    tau, rise = FARTHEST + 0 * total, min(1 + (power % 2 or 2), FASTEST_RISE)
    for _ in range(NEWTON_STEPS):
        square, double = xp.sinh(tau) ** 2, xp.sinh(2 * tau)
        growth = xp.sum(xp.log1p(share * square), axis=-1, keepdims=True) / 2
        steepness = xp.sum(share * double / (1 + share * square), axis=-1, keepdims=True) / 2
        decay = rise * tau - growth - xp.log1p(slowest * square)
        slope = rise - steepness - slowest * double / (1 + slowest * square)
        tau = tau - (decay - np.log(tail)) / slope
    return 1 / xp.sqrt(2 * total[..., 0]), tau[..., 0]


def left_extent(power: float) -> float:
    """Return how far the tau axis reaches to the left of zero: 0 for an odd power, else to where a series begins."""
    return 0.0 if power % 2 == 1 else -np.log(NEAR) / (power + 2)


def trapezoidal_axis(scale: Array, length: Array, n: int, power: float = 1) -> Axis:
    """Return the rule with n intervals (even) on tau up to ``length``, for x = scale sinh(tau) or scale exp(tau).

    scale, length: (...,). power: of the norm; an odd one takes sinh.
    """
    xp = scale.__array_namespace__()
    start, grid, even = left_extent(power), np.arange(n + 1) / n, np.arange(n + 1) % 2 == 0
    tau, step = (start + length)[..., None] * grid - start, (start + length)[..., None] / n
    last = np.where(grid == 1, 0.5, 1.0)
    if power % 2 == 1:
        x, slope = xp.sinh(tau), xp.cosh(tau)
        fine = coarse = np.where(grid == 0, 0.5, last)
    else:
        x = slope = xp.exp(tau)
        fine, coarse = (xp.where(grid == 0, -1 / xp.expm1(-power * h), last) for h in (step, 2 * step))
    width = scale[..., None] * step * slope
    return Axis(scale[..., None] * x, width * fine, width * (2 * coarse * even), step)


def point_axis(like: Axis) -> Axis:
    """Return an axis of one node, for an integral over a single norm."""
    one = like.nodes[..., :1] ** 0
    return Axis(0 * one, one, one, np.inf * one)


def significant_modes(s: Array) -> Array:
    """Return which modes are not negligible beside the largest one, (..., M)."""
    return s > NEGLIGIBLE * s.__array_namespace__().max(s, axis=-1, keepdims=True)


def mode_weights(s: Array) -> Array:
    """Return the power of a mode's share that lengthens an axis (..., M): 1 if significant, 0 if collapsed.

    In between it falls with the orders of magnitude, so that an axis does not jump while a mode vanishes.
    """
    xp = s.__array_namespace__()
    share = xp.maximum(s / xp.max(s, axis=-1, keepdims=True), NEGLIGIBLE**2)
    return 2 / xp.maximum(xp.log(share) / np.log(NEGLIGIBLE), 1.0) - 1
