"""Pictures of analyses: markers, line styles and colours stand for stability, special points and outcomes."""

import matplotlib
import matplotlib.pyplot as plt
import numpy as np
import pytest

import dynamics as dyn
from tests.presentation.texts import plain

matplotlib.use("Agg")


def test_equilibria_have_a_row_each_and_a_marker_per_eigenvalue():
    points = dyn.equilibria(dyn.Model("euclidean", weight_decay=0.05), [0.1, 0.2])
    ax = points.plot()
    rows = [line for line in ax.lines if line.get_marker() == "o"]
    assert [list(line.get_xdata()) for line in rows] == [sorted(set(e.s)) for e in points]
    assert [label.get_text() for label in ax.get_yticklabels()] == [f"{e.surviving} surviving" for e in points]
    faces = [line.get_markerfacecolor() for line in rows]
    assert faces == [{"stable": (0, 0, 0), "unstable": (1, 1, 1)}[e.verdict] for e in points]
    (boundary,) = (line for line in ax.lines if line.get_linestyle() == "--")
    assert boundary.get_xdata()[0] == points.boundary
    assert points.plot(ax) is ax
    plt.close("all")


@pytest.mark.parametrize(
    "result",
    [
        dyn.equilibria(dyn.Model("euclidean"), [0.1]),
        dyn.collapse(dyn.Model("euclidean"), [0.1]),
        dyn.bifurcation(dyn.Model("euclidean"), "weight_decay", (0.0, 0.2), points=3),
        dyn.phase_diagram(
            dyn.Model("euclidean"), [0.5], ("learning_rate", (0.1, 1)), ("alpha", (1, 2)), points=2, steps=5
        ),
        dyn.design(dyn.FastestUniform(0.1)),
    ],
    ids=lambda result: type(result).__name__,
)
def test_axes_of_another_library_are_refused(result):
    with pytest.raises(dyn.ArgumentError, match="Argument `ax` must be matplotlib Axes, or None"):
        result.plot(ax=0)


def test_analyses_are_visible_on_a_dark_background():
    with plt.style.context("dark_background"):
        points = dyn.equilibria(dyn.Model("euclidean", weight_decay=0.05), [0.1, 0.2]).plot()
        branches = dyn.bifurcation(dyn.Model("euclidean"), "weight_decay", (0.0, 0.2), points=5).plot()
    assert {line.get_color() for line in branches.lines if line.get_marker() == "None"} == {"white"}
    markers = [line for line in points.lines if line.get_marker() == "o"]
    assert {line.get_markeredgecolor() for line in markers} == {"white"}
    assert {line.get_markerfacecolor() for line in markers} == {(0, 0, 0), (1, 1, 1)}


def test_a_plot_without_equilibria_states_the_reason():
    points = dyn.equilibria(dyn.Model("cosine", weight_decay=0.01), [0.2, 0.5])
    diagram = dyn.bifurcation(dyn.Model("cosine"), "weight_decay", (0.0, 0.3))
    for result in (points, diagram):
        ax = result.plot()
        (text,) = ax.texts
        assert result.remark and plain(text.get_text()) == result.remark
        assert not ax.lines and ax.get_legend() is None and not len(ax.get_yticks())
        ax.figure.draw_without_rendering()
        inner, outer = text.get_window_extent(), ax.get_window_extent()
        assert outer.x0 <= inner.x0 and inner.x1 <= outer.x1
        assert "<img" not in result._repr_html_()  # the remark is among the facts
    assert ax.get_xlim() == pytest.approx((0.0 - 0.009, 0.3 + 0.009))
    assert not points.plot().get_xticks().size
    plt.close("all")


@pytest.mark.parametrize(("between", "entries"), [((0.0, 0.2), ["stable", "not stable"]), ((0.3, 0.4), ["stable"])])
def test_the_legend_of_a_bifurcation_has_what_is_drawn(between, entries):
    ax = dyn.bifurcation(dyn.Model("euclidean"), "weight_decay", between, points=5).plot()
    assert [text.get_text() for text in ax.get_legend().texts] == entries
    plt.close("all")


def swept(name):
    """A bifurcation and phase diagrams of a model over a parameter whose own value is 0.777."""
    loss = dyn.Loss.parse("|p - sg(z2)|^2 / 2 + kappa * |z1|^2", kappa=0.02)
    model = dyn.Model(loss, noise=(0.1, 0.3), predictor=dyn.ClosedForm(0.5, 0.1), weight_decay=0.2)
    model, axis, rate = model.replace(**{name: 0.777}), (name, (0.1, 0.3)), ("learning_rate", (0.1, 1.0))
    yield dyn.bifurcation(model, *axis, points=3)
    yield dyn.phase_diagram(model, [0.5], axis, rate, points=2, steps=64)
    yield dyn.phase_diagram(model, [0.5], rate, axis, points=2, steps=64)


@pytest.mark.parametrize("name", ["kappa", "sigma1", "sigma2", "weight_decay", "alpha", "epsilon"])
def test_title_and_heading_do_not_state_the_value_of_a_swept_parameter(name):
    for result in swept(name):
        assert "0.777" not in result.plot().get_title() + str(result) + repr(result) + result._repr_html_()
        assert "0.777" in str(result.model)
    plt.close("all")


def test_collapse_shows_start_and_end_of_modes():
    s0 = np.array([0.0, 0.001, 0.1, 0.5, 2.0])
    prediction = dyn.collapse(dyn.Model("euclidean", stop_gradient="online"), s0)
    ax = prediction.plot()
    drawn = {line.get_label(): line for line in ax.lines}
    assert list(drawn) == ["start", "vanishes", "diverges"]
    np.testing.assert_array_equal(drawn["start"].get_ydata(), s0)
    assert len(drawn["vanishes"].get_xdata()) == 4 and len(drawn["diverges"].get_xdata()) == 1
    assert prediction.plot(ax) is ax
    plt.close("all")


def test_bifurcation_shows_stable_stretches_solid_and_special_points():
    diagram = dyn.bifurcation(dyn.Model("euclidean", isotropic=True), "weight_decay", (0.5, 1.25))  # no value is 1
    ax = diagram.plot()
    solid, dashed = ([a for a in ax.lines if a.get_linestyle() == style] for style in ("-", "--"))
    surviving, _, collapsed, unstable = (line.get_ydata() for line in ax.lines[:4])
    assert np.isfinite(surviving).all() and len(solid) == len(dashed) == 2
    values = diagram.branches[1].value
    np.testing.assert_array_equal(np.isfinite(collapsed), values > 1)
    np.testing.assert_array_equal(np.isfinite(unstable), values <= values[values > 1][0])
    (marks,) = (line for line in ax.lines if line.get_label() == "transcritical")
    np.testing.assert_allclose(marks.get_xydata(), [[1, 0]], atol=1e-10)
    assert ax.get_xlabel() == r"weight decay $\rho$" and diagram.plot(ax) is ax
    plt.close("all")


def test_a_phase_diagram_colours_each_point_by_its_outcome():
    rates, decays = ("learning_rate", np.geomspace(0.1, 10, 5)), ("weight_decay", np.linspace(0.0, 0.3, 8))
    diagram = dyn.phase_diagram(dyn.Model("euclidean", isotropic=True), [0.5], rates, decays)
    ax = diagram.plot()
    (mesh,) = ax.collections
    assert (ax.get_xscale(), ax.get_yscale()) == ("log", "linear")
    assert (ax.get_xlabel(), ax.get_ylabel()) == (r"learning rate $\eta$", r"weight decay $\rho$")
    named = {
        text.get_text(): box.get_facecolor()
        for text, box in zip(ax.get_legend().texts, ax.get_legend().get_patches(), strict=True)
    }
    assert set(named) == set(diagram.outcome.ravel()) and len(named) > 1
    assert ax.get_xlim() == pytest.approx((0.1, 10)) and ax.get_ylim() == (0, 0.3)  # no values below zero
    ax.figure.canvas.draw()
    colours = mesh.get_facecolors().reshape(*diagram.outcome.shape, 4)
    for place, outcome in np.ndenumerate(diagram.outcome):
        np.testing.assert_allclose(colours[place], named[outcome])
    assert diagram.plot(ax) is ax
    plt.close("all")
