"""Arrays that a trajectory stores, as counted before the work starts."""

import numpy as np

import dynamics as dyn
from dynamics.solvers.problem import stored_arrays
from tests.marks import parametrize

ARRAYS = {
    "s alone": (dyn.Model("euclidean"), 1),
    "a closed-form predictor": (dyn.Model("euclidean", predictor=dyn.ClosedForm(alpha=0.5)), 2),
    "a separate target": (dyn.Model("euclidean", target=dyn.EMA(0.9)), 2),
    "both": (dyn.Model("euclidean", target=dyn.EMA(0.9), predictor=dyn.Learned()), 3),
}


@parametrize("name", ARRAYS, quick=["s alone", "a closed-form predictor"])
def test_arrays_that_are_stored_are_those_that_are_counted(name):
    model, expected = ARRAYS[name]
    learning_rate = 0.1 if model.needs_learning_rate else None
    flow = dyn.solve(model, np.ones((2, 3)), [0, 1.0], learning_rate=learning_rate, method="jax")
    distinct = {a.__array_interface__["data"][0] for a in (flow.s, flow.target, flow.predictor)}
    assert stored_arrays(model.structure, model.parameters) == expected == len(distinct)
