"""Write the results of a block as files of a Zarr store, in any process on the machine of the store.

Each array of a block is one chunk of an array of the store, and each chunk is one file. The files are written without
Zarr, whose overhead exceeds the time of writing a small file. Their format is that of the codecs of the store, so that
every reader of Zarr can read them.
"""

import json
import math
import os
import shutil
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import google_crc32c
import numpy as np
import numpy.typing as npt
from numcodecs import blosc
from zarr.codecs import BloscCodec, Crc32cCodec

from dynamics.sweeps.block import NamedArray
from dynamics.sweeps.integrity import DIGEST, METADATA, seal

SEAL, STATUS = "seal", "status"  # names of the arrays that contain the seals and the status of all blocks
# Compression level. LZ4 is faster than Zstandard at any level, and its files of trajectories are smaller than those of
# Zstandard at its default level.
LEVEL = 5
CODECS = (BloscCodec(cname="lz4", clevel=LEVEL, shuffle="shuffle"), Crc32cCodec())
LARGEST = blosc.MAX_BUFFERSIZE - blosc.MAX_OVERHEAD  # largest number of bytes of a chunk that can be compressed


class Variable(NamedTuple):
    """Description of a result array, such as the eigenvalues s (time, mode), at a single grid point.

    dims: names of the axes at a grid point. shape: lengths of these axes. dtype: type of the numbers.
    """

    dims: tuple[str, ...]
    shape: tuple[int, ...]
    dtype: np.dtype[Any]

    def bytes(self, points: int) -> int:
        """Return the size in bytes of the described array for ``points`` grid points, before compression."""
        return points * math.prod(self.shape) * self.dtype.itemsize


STATUS_VARIABLE = Variable((), (), np.dtype(np.int8))


def variables_of(axes: int, arrays: dict[str, NamedArray]) -> dict[str, Variable]:
    """Return the descriptions of all arrays in the results of a block, except the status.

    axes: number of axes of the grid.
    """
    return {name: Variable(dims, a.shape[axes:], a.dtype) for name, (dims, a) in arrays.items() if name != STATUS}


@dataclass(frozen=True, eq=False)
class BlockFiles:
    """The files of a block of grid points in a store.

    store: folder of the store. digest: digest of the attributes of the store. number: number of the block. corner:
    position of the block in the array of all blocks. shape: largest number of points of a block along each axis.
    variables: descriptions of the arrays of the store except the status.
    """

    store: Path
    digest: str
    number: int
    corner: tuple[int, ...]
    shape: tuple[int, ...]
    variables: dict[str, Variable]

    def write(self, arrays: dict[str, NamedArray]) -> None:
        """Write the arrays of the block, then its status and its seal; each file is written at once or not at all.

        Raises ValueError unless the arrays have the same names, axes and types as the arrays of the store, and OSError
        if a file cannot be written, or if another store has taken the place of the store.
        """
        self._check(variables_of(len(self.shape), arrays))
        if json.loads((self.store / METADATA).read_text(encoding="utf-8"))["attributes"][DIGEST] != self.digest:
            raise FileNotFoundError(f"the store {self.store} was replaced by another store")
        for file in (self._seal, *self._chunks.values()):  # files of a damaged or incomplete block
            path = self.store / file
            shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
        contents = {}
        for name, variable in {**self.variables, STATUS: STATUS_VARIABLE}.items():
            missing = 0 if name == STATUS else np.nan
            shape = (*self.shape, *(max(n, 1) for n in variable.shape))
            contents[name] = _encoded(arrays[name].values, shape, variable.dtype, missing)
            _write(self.store / self._chunks[name], contents[name])
        checksum = np.full((1,) * len(self.shape), seal(self.number, sorted(self._named(contents))), np.uint64)
        _write(self.store / self._seal, _encoded(checksum, checksum.shape, checksum.dtype, 0))

    def seal(self) -> int:
        """Return the seal that the block must have if its files are complete and undamaged."""
        paths = {name: self.store / file for name, file in self._chunks.items()}
        contents = {name: path.read_bytes() if path.is_file() else b"" for name, path in paths.items()}
        return seal(self.number, sorted(self._named(contents)))

    def begun(self) -> bool:
        """Return True if the block has a seal, which may be invalid."""
        return os.path.lexists(self.store / self._seal)

    @property
    def _chunks(self) -> dict[str, str]:
        """The name of the file of each array, in the store."""
        axes = {name: len(variable.shape) for name, variable in self.variables.items()} | {STATUS: 0}
        return {name: "/".join([name, "c", *map(str, self.corner), *["0"] * more]) for name, more in axes.items()}

    @property
    def _seal(self) -> str:
        """The name of the file of the seal, in the store."""
        return "/".join([SEAL, "c", *map(str, self.corner)])

    def _named(self, contents: dict[str, bytes]) -> list[tuple[str, bytes]]:
        return [(file, contents[name]) for name, file in self._chunks.items()]

    def _check(self, variables: dict[str, Variable]) -> None:
        for name in variables | self.variables:
            first, new = self.variables.get(name), variables.get(name)
            if not new or not first or new[:2] != first[:2] or not np.can_cast(new.dtype, first.dtype):
                raise ValueError(
                    f"the array {name!r} must have the same axes and type as in the first block, which are {first}, "
                    f"but has {new}"
                )


def _encoded(values: npt.NDArray[Any], shape: tuple[int, ...], dtype: np.dtype[Any], missing: float) -> bytes:
    """Return the content of the file of a chunk.

    values: array of the block. shape: shape of a full chunk, which is filled up with the number ``missing`` if the
    block is smaller. dtype: type of the numbers in the store.
    """
    if values.shape != shape:
        whole = np.full(shape, missing, dtype)
        whole[tuple(map(slice, values.shape))] = values
        values = whole
    little = np.ascontiguousarray(values, dtype.newbyteorder("<"))
    content = blosc.compress(little, b"lz4", LEVEL, blosc.SHUFFLE)
    return content + google_crc32c.value(content).to_bytes(4, "little")


def _write(path: Path, content: bytes) -> None:
    partial = path.with_name(f"{path.name}.{uuid.uuid4().hex}.partial")
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        partial.write_bytes(content)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
