"""What a progress bar says would be faster than a long solution."""

import numpy as np
import pytest

import dynamics as dyn
from dynamics.solvers.methods import DESCENT_METHODS, FLOW_METHODS, choose, faster
from dynamics.solvers.problem import DescentProblem, FlowProblem

COSINE, EUCLIDEAN = dyn.Model("cosine", noise=(0.0, 0.1)), dyn.Model("euclidean")
MANY = np.full((1000, 3), 0.5)


def flow(model, s0, method="auto", **options):
    problem = FlowProblem.of(model, s0, [0.0, 1.0], **options)
    return faster(FLOW_METHODS, choose(FLOW_METHODS, method, problem), problem)


def descent(model, steps, method="auto", **options):
    problem = DescentProblem.of(model, [0.1, 0.5], steps, 0.1, **options)
    return faster(DESCENT_METHODS, choose(DESCENT_METHODS, method, problem), problem)


@pytest.mark.parametrize(
    ("hint", "expected"),
    [
        (flow(EUCLIDEAN, [0.1, 0.5]), ""),
        (flow(EUCLIDEAN, MANY, "scipy"), "faster: method='auto'"),
        (flow(COSINE, [0.1, 0.5]), "faster: rtol=1e-5"),
        (flow(COSINE, [0.1, 0.5], rtol=1e-5), "faster, approximate: closure='mean_field'"),
        (flow(COSINE, MANY, "scipy", closure="mean_field"), "faster: method='auto'"),
        (flow(COSINE, [0.1, 0.5], "jax", closure="mean_field"), ""),
        (descent(EUCLIDEAN, 10**6, "numpy"), "faster: method='auto'"),
        (descent(EUCLIDEAN, 10, "numpy"), ""),
        (descent(COSINE, 10, rtol=1e-5), "faster, approximate: closure='mean_field'"),
    ],
)
def test_hints_name_what_applies_to_the_problem(hint, expected):
    assert hint == expected


def test_each_hint_is_a_valid_call():
    """A hint may be followed as printed."""
    flow = dyn.solve(COSINE, [0.1, 0.5], [0.0, 1.0], method="auto", rtol=1e-5, closure="mean_field")
    assert flow.complete
