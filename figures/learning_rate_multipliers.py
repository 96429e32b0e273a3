"""Eigenvalues multiply the learning rate: convergence times of the standard and the isotropic loss.

Consider a mode with a small initial eigenvalue u0. Under the Euclidean loss this mode converges in a time of order
1/u0. Under the isotropic version of the Euclidean loss the mode converges in a time of order log(1/u0).
"""

from typing import Any, NamedTuple

import numpy as np
from matplotlib.figure import Figure

import dynamics as dyn
from figures import style
from figures.agreement import agreement, agreements
from figures.captions import count, listing, noise, percent

TARGET = 0.9  # a mode has converged if u = n1 lambda reaches this value; in the long run u tends to 1
STARTS = np.geomspace(1e-3, 0.5, 12)
NETWORK_STARTS = np.geomspace(0.02, 0.5, 6)
LEARNING_RATE = 0.02
BATCH = {False: 2_000, True: 50_000}
LOSSES = {
    "Euclidean": (dyn.Model("euclidean", noise=style.NOISE), style.BLUE),
    "isotropic": (dyn.Model("euclidean", isotropic=True, noise=style.NOISE), style.RED),
}
FLOW: dict[str, Any] = {
    "linestyle": "none",
    "marker": "o",
    "markersize": 5,
    "markerfacecolor": "none",
    "markeredgewidth": 0.8,
}
NETWORK: dict[str, Any] = {"linestyle": "none", "marker": "x", "markersize": 4, "markeredgewidth": 1.0}
FORMULA: dict[str, Any] = {"linewidth": 1.0}


class Times(NamedTuple):
    """Convergence times of modes with different initial eigenvalues, under one loss, in theory and in a network."""

    formula: np.ndarray  # by formula, from STARTS
    flow: np.ndarray  # by numerical integration, from STARTS
    network: np.ndarray  # in a trained network, from NETWORK_STARTS
    descent: np.ndarray  # in the descent map, from NETWORK_STARTS
    run: dyn.Trajectory  # the trained network


def compute(full: bool) -> dict[str, Times]:
    """Return the convergence times under each loss."""
    return {name: _times(model, BATCH[full]) for name, (model, _) in LOSSES.items()}


def _times(model: dyn.Model, batch: int) -> Times:
    expected = _formula(model, STARTS)
    grid = np.concatenate([[0.0], np.geomspace(0.01 * expected.min(), 1.1 * expected.max(), 20_000)])
    flow = dyn.solve(model, STARTS, grid, method="scipy")
    steps = int(1.2 * _formula(model, NETWORK_STARTS).max() / LEARNING_RATE)
    W0 = np.diag(np.sqrt(NETWORK_STARTS))
    network = dyn.train(model, W0, steps, LEARNING_RATE, batch_size=batch, record=max(1, steps // 1000))
    descent = dyn.iterate(model, NETWORK_STARTS, steps, LEARNING_RATE)
    return Times(expected, _crossings(flow), _crossings(network), _crossings(descent), network)


def _formula(model: dyn.Model, starts: np.ndarray) -> np.ndarray:
    return dyn.convergence_time(model, starts, _level(model))


def _level(model: dyn.Model) -> float:
    return TARGET / (1 + model.noise[0] ** 2)


def _crossings(run: dyn.Trajectory) -> np.ndarray:
    """Return the time at which each mode first has u >= TARGET, interpolated between recorded times.

    u = n1 lambda is the scaled predictor eigenvalue of a mode: lambda is the predictor eigenvalue, and n1 is the
    variance of each input in the online view.
    """
    level = _level(run.model)
    columns, after = np.arange(run.predictor.shape[1]), (run.predictor >= level).argmax(axis=0)
    low, high = run.predictor[after - 1, columns], run.predictor[after, columns]
    before = run.t[after - 1]
    return before + (run.t[after] - before) * (level - low) / (high - low)


def draw(data: dict[str, Times]) -> Figure:
    """Draw the convergence times of both losses in one logarithmic plot."""
    figure = Figure(figsize=(style.COLUMN, 2.9))
    ax = figure.subplots()
    for name, (model, color) in LOSSES.items():
        starts = np.geomspace(STARTS[0], STARTS[-1], 200)
        ax.plot(starts, _formula(model, starts), color=color, **FORMULA)
        ax.plot(STARTS, data[name].flow, color=color, **FLOW)
        ax.plot(NETWORK_STARTS, data[name].network, color=color, **NETWORK)
        ax.annotate(name, (STARTS[3], data[name].formula[3]), (4, 6), textcoords="offset points", color=color)
    ax.set(xscale="log", yscale="log", xlabel="initial eigenvalue $u_0$")
    ax.set(ylabel=f"time to $u$ = {TARGET}\n(learning rate $\\times$ step)")
    style.legend(figure, formula=FORMULA, integrated_flow=FLOW, network=NETWORK)
    return figure


def caption(data: dict[str, Times], full: bool) -> str:
    """Return the caption, which describes the plot and compares the flow and the networks with the formula."""
    slowest = listing(f"{times.formula[0]:.3g} ({name})" for name, times in data.items())
    flow = max(np.abs(times.flow / times.formula - 1).max() for times in data.values())
    expected = {name: _formula(model, NETWORK_STARTS) for name, (model, _) in LOSSES.items()}
    network = max(np.abs(times.network / expected[name] - 1).max() for name, times in data.items())
    descent = max(np.abs(times.network / times.descent - 1).max() for times in data.values())
    slopes = listing(
        f"{slope(STARTS[:3], times.flow[:3]):.3f} ({name}; by the formula {slope(STARTS[:3], times.formula[:3]):.3f})"
        for name, times in data.items()
    )
    return f"""
Convergence time (vertical) against initial eigenvalue `u0` (horizontal) under the Euclidean loss (blue) and under the
isotropic version of this loss (red). The eigenvalue is scaled, `u = n1 lambda`, so that it converges to 1. Here lambda
is the predictor eigenvalue of the mode, and `n1 = 1 + sigma1^2`, where sigma1 is the standard deviation of the noise on
the online view. The convergence time is the time that u takes from `u0` to {TARGET}, in units of learning rate times
step. The exponent of the predictor is `alpha` = 1. There is {noise(style.NOISE)}. Lines: formula. Circles: the flow,
integrated numerically. Crosses: a linear network with {len(NETWORK_STARTS)} modes for each loss (learning rate
{LEARNING_RATE}, {count(BATCH[full])} fresh samples a step).

Under the Euclidean loss the speed of a mode is proportional to the predictor eigenvalue of this mode, which acts as a
factor on the learning rate. In theory the convergence time therefore scales as `1/u0` for small initial eigenvalues
`u0`, which is a slope of -1 on the logarithmic axes of this figure. The isotropic loss has no such factor. In theory
the convergence time then scales as `log(1/u0)`, and the slope goes to 0 for small `u0`. The slopes of the integrated
flow between the three smallest `u0` are {slopes}. From `u0` = {STARTS[0]:g} the convergence time is {slowest}.

Convergence times by the formula are compared with the integrated flow and with linear networks. The largest relative
difference between the integrated flow and the formula is {percent(flow)}. The largest relative difference of the
networks is {percent(network)} from the formula, and {percent(descent)} from the descent map, which has the same finite
learning rate as the networks.

{agreements({name: agreement(times.run) for name, times in data.items()})}"""


def slope(starts: np.ndarray, times: np.ndarray) -> float:
    """Return the slope of log(times) against log(starts) by least squares; ``starts`` are initial eigenvalues."""
    return float(np.polyfit(np.log(starts), np.log(times), 1)[0])
