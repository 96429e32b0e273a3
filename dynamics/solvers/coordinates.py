"""Define the coordinates in which the flow is integrated numerically.

If the singular values of the encoder are the only dynamical variables of a model, the coordinate of a mode is
y = 1/lambda - lambda, where lambda is the predictor eigenvalue of the mode. A small mode grows slowly,
dlambda/dt ~ lambda^2. Its coordinate y is nearly 1/lambda, and 1/lambda is then a linear function of time, which an
integrator follows accurately. Small modes need this accuracy: a relative error delta of a small lambda(0) is amplified
to delta/lambda(0) by the time at which the mode has grown. If the coordinate y has an error dy, the relative error of
lambda is dy/(1/lambda + lambda). The eigenvalue follows from the coordinate by lambda = (sqrt(y^2 + 4) - y)/2.

In models with further dynamical variables (target branch, learned predictor, tracked correlation, weight matrices), the
coordinates are the dynamical variables themselves.
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
    """Coordinate y = 1/lambda - lambda for models whose only dynamical variable is the encoder.

    lambda = (s + floor)^alpha is the predictor eigenvalue of a mode before any normalization, where s is the eigenvalue
    of the correlation and alpha the exponent of the predictor (1 without a predictor). The small constant ``floor``
    keeps lambda of collapsed modes above zero.
    """

    alpha: Any  # exponent of the predictor, (1,)
    floor: float  # keeps lambda of collapsed modes above zero

    def forward(self, state: State) -> Array:
        """Return the coordinates y = 1/lambda - lambda (M,) of a state whose predictor eigenvalues are lambda."""
        xp = state.encoder.__array_namespace__()
        lam = xp.maximum(eigenvalues.predictor(state.encoder**2, self.alpha, self.floor), SMALLEST)
        return 1 / lam - lam

    def backward(self, y: Array) -> State:
        """Return the state whose predictor eigenvalues lambda obey 1/lambda - lambda = y. y: coordinates (..., M)."""
        s, _ = self.levels(y)
        return State(s.__array_namespace__().sqrt(s))

    def levels(self, y: Array) -> tuple[Array, Array]:
        """Return the correlation eigenvalues s and the predictor eigenvalues lambda at coordinates y (..., M).

        lambda is the positive root of the equation lambda^2 + y lambda = 1. The formula for the root avoids the
        difference of nearly equal numbers.
        """
        xp = y.__array_namespace__()
        larger = (xp.abs(y) + xp.sqrt(y * y + 4)) / 2
        lam = xp.where(y > 0, 1 / larger, larger)
        return xp.maximum(eigenvalues.predictor_inverse(lam, self.alpha) - self.floor, 0.0), lam

    def slope(self, y: Array, velocity: Callable[[State], State]) -> Array:
        """Return the time derivative dy/dt of the coordinates y = 1/lambda - lambda.

        velocity: function that returns the time derivatives of the dynamical variables in a given state.
        """
        s, lam = self.levels(y)
        w = s.__array_namespace__().sqrt(s)
        return -self.alpha * (lam + 1 / lam) * 2 * w * velocity(State(w)).encoder / (s + self.floor)

    def limit(self, start: Array) -> Array:
        """Return the predictor eigenvalue lambda beyond which a trajectory counts as diverged.

        The limit exceeds both 1 and the largest initial lambda by the factor HUGE. start: initial coordinates (M,).
        """
        xp = start.__array_namespace__()
        return HUGE * xp.maximum(xp.max(self.levels(start)[1]), 1.0)

    def room(self, y: Array, limit: Array) -> Array:
        """Return how much the largest lambda may still grow; negative once lambda exceeds ``limit``.

        y: present coordinates (M,). limit: predictor eigenvalue that the method ``limit`` returned.
        """
        return y.__array_namespace__().min(y) + limit

    def tolerances(self, rtol: float, noise: float) -> dict[str, Any]:
        """Return tolerances for an integrator of y that give the eigenvalues s a relative error near ``rtol``.

        The result has the entries "rtol" and "atol", the relative and the absolute tolerance of y. The absolute
        tolerance of y determines the error of s. The relative tolerance of y is the smallest that rounding errors and
        quadrature errors allow. noise: relative size of irregular quadrature errors in the computed dy/dt.
        """
        return {"rtol": noise + ROUNDING, "atol": 0.1 * rtol * (self.alpha / (1 + self.alpha))[0]}


@dataclass(frozen=True)
class Plain:
    """Coordinates y that are the dynamical variables themselves, concatenated in one array.

    The class serves models with further dynamical variables besides the singular values of the encoder, models with
    weight matrices, and states in which the coordinate of ``Reciprocal`` overflows.
    """

    kind: type  # class of the states: State
    shapes: dict[str, tuple[int, ...]]  # shape of each dynamical variable, by name
    atol: float  # absolute tolerance of the variables

    @classmethod
    def of(cls, state: State, atol: float) -> "Plain":
        """Return the coordinates for states with the same dynamical variables, of the same shapes, as ``state``."""
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
        """Return the time derivative dy/dt of the concatenated dynamical variables y.

        velocity: function that returns the time derivatives of the dynamical variables in a given state.
        """
        return self.forward(velocity(self.backward(y)))

    def limit(self, start: Array) -> Array:
        """Return the absolute value of the variables beyond which a trajectory counts as diverged.

        The limit exceeds both 1 and the largest initial absolute value by the factor sqrt(HUGE). start: initial
        coordinates.
        """
        xp = start.__array_namespace__()
        return np.sqrt(HUGE) * xp.maximum(xp.max(xp.abs(start)), 1.0)

    def room(self, y: Array, limit: Array) -> Array:
        """Return how much the largest |y| may still grow; negative once |y| exceeds ``limit``.

        y: present coordinates. limit: absolute value that the method ``limit`` returned.
        """
        xp = y.__array_namespace__()
        return limit - xp.max(xp.abs(y))

    def tolerances(self, rtol: float, noise: float) -> dict[str, Any]:
        """Return tolerances for an integrator of y that give the eigenvalues s a relative error near ``rtol``.

        The result has the entries "rtol" and "atol", the relative and the absolute tolerance of y. noise: relative size
        of irregular quadrature errors in the computed dy/dt.
        """
        return {"rtol": 0.01 * rtol + noise + ROUNDING, "atol": self.atol}


def coordinate_of(state: State, parameters: Parameters, atol: float) -> Reciprocal | Plain:
    """Return the coordinates in which the flow from an initial state is integrated.

    atol: absolute accuracy of the eigenvalues s of the correlation. It becomes the constant ``floor`` of ``Reciprocal``
    coordinates, or the absolute tolerance of the variables in ``Plain`` coordinates.
    """
    eigenmodes = state.encoder.ndim == 1
    alone = eigenmodes and all(part is None for part in state[1:])
    return Reciprocal(parameters.alpha, atol) if alone else Plain.of(state, atol)


def finite_coordinate_of(state: State, parameters: Parameters, atol: float) -> Reciprocal | Plain:
    """Return the result of ``coordinate_of``, or ``Plain`` coordinates if that result overflows in ``state``.

    The coordinate y = 1/lambda - lambda of ``Reciprocal`` contains the power lambda = s^alpha without normalization. At
    a large exponent alpha this power may overflow, even if the model's predictor is normalized and therefore finite.
    """
    coordinate = coordinate_of(state, parameters, atol)
    with np.errstate(all="ignore"):
        finite = np.isfinite(coordinate.forward(state)).all()
    return coordinate if finite else Plain.of(state, atol)


def noise_of(rates: VectorField) -> float:
    """Return the relative size of the irregular errors that quadrature causes in computed rates.

    The error control of an integrator must tolerate these errors. The result is zero if the closure has no integrals.
    """
    return QUADRATURE_NOISE * rates.rtol if rates.quadratures else 0.0
