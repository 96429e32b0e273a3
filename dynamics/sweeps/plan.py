"""The plan of a sweep, validated before any computation: grid, computation of a block, arrays, and identity."""

import hashlib
import inspect
import tokenize
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from dynamics import errors, generated
from dynamics.generated import eigenvalues
from dynamics.model.fingerprint import digest, of_code, plain
from dynamics.model.model import Model
from dynamics.networks.run import DEVICES, check_seeds
from dynamics.numerics.memory import check_steps
from dynamics.numerics.records import record_steps
from dynamics.solvers.methods import DESCENT_METHODS, FLOW_METHODS, choose
from dynamics.solvers.problem import DescentProblem, FlowProblem, check_times
from dynamics.sweeps.block import CALLS, Evaluator, FunctionEvaluator, ModelEvaluator, NamedArray, open_axes
from dynamics.sweeps.grid import Grid, Values, block_shape, check_axes, check_axis
from dynamics.sweeps.store import Layout, Variable

# Names of axes and arrays in the results of a sweep, which a parameter on an axis of the grid cannot have.
RESERVED = (
    "s0",
    "seed",
    "time",
    "step",
    "mode",
    "input",
    "start",
    "s",
    "target",
    "predictor",
    "blow_up_time",
    "status",
)
FORMAT = "ssl-dynamics sweep 2"


@dataclass(frozen=True, eq=False)
class SweepPlan:
    """A validated sweep.

    evaluate: function that computes a block. layout: arrays of the results; None if only the results of the first block
    determine them. identity: plain data that identify the sweep, so that only the same sweep continues a store. title:
    a description in words.
    """

    evaluate: Evaluator
    grid: Grid
    layout: Layout | None
    identity: dict[str, Any]
    title: str


# --- of a model -----------------------------------------------------------------------------------------------------


class Calculation(NamedTuple):
    """A function that a sweep of a model calls: ``solve``, ``iterate`` or ``train``.

    function: its name. title: the kind of its results, in words. start: name of its argument for initial eigenvalues or
    weights. axes: its arguments that can be axes of the grid, in addition to parameters of the model. excluded: its
    arguments that cannot be used in a sweep.
    """

    function: str
    title: str
    start: str
    axes: tuple[str, ...]
    excluded: tuple[str, ...]


SOLVE = Calculation("solve", "flow", "s0", ("s0", "learning_rate"), ("until",))
ITERATE = Calculation("iterate", "descent map", "s0", ("s0", "learning_rate"), ("batch_size",))
TRAIN = Calculation("train", "network", "W0", ("seed", "learning_rate"), ("probes", "checkpoint"))
CALCULATIONS = (SOLVE, ITERATE, TRAIN)


def plan_of_model(
    model: Model, grid: Mapping[str, Any], chunk: int, keep: Sequence[str] | None, given: dict[str, Any]
) -> SweepPlan:
    """Return the plan of a sweep of a model by ``solve``, ``iterate`` or ``train``; raises ArgumentError.

    given: arguments of the function, which also determine which of the functions is called.
    """
    calculation, axes = _calculation_of(given), check_axes(grid)
    arguments = _arguments(calculation, model, axes, given)
    ensemble = _validate(calculation, model, axes, arguments)
    batched = ("seed",) if calculation is TRAIN else tuple(name for name in axes if name != "learning_rate")
    shape = tuple(map(len, axes.values()))
    points = Grid(axes, block_shape(shape, chunk, [i for i, name in enumerate(axes) if name in batched]))
    coordinates = _coordinates(calculation, axes, arguments)
    time_axis, times = next(iter(coordinates.items()))
    names = _array_names(calculation, ensemble, keep)
    modes = axes["s0"].shape[1] if "s0" in axes else np.shape(arguments[calculation.start])[0]
    series = Variable((time_axis, "mode"), (len(times.values), modes), np.dtype(float))
    single = Variable((), (), np.dtype(float))
    layout = Layout({name: single if name == "blow_up_time" else series for name in names}, coordinates)
    identity = {
        "format": FORMAT,
        "call": calculation.function,
        "model": _first_model(model, axes).to_dict(),
        "arguments": {name: plain(name, value) for name, value in arguments.items()},
        "kept": list(names),
        **_grid_identity(points),
        "generated code": of_code(model.generated, eigenvalues),
    }
    evaluate = ModelEvaluator(model, calculation.function, arguments, batched, len(times.values), names)
    return SweepPlan(evaluate, points, layout, identity, f"{calculation.title} of {model} over {', '.join(axes)}")


def _calculation_of(given: dict[str, Any]) -> Calculation:
    """Return the calculation, ``solve``, ``iterate`` or ``train``, to which arguments belong; raises ArgumentError."""
    for argument, calculation in (("times", SOLVE), ("W0", TRAIN), ("steps", ITERATE)):
        if argument in given:
            return calculation
    requirement = "`s0` and `times` (solve), `s0`, `steps` and `learning_rate` (iterate), or `W0`, `steps` and"
    message = f"A sweep of a model must have {requirement} `learning_rate` (train), but has {sorted(given)}."
    raise errors.ArgumentError(message)


def _arguments(calculation: Calculation, model: Model, axes: dict[str, Any], given: dict[str, Any]) -> dict[str, Any]:
    """Return all arguments of the calculation that are not axes of the grid, with defaults if they are not given.

    Raises ArgumentError.
    """
    signature = inspect.signature(CALLS[calculation.function]).parameters
    excluded = ("model", "progress", *calculation.excluded)
    parameters = {name: parameter for name, parameter in signature.items() if name not in excluded}
    for name in given:
        errors.choice("keyword", name, parameters)
    for name in axes:
        errors.choice("grid", name, (*model.parameter_names, *calculation.axes))
        if name in model.parameter_names and (name in signature or name in RESERVED):
            errors.reject("grid", "have no axis with the name of an argument or array of the sweep", name)
        if name in given:
            errors.reject(name, "be left out, because it is an axis of the grid", given[name])
    for name, parameter in parameters.items():
        if name not in axes and name not in given and parameter.default is parameter.empty:
            errors.reject(name, f"be given, or be an axis of the grid, for dyn.{calculation.function}", None)
    return {name: given.get(name, parameter.default) for name, parameter in parameters.items() if name not in axes}


def _validate(calculation: Calculation, model: Model, axes: dict[str, Any], arguments: dict[str, Any]) -> Model:
    """Validate model, axes and arguments; return the model with parameters for all grid points. Raises ArgumentError.

    In ``axes`` and ``arguments``, initial values and times are replaced by arrays, and closure and method by the names
    of the closure and the method that all blocks use.
    """
    parameters = {name: values for name, values in axes.items() if name in model.parameter_names}
    ensemble = model.replace(**open_axes(parameters))
    first = _first_model(model, axes)
    if first.batch_shape:
        errors.reject("model", "have plain numbers as parameters, because arrays of them belong in the grid", model)
    if "learning_rate" in axes:
        axes["learning_rate"] = errors.positive("learning_rate", axes["learning_rate"])
    start_axes = 1 if model.inputs is None else 2
    if "s0" in axes:
        axes["s0"] = _starts(first, axes["s0"], start_axes + 1, "a list of sets of initial values, one for each run")
    elif calculation.start == "s0":
        description = "initial values of one run; several runs require an axis `s0` of the grid"
        arguments["s0"] = _starts(first, arguments["s0"], start_axes, description)
    if calculation is SOLVE:
        arguments["times"] = check_times(arguments["times"])
        if ensemble.structure.tracked and not np.all(axes.get("tracking", 1)):
            requirement = (
                "be zero at all points or at none, because only the flow with tracking has the average as a variable"
            )
            errors.reject("tracking", requirement, axes["tracking"])
    else:
        arguments["steps"] = check_steps(arguments["steps"])
    if calculation is TRAIN:
        _validate_network(first, axes, arguments)
    else:
        _validate_problem(calculation, first, ensemble, axes, arguments)
    return ensemble


def _starts(model: Model, s0: Any, axes: int, description: str) -> Values:
    starts = model.check_start(s0)
    if starts.ndim != axes:
        errors.reject("s0", f"be {description}", starts)
    return starts


def _validate_network(first: Model, axes: dict[str, Any], arguments: dict[str, Any]) -> None:
    """Validate the arguments of ``train`` by training for 0 steps at the first point; raises ArgumentError.

    Any device of this machine is used, because the requested device may exist only on the workers.
    """
    check_seeds(axes.get("seed", 0))
    if arguments["device"] is not None:
        errors.choice("device", arguments["device"], DEVICES)
    trivial = {"steps": 0, "record": 1, "device": None, "progress": False}
    CALLS["train"](first, **arguments | _first_point(first, axes) | trivial)


def _validate_problem(
    calculation: Calculation, first: Model, ensemble: Model, axes: dict[str, Any], arguments: dict[str, Any]
) -> None:
    """Validate the arguments of ``solve`` or ``iterate`` at the first point; raises ArgumentError.

    In ``arguments``, the closure is replaced by that of the first point, and the method by the name of a method for the
    ensemble of all points.
    """
    options = arguments | _first_point(first, axes)
    method, shape = options.pop("method"), tuple(map(len, axes.values()))
    if calculation is SOLVE:
        flow = FlowProblem.of(first, **options)
        arguments["closure"] = flow.closure
        arguments["method"] = choose(FLOW_METHODS, method, replace(flow, model=ensemble, members=shape)).name
    else:
        descent = DescentProblem.of(first, **options)
        arguments["closure"] = descent.closure
        arguments["method"] = choose(DESCENT_METHODS, method, replace(descent, model=ensemble, members=shape)).name


def _first_model(model: Model, axes: dict[str, Any]) -> Model:
    """Return the model at the first point of the grid."""
    return model.replace(**{name: values[0].item() for name, values in axes.items() if name in model.parameter_names})


def _first_point(model: Model, axes: dict[str, Any]) -> dict[str, Any]:
    """Return the first value, by name, of each axis of the grid that is not a parameter of the model."""
    names = [name for name in axes if name not in model.parameter_names]
    return {name: axes[name][0] if name == "s0" else axes[name][0].item() for name in names}


def _coordinates(calculation: Calculation, axes: dict[str, Any], arguments: dict[str, Any]) -> dict[str, NamedArray]:
    """Return the coordinates of the results, by name, in addition to the axes of the grid.

    The first coordinate is that along the axis of times or steps.
    """
    start = {"start": NamedArray(("s0", "mode", "input")[: axes["s0"].ndim], axes["s0"])} if "s0" in axes else {}
    if calculation is SOLVE:
        return {"time": NamedArray(("time",), arguments["times"])} | start
    recorded = record_steps(arguments["record"], arguments["steps"])
    if "learning_rate" in axes:
        time = NamedArray(("learning_rate", "step"), np.multiply.outer(axes["learning_rate"], recorded))
    else:
        time = NamedArray(("step",), arguments["learning_rate"] * recorded)
    return {"step": NamedArray(("step",), recorded), "time": time} | start


def _array_names(calculation: Calculation, ensemble: Model, keep: Sequence[str] | None) -> tuple[str, ...]:
    """Return the names of the arrays to store; for keep=None the arrays that do not follow from the eigenvalues s."""
    structure = ensemble.structure
    independent = {
        "s": True,
        "target": structure.separate_target,
        "predictor": structure.predictor == "learned" or structure.tracked,
    } | ({} if calculation is TRAIN else {"blow_up_time": True})
    if keep is None:
        return tuple(name for name, is_independent in independent.items() if is_independent)
    if not isinstance(keep, (list, tuple)) or not keep:
        errors.reject("keep", "be a list of names of arrays, such as ['s', 'target']", keep)
    return tuple(dict.fromkeys(errors.choice("keep", name, independent) for name in keep))


# --- of a function --------------------------------------------------------------------------------------------------


def plan_of_function(
    function: Callable[..., Any], grid: Mapping[str, Any], chunk: int, arguments: dict[str, Any]
) -> SweepPlan:
    """Return the plan of a sweep that calls a user's function at each grid point; raises ArgumentError.

    arguments: arguments of the function that are not axes of the grid.
    """
    axes = {name: check_axis(name, values) for name, values in check_axes(grid).items()}
    for name in axes.keys() & arguments.keys():
        errors.reject(name, "be left out, because it is an axis of the grid", arguments[name])
    name = getattr(function, "__qualname__", type(function).__qualname__)
    try:
        inspect.signature(function).bind(**axes, **arguments)
    except TypeError as error:
        raise errors.ArgumentError(f"Argument `grid` must have axes that {name} takes: {error}.") from None
    points = Grid(axes, block_shape(tuple(map(len, axes.values())), chunk, []))
    identity = {
        "format": FORMAT,
        "call": f"{getattr(function, '__module__', None)}.{name}",
        "source": _source_digest(function),
        "arguments": {name: plain(name, value) for name, value in arguments.items()},
        **_grid_identity(points),
        "generated code": digest(*sorted(Path(generated.__path__[0]).glob("*.py"))),
    }
    return SweepPlan(FunctionEvaluator(function, arguments), points, None, identity, f"{name} over {', '.join(axes)}")


def _source_digest(function: Callable[..., Any]) -> str | None:
    """Return the SHA-256 digest of a function's source code; None if the source cannot be found."""
    try:
        return hashlib.sha256(inspect.getsource(function).encode()).hexdigest()
    except (OSError, TypeError, SyntaxError, tokenize.TokenError):  # also if the file has changed since its import
        return None


def _grid_identity(grid: Grid) -> dict[str, Any]:
    values = {name: plain(name, values) for name, values in grid.axes.items()}
    return {"axes": list(values), "grid": values, "block": list(grid.block)}
