"""Compute one block of grid points, in any process, with ``solve``, ``iterate``, ``train`` or a user's function."""

import signal
import threading
import warnings
from collections.abc import Callable, ItemsView, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from dynamics import errors
from dynamics.model.model import Model
from dynamics.networks.train import train
from dynamics.results.trajectory import Trajectory
from dynamics.solvers.descent import iterate
from dynamics.solvers.flow import solve
from dynamics.sweeps.grid import Values

CALLS: dict[str, Callable[..., Trajectory]] = {"solve": solve, "iterate": iterate, "train": train}
STATUS = ("not_computed", "complete", "diverged", "stopped")  # of a grid point; a store contains indices of this tuple
COMPLETE, DIVERGED, STOPPED = 1, 2, 3
_ONE_AT_A_TIME = threading.Lock()  # threads compute one after another, because all of them share the warnings filter


class NamedArray(NamedTuple):
    """An array and the names of its axes.

    values: the array. dims: names of the axes. In the results of a block, the first axes of ``values`` are the axes of
    the grid, and ``dims`` contains the names of all further axes.
    """

    dims: tuple[str, ...]
    values: npt.NDArray[Any]


# An evaluator computes the arrays of a block from the values along the axes of the block.
Evaluator = Callable[[dict[str, Values]], dict[str, NamedArray]]


class Outcome(NamedTuple):
    """The arrays that were computed for a block of grid points, and the first warning about their accuracy."""

    arrays: dict[str, NamedArray]
    warning: str  # text of the first AccuracyWarning in the block; empty if there was no warning


def compute(evaluate: Evaluator, values: dict[str, Values]) -> Outcome:
    """Compute one block of grid points; a lock lets only one thread of a process compute at a time.

    evaluate: function that computes the arrays of the block. values: values along each axis of the block.
    """
    with _ONE_AT_A_TIME, warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", errors.AccuracyWarning)
        with _noticing_interrupts() as interrupts:
            arrays = evaluate(values)
    if interrupts:  # a calculation that was interrupted returns only a part of the block
        raise KeyboardInterrupt
    accuracy = [warning for warning in caught if issubclass(warning.category, errors.AccuracyWarning)]
    for warning in caught:
        if warning not in accuracy:
            warnings.warn_explicit(warning.message, warning.category, warning.filename, warning.lineno)
    return Outcome(arrays, str(accuracy[0].message) if accuracy else "")


@contextmanager
def _noticing_interrupts() -> Iterator[list[int]]:
    """Return a context that records each Ctrl-C in a list, even if a calculation catches the KeyboardInterrupt.

    The context returns the list. The list stays empty outside the main thread, which alone receives Ctrl-C.
    """
    interrupts: list[int] = []
    handler: Any = signal.getsignal(signal.SIGINT)
    if threading.current_thread() is not threading.main_thread() or not callable(handler):
        yield interrupts  # Ctrl-C does not reach this thread
        return

    def notice(number: int, frame: FrameType | None) -> Any:
        interrupts.append(number)
        return handler(number, frame)

    signal.signal(signal.SIGINT, notice)
    try:
        yield interrupts
    finally:
        signal.signal(signal.SIGINT, handler)


# --- a model --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class ModelEvaluator:
    """A function that computes a block of grid points with ``solve``, ``iterate`` or ``train``, in few calls.

    function: "solve", "iterate" or "train". arguments: arguments of this function that are not axes of the grid.
    batched: names of axes of the grid; points that differ only in these axes are computed in the same call. times:
    length of the time axis of a complete run, which is the number of times or of recorded steps. names: names of the
    arrays that are returned.
    """

    model: Model
    function: str
    arguments: dict[str, Any]
    batched: tuple[str, ...]
    times: int
    names: tuple[str, ...]

    def __call__(self, values: dict[str, Values]) -> dict[str, NamedArray]:
        """Return the arrays of a block, and the status of the points of the block.

        values: values along each axis of the block.
        """
        shape = tuple(map(len, values.values()))
        batched = {name: values[name] for name in values if name in self.batched}
        single = {name: values[name] for name in values if name not in self.batched}
        arrays: dict[str, NamedArray] = {}
        for position in np.ndindex(*map(len, single.values())):
            index = dict(zip(single, position, strict=True))
            where = tuple(index.get(name, slice(None)) for name in values)
            for name, (dims, part) in self._call({name: single[name][i].item() for name, i in index.items()}, batched):
                whole = np.empty((*shape, *part.shape[len(batched) :]), part.dtype)
                arrays.setdefault(name, NamedArray(dims, whole)).values[where] = part
        return arrays

    def _call(self, point: dict[str, Any], batched: dict[str, Values]) -> ItemsView[str, NamedArray]:
        """Call ``solve``, ``iterate`` or ``train`` once, for all points of the batched axes, and return the arrays.

        point: the value along each axis that is not batched. batched: the values along each batched axis.
        """
        values = point | open_axes(batched)
        model = self.model.replace(**{name: values.pop(name) for name in self.model.parameter_names if name in values})
        if "seed" in batched:
            values["seed"] = batched["seed"].tolist()
        return self._arrays_of(CALLS[self.function](model, **self.arguments, **values, progress=False)).items()

    def _arrays_of(self, run: Trajectory) -> dict[str, NamedArray]:
        """Return the arrays of a trajectory, extended to the length of a complete run, and the status of each run.

        A trajectory may contain several runs. The entries after the end of a run that ended early are inf if the run
        diverged, and NaN otherwise.
        """
        diverged = np.isfinite(run.blow_up_time) | (run.kind == "network")

        def completed(array: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
            missing = (*array.shape[:-2], self.times - array.shape[-2], array.shape[-1])
            rest = np.broadcast_to(np.where(diverged, np.inf, np.nan)[..., None, None], missing)
            return np.concatenate([array, rest], axis=-2)

        dims = ("time" if run.kind == "flow" else "step", "mode")
        arrays = {
            name: NamedArray((), run.blow_up_time)
            if name == "blow_up_time"
            else NamedArray(dims, completed(getattr(run, name)))
            for name in self.names
        }
        return arrays | {"status": NamedArray((), status_of(completed(run.s)))}


def open_axes(axes: dict[str, Values]) -> dict[str, Values]:
    """Reshape the n values along each axis to (1, ..., n, ..., 1), so that all axes together broadcast to the block.

    If each value along an axis of the grid is an array, the axes of this array become the last axes. The
    values of ``init``, the initial eigenvalue of a predictor, get an additional last axis of length 1, which broadcasts
    over the modes.
    """
    opened = {}
    for i, (name, values) in enumerate(axes.items()):
        of_value = values.shape[1:] or (1,) * (name == "init")
        opened[name] = values.reshape(*(len(values) if i == j else 1 for j in range(len(axes))), *of_value)
    return opened


def status_of(s: npt.NDArray[np.float64]) -> npt.NDArray[np.int8]:
    """Return the status (...) of runs with eigenvalues s (..., T, M): COMPLETE, DIVERGED or STOPPED.

    A run has diverged if s contains inf. A run has stopped early if s contains NaN.
    """
    unfinished = np.where(np.isnan(s).any(axis=(-2, -1)), STOPPED, COMPLETE)
    return np.where(np.isinf(s).any(axis=(-2, -1)), DIVERGED, unfinished).astype(np.int8)


# --- a function -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class FunctionEvaluator:
    """A function that computes a block of grid points by calling a user's function at one point after another.

    The user's function gets plain numbers. arguments: arguments of the user's function that are not axes of the grid.
    """

    function: Callable[..., Any]
    arguments: dict[str, Any]

    def __call__(self, values: dict[str, Values]) -> dict[str, NamedArray]:
        """Return the arrays of results at all points of a block, and the status of the points.

        values: values along each axis of the block.
        """
        shape, results = tuple(map(len, values.values())), []
        for position in np.ndindex(shape):
            point = {name: values[name][i].item() for name, i in zip(values, position, strict=True)}
            try:
                results.append(named_arrays(self.function(**point, **self.arguments)))
                _check_alike(results[0], results[-1])
            except Exception as error:
                error.add_note(f"at {', '.join(f'{name} = {value!r}' for name, value in point.items())}")
                raise
        _check_names(values, results[0])
        arrays = {name: NamedArray(dims, _stacked(shape, name, results)) for name, (dims, _) in results[0].items()}
        return arrays | {"status": NamedArray((), np.full(shape, COMPLETE, np.int8))}


def _stacked(shape: tuple[int, ...], name: str, results: list[dict[str, NamedArray]]) -> npt.NDArray[Any]:
    arrays = [result[name].values for result in results]
    return np.stack(arrays).reshape(*shape, *arrays[0].shape)


def _check_alike(first: dict[str, NamedArray], later: dict[str, NamedArray]) -> None:
    """Raise ValueError unless the arrays that a function returned at two points have the same names and shapes."""
    expected, shapes = ({name: a.values.shape for name, a in arrays.items()} for arrays in (first, later))
    if shapes != expected:
        raise ValueError(
            "the function must return arrays with the same names and shapes at all points, but returned "
            f"{expected} at one point and {shapes} at another"
        )


def _check_names(axes: dict[str, Values], arrays: dict[str, NamedArray]) -> None:
    """Raise ValueError unless arrays, their axes, and the axes of the grid have different names.

    arrays: result of a user's function. The name "status" is not allowed for an array. Several arrays may share an
    axis; this axis must have the same length in all of them.
    """
    lengths: dict[str, int] = {}
    for name, (dims, values) in arrays.items():
        if name in ("status", *axes) or set(dims) & {*axes, *arrays} or len(set(dims)) < len(dims):
            raise ValueError(
                f"the result {name!r} with the axes {dims} must have a name and axes whose names are not used elsewhere"
            )
        for dim, length in zip(dims, values.shape, strict=True):
            if lengths.setdefault(dim, length) != length:
                raise ValueError(
                    f"the axis {dim!r} must have the same length in all results, but has the lengths {lengths[dim]} "
                    f"and {length}"
                )


def named_arrays(result: Any) -> dict[str, NamedArray]:
    """Return the result of a user's function as a dictionary of named arrays.

    Raises TypeError unless the result is a dict of numbers and arrays, or a trajectory.
    """
    if isinstance(result, Trajectory):
        batch = tuple(f"s_{i}" for i in range(result.s.ndim - 2))
        of_times = {"t": (("time",), result.t), "s": ((*batch, "time", "mode"), result.s)}
        return named_arrays(of_times | {"blow_up_time": (batch, result.blow_up_time)})
    if not isinstance(result, Mapping) or not result:
        requirement = "the function must return a trajectory, or a dict from names to numbers and arrays"
        raise TypeError(f"{requirement}, but returned {result!r}")
    return {name: _named_array(name, value) for name, value in result.items()}


def _named_array(name: Any, value: Any) -> NamedArray:
    """Return a result of a user's function as a named array of floats or complex numbers.

    name: name of the result. value: number, array, or pair (names of axes, array). Without names of axes, the axes get
    the names ``name_0``, ``name_1``, ... Raises TypeError or ArgumentError for other values.
    """
    named = isinstance(value, tuple) and len(value) == 2 and isinstance(value[0], (str, tuple, list))
    array = errors.as_array(str(name), value[1] if named else value, "be a number or an array")
    dims = value[0] if named else [f"{name}_{i}" for i in range(array.ndim)]
    dims = (dims,) if isinstance(dims, str) else tuple(dims)
    if array.dtype.kind not in "biufc" or not isinstance(name, str):
        raise TypeError(f"the function must return numbers and arrays with names, but returned {name!r}: {value!r}")
    if len(dims) != array.ndim:
        raise TypeError(
            f"the array {name!r} must have a name for each axis, but has the names {dims} and the shape {array.shape}"
        )
    return NamedArray(dims, array.astype(float) if array.dtype.kind in "biu" else array)
