"""Compute the gradients of the loss for single samples by automatic differentiation, as in training a network."""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from dynamics.derived_loss import DerivedLoss
from dynamics.model.parameters import Parameters
from dynamics.solvers.finite_batch.states import NetworkState
from dynamics.vector_field.state import State

Array = Any  # an array of JAX, traced or not


class Gradients(NamedTuple):
    """Negative gradients of the loss, for each of S samples.

    view1, view2: gradients with respect to the representations of the views, (S, M). predictor: gradient with respect
    to a learned predictor, (S, M, M).
    """

    view1: Array
    view2: Array
    predictor: Array | None


def sample_gradients(
    generated: DerivedLoss, learned: bool, parameters: Parameters, state: NetworkState, x1: Array, x2: Array
) -> Gradients:
    """Return the negative gradients of the loss for each of S samples.

    x1, x2: inputs of view 1 and of view 2, (S, D), for networks with D inputs. learned: True if the predictor is
    learned; the gradient with respect to the predictor is then also computed.
    """
    weights: State = state.weights
    vectors: Any = state.vectors
    lam: Any = state.lam

    def loss(z1: Array, z2: Array, W_P: Array | None, t1: Array | None, t2: Array | None) -> Array:
        def predict(z: Array, function: Callable[[Array], Array] = lambda values: values) -> Array:
            if W_P is not None:
                return W_P @ z
            return vectors @ (function(lam)[:, None] * (vectors.mT @ z))

        columns = [z[:, None] for z in (z1, z2, z1 if t1 is None else t1, z2 if t2 is None else t2)]
        over_modes = partial(jnp.sum, axis=0, keepdims=True)
        return generated.loss(*columns, predict, over_modes, jax.lax.stop_gradient, *parameters.of_loss)[0, 0]

    slopes = jax.vmap(jax.grad(loss, (0, 1, 2) if learned else (0, 1)), (0, 0, None, 0, 0))
    t1, t2 = (None, None) if weights.target is None else (x1 @ weights.target.mT, x2 @ weights.target.mT)
    of_loss = slopes(x1 @ weights.encoder.mT, x2 @ weights.encoder.mT, weights.predictor if learned else None, t1, t2)
    return Gradients(*(-slope for slope in of_loss), *(() if learned else (None,)))
