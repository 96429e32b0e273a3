"""Pictures of comparisons and checks: deviations of each mode with a band, and the network on the descent map."""

from dataclasses import replace

import matplotlib
import matplotlib.pyplot as plt
import numpy as np

import dynamics as dyn
from dynamics.verification.subject import LevelCheck
from tests.verification.levels import EUCLIDEAN, check

matplotlib.use("Agg")


def test_a_comparison_shows_each_mode_and_a_band():
    model, s0 = dyn.Model("euclidean"), np.array([0.2, 0.5, 1.0])
    network = dyn.train(model, np.diag(np.sqrt(s0)), 5, 0.1, batch_size=100)
    comparison = dyn.compare(dyn.iterate(model, s0, 5, 0.1), network)
    ax = comparison.plot()
    assert isinstance(ax, plt.Axes) and len(ax.lines) == 3 and len(ax.collections) == 1
    np.testing.assert_array_equal(ax.lines[2].get_ydata(), comparison.relative[:, 2])
    assert ax.get_xlabel() == "step" and ax.get_ylabel()
    assert comparison.plot(ax) is ax and len(ax.lines) == 6
    plt.close("all")


def test_a_check_shows_the_network_on_the_descent_map():
    report = check(EUCLIDEAN)
    axes = report.plot()
    curves = [line for line in axes.lines if len(line.get_xdata()) == len(report.comparison.step)]
    np.testing.assert_array_equal(curves[0].get_ydata(), report.comparison.theory_modes[:, 0])
    assert axes.get_title() == "all levels agree" and axes.get_yscale() == "log"
    assert report.plot(axes) is axes
    plt.close(axes.figure)


def test_a_check_without_a_comparison_shows_its_verdict():
    failing = dyn.Check(EUCLIDEAN, (replace(LevelCheck("network", "descent map"), deviation=5.0, limit=4.5),))
    axes = failing.plot()
    assert axes.get_title() == "some levels disagree" and not axes.lines
    plt.close(axes.figure)


def test_steps_with_an_unreliable_prediction_are_hatched():
    model, s0 = dyn.Model("euclidean"), [0.2, 0.5]
    network = dyn.train(model, np.diag(np.sqrt(s0)), 5, 0.1, batch_size=50, progress=False)
    comparison = dyn.compare(dyn.iterate(model, s0, 5, 0.1), network)
    assert not comparison.plot().patches
    unreliable = replace(comparison, reliable=np.arange(6) < 3)
    (hatched,) = unreliable.plot().patches
    assert (hatched.get_x(), hatched.get_x() + hatched.get_width()) == (3, 5)
