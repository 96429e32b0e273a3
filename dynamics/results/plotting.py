"""Draw trajectories, and define the axes, legends and colours of all pictures.

Only modules with the name ``plotting`` import matplotlib. The method ``plot`` of a result imports such a module when it
is called. In these modules, arguments that are results have the type ``Any``, which avoids a circular import.
"""

from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.cbook import normalize_kwargs
from matplotlib.lines import Line2D

from dynamics import errors

TIME, STEP = r"time $t$ = learning rate $\times$ step", "step"
NARROWEST = 1e-6  # relative width of a logarithmic axis below which it is widened
EIGENVALUES = {  # axis labels of the quantities that are drawn on a logarithmic axis
    "s": "eigenvalue $s_m$",
    "target": "eigenvalue of the target",
    "tracked": "tracked eigenvalue",
    "modes": "variance along an initial eigenvector",
}


def axes_of(ax: Axes | None, height: float = 3.0) -> Axes:
    """Return ``ax``, or the axes of a new figure if ``ax`` is None.

    height: height of the new figure in inches; its width is 4 inches. Raises ArgumentError if ``ax`` is neither None
    nor matplotlib Axes.
    """
    if ax is not None:
        errors.instance("ax", ax, Axes, "be matplotlib Axes, or None for the axes of a new figure")
        return ax
    return plt.figure(figsize=(4.0, height), layout="constrained").add_subplot()


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


def legend_above(ax: Axes, columns: int = 4, **options: Any) -> None:
    """Draw a legend above the axes."""
    place: dict[str, Any] = {"loc": "lower center", "bbox_to_anchor": (0.5, 1.0), "ncols": columns}
    ax.legend(frameon=False, fontsize="small", **place, **options)


def mode_colors(count: int) -> npt.NDArray[np.float64]:
    """Return RGBA colours (count, 4), one for each mode, from dark to light; they also differ when printed in grey."""
    return plt.get_cmap("viridis")(np.linspace(0.0, 0.85, max(count, 1)))


def plot_trajectory(trajectory: Any, ax: Axes | None = None, quantity: str = "s", **style: Any) -> Axes:
    """Draw a quantity of a trajectory, such as the eigenvalues "s", against the step, and return the axes.

    In two cases the horizontal axis shows time instead of the step: if the trajectory is a flow, and if ``ax`` already
    shows time. Each mode has one line; for a network, eigenvalues are drawn as points. Eigenvalues have a logarithmic
    axis. If the trajectory predicts a standard deviation over networks, a band around each line shows two standard
    deviations on either side, and steps at which the prediction is unreliable are hatched.
    """
    ax = axes_of(ax)
    shown = ax.get_xlabel()
    if trajectory.step is None and shown == STEP:
        requirement = "show time, because a flow has no steps (draw the flow first, and other results after it)"
        errors.reject("ax", requirement, ax)
    along = trajectory.t if trajectory.step is None or shown == TIME else trajectory.step
    style, logarithmic = normalize_kwargs(style, Line2D), quantity in EIGENVALUES
    points = trajectory.kind == "network" and logarithmic
    defaults = {"linestyle": "none", "marker": ".", "markersize": 3} if points else {"linewidth": 1.2}
    for values in trajectory.members(quantity):
        for column, color in zip(values.T, mode_colors(values.shape[-1]), strict=True):
            drawable = np.isfinite(column) & ((column > 0) | (not logarithmic))
            ax.plot(along, np.where(drawable, column, np.nan), **({"color": color} | defaults | style))
    if quantity == "s" and trajectory.deviation is not None:
        for s, deviation, color in zip(
            trajectory.s.T, trajectory.deviation.T, mode_colors(len(trajectory.s.T)), strict=True
        ):
            low = np.maximum(s - 2 * deviation, 1e-3 * s)  # positive, because the axis is logarithmic
            ax.fill_between(along, low, s + 2 * deviation, color=color, alpha=0.2, linewidth=0)
        mark_unreliable(ax, along, trajectory.reliable)
    if logarithmic:
        set_logarithmic(ax)
    ax.set_xlabel(TIME if along is trajectory.t else STEP)
    ax.set_ylabel(EIGENVALUES.get(quantity, quantity.replace("_", " ")))
    return ax


def mark_unreliable(ax: Axes, along: npt.NDArray[Any], reliable: npt.NDArray[np.bool_] | None) -> None:
    """Hatch the part of the horizontal axis from the first value at which a prediction is unreliable."""
    if reliable is None or reliable.all():
        return
    style: dict[str, Any] = {"facecolor": "none", "edgecolor": "0.82", "hatch": "/", "linewidth": 0.5, "zorder": 0}
    ax.axvspan(along[np.argmin(reliable)], along[-1], label="prediction unreliable", **style)
