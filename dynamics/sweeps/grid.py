"""Define the grid of a sweep, which is the product of its axes, divided into blocks of neighbouring points."""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from dynamics import errors

Values = npt.NDArray[Any]  # an array of int64 if all values are integers, otherwise of float64
REQUIREMENT = "be a list of different, finite numbers"


@dataclass(frozen=True, eq=False)
class Grid:
    """The grid of a sweep: all combinations of values along its axes, divided into blocks of neighbouring points.

    A block is computed and stored as a whole. axes: the n values along each axis, in an array (n,), or (n, ...) if each
    value is an array, such as the initial eigenvalues of a run. block: number of points of a block along each axis; the
    last block along an axis may have fewer points. Blocks are numbered from 0; along the last axis, the number
    increases by 1 from block to block.
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
        """Return the position of a block in the array of all blocks: its index along each axis.

        number: number of the block.
        """
        return tuple(map(int, np.unravel_index(number, self.blocks)))

    def slices(self, number: int) -> tuple[slice, ...]:
        """Return, for each axis of the grid, the slice that selects the points of block ``number``."""
        firsts = (i * size for i, size in zip(self.corner(number), self.block, strict=True))
        sides = zip(firsts, self.block, self.shape, strict=True)
        return tuple(slice(first, min(first + size, n)) for first, size, n in sides)

    def values(self, number: int) -> dict[str, Values]:
        """Return the values along each axis in block ``number``."""
        return {name: values[part] for (name, values), part in zip(self.axes.items(), self.slices(number), strict=True)}

    def points(self, number: int | None = None) -> int:
        """Return the number of points of a block, or of the whole grid if ``number`` is None."""
        if number is None:
            return math.prod(self.shape)
        return math.prod(part.stop - part.start for part in self.slices(number))

    def block_sizes(self) -> Counter[int]:
        """Return how many blocks there are of each size, as a Counter whose keys are numbers of points of a block.

        The counter is computed without a list of all blocks, because a grid may have very many blocks.
        """
        sizes = Counter({1: 1})
        for n, size in zip(self.shape, self.block, strict=True):
            along = Counter({size: n // size}) + Counter({n % size: 1} if n % size else {})
            products = ((a * b, sizes[a] * along[b]) for a in sizes for b in along)
            sizes = sum((Counter({points: count}) for points, count in products), Counter())
        return sizes

    def describe(self, number: int) -> str:
        """Return a description of block ``number``: the range of values along each axis, as in "alpha = 0.5 to 1.0"."""
        return ", ".join(
            _span(name, values if values.ndim == 1 else np.arange(part.start, part.stop))
            for (name, values), part in zip(self.values(number).items(), self.slices(number), strict=True)
        )


def _span(name: str, values: Values) -> str:
    first, last = values[0].item(), values[-1].item()
    return f"{name} = {first!r}" if len(values) == 1 else f"{name} = {first!r} to {last!r}"


def check_axes(grid: Any) -> dict[str, Any]:
    """Return the validated values (n,) along each axis of a grid; raises ArgumentError if an axis is not valid.

    The initial eigenvalues or weights on an axis "s0" are not validated here.
    """
    if not isinstance(grid, Mapping) or not grid:
        errors.reject("grid", "map the name of each axis to the values along this axis", grid)
    for name in grid:
        if not isinstance(name, str) or not name.isidentifier():
            errors.reject("grid", "have names of parameters or arguments as keys", name)
    return {name: values if name == "s0" else check_axis(name, values) for name, values in grid.items()}


def check_axis(name: str, values: Any) -> Values:
    """Return the values along an axis of a grid as an array (n,), of type int64 if the values are integers.

    Raises ArgumentError unless the values are different, finite numbers; the message names the axis.
    """
    array = errors.as_array(name, values, REQUIREMENT)
    if array.ndim != 1 or not array.size or array.dtype.kind not in "iuf" or not np.isfinite(array).all():
        errors.reject(name, REQUIREMENT, array if array.ndim == 1 else values)
    if len(np.unique(array)) < len(array):
        errors.reject(name, REQUIREMENT, array)
    return np.array(array, np.int64) if array.dtype.kind in "iu" else errors.real_array(name, array, REQUIREMENT)


def block_shape(shape: tuple[int, ...], chunk: int, first: Sequence[int]) -> tuple[int, ...]:
    """Return the number of points of a block along each axis, such that a block has at most ``chunk`` points.

    shape: number of grid points along each axis. first: indices of axes along which blocks shall be long. A block is
    extended along one axis after the other: first along the axes in ``first``, from the last to the first of them, and
    then along all other axes, also from the last to the first. An axis is divided into as few blocks as possible. These
    blocks have the same length along the axis, except that the last block may be shorter.
    """
    block, left = [1] * len(shape), chunk
    others = [i for i in range(len(shape)) if i not in first]
    for i in (*reversed(first), *reversed(others)):
        pieces = -(-shape[i] // left)
        block[i] = -(-shape[i] // pieces)
        left = max(left // block[i], 1)
    return tuple(block)
