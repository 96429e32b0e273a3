"""A learned predictor of a linear network aligns with the correlation of the representations.

Tian et al. (2021) assume this alignment, and Figure 4 of Halvagal et al. (2023) shows it in deep networks.
"""

import numpy as np
from matplotlib.figure import Figure

import dynamics as dyn
from dynamics.results.plotting import mode_colors
from figures import style
from figures.captions import count, noise, percent

MODES, INPUTS, SEED, LEARNING_RATE, STEPS = 4, 6, 5, 0.1, 1000
TARGETS: dict[str, dyn.Shared | dyn.EMA] = {"shared target": dyn.Shared(), "EMA target": dyn.EMA(0.98)}
BATCH = {False: 2_000, True: 50_000}
NOISE = (0.3, 0.3)

Key = tuple[str, str]


def compute(full: bool) -> dict[Key, dyn.Trajectory]:
    """Return a network for each loss and target; all networks start from the same weights."""
    random = np.random.default_rng(SEED)
    W0 = 2 * style.initial_weights(MODES, INPUTS, SEED)
    W_P0 = 0.5 * np.eye(MODES) + 0.25 * random.standard_normal((MODES, MODES))
    return {
        (loss, name): dyn.train(
            dyn.Model(loss, predictor=dyn.Learned(), noise=NOISE, target=target, weight_decay=0.005),
            W0,
            STEPS,
            LEARNING_RATE,
            batch_size=BATCH[full],
            seed=SEED,
            record=STEPS // 100,
            W_P0=W_P0,
        )
        for loss in style.LOSSES
        for name, target in TARGETS.items()
    }


def draw(data: dict[Key, dyn.Trajectory]) -> Figure:
    """Draw alignments in the top row, and eigenvalues of correlation and predictor in the bottom row."""
    figure = Figure(figsize=(style.PAGE, 3.6))
    axes = figure.subplots(2, len(data), sharex=True, sharey="row")
    for (above, below), ((loss, target), net) in zip(axes.T, data.items(), strict=True):
        for column, color in zip(net.alignment.T, mode_colors(MODES), strict=True):
            above.plot(net.step, column, color=color)
        for s, lam, color in zip(net.s.T, net.predictor.T, mode_colors(MODES), strict=True):
            below.plot(net.step, s, color=color)
            below.plot(net.step, lam, color=color, linestyle=(0, (3, 2)))
        above.set(title=f"{loss.capitalize()}, {target}")
        below.set(xlabel="step")
        below.locator_params(axis="x", nbins=3)
        for ax in (above, below):
            ax.label_outer(remove_inner_ticks=False)
    axes[0, 0].set_ylabel("alignment")
    axes[1, 0].set_ylabel("eigenvalue")
    style.legend(figure, correlation={"linestyle": "-"}, predictor={"linestyle": (0, (3, 2))})
    return figure


def caption(data: dict[Key, dyn.Trajectory], full: bool) -> str:
    """Return the caption, which describes the panels and states the alignment at the start and at the end."""
    ends = "; ".join(
        f"{loss}, {target}: {percent(net.alignment[0].min())} to {percent(net.alignment[-1].min())}"
        for (loss, target), net in data.items()
    )
    return f"""
Linear networks whose predictor W_P is a full matrix (M = {MODES} modes, N = {INPUTS} inputs, {noise(NOISE)}, learning
rate {LEARNING_RATE}, weight decay 0.005, {count(BATCH[full])} samples a step). The predictor is trained like the
encoder, from a random initial matrix. Each column has one loss and one target: the encoder itself (shared target), or
an exponential average of the encoder (EMA target). Dark to light: smallest to largest eigenvalue. Top: alignment
|u . W_P u|/|W_P u| between W_P and each eigenvector u of the correlation, against step. The alignment is 1 if u is also
an eigenvector of W_P. Bottom: eigenvalues of the correlation (solid lines) and values u . W_P u of the predictor along
each eigenvector (dashed lines), against step.

Alignment of the least aligned mode, at the start and at the end: {ends}. The eigenmode theory of a learned predictor
assumes that predictor and correlation share eigenvectors. The theory is exact once the eigenvectors are aligned."""
