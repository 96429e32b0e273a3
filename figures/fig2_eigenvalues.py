"""Eigenvalues of networks and theory in the eight settings of Figure 2 of Halvagal et al. (2023).

The settings are four versions of the Euclidean loss and of the cosine loss: without stop-gradient, without predictor,
standard, and isotropic.
"""

from collections.abc import Iterable
from itertools import product
from typing import NamedTuple

import numpy as np
from matplotlib.figure import Figure

import dynamics as dyn
from figures import style
from figures.agreement import Agreement, agreement, agreements
from figures.captions import count, noise
from figures.panels import panel_names

MODES, INPUTS, SEED = 10, 15, 0
STEPS = 1500
STEPS_NO_PREDICTOR = {False: 3000, True: 100_000}
BATCH = {False: 5_000, True: 50_000}
POINTS, LINE_POINTS = 30, 300  # number of steps at which a network is drawn, and at which a descent map is drawn
LIMITS = (1e-2, 10.0)
Key = tuple[str, str]  # loss and setting


class Panel(NamedTuple):
    """Trajectories under one loss: a network, the descent map, and, for a cosine loss, the mean-field descent map."""

    network: dyn.Trajectory
    theory: dyn.Trajectory
    mean_field: dyn.Trajectory | None


KEYS = tuple(product(style.LOSSES, style.SETTINGS))
PANELS = panel_names(style.LOSSES, style.SETTINGS)


def compute(full: bool, keys: Iterable[Key] = KEYS) -> dict[Key, Panel]:
    """Return a panel for each of the eight losses of Figure 2, or for some; all have the same initial weights."""
    W0, models = style.initial_weights(MODES, INPUTS, SEED), style.paper_models()
    return {key: _panel(key, models[key], W0, full) for key in keys}


def _panel(key: Key, model: dyn.Model, W0: np.ndarray, full: bool) -> Panel:
    loss, setting = key
    no_predictor = setting == "no predictor"
    steps = STEPS_NO_PREDICTOR[full] if no_predictor else STEPS
    learning_rate = 0.01 if loss == "euclidean" and not no_predictor else 0.1
    s0, interval = style.eigenvalues_of(W0), steps // LINE_POINTS
    network = dyn.train(
        model, W0, steps, learning_rate, batch_size=BATCH[full], seed=SEED, record=interval * (LINE_POINTS // POINTS)
    )
    theory = dyn.iterate(model, s0, steps, learning_rate, record=interval)
    if loss == "euclidean":
        return Panel(network, theory, None)
    return Panel(network, theory, dyn.iterate(model, s0, steps, learning_rate, record=interval, closure="mean_field"))


def draw(data: dict[tuple[str, str], Panel]) -> Figure:
    """Draw eigenvalues against steps: Euclidean and cosine losses in rows, versions of the losses in columns."""
    figure = Figure(figsize=(style.PAGE, 3.9))
    axes = figure.subplots(len(style.LOSSES), len(style.SETTINGS), sharey=True)
    for ax, ((loss, setting), panel) in zip(axes.flat, data.items(), strict=True):
        if panel.mean_field:
            style.draw_modes(ax, panel.mean_field, **style.MEAN_FIELD)
        style.draw_modes(ax, panel.theory, **style.THEORY)
        style.draw_modes(ax, panel.network, **style.NETWORK)
        ax.set(title=style.title(loss, setting), ylim=LIMITS, xlim=(0, panel.network.settings["steps"]))
        ax.locator_params(axis="x", nbins=3)
        ax.label_outer(remove_inner_ticks=False)
        ax.set_xlabel("step" if loss == "cosine" else "")
    style.legend(figure, network=style.NETWORK, descent_map=style.THEORY, mean_field=style.MEAN_FIELD)
    return figure


def caption(data: dict[tuple[str, str], Panel], full: bool) -> str:
    """Return the caption, which describes the panels and compares the networks with theory."""
    rows = {style.title(*key): _agreement(panel) for key, panel in data.items()}
    return f"""
Eigenvalues `s_m` of the representation correlation against step, for linear networks (M = {MODES} modes, N = {INPUTS}
inputs, {noise(style.NOISE)}). Each panel shows one of the eight losses in Figure 2 of Halvagal et al. (2023). All
networks start from the same initial weights. Top: Euclidean losses; bottom: cosine losses. Dark to light: smallest to
largest eigenvalue. Points: networks that are trained with {count(BATCH[full])} fresh samples a step. Lines: the descent
map (gradient descent on the population loss). Grey dashes in the panels of the cosine losses: the descent map in the
mean-field approximation, which replaces the expectation of a ratio by the ratio of expectations.

{agreements(rows)}

The table above omits a mode at all steps at which the theoretical variance of this mode is at most {LIMITS[0]:g}. Under
the Euclidean loss without predictor, all modes have the rate -sigma1^2, where sigma1 is the standard deviation of the
noise on the online view. In this figure sigma1 = 0, so that in theory the rate is zero. For this loss, the descent map,
the flow and the descent map with a larger learning rate therefore make the same prediction, and eigenvalues change only
because batches are finite.

{_shortened(full)}"""


def _agreement(panel: Panel) -> Agreement:
    others = {} if panel.mean_field is None else {"mean_field": panel.mean_field}
    return agreement(panel.network, LIMITS[0], **others)


def _shortened(full: bool) -> str:
    if full:
        return ""
    return f"""
This figure is shortened. Halvagal et al. (2023), and this figure with the option `--full`, use {count(BATCH[True])}
samples a step, and train the losses without predictor for {count(STEPS_NO_PREDICTOR[True])} steps instead of
{count(STEPS_NO_PREDICTOR[False])}."""
