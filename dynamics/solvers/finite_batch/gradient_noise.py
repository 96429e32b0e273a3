"""Compute the covariance over batches of the mean gradient of a batch, for weight matrices (M, N)."""

from collections.abc import Callable
from functools import lru_cache, partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from dynamics.derived_loss import DerivedLoss
from dynamics.model.parameters import Parameters
from dynamics.solvers.finite_batch.sampled_gradients import Gradients, sample_gradients
from dynamics.solvers.finite_batch.states import NetworkState

Array = Any  # an array of JAX, traced or not


class GradientNoise(NamedTuple):
    """Covariance over batches of the mean gradient of a batch, with the entries of the weights (M, N) on one axis.

    covariance: the whole covariance, (MN, MN). jumps: part of the covariance that is due to large samples, (MN, MN). A
    sample is large if it alone moves an eigenvalue by more than the standard deviation of this eigenvalue.
    """

    covariance: Array
    jumps: Array


@lru_cache(maxsize=32)
def gradient_noise(generated: DerivedLoss) -> Callable[..., GradientNoise]:
    """Return the compiled function of a loss: (parameters, size, state, views, slopes, deviation) -> GradientNoise.

    The arguments are those of ``_gradient_noise``.
    """
    return jax.jit(partial(_gradient_noise, generated))


def _gradient_noise(
    generated: DerivedLoss,
    parameters: Parameters,
    size: Array,
    state: NetworkState,
    views: tuple[Array, Array],
    slopes: Array,
    deviation: Array,
) -> GradientNoise:
    """Return the covariance over batches of the mean gradient of a batch, estimated from samples.

    size: batch size B. state: mean weights of the networks. views: samples of both views, each (chunks, samples, N).
    slopes: derivatives of K eigenvalues after the step with respect to the gradient, (K, MN). deviation: standard
    deviations of these K eigenvalues before the step, (K,).
    """
    gradients = jax.lax.map(lambda chunk: sample_gradients(generated, False, parameters, state, *chunk), views)

    def over_chunks(function: Callable[[Array], Any]) -> Any:
        of_chunks = jax.lax.map(lambda chunk: function(_on_weights(*chunk)), (gradients, views))
        return jax.tree.map(lambda a: a.mean(axis=0), of_chunks)

    mean, square = over_chunks(lambda v: (v.mean(axis=0), v.mT @ v / len(v)))
    covariance = (square - jnp.outer(mean, mean)) / size
    limit = size * jnp.sqrt(deviation**2 + ((slopes @ covariance) * slopes).sum(axis=-1))

    def jumping(v: Array) -> Array:
        jumps = (jnp.abs(v @ slopes.mT) > limit).any(axis=-1, keepdims=True)
        return jnp.where(jumps, v, 0.0).mT @ v / len(v) / size

    return GradientNoise(covariance, over_chunks(jumping))


def _on_weights(slopes: Gradients, views: tuple[Array, Array]) -> Array:
    """Return the gradient v = g x1^T + h x2^T with respect to the weights for each sample, (samples, MN).

    g and h are the negative gradients of the loss with respect to the representations of the views x1 and x2.
    """
    pairs = zip((slopes.view1, slopes.view2), views, strict=True)
    gradients = sum(g[:, :, None] * x[:, None, :] for g, x in pairs)
    return gradients.reshape(len(gradients), -1)
