"""Run sweeps that are described in TOML files.

A file has the tables [model], [run] and [grid], the key "store", and optionally the keys "chunk" and "keep". No text in
a file is executed as code.
"""

import inspect
import signal
import sys
import tomllib
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from dynamics import errors
from dynamics.model.model import Model
from dynamics.model.options import check_keys, check_present
from dynamics.model.starts import eigenvalues_of, random_weights
from dynamics.numerics.ranges import SPACINGS, evenly_spaced
from dynamics.sweeps.block import CALLS
from dynamics.sweeps.executor import end_with_parent
from dynamics.sweeps.plan import CALCULATIONS
from dynamics.sweeps.sweep import sweep

TABLES = ("model", "run", "grid")
OPTIONS = ("store", "chunk", "keep")


def run(
    path: str | Path, workers: int | None = None, scheduler: str | None = None, progress: bool | None = None
) -> xr.Dataset:
    """Run the sweep that a TOML file describes, and return its results.

    path: the file, or "-" for the standard input. workers: number of worker processes; None to compute in this process.
    scheduler: address of a Dask scheduler, whose cluster then computes the sweep instead. progress: True or False to
    show or hide the progress bar. A relative path ``store`` in the file is relative to the current folder.
    Raises FileNotFoundError if there is no such file, and the errors of ``sweep``.
    """
    arguments = read(path)
    with _executor(workers, scheduler) as executor:
        return sweep(**arguments, executor=executor, progress=progress)


def read(path: str | Path) -> dict[str, Any]:
    """Return the arguments of ``sweep`` that a TOML file, or for "-" the standard input, contains.

    Raises FileNotFoundError if there is no such file. Raises ArgumentError if the contents of the file are not valid;
    the message names the key.
    """
    path = errors.path("file", path)
    try:
        contents = tomllib.loads(sys.stdin.read() if str(path) == "-" else path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise FileNotFoundError(f"No such file: {path}") from None
    except (ValueError, RecursionError, OSError) as error:  # also integers of thousands of digits, and deep tables
        raise errors.ArgumentError(
            f"Argument `file` must name a TOML file, but {path} is not a valid TOML file: {error}."
        ) from None
    check_keys("the file", contents, (*TABLES, *OPTIONS))
    check_present(str(path), contents, (*TABLES, "store"))
    for name in TABLES:
        errors.instance(name, contents[name], dict, f"be a table, [{name}]")
    options = {name: contents[name] for name in OPTIONS if name in contents}
    grid = {name: _numbers(name, values) for name, values in contents["grid"].items()}
    return {"what": Model.from_dict(contents["model"]), "grid": grid, **options, **_run(contents["run"])}


def _run(table: dict[str, Any]) -> dict[str, Any]:
    """Return the arguments of ``solve``, ``iterate`` or ``train`` that the table [run] of a file contains.

    In the file, "W0" or "s0" may be a table with arguments of ``random_weights``. For "W0", the table is replaced by
    the random weights; for "s0", it is replaced by the correlation eigenvalues of random weights.
    """
    functions = (CALLS[calculation.function] for calculation in CALCULATIONS)
    names = {name for function in functions for name in inspect.signature(function).parameters}
    check_keys("[run]", table, sorted(names - {"model", "progress"}))
    arguments = {name: _numbers(name, value) if name == "times" else value for name, value in table.items()}
    if isinstance(arguments.get("W0"), dict):
        arguments["W0"] = _weights("W0", arguments["W0"])
    if isinstance(arguments.get("s0"), dict):
        arguments["s0"] = eigenvalues_of(_weights("s0", arguments["s0"]))
    return arguments


def _weights(name: str, table: dict[str, Any]) -> npt.NDArray[np.float64]:
    check_keys(name, table, inspect.signature(random_weights).parameters)
    return random_weights(**table)


def _numbers(name: str, plain: Any) -> Any:
    """Return the values that a table {from, to, points, spacing} of a TOML file describes; return a list unchanged.

    name: name of the table in messages. If "from" and "to" are integers and all values are whole numbers, the values
    have an integer type.
    """
    if not isinstance(plain, dict):
        return plain
    check_keys(name, plain, ("from", "to", "points", "spacing"))
    check_present(f"the table of {name}", plain, ("from", "to", "points"))
    first, last, points = plain["from"], plain["to"], errors.count("points", plain["points"])
    spacing = errors.choice("spacing", plain.get("spacing", "linear"), SPACINGS)
    for key in ("from", "to"):
        errors.positive_number(key, plain[key]) if spacing == "log" else errors.real_number(key, plain[key])
    values = evenly_spaced(first, last, points, spacing)
    whole = all(isinstance(end, int) for end in (first, last)) and (values == np.round(values)).all()
    return values.astype(int) if whole else values


@contextmanager
def _executor(workers: int | None, scheduler: str | None) -> Iterator[Any]:
    if scheduler is not None:
        try:
            from distributed import Client
        except ImportError:
            requirement = 'be left out, because Dask is not installed; pip install ".[cluster]" in a clone installs it'
            errors.reject("scheduler", requirement, scheduler)
        try:
            client = Client(scheduler)
        except (OSError, ValueError) as error:
            message = f"Argument `scheduler` must be the address of a Dask scheduler, but is {scheduler!r}: {error}."
            raise errors.ArgumentError(message) from None
        with client:
            yield client
    elif workers is not None:
        with ProcessPoolExecutor(workers, get_context("spawn"), _begin_worker) as pool:
            yield pool
    else:
        yield None


def _begin_worker() -> None:
    """Let this worker process end when its parent process ends, and ignore Ctrl-C, which the parent handles."""
    end_with_parent()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
