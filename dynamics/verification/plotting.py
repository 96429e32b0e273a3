"""Draw the results of ``compare`` and ``check``."""

from typing import Any

import numpy as np
from matplotlib.axes import Axes

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
)
from dynamics.results.plotting import mark_unreliable, titles_of

LIMIT = 2  # number of sampling errors that the error bars and the grey band show


def plot_comparison(comparison: Any, ax: Axes | None = None) -> Axes:
    """Draw theory and network in one panel, and their deviation in a panel below; return the axes of the deviation.

    If ``ax`` is given, only the deviation is drawn, into these axes.
    """
    if ax is not None:
        errors.instance("ax", ax, Axes, "be matplotlib Axes, or None for the axes of a new figure")
        return _draw_deviation(axes_of(ax), comparison)
    upper, lower = new_axes(4.6, rows=2, sharex=True, height_ratios=(2, 1))[:, 0]
    _draw_curves(upper, comparison)
    if comparison.model is not None:
        start_mode_legend(upper, *titles_of(comparison.model))
    add_mode_legend(upper, comparison.theory_modes.shape[-1])
    upper.tick_params("x", labelbottom=False)
    return _draw_deviation(lower, comparison)


def _draw_curves(ax: Axes, comparison: Any) -> None:
    """Draw the theory as lines, and the network as points with error bars of two sampling errors.

    For two theories, the second is drawn as points.
    """
    _, along = comparison.along
    every = max(1, round(len(along) / POINTS))
    bars = f" (± {LIMIT} sampling errors)" if comparison.has_network else ""
    names: tuple[str | None, str | None] = comparison.names[0], f"{comparison.names[1]}{bars}"
    look = THEORY | {"path_effects": outline(ax, THEORY["linewidth"])}
    points: dict[str, Any] = NETWORK | {"markevery": every}
    for mode, color in enumerate(mode_colors(comparison.theory_modes.shape[-1], ax)):
        ax.plot(along, comparison.theory_modes[:, mode], color=color, label=names[0], **look)
        error = LIMIT * comparison.sampling_error[:, mode] if comparison.has_network else None
        bar = {"errorevery": every, "elinewidth": 1.5, "color": color, "label": names[1]}
        ax.errorbar(along, comparison.network_modes[:, mode], error, **(points | bar))
        names = None, None
    set_logarithmic(ax)
    rotating = comparison.model is not None and comparison.model.inputs is not None
    ax.set_ylabel(label_of("modes" if rotating else "s"))


def _draw_deviation(ax: Axes, comparison: Any) -> Axes:
    """Draw the deviation of each mode in units of the sampling error, or relative to the first of two theories."""
    name, along = comparison.along
    values = comparison.z if comparison.has_network else _relative(comparison)
    for column, color in zip(values.T, mode_colors(values.shape[-1], ax), strict=True):
        ax.plot(along, np.where(np.isfinite(column), column, np.nan), color=color, linewidth=THEORY["linewidth"])
    ax.axhline(0.0, color=ink(ax), linewidth=0.5, zorder=1)
    if comparison.has_network:
        ax.axhspan(-LIMIT, LIMIT, color=ink(ax), alpha=0.12, linewidth=0, zorder=0, label=f"± {LIMIT} sampling errors")
        mark_unreliable(ax, along, comparison.reliable)
        ax.set_ylabel("deviation /\nsampling error")
    else:
        ax.set_ylabel("relative deviation")
    ax.set_xlabel(STEP if name == "step" else TIME)
    return ax


def _relative(comparison: Any) -> Any:
    """Return the relative deviation (T, M) of each mode of a second theory from the first."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return comparison.network_modes / comparison.theory_modes - 1


def plot_check(check: Any, ax: Axes | None = None) -> Axes:
    """Draw the descent map as lines, and the network as points with error bars of two standard errors.

    Each mode has its own colour. The title states whether all levels of description agree.
    """
    new, ax = ax is None, axes_of(ax)
    verdict = "all levels agree" if check.passed else "some levels disagree"
    if check.comparison is not None:
        _draw_curves(ax, check.comparison)
    set_title(ax, *titles_of(check.model, f"{{}}: {verdict}"))
    if new and check.comparison is not None:
        add_mode_legend(ax, check.comparison.theory_modes.shape[-1])
    ax.set_xlabel(STEP)
    return ax
