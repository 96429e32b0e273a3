"""Numerical solutions as methods return them, from which ``solve`` and ``iterate`` make trajectories."""

from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from dynamics.vector_field.state import Observables


@dataclass(frozen=True)
class Flow:
    """Solution of a flow problem: observables (..., T, M) along the flow, inf after a divergence.

    blow_up_time: time at which each ensemble member diverges, (...); inf for a member that does not diverge. status:
    how the integration ended. reached: number of times that were reached, None for all. steady_time: time at which each
    member converged, (...), after which its observables are constant; inf for a member that did not converge, and if
    convergence was not tested.
    """

    observables: Observables
    blow_up_time: npt.NDArray[np.float64]
    status: str = "complete"
    reached: int | None = None
    steady_time: npt.NDArray[np.float64] = field(default_factory=lambda: np.array(np.inf))


class Descent(NamedTuple):
    """Solution of a descent problem: observables (..., T, M) at the recorded steps (T,) of the descent map.

    deviation: predicted standard deviation (T, M) of the eigenvalues in networks, or None. diverged: step at which each
    ensemble member diverged, (...); inf for a member that did not diverge. status: how the run ended.
    """

    recorded: npt.NDArray[np.int64]
    observables: Observables
    deviation: npt.NDArray[np.float64] | None
    diverged: npt.NDArray[np.float64]
    status: str
