"""A Siamese network typed a second time: explicit matrices, losses from the theory notes, section 2, and numbers that
are passed by in place of stop-gradients. Nothing here calls the code under test."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

import dynamics as dyn


class Layer(NamedTuple):
    """x -> W x + b, then batch norm with scale gamma and shift beta; None where absent."""

    W: Any
    b: Any = None
    gamma: Any = None
    beta: Any = None


def rows(*parts) -> list[Layer]:
    """The layers of Equinox modules, one after another."""
    found: list[Layer] = []
    for layer in (layer for part in parts for layer in part.layers):
        if type(layer).__name__ == "Linear":
            found.append(Layer(layer.weight, layer.bias))
        elif type(layer).__name__ == "BatchNorm":
            found[-1] = found[-1]._replace(gamma=layer.weight, beta=layer.bias)
    return found


def forward(layers, x):
    """z (B, M) of inputs (B, N): ReLU after each layer but the last."""
    for number, layer in enumerate(layers):
        x = x @ layer.W.T
        if layer.b is not None:
            x = x + layer.b
        if layer.gamma is not None:
            centred = x - x.mean(axis=0)
            x = layer.gamma * centred / jnp.sqrt((centred**2).mean(axis=0) + 1e-5) + layer.beta
        x = jnp.where(x > 0, x, 0) if number < len(layers) - 1 else x
    return x


def matrix(predictor: dyn.ClosedForm, C):
    """W_P = f(C), eigenvalue by eigenvalue."""
    s, U = np.linalg.eigh(np.asarray(C))
    s = np.maximum(s, 0)
    return (U * ((s / s.max() if predictor.normalize else s) + predictor.epsilon) ** predictor.alpha) @ U.T


def one_way(model: dyn.Model, live, known, W_P):
    """L (B,) of live (z1, p1, t2), some of them at their known values."""
    (z1, p, t2), (z1_known, p_known, t2_known) = live, known
    norm_p, norm_t = jnp.linalg.norm(p_known, axis=1), jnp.linalg.norm(t2_known, axis=1)
    if model.isotropic and model.loss == "euclidean":
        return ((z1 - (t2_known + z1_known - p_known)) ** 2).sum(axis=1) / 2
    if model.isotropic:
        along = (p_known * t2_known).sum(axis=1) / (norm_p**3 * norm_t)
        pull = (z1 * t2_known).sum(axis=1) / (norm_p * norm_t)
        return -pull + along * jnp.einsum("bi,ij,bj->b", z1, W_P, z1) / 2
    p = p_known if model.stop_gradient == "online" else p
    t2 = t2_known if model.stop_gradient == "target" else t2
    if model.loss == "euclidean":
        return ((p - t2) ** 2).sum(axis=1) / 2
    return -(p * t2).sum(axis=1) / (jnp.linalg.norm(p, axis=1) * jnp.linalg.norm(t2, axis=1))


def seen(model: dyn.Model, branch, predictor, target, W_P, x1, x2):
    """(z1, p1, t2) and, of the views in the other roles, (z2, p2, t1)."""
    z1, z2 = forward(branch, x1), forward(branch, x2)
    t1, t2 = (z1, z2) if target is None else (forward(target, x1), forward(target, x2))
    if isinstance(model.predictor, dyn.Learned):
        p1, p2 = forward(predictor, z1), forward(predictor, z2)
    else:
        p1, p2 = z1 @ W_P, z2 @ W_P
    return (z1, p1, t2), (z2, p2, t1)


def alive(model: dyn.Model, ways):
    """Which samples have a loss, (B,): the cosine has none where all units of a side are off."""
    if model.loss == "euclidean":
        return np.ones(len(ways[0][0]), bool)
    sides = [np.asarray(side).any(axis=1) for _, *sides in ways[: 2 if model.symmetrised else 1] for side in sides]
    return np.all(sides, axis=0)


def mean_loss(model: dyn.Model, live, known, target, W_P, views):
    """Over the batch. live: (branch, predictor) that the gradient is with respect to; known: the same as numbers."""
    ways, known_ways = (seen(model, *own, target, W_P, *views) for own in (live, known))
    some = alive(model, known_ways)
    ways, known_ways = (
        [[jnp.where(some[:, None], side, 1) for side in way] for way in both] for both in (ways, known_ways)
    )
    losses = [one_way(model, *way, W_P) for way in zip(ways, known_ways, strict=True)]
    return (losses[0] + losses[1] if model.symmetrised else 2 * losses[0]) @ some / (2 * len(some))


def gradient(model: dyn.Model, branch, predictor, target, W_P, views):
    """Loss, and its slope in (branch, predictor)."""
    known = (branch, predictor)
    return jax.value_and_grad(lambda live: mean_loss(model, live, known, target, W_P, views))(known)


def expected(model: dyn.Model, before, views, clean, learning_rate, decay):
    """After a step without momentum: (loss, branch, predictor, target, tracked), of ``before`` without the loss."""
    branch, predictor, target, tracked = before
    z = np.concatenate([np.asarray(forward(branch, x)) for x in clean])
    C, W_P = z.T @ z / len(z), np.eye(z.shape[1])
    if tracked is not None:
        C = tracked = model.predictor.tracking * tracked + (1 - model.predictor.tracking) * C
    if isinstance(model.predictor, dyn.ClosedForm):
        W_P = matrix(model.predictor, C)
    loss, (slope, slope_P) = gradient(model, branch, predictor, target, W_P, views)

    def moved(w, g, rate):
        return w - learning_rate * (rate * g + (model.weight_decay * w if w.ndim > 1 else 0))

    branch = jax.tree.map(lambda w, g: moved(w, g, 1.0), branch, slope)
    if predictor is not None:
        predictor = jax.tree.map(lambda w, g: moved(w, g, model.predictor.rate), predictor, slope_P)
    if target is not None:
        target = jax.tree.map(lambda v, w: decay * v + (1 - decay) * w, target, branch)
    return jax.tree.map(np.asarray, (loss, branch, predictor, target, tracked))
