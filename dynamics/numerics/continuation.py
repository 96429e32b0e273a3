r"""Numerical continuation of curves F(p, x) = 0 in a plane, past their folds.

A curve is an orbit of the Hamiltonian field of F, (dp, dx) ~ (-F_x, F_p): parametrised by its length it passes folds,
where x is no function of p. SciPy integrates it, and Newton's method projects the points back onto the curve.
Derivatives are those of a complex step, exact to rounding, so F must accept complex numbers.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import scipy.integrate
import scipy.optimize

FloatArray = npt.NDArray[np.float64]

TINY = 1e-30  # the complex step: its error is of second order
LENGTH, LONGEST_STEP = 50.0, 0.02  # of a curve, in units of its extent
SAME = 1e-12  # distance below which points are one
ON_FOLD = 1e-9  # F_x relative to the gradient at which a single point is a fold


class Curve(NamedTuple):
    """A piece of a curve on which x is a function of p: points (K, 2) of (p, x), ascending in p."""

    points: FloatArray
    folds: tuple[bool, bool] = (False, False)  # which of the ends are folds


class Plane(NamedTuple):
    """F(p, x), the range of p, and the line x = floor(p) at which curves end."""

    residual: Callable[[complex, complex], Any]
    low: float
    high: float
    floor: Callable[[float], float]

    def gradient(self, p: float, x: float) -> FloatArray:
        """Return (F_p, F_x)."""
        return np.array([self.residual(p + TINY * 1j, x).imag, self.residual(p, x + TINY * 1j).imag]) / TINY

    def on_curve(self, p: float, x: float) -> float:
        """Return x of the curve at p, by Newton's method from a value nearby."""
        return float(scipy.optimize.newton(lambda x: self.residual(p, x).real, x, lambda x: self.gradient(p, x)[1]))

    def fold(self, near: FloatArray) -> FloatArray:
        """Return the point (p, x) with F = F_x = 0."""
        return scipy.optimize.root(
            lambda point: [self.residual(*point).real, self.gradient(*point)[1]], near, options={"xtol": 1e-15}
        ).x

    def follow(self, start: FloatArray) -> list[Curve]:
        """Return the curve through a point (p, x), cut at its folds.

        It ends where it leaves the range or meets the floor.
        """
        forward, backward = (self._one_way(start, direction) for direction in (1, -1))
        points = np.concatenate([backward[:0:-1], forward])
        points = points[[True, *(np.abs(np.diff(points, axis=0)).max(axis=1) > SAME)]]
        slopes = np.array([self.gradient(*point) for point in points])
        flat = np.abs(slopes[:, 1]) <= ON_FOLD * np.linalg.norm(slopes, axis=1)
        if len(points) == 1:
            return [Curve(points, (bool(flat[0]), bool(flat[0])))]
        turns = np.flatnonzero(slopes[:-1, 1] * slopes[1:, 1] < 0)
        cuts = [self.fold((points[i] + points[i + 1]) / 2) for i in turns]
        pieces = np.split(points, turns + 1)
        pieces = [np.array([*cuts[max(i - 1, 0) : i], *piece, *cuts[i : i + 1]]) for i, piece in enumerate(pieces)]
        return [_ascending(piece, i > 0, i < len(cuts)) for i, piece in enumerate(pieces)]

    def _one_way(self, start: FloatArray, direction: int) -> FloatArray:
        """Return points (K, 2), the start first."""
        extent = np.array([self.high - self.low, max(abs(start[1]), 1e-3)])
        if np.abs(self.gradient(*start) * extent).max() < SAME:
            return start[None]  # an isolated point: two roots meet in it, and there are none on either side

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
        """Return the nearest point of the curve that is in the range."""
        for _ in range(2):
            slope = self.gradient(*point)
            point = point - self.residual(*point).real * slope / (slope @ slope)
        near = [end for end in (self.low, self.high) if abs(point[0] - end) < SAME * (self.high - self.low)]
        return np.array([near[0] if near else point[0], point[1]])


def _ending(event: Callable[..., Any]) -> Callable[..., Any]:
    """Return an event that ends the integration where it falls through zero."""
    event.terminal, event.direction = True, -1  # type: ignore[attr-defined]
    return event


def _ascending(points: FloatArray, fold_first: bool, fold_last: bool) -> Curve:
    if points[0, 0] <= points[-1, 0]:
        return Curve(points, (fold_first, fold_last))
    return Curve(points[::-1], (fold_last, fold_first))
