"""What is computed in one block of a sweep, wherever that is: a model by one of the rungs, or a function."""

import signal
import threading
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from dynamics import errors
from dynamics.model.model import Model
from dynamics.networks.train import train
from dynamics.results.trajectory import Trajectory
from dynamics.solvers.descent import iterate
from dynamics.solvers.flow import solve

CALLS: dict[str, Callable[..., Trajectory]] = {"solve": solve, "iterate": iterate, "train": train}
STATUS = ("not_computed", "complete", "diverged", "stopped")  # of a point; its number is what is stored
COMPLETE, DIVERGED, STOPPED = 1, 2, 3
_ONE_AT_A_TIME = threading.Lock()  # what is done with warnings is a setting of the process


class Array(NamedTuple):
    """Values with axes of their own, by name, behind those of the grid."""

    dims: tuple[str, ...]
    values: np.ndarray


class Outcome(NamedTuple):
    """The arrays of a block, by name, and the first AccuracyWarning of its computation; empty if there was none."""

    arrays: dict[str, Array]
    warning: str


def compute(work: Callable[[dict[str, np.ndarray]], dict[str, Array]], values: dict[str, np.ndarray]) -> Outcome:
    """The block with these values along its axes. Threads of one process take turns."""
    with _ONE_AT_A_TIME, warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", errors.AccuracyWarning)
        with _listening() as pressed:
            arrays = work(values)
    if pressed:  # a rung that is interrupted returns what is done, which is no block
        raise KeyboardInterrupt
    accuracy = [warning for warning in caught if issubclass(warning.category, errors.AccuracyWarning)]
    for other in caught:
        if other not in accuracy:
            warnings.warn_explicit(other.message, other.category, other.filename, other.lineno)
    return Outcome(arrays, str(accuracy[0].message) if accuracy else "")


@contextmanager
def _listening() -> Iterator[list[bool]]:
    """A list that is not empty once Ctrl-C was pressed, whoever caught that."""
    pressed: list[bool] = []
    before: Any = signal.getsignal(signal.SIGINT)
    if threading.current_thread() is not threading.main_thread() or not callable(before):
        yield pressed  # Ctrl-C goes elsewhere
        return

    def press(number, frame):
        pressed.append(True)
        return before(number, frame)

    signal.signal(signal.SIGINT, press)
    try:
        yield pressed
    finally:
        signal.signal(signal.SIGINT, before)


# --- a model --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class OfModel:
    """``solve``, ``iterate`` or ``train`` at the points of a block, with as few calls as it takes.

    rung: the name of the function. arguments: its arguments, but those that are axes. together: axes whose points
    share a call. times: how many times, or recorded steps, a complete run has. kept: which arrays, by name.
    """

    model: Model
    rung: str
    arguments: dict[str, Any]
    together: tuple[str, ...]
    times: int
    kept: tuple[str, ...]

    def __call__(self, values: dict[str, np.ndarray]) -> dict[str, Array]:
        """The kept arrays, and the status."""
        shape = tuple(map(len, values.values()))
        together = {name: values[name] for name in values if name in self.together}
        apart = {name: values[name] for name in values if name not in self.together}
        found: dict[str, Array] = {}
        for at in np.ndindex(*map(len, apart.values())):
            index = dict(zip(apart, at, strict=True))
            here = tuple(index.get(name, slice(None)) for name in values)
            for name, (dims, part) in self._call({name: apart[name][i].item() for name, i in index.items()}, together):
                whole = np.empty((*shape, *part.shape[len(together) :]), part.dtype)
                found.setdefault(name, Array(dims, whole)).values[here] = part
        return found

    def _call(self, point: dict[str, Any], together: dict[str, np.ndarray]):
        """One call: at a point of the axes that need calls of their own, along the whole of the others."""
        given = point | open_axes(together)
        model = self.model.replace(**{name: given.pop(name) for name in self.model.parameter_names if name in given})
        if "seed" in together:
            given["seed"] = together["seed"].tolist()
        return self._read(CALLS[self.rung](model, **self.arguments, **given, progress=False)).items()

    def _read(self, run: Trajectory) -> dict[str, Array]:
        """The kept arrays, and the status. After the end of a run they are inf if it diverged, else not a number."""
        diverged = np.isfinite(run.blow_up_time) | (run.kind == "network")

        def whole(array):
            missing = (*array.shape[:-2], self.times - array.shape[-2], array.shape[-1])
            rest = np.broadcast_to(np.where(diverged, np.inf, np.nan)[..., None, None], missing)
            return np.concatenate([array, rest], axis=-2)

        of_time = ("time" if run.kind == "flow" else "step", "mode")
        kept = {name: Array(of_time, whole(getattr(run, name))) for name in self.kept if name != "blow_up_time"}
        if "blow_up_time" in self.kept:
            kept["blow_up_time"] = Array((), run.blow_up_time)
        return kept | {"status": Array((), status_of(whole(run.s)))}


def open_axes(axes: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Values (1, ..., n, ..., 1), each along its own axis, before the axes that a value has itself.

    The eigenvalues ``init`` of a predictor get one for the modes.
    """
    found = {}
    for i, (name, values) in enumerate(axes.items()):
        own = values.shape[1:] or (1,) * (name == "init")
        found[name] = values.reshape(*(len(values) if i == j else 1 for j in range(len(axes))), *own)
    return found


def status_of(s: np.ndarray) -> np.ndarray:
    """How each of the runs s (..., T, M) ended (...)."""
    unfinished = np.where(np.isnan(s).any(axis=(-2, -1)), STOPPED, COMPLETE)
    return np.where(np.isinf(s).any(axis=(-2, -1)), DIVERGED, unfinished).astype(np.int8)


# --- a function -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class OfFunction:
    """A function at the points of a block, one after another, with plain numbers, and other arguments as they are."""

    function: Callable
    arguments: dict[str, Any]

    def __call__(self, values: dict[str, np.ndarray]) -> dict[str, Array]:
        """What it returns, stacked, and the status."""
        shape, results = tuple(map(len, values.values())), []
        for at in np.ndindex(shape):
            point = {name: values[name][i].item() for name, i in zip(values, at, strict=True)}
            try:
                results.append(arrays_of(self.function(**point, **self.arguments)))
                _check_alike(results[0], results[-1])
            except Exception as error:
                error.add_note(f"at {', '.join(f'{name} = {value!r}' for name, value in point.items())}")
                raise
        _check_names(values, results[0])
        found = {name: Array(dims, _stacked(shape, name, results)) for name, (dims, _) in results[0].items()}
        return found | {"status": Array((), np.full(shape, COMPLETE, np.int8))}


def _stacked(shape: tuple[int, ...], name: str, results: list[dict[str, Array]]) -> np.ndarray:
    arrays = [result[name].values for result in results]
    return np.stack(arrays).reshape(*shape, *arrays[0].shape)


def _check_alike(first: dict[str, Array], other: dict[str, Array]) -> None:
    """Raises ValueError unless two results have the same names and shapes."""
    shapes, others = ({name: a.values.shape for name, a in arrays.items()} for arrays in (first, other))
    if shapes != others:
        raise ValueError(f"the function must return arrays of the same shapes at all points: {shapes}, but {others}")


def _check_names(axes, arrays: dict[str, Array]) -> None:
    """Raises ValueError where names of results, of their axes and of those of the grid collide."""
    lengths: dict[str, int] = {}
    for name, (dims, values) in arrays.items():
        if name in ("status", *axes) or set(dims) & {*axes, *arrays} or len(set(dims)) < len(dims):
            raise ValueError(f"the name of a result and those of its axes must be new, but are {name!r} and {dims}")
        for dim, length in zip(dims, values.shape, strict=True):
            if lengths.setdefault(dim, length) != length:
                raise ValueError(f"axis {dim!r} must have one length, but has {lengths[dim]} and {length}")


def arrays_of(result) -> dict[str, Array]:
    """What a function returned, as named arrays; numbers are of shape (). Raises TypeError."""
    if isinstance(result, Trajectory):
        batch = tuple(f"s_{i}" for i in range(result.s.ndim - 2))
        of_times = {"t": (("time",), result.t), "s": ((*batch, "time", "mode"), result.s)}
        return arrays_of(of_times | {"blow_up_time": (batch, result.blow_up_time)})
    if not isinstance(result, Mapping) or not result:
        must = "the function must return a dict of numbers and arrays by name, or a trajectory"
        raise TypeError(f"{must}, but returned {result!r}")
    return {name: _array_of(name, value) for name, value in result.items()}


def _array_of(name, value) -> Array:
    """A number, an array, or (names of its axes, array); whole numbers become floating-point ones."""
    named = isinstance(value, tuple) and len(value) == 2 and isinstance(value[0], (str, tuple, list))
    array = np.asarray(value[1] if named else value)
    dims = value[0] if named else [f"{name}_{i}" for i in range(array.ndim)]
    dims = (dims,) if isinstance(dims, str) else tuple(dims)
    if array.dtype.kind not in "biufc" or not isinstance(name, str):
        raise TypeError(f"the function must return numbers and arrays by name, but {name!r} is {value!r}")
    if len(dims) != array.ndim:
        raise TypeError(f"{name!r} must have a name for each axis, but has {dims} and the shape {array.shape}")
    return Array(dims, array.astype(float) if array.dtype.kind in "biu" else array)
