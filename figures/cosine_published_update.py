"""Cosine loss without stop-gradient: published update and exact gradient.

The figure compares two updates: the update that Halvagal et al. (2023) used for this loss in their Figure 2, and the
gradient of the loss.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from matplotlib.figure import Figure

import dynamics as dyn
from dynamics.numerics.progress import progress_bar
from dynamics.presentation.plotting import mode_colors
from figures import style
from figures.agreement import agreement, agreements
from figures.captions import count, noise
from figures.panels import panel_names

MODES, INPUTS, SEED = 10, 15, 0
LEARNING_RATE, STEPS, POINTS = 0.1, 1500, 50
BATCH = {False: 5_000, True: 50_000}
MODEL = dyn.Model("cosine", stop_gradient="none", noise=style.NOISE)
SMALLEST = 1e-2  # smaller eigenvalues are not drawn


class Data(NamedTuple):
    """Two networks, one trained with each update, and the descent map for the gradient of the loss."""

    published: np.ndarray  # eigenvalues (T, M) of a network under the published update
    network: dyn.Trajectory  # a network under the gradient of the loss
    theory: dyn.Trajectory  # the descent map under the gradient of the loss


def compute(full: bool) -> Data:
    """Train a network with each update, and iterate the descent map, from the same initial weights."""
    W0 = style.initial_weights(MODES, INPUTS, SEED)
    interval = STEPS // POINTS
    network = dyn.train(MODEL, W0, STEPS, LEARNING_RATE, batch_size=BATCH[full], seed=SEED, record=interval)
    theory = dyn.iterate(MODEL, style.eigenvalues_of(W0), STEPS, LEARNING_RATE, record=interval // 10)
    return Data(_train_published(W0, BATCH[full], interval), network, theory)


def published_update(W: jax.Array, x1: jax.Array, x2: jax.Array) -> jax.Array:
    """Return the batch mean of (W_P (z2 + z1)/(|p| |z2|) - (p . z2) (W_P p + z2)/(|p|^3 |z2|)) x1^T.

    z1 = W x1 and z2 = W x2 are the representations of the two views, W_P = W W^T is the predictor, and p = W_P z1 is
    the prediction. This is the update of Halvagal et al. (2023), not a derived gradient. The negative gradient of the
    loss differs in two places. First, it multiplies the terms of the target branch by x2^T instead of x1^T; these terms
    are W_P z1/(|p| |z2|) and (p . z2) z2/(|p|^3 |z2|). Second, the denominator of the term with (p . z2) z2 is
    |p| |z2|^3 instead of |p|^3 |z2|.
    """
    z1, z2, predictor = x1 @ W.T, x2 @ W.T, W @ W.T
    p = z1 @ predictor
    norm_p, norm_2 = (jnp.linalg.norm(a, axis=-1, keepdims=True) for a in (p, z2))
    product = jnp.sum(p * z2, axis=-1, keepdims=True)
    drive = (z2 + z1) @ predictor / (norm_p * norm_2) - product * (p @ predictor + z2) / (norm_p**3 * norm_2)
    return drive.T @ x1 / len(x1)


def _train_published(W0: np.ndarray, batch: int, interval: int) -> np.ndarray:
    """Train W with the published update; return the eigenvalues (T, M) of W W^T every ``interval`` steps."""

    def step(W, key):
        x, *noise = jax.random.normal(key, (3, batch, INPUTS))
        x1, x2 = (x + sigma * xi for sigma, xi in zip(style.NOISE, noise, strict=True))
        return W + LEARNING_RATE * published_update(W, x1, x2), None

    advance = jax.jit(lambda W, key: jax.lax.scan(step, W, jax.random.split(key, interval))[0])
    W, weights = jnp.asarray(W0, jnp.float32), [W0]
    with progress_bar(STEPS, "published update", None) as bar:
        for key in jax.random.split(jax.random.key(SEED), STEPS // interval):
            W = advance(W, key)
            weights.append(np.asarray(W))
            bar.update(interval)
    return style.eigenvalues_of(np.array(weights))


PANELS = panel_names(("published update", "gradient of the loss"))


def draw(data: Data) -> Figure:
    """Draw eigenvalues under the published update on the left, and under the gradient of the loss on the right."""
    figure = Figure(figsize=(style.PAGE, 2.6))
    left, right = figure.subplots(1, 2, sharey=True)
    style.draw_modes(right, data.theory, **style.THEORY)
    for ax, s in ((left, data.published), (right, data.network.s)):
        for column, color in zip(s.T, mode_colors(MODES), strict=True):
            ax.plot(data.network.step, column, color=color, **style.NETWORK)
        ax.set(xlabel="step", xlim=(0, STEPS), yscale="log", ylim=(SMALLEST, 2 * data.published.max()))
        ax.locator_params(axis="x", nbins=3)
        ax.label_outer(remove_inner_ticks=False)
    left.set(title="Published update", ylabel=style.EIGENVALUE)
    right.set(title="Gradient of the loss")
    style.legend(figure, network=style.NETWORK, descent_map=style.THEORY)
    return figure


def caption(data: Data, full: bool) -> str:
    """Return the caption, which describes the panels, explains how updates differ, and states final eigenvalues."""
    start, end = data.published[0].sum(), data.published[-1]
    surviving, expected = (int((run.s[-1] > SMALLEST).sum()) for run in (data.network, data.theory))
    return f"""
Eigenvalues `s_m` of the correlation against step, for two linear networks that are trained with the cosine loss without
stop-gradient, from the same initial weights (M = {MODES} modes, N = {INPUTS} inputs, {noise(style.NOISE)}, learning
rate {LEARNING_RATE}, {count(BATCH[full])} fresh samples a step). Dark to light: smallest to largest. Left: a network
(points) under the update that Halvagal et al. (2023) published with their toy experiments. This update is the batch
mean of `(W_P(z2 + z1)/(|p||z2|) - (p.z2)(W_P p + z2)/(|p|^3|z2|)) x1^T`. Here `x1` and `x2` are the online and the
target view, `z1` and `z2` are their representations, `W_P` is the predictor, and `p = W_P z1` is the prediction. Right:
a network (points) and the descent map (lines) under the gradient of the loss.

The update that Halvagal et al. (2023) published for the cosine loss without stop-gradient differs from the gradient of
this loss in two places. The published update multiplies the terms of both branches by the online view `x1`, but the
gradient multiplies the terms of the target branch by the target view `x2`. The published update divides the term
`(p.z2) z2` by `|p|^3|z2|`, but the gradient divides this term by `|p||z2|^3`. Here `z2` is the representation of the
target view, and `p` is the prediction. Under the published update the sum of the eigenvalues goes from {start:.3g} to
{end.sum():.3g} in {count(STEPS)} steps, and the largest eigenvalue is {end.max():.3g} at the end. The flow of the
gradient conserves the sum of the eigenvalues. Under the gradient, the sum is {data.network.s[-1].sum():.3g} at the end
in the network and {data.theory.s[-1].sum():.3g} in the descent map; {surviving} of {MODES} eigenvalues are above
{SMALLEST:g} in the network, and {expected} in the descent map.

{agreements({"gradient of the loss": agreement(data.network, SMALLEST)})}

The table above omits a mode at all steps at which the theoretical variance of this mode is at most {SMALLEST:g}."""
