"""Pictures of trajectories: a line per mode against step or time, on axes that can be shared."""

from dataclasses import replace

import matplotlib
import matplotlib.pyplot as plt
import numpy as np
import pytest

import dynamics as dyn
from dynamics.results.plotting import axes_of, legend_above, mode_colors
from tests.results.makers import a_network, made

matplotlib.use("Agg")


@pytest.mark.parametrize(
    ("maker", "lines", "xlabel"),
    [
        ("exact flow", 2, r"time $t$ = learning rate $\times$ step"),
        ("descent", 2, "step"),
        ("network", 2, "step"),
        ("networks", 4, "step"),
        ("ensemble", 18, r"time $t$ = learning rate $\times$ step"),
    ],
)
def test_plot_draws_one_line_per_mode(maker, lines, xlabel):
    result = made(maker)
    ax = result.plot()
    assert isinstance(ax, plt.Axes) and len(ax.lines) == lines
    assert (ax.get_yscale(), ax.get_xlabel(), ax.get_ylabel()) == ("log", xlabel, "eigenvalue $s_m$")
    horizontal = result.t if result.step is None else result.step
    np.testing.assert_array_equal(ax.lines[1].get_xdata(), horizontal)
    np.testing.assert_array_equal(ax.lines[1].get_ydata(), result.s.reshape(-1, *result.s.shape[-2:])[0, :, 1])
    plt.close("all")


def test_every_result_can_be_drawn(result):
    ax = result.plot()
    ax.figure.canvas.draw()
    assert len(ax.lines) == len(result.members()) * result.s.shape[-1]  # a line for each mode of each member
    plt.close("all")


def test_plots_share_axes_and_take_a_style():
    ax = made("exact flow").plot(color="red", linestyle="--")
    assert ax.lines[0].get_color() == "red" and ax.lines[0].get_linestyle() == "--"
    assert made("flow").plot(ax) is ax and len(ax.lines) == 4
    plt.close("all")


def test_step_and_time_are_not_mixed_on_one_axis():
    flow = dyn.solve(dyn.Model("euclidean"), [0.5, 1.5], [0.0, 0.3])
    ax = flow.plot(lw=2)
    a_network().plot(ax)
    assert ax.lines[-1].get_xdata().max() == pytest.approx(0.3) and ax.lines[0].get_linewidth() == 2
    with pytest.raises(dyn.ArgumentError, match="`ax` must show time, because a flow has no steps"):
        flow.plot(a_network().plot())
    plt.close("all")


@pytest.mark.parametrize("ax", [0, "", {"a": 1}, plt])
def test_axes_of_another_library_are_refused(ax):
    with pytest.raises(dyn.ArgumentError, match="Argument `ax` must be matplotlib Axes, or None"):
        made("flow").plot(ax)


@pytest.mark.filterwarnings("error")
def test_eigenvalues_that_differ_by_rounding_alone_can_be_drawn():
    """A logarithmic axis that is as narrow as rounding errors has no width in logarithms."""
    flow = dyn.solve(dyn.Model("euclidean"), [0.5], [0.0, 1.0])
    ax = replace(flow, s=np.array([[0.273], [np.nextafter(0.273, 1)]])).plot()
    ax.figure.canvas.draw()
    low, high = ax.get_ylim()
    assert low < 0.26 and high > 0.29
    plt.close("all")


def test_colours_get_lighter_with_the_mode():
    lightness = mode_colors(7)[:, :3].sum(axis=1)
    assert mode_colors(7).shape == (7, 4) and (np.diff(lightness) > 0).all()


def test_a_legend_stands_above_the_axes():
    ax = axes_of(None)
    ax.plot([0, 1], label="line")
    legend_above(ax)
    ax.figure.canvas.draw()
    assert ax.get_legend().get_window_extent().y0 >= ax.get_window_extent().y1 - 1  # a pixel
    plt.close("all")


@pytest.mark.parametrize(("reliable", "hatched"), [([True, True, True], 0), ([True, False, False], 1)])
def test_a_prediction_has_bands_and_marks_where_it_is_unreliable(reliable, hatched):
    predicted = dyn.iterate(dyn.Model("euclidean"), [0.2, 0.5], 2, 0.1)
    deviation = np.full(predicted.s.shape, 0.01)
    ax = replace(predicted, deviation=deviation, reliable=np.array(reliable)).plot()
    assert len(ax.collections) == 2 and len(ax.patches) == hatched
    band = ax.collections[0].get_paths()[0].vertices
    assert band[:, 1].max() == pytest.approx(predicted.s[:, 0].max() + 0.02)
