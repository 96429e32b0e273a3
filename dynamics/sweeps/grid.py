"""The points of a sweep: the product of its axes, in blocks of neighbours that are computed and stored together."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from dynamics import errors

MUST = "be a list of different, finite numbers"


@dataclass(frozen=True, eq=False)
class Grid:
    """axes: by name, the values along each, (n,), or (n, ...) where a value is an array, such as a start.

    block: how many points along each axis are one block. Blocks are numbered in the order of the axes, the last one
    fastest; the last ones along an axis may be smaller.
    """

    axes: dict[str, np.ndarray]
    block: tuple[int, ...]

    @property
    def shape(self) -> tuple[int, ...]:
        """Points along each axis."""
        return tuple(map(len, self.axes.values()))

    @property
    def blocks(self) -> tuple[int, ...]:
        """Blocks along each axis."""
        return tuple(-(-n // size) for n, size in zip(self.shape, self.block, strict=True))

    def __len__(self):
        return math.prod(self.blocks)

    def where(self, number: int) -> tuple[slice, ...]:
        """Which points a block has."""
        at = np.unravel_index(number, self.blocks)
        firsts = (int(i) * size for i, size in zip(at, self.block, strict=True))
        sides = zip(firsts, self.block, self.shape, strict=True)
        return tuple(slice(first, min(first + size, n)) for first, size, n in sides)

    def values(self, number: int) -> dict[str, np.ndarray]:
        """The values along each axis of a block."""
        return {name: values[part] for (name, values), part in zip(self.axes.items(), self.where(number), strict=True)}

    def points(self, number: int | None = None) -> int:
        """How many points a block has, or the whole grid."""
        if number is None:
            return math.prod(self.shape)
        return math.prod(part.stop - part.start for part in self.where(number))

    def named(self, number: int) -> str:
        """The points of a block, in words."""
        return ", ".join(
            _span(name, values if values.ndim == 1 else np.arange(part.start, part.stop))
            for (name, values), part in zip(self.values(number).items(), self.where(number), strict=True)
        )


def _span(name: str, values: np.ndarray) -> str:
    first, last = values[0].item(), values[-1].item()
    return f"{name} = {first!r}" if len(values) == 1 else f"{name} = {first!r} to {last!r}"


def check_axes(grid) -> dict[str, np.ndarray]:
    """The values (n,) of each axis; whole numbers stay whole. An axis "s0", of starts, is left as it is.

    Raises ArgumentError.
    """
    if not isinstance(grid, Mapping) or not grid:
        errors.reject("grid", "map the name of each axis to its values", grid)
    for name in grid:
        if not isinstance(name, str) or not name.isidentifier():
            errors.reject("grid", "have names of arguments for its axes", name)
    return {name: values if name == "s0" else check_axis(name, values) for name, values in grid.items()}


def check_axis(name: str, values) -> np.ndarray:
    """Different, finite numbers (n,); raises ArgumentError that names the axis."""
    try:
        array = np.asarray(values)
    except ValueError:
        errors.reject(name, MUST, values)
    if array.ndim != 1 or not array.size or array.dtype.kind not in "iuf" or not np.isfinite(array).all():
        errors.reject(name, MUST, array if array.ndim == 1 else values)
    if len(np.unique(array)) < len(array):
        errors.reject(name, MUST, array)
    return np.array(array, np.float64 if array.dtype.kind == "f" else np.int64)


def block_of(shape: tuple[int, ...], chunk: int, first: list[int]) -> tuple[int, ...]:
    """Points of a block along each axis, ``chunk`` of them or a few less: along the axes ``first``, then the others.

    The last axes are filled before those in front of them, and blocks differ as little as they can.
    """
    block, left = [1] * len(shape), chunk
    others = [i for i in range(len(shape)) if i not in first]
    for i in (*reversed(first), *reversed(others)):
        pieces = -(-shape[i] // left)
        block[i] = -(-shape[i] // pieces)
        left = max(left // block[i], 1)
    return tuple(block)
