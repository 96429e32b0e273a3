"""The steps at which a run is recorded."""

import numpy as np
import pytest

import dynamics as dyn
from dynamics.numerics.records import record_count, record_steps


@pytest.mark.parametrize(
    ("record", "steps", "expected"),
    [(1, 3, [0, 1, 2, 3]), (4, 10, [0, 4, 8, 10]), (100, 10, [0, 10]), ([7, 2, 7], 9, [0, 2, 7, 9]), (1, 0, [0])],
)
def test_the_first_and_the_last_step_are_always_recorded(record, steps, expected):
    recorded = record_steps(record, steps)
    assert recorded.tolist() == expected and recorded.dtype.kind == "i"
    assert record_count(record, steps) >= len(recorded)


@pytest.mark.parametrize("record", [0, -1, 1.5, True])
def test_record_is_a_positive_whole_number(record):
    for function in (record_count, record_steps):
        with pytest.raises(dyn.ArgumentError, match="Argument `record` must be a whole number >= 1, but is "):
            function(record, 5)


@pytest.mark.parametrize("record", [[6], [-1], [[1, 2]], np.array([0.5])], ids=str)
def test_recorded_steps_lie_within_the_run(record):
    with pytest.raises(dyn.ArgumentError, match="must be a whole number, or steps between 0 and 5, but is "):
        record_steps(record, 5)
