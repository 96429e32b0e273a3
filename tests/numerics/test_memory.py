"""A request that would not fit is refused before it starts, with the number."""

from types import SimpleNamespace

import numpy as np
import psutil
import pytest

import dynamics as dyn
from dynamics.numerics import memory

MODEL = dyn.Model("euclidean", stop_gradient="none")
FREE = 1_000_000  # bytes


@pytest.fixture
def little_memory(monkeypatch):
    monkeypatch.setattr(memory, "available", lambda: FREE)


REQUESTS = {
    # 8 bytes x 1 array x 3 modes x 1000 times
    "solve": (lambda n: dyn.solve(MODEL, np.ones((n, 3)), np.linspace(0, 1, 1000)), 24_000, "fewer times"),
    "iterate": (lambda n: dyn.iterate(MODEL, np.ones((n, 3)), 998, 0.1), 24_000, "fewer steps"),
    # 4 bytes x 2 x 3 weights x 1001 records
    "train": (lambda n: dyn.train(MODEL, np.eye(2, 3), 1000, 0.1, batch_size=1, seed=range(n)), 24_024, "fewer steps"),
}


@pytest.mark.parametrize("name", REQUESTS)
def test_a_result_that_does_not_fit_is_refused_with_its_size(name, little_memory):
    request, each, remedy = REQUESTS[name]
    many = FREE // each + 1
    message = rf"would take 1.\d+MB, 24.0kB for each of {many} trajectories .*, and 1.00MB of memory are free"
    with pytest.raises(dyn.ArgumentError, match=message):
        request(many)
    with pytest.raises(dyn.ArgumentError, match=remedy):
        request(many)


def test_a_result_that_fits_is_computed(little_memory):
    assert dyn.solve(MODEL, np.ones((41, 3)), np.linspace(0, 1, 1000), method="jax").s.shape == (41, 1000, 3)


def test_available_memory_is_what_psutil_reports(monkeypatch):
    monkeypatch.setattr(psutil, "virtual_memory", lambda: SimpleNamespace(total=100, available=30, free=20))
    assert memory.available() == 30


def test_memory_is_counted_by_members_times_values_and_their_size(little_memory):
    memory.check_fits(members=10, times=100, values=125, remedy="Fewer.")  # 8 bytes each: exactly what is free
    memory.check_fits(members=10, times=100, values=250, remedy="Fewer.", itemsize=4)
    with pytest.raises(
        dyn.ArgumentError, match=r"would take 1\.01MB, 101kB for each of 10 .* with 100 times.* Fewer\."
    ):
        memory.check_fits(members=10, times=100, values=126, remedy="Fewer.")
