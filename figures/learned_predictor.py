"""Phase plane of a learned predictor, with invariant curves and fixed points.

The figure shows the eigenvalue of the correlation against the eigenvalue of the predictor, with zero, small and large
weight decay, as in Figure 3 of Tian, Chen and Ganguli (2021).
"""

from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

import dynamics as dyn
from dynamics.presentation.labels import label_of
from dynamics.vector_field.eigenmodes import EigenmodeField
from dynamics.vector_field.state import State
from figures import style
from figures.agreement import agreement, agreements
from figures.captions import count, noise, percent
from figures.panels import panel_names

DECAYS = (0.0, 0.01, 1.0)
NOISE = (0.5, 0.0)
END, TOP_P, TOP_S = 30.0, 1.6, 1.6
RTOL = 1e-7  # relative tolerance of the integration
STARTS = 6  # number of initial points of trajectories along each axis
MODES, INPUTS, SEED, LEARNING_RATE, STEPS = 4, 6, 3, 0.1, 300
INIT = (0.3, 0.9, 0.6, 0.15)  # initial eigenvalues of the predictor of the network
RECORD = [1, 2, 3, 5, 7, 10, 15, 20, 30, 50, 80, 120, 200]
BATCH = {False: 2_000, True: 50_000}
FLOW: dict[str, Any] = {"color": style.BLUE, "linewidth": 0.8}
FIELD: dict[str, Any] = {"color": "0.75", "width": 0.004, "scale": 28}
INVARIANT: dict[str, Any] = {"color": style.ORANGE, "linewidth": 0.8, "linestyle": (0, (3, 2))}
LINE: dict[str, Any] = {"color": "black", "linewidth": 0.8, "linestyle": ":", "zorder": 1}
FIXED_POINT: dict[str, Any] = {"linestyle": "none", "marker": "*", "color": "black", "markersize": 7}


class Panel(NamedTuple):
    """Trajectories in the plane of predictor eigenvalue and correlation eigenvalue, at one weight decay."""

    flow: dyn.Trajectory  # the flow from many initial points
    network: dyn.Trajectory  # a network


def model(rho: float, init: npt.ArrayLike) -> dyn.Model:
    """Return the model with weight decay ``rho`` and initial predictor eigenvalues ``init``."""
    return dyn.Model("euclidean", predictor=dyn.Learned(rate=1.0, init=init), noise=NOISE, weight_decay=rho)


KEYS = DECAYS
PANELS = panel_names(f"weight decay {rho:g}" for rho in DECAYS)


def compute(full: bool, keys: Iterable[float] = KEYS) -> dict[float, Panel]:
    """Return a panel for each weight decay, or for some."""
    return {rho: _panel(rho, BATCH[full]) for rho in keys}


def _panel(rho: float, batch: int) -> Panel:
    along = np.linspace(0.05, 1.5, STARTS)
    edge = np.concatenate([np.stack([along, np.full(STARTS, 1.5)]), np.stack([np.full(STARTS, 1.5), along])], axis=1)
    inner = np.stack([np.repeat(along[::2], 2), np.tile([0.1, 0.4], len(along[::2]))])
    p0, s0 = np.concatenate([edge, inner], axis=1)
    flow = dyn.solve(model(rho, p0[:, None]), s0[:, None], np.linspace(0, END, 400), method="scipy", rtol=RTOL)
    W0, learned = style.initial_weights(MODES, INPUTS, SEED), model(rho, INIT)
    network = dyn.train(learned, 2 * W0, STEPS, LEARNING_RATE, batch_size=batch, seed=SEED, record=RECORD)
    return Panel(flow, network)


def draw(data: dict[float, Panel]) -> Figure:
    """Draw a panel for each weight decay."""
    figure = Figure(figsize=(style.PAGE, 2.6))
    axes = figure.subplots(1, len(data), sharex=True, sharey=True)
    for ax, (rho, panel) in zip(axes, data.items(), strict=True):
        _draw_field(ax, rho)
        for p, s in zip(panel.flow.predictor[..., 0], panel.flow.s[..., 0], strict=True):
            ax.plot(p, s, **FLOW)
        ax.plot(panel.network.predictor, panel.network.s, **style.NETWORK, color=style.RED)
        if rho == 0:
            _draw_invariants(ax)
            ax.axvline(1 / (1 + NOISE[0] ** 2), **LINE)
        for point in _fixed_points(rho):  # of a line without points, the layout would reserve space for a marker
            ax.plot(*point, **FIXED_POINT, clip_on=False, zorder=5)
        ax.set(title=rf"weight decay $\rho = {rho:g}$", xlabel=label_of("predictor"))
        ax.set(xlim=(0, TOP_P), ylim=(0, TOP_S))
    axes[0].set_ylabel(style.EIGENVALUE)
    style.legend(
        figure,
        network=style.NETWORK | {"color": style.RED},
        flow=FLOW,
        invariant=INVARIANT,
        line_of_fixed_points=LINE,
        fixed_point=FIXED_POINT,
    )
    return figure


def _draw_field(ax: Axes, rho: float) -> None:
    """Draw arrows on a grid, in the direction of the flow."""
    p, s = (a.ravel()[:, None] for a in np.meshgrid(np.linspace(0.08, 1.52, 10), np.linspace(0.08, 1.52, 10)))
    state = State(np.sqrt(s), predictor=p)
    velocity = EigenmodeField(model(rho, 1.0)).velocity(state, 1.0)
    arrow = np.concatenate([velocity.predictor, 2 * state.encoder * velocity.encoder], axis=1)
    arrow /= np.maximum(np.linalg.norm(arrow, axis=1, keepdims=True), 1e-9)
    ax.quiver(p, s, *arrow.T, **FIELD, zorder=0)


def _draw_invariants(ax: Axes) -> None:
    """Draw curves of constant s - lambda^2, which the flow conserves without weight decay.

    s is the correlation eigenvalue and lambda the predictor eigenvalue of a mode. The flow conserves s - lambda^2 here,
    because encoder and predictor have equal learning rates.
    """
    p = np.linspace(0, TOP_P, 200)
    for level in np.linspace(-1.0, 1.0, 5):
        ax.plot(p, level + p**2, **INVARIANT)


def _fixed_points(rho: float) -> np.ndarray:
    """Return the distinct fixed points (lambda, s) that the flow reaches from a grid of initial points."""
    p0, s0 = (a.ravel()[:, None] for a in np.meshgrid(np.linspace(0.05, 1.5, 5), np.linspace(0.05, 1.5, 5)))
    if rho == 0:
        return np.empty((0, 2))  # no single points: all points with lambda = 1/n1 are fixed points
    flow = dyn.solve(model(rho, p0), s0, [3000.0], method="scipy", rtol=RTOL)
    return np.unique(np.round(np.stack([flow.predictor[:, 0, 0], flow.s[:, 0, 0]], axis=1), 4), axis=0)


def _drift(flow: dyn.Trajectory, rho: float) -> tuple[float, float]:
    """Return the largest error of the law of s - lambda^2, and the largest change of s along a trajectory.

    s is the correlation eigenvalue and lambda the predictor eigenvalue of a mode. By this law, s - lambda^2 is its
    initial value times e^(-2 rho t), with weight decay rho and time t.
    """
    quantity = (flow.s - flow.predictor**2)[..., 0]
    expected = quantity[:, :1] * np.exp(-2 * rho * flow.t)
    return float(np.abs(quantity - expected).max()), float(np.ptp(flow.s[..., 0], axis=1).max())


def caption(data: dict[float, Panel], full: bool) -> str:
    """Return the caption, which describes the panels and the invariant, and compares networks with theory."""
    drift, change = (max(_drift(panel.flow, rho)[i] for rho, panel in data.items()) for i in (0, 1))
    rows = {f"rho = {rho:g}": agreement(panel.network, above=0.01) for rho, panel in data.items()}
    collapsed = {rho: float(np.mean(panel.flow.s[:, -1, 0] < 0.05)) for rho, panel in data.items()}
    shares = "; ".join(f"rho = {rho:g}: {percent(share)}" for rho, share in collapsed.items())
    return f"""
Phase plane of one mode with a learned linear predictor under the Euclidean loss. Vertical axis: eigenvalue s of the
correlation. Horizontal axis: eigenvalue lambda of the predictor. Each panel has one weight decay rho. Predictor and
encoder have the same learning rate. There is {noise(NOISE)}. Blue lines: trajectories of the flow. Grey arrows:
direction of the flow. Red points: the {MODES} modes of one linear network (N = {INPUTS} inputs, learning rate
{LEARNING_RATE}, {count(STEPS)} steps, {count(BATCH[full])} samples a step). Stars: fixed points. In the panel without
weight decay, the dotted line marks the fixed points lambda = 1/n1, where n1 = 1 + sigma1^2 and sigma1 is the standard
deviation of the noise on the online view; orange dashes are curves of constant s - lambda^2. The settings follow Figure
3 of Tian, Chen and Ganguli (2021).

Without weight decay the flow conserves s - lambda^2, where s is the eigenvalue of the correlation and lambda is the
eigenvalue of the learned predictor. A trajectory follows a parabola s - lambda^2 = constant until the mode reaches the
line lambda = 1/n1 or collapses; n1 = 1 + sigma1^2, and sigma1 is the standard deviation of the noise on the online
view. With weight decay rho, s - lambda^2 decays as e^(-2 rho t) in time t, and the flow ends where the gradient of the
loss and weight decay balance. In the drawn trajectories s - lambda^2 differs from this exponential by at most
{drift:.1g} (relative tolerance of the integration: {RTOL:g}), while s changes by up to {change:.2g}. Share of the drawn
trajectories with s below 0.05 at t = {END:g}: {shares}.

{agreements(rows)}

The table above omits a mode at all steps at which the theoretical variance of this mode is at most 0.01."""
