"""Single panels of figures."""

import importlib
import re
from itertools import pairwise

import pytest
from click.testing import CliRunner
from matplotlib.figure import Figure

import figures.fig2_eigenvalues
from figures.__main__ import main
from figures.panels import keep, panel_keys, panel_names, panels_of

TITLES = ("one", "two", "three")


@pytest.mark.parametrize("name", figures.names())
def test_names_of_panels_are_different_words(name):
    names = panels_of(name)
    assert len(set(names)) == len(names) != 1
    assert all(re.fullmatch(r"[a-z0-9.]+(-[a-z0-9.]+)*", panel) for panel in names)


def test_names_are_made_of_titles():
    assert panel_names(("Cosine",), ("no predictor", "decay 0.5")) == ("cosine-no-predictor", "cosine-decay-0.5")
    assert panel_names(["Euclidean, isotropic"]) == ("euclidean-isotropic",)


def grid():
    """A figure with 2 x 3 panels, of which only the outer ones have texts, and with a colour bar and a legend."""
    figure = Figure(layout="constrained")
    axes = figure.subplots(2, 3, sharex=True, sharey=True)
    for number, ax in enumerate(axes.flat):
        mesh = ax.pcolormesh([[number, 1.0], [2.0, 3.0]])
        ax.plot([0, number], label=f"line {number}")
        ax.set(xlabel="step", ylabel="eigenvalue", title=TITLES[number] if number < 3 else "")
        ax.label_outer()
    figure.colorbar(mesh, ax=axes)
    figure.legend(loc="outside lower center", ncols=6)
    return figure


@pytest.mark.parametrize("index", range(6))
def test_a_panel_is_kept_with_title_labels_legend_and_colour_bar(index):
    figure = grid()
    keep(figure, index, 6)
    panel, bar = figure.axes
    assert panel.lines[0].get_ydata().tolist() == [0, index]
    assert (panel.get_title(), panel.get_xlabel(), panel.get_ylabel()) == (TITLES[index % 3], "step", "eigenvalue")
    figure.draw_without_rendering()
    boxes = [artist.get_tightbbox() for artist in (panel, bar, *figure.legends)]
    assert all(0 <= box.x0 < box.x1 <= figure.bbox.x1 and 0 <= box.y0 < box.y1 <= figure.bbox.y1 for box in boxes)
    assert panel.get_window_extent().width > 0.5 * figure.bbox.width  # it fills the figure
    assert boxes[0].x1 <= boxes[1].x0 and all(tick.label1.get_visible() for tick in panel.xaxis.get_major_ticks())


def test_labels_of_another_quantity_are_not_copied():
    figure = Figure()
    left, right = figure.subplots(1, 2)
    left.set(ylabel="eigenvalue", yscale="log")
    right.plot([1, 2])
    keep(figure, 1, 2)
    assert right.get_ylabel() == ""


def test_a_panel_beside_a_grid_is_kept():
    """As in fig8_deep_weight_decay."""
    figure = Figure(layout="constrained")
    left, right = figure.subfigures(1, 2)
    left.subplots(2, 2)
    right.subplots().plot([1, 2])
    keep(figure, 4, 5)
    (panel,) = figure.axes
    assert len(panel.lines) == 1
    figure.draw_without_rendering()


def stand_in(monkeypatch):
    monkeypatch.setattr("figures.mechanism.compute", lambda full: None)
    monkeypatch.setattr("figures.mechanism.caption", lambda data, full: "A caption.")

    def draw(data):
        figure = Figure()
        for panel, ax in zip(panels_of("mechanism"), figure.subplots(2, 2).flat, strict=True):
            ax.set_title(panel)
        return figure

    monkeypatch.setattr("figures.mechanism.draw", draw)


def test_each_panel_is_written_with_the_caption_of_the_figure(tmp_path, monkeypatch):
    stand_in(monkeypatch)
    for panel in panels_of("mechanism"):
        result = CliRunner().invoke(main, ["mechanism", "--panel", panel, "--out", str(tmp_path)])
        assert result.exit_code == 0, result.output
        text = (tmp_path / f"mechanism-{panel}.md").read_text(encoding="utf-8")
        assert text.startswith(f"The panel `{panel}` of the figure `mechanism`") and text.endswith("A caption.\n")
    pictures = [path.read_bytes() for path in tmp_path.glob("*.png")]
    assert len(pictures) == 4 and all(one != other for one, other in pairwise(sorted(pictures)))


INDEPENDENT = [name for name in figures.names() if hasattr(importlib.import_module(f"figures.{name}"), "KEYS")]


@pytest.mark.parametrize("name", INDEPENDENT)
def test_keys_are_those_of_the_panels(name):
    module = importlib.import_module(f"figures.{name}")
    assert len(module.KEYS) == len(module.PANELS) and not panel_keys(name, None)
    assert [panel_keys(name, panel)[0] for panel in module.PANELS] == list(module.KEYS)
    for panel, key in zip(module.PANELS, module.KEYS, strict=True):
        word = f"{key:g}" if isinstance(key, float) else re.split(r"[^a-z0-9.]+", str(key[-1]).lower())[-1]
        assert panel.endswith(word)


def test_a_panel_that_needs_the_whole_figure_has_no_keys():
    assert panel_keys("mechanism", "cosine") == ()


def test_an_independent_panel_is_computed_alone(tmp_path, monkeypatch):
    module, computed, drawn = figures.fig2_eigenvalues, [], []
    monkeypatch.setattr(module, "compute", lambda full, keys: computed.append(keys) or dict.fromkeys(keys, "data"))
    monkeypatch.setattr(module, "caption", lambda data, full: f"Caption of {len(data)} panel.")
    monkeypatch.setattr(
        module, "draw", lambda data: drawn.append(data) or (figure := Figure(), figure.subplots(2, 4))[0]
    )
    call = ["fig2_eigenvalues", "--panel", "cosine-isotropic", "--out", str(tmp_path)]
    assert CliRunner().invoke(main, call).exit_code == 0
    assert computed == [(("cosine", "isotropic"),)] and drawn == [dict.fromkeys(module.KEYS, "data")]
    assert "Caption of 1 panel." in (tmp_path / "fig2_eigenvalues-cosine-isotropic.md").read_text(encoding="utf-8")


@pytest.mark.long
@pytest.mark.parametrize("name", INDEPENDENT)
def test_the_last_independent_panel_of_each_figure_has_picture_and_caption(name, tmp_path):
    panel = panels_of(name)[-1]
    done = CliRunner().invoke(main, [name, "--panel", panel, "--out", str(tmp_path)])
    assert done.exit_code == 0, done.output
    assert (tmp_path / f"{name}-{panel}.png").stat().st_size > 10_000
    assert (tmp_path / f"{name}-{panel}.md").read_text(encoding="utf-8").count("\n| ") in (0, 2, 4)  # one row a table


def test_a_dot_in_the_name_of_a_panel_is_kept(tmp_path, monkeypatch):
    stand_in(monkeypatch)
    monkeypatch.setattr("figures.mechanism.PANELS", ("power-0.5", "a", "b", "c"))
    monkeypatch.setattr("figures.mechanism.draw", lambda data: (figure := Figure(), figure.subplots(2, 2))[0])
    assert CliRunner().invoke(main, ["mechanism", "--panel", "power-0.5", "--out", str(tmp_path)]).exit_code == 0
    assert (tmp_path / "mechanism-power-0.5.png").exists()


def test_an_unknown_panel_is_refused_before_any_computation(monkeypatch):
    monkeypatch.setattr("figures.mechanism.compute", lambda full: 1 / 0)
    result = CliRunner().invoke(main, ["mechanism", "--panel", "cosin"])
    assert result.exit_code == 2
    assert "--panel must be one of euclidean, euclidean-isotropic, cosine, cosine-isotropic, but is" in result.output
    alone = CliRunner().invoke(main, ["edge_of_stability", "--panel", "a"])
    assert alone.exit_code == 2 and "--panel must be left out, because edge_of_stability has one panel" in alone.output


def test_panels_are_listed():
    listed = CliRunner().invoke(main, ["mechanism", "--panel", "list"]).output
    assert listed.split() == [*panels_of("mechanism")]
    assert CliRunner().invoke(main, ["edge_of_stability", "--panel", "list"]).output.endswith("has one panel.\n")


def test_the_picture_is_written_before_the_caption_is_computed(tmp_path, monkeypatch):
    stand_in(monkeypatch)
    seen = []
    monkeypatch.setattr("figures.mechanism.caption", lambda *_: seen.extend(tmp_path.iterdir()) or "Text.")
    assert CliRunner().invoke(main, ["mechanism", "--out", str(tmp_path)]).exit_code == 0
    assert sorted(path.name for path in seen) == ["mechanism.pdf", "mechanism.png"]
