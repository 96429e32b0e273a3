"""Titles and legends of all plots: inside the figure, and not wider than the axes, however long the model is."""

from functools import cache

import matplotlib
import matplotlib.pyplot as plt
import numpy as np
import pytest

import dynamics as dyn
from dynamics.presentation.plotting import STYLE, TITLE_LINES, axes_of, fitted, set_title

matplotlib.use("Agg")

TEXTS = {  # user-defined losses with independent modes
    "formula": "|p - sg(z2)|^2 / 2 + " + " + ".join(f"0.0{i} * beta * |z1|^2" for i in range(1, 4)),
    "many terms": "|p - sg(z2)|^2 / 2 + " + " + ".join(f"0.00{i} * beta * |z1|^2" for i in range(1, 10)),
    "one long term": "|p - sg(z2)|^2 / 2 + " + "beta * " * 12 + "|z1|^2",
}
ALPHAS = np.linspace(0.5, 2.0, 30)


@cache
def model(kind):
    return dyn.Model(dyn.Loss.parse(TEXTS[kind], beta=0.1), noise=(0.0, 0.1))


def ensemble(kind):
    flow = dyn.solve(model(kind).replace(alpha=ALPHAS), [0.1, 0.5], [0.0, 1.0])
    return flow.plot(dyn.solve(model(kind).replace(beta=0.2), [0.1], [0.0, 1.0]).plot(), lines="all")


def sweep(kind, folder):
    grid = {"weight_decay": [0.0, 0.1], "sigma2": [0.1, 0.2]}
    return dyn.plot_sweep(dyn.sweep(model(kind), grid, store=folder / "a.zarr", s0=[0.5], times=[0.0, 1.0])).flat[0]


def comparison(kind):
    s0 = [0.2, 0.5]
    descent = dyn.iterate(model(kind), s0, 5, 0.1)
    return dyn.compare(dyn.solve(model(kind), s0, descent.t), descent)


PLOTS = {
    "trajectory": lambda kind, folder: dyn.iterate(model(kind), [0.1, 0.5], 5, 0.1).plot(),
    "two models": lambda kind, folder: ensemble(kind),
    "comparison": lambda kind, folder: comparison(kind).plot().figure.axes[0],
    "check": lambda kind, folder: dyn.Check(model(kind), (), comparison(kind)).plot(),
    "equilibria": lambda kind, folder: dyn.equilibria(model(kind), [0.1, 0.2]).plot(),
    "collapse": lambda kind, folder: dyn.collapse(model(kind), [0.1, 0.2]).plot(),
    "bifurcation": lambda kind, folder: dyn.bifurcation(model(kind), "weight_decay", (0.0, 0.3), points=5).plot(),
    "phase diagram": lambda kind, folder: dyn.phase_diagram(
        model(kind), [0.1], ("learning_rate", (0.1, 1.0)), ("weight_decay", (0.0, 0.3)), points=3, steps=20
    ).plot(),
    "sweep": sweep,
}


@pytest.mark.parametrize("kind", TEXTS)
@pytest.mark.parametrize("plot", PLOTS)
def test_titles_and_legends_of_a_long_loss_fit(plot, kind, tmp_path):
    ax = PLOTS[plot](kind, tmp_path)
    figure = ax.figure
    figure.draw_without_rendering()
    title = figure._suptitle if plot == "sweep" else ax.title
    legend = figure.legends[0] if plot == "sweep" else ax.get_legend()
    outer = figure.bbox if plot == "sweep" else ax.get_window_extent()
    text, box = title.get_window_extent(), legend.get_window_extent()
    assert title.get_text() and len(title.get_text().splitlines()) <= TITLE_LINES
    assert ("β" in title.get_text()) or plot == "sweep"
    assert outer.x0 - 1 <= text.x0 and text.x1 <= outer.x1 + 1, (outer, text)
    assert text.y1 <= figure.bbox.y1 and box.x0 >= 0 and box.x1 <= figure.bbox.x1
    assert plot == "sweep" or box.y1 <= text.y0 + 1
    plt.close("all")


def test_the_first_text_that_fits_is_taken_and_the_last_is_shortened():
    assert fitted(("word " * 100, "short"), 3.0) == "short"
    long = fitted(("a" * 500,), 3.0)
    assert long.endswith(" ...") and len(long) < 100
    three = fitted(("word " * 100,), 3.0).splitlines()
    assert len(three) == TITLE_LINES and three[-1].endswith("...")


def test_a_phrase_is_broken_only_if_it_is_wider_than_a_line():
    text = "loss, noise 0.1 and 0.1, weight decay 0.1"
    for width in np.linspace(1.3, 3.0, 15):
        lines = fitted((text,), width).splitlines()
        assert " ".join(lines) == text and all(line.endswith(",") for line in lines[:-1]), lines
    narrow = fitted((text.replace(",", ""),), 1.6)
    assert len(narrow.splitlines()) == 2 and not narrow.endswith("...")


def test_the_width_of_a_title_is_measured():
    """A title of narrow letters has more characters in a line than a title of wide letters."""
    narrow, wide = (fitted((" ".join([word] * 8),), 1.0) for word in ("iiiii", "WWWWW"))
    assert len(narrow.splitlines()[0]) > 2 * len(wide.splitlines()[0])
    ax = axes_of(None)
    set_title(ax, " ".join(["WWWWW"] * 14))
    ax.figure.draw_without_rendering()
    assert ax.title.get_window_extent().width <= ax.get_window_extent().width
    assert ax.title.get_fontsize() == STYLE["axes.titlesize"]
    plt.close("all")
