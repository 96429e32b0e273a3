"""Covariance of the gradient over samples, for weights as matrices (M, N)."""

from collections.abc import Callable
from functools import lru_cache, partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from dynamics.derived_loss import DerivedLoss
from dynamics.model.parameters import Parameters
from dynamics.solvers.finite_batch.sampled_gradients import Gradients, sample_gradients
from dynamics.solvers.finite_batch.states import NetworkState

Array = Any  # of JAX, traced or not


class GradientNoise(NamedTuple):
    """Covariance over batches of the mean gradient of a batch, with entries of the weights as one axis of length MN.

    covariance: (MN, MN). jumps: part of it due to samples that alone move an eigenvalue by more than its standard
    deviation.
    """

    covariance: Array
    jumps: Array


@lru_cache(maxsize=32)
def gradient_noise(generated: DerivedLoss) -> Callable[..., GradientNoise]:
    """Return the compiled function of a loss: (parameters, size, state, views, slopes, deviation) -> GradientNoise."""
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
    """Return the covariance.

    size: B. views: (chunks, samples, N). slopes: derivatives of eigenvalues after a step with respect to the gradient,
    (quantities, MN). deviation: of these eigenvalues before the step.
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
    """Return the gradient v = g x1^T + h x2^T of each sample, (samples, MN)."""
    pairs = zip((slopes.view1, slopes.view2), views, strict=True)
    gradients = sum(g[:, :, None] * x[:, None, :] for g, x in pairs)
    return gradients.reshape(len(gradients), -1)
