"""Results as one line, one screen and plain values."""

import json
import math

import numpy as np
import pytest

import dynamics as dyn
from dynamics.presentation.plain import plain
from dynamics.presentation.result import Result

EUCLIDEAN = dyn.Model("euclidean", weight_decay=0.01)


def results():
    flow = dyn.iterate(EUCLIDEAN, [0.2, 0.9], 3, 0.1)
    network = dyn.train(EUCLIDEAN, np.diag([0.2, 0.9]) ** 0.5, 3, 0.1, batch_size=100)
    equilibria = dyn.equilibria(EUCLIDEAN, [0.2, 0.9])
    return {
        "Trajectory": flow,
        "Comparison": dyn.compare(flow, network),
        "Check": dyn.check(EUCLIDEAN, [0.2, 0.9]),
        "Equilibria": equilibria,
        "Equilibrium": equilibria[0],
        "Collapse": dyn.collapse(EUCLIDEAN, [0.2, 0.9]),
        "Bifurcation": dyn.bifurcation(EUCLIDEAN, "weight_decay", (0.0, 0.3), points=5),
        "PhaseDiagram": dyn.phase_diagram(
            EUCLIDEAN, [0.2, 0.9], ("weight_decay", (0.0, 0.3)), ("learning_rate", (0.1, 3.0)), points=3
        ),
        "Invariant": dyn.invariants(dyn.Model("euclidean", predictor=dyn.Learned()))[0],
        "Design": dyn.design(dyn.FastestUniform(learning_rate=0.1)),
    }


@pytest.fixture(scope="module")
def examples():
    return results()


def test_every_result_is_an_example(examples):
    assert {kind.__name__ for kind in Result.__subclasses__()} == set(examples)


def test_repr_is_one_short_line(examples):
    for name, result in examples.items():
        assert repr(result).startswith(f"<{name}: ")
        assert "\n" not in repr(result) and "array(" not in repr(result)
        assert len(repr(result)) < 200, repr(result)


def test_str_is_one_screen(examples):
    for result in examples.values():
        assert 1 <= len(str(result).splitlines()) <= 25


def test_to_dict_survives_json(examples):
    for name, result in examples.items():
        description = result.to_dict()
        assert description["result"] == name
        assert json.loads(json.dumps(description, allow_nan=False)) == description


def test_arrays_are_read_back_without_loss(examples):
    trajectory = examples["Trajectory"]
    back = json.loads(json.dumps(trajectory.to_dict()))
    np.testing.assert_array_equal(np.array(back["s"]), trajectory.s)


def test_numbers_that_are_not_finite_are_texts_that_float_reads():
    texts = plain([math.nan, math.inf, -math.inf, np.float64(-np.inf), 1 + 2j])
    assert texts == ["NaN", "Infinity", "-Infinity", "-Infinity", [1.0, 2.0]]
    assert math.isnan(float(texts[0])) and float(texts[1]) == math.inf and float(texts[2]) == -math.inf
