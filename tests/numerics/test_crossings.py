"""The first zero of functions on an interval."""

import numpy as np
import pytest

from dynamics.numerics.crossings import SAMPLES, first_crossings


def first(function, start=0.0, end=1.0):
    return first_crossings(lambda t: function(np.asarray(t))[..., None], start, end)[0]


@pytest.mark.parametrize("at", np.linspace(0.0, 1.0, 3 * SAMPLES + 1))
@pytest.mark.parametrize("width", [1e-2, 1e-4])
@pytest.mark.parametrize("sign", [1, -1])
def test_two_zeros_between_samples(at, width, sign):
    zeros = at - width, at + width
    expected = min((zero for zero in zeros if 0 <= zero <= 1), default=np.inf)
    assert first(lambda t: sign * (t - zeros[0]) * (t - zeros[1]) * (2 + t)) == pytest.approx(expected, abs=1e-11)


def test_no_zero_beside_a_small_minimum():
    assert first(lambda t: (t - 0.517) ** 2 + 1e-9) == np.inf


def test_each_function_has_its_own_zero():
    found = first_crossings(lambda t: np.asarray(t)[..., None] - np.array([-1.0, 0.0, 0.3, 1.0, 2.0]), 0.0, 1.0)
    np.testing.assert_allclose(found, [np.inf, 0.0, 0.3, 1.0, np.inf], rtol=1e-12)
