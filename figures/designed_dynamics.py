"""Designed dynamics: three design targets, and networks that are trained with the losses designed for them.

First target: all modes approach their steady state at the same time. Second target: only modes with an eigenvalue above
a threshold grow. Third target: all modes converge at the same rate. This rate is the largest rate for which gradient
descent is stable at all learning rates up to a limit.
"""

from typing import Any, NamedTuple

import numpy as np
from matplotlib.figure import Figure

import dynamics as dyn
from figures import style
from figures.agreement import agreement, agreements
from figures.captions import count, listing, noise, percent
from figures.panels import panel_names

INPUTS, SEED, POINTS = 8, 0, 24
STARTS = np.array([0.02, 0.045, 0.09, 0.13, 0.3])
BETWEEN = (0.02, 0.3)
NOISE = (0.1, 0.1)
DECAY = 0.05  # weight decay of the loss with a threshold
LEVEL, SPREAD, TIME = 0.9, 0.05, 10.0
THRESHOLD, LIMIT = 0.1, 0.5
GROWN, VANISHED = 0.5, 0.5  # a mode has grown above this eigenvalue, and vanished below this share of its initial value
BATCH = {False: 5_000, True: 50_000}
STANDARD: dict[str, Any] = {"color": style.GREY, "linestyle": "--", "linewidth": 0.8}
DESIGNED: dict[str, Any] = {"color": style.BLUE, "linewidth": 1.2}


class Panel(NamedTuple):
    """The result of ``dyn.design`` for one design target, and runs under the designed loss and the standard loss.

    All runs have the same initial eigenvalues.
    """

    design: dyn.Design
    theory: dyn.Trajectory  # the descent map under the designed loss
    network: dyn.Trajectory  # a network under the designed loss
    standard: dyn.Trajectory  # the descent map under the standard loss


def targets() -> dict[str, tuple[Any, float, float, float]]:
    """Return the settings of each column of the figure: design target, weight decay, learning rate, and duration.

    The keys are the titles of the columns. The duration is a time t, which is learning rate times step.
    """
    return {
        "all at once": (dyn.SimultaneousArrival(TIME, LEVEL, SPREAD), 0.0, 0.02, 1.3 * TIME),
        "above a threshold": (dyn.ThresholdRecruitment(THRESHOLD, speed=1.0), DECAY, 0.02, 14.0),
        "fastest uniform": (dyn.FastestUniform(LIMIT), 0.0, 0.01, 1.5),
    }


def compute(full: bool) -> dict[str, Panel]:
    """Return a panel for each design target."""
    return {name: _panel(*setting, BATCH[full]) for name, setting in targets().items()}


def _panel(target: Any, decay: float, eta: float, end: float, batch: int) -> Panel:
    standard_model = dyn.Model("euclidean", noise=NOISE, weight_decay=decay)
    design = dyn.design(target, standard_model, between=BETWEEN)
    directions = np.linalg.qr(np.random.default_rng(SEED).standard_normal((INPUTS, len(STARTS))))[0].T
    W0, steps = np.sqrt(STARTS)[:, None] * directions, round(end / eta)
    network = dyn.train(design.model, W0, steps, eta, batch_size=batch, seed=SEED, record=max(1, steps // POINTS))
    theory, standard = (dyn.iterate(model, STARTS, steps, eta) for model in (design.model, standard_model))
    return Panel(design, theory, network, standard)


PANELS = panel_names(("rate", "eigenvalues"), targets())


def draw(data: dict[str, Panel]) -> Figure:
    """Draw rates in the top row and eigenvalues in the bottom row; design targets in columns."""
    figure = Figure(figsize=(style.PAGE, 3.9))
    axes = figure.subplots(2, len(data))
    for (above, below), (name, panel) in zip(axes.T, data.items(), strict=True):
        s = np.geomspace(STARTS[0] / 2, 2, 300)
        rates, decay = panel.design.rates_beside(s), panel.design.model.weight_decay
        above.plot(s, rates["standard"] - decay, **STANDARD)
        above.plot(s, rates["designed"] - decay, **DESIGNED)
        above.axhline(0, color="black", linewidth=0.5)
        above.axvspan(*BETWEEN, color="0.95", zorder=0)
        above.set(title=name, xscale="log", xlabel=style.EIGENVALUE, ylim=(-1, 1.1 * max(1.0, panel.design.fastest)))
        style.draw_modes(below, panel.theory, **style.THEORY)
        style.draw_modes(below, panel.network, **style.NETWORK)
        below.plot(panel.standard.step, panel.standard.s, **STANDARD, zorder=1)
        below.set(xlabel="step", ylabel="", xlim=(0, panel.theory.settings["steps"]), ylim=(0.003, 2))
    axes[0, 0].set_ylabel(r"rate $r - \rho$")
    axes[1, 0].set_ylabel(style.EIGENVALUE)
    style.legend(
        figure, network=style.NETWORK, descent_map=style.THEORY, standard_loss=STANDARD, designed_rate=DESIGNED
    )
    return figure


def caption(data: dict[str, Panel], full: bool) -> str:
    """Return the caption, which describes the panels, and states if design targets are met and what designs cost.

    The costs of a design are the limit of the learning rate, and the fluctuations that finite batches cause.
    """
    rows = {name: agreement(panel.network) for name, panel in data.items()}
    steady = 1 / (1 + NOISE[0] ** 2)
    arrivals = dyn.convergence_time(data["all at once"].design.model, STARTS, LEVEL * steady)
    ordinary = dyn.convergence_time(dyn.Model("euclidean", noise=NOISE), STARTS, LEVEL * steady)
    above, growing = data["above a threshold"], STARTS > THRESHOLD
    ends = [run.s[-1] for run in (above.network, above.standard)]
    grown = [int(np.sum(end[growing] > GROWN)) for end in ends]
    vanished = [int(np.sum(end[~growing] < VANISHED * STARTS[~growing])) for end in ends]
    costs = listing(f"{panel.design.largest_learning_rate:.3g} ({name})" for name, panel in data.items())
    noises = listing(f"{panel.design.noise:.2g} ({name})" for name, panel in data.items())
    return f"""
Losses that `dyn.design(target, model)` designs for desired dynamics. Each column shows one design target. Each designed
loss is the Euclidean loss with a gain `h(lambda)`. The gain multiplies the gradient of a mode with predictor eigenvalue
lambda = s. All models have {noise(NOISE)}. The initial eigenvalues are {listing(f"{s:g}" for s in STARTS)}. Top:
relative growth rate r - rho of the singular value of a mode, against the correlation eigenvalue s of the mode. Here r
is the rate due to the loss, and rho is the weight decay. Blue: designed loss; grey dashes: standard loss; shaded: range
of the initial eigenvalues. Bottom: eigenvalues against step. Points: a linear network under the designed loss with
{count(BATCH[full])} samples a step. Lines: the descent map under the designed loss. Dark to light: smallest to largest
eigenvalue. Grey dashes: the descent map under the standard loss from the same initial eigenvalues.

The design "all at once" should bring all modes to the steady state at the same time. In theory the eigenvalues reach
{percent(LEVEL)} of the steady state between t = {arrivals.min():.3g} and t = {arrivals.max():.3g}, where t is learning
rate times step. Under the standard loss, they reach this value between t = {ordinary.min():.3g} and t =
{ordinary.max():.3g}. Exactly equal times are impossible, because all modes obey the same equation, so that the smallest
mode is the last. Under the design "above a threshold", at weight decay {DECAY:g}, modes that start above an eigenvalue
of {THRESHOLD:g} should grow, and the other modes should vanish. Of the {growing.sum()} modes that should grow,
{grown[0]} end above {GROWN:g} in the network under the designed loss, and {grown[1]} in the descent map under the
standard loss. Of the {np.sum(~growing)} modes that should vanish, {vanished[0]} end below {percent(VANISHED)} of their
initial value in the network under the designed loss, and {vanished[1]} in the descent map under the standard loss.
Under the design "fastest uniform", all singular values converge in theory at the same rate. This rate is the highest
rate for which gradient descent is stable at all learning rates up to {LIMIT:g}.

Each designed loss of this figure has two costs. First, gradient descent is stable only up to a largest learning rate,
which is {costs}. Second, finite batches make the eigenvalues fluctuate about the steady state. In theory the variance
of this fluctuation, divided by the variance under the standard loss, is {noises}.

{agreements(rows)}"""
