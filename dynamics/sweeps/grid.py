"""The grid of a sweep: the product of axes, divided into blocks of neighbouring points."""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from dynamics import errors

Values = npt.NDArray[Any]  # float64, or int64 if all values are whole
REQUIREMENT = "be a list of different, finite numbers"


@dataclass(frozen=True, eq=False)
class Grid:
    """The grid of a sweep: the product of axes, divided into blocks that are computed and stored as a whole.

    axes: the values (n,) along each axis, by name; (n, ...) if the values are arrays, such as initial eigenvalues.
    block: number of points of a block along each axis; the last block along an axis may be smaller. Blocks are numbered
    in the order of the axes, the last axis fastest.
    """

    axes: dict[str, Values]
    block: tuple[int, ...]

    @property
    def shape(self) -> tuple[int, ...]:
        """Number of grid points along each axis."""
        return tuple(map(len, self.axes.values()))

    @property
    def blocks(self) -> tuple[int, ...]:
        """Number of blocks along each axis."""
        return tuple(-(-n // size) for n, size in zip(self.shape, self.block, strict=True))

    def __len__(self) -> int:
        return math.prod(self.blocks)

    def corner(self, number: int) -> tuple[int, ...]:
        """Return the number of a block along each axis."""
        return tuple(map(int, np.unravel_index(number, self.blocks)))

    def slices(self, number: int) -> tuple[slice, ...]:
        """Return the points of a block as a slice of each axis. number: number of the block."""
        firsts = (i * size for i, size in zip(self.corner(number), self.block, strict=True))
        sides = zip(firsts, self.block, self.shape, strict=True)
        return tuple(slice(first, min(first + size, n)) for first, size, n in sides)

    def values(self, number: int) -> dict[str, Values]:
        """Return the values along each axis of a block, by name. number: number of the block."""
        return {name: values[part] for (name, values), part in zip(self.axes.items(), self.slices(number), strict=True)}

    def points(self, number: int | None = None) -> int:
        """Return the number of points of a block, or of the whole grid if ``number`` is None."""
        if number is None:
            return math.prod(self.shape)
        return math.prod(part.stop - part.start for part in self.slices(number))

    def block_sizes(self) -> Counter[int]:
        """Count the blocks by their number of points, without a list of all blocks."""
        sizes = Counter({1: 1})
        for n, size in zip(self.shape, self.block, strict=True):
            along = Counter({size: n // size}) + Counter({n % size: 1} if n % size else {})
            products = ((a * b, sizes[a] * along[b]) for a in sizes for b in along)
            sizes = sum((Counter({points: count}) for points, count in products), Counter())
        return sizes

    def describe(self, number: int) -> str:
        """Return a block in words: the range of values along each axis, such as "alpha = 0.5 to 1.0"."""
        return ", ".join(
            _span(name, values if values.ndim == 1 else np.arange(part.start, part.stop))
            for (name, values), part in zip(self.values(number).items(), self.slices(number), strict=True)
        )


def _span(name: str, values: Values) -> str:
    first, last = values[0].item(), values[-1].item()
    return f"{name} = {first!r}" if len(values) == 1 else f"{name} = {first!r} to {last!r}"


def check_axes(grid: Any) -> dict[str, Any]:
    """Return the validated values (n,) along each axis of a grid; raises ArgumentError.

    Initial eigenvalues or weights on an axis "s0" are returned without validation.
    """
    if not isinstance(grid, Mapping) or not grid:
        errors.reject("grid", "map the name of each axis to its values", grid)
    for name in grid:
        if not isinstance(name, str) or not name.isidentifier():
            errors.reject("grid", "have axes named after parameters or arguments", name)
    return {name: values if name == "s0" else check_axis(name, values) for name, values in grid.items()}


def check_axis(name: str, values: Any) -> Values:
    """Return the values along an axis of a grid as an array (n,), of int64 if all are integers.

    Raises ArgumentError, which names the axis, unless the values are different, finite numbers.
    """
    array = errors.as_array(name, values, REQUIREMENT)
    if array.ndim != 1 or not array.size or array.dtype.kind not in "iuf" or not np.isfinite(array).all():
        errors.reject(name, REQUIREMENT, array if array.ndim == 1 else values)
    if len(np.unique(array)) < len(array):
        errors.reject(name, REQUIREMENT, array)
    return np.array(array, np.int64) if array.dtype.kind in "iu" else errors.real_array(name, array, REQUIREMENT)


def block_shape(shape: tuple[int, ...], chunk: int, first: Sequence[int]) -> tuple[int, ...]:
    """Return the number of points of a block along each axis, for blocks of at most ``chunk`` points in all.

    shape: number of grid points along each axis. A block is extended along the axes with indices in ``first`` before
    all other axes, and along later axes before earlier axes. The sizes of blocks differ as little as possible.
    """
    block, left = [1] * len(shape), chunk
    others = [i for i in range(len(shape)) if i not in first]
    for i in (*reversed(first), *reversed(others)):
        pieces = -(-shape[i] // left)
        block[i] = -(-shape[i] // pieces)
        left = max(left // block[i], 1)
    return tuple(block)
