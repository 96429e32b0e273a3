"""Compute one step of networks near a mean state: the moments after the step, and their covariance over batches.

The networks (``states``) have moments that are drawn at random around the mean moments, K draws in total. The weights
of a network are (M, D), with D = M inputs for a shared target and D = 2M inputs for a separate target. For each draw, S
samples are drawn; the gradient of the loss of each sample is computed by automatic differentiation. The program avoids
matrix decompositions: XLA runs them side by side, and on a CPU with few cores they then wait for each other without
end.
"""

from collections.abc import Callable, Sequence
from functools import lru_cache, partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from dynamics.derived_loss import DerivedLoss
from dynamics.generated import eigenvalues
from dynamics.model.parameters import Parameters
from dynamics.numerics.compiler import compiled
from dynamics.solvers.finite_batch.moments import Blocks, Moments, blocks
from dynamics.solvers.finite_batch.sampled_gradients import Gradients, sample_gradients
from dynamics.solvers.finite_batch.states import Neighbours, NetworkState
from dynamics.vector_field import update
from dynamics.vector_field.state import Forces, State

Array = Any  # an array of JAX, traced or not


class Batch(NamedTuple):
    """Batch size B and number of inputs N."""

    size: Array
    inputs: Array


class Sampled(NamedTuple):
    """Estimates, from samples, of one training step of networks whose ``Moments`` are drawn around a mean.

    odd: (a - b)/(2 share) for each of K draws, (K, ...). Here a and b are the moments after one step: a after a step
    from the moments mean + share * draw, and b after a step from mean - share * draw. odd_noise: the same quotient, in
    which a and b are the changes of the mean moments by the noise of a batch. curved: change of the mean moments after
    a step due to the draws, because the step and its noise are nonlinear functions of the moments; diagonals (M,).
    added: change of the mean moments by the noise of a batch, and by target weights that lag behind the encoder. noise:
    covariance over batches of the moments after a step. jumps: part of the diagonal block of ``noise`` that is due to
    single samples with large gradients. The gradient of a sample is large if this sample alone moves an eigenvalue by
    more than the standard deviation of this eigenvalue over networks.
    """

    odd: Blocks
    odd_noise: Blocks
    curved: Moments
    added: Moments
    noise: Blocks
    jumps: Array


@lru_cache(maxsize=32)
def sampled_step(generated: DerivedLoss, learned: bool) -> Callable[..., Sampled]:
    """Return the compiled version of ``_sampled_step`` for one loss.

    The compiled function has the other arguments of ``_sampled_step``: (parameters, eta, batch, states, share, views,
    more_views, deviation). learned: True if the predictor is learned.
    """
    return compiled(partial(_sampled_step, generated, learned), jax.default_backend())


def _sampled_step(
    generated: DerivedLoss,
    learned: bool,
    parameters: Parameters,
    eta: Array,
    batch: Batch,
    states: Neighbours,
    share: Array,
    views: tuple[Array, Array],
    more_views: tuple[Array, Array],
    deviation: Array,
) -> Sampled:
    """Return the estimates ``Sampled`` of one training step.

    eta: learning rate. states: network states whose moments deviate from the mean by ``share`` times each of K draws.
    views: samples of both views, each (K, S, D), for the derivatives of the step: S samples of D inputs for each draw.
    more_views: samples of both views for the noise of a batch, each (chunks, samples, D). deviation: standard
    deviations of the eigenvalues over networks before the step, (M,).
    """
    gradients = partial(sample_gradients, generated, learned, parameters)

    def after(state: NetworkState, *views: Array) -> tuple[Moments, Moments]:
        slopes = gradients(state, *views)
        square = _mean_square(parameters, eta, batch, slopes, views)
        moved = _moments_after(parameters, eta, state.weights, slopes, views)
        return moved, _taken_up(parameters, state.weights, square)

    # One program for all states, because each copy of the gradient takes a second to compile.
    first, *others = (state for state in states if state is not None)
    stacked = jax.tree.map(
        lambda a, *more: jnp.stack([a, *(jnp.broadcast_to(b, a.shape) for b in more)]), first, *others
    )
    moments = jax.lax.map(lambda state: jax.vmap(after)(state, *views), stacked)
    ahead, behind, still, exact = (jax.tree.map(lambda a, i=i: a[i], moments) for i in (0, 1, 2, -1))

    def diagonal(moments: Moments) -> Moments:
        return jax.tree.map(lambda a: jnp.diagonal(a.mean(axis=0)), moments)

    odd, odd_noise = jax.tree.map(lambda a, b: (a - b) / (2 * share), ahead, behind)
    curved = jax.tree.map(lambda a, b, c: (a + b - 2 * c) / (2 * share**2), ahead, behind, still)
    of_lag = diagonal(jax.tree.map(jnp.subtract, still[0], exact[0]))
    added, noise, jumps = _of_batch(parameters, eta, batch, states.lagging, gradients, more_views, deviation)
    return Sampled(
        blocks(odd),
        blocks(odd_noise),
        diagonal(jax.tree.map(jnp.add, *curved)),
        jax.tree.map(jnp.add, added, of_lag),
        noise,
        jumps,
    )


# --- moments of a state -------------------------------------------------------------------------------


def _moments_after(
    parameters: Parameters, eta: Array, state: State, slopes: Gradients, views: Sequence[Array]
) -> Moments:
    """Return the moments of a network after a step along the mean gradient of samples.

    A moment such as C = W W^T is a product of two factors, the weights after the step. The two factors are computed
    from different halves of the samples, because sampling errors that are common to both factors would bias the
    product. slopes: negative gradients of the loss of each sample. views: samples of both views, each (samples, D).
    """
    middle = len(views[0]) // 2
    halves = [
        jax.tree.map(lambda a, half=half: a[half], (slopes, views)) for half in (slice(middle), slice(middle, None))
    ]
    first, second = (_step(parameters, eta, state, _forces(*half)) for half in halves)

    def product(left: str, right: str) -> Array:
        a, b = (getattr(one, left) @ getattr(other, right).mT for one, other in ((first, second), (second, first)))
        return (a + b) / 2

    correlation, separate = product("encoder", "encoder"), state.target is not None
    return Moments(
        correlation,
        product("target", "encoder") if separate else None,
        product("target", "target") if separate else None,
        None if state.predictor is None else (first.predictor + second.predictor) / 2,
        None if state.tracked is None else eigenvalues.average_step(state.tracked, correlation, parameters.tracking),
    )


def _forces(slopes: Gradients, views: Sequence[Array]) -> Forces:
    """Return negative gradients, averaged over samples, for the encoder (M, D) and a learned predictor (M, M).

    slopes: negative gradients of the loss of each sample. views: samples of both views, each (samples, D).
    """
    pairs = zip((slopes.view1, slopes.view2), views, strict=True)
    on_encoder = sum(g.mT @ x for g, x in pairs) / len(slopes.view1)
    return Forces(on_encoder, None if slopes.predictor is None else slopes.predictor.mean(axis=0))


def _step(parameters: Parameters, eta: Array, state: State, forces: Forces) -> State:
    return update.step(state, forces, parameters, eta, lambda W: W @ W.mT)


# --- noise of a batch -----------------------------------------------------------------------------------------------


def _of_batch(
    parameters: Parameters,
    eta: Array,
    batch: Batch,
    state: NetworkState,
    gradients: Callable[..., Gradients],
    views: tuple[Array, Array],
    deviation: Array,
) -> tuple[Moments, Blocks, Array]:
    """Return three effects of the noise of a batch on the moments after a step.

    The effects are the change of the mean moments, the covariance of the moments over batches, and the part of this
    covariance that is due to single samples with large gradients (see ``Sampled``). Let v_i (M, N) be the negative
    gradient of sample i in a batch of B samples, and eta the learning rate. The correlation C = W W^T after a step
    contains the terms eta/B v_i W^T, their transposes, and eta^2/B^2 v_i v_j^T. The fluctuations of the terms with
    i != j are left out: they would add less than 2 % to the standard deviation. gradients: function that returns the
    gradients of samples. views: samples of both views, each (chunks, samples, D). deviation: standard deviations of the
    eigenvalues over networks before the step, (M,).
    """
    M, modes = len(deviation), state.weights
    slopes = jax.lax.map(lambda views: gradients(state, *views), views)

    def over_chunks(function: Callable[..., Any]) -> Any:
        return jax.tree.map(lambda a: a.mean(axis=0), jax.lax.map(lambda chunk: function(*chunk), (slopes, views)))

    forces = over_chunks(_forces)
    after = _step(parameters, eta, modes, forces)
    changes = partial(_changes, parameters, eta, batch, modes, after)

    def moments(slopes: Gradients, views: Sequence[Array]) -> tuple[Blocks, Blocks, Array]:
        of_samples, square = changes(slopes, views)
        values = blocks(of_samples)
        return jax.tree.map(lambda a: a.mean(axis=0), values), Blocks(*map(_products, values)), square.mean(axis=0)

    mean, products, square = over_chunks(moments)
    covariance = jax.tree.map(lambda product, a: (product - _outer(a, a)) / batch.size, products, mean)
    size = jnp.sqrt(deviation**2 + jnp.diagonal(covariance.diagonal)[:M])

    def jumping(slopes: Gradients, views: Sequence[Array]) -> Array:
        diagonal = blocks(changes(slopes, views)[0]).diagonal
        jumps = (jnp.abs(diagonal[:, :M]) > batch.size * size).any(axis=-1, keepdims=True)
        return _products(jnp.where(jumps, diagonal, 0.0)) / batch.size

    square_of_mean = eta**2 / batch.size * forces.encoder @ forces.encoder.mT
    added = jax.tree.map(jnp.diagonal, _taken_up(parameters, modes, square - square_of_mean))
    return added, covariance, over_chunks(jumping)


def _changes(
    parameters: Parameters,
    eta: Array,
    batch: Batch,
    modes: State,
    after: State,
    slopes: Gradients,
    views: Sequence[Array],
) -> tuple[Moments, Array]:
    """Return two terms for each sample: its contribution to the change of the ``Moments``, and eta^2/B v v^T.

    The mean of the contributions over a batch is the change of the moments by this batch. v is the negative gradient of
    the loss of the sample with respect to the encoder weights, and B the batch size. The term eta^2/B v v^T is the part
    of the contribution to C = W W^T that is of second order in v. modes, after: weights before and after the step.
    slopes: negative gradients of the loss of each sample. views: samples of both views, each (samples, D).
    """
    square = _square(parameters, eta, batch, slopes, views)
    on_encoder = eta * _along(after.encoder, slopes, views)
    cross = of_predictor = None
    if modes.target is not None:
        of_target = eigenvalues.average_step(0.0, on_encoder + square, parameters.decay)
        cross = of_target + eta * _along(after.target, slopes, views).mT
    if slopes.predictor is not None:
        of_predictor = eigenvalues.descent_step(0.0, slopes.predictor, parameters.rate_ratio, 0.0, eta)
    moments = _taken_up(parameters, modes, on_encoder + on_encoder.mT + square)
    return moments._replace(cross=cross, target=None, predictor=of_predictor), square


def _square(parameters: Parameters, eta: Array, batch: Batch, slopes: Gradients, views: Sequence[Array]) -> Array:
    """Return eta^2/B v v^T for each sample, summed over all N inputs, (samples, M, M).

    v = g x1^T + h x2^T is the negative gradient of the loss with respect to the encoder weights. g and h are the
    negative gradients of the loss with respect to the representations of the views x1 and x2. slopes: g, h and the
    gradient for a learned predictor, for each sample. views: x1 and x2, each (samples, D).
    """
    (g, h, _), (first, both, second) = slopes, _lengths(parameters, eta, batch, views)
    crossed = _outer(both * g, h)
    return _outer(first * g, g) + crossed + crossed.mT + _outer(second * h, h)


def _mean_square(parameters: Parameters, eta: Array, batch: Batch, slopes: Gradients, views: Sequence[Array]) -> Array:
    """Return the mean over samples of eta^2/B v v^T, (M, M), where v is the negative gradient of the loss of a sample.

    The arguments are those of ``_square``.
    """
    (g, h, _), (first, both, second) = slopes, _lengths(parameters, eta, batch, views)
    crossed = (both * g).mT @ h
    return ((first * g).mT @ g + crossed + crossed.mT + (second * h).mT @ h) / len(g)


def _lengths(parameters: Parameters, eta: Array, batch: Batch, views: Sequence[Array]) -> tuple[Array, Array, Array]:
    """Return eta^2/B |x1|^2, eta^2/B x1 . x2 and eta^2/B |x2|^2 for samples of the views x1 and x2, each (samples, 1).

    eta is the learning rate, and B is the batch size. views: x1 and x2, each (samples, D). A view has N >= D components
    in total, but a sample contains only the D components that the weights (M, D) use. |x1|^2, x1 . x2 and |x2|^2 are
    sums over all N components, in which the terms of the N - D other components are replaced by their means.
    """
    x1, x2 = views
    outside, scale = batch.inputs - x1.shape[-1], eta**2 / batch.size
    n1, n2 = 1 + parameters.excess1, 1 + parameters.excess2
    pairs = ((x1, x1, n1), (x1, x2, 1.0), (x2, x2, n2))
    first, both, second = (scale * ((a * b).sum(-1, keepdims=True) + outside * mean) for a, b, mean in pairs)
    return first, both, second


def _along(W: Array, slopes: Gradients, views: Sequence[Array]) -> Array:
    """Return v W^T for each sample, (samples, M, M), for weights W (M, D).

    v = g x1^T + h x2^T is the negative gradient of the loss with respect to the encoder weights. g and h are the
    negative gradients of the loss with respect to the representations of the views x1 and x2. slopes: g and h for each
    sample. views: x1 and x2, each (samples, D).
    """
    x1, x2 = views
    return _outer(slopes.view1, x1 @ W.mT) + _outer(slopes.view2, x2 @ W.mT)


def _taken_up(parameters: Parameters, state: State, square: Array) -> Moments:
    """Return the changes of all moments in a step that follow from a change ``square`` (..., M, M) of C = W W^T.

    A separate target averages the encoder weights over steps, and a tracked correlation averages C over steps.
    Therefore a part of the change of C reaches the moments of both.
    """

    def average(values: Array, decay: Array) -> Array:
        return eigenvalues.average_step(0.0, values, decay)

    cross = None if state.target is None else average(square, parameters.decay)
    return Moments(
        square,
        cross,
        None if cross is None else average(cross, parameters.decay),
        None if state.predictor is None else jnp.zeros_like(square),
        None if state.tracked is None else average(square, parameters.tracking),
    )


def _outer(a: Array, b: Array) -> Array:
    """Return the outer products (..., M, M) of vectors (..., M)."""
    return a[..., :, None] * b[..., None, :]


def _products(values: Array) -> Array:
    """Return the mean over samples of the products of all pairs of E values, (..., E, E).

    values: (samples, ..., E).
    """
    if values.ndim == 2:
        return values.mT @ values / len(values)
    columns = [values[..., e] for e in range(values.shape[-1])]  # columns are few; products of small matrices are slow
    return jnp.stack([jnp.stack([(a * b).mean(axis=0) for b in columns], axis=-1) for a in columns], axis=-2)
