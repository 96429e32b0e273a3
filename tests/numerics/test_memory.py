"""A request that would not fit is refused before it starts, with the number."""

import numpy as np
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
def test_it_is_refused_with_the_number(name, little_memory):
    request, each, remedy = REQUESTS[name]
    many = FREE // each + 1
    message = rf"would take 1.\d+MB, 24.0kB for each of {many} trajectories .*, and 1.00MB of memory are free"
    with pytest.raises(dyn.ArgumentError, match=message):
        request(many)
    with pytest.raises(dyn.ArgumentError, match=remedy):
        request(many)


def test_what_fits_runs(little_memory):
    assert dyn.solve(MODEL, np.ones((41, 3)), np.linspace(0, 1, 1000), method="jax").s.shape == (41, 1000, 3)


ARRAYS = {
    "s alone": (dyn.Model("euclidean"), 1),
    "a predictor of its own": (dyn.Model("euclidean", predictor=dyn.ClosedForm(alpha=0.5)), 2),
    "a target of its own": (dyn.Model("euclidean", target=dyn.EMA(0.9)), 2),
    "both": (dyn.Model("euclidean", target=dyn.EMA(0.9), predictor=dyn.Learned()), 3),
}


@pytest.mark.parametrize("name", ARRAYS)
def test_arrays_that_are_stored_are_those_that_are_counted(name):
    model, expected = ARRAYS[name]
    learning_rate = 0.1 if model.needs_learning_rate else None
    flow = dyn.solve(model, np.ones((2, 3)), [0, 1.0], learning_rate=learning_rate, method="jax")
    distinct = {a.__array_interface__["data"][0] for a in (flow.s, flow.target, flow.predictor)}
    assert memory.stored(model.structure, model.parameters) == expected == len(distinct)


def test_there_is_memory():
    assert memory.available() > 1e6
