"""The outcome of a call: a result of finite numbers or one that states what is wrong, or a documented error."""

import signal
import traceback
import warnings
from contextlib import contextmanager
from typing import NamedTuple

import numpy as np
import xarray as xr

import dynamics as dyn
from dynamics.errors import MissingExtraError
from dynamics.model.model import Model

LIMIT = 30.0  # seconds of processor time for one call
REFUSALS = (dyn.ArgumentError, dyn.SweepError, MissingExtraError, FileNotFoundError)
INFINITE = {  # fields and functions whose documented values include inf: no bound, a divergence, never
    "largest_learning_rate", "growth", "collapsed_growth", "_groups", "blow_up_time", "final", "rate",
    "convergence_time",
}  # fmt: skip
UNDEFINED = {"noise", "convergence_time", "boundary"}  # documented nan: no fixed point, later than `within`


class OverTime(BaseException):
    """Raised by the timer; no handler of the package catches it."""


@contextmanager
def processor_time(seconds):
    """Raise OverTime in a block that takes longer in processor time."""

    def raise_over_time(*_):
        raise OverTime(f"over {seconds} s")

    before = signal.signal(signal.SIGPROF, raise_over_time)
    signal.setitimer(signal.ITIMER_PROF, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)


class Outcome(NamedTuple):
    """The outcome of a call: True if the call was refused, and what is wrong with the outcome; None if nothing is."""

    refused: bool
    fault: str | None


def outcome_of(call, limit=LIMIT):
    """Return the outcome of a call, which is interrupted after ``limit`` seconds."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.simplefilter("ignore", dyn.AccuracyWarning)
        try:
            with processor_time(limit):
                result = call()
                str(result), repr(result)
        except REFUSALS as error:
            return Outcome(True, "a message of several lines" if "\n" in str(error) else None)
        except OverTime as error:
            return Outcome(False, f"{error}: {place_of(error)}")
        except Exception as error:
            return Outcome(False, f"{type(error).__name__}: {str(error)[:120]} ({place_of(error)})")
        return Outcome(False, silent(call.name, result))


def place_of(error):
    """Return the last line of the package that is in a traceback."""
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if "/tests/" not in frame.filename]
    inside = [frame for frame in frames if "/dynamics/" in frame.filename or "/derivations/" in frame.filename]
    return f"{'/'.join(inside[-1].filename.split('/')[-2:])}:{inside[-1].lineno}" if inside else "outside"


def silent(name, value):
    """Return which number of a result is not finite without a word that says so; None if there is none."""
    if isinstance(value, dyn.Trajectory):
        return _silent_in_trajectory(value)
    if isinstance(value, Model | str | bytes | type(None)):
        return None
    if isinstance(value, xr.Dataset):
        return _silent_in_sweep(value)
    if isinstance(value, dyn.PhaseDiagram):
        return None if value.status != "complete" else _wrong("outcome", [bool(text) for text in value.outcome.flat])
    if hasattr(value, "__dataclass_fields__"):
        parts = ((field, getattr(value, field)) for field in value.__dataclass_fields__)
    elif isinstance(value, dict):
        parts = value.items()
    elif isinstance(value, list | tuple):
        parts = ((name, part) for part in value)
    else:
        return _silent_number(name, value)
    return next((f"{name}.{fault}" for part, each in parts if (fault := silent(part, each))), None)


def _silent_number(name, value):
    if (
        not isinstance(value, int | float | complex | np.ndarray | np.generic)
        or np.asarray(value).dtype.kind not in "fc"
    ):
        return None
    if name not in UNDEFINED and np.isnan(value).any():
        return f"{name} is nan"
    return f"{name} is inf" if name not in INFINITE and np.isinf(value).any() else None


def _silent_in_trajectory(trajectory):
    """A complete trajectory is finite before its members diverge; another one states in one line what happened."""
    if not trajectory.complete:
        return None if trajectory.status and "\n" not in trajectory.status else "no status"
    before = trajectory.t < np.asarray(trajectory.blow_up_time)[..., None]
    for name in ("s", "target", "predictor", "population", "deviation"):
        values = getattr(trajectory, name)
        if values is not None and not np.isfinite(values[before]).all():
            return f"{name} of a complete trajectory is not finite"
        if name == "s" and (values[before] < 0).any():
            return "a negative eigenvalue"
    return None if trajectory.error >= 0 else "error is nan"


def _silent_in_sweep(dataset):
    """Runs with the status 1 are complete, so that they have finite eigenvalues at all times."""
    if not dataset.status.isin([1, 2, 3]).all():
        return "a point without a run"
    for name in ("s", "target", "predictor"):
        if name in dataset and not np.isfinite(dataset[name].where(dataset.status == 1, 0.0)).all():
            return f"{name} of a complete run is not finite"
    return None


def _wrong(name, holds):
    return None if all(holds) else f"{name} is missing"
