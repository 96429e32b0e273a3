"""500 calls with numbers anywhere in the range of float64: finite results, or a status or refusal that says so."""

import pytest

from tests.fuzz.generators import extreme_of
from tests.fuzz.test_api import faults

CHUNK, CALLS = 25, 500


def test_a_few_extreme_numbers_are_answered():
    assert not faults((seed, call) for seed in range(20) if (call := extreme_of(seed)).name in ("solve", "iterate"))


@pytest.mark.long
@pytest.mark.parametrize("first", range(0, CALLS, CHUNK))
def test_extreme_numbers_are_answered(first):
    assert not faults((seed, extreme_of(seed)) for seed in range(first, first + CHUNK))
