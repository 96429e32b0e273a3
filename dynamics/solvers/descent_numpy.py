"""Iterate the descent map in NumPy, one step after another."""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

import numpy as np
import numpy.typing as npt

from dynamics.model.momentum import Momentum
from dynamics.numerics.progress import progress_bar
from dynamics.solvers.problem import DescentProblem, because_of_extremes
from dynamics.solvers.solutions import Descent
from dynamics.vector_field.base import VectorField
from dynamics.vector_field.state import State, each


def numpy_descent(problem: DescentProblem) -> Descent:
    """Iterate the descent map in NumPy.

    If the user interrupts the run, or if the integrals of the closure overflow, the result ends at the last step that
    was recorded before.
    """
    field, state, status = problem.field, problem.start, "complete"
    speed_up = 1.0 if problem.momentum is None else problem.momentum.speed_up
    recorded, observed = [0], [field.observables(state)]
    if problem.starts_from_s0:
        # exactly s0, because the square of a root has rounding errors
        observed[0] = observed[0]._replace(s=problem.s0, target=problem.s0)
    diverged, to_record = np.full(problem.members, np.inf), set(problem.recorded.tolist())
    with progress_bar(problem.steps, "iterate", problem.progress) as bar:
        try:
            for number in range(1, problem.steps + 1):
                learning_rate, scheduled = problem.schedules.at(number - 1)
                state, overflowed = one_step(state, field, learning_rate, scheduled, problem.momentum)
                field.accumulate(learning_rate * speed_up)
                diverged = np.where(overflowed & np.isinf(diverged), number, diverged)
                if overflowed.all():
                    break
                if number in to_record:
                    recorded.append(number)
                    with np.errstate(over="ignore"):  # members that are about to diverge would give warnings
                        observed.append(field.observables(state))
                bar.update()
        except KeyboardInterrupt:
            status = f"interrupted at step {number}"
        except FloatingPointError as error:
            status = f"stopped before step {number}: {error}{because_of_extremes(problem) if number == 1 else ''}"
    along_steps = each(lambda *values: np.stack(values, axis=diverged.ndim), *observed)
    return Descent(np.array(recorded), along_steps, diverged, status)


def one_step(
    state: State,
    field: VectorField,
    learning_rate: Any,
    scheduled: Mapping[str, Any] = MappingProxyType({}),
    momentum: Momentum | None = None,
) -> tuple[State, npt.NDArray[np.bool_]]:
    """Return the state after one step of gradient descent, and a mask (...), True for ensemble members that overflow.

    All variables of a member that overflows are set to inf. learning_rate: one number for all members, or an array
    (..., 1) with the learning rate of each member. scheduled, momentum: see ``VectorField.step``.
    """
    ensemble = len(field.batch(state))

    def overflows(part: Any) -> npt.NDArray[np.bool_]:
        return ~np.isfinite(part**2).all(axis=tuple(range(ensemble, part.ndim)))

    def where_diverged(value: float) -> Callable[[npt.NDArray[np.float64]], npt.NDArray[np.float64]]:
        return lambda part: np.where(diverged.reshape(*diverged.shape, *(1,) * (part.ndim - ensemble)), value, part)

    with np.errstate(over="ignore", invalid="ignore"):
        diverged = np.any([overflows(part) for part in state if part is not None], axis=0)
        safe = each(where_diverged(1.0), state) if diverged.any() else state
        following = field.step(safe, learning_rate, scheduled, momentum)
        diverged = np.any([diverged, *(overflows(part) for part in following if part is not None)], axis=0)
    return each(where_diverged(np.inf), following) if diverged.any() else following, diverged
