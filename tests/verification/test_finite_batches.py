"""Statistics of docs/finite_batches_table.md, on made-up networks for which the prediction holds, or does not."""

import numpy as np
import pytest

from tools import finite_batches
from tools.finite_batches import Law, row_of

SEEDS, SETTINGS = 64, 40


def summary(rows, values, seeds):
    """Return the sentences in one line."""
    return " ".join(finite_batches.summary(rows, values, seeds).split())


def rows(shift=0.0, factor=1.0, reliable=True):
    """Return rows of normal variables whose mean is ``shift`` deviations off, and whose deviation ``factor`` times."""
    rng, laws = np.random.default_rng(0), []
    deviation = 0.1 * np.ones((3, 4))
    for _ in range(SETTINGS):
        measured = 1 + deviation * (shift + factor * rng.standard_normal((SEEDS, 3, 4)))
        laws.append(Law(measured, np.ones((3, 4)), deviation, np.full((3, 4), 1.1), np.full(3, reliable)))
    return [row_of((f"{number}",), law, 3) for number, law in enumerate(laws)]


def test_a_prediction_that_holds_is_within_the_bounds_and_the_population_map_is_not():
    text = summary(rows(), 12, SEEDS)
    assert "exceeded in 0 settings. The population map exceeds the bound in 40 of 40 settings." in text
    assert "off by more than 10 % in 0 settings" in text


def test_a_mean_that_is_wrong_exceeds_the_bound():
    assert "exceeded in 40 settings" in summary(rows(shift=1.0), 12, SEEDS)


def test_a_deviation_that_is_wrong_is_counted_among_reliable_and_among_flagged_settings():
    assert "off by more than 10 % in 40 settings" in summary(rows(factor=1.3), 12, SEEDS)
    text = summary(rows() + rows(factor=1.3, reliable=False), 12, SEEDS)
    assert "In the 40 settings that are not reliable" in text and text.count("off by more than 10 % in 0 settings") == 1


def test_the_error_of_a_ratio_is_its_deviation_over_repetitions():
    """40 repetitions give the deviation to 11 %, and their jackknife errors agree with each other to a few percent."""
    ratios, errors = np.array([(row.ratio, row.ratio_error) for row in rows()]).T
    assert errors.mean() == pytest.approx(ratios.std(ddof=1), rel=0.4)
    expected = np.mean([row.off_by_chance for row in rows()])
    assert 0 < expected < 0.01


def test_shares_within_two_deviations_are_those_of_a_normal_variable():
    shares, errors = np.array([(row.within, row.within_error) for row in rows()]).T
    assert shares.mean() == pytest.approx(0.9545, abs=4 * errors.mean() / np.sqrt(SETTINGS))


def test_a_prediction_that_ends_early_is_flagged():
    law = Law(np.ones((SEEDS, 1, 4)), np.ones((1, 4)), np.ones((1, 4)), None, np.ones(1, bool))
    assert not row_of(("short",), law, 3).reliable


def test_settings_are_those_of_the_page():
    labels = [setting.label for section in finite_batches.sections() for setting in section.settings]
    assert len(finite_batches.white()) == 108 and len(finite_batches.correlated()) == 42
    assert len(finite_batches.many_networks()) == 8 and len(set(labels)) == 108 + 42 + 8
