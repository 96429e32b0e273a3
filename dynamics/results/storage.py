"""Write trajectories to files, and read such files; all entries of a file are validated when it is read."""

import json
import os
import zipfile
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import numpy.typing as npt

from dynamics import errors
from dynamics.model.model import Model
from dynamics.numerics.context import isolated
from dynamics.numerics.files import replacing
from dynamics.numerics.memory import check_size
from dynamics.results.entries import ENTRIES, Entry, Shape, arrays_of
from dynamics.results.trajectory import KINDS, Trajectory

FORMAT = "ssl-dynamics trajectory 1"
PLAIN = ("kind", "method", "status", "error", "settings")  # entries of the description, except format and model
MEASURE = "measures."  # prefix of the names of measures in a file
DEEPEST = 20  # largest number of nested levels in the settings
SETTINGS = {"flow": (), "descent": ("learning_rate", "steps"), "network": ("learning_rate", "steps", "batch_size")}

SUFFIXES = {".npz": "all contents, compressed", ".nc": "all contents, as netCDF", ".csv": "eigenvalues alone, as text"}


# --- writing --------------------------------------------------------------------------------------------------------


def save(trajectory: Trajectory, path: str | Path) -> Path:
    """Write a trajectory to a file, and return the path of the file; see ``Trajectory.save``.

    The file is either written completely or not changed at all.
    """
    path = errors.path("path", path)
    suffix = _suffix(path)
    if not suffix:
        path, suffix = path.with_name(path.name + ".npz"), ".npz"
    if suffix not in SUFFIXES:
        formats = ", ".join(f"{name} ({contents})" for name, contents in SUFFIXES.items())
        errors.reject("path", f"end in one of {formats}", str(path))
    write(trajectory, path, suffix)
    return path


def write(trajectory: Trajectory, path: Path, suffix: str) -> None:
    """Write a trajectory to a file.

    suffix: suffix of a format, a key of ``SUFFIXES``; the name of the file may have another suffix.
    """
    if suffix == ".csv":
        trajectory.to_csv(path)
    elif suffix == ".nc":
        from dynamics.results import netcdf

        netcdf.write(trajectory, path, FORMAT)
    else:
        _write_npz(trajectory, path)


def _suffix(path: Path) -> str:
    """Return the suffix of a path in lower case; digits after a point, as in "rate0.1", are no suffix."""
    suffix = path.suffix.lower()
    return "" if suffix[1:].isdigit() else suffix


def _write_npz(trajectory: Trajectory, path: Path) -> None:
    arrays: dict[str, Any] = arrays_of(trajectory)
    arrays |= {MEASURE + name: array for name, array in trajectory.measures.items()}
    description = {
        "format": FORMAT,
        "model": trajectory.model.to_dict(),
        **{name: getattr(trajectory, name) for name in PLAIN},
    }
    about = np.array(json.dumps(description))
    with replacing(path) as fresh, fresh.open("wb") as file:
        np.savez_compressed(file, about=about, **arrays)


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
    try:
        contents = _contents(path)
    except errors.ArgumentError:
        raise
    except Exception as error:  # a damaged file may raise errors of many classes
        pickled = "allow_pickle" in str(error)
        _refuse(path, "contains pickled objects, which are never loaded" if pickled else "is damaged", error)
    try:
        return _trajectory_of(contents)
    except Exception as error:  # wrong contents, such as JSON of a thousand levels, may raise errors of many classes
        _refuse(path, f"does not contain a valid trajectory ({_reason(error)})", error)


def _contents(path: Path) -> dict[str, npt.NDArray[Any]]:
    """Return the entries of an .npz file or a netCDF file; the first bytes of the file determine the format."""
    remedy = "Load the file on a machine with more memory."
    if zipfile.is_zipfile(path):
        with path.open("rb") as raw, np.load(raw, allow_pickle=False) as file:
            size = sum(entry.file_size for entry in file.zip.infolist())
            check_size(f"The contents of {path}", size, remedy, 1)
            return {name: file[name] for name in file.files}
    from dynamics.results import netcdf

    if path.is_dir() or not _starts_with(path, netcdf.MAGIC):
        csv = ", such as a .csv file, which has eigenvalues alone" if _suffix(path) == ".csv" else ""
        _refuse(path, f"is truncated or not an npz or nc file{csv}")
    check_size(f"The contents of {path}", 2 * path.stat().st_size, remedy, 1)
    return netcdf.read(path.read_bytes(), MEASURE)


def _starts_with(path: Path, beginnings: tuple[bytes, ...]) -> bool:
    with path.open("rb") as file:
        return file.read(len(beginnings[0])) in beginnings


def _refuse(path: Path, reason: str, cause: Exception | None = None) -> NoReturn:
    message = f"Argument `path` must name a complete file written by Trajectory.save, but {path} {reason}."
    raise errors.ArgumentError(message) from cause


def _reason(error: Exception) -> str:
    if isinstance(error, RecursionError):
        return "too many levels in the description"
    text = " ".join(str(error).split())
    return f"no entry {text}" if isinstance(error, KeyError) else text


def _trajectory_of(contents: dict[str, npt.NDArray[Any]]) -> Trajectory:
    """Return the trajectory that the entries of a file describe.

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
        _check_measure(name, array, s)
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
        value = settings.get(name)
        scheduled = name == "learning_rate" and isinstance(value, list) and value
        if not all(isinstance(number, (int, float)) for number in (value if scheduled else [value])):
            raise ValueError(f"an entry `settings` whose `{name}` is {errors.excerpt(settings.get(name))}")


def _levels(plain: Any) -> int:
    parts = plain.values() if isinstance(plain, dict) else plain if isinstance(plain, list) else ()
    return 1 + max(map(_levels, parts), default=0)


def _check_array(name: str, array: npt.NDArray[Any], entry: Entry, s: Shape) -> None:
    if array.dtype.kind not in entry.kinds:
        raise ValueError(f"an entry `{name}` of type {array.dtype}")
    if not entry.fits(array.shape, s):
        raise ValueError(f"an entry `{name}` of shape {array.shape}, which must be {entry.shape} with s of shape {s}")


def _check_measure(name: str, array: npt.NDArray[Any], s: Shape) -> None:
    if array.dtype.kind not in "biuf":
        raise ValueError(f"an entry `{name}` of type {array.dtype}")
    if array.shape[: len(s) - 1] != s[:-1]:
        raise ValueError(f"an entry `{name}` of shape {array.shape}, which must be (..., T, ...) with s of shape {s}")


def _check_ascending(name: str, values: npt.NDArray[Any] | None) -> None:
    if values is not None and not (
        (values[:1] >= 0).all() and np.isfinite(values).all() and (np.diff(values) >= 0).all()
    ):
        raise ValueError(f"an entry `{name}` that is not ascending, finite and non-negative")
