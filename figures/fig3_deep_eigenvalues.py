"""Eigenvalues of deep networks beside the linear theory; accuracy early in training.

Halvagal et al. (2023), Figure 3: DirectPred, IsoLoss and BYOL under Euclidean and cosine loss.
"""

from typing import NamedTuple

import numpy as np
from matplotlib.figure import Figure
from scipy.stats import kendalltau

import dynamics as dyn
from dynamics.networks.deep.linear_theory import arrival, linear_theory
from dynamics.results.plotting import mode_colors
from figures import deep_networks as deep
from figures import style
from figures.captions import count, listing, percent

METHODS = {  # and the target of each
    "DirectPred": "shared target",
    "IsoLoss": "shared target",
    "MLP predictor": "EMA target",
}
NAMES = {"MLP predictor": "BYOL"}
COLOURS = {"DirectPred": style.BLUE, "IsoLoss": style.RED, "MLP predictor": style.GREEN}
THEORY = {"linestyle": (0, (3, 2)), "linewidth": 0.6, "color": style.GREY, "zorder": 1}
EARLY = 100  # steps
HALF = 0.5  # of the plateau

Key = tuple[str, str]


class Panel(NamedTuple):
    """Networks (S, T, M), and the linear theory from their start; None where it does not know the predictor's."""

    networks: dyn.Trajectory
    theory: dyn.Trajectory | None
    pace: float  # fitted to the standard loss, and kept for the isotropic one
    own_pace: float  # fitted to these


def compute(full: bool) -> dict[Key, Panel]:
    """All panels. The theory's one number, its pace, is fitted to DirectPred alone."""
    panels: dict[Key, Panel] = {}
    for loss in style.LOSSES:
        for method, target in METHODS.items():
            networks = deep.run(method, loss, target, full)
            if method == "MLP predictor":
                panels[loss, method] = Panel(networks, None, np.nan, np.nan)
                continue
            own = linear_theory(networks)
            pace = own.pace if method == "DirectPred" else panels[loss, "DirectPred"].pace
            panels[loss, method] = Panel(networks, linear_theory(networks, pace).flow, pace, own.pace)
    return panels


def typical(networks: dyn.Trajectory) -> np.ndarray:
    """Geometric mean of the eigenvalues over seeds (T, M)."""
    return np.exp(np.log(networks.s).mean(axis=0))


def draw(data: dict[Key, Panel]) -> Figure:
    """Losses in rows; eigenvalues of each method, and accuracies, in columns."""
    figure = Figure(figsize=(style.PAGE, 3.9))
    axes = figure.subplots(len(style.LOSSES), len(METHODS) + 1)
    for row, loss in zip(axes, style.LOSSES, strict=True):
        for ax, method in zip(row, METHODS, strict=False):
            panel = data[loss, method]
            step, s = deep.steps_of(panel.networks), typical(panel.networks)
            for column, colour in zip(s.T, mode_colors(s.shape[1]), strict=True):
                ax.plot(step, column, color=colour, linewidth=0.8)
            if panel.theory is not None:
                ax.plot(step, panel.theory.s[:, ::3], **THEORY)
            ax.set(title=f"{loss.capitalize()}, {NAMES.get(method, method)}", yscale="log", ylim=(1e-3, 60))
            ax.locator_params(axis="x", nbins=3)
            if ax is not row[0]:
                ax.tick_params(labelleft=False)
        _draw_accuracies(row[-1], loss, data)
        row[0].set_ylabel("eigenvalue $s_m$")
    for ax in axes[-1]:
        ax.set_xlabel("step")
    style.legend(figure, networks={"linewidth": 0.8}, linear_theory=THEORY)
    return figure


def _draw_accuracies(ax, loss: str, data: dict[Key, Panel]) -> None:
    """Mean and standard error over seeds of the linear readout."""
    for method in METHODS:
        run = data[loss, method].networks
        early = deep.steps_of(run) <= EARLY
        mean, error = deep.mean_and_error(run.measures["linear_accuracy"][:, early])
        name = NAMES.get(method, method)
        ax.errorbar(
            deep.steps_of(run)[early], 100 * mean, 100 * error, color=COLOURS[method], label=name, linewidth=0.9
        )
    ax.set(title="Readout early on, %")
    ax.legend(loc="lower right")
    ax.locator_params(axis="x", nbins=3)


def _plateau(panel: Panel) -> str:
    """Level and spread of the eigenvalues that came up, at the end."""
    s = typical(panel.networks)[-1]
    up = s[s > HALF * s.max()]
    return f"{up.mean():.2f} +- {percent(up.std() / up.mean())} ({len(up)} modes)"


def _level(data: dict[Key, Panel], loss: str) -> float:
    """Half-way to the plateau: one under the Euclidean loss, DirectPred's own under the cosine loss."""
    return HALF if loss == "euclidean" else HALF * typical(data[loss, "DirectPred"].networks)[-1, -1]


def _speed_up(data: dict[Key, Panel], loss: str, what: str) -> tuple[float, int]:
    """Median of how much earlier modes get half-way with the isotropic loss, and of how many modes."""
    when = []
    for method in ("DirectPred", "IsoLoss"):
        panel = data[loss, method]
        s = typical(panel.networks) if what == "networks" or panel.theory is None else panel.theory.s
        when.append(arrival(s, deep.steps_of(panel.networks), _level(data, loss)))
    both = np.isfinite(when).all(axis=0) & (np.array(when) > 0).all(axis=0)
    return (float(np.median(when[0][both] / when[1][both])) if both.any() else np.nan), int(both.sum())


def _order(panel: Panel, level: float) -> tuple[float, float]:
    """Kendall's tau between the size of modes at the start and their arrival half-way, mean and error over seeds.

    Along the directions of the start, of the modes that were not there yet and arrive: 1 is largest first.
    """
    found = []
    for modes in panel.networks.measures["modes"]:
        when = arrival(modes, deep.steps_of(panel.networks), level)
        some = np.isfinite(when) & (when > 0)
        found.append(kendalltau(modes[0, some], -when[some]).statistic)
    mean, error = deep.mean_and_error(np.array(found))
    return float(mean), float(error)


def caption(data: dict[Key, Panel], full: bool) -> str:
    """What is shown, and for each of the theory's claims a number."""
    plateaus = {loss: [f"{NAMES.get(m, m)} {_plateau(data[loss, m])}" for m in METHODS] for loss in style.LOSSES}
    speed = {loss: {what: _speed_up(data, loss, what) for what in ("networks", "theory")} for loss in style.LOSSES}
    paces = listing(
        f"{data[loss, 'IsoLoss'].own_pace / data[loss, 'IsoLoss'].pace:.2f} ({loss})" for loss in style.LOSSES
    )
    accuracies = "; ".join(
        f"{loss}: " + listing(_early(data[loss, m].networks, NAMES.get(m, m)) for m in METHODS) for loss in style.LOSSES
    )
    measured = listing(f"{speed[a]['networks'][0]:.2g} ({a}, {speed[a]['networks'][1]} modes)" for a in speed)
    predicted = listing(f"{speed[a]['theory'][0]:.2g} ({a})" for a in speed)
    orders = {loss: [_order(data[loss, m], _level(data, loss)) for m in ("DirectPred", "IsoLoss")] for loss in speed}
    order = "; ".join(
        f"{loss}: " + listing(f"{tau:.2f} +- {error:.2f}" for tau, error in orders[loss]) for loss in orders
    )
    left = listing(f"{_small(data[loss, 'IsoLoss'])} ({loss})" for loss in style.LOSSES)
    return f"""
Eigenvalues of the correlation of z (M = 32) while an MLP with projector learns from two views of handwritten digits,
{count(deep.BATCH)} a step, geometric mean over {len(deep.SEEDS)} seeds; dark to light: smallest to largest. Grey: the
flow of the linear theory from the same start, every third mode; its one free number, how fast time runs, is fitted to
DirectPred and kept for IsoLoss. BYOL has an MLP as predictor, whose start the theory does not know. Right: linear
readout on 360 held-out digits, mean and standard error.

Plateau of one under the Euclidean loss, mean and spread of the modes above half of the largest:
{listing(plateaus["euclidean"])}: it holds for the closed forms, in which the predictor copies the spectrum, and not for
BYOL, whose predictor may have any size. Equal plateau under the cosine loss: {listing(plateaus["cosine"])}.

Speed-up by IsoLoss: modes get half-way sooner by a factor (median) of {measured}; the theory says {predicted}. Fitted
to IsoLoss by itself, time would run at {paces} of the pace that was kept. Where theory fails: it brings up all modes,
the networks only some within these steps: with IsoLoss, {left} of 32 modes end below where they started. Order: in
theory the larger mode is always first; along the directions of the start, Kendall's tau between the size and the time
of arrival of modes, of DirectPred and IsoLoss, is {order}.

The paper finds IsoLoss ahead of DirectPred early in training. Readout, mean over the first {EARLY} steps, %:
{accuracies}."""


def _early(run: dyn.Trajectory, name: str) -> str:
    early = (deep.steps_of(run) > 0) & (deep.steps_of(run) <= EARLY)
    mean, error = deep.mean_and_error(run.measures["linear_accuracy"][:, early].mean(axis=1))
    return f"{name} {100 * mean:.1f} +- {100 * error:.1f}"


def _small(panel: Panel) -> int:
    s = typical(panel.networks)
    return int((s[-1] < s[0]).sum())
