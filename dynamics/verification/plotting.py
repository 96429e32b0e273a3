"""Draw the results of ``compare`` and ``check``."""

from functools import partial
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.container import ErrorbarContainer

from dynamics import errors
from dynamics.presentation.labels import STEP, TIME, label_of
from dynamics.presentation.plotting import (
    NETWORK,
    POINTS,
    THEORY,
    add_mode_legend,
    axes_of,
    ink,
    mode_colors,
    new_axes,
    outline,
    set_logarithmic,
    set_title,
    start_mode_legend,
    write_remark,
)
from dynamics.results.plotting import mark_unreliable, titles_of, why_nothing_is_drawn

LIMIT = 2  # number of sampling errors that the error bars and the grey band show
SAMPLING_ERRORS = f"± {LIMIT} sampling errors"


def plot_comparison(comparison: Any, ax: Axes | None = None) -> Axes:
    """Draw theory and network in one panel, and their deviation in a panel below; return the axes of the deviation.

    If ``ax`` is given, only the deviation is drawn, into these axes.
    """
    if ax is not None:
        errors.instance("ax", ax, Axes, "be matplotlib Axes, or None for the axes of a new figure")
        return _draw_deviation(axes_of(ax), comparison)
    upper, lower = new_axes(4.6, rows=2, sharex=True, height_ratios=(2, 1))[:, 0]
    _draw_curves(upper, comparison)
    _draw_deviation(lower, comparison)
    if comparison.model is not None:
        start_mode_legend(upper, *titles_of(comparison.model))
    add_mode_legend(upper, comparison.theory_modes.shape[-1], lower)
    upper.tick_params("x", labelbottom=False)
    return lower


def _draw_curves(ax: Axes, comparison: Any) -> None:
    """Draw the theory as lines, and the network as points with error bars of two sampling errors.

    For two theories, the second is drawn as points. The legend names error bars if they can be seen.
    """
    _, along = comparison.along
    rotating = comparison.model is not None and comparison.model.by_weights
    ax.set_ylabel(label_of("modes" if rotating else "s"))
    drawn = np.concatenate([comparison.theory_modes, comparison.network_modes])
    if reason := why_nothing_is_drawn(drawn, logarithmic=True):
        write_remark(ax, reason, along)
        return
    every = max(1, round(len(along) / POINTS))
    names: tuple[str | None, str | None] = comparison.names
    bars = []
    look = THEORY | {"path_effects": outline(ax, THEORY["linewidth"])}
    points: dict[str, Any] = NETWORK | {"markevery": every}
    for mode, color in enumerate(mode_colors(comparison.theory_modes.shape[-1], ax)):
        ax.plot(along, comparison.theory_modes[:, mode], color=color, label=names[0], **look)
        error = LIMIT * comparison.sampling_error[:, mode] if comparison.has_network else None
        bar = {"errorevery": every, "elinewidth": 1.5, "color": color, "label": names[1]}
        bars.append(ax.errorbar(along, comparison.network_modes[:, mode], error, **(points | bar)))
        names = None, None
    set_logarithmic(ax)
    bars[0].has_yerr = any(map(partial(_is_visible, ax), bars))  # for the legend
    if bars[0].has_yerr:
        bars[0].set_label(f"{bars[0].get_label()} ({SAMPLING_ERRORS})")


def _is_visible(ax: Axes, bars: ErrorbarContainer) -> bool:
    """Return True if one of some error bars is longer than the marker in its middle."""
    segments = np.array([segment for lines in bars[2] for segment in lines.get_segments()]).reshape(-1, 2)
    ax.get_ylim()  # sets the limits that follow from the data
    heights = ax.transData.transform(np.where(segments > 0, segments, np.nan))[:, 1].reshape(-1, 2)
    lengths = np.diff(heights, axis=-1) * 72 / ax.figure.dpi
    return bool((lengths > NETWORK["markersize"]).any())


def _draw_deviation(ax: Axes, comparison: Any) -> Axes:
    """Draw the deviation of each mode in units of the sampling error, or relative to the first of two theories."""
    name, along = comparison.along
    values = comparison.z if comparison.has_network else comparison.relative
    for column, color in zip(values.T, mode_colors(values.shape[-1], ax), strict=True):
        ax.plot(along, np.where(np.isfinite(column), column, np.nan), color=color, linewidth=THEORY["linewidth"])
    if reason := why_nothing_is_drawn(values, logarithmic=False):
        write_remark(ax, reason, along)
    else:
        ax.axhline(0.0, color=ink(ax), linewidth=0.5, zorder=1)
    if comparison.has_network:
        ax.axhspan(-LIMIT, LIMIT, color=ink(ax), alpha=0.12, linewidth=0, zorder=0, label=SAMPLING_ERRORS)
        mark_unreliable(ax, along, comparison.reliable)
        ax.set_ylabel("deviation /\nsampling error")
    else:
        ax.set_ylabel("relative deviation")
    ax.set_xlabel(STEP if name == "step" else TIME)
    return ax


def plot_check(check: Any, ax: Axes | None = None) -> Axes:
    """Draw the descent map as lines, and the network as points with error bars of two standard errors.

    Each mode has its own colour. The title states whether all levels of description agree.
    """
    new, ax = ax is None, axes_of(ax)
    verdict = "all levels agree" if check.passed else "some levels disagree"
    if check.comparison is None:
        write_remark(ax, "no eigenvalues to compare, because the network diverged")
    else:
        _draw_curves(ax, check.comparison)
    set_title(ax, *titles_of(check.model, f"{{}}: {verdict}"))
    if new and check.comparison is not None:
        add_mode_legend(ax, check.comparison.theory_modes.shape[-1])
    ax.set_xlabel(STEP)
    return ax
