"""Compute the covariance of the gradient of a batch over random batches, for weight matrices (M, N).

The gradient of a batch is the mean gradient of its samples.
"""

from collections.abc import Callable
from functools import lru_cache, partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from dynamics.derived_loss import DerivedLoss
from dynamics.model.parameters import Parameters
from dynamics.numerics.compiler import compiled
from dynamics.solvers.finite_batch.sampled_gradients import Gradients, sample_gradients
from dynamics.solvers.finite_batch.states import NetworkState

Array = Any  # an array of JAX, traced or not


class GradientNoise(NamedTuple):
    """Covariance of the gradient of a batch over random batches; the MN entries of the weights (M, N) form one axis.

    covariance: the whole covariance, (MN, MN). jumps: part of the covariance that is due to single samples with large
    gradients, (MN, MN). The gradient of a sample is large if this sample alone moves an eigenvalue in a step by more
    than the standard deviation of this eigenvalue over networks.
    """

    covariance: Array
    jumps: Array


@lru_cache(maxsize=32)
def gradient_noise(generated: DerivedLoss) -> Callable[..., GradientNoise]:
    """Return the compiled version of ``_gradient_noise`` for one loss.

    The compiled function has the arguments of ``_gradient_noise`` except ``generated``: (parameters, size, state,
    views, slopes, deviation).
    """
    return compiled(partial(_gradient_noise, generated), jax.default_backend())


def _gradient_noise(
    generated: DerivedLoss,
    parameters: Parameters,
    size: Array,
    state: NetworkState,
    views: tuple[Array, Array],
    slopes: Array,
    deviation: Array,
) -> GradientNoise:
    """Return the covariance of the gradient of a batch over random batches, estimated from samples.

    size: batch size B. state: mean weights of the networks. views: samples of both views, each (chunks, samples, N).
    slopes: derivatives of K eigenvalues after the step with respect to the gradient of the batch, (K, MN). deviation:
    standard deviations of these K eigenvalues over networks before the step, (K,).
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
    """Return the negative gradient v of the loss of each sample with respect to the encoder weights, (samples, MN).

    v = g x1^T + h x2^T, where g and h are the negative gradients of the loss with respect to the representations of the
    views x1 and x2. slopes: g and h of each sample.
    """
    pairs = zip((slopes.view1, slopes.view2), views, strict=True)
    gradients = sum(g[:, :, None] * x[:, None, :] for g, x in pairs)
    return gradients.reshape(len(gradients), -1)
