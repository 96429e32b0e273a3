r"""Detect the steady state of a flow, and distinguish a steady state from a slow flow.

Let y be the dynamical variables and x = d log|y|/dt their relative velocity. If a flow converges exponentially, x
decays as e^(-kappa t) with the decay rate kappa = -x . (dx/dt)/|x|^2. The relative distance of y from the steady state
is then |x|/kappa. A flow is also slow near a ghost, the place where two fixed points have met and vanished. There x is
small but does not decay: kappa is zero or negative, and there is no steady state.
"""

from typing import Any

import numpy as np
import numpy.typing as npt

from dynamics.model.parameters import Parameters, Structure
from dynamics.vector_field.base import VectorField
from dynamics.vector_field.state import State, each

SMALL = 1e-6  # relative distance from the steady state below which a flow has converged
COLLAPSED = 1e-6  # fraction of the largest initial value below which a shrinking variable has converged to zero
PROBE = SMALL  # relative size of the step over which dx/dt is measured; so small a step crosses no fixed point
EQUAL = 0.1  # relative spread of singular values, divided by ``rtol``, below which all modes count as equal
ROUNDING = 1e-13  # rounding error of |x|, relative to the largest |x| so far


class SteadyState:
    """A detector of convergence to a steady state, which receives the states of a trajectory one after another.

    to_go: estimated relative distance of the last state from the steady state. speed: largest |d log|y|/dt| over all
    dynamical variables y, in the last state.
    """

    def __init__(self, start: State, field: VectorField, learning_rate: float | None):
        self.field, self.learning_rate = field, learning_rate
        self.floors = each(lambda part: COLLAPSED * np.abs(part).max(), start)
        self.noise = max(ROUNDING, field.rtol if field.quadratures else 0.0)
        self.speed, self.to_go = 0.0, float("inf")
        # A flow may start at a fixed point; speeds are then compared with the speeds next to the fixed point.
        beside = each(lambda part: part * (1 + PROBE * np.linspace(-1, 1, part.shape[-1])), start)
        x, x_beside = (self._log_velocity(state)[0] for state in (start, beside))
        self.fastest = np.abs(x_beside - x).max() / PROBE

    def reached(self, state: State) -> bool:
        """Return True if the flow has converged to its steady state when it reaches ``state``."""
        x, moving = self._log_velocity(state)
        self.speed = float(np.abs(x).max(initial=0.0))
        duration = PROBE / self.speed if self.speed else 0.0
        ahead = each(lambda part, slope: part * np.exp(duration * slope), state, State(*_split(x, state)))
        change = np.where(moving, self._log_velocity(ahead)[0] - x, 0.0)
        self.fastest = max(self.fastest, self.speed)
        decay = -(x @ change)
        self.to_go = float((x @ x) * duration * np.sqrt(x @ x) / decay) if decay > 0 else np.inf
        return bool(self.to_go < SMALL or self.speed <= self.noise * self.fastest)

    def note_decay(self, state: State, decay: float) -> float:
        """Register that only weight decay changes the modes after ``state``; return the duration until the collapse.

        decay: the weight decay rho.
        """
        self.speed, self.to_go = decay, np.inf
        return float(np.log(2 * state.encoder.max() / self.floors.encoder) / decay)

    def __str__(self) -> str:
        speed = f"moving at a relative speed of {self.speed:.2g}"
        if np.isfinite(self.to_go):
            return f"{speed}, at a relative distance of {self.to_go:.2g} from a steady state if it keeps slowing down"
        return f"{speed}, and not slowing down"

    def _log_velocity(self, state: State) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.bool_]]:
        """Return d log|y|/dt of all dynamical variables y, concatenated, and a mask, True for variables that move.

        Variables that have collapsed to zero do not move, and their d log|y|/dt is set to zero.
        """
        velocity = self.field.velocity(state, self.learning_rate)
        x, moving = [], []
        for part, slope, floor in zip(state, velocity, self.floors, strict=True):
            if part is not None:
                collapsed = (part == 0) | ((np.abs(part) < floor) & (part * slope <= 0))
                x.append(np.where(collapsed, 0.0, slope / np.where(collapsed, 1.0, part)).ravel())
                moving.append(~collapsed.ravel())
        return np.concatenate(x), np.concatenate(moving)


class EqualModes:
    """A detector of equal modes, for losses whose flow without weight decay conserves a sum over all modes.

    Equal modes stay equal by symmetry. Without weight decay, the conserved sum then fixes their common value, so that
    the rates are zero. Therefore only the weight decay rho changes equal modes: from a time t1 at which the modes are
    equal to within EQUAL times ``rtol``, the flow is s(t) = s(t1) e^(-2 rho (t - t1)).
    """

    def __init__(self, field: VectorField, rtol: float):
        conserves = field.model.generated.conserved is not None
        self.applies = field.axes == 1 and keeps_equal_modes(conserves, field.structure, field.parameters)
        self.rtol, self.spread = rtol, np.inf

    def reached(self, state: State) -> bool:
        """Return True if the nonzero singular values have become equal, and still approach each other.

        The singular values in ``state`` must be closer to each other than in the state of the previous call.
        """
        if not self.applies:
            return False
        before, self.spread = self.spread, float(spread(state.encoder))
        return self.spread < min(EQUAL * self.rtol, before)


def keeps_equal_modes(conserves: bool, structure: Structure, parameters: Parameters) -> bool:
    """Return True if equal modes stay equal and only weight decay changes them (see ``EqualModes``).

    Modes with different second moments of the views do not stay equal. conserves: True if the flow without weight decay
    conserves a sum over all modes. structure, parameters: components and parameters of the model.
    """
    if parameters.cross.shape[-1] > 1:
        return False
    alone = structure.predictor != "learned" and not structure.separate_target and not structure.tracked
    return conserves and alone


def spread(w: Any) -> Any:
    """Return the relative difference between the largest and the smallest nonzero |w|; inf if all w are zero.

    w: singular values (M,) of the encoder, in NumPy or JAX.
    """
    xp = w.__array_namespace__()
    w = xp.abs(w)
    largest, smallest = xp.max(w), xp.min(xp.where(w > 0, w, xp.inf))
    return xp.where(largest > 0, (largest - smallest) / xp.where(largest > 0, largest, 1.0), xp.inf)


def _split(x: npt.NDArray[np.float64], state: State) -> list[Any]:
    """Split the concatenated array x into one array for each dynamical variable; None where the state has None."""
    parts = [part for part in state if part is not None]
    pieces = iter(np.split(x, np.cumsum([part.size for part in parts])[:-1]))
    return [None if part is None else next(pieces).reshape(part.shape) for part in state]
