"""Write animations of figures, in which curves are drawn from left to right."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from matplotlib.animation import FFMpegWriter, PillowWriter
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.transforms import Bbox, TransformedBbox

from dynamics import errors
from dynamics.numerics.files import replacing
from dynamics.numerics.progress import progress_bar
from dynamics.presentation.labels import STEP
from dynamics.presentation.plotting import STYLE, WIDTH, start_mode_legend, styled_axes
from dynamics.results.plotting import plot_trajectory, titles_of

WRITERS: dict[str, Any] = {".gif": PillowWriter, ".mp4": FFMpegWriter}
INSTALL_FFMPEG = "Install ffmpeg, for example by `apt install ffmpeg`, `brew install ffmpeg` or `conda install ffmpeg`."
MOST_FRAMES = 500  # all frames of a GIF are kept in memory until the file is written
DPI = 120
HOLD = 1.5  # seconds for which the last frame is shown


def check_file(path: Any) -> Path:
    """Return the path of an animation; raise ArgumentError if files with its suffix cannot be written."""
    path = errors.path("path", path)
    suffix = path.suffix.lower()
    if suffix not in WRITERS:
        errors.reject("path", f"end in {' or '.join(WRITERS)}", str(path))
    if not WRITERS[suffix].isAvailable():
        requirement = "end in .gif, because .mp4 files are written by the program ffmpeg, which is not installed"
        errors.reject("path", requirement, str(path), INSTALL_FFMPEG)
    if not path.parent.is_dir():
        errors.reject("path", "name a file in an existing folder", str(path))
    return path


def animate_trajectory(
    trajectory: Any,
    path: Any,
    others: tuple[Any, ...],
    quantity: str,
    frames: int,
    frame_rate: int,
    progress: bool | None,
) -> Path:
    """Write an animation in which a trajectory, and ``others`` on the same axes, are drawn from left to right.

    quantity: name of the drawn quantity. frames: number of frames. frame_rate: frames per second. Returns the path of
    the animation.
    """
    ax: Axes = styled_axes(Figure(figsize=(WIDTH, 3.0), layout="constrained"))[0, 0]
    start_mode_legend(ax, *titles_of(trajectory.model))
    for result in (trajectory, *others):
        plot_trajectory(result, ax, quantity)
    low, high = ax.dataLim.intervalx
    place: dict[str, Any] = {"transform": ax.transAxes, "ha": "right", "va": "bottom", "fontsize": STYLE["font.size"]}
    clock = ax.text(0.99, 0.02, "", **place)

    def show_time(fraction: float) -> None:
        now = np.clip(ax.transData.inverted().transform(ax.transAxes.transform((fraction, 0.0)))[0], low, high)
        clock.set_text(f"step {now:.0f}" if ax.get_xlabel() == STEP else f"t = {now:.3g}")

    return animate_figure(ax.get_figure(), path, frames, frame_rate, progress, show_time)


def animate_figure(
    figure: Any,
    path: Any,
    frames: int = 60,
    frame_rate: int = 15,
    progress: bool | None = None,
    at_frame: Callable[[float], None] = lambda fraction: None,
) -> Path:
    """Write an animation of a figure, and return its path.

    Lines, points and bands of all axes are drawn from left to right; axes, labels and legends are there from the start.
    at_frame: function that is called before each frame, with the fraction of the width of the axes that is visible.
    """
    path, frames = check_file(path), errors.count("frames", frames, least=2)
    if frames > MOST_FRAMES:
        errors.reject("frames", f"be at most {MOST_FRAMES}", frames)
    frame_rate = errors.count("frame_rate", frame_rate)
    figure.draw_without_rendering()  # computes the layout, which then stays the same in all frames
    figure.set_layout_engine("none")
    window = Bbox.from_extents(0.0, 0.0, 0.0, 1.0)
    for ax in figure.axes:
        ax.autoscale(False)
        for artist in (*ax.lines, *ax.collections):
            artist.set_clip_path(None)
            artist.set_clip_box(TransformedBbox(window, ax.transAxes))
    fractions = [*np.linspace(0.0, 1.0, frames), *[1.0] * round(HOLD * frame_rate)]
    writer = WRITERS[path.suffix.lower()](fps=frame_rate)
    with (
        matplotlib.rc_context({"savefig.bbox": None}),  # frames must have equal sizes
        progress_bar(len(fractions), "animation", progress) as bar,
        replacing(path) as fresh,
        writer.saving(figure, str(fresh), DPI),
    ):
        for fraction in fractions:
            window.x1 = fraction
            at_frame(fraction)
            writer.grab_frame()
            bar.update()
    return path
