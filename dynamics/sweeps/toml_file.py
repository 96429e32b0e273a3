"""A sweep as a TOML file describes it: tables [model], [run], [grid], and store, chunk, keep. Nothing is executed."""

import inspect
import signal
import tomllib
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import MISSING, fields
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from dynamics import errors
from dynamics.generated import catalogue
from dynamics.model.components import EMA, ClosedForm, Learned, NoPredictor, Shared
from dynamics.model.expressions import Gain, Loss
from dynamics.model.model import Model
from dynamics.sweeps.block import CALLS
from dynamics.sweeps.plan import CALCULATIONS
from dynamics.sweeps.sweep import sweep

TABLES = ("model", "run", "grid")
OPTIONS = ("store", "chunk", "keep")
PARTS = {"predictor": (ClosedForm, Learned, NoPredictor), "target": (Shared, EMA)}
OWN = {"loss": Loss, "gain": Gain}
SPACINGS: dict[str, Any] = {"linear": np.linspace, "log": np.geomspace}
WEIGHTS = ("modes", "inputs", "std", "seed")


def run(path, workers: int | None = None, scheduler: str | None = None) -> xr.Dataset:
    """The sweep of the file, in this process, in so many others, or on the cluster of a Dask scheduler.

    A relative ``store`` lies in the current folder. Raises FileNotFoundError, ArgumentError, SweepError.
    """
    arguments = read(path)
    with _executor(workers, scheduler) as executor:
        return sweep(**arguments, executor=executor)


def read(path) -> dict[str, Any]:
    """The arguments of ``sweep`` in a file; raises FileNotFoundError, or ArgumentError that names what is wrong."""
    try:
        contents = tomllib.loads(Path(path).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise FileNotFoundError(f"No such file: {path}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, IsADirectoryError) as error:
        raise errors.ArgumentError(f"Argument `file` must name a TOML file, but {path} is none: {error}.") from None
    _check_keys("the file", contents, (*TABLES, *OPTIONS))
    _check_given(path, contents, (*TABLES, "store"))
    for name in TABLES:
        errors.instance(name, contents[name], dict, f"be a table, [{name}]")
    options = {name: contents[name] for name in OPTIONS if name in contents}
    grid = {name: _numbers(name, values) for name, values in contents["grid"].items()}
    return {"what": _model(contents["model"]), "grid": grid, **options, **_run(contents["run"])}


def _check_keys(where: str, table: dict, known) -> None:
    for key in table:
        errors.choice(f"key of {where}", key, known)


def _check_given(where, table: dict, needed) -> None:
    for key in needed:
        if key not in table:
            errors.reject(key, f"be given in {where}", None)


def _model(table: dict[str, Any]) -> Model:
    _check_keys("[model]", table, [f.name for f in fields(Model)])
    _check_given("[model]", table, ["loss"])
    read = dict.fromkeys(PARTS, _part) | dict.fromkeys(OWN, _own)
    return Model(**{name: read[name](name, value) if name in read else value for name, value in table.items()})


def _own(name: str, given) -> Any:
    """A loss by its name, a gain as text, or either from a table: its sentence, and the numbers this leaves open."""
    kind = OWN[name]
    if isinstance(given, dict):
        _check_given(f"the table of {name}", given, ["sentence"])
        return kind(given["sentence"], {number: value for number, value in given.items() if number != "sentence"})
    table = f"a sentence in a table, such as {{ sentence = '{kind.example}' }}"
    if kind is Gain:
        errors.instance(name, given, str, f"be text, such as '{kind.example}', or {table}")
        return given
    return errors.choice(name, given, catalogue.LOSSES, otherwise=table)


def _part(name: str, table) -> Any:
    """A predictor or a target from its kind and its numbers."""
    errors.instance(name, table, dict, f'be a table, such as {{ kind = "{PARTS[name][0].__name__}" }}')
    kinds = {kind.__name__: kind for kind in PARTS[name]}
    kind = kinds[errors.choice(f"kind of {name}", table.get("kind"), kinds)]
    own = {f.name: f.default for f in fields(kind)}
    _check_keys(f"{name}, {kind.__name__}", table, ("kind", *own))
    _check_given(f"the table of {name}", table, [number for number, default in own.items() if default is MISSING])
    return kind(**{number: value for number, value in table.items() if number != "kind"})


def _run(table: dict[str, Any]) -> dict[str, Any]:
    """Arguments of a calculation; a start may be that of random weights."""
    known = {name for calculation in CALCULATIONS for name in inspect.signature(CALLS[calculation.function]).parameters}
    _check_keys("[run]", table, sorted(known - {"model", "progress"}))
    found = {name: _numbers(name, value) if name == "times" else value for name, value in table.items()}
    if isinstance(found.get("W0"), dict):
        found["W0"] = _weights("W0", found["W0"])
    if isinstance(found.get("s0"), dict):
        found["s0"] = np.linalg.svd(_weights("s0", found["s0"]), compute_uv=False)[::-1] ** 2
    return found


def _weights(name: str, table: dict[str, Any]) -> np.ndarray:
    """Random weights (modes, inputs) of the encoder, as those of the other commands."""
    _check_keys(name, table, WEIGHTS)
    modes, inputs, std, seed = (({"modes": 10, "inputs": 15, "std": 0.25, "seed": 0} | table)[key] for key in WEIGHTS)
    modes, inputs, seed = errors.count("modes", modes), errors.count("inputs", inputs), errors.count("seed", seed, 0)
    if modes > inputs:
        errors.reject("modes", f"be at most as many as the inputs, {inputs}", modes)
    return errors.positive_number("std", std) * np.random.default_rng(seed).standard_normal((modes, inputs))


def _numbers(name: str, given) -> Any:
    """A list as it is, or one from a table {from, to, points, spacing}; whole numbers where the steps are."""
    if not isinstance(given, dict):
        return given
    _check_keys(name, given, ("from", "to", "points", "spacing"))
    _check_given(f"the table of {name}", given, ("from", "to", "points"))
    first, last, points = given["from"], given["to"], errors.count("points", given["points"])
    spacing = errors.choice("spacing", given.get("spacing", "linear"), SPACINGS)
    for key in ("from", "to"):
        errors.positive_number(key, given[key]) if spacing == "log" else errors.real_number(key, given[key])
    values = SPACINGS[spacing](first, last, points)
    whole = all(isinstance(end, int) for end in (first, last)) and (values == np.round(values)).all()
    return values.astype(int) if whole else values


@contextmanager
def _executor(workers: int | None, scheduler: str | None) -> Iterator[Any]:
    if scheduler is not None:
        try:
            from distributed import Client
        except ImportError:
            must = 'be left out unless Dask is there (pip install "ssl-dynamics[cluster]")'
            errors.reject("scheduler", must, scheduler)
        try:
            client = Client(scheduler)
        except (OSError, ValueError) as error:
            must = "be the address of a Dask scheduler"
            raise errors.ArgumentError(f"Argument `scheduler` must {must}, but is {scheduler!r}: {error}.") from None
        with client:
            yield client
    elif workers is not None:
        with ProcessPoolExecutor(workers, get_context("spawn"), _leave_ctrl_c_to_the_parent) as pool:
            yield pool
    else:
        yield None


def _leave_ctrl_c_to_the_parent() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
