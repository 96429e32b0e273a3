"""Results as one line, one screen, a card, and plain values."""

import json
import math
from dataclasses import replace

import matplotlib
import matplotlib.pyplot as plt
import numpy as np
import pytest

import dynamics as dyn
from dynamics.presentation.plain import plain
from dynamics.presentation.result import Result
from dynamics.presentation.text import COLUMNS

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


LONG_LOSS = dyn.Loss.parse(" + ".join(f"|p - sg(z2)|^2 / {n}" for n in range(1, 40)))


@pytest.fixture(scope="module")
def large(examples):
    """Results of many modes, members, fixed points and branches, of no time, and of a long loss."""
    flow, comparison, collapse = (examples[name] for name in ("Trajectory", "Comparison", "Collapse"))
    equilibria, bifurcation, invariant = (examples[name] for name in ("Equilibria", "Bifurcation", "Invariant"))
    widened = ("theory", "network", "theory_modes", "network_modes")
    ones = np.ones((len(comparison.step), 60))
    return {
        "ensemble": replace(flow, **{name: np.ones((300, 4, 60)) for name in ("s", "target", "predictor")}),
        "many modes": replace(flow, **{name: np.ones((4, 400)) for name in ("s", "target", "predictor")}),
        "one time": replace(flow, t=flow.t[:1], step=flow.step[:1], s=flow.s[:1]),
        "no time": replace(flow, t=flow.t[:0], step=flow.step[:0], s=flow.s[:0]),
        "long loss": replace(flow, model=dyn.Model(LONG_LOSS)),
        "comparison": replace(comparison, estimate=lambda: ones, **dict.fromkeys(widened, ones)),
        "collapse": replace(collapse, s0=np.ones(60), final=np.ones(60), reasons=("attracted from below",) * 60),
        "equilibria": replace(equilibria, fixed_points=equilibria.fixed_points * 20),
        "bifurcation": replace(bifurcation, branches=bifurcation.branches * 20, points=bifurcation.points * 20),
        "invariant": replace(invariant, decay=np.linspace(0, 1, 300)),
    }


def test_large_results_fit_one_line_and_one_screen(large):
    for name, result in large.items():
        lines = str(result).splitlines()
        assert "\n" not in repr(result) and len(repr(result)) <= 200, name
        assert len(lines) <= 25 and max(map(len, lines)) <= COLUMNS, name


# --- cards ----------------------------------------------------------------------------------------------------------


def test_a_card_shows_what_is_printed_and_a_picture_and_leaves_pyplot_as_it_is(examples):
    before, settings = plt.get_fignums(), dict(matplotlib.rcParams)
    for name, result in examples.items():
        card = result._repr_html_()
        assert ('<img src="data:image/png;base64,' in card) == hasattr(result, "plot"), name
        assert all(isinstance(text, str) for fact in result.facts() for text in fact)
        assert "array(" not in card and "object at" not in card
    assert plt.get_fignums() == before and dict(matplotlib.rcParams) == settings


def test_cards_of_large_results_are_small(large):
    for name, result in large.items():
        assert len(result._repr_html_()) < 200_000, name
    assert "<img" not in large["many modes"]._repr_html_()  # takes long to draw
    assert "<img" not in large["one time"]._repr_html_()  # has no line to draw


def test_a_comparison_with_unknown_sampling_error_is_printed_without_it(examples):
    def unknown():
        raise dyn.ArgumentError("too many modes")

    comparison = replace(examples["Comparison"], estimate=unknown)
    assert "unknown: too many modes" in str(comparison) and "+-" not in str(comparison)
    assert "unknown: too many modes" in comparison._repr_html_()


def test_a_card_without_a_picture_if_this_cannot_be_drawn(examples, monkeypatch):
    def broken(*_):
        raise RuntimeError

    result = examples["Trajectory"]
    monkeypatch.setattr(type(result), "plot", broken)
    card = result._repr_html_()
    assert "<img" not in card and "status" in card


@pytest.mark.parametrize("value", [np.nan, np.inf, 0.0, -1.0], ids=str)
def test_a_card_of_eigenvalues_that_cannot_be_drawn(examples, value):
    flow = examples["Trajectory"]
    odd = replace(flow, s=np.full_like(flow.s, value))
    assert odd.status in odd._repr_html_()


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
