"""Statistics on which captions base their claims, on data made so that each claim holds, or does not."""

import numpy as np
import pytest
from scipy import integrate, stats

import dynamics as dyn
from figures import byol_without_ema as byol
from figures import deep_networks as deep
from figures.closure_accuracy import monte_carlo
from figures.edge_of_stability import multiplier
from figures.fig2_trajectories import excess
from figures.fig3_deep_eigenvalues import flattening, speed_ups
from figures.fig4_deep_alignment import random_alignment
from figures.fig6_relu import direction, slowdowns
from figures.fig7_deep_ema import change_without_average
from figures.fig8_deep_weight_decay import LARGE_MODES, SMALL_MODES, effect
from figures.learning_rate_multipliers import slope
from figures.predictor_alignment import least_random_alignment
from figures.statistics import Interval, crossed_mean, ratio_of

MODES = np.geomspace(1e-3, 2.0, 32)


def spectra(end, seeds=5, jitter=0.05):
    """Return eigenvalues (S, 2, 32) that start at MODES and end at ``end``, each times random factors."""
    factors = np.exp(jitter * np.random.default_rng(0).standard_normal((seeds, 2, 32)))
    return np.array([MODES, end]) * factors


@pytest.mark.parametrize(
    ("power", "side"), [(0.1, -1), (1.0, 0), (2.0, 1)], ids=["plateau", "as at the start", "further apart"]
)
def test_a_plateau_is_found_where_modes_approach_each_other_only(power, side):
    """All modes grow threefold in the second case: they stay as far apart as before, whatever the largest are."""
    s = spectra(3 * MODES**power)
    assert [flattening(s, ranks).side(1) for ranks in deep.RANKS.values()] == [side, side]


def test_a_plateau_of_the_largest_modes_alone_does_not_extend_to_ten():
    end = np.where(np.arange(32) >= 26, 1.0, 1e-3 * MODES)
    assert [flattening(spectra(end), ranks).side(1) for ranks in deep.RANKS.values()] == [-1, 1]
    assert deep.final_level(spectra(end), deep.RANKS["2 to 6"]).side(1) == 0


def test_speed_ups_count_modes_that_only_one_run_brings_to_the_level():
    """Modes: twice as fast; only the second arrives; only the first; neither; above the level from the start."""
    steps = np.array([0, 10, 20])
    first = np.array([[0.0, 0, 0, 0, 2], [0, 0, 0, 0, 2], [1, 0, 1, 0, 2]])
    second = np.array([[0.0, 0, 0, 0, 2], [1, 0, 0, 0, 2], [1, 1, 0, 0, 2]])
    expected = [2, np.inf, 0, np.nan, np.nan]
    np.testing.assert_array_equal(speed_ups(first, second, steps, 1.0), expected)
    np.testing.assert_array_equal(speed_ups(np.stack([first] * 2), np.stack([second] * 2), steps, 1.0)[1], expected)


def test_weight_decay_that_shrinks_small_modes_alone_is_told_from_decay_of_all_modes():
    reference = spectra(MODES)
    small = spectra(np.where(np.arange(32) < 16, 0.5, 1.0) * MODES)
    assert [effect(small, reference, modes).value for modes in (LARGE_MODES, SMALL_MODES)] == pytest.approx([1, 0.5])
    every = spectra(0.5 * MODES, jitter=0.06)
    assert [effect(every, reference, modes).side(1) for modes in (LARGE_MODES, SMALL_MODES)] == [-1, -1]
    other = spectra(MODES, jitter=0.06)
    assert [effect(other, reference, modes).side(1) for modes in (LARGE_MODES, SMALL_MODES)] == [0, 0]


def test_alignment_with_a_random_matrix_has_the_stated_mean():
    columns = np.random.default_rng(0).standard_normal((20_000, 8))
    measured = np.abs(columns[:, 0]) / np.linalg.norm(columns, axis=1)
    assert random_alignment(8) == pytest.approx(measured.mean(), abs=4 * measured.std() / np.sqrt(20_000))


@pytest.mark.parametrize(("drop", "side"), [(0.0, 0), (0.1, -1)])
def test_a_drop_of_accuracy_is_found_if_seeds_and_digits_show_it(drop, side):
    rng = np.random.default_rng(1)
    hard = rng.random(360) < 0.1
    recognised = {
        ("IsoLoss", "cosine", target): (rng.random((5, 360)) > 0.3 * hard) & (rng.random((5, 360)) >= lost)
        for target, lost in zip(deep.TARGETS, (drop, 0.0), strict=True)
    }
    change = crossed_mean(change_without_average(recognised, ("IsoLoss",), ("cosine",)))
    assert change.side(0) == side and change.value == pytest.approx(-100 * drop, abs=3)


def curves(ratio):
    """Return curves of 4 seeds whose participation ratio is ``ratio(target, batch norm)`` times random factors."""
    rng, data = np.random.default_rng(2), {}
    for loss in ("euclidean", "cosine"):
        for target in deep.TARGETS:
            for decay in byol.DECAYS:
                for column in byol.COLUMNS[1:]:
                    ratios = ratio(target, column) * np.exp(0.02 * rng.standard_normal((4, 3)))
                    data[column, loss, target, decay] = byol.Curve(ratios, np.full((4, 3), 0.1))
    return data


@pytest.mark.parametrize("average", [1.0, 1.3])
def test_the_effect_of_the_average_is_found_only_if_there_is_one(average):
    data = curves(lambda target, column: average if target == "EMA target" else 1.0)
    ratios = byol.ratios_of(data, byol.COLUMNS[1], "cosine")
    assert ratios.shape == (4, 2, 2, 3)
    networks, reference = byol.FACTORS["EMA target instead of shared target"]
    effect = byol.factor(ratios[networks], ratios[reference])
    assert effect.side(1) == (average > 1) and effect.value == pytest.approx(average, rel=0.05)


def test_networks_that_diverge_are_counted_apart_from_those_that_collapse():
    data = curves(lambda target, column: 2.0)
    key = byol.COLUMNS[1], "cosine", "shared target", byol.DECAYS[0]
    data[key].ratios[0] = [np.nan, 1.05, 2.0]
    assert data[key].diverged.sum() == 1 and data[key].collapsed.sum() == 1
    assert byol.failures(data, byol.COLUMNS[1], "shared target").tolist() == [2, 0, 0, 0]
    assert byol.failures(data, byol.COLUMNS[1], "EMA target").tolist() == [0, 0, 0, 0]
    ratios = byol.ratios_of(data, byol.COLUMNS[1], "cosine")
    networks, reference = byol.FACTORS["EMA target instead of shared target"]
    assert np.isfinite(byol.factor(ratios[networks], ratios[reference])).tolist()[:3] == [True] * 3


def exponentials(rates):
    """Return a trajectory of eigenvalues that grow or decrease at constant rates."""
    times = np.linspace(0, 4, 401)
    s = 0.1 * np.exp(np.outer(times, rates))
    values = {"t": times, "step": np.arange(401), "s": s, "target": s, "predictor": s}
    return dyn.Trajectory(model=dyn.Model("euclidean"), kind="network", method="made", **values)


def test_a_network_that_is_three_times_slower_doubles_three_times_later():
    """The mode that decreases, and the one that is too slow to double in the network, are not counted."""
    linear, network = exponentials(np.array([-1.0, 0.3, 1.0, 2.0])), exponentials(np.array([-1.0, 0.3, 1.0, 2.0]) / 3)
    assert slowdowns(network, linear) == pytest.approx([3, 3], rel=1e-3)


def test_modes_that_change_against_the_theory_are_told_from_those_that_are_undecided():
    grows, shrinks = ratio_of(np.array([2.0, 2.1, 2.2])), ratio_of(np.array([0.5, 0.51, 0.52]))
    assert [direction(factor, 3.0) for factor in (grows, shrinks)] == ["as in theory", "opposite"]
    assert direction(shrinks, 0.1) == "as in theory" and direction(grows, 1.05) == "no change in theory"
    assert direction(ratio_of(np.array([0.5, 2.0])), 3.0) == "undecided"


@pytest.mark.parametrize("expected", [-0.6, 0.0, 0.5])
def test_the_multiplier_of_deviations_is_measured_within_its_sampling_error(expected):
    """The regression coefficient has the standard error sqrt((1 - multiplier^2)/n) for n pairs."""
    rng = np.random.default_rng(3)
    deviations = np.zeros((4, 2_000, 2))
    for step in range(1, 2_000):
        deviations[:, step] = expected * deviations[:, step - 1] + rng.standard_normal((4, 2))
    assert multiplier(1 + deviations) == pytest.approx(expected, abs=4 * np.sqrt((1 - expected**2) / 16_000))


def test_a_slope_is_that_of_the_power_law():
    starts = np.geomspace(1e-3, 1, 5)
    assert slope(starts, 3 / starts) == pytest.approx(-1) and abs(slope(starts, np.full(5, 2.0))) < 1e-12


@pytest.mark.parametrize(("shift", "side"), [(0.0, 0), (0.3, 1)])
def test_networks_are_farther_from_a_wrong_theory_than_their_batches_explain(shift, side):
    expected = np.random.default_rng(4).standard_normal((11, 18, 2))
    networks = expected + 0.1 * np.random.default_rng(5).standard_normal((8, 11, 18, 2))
    ratio = excess(networks, expected + shift)
    assert ratio.side(1) == side and ratio.value == pytest.approx(np.hypot(1, shift / 0.1), rel=0.1)


def test_the_least_alignment_with_a_random_matrix_has_the_stated_mean():
    """The square of a component of a random unit vector has a beta distribution; four of them are independent."""
    exceeds = stats.beta(1 / 2, 3 / 2).sf
    expected = integrate.quad(lambda x: exceeds(x**2) ** 4, 0, 1)[0]
    assert least_random_alignment(4) == pytest.approx(expected, abs=0.005)  # 20 000 draws: standard error 0.001


def test_no_difference_in_any_seed_is_stated_with_the_share_that_it_excludes():
    assert "more than 45" in byol.difference(np.zeros(5, int))
    assert byol.difference(np.array([3, 4, 3, 5, 4])).endswith("more")
    assert byol.difference(np.array([-1, 1, 0, 1, -1])).endswith("no difference distinguishable")


def test_an_effect_is_not_stated_if_it_is_smaller_than_the_decimals():
    assert byol.stated(Interval(1.0001, 1.00005, 1.0002)).endswith("no effect distinguishable")
    assert byol.stated(Interval(1.1, 1.05, 1.2)).endswith("more modes")


def test_drifts_estimated_from_samples_have_the_stated_error():
    """Estimates of 40 seeds, three modes: their deviation, which is good to 11 %, and their mean stated errors."""
    s = np.array([0.1, 0.5, 1.0])
    estimates, errors = np.array([monte_carlo(s, np.random.default_rng(seed)) for seed in range(40)]).swapaxes(0, 1)
    assert estimates.std(axis=0, ddof=1) == pytest.approx(errors.mean(axis=0), rel=0.4)
