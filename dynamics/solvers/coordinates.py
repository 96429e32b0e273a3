"""Coordinates in which the flow is integrated numerically.

If the singular values of the encoder are the only dynamical variables, the coordinate of a mode is
y = 1/lambda - lambda, with the predictor eigenvalue lambda. For small lambda it is nearly 1/lambda, in which the slow
growth of small modes, d lambda/dt ~ lambda^2, is a straight line. The time of growth is then accurate, which matters
because a relative error delta of a small lambda(0) becomes delta/lambda(0) until the mode has grown. An absolute error
of y is a relative error of lambda times 1/lambda + lambda. The inverse is lambda = (sqrt(y^2 + 4) - y)/2.

Models with further dynamical variables (target branch, learned predictor, tracked correlation, weights as matrices) are
integrated in the variables themselves.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from dynamics.generated import eigenvalues
from dynamics.model.parameters import Parameters
from dynamics.vector_field.base import VectorField
from dynamics.vector_field.state import State

Array = Any  # of NumPy or JAX

ROUNDING = 2.3e-14  # smallest relative tolerance; below it an integrator only follows rounding errors
QUADRATURE_NOISE = 0.1  # relative noise of rates from a quadrature, in units of its tolerance
HUGE = 1e12  # an eigenvalue of the predictor this many times the largest at the start, or 1, diverges
SMALLEST = 1e-150  # least lambda, used if floor^alpha underflows for a collapsed mode; its y^2 is finite


@dataclass(frozen=True)
class Reciprocal:
    """Coordinate y = 1/lambda - lambda, lambda = (s + floor)^alpha, if only the encoder is a dynamical variable."""

    alpha: Any  # (1,)
    floor: float  # keeps lambda of collapsed modes above zero

    def forward(self, state: State) -> Array:
        """Return y (M,) of a state."""
        xp = state.encoder.__array_namespace__()
        lam = xp.maximum(eigenvalues.predictor(state.encoder**2, self.alpha, self.floor), SMALLEST)
        return 1 / lam - lam

    def backward(self, y: Array) -> State:
        """Return the state at y (..., M)."""
        s, _ = self.levels(y)
        return State(s.__array_namespace__().sqrt(s))

    def levels(self, y: Array) -> tuple[Array, Array]:
        """Return s and lambda, the positive root of lambda^2 + y lambda = 1, without cancellation."""
        xp = y.__array_namespace__()
        larger = (xp.abs(y) + xp.sqrt(y * y + 4)) / 2
        lam = xp.where(y > 0, 1 / larger, larger)
        return xp.maximum(eigenvalues.predictor_inverse(lam, self.alpha) - self.floor, 0.0), lam

    def slope(self, y: Array, velocity: Callable[[State], State]) -> Array:
        """Return dy/dt for d state/dt = velocity(state)."""
        s, lam = self.levels(y)
        w = s.__array_namespace__().sqrt(s)
        return -self.alpha * (lam + 1 / lam) * 2 * w * velocity(State(w)).encoder / (s + self.floor)

    def room(self, y: Array, start: Array) -> Array:
        """Return a distance of y from divergence, negative beyond it, for a trajectory from y = start (M,)."""
        xp = y.__array_namespace__()
        largest = xp.max(self.levels(start)[1])
        return xp.min(y) + HUGE * xp.maximum(largest, 1.0)

    def tolerances(self, rtol: float, noise: float) -> dict[str, Any]:
        """Return tolerances of y that keep the relative error of s near rtol, for rates with a relative ``noise``.

        The absolute tolerance decides; the relative tolerance is as small as noise and rounding allow.
        """
        return {"rtol": noise + ROUNDING, "atol": 0.1 * rtol * (self.alpha / (1 + self.alpha))[0]}


@dataclass(frozen=True)
class Plain:
    """Coordinate y of models in which more than the encoder moves: all dynamical variables, concatenated."""

    kind: type  # State
    shapes: dict[str, tuple[int, ...]]  # shapes of the parts that are not None
    atol: float

    @classmethod
    def of(cls, state: State, atol: float) -> "Plain":
        """Return the coordinate for states with the same parts as this one."""
        shapes = {name: part.shape for name, part in state._asdict().items() if part is not None}
        return cls(type(state), shapes, atol)

    def forward(self, state: State) -> Array:
        """Return y (entries,) of a state."""
        xp = state[0].__array_namespace__()
        return xp.concat([xp.reshape(getattr(state, name), (-1,)) for name in self.shapes])

    def backward(self, y: Array) -> Any:
        """Return the state at y (..., entries)."""
        parts, start = {}, 0
        for name, shape in self.shapes.items():
            stop = start + math.prod(shape)
            parts[name], start = y[..., start:stop].reshape(*y.shape[:-1], *shape), stop
        return self.kind(**parts)

    def slope(self, y: Array, velocity: Callable[[State], State]) -> Array:
        """Return dy/dt for d state/dt = velocity(state)."""
        return self.forward(velocity(self.backward(y)))

    def room(self, y: Array, start: Array) -> Array:
        """Return a distance of y from divergence, negative beyond it, for a trajectory from y = start."""
        xp = y.__array_namespace__()
        return np.sqrt(HUGE) * xp.maximum(xp.max(xp.abs(start)), 1.0) - xp.max(xp.abs(y))

    def tolerances(self, rtol: float, noise: float) -> dict[str, Any]:
        """Return tolerances of y that keep the relative error of s near rtol, for rates with a relative ``noise``."""
        return {"rtol": 0.01 * rtol + noise + ROUNDING, "atol": self.atol}


def coordinate_of(state: State, parameters: Parameters, atol: float) -> Reciprocal | Plain:
    """Return the coordinate in which states with the same parts as this one are integrated."""
    eigenmodes = state.encoder.ndim == 1
    alone = eigenmodes and all(part is None for part in state[1:])
    return Reciprocal(parameters.alpha, atol) if alone else Plain.of(state, atol)


def noise_of(rates: VectorField) -> float:
    """Return the relative noise of the rates that the error control allows for, which is due to their quadrature."""
    return QUADRATURE_NOISE * rates.rtol if rates.quadratures else 0.0
