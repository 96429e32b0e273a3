"""Pictures of trajectories, and the axes, legends and colours of all pictures.

Only modules named ``plotting`` import matplotlib. Results import these functions when they are drawn; a result that is
an argument is therefore typed ``Any``.
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
EIGENVALUES = {  # labels of the quantities that have a logarithmic axis
    "s": "eigenvalue $s_m$",
    "target": "eigenvalue of the target",
    "tracked": "tracked eigenvalue",
    "modes": "variance along an initial eigenvector",
}


def new_axes(height: float = 3.0) -> Axes:
    """Return the axes of a new figure, one column wide; height in inches."""
    return plt.figure(figsize=(4.0, height), layout="constrained").add_subplot()


def legend_above(ax: Axes, columns: int = 4, **options: Any) -> None:
    """Put a legend above the axes."""
    place: dict[str, Any] = {"loc": "lower center", "bbox_to_anchor": (0.5, 1.0), "ncols": columns}
    ax.legend(frameon=False, fontsize="small", **place, **options)


def mode_colors(count: int) -> npt.NDArray[np.float64]:
    """Return a colour for each mode, (count, 4): from dark to light, distinct in grey and to the colour-blind."""
    return plt.get_cmap("viridis")(np.linspace(0.0, 0.85, max(count, 1)))


def plot_trajectory(trajectory: Any, ax: Axes | None = None, quantity: str = "s", **style: Any) -> Axes:
    """Draw a quantity against the step, or against time for a flow and if the axes show time.

    Each mode has a line, or points if they are eigenvalues of a network. Eigenvalues have a logarithmic axis.
    """
    ax = ax or new_axes()
    shown = ax.get_xlabel()
    if trajectory.step is None and shown == STEP:
        errors.reject("ax", "show time, because a flow has no steps; draw the flow before other results", ax)
    along = trajectory.t if trajectory.step is None or shown == TIME else trajectory.step
    style, logarithmic = normalize_kwargs(style, Line2D), quantity in EIGENVALUES
    points = trajectory.kind == "network" and logarithmic
    defaults = {"linestyle": "none", "marker": ".", "markersize": 3} if points else {"linewidth": 1.2}
    for values in trajectory.members(quantity):
        for column, color in zip(values.T, mode_colors(values.shape[-1]), strict=True):
            drawable = np.isfinite(column) & ((column > 0) | (not logarithmic))
            ax.plot(along, np.where(drawable, column, np.nan), **({"color": color} | defaults | style))
    if logarithmic:
        ax.set_yscale("log")
    ax.set_xlabel(TIME if along is trajectory.t else STEP)
    ax.set_ylabel(EIGENVALUES.get(quantity, quantity.replace("_", " ")))
    return ax
