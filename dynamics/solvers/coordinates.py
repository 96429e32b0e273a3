"""Define the coordinates in which the flow is integrated numerically.

If the singular values of the encoder are the only dynamical variables, the coordinate of a mode is
y = 1/lambda - lambda, with the predictor eigenvalue lambda. For small lambda, y is nearly 1/lambda. A small mode grows
slowly, dlambda/dt ~ lambda^2, so that y of this mode is a linear function of time and is integrated accurately. Small
modes need this accuracy: a relative error delta of a small lambda(0) is amplified to delta/lambda(0) until the mode has
grown. An absolute error of y equals the relative error of lambda, multiplied by 1/lambda + lambda. The inverse of the
coordinate is lambda = (sqrt(y^2 + 4) - y)/2.

For models with further dynamical variables (target branch, learned predictor, tracked correlation, weight
matrices), the variables themselves are integrated.
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

Array = Any  # an array of NumPy or JAX

ROUNDING = 2.3e-14  # smallest relative tolerance; below it an integrator only follows rounding errors
QUADRATURE_NOISE = 0.1  # relative noise of rates from a quadrature, divided by the quadrature's tolerance
HUGE = 1e12  # a flow diverges if lambda exceeds both 1 and the largest initial lambda by this factor
SMALLEST = 1e-150  # smallest lambda, for collapsed modes whose floor^alpha underflows; y^2 is still finite at it


@dataclass(frozen=True)
class Reciprocal:
    """Coordinate y = 1/lambda - lambda of models whose only dynamical variable is the encoder.

    lambda = (s + floor)^alpha, with the eigenvalues s of the correlation.
    """

    alpha: Any  # exponent of the predictor, (1,)
    floor: float  # keeps lambda of collapsed modes above zero

    def forward(self, state: State) -> Array:
        """Return the coordinates y = 1/lambda - lambda (M,) of a state, with predictor eigenvalues lambda."""
        xp = state.encoder.__array_namespace__()
        lam = xp.maximum(eigenvalues.predictor(state.encoder**2, self.alpha, self.floor), SMALLEST)
        return 1 / lam - lam

    def backward(self, y: Array) -> State:
        """Return the state at coordinates y = 1/lambda - lambda (..., M), with predictor eigenvalues lambda."""
        s, _ = self.levels(y)
        return State(s.__array_namespace__().sqrt(s))

    def levels(self, y: Array) -> tuple[Array, Array]:
        """Return the eigenvalues s of the correlation and lambda of the predictor at coordinates y (..., M).

        lambda is the positive root of lambda^2 + y lambda = 1, computed without cancellation.
        """
        xp = y.__array_namespace__()
        larger = (xp.abs(y) + xp.sqrt(y * y + 4)) / 2
        lam = xp.where(y > 0, 1 / larger, larger)
        return xp.maximum(eigenvalues.predictor_inverse(lam, self.alpha) - self.floor, 0.0), lam

    def slope(self, y: Array, velocity: Callable[[State], State]) -> Array:
        """Return dy/dt of the coordinates y = 1/lambda - lambda in the flow d state/dt = velocity(state)."""
        s, lam = self.levels(y)
        w = s.__array_namespace__().sqrt(s)
        return -self.alpha * (lam + 1 / lam) * 2 * w * velocity(State(w)).encoder / (s + self.floor)

    def room(self, y: Array, start: Array) -> Array:
        """Return how far the coordinates y are from divergence; negative if the trajectory has diverged.

        start: initial coordinates (M,) of the trajectory.
        """
        xp = y.__array_namespace__()
        largest = xp.max(self.levels(start)[1])
        return xp.min(y) + HUGE * xp.maximum(largest, 1.0)

    def tolerances(self, rtol: float, noise: float) -> dict[str, Any]:
        """Return tolerances for an integrator of y that keep the relative error of the eigenvalues s near rtol.

        The absolute tolerance of y determines this error. The relative tolerance of y is as small as rounding errors
        and the relative ``noise`` of the rates allow.
        """
        return {"rtol": noise + ROUNDING, "atol": 0.1 * rtol * (self.alpha / (1 + self.alpha))[0]}


@dataclass(frozen=True)
class Plain:
    """Coordinate y of models with several dynamical variables or with weight matrices: all variables, concatenated."""

    kind: type  # class of the states: State
    shapes: dict[str, tuple[int, ...]]  # shape of each dynamical variable, by name
    atol: float  # absolute tolerance of the variables

    @classmethod
    def of(cls, state: State, atol: float) -> "Plain":
        """Return the coordinate for states whose dynamical variables have the shapes of the variables in ``state``."""
        shapes = {name: part.shape for name, part in state._asdict().items() if part is not None}
        return cls(type(state), shapes, atol)

    def forward(self, state: State) -> Array:
        """Return the coordinates y (E,) of a state: the E entries of all dynamical variables, concatenated."""
        xp = state[0].__array_namespace__()
        return xp.concat([xp.reshape(getattr(state, name), (-1,)) for name in self.shapes])

    def backward(self, y: Array) -> Any:
        """Return the state whose concatenated dynamical variables are y (..., E)."""
        parts, start = {}, 0
        for name, shape in self.shapes.items():
            stop = start + math.prod(shape)
            parts[name], start = y[..., start:stop].reshape(*y.shape[:-1], *shape), stop
        return self.kind(**parts)

    def slope(self, y: Array, velocity: Callable[[State], State]) -> Array:
        """Return dy/dt of the concatenated variables y in the flow d state/dt = velocity(state)."""
        return self.forward(velocity(self.backward(y)))

    def room(self, y: Array, start: Array) -> Array:
        """Return how far the coordinates y are from divergence; negative if the trajectory has diverged.

        start: initial coordinates of the trajectory.
        """
        xp = y.__array_namespace__()
        return np.sqrt(HUGE) * xp.maximum(xp.max(xp.abs(start)), 1.0) - xp.max(xp.abs(y))

    def tolerances(self, rtol: float, noise: float) -> dict[str, Any]:
        """Return tolerances for an integrator of y that keep the relative error of the eigenvalues s near rtol.

        noise: relative noise of the rates.
        """
        return {"rtol": 0.01 * rtol + noise + ROUNDING, "atol": self.atol}


def coordinate_of(state: State, parameters: Parameters, atol: float) -> Reciprocal | Plain:
    """Return the coordinate in which the flow from an initial state is integrated.

    atol: absolute tolerance of the eigenvalues s.
    """
    eigenmodes = state.encoder.ndim == 1
    alone = eigenmodes and all(part is None for part in state[1:])
    return Reciprocal(parameters.alpha, atol) if alone else Plain.of(state, atol)


def finite_coordinate_of(state: State, parameters: Parameters, atol: float) -> Reciprocal | Plain:
    """Return the result of ``coordinate_of`` if the coordinate is finite in this state, else a ``Plain`` coordinate.

    The coordinate y = 1/lambda - lambda contains s^alpha, which may overflow at large alpha even if the predictor is
    normalized.
    """
    coordinate = coordinate_of(state, parameters, atol)
    with np.errstate(all="ignore"):
        finite = np.isfinite(coordinate.forward(state)).all()
    return coordinate if finite else Plain.of(state, atol)


def noise_of(rates: VectorField) -> float:
    """Return the relative noise of rates due to quadrature; an integrator's error control must tolerate the noise."""
    return QUADRATURE_NOISE * rates.rtol if rates.quadratures else 0.0
