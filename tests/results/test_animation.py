"""Animations: curves are drawn from left to right, the file is written completely or not at all."""

import matplotlib
import numpy as np
import pytest
from matplotlib.animation import FFMpegWriter
from matplotlib.figure import Figure
from PIL import Image

import dynamics as dyn
from dynamics.presentation.plotting import WIDTH
from dynamics.results import animation
from dynamics.results.animation import DPI, HOLD, MOST_FRAMES, animate_figure
from tests.results.makers import made


def frames(path):
    """The frames as grey arrays (height, width)."""
    with Image.open(path) as picture:
        shown = []
        for number in range(picture.n_frames):
            picture.seek(number)
            shown.append(np.asarray(picture.convert("L"), float))
    return shown


def test_curves_grow_from_left_to_right(tmp_path):
    figure = Figure(figsize=(2, 2), layout="constrained")
    ax = figure.subplots()
    ax.plot([0, 1], [1, 1], color="black", linewidth=5)
    ax.set(xlim=(0, 1))
    path = animate_figure(figure, tmp_path / "line.gif", frames=5, frame_rate=10)
    shown = frames(path)
    row = int(shown[0].shape[0] * (1 - ax.get_position().y0 - ax.get_position().height / 2))
    left, right = (int(shown[0].shape[1] * edge) for edge in (ax.get_position().x0, ax.get_position().x1))
    dark = [(picture[row, left + 5 : right - 5] < 128).mean() for picture in shown]
    np.testing.assert_allclose(dark, np.linspace(0, 1, 5), atol=0.08)


def test_the_axes_stay_and_only_curves_move(tmp_path):
    path = made("exact flow").animate(tmp_path / "flow.gif", frames=4, frame_rate=2)
    first, *_, last = frames(path)
    assert first.shape == last.shape and (first != last).any()
    above = len(first) // 10  # title and legend; each frame of a GIF has its own palette
    assert first[:above].min() < 100 and np.abs(first[:above] - last[:above]).max() < 30


def test_others_are_drawn_on_the_same_axes(tmp_path, monkeypatch):
    drawn = []
    monkeypatch.setattr(animation, "animate_figure", lambda figure, path, *rest: drawn.append(figure) or path)
    made("descent").animate(tmp_path / "both.gif", made("network"))
    (ax,) = drawn[0].axes
    texts = [text.get_text() for text in ax.get_legend().texts]
    assert len(ax.lines) == 4 and texts[0] == "theory: descent map" and texts[1].startswith("network")


def test_the_clock_shows_the_step(tmp_path, monkeypatch):
    shown = []

    def record(figure, path, frames, frame_rate, progress, at_frame):
        for fraction in (0.0, 0.5, 1.0):
            at_frame(fraction)
            shown.append(figure.axes[0].texts[-1].get_text())

    monkeypatch.setattr(animation, "animate_figure", record)
    made("descent").animate(tmp_path / "clock.gif")
    assert shown == ["step 0", "step 2", "step 4"]


def test_an_interrupted_animation_keeps_the_old_file(tmp_path, press_ctrl_c):
    path = tmp_path / "old.gif"
    path.write_bytes(b"old")
    press_ctrl_c(animation, at_update=2)
    with pytest.raises(KeyboardInterrupt):
        made("descent").animate(path, frames=3)
    assert path.read_bytes() == b"old" and list(tmp_path.iterdir()) == [path]


REFUSED = {
    "another suffix": (lambda: {"path": "a.avi"}, "path", "end in .gif or .mp4"),
    "no folder": (lambda: {"path": "nowhere/a.gif"}, "path", "name a file in an existing folder"),
    "no path": (lambda: {"path": 3}, "path", "be a path"),
    "one frame": (lambda: {"frames": 1}, "frames", "be a whole number >= 2"),
    "many frames": (lambda: {"frames": MOST_FRAMES + 1}, "frames", f"be at most {MOST_FRAMES}"),
    "no frame rate": (lambda: {"frame_rate": 0}, "frame_rate", "be a whole number >= 1"),
    "another quantity": (lambda: {"quantity": "loss"}, "quantity", "be one of"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_written_is_refused(case, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    changes, argument, message = REFUSED[case]
    with pytest.raises(dyn.ArgumentError, match=f"Argument `{argument}` must {message}"):
        made("descent").animate(**({"path": "a.gif"} | changes()))
    assert not list(tmp_path.iterdir())


def test_only_trajectories_are_drawn_together(tmp_path):
    with pytest.raises(dyn.ArgumentError, match="Argument `others` must be trajectories"):
        made("descent").animate(tmp_path / "a.gif", "network")


def test_without_ffmpeg_the_message_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setattr(FFMpegWriter, "isAvailable", lambda: False)
    written = r"Argument `path` must end in .gif, because .mp4 files are written by .* ffmpeg.*Install ffmpeg"
    with pytest.raises(dyn.ArgumentError, match=written):
        made("descent").animate(tmp_path / "a.mp4")
    assert not list(tmp_path.iterdir())


def test_with_ffmpeg_all_frames_are_passed_to_it(tmp_path, monkeypatch):
    """A script in the place of ffmpeg writes what it reads, the pixels of all frames, into the file."""
    script = tmp_path / "ffmpeg"
    script.write_text('#!/bin/sh\nfor last; do :; done\nexec cat > "$last"\n', encoding="utf-8")
    script.chmod(0o755)
    monkeypatch.setitem(matplotlib.rcParams, "animation.ffmpeg_path", str(script))
    path = made("descent").animate(tmp_path / "a.mp4", frames=3, frame_rate=2)
    assert path.stat().st_size == 4 * (WIDTH * DPI) * (3 * DPI) * (3 + round(2 * HOLD))  # four bytes for a pixel


@pytest.mark.skipif(not FFMpegWriter.isAvailable(), reason="ffmpeg is not installed")
def test_ffmpeg_writes_a_film(tmp_path):
    path = made("descent").animate(tmp_path / "a.mp4", frames=3)
    assert path.read_bytes()[4:8] == b"ftyp"  # the first box of a file in the format MP4
