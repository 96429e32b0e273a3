"""How far finite batches throw networks off the descent map: predicted bands over trained networks."""

import numpy as np
from matplotlib.figure import Figure

import dynamics as dyn
from dynamics.plotting import mode_colors
from figures import style
from figures.captions import count, percent

S0 = np.array([0.1, 0.3, 0.8, 1.6])
INPUTS, LEARNING_RATE, STEPS, BATCH, SHOWN = 6, 0.1, 150, 256, 3
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
    """For each model its map with the predicted deviation, and the modes (seeds, T, M) of networks."""
    directions = np.linalg.qr(np.random.default_rng(0).standard_normal((INPUTS, len(S0))))[0].T
    W0 = np.sqrt(S0)[:, None] * directions
    found = {}
    for name, model in MODELS.items():
        theory = dyn.iterate(model, S0, STEPS, LEARNING_RATE, batch_size=BATCH, every=3)
        net = dyn.train(model, W0, STEPS, LEARNING_RATE, batch_size=BATCH, seed=range(SEEDS[full]), record=3)
        found[name] = (theory, (np.asarray(net.weights, float) ** 2).sum(axis=-1))
    return found


def draw(data: dict[str, Pair]) -> Figure:
    """A panel for each model."""
    figure = Figure(figsize=(style.PAGE, 2.5))
    axes = figure.subplots(1, len(data), sharey=True)
    for ax, (name, (theory, modes)) in zip(axes, data.items(), strict=True):
        for m, color in enumerate(mode_colors(len(S0))):
            low, high = (theory.s[:, m] + sign * 2 * _deviation(theory)[:, m] for sign in (-1, 1))
            ax.fill_between(theory.step, low, high, color=color, alpha=0.3, linewidth=0)
            for run in modes[:SHOWN]:
                ax.plot(theory.step, run[:, m], color=color, linewidth=0.5)
        ax.set(title=name, xlabel="step", yscale="log")
        ax.label_outer(remove_inner_ticks=False)
    axes[0].set_ylabel(r"$u_m \cdot C u_m$")
    style.legend(figure, network={"linewidth": 0.5}, theory_with_two_standard_deviations={"linewidth": 5, "alpha": 0.3})
    return figure


def _deviation(theory: dyn.Trajectory) -> np.ndarray:
    return np.asarray(theory.deviation)


def caption(data: dict[str, Pair], full: bool) -> str:
    """What is shown, the ratio of measured to predicted deviation, and the share within two."""
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
{LEARNING_RATE}): {SHOWN} runs each (thin lines), projected on the eigenvectors of the start, and the band of two
standard deviations that theory predicts around the descent map, by propagating the covariance of one step's gradient
through the map's Jacobian.

Measured over predicted standard deviation, all modes and steps past the tenth, over {count(SEEDS[full])} seeds, and
the share of runs inside the band. {"; ".join(lines)}. A standard deviation from so many seeds is good to
{percent(1 / np.sqrt(2 * SEEDS[full]))}."""
