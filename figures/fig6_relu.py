"""Networks with ReLU units in the eight settings of Figure 2, compared with the theory of linear networks.

As in Figure 6 of Halvagal et al. (2023), the representation is z = relu(W x), and the predictor is still built from
W W^T.
"""

from typing import NamedTuple

import numpy as np
from matplotlib.figure import Figure

import dynamics as dyn
from dynamics.networks.deep.linear_theory import arrival
from figures import style
from figures.captions import count, noise, percent
from figures.fig2_eigenvalues import INPUTS, LIMITS, MODES, SEED, STEPS

STEPS_NO_PREDICTOR = {False: 1500, True: 100_000}
BATCH = {False: 2_000, True: 50_000}
POINTS = 30
UNCHANGED = 0.1  # an eigenvalue whose relative change in theory is below this value counts as unchanged
LINEAR = {"linestyle": "-", "linewidth": 0.7, "color": style.GREY, "zorder": 1}


class Panel(NamedTuple):
    """Results under one loss: a network with ReLU units, and the descent map of the linear network."""

    network: dyn.Trajectory
    linear: dyn.Trajectory


def compute(full: bool) -> dict[tuple[str, str], Panel]:
    """Return a panel for each of the eight losses of Figure 2; all runs have the same initial weights."""
    W0 = style.initial_weights(MODES, INPUTS, SEED)
    return {key: _panel(key, model, W0, full) for key, model in style.paper_models().items()}


def _panel(key: tuple[str, str], model: dyn.Model, W0: np.ndarray, full: bool) -> Panel:
    loss, setting = key
    steps = STEPS_NO_PREDICTOR[full] if setting == "no predictor" else STEPS
    learning_rate = 0.01 if loss == "euclidean" and setting != "no predictor" else 0.1
    network = dyn.train(
        model, W0, steps, learning_rate, batch_size=BATCH[full], seed=SEED, record=steps // POINTS, units="relu"
    )
    return Panel(network, dyn.iterate(model, style.eigenvalues_of(W0), steps, learning_rate, record=steps // 300))


def draw(data: dict[tuple[str, str], Panel]) -> Figure:
    """Draw eigenvalues against steps: Euclidean and cosine losses in rows, versions of the losses in columns."""
    figure = Figure(figsize=(style.PAGE, 3.9))
    axes = figure.subplots(len(style.LOSSES), len(style.SETTINGS), sharey=True)
    for ax, ((loss, setting), panel) in zip(axes.flat, data.items(), strict=True):
        style.draw_modes(ax, panel.linear, **LINEAR)
        style.draw_modes(ax, panel.network, **style.NETWORK)
        ax.set(title=style.title(loss, setting), ylim=LIMITS, xlim=(0, panel.network.settings["steps"]))
        ax.locator_params(axis="x", nbins=3)
        ax.label_outer(remove_inner_ticks=False)
        ax.set_xlabel("step" if loss == "cosine" else "")
    style.legend(figure, network_with_ReLU=style.NETWORK, linear_theory=LINEAR)
    return figure


def _ends(panel: Panel) -> str:
    """Format the mean and the relative spread of the final eigenvalues in the plotted range.

    The text also states the number of final eigenvalues below this range.
    """
    s = panel.network.s[-1]
    large = s[s > LIMITS[0]]
    if not len(large):
        return "none is left"
    small = f", {MODES - len(large)} of {MODES} below {LIMITS[0]:g}" if len(large) < MODES else ""
    return f"{large.mean():.2f} +- {percent(large.std() / large.mean())}{small}"


def slowdowns(network: dyn.Trajectory, linear: dyn.Trajectory) -> np.ndarray:
    """Return the doubling times of eigenvalues in a network, divided by the doubling times in the linear theory.

    Only eigenvalues that double both in the network and in the theory are counted.
    """
    times = [arrival(run.s, run.t, 2 * run.s[0]) for run in (network, linear)]
    both = np.isfinite(times).all(axis=0)
    return times[0][both] / times[1][both]


def _slowdowns(panel: Panel) -> str:
    """Format the median and the range of the ratios of ``slowdowns``, and the number of modes that are counted."""
    ratios = slowdowns(*panel)
    if not len(ratios):
        return "no mode doubles"
    return f"{np.median(ratios):.2g} ({ratios.min():.2g} to {ratios.max():.2g}, {len(ratios)} modes)"


def growth(run: dyn.Trajectory) -> np.ndarray:
    """Return, for the smallest and the largest eigenvalue, the final value divided by the initial value; shape (2,)."""
    return run.s[-1, [0, -1]] / run.s[0, [0, -1]]


def _growth(panel: Panel, name: str) -> str:
    """Format the growth factors of the smallest and the largest eigenvalue, in a network and in the linear theory.

    The text says "opposite" if the two factors of an eigenvalue lie on different sides of 1 and the theory predicts a
    change. The function ``growth`` computes the factors.
    """
    network, linear = map(growth, panel)
    cells = [
        f"{n:.2g} (linear {e:.2g}{', opposite' * bool((n - 1) * (e - 1) < 0 and abs(e - 1) > UNCHANGED)})"
        for n, e in zip(network, linear, strict=True)
    ]
    return f"{name}: {' and '.join(cells)}"


def caption(data: dict[tuple[str, str], Panel], full: bool) -> str:
    """Return the caption, which describes the panels and compares the networks with the linear theory."""
    ends = "; ".join(f"{style.title(*key)}: {_ends(panel)}" for key, panel in data.items())
    slower = "; ".join(f"{style.title(*key)}: {_slowdowns(panel)}" for key, panel in data.items())
    changes = "; ".join(_growth(panel, style.title(*key)) for key, panel in data.items())
    shortened = "" if full else f" This figure is shortened: the paper trains with {count(BATCH[True])} samples a step."
    return f"""
Eigenvalues of `W W^T` against step, for networks with ReLU units, z = relu(W x), where W is the weight matrix (M =
{MODES} units, N = {INPUTS} inputs, {noise(style.NOISE)}). The networks are trained under the eight losses of Figure 2,
from the same initial weights. The predictor is built from `W W^T`, as in the paper. Top: Euclidean losses; bottom:
cosine losses. Points: networks, {count(BATCH[full])} fresh samples a step; dark to light: smallest to largest. Grey
lines: the descent map of the linear network, z = W x, from the same initial weights.

The paper claims that the linear theory carries over to these networks. This is tested in three ways, with one network
for each loss. First, the mean of the final eigenvalues in the plotted range (above {LIMITS[0]:g}), +- their standard
deviation divided by the mean, and the number of eigenvalues below this range: {ends}. Second, the final value divided
by the initial value, for the smallest and for the largest eigenvalue. The number in parentheses is this factor in the
linear theory. If the claim holds, both factors lie on the same side of 1. Otherwise they are marked as opposite, unless
the theory changes the eigenvalue by less than {percent(UNCHANGED)}: {changes}. Third, the time in which an eigenvalue
doubles, divided by this time in the linear theory. The numbers are the median and the range over the modes that double
both in the network and in the theory. A ratio of 1 is expected if the theory carries over. A ratio of 2 is expected if
half of the units are inactive for an input, because this halves the gradient: {slower}.{shortened}"""
