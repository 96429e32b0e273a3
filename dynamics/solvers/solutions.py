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


class FiniteBatchDescent(NamedTuple):
    """Predictions for networks trained with finite batches, at the recorded steps.

    population: eigenvalues (T, M) of the population map. deviation: standard deviation (T, M) of the eigenvalues over
    networks. reliable: True up to the step until which fluctuations are small enough for the prediction, (T,).
    """

    population: npt.NDArray[np.float64]
    deviation: npt.NDArray[np.float64]
    reliable: npt.NDArray[np.bool_]


class Descent(NamedTuple):
    """A run of the descent map.

    recorded: recorded steps (T,). observables: at these steps, of the population map or, with finite batches, of the
    mean over networks. diverged: step at which each member diverged (...), inf if it did not. status: how the run
    ended. finite_batch: further predictions for networks trained with finite batches.
    """

    recorded: npt.NDArray[np.int64]
    observables: Observables
    diverged: npt.NDArray[np.float64]
    status: str
    finite_batch: FiniteBatchDescent | None = None
