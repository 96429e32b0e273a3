r"""Whether a flow has come to rest, or is only slow.

With x = d log|y|/dt of everything that moves, a flow that dies out exponentially, x ~ e^(-kappa t), has the relative
distance |x|/kappa still to go, and kappa = -x . (dx/dt)/|x|^2. Beside a ghost, where two fixed points have met and
vanished, x is as small, but it does not die out: kappa is zero or negative, and there is no rest.
"""

import numpy as np

from dynamics.vector_field.base import VectorField
from dynamics.vector_field.eigenmode_state import State, each

SMALL = 1e-6  # relative distance at which a flow is at rest
DEAD = 1e-6  # of the largest at the start: a singular value that shrinks below it is at rest at zero
PROBE = SMALL  # relative, of the step that tells how x changes: it must not step over what it looks for
ROUNDING = 1e-13  # relative to the speeds met: below it, x is no speed


class Rest:
    """Asked at one state of a trajectory after another whether the flow is at rest there."""

    def __init__(self, start: State, forces: VectorField, learning_rate):
        self.forces, self.learning_rate = forces, learning_rate
        self.floors = each(lambda part: DEAD * np.abs(part).max(), start)
        self.noise = max(ROUNDING, forces.rtol if forces.quadratures else 0.0)
        self.speed, self.to_go = 0.0, np.inf
        # where all is at rest from the start, speeds are told by how they change beside it
        beside = each(lambda part: part * (1 + PROBE * np.linspace(-1, 1, len(part))), start)
        x, there = (self._log_velocity(state)[0] for state in (start, beside))
        self.fastest = np.abs(there - x).max() / PROBE

    def reached(self, state: State) -> bool:
        """True at rest; ``to_go`` is then the relative distance to go, and ``speed`` the largest |d log y/dt|."""
        x, alive = self._log_velocity(state)
        self.speed = np.abs(x).max(initial=0.0)
        direction = PROBE / self.speed if self.speed else 0.0
        ahead = each(lambda part, slope: part * np.exp(direction * slope), state, State(*_split(x, state)))
        change = np.where(alive, self._log_velocity(ahead)[0] - x, 0.0)
        self.fastest = max(self.fastest, self.speed)
        dying = -(x @ change)
        self.to_go = (x @ x) * direction * np.sqrt(x @ x) / dying if dying > 0 else np.inf
        return bool(self.to_go < SMALL or self.speed <= self.noise * self.fastest)

    def __str__(self):
        moving = f"moving at a relative speed of {self.speed:.2g}"
        if np.isfinite(self.to_go):
            return f"{moving}, with a relative distance of {self.to_go:.2g} to go if it slows down as it does"
        return f"{moving}, and not slowing down"

    def _log_velocity(self, state: State) -> tuple[np.ndarray, np.ndarray]:
        """d log|y|/dt of all parts, one after another, and which of them are not at rest at zero."""
        moving = self.forces.velocity(state, self.learning_rate)
        x, alive = [], []
        for part, slope, floor in zip(state, moving, self.floors, strict=True):
            if part is not None:
                dead = (part == 0) | ((np.abs(part) < floor) & (part * slope <= 0))
                x.append(np.where(dead, 0.0, slope / np.where(dead, 1.0, part)))
                alive.append(~dead)
        return np.concatenate(x), np.concatenate(alive)


def _split(x: np.ndarray, state: State) -> list:
    """The pieces of x that belong to the parts of the state."""
    parts = [part for part in state if part is not None]
    pieces = iter(np.split(x, np.cumsum([len(part) for part in parts])[:-1]))
    return [None if part is None else next(pieces) for part in state]
