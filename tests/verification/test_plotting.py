"""Pictures of comparisons and checks: deviations of each mode with a band, and the network on the descent map."""

from dataclasses import replace
from functools import cache

import matplotlib
import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.collections import LineCollection

import dynamics as dyn
from dynamics.model.titles import title_of
from dynamics.presentation.plotting import NETWORK
from dynamics.verification.subject import LevelCheck
from tests.presentation.texts import plain
from tests.verification.levels import EUCLIDEAN, check

matplotlib.use("Agg")


@cache
def comparison():
    model, s0 = dyn.Model("euclidean", noise=(0.0, 0.1)), np.array([0.2, 0.5, 1.0])
    network = dyn.train(model, np.diag(np.sqrt(s0)), 90, 0.1, batch_size=100)
    return dyn.compare(dyn.iterate(model, s0, 90, 0.1), network)


def curves(ax, comparison):
    """The lines over all steps that are no points."""
    return [a for a in ax.lines if len(a.get_xdata()) == len(comparison.t) and a.get_linestyle() == "-"]


def test_a_comparison_shows_curves_with_errors_and_residuals():
    report = comparison()
    lower = report.plot()
    upper, same = lower.figure.axes
    assert same is lower and lower.get_shared_x_axes().joined(lower, upper)
    np.testing.assert_array_equal([a.get_ydata() for a in curves(upper, report)], report.theory_modes.T)
    points = [a for a in upper.lines if a.get_marker() == "o"]
    np.testing.assert_array_equal([a.get_ydata() for a in points], report.network_modes.T)
    assert min(a.get_zorder() for a in curves(upper, report)) > max(a.get_zorder() for a in points)
    (bars, *_), every = upper.collections, points[0].get_markevery()
    low, high = np.array([segment[:, 1] for segment in bars.get_segments()]).T
    error = 2 * report.sampling_error[::every, 0]
    np.testing.assert_allclose(high - low, 2 * error, rtol=1e-6, atol=1e-15)
    assert len(bars.get_segments()) < 40
    texts = [text.get_text() for text in upper.get_legend().texts]
    assert texts == ["theory", "network (± 2 sampling errors)", "± 2 sampling errors", "3 modes, smallest to largest"]
    (bar,) = upper.get_legend().findobj(LineCollection)
    assert tuple(bar.get_color()[0]) == (0, 0, 0, NETWORK["alpha"])
    assert upper.get_ylabel() == "eigenvalue $s_m$"
    assert plain(upper.get_title()) == "euclidean loss, noise 0 and 0.1" and lower.get_xlabel() == "step"


def test_the_legend_promises_error_bars_that_can_be_seen_only():
    report = comparison()
    tiny = replace(report, estimate=lambda: 1e-4 * report.sampling_error)
    texts = [text.get_text() for text in tiny.plot().figure.axes[0].get_legend().texts]
    assert texts == ["theory", "network", "± 2 sampling errors", "3 modes, smallest to largest"]
    assert not tiny.plot().figure.axes[0].get_legend().findobj(LineCollection)


def test_a_comparison_without_values_states_the_reason():
    model, times = dyn.Model("euclidean"), [0.0, 0.1]
    flow, descent = dyn.solve(model, [0.0], times), dyn.iterate(model, [0.0], 1, 0.1)
    lower = dyn.compare(flow, descent).plot()
    upper = lower.figure.axes[0]
    assert plain(upper.texts[0].get_text()) == "no values above zero, which a logarithmic axis requires"
    assert len(lower.get_xticks()) > 1 and lower.dataLim.intervalx[1] == pytest.approx(0.1)
    assert plain(lower.texts[0].get_text()) == "no finite values"


def test_residuals_are_in_units_of_the_sampling_error_with_a_band_of_two():
    report = comparison()
    ax = report.plot()
    np.testing.assert_array_equal([a.get_ydata() for a in curves(ax, report)], report.z.T)
    (band,) = ax.patches
    assert (band.get_y(), band.get_y() + band.get_height()) == (-2, 2)


def test_residuals_alone_can_be_drawn_into_axes():
    report, ax = comparison(), plt.figure().add_subplot()
    assert report.plot(ax) is ax and len(curves(ax, report)) == 3 and ax.figure.axes == [ax]
    with pytest.raises(dyn.ArgumentError, match="Argument `ax` must be matplotlib Axes"):
        report.plot(0)


def test_two_theories_are_drawn_with_their_relative_deviation():
    model, s0 = dyn.Model("euclidean"), [0.2, 0.5]
    descent = dyn.iterate(model, s0, 20, 0.1)
    report = dyn.compare(dyn.solve(model, s0, descent.t), descent)
    lower = report.plot()
    upper = lower.figure.axes[0]
    np.testing.assert_allclose([a.get_ydata() for a in curves(lower, report)], report.relative.T, rtol=1e-12)
    assert [t.get_text() for t in upper.get_legend().texts] == ["flow", "descent map", "2 modes, smallest to largest"]
    assert not lower.patches and lower.get_ylabel() == "relative deviation" and "time" in lower.get_xlabel()


def test_a_check_shows_the_network_on_the_descent_map():
    report = check(EUCLIDEAN)
    axes = report.plot()
    curves = [line for line in axes.lines if len(line.get_xdata()) == len(report.comparison.step)]
    np.testing.assert_array_equal(curves[0].get_ydata(), report.comparison.theory_modes[:, 0])
    assert plain(axes.get_title()) == plain(f"{title_of(EUCLIDEAN)}: all levels agree") and axes.get_yscale() == "log"
    assert report.plot(axes) is axes
    plt.close(axes.figure)


def test_a_check_without_a_comparison_shows_its_verdict():
    failing = dyn.Check(EUCLIDEAN, (replace(LevelCheck("network", "descent map"), deviation=5.0, limit=4.5),))
    axes = failing.plot()
    assert plain(axes.get_title()) == plain(f"{title_of(EUCLIDEAN)}: some levels disagree") and not axes.lines
    assert plain(axes.texts[0].get_text()) == "no eigenvalues to compare, because the network diverged"
    plt.close(axes.figure)


def test_steps_with_an_unreliable_prediction_are_hatched():
    model, s0 = dyn.Model("euclidean"), [0.2, 0.5]
    network = dyn.train(model, np.diag(np.sqrt(s0)), 5, 0.1, batch_size=50, progress=False)
    comparison = dyn.compare(dyn.iterate(model, s0, 5, 0.1), network)
    entries = [text.get_text() for text in comparison.plot().figure.axes[0].get_legend().texts]
    assert len(comparison.plot().patches) == 1  # the band of two sampling errors
    unreliable = replace(comparison, reliable=np.arange(6) < 3)
    lower = unreliable.plot()
    _, hatched = lower.patches
    also = [text.get_text() for text in lower.figure.axes[0].get_legend().texts]
    assert also == [*entries[:-1], "prediction unreliable", entries[-1]]
    assert (hatched.get_x(), hatched.get_x() + hatched.get_width()) == (3, 5)
