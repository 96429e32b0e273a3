r"""Follow curves F(p, x) = 0 in a plane by numerical continuation, also past their folds.

p is a parameter, and x the variable for which the equation is solved. A curve is an orbit of the Hamiltonian vector
field of F, (dp, dx) ~ (-F_x, F_p), with the partial derivatives F_p and F_x. Near a fold, x is not a function of p, but
the orbit, parametrised by its length, continues past the fold. SciPy integrates the orbit, and Newton's method projects
its points back onto the curve. Derivatives are computed by a complex step and are exact to rounding; F must therefore
accept complex numbers.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import scipy.integrate
import scipy.optimize

FloatArray = npt.NDArray[np.float64]

TINY = 1e-30  # the complex step; the error of the derivative is of second order in the step
LENGTH, LONGEST_STEP = 50.0, 0.02  # length and step of an orbit in each direction, in units of the ranges of p and x
SAME = 1e-12  # distance below which two points are the same, in units of the ranges of p and x
ON_FOLD = 1e-9  # F_x relative to the length of the gradient of F, below which an isolated point is a fold


class SolutionCurve(NamedTuple):
    """A piece of a curve F(p, x) = 0 on which x is a function of p: K points (p, x), ascending in p."""

    points: FloatArray  # (K, 2)
    folds: tuple[bool, bool] = (False, False)  # True if the first point is a fold, and if the last point is a fold


class Plane(NamedTuple):
    """The part of a plane in which curves F(p, x) = 0 are followed: low <= p <= high and x >= floor(p).

    residual: the function F. Curves end at the limits of p and at the line x = floor(p).
    """

    residual: Callable[[complex, complex], Any]
    low: float
    high: float
    floor: Callable[[float], float]

    def gradient(self, p: float, x: float) -> FloatArray:
        """Return the partial derivatives (dF/dp, dF/dx) of the function F(p, x), whose zeros form the curves."""
        return np.array([self.residual(p + TINY * 1j, x).imag, self.residual(p, x + TINY * 1j).imag]) / TINY

    def on_curve(self, p: float, x: float) -> float:
        """Return the root of F at a fixed p. Newton's method starts from the argument x, which is near the root."""
        return float(scipy.optimize.newton(lambda x: self.residual(p, x).real, x, lambda x: self.gradient(p, x)[1]))

    def fold(self, near: FloatArray) -> FloatArray:
        """Return the fold (p, x) near a point: the solution of F = dF/dx = 0."""
        return scipy.optimize.root(
            lambda point: [self.residual(*point).real, self.gradient(*point)[1]], near, options={"xtol": 1e-15}
        ).x

    def follow(self, start: FloatArray) -> list[SolutionCurve]:
        """Return the curve F = 0 through the point ``start`` = (p, x), cut into pieces at its folds.

        The curve ends where it leaves the range of p or meets the line x = floor(p).
        """
        forward, backward = (self._one_way(start, direction) for direction in (1, -1))
        points = np.concatenate([backward[:0:-1], forward])
        points = points[[True, *(np.abs(np.diff(points, axis=0) / self._extent(start)).max(axis=1) > SAME)]]
        slopes = np.array([self.gradient(*point) for point in points])
        flat = np.abs(slopes[:, 1]) <= ON_FOLD * np.linalg.norm(slopes, axis=1)
        if len(points) == 1:
            return [SolutionCurve(points, (bool(flat[0]), bool(flat[0])))]
        turns = np.flatnonzero(slopes[:-1, 1] * slopes[1:, 1] < 0)
        cuts = [self.fold((points[i] + points[i + 1]) / 2) for i in turns]
        pieces = np.split(points, turns + 1)
        pieces = [np.array([*cuts[max(i - 1, 0) : i], *piece, *cuts[i : i + 1]]) for i, piece in enumerate(pieces)]
        return [_ascending(piece, i > 0, i < len(cuts)) for i, piece in enumerate(pieces)]

    def _extent(self, start: FloatArray) -> FloatArray:
        """Return the units of p and x in which the lengths and steps of a curve through ``start`` are measured.

        The unit of p is the width of its range. The unit of x is |x| at ``start``, but at least 1e-3.
        """
        return np.array([self.high - self.low, max(abs(start[1]), 1e-3)])

    def _size(self, start: FloatArray) -> float:
        """Return the largest |F| at four points that are far from the point ``start`` of the curve.

        At two of these points p is an end of its range; at the other two x is halved or doubled.
        """
        p, x = start
        return max(abs(self.residual(*point)) for point in ((self.low, x), (self.high, x), (p, x / 2), (p, 2 * x)))

    def _one_way(self, start: FloatArray, direction: int) -> FloatArray:
        """Return the points (K, 2) of the curve from ``start`` on, in one of the two directions along the curve."""
        extent = self._extent(start)
        if np.abs(self.gradient(*start) * extent).max() < SAME * self._size(start):
            return start[None]  # an isolated point: two roots meet here, and on either side there is no root

        def tangent(_: float, y: FloatArray) -> FloatArray:
            F_p, F_x = self.gradient(*(y * extent)) * extent
            return direction * np.array([-F_x, F_p]) / np.hypot(F_x, F_p)

        ends = [
            _ending(lambda _, y: y[0] * extent[0] - self.low),
            _ending(lambda _, y: self.high - y[0] * extent[0]),
            _ending(lambda _, y: y[1] * extent[1] - self.floor(np.clip(y[0] * extent[0], self.low, self.high))),
        ]
        orbit = scipy.integrate.solve_ivp(
            tangent, (0, LENGTH), start / extent, "DOP853", events=ends, max_step=LONGEST_STEP, rtol=1e-10, atol=1e-13
        )
        return np.array([start, *(self._projected(y * extent) for y in orbit.y.T[1:])])

    def _projected(self, point: FloatArray) -> FloatArray:
        """Return the point of the curve that is nearest to ``point``, which is near the curve.

        If p equals an end of the range of p up to rounding errors, p is set to this end.
        """
        for _ in range(2):
            slope = self.gradient(*point)
            point = point - self.residual(*point).real * slope / (slope @ slope)
        near = [end for end in (self.low, self.high) if abs(point[0] - end) < SAME * (self.high - self.low)]
        return np.array([near[0] if near else point[0], point[1]])


def _ending(event: Callable[..., Any]) -> Callable[..., Any]:
    """Mark an event function for SciPy's integrators: the integration ends when the function falls to zero."""
    event.terminal, event.direction = True, -1  # type: ignore[attr-defined]
    return event


def _ascending(points: FloatArray, fold_first: bool, fold_last: bool) -> SolutionCurve:
    if points[0, 0] <= points[-1, 0]:
        return SolutionCurve(points, (fold_first, fold_last))
    return SolutionCurve(points[::-1], (fold_last, fold_first))
