"""Numerical solutions as methods return them, from which ``solve`` and ``iterate`` make trajectories."""

from dataclasses import dataclass, field
from typing import Any, NamedTuple

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


class Fluctuations(NamedTuple):
    """Fluctuations over networks, at a step or, with a leading axis T, along the recorded steps.

    deviation: standard deviation (M,) of the eigenvalues. reliable: True up to the step until which fluctuations are
    small enough for the prediction. mode_mean, mode_deviation, mode_reliable: mean, standard deviation and reliability
    of the variances along the initial eigenvectors, for weights as matrices; None for eigenmodes.
    """

    deviation: Any
    reliable: Any
    mode_mean: Any = None
    mode_deviation: Any = None
    mode_reliable: Any = None


class FiniteBatchDescent(NamedTuple):
    """Predictions for networks trained with finite batches, at the recorded steps.

    population: eigenvalues (T, M) of the population map. fluctuations: those around the mean over networks.
    """

    population: npt.NDArray[np.float64]
    fluctuations: Fluctuations

    @property
    def fields(self) -> dict[str, Any]:
        """The predictions by the names that they have in a trajectory."""
        return {"population": self.population, **self.fluctuations._asdict()}


class Descent(NamedTuple):
    """Solution of a descent problem: observables (..., T, M) at the recorded steps (T,).

    The observables are those of the descent map or, with a batch size, of the mean over networks. diverged: step at
    which each ensemble member diverged, (...); inf for a member that did not diverge. status: how the run ended.
    finite_batch: further predictions for networks, with a batch size.
    """

    recorded: npt.NDArray[np.int64]
    observables: Observables
    diverged: npt.NDArray[np.float64]
    status: str
    finite_batch: FiniteBatchDescent | None = None
