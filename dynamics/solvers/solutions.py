"""Numerical solutions that methods return, before they become trajectories."""

from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from dynamics.vector_field.state import Observables


@dataclass(frozen=True)
class Flow:
    """Observables (..., T, ...) along the flow, inf after a divergence.

    blow_up_time: time at which each member diverges (...), inf if it does not. status: how the integration ended.
    reached: number of times that were reached, None for all. steady_time: time at which each member converged (...),
    inf if it did not or was not tested; its observables are constant afterwards.
    """

    observables: Observables
    blow_up_time: npt.NDArray[np.float64]
    status: str = "complete"
    reached: int | None = None
    steady_time: npt.NDArray[np.float64] = field(default_factory=lambda: np.array(np.inf))


class Descent(NamedTuple):
    """A run of the descent map.

    recorded: recorded steps (T,). observables: at these steps. deviation: predicted standard deviation (T, M) or None.
    diverged: step at which each member diverged (...), inf if it did not. status: how the run ended.
    """

    recorded: npt.NDArray[np.int64]
    observables: Observables
    deviation: npt.NDArray[np.float64] | None
    diverged: npt.NDArray[np.float64]
    status: str
