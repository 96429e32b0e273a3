"""Set up gradient descent with momentum, and the schedules of the learning rate and of the decay of an EMA target."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import numpy.typing as npt
import optax

from dynamics.networks.deep.layers import Layers

Array = Any  # an array of JAX, traced or not


def gradient_descent(
    learning_rate: Array, weight_decay: Array, momentum: float, schedule: str, steps: int
) -> optax.GradientTransformation:
    """Return the optimizer v <- momentum v + g + weight_decay w; w <- w - eta_k v, for weights w with gradient g.

    v is the velocity, and eta_k the learning rate at step k. With the schedule "constant", eta_k is ``learning_rate``
    at all steps; with the schedule "cosine", eta_k falls from ``learning_rate`` to 0 over ``steps`` steps.
    """
    if schedule == "cosine":
        factor = optax.cosine_decay_schedule(1.0, steps)
        scale = optax.scale_by_schedule(lambda count: -learning_rate * factor(count))
    else:
        scale = optax.scale(-learning_rate)
    return optax.chain(optax.add_decayed_weights(weight_decay, mask=_decayed), optax.trace(momentum), scale)


def _decayed(layers: Layers) -> Layers:
    """Return a mask over all weights, which is True for arrays of weights that decay.

    Matrices (2 axes) and filters (4 axes) decay. Biases and the weights of batch norm do not decay.
    """
    return jax.tree.map(lambda a: a.ndim in (2, 4), layers)


def target_decay(decay: Array, schedule: str, step: Array, steps: int) -> Array:
    """Return the decay of an EMA target at a step.

    The schedule "cosine" raises the decay gradually from ``decay`` at step 0 to 1 at the end of the run.
    """
    if schedule == "constant":
        return decay
    return 1 - (1 - decay) * (jnp.cos(jnp.pi * step / steps) + 1) / 2


def training_times(learning_rate: float, schedule: str, steps: int) -> npt.NDArray[np.float64]:
    """Return the times (steps + 1,) at the beginning of each step, and at the end of the last step.

    The time at the beginning of a step is the sum of the learning rates of all earlier steps.
    """
    factor = np.ones(steps)
    if schedule == "cosine":
        factor = (1 + np.cos(np.pi * np.arange(steps) / max(steps, 1))) / 2
    return learning_rate * np.concatenate([[0.0], np.cumsum(factor)])
