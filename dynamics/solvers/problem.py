"""Problems: a model, its start and the options of a solution, validated once for every method."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from dynamics import errors
from dynamics.model.model import Model
from dynamics.model.parameters import Parameters, Structure
from dynamics.numerics.memory import check_fits
from dynamics.numerics.progress import check_progress
from dynamics.numerics.records import record_count, record_steps
from dynamics.vector_field.base import VectorField, choose_closure
from dynamics.vector_field.eigenmode_state import predictor_is_s
from dynamics.vector_field.factory import vector_field_of
from dynamics.vector_field.state import State

CLOSURE_SHARE = 0.1  # relative tolerance of the closure's quadrature, in units of rtol


@dataclass(frozen=True, eq=False)
class Problem:
    """A model and its start.

    model: the model, whose parameters broadcast with the start. s0: eigenvalues (..., M), or weights (..., M, N) of a
    model with correlated inputs. closure: name, never None. rtol: relative accuracy of the eigenvalues. members: shape
    of the ensemble. progress: show a progress bar; True, False or None.
    """

    model: Model
    s0: npt.NDArray[np.float64]
    closure: str
    rtol: float
    members: tuple[int, ...]
    progress: bool | None

    @cached_property
    def field(self) -> VectorField:
        """The vector field, which keeps the nodes and the error of its closure between calls."""
        return vector_field_of(self.model, self.closure, CLOSURE_SHARE * self.rtol)

    @property
    def start(self) -> State:
        """The state at the start."""
        return self.field.start(self.s0)

    @property
    def by_eigenmodes(self) -> bool:
        """True if eigenvectors do not change, so that the state consists of eigenvalues."""
        return self.model.inputs is None

    def starting_from(self, s0: npt.ArrayLike) -> Self:
        """Return the same problem with another start; only the start is validated, and the vector field is shared."""
        start = self.model.check_start(s0)
        axes = 1 if self.by_eigenmodes else 2
        return self.with_field(self.field, start, start.shape[:-axes])

    def with_field(self, field: VectorField, s0: npt.NDArray[np.float64], members: tuple[int, ...]) -> Self:
        """Return the problem of other, validated members, moved by a given vector field."""
        problem = replace(self, s0=s0, members=members)
        problem.__dict__["field"] = field  # in place of the cached property
        return problem


@dataclass(frozen=True, eq=False)
class FlowProblem(Problem):
    """A problem of ``solve``.

    times: (T,). learning_rate: None unless the model has a decay per step. atol: absolute accuracy of the eigenvalues.
    until: "steady" or None.
    """

    times: npt.NDArray[np.float64]
    learning_rate: float | None
    atol: float
    until: str | None

    @classmethod
    def of(
        cls,
        model: Model,
        s0: npt.ArrayLike,
        times: npt.ArrayLike,
        *,
        learning_rate: float | None = None,
        closure: str | None = None,
        rtol: float = 1e-8,
        atol: float = 1e-14,
        until: str | None = None,
        progress: bool | None = None,
    ) -> Self:
        """Validate the arguments of ``solve``; raises ArgumentError."""
        start, axes = _start(model, s0)
        problem = cls(
            model=model,
            s0=start,
            times=check_times(times),
            learning_rate=model.check_learning_rate(learning_rate),
            closure=choose_closure(model, closure),
            rtol=errors.positive_number("rtol", rtol),
            atol=errors.positive_number("atol", atol),
            until=_check_until(model, until),
            members=start.shape[:-axes],
            progress=_progress(progress),
        )
        problem.start  # noqa: B018  # refuses closures that the loss does not have, and infinite expectations
        check_memory(model, start, len(problem.times), "Ask for fewer times, or sweep to disk.")
        return problem

    @property
    def settings(self) -> dict[str, Any]:
        """Settings that a result keeps."""
        names = ("closure", "rtol", "atol", "learning_rate", "until")
        return {name: getattr(self, name) for name in names}


@dataclass(frozen=True, eq=False)
class DescentProblem(Problem):
    """A problem of ``iterate``.

    record: the argument. recorded: the recorded steps (T,). batch_size: for predicted fluctuations, or None.
    """

    steps: int
    learning_rate: float
    record: int | list[int]
    recorded: npt.NDArray[np.int64]
    batch_size: int | None

    @classmethod
    def of(
        cls,
        model: Model,
        s0: npt.ArrayLike,
        steps: int,
        learning_rate: float,
        *,
        batch_size: int | None = None,
        closure: str | None = None,
        rtol: float = 1e-8,
        record: int | Sequence[int] = 1,
        progress: bool | None = None,
    ) -> Self:
        """Validate the arguments of ``iterate``; raises ArgumentError."""
        start, axes = _start(model, s0)
        steps, count = errors.count("steps", steps, 0), record_count(record, steps)
        learning_rate = errors.positive_number("learning_rate", learning_rate)
        rtol, closure = errors.positive_number("rtol", rtol), choose_closure(model, closure)
        progress = _progress(progress)
        check_memory(model, start, count, "Record fewer steps (record), or sweep to disk.")
        problem = cls(
            model=model,
            s0=start,
            steps=steps,
            learning_rate=learning_rate,
            closure=closure,
            rtol=rtol,
            record=np.asarray(record).tolist(),
            recorded=record_steps(record, steps),
            batch_size=_check_batch_size(model, start, batch_size),
            members=start.shape[:-axes],
            progress=progress,
        )
        problem.start  # noqa: B018  # refuses closures that the loss does not have, and infinite expectations
        return problem

    @property
    def settings(self) -> dict[str, Any]:
        """Settings that a result keeps."""
        names = ("learning_rate", "steps", "batch_size", "record", "closure", "rtol")
        return {name: getattr(self, name) for name in names}


# --- checks ---------------------------------------------------------------------------------------------------------


def _start(model: Model, s0: npt.ArrayLike) -> tuple[npt.NDArray[np.float64], int]:
    """Return the validated start, and the number of its trailing axes that do not belong to the ensemble."""
    errors.instance("model", model, Model, "be a Model")
    return model.check_start(s0), 1 if model.inputs is None else 2


def _progress(progress: bool | None) -> bool | None:
    check_progress(progress)
    return progress


def check_times(times: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """Return times (T,), ascending and non-negative; raises ArgumentError."""
    requirement = "be ascending, non-negative times of shape (T,)"
    checked = errors.non_negative("times", times, requirement)
    if checked.ndim != 1 or not len(checked) or (np.diff(checked) < 0).any():
        errors.reject("times", requirement, checked)
    return checked


def _check_until(model: Model, until: str | None) -> str | None:
    if until is None:
        return None
    errors.choice("until", until, ("steady",))
    if model.inputs is not None:
        errors.reject("until", "be left out for a model with `inputs`", until)
    return until


def _check_batch_size(model: Model, s0: npt.NDArray[np.float64], batch_size: int | None) -> int | None:
    if batch_size is None:
        return None
    if model.inputs is not None:
        requirement = "be left out for a model with `inputs`, because its fluctuations are not derived"
        errors.reject("batch_size", requirement, batch_size)
    if s0.ndim > 1:
        requirement = "be left out for an ensemble, because fluctuations are predicted for one trajectory only"
        errors.reject("batch_size", requirement, batch_size)
    return errors.count("batch_size", batch_size)


def stored_arrays(structure: Structure, parameters: Parameters) -> int:
    """Return the number of arrays of a trajectory: s, and target and predictor if they differ from s."""
    return 2 + structure.separate_target - predictor_is_s(structure, parameters)


def check_memory(model: Model, s0: npt.NDArray[np.float64], times: int, remedy: str) -> None:
    """Raise ArgumentError unless the trajectory from eigenvalues (..., M) or weights (..., M, N) fits into memory."""
    if model.inputs is None:
        arrays, shape = stored_arrays(model.structure, model.parameters), s0.shape
    else:
        arrays, shape = 3 + s0.shape[-1], s0.shape[:-1]
    check_fits(math.prod(shape[:-1]), times, arrays * shape[-1], remedy)
