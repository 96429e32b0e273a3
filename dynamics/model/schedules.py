"""Define schedules: values of the learning rate and of parameters of a model that change during a run.

Runs in steps take a number, an array with one value for each step, or a function of the step; the flow takes a number
or a function of time. Only the learning rate and parameters of the update rule (weight decay, and decays of exponential
averages) have schedules, because the expected gradient of the loss does not depend on these parameters.
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from dynamics import errors
from dynamics.model import checks
from dynamics.model.momentum import Momentum
from dynamics.model.options import symbols_of
from dynamics.numerics.memory import check_size

Model: TypeAlias = Any  # the class in ``dynamics.model.model``
FloatArray = npt.NDArray[np.float64]

PerStep: TypeAlias = npt.ArrayLike | Callable[[Any], Any]  # a number, values for all steps, or a function of the step

FIELDS = {"weight_decay": "rho", "decay": "decay", "tracking": "tracking"}  # fields of ``Parameters``, by parameter
CHECKS = {"weight_decay": errors.non_negative, "decay": checks.decay, "tracking": checks.decay_below_one}
SAME = 1e-5  # relative difference up to which two values of a function are equal: rounding in single precision
PER_STEP = "be a number, an array with one value for each of the {count} steps, or a function of the step"
IN_TIME = "be a number, or a function of time"


class StepSchedules(NamedTuple):
    """Learning rate and scheduled parameters of a run in steps: numbers, or arrays with one value for each step.

    parameters: dictionary from names of parameters of the model to their values.
    """

    learning_rate: Any
    parameters: dict[str, Any]

    @classmethod
    def of(cls, model: Model, steps: int, learning_rate: Any, schedules: Any = None) -> "StepSchedules":
        """Return the schedules that arguments of ``iterate`` and ``train`` describe.

        schedules: values for parameters of the model, by name. Raises ArgumentError if an argument is not valid.
        """
        if is_single(learning_rate):
            rate: Any = errors.positive_number("learning_rate", learning_rate)
        else:
            rate = _values("learning_rate", learning_rate, steps, errors.non_negative)
        return cls(
            rate,
            {
                name: _values(_quoted(name), value, steps, CHECKS[name])
                for name, value in _checked(model, schedules).items()
            },
        )

    @property
    def are_constant(self) -> bool:
        """True if the learning rate is a number and the parameters are those of the model."""
        return not self.parameters and not np.ndim(self.learning_rate)

    def at(self, number: Any) -> tuple[Any, dict[str, Any]]:
        """Return the learning rate of step ``number``, from 0 on, and the values for fields of ``Parameters``."""
        values = {FIELDS[name]: _at(values, number) for name, values in self.parameters.items()}
        return _at(self.learning_rate, number), values

    def times(self, steps: npt.NDArray[np.integer]) -> FloatArray:
        """Return the times after given numbers of steps (...), which are sums of the learning rates of these steps."""
        if not np.ndim(self.learning_rate):
            return self.learning_rate * steps
        return np.concatenate([[0.0], np.cumsum(self.learning_rate)])[steps]

    def mean(self) -> tuple[float, dict[str, float]]:
        """Return the means of learning rate and parameters over all steps, in the form of ``at``."""
        return float(np.mean(self.learning_rate)), {FIELDS[n]: float(np.mean(v)) for n, v in self.parameters.items()}

    @property
    def settings(self) -> dict[str, Any]:
        """The schedules as plain data, for the settings of a trajectory."""
        plain = {name: np.asarray(values).tolist() for name, values in self.parameters.items()}
        return {"learning_rate": np.asarray(self.learning_rate).tolist()} | ({"schedules": plain} if plain else {})


class TimeSchedules(NamedTuple):
    """Learning rate and scheduled parameters of a flow: numbers, or functions of time.

    learning_rate: None for a flow that does not depend on it. parameters: dictionary from names of parameters of the
    model to their values. settings: the values at the times of the result, as plain data.
    """

    learning_rate: Any
    parameters: dict[str, Any]
    settings: dict[str, Any]

    @classmethod
    def of(cls, model: Model, times: FloatArray, learning_rate: Any, schedules: Any = None) -> "TimeSchedules":
        """Return the schedules that arguments of ``solve`` describe; raises ArgumentError if an argument is invalid."""
        rate, settings = learning_rate, {}
        if callable(rate):
            model.check_learning_rate(1.0)
            rate, settings["learning_rate"] = _of_time("learning_rate", rate, times, errors.positive)
        else:
            rate = settings["learning_rate"] = model.check_learning_rate(rate)
        functions, plain = {}, {}
        for name, value in _checked(model, schedules).items():
            functions[name], plain[name] = _of_time(_quoted(name), value, times, CHECKS[name])
        return cls(rate, functions, settings | ({"schedules": plain} if plain else {}))

    @property
    def are_constant(self) -> bool:
        """True if the flow does not depend on time except through its state."""
        return not self.parameters and not callable(self.learning_rate)

    def at(self, t: float) -> tuple[Any, dict[str, Any]]:
        """Return the learning rate at a time, and the values for fields of ``Parameters``."""
        values = {FIELDS[name]: _value(value, t) for name, value in self.parameters.items()}
        return _value(self.learning_rate, t), values


def in_words(schedules: StepSchedules, momentum: Momentum | None) -> str:
    """Return the words that describe schedules and momentum in ``Trajectory.method``; "" if there are none."""
    names = ["learning_rate"] if np.ndim(schedules.learning_rate) else []
    names += [name for name, values in schedules.parameters.items() if np.ndim(values)]
    scheduled = f"scheduled {', '.join(names).replace('_', ' ')}" if names else ""
    parts = [part for part in (scheduled, "" if momentum is None else momentum.in_words) if part]
    return f" ({'; '.join(parts)})" if parts else ""


def is_single(value: Any) -> bool:
    """Return True for a number, and for any other value that is neither a function nor an array nor a list."""
    several = isinstance(value, (list, tuple, range)) or getattr(value, "ndim", 0) > 0
    return not (several or callable(value))


def _at(values: Any, number: Any) -> Any:
    return values[number] if np.ndim(values) else values


def _value(value: Any, t: float) -> Any:
    return float(value(t)) if callable(value) else value


def _quoted(name: str) -> str:
    return f"schedules['{name}']"


def _checked(model: Model, schedules: Any) -> dict[str, Any]:
    """Return the schedules of parameters by name; raise ArgumentError for a parameter that cannot have a schedule."""
    if schedules is None:
        return {}
    example = "be a dictionary, such as {'weight_decay': values}"
    errors.instance("schedules", schedules, Mapping, example)
    symbols = symbols_of(model) | symbols_of(model.predictor) | symbols_of(model.target)
    present = [name for name in FIELDS if name in symbols]
    for name in schedules:
        if isinstance(name, str) and name in model.parameter_names and name not in present:
            reason = "because only the learning rate and parameters of the update rule have schedules"
            errors.reject("schedules", f"have keys among {present}, {reason}", name)
        errors.choice("key of schedules", name, present)
        value = model.parameter_values[name]
        if np.ndim(value):
            requirement = f"be left out for `{name}`, which has an array of values in the model, an ensemble"
            errors.reject("schedules", requirement, name)
        if name == "tracking" and not value:
            requirement = "be left out for `tracking` unless the model tracks the correlation: give ClosedForm a value"
            errors.reject("schedules", f"{requirement} of `tracking` above 0", name)
    return dict(schedules)


def _values(name: str, value: Any, steps: int, check: Callable[..., FloatArray]) -> Any:
    """Return the values of a schedule at all steps: an array (steps,), or a number if all values are equal."""
    requirement = PER_STEP.format(count=steps)
    if callable(value):
        check_size(f"A schedule of {steps:,} steps", 3 * steps, "Use fewer steps, or a number.")
        value = _evaluated(name, value, np.arange(steps))
    array = check(name, value)
    if array.shape not in ((), (steps,)):
        raise errors.ArgumentError(f"Argument `{name}` must {requirement}, but has shape {array.shape}.")
    return float(array.flat[0]) if (array == array.flat[0]).all() else array


def _of_time(name: str, value: Any, times: FloatArray, check: Callable[..., FloatArray]) -> tuple[Any, Any]:
    """Return a function of time or a number, and its values at the times of a result as plain data."""
    if not callable(value):
        number = errors.single(name, check(name, value, IN_TIME), IN_TIME)
        return number, number
    return value, check(name, _evaluated(name, value, times)).tolist()


def _evaluated(name: str, function: Callable[[Any], Any], points: npt.NDArray[Any]) -> FloatArray:
    """Return the values of a function at all points (T,).

    The function is called once with all points. It is called with one point after another if it does not return an
    array of the same shape, or if its first or last value differs from the value that the function returns for this
    point alone.
    """
    if not len(points):  # the value at step 0 stands for a schedule of no steps
        return _one_by_one(name, function, np.zeros(1, points.dtype))[0]
    ends = _one_by_one(name, function, points[[0, -1]])
    try:
        values = np.asarray(function(points), dtype=np.float64)
    except Exception:  # functions of one number raise errors of many classes for an array
        values = np.zeros(0)
    together = values.shape == points.shape and np.allclose(values[[0, -1]], ends, rtol=SAME, atol=0.0)
    return values if together else _one_by_one(name, function, points)


def _one_by_one(name: str, function: Callable[[Any], Any], points: npt.NDArray[Any]) -> FloatArray:
    requirement = "be a function that returns a finite number"
    values = np.empty(len(points))
    for i, point in enumerate(points.tolist()):
        try:
            value = function(point)
        except Exception as error:
            message = (
                f"Argument `{name}` must {requirement}, but at {point:g} it raises {type(error).__name__}: {error}."
            )
            raise errors.ArgumentError(message) from error
        values[i] = errors.single(name, errors.real_array(name, value, requirement), requirement)
    return values
