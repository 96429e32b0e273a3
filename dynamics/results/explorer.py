"""Draw trajectories as interactive Plotly figures, which show the values under the mouse pointer."""

import html
import re
from typing import Any

import numpy as np
import plotly.graph_objects as go

from dynamics import errors
from dynamics.presentation.labels import EIGENVALUES, STEP, label_of
from dynamics.presentation.plotting import PIXELS_PER_INCH, fitted, mode_colors, unused
from dynamics.results.plotting import (
    FEW,
    QUANTILES,
    label_of_trajectory,
    names_of_members,
    quantiles_of,
    titles_of,
    why_nothing_is_drawn,
)

TIME = "time t = learning rate × step"
SIZE, MARGIN, TITLE = (720, 440), 80, 15  # of a figure: width and height, margins, and size of the title, in pixels
BUTTONS = 36  # height of the row of Plotly's buttons, in pixels
DASHES = "solid", "dash", "dot", "dashdot"  # of theories in the same figure
SYMBOLS = "circle", "square", "triangle-up", "diamond"  # of networks in the same figure
MOST_TIMES = 1000  # largest number of times of a line, at equal distances; a notebook keeps all numbers that are drawn
MOST_POINTS = 60  # ... and of points, between which lines must be visible


def explore_trajectory(trajectory: Any, figure: Any, quantity: str) -> Any:
    """Draw a quantity of a trajectory into a Plotly figure, or into a new one if ``figure`` is None; return the figure.

    Each mode has one line; for a network, eigenvalues are drawn as points. Of an ensemble, the median and the band of
    quantiles from 5 to 95 % are drawn. Under the pointer, a label shows the mode, the step or time, and the value; for
    few members that differ in one parameter, also the value of this parameter.
    """
    if figure is None:
        figure = _new_figure(trajectory.model)
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
    values, logarithmic = trajectory.ranked(quantity)[:, kept], quantity in EIGENVALUES
    reason = why_nothing_is_drawn(values, logarithmic)
    values = np.where(np.isfinite(values) & ((values > 0) | (not logarithmic)), values, np.nan)
    name = label_of_trajectory(trajectory, figure.layout.meta)
    look = _unused_look(figure, points)
    members = [f"{name}<br>{member}" for member in names_of_members(trajectory)] or [name] * len(values)
    for mode, (red, green, blue, _) in enumerate(255 * mode_colors(values.shape[-1])):
        color = f"rgb({red:.0f}, {green:.0f}, {blue:.0f})"
        if len(values) > FEW:
            _add_band(figure, along, values[..., mode], color, name)
        curves = values[..., mode] if len(values) <= FEW else quantiles_of(values[..., mode], [0.5])
        for curve, member in zip(curves, members, strict=False):
            figure.add_trace(_curve(along, curve, mode, color, (name, member), look, "t" if in_time else "step"))
    if reason:
        figure.add_annotation(text=reason, xref="paper", yref="paper", x=0.5, y=0.5, showarrow=False)
    figure.update_xaxes(title=TIME if in_time else STEP)
    figure.update_yaxes(title=_subscripted(label_of(quantity)), exponentformat="power")
    figure.update_yaxes({"type": "log", "dtick": 1} if logarithmic else {"type": "linear"})
    return figure


def _new_figure(model: Any) -> Any:
    """Return a figure with a model as title, and with the complete text of this model as its ``meta``."""
    titles = titles_of(model)
    text = fitted(titles, (SIZE[0] - 2 * MARGIN) / PIXELS_PER_INCH, TITLE * 72 / PIXELS_PER_INCH)
    title = {"text": html.escape(text).replace("\n", "<br>"), "font": {"size": TITLE}, "x": 0.5}
    title |= {"y": 1 - BUTTONS / SIZE[1], "yanchor": "top"}
    legend = {"orientation": "h", "y": -0.2, "yanchor": "top"}
    margin = {"t": BUTTONS + round(1.5 * TITLE * (1 + text.count("\n"))), "b": MARGIN}
    look = {"template": "simple_white", "width": SIZE[0], "height": SIZE[1], "margin": margin}
    return go.Figure(layout=look | {"title": title, "meta": titles[0], "hovermode": "closest", "legend": legend})


def _subscripted(label: str) -> str:
    """Return an axis label with its symbols in the format of Plotly, such as s<sub>m</sub> for $s_m$."""
    return re.sub(r"\$(.+?)_(.)\$", r"\1<sub>\2</sub>", label.replace(r"\lambda", "λ"))


def _unused_look(figure: Any, points: bool) -> dict[str, Any]:
    """Return properties of lines, or of points, that differ from those of the other trajectories in a figure."""
    if points:
        symbol = unused(SYMBOLS, (trace.marker.symbol for trace in figure.data))
        return {"mode": "markers", "marker": {"size": 6, "opacity": 0.6, "symbol": symbol}, "zorder": 0}
    dash = unused(DASHES, (trace.line.dash for trace in figure.data))
    return {"mode": "lines", "line": {"width": 2, "dash": dash}, "zorder": 1}


def _curve(
    along: Any, values: Any, mode: int, color: str, names: tuple[str, str], look: dict[str, Any], axis: str
) -> Any:
    """Return the line or the points of a mode, as a Plotly trace.

    along, values: values on the horizontal and on the vertical axis, (T,). names: name of the trajectory in the legend,
    and name of the line under the pointer. The legend has one entry for all modes. look: properties of the trace. axis:
    label of the horizontal axis.
    """
    name, member = names
    order = f"mode {mode + 1}, in order of initial eigenvalues"
    curve = go.Scatter(
        x=along,
        y=values,
        name=name,
        legendgroup=name,
        showlegend=mode == 0,
        hovertemplate=f"{member}<br>{order}<br>{axis} = %{{x:.5g}}<br>%{{y:.5g}}<extra></extra>",
        **look,
    )
    return curve.update(line_color=color, marker_color=color)


def _add_band(figure: Any, along: Any, members: Any, color: str, name: str) -> None:
    """Fill the band between the lowest and the highest quantile of a mode over an ensemble.

    along: values on the horizontal axis, (T,). members: values of the mode in each ensemble member, (B, T). name: name
    of the trajectory, to whose legend entry the band belongs.
    """
    for values, fill in zip(quantiles_of(members, (QUANTILES[0], QUANTILES[-1])), ("none", "tonexty"), strict=True):
        look = {"mode": "lines", "line": {"width": 0, "color": color}, "opacity": 0.2, "hoverinfo": "skip"}
        figure.add_trace(go.Scatter(x=along, y=values, fill=fill, legendgroup=name, showlegend=False, **look))
