"""Weight decay in deep networks: it removes the modes that the loss does not sustain.

Halvagal et al. (2023), Figure 8: weight decay 4e-4, 1e-5 and 1e-6, here on handwritten digits; and the fold that theory
predicts at large weight decay.
"""

from typing import Any, NamedTuple

import numpy as np
from matplotlib.figure import Figure

import dynamics as dyn
from dynamics.results.plotting import mode_colors
from figures import deep_networks as deep
from figures import style
from figures.captions import listing, percent

DECAYS = (1e-2, 4e-4, 1e-5, 1e-6)
STEPS = {False: 400, True: 20_000}
SEEDS = range(2)
HALF = 0.5  # fraction of the largest eigenvalue
LARGE = (0.01, 0.03, 0.1, 0.2, 0.25, 0.3)  # weight decays up to above the fold, which is at 1/4
THRESHOLD = 0.01  # eigenvalue above which a mode survives
LINEAR = dyn.Model("euclidean", predictor=dyn.ClosedForm(0.5))  # DirectPred, in theory

Key = tuple[str, float]


class Data(NamedTuple):
    """Networks by loss and weight decay; and numbers of surviving modes at the D weight decays LARGE.

    The numbers are given for the networks of S seeds (D, S), and for theory (D).
    """

    runs: dict[Key, dyn.Trajectory]
    networks: np.ndarray
    theory: list[int]


def compute(full: bool) -> Data:
    """Return networks trained with DirectPred under each loss and weight decay, and numbers of surviving modes."""
    runs = {(loss, decay): _run(loss, decay, full) for loss in style.LOSSES for decay in DECAYS}
    around = [_run("euclidean", decay, full) for decay in LARGE]
    start = np.exp(np.log(around[0].s[:, 0]).mean(axis=0))
    theory = [dyn.collapse(LINEAR.replace(weight_decay=decay), start) for decay in LARGE]
    surviving = np.array([(run.s[:, -1] > THRESHOLD).sum(axis=-1) for run in around])
    return Data(runs, surviving, [int(prediction.survives.sum()) for prediction in theory])


def _run(loss: str, decay: float, full: bool) -> dyn.Trajectory:
    return deep.run("DirectPred", loss, "shared target", full, steps=STEPS[full], seeds=SEEDS, weight_decay=decay)


def draw(data: Data) -> Figure:
    """Draw losses in rows and weight decays in columns; on the right, the number of surviving modes around the fold."""
    figure = Figure(figsize=(style.PAGE, 3.6))
    parts: Any = figure.subfigures(1, 2, width_ratios=(4, 1.2))
    left, right = parts
    axes = left.subplots(len(style.LOSSES), len(DECAYS), sharex=True, sharey=True)
    for ax, run in zip(axes.flat, data.runs.values(), strict=True):
        with np.errstate(divide="ignore"):
            s = np.exp(np.log(run.s).mean(axis=0))
        for column, colour in zip(s.T, mode_colors(s.shape[1]), strict=True):
            ax.plot(run.step, np.where(column > 0, column, np.nan), color=colour, linewidth=0.8)
        ax.set(yscale="log", ylim=(1e-6, 60))
        ax.locator_params(axis="x", nbins=3)
        ax.label_outer(remove_inner_ticks=False)
    for ax in axes[-1]:
        ax.set_xlabel("step")
    for ax, decay in zip(axes[0], DECAYS, strict=True):
        ax.set_title(rf"$\rho$ = {decay:g}")
    for ax, loss in zip(axes[:, 0], style.LOSSES, strict=True):
        ax.set_ylabel(f"{loss.capitalize()}, eigenvalue $s_m$")
    ax = right.subplots()
    ax.plot(LARGE, data.theory, color=style.GREY, label="linear theory")
    ax.plot(LARGE, data.networks, linestyle="none", marker="o", markersize=2.5, color=style.BLUE)
    ax.plot([], [], linestyle="none", marker="o", markersize=2.5, color=style.BLUE, label="networks")
    ax.set(title="Euclidean, surviving modes", xlabel=r"weight decay $\rho$", ylim=(0, None))
    ax.legend(loc="lower center", bbox_to_anchor=(0.5, 1.1))
    return figure


def caption(data: Data, full: bool) -> str:
    """Return the caption: contents, final eigenvalues, and the eigenvalues that theory predicts."""
    ends = {loss: listing(_end(data.runs[loss, decay], decay) for decay in DECAYS) for loss in style.LOSSES}
    floors = {loss: listing(f"{_floor(data.runs[loss, d]):.0e} ({d:g})" for d in DECAYS) for loss in style.LOSSES}
    surviving = listing(
        f"{mean:.3g} (rho = {decay:g}, theory {theory})"
        for decay, mean, theory in zip(LARGE, data.networks.mean(axis=1), data.theory, strict=True)
    )
    return f"""
MLPs with DirectPred on images of handwritten digits, trained with weight decay rho. First four columns: eigenvalues
`s_m` of the correlation of the representation z against step, one column for each rho; geometric mean over {len(SEEDS)}
seeds; dark to light: smallest to largest. Top: Euclidean loss; bottom: cosine loss. The last three values of rho are
the values of the paper. The value {DECAYS[0]:g} is added, because the smaller values need more steps than are made here
to show an effect.

The paper's claim is that weight decay shrinks the small eigenvalues, which the loss does not sustain, and that the
large eigenvalues persist. In the following lists rho stands in parentheses. Median of the smaller half of the final
eigenvalues. Euclidean: {floors["euclidean"]}; cosine: {floors["cosine"]}. Mean of the final eigenvalues that exceed
half of the largest eigenvalue, +- their standard deviation divided by the mean. Euclidean: {ends["euclidean"]}; cosine:
{ends["cosine"]}.

The linear theory of the Euclidean loss predicts that surviving modes have eigenvalue {_level(DECAYS[0]):.2f} at rho =
{DECAYS[0]:g} and {_level(DECAYS[-1]):.2f} at rho = {DECAYS[-1]:g}. It also predicts a fold at rho = 1/4, beyond which
all modes collapse.

Right: number of modes with a final eigenvalue above {THRESHOLD:g} under the Euclidean loss, against rho. Each point is
one network. Line: the linear theory from the initial eigenvalues of the networks. Mean number of modes over the
networks: {surviving}. The networks have no sharp fold. Their modes vanish one after another, at far smaller rho than in
theory. The exception is the largest mode, which is the mean of z. The theory assumes white inputs and no noise. With
noise a mode vanishes at rho = 1/(4 n1), where n1 > 1 is the variance of a view divided by the variance of its input.
Modes along which the views differ most therefore vanish first."""


def _level(decay: float) -> float:
    """Return the steady-state eigenvalue of a surviving mode in the linear theory."""
    return float(dyn.collapse(LINEAR.replace(weight_decay=decay), [1.0]).final[0])


def _end(run: dyn.Trajectory, decay: float) -> str:
    s = run.s[:, -1]
    large = s[s > HALF * s.max(axis=-1, keepdims=True)]
    if not np.isfinite(large).all():
        return run.status
    return f"{large.mean():.2f} +- {percent(large.std() / large.mean())} ({decay:g})"


def _floor(run: dyn.Trajectory) -> float:
    s = run.s[:, -1]
    return float(np.median(s[:, : s.shape[1] // 2]))
