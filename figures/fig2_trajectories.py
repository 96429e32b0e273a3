"""Embedding trajectories of networks with two modes, in the eight settings of the paper's Figure 2.

Embeddings are drawn in the eigenbasis of the initial correlation. The singular vectors of a linear network do not
change during training. So theory predicts each embedding: each component is proportional to the singular value of its
mode.
"""

from typing import NamedTuple

import numpy as np
from matplotlib.figure import Figure

import dynamics as dyn
from figures import style
from figures.captions import count, noise, percent

MODES, INPUTS, PROBES, SEED = 2, 6, 18, 26
LEARNING_RATE, STEPS = 0.01, 1500
# The setting COLLAPSING is trained for fewer steps, until one dimension is left. After that, samples with an embedding
# near zero have unbounded gradients.
STEPS_TO_COLLAPSE = 300
COLLAPSING = ("cosine", "no stop-gradient")
BATCH = {False: 5_000, True: 50_000}
START = {"linestyle": "none", "marker": "o", "markersize": 3, "markerfacecolor": "white", "markeredgecolor": style.GREY}
END = {"linestyle": "none", "marker": "o", "markersize": 3, "color": style.RED, "markeredgewidth": 0}
INTERMEDIATE = END | {"markersize": 1.4, "zorder": 3}
RECORDS = 10
PATH = {"color": style.BLUE, "linewidth": 0.8}


class Panel(NamedTuple):
    """Embeddings (T, P, M) of P inputs at T steps, in the eigenbasis of the initial correlation."""

    network: np.ndarray
    theory: np.ndarray


def compute(full: bool) -> dict[tuple[str, str], Panel]:
    """Return a panel for each of the eight losses of Figure 2, with the same initial weights and the same inputs."""
    W0 = style.initial_weights(MODES, INPUTS, SEED)
    probes = np.random.default_rng(SEED + 1).standard_normal((PROBES, INPUTS))
    return {
        key: _panel(model, W0, probes, STEPS_TO_COLLAPSE if key == COLLAPSING else STEPS, BATCH[full])
        for key, model in style.paper_models().items()
    }


def _panel(model: dyn.Model, W0: np.ndarray, probes: np.ndarray, steps: int, batch: int) -> Panel:
    network = dyn.train(
        model, W0, steps, LEARNING_RATE, batch_size=batch, seed=SEED, record=steps // RECORDS, probes=probes
    )
    U, singular, _ = np.linalg.svd(W0)
    theory = dyn.iterate(model, singular**2, steps, LEARNING_RATE, record=steps // (10 * RECORDS))
    growth = np.sqrt(theory.s / theory.s[0])
    return Panel(network.embeddings @ U, growth[:, None] * (probes @ W0.T @ U))


def draw(data: dict[tuple[str, str], Panel]) -> Figure:
    """Draw embedding trajectories: Euclidean and cosine losses in rows, versions of the losses in columns."""
    figure = Figure(figsize=(style.PAGE, 2.9))
    axes = figure.subplots(len(style.LOSSES), len(style.SETTINGS), sharex=True, sharey=True)
    right, top = 1.15 * np.max([np.abs(panel.theory).max(axis=(0, 1)) for panel in data.values()], axis=0)
    for ax, ((loss, setting), panel) in zip(axes.flat, data.items(), strict=True):
        for path in np.moveaxis(panel.theory, 1, 0):
            ax.plot(*path.T, **PATH)
        for path in np.moveaxis(panel.network, 1, 0):
            ax.plot(*path[1:-1].T, **INTERMEDIATE)
        ax.plot(*panel.network[0].T, **START)
        ax.plot(*panel.network[-1].T, **END)
        ax.set(title=style.title(loss, setting), xlabel=r"$\hat z_1$", ylabel=r"$\hat z_2$")
        ax.set(aspect="equal", xlim=(-right, right), ylim=(-top, top))
        ax.locator_params(nbins=5)
        ax.label_outer(remove_inner_ticks=False)
    style.legend(figure, network_start=START, network=INTERMEDIATE, network_end=END, theory=PATH)
    return figure


def caption(data: dict[tuple[str, str], Panel], full: bool) -> str:
    """Return the caption, which describes the panels and states the distance of the networks from the theory."""
    distances = "; ".join(f"{style.title(*key)}: {percent(_distance(panel))}" for key, panel in data.items())
    return f"""
Embeddings of {PROBES} Gaussian inputs by linear networks (M = {MODES} outputs, N = {INPUTS} inputs,
{noise(style.NOISE)}). Each panel shows one of eight losses. The networks are trained for {count(STEPS)} steps at
learning rate {LEARNING_RATE} with {count(BATCH[full])} fresh samples a step, from the same initial weights. Top:
Euclidean losses; bottom: cosine losses. Axes: components of the embedding along the two eigenvectors of the initial
correlation. Open circles: initial embeddings. Small red dots: embeddings after each tenth of the steps of the network.
Large red dots: embeddings at the end. Blue lines: the paths that the theory predicts. Along a path, each component is
proportional to the singular value of its mode under the descent map.

The panel "{style.title(*COLLAPSING)}" stops after {STEPS_TO_COLLAPSE} steps, when only one dimension is left. After
that, samples with an embedding near zero have unbounded gradients under the cosine loss.

Root mean square distance between the embeddings of network and theory over the recorded steps, divided by the root mean
square of the initial embeddings, by loss: {distances}."""


def _distance(panel: Panel) -> float:
    distance = np.sqrt(np.mean((panel.network - panel.theory[::10]) ** 2))
    return float(distance / np.sqrt(np.mean(panel.theory[0] ** 2)))
