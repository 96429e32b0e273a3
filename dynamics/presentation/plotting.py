"""Define the look of all pictures: fonts, colours, line styles, axes and legends.

Only modules with the name ``plotting`` or ``animation`` import matplotlib. The method ``plot`` of a result imports such
a module when it is called. In these modules, arguments that are results have the type ``Any``, which avoids a circular
import. The style is set for the axes that are drawn, and never in the user's ``matplotlib.rcParams``.
"""

import io
import re
import warnings
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager
from functools import cache
from itertools import chain
from typing import Any, NamedTuple
from weakref import WeakKeyDictionary

import matplotlib
import matplotlib.pyplot as plt
import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.collections import LineCollection
from matplotlib.colors import to_hex, to_rgb, to_rgba
from matplotlib.container import ErrorbarContainer
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.legend_handler import HandlerTuple
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.patheffects import AbstractPathEffect, Normal, Stroke
from matplotlib.textpath import text_to_path

from dynamics import errors

STYLE: Any = {  # settings of matplotlib for new axes
    "font.family": "DejaVu Sans",  # comes with matplotlib, so that pictures look the same everywhere
    "font.size": 8,
    "axes.titlesize": 8,
    "axes.labelsize": 8,
    "xtick.labelsize": 7,
    "ytick.labelsize": 7,
    "legend.fontsize": 7,
    "legend.frameon": False,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.6,
    "lines.linewidth": 1.0,
}
COLORS = BLUE, ORANGE, GREEN, RED, GREY = "#0072B2", "#E69F00", "#009E73", "#D55E00", "#666666"  # Okabe and Ito

THEORY: dict[str, Any] = {"linestyle": "-", "linewidth": 1.0, "zorder": 2.5}
NETWORK: dict[str, Any] = {  # points below the lines of theory, and lighter
    "linestyle": "none",
    "marker": "o",
    "markersize": 5,
    "markeredgewidth": 0,
    "alpha": 0.45,
    "zorder": 1.9,
}

LINE_STYLES = "-", "--", ":", "-."  # of theories in the same axes
MARKERS = "o", "s", "^", "D"  # of networks in the same axes

POINTS = 30  # largest number of points of a mode of a network that are drawn
NARROWEST = 1e-6  # relative width of a logarithmic axis below which it is widened
WIDTH = 4.0  # of new figures, in inches
PIXELS_PER_INCH = 96  # of a page
PRINTED = 200  # dots per inch of saved pictures
SCALE = 2  # pixels of the file of a small picture per pixel of the page, for screens with a high resolution
PHRASES = re.compile("(?<=[,:]) | (?=[+−])")  # spaces after commas and colons, and before signs in a formula
TITLE_LINES = 3  # largest number of lines of a title
TITLE_WIDTH = 0.9  # largest width of a title, as a share of the width of the axes before the layout
SPACES = 2.3  # width of the spaces beside the handle of a legend, in units of the size of the font
HANDLES = 2.2, 3.2  # widths of the handles of a legend with thin, and with thick lines, in the same unit
THICK = 1.5  # points
SWATCHES = 10  # largest number of colours in the key of the modes


class _Shown(NamedTuple):
    """The model that the title of axes states, and the numbers of modes of the trajectories in these axes."""

    model: str
    counts: set[int]


_shown: WeakKeyDictionary[Axes, _Shown] = WeakKeyDictionary()  # of each axes with a key of modes


# --- axes -----------------------------------------------------------------------------------------------------------


def styled() -> AbstractContextManager[None]:
    """Return a context in which matplotlib has the settings ``STYLE``; the user's settings hold again afterwards."""
    return matplotlib.rc_context(STYLE)


def axes_of(ax: Axes | None, height: float = 3.0) -> Axes:
    """Return ``ax``, or the axes of a new figure if ``ax`` is None.

    height: height of the new figure in inches; its width is 4 inches. Raises ArgumentError if ``ax`` is neither None
    nor matplotlib Axes.
    """
    if ax is not None:
        errors.instance("ax", ax, Axes, "be matplotlib Axes, or None for the axes of a new figure")
        return ax
    return new_axes(height)[0, 0]


def new_axes(height: float, rows: int = 1, columns: int = 1, width: float = WIDTH, **options: Any) -> Any:
    """Return the axes (rows, columns) of a new figure. options: arguments of ``Figure.subplots``.

    The figure is made with the user's settings of matplotlib, not in a context with other settings. The first figure of
    a notebook starts the notebook's backend, which changes settings. The end of a context would undo these changes, and
    later figures would not be shown.
    """
    figure = plt.figure(figsize=(width, height), layout="constrained", FigureClass=PlotFigure)
    return styled_axes(figure, rows, columns, **options)


class PlotFigure(Figure):
    """A figure of the method ``plot`` of a result, which is saved with more pixels than it has on a page.

    Notebooks do not call ``savefig``, and show the figure in the resolution of the user's settings.
    """

    def savefig(self, *arguments: Any, **options: Any) -> None:
        """Save the figure, with at least PRINTED dots per inch unless the user has chosen another resolution."""
        if matplotlib.rcParams["savefig.dpi"] == "figure":
            options = {"dpi": max(PRINTED, self.dpi)} | options
        super().savefig(*arguments, **options)


def styled_axes(figure: Figure, rows: int = 1, columns: int = 1, **options: Any) -> Any:
    """Return new axes (rows, columns) of a figure, in the common style.

    matplotlib makes ticks only when they are drawn, after the context of the style has ended. Therefore the style of
    their labels is stored in the axes.
    """
    with styled():
        axes = figure.subplots(rows, columns, squeeze=False, **options)
    for ax in axes.flat:
        for axis in ("x", "y"):
            ax.tick_params(axis, labelsize=STYLE[f"{axis}tick.labelsize"], labelfontfamily=STYLE["font.family"])
    return axes


def small_picture(draw: Callable[[Axes], Any], height: float) -> tuple[bytes, int]:
    """Return a picture in the format PNG for the card of a result, and its width on the page in pixels.

    The figure is independent of pyplot, so that no figure stays open. draw: function that draws into given axes.
    height: height of the picture in inches.
    """
    figure = Figure(figsize=(WIDTH, height), layout="constrained")
    FigureCanvasAgg(figure)
    with warnings.catch_warnings(), io.BytesIO() as file:
        warnings.simplefilter("ignore")  # a warning about a layout would stand beside every card
        draw(styled_axes(figure)[0, 0])
        figure.savefig(file, format="png", dpi=SCALE * PIXELS_PER_INCH)
        return file.getvalue(), round(WIDTH * PIXELS_PER_INCH)


def set_logarithmic(ax: Axes) -> None:
    """Make the vertical axis logarithmic, and widen its limits by a tenth if all values are nearly equal.

    Values that differ only by rounding errors may have equal logarithms. matplotlib would then divide by zero, the
    difference of the logarithms.
    """
    ax.set_yscale("log")
    low, high = ax.dataLim.intervaly
    if low < high < low * (1 + NARROWEST):
        ax.update_datalim([(ax.dataLim.x0, low / 1.1), (ax.dataLim.x1, 1.1 * high)])
        ax.autoscale_view(scalex=False)


# --- colours and lines ----------------------------------------------------------------------------------------------


def ink(ax: Axes) -> Any:
    """Return the colour of the text of axes: black, or white if the user has chosen a dark background."""
    return ax.xaxis.label.get_color()


def mode_colors(count: int, ax: Axes | None = None) -> npt.NDArray[np.float64]:
    """Return RGBA colours (count, 4), one for each mode, from dark to light; they also differ when printed in grey.

    If ``ax`` has a dark background, the colours start with a lighter one.
    """
    dark = ax is not None and sum(to_rgb(ax.get_facecolor())) < 1.5
    return plt.get_cmap("viridis")(np.linspace(*((0.35, 1.0) if dark else (0.0, 0.85)), max(count, 1)))


def outline(ax: Axes, width: float) -> list[AbstractPathEffect]:
    """Return path effects that give a line of this width a thin edge in the colour of the background."""
    return [Stroke(linewidth=width + 0.8, foreground=ax.get_facecolor()), Normal()]


def unused(styles: Sequence[str], used: Iterable[Any]) -> str:
    """Return the first of some line styles or markers that is not used yet; the first, if all are."""
    taken = list(used)
    return next((style for style in styles if style not in taken), styles[0])


# --- titles and legends ---------------------------------------------------------------------------------------------


def fitted(texts: Sequence[str], width: float, size: float = STYLE["axes.titlesize"]) -> str:
    """Return the first of some texts that fits into three lines of a given width, with line breaks.

    If none fits, the last text is shortened. width: in inches. size: of the font, in points.
    """
    for text in texts:
        lines = _lines(text, 72 * width, size)
        if len(lines) <= TITLE_LINES and all(_width(line, size) <= 72 * width for line in lines):
            return "\n".join(lines)
    *above, last = _lines(texts[-1], 72 * width, size)[:TITLE_LINES]
    while last and _width(f"{last} ...", size) > 72 * width:
        last = last[:-1]
    return "\n".join([*above, f"{last} ..."])


def _lines(text: str, width: float, size: float) -> list[str]:
    """Break a text between its phrases into lines of a width in points.

    A longer phrase is broken at its spaces, and a longer word is a line of its own.
    """
    phrases = [[phrase] if _width(phrase, size) <= width else phrase.split() for phrase in PHRASES.split(text)]
    lines: list[str] = []
    for word in chain.from_iterable(phrases):
        extended = f"{lines[-1]} {word}" if lines else word
        if lines and _width(extended, size) <= width:
            lines[-1] = extended
        else:
            lines.append(word)
    return lines


def _width(text: str, size: float) -> float:
    """Return the width of a line of text, in the unit of the size of its font."""
    return size * sum(map(_advance, text))


@cache
def _advance(character: str) -> float:
    """Return the width of a character and of the space beside it, in units of the size of the font."""
    font = FontProperties(family=STYLE["font.family"], size=1)
    with_it, without = (
        text_to_path.get_text_width_height_descent(f"|{10 * text}|", font, ismath=False)[0] for text in (character, "")
    )
    return float(with_it - without) / 10


def set_title(ax: Axes, *texts: str) -> None:
    """Write the first of some texts that fits above the axes, without interpreting it as mathematics."""
    width = TITLE_WIDTH * ax.bbox.width / ax.figure.dpi
    ax.set_title(fitted(texts, width), parse_math=False, fontsize=STYLE["axes.titlesize"])


def legend_above(ax: Axes, columns: int = 4, **options: Any) -> None:
    """Draw a legend above the axes, below the title if there is one.

    columns: number of columns of the legend. options: further arguments of matplotlib's ``Axes.legend``.
    """
    place: dict[str, Any] = {"loc": "lower center", "bbox_to_anchor": (0.5, 1.0), "ncols": columns}
    place |= {"columnspacing": 1.2, "borderaxespad": 0.2}
    with styled():
        legend = ax.legend(**(place | options))
    if ax.get_title():
        height = legend.get_window_extent().height * 72 / ax.figure.dpi
        look: dict[str, Any] = {"fontsize": ax.title.get_fontsize(), "parse_math": ax.title.get_parse_math()}
        ax.set_title(ax.get_title(), pad=height + 4, **look)


def write_remark(ax: Axes, text: str, along: npt.ArrayLike = ()) -> None:
    """Write into the middle of axes why nothing is drawn there.

    along: values that the horizontal axis shows; without values, the axis has no ticks.
    """
    x = np.asarray(along, float)
    ax.update_datalim(np.column_stack([x, np.ones(len(x))]), updatey=False)
    ax.autoscale_view()
    lines = _lines(text, 72 * TITLE_WIDTH * ax.bbox.width / ax.figure.dpi, STYLE["font.size"])
    place: dict[str, Any] = {"transform": ax.transAxes, "ha": "center", "va": "center"}
    ax.text(0.5, 0.5, "\n".join(lines), parse_math=False, fontsize=STYLE["font.size"], **place)
    shared = ax.get_shared_x_axes(), ax.get_shared_y_axes()
    for axis, interval, group in zip((ax.xaxis, ax.yaxis), ax.dataLim.get_points().T, shared, strict=True):
        if len(group.get_siblings(ax)) == 1 and not np.isfinite(interval).all():
            axis.set_ticks([])
            axis.set_ticks([], minor=True)


def start_mode_legend(ax: Axes, *titles: str) -> None:
    """Write a title above the axes, and let each trajectory drawn in these axes have an entry in their legend.

    titles: the model, and shorter texts for it; the first that fits is written.
    """
    set_title(ax, *titles)
    _shown[ax] = _Shown(titles[0], set())


def stated_model(ax: Axes) -> str | None:
    """Return the model that the title of axes states; None for axes without a legend that trajectories extend."""
    return _shown[ax].model if ax in _shown else None


def add_mode_legend(ax: Axes, modes: int, *others: Axes) -> None:
    """Draw a legend with one entry for each trajectory, and a key of the colours of the modes.

    others: axes below, whose labels are entries too.
    """
    counts = _shown.setdefault(ax, _Shown("", set())).counts
    counts.add(modes)
    entries = mode_entries(ax, counts, *others)
    width, size = 72 * ax.figure.bbox.width / ax.figure.dpi, float(STYLE["legend.fontsize"])
    beside = size * (entries["handlelength"] + SPACES)
    labels = [_lines(label, width - beside, size) for label in entries["labels"]]
    entries["labels"] = ["\n".join(lines) for lines in labels]
    widths = [max(_width(line, size) for line in lines) + beside for lines in labels]
    half = -(-len(widths) // 2)  # number of entries in the first of two columns
    columns = 2 if max(widths[:half], default=0) + max(widths[half:], default=0) < width else 1
    if entries["labels"]:
        legend_above(ax, columns, **entries)


def mode_entries(ax: Axes, counts: set[int], *others: Axes) -> dict[str, Any]:
    """Return arguments of ``legend``: one entry for each labelled artist, and a key of the colours of the modes.

    An entry stands for all modes: it has the colour of the text if the artist has the colour of the first mode. Modes
    are drawn in ascending order of their initial eigenvalues. counts: numbers of modes of the trajectories. others:
    axes whose labelled artists have entries too.
    """
    named: dict[str, Any] = {}
    for axes in (ax, *others):
        named |= zip(*axes.get_legend_handles_labels()[::-1], strict=True)  # equal labels once
    handles: list[Any] = [_in_ink(handle, ax) for handle in named.values()]
    labels = list(named)
    if named and max(counts) > 1:
        colors = mode_colors(min(max(counts), SWATCHES), ax)
        handles.append(tuple(Patch(color=color, linewidth=0) for color in colors))
        labels.append(f"{max(counts)} modes, smallest to largest" if len(counts) == 1 else "modes, smallest to largest")
    key = {tuple: HandlerTuple(ndivide=None, pad=0)}
    thick = any(isinstance(handle, Line2D) and handle.get_linewidth() > THICK for handle in handles)
    return {"handles": handles, "labels": labels, "handler_map": key, "handlelength": HANDLES[thick]}


def _in_ink(handle: Any, ax: Axes) -> Any:
    """Return a line, error bar or patch for the legend that looks like ``handle``.

    If ``handle`` has the colour of mode 1, it stands for all modes, and the copy has the colour of the text.
    """
    first = mode_colors(1, ax)[0, :3]
    if isinstance(handle, ErrorbarContainer) and handle.has_yerr:
        line, bars = _in_ink(handle[0], ax), LineCollection([])
        bars.update_from(handle[2][0])
        bars.set_color(line.get_color())
        return ErrorbarContainer((line, (), (bars,)), has_yerr=True)
    handle = handle[0] if isinstance(handle, tuple) else handle  # the points of error bars
    if isinstance(handle, LineCollection):
        look: dict[str, Any] = {"linewidth": np.ravel(handle.get_linewidth())[0], "alpha": handle.get_alpha()}
        handle = Line2D([], [], color=to_hex(tuple(np.ravel(handle.get_color())[:3])), **look)
    if isinstance(handle, Line2D):
        proxy = Line2D([], [])
        proxy.update_from(handle)
        if np.allclose(to_rgba(handle.get_color())[:3], first, atol=1 / 255):
            proxy.set_color(ink(ax))
        proxy.set_markersize(max(4.0, handle.get_markersize()))
        return proxy
    faces = handle.get_facecolor()
    if len(faces) and np.ndim(faces) == 2 and np.allclose(faces[0][:3], first):
        return Patch(facecolor=ink(ax), alpha=faces[0][3], linewidth=0)
    return handle
