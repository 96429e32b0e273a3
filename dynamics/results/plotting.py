"""Draw trajectories: one line for each mode, or the median and quantiles of an ensemble."""

from collections.abc import Collection, Sequence
from itertools import product
from typing import Any
from weakref import WeakSet

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.cbook import normalize_kwargs
from matplotlib.collections import LineCollection
from matplotlib.colors import to_rgba
from matplotlib.lines import Line2D

from dynamics import errors
from dynamics.model.titles import assigned, title_of
from dynamics.presentation.labels import EIGENVALUES, STEP, TIME, label_of
from dynamics.presentation.plotting import (
    LINE_STYLES,
    MARKERS,
    NETWORK,
    POINTS,
    THEORY,
    add_mode_legend,
    axes_of,
    ink,
    mode_colors,
    outline,
    set_logarithmic,
    set_title,
    start_mode_legend,
    stated_model,
    unused,
    write_remark,
)
from dynamics.results.trajectory import in_order

MOST_NAMED = 8  # largest number of members of an ensemble that the legend names one by one
WIDTHS = 1.0, 1.8  # of the lines of these members, in points; each width is used with all line styles
VECTORS = ("init",)  # parameters whose last axis is that of the modes
FEW = 10  # largest number of members of an ensemble that are drawn one by one by default
QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)
BANDS = {"25–75 % of members": (1, 3, 0.3), "5–95 % of members": (0, 4, 0.15)}  # indices in QUANTILES, and opacity
LONGEST_MODEL = 60  # largest number of characters of a model in a legend
MEMBERS: dict[str, Any] = {"linewidths": 0.4, "alpha": 0.5, "zorder": 1.7}  # thin lines of single members
DEVIATIONS = "± 2 standard deviations"
_drawn: WeakSet[Line2D] = WeakSet()  # lines and points of trajectories; axes may have other lines
NAMES = {"flow": "theory: flow", "descent": "theory: descent map", "network": "network"}


def plot_trajectory(
    trajectory: Any, ax: Axes | None = None, quantity: str = "s", lines: int | str | None = None, **style: Any
) -> Axes:
    """Draw a quantity of a trajectory, such as the eigenvalues "s", against the step, and return the axes.

    In two cases the horizontal axis shows time instead of the step: if the trajectory is a flow, and if ``ax`` already
    shows time. Each mode has one line; for a network, eigenvalues are drawn as points, at up to POINTS equally spaced
    records. Eigenvalues have a logarithmic axis. Of an ensemble with more than FEW members, median and quantiles are
    drawn; ``lines`` is the number of members that are drawn as thin lines in addition, or "all". If the trajectory
    predicts a standard deviation over networks, a band around each line shows two standard deviations on either side,
    and steps at which the prediction is unreliable are hatched. Up to MOST_NAMED members of an ensemble that differ in
    one parameter have different line styles, and the legend states their values of this parameter. If the axes have
    other trajectories, or if a ``style`` is given, all members have the same line style. New axes have a title and a
    legend, which later trajectories on the same axes extend. If nothing can be drawn, the axes state the reason.
    """
    new, ax = ax is None, axes_of(ax)
    if new:
        start_mode_legend(ax, *titles_of(trajectory.model))
    along = horizontal(trajectory, ax)
    style, logarithmic = normalize_kwargs(style, Line2D), quantity in EIGENVALUES
    values = trajectory.ranked(quantity)
    points = trajectory.kind == "network" and logarithmic
    single_style = points or style or lines is not None or any(line in _drawn for line in ax.lines)
    names = [] if single_style else names_of_members(trajectory)
    look = _look(ax, len(along), points, style)
    name = label_of_trajectory(trajectory, stated_model(ax), *names[:1])
    look = look | {"label": style.get("label", name)}
    reason = why_nothing_is_drawn(values, logarithmic)
    if names and not reason:
        _draw_members(ax, along, values, look, [name, *names[1:]], logarithmic)
    elif not reason:
        draw_modes(ax, along, values, look, lines, logarithmic)
    if quantity == "s" and trajectory.deviation is not None:
        _draw_deviation(ax, along, trajectory)
    if logarithmic:
        set_logarithmic(ax)
    if reason:
        write_remark(ax, f"{name}: {reason}", along)
    ax.set_xlabel(TIME if along is trajectory.t else STEP)
    ax.set_ylabel(label_of(quantity))
    if stated_model(ax) is not None:
        add_mode_legend(ax, values.shape[-1])
    return ax


def _look(ax: Axes, records: int, points: bool, style: dict[str, Any]) -> dict[str, Any]:
    """Return the matplotlib properties, of lines or of points, with which a trajectory is drawn into axes.

    points: True for points. records: number of records of the trajectory. style: properties that the user has chosen.
    The line style or the marker differs from those of other trajectories in the axes, unless ``style`` contains a
    colour.
    """
    look = NETWORK | {"markevery": max(1, round(records / POINTS))} if points else THEORY
    others = [line for line in ax.lines if line in _drawn]
    if "color" not in style and points:
        look = look | {"marker": unused(MARKERS, (line.get_marker() for line in others))}
    elif "color" not in style:
        look = look | {"linestyle": unused(LINE_STYLES, (line.get_linestyle() for line in others))}
    return look | style


def horizontal(trajectory: Any, ax: Axes) -> npt.NDArray[Any]:
    """Return the values on the horizontal axis: the steps of a trajectory, or the times for a flow.

    If ``ax`` already shows time, the times are returned in any case. Raises ArgumentError for a flow if ``ax`` shows
    steps.
    """
    shown = ax.get_xlabel()
    if trajectory.step is None and shown == STEP:
        requirement = "show time, because a flow has no steps (draw the flow first, and other results after it)"
        errors.reject("ax", requirement, ax)
    return trajectory.t if trajectory.step is None or shown == TIME else trajectory.step


# --- names ----------------------------------------------------------------------------------------------------------


def titles_of(model: Any, of: str = "{}", swept: Collection[str] = ()) -> tuple[str, str]:
    """Return two titles that state a model: with its formulas, and a shorter one without.

    of: the title, with "{}" in the place of the model. swept: names of parameters that vary in the plot.
    """
    return of.format(title_of(model, False, swept)), of.format(title_of(model, True, swept))


def label_of_trajectory(trajectory: Any, stated: str | None = None, member: str | None = None) -> str:
    """Return the name of a trajectory in a legend, with the model if the title of the plot names another model.

    stated: the model in the title of the plot, None if no model is stated. member: name of a member of an ensemble;
    None to state the number of members.
    """
    parts = [NAMES[trajectory.kind]]
    if trajectory.settings.get("closure") == "mean_field":
        parts.append("mean field")
    count = len(trajectory.members())
    if member is not None:
        parts.append(member)
    elif count > 1:
        kind = "seeds" if trajectory.kind == "network" else "members"
        parts.append(f"{count} {kind}" if count <= FEW else f"median of {count}")
    model = title_of(trajectory.model)
    if stated is not None and model != stated:
        parts.append(model if len(model) <= LONGEST_MODEL else title_of(trajectory.model, brief=True))
    return ", ".join(parts)


def names_of_members(trajectory: Any) -> list[str]:
    """Return the value of the parameter that varies in an ensemble, for each of up to MOST_NAMED members.

    The list is empty for other trajectories, also if more than one parameter varies, or if members have equal values.
    """
    varying = {n: v for n, v in trajectory.model.parameter_values.items() if n not in VECTORS and np.ndim(v)}
    count = len(trajectory.members())
    if not 1 < count <= MOST_NAMED or len(varying) != 1:
        return []
    ((name, values),) = varying.items()
    names = [assigned(name, value) for value in np.broadcast_to(values, trajectory.s.shape[:-2]).ravel()]
    return names if len(set(names)) == count else []


def titled_axes(ax: Axes | None, model: Any, height: float = 3.0, swept: Collection[str] = ()) -> Axes:
    """Return ``ax``, or the axes of a new figure with the model as title if ``ax`` is None.

    swept: names of parameters that vary in the plot, whose values the title leaves out.
    """
    new, ax = ax is None, axes_of(ax, height)
    if new:
        set_title(ax, *titles_of(model, swept=swept))
    return ax


# --- modes of one trajectory or of an ensemble ----------------------------------------------------------------------


def draw_modes(
    ax: Axes,
    along: npt.NDArray[Any],
    values: npt.NDArray[np.float64],
    look: dict[str, Any],
    lines: int | str | None,
    logarithmic: bool,
) -> None:
    """Draw the modes of an ensemble (B, T, M) against ``along`` (T,), each mode in its colour.

    look: properties of the lines; the label is given to the first line only. lines: number of members that are drawn
    as thin lines in addition to median and quantiles, or "all"; if it is None, up to FEW members are drawn with the
    properties ``look``, without quantiles. logarithmic: True to leave out values that are not positive.
    """
    members = _chosen(len(values), lines)
    values = np.where(np.isfinite(values) & ((values > 0) | (not logarithmic)), values, np.nan)
    if len(values) == 1 or (lines is None and len(values) <= FEW):
        for member in values:
            _draw_lines(ax, along, member, look)
            look = look | {"label": None}
        return
    quantiles, colors = quantiles_of(values, QUANTILES), mode_colors(values.shape[-1], ax)
    _draw_lines(ax, along, quantiles[len(QUANTILES) // 2], look)
    for name, (low, high, alpha) in BANDS.items():
        for mode, color in enumerate(colors):
            band = quantiles[low, :, mode], quantiles[high, :, mode]
            label = name if mode == 0 else None
            ax.fill_between(along, *band, color=color, alpha=alpha, linewidth=0, zorder=1.5, label=label)
    drawn = f"{len(members)} of {len(values)} members" if len(members) < len(values) else f"all {len(values)} members"
    for mode, color in enumerate(colors if len(members) else []):
        paths = [np.column_stack([along, member]) for member in values[members, :, mode]]
        label = drawn if mode == 0 else None
        ax.add_collection(LineCollection(paths, colors=[tuple(color)], label=label, **MEMBERS))


def _draw_members(
    ax: Axes,
    along: npt.NDArray[Any],
    values: npt.NDArray[np.float64],
    look: dict[str, Any],
    names: list[str],
    logarithmic: bool,
) -> None:
    """Draw each member of an ensemble (B, T, M) in another line style, with its name (B,) in the legend."""
    for member, name, (width, line) in zip(values[:, None], names, product(WIDTHS, LINE_STYLES), strict=False):
        in_style = look | {"linestyle": line, "linewidth": width, "label": name}
        draw_modes(ax, along, member, in_style, None, logarithmic)


def why_nothing_is_drawn(values: npt.NDArray[np.float64], logarithmic: bool) -> str:
    """Return the reason why no value can be drawn on an axis; "" if there are values that can be drawn."""
    if not np.isfinite(values).any():
        return "no finite values"
    if logarithmic and not (np.isfinite(values) & (values > 0)).any():
        return "no values above zero, which a logarithmic axis requires"
    return ""


def _draw_lines(ax: Axes, along: npt.NDArray[Any], values: npt.NDArray[np.float64], look: dict[str, Any]) -> None:
    """Draw one line, or one set of points, for each mode of values (T, M).

    along: values on the horizontal axis, (T,). look: matplotlib properties. Lines, unlike points, have an edge in the
    background's colour.
    """
    label = look.get("label")
    if look.get("linestyle") != "none" and "path_effects" not in look:
        look = look | {"path_effects": outline(ax, float(look.get("linewidth", THEORY["linewidth"])))}
    for column, color in zip(values.T, mode_colors(values.shape[-1], ax), strict=True):
        _drawn.update(ax.plot(along, column, **({"color": color} | look | {"label": label})))
        label = None


def _chosen(count: int, lines: int | str | None) -> npt.NDArray[np.int64]:
    """Return the members that are drawn as thin lines, at equal distances in an ensemble of ``count`` members."""
    if lines is None:
        return np.arange(0)
    if isinstance(lines, (str, bool)):
        lines = count if lines == "all" else errors.reject("lines", "be a whole number >= 0, or 'all'", lines)
    return np.linspace(0, count - 1, min(errors.count("lines", lines, least=0), count)).round().astype(int)


def quantiles_of(values: npt.NDArray[np.float64], fractions: Sequence[float]) -> npt.NDArray[np.float64]:
    """Return quantiles (Q, ...) over the first axis of values (B, ...), by linear interpolation; nan is left out."""
    ordered = np.sort(values, axis=0)  # nan are last
    count = np.isfinite(ordered).sum(axis=0)
    place = np.asarray(fractions).reshape(-1, *[1] * count.ndim) * np.maximum(count - 1, 0)
    below = np.floor(place).astype(int)
    low = np.take_along_axis(ordered, below, axis=0)
    high = np.take_along_axis(ordered, np.minimum(below + 1, np.maximum(count - 1, 0)), axis=0)
    return low + (place - below) * (high - low)


# --- predicted deviations -------------------------------------------------------------------------------------------


def _draw_deviation(ax: Axes, along: npt.NDArray[Any], trajectory: Any) -> None:
    """Draw a band of two predicted standard deviations around the eigenvalues of each mode of a trajectory.

    along: values on the horizontal axis, (T,).
    """
    label: str | None = DEVIATIONS
    colors = mode_colors(trajectory.s.shape[-1], ax)
    means, deviations = in_order(trajectory.s, trajectory.s), in_order(trajectory.deviation, trajectory.s)
    for s, deviation, color in zip(means.T, deviations.T, colors, strict=True):
        low = np.maximum(s - 2 * deviation, 1e-3 * s)  # positive, because the axis is logarithmic
        ax.fill_between(along, low, s + 2 * deviation, color=color, alpha=0.2, linewidth=0, label=label)
        label = None
    mark_unreliable(ax, along, trajectory.reliable)


def mark_unreliable(ax: Axes, along: npt.NDArray[Any], reliable: npt.NDArray[np.bool_] | None) -> None:
    """Hatch the part of the axes from the first record at which a prediction is unreliable.

    along: values of the records on the horizontal axis, (T,). reliable: for each record, True if the prediction is
    reliable, (T,); None for a result without such a prediction.
    """
    if reliable is None or reliable.all():
        return
    edge = to_rgba(ink(ax), 0.2)
    style: dict[str, Any] = {"facecolor": "none", "edgecolor": edge, "hatch": "/", "linewidth": 0.5, "zorder": 0}
    ax.axvspan(along[np.argmin(reliable)], along[-1], label="prediction unreliable", **style)
