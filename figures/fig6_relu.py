"""Networks with ReLU units in the eight settings of Figure 2, compared with the theory of linear networks.

The settings are those of Figure 2 of Halvagal et al. (2023). As in their Figure 6, the representation is z = relu(W x).
The predictor is built from W W^T, as in linear networks, and not from the correlation of z.
"""

from collections.abc import Iterable
from itertools import product
from typing import NamedTuple

import numpy as np
from matplotlib.figure import Figure

import dynamics as dyn
from dynamics.networks.deep.linear_theory import arrival
from figures import style
from figures.captions import count, noise, percent, table
from figures.fig2_eigenvalues import INPUTS, LIMITS, MODES, STEPS, Key
from figures.panels import panel_names
from figures.statistics import Interval, ratio_of

STEPS_NO_PREDICTOR = {False: 1500, True: 100_000}
BATCH = {False: 1_000, True: 50_000}
POINTS = 30
SEEDS = range(4)  # of initial weights and batches
UNCHANGED = 0.1  # if the relative change of an eigenvalue in theory is below this, it counts as no change
SMALLEST = np.finfo(float).tiny  # eigenvalues that underflow count as this large, so that they have a logarithm
LINEAR = {"linestyle": "-", "linewidth": 0.7, "color": style.GREY, "zorder": 1}


class Pair(NamedTuple):
    """A network with ReLU units, and the descent map of the linear network from the same initial weights."""

    network: dyn.Trajectory
    linear: dyn.Trajectory


KEYS = tuple(product(style.LOSSES, style.SETTINGS))
PANELS = panel_names(style.LOSSES, style.SETTINGS)


def compute(full: bool, keys: Iterable[Key] = KEYS) -> dict[Key, list[Pair]]:
    """Return, for each of the eight settings or for some, a pair from each of the initial weights."""
    models = style.paper_models()
    return {key: [_pair(key, models[key], seed, full) for seed in SEEDS] for key in keys}


def _pair(key: Key, model: dyn.Model, seed: int, full: bool) -> Pair:
    loss, setting = key
    W0 = style.initial_weights(MODES, INPUTS, seed)
    steps = STEPS_NO_PREDICTOR[full] if setting == "no predictor" else STEPS
    learning_rate = 0.01 if loss == "euclidean" and setting != "no predictor" else 0.1
    network = dyn.train(
        model, W0, steps, learning_rate, batch_size=BATCH[full], seed=seed, record=steps // POINTS, units="relu"
    )
    return Pair(network, dyn.iterate(model, style.eigenvalues_of(W0), steps, learning_rate, record=steps // 300))


def draw(data: dict[tuple[str, str], list[Pair]]) -> Figure:
    """Draw eigenvalues against steps from the first initial weights: losses in rows, settings in columns."""
    figure = Figure(figsize=(style.PAGE, 3.9))
    axes = figure.subplots(len(style.LOSSES), len(style.SETTINGS), sharey=True)
    for ax, ((loss, setting), (pair, *_)) in zip(axes.flat, data.items(), strict=True):
        style.draw_modes(ax, pair.linear, **LINEAR)
        style.draw_modes(ax, pair.network, **style.NETWORK)
        ax.set(title=style.title(loss, setting), ylim=LIMITS, xlim=(0, pair.network.settings["steps"]))
        ax.locator_params(axis="x", nbins=3)
        ax.label_outer(remove_inner_ticks=False)
        ax.set_xlabel("step" if loss == "cosine" else "")
    style.legend(figure, network_with_ReLU=style.NETWORK, linear_theory=LINEAR)
    return figure


def slowdowns(network: dyn.Trajectory, linear: dyn.Trajectory) -> np.ndarray:
    """Return the doubling times of eigenvalues in a network, divided by the doubling times in the linear theory.

    Only eigenvalues that double both in the network and in the theory are counted.
    """
    times = [arrival(run.s, run.t, 2 * run.s[0]) for run in (network, linear)]
    both = np.isfinite(times).all(axis=0)
    return times[0][both] / times[1][both]


def slowdown(pairs: list[Pair]) -> Interval | None:
    """Return the geometric mean over networks of the median of ``slowdowns``, with an interval.

    The result is None if ``slowdowns`` is empty for a network, because no eigenvalue doubles.
    """
    ratios = [slowdowns(*pair) for pair in pairs]
    return ratio_of(np.array([np.median(each) for each in ratios])) if all(map(len, ratios)) else None


def growth(run: dyn.Trajectory) -> np.ndarray:
    """Return, for the smallest and the largest eigenvalue, the final value divided by the initial value; shape (2,)."""
    return run.s[-1, [0, -1]] / run.s[0, [0, -1]]


def direction(factor: Interval, expected: float) -> str:
    """Return words that state whether an eigenvalue changes in the direction that the theory predicts.

    factor: final divided by initial eigenvalue in networks, with an interval. expected: this quotient in theory.
    """
    if abs(expected - 1) < UNCHANGED:
        return "no change in theory"
    return {0: "undecided", 1: "as in theory", -1: "opposite"}[factor.side(1) * int(np.sign(expected - 1))]


def _growth(pairs: list[Pair]) -> list[str]:
    """Format the growth of the smallest and the largest eigenvalue, as cells of a row of the table.

    The growth is the final divided by the initial eigenvalue. It is stated for networks and in theory, and a word
    states whether both have the same direction.
    """
    networks, linear = (np.maximum([growth(run) for run in runs], SMALLEST) for runs in zip(*pairs, strict=True))
    cells = []
    for measured, predicted in zip(networks.T, linear.T, strict=True):
        factor, expected = ratio_of(measured), float(np.exp(np.log(predicted).mean()))
        cells += [factor.text(".2g"), f"{expected:.2g}", direction(factor, expected)]
    return cells


SPEEDS = {-1: "faster", 0: "not distinguishable", 1: "slower"}


def _table(data: dict[tuple[str, str], list[Pair]]) -> str:
    """Format a table with the growth of the smallest and largest eigenvalue, and with the slowdown by ReLU units."""
    columns = [
        f"{name} eigenvalue, {what}"
        for name in ("smallest", "largest")
        for what in ("factor in networks", "factor in theory", "direction")
    ]
    rows = [["", *columns, "slowdown of networks", "networks are"]]
    for key, pairs in data.items():
        slower = slowdown(pairs)
        speed = ["no mode doubles", ""] if slower is None else [slower.text(), SPEEDS[slower.side(1)]]
        rows.append([style.title(*key), *_growth(pairs), *speed])
    return table(rows)


def caption(data: dict[tuple[str, str], list[Pair]], full: bool) -> str:
    """Return the caption, which describes the panels and compares the networks with the linear theory."""
    shortened = "" if full else f" This figure is shortened: the original uses {count(BATCH[True])} samples a step."
    return f"""
Eigenvalues of `W W^T` against step, for networks with ReLU units, z = relu(W x), where W is the weight matrix (M =
{MODES} units, N = {INPUTS} inputs, {noise(style.NOISE)}). Each panel shows one of the eight losses in Figure 2 of
Halvagal et al. (2023); the initial weights are the same in all panels. The predictor is built from `W W^T`, as in their
Figure 6. Top: Euclidean losses; bottom: cosine losses. Points: networks, {count(BATCH[full])} fresh samples a step;
dark to light: smallest to largest. Grey lines: the descent map of the linear network, z = W x, from the same initial
weights.{shortened}

Halvagal et al. (2023) claim that the linear theory carries over to networks with ReLU units. The table below tests this
claim with {len(SEEDS)} networks for each loss, from different initial weights, of which the first is drawn. In
parentheses: 95 % intervals over these networks (Student's t, of the logarithm). A factor is the final value of the
smallest or of the largest eigenvalue, divided by the initial value of this eigenvalue, in networks or in the linear
theory (geometric means over networks). The direction is "as in theory" if the factors in networks and in theory lie on
the same side of 1, which the claim requires; "opposite" if the two factors lie on different sides; "undecided" if the
interval of the networks contains 1; "no change in theory" if the theory changes the eigenvalue by less than
{percent(UNCHANGED)}. The slowdown is the time in which an eigenvalue of a network doubles, divided by the time in which
this eigenvalue doubles in the linear theory: a median over the modes that double in both, and a geometric mean over
networks. The slowdown is 1 if the theory carries over. The slowdown is 2 if the only difference is that half of the
units are inactive for an input, which halves the gradient.

{_table(data)}"""
