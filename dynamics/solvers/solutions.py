"""Define the solutions that methods return. ``solve`` and ``iterate`` make trajectories from these solutions."""

from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from dynamics.vector_field.state import Observables


@dataclass(frozen=True)
class Flow:
    """Solution of a flow problem: observables (..., T, M) along the flow, inf after a divergence.

    blow_up_time: time at which each ensemble member diverges, (...); inf for a member that does not diverge. status: a
    text that states how the integration ended. reached: number of output times that were reached; None for all of them.
    steady_time: time at which each member converged to a steady state, (...); inf if the member did not converge or if
    convergence was not tested. The observables of a member are constant after it has converged.
    """

    observables: Observables
    blow_up_time: npt.NDArray[np.float64]
    status: str = "complete"
    reached: int | None = None
    steady_time: npt.NDArray[np.float64] = field(default_factory=lambda: np.array(np.inf))


class Fluctuations(NamedTuple):
    """Predicted fluctuations over networks, at one step or, with a leading axis T, at all recorded steps.

    deviation: standard deviation (M,) of the eigenvalues. reliable: True as long as fluctuations have been small enough
    for the prediction. The other entries are None unless the model has correlated inputs. mode_mean, mode_deviation:
    mean and standard deviation (M,) of the variances u_m . C u_m, where C is the correlation of a network at the
    present step, and u_m are the eigenvectors of the correlation before the first step. mode_reliable: True as long as
    mode_mean and mode_deviation are reliable.
    """

    deviation: Any
    reliable: Any
    mode_mean: Any = None
    mode_deviation: Any = None
    mode_reliable: Any = None


class FiniteBatchDescent(NamedTuple):
    """Predictions for networks trained with finite batches, at the T recorded steps.

    population: eigenvalues (T, M) of the descent map, which is training on the whole population without fluctuations.
    fluctuations: standard deviations, and further predictions, over networks.
    """

    population: npt.NDArray[np.float64]
    fluctuations: Fluctuations

    @property
    def fields(self) -> dict[str, Any]:
        """The predictions as a dictionary; the keys are the names of the corresponding fields of a trajectory."""
        return {"population": self.population, **self.fluctuations._asdict()}


class Descent(NamedTuple):
    """Solution of a descent problem: observables (..., T, M) at the recorded steps (T,).

    Without a batch size, the observables are those of the descent map. With a batch size, the observables are means
    over networks. diverged: step at which each ensemble member diverged, (...); inf for a member that did not diverge.
    status: a text that states how the run ended. finite_batch: further predictions for networks; None without a batch
    size.
    """

    recorded: npt.NDArray[np.int64]
    observables: Observables
    diverged: npt.NDArray[np.float64]
    status: str
    finite_batch: FiniteBatchDescent | None = None
