"""Effect of weight decay on large and on small modes of deep networks.

The figure repeats Figure 8 of Halvagal et al. (2023), with weight decay 4e-4, 1e-5 and 1e-6, on handwritten digits. It
also shows how many modes survive larger weight decays, below and above the fold at 1/4. In theory all modes vanish at
weight decays beyond the fold.
"""

from typing import Any, NamedTuple

import numpy as np
from matplotlib.figure import Figure

import dynamics as dyn
from dynamics.presentation.plotting import mode_colors
from figures import deep_networks as deep
from figures import style
from figures.captions import percent, table
from figures.panels import panel_names
from figures.statistics import Interval, mean_of, plus_minus, ratio_of

DECAYS = (1e-2, 4e-4, 1e-5, 1e-6)
STEPS = {False: 300, True: 20_000}

LARGE_MODES, SMALL_MODES = deep.RANKS["2 to 6"], slice(16, None)  # ranges of modes; the largest mode comes first
UP_TO_FOLD = (1e-6, 0.01, 0.03, 0.1, 0.2, 0.25, 0.3)  # weight decays, from the smallest to above the fold at 1/4
THRESHOLD = 0.01  # a mode survives if its final eigenvalue exceeds this value
LINEAR = dyn.Model("euclidean", predictor=dyn.ClosedForm(0.5))  # the model of DirectPred in theory

Key = tuple[str, float]


class Data(NamedTuple):
    """Networks for each loss and weight decay, and numbers of surviving modes under the Euclidean loss.

    D is the number of weight decays in UP_TO_FOLD, and S is the number of seeds.
    """

    runs: dict[Key, dyn.Trajectory]
    networks: np.ndarray  # numbers of surviving modes in the networks of S seeds (D, S)
    theory: np.ndarray  # numbers of surviving modes in theory (D,)
    channel_std: np.ndarray  # spread of z/|z| over images at the largest and the smallest weight decay (2, S)


def compute(full: bool) -> Data:
    """Return networks for each loss and weight decay in DECAYS, and surviving modes at each decay in UP_TO_FOLD."""
    runs = {(loss, decay): _run(loss, decay, full) for loss in style.LOSSES for decay in DECAYS}
    around = [_run("euclidean", decay, full) for decay in UP_TO_FOLD]
    start = np.exp(np.log(around[0].s[:, 0]).mean(axis=0))
    theory = [dyn.collapse(LINEAR.replace(weight_decay=decay), start) for decay in UP_TO_FOLD]
    surviving = np.array([(run.s[:, -1] > THRESHOLD).sum(axis=-1) for run in around])
    spreads = np.array([around[i].measures["channel_std"][:, -1] for i in (-1, 0)])
    return Data(runs, surviving, np.array([prediction.survives.sum() for prediction in theory]), spreads)


def _run(loss: str, decay: float, full: bool) -> dyn.Trajectory:
    return deep.run("DirectPred", loss, "shared target", full, steps=STEPS[full], seeds=deep.SEEDS, weight_decay=decay)


PANELS = (*panel_names(style.LOSSES, map("{:g}".format, DECAYS)), "surviving-modes")


def draw(data: Data) -> Figure:
    """Draw eigenvalues, with losses in rows and weight decays in columns; draw numbers of surviving modes on the right.

    The right panel has the Euclidean loss only.
    """
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
        ax.set_ylabel(f"{loss.capitalize()}, {style.EIGENVALUE}")
    ax = right.subplots()
    ax.plot(UP_TO_FOLD, data.theory, color=style.GREY, label="linear theory")
    ax.plot(UP_TO_FOLD, data.networks, linestyle="none", marker="o", markersize=2.5, color=style.BLUE)
    ax.plot([], [], linestyle="none", marker="o", markersize=2.5, color=style.BLUE, label="networks")
    ax.set(title="Surviving modes", xlabel=r"weight decay $\rho$", ylim=(0, None))
    ax.legend(loc="lower center", bbox_to_anchor=(0.5, 1.1))
    return figure


def caption(data: Data, full: bool) -> str:
    """Return the caption, which describes the panels and states how weight decay changes modes and their number."""
    point, spread = (plus_minus(values) for values in data.channel_std)
    unchanged = percent(DECAYS[-1] * max(deep.LEARNING_RATE.values()) * STEPS[full])
    return f"""
MLPs with DirectPred on images of handwritten digits, trained with weight decay rho. First four columns: eigenvalues
`s_m` of the correlation of the representation z against step, one column for each rho; geometric mean over
{len(deep.SEEDS)} seeds; dark to light: smallest to largest. Top: Euclidean loss; bottom: cosine loss. The last three
values of rho are those of Halvagal et al. (2023). The value {DECAYS[0]:g} is added because the networks are trained for
few steps, in which only a large weight decay has a large effect.

Halvagal et al. (2023) claim that weight decay shrinks the small eigenvalues, which the loss does not sustain, and that
the large eigenvalues persist. Modes are numbered from the largest eigenvalue, which is mode 1. The table below tests
this claim for large modes (2 to 6) and small modes (17 to 32), at each weight decay rho. Final eigenvalue: geometric
mean over the large modes. Ratio: geometric mean of the final eigenvalues of the large or of the small modes, divided by
this mean in the network of the same seed at the smallest weight decay, rho = {DECAYS[-1]:g}. A rho of {DECAYS[-1]:g}
changes each weight by at most {unchanged} in all steps together. The null hypothesis is a ratio of 1. In parentheses:
95 % intervals over seeds (Student's t); of twenty such intervals, one is expected to miss the true value. Under the
Euclidean loss the linear theory predicts that surviving modes have the eigenvalue {_level(DECAYS[0]):.2f} at rho =
{DECAYS[0]:g}, and {_level(DECAYS[-1]):.2f} at rho = {DECAYS[-1]:g}.

{_table(data)}

Right: number of modes with a final eigenvalue above {THRESHOLD:g} under the Euclidean loss, against the weight decay
rho. Each point is one network. Line: the steady state of the linear theory from the initial eigenvalues of the
networks. In theory a mode vanishes if it starts below a basin boundary, which rises with rho, and all modes vanish
beyond a fold at rho = 1/4. At rho = {UP_TO_FOLD[0]:g}, {plus_minus(data.networks[0], 1)} modes survive in the networks
(mean +- standard error over seeds), and {data.theory[0]} in theory. The numbers that follow are the shares of these
surviving modes that vanish at a larger rho, in percent, with a 95 % interval over seeds; the null hypothesis is the
share in theory. {_losses(data)}. The theory assumes white inputs and no noise. The networks are measured after
{next(iter(data.runs.values())).settings["steps"]} steps; at this time some modes may still be shrinking.

The spread of the representations z under the Euclidean loss is the standard deviation of the channels of z/|z| over
images, averaged over channels. The spread is 1 if representations are evenly spread, and 0 if the representation is the
same for all images. In the networks the spread is {point} at rho = {UP_TO_FOLD[-1]:g}, and {spread} at rho =
{UP_TO_FOLD[0]:g} (mean +- standard error over seeds)."""


def _level(decay: float) -> float:
    """Return the steady-state eigenvalue of a surviving mode at weight decay ``decay``, in the linear theory."""
    return float(dyn.collapse(LINEAR.replace(weight_decay=decay), [1.0]).final[0])


def effect(s: np.ndarray, reference: np.ndarray, modes: slice) -> Interval:
    """Return the factor between the final eigenvalues of runs and of reference runs, with an interval over seeds.

    s, reference: eigenvalues (S, T, M) of the runs and of the reference runs, which have the same S seeds. modes: the
    ranks that are counted; the largest eigenvalue has rank 0. The factor is the geometric mean of s/reference over the
    counted modes and over seeds.
    """
    ends = (np.sort(values[:, -1])[:, ::-1][:, modes] for values in (s, reference))
    logs = [np.log(np.maximum(end, np.finfo(float).tiny)).mean(axis=-1) for end in ends]
    return ratio_of(np.exp(logs[0] - logs[1]))


def _table(data: Data) -> str:
    """Format a table of the effect of weight decay on large and on small modes."""
    of_modes = (f"{what} {size} modes" for size in ("large", "small") for what in ("ratio of", "effect on"))
    rows = [["", "final eigenvalue of large modes", *of_modes]]
    words = {-1: "shrink", 1: "grow", 0: "no effect distinguishable"}
    for (loss, decay), run in data.runs.items():
        name, reference = f"{loss}, rho = {decay:g}", data.runs[loss, DECAYS[-1]].s
        if not np.isfinite(run.s[:, -1]).all():
            rows.append([name, run.status, "", "", "", ""])
            continue
        cells = [deep.final_level(run.s, LARGE_MODES).text()]
        for modes in (LARGE_MODES, SMALL_MODES):
            ratio = effect(run.s, reference, modes)
            cells += (
                ["", ""]
                if decay == DECAYS[-1]
                else [ratio.text(".3f" if ratio.low > 0.1 else ".1g"), words[ratio.side(1)]]
            )
        rows.append([name, *cells])
    return table(rows)


def _losses(data: Data) -> str:
    """Format, for each weight decay but the smallest in UP_TO_FOLD, the share of modes that vanish in networks.

    The share is in percent of the modes that survive at the smallest weight decay, and is compared with theory.
    """
    parts = []
    lost, predicted = (100 - 100 * left[1:] / left[0] for left in (data.networks, data.theory))
    for decay, seeds, theory in zip(UP_TO_FOLD[1:], lost, predicted, strict=True):
        share = mean_of(seeds)
        words = {-1: "less than", 1: "more than", 0: "not distinguishable from"}
        parts.append(f"rho = {decay:g}: {share.text('.0f')}, {words[share.side(theory)]} {theory:.0f} in theory")
    return "; ".join(parts)
