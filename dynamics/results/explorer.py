"""Draw trajectories as interactive Plotly figures, which show the values under the mouse pointer."""

from typing import Any

import numpy as np
import plotly.graph_objects as go

from dynamics import errors
from dynamics.presentation.plotting import EIGENVALUES, STEP, mode_colors
from dynamics.results.plotting import FEW, QUANTILES, label_of_trajectory, quantiles_of, title_of

TIME = "time t = learning rate × step"
MOST_TIMES = 1000  # largest number of times of a line, at equal distances; a notebook keeps all numbers that are drawn
MOST_POINTS = 60  # ... and of points, between which lines must be visible
NAMES = {"s": "eigenvalue s", "target": "eigenvalue of the target", "predictor": "eigenvalue of the predictor"}


def explore_trajectory(trajectory: Any, figure: Any, quantity: str) -> Any:
    """Draw a quantity of a trajectory into a Plotly figure, or into a new one if ``figure`` is None; return the figure.

    Each mode has one line; for a network, eigenvalues are drawn as points. Of an ensemble, the median and the band of
    quantiles from 5 to 95 % are drawn. Under the pointer, a label shows the mode, the step or time, and the value.
    """
    if figure is None:
        look = {"template": "simple_white", "title": title_of(trajectory.model), "width": 720, "height": 440}
        figure = go.Figure(layout=look | {"hovermode": "closest", "legend": {"orientation": "h", "y": 1.1}})
    errors.instance("figure", figure, go.Figure, "be a Plotly figure, or None for a new figure")
    shown = figure.layout.xaxis.title.text
    if trajectory.step is None and shown == STEP:
        requirement = "show time on its horizontal axis, because a flow has no steps (draw the flow first)"
        errors.reject("figure", requirement, figure.layout.xaxis)
    in_time = trajectory.step is None or shown == TIME
    points = trajectory.kind == "network" and quantity in EIGENVALUES
    count = min(len(trajectory.t), MOST_POINTS if points else MOST_TIMES)
    kept = np.linspace(0, len(trajectory.t) - 1, count).round().astype(int)
    along = np.asarray(trajectory.t if in_time else trajectory.step)[kept]
    values, logarithmic = trajectory.members(quantity)[:, kept], quantity in EIGENVALUES
    values = np.where(np.isfinite(values) & ((values > 0) | (not logarithmic)), values, np.nan)
    name = label_of_trajectory(trajectory, figure.layout.title.text or "")
    for mode, (red, green, blue, _) in enumerate(255 * mode_colors(values.shape[-1])):
        color = f"rgb({red:.0f}, {green:.0f}, {blue:.0f})"
        if len(values) > FEW:
            _add_band(figure, along, values[..., mode], color, name)
        for member in values[..., mode] if len(values) <= FEW else quantiles_of(values[..., mode], [0.5]):
            figure.add_trace(_curve(along, member, mode, color, name, points, "t" if in_time else "step"))
    figure.update_xaxes(title=TIME if in_time else STEP)
    figure.update_yaxes(title=NAMES.get(quantity, quantity.replace("_", " ")), exponentformat="power")
    figure.update_yaxes({"type": "log", "dtick": 1} if logarithmic else {"type": "linear"})
    return figure


def _curve(along: Any, values: Any, mode: int, color: str, name: str, points: bool, axis: str) -> Any:
    """Return the line or the points of a mode; the legend has one entry for all modes of a trajectory."""
    return go.Scatter(
        x=along,
        y=values,
        mode="markers" if points else "lines",
        marker={"color": color, "size": 6, "opacity": 0.6},
        line={"color": color, "width": 2},
        name=name,
        zorder=0 if points else 1,
        legendgroup=name,
        showlegend=mode == 0,
        hovertemplate=f"{name}<br>mode {mode + 1}<br>{axis} = %{{x:.5g}}<br>%{{y:.5g}}<extra></extra>",
    )


def _add_band(figure: Any, along: Any, members: Any, color: str, name: str) -> None:
    """Fill the band between the lowest and the highest quantile of a mode over the members (B, T)."""
    for values, fill in zip(quantiles_of(members, (QUANTILES[0], QUANTILES[-1])), ("none", "tonexty"), strict=True):
        look = {"mode": "lines", "line": {"width": 0, "color": color}, "opacity": 0.2, "hoverinfo": "skip"}
        figure.add_trace(go.Scatter(x=along, y=values, fill=fill, legendgroup=name, showlegend=False, **look))
