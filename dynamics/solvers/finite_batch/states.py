"""Compute the weights of networks with given moments, and the eigenvectors of the networks' predictors.

With the weights W of the encoder and V of a separate target, the moments are C = W W^T, X = V W^T and T = V V^T
(``moments``). A network with given moments has, up to a rotation of its inputs, the encoder weights W = R and the
target weights V = X R^-T, both (M, M), with C = R R^T. If T is larger than V V^T, the target has further weights, which
belong to inputs from which the encoder has turned away.
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
    """Weights (..., M, D) of networks with D inputs, and eigenvectors and eigenvalues of a closed-form predictor."""

    weights: State
    vectors: FloatArray | None = None  # eigenvectors (..., M, M)
    lam: FloatArray | None = None  # eigenvalues lambda (..., M)


class Neighbours(NamedTuple):
    """States of networks whose ``Moments`` are at, or near, a mean over networks.

    plus, minus: states whose moments differ by K random draws from the mean, mean + draw and mean - draw, (K, ...).
    lagging: state with the mean moments. modes: state with the mean moments C = W W^T and X = V W^T of encoder weights
    W and target weights V, and with the T = V V^T that follows from C and X if the target does not lag behind the
    encoder.
    """

    plus: NetworkState
    minus: NetworkState
    lagging: NetworkState
    modes: NetworkState


def neighbours(structure: Structure, parameters: Parameters, mean: Moments, draws: Moments, share: float) -> Neighbours:
    """Return network states whose moments deviate from the mean by plus and minus ``share`` times K random draws.

    mean: mean moments, as diagonals (M,). draws: fluctuations of the moments, (K, M, M).
    """
    modes = _weights(mean, Moments(*(None if a is None else np.zeros((len(a), len(a))) for a in mean)))
    scaled = [Moments(*(None if a is None else sign * share * a for a in draws)) for sign in (1, -1)]
    weights = [*(_weights(mean, draw) for draw in scaled), modes, modes]
    if mean.target is not None:
        lag = _lag(mean, weights[0], weights[1], share)
        weights = [_widened(state, values) for state, values in zip(weights, (lag, lag, lag, 0 * lag), strict=True)]
    return Neighbours(*(_with_predictor(structure, parameters, state) for state in weights))


def _weights(mean: Moments, draws: Moments) -> State:
    """Return weights (..., M, M) with the moments mean + draws; the target's moment T follows from the others."""
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
    """Return the sizes (M,) of target weights at inputs that the encoder ignores.

    They are the roots of the mean excess of the target's moment T over V V^T, where V are the weights in ``plus`` and
    ``minus``.
    """
    along = np.divide(mean.cross**2, mean.correlation, out=np.zeros_like(mean.cross), where=mean.correlation > 0)
    drawn = [np.diagonal(V @ V.mT, axis1=-2, axis2=-1).mean(axis=0) for V in (plus.target, minus.target)]
    seen = along + (sum(drawn) / 2 - along) / share**2
    return np.asarray(np.sqrt(np.maximum(mean.target - seen, 0.0)), float)


def _widened(state: State, lag: FloatArray) -> State:
    """Return the weights with M more columns, (..., M, 2M), in which only the weights of the target are nonzero."""
    more = np.broadcast_to(np.diag(lag), state.target.shape)
    encoder = np.concatenate([state.encoder, np.zeros_like(more)], axis=-1)
    return state._replace(encoder=encoder, target=np.concatenate([state.target, more], axis=-1))


def _with_predictor(structure: Structure, parameters: Parameters, state: State) -> NetworkState:
    """Return the state together with the eigenvectors and eigenvalues of the closed-form predictor in this state."""
    if structure.predictor in ("none", "learned"):
        return NetworkState(state)
    C = state.encoder @ state.encoder.mT if state.tracked is None else state.tracked
    if not np.isfinite(C).all():
        return NetworkState(state, np.full_like(C, np.nan), np.full(C.shape[:-1], np.nan))
    s, vectors = np.linalg.eigh(C)
    return NetworkState(state, vectors, closed_form(structure, parameters, np.maximum(s, 0.0)))
