"""Panels of a sweep: one for each value along the axes of the grid, other axes drawn together."""

import matplotlib
import numpy as np
import pytest
import xarray as xr

import dynamics as dyn
from dynamics.results.plotting import BANDS
from dynamics.sweeps.plotting import MOST_PANELS
from tests.presentation.texts import plain

matplotlib.use("Agg")

DECAYS, SIGMAS, STEPS, MODES = [0.0, 0.1, 0.3], [0.1, 0.5], 4, 2
DIMS = {"weight_decay": DECAYS, "sigma2": SIGMAS, "seed": range(12)}


def dataset(*names, diverged=None):
    """The results of a sweep, made by hand, with different numbers at all points."""
    shape = [len(DIMS[name]) for name in names]
    s = 0.1 + np.sort(np.random.default_rng(0).random((*shape, STEPS, MODES)))
    status = np.ones(shape, np.int8)
    if diverged is not None:
        s[(*diverged, slice(2, None))], status[diverged] = np.inf, 2
        s[(*diverged, 1)] = 1e200
    arrays = {"s": ((*names, "step", "mode"), s), "status": (names, status)}
    return xr.Dataset(arrays, {name: DIMS[name] for name in names} | {"step": np.arange(STEPS)}, {"title": "a sweep"})


def modes(ax):
    return np.array([line.get_ydata() for line in ax.lines]).T


def test_two_axes_give_rows_and_columns():
    runs = dataset("weight_decay", "sigma2")
    axes = dyn.plot_sweep(runs)
    assert axes.shape == (2, 3)
    for (row, column), ax in np.ndenumerate(axes):
        np.testing.assert_array_equal(modes(ax), runs.s.values[column, row])
    assert [ax.get_title() for ax in axes[0]] == ["weight decay = 0", "weight decay = 0.1", "weight decay = 0.3"]
    assert [ax.get_ylabel() for ax in axes[:, 0]] == ["σ₂ = 0.1", "σ₂ = 0.5"]
    assert [ax.get_xlabel() for ax in axes[-1]] == ["step"] * 3
    assert {ax.get_yscale() for ax in axes.flat} == {"log"} and axes[0, 0].get_ylim() == axes[1, 2].get_ylim()
    turned = dyn.plot_sweep(runs, x="sigma2", y="weight_decay")
    assert turned.shape == (3, 2)
    np.testing.assert_array_equal(modes(turned[2, 1]), runs.s.values[2, 1])


def test_other_axes_are_drawn_together():
    runs = dataset("weight_decay", "seed")
    axes = dyn.plot_sweep(runs)
    panels = [ax for ax in axes.flat if ax.figure is not None]
    assert len(panels) == 3
    for panel, s in zip(panels, runs.s.values, strict=True):
        np.testing.assert_allclose(modes(panel), np.median(s, axis=0), rtol=1e-12)
    (legend,) = axes[0, 0].figure.legends
    texts = [text.get_text() for text in legend.texts]
    assert texts == ["sweep, median of 12 runs (over seed)", *BANDS, "2 modes, smallest to largest"]


def test_modes_are_drawn_in_order_of_their_initial_eigenvalues():
    runs = dataset("weight_decay", "seed")
    reversed_modes = runs.isel(mode=slice(None, None, -1)).assign(target=2 * runs.s.isel(mode=slice(None, None, -1)))
    for quantity, factor in (("s", 1), ("target", 2)):
        panels = dyn.plot_sweep(reversed_modes, quantity=quantity).flat
        for ax, s in zip((ax for ax in panels if ax.figure is not None), runs.s.values, strict=True):
            np.testing.assert_allclose(modes(ax), factor * np.median(s, axis=0), rtol=1e-12)


def test_the_title_of_a_sweep_states_axes_and_model(tmp_path):
    model, grid = dyn.Model("euclidean", noise=(0.0, 0.1)), {"sigma2": [0.0, 0.1], "weight_decay": [0.1]}
    runs = dyn.sweep(model, grid, store=tmp_path / "runs.zarr", s0=[0.5], times=[0.0, 1.0])
    figure = dyn.plot_sweep(runs).flat[0].figure
    assert plain(figure.get_suptitle()) == "flow over σ₂, weight decay: euclidean loss"  # values are above the panels
    runs = dyn.sweep(model, {"alpha": [1.0, 2.0]}, store=tmp_path / "b.zarr", s0=[0.5], times=[0.0, 1.0])
    title = plain(dyn.plot_sweep(runs).flat[0].figure.get_suptitle())
    assert title == "flow over α: euclidean loss, noise 0 and 0.1"


def test_few_runs_are_drawn_one_by_one():
    axes = dyn.plot_sweep(dataset("weight_decay", "sigma2"), x="weight_decay")
    assert [len(ax.lines) for ax in axes.flat if ax.figure is not None] == [2 * MODES] * 3


def test_a_single_point_has_one_panel():
    (ax,) = dyn.plot_sweep(dataset("weight_decay").isel(weight_decay=0)).flat
    assert len(ax.lines) == MODES


def test_runs_that_diverge_are_named_and_do_not_stretch_the_axes():
    axes = dyn.plot_sweep(dataset("weight_decay", "sigma2", diverged=(1, 0)))
    assert [ax.texts[0].get_text() for ax in axes.flat] == ["", "diverged", "", "", "", ""]
    assert axes[0, 0].get_ylim()[1] < 20


def test_runs_that_are_not_computed_leave_empty_panels():
    runs = dataset("weight_decay")
    runs["s"][2], runs["status"][2] = np.nan, 0
    *_, last = (ax for ax in dyn.plot_sweep(runs).flat if ax.figure is not None)
    assert last.texts[0].get_text() == "not computed" and np.isnan(modes(last)).all()
    last.figure.canvas.draw()


def test_a_panel_without_values_above_zero_states_the_reason():
    runs = dataset("weight_decay")
    runs["s"][1] = 0.0
    panels = [ax for ax in dyn.plot_sweep(runs).flat if ax.figure is not None]
    reason = "no values above zero, which a logarithmic axis requires"
    assert [plain(" ".join(text.get_text() for text in ax.texts)) for ax in panels] == ["", reason, ""]
    assert len(panels[0].get_xticks()) > 1  # the axes are shared


def test_a_sweep_of_networks_is_drawn_as_points(tmp_path):
    model, grid = dyn.Model("euclidean"), {"weight_decay": [0.0, 0.1], "seed": range(2)}
    options = {"W0": np.eye(2, 3), "steps": 2, "learning_rate": 0.1, "batch_size": 10}
    axes = dyn.plot_sweep(dyn.sweep(model, grid, store=tmp_path / "runs.zarr", **options))
    assert {line.get_marker() for line in axes[0, 0].lines} == {"o"}
    assert axes[0, 0].figure.legends[0].texts[0].get_text() == "network, 2 runs (over seed)"


REFUSED = {
    "dataset": (lambda: {"dataset": [1, 2]}, "be a dataset"),
    "x": (lambda: {"x": "sigma1"}, "be one of 'weight_decay', 'sigma2', but is 'sigma1'"),
    "y": (lambda: {"x": "sigma2", "y": "sigma2"}, "be another axis than `x`"),
    "quantity": (lambda: {"quantity": "status"}, "be 's', but is 'status'"),
    "lines": (lambda: {"dataset": dataset("weight_decay", "seed"), "lines": -1}, "be a whole number"),
}


@pytest.mark.parametrize("argument", REFUSED)
def test_what_cannot_be_drawn_is_refused(argument):
    changes, message = REFUSED[argument]
    with pytest.raises(dyn.ArgumentError) as raised:
        dyn.plot_sweep(**({"dataset": dataset("weight_decay", "sigma2")} | changes()))
    assert str(raised.value).startswith(f"Argument `{argument}` must {message}")


def test_too_many_panels_are_refused_with_a_selection_that_is_drawn():
    runs = dataset("weight_decay").isel(weight_decay=np.zeros(100, int))
    with pytest.raises(
        dyn.ArgumentError, match=f"at most {MOST_PANELS} points along the axes of the panels, but has 100"
    ):
        dyn.plot_sweep(runs)
    selection = runs.isel(weight_decay=slice(None, None, 3))  # as in the message
    assert sum(ax.figure is not None for ax in dyn.plot_sweep(selection).flat) == 34


def test_results_without_a_time_are_refused():
    with pytest.raises(dyn.ArgumentError, match="`dataset` must have an array with an axis 'time' or 'step'"):
        dyn.plot_sweep(dataset("weight_decay").drop_vars("s"))
