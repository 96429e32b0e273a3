"""Create the Zarr store of a sweep, find the blocks that it lacks, and read the store.

A store can be read at any time. Zarr divides an array into chunks, each of which is a file. A block consists of exactly
one chunk of every array, so that two blocks never write the same file (see ``chunks``).

Each block also has a seal, a checksum that marks the block as completely written (see ``integrity``). The seal is
written after all other files of the block. If a sweep was killed, or if files were damaged, the blocks without a valid
seal are computed again.
"""

import errno
import fcntl
import glob
import json
import math
import os
import shutil
import time
import uuid
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import xarray as xr
import zarr

from dynamics import errors
from dynamics.model.fingerprint import as_read, differences
from dynamics.sweeps.block import STATUS, NamedArray
from dynamics.sweeps.chunks import CODECS, LARGEST, SEAL, STATUS_VARIABLE, BlockFiles, Variable
from dynamics.sweeps.grid import Grid
from dynamics.sweeps.integrity import (
    DIGEST,
    DIGESTS,
    METADATA,
    check_attributes,
    check_files,
    damaged,
    digests_of,
    with_digest,
)

ABANDONED = 86_400  # an unfinished store that is older than this number of seconds was left by a sweep that was killed
SECTOR = 4096  # the size of a file on the disk is a multiple of this number of bytes
ABOUT = {
    "s": "eigenvalue s",
    "target": "eigenvalue of the target's correlation",
    "predictor": "predictor eigenvalue lambda",
    "blow_up_time": "time at which eigenvalues diverge",
    "time": "time, learning rate x steps",
}


class Layout(NamedTuple):
    """Description of all arrays in the store of a sweep."""

    variables: dict[str, Variable]  # all arrays except the status
    coordinates: dict[str, NamedArray]  # all coordinates except the axes of the grid


# --- identity of the sweep ------------------------------------------------------------------------------------------


def store_exists(path: Path, identity: dict[str, Any]) -> bool:
    """Return True if a path is the store of this sweep, and False if the path does not exist.

    identity: plain data that identify the sweep. Raises ArgumentError if the path is something else, for example the
    store of another sweep. Raises SweepError if the attributes of the store are damaged.
    """
    if not os.path.isdir(path.parent):
        errors.reject("store", "lie in an existing folder", str(path))
    try:
        path.lstat()
    except FileNotFoundError:
        return False
    except OSError as error:  # such as a name that is too long
        raise errors.ArgumentError(f"Argument `store` must name a path that can exist, but: {error}.") from error
    requirement = "name a new path, or a store of the same sweep"
    try:
        attributes = json.loads((path / METADATA).read_text(encoding="utf-8"))["attributes"]
        stored = json.loads(attributes["sweep"])
        same_format = stored["format"] == identity["format"]
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        raise errors.ArgumentError(
            f"Argument `store` must {requirement}, but {path} is not the store of a sweep."
        ) from None
    if same_format:
        check_attributes(path, attributes)
    others = differences(stored, as_read(identity)) if same_format else [f"the format {stored['format']!r}"]
    if others:
        difference = f"{path} is of a sweep that differs in {'; '.join(others)}"
        raise errors.ArgumentError(f"Argument `store` must {requirement}, but {difference}.")
    return True


# --- creating a store -----------------------------------------------------------------------------------------------


def check_disk_space(path: Path, grid: Grid, variables: dict[str, Variable], sizes: Counter[int]) -> None:
    """Raise ArgumentError unless the disk has room for the uncompressed arrays of the blocks to be computed.

    variables: descriptions of the arrays. sizes: how many blocks of each size will be computed; the keys are numbers of
    points of a block. Also raises ArgumentError if an array of a block is too large to be compressed.
    """
    full = math.prod(grid.block)
    largest = max((variable.bytes(full) for variable in variables.values()), default=0)
    if largest > LARGEST:
        errors.reject(
            "chunk",
            f"be so small that each array of a block has at most {LARGEST} bytes (now the largest has {largest} bytes)",
            full,
        )
    arrays = [*variables.values(), STATUS_VARIABLE]
    needed = sum(count * _on_disk(array.bytes(points)) for array in arrays for points, count in sizes.items())
    needed += sizes.total() * SECTOR  # for the seals
    free = shutil.disk_usage(path.parent).free
    if needed > free:
        requirement = f"be on a disk with room for the sweep, which needs {needed} bytes before compression"
        available = f"the disk of {path.parent.resolve()} has {free} bytes left"
        raise errors.ArgumentError(f"Argument `store` must {requirement}, but {available}.")


def _on_disk(size: int) -> int:
    return -(-size // SECTOR) * SECTOR


def create(path: Path, grid: Grid, layout: Layout, identity: dict[str, Any], title: str) -> None:
    """Create a store without results at a path.

    The store is written under another name, and then renamed, so that no incomplete store appears at the path. If
    another sweep has created the path meanwhile, the store of the other sweep is kept. Raises SweepError if the store
    cannot be written.
    """
    _remove_abandoned(path)
    unfinished = path.with_name(f".{path.name[:100]}.{uuid.uuid4().hex}.new")
    try:
        _write_empty(unfinished, grid, layout, {"title": title, "sweep": json.dumps(identity)})
        with suppress(FileExistsError):
            _rename(unfinished, path)
    except OSError as error:
        raise errors.SweepError(f"The store {path} cannot be created: {error.strerror}.") from error
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


def _rename(unfinished: Path, path: Path) -> None:
    """Rename a folder; raise FileExistsError if the new path exists already."""
    try:
        unfinished.rename(path)
    except OSError as error:
        if error.errno in (errno.EEXIST, errno.ENOTEMPTY, errno.ENOTDIR):
            raise FileExistsError(str(path)) from error
        raise


def _remove_abandoned(path: Path) -> None:
    """Remove old unfinished stores, which were left by sweeps that were killed while they created this store."""
    for unfinished in path.parent.glob(f".{glob.escape(path.name[:100])}.*.new"):
        if time.time() - unfinished.stat().st_mtime > ABANDONED:
            shutil.rmtree(unfinished, ignore_errors=True)


def _write_empty(path: Path, grid: Grid, layout: Layout, about: dict[str, Any]) -> None:
    about |= {"coordinates": " ".join(layout.coordinates), "variables": " ".join(layout.variables)}
    group = zarr.create_group(path)
    for name, (dims, values) in (_axes(grid) | layout.coordinates).items():
        array = group.create_array(name, data=values, chunks=values.shape, dimension_names=dims, compressors=CODECS)
        array.attrs.put(_about(name))
    for name, variable in layout.variables.items():
        _create_array(group, name, variable, grid, _about(name), np.nan)
    flags = {"flag_values": list(range(len(STATUS))), "flag_meanings": " ".join(STATUS)}
    _create_array(group, "status", STATUS_VARIABLE, grid, flags, 0)
    group.create_array(
        SEAL,
        shape=grid.blocks,
        chunks=(1,) * len(grid.blocks),
        dtype=np.uint64,
        fill_value=0,
        dimension_names=[f"block_{name}" for name in grid.axes],
        compressors=CODECS,
    )
    group.attrs.put(with_digest(about | {DIGESTS: digests_of(path)}))


def _axes(grid: Grid) -> dict[str, NamedArray]:
    """Return the coordinate of each axis of a grid: the values along the axis.

    If each value along an axis is an array of initial values, the coordinate contains the indices 0, 1, ... instead.
    """
    numbers = {name: v if v.ndim == 1 else np.arange(len(v)) for name, v in grid.axes.items()}
    return {name: NamedArray((name,), values) for name, values in numbers.items()}


def _about(name: str) -> dict[str, Any]:
    return {"long_name": ABOUT[name]} if name in ABOUT else {}


def _create_array(
    group: zarr.Group, name: str, variable: Variable, grid: Grid, about: dict[str, Any], missing: float
) -> None:
    group.create_array(
        name,
        shape=(*grid.shape, *variable.shape),
        chunks=(*grid.block, *(max(n, 1) for n in variable.shape)),
        dtype=variable.dtype,
        fill_value=missing,
        compressors=CODECS,
        dimension_names=(*grid.axes, *variable.dims),
        attributes=about,
    )


# --- reading ----------------------------------------------------------------------------------------------------------


class Store:
    """An existing store of a sweep.

    path: folder of the store. grid: grid of the sweep. variables: descriptions of all arrays except the status.
    """

    def __init__(self, path: Path, grid: Grid) -> None:
        for unfinished in path.rglob("*.partial"):  # files that processes were writing when they were killed
            unfinished.unlink()
        self.path, self.grid = path, grid
        try:
            group: Any = zarr.open_group(path, mode="r+", use_consolidated=False)
            about = dict(group.attrs)
            check_files(path, about)
            arrays: dict[str, Any] = {name: group[name] for name in about["variables"].split()}
            self.seals, self.digest = group[SEAL], about[DIGEST]
        except (OSError, ValueError, KeyError, TypeError) as error:
            damaged(path, f"{type(error).__name__}: {error}", error)
        axes = len(grid.axes)
        self.variables = {
            name: Variable(array.metadata.dimension_names[axes:], array.shape[axes:], array.dtype)
            for name, array in arrays.items()
        }

    def block(self, number: int) -> BlockFiles:
        """Return the files of a block, which can be written in any process on this machine."""
        path = self.path.absolute()  # a worker process may have another current folder
        return BlockFiles(path, self.digest, number, self.grid.corner(number), self.grid.block, self.variables)

    def missing(self) -> tuple[npt.NDArray[np.intp], int]:
        """Return the numbers of the blocks that must be computed, in ascending order, and the number of damaged blocks.

        A seal is the checksum that marks a block as completely written. A block must be computed if it has no seal, or
        a seal that is not valid. In the second case the block is damaged.
        """
        seals = self._seals()
        valid = [seals[number] != 0 and seals[number] == self.block(number).seal() for number in range(len(self.grid))]
        missing = np.flatnonzero(~np.array(valid, bool))
        return missing, sum(self.block(number).begun() for number in missing.tolist())

    def _seals(self) -> npt.NDArray[np.uint64]:
        """Return the seals of all blocks, in the order of the numbers of the blocks; 0 for a block without seal."""
        try:
            return self.seals[...].ravel()
        except Exception:  # a damaged chunk may raise errors of many classes; the seals are then read one by one
            return np.array([self._seal_or_zero(number) for number in range(len(self.grid))], np.uint64)

    def _seal_or_zero(self, number: int) -> int:
        try:
            return int(self.seals[self.grid.corner(number)])
        except Exception:
            return 0


def open_dataset(path: Path) -> xr.Dataset:
    """Return the results in a store as a dataset; results at points that are not yet computed are NaN.

    The results are read from the disk when they are accessed.
    """
    dataset = xr.open_zarr(path, chunks=None, consolidated=False, drop_variables=[SEAL])
    variables = sorted(dataset.data_vars, key=lambda name: (name == "status", name != "s", name))
    dims = dataset[variables[0]].dims
    beside = sorted(dataset.coords, key=lambda name: (dims.index(name) if name in dims else len(dims), name))
    arrays = dataset.variables  # variables without coordinates, so that xarray keeps this order
    return xr.Dataset(
        {name: arrays[name] for name in variables},
        {name: arrays[name] for name in beside},
        {name: dataset.attrs[name] for name in ("title", "sweep")},
    )


# --- locking a store ------------------------------------------------------------------------------------------------

_locked: set[int] = set()  # file descriptors of locked stores


def _release() -> None:
    for descriptor in _locked:
        os.close(descriptor)
    _locked.clear()


os.register_at_fork(after_in_child=_release)  # otherwise a child process would keep the store of its parent locked


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Return a context in which a store is locked against other sweeps; the lock ends with the context or the process.

    Raises ArgumentError if another sweep is using the store.
    """
    descriptor = os.open(path, os.O_RDONLY)
    _locked.add(descriptor)
    try:
        with suppress(OSError):  # raised by a file system without locks
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                message = f"not be in use, but a running sweep is writing to {path}"
                raise errors.ArgumentError(f"Argument `store` must {message}.") from None
        yield
    finally:
        _locked.discard(descriptor)
        os.close(descriptor)
