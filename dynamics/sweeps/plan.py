"""Plan a sweep, and validate all its arguments before any computation."""

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
from dynamics.model.momentum import check_momentum
from dynamics.model.schedules import StepSchedules, is_single
from dynamics.model.titles import title_of
from dynamics.networks.run import DEVICES, check_seeds
from dynamics.numerics.memory import check_steps
from dynamics.numerics.records import record_steps
from dynamics.presentation.labels import symbol
from dynamics.solvers.methods import DESCENT_METHODS, FLOW_METHODS, choose
from dynamics.solvers.problem import DescentProblem, FlowProblem, check_times
from dynamics.sweeps.block import CALLS, Evaluator, FunctionEvaluator, ModelEvaluator, NamedArray, open_axes
from dynamics.sweeps.chunks import Variable
from dynamics.sweeps.grid import Grid, Values, block_shape, check_axes, check_axis
from dynamics.sweeps.store import Layout
from dynamics.vector_field.base import choose_closure

# Names of axes and arrays in the results of a sweep; a parameter with one of these names cannot be an axis of the grid.
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
FORMAT = "ssl-dynamics sweep 3"


@dataclass(frozen=True, eq=False)
class SweepPlan:
    """A sweep whose arguments have been validated.

    evaluate: function that computes a block. layout: description of the arrays of the results; None for a user's
    function, whose arrays are known only from the results of the first block. identity: plain data that identify the
    sweep; only a sweep with the same identity can continue a store. title: description of the sweep in words.
    """

    evaluate: Evaluator
    grid: Grid
    layout: Layout | None
    identity: dict[str, Any]
    title: str


# --- the plan of a sweep of a model ---------------------------------------------------------------------------------


class Calculation(NamedTuple):
    """Description of a function that a sweep of a model calls: ``solve``, ``iterate`` or ``train``.

    function: name of the function. title: kind of the computed runs in words, such as "descent map". start: name of the
    argument for initial eigenvalues or weights. axes: arguments of the function that can be axes of the grid, in
    addition to the parameters of the model. excluded: arguments of the function that cannot be used in a sweep.
    """

    function: str
    title: str
    start: str
    axes: tuple[str, ...]
    excluded: tuple[str, ...]


SOLVE = Calculation("solve", "flow", "s0", ("s0", "learning_rate"), ("until", "schedules"))
ITERATE = Calculation("iterate", "descent map", "s0", ("s0", "learning_rate"), ("batch_size",))
TRAIN = Calculation("train", "network", "W0", ("seed", "learning_rate"), ("probes", "checkpoint"))
CALCULATIONS = (SOLVE, ITERATE, TRAIN)


def plan_of_model(
    model: Model, grid: Mapping[str, Any], chunk: int, keep: Sequence[str] | None, given: dict[str, Any]
) -> SweepPlan:
    """Return the plan of a sweep of a model by ``solve``, ``iterate`` or ``train``.

    chunk: largest number of points of a block. keep: names of the arrays to store; None for the default. given:
    arguments of the function; they also determine which of the three functions is called. Raises ArgumentError if an
    argument is not valid.
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
        "generated code": of_code(ensemble.generated, eigenvalues),
    }
    evaluate = ModelEvaluator(model, calculation.function, arguments, batched, len(times.values), names)
    over = ", ".join(symbol(name).replace("_", " ") for name in axes)
    title = f"{calculation.title} over {over}: {title_of(model, swept=axes)}"
    return SweepPlan(evaluate, points, layout, identity, title)


def _calculation_of(given: dict[str, Any]) -> Calculation:
    """Return which function a sweep calls, as the names of the given arguments imply: SOLVE, ITERATE or TRAIN.

    The argument ``times`` implies SOLVE, ``W0`` implies TRAIN, and ``steps`` without ``W0`` implies ITERATE. Raises
    ArgumentError if there is none of these arguments.
    """
    for argument, calculation in (("times", SOLVE), ("W0", TRAIN), ("steps", ITERATE)):
        if argument in given:
            return calculation
    choices = (
        "`s0` and `times` for solve; `s0`, `steps` and `learning_rate` for iterate; `W0`, `steps` and `learning_rate` "
        "for train"
    )
    raise errors.ArgumentError(
        f"A sweep of a model must have one of these sets of arguments, but has {sorted(given)}: {choices}."
    )


def _arguments(calculation: Calculation, model: Model, axes: dict[str, Any], given: dict[str, Any]) -> dict[str, Any]:
    """Return all arguments of ``solve``, ``iterate`` or ``train`` that are not axes of the grid.

    calculation: the function that the sweep calls. axes: values of the axes of the grid. given: arguments of the sweep;
    an argument of the function that is not in ``given`` has its default. Raises ArgumentError if an argument is
    missing, unknown, or also an axis of the grid.
    """
    signature = inspect.signature(CALLS[calculation.function]).parameters
    excluded = ("model", "progress", *calculation.excluded)
    parameters = {name: parameter for name, parameter in signature.items() if name not in excluded}
    for name in given:
        errors.choice("keyword", name, parameters)
    for name in axes:
        errors.choice("key of grid", name, (*model.parameter_names, *calculation.axes))
        if name in model.parameter_names and (name in signature or name in RESERVED):
            requirement = (
                "have no axis for a parameter of the model that has the same name as an argument of "
                f"dyn.{calculation.function} or as an array of the results (rename the parameter)"
            )
            errors.reject("grid", requirement, name)
        if name in given:
            errors.reject(name, f"be left out, because `{name}` is an axis of the grid", given[name])
    for name, parameter in parameters.items():
        if name not in axes and name not in given and parameter.default is parameter.empty:
            errors.reject(
                name, f"be given, or be an axis of the grid, because dyn.{calculation.function} requires it", None
            )
    return {name: given.get(name, parameter.default) for name, parameter in parameters.items() if name not in axes}


def _validate(calculation: Calculation, model: Model, axes: dict[str, Any], arguments: dict[str, Any]) -> Model:
    """Validate model, axes and arguments; return an ensemble of models with the parameters of all grid points.

    ``axes`` and ``arguments`` are modified. Initial values and times become arrays. The entries "closure" and "method"
    become the names of the closure and of the method that all blocks use. Raises ArgumentError if an argument is not
    valid.
    """
    first = _first_model(model, axes)
    if first.batch_shape:
        errors.reject(
            "model",
            "have plain numbers as parameters; a parameter with several values must be an axis of the grid",
            model,
        )
    parameters = {name: values for name, values in axes.items() if name in model.parameter_names}
    ensemble = model.replace(**open_axes(parameters))
    if "learning_rate" in axes:
        axes["learning_rate"] = errors.positive("learning_rate", axes["learning_rate"])
    start_axes = 2 if model.by_weights else 1
    if "s0" in axes:
        axes["s0"] = _starts(first, axes["s0"], start_axes + 1, "a list with the initial values of each run")
    elif calculation.start == "s0":
        description = "the initial values of one run; the initial values of several runs must be an axis of the grid"
        arguments["s0"] = _starts(first, arguments["s0"], start_axes, description)
    if calculation is SOLVE:
        arguments["times"] = check_times(arguments["times"])
        if ensemble.structure.tracked and not np.all(axes.get("tracking", 1)):
            requirement = (
                "be zero at all grid points or nonzero at all grid points, because the flow has an additional variable "
                "if tracking is nonzero"
            )
            errors.reject("tracking", requirement, axes["tracking"])
        if not is_single(arguments.get("learning_rate")):
            requirement = "be a number in a sweep of `solve`, because functions of time do not identify a sweep"
            errors.reject("learning_rate", requirement, arguments["learning_rate"])
    else:
        arguments["steps"] = check_steps(arguments["steps"])
        _evaluate_schedules(ensemble, axes, arguments)
    if calculation is TRAIN:
        _validate_network(first, axes, arguments)
    else:
        _validate_problem(calculation, first, ensemble, axes, arguments)
    return ensemble


def _evaluate_schedules(ensemble: Model, axes: dict[str, Any], arguments: dict[str, Any]) -> None:
    """Replace functions of the step and momentum in ``arguments`` by plain values; raise ArgumentError if not valid."""
    rate = arguments.get("learning_rate", 1.0)
    for name in (arguments["schedules"] or {}) if isinstance(arguments["schedules"], Mapping) else ():
        if name in axes:
            errors.reject("schedules", f"have no key `{name}`, because `{name}` is an axis of the grid", name)
    settings = StepSchedules.of(ensemble, arguments["steps"], rate, arguments["schedules"]).settings
    momentum = check_momentum(arguments["momentum"])
    evaluated = {"momentum": 0.0 if momentum is None else momentum.plain, "schedules": None} | settings
    arguments.update({name: value for name, value in evaluated.items() if name in arguments})


def _starts(model: Model, s0: Any, axes: int, description: str) -> Values:
    starts = model.check_start(s0)
    if starts.ndim != axes:
        errors.reject("s0", f"be {description}", starts)
    return starts


def _validate_network(first: Model, axes: dict[str, Any], arguments: dict[str, Any]) -> None:
    """Raise ArgumentError if an argument of ``train`` is not valid; to find out, train for 0 steps.

    The training is at the first grid point, without schedules, which have been validated. It uses the default device of
    this machine, because the requested device may exist on the workers only.
    """
    check_seeds(axes.get("seed", 0))
    if arguments["device"] is not None:
        errors.choice("device", arguments["device"], DEVICES)
    trivial = {"steps": 0, "learning_rate": 1.0, "schedules": None, "record": 1, "device": None, "progress": False}
    CALLS["train"](first, **arguments | _first_point(first, axes) | trivial)


def _validate_problem(
    calculation: Calculation, first: Model, ensemble: Model, axes: dict[str, Any], arguments: dict[str, Any]
) -> None:
    """Raise ArgumentError if an argument of ``solve`` or ``iterate`` is not valid at the first grid point.

    ``arguments`` is modified, so that all grid points use the same closure and method. The entry "closure" becomes the
    name of a closure, and the entry "method" the name of a method, that can compute all grid points.
    """
    arguments["closure"] = choose_closure(ensemble, arguments["closure"])
    options = arguments | _first_point(first, axes)
    method, shape = options.pop("method"), tuple(map(len, axes.values()))
    if calculation is SOLVE:
        flow = FlowProblem.of(first, **options)
        arguments["method"] = choose(FLOW_METHODS, method, replace(flow, model=ensemble, members=shape)).name
    else:
        descent = DescentProblem.of(first, **options)
        arguments["method"] = choose(DESCENT_METHODS, method, replace(descent, model=ensemble, members=shape)).name


def _first_model(model: Model, axes: dict[str, Any]) -> Model:
    """Return the model at the first point of the grid."""
    return model.replace(**{name: values[0].item() for name, values in axes.items() if name in model.parameter_names})


def _first_point(model: Model, axes: dict[str, Any]) -> dict[str, Any]:
    """Return the first value along each axis of the grid, except along axes that are parameters of the model."""
    names = [name for name in axes if name not in model.parameter_names]
    return {name: axes[name][0] if name == "s0" else axes[name][0].item() for name in names}


def _coordinates(calculation: Calculation, axes: dict[str, Any], arguments: dict[str, Any]) -> dict[str, NamedArray]:
    """Return the coordinates of the dataset of results, without the axes of the grid.

    The first coordinate belongs to the axis of recorded states: "time" for flows, and "step" for descent maps and
    networks. Initial values that are an axis of the grid are the coordinate "start". calculation: the function that the
    sweep calls.
    """
    start = {"start": NamedArray(("s0", "mode", "input")[: axes["s0"].ndim], axes["s0"])} if "s0" in axes else {}
    if calculation is SOLVE:
        return {"time": NamedArray(("time",), arguments["times"])} | start
    recorded = record_steps(arguments["record"], arguments["steps"])
    if "learning_rate" in axes:
        time = NamedArray(("learning_rate", "step"), np.multiply.outer(axes["learning_rate"], recorded))
    else:
        rate = arguments["learning_rate"]
        rate = np.asarray(rate) if isinstance(rate, list) else rate
        time = NamedArray(("step",), StepSchedules(rate, {}).times(recorded))
    return {"step": NamedArray(("step",), recorded), "time": time} | start


def _array_names(calculation: Calculation, ensemble: Model, keep: Sequence[str] | None) -> tuple[str, ...]:
    """Return the names of the arrays to store, which are the names in ``keep``.

    If ``keep`` is None, the arrays are the eigenvalues "s" and all arrays that cannot be computed from s. Raises
    ArgumentError if a name is unknown.
    """
    structure = ensemble.structure
    independent = {
        "s": True,
        "target": structure.separate_target,
        "predictor": structure.predictor == "learned" or structure.tracked,
    } | ({} if calculation is TRAIN else {"blow_up_time": True})
    if keep is None:
        return tuple(name for name, is_independent in independent.items() if is_independent)
    if not isinstance(keep, (list, tuple)) or not keep:
        errors.reject("keep", "be a list of names of result arrays, such as ['s', 'target']", keep)
    return tuple(dict.fromkeys(errors.choice("keep", name, independent) for name in keep))


# --- the plan of a sweep of a function ------------------------------------------------------------------------------


def plan_of_function(
    function: Callable[..., Any], grid: Mapping[str, Any], chunk: int, arguments: dict[str, Any]
) -> SweepPlan:
    """Return the plan of a sweep that calls a user's function at each grid point.

    chunk: largest number of points of a block. arguments: arguments of the function that are not axes of the grid.
    Raises ArgumentError if an argument is not valid.
    """
    axes = {name: check_axis(name, values) for name, values in check_axes(grid).items()}
    for name in axes.keys() & arguments.keys():
        errors.reject(name, f"be left out, because `{name}` is an axis of the grid", arguments[name])
    name = getattr(function, "__qualname__", type(function).__qualname__)
    try:
        inspect.signature(function).bind(**axes, **arguments)
    except TypeError as error:
        raise errors.ArgumentError(
            f"Argument `grid` must have axes that are arguments of the function {name}, but: {error}."
        ) from None
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
    """Return the SHA-256 digest of the source code of a function; return None if the source cannot be found."""
    try:
        return hashlib.sha256(inspect.getsource(function).encode()).hexdigest()
    except (OSError, TypeError, SyntaxError, tokenize.TokenError):  # the file may have changed since it was imported
        return None


def _grid_identity(grid: Grid) -> dict[str, Any]:
    values = {name: plain(name, values) for name, values in grid.axes.items()}
    return {"axes": list(values), "grid": values, "block": list(grid.block)}
