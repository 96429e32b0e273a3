"""The steps at which runs are recorded."""

import numpy as np
import pytest

import dynamics as dyn
from dynamics.numerics.records import record_count, record_steps


@pytest.mark.parametrize(
    ("record", "steps", "expected"),
    [
        (1, 3, [0, 1, 2, 3]),
        (2, 5, [0, 2, 4, 5]),
        (9, 4, [0, 4]),
        ([3, 1], 5, [0, 1, 3, 5]),
        ([], 2, [0, 2]),
        (1, 0, [0]),
    ],
    ids=str,
)
def test_step_zero_and_the_last_one_are_always_recorded(record, steps, expected):
    if isinstance(record, list):
        record = np.array(record, int)
    assert record_steps(record, steps).tolist() == expected
    assert len(expected) <= record_count(record, steps)


@pytest.mark.parametrize("record", [0, -1, 1.5, "all", [7], [-1], [[1]], [0.5]], ids=str)
def test_other_records_are_refused(record):
    with pytest.raises(dyn.ArgumentError, match="Argument `record` must be a whole number"):
        record_steps(record, 5)


def test_descent_map_and_network_record_the_same_steps():
    theory = dyn.iterate(dyn.Model("euclidean"), [0.1, 0.5], 7, 0.1, record=[2, 5])
    network = dyn.train(dyn.Model("euclidean"), np.eye(2, 3), 7, 0.1, batch_size=10, record=[2, 5])
    assert theory.step.tolist() == network.step.tolist() == [0, 2, 5, 7]
