"""Grids in blocks."""

import numpy as np
import pytest

from dynamics.sweeps.grid import Grid, block_shape
from tests.sweeps.models import GRID


@pytest.mark.parametrize(
    ("shape", "chunk", "first", "block"),
    [
        ((10, 100), 1000, [], (10, 100)),
        ((10, 100), 50, [], (1, 50)),
        ((10, 100), 200, [], (2, 100)),
        ((101,), 100, [], (51,)),
        ((7, 3), 5, [], (1, 3)),
        ((10, 100), 20, [0], (10, 2)),
        ((2, 3, 5), 6, [0, 1], (2, 3, 1)),
        ((1, 1), 1, [], (1, 1)),
    ],
)
def test_blocks_have_at_most_as_many_points_as_asked_for(shape, chunk, first, block):
    assert block_shape(shape, chunk, first) == block


@pytest.mark.parametrize("block", [(1, 1), (2, 2), (3, 2), (5, 3)])
def test_blocks_cover_all_points_once(block):
    grid = Grid(GRID, block)
    seen = np.zeros(grid.shape, int)
    for number in range(len(grid)):
        seen[grid.slices(number)] += 1
        assert seen[grid.slices(number)].size == grid.points(number) <= np.prod(block)
    assert (seen == 1).all()
