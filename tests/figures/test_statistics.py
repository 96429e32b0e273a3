"""Statistics of captions: intervals cover the true value as often as stated, and exclude wrong ones."""

import numpy as np
import pytest

from figures.statistics import (
    crossed_mean,
    difference_error,
    image_error,
    mean_and_error,
    mean_of,
    median_of,
    plus_minus,
    ratio_of,
)

RUNS = 400


def coverage(intervals, truth):
    return np.mean([estimate.side(truth) == 0 for estimate in intervals])


def test_a_mean_has_its_standard_error():
    assert mean_and_error(np.array([1.0, 2.0, 3.0])) == pytest.approx((2.0, 1 / np.sqrt(3)))
    assert plus_minus(np.array([1.0, 2.0, 3.0])) == "2.00 +- 0.58"


def test_intervals_of_few_seeds_cover_the_mean_in_95_percent_of_samples():
    """The standard error of a share of 95 % in 400 samples is 1.1 %; a normal interval of 4 seeds covers 86 %."""
    samples = np.random.default_rng(0).normal(3.0, 2.0, (RUNS, 4))
    assert 0.917 < coverage(map(mean_of, samples), 3.0) < 0.983
    assert 0.917 < coverage(map(ratio_of, np.exp(samples)), np.exp(3.0)) < 0.983


def test_an_interval_tells_on_which_side_of_the_null_the_mean_lies():
    estimate = mean_of(np.array([1.0, 1.1, 0.9, 1.0]))
    assert [estimate.side(null) for null in (0.0, 1.0, 2.0)] == [1, 0, -1]
    assert estimate.text(".1f") == "1.0 (0.9 to 1.1)"


def test_the_mean_over_networks_and_images_has_the_variance_of_both():
    """The intervals over seeds alone, of networks that fail on the same images, would cover far less."""
    rng = np.random.default_rng(1)
    both, seeds = [], []
    for _ in range(RUNS):
        values = rng.normal(0, 0.02, (5, 1)) + rng.normal(0, 0.5, (1, 200)) + rng.normal(0, 0.1, (5, 200))
        both.append(crossed_mean(values))
        seeds.append(mean_of(values.mean(axis=1)))
    assert 0.93 < coverage(both, 0.0) < 0.99
    assert coverage(seeds, 0.0) < 0.6
    assert crossed_mean(np.ones((5, 10))).text() == "1.00 (1.00 to 1.00)"


def test_a_median_counts_infinite_values_and_leaves_out_missing_ones():
    values = np.array([[2.0, np.inf, np.nan], [2.0, 2.5, np.nan]])
    assert median_of(values).value == 2.0
    assert median_of(np.where(np.isnan(values), np.inf, values)).value == 2.5


def test_the_interval_of_a_median_contains_1_if_nothing_differs_and_excludes_it_otherwise():
    ratios = np.exp(np.random.default_rng(2).normal(0, 0.5, (5, 12)))
    assert median_of(ratios).side(1.0) == 0
    assert median_of(3 * ratios).side(1.0) == 1 and median_of(ratios / 3).side(1.0) == -1


def test_the_interval_of_a_median_includes_the_variance_over_seeds_and_that_over_modes():
    differences = np.exp(np.linspace(-1, 1, 5))
    for values in (np.repeat(differences[:, None], 8, axis=1), np.repeat(differences[None], 8, axis=0)):
        median = median_of(values)
        assert median.low < 0.7 and median.high > 1 / 0.7 and median.value == 1.0


def test_the_error_of_an_accuracy_is_binomial_and_that_of_a_difference_at_most_the_failures():
    assert image_error(np.array([0.97, 0.99]), 360) == pytest.approx(0.0074, abs=1e-4)
    failing = np.zeros((2, 5, 400))  # two groups of networks that never fail on the same images
    failing[0, :, :8], failing[1, :, 8:12] = 1, 1
    measured = (failing[1] - failing[0]).mean(axis=0).std() / np.sqrt(400)
    accuracies = 1 - failing.mean(axis=2)
    bound = difference_error(*accuracies, images=400)
    assert measured <= bound and measured == pytest.approx(bound, rel=0.01)
