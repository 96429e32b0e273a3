"""A learned linear predictor of a deep network aligns with the correlation.

Halvagal et al. (2023), Figure 4, and the assumption of Tian et al. (2021), on handwritten digits.
"""

import numpy as np
from matplotlib.figure import Figure

import dynamics as dyn
from dynamics.results.plotting import mode_colors
from figures import deep_networks as deep
from figures import style
from figures.captions import count

TARGETS = ("EMA target", "shared target")
THRESHOLD = 0.05  # fraction of the largest eigenvalue above which modes are averaged

Key = tuple[str, str]


def compute(full: bool) -> dict[Key, dyn.Trajectory]:
    """Return networks whose predictor is a learned matrix with random initial entries."""
    return {
        (loss, target): deep.run("linear predictor", loss, target, full) for loss in style.LOSSES for target in TARGETS
    }


def draw(data: dict[Key, dyn.Trajectory]) -> Figure:
    """Draw alignments in the top row, and final eigenvalues of predictor against correlation in the bottom row."""
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
        below.set(xscale="log", xlabel="eigenvalue $s_m$")
    for ax in axes[:, 1:].flat:
        ax.tick_params(labelleft=False)
    axes[0, 0].set_ylabel("alignment")
    axes[1, 0].set_ylabel(r"predictor's $\lambda_m$")
    return figure


def aligned(run: dyn.Trajectory, record: int) -> np.ndarray:
    """Return the mean alignment of the modes above THRESHOLD at one record, for each seed (S,)."""
    s, alignment = run.s[:, record], run.alignment[:, record]
    large = s > THRESHOLD * s.max(axis=-1, keepdims=True)
    return (alignment * large).sum(axis=-1) / large.sum(axis=-1)


def caption(data: dict[Key, dyn.Trajectory], full: bool) -> str:
    """Return the caption: contents, and alignment at the start and at the end."""
    alignments = []
    for (loss, target), run in data.items():
        (start, _), (end, error) = (deep.mean_and_error(aligned(run, record)) for record in (0, -1))
        alignments.append(f"{loss}, {target}: {start:.2f} at the start, {end:.3f} +- {error:.3f} at the end")
    modes = next(iter(data.values())).s.shape[-1]
    return f"""
MLPs on images of handwritten digits, with a learned linear predictor whose matrix is W_P. Top: alignment |u . W_P
u|/|W_P u| of each eigenvector u of the correlation with W_P, against step; mean over {len(deep.SEEDS)} seeds; dark to
light: smallest to largest eigenvalue. An alignment of one means that u is an eigenvector of W_P too. Bottom: value u .
W_P u of the predictor along each eigenvector u at step {count(next(iter(data.values())).settings["steps"])}, against
the eigenvalue of the correlation; one point for each mode and seed. Each column has one loss and one target: the
encoder itself (shared target), or an exponential average of the encoder (EMA target).

The theory and the paper assume that predictor and correlation share eigenvectors. From a random initial predictor, the
eigenvectors of the two matrices align in the modes with large variance. Mean alignment of the modes whose eigenvalue
exceeds {THRESHOLD:g} times the largest eigenvalue, with its standard error over seeds: {"; ".join(alignments)}. The
smallest of the {modes} modes hardly align, because their gradient is small."""
