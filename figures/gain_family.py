"""Gain family: gradients multiplied by powers of lambda, between and beyond the losses known.

The standard loss multiplies the gradient of a mode by lambda, the isotropic one by 1. Powers lie between and beyond.
"""

from typing import NamedTuple

import numpy as np
from matplotlib.figure import Figure

import dynamics as dyn
from figures import style
from figures.captions import count, listing, percent

MODES, INPUTS, SEED = 10, 15, 0
POWERS = (-1.0, -0.5, 0.0, 0.5, 1.0)
LEARNING_RATE = {"euclidean": 0.02, "cosine": 0.05}
STEPS, POINTS = {"euclidean": 400, "cosine": 800}, 20
BATCH = {False: 5_000, True: 50_000}
SEEN = (0.03, 3.0)  # eigenvalues that are drawn
CLOSE = 0.9  # of what an eigenvalue comes to in the end


class Panel(NamedTuple):
    """One loss and one power."""

    network: dyn.Trajectory
    theory: dyn.Trajectory


def compute(full: bool) -> dict[tuple[str, float], Panel]:
    """All panels, from the same initial weights."""
    W0 = style.initial_weights(MODES, INPUTS, SEED)
    s0 = style.eigenvalues_of(W0)
    found = {}
    for loss in style.LOSSES:
        steps, eta = STEPS[loss], LEARNING_RATE[loss]
        for power in POWERS:
            model = dyn.Model(loss, noise=style.NOISE, gain=dyn.Gain.parse("lambda^power", power=power))
            network = dyn.train(model, W0, steps, eta, batch_size=BATCH[full], seed=SEED, record=steps // POINTS)
            found[loss, power] = Panel(network, dyn.iterate(model, s0, steps, eta, record=steps // (10 * POINTS)))
    return found


def draw(data: dict[tuple[str, float], Panel]) -> Figure:
    """Losses in rows, powers in columns."""
    figure = Figure(figsize=(style.PAGE, 3.4))
    axes = figure.subplots(len(style.LOSSES), len(POWERS), sharey=True)
    for ax, ((loss, power), panel) in zip(axes.flat, data.items(), strict=True):
        style.draw_modes(ax, panel.theory, **style.THEORY)
        style.draw_modes(ax, panel.network, **style.NETWORK)
        names = {0.0: r"$h = 1$ (isotropic)", 1.0: r"$h = \lambda$ (standard)"}
        title = names.get(power, rf"$h = \lambda^{{{power:g}}}$")
        ax.set(title=title if loss == style.LOSSES[0] else "", xlim=(0, STEPS[loss]), ylim=SEEN)
        ax.locator_params(axis="x", nbins=3)
        ax.set_xlabel("step" if loss == style.LOSSES[-1] else "")
        ax.set_ylabel(f"{loss.capitalize()}: $s_m$" if power == POWERS[0] else "")
    style.legend(figure, network=style.NETWORK, descent_map=style.THEORY)
    return figure


def caption(data: dict[tuple[str, float], Panel], full: bool) -> str:
    """What is shown, how far the networks are from the theory, and what the power does to the speeds."""
    worst = {loss: 0.0 for loss in style.LOSSES}
    for (loss, _), panel in data.items():
        worst[loss] = max(worst[loss], dyn.compare(panel.theory, panel.network).max_relative())
    off = listing(f"{percent(value)} ({loss})" for loss, value in worst.items())
    times = listing(f"{_slowest(data['euclidean', power].theory)} at {power:g}" for power in POWERS)
    return f"""
Eigenvalues `s_m` of the representation correlation while linear networks (M = {MODES}, N = {INPUTS}, noise
{style.NOISE}, alpha = 1) are trained with the gradient of each mode multiplied by `h(lambda)` in place of lambda:
`Model(loss, gain="lambda^power")`, a loss with stop-gradients of its own. Points: networks, {count(BATCH[full])} fresh
samples a step, learning rate {LEARNING_RATE["euclidean"]} (Euclidean) and {LEARNING_RATE["cosine"]} (cosine). Lines:
the descent map of the derived rates, `r = -h(lambda) (n1 lambda - 1)` and `s r = h(lambda) (A - lambda B)`.

The paper has two members of this family, the standard and the isotropic loss. The smaller the power the more small
modes are favoured: under the Euclidean loss all ten have come to {percent(CLOSE)} of where the largest ends after so
many steps, by power: {times}. At power -1 the Euclidean flow of lambda is linear, with an exact solution. Largest
relative deviation of a network from theory: {off}."""


def _slowest(theory: dyn.Trajectory) -> str:
    """Steps until all modes have come to a share of where the largest ends."""
    arrived = (theory.s >= CLOSE * theory.s[-1].max()).all(axis=-1)
    step = np.asarray(theory.step)
    return f"{step[arrived.argmax()]}" if arrived.any() else f"more than {step[-1]}"
