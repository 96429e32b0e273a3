"""Validate the arguments of ``solve`` and ``iterate``: a model, initial eigenvalues or weights, and options."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from dynamics import errors
from dynamics.model.components import EMA, Reconstruction
from dynamics.model.model import Model, check_model
from dynamics.model.momentum import Momentum, check_momentum, momentum_settings
from dynamics.model.parameters import Parameters, Structure
from dynamics.model.schedules import PerStep, StepSchedules, TimeSchedules
from dynamics.numerics.memory import check_fits, check_size, check_steps
from dynamics.numerics.progress import check_progress
from dynamics.numerics.records import record_count, record_steps
from dynamics.numerics.values import Value
from dynamics.vector_field.base import VectorField, choose_closure
from dynamics.vector_field.eigenmode_state import predictor_is_s
from dynamics.vector_field.extremes import extreme_argument
from dynamics.vector_field.factory import vector_field_of
from dynamics.vector_field.state import State
from dynamics.vector_field.update import with_buffers

MOST_FLUCTUATING = 64  # number of modes up to which fluctuations are predicted
MOST_WEIGHTS = 128  # number of weights up to which fluctuations are predicted for correlated inputs
SAMPLED_NUMBERS = {  # measured count of numbers in memory, for each pair of modes; True: with a learned predictor
    False: 30_000,
    True: 160_000,
}
CLOSURE_SHARE = 0.1  # relative tolerance of the closure's quadrature, divided by rtol


@dataclass(frozen=True, eq=False)
class Problem(Value):
    """A model with initial eigenvalues or weights, and the options that flow and descent map have in common.

    s0: initial eigenvalues (..., M), or weights (..., M, N) of a model with correlated inputs. closure: name of the
    closure, the way in which expectations are computed; a default is already filled in. rtol: relative accuracy of the
    eigenvalues. members: shape (...) of the ensemble. W_P0: initial weights (..., M, M) of a learned predictor, or None
    for the default. layers0: initial singular values (..., L, M) of the layers of a deep encoder, or None for equal
    layers. progress: True to show a progress bar, False to show none, or None to show it on a terminal during
    long work.
    """

    model: Model
    s0: npt.NDArray[np.float64]
    closure: str
    rtol: float
    members: tuple[int, ...]
    W_P0: npt.NDArray[np.float64] | None
    layers0: npt.NDArray[np.float64] | None
    progress: bool | None

    @cached_property
    def field(self) -> VectorField:
        """The vector field of the model, which keeps its quadrature nodes and error estimates between evaluations."""
        return vector_field_of(self.model, self.closure, CLOSURE_SHARE * self.rtol)

    @property
    def start(self) -> State:
        """Initial state of the dynamical variables, computed from the initial eigenvalues or weights s0."""
        start = self.field.start(self.s0)
        if self.layers0 is not None:
            target = self.layers0 if isinstance(self.model.target, EMA) else start.target
            start = start._replace(encoder=self.layers0, target=target)
        return start if self.W_P0 is None else start._replace(predictor=self.W_P0)

    @property
    def by_eigenmodes(self) -> bool:
        """True if each dynamical variable has one value for each mode.

        False for the weights of a model with correlated inputs, and for the layers of a deep encoder.
        """
        return not self.model.by_weights and self.model.depth == 1

    @property
    def starts_from_s0(self) -> bool:
        """True if encoder and target both have the eigenvalues s0 at first, and modes with s0 = 0 stay collapsed."""
        return not self.model.by_weights and not isinstance(self.model.target, Reconstruction)

    def starting_from(self, s0: npt.ArrayLike) -> Self:
        """Return the problem with other initial eigenvalues or weights s0; only s0 is validated.

        Both problems use the same vector field.
        """
        start = self.model.check_start(s0)
        axes = 2 if self.model.by_weights else 1
        return self.with_field(self.field, start, start.shape[:-axes])

    def with_field(self, field: VectorField, s0: npt.NDArray[np.float64], members: tuple[int, ...]) -> Self:
        """Return the problem with another vector field and with other initial values s0, which are already validated.

        members: shape of the ensemble in s0.
        """
        problem = replace(self, s0=s0, members=members)
        problem.__dict__["field"] = field  # replaces the cached property
        return problem


@dataclass(frozen=True, eq=False)
class FlowProblem(Problem):
    """The arguments of ``solve``, validated.

    times: times of the result, (T,). schedules: parameters that depend on time, and the learning rate, which models
    with an ``EMA`` target or a tracked correlation require because their decay is given per step. atol: absolute
    accuracy of the eigenvalues. until: "steady" to end the solution at a steady state, or None.
    """

    times: npt.NDArray[np.float64]
    schedules: TimeSchedules
    atol: float
    until: str | None

    @classmethod
    def of(
        cls,
        model: Model,
        s0: npt.ArrayLike,
        times: npt.ArrayLike,
        *,
        learning_rate: float | Callable[[float], float] | None = None,
        schedules: Mapping[str, Any] | None = None,
        W_P0: npt.ArrayLike | None = None,
        layers0: npt.ArrayLike | None = None,
        closure: str | None = None,
        rtol: float = 1e-8,
        atol: float = 1e-14,
        until: str | None = None,
        progress: bool | None = None,
    ) -> Self:
        """Return the problem that arguments of ``solve`` describe; raises ArgumentError if an argument is invalid."""
        start, axes = _start(model, s0)
        checked_times = check_times(times)
        of_time = TimeSchedules.of(model, checked_times, learning_rate, schedules)
        problem = cls(
            model=model,
            s0=start,
            times=checked_times,
            schedules=of_time,
            closure=choose_closure(model, closure),
            rtol=errors.positive_number("rtol", rtol),
            atol=errors.positive_number("atol", atol),
            until=_check_until(model, until, of_time),
            members=start.shape[:-axes],
            W_P0=_predictor_weights(model, start, W_P0),
            layers0=model.check_layers(start, layers0),
            progress=_progress(progress),
        )
        problem.start  # noqa: B018  # raises for closures that the loss does not have, and for infinite expectations
        check_memory(model, start, len(problem.times), "Request fewer times, or use `sweep`, which writes to disk.")
        return problem

    @property
    def settings(self) -> dict[str, Any]:
        """The arguments that the resulting trajectory keeps in its ``settings``, by name."""
        return {name: getattr(self, name) for name in ("closure", "rtol", "atol", "until")} | self.schedules.settings

    @property
    def learning_rate(self) -> Any:
        """Learning rate of the flow, a number or a function of time; None if the flow does not depend on it."""
        return self.schedules.learning_rate


@dataclass(frozen=True, eq=False)
class DescentProblem(Problem):
    """The arguments of ``iterate``, validated.

    schedules: learning rate, and parameters that change with the step. momentum: None for gradient descent without
    momentum. record: number of steps between two records, or a list of steps to record. recorded: all recorded steps
    (T,), including step 0 and the last step. batch: batch size and number of inputs of the networks for which
    fluctuations are predicted; None if no batch size is given.
    """

    steps: int
    schedules: StepSchedules
    momentum: Momentum | None
    record: int | list[int]
    recorded: npt.NDArray[np.int64]
    batch: tuple[int, int] | None

    @classmethod
    def of(
        cls,
        model: Model,
        s0: npt.ArrayLike,
        steps: int,
        learning_rate: PerStep,
        *,
        momentum: float | Momentum = 0.0,
        schedules: Mapping[str, PerStep] | None = None,
        batch_size: int | None = None,
        input_dimension: int | None = None,
        W_P0: npt.ArrayLike | None = None,
        layers0: npt.ArrayLike | None = None,
        closure: str | None = None,
        rtol: float = 1e-8,
        record: int | Sequence[int] = 1,
        progress: bool | None = None,
    ) -> Self:
        """Return the problem that arguments of ``iterate`` describe; raises ArgumentError if an argument is invalid."""
        start, axes = _start(model, s0)
        steps = check_steps(steps)
        count = record_count(record, steps)
        per_step, checked_momentum = StepSchedules.of(model, steps, learning_rate, schedules), check_momentum(momentum)
        rtol, closure = errors.positive_number("rtol", rtol), choose_closure(model, closure)
        progress = _progress(progress)
        check_memory(model, start, count, "Record fewer steps (`record`), or use `sweep`, which writes to disk.")
        problem = cls(
            model=model,
            s0=start,
            steps=steps,
            schedules=per_step,
            momentum=checked_momentum,
            closure=closure,
            rtol=rtol,
            record=np.asarray(record).tolist(),
            recorded=record_steps(record, steps),
            batch=_check_batch(model, start, batch_size, input_dimension, per_step, checked_momentum),
            members=start.shape[:-axes],
            W_P0=_predictor_weights(model, start, W_P0),
            layers0=model.check_layers(start, layers0),
            progress=progress,
        )
        problem.start  # noqa: B018  # raises for closures that the loss does not have, and for infinite expectations
        return problem

    @property
    def settings(self) -> dict[str, Any]:
        """The arguments that the resulting trajectory keeps in its ``settings``, by name."""
        batch_size, input_dimension = self.batch or (None, None)
        of_batch = {"batch_size": batch_size, "input_dimension": input_dimension}
        others = {name: getattr(self, name) for name in ("steps", "record", "closure", "rtol")}
        return self.schedules.settings | momentum_settings(self.momentum) | others | of_batch

    @property
    def learning_rate(self) -> Any:
        """Learning rate, a number or an array with one value for each step."""
        return self.schedules.learning_rate

    @property
    def start(self) -> State:
        """Initial state of the dynamical variables, with the buffers of momentum."""
        return with_buffers(super().start, self.momentum)


def because_of_extremes(problem: Problem) -> str:
    """Return the words that end a status if rates overflow at the start: the cause of the overflow.

    The cause is an argument or a parameter of the model with an extreme value. The result is empty if the cause is s0.
    """
    arguments = {name: getattr(problem, name, None) for name in ("s0", "times", "learning_rate")}
    arguments = {name: value for name, value in arguments.items() if value is not None and not callable(value)}
    name, value = extreme_argument(problem.model, problem.s0, **arguments)
    return "" if name == "s0" else f", because `{name}` is {errors.excerpt(value)}"


# --- checks ---------------------------------------------------------------------------------------------------------


def _start(model: Model, s0: npt.ArrayLike) -> tuple[npt.NDArray[np.float64], int]:
    """Return (validated initial eigenvalues or weights, number of their last axes that are not ensemble axes)."""
    check_model(model)
    return model.check_start(s0), 2 if model.by_weights else 1


def _predictor_weights(
    model: Model, start: npt.NDArray[np.float64], W_P0: npt.ArrayLike | None
) -> npt.NDArray[np.float64] | None:
    """Return validated initial weights of a learned predictor; None if none are given.

    start: validated initial eigenvalues, or weights of the encoder.
    """
    if model.by_weights:
        return model.check_predictor_weights(start, W_P0)
    if W_P0 is not None:
        requirement = (
            "be left out for white inputs, whose theory starts from eigenvalues and an aligned predictor (`init`); for "
            "another start, give the model the `inputs` np.eye(N)"
        )
        errors.reject("W_P0", requirement, W_P0)
    return None


def _progress(progress: bool | None) -> bool | None:
    check_progress(progress)
    return progress


def check_times(times: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """Return times (T,) as an array; raises ArgumentError unless the times are ascending and non-negative."""
    requirement = "be ascending, non-negative times of shape (T,)"
    checked = errors.non_negative("times", times, requirement)
    if checked.ndim != 1 or not len(checked) or (np.diff(checked) < 0).any():
        until = f"For times up to {checked:g} use np.linspace(0, {checked:g}, 101)." if checked.ndim == 0 else ""
        errors.reject("times", requirement, checked if checked.ndim else times, until)
    return checked


def _check_until(model: Model, until: str | None, schedules: TimeSchedules) -> str | None:
    if until is None:
        return None
    if not schedules.are_constant:
        requirement = "be left out with schedules, because a flow that depends on time has no steady state"
        errors.reject("until", requirement, until)
    errors.choice("until", until, ("steady",))
    if model.by_weights:
        requirement = "be left out for a model with `inputs`, because steady states are detected for eigenmodes only"
        errors.reject("until", requirement, until)
    return until


def _check_batch(
    model: Model,
    s0: npt.NDArray[np.float64],
    batch_size: int | None,
    input_dimension: int | None,
    schedules: StepSchedules,
    momentum: Momentum | None,
) -> tuple[int, int] | None:
    """Return the validated batch size and number of inputs; None if no batch size is given."""
    if batch_size is None:
        if input_dimension is not None:
            requirement = "be left out without `batch_size`, because only predictions at finite batch size depend on it"
            errors.reject("input_dimension", requirement, input_dimension)
        return None
    if momentum is not None or not schedules.are_constant:
        name = "schedules" if momentum is None else "momentum"
        requirement = (
            f"be left out with {name}, because fluctuations are predicted for steps that are all alike and depend on "
            "the present gradient only"
        )
        errors.reject("batch_size", requirement, batch_size)
    if s0.ndim > (2 if model.by_weights else 1):
        requirement = "be left out for an ensemble, because fluctuations are predicted for one trajectory only"
        errors.reject("batch_size", requirement, batch_size)
    if (reason := too_many_fluctuating(model.structure, s0)) is not None:
        errors.reject(
            "batch_size",
            f"be left out for {reason}, because the memory for the prediction of fluctuations grows as the square of "
            "this number",
            batch_size,
        )
    if (unpredicted := without_fluctuations(model)) is not None:
        what, predicted = unpredicted
        errors.reject(
            "batch_size", f"be left out for {what}, because fluctuations are predicted {predicted}", batch_size
        )
    batch_size = errors.count("batch_size", batch_size)
    if model.by_weights:
        N = len(model.inputs)
        if input_dimension not in (None, N):
            errors.reject(
                "input_dimension",
                f"be left out or be {N}, the number of inputs in the model's `inputs`",
                input_dimension,
            )
        return batch_size, N
    if input_dimension is None:
        requirement = (
            "be the number N of inputs of the networks if `batch_size` is given: the gradient has noise along every "
            "input, so that the prediction depends on N"
        )
        errors.reject("input_dimension", requirement, input_dimension)
    input_dimension = errors.count("input_dimension", input_dimension, s0.size)
    at_once = SAMPLED_NUMBERS[model.structure.predictor == "learned"] * s0.size**2
    check_size("The samples for the prediction at this batch size", at_once, "Give fewer modes.")
    return batch_size, input_dimension


def without_fluctuations(model: Model) -> tuple[str, str] | None:
    """Return None if the fluctuations of networks of a model can be predicted, whatever the number of its variables.

    Otherwise return two texts: the part of the model for which there is no prediction, and the parts for which there is
    one.
    """
    if model.by_weights and model.structure.predictor == "learned":
        return "a learned predictor with correlated inputs", "for white inputs only"
    if model.depth > 1 or isinstance(model.target, Reconstruction):
        what = "a deep encoder and for the target Reconstruction()"
        return what, "for encoders of one layer and targets that follow the encoder"
    return None if model.views is None else ("a model with `views`", "for white noise only")


def too_many_fluctuating(structure: Structure, s0: npt.NDArray[np.float64]) -> str | None:
    """Return None if the fluctuations of a model can be predicted, or a text if the model has too many variables.

    The text names the variables and the largest number of variables that is allowed. s0: initial eigenvalues (M,), or
    weights (M, N) of a model with correlated inputs.
    """
    if s0.ndim == 1:
        return f"more than {MOST_FLUCTUATING} modes" if s0.size > MOST_FLUCTUATING else None
    number = s0.size * (1 + structure.separate_target) + len(s0) ** 2 * structure.tracked
    parts = ", ".join(
        ["encoder", *["target"] * structure.separate_target, *["tracked correlation"] * structure.tracked]
    )
    return f"more than {MOST_WEIGHTS} weights ({parts}: {number})" if number > MOST_WEIGHTS else None


def stored_arrays(structure: Structure, parameters: Parameters) -> int:
    """Return the number of arrays (T, M), for T times and M modes, that a trajectory stores.

    Eigenvalues of the target or of the predictor that equal the correlation's eigenvalues s need no array.
    """
    return 2 + structure.separate_target - predictor_is_s(structure, parameters)


def check_memory(model: Model, s0: npt.NDArray[np.float64], times: int, remedy: str) -> None:
    """Raise ArgumentError unless the trajectory from s0 fits into memory.

    s0: initial eigenvalues (..., M), or weights (..., M, N). times: number of times or recorded steps. remedy: advice
    with which the message ends, such as to request fewer times.
    """
    if not model.by_weights:
        arrays, shape = stored_arrays(model.structure, model.parameters), s0.shape
    else:
        arrays, shape = 3 + s0.shape[-1], s0.shape[:-1]
    check_fits(math.prod(shape[:-1]), times, arrays * shape[-1], remedy)
