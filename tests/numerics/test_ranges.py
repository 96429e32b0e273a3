"""Ranges: two numbers are the ends of evenly spaced values, three or more are the values."""

import numpy as np
import pytest

import dynamics as dyn
from dynamics.numerics.ranges import check_range


@pytest.mark.parametrize("ends", [(0.5, 2), [0.5, 2.0], np.array([0.5, 2.0])])
def test_two_numbers_are_the_ends_of_evenly_spaced_values(ends):
    np.testing.assert_array_equal(check_range("x", ends, 4), [0.5, 1.0, 1.5, 2.0])
    assert len(check_range("x", ends)) == 50


def test_three_or_more_values_are_taken_as_they_are():
    values = np.array([0.1, 0.2, 0.4])
    result = check_range("x", values, 7)
    np.testing.assert_array_equal(result, values)
    values[0] = 9  # of the caller
    assert result[0] == 0.1


@pytest.mark.parametrize("value", [1.0, [1.0], (2.0, 1.0), (1.0, 1.0), [1, 3, 2], [[1, 2]], "ab", (0.0, np.inf), None])
def test_anything_else_is_refused(value):
    with pytest.raises(dyn.ArgumentError, match=r"`x` must be a range: two ascending numbers \(low, high\), or three"):
        check_range("x", value)
