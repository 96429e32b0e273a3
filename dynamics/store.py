"""The Zarr store of a sweep: laid out once, written block by block, readable at any time, only ever by one sweep.

A block is one chunk of every array, so that no two blocks write the same file, and Zarr puts a file in place at once
or not at all. The status of a block is written after its other arrays: a sweep that was killed, at whatever moment,
computes again exactly the blocks without one.
"""

import fcntl
import json
import math
import os
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import xarray as xr
import zarr

from dynamics import errors
from dynamics.grid import Grid
from dynamics.work import STATUS, Array

METADATA = "zarr.json"
LARGEST = 2**31 - 1  # bytes of a chunk that its compression takes
SECTOR = 4096  # a file occupies a multiple of so many bytes
ABOUT = {
    "s": "eigenvalue s",
    "target": "eigenvalue of the target's correlation",
    "predictor": "predictor eigenvalue lambda",
    "blow_up_time": "time at which eigenvalues diverge",
    "time": "time, learning rate x steps",
}


class Variable(NamedTuple):
    """What each point of the grid has of an array: names and lengths of its axes, and the kind of number."""

    dims: tuple[str, ...]
    shape: tuple[int, ...]
    dtype: np.dtype

    def bytes(self, points: int) -> int:
        """Of so many points, before compression."""
        return points * math.prod(self.shape) * self.dtype.itemsize


class Layout(NamedTuple):
    """The arrays of a sweep, and the coordinates beside the axes of its grid."""

    variables: dict[str, Variable]
    coordinates: dict[str, Array]


STATUS_VARIABLE = Variable((), (), np.dtype(np.int8))


# --- which sweep it is ----------------------------------------------------------------------------------------------


def exists(path: Path, identity: dict[str, Any]) -> bool:
    """Whether this very sweep has a store there; ArgumentError if there is something else."""
    if not path.parent.is_dir():
        errors.reject("store", "lie in an existing folder", str(path))
    if not path.exists():
        return False
    must = "name a new path, or the store of this very sweep"
    try:
        there = json.loads(json.loads((path / METADATA).read_text(encoding="utf-8"))["attributes"]["sweep"])
        known = there["format"] == identity["format"]
    except (OSError, ValueError, KeyError, TypeError):
        raise errors.ArgumentError(f"Argument `store` must {must}, but {path} is no store of a sweep.") from None
    found = _differences(there, identity) if known else [f"the format {there['format']!r}"]
    if found:
        raise errors.ArgumentError(f"Argument `store` must {must}, but {path} is one with another {'; '.join(found)}.")
    return True


def _differences(there, here, name="") -> list[str]:
    """What differs, in words."""
    if isinstance(there, dict) and isinstance(here, dict):
        return [text for key in here | there for text in _differences(there.get(key), here.get(key), f"{name} {key}")]
    return [] if there == here else [f"{name.strip()} ({_short(there)} there, {_short(here)} here)"]


def _short(value) -> str:
    text = json.dumps(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


# --- laying it out --------------------------------------------------------------------------------------------------


def check_room(path: Path, grid: Grid, layout: Layout, blocks: Iterable[int]) -> None:
    """ArgumentError unless the disk has room for the arrays of these blocks, taken uncompressed."""
    variables = [*layout.variables.values(), STATUS_VARIABLE]
    full = math.prod(grid.block)
    largest = max(variable.bytes(full) for variable in variables)
    if largest > LARGEST:
        errors.reject("chunk", f"be so small that an array of a block has at most {LARGEST} bytes, not {largest}", full)
    sizes = np.array([grid.points(number) for number in blocks])
    needed = sum(int((-(-variable.bytes(sizes) // SECTOR) * SECTOR).sum()) for variable in variables)
    free = shutil.disk_usage(path.parent).free
    if needed > free:
        must = f"lie on a disk with room for the sweep, {needed} bytes before compression"
        raise errors.ArgumentError(f"Argument `store` must {must}, but {path.parent.resolve()} has {free} bytes left.")


def create(path: Path, grid: Grid, layout: Layout, identity: dict[str, Any], title: str) -> None:
    """A store without results, in place at once."""
    fresh = path.with_name(f".{path.name}.new")
    shutil.rmtree(fresh, ignore_errors=True)
    axes = {
        name: Array((name,), values if values.ndim == 1 else np.arange(len(values)))
        for name, values in grid.axes.items()
    }
    about = {"title": title, "sweep": json.dumps(identity), "coordinates": " ".join(layout.coordinates)}
    group = zarr.create_group(fresh, attributes=about)
    for name, (dims, values) in (axes | layout.coordinates).items():
        group.create_array(name, data=values, chunks=values.shape, dimension_names=dims, attributes=_about(name))
    for name, variable in layout.variables.items():
        _create_array(group, name, variable, grid, _about(name), np.nan)
    flags = {"flag_values": list(range(len(STATUS))), "flag_meanings": " ".join(STATUS)}
    _create_array(group, "status", STATUS_VARIABLE, grid, flags, 0)
    fresh.rename(path)


def _about(name: str) -> dict[str, str]:
    return {"long_name": ABOUT[name]} if name in ABOUT else {}


def _create_array(group: zarr.Group, name: str, variable: Variable, grid: Grid, about, missing) -> None:
    group.create_array(
        name,
        shape=(*grid.shape, *variable.shape),
        chunks=(*grid.block, *(max(n, 1) for n in variable.shape)),
        dtype=variable.dtype,
        fill_value=missing,
        dimension_names=(*grid.axes, *variable.dims),
        attributes=about,
    )


# --- reading and writing --------------------------------------------------------------------------------------------


class Store:
    """A store that is there, to write blocks into."""

    def __init__(self, path: Path, grid: Grid):
        for unfinished in path.rglob("*.partial"):  # what Zarr was writing when the process was killed
            unfinished.unlink()
        self.grid, self.group = grid, zarr.open_group(path, mode="r+", use_consolidated=False)
        self.arrays: dict[str, Any] = dict(self.group.arrays())

    def missing(self) -> np.ndarray:
        """Numbers of the blocks that are not there, ascending."""
        corners = tuple(slice(None, None, size) for size in self.grid.block)
        return np.flatnonzero(self.arrays["status"][...][corners] == 0)

    def layout(self) -> Layout:
        """Of the results, without coordinates."""
        axes = len(self.grid.axes)
        own = {name: a for name, a in self.arrays.items() if a.metadata.dimension_names[:axes] == (*self.grid.axes,)}
        return Layout(
            {
                name: Variable(a.metadata.dimension_names[axes:], a.shape[axes:], a.dtype)
                for name, a in own.items()
                if name != "status"
            },
            {},
        )

    def write(self, number: int, arrays: dict[str, Array]) -> None:
        """Put a block in place; raises ValueError if it is not like the others."""
        check_fits(self.layout(), self.grid, arrays)
        where = self.grid.where(number)
        for name, (_, values) in sorted(arrays.items(), key=lambda item: item[0] == "status"):
            self.arrays[name][where] = values


def check_fits(layout: Layout, grid: Grid, arrays: dict[str, Array]) -> None:
    """ValueError unless the arrays of a block are those of the layout."""
    found = layout_of(grid, arrays).variables
    for name in found | layout.variables:
        here, there = found.get(name), layout.variables.get(name)
        alike = here and there and here[:2] == there[:2] and np.can_cast(here.dtype, there.dtype)
        if not alike:
            raise ValueError(f"{name!r} must be as in other blocks, {there}, but is {here}")


def layout_of(grid: Grid, arrays: dict[str, Array]) -> Layout:
    """The layout that fits the results of a block."""
    axes = len(grid.axes)
    return Layout(
        {
            name: Variable(dims, values.shape[axes:], values.dtype)
            for name, (dims, values) in arrays.items()
            if name != "status"
        },
        {},
    )


def opened(path: Path) -> xr.Dataset:
    """The results, read when they are looked at; not a number where nothing has been computed."""
    return xr.open_zarr(path, chunks=None, consolidated=False)


_held: set[int] = set()  # descriptors of stores in use
os.register_at_fork(after_in_child=lambda: [os.close(descriptor) for descriptor in _held])  # it is the parent's


@contextmanager
def held(path: Path) -> Iterator[None]:
    """Nobody else writes into the store meanwhile; ArgumentError if somebody does. Ends with the process at the latest."""
    descriptor = os.open(path, os.O_RDONLY)
    _held.add(descriptor)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            message = f"must not be in use, but a sweep that is running writes into {path}"
            raise errors.ArgumentError(f"Argument `store` {message}.") from None
        except OSError:
            pass  # a file system without locks
        yield
    finally:
        _held.discard(descriptor)
        os.close(descriptor)
