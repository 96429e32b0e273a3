"""Numerical solutions that methods return, before they become trajectories."""

from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from dynamics.vector_field.state import Observables


@dataclass(frozen=True)
class Flow:
    """Observables (..., T, ...) along the flow, inf after a divergence.

    blow_up_time: when each member diverges (...), inf where it does not. status: how the integration ended. reached:
    how many times were reached, None for all. steady_time: when each member converged (...), inf where it did not or
    was not asked; its observables are constant from there.
    """

    observables: Observables
    blow_up_time: npt.NDArray[np.float64]
    status: str = "complete"
    reached: int | None = None
    steady_time: npt.NDArray[np.float64] = field(default_factory=lambda: np.array(np.inf))


class Descent(NamedTuple):
    """The recorded steps (T,), observables there, predicted deviation, step at which each member diverged, status."""

    recorded: npt.NDArray[np.int64]
    observables: Observables
    deviation: npt.NDArray[np.float64] | None
    diverged: npt.NDArray[np.float64]
    status: str
