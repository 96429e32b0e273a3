"""Define the look of all pictures: fonts, colours, line styles, axes and legends.

Only modules with the name ``plotting`` or ``animation`` import matplotlib. The method ``plot`` of a result imports such
a module when it is called. In these modules, arguments that are results have the type ``Any``, which avoids a circular
import. The style is set for the axes that are drawn, and never in the user's ``matplotlib.rcParams``.
"""

import io
import textwrap
import warnings
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any
from weakref import WeakKeyDictionary

import matplotlib
import matplotlib.pyplot as plt
import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_rgb, to_rgba
from matplotlib.figure import Figure
from matplotlib.legend_handler import HandlerTuple
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.patheffects import AbstractPathEffect, Normal, Stroke

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

TIME, STEP = r"time $t$ = learning rate $\times$ step", "step"
POINTS = 30  # largest number of points of a mode of a network that are drawn
NARROWEST = 1e-6  # relative width of a logarithmic axis below which it is widened
WIDTH = 4.0  # of new figures, in inches
PIXELS_PER_INCH = 96  # of a page
SCALE = 2  # pixels of the file of a small picture per pixel of the page, for screens with a high resolution
TITLE_CHARACTERS, TITLE_LINES = 64, 3  # largest number of characters of a line in a title, and of lines
SWATCHES = 10  # largest number of colours in the key of the modes

EIGENVALUES = {  # axis labels of the quantities that are drawn on a logarithmic axis
    "s": "eigenvalue $s_m$",
    "target": "eigenvalue of the target",
    "tracked": "tracked eigenvalue",
    "modes": "variance along an initial eigenvector",
}
PARAMETERS = {  # axis label of each parameter
    "weight_decay": r"weight decay $\rho$",
    "learning_rate": r"learning rate $\eta$",
    "sigma1": r"noise $\sigma_1$ of the online view",
    "sigma2": r"noise $\sigma_2$ of the target view",
    "alpha": r"exponent $\alpha$ of the predictor",
    "epsilon": r"offset $\epsilon$ of the predictor",
    "decay": r"decay $\tau$ of the target",
}

_mode_counts: WeakKeyDictionary[Axes, set[int]] = WeakKeyDictionary()  # of each axes with a key of modes


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
    figure = plt.figure(figsize=(width, height), layout="constrained")
    return styled_axes(figure, rows, columns, **options)


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


def label_of(parameter: str) -> str:
    """Return the axis label of a parameter."""
    return PARAMETERS.get(parameter, parameter.replace("_", " "))


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


# --- titles and legends ---------------------------------------------------------------------------------------------


def wrapped(title: str, characters: int = TITLE_CHARACTERS) -> str:
    """Return a title in up to three lines; a longer title is shortened."""
    return "\n".join(textwrap.wrap(title, characters, max_lines=TITLE_LINES, placeholder=" ..."))


def set_title(ax: Axes, text: str) -> None:
    """Write a title above the axes, in up to three lines, without interpreting the text as mathematics."""
    ax.set_title(wrapped(text), parse_math=False, fontsize=STYLE["axes.titlesize"])


def legend_above(ax: Axes, columns: int = 4, **options: Any) -> None:
    """Draw a legend above the axes, below the title if there is one."""
    place: dict[str, Any] = {"loc": "lower center", "bbox_to_anchor": (0.5, 1.0), "ncols": columns}
    with styled():
        legend = ax.legend(**(place | options))
    if ax.get_title():
        rows = -(-len(legend.texts) // columns)
        size = max(float(text.get_fontsize()) for text in legend.texts)
        look: dict[str, Any] = {"fontsize": ax.title.get_fontsize(), "parse_math": ax.title.get_parse_math()}
        ax.set_title(ax.get_title(), pad=8 + 1.5 * size * rows, **look)


def start_mode_legend(ax: Axes, title: str) -> None:
    """Write a title above the axes, and let each trajectory drawn in these axes have an entry in their legend."""
    set_title(ax, title)
    _mode_counts[ax] = set()


def add_mode_legend(ax: Axes, modes: int) -> None:
    """Draw a legend with one entry for each trajectory, and a key of the colours of the modes."""
    counts = _mode_counts[ax] = _mode_counts.get(ax, set()) | {modes}
    entries = mode_entries(ax, counts)
    columns = 1 if max(map(len, entries["labels"]), default=0) > TITLE_CHARACTERS // 2 else 2
    if entries["labels"]:
        legend_above(ax, columns, **entries)


def mode_entries(ax: Axes, counts: set[int]) -> dict[str, Any]:
    """Return arguments of ``legend``: one entry for each labelled artist, and a key of the colours of the modes.

    An entry stands for all modes: it has the colour of the text if the artist has the colour of the first mode. counts:
    numbers of modes of the trajectories that are drawn.
    """
    named = dict(zip(*ax.get_legend_handles_labels()[::-1], strict=True))  # equal labels once
    handles: list[Any] = [_in_ink(handle, ax) for handle in named.values()]
    labels = list(named)
    if max(counts) > 1:
        colors = mode_colors(min(max(counts), SWATCHES), ax)
        handles.append(tuple(Patch(color=color, linewidth=0) for color in colors))
        labels.append(f"modes 1 to {max(counts)}" if len(counts) == 1 else "modes, first to last")
    key = {tuple: HandlerTuple(ndivide=None, pad=0)}
    return {"handles": handles, "labels": labels, "handler_map": key, "handlelength": 2.5}


def has_mode_legend(ax: Axes) -> bool:
    """Return True if the axes have a legend that each trajectory extends (``start_mode_legend``)."""
    return ax in _mode_counts


def _in_ink(handle: Any, ax: Axes) -> Any:
    """Return a line or patch for the legend that looks like ``handle``.

    If ``handle`` has the colour of mode 1, it stands for all modes, and the copy has the colour of the text.
    """
    first = mode_colors(1, ax)[0, :3]
    handle = handle[0] if isinstance(handle, tuple) else handle  # the points of error bars
    if isinstance(handle, Line2D):
        proxy = Line2D([], [])
        proxy.update_from(handle)
        if np.allclose(to_rgba(handle.get_color())[:3], first):
            proxy.set_color(ink(ax))
        proxy.set_markersize(max(4.0, handle.get_markersize()))
        return proxy
    faces = handle.get_facecolor()
    if len(faces) and np.ndim(faces) == 2 and np.allclose(faces[0][:3], first):
        return Patch(facecolor=ink(ax), alpha=faces[0][3], linewidth=0)
    return handle
