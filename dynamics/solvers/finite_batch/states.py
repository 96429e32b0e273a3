"""Compute the weights of networks with given moments, and the eigenvectors of the networks' predictors.

With the weights W of the encoder and V of a separate target, the moments are C = W W^T, X = V W^T and T = V V^T
(``moments``). A network with given moments has, up to a rotation of its inputs, the encoder weights R (M, M), a root of
C = R R^T, and the target weights X R^-T (M, M). If T is larger than the moment X C^-1 X^T of these target weights, the
target has further weights, which belong to inputs from which the encoder has turned away.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from dynamics.model.parameters import Parameters, Structure
from dynamics.solvers.finite_batch.moments import Moments
from dynamics.vector_field.eigenmode_state import closed_form
from dynamics.vector_field.state import State

FloatArray = npt.NDArray[np.float64]


class NetworkState(NamedTuple):
    """Weights (..., M, D) of networks with D inputs; eigenvectors and eigenvalues of a closed-form predictor."""

    weights: State
    vectors: FloatArray | None = None  # eigenvectors (..., M, M)
    lam: FloatArray | None = None  # eigenvalues lambda (..., M)


class Neighbours(NamedTuple):
    """States of networks whose ``Moments`` are at, or near, the mean over networks.

    plus, minus: states with the moments mean + share * draw and mean - share * draw, (K, ...), for each of K random
    draws; ``share`` is the argument of ``neighbours``. lagging: state with the mean moments. modes: state that equals
    ``lagging`` except for the target weights of inputs that the encoder ignores; these weights are zero, as if the
    target did not lag behind the encoder. ``modes`` is None if the model has no separate target.
    """

    plus: NetworkState
    minus: NetworkState
    lagging: NetworkState
    modes: NetworkState | None = None


def neighbours(structure: Structure, parameters: Parameters, mean: Moments, draws: Moments, share: float) -> Neighbours:
    """Return network states with the mean moments, and with moments that deviate from the mean by random draws.

    mean: mean moments, as diagonals (M,). draws: fluctuations of the moments, (K, M, M). share: factor with which the
    draws are added to, and subtracted from, the mean.
    """
    modes = _weights(mean, Moments(*(None if a is None else np.zeros((len(a), len(a))) for a in mean)))
    scaled = [Moments(*(None if a is None else sign * share * a for a in draws)) for sign in (1, -1)]
    weights = [*(_weights(mean, draw) for draw in scaled), modes]
    if mean.target is not None:
        lag = _lag(mean, weights[0], weights[1], share)
        weights = [*(_widened(state, lag) for state in weights), _widened(modes, 0 * lag)]
    return Neighbours(*(_with_predictor(structure, parameters, state) for state in weights))


def _weights(mean: Moments, draws: Moments) -> State:
    """Return weights (..., M, M) of networks whose moments, except T, are mean + draws.

    The target's moment T in ``mean`` and ``draws`` is ignored: the weights have the T that follows from the other
    moments.
    """
    w = np.sqrt(mean.correlation)
    inverse = np.divide(1.0, w, out=np.zeros_like(w), where=w > 0)
    root = _root(np.eye(len(w)) + inverse[:, None] * draws.correlation * inverse)
    target = None
    if mean.cross is not None:
        cross = (np.diag(mean.cross) + draws.cross) * inverse
        target = np.linalg.solve(root, cross.mT).mT
    pairs = ((mean.predictor, draws.predictor), (mean.tracked, draws.tracked))
    return State(w[:, None] * root, target, *(None if a is None else np.diag(a) + draw for a, draw in pairs))


def _root(matrices: FloatArray) -> FloatArray:
    """Return the Cholesky factors of matrices; all factors are NaN if a matrix is not positive definite."""
    try:
        return np.asarray(np.linalg.cholesky(matrices), float)
    except np.linalg.LinAlgError:
        return np.full_like(matrices, np.nan)


def _lag(mean: Moments, plus: State, minus: State, share: float) -> FloatArray:
    """Return the size (M,) of the target weights of each mode along inputs that the encoder ignores.

    The squares of these sizes are the mean of T over networks minus the mean of V V^T. T is the second moment of all
    target weights, and V are the target weights along the inputs that the encoder uses. The mean of V V^T is computed
    from the states ``plus`` and ``minus``, which deviate from the mean by ``share`` times a draw.
    """
    along = np.divide(mean.cross**2, mean.correlation, out=np.zeros_like(mean.cross), where=mean.correlation > 0)
    drawn = [np.diagonal(V @ V.mT, axis1=-2, axis2=-1).mean(axis=0) for V in (plus.target, minus.target)]
    seen = along + (sum(drawn) / 2 - along) / share**2
    return np.asarray(np.sqrt(np.maximum(mean.target - seen, 0.0)), float)


def _widened(state: State, lag: FloatArray) -> State:
    """Return weights (..., M, 2M) with M more inputs, which only the target uses.

    lag: target weight of each mode along the additional inputs, (M,); the encoder weights along these inputs are zero.
    """
    more = np.broadcast_to(np.diag(lag), state.target.shape)
    encoder = np.concatenate([state.encoder, np.zeros_like(more)], axis=-1)
    return state._replace(encoder=encoder, target=np.concatenate([state.target, more], axis=-1))


def _with_predictor(structure: Structure, parameters: Parameters, state: State) -> NetworkState:
    """Return the state, with the eigenvectors and eigenvalues of its closed-form predictor if the model has one."""
    if structure.predictor in ("none", "learned"):
        return NetworkState(state)
    C = state.encoder @ state.encoder.mT if state.tracked is None else state.tracked
    if not np.isfinite(C).all():
        return NetworkState(state, np.full_like(C, np.nan), np.full(C.shape[:-1], np.nan))
    s, vectors = np.linalg.eigh(C)
    return NetworkState(state, vectors, closed_form(structure, parameters, np.maximum(s, 0.0)))
