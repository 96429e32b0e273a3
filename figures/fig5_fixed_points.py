"""Fixed points that do not depend on the initial weights (Euclidean loss), and fixed points that do (cosine loss).

The cosine loss conserves the sum of the eigenvalues, so that the initial weights determine this sum. The figure shows
networks with two modes from three initial weights, as in Figure 5 of Halvagal et al. (2023).
"""

from typing import Any, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

import dynamics as dyn
from figures import style
from figures.agreement import agreement, agreements
from figures.captions import count, listing, noise, percent
from figures.panels import panel_names
from figures.statistics import mean_of

MODES, INPUTS, SEED = 2, 6, 1
LEARNING_RATE, STEPS = 0.01, 1500
BATCH = {False: 2_000, True: 50_000}
# The gradient of two modes under the cosine loss has no finite variance: no theory predicts its sampling error.
SEEDS = range(8)
COLORS = (style.BLUE, style.ORANGE, style.GREEN)  # colours of the initialisations

Pair = tuple[dyn.Trajectory, dyn.Trajectory]


class Data(NamedTuple):
    """Pairs (networks of all seeds, descent map); both entries of a pair start from the same initial weights.

    pairs: for each loss, the pairs from three initial weights. quarter: a pair with a quarter of the batch size.
    """

    pairs: dict[str, list[Pair]]
    quarter: Pair  # from start 1, under the cosine loss


def compute(full: bool) -> Data:
    """Train the networks of all seeds, and iterate the descent map, from each of the initial weights."""
    W0 = style.initial_weights(MODES, INPUTS, SEED)
    starts = [W0, 2 * W0, 2 * style.initial_weights(MODES, INPUTS, SEED + 1)]
    pairs = {loss: [_pair(loss, start, BATCH[full]) for start in starts] for loss in style.LOSSES}
    return Data(pairs, _pair("cosine", W0, BATCH[full] // 4))


def _pair(loss: str, W0: np.ndarray, batch: int) -> Pair:
    model = dyn.Model(loss, noise=style.NOISE)
    network = dyn.train(model, W0, STEPS, LEARNING_RATE, batch_size=batch, seed=SEEDS, record=STEPS // 30)
    return network, dyn.iterate(model, style.eigenvalues_of(W0), STEPS, LEARNING_RATE, record=STEPS // 300)


PANELS = panel_names(style.LOSSES, (*(f"start {i}" for i in range(1, len(COLORS) + 1)), "all"))


def draw(data: Data) -> Figure:
    """Draw a row for each loss: a panel for each initialization, and a last panel with all runs.

    The last panel shows the runs in the plane of the two eigenvalues.
    """
    figure = Figure(figsize=(style.PAGE, 3.9))
    axes = figure.subplots(len(data.pairs), len(COLORS) + 1)
    top = max(theory.s.max() for pairs in data.pairs.values() for _, theory in pairs)
    for row, (loss, pairs) in zip(axes, data.pairs.items(), strict=True):
        for i, (ax, (network, theory)) in enumerate(zip(row[:-1], pairs, strict=True), 1):
            style.draw_modes(ax, theory, **style.THEORY, color=COLORS[i - 1])
            style.draw_modes(ax, network, **style.NETWORK, color=COLORS[i - 1])
            ax.set(title=f"{loss.capitalize()}, start {i}", yscale="linear", ylim=(0, 1.05 * top), xlim=(0, STEPS))
            ax.locator_params(axis="x", nbins=3)
            ax.label_outer(remove_inner_ticks=False)
        _draw_plane(row[-1], loss, pairs, top)
    axes[0, -1].set_xlabel("")
    axes[0, -1].tick_params(labelbottom=False)
    style.legend(figure, network=style.NETWORK, descent_map=style.THEORY, end_of_the_descent_map=_END)
    return figure


_END: dict[str, Any] = {
    "linestyle": "none",
    "marker": "*",
    "markersize": 7,
    "markeredgewidth": 0.4,
    "markeredgecolor": "black",
}


def _draw_plane(ax: Axes, loss: str, pairs: list[Pair], top: float) -> None:
    ax.axline((0, 0), slope=1, color=style.GREY, linewidth=0.6, linestyle=":")
    for color, (network, theory) in zip(COLORS, pairs, strict=True):
        ax.plot(*theory.s.T, color=color, **style.THEORY)
        ax.plot(*network.s[0].T, color=color, **style.NETWORK)
        ax.plot(*theory.s[-1], color=color, zorder=4, **_END)
    ax.set(title=f"{loss.capitalize()}, all", xlabel="smaller $s_m$", ylabel="larger $s_m$", box_aspect=1)
    ax.set(xlim=(0, 1.05 * top), ylim=(0, 1.05 * top))


def caption(data: Data, full: bool) -> str:
    """Return the caption, which describes the panels, states final eigenvalues, and tests networks against theory."""
    ends = {loss: [theory.s[-1] for _, theory in pairs] for loss, pairs in data.pairs.items()}
    shown = {
        loss: listing(f"({', '.join(f'{s:.3f}' for s in end)})" for end in levels) for loss, levels in ends.items()
    }
    spread = np.ptp(ends["euclidean"], axis=0).max()
    differences = listing(f"{_anisotropy(t.s[0]):.3f} to {_anisotropy(t.s[-1]):.3f}" for _, t in data.pairs["cosine"])
    change = max(abs(theory.s[-1].sum() / theory.s[0].sum() - 1) for _, theory in data.pairs["cosine"])
    changes = {loss: mean_of(_sums(pairs[-1]) - _sums(pairs[0])) for loss, pairs in data.pairs.items()}
    depends = {0: "no dependence on the initial weights is distinguishable"}
    effects = "; ".join(
        f"{loss}: {change.text('.4f')}, {depends.get(change.side(0), 'the sum depends on the initial weights')}"
        for loss, change in changes.items()
    )
    rows = {
        f"{loss}, start {start}": agreement(network)
        for loss, pairs in data.pairs.items()
        for start, (network, _) in enumerate(pairs, 1)
    }
    whole, quarter = (mean_of(100 * _excess(pair)) for pair in (data.pairs["cosine"][0], data.quarter))
    ratio = quarter.value / whole.value
    error = ratio * np.hypot(whole.error / whole.value, quarter.error / quarter.value)
    return f"""
Eigenvalues of the representation correlation of linear networks (M = {MODES} modes, N = {INPUTS} inputs,
{noise(style.NOISE)}, learning rate {LEARNING_RATE}, {count(BATCH[full])} fresh samples a step). Top: Euclidean loss;
bottom: cosine loss. Points: one of {len(SEEDS)} networks that differ in their batches; lines: descent map. First three
columns: eigenvalues against step from three initial weights. Start 1 (blue) has normal entries of standard deviation
1/4. Start 2 (orange) is twice start 1. Start 3 (green) is twice another draw of normal entries of standard deviation
1/4. Right: the same runs, with the smaller eigenvalue on the horizontal and the larger on the vertical axis. Stars: end
of the descent map. Dotted line: equal eigenvalues.

Three runs of the descent map (starts 1, 2 and 3) begin with different initial weights. After {STEPS} steps under the
Euclidean loss, the eigenvalues (smaller, larger) are {shown["euclidean"]}. These final eigenvalues differ between
starts by at most {spread:.1g}. Under the cosine loss, the final eigenvalues are {shown["cosine"]}. Under this loss the
difference of the two eigenvalues, divided by their sum, goes from {differences}. The flow under the cosine loss
conserves the sum of the two eigenvalues, so that the final sum depends on the initial weights; the descent map changes
the sum by at most {percent(change)}. In the networks, the sum of the final eigenvalues from start 3 minus that from
start 1 is, with a 95 % interval over the {len(SEEDS)} seeds (Student's t; the null hypothesis is 0): {effects}.

{agreements(rows)}

Under the cosine loss, finite batches change the sum of the final eigenvalues of the networks, compared with the sum in
the descent map. From start 1 (initial weights of standard deviation 1/4), the relative difference network/map - 1 of
this sum is, in percent, {whole.text()} with {count(BATCH[full])} samples a step, and {quarter.text()} with
{count(BATCH[full] // 4)} samples a step (95 % intervals over seeds). The relative difference with the smaller batches
is {ratio:.1f} +- {error:.1f} times that with the larger batches. This factor is 4 if finite batches cause the
difference, and 1 if the descent map is wrong for all batch sizes."""


def _sums(pair: Pair) -> np.ndarray:
    """Return the sums of the final eigenvalues (S,), one sum for each network."""
    return pair[0].s[:, -1].sum(axis=-1)


def _excess(pair: Pair) -> np.ndarray:
    """Return network/map - 1 (S,), where network and map are the sums of the final eigenvalues.

    network is the sum in each of S networks, and map is the sum in the descent map.
    """
    return _sums(pair) / pair[1].s[-1].sum() - 1


def _anisotropy(s: np.ndarray) -> float:
    """Return the difference of two eigenvalues, divided by their sum."""
    return float(np.ptp(s) / s.sum())
