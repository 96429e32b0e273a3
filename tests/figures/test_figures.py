"""Figures: what `python -m figures` needs of each module, and the page that shows them."""

import importlib
import inspect

import pytest
from click.testing import CliRunner
from matplotlib.figure import Figure

import figures
from dynamics.presentation import plotting
from figures import gallery, style
from figures.__main__ import main


@pytest.mark.parametrize("name", figures.names())
def test_each_figure_computes_draws_and_describes(name):
    figure = importlib.import_module(f"figures.{name}")
    parameters = {
        part: [*inspect.signature(getattr(figure, part)).parameters] for part in ("compute", "draw", "caption")
    }
    keys = ["keys"] * hasattr(figure, "KEYS")
    assert parameters == {"compute": ["full", *keys], "draw": ["data"], "caption": ["data", "full"]}
    assert 0 < len(gallery.title(name)) <= 120 and not gallery.title(name).endswith(".")


def test_a_figure_is_written_as_picture_and_caption_the_same_each_time(tmp_path, monkeypatch):
    """The computation of the networks is replaced by a figure with one line."""

    def draw(data):
        figure = Figure()
        figure.subplots().plot(data)
        return figure

    for part, stand_in in (
        ("compute", lambda full: [1.0, 3.0, 2.0]),
        ("draw", draw),
        ("caption", lambda data, full: f"Largest: {max(data):g}."),
    ):
        monkeypatch.setattr(f"figures.mechanism.{part}", stand_in)
    contents = []
    for folder in ("first", "second"):
        result = CliRunner().invoke(main, ["mechanism", "--out", str(tmp_path / folder)])
        assert result.exit_code == 0, result.output
        contents.append({path.name: path.read_bytes() for path in (tmp_path / folder).iterdir()})
    assert sorted(contents[0]) == [f"mechanism.{kind}" for kind in ("md", "pdf", "png")]
    assert contents[0]["mechanism.md"] == b"Largest: 3.\n" and contents[0] == contents[1]


@pytest.mark.long
def test_a_figure_is_animated_by_one_command(tmp_path, monkeypatch):
    def draw(data):
        figure = Figure(figsize=(2, 2))
        figure.subplots().plot(data)
        return figure

    monkeypatch.setattr("figures.mechanism.compute", lambda full: [1.0, 3.0, 2.0])
    monkeypatch.setattr("figures.mechanism.draw", draw)
    monkeypatch.setattr("figures.mechanism.caption", lambda data, full: "A caption.")
    path = tmp_path / "film.gif"
    result = CliRunner().invoke(main, ["mechanism", "--out", str(tmp_path), "--animate", str(path)])
    assert result.exit_code == 0, result.output
    assert path.read_bytes().startswith(b"GIF89a") and (tmp_path / "mechanism.png").exists()


def test_an_animation_that_cannot_be_written_is_refused_before_anything_is_computed(tmp_path, monkeypatch):
    monkeypatch.setattr("figures.mechanism.compute", lambda full: pytest.fail("computed"))
    result = CliRunner().invoke(main, ["mechanism", "--out", str(tmp_path), "--animate", "film.avi"])
    assert result.exit_code == 2 and "must end in .gif or .mp4" in result.output


def test_figures_have_the_style_of_plots():
    assert style.RC.items() >= plotting.STYLE.items()
    assert style.THEORY["linestyle"] == plotting.THEORY["linestyle"] and style.BLUE == plotting.BLUE


def test_the_gallery_shows_captions_and_states_which_figures_are_missing(tmp_path):
    (tmp_path / "mechanism.md").write_text("A caption.\n", encoding="utf-8")
    gallery.write(tmp_path)
    page = (tmp_path / "index.html").read_text(encoding="utf-8")
    assert page.count("<section") == len(figures.names()) and "<p>A caption.</p>" in page
    assert "python -m figures weight_decay" in page and "python -m figures mechanism" not in page
