"""Fluctuations from finite batches: predicted standard deviation and trained networks."""

import numpy as np
from matplotlib.figure import Figure

import dynamics as dyn
from figures import style
from figures.captions import count, noise, percent

S0 = np.array([0.1, 0.3, 0.8, 1.6])
INPUTS, LEARNING_RATE, STEPS, BATCH, SHOWN = 6, 0.1, 150, 256, 3
NOISE, EMA = (0.1, 0.3), 0.9  # standard deviations on the two views; decay of the averaged target
MODES = {"smallest": 0, "largest": 3}
BAND = {"linewidth": 5, "color": "0.82"}
SEEDS = {False: 200, True: 2000}
MODELS = {
    "Euclidean": dyn.Model("euclidean", noise=NOISE),
    "Euclidean, EMA, learned": dyn.Model(
        "euclidean", noise=NOISE, predictor=dyn.Learned(1.0, 0.5), target=dyn.EMA(EMA)
    ),
    "cosine": dyn.Model("cosine", noise=NOISE),
    "cosine, isotropic": dyn.Model("cosine", isotropic=True, noise=NOISE),
}

Pair = tuple[dyn.Trajectory, np.ndarray]


def compute(full: bool) -> dict[str, Pair]:
    """Return by model the descent map with its predicted deviation, and the networks' variances along modes.

    The variances have the shape (seeds, T, M).
    """
    directions = np.linalg.qr(np.random.default_rng(0).standard_normal((INPUTS, len(S0))))[0].T
    W0 = np.sqrt(S0)[:, None] * directions
    pairs = {}
    for name, model in MODELS.items():
        theory = dyn.iterate(model, S0, STEPS, LEARNING_RATE, batch_size=BATCH, record=3)
        networks = dyn.train(model, W0, STEPS, LEARNING_RATE, batch_size=BATCH, seed=range(SEEDS[full]), record=3)
        pairs[name] = (theory, networks.modes)
    return pairs


def draw(data: dict[str, Pair]) -> Figure:
    """Draw the initially smallest mode in the top row, the initially largest in the bottom row; models in columns."""
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
    """Return the caption: contents, ratio of measured to predicted deviation, and share inside the band."""
    lines = []
    for name, (theory, modes) in data.items():
        later = np.asarray(theory.step) >= 10
        ratio = modes.std(axis=0, ddof=1)[later] / _deviation(theory)[later]
        z = (modes - theory.s)[:, later] / _deviation(theory)[later]
        lines.append(
            f"{name}: ratio {ratio.min():.2f} to {ratio.max():.2f}, share {percent(float(np.mean(np.abs(z) <= 2)))}"
        )
    return f"""
Fluctuations of linear networks that are trained with batches of only {BATCH} samples (M = {len(S0)} modes, N = {INPUTS}
inputs, {noise(NOISE)}, learning rate {LEARNING_RATE}). Each column shows one of four models. The model "EMA, learned"
has a learned predictor, and its target is an exponential average of the encoder with decay {EMA:g} per step. Vertical
axes: variance of the representation z along an initial eigenvector, as relative deviation from the descent map in
percent. Horizontal axes: step. Top: the initially smallest mode; bottom: the initially largest mode. Coloured lines:
{SHOWN} networks. Grey band: two predicted standard deviations on either side of the descent map. The prediction
propagates the covariance of the gradient of one step through the Jacobian of the descent map.

Ratio: standard deviation over {count(SEEDS[full])} seeds divided by the predicted standard deviation, as a range over
all modes and all recorded steps from step 10 on. Share: fraction of the networks' values that lie within two predicted
standard deviations. {"; ".join(lines)}. The relative sampling error of a standard deviation from {count(SEEDS[full])}
seeds is {percent(1 / np.sqrt(2 * SEEDS[full]))}."""
