"""The end of members of an ensemble: made-up motions in a block of steps, and their outcome."""

import numpy as np
import pytest

import dynamics as dyn
from dynamics.analysis.ensemble_descent import BLOCKS, BlockMotion, EnsembleDescent
from dynamics.vector_field.eigenmode_state import as_rows
from dynamics.vector_field.factory import vector_field_of


def motion(last, range_=0.0, length=0.0, change=0.0):
    return BlockMotion(*(np.full((1, 1), value) for value in (last, range_, length, change)))


def a_descent():
    field = vector_field_of(dyn.Model("euclidean"), None, 1e-6)
    start = np.ones((1, 1))
    return EnsembleDescent(field, *as_rows(field.start(start), field.parameters), np.full((1, 1), 0.1), start[0])


def test_motion_is_range_path_and_net_change():
    s = np.array([1.0, 3.0, 2.0])[:, None, None]
    assert [float(part[0, 0]) for part in BlockMotion.of(s)] == [2.0, 2.0, 3.0, 1.0]


@pytest.mark.parametrize(
    ("blocks", "diverged", "outcome"),
    [
        ([motion(1.0)], False, "equal modes"),
        ([motion(0.0)], False, "collapse"),
        ([motion(1e-2, 1e-3, 1e-3, -1e-3), motion(0.9e-3, 1e-4, 1e-4, -1e-4)], False, "undecided"),  # slows down
        ([motion(2e-3, 1e-3, 1e-3, -1e-3), motion(0.9e-3, 1.1e-3, 1.1e-3, -1.1e-3)], False, "collapse"),
        ([motion(2.0, 1.0, 1.0, 1.0)], False, "undecided"),
        ([motion(1.0, 0.5, 32.0)] * (BLOCKS - 1), False, "undecided"),
        ([motion(1.0, 0.5, 32.0)] * BLOCKS, False, "oscillation"),
        ([motion(np.inf)], True, "divergence"),
    ],
)
def test_motions_have_their_outcome(blocks, diverged, outcome):
    descent = a_descent()
    for block in blocks:
        descent._ended(block, np.array([diverged]))
        descent.previous = block
    assert descent.outcome[0] == outcome


def test_members_leave_when_they_have_ended():
    descent = a_descent()
    assert descent.follow(20_000, False) == "complete"
    assert descent.outcome.tolist() == ["equal modes"] and 0 < descent.steps[0] < 1000 and not len(descent.running)
