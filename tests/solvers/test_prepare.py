"""A prepared solver gives what ``solve`` gives, validates once, and chooses the fastest compiled method."""

import importlib.util

import numpy as np
import pytest

import dynamics as dyn
from dynamics.model.model import Model
from dynamics.solvers import flow_diffrax
from dynamics.solvers.problem import FlowProblem

HEYOKA = importlib.util.find_spec("heyoka") is not None
TIMES = np.linspace(0, 2, 5)
MODELS = {
    "exact": dyn.Model("euclidean"),
    "integrals": dyn.Model("cosine", noise=(0.0, 0.1)),
    "ensemble of parameters": dyn.Model("euclidean", weight_decay=[0.0, 0.1]),
}

FASTEST = {"exact": "exact", "integrals": "jax", "ensemble of parameters": "heyoka" if HEYOKA else "jax"}


@pytest.mark.parametrize("name", MODELS)
def test_it_returns_the_trajectory_of_solve(name):
    solver = dyn.prepare(MODELS[name], modes=3, times=TIMES)
    for s0 in ([0.1, 0.2, 0.9], np.array([[0.3, 0.0, 0.9], [0.1, 0.5, 2.0]])):
        prepared, solved = solver(s0), dyn.solve(MODELS[name], s0, TIMES)
        assert prepared.method.startswith(FASTEST[name])
        assert prepared.settings | {"method": ""} == solved.settings | {"method": ""}
        np.testing.assert_allclose(prepared.s, solved.s, rtol=1e-7)  # ten times the default rtol of either method


def test_compiled_methods_are_compiled_when_prepared():
    flow_diffrax._compiled.cache_clear()
    solver = dyn.prepare(MODELS["integrals"], modes=2, times=TIMES, method="jax", closure="mean_field")
    misses = flow_diffrax._compiled.cache_info().misses
    assert misses > 0
    solved = solver([0.5, 0.9])
    assert flow_diffrax._compiled.cache_info().misses == misses
    np.testing.assert_allclose(
        solved.s, dyn.solve(MODELS["integrals"], [0.5, 0.9], TIMES, closure="mean_field").s, rtol=1e-7
    )


def test_the_model_is_validated_once(monkeypatch):
    validated = []
    original = FlowProblem.of.__func__
    monkeypatch.setattr(
        FlowProblem, "of", classmethod(lambda cls, *a, **k: validated.append(1) or original(cls, *a, **k))
    )
    solver = dyn.prepare(MODELS["exact"], modes=2, times=TIMES)
    for _ in range(3):
        solver([0.1, 0.2])
    assert validated == [1]


def test_bad_input_is_refused():
    with pytest.raises(dyn.ArgumentError, match="`modes` must be a whole number >= 1, but is 0"):
        dyn.prepare(MODELS["exact"], modes=0, times=TIMES)
    with pytest.raises(dyn.ArgumentError, match="`model` must have white inputs"):
        dyn.prepare(Model("euclidean", inputs=np.eye(2)), modes=2, times=TIMES)
    with pytest.raises(dyn.ArgumentError, match="`times` must be ascending"):
        dyn.prepare(MODELS["exact"], modes=2, times=[1.0, 0.0])
    solver = dyn.prepare(MODELS["exact"], modes=2, times=TIMES)
    with pytest.raises(dyn.ArgumentError, match="`s0` must have 2 eigenvalues on the last axis, because `prepare` was"):
        solver([0.1, 0.2, 0.3])
    with pytest.raises(dyn.ArgumentError, match="`s0` must be finite and non-negative eigenvalues"):
        solver([-0.1, 0.2])


def test_its_repr_states_method_modes_and_model():
    assert repr(dyn.prepare(MODELS["exact"], modes=2, times=TIMES)) == (
        "<PreparedSolver: exact, 2 modes, Model(loss='euclidean')>"
    )
