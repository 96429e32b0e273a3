"""Fluctuations from finite batches: predicted bands and trained networks."""

import numpy as np
from matplotlib.figure import Figure

import dynamics as dyn
from figures import style
from figures.captions import count, percent

S0 = np.array([0.1, 0.3, 0.8, 1.6])
INPUTS, LEARNING_RATE, STEPS, BATCH, SHOWN = 6, 0.1, 150, 256, 3
MODES = {"smallest": 0, "largest": 3}
BAND = {"linewidth": 5, "color": "0.82"}
SEEDS = {False: 200, True: 2000}
MODELS = {
    "Euclidean": dyn.Model("euclidean", noise=(0.1, 0.3)),
    "Euclidean, EMA, learned": dyn.Model(
        "euclidean", noise=(0.1, 0.3), predictor=dyn.Learned(1.0, 0.5), target=dyn.EMA(0.9)
    ),
    "cosine": dyn.Model("cosine", noise=(0.1, 0.3)),
    "cosine, isotropic": dyn.Model("cosine", isotropic=True, noise=(0.1, 0.3)),
}

Pair = tuple[dyn.Trajectory, np.ndarray]


def compute(full: bool) -> dict[str, Pair]:
    """Return the descent map with its predicted deviation, and the modes (seeds, T, M) of networks, by model."""
    directions = np.linalg.qr(np.random.default_rng(0).standard_normal((INPUTS, len(S0))))[0].T
    W0 = np.sqrt(S0)[:, None] * directions
    pairs = {}
    for name, model in MODELS.items():
        theory = dyn.iterate(model, S0, STEPS, LEARNING_RATE, batch_size=BATCH, record=3)
        networks = dyn.train(model, W0, STEPS, LEARNING_RATE, batch_size=BATCH, seed=range(SEEDS[full]), record=3)
        pairs[name] = (theory, networks.modes)
    return pairs


def draw(data: dict[str, Pair]) -> Figure:
    """Draw the smallest mode above and the largest below; models in columns."""
    figure = Figure(figsize=(style.PAGE, 3.4))
    axes = figure.subplots(len(MODES), len(data), sharex=True, sharey="row")
    for (name, (theory, modes)), column in zip(data.items(), axes.T, strict=True):
        for ax, (label, m) in zip(column, MODES.items(), strict=True):
            band = 200 * _deviation(theory)[:, m] / theory.s[:, m]
            ax.fill_between(theory.step, -band, band, color="0.82", linewidth=0)
            for run, color in zip(modes[:SHOWN], (style.BLUE, style.ORANGE, style.GREEN), strict=True):
                ax.plot(theory.step, 100 * (run[:, m] / theory.s[:, m] - 1), color=color, linewidth=0.7)
            ax.set_ylabel(f"{label} mode,\ndeviation / %")
            ax.label_outer(remove_inner_ticks=False)
        column[0].set_title(name)
        column[-1].set_xlabel("step")
    style.legend(figure, networks={"linewidth": 0.7, "color": style.BLUE}, two_standard_deviations=BAND)
    return figure


def _deviation(theory: dyn.Trajectory) -> np.ndarray:
    return np.asarray(theory.deviation)


def caption(data: dict[str, Pair], full: bool) -> str:
    """Return the caption: what is shown, measured over predicted deviation, and the share within two."""
    lines = []
    for name, (theory, modes) in data.items():
        later = np.asarray(theory.step) >= 10
        ratio = modes.std(axis=0, ddof=1)[later] / _deviation(theory)[later]
        z = (modes - theory.s)[:, later] / _deviation(theory)[later]
        lines.append(
            f"{name}: {ratio.min():.2f} to {ratio.max():.2f}, {percent(float(np.mean(np.abs(z) <= 2)))} within two"
        )
    return f"""
Networks trained with batches of only {BATCH} samples (M = {len(S0)}, N = {INPUTS}, noise (0.1, 0.3), learning rate
{LEARNING_RATE}): {SHOWN} networks each, projected on the initial eigenvectors, relative to the descent map, for the
modes that are smallest and largest at the start. Grey: two standard deviations, predicted by propagating the covariance
of the gradient of one step through the Jacobian of the map.

Ratio of measured to predicted standard deviation, over all modes and the steps after the tenth, from
{count(SEEDS[full])} seeds, and share of the values inside the band. {"; ".join(lines)}. The sampling error of a
standard deviation from so many seeds is {percent(1 / np.sqrt(2 * SEEDS[full]))}."""
