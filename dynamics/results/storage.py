"""Write trajectories to .npz files, and read such files; all entries of a file are validated when it is read."""

import json
import os
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

import numpy as np
import numpy.typing as npt

from dynamics import errors
from dynamics.model.model import Model
from dynamics.numerics.context import isolated
from dynamics.numerics.files import replacing
from dynamics.numerics.memory import check_size
from dynamics.results.trajectory import KINDS, Trajectory

FORMAT = "ssl-dynamics trajectory 1"
PLAIN = ("kind", "method", "status", "error", "settings")  # entries of the description, except format and model
MEASURE = "measures."  # prefix of the names of measures in a file
DEEPEST = 20  # largest number of nested levels in the settings
SETTINGS = {"flow": (), "descent": ("learning_rate", "steps"), "network": ("learning_rate", "steps", "batch_size")}

Shape = tuple[int, ...]


class Entry(NamedTuple):
    """The requirements on an array in a file: its type, its shape, and whether it may be missing."""

    kinds: str  # allowed kinds of numbers, as in ``dtype.kind``
    shape: str  # required shape, in words
    fits: Callable[[Shape, Shape], bool]  # function of the shape of the array and of the shape of the eigenvalues s
    optional: bool = True  # True if the array may be missing


ENTRIES = {
    "s": Entry("f", "(..., T, M)", lambda shape, s: len(s) >= 2 and s[-1] > 0, False),
    "t": Entry("f", "(T,)", lambda shape, s: shape == s[-2:-1], False),
    "target": Entry("f", "(..., T, M)", lambda shape, s: shape == s, False),
    "predictor": Entry("f", "(..., T, M)", lambda shape, s: shape == s, False),
    "step": Entry("iu", "(T,)", lambda shape, s: shape == s[-2:-1]),
    "blow_up_time": Entry("f", "(...) or ()", lambda shape, s: shape in ((), s[:-2])),
    "population": Entry("f", "(..., T, M) or (T, M)", lambda shape, s: shape in (s, s[-2:])),
    "deviation": Entry("f", "(..., T, M) or (T, M)", lambda shape, s: shape in (s, s[-2:])),
    "reliable": Entry("b", "(T,)", lambda shape, s: shape == s[-2:-1]),
    "mode_mean": Entry("f", "(T, M)", lambda shape, s: shape == s[-2:]),
    "mode_deviation": Entry("f", "(T, M)", lambda shape, s: shape == s[-2:]),
    "mode_reliable": Entry("b", "(T,)", lambda shape, s: shape == s[-2:-1]),
    "weights": Entry("f", "(..., T, M, N)", lambda shape, s: shape[:-1] == s),
    "target_weights": Entry("f", "(..., T, M, N)", lambda shape, s: shape[:-1] == s),
    "predictor_weights": Entry("f", "(..., T, M, M)", lambda shape, s: shape == (*s, s[-1])),
    "embeddings": Entry("f", "(..., T, P, M)", lambda shape, s: (*shape[:-2], shape[-1]) == s),
}
OF_MEASURE = Entry("biuf", "(..., T, ...)", lambda shape, s: shape[: len(s) - 1] == s[:-1])


# --- writing --------------------------------------------------------------------------------------------------------


def save(trajectory: Trajectory, path: str | Path) -> Path:
    """Write a trajectory to a file, and return the path of the file, including the suffix.

    The file is either written completely or not changed at all.
    """
    path = errors.path("path", path)
    path = path if path.suffix.lower() == ".npz" else path.with_name(path.name + ".npz")
    arrays = {name: getattr(trajectory, name) for name in ENTRIES} | {
        MEASURE + name: array for name, array in trajectory.measures.items()
    }
    description = {
        "format": FORMAT,
        "model": trajectory.model.to_dict(),
        **{name: getattr(trajectory, name) for name in PLAIN},
    }
    present = {name: array for name, array in arrays.items() if array is not None}
    with replacing(path) as fresh, fresh.open("wb") as file:
        np.savez_compressed(file, about=np.array(json.dumps(description)), **present)
    return path


# --- reading --------------------------------------------------------------------------------------------------------


@isolated
def load(path: str | Path) -> Trajectory:
    """Read a trajectory that ``Trajectory.save`` wrote; nothing in the file is executed.

    Parameters
    ----------
    path : str or Path
        The file.

    Returns
    -------
    Trajectory
        The trajectory, with its model.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ArgumentError
        If the file is truncated, damaged or no trajectory, or if it contains pickled objects. If an entry of the file
        differs from what ``Trajectory.save`` writes, the message names the entry.

    Examples
    --------
    >>> import tempfile
    >>> import dynamics as dyn
    >>> flow = dyn.solve(dyn.Model("euclidean"), [0.1, 0.5], [0.0, 1.0])
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     loaded = dyn.load(flow.save(f"{folder}/flow.npz"))
    >>> loaded == flow
    True
    """
    path = errors.path("path", path)
    if not os.path.exists(path):  # for a name that is too long this is False; ``Path.exists`` would raise an error
        raise FileNotFoundError(f"No such file: {path}")
    if not zipfile.is_zipfile(path):
        _refuse(path, "is truncated or not an npz file")
    try:
        with path.open("rb") as raw, np.load(raw, allow_pickle=False) as file:
            size = sum(entry.file_size for entry in file.zip.infolist())
            check_size(f"The contents of {path}", size, "Load the file on a machine with more memory.", 1)
            contents = {name: file[name] for name in file.files}
    except errors.ArgumentError:
        raise
    except Exception as error:  # a damaged archive may raise errors of many classes
        pickled = "allow_pickle" in str(error)
        _refuse(path, "contains pickled objects, which are never loaded" if pickled else "is damaged", error)
    try:
        return _trajectory_of(contents)
    except Exception as error:  # wrong contents, such as JSON of a thousand levels, may raise errors of many classes
        _refuse(path, f"does not contain a valid trajectory ({_reason(error)})", error)


def _refuse(path: Path, reason: str, cause: Exception | None = None) -> NoReturn:
    message = f"Argument `path` must name a complete file written by Trajectory.save, but {path} {reason}."
    raise errors.ArgumentError(message) from cause


def _reason(error: Exception) -> str:
    if isinstance(error, RecursionError):
        return "too many levels in the description"
    text = " ".join(str(error).split())
    return f"no entry {text}" if isinstance(error, KeyError) else text


def _trajectory_of(contents: dict[str, npt.NDArray[Any]]) -> Trajectory:
    """Return the trajectory in the entries of a file.

    Raises an exception if an entry differs from what ``save`` writes; ``load`` turns the exception into an
    ArgumentError.
    """
    description = json.loads(str(contents.pop("about")))
    if description["format"] != FORMAT:
        raise ValueError("unknown format")
    _check_description(description)
    s = contents["s"].shape
    measures = {name: array for name, array in contents.items() if name.startswith(MEASURE)}
    arrays: dict[str, Any] = {name: array for name, array in contents.items() if name not in measures}
    if unknown := arrays.keys() - ENTRIES.keys():
        raise ValueError(f"an unknown entry `{min(unknown)}`")
    for name, entry in ENTRIES.items():
        if name in arrays or not entry.optional:
            _check_array(name, arrays[name], entry, s)
    for name, array in measures.items():
        _check_array(name, array, OF_MEASURE, s)
    for name in ("t", "step"):
        _check_ascending(name, arrays.get(name))
    return Trajectory(
        model=Model.from_dict(description["model"]),
        **{name: description[name] for name in PLAIN},
        **arrays,
        measures={name.removeprefix(MEASURE): array for name, array in measures.items()},
    )


def _check_description(description: dict[str, Any]) -> None:
    if unknown := description.keys() - {"format", "model", *PLAIN}:
        raise ValueError(f"an unknown entry `{min(unknown)}` of the description")
    if description["kind"] not in list(KINDS):
        raise ValueError(f"unknown kind {errors.excerpt(description['kind'])}")
    for name, kind in (("method", str), ("status", str), ("error", (int, float)), ("settings", dict)):
        if not isinstance(description[name], kind):
            raise ValueError(f"an entry `{name}` that is {errors.excerpt(description[name])}")
    settings = description["settings"]
    if _levels(settings) > DEEPEST:
        raise ValueError(f"an entry `settings` of more than {DEEPEST} levels")
    for name in SETTINGS[description["kind"]]:
        if not isinstance(settings.get(name), (int, float)):
            raise ValueError(f"an entry `settings` whose `{name}` is {errors.excerpt(settings.get(name))}")


def _levels(plain: Any) -> int:
    parts = plain.values() if isinstance(plain, dict) else plain if isinstance(plain, list) else ()
    return 1 + max(map(_levels, parts), default=0)


def _check_array(name: str, array: npt.NDArray[Any], entry: Entry, s: Shape) -> None:
    if array.dtype.kind not in entry.kinds:
        raise ValueError(f"an entry `{name}` of type {array.dtype}")
    if not entry.fits(array.shape, s):
        raise ValueError(f"an entry `{name}` of shape {array.shape}, which must be {entry.shape} with s of shape {s}")


def _check_ascending(name: str, values: npt.NDArray[Any] | None) -> None:
    if values is not None and not (
        (values[:1] >= 0).all() and np.isfinite(values).all() and (np.diff(values) >= 0).all()
    ):
        raise ValueError(f"an entry `{name}` that is not ascending, finite and non-negative")
