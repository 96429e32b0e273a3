"""Results come in order whatever finishes first, and what is left is called off."""

import os
import threading
import time

import pytest

from dynamics.numerics.threads import cores, in_order


def test_cores_are_those_that_the_process_may_use():
    assert 1 <= cores() <= (os.cpu_count() or 1)


def test_results_come_in_the_order_of_the_parts():
    """The first part waits for the second to be done."""
    second_is_done = threading.Event()

    def compute(part):
        if part == 1:
            assert second_is_done.wait(30)
        if part == 2:
            second_is_done.set()
        return part**2

    assert list(in_order([1, 2, 3], compute, threads=2)) == [(1, 1), (2, 4), (3, 9)]


def test_an_error_calls_off_the_parts_that_have_not_begun():
    begun = []

    def compute(part):
        begun.append(part)
        if part > 1:
            time.sleep(0.02)
        return 1 // part

    results = in_order([1, 0, *range(2, 100)], compute, threads=1)
    assert next(results) == (1, 1)
    with pytest.raises(ZeroDivisionError):
        for _ in results:
            pass
    assert 2 <= len(begun) < 100
