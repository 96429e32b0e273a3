"""What a sweep computes, checked before any of it is: its points, its arrays, and what tells it from other sweeps."""

import hashlib
import inspect
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from dynamics import errors, generated
from dynamics.generated import eigenvalues
from dynamics.model.fingerprint import digest, of_code, plain
from dynamics.model.model import Model
from dynamics.model.serialization import describe
from dynamics.networks.run import DEVICES, check_seeds, record_steps
from dynamics.solvers.methods import DESCENT_METHODS, FLOW_METHODS, choose
from dynamics.solvers.problem import DescentProblem, FlowProblem, check_times
from dynamics.sweeps.block import CALLS, Array, OfFunction, OfModel, open_axes
from dynamics.sweeps.grid import Grid, block_of, check_axes, check_axis
from dynamics.sweeps.store import Layout, Variable
from dynamics.vector_field.base import choose_closure

# What sweeps call their own axes and arrays; numbers of a loss or a gain that are swept cannot have these names.
TAKEN = ("s0", "seed", "time", "step", "mode", "input", "start", "s", "target", "predictor", "blow_up_time", "status")
FORMAT = "ssl-dynamics sweep 1"


@dataclass(frozen=True, eq=False)
class Plan:
    """work: computes a block. layout: of the results; None where only they tell.

    identity: what must be the same for a store to be continued, as plain data. title: what it is, in words.
    """

    work: OfModel | OfFunction
    grid: Grid
    layout: Layout | None
    identity: dict[str, Any]
    title: str


# --- of a model -----------------------------------------------------------------------------------------------------


class Rung(NamedTuple):
    """A function of the ladder: its name and that of its results, what it starts from, and its arguments' exceptions.

    short: arguments that leave no work to do. without: arguments that do not apply to a sweep.
    """

    name: str
    title: str
    start: str
    short: dict[str, Any]
    without: tuple[str, ...]


RUNGS = (
    Rung("solve", "flow", "s0", {"times": [0.0]}, ("until",)),
    Rung("iterate", "descent map", "s0", {"steps": 0}, ("batch_size",)),
    Rung("train", "network", "W0", {"steps": 0, "record": 1, "device": None}, ("probes", "checkpoint")),
)


def plan_of_model(model: Model, grid, chunk: int, keep, given: dict[str, Any]) -> Plan:
    """The rung that the arguments are those of, over the grid; raises ArgumentError."""
    rung, axes = _rung(given), check_axes(grid)
    arguments = _arguments(rung, model, axes, given)
    whole = _checked(rung, model, axes, arguments)
    shape = tuple(map(len, axes.values()))
    if "closure" in arguments:
        arguments["closure"] = choose_closure(whole, arguments["closure"])
    if rung.name != "train":  # one method for all blocks
        arguments["method"] = _method(rung, model, whole, axes, arguments)
    together = ("seed",) if rung.name == "train" else tuple(name for name in axes if name != "learning_rate")
    points = Grid(axes, block_of(shape, chunk, [i for i, name in enumerate(axes) if name in together]))
    coordinates = _coordinates(rung, axes, arguments)
    of_time, times = next(iter(coordinates.items()))
    kept, modes = _kept(rung, whole, keep), _modes(rung, axes, arguments)
    series = Variable((of_time, "mode"), (len(times.values), modes), np.dtype(float))
    once = Variable((), (), np.dtype(float))
    layout = Layout({name: once if name == "blow_up_time" else series for name in kept}, coordinates)
    identity = {
        "format": FORMAT,
        "call": rung.name,
        "model": describe(_first(model, axes)),
        "arguments": {name: plain(name, value) for name, value in arguments.items()},
        "kept": list(kept),
        **_of_grid(points),
        "generated code": of_code(model.generated, eigenvalues),
    }
    work = OfModel(model, rung.name, arguments, together, len(times.values), kept)
    return Plan(work, points, layout, identity, f"{rung.title} of {model} over {', '.join(axes)}")


def _method(rung: Rung, model: Model, whole: Model, axes, arguments: dict[str, Any]) -> str:
    """The name of the method that the ensemble of all points calls for; raises ArgumentError."""
    first, shape = _first(model, axes), tuple(map(len, axes.values()))
    start = axes["s0"][0] if "s0" in axes else arguments["s0"]
    options = {"closure": arguments["closure"]}
    rate = axes["learning_rate"][0] if "learning_rate" in axes else arguments["learning_rate"]
    if rung.name == "solve":
        flow = FlowProblem.of(first, start, arguments["times"], learning_rate=rate, **options)
        return choose(FLOW_METHODS, arguments["method"], replace(flow, model=whole, members=shape)).name
    descent = DescentProblem.of(first, start, arguments["steps"], rate, record=arguments["record"], **options)
    return choose(DESCENT_METHODS, arguments["method"], replace(descent, model=whole, members=shape)).name


def _rung(given: dict[str, Any]) -> Rung:
    number = 0 if "times" in given else 2 if "W0" in given else 1 if "steps" in given else None
    if number is None:
        must = "come with `s0` and `times` (solve), `s0`, `steps` and `learning_rate` (iterate), or with `W0`, `steps`"
        raise errors.ArgumentError(f"A model must {must} and `learning_rate` (train); given are {sorted(given)}.")
    return RUNGS[number]


def _arguments(rung: Rung, model: Model, axes, given: dict[str, Any]) -> dict[str, Any]:
    """All arguments of the rung that are not axes, with their defaults."""
    signature = inspect.signature(CALLS[rung.name]).parameters
    own = {name: p for name, p in signature.items() if name not in ("model", "progress", *rung.without)}
    for name in given:
        errors.choice("keyword", name, own)
    swept = {"solve": ("s0", "learning_rate"), "iterate": ("s0", "learning_rate"), "train": ("seed", "learning_rate")}
    for name in axes:
        errors.choice("grid", name, (*model.parameter_names, *swept[rung.name]))
        if name in model.parameter_names and (name in signature or name in TAKEN):
            errors.reject("grid", "go over numbers with names that a sweep leaves free", name)
        if name in given:
            errors.reject(name, "be left out where it is an axis of the grid", given[name])
    for name, parameter in own.items():
        if name not in axes and name not in given and parameter.default is parameter.empty:
            errors.reject(name, f"be given, or be an axis of the grid, for dyn.{rung.name}", None)
    return {name: given.get(name, p.default) for name, p in own.items() if name not in axes}


def _checked(rung: Rung, model: Model, axes: dict[str, np.ndarray], arguments: dict[str, Any]) -> Model:
    """The model at all points, once everything is checked; s0 of axes and arguments become arrays."""
    numbers = {name: values for name, values in axes.items() if name in model.parameter_names}
    whole = model.replace(**open_axes(numbers))
    first = _first(model, axes)
    if first.batch_shape:
        errors.reject("model", "have plain numbers: arrays of them go into the grid", model)
    if "learning_rate" in axes:
        axes["learning_rate"] = errors.positive("learning_rate", axes["learning_rate"])
    if rung.name == "train":
        _check_network(axes, arguments)
    own = 1 if model.inputs is None else 2  # axes of a start
    if "s0" in axes:
        axes["s0"] = _starts(first, axes["s0"], own + 1)
    elif rung.start == "s0":
        arguments["s0"] = _starts(first, arguments["s0"], own)
    if rung.name == "solve":
        arguments["times"] = check_times(arguments["times"])
        if whole.structure.tracked and not np.all(axes.get("tracking", 1)):
            must = "be zero everywhere or nowhere: a flow follows an average with a delay, but no average at once"
            errors.reject("tracking", must, axes["tracking"])
    else:
        arguments["steps"] = errors.count("steps", arguments["steps"], 0)
    _rehearse(rung, first, axes, arguments)
    return whole


def _check_network(axes, arguments) -> None:
    """Seeds, and the name of a device, which workers may have and this process may not."""
    check_seeds(axes.get("seed", 0))
    if arguments["device"] is not None:
        errors.choice("device", arguments["device"], DEVICES)


def _starts(model: Model, s0, axes: int) -> np.ndarray:
    found = model.check_start(s0)
    if found.ndim != axes:
        what = "one start" if axes == (1 if model.inputs is None else 2) else "a list of starts"
        errors.reject("s0", f"be {what}; more of them are an axis of the grid", found)
    return found


def _rehearse(rung: Rung, first: Model, axes, arguments) -> None:
    """The call at the first point, with nothing to do: it checks what all points share."""
    here = {name: values[0] for name, values in axes.items() if name not in first.parameter_names}
    here = {name: value if name == "s0" else value.item() for name, value in here.items()}
    call = arguments | here | rung.short
    if rung.name == "solve":
        call["method"] = "scipy" if call["method"] in ("auto", "jax") else call["method"]
    CALLS[rung.name](first, **call, progress=False)


def _first(model: Model, axes: dict[str, np.ndarray]) -> Model:
    """The model at the first point."""
    return model.replace(**{name: values[0].item() for name, values in axes.items() if name in model.parameter_names})


def _coordinates(rung: Rung, axes, arguments) -> dict[str, Array]:
    """Those beside the axes; the first one is along the results' axis of time."""
    start = {"start": Array(("s0", "mode", "input")[: axes["s0"].ndim], axes["s0"])} if "s0" in axes else {}
    if rung.name == "solve":
        return {"time": Array(("time",), arguments["times"])} | start
    recorded = record_steps(arguments["record"], arguments["steps"])
    if "learning_rate" in axes:
        time = Array(("learning_rate", "step"), np.multiply.outer(axes["learning_rate"], recorded))
    else:
        time = Array(("step",), arguments["learning_rate"] * recorded)
    return {"step": Array(("step",), recorded), "time": time} | start


def _modes(rung: Rung, axes, arguments) -> int:
    if "s0" in axes:
        return axes["s0"].shape[1]
    return np.shape(arguments[rung.start])[0]


def _kept(rung: Rung, whole: Model, keep) -> tuple[str, ...]:
    """Names of the arrays to keep: by default those that do not follow from s."""
    structure = whole.structure
    possible = ("s", "target", "predictor", *(["blow_up_time"] if rung.name != "train" else []))
    if keep is None:
        moving = {
            "s": True,
            "target": structure.separate_target,
            "predictor": structure.predictor == "learned" or structure.tracked,
            "blow_up_time": True,
        }
        return tuple(name for name in possible if moving[name])
    if not isinstance(keep, (list, tuple)) or not keep:
        errors.reject("keep", "list names of arrays", keep)
    return tuple(dict.fromkeys(errors.choice("keep", name, possible) for name in keep))


# --- of a function --------------------------------------------------------------------------------------------------


def plan_of_function(function: Callable, grid, chunk: int, arguments: dict[str, Any]) -> Plan:
    """The function over the grid; raises ArgumentError."""
    axes = {name: check_axis(name, values) for name, values in check_axes(grid).items()}
    for name in axes.keys() & arguments.keys():
        errors.reject(name, "be left out where it is an axis of the grid", arguments[name])
    name = getattr(function, "__qualname__", type(function).__qualname__)
    try:
        inspect.signature(function).bind(**axes, **arguments)
    except TypeError as error:
        raise errors.ArgumentError(f"Argument `grid` must have axes that {name} takes: {error}.") from None
    points = Grid(axes, block_of(tuple(map(len, axes.values())), chunk, []))
    identity = {
        "format": FORMAT,
        "call": f"{getattr(function, '__module__', None)}.{name}",
        "source": _source(function),
        "arguments": {name: plain(name, value) for name, value in arguments.items()},
        **_of_grid(points),
        "generated code": digest(*sorted(Path(generated.__path__[0]).glob("*.py"))),
    }
    return Plan(OfFunction(function, arguments), points, None, identity, f"{name} over {', '.join(axes)}")


def _source(function: Callable) -> str | None:
    """Digest of its source; None where there is none to be found."""
    try:
        return hashlib.sha256(inspect.getsource(function).encode()).hexdigest()
    except (OSError, TypeError):
        return None


# --- identity -------------------------------------------------------------------------------------------------------


def _of_grid(grid: Grid) -> dict[str, Any]:
    values = {name: plain(name, values) for name, values in grid.axes.items()}
    return {"axes": list(values), "grid": values, "block": list(grid.block)}
