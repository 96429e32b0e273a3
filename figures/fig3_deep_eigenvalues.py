"""Eigenvalues of deep networks compared with the linear theory, and accuracy early in training.

The methods are DirectPred, IsoLoss and BYOL under the Euclidean and the cosine loss, as in Figure 3 of Halvagal et al.
(2023).
"""

from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from scipy.stats import kendalltau

import dynamics as dyn
from dynamics.networks.deep.linear_theory import arrival, linear_theory
from dynamics.presentation.plotting import mode_colors
from figures import deep_networks as deep
from figures import style
from figures.captions import count, listing, table
from figures.panels import panel_names
from figures.statistics import (
    Interval,
    difference_error,
    image_error,
    mean_and_error,
    mean_of,
    median_of,
    plus_minus,
    ratio_of,
)

METHODS = {  # the target of each method
    "DirectPred": "shared target",
    "IsoLoss": "shared target",
    "MLP predictor": "EMA target",
}
NAMES = {"MLP predictor": "BYOL"}
COLOURS = {"DirectPred": style.BLUE, "IsoLoss": style.RED, "MLP predictor": style.GREEN}
THEORY = {"linestyle": (0, (3, 2)), "linewidth": 0.6, "color": style.GREY, "zorder": 1}
EARLY = 100  # number of first steps, over which accuracies are compared
HALF = 0.5  # the speed of a mode is measured by the step at which it reaches this fraction of the plateau
SPREADS = {-1: "closer together", 1: "further apart", 0: "neither"}  # words for a ratio below, above, and about 1

Key = tuple[str, str]


class Panel(NamedTuple):
    """The networks of all seeds, with eigenvalues (S, T, M), and the flow of the linear theory.

    The flow starts from the initial eigenvalues of the networks, averaged geometrically over seeds. The theory is None
    for an MLP predictor.
    """

    networks: dyn.Trajectory
    theory: dyn.Trajectory | None


def compute(full: bool) -> dict[Key, Panel]:
    """Return all panels; the time scale, which is the only free parameter of the theory, is fitted to DirectPred."""
    panels: dict[Key, Panel] = {}
    for loss in style.LOSSES:
        networks = {method: deep.run(method, loss, target, full) for method, target in METHODS.items()}
        pace = linear_theory(networks["DirectPred"]).pace
        for method, run in networks.items():
            theory = None if method == "MLP predictor" else linear_theory(run, pace).flow
            panels[loss, method] = Panel(run, theory)
    return panels


def typical(networks: dyn.Trajectory) -> np.ndarray:
    """Return the geometric mean over seeds of the eigenvalues, with shape (T, M)."""
    return np.exp(np.log(networks.s).mean(axis=0))


PANELS = panel_names(style.LOSSES, (*(NAMES.get(method, method) for method in METHODS), "readout"))


def draw(data: dict[Key, Panel]) -> Figure:
    """Draw one row for each loss: a panel with the eigenvalues of each method, and a panel with the accuracies."""
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
        row[0].set_ylabel(style.EIGENVALUE)
    for ax in axes[-1]:
        ax.set_xlabel("step")
    style.legend(figure, networks={"linewidth": 0.8}, linear_theory=THEORY)
    return figure


def _draw_accuracies(ax: Axes, loss: str, data: dict[Key, Panel]) -> None:
    """Draw the accuracy of the linear readout against steps: mean and standard error over seeds."""
    for method in METHODS:
        run = data[loss, method].networks
        early = deep.steps_of(run) <= EARLY
        mean, error = mean_and_error(run.measures["linear_accuracy"][:, early])
        name = NAMES.get(method, method)
        ax.errorbar(
            deep.steps_of(run)[early], 100 * mean, 100 * error, color=COLOURS[method], label=name, linewidth=0.9
        )
    ax.set(title="Readout, accuracy in %")
    ax.legend(loc="best")
    ax.locator_params(axis="x", nbins=3)


def spread(s: np.ndarray, ranks: slice) -> np.ndarray:
    """Return the standard deviation of log s over a range of modes, for eigenvalues s (..., M).

    ranks: the modes that are counted; the largest eigenvalue has rank 0.
    """
    return np.log(np.sort(s, axis=-1)[..., ::-1][..., ranks]).std(axis=-1)


def flattening(s: np.ndarray, ranks: slice) -> Interval:
    """Return the spread of the final eigenvalues divided by the spread of the initial eigenvalues.

    The function ``spread`` defines the spread and ``ranks``. s: eigenvalues (S, T, M). The ratio is a geometric mean
    over seeds. It is 1 if training does not change the spread, and 0 if all eigenvalues end at the same value.
    """
    return ratio_of(spread(s[:, -1], ranks) / spread(s[:, 0], ranks))


def _plateaus(data: dict[Key, Panel]) -> str:
    """Format a table with final eigenvalues, and with final divided by initial spreads of the eigenvalues.

    Both numbers are stated for networks and in theory. Each row has one loss, one method and one range of modes.
    """
    columns = [
        f"{name} in {where}" for name in ("final eigenvalue", "ratio of spreads") for where in ("networks", "theory")
    ]
    rows = [["", "modes", *columns, "modes of networks end"]]
    for (loss, method), panel in data.items():
        for name, ranks in deep.RANKS.items():
            measured = [function(panel.networks.s, ranks) for function in (deep.final_level, flattening)]
            theory = ["", ""]
            if panel.theory is not None:
                s = panel.theory.s
                level = np.exp(np.log(np.sort(s[-1])[::-1][ranks]).mean())
                theory = [f"{level:.2f}", f"{spread(s[-1], ranks) / spread(s[0], ranks):.2f}"]
            cells = [measured[0].text(), theory[0], measured[1].text(), theory[1], SPREADS[measured[1].side(1)]]
            rows.append([f"{loss}, {NAMES.get(method, method)}", name, *cells])
    return table(rows)


def _half(data: dict[Key, Panel], loss: str) -> float:
    """Return half of the plateau, which is the value that all eigenvalues approach in theory.

    The plateau is 1 under the Euclidean loss. Under the cosine loss, the largest final eigenvalue of the networks with
    DirectPred is used as the plateau.
    """
    return HALF if loss == "euclidean" else HALF * typical(data[loss, "DirectPred"].networks)[-1, -1]


def speed_ups(standard: np.ndarray, isotropic: np.ndarray, steps: np.ndarray, level: float) -> np.ndarray:
    """Return, for each mode, the arrival step of a standard run divided by the arrival step of an isotropic run.

    The arrival step of a mode is the step at which its eigenvalue reaches the value ``level``. standard, isotropic:
    eigenvalues (..., T, M) of the two runs, recorded at the same ``steps`` (T,). The ratio (..., M) is inf if only the
    isotropic run reaches ``level``, and 0 if only the standard run reaches it. The ratio is nan if no run reaches
    ``level``, or if the mode starts above ``level``.
    """
    first, second = arrival(standard, steps, level), arrival(isotropic, steps, level)
    counted = (first > 0) & (second > 0) & (np.isfinite(first) | np.isfinite(second))
    return np.divide(first, second, out=np.full_like(first, np.nan), where=counted)


def _speed_up(data: dict[Key, Panel], loss: str) -> str:
    """Format the median of the ratios of ``speed_ups``, with DirectPred as standard and IsoLoss as isotropic run.

    The text also has the interval of the median, the number of pairs (seed, mode), and the median in theory.
    """
    standard, isotropic = (data[loss, method] for method in ("DirectPred", "IsoLoss"))
    steps, level = deep.steps_of(standard.networks), _half(data, loss)
    ratios = speed_ups(standard.networks.s, isotropic.networks.s, steps, level)
    median, counted = median_of(ratios), int((~np.isnan(ratios)).sum())
    assert standard.theory is not None and isotropic.theory is not None
    predicted = speed_ups(standard.theory.s, isotropic.theory.s, steps, level)
    both = np.isfinite(predicted) & ~np.isnan(ratios)
    theory = median_of(np.where(both, predicted, np.nan)).value
    result = {1: "faster", -1: "slower", 0: "not distinguishable"}[median.side(1)]
    return f"{loss}: {median.text()}, {counted} pairs, in theory {theory:.2f}, IsoLoss is {result}"


def _order(panel: Panel, level: float) -> np.ndarray:
    """Return, for each seed (S,), Kendall's tau between the initial size and the order of arrival of modes.

    Each mode is one initial eigenvector, and the size of a mode is the variance of the representation along this
    eigenvector. A mode arrives when its size reaches ``level``. Only modes that start below ``level`` and reach it are
    counted. If tau is 1, a larger mode always arrives before a smaller mode.
    """
    taus = []
    for modes in panel.networks.measures["modes"]:
        when = arrival(modes, deep.steps_of(panel.networks), level)
        arrived = np.isfinite(when) & (when > 0)
        taus.append(kendalltau(modes[0, arrived], -when[arrived]).statistic)
    return np.array(taus)


def _orders(data: dict[Key, Panel]) -> str:
    parts = []
    for loss in style.LOSSES:
        for method in ("DirectPred", "IsoLoss"):
            tau = mean_of(_order(data[loss, method], _half(data, loss)))
            known = {1: "above 0", -1: "below 0", 0: "not distinguishable from 0"}[tau.side(0)]
            perfect = "below 1" if tau.side(1) < 0 else "not distinguishable from 1"
            parts.append(f"{loss}, {method}: {tau.text()}, {known} and {perfect}")
    return "; ".join(parts)


def _shrunk(data: dict[Key, Panel]) -> str:
    """Format, for each loss, the number of modes that shrink under IsoLoss: mean and standard error over seeds.

    A mode shrinks if its final eigenvalue is below its initial eigenvalue.
    """
    runs = {loss: data[loss, "IsoLoss"].networks.s for loss in style.LOSSES}
    return listing(f"{plus_minus((s[:, -1] < s[:, 0]).sum(axis=-1), 1)} ({loss})" for loss, s in runs.items())


def _early(run: dyn.Trajectory) -> np.ndarray:
    """Return, for each seed (S,), the accuracy of the readout in percent, averaged over the first EARLY steps."""
    early = (deep.steps_of(run) > 0) & (deep.steps_of(run) <= EARLY)
    return 100 * run.measures["linear_accuracy"][:, early].mean(axis=1)


def _lead(data: dict[Key, Panel]) -> str:
    """Format, for each loss, the early accuracy (see ``_early``) of IsoLoss minus that of DirectPred.

    The text has an interval over seeds, and the standard error due to the finite number of held-out digits.
    """
    parts = []
    for loss in style.LOSSES:
        isotropic, standard = (_early(data[loss, method].networks) for method in ("IsoLoss", "DirectPred"))
        lead = mean_of(isotropic - standard)
        digits = 100 * difference_error(isotropic / 100, standard / 100, deep.TEST_IMAGES)
        known = {1: "ahead", -1: "behind", 0: "neither ahead nor behind"}[lead.side(0)]
        parts.append(
            f"{loss}: {lead.text('.1f')}, {known} on these digits, standard error for other digits at most {digits:.1f}"
        )
    return "; ".join(parts)


def caption(data: dict[Key, Panel], full: bool) -> str:
    """Return the caption, which describes the panels and tests claims about the networks.

    For each claim, the caption states a statistic, its interval, and its value under the null hypothesis.
    """
    accuracies = "; ".join(
        f"{loss}: " + listing(f"{NAMES.get(m, m)} {plus_minus(_early(data[loss, m].networks), 1)}" for m in METHODS)
        for loss in style.LOSSES
    )
    largest = plus_minus(data["euclidean", "DirectPred"].networks.s[:, 0, -1])
    speed = "; ".join(_speed_up(data, loss) for loss in style.LOSSES)
    digits = max(100 * image_error(_early(panel.networks) / 100, deep.TEST_IMAGES) for panel in data.values())
    return f"""
Eigenvalues `s_m` of the correlation of the representation z (M = 32) against step. The networks are MLPs with a
projector. They learn from two views of images of handwritten digits, {count(deep.BATCH[full])} images a step. Lines:
geometric mean over {len(deep.SEEDS)} seeds; dark to light: smallest to largest eigenvalue. Top: Euclidean loss; bottom:
cosine loss. First three columns: DirectPred and IsoLoss, whose target is the encoder itself, and BYOL, whose target is
an exponential average of the encoder. Grey dashes: the flow of the linear theory from the same initial eigenvalues, for
every third mode. The one free parameter of the theory, the time of the flow per time of the network, is fitted to
DirectPred and used for IsoLoss too. The predictor of BYOL is an MLP, for which there is no theory here. Right: accuracy
of a linear readout on {deep.TEST_IMAGES} held-out digits during the first {EARLY} steps, in percent; mean and standard
error over seeds. The text below this figure has 95 % intervals in parentheses; of twenty such intervals, one is
expected to miss the true value.

In theory all eigenvalues approach one value, the plateau, which is 1 under the Euclidean loss. The table below tests
whether the eigenvalues of the networks do so. Modes are numbered from the largest eigenvalue, which is mode 1. The
table has two ranges of modes, both without mode 1; the eigenvalue of mode 1 starts at {largest} under DirectPred with
the Euclidean loss. Final eigenvalue: geometric mean over the range of modes and over seeds. Ratio of spreads: standard
deviation of the logarithms of the eigenvalues over the range of modes at the end, divided by this standard deviation at
the start. The ratio is 0 if the modes end on a plateau, and 1 (the null hypothesis) if training moves the modes neither
together nor apart. In parentheses: 95 % intervals over seeds (Student's t). The last column says "closer together" if
the interval of the ratio lies below 1, "further apart" if the interval lies above 1, and "neither" if the interval
contains 1.

{_plateaus(data)}

The speed-up of a mode by IsoLoss is the step at which the mode reaches half of the plateau under DirectPred, divided by
the step at which a mode of the same rank and seed reaches half of the plateau under IsoLoss. The plateau is the value
that all eigenvalues approach in theory: 1 under the Euclidean loss; under the cosine loss, the largest final eigenvalue
of the networks with DirectPred is used. The speed-up is infinite for modes that reach half of the plateau only under
IsoLoss, zero for modes that reach half of the plateau only under DirectPred, and 1 under the null hypothesis. For each
loss, the first number below is the median over all pairs of mode and seed, with a 95 % bootstrap interval over modes
and seeds. The number in theory is a median, too, but only over the pairs for which the mode reaches half of the plateau
in the flow of both methods. {speed}.

In theory all modes below the plateau, the common final eigenvalue, grow. In the networks with IsoLoss, the number of
the 32 modes that end below their initial value is {_shrunk(data)} (mean +- standard error over seeds). In theory a
larger mode always reaches half of the plateau before a smaller mode. This order is tested for modes along the initial
eigenvectors, by Kendall's tau between the initial eigenvalue and the order in which modes reach half of the plateau.
Tau is 1 in theory, and 0 if initial eigenvalue and order are independent. Mean of tau, with a 95 % interval over seeds
(Student's t): {_orders(data)}.

Halvagal et al. (2023) find that a linear readout has a higher accuracy with IsoLoss than with DirectPred early in
training. In the networks of this figure, the accuracies of the readout, averaged over the first {EARLY} steps, are in
percent, as mean +- standard error over seeds: {accuracies}. All networks are tested on the same {deep.TEST_IMAGES}
digits. Each mean therefore has an additional binomial error of up to {digits:.1f}, which does not show in the
differences between seeds. Accuracy with IsoLoss minus accuracy with DirectPred, in percentage points, with a 95 %
interval over seeds: {_lead(data)}."""
