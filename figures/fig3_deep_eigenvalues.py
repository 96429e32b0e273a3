"""Eigenvalues of deep networks compared with the linear theory; accuracy early in training.

Halvagal et al. (2023), Figure 3: DirectPred, IsoLoss and BYOL under Euclidean and cosine loss.
"""

from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from scipy.stats import kendalltau

import dynamics as dyn
from dynamics.networks.deep.linear_theory import arrival, linear_theory
from dynamics.results.plotting import mode_colors
from figures import deep_networks as deep
from figures import style
from figures.captions import count, listing, percent

METHODS = {  # method: target
    "DirectPred": "shared target",
    "IsoLoss": "shared target",
    "MLP predictor": "EMA target",
}
NAMES = {"MLP predictor": "BYOL"}
COLOURS = {"DirectPred": style.BLUE, "IsoLoss": style.RED, "MLP predictor": style.GREEN}
THEORY = {"linestyle": (0, (3, 2)), "linewidth": 0.6, "color": style.GREY, "zorder": 1}
EARLY = 100  # steps early in training, in which accuracies are compared
HALF = 0.5  # fraction of the plateau that a mode reaches

Key = tuple[str, str]


class Panel(NamedTuple):
    """Networks (S, T, M), and the linear theory from the networks' initial eigenvalues (None for an MLP predictor)."""

    networks: dyn.Trajectory
    theory: dyn.Trajectory | None
    pace: float  # time of the flow per time of the network, fitted to DirectPred
    fitted_pace: float  # time of the flow per time of the network, fitted to the networks of this panel


def compute(full: bool) -> dict[Key, Panel]:
    """Return all panels; the one free parameter of the theory, the time scale, is fitted to DirectPred alone."""
    panels: dict[Key, Panel] = {}
    for loss in style.LOSSES:
        for method, target in METHODS.items():
            networks = deep.run(method, loss, target, full)
            if method == "MLP predictor":
                panels[loss, method] = Panel(networks, None, np.nan, np.nan)
                continue
            theory = linear_theory(networks)
            pace = theory.pace if method == "DirectPred" else panels[loss, "DirectPred"].pace
            panels[loss, method] = Panel(networks, linear_theory(networks, pace).flow, pace, theory.pace)
    return panels


def typical(networks: dyn.Trajectory) -> np.ndarray:
    """Return the geometric mean of the eigenvalues over seeds (T, M)."""
    return np.exp(np.log(networks.s).mean(axis=0))


def draw(data: dict[Key, Panel]) -> Figure:
    """Draw losses in rows; eigenvalues of each method, and accuracies, in columns."""
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


def _draw_accuracies(ax: Axes, loss: str, data: dict[Key, Panel]) -> None:
    """Draw the accuracy of the linear readout, mean and standard error over seeds."""
    for method in METHODS:
        run = data[loss, method].networks
        early = deep.steps_of(run) <= EARLY
        mean, error = deep.mean_and_error(run.measures["linear_accuracy"][:, early])
        name = NAMES.get(method, method)
        ax.errorbar(
            deep.steps_of(run)[early], 100 * mean, 100 * error, color=COLOURS[method], label=name, linewidth=0.9
        )
    ax.set(title="Early accuracy of readout, %")
    ax.legend(loc="lower right")
    ax.locator_params(axis="x", nbins=3)


def _plateau(panel: Panel) -> str:
    """Format mean and relative spread of the final eigenvalues that exceed half of the largest eigenvalue."""
    s = typical(panel.networks)[-1]
    large = s[s > HALF * s.max()]
    return f"{large.mean():.2f} +- {percent(large.std() / large.mean())} ({len(large)} modes)"


def _level(data: dict[Key, Panel], loss: str) -> float:
    """Return half of the plateau of eigenvalues.

    It is 1/2 under the Euclidean loss, and half of the largest final eigenvalue of DirectPred under the cosine loss.
    """
    return HALF if loss == "euclidean" else HALF * typical(data[loss, "DirectPred"].networks)[-1, -1]


def _speed_up(data: dict[Key, Panel], loss: str, what: str) -> tuple[float, int]:
    """Return the median speed-up of modes by IsoLoss relative to DirectPred, and the number of modes in the median.

    The speed-up is the ratio of the times at which a mode reaches half of the plateau. ``what`` is "networks" or
    "theory".
    """
    when = []
    for method in ("DirectPred", "IsoLoss"):
        panel = data[loss, method]
        s = typical(panel.networks) if what == "networks" or panel.theory is None else panel.theory.s
        when.append(arrival(s, deep.steps_of(panel.networks), _level(data, loss)))
    both = np.isfinite(when).all(axis=0) & (np.array(when) > 0).all(axis=0)
    return (float(np.median(when[0][both] / when[1][both])) if both.any() else np.nan), int(both.sum())


def _order(panel: Panel, level: float) -> tuple[float, float]:
    """Return Kendall's tau between initial size and order of arrival at ``level``: mean and standard error over seeds.

    A tau of 1 means that larger modes always arrive earlier. Modes are variances along the initial eigenvectors; only
    modes that start below ``level`` and reach it are counted.
    """
    taus = []
    for modes in panel.networks.measures["modes"]:
        when = arrival(modes, deep.steps_of(panel.networks), level)
        arrived = np.isfinite(when) & (when > 0)
        taus.append(kendalltau(modes[0, arrived], -when[arrived]).statistic)
    mean, error = deep.mean_and_error(np.array(taus))
    return float(mean), float(error)


def caption(data: dict[Key, Panel], full: bool) -> str:
    """Return the caption: contents, and the measured number for each claim of the theory."""
    plateaus = {loss: [f"{NAMES.get(m, m)} {_plateau(data[loss, m])}" for m in METHODS] for loss in style.LOSSES}
    speed = {loss: {what: _speed_up(data, loss, what) for what in ("networks", "theory")} for loss in style.LOSSES}
    paces = listing(
        f"{data[loss, 'IsoLoss'].fitted_pace / data[loss, 'IsoLoss'].pace:.2f} ({loss})" for loss in style.LOSSES
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
    shrunk = listing(f"{_small(data[loss, 'IsoLoss'])} ({loss})" for loss in style.LOSSES)
    return f"""
Eigenvalues `s_m` of the correlation of the representation z (M = 32) against step. The networks are MLPs with a
projector. They learn from two views of images of handwritten digits, {count(deep.BATCH)} images a step. Lines:
geometric mean over {len(deep.SEEDS)} seeds; dark to light: smallest to largest eigenvalue. Top: Euclidean loss; bottom:
cosine loss. First three columns: DirectPred and IsoLoss, whose target is the encoder itself, and BYOL, whose target is
an exponential average of the encoder. Grey dashes: the flow of the linear theory from the same initial eigenvalues, for
every third mode. The one free parameter of the theory is the time of the flow per time of the network. It is fitted to
DirectPred and used for IsoLoss too. The predictor of BYOL is an MLP, for which there is no theory here. Right: accuracy
of a linear readout on 360 held-out digits during the first {EARLY} steps, in percent; mean and standard error over
seeds.

Plateau: the mean of the final eigenvalues that exceed half of the largest eigenvalue, +- their standard deviation
divided by the mean, with the number of these modes in parentheses. Under the Euclidean loss the theory predicts a
plateau of one; the networks have {listing(plateaus["euclidean"])}. The prediction holds for DirectPred and IsoLoss,
whose predictor is a formula of the spectrum. It does not hold for BYOL, whose predictor may have any size. Under
the cosine loss the theory predicts equal eigenvalues; the networks have {listing(plateaus["cosine"])}.

Speed-up by IsoLoss: modes reach half of the plateau sooner than under DirectPred. The median factor is {measured}. The
theory predicts {predicted}. The free parameter fitted to IsoLoss itself, divided by the free parameter fitted to
DirectPred, is {paces}. The theory fails in one respect: it predicts that all modes grow, but in the networks only some
modes grow within these steps. With IsoLoss, {shrunk} of 32 modes end below their initial value. Order: in theory a
larger mode always reaches half of the plateau before a smaller mode. Kendall's tau between initial eigenvalue and order
of arrival measures this order in the networks, and is 1 if the larger mode always arrives first. For modes along the
initial eigenvectors, tau of DirectPred and IsoLoss is, mean +- standard error over seeds: {order}.

The paper finds IsoLoss ahead of DirectPred early in training. The accuracy of the readout in these networks, averaged
over the first {EARLY} steps, in percent, +- standard error over seeds, is: {accuracies}."""


def _early(run: dyn.Trajectory, name: str) -> str:
    early = (deep.steps_of(run) > 0) & (deep.steps_of(run) <= EARLY)
    mean, error = deep.mean_and_error(run.measures["linear_accuracy"][:, early].mean(axis=1))
    return f"{name} {100 * mean:.1f} +- {100 * error:.1f}"


def _small(panel: Panel) -> int:
    s = typical(panel.networks)
    return int((s[-1] < s[0]).sum())
