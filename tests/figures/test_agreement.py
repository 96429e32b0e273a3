"""Comparisons of captions, with networks of the theory's model, and with networks of another model."""

from dataclasses import replace

import numpy as np
import pytest

import dynamics as dyn
from figures.agreement import THEORY, Agreement, agreement, agreements

MODEL, S0 = dyn.Model("euclidean", noise=(0.1, 0.3)), np.array([0.2, 0.6])
FASTER = "learning rate x 1.01"


def networks(seeds, batch_size=1000, model=MODEL):
    W0 = np.sqrt(S0)[:, None] * np.eye(2, 4)
    return dyn.train(model, W0, 60, 0.1, batch_size=batch_size, seed=seeds, record=5, progress=False)


@pytest.mark.parametrize("seeds", [0, range(8)], ids=["predicted error", "error over networks"])
def test_networks_of_the_theory_are_within_the_bound(seeds):
    row = agreement(networks(seeds))
    assert row.corrected and row.counted == 24 and row.until == 60
    assert 0 < row.distances[THEORY] < row.bound()
    assert row.relative < 0.05


def test_networks_of_another_model_are_beyond_the_bound():
    """A noise of 0.3 instead of 0.1 lowers the plateau by 7 %, some 20 standard errors of 8 networks."""
    other = networks(range(8), model=MODEL.replace(sigma1=0.3))
    row = agreement(replace(other, model=MODEL))
    assert row.distances[THEORY] > row.bound()


@pytest.mark.long
def test_large_batches_exclude_the_flow_and_other_learning_rates():
    row = agreement(networks(0, batch_size=1_000_000))
    assert row.distances[THEORY] < row.bound() < min(row.distances["flow"], row.distances[FASTER])


def test_further_theories_are_compared_at_the_steps_of_the_network():
    stronger = dyn.iterate(MODEL.replace(sigma1=0.5), S0, 60, 0.1)
    row = agreement(networks(0), stronger_noise=stronger)
    assert row.distances["stronger noise"] > row.bound()


def test_small_modes_are_left_out():
    some = agreement(networks(0), above=0.5)
    assert 0 < some.counted < 24


def made(distance, counted=100, seeds=1):
    return Agreement(60, 0.01, {THEORY: distance, "flow": 10.0}, counted, seeds, True)


def test_the_bound_is_wider_for_more_values_and_for_errors_from_few_networks():
    assert made(0.0).bound() == pytest.approx(3.48, abs=0.01)
    assert made(0.0).bound(10) > made(0.0).bound() and made(0.0, seeds=8).bound() > 6


@pytest.mark.parametrize(("distance", "excluded"), [(3.0, 0), (5.0, 1)])
def test_a_table_counts_the_rows_in_which_a_theory_is_excluded(distance, excluded):
    text = " ".join(agreements({"first": made(1.0), "second": made(distance)}).split())
    assert f"the theory: {excluded} of 2;" in text and "small learning rates: 2 of 2" in text
    assert "standard error is predicted" in text and "star" not in text


def test_rows_without_a_prediction_are_marked_and_not_counted():
    rows = {"first": made(1.0), "second": made(0.0, counted=0)._replace(corrected=False)}
    assert "the theory: 0 of 1;" in " ".join(agreements(rows).split())
    assert "| second* | none |" in agreements(rows)
