"""A learned predictor of a linear network aligns with the correlation of the representations.

Tian et al. (2021) assume this alignment, and Figure 4 of Halvagal et al. (2023) shows it in deep networks.
"""

import numpy as np
from matplotlib.figure import Figure

import dynamics as dyn
from dynamics.presentation.plotting import mode_colors
from figures import style
from figures.captions import count, noise, percent, table
from figures.panels import panel_names
from figures.statistics import plus_minus

MODES, INPUTS, LEARNING_RATE, STEPS = 4, 6, 0.1, 1000
COLLAPSED = 0.01  # a mode whose final eigenvalue is below this fraction of the largest has collapsed
SEEDS = range(5, 10)  # each with different initial weights of encoder and predictor
TARGETS: dict[str, dyn.Shared | dyn.EMA] = {"shared target": dyn.Shared(), "EMA target": dyn.EMA(0.98)}
BATCH = {False: 2_000, True: 50_000}
NOISE = (0.3, 0.3)

Key = tuple[str, str]


def compute(full: bool) -> dict[Key, list[dyn.Trajectory]]:
    """Return the networks of all seeds for each loss and target."""
    return {
        (loss, target): [_network(loss, target, seed, BATCH[full]) for seed in SEEDS]
        for loss in style.LOSSES
        for target in TARGETS
    }


def _network(loss: str, target: str, seed: int, batch: int) -> dyn.Trajectory:
    W_P0 = 0.5 * np.eye(MODES) + 0.25 * np.random.default_rng(seed).standard_normal((MODES, MODES))
    return dyn.train(
        dyn.Model(loss, predictor=dyn.Learned(), noise=NOISE, target=TARGETS[target], weight_decay=0.005),
        2 * style.initial_weights(MODES, INPUTS, seed),
        STEPS,
        LEARNING_RATE,
        batch_size=batch,
        seed=seed,
        record=STEPS // 100,
        W_P0=W_P0,
    )


PANELS = panel_names(("alignment", "eigenvalues"), panel_names(style.LOSSES, TARGETS))


def draw(data: dict[Key, list[dyn.Trajectory]]) -> Figure:
    """Draw alignments in the top row, and eigenvalues of correlation and predictor in the bottom row."""
    figure = Figure(figsize=(style.PAGE, 3.6))
    axes = figure.subplots(2, len(data), sharex=True, sharey="row")
    for (above, below), ((loss, target), (net, *_)) in zip(axes.T, data.items(), strict=True):
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


def least_alignment(run: dyn.Trajectory, record: int) -> float:
    """Return the smallest alignment of a surviving mode at the recorded step with index ``record``."""
    return float(run.alignment[record][survives(run)].min())


def survives(run: dyn.Trajectory) -> np.ndarray:
    """Return a mask (M,), True for modes with a final eigenvalue above COLLAPSED times the largest final eigenvalue."""
    return np.asarray(run.s[-1] > COLLAPSED * run.s[-1].max())


def least_random_alignment(modes: int, draws: int = 20_000) -> float:
    """Return the smallest alignment of a mode with a random predictor, averaged over random predictors.

    The random predictors have independent normal entries. modes: number of modes. draws: number of random predictors.
    """
    columns = np.random.default_rng(0).standard_normal((draws, modes, modes))
    alignment = np.abs(np.diagonal(columns, axis1=1, axis2=2)) / np.linalg.norm(columns, axis=1)
    return float(alignment.min(axis=1).mean())


def caption(data: dict[Key, list[dyn.Trajectory]], full: bool) -> str:
    """Return the caption, which describes the panels and states the alignment at the start and at the end."""
    columns = ("start (mean over networks)", "end (mean over networks)", "end (smallest over networks)")
    rows = [["", *(f"least alignment at the {column}" for column in columns), "collapsed modes"]]
    for (loss, target), runs in data.items():
        start, end = (np.array([least_alignment(run, record) for run in runs]) for record in (0, -1))
        collapsed = sum(int((~survives(run)).sum()) for run in runs)
        means = plus_minus(start), plus_minus(end, 5)
        rows.append([f"{loss}, {target}", *means, f"{end.min():.5f}", f"{collapsed} of {MODES * len(runs)}"])
    return f"""
Linear networks whose predictor W_P is a full matrix (M = {MODES} modes, N = {INPUTS} inputs, {noise(NOISE)}, learning
rate {LEARNING_RATE}, weight decay 0.005, {count(BATCH[full])} samples a step). The predictor is trained like the
encoder, from a random initial matrix. Each column has one loss and one target: the encoder itself (shared target), or
an exponential average of the encoder (EMA target). Dark to light: smallest to largest eigenvalue. Top: alignment |u .
W_P u|/|W_P u| between W_P and each eigenvector u of the correlation, against step. The alignment is 1 if u is also an
eigenvector of W_P. Bottom: eigenvalues of the correlation (solid lines) and values u . W_P u of the predictor along
each eigenvector (dashed lines), against step. One of {len(SEEDS)} networks with different initial weights is drawn for
each loss and target.

The eigenmode theory of a learned predictor assumes that predictor W_P and correlation share eigenvectors. The alignment
|u . W_P u|/|W_P u| between W_P and each eigenvector u of the correlation is then 1. The table below has the least
alignment of a network, which is the alignment of its least aligned mode: the mean over {len(SEEDS)} networks, +-
standard error, and the smallest value in any of these networks. Modes with a final eigenvalue below
{percent(COLLAPSED)} of the largest final eigenvalue have collapsed and are left out. For random predictor matrices of
independent normal entries, the least alignment has the mean {least_random_alignment(MODES):.2f}.

{table(rows)}"""
