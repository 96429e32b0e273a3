"""Pictures of trajectories: a line per mode against step or time, on axes that can be shared."""

from dataclasses import replace
from functools import cache

import matplotlib
import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.collections import LineCollection
from matplotlib.colors import to_rgb
from matplotlib.patches import Rectangle

import dynamics as dyn
from dynamics.presentation.plotting import STYLE, axes_of, legend_above, mode_colors
from dynamics.results.plotting import BANDS, FEW, quantiles_of
from tests.presentation.texts import plain
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
    drawn = len(result.members()) if len(result.members()) <= FEW else 1  # of many members, the median
    drawn = drawn if (np.isfinite(result.s) & (result.s > 0)).any() else 0
    assert len(ax.lines) == drawn * result.s.shape[-1]
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


# --- the network and the theory -------------------------------------------------------------------------------------


@cache
def theory_and_network():
    model, s0 = dyn.Model("euclidean", noise=(0.0, 0.1)), np.array([0.2, 0.5, 0.9])
    network = dyn.train(model, np.diag(np.sqrt(s0)), 90, 0.1, batch_size=1000)
    return dyn.iterate(model, s0, 90, 0.1), network


def legend_texts(ax):
    return [plain(text.get_text()) for text in ax.get_legend().texts]


@pytest.mark.parametrize("order", [(0, 1), (1, 0)], ids=["theory first", "network first"])
def test_theory_is_drawn_over_the_points_of_the_network(order):
    first, second = (theory_and_network()[i] for i in order)
    ax = second.plot(first.plot())
    lines = [line for line in ax.lines if line.get_linestyle() == "-"]
    points = [line for line in ax.lines if line.get_marker() == "o"]
    assert len(lines) == len(points) == 3
    assert min(line.get_zorder() for line in lines) > max(line.get_zorder() for line in points)
    assert all(line.get_path_effects() for line in lines) and all(p.get_alpha() < 0.6 for p in points)
    drawn = len(range(0, 91, points[0].get_markevery()))  # points must leave the lines visible between them
    assert drawn * points[0].get_markersize() < ax.get_window_extent().width * 72 / ax.figure.dpi


def test_the_legend_has_an_entry_for_each_trajectory_and_a_key_of_modes():
    theory, network = theory_and_network()
    ax = theory.plot()
    assert legend_texts(ax) == ["theory: descent map", "3 modes, smallest to largest"]
    network.plot(ax)
    assert legend_texts(ax) == ["theory: descent map", "network", "3 modes, smallest to largest"]
    ax.figure.canvas.draw()
    assert ax.get_legend().get_window_extent().y0 >= ax.get_window_extent().y1 - 1
    assert ax.title.get_window_extent().y0 >= ax.get_legend().get_window_extent().y1 - 1
    colors = [patch.get_facecolor() for patch in ax.get_legend().findobj(Rectangle)]
    np.testing.assert_allclose(colors, mode_colors(3))


def test_the_legend_can_be_named_and_states_another_model():
    theory, _ = theory_and_network()
    ax = theory.plot(label="exact")
    dyn.iterate(dyn.Model("cosine"), [0.2, 0.5, 0.9], 3, 0.1).plot(ax)
    assert legend_texts(ax) == ["exact", "theory: descent map, cosine loss", "3 modes, smallest to largest"]


def test_theories_in_the_same_axes_have_different_line_styles_and_networks_different_markers():
    theory, network = theory_and_network()
    ax = network.plot(network.plot(theory.plot(theory.plot())))
    styles = [(line.get_linestyle(), line.get_marker()) for line in ax.lines[::3]]
    assert styles == [("-", "None"), ("--", "None"), ("None", "o"), ("None", "s")]
    own = plt.figure().add_subplot()
    own.axhline(0.5)
    assert theory.plot(own).lines[1].get_linestyle() == "-"
    ax = theory.plot(theory.plot(color="red"), color="blue")
    assert {line.get_linestyle() for line in ax.lines} == {"-"}


def test_the_title_states_the_model():
    ax = dyn.iterate(dyn.Model("cosine", noise=(0.0, 0.1)), [0.2], 1, 0.1).plot()
    assert plain(ax.get_title()) == "cosine loss, noise 0 and 0.1" and legend_texts(ax) == ["theory: descent map"]


def test_axes_of_the_user_keep_their_title_and_have_no_legend():
    ax = plt.figure().add_subplot(title="mine")
    theory_and_network()[0].plot(ax)
    assert ax.get_title() == "mine" and ax.get_legend() is None
    assert ax.get_legend_handles_labels()[1] == ["theory: descent map"]  # for `ax.legend()`


def test_a_plot_has_one_style_and_changes_no_settings():
    before = dict(matplotlib.rcParams)
    with matplotlib.rc_context({"font.size": 20, "xtick.labelsize": 30, "font.family": "monospace"}):
        ax = theory_and_network()[0].plot()
        ax.figure.canvas.draw()
    sizes = {ax.xaxis.label.get_fontsize(), ax.title.get_fontsize(), *(t.get_fontsize() for t in ax.get_xticklabels())}
    assert sizes == {STYLE["axes.labelsize"], STYLE["xtick.labelsize"]}
    texts = [ax.title, ax.xaxis.label, ax.yaxis.label, *ax.get_xticklabels(), *ax.get_legend().texts]
    assert {text.get_fontname() for text in texts} == {STYLE["font.family"]}
    assert dict(matplotlib.rcParams) == before


def test_all_lines_are_visible_on_a_dark_background():
    with plt.style.context("dark_background"):
        ax = theory_and_network()[1].plot(theory_and_network()[0].plot())
        entry = ax.get_legend().get_lines()[0]
    luminance = [to_rgb(line.get_color()) @ np.array([0.2, 0.7, 0.1]) for line in [*ax.lines, entry]]
    assert ax.get_facecolor()[:3] == (0, 0, 0) and min(luminance) > 0.3


# --- the order of modes ---------------------------------------------------------------------------------------------

ORDERS = {"descending": [2, 1, 0], "mixed": [1, 2, 0]}


def colours_by_value(ax):
    """The colours of lines, sorted by the first value of each line."""
    return [to_rgb(line.get_color()) for line in sorted(ax.lines, key=lambda line: line.get_ydata()[0])]


@pytest.mark.parametrize("order", ORDERS.values(), ids=ORDERS)
@pytest.mark.parametrize("quantity", ["s", "target", "predictor"])
def test_the_colour_of_a_mode_is_its_rank(order, quantity):
    s0 = np.array([0.2, 0.5, 0.9])[order]
    ax = dyn.iterate(dyn.Model("euclidean"), s0, 5, 0.1).plot(quantity=quantity)
    np.testing.assert_allclose(colours_by_value(ax), mode_colors(3)[:, :3])


@pytest.mark.parametrize("order", ORDERS.values(), ids=ORDERS)
def test_theory_and_network_have_the_same_colour_for_a_mode(order):
    _, network = theory_and_network()
    theory = dyn.iterate(network.model, network.s[0][order], 90, 0.1)
    lines, points = colours_by_value(theory.plot()), colours_by_value(network.plot())
    np.testing.assert_array_equal(lines, points)
    upper = dyn.compare(theory, network).plot().figure.axes[0]
    np.testing.assert_allclose(colours_by_value(upper), np.repeat(lines, 2, axis=0))


def test_each_member_of_an_ensemble_has_its_own_order():
    s0 = np.array([[0.1, 0.5], [0.5, 0.1]])
    few = dyn.solve(dyn.Model("euclidean"), s0, [0.0, 1.0]).plot()
    np.testing.assert_allclose(colours_by_value(few), np.repeat(mode_colors(2)[:, :3], 2, axis=0))
    many = dyn.solve(dyn.Model("euclidean"), np.tile(s0, (10, 1)), [0.0, 1.0]).plot()
    np.testing.assert_allclose([line.get_ydata()[0] for line in many.lines], [0.1, 0.5])


def test_bands_of_deviations_have_the_order_of_the_lines():
    predicted = dyn.iterate(dyn.Model("euclidean"), [0.5, 0.2], 2, 0.1)
    ax = replace(predicted, deviation=0.1 * predicted.s, reliable=np.array([True] * 3)).plot()
    for line, band in zip(ax.lines, ax.collections, strict=True):
        assert band.get_paths()[0].vertices[:, 1].max() == pytest.approx(1.2 * max(line.get_ydata()))
        assert to_rgb(line.get_color()) == to_rgb(band.get_facecolor()[0])


# --- ensembles ------------------------------------------------------------------------------------------------------


VALUES = {"weight_decay": [0.0, 0.01, 0.1, 0.2], "alpha": [0.5, 1.0, 2.0], "sigma2": [0.1, 0.5, 0.7, 0.9, 1.1, 1.3]}


@pytest.mark.parametrize(("name", "values"), VALUES.items(), ids=VALUES)
def test_the_legend_states_which_member_has_which_value(name, values):
    model = dyn.Model("euclidean", noise=(0.0, 0.1)).replace(**{name: values})
    ensemble = dyn.solve(model, [0.2, 0.5], [0.0, 1.0, 5.0])
    ax = ensemble.plot()
    *entries, key = legend_texts(ax)
    texts = {"weight_decay": "weight decay {:g}", "alpha": "α = {:g}", "sigma2": "σ₂ = {:g}"}
    expected = [texts[name].format(value) for value in values]
    assert entries == [f"theory: flow, {expected[0]}", *expected[1:]] and key == "2 modes, smallest to largest"
    looks = [(line.get_linestyle(), line.get_linewidth()) for line in ax.get_legend().get_lines()]
    assert len(set(looks)) == len(values)
    for member, look in zip(ensemble.s, looks, strict=True):
        drawn = [line.get_ydata() for line in ax.lines if (line.get_linestyle(), line.get_linewidth()) == look]
        np.testing.assert_array_equal(drawn, member.T)


UNNAMED = {
    "many values": ({"weight_decay": np.linspace(0, 0.1, 9)}, {}, "theory: flow, 9 members"),
    "two parameters": ({"weight_decay": [0.0, 0.1], "alpha": [1.0, 2.0]}, {}, "theory: flow, 2 members"),
    "equal values": ({"weight_decay": [0.1, 0.1]}, {}, "theory: flow, 2 members"),
    "a style": ({"weight_decay": [0.0, 0.1]}, {"linestyle": "--"}, "theory: flow, 2 members"),
    "lines": ({"weight_decay": [0.0, 0.1]}, {"lines": 1}, "theory: flow, 2 members"),
}


@pytest.mark.parametrize(("parameters", "options", "label"), UNNAMED.values(), ids=UNNAMED)
def test_other_ensembles_state_the_number_of_members(parameters, options, label):
    ensemble = dyn.solve(dyn.Model("euclidean").replace(**parameters), [0.2, 0.5], [0.0, 1.0])
    assert legend_texts(ensemble.plot(**options))[0] == label


def test_members_beside_another_trajectory_are_not_named():
    theory, _ = theory_and_network()
    ensemble = dyn.iterate(theory.model.replace(weight_decay=[0.0, 0.1]), [0.2, 0.5, 0.9], 5, 0.1)
    second = legend_texts(ensemble.plot(theory.plot()))[1]
    assert second.startswith("theory: descent map, 2 members, euclidean loss")


@cache
def large_ensemble():
    s0 = np.sort(np.exp(np.random.default_rng(0).normal(0, 0.5, (1000, 2))) * [0.05, 0.5])
    return dyn.solve(dyn.Model("euclidean"), s0, np.linspace(0, 5, 20))


def test_an_ensemble_is_drawn_as_median_and_quantiles():
    ensemble = large_ensemble()
    ax = ensemble.plot()
    np.testing.assert_allclose([line.get_ydata() for line in ax.lines], np.median(ensemble.s, axis=0).T, rtol=1e-12)
    assert len(ax.collections) == 2 * len(BANDS)
    bands = dict(zip(BANDS, np.split(np.array(ax.collections, object), 2), strict=True))
    for (name, of_modes), outside in zip(bands.items(), (0.25, 0.05), strict=True):
        for mode, band in enumerate(of_modes):
            corners = band.get_paths()[0].vertices
            last = corners[corners[:, 0] == ensemble.t[-1], 1]
            expected = np.quantile(ensemble.s[:, -1, mode], [outside, 1 - outside])
            np.testing.assert_allclose([last.min(), last.max()], expected, rtol=1e-9), name
            assert last.min() < ax.lines[mode].get_ydata()[-1] < last.max()
    assert legend_texts(ax) == ["theory: flow, median of 1000", *BANDS, "2 modes, smallest to largest"]


@pytest.mark.parametrize(("lines", "drawn"), [(None, 0), (0, 0), ("all", 1000), (7, 7), (5000, 1000)])
def test_members_are_drawn_on_request(lines, drawn):
    ensemble = large_ensemble()
    ax = ensemble.plot(lines=lines)
    members = [c for c in ax.collections if isinstance(c, LineCollection)]
    assert [len(c.get_segments()) for c in members] == ([drawn] * 2 if drawn else [])
    if drawn:
        np.testing.assert_array_equal(members[1].get_segments()[-1][:, 1], ensemble.s[-1, :, 1])
        entry = f"{drawn} of 1000 members" if drawn < 1000 else "all 1000 members"
        handle = ax.get_legend().legend_handles[legend_texts(ax).index(entry)]
        assert handle.get_linewidth() == members[0].get_linewidth()[0] and handle.get_color() == "black"
    else:
        assert len(legend_texts(ax)) == 2 + len(BANDS)


@pytest.mark.parametrize("lines", [-1, 1.5, "ten", True])
def test_a_number_of_lines_that_is_none_is_refused(lines):
    with pytest.raises(dyn.ArgumentError, match="Argument `lines` must be"):
        large_ensemble().plot(lines=lines)


def test_quantiles_leave_out_what_was_not_computed():
    values = np.array([[1.0, np.nan, np.nan], [3.0, 2.0, np.nan], [2.0, 4.0, np.nan], [np.nan, 9.0, np.nan]])
    quantiles = quantiles_of(values, [0.0, 0.5, 0.75])
    np.testing.assert_array_equal(quantiles[:, 0], [1.0, 2.0, 2.5])
    np.testing.assert_array_equal(quantiles[:, 1], [2.0, 4.0, 6.5])
    assert np.isnan(quantiles[:, 2]).all()


def test_members_that_diverge_leave_the_others_visible():
    s0 = np.linspace(0.5, 1.5, 21)[:, None]  # from 1 on, members diverge
    ensemble = dyn.solve(dyn.Model("euclidean", stop_gradient="online"), s0, [0.0, 1.0, 30.0])
    ax = ensemble.plot()
    ax.figure.canvas.draw()
    assert np.isfinite(ax.lines[0].get_ydata()).all()
