"""A learned linear predictor of a deep network aligns with the correlation of the representations.

The figure repeats Figure 4 of Halvagal et al. (2023) on handwritten digits. Tian et al. (2021) assume this alignment.
"""

import numpy as np
from matplotlib.figure import Figure
from scipy.special import gammaln

import dynamics as dyn
from dynamics.presentation.plotting import mode_colors
from figures import deep_networks as deep
from figures import style
from figures.captions import count
from figures.panels import panel_names
from figures.statistics import mean_of, plus_minus

TARGETS = ("EMA target", "shared target")
THRESHOLD = 0.05  # the average is over modes whose eigenvalue exceeds this fraction of the largest eigenvalue

Key = tuple[str, str]


def compute(full: bool) -> dict[Key, dyn.Trajectory]:
    """Return the networks of all seeds for each loss and target; they have a learned linear predictor.

    The matrix of the predictor has random initial entries.
    """
    return {
        (loss, target): deep.run("linear predictor", loss, target, full) for loss in style.LOSSES for target in TARGETS
    }


PANELS = panel_names(("alignment", "predictor"), panel_names(style.LOSSES, TARGETS))


def draw(data: dict[Key, dyn.Trajectory]) -> Figure:
    """Draw alignments against steps in the top row, and final predictor values against eigenvalues in the bottom row.

    The predictor values of a matrix W_P are u . W_P u, for each eigenvector u of the correlation.
    """
    figure = Figure(figsize=(style.PAGE, 3.6))
    axes = figure.subplots(2, len(data), sharey="row")
    for (above, below), ((loss, target), run) in zip(axes.T, data.items(), strict=True):
        modes = run.s.shape[-1]
        for column, colour in zip(run.alignment.mean(axis=0).T, mode_colors(modes), strict=True):
            above.plot(run.step, column, color=colour, linewidth=0.8)
        end = run.s[:, -1].ravel(), run.predictor[:, -1].ravel()
        below.scatter(*end, s=3, c=np.tile(mode_colors(modes), (len(run.s), 1)))
        below.axhline(0, color=style.GREY, linewidth=0.5)
        above.set(title=f"{loss.capitalize()}, {target}", xlabel="step", ylim=(0, 1.02))
        below.set(xscale="log", xlabel=style.EIGENVALUE)
    for ax in axes[:, 1:].flat:
        ax.tick_params(labelleft=False)
    axes[0, 0].set_ylabel("alignment")
    axes[1, 0].set_ylabel(r"predictor's $\lambda_m$")
    return figure


def aligned(run: dyn.Trajectory, record: int) -> np.ndarray:
    """Return, for each seed (S,), the mean alignment of the modes with large eigenvalues, at one recorded step.

    record: index of the recorded step. An eigenvalue is large if it exceeds THRESHOLD times the largest eigenvalue of
    the same network at this step.
    """
    s, alignment = run.s[:, record], run.alignment[:, record]
    large = s > THRESHOLD * s.max(axis=-1, keepdims=True)
    return (alignment * large).sum(axis=-1) / large.sum(axis=-1)


def random_alignment(modes: int) -> float:
    """Return the mean alignment of a random predictor W_P with M modes, whose entries are independent and normal.

    The alignment with a unit vector u is |u . a|/|a|, where the vector a = W_P u has M independent normal components of
    equal variance. The mean alignment is Gamma(M/2)/(sqrt(pi) Gamma((M + 1)/2)), about sqrt(2/(pi M)).
    """
    return float(np.exp(gammaln(modes / 2) - gammaln((modes + 1) / 2)) / np.sqrt(np.pi))


def _change(run: dyn.Trajectory) -> str:
    """Format the final alignment of the modes with small eigenvalues, and its change from start to end.

    These modes are the half of all modes with the smaller eigenvalues. The alignment is a mean over these modes.
    """
    smaller = run.alignment[..., : run.s.shape[-1] // 2].mean(axis=-1)
    change = mean_of(smaller[:, -1] - smaller[:, 0])
    known = {1: "it increases", -1: "it decreases", 0: "no change is distinguishable"}[change.side(0)]
    return f"{plus_minus(smaller[:, -1])} at the end, change {change.text()}, {known}"


def caption(data: dict[Key, dyn.Trajectory], full: bool) -> str:
    """Return the caption, which describes the panels and states alignments at the start, at the end, and by chance."""
    large = "; ".join(
        f"{loss}, {target}: {plus_minus(aligned(run, 0))} at the start, {plus_minus(aligned(run, -1), 3)} at the end"
        for (loss, target), run in data.items()
    )
    small = "; ".join(f"{loss}, {target}: {_change(run)}" for (loss, target), run in data.items())
    modes = next(iter(data.values())).s.shape[-1]
    return f"""
MLPs on images of handwritten digits, with a learned linear predictor whose matrix is W_P. Top: alignment |u . W_P
u|/|W_P u| between W_P and each eigenvector u of the correlation, against step; mean over {len(deep.SEEDS)} seeds; dark
to light: smallest to largest eigenvalue. If the alignment is 1, u is also an eigenvector of W_P. Bottom: value u . W_P
u of the predictor along each eigenvector u at step {count(next(iter(data.values())).settings["steps"])}, against the
eigenvalue of the correlation; one point for each mode and seed. Each column has one loss and one target: the encoder
itself (shared target), or an exponential average of the encoder (EMA target).

The eigenmode theory and Halvagal et al. (2023) assume that predictor and correlation share eigenvectors. The alignment
|u . W_P u|/|W_P u| between the predictor W_P and each eigenvector u of the correlation is then 1. The null hypothesis
is a random matrix W_P of {modes} x {modes} independent normal entries, for which the mean alignment is
{random_alignment(modes):.2f}. Mean alignment of the modes whose eigenvalue exceeds {THRESHOLD:g} times the largest
eigenvalue, +- standard error over seeds: {large}. Mean alignment of the {modes // 2} modes with the smallest
eigenvalues, +- standard error over seeds, and change of this mean from the start to the end of training, with a 95 %
interval over seeds: {small}."""
