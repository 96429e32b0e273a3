"""Embedding trajectories of networks with two modes, in the eight settings of Figure 2 of Halvagal et al. (2023).

Embeddings are drawn in the eigenbasis of the initial correlation, so that component m of an embedding belongs to mode
m. In theory the singular vectors of the weights do not change during training. Theory therefore predicts each
embedding: component m stays proportional to the singular value of mode m.
"""

from collections.abc import Iterable
from itertools import product
from typing import NamedTuple

import numpy as np
from matplotlib.figure import Figure

import dynamics as dyn
from figures import style
from figures.agreement import agreement, agreements
from figures.captions import count, noise, percent, table
from figures.fig2_eigenvalues import Key
from figures.panels import panel_names
from figures.statistics import Interval, ratio_of

MODES, INPUTS, PROBES, SEED = 2, 6, 18, 26
SEEDS = range(8)  # networks with the same initial weights, which differ in their batches
LEARNING_RATE, STEPS = 0.01, 1500
# The setting COLLAPSING is trained for fewer steps, until nearly one dimension is left. Later, samples with embeddings
# near zero have very large gradients, and single batches move some networks far away.
STEPS_TO_COLLAPSE = 140
SMALLEST = 0.01  # modes with a smaller variance are not compared with theory
COLLAPSING = ("cosine", "no stop-gradient")
BATCH = {False: 2_000, True: 50_000}
START = {"linestyle": "none", "marker": "o", "markersize": 3, "markerfacecolor": "white", "markeredgecolor": style.GREY}
END = {"linestyle": "none", "marker": "o", "markersize": 3, "color": style.RED, "markeredgewidth": 0}
INTERMEDIATE = END | {"markersize": 1.4, "zorder": 3}
RECORDS = 10
PATH = {"color": style.BLUE, "linewidth": 0.8}


class Panel(NamedTuple):
    """Networks of S seeds, and embeddings of P inputs at T steps, in the eigenbasis of the initial correlation."""

    networks: dyn.Trajectory
    embeddings: np.ndarray  # (S, T, P, M)
    theory: np.ndarray  # in theory, at more steps (T', P, M)
    expected: np.ndarray  # in theory, at the steps of the networks (T, P, M)
    left: float  # smaller final eigenvalue divided by larger final eigenvalue, in theory


KEYS = tuple(product(style.LOSSES, style.SETTINGS))
PANELS = panel_names(style.LOSSES, style.SETTINGS)


def compute(full: bool, keys: Iterable[Key] = KEYS) -> dict[Key, Panel]:
    """Return a panel for each of the eight losses of Figure 2, or for some, with the same weights and inputs."""
    models = style.paper_models()
    W0 = style.initial_weights(MODES, INPUTS, SEED)
    probes = np.random.default_rng(SEED + 1).standard_normal((PROBES, INPUTS))
    return {
        key: _panel(models[key], W0, probes, STEPS_TO_COLLAPSE if key == COLLAPSING else STEPS, BATCH[full])
        for key in keys
    }


def _panel(model: dyn.Model, W0: np.ndarray, probes: np.ndarray, steps: int, batch: int) -> Panel:
    networks = dyn.train(
        model, W0, steps, LEARNING_RATE, batch_size=batch, seed=SEEDS, record=steps // RECORDS, probes=probes
    )
    U, singular, _ = np.linalg.svd(W0)
    recorded = np.asarray(networks.step)
    record = np.union1d(np.arange(0, steps, steps // (10 * RECORDS)), recorded)
    s = dyn.iterate(model, singular**2, steps, LEARNING_RATE, record=record.tolist()).s
    theory = np.sqrt(s / s[0])[:, None] * (probes @ W0.T @ U)
    expected = theory[np.isin(record, recorded)]
    return Panel(networks, networks.embeddings @ U, theory, expected, float(s[-1].min() / s[-1].max()))


def draw(data: dict[tuple[str, str], Panel]) -> Figure:
    """Draw embedding trajectories: Euclidean and cosine losses in rows, versions of the losses in columns."""
    figure = Figure(figsize=(style.PAGE, 2.9))
    axes = figure.subplots(len(style.LOSSES), len(style.SETTINGS), sharex=True, sharey=True)
    right, top = 1.15 * np.max([np.abs(panel.theory).max(axis=(0, 1)) for panel in data.values()], axis=0)
    for ax, ((loss, setting), panel) in zip(axes.flat, data.items(), strict=True):
        for path in np.moveaxis(panel.theory, 1, 0):
            ax.plot(*path.T, **PATH)
        network = panel.embeddings[0]
        for path in np.moveaxis(network, 1, 0):
            ax.plot(*path[1:-1].T, **INTERMEDIATE)
        ax.plot(*network[0].T, **START)
        ax.plot(*network[-1].T, **END)
        ax.set(title=style.title(loss, setting), xlabel=r"$\hat z_1$", ylabel=r"$\hat z_2$")
        ax.set(aspect="equal", xlim=(-right, right), ylim=(-top, top))
        ax.locator_params(nbins=5)
        ax.label_outer(remove_inner_ticks=False)
    style.legend(figure, network_start=START, network=INTERMEDIATE, network_end=END, theory=PATH)
    return figure


def caption(data: dict[tuple[str, str], Panel], full: bool) -> str:
    """Return the caption, which describes the panels and states the distance of the networks from the theory."""
    distances = [["", "distance of embeddings from theory", "ratio to the distance that batches alone cause"]]
    for key, panel in data.items():
        cells = percent(distance(panel)), excess(panel.embeddings, panel.expected).text()
        distances.append([style.title(*key), *cells])
    rows = {style.title(*key): agreement(panel.networks, SMALLEST) for key, panel in data.items()}
    return f"""
Embeddings of {PROBES} Gaussian inputs in linear networks (M = {MODES} outputs, N = {INPUTS} inputs,
{noise(style.NOISE)}). Each panel shows one of the eight losses in Figure 2 of Halvagal et al. (2023). The networks are
trained for {count(STEPS)} steps at learning rate {LEARNING_RATE} with {count(BATCH[full])} fresh samples a step, from
the same initial weights. Top: Euclidean losses; bottom: cosine losses. For each loss, {len(SEEDS)} networks that differ
in their batches are trained, and one of them is drawn. Axes: components of the embedding along the two eigenvectors of
the initial correlation. Open circles: initial embeddings. Small red dots: embeddings after each tenth of the steps of
the network. Large red dots: embeddings at the end. Blue lines: the paths that the theory predicts. Along a path, each
component is proportional to the singular value of its mode under the descent map.

{_stopped(data[COLLAPSING]) if COLLAPSING in data else ""}

The table below compares the embeddings of the networks with the embeddings that the theory predicts. The distance is
the root mean square distance between the embeddings of networks and theory over the recorded steps, divided by the root
mean square of the initial embeddings. The ratio is the distance of a network from the theory, divided by the distance
that random batches alone cause. The distance that batches cause is estimated from the distance between a network and
the mean of the other networks. The ratio is 1 if networks differ from the theory by the effect of their batches alone.
In parentheses: 95 % intervals over {len(SEEDS)} networks (Student's t, of the logarithm).

{table(distances)}

{agreements(rows)}

The table above omits a mode at all steps at which the theoretical variance of this mode is at most {SMALLEST:g}."""


def _stopped(panel: Panel) -> str:
    return f"""
In the panel "{style.title(*COLLAPSING)}", training stops after {STEPS_TO_COLLAPSE} steps, when in theory the smaller of
the two eigenvalues is {percent(panel.left)} of the larger eigenvalue. When the smaller eigenvalue is nearly zero, the
embeddings of some samples are near zero. Under the cosine loss the gradients of these samples are very large, so that a
single batch can move a network far away."""


def distance(panel: Panel) -> float:
    """Return the root mean square distance between the embeddings of networks and of theory.

    The distance is divided by the root mean square of the initial embeddings.
    """
    away = np.sqrt(np.mean((panel.embeddings - panel.expected) ** 2))
    return float(away / np.sqrt(np.mean(panel.theory[0] ** 2)))


def excess(networks: np.ndarray, expected: np.ndarray) -> Interval:
    """Return the distance of networks from theory, divided by the distance that random batches alone cause.

    networks: embeddings (S, T, P, M) of S networks. expected: embeddings (T, P, M) in theory. The result is 1 if theory
    is the mean of the networks. The distance that batches cause is estimated for each network from its squared distance
    to the mean of the other S - 1 networks. This squared distance is on average S/(S - 1) times the variance over
    networks, and is divided by this factor.
    """
    number = len(networks)
    others = (networks.sum(axis=0) - networks) / (number - 1)
    squares = ((networks - other) ** 2 for other in (expected, others))
    away, apart = (values[:, 1:].mean(axis=(1, 2, 3)) for values in squares)
    return ratio_of(np.sqrt(away / (apart * (number - 1) / number)))
