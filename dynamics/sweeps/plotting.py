"""Define the function ``plot_sweep``: draw the results of a sweep as panels along one or two axes of its grid."""

import json
import math
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr
from matplotlib.axes import Axes

from dynamics import errors
from dynamics.numerics.context import isolated
from dynamics.presentation.labels import EIGENVALUES, STEP, TIME, label_of, symbol
from dynamics.presentation.plotting import (
    NETWORK,
    POINTS,
    STYLE,
    THEORY,
    fitted,
    mode_entries,
    new_axes,
    set_logarithmic,
    write_remark,
)
from dynamics.results.plotting import FEW, draw_modes, why_nothing_is_drawn
from dynamics.results.trajectory import QUANTITIES, in_order
from dynamics.sweeps.block import STATUS

MOST_PANELS, MOST_COLUMNS = 48, 8
PANEL = 1.7, 1.4  # width and height of a panel, in inches
WIDEST = 0.9  # largest width of the title, as a share of the width of the figure
ALONG = ("time", "step")
FUNCTIONS = {"solve": "theory: flow", "iterate": "theory: descent map", "train": "network"}


@isolated
def plot_sweep(
    dataset: xr.Dataset,
    x: str | None = None,
    y: str | None = None,
    quantity: str = "s",
    *,
    lines: int | str | None = None,
) -> npt.NDArray[np.object_]:
    """Draw the eigenvalues in the results of a sweep as a grid of panels, one for each value along one or two axes.

    The points of the grid that differ only in other axes, such as the seed, are drawn in the same panel. Up to ten
    points are drawn one by one; of more points, the median and quantiles are drawn.

    Parameters
    ----------
    dataset : xarray.Dataset
        Result of ``sweep``, or a part of it, such as ``dataset.isel(alpha=slice(None, None, 5))``.
    x : str, optional
        Axis of the grid whose values are the columns of panels; by default the first axis that is not "seed". Without
        ``y``, the panels continue in further rows.
    y : str, optional
        Axis of the grid whose values are the rows of panels. If neither ``x`` nor ``y`` is given, the rows are the
        values along the second axis that is not "seed".
    quantity : str, default "s"
        Name of an array of the dataset that has an axis "time" or "step".
    lines : int or "all", optional
        Number of runs in a panel that are drawn as thin lines in addition to median and quantiles, or "all".

    Returns
    -------
    ndarray of matplotlib Axes, shape (rows, columns)

    Raises
    ------
    ArgumentError
        If an axis or the quantity is not in the dataset, or if there were more than 48 panels.

    Examples
    --------
    >>> import tempfile
    >>> import dynamics as dyn
    >>> model, grid = dyn.Model("euclidean"), {"weight_decay": [0.0, 0.1, 0.2]}
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     runs = dyn.sweep(model, grid, store=f"{folder}/decay.zarr", s0=[0.1, 0.5], times=[0.0, 1.0, 10.0])
    ...     panels = dyn.plot_sweep(runs, x="weight_decay")
    >>> panels.shape, panels[0, 1].get_title()
    ((1, 3), 'weight decay = 0.1')
    """
    errors.instance("dataset", dataset, xr.Dataset, "be a dataset, the result of sweep")
    along = _along(dataset, quantity)
    names = [str(name) for name in dataset[quantity].dims if name not in (along, "mode")]
    x, y = _panel_axes(dataset, names, x, y)
    sides = [name for name in (y, x) if name is not None]
    pooled = [name for name in names if name not in sides]
    counts = [dataset.sizes[name] for name in sides]
    values = _values(dataset, quantity, sides, pooled, along)
    if quantity in QUANTITIES and "s" in dataset:
        values = in_order(values, _values(dataset, "s", sides, pooled, along))
    axes = _panels(counts)
    look = _look(dataset, along, pooled, values.shape[-3])
    for index in np.ndindex(*counts):
        ax = axes[index] if y else axes.flat[index[0] if index else 0]
        draw_modes(ax, dataset[along].values, values[index], look, lines, quantity in EIGENVALUES)
        if quantity in EIGENVALUES and np.isfinite(values[index]).any():
            set_logarithmic(ax)
        status = _write_status(ax, dataset, {name: i for name, i in zip(sides, index, strict=True)})
        if not status and (reason := why_nothing_is_drawn(values[index], quantity in EIGENVALUES)):
            write_remark(ax, reason)
    _label(axes, dataset, x, y, along, label_of(quantity))
    _limit(axes, values, quantity in EIGENVALUES)
    entries = mode_entries(axes.flat[0], {values.shape[-1]})
    look = {"fontsize": STYLE["legend.fontsize"], "frameon": False}
    axes.flat[0].figure.legend(loc="outside lower center", ncols=2, **look, **entries)
    return axes


def _values(dataset: xr.Dataset, quantity: str, sides: list[str], pooled: list[str], along: str) -> Any:
    """Return a quantity of a dataset with the axes of the panels, the pooled runs, the recorded states and the modes.

    sides: axes of the grid along which panels are drawn. pooled: all other axes of the grid, which become one axis in
    the result. along: axis of recorded states, "time" or "step".
    """
    array = dataset[quantity].transpose(*sides, *pooled, along, ...)
    modes = array.sizes.get("mode", 1)
    return array.values.reshape(*(dataset.sizes[name] for name in sides), -1, dataset.sizes[along], modes)


def _along(dataset: xr.Dataset, quantity: str) -> str:
    """Return the name of the axis of recorded states, "time" or "step", of a quantity in a dataset."""
    series = {str(name): set(ALONG) & set(array.dims) for name, array in dataset.data_vars.items()}
    if not any(series.values()):
        requirement = "have an array with an axis 'time' or 'step' (for others, use the method `plot` of the array)"
        errors.reject("dataset", requirement, list(series))
    errors.choice("quantity", quantity, [name for name, axes in series.items() if axes])
    return series[quantity].pop()


def _panel_axes(dataset: xr.Dataset, names: list[str], x: str | None, y: str | None) -> tuple[str | None, str | None]:
    """Return the axes of the grid along which panels are drawn; raise ArgumentError if they are not valid."""
    parameters = [name for name in names if name != "seed"] or names
    if x is None and y is None:
        x, y = (*parameters[:2], None, None)[:2]
    elif x is None:
        x = next((name for name in parameters if name != y), None)
    for argument, name in (("x", x), ("y", y)):
        if name is not None:
            errors.choice(argument, name, names)
    if x is not None and x == y:
        errors.reject("y", "be another axis than `x`", y)
    count = math.prod(dataset.sizes[name] for name in (x, y) if name is not None)
    if count > MOST_PANELS:
        longest = max((name for name in (x, y) if name is not None), key=lambda name: dataset.sizes[name])
        selection = f"dataset.isel({longest}=slice(None, None, {-(-count // MOST_PANELS)}))"
        raise errors.ArgumentError(
            f"Argument `dataset` must have at most {MOST_PANELS} points along the axes of the panels, but has {count}; "
            f"select some of them, as in `{selection}`."
        )
    return x, y


def _panels(counts: list[int]) -> Any:
    """Return the axes of a new figure: rows and columns of panels, or one axis of panels in several rows."""
    count = math.prod(counts)
    columns = counts[1] if len(counts) == 2 else min(MOST_COLUMNS, count, max(4, math.ceil(math.sqrt(count))))
    rows = -(-count // columns)
    width, height = max(4.0, 0.5 + PANEL[0] * columns), 1.2 + PANEL[1] * rows
    axes = new_axes(height, rows, columns, width, sharex=True, sharey=True)
    for ax in axes.flat[count:]:
        ax.remove()
    return axes


def _call(dataset: xr.Dataset) -> str:
    """Return the name of the function that a sweep has called."""
    return str(json.loads(dataset.attrs.get("sweep", "{}")).get("call", "sweep"))


def _look(dataset: xr.Dataset, along: str, pooled: list[str], members: int) -> dict[str, Any]:
    """Return the matplotlib properties of lines, or of points for networks, with the label of the legend.

    The label has the name of the function that the sweep has called, the number of runs in a panel (``members``), and
    the axes of the grid over which these runs are pooled (``pooled``). along: axis of recorded states.
    """
    call = _call(dataset)
    name = FUNCTIONS.get(call, call.rpartition(".")[2])
    if pooled and members > 1:
        name += f", {members} runs" if members <= FEW else f", median of {members} runs"
        name += f" (over {', '.join(pooled)})"
    points = NETWORK | {"markersize": 3, "markevery": max(1, round(2 * dataset.sizes[along] / POINTS))}
    return (points if call == "train" else THEORY) | {"label": name}


def _write_status(ax: Axes, dataset: xr.Dataset, index: dict[str, int]) -> str:
    """Write into a panel how many of its runs are not complete, and why; return this text, "" if all are complete.

    index: dictionary from axes of the grid to the position of the panel along these axes.
    """
    if "status" not in dataset:
        return ""
    status = dataset["status"].isel(index).values
    counts = {name: int(np.sum(status == value)) for value, name in enumerate(STATUS) if name != "complete"}
    size = f" of {status.size}" if status.size > 1 else ""
    lines = [
        f"{count}{size} {name.replace('_', ' ')}" if size else name.replace("_", " ")
        for name, count in counts.items()
        if count
    ]
    text = "\n".join(lines)
    ax.text(0.96, 0.04, text, transform=ax.transAxes, ha="right", va="bottom", fontsize="x-small")
    return text


def _limit(axes: Any, values: Any, logarithmic: bool) -> None:
    """Set the limits of the vertical axes by the eigenvalues of complete runs, if other runs diverge or stop.

    The axes end at ten times the largest of these eigenvalues. values: all drawn values, with the recorded states and
    the modes as last axes. logarithmic: True if the vertical axes are logarithmic; other axes are left unchanged.
    """
    ends = values[..., -1, :]  # a run that diverged or stopped has no finite value at the end
    complete = np.isfinite(ends).all(axis=-1)
    if logarithmic and complete.any() and not complete.all():
        shown = np.moveaxis(values, -2, 0)[:, complete]
        axes.flat[0].set_ylim(shown[shown > 0].min() / 2, 10 * shown.max())


def _label(axes: Any, dataset: xr.Dataset, x: str | None, y: str | None, along: str, quantity: str) -> None:
    """Write the values of the grid above the columns and beside the rows, and the names of the axes of the panels."""
    figure, style = axes.flat[0].figure, {"fontsize": STYLE["font.size"]}
    title = dataset.attrs.get("title", "")
    brief = f"{FUNCTIONS.get(_call(dataset), 'sweep')}, user-defined loss"
    figure.suptitle(fitted((title, brief), WIDEST * figure.get_figwidth()), **style, parse_math=False)
    figure.supylabel(quantity, **style)
    for column in axes.T:
        lowest = [ax for ax in column if ax.figure is not None][-1]
        lowest.set_xlabel(STEP if along == "step" else TIME.partition(" =")[0], **style)
        lowest.tick_params("x", labelbottom=True)
    titled = [] if x is None else axes[0] if y else axes.flat[: dataset.sizes[x]]
    for i, ax in enumerate(titled):
        ax.set_title(_value(dataset, x, i), **style)
    for i, ax in enumerate(axes[:, 0] if y else []):
        ax.set_ylabel(_value(dataset, y, i), **style)


def _value(dataset: xr.Dataset, name: Any, index: int) -> str:
    """Return a point on an axis of the grid as text, such as "weight decay = 0.1"."""
    value = dataset[name].values[index]
    return f"{symbol(name).replace('_', ' ')} = {value:.4g}"
