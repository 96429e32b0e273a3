r"""Curves F(p, x) = 0 in a plane: followed, and cut where they fold.

A curve is an orbit of the Hamiltonian field of F, (dp, dx) ~ (-F_x, F_p): parametrised by its length it passes folds,
where x is no function of p. SciPy integrates it, and Newton's method puts what it finds back onto the curve.
Derivatives are those of a complex step, exact to rounding, so F must take complex numbers.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import scipy.integrate
import scipy.optimize

TINY = 1e-30  # the complex step: its error is of second order
LENGTH, LONGEST_STEP = 50.0, 0.02  # of a curve, in units of its extent
SAME = 1e-12  # distance below which points are one
ON_FOLD = 1e-9  # F_x relative to the gradient at which a single point is a fold


class Curve(NamedTuple):
    """Points (K, 2) of (p, x), ascending in p, on a piece where x is a function of p; which of its ends are folds."""

    points: np.ndarray
    folds: tuple[bool, bool] = (False, False)


class Plane(NamedTuple):
    """F(p, x), the range of p, and the line x = floor(p) at which curves end."""

    residual: Callable
    low: float
    high: float
    floor: Callable[[float], float]

    def gradient(self, p: float, x: float) -> np.ndarray:
        """(F_p, F_x)."""
        return np.array([self.residual(p + TINY * 1j, x).imag, self.residual(p, x + TINY * 1j).imag]) / TINY

    def on_curve(self, p: float, x: float) -> float:
        """x of the curve at p, by Newton's method from nearby."""
        return float(scipy.optimize.newton(lambda x: self.residual(p, x).real, x, lambda x: self.gradient(p, x)[1]))

    def fold(self, near: np.ndarray) -> np.ndarray:
        """The point (p, x) with F = F_x = 0."""
        found = scipy.optimize.root(
            lambda point: [self.residual(*point).real, self.gradient(*point)[1]], near, options={"xtol": 1e-15}
        )
        return found.x

    def follow(self, start: np.ndarray) -> list[Curve]:
        """The curve through a point (p, x) of it, to where it leaves the range or meets the floor, cut at its folds."""
        there, back = (self._one_way(start, direction) for direction in (1, -1))
        points = np.concatenate([back[:0:-1], there])
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

    def _one_way(self, start: np.ndarray, direction: int) -> np.ndarray:
        """Points (K, 2), the start first."""
        extent = np.array([self.high - self.low, max(abs(start[1]), 1e-3)])
        if np.abs(self.gradient(*start) * extent).max() < SAME:
            return start[None]  # an isolated point: where two roots meet and go, on both sides of it

        def tangent(_, y):
            F_p, F_x = self.gradient(*(y * extent)) * extent
            return direction * np.array([-F_x, F_p]) / np.hypot(F_x, F_p)

        ends = [
            _ending(lambda _, y: y[0] * extent[0] - self.low),
            _ending(lambda _, y: self.high - y[0] * extent[0]),
            _ending(lambda _, y: y[1] * extent[1] - self.floor(np.clip(y[0] * extent[0], self.low, self.high))),
        ]
        found = scipy.integrate.solve_ivp(
            tangent, (0, LENGTH), start / extent, "DOP853", events=ends, max_step=LONGEST_STEP, rtol=1e-10, atol=1e-13
        )
        return np.array([start, *(self._projected(y * extent) for y in found.y.T[1:])])

    def _projected(self, point: np.ndarray) -> np.ndarray:
        """The nearest point of the curve that is in the range."""
        for _ in range(2):
            slope = self.gradient(*point)
            point = point - self.residual(*point).real * slope / (slope @ slope)
        near = [end for end in (self.low, self.high) if abs(point[0] - end) < SAME * (self.high - self.low)]
        return np.array([near[0] if near else point[0], point[1]])


def _ending(event: Callable) -> Callable:
    """An event that ends the integration where it falls through zero."""
    event.terminal, event.direction = True, -1  # type: ignore[attr-defined]
    return event


def _ascending(points: np.ndarray, fold_first: bool, fold_last: bool) -> Curve:
    if points[0, 0] <= points[-1, 0]:
        return Curve(points, (fold_first, fold_last))
    return Curve(points[::-1], (fold_last, fold_first))
