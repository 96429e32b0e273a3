"""Gain family: losses that multiply the gradient of each mode by a power of the mode's predictor eigenvalue.

The power is 1 for the standard loss and 0 for the isotropic loss.
"""

from typing import NamedTuple

import numpy as np
from matplotlib.figure import Figure

import dynamics as dyn
from figures import style
from figures.agreement import agreement, agreements
from figures.captions import count, listing, noise, percent
from figures.panels import panel_names

MODES, INPUTS, SEED = 10, 15, 0
POWERS = (-1.0, -0.5, 0.0, 0.5, 1.0)
LEARNING_RATE = {"euclidean": 0.02, "cosine": 0.05}
STEPS, POINTS = {"euclidean": 400, "cosine": 800}, 20
BATCH = {False: 2_500, True: 50_000}
COMPARED = {False: 2, True: 1}  # every second power is compared with the descent map; its prediction takes seconds
LIMITS = (0.03, 3.0)  # limits of the axis of eigenvalues
CLOSE = 0.9  # a mode has arrived if it exceeds this fraction of the largest final eigenvalue


class Panel(NamedTuple):
    """A network and the descent map under one loss, whose gain is one power of the predictor eigenvalue lambda."""

    network: dyn.Trajectory
    theory: dyn.Trajectory


def compute(full: bool) -> dict[tuple[str, float], Panel]:
    """Return a panel for each loss and each power; all runs have the same initial weights."""
    W0 = style.initial_weights(MODES, INPUTS, SEED)
    s0 = style.eigenvalues_of(W0)
    panels = {}
    for loss in style.LOSSES:
        steps, eta = STEPS[loss], LEARNING_RATE[loss]
        for power in POWERS:
            model = dyn.Model(loss, noise=style.NOISE, gain=dyn.Gain.parse("lambda^power", power=power))
            network = dyn.train(model, W0, steps, eta, batch_size=BATCH[full], seed=SEED, record=steps // POINTS)
            panels[loss, power] = Panel(network, dyn.iterate(model, s0, steps, eta, record=steps // (10 * POINTS)))
    return panels


PANELS = panel_names(style.LOSSES, (f"power {power:g}".replace("-", "minus ") for power in POWERS))


def draw(data: dict[tuple[str, float], Panel]) -> Figure:
    """Draw eigenvalues against steps: losses in rows, powers of the gain in columns."""
    figure = Figure(figsize=(style.PAGE, 3.4))
    axes = figure.subplots(len(style.LOSSES), len(POWERS), sharey=True)
    for ax, ((loss, power), panel) in zip(axes.flat, data.items(), strict=True):
        style.draw_modes(ax, panel.theory, **style.THEORY)
        style.draw_modes(ax, panel.network, **style.NETWORK)
        names = {0.0: r"$h = 1$ (isotropic)", 1.0: r"$h = \lambda$ (standard)"}
        title = names.get(power, rf"$h = \lambda^{{{power:g}}}$")
        ax.set(title=title if loss == style.LOSSES[0] else "", xlim=(0, STEPS[loss]), ylim=LIMITS)
        ax.locator_params(axis="x", nbins=3)
        ax.set_xlabel("step" if loss == style.LOSSES[-1] else "")
        ax.set_ylabel(f"{loss.capitalize()}: {style.EIGENVALUE}" if power == POWERS[0] else "")
    style.legend(figure, network=style.NETWORK, descent_map=style.THEORY)
    return figure


def caption(data: dict[tuple[str, float], Panel], full: bool) -> str:
    """Return the caption, which describes the panels, states speeds, and tests networks against theory."""
    compared = POWERS[:: COMPARED[full]]
    rows = {
        f"{loss}, power {power:g}": agreement(data[loss, power].network) for loss in style.LOSSES for power in compared
    }
    times = listing(f"{_slowest(data['euclidean', power].theory)} (power {power:g})" for power in POWERS)
    return f"""
Eigenvalues `s_m` of the representation correlation against step, for linear networks (M = {MODES} modes, N = {INPUTS}
inputs, {noise(style.NOISE)}). The loss multiplies the gradient of each mode by a gain `h(lambda)`, where lambda = s is
the predictor eigenvalue of the mode; in code, `Model(loss, gain="lambda^power")`. Top: Euclidean loss; bottom: cosine
loss; columns: the gain. Points: networks that are trained with {count(BATCH[full])} fresh samples a step at learning
rate {LEARNING_RATE["euclidean"]} (Euclidean) and {LEARNING_RATE["cosine"]} (cosine). Lines: the descent map. Dark to
light: smallest to largest eigenvalue. The singular value w of a mode obeys dw/dt = r w with the rate r. Under the
Euclidean loss `r = h(lambda) (1 - n1 lambda)`, where `n1 = 1 + sigma1^2` and sigma1 is the standard deviation of the
noise on the online view. Under the cosine loss `r = h(lambda) (A - lambda B)/s`, where `A = E[z1_m z2_m/(|p| |z2|)]`
and `B = E[(p . z2) z1_m^2/(|p|^3 |z2|)]`. Here `z1` and `z2` are the representations of the two views, `z1_m` and
`z2_m` are their components in mode m, and `p` is the prediction.

The losses of this figure multiply the gradient of a mode by a gain, which is a power of the predictor eigenvalue lambda
of this mode. Halvagal et al. (2023) study two of these losses: the standard loss (power 1) and the isotropic loss
(power 0). The smaller the power, the faster small modes grow compared with large modes. Under the Euclidean loss, the
number of steps until all {MODES} eigenvalues exceed {percent(CLOSE)} of the final value of the largest eigenvalue is
{times}. At power -1 the differential equation of lambda under the Euclidean loss is linear and has an exact solution.

{agreements(rows)}

{"" if full else "The table above has every second power of the figure."}"""


def _slowest(theory: dyn.Trajectory) -> str:
    """Format the number of steps until all eigenvalues exceed CLOSE times the largest final eigenvalue."""
    arrived = (theory.s >= CLOSE * theory.s[-1].max()).all(axis=-1)
    step = np.asarray(theory.step)
    return f"{step[arrived.argmax()]}" if arrived.any() else f"more than {step[-1]}"
