r"""Second moments of a network's weights, whose law under training with white inputs is closed.

A rotation of the inputs changes neither the inputs' law nor the loss. The law of the products of weights

    C = W W^T,  X = V W^T,  T = V V^T

(encoder W, separate target V), of a learned predictor W_P and of a tracked correlation therefore follows from their
values at the step before, the batch size and the number of inputs. Before the first step all of them are diagonal in
the basis of the modes. Their means stay diagonal, and off-diagonal entries are uncorrelated with all entries but those
of the same pair of modes, because a change of sign of a mode leaves the law unchanged.
"""

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from dynamics.vector_field.state import State

FloatArray = npt.NDArray[np.float64]


class Moments(NamedTuple):
    """Moments as matrices (..., M, M), or their diagonals (..., M); None where the model has no such variable."""

    correlation: Any  # C = W W^T
    cross: Any = None  # X = V W^T
    target: Any = None  # T = V V^T
    predictor: Any = None  # W_P of a learned predictor
    tracked: Any = None  # the tracked correlation


class Blocks(NamedTuple):
    """Fluctuations of the moments, or their covariances.

    diagonal: diagonal entries of C, X, W_P and the tracked correlation, (..., E), in this order. pairs: the entries
    (m, k) and, where the matrix is not symmetric, (k, m), for each pair m < k of modes, (..., pairs, F). Covariances
    have the last axis twice. T is left out: given C and X, it fluctuates only in the second order.
    """

    diagonal: Any
    pairs: Any


def of_state(state: State) -> Moments:
    """Return the diagonals (M,) of the moments of eigenmodes."""
    w, v, predictor, tracked = state
    return Moments(w * w, None if v is None else v * w, None if v is None else v * v, predictor, tracked)


def eigenmodes(moments: Moments) -> State:
    """Return the eigenmodes with these moments (..., M): the inverse of ``of_state`` if T follows from C and X."""
    w = np.sqrt(moments.correlation)
    v = None if moments.cross is None else np.divide(moments.cross, w, out=np.zeros_like(w), where=w > 0)
    return State(w, v, moments.predictor, moments.tracked)


def fluctuating(moments: Moments) -> list[tuple[Any, bool]]:
    """Return the moments whose fluctuations are followed, and whether each is a symmetric matrix."""
    symmetric = ((moments.correlation, True), (moments.cross, False), (moments.predictor, False))
    return [(matrix, same) for matrix, same in (*symmetric, (moments.tracked, True)) if matrix is not None]


def blocks(moments: Moments) -> Blocks:
    """Return the entries of matrices (..., M, M) as blocks; for NumPy and JAX arrays."""
    xp = moments.correlation.__array_namespace__()
    upper, lower = np.triu_indices(moments.correlation.shape[-1], 1)
    diagonal, pairs = [], []
    for matrix, symmetric in fluctuating(moments):
        diagonal.append(xp.linalg.diagonal(matrix))
        pairs.append(matrix[..., upper, lower])
        pairs += [] if symmetric else [matrix[..., lower, upper]]
    return Blocks(xp.concat(diagonal, axis=-1), xp.stack(pairs, axis=-1))


def entries(diagonals: Moments) -> FloatArray:
    """Return diagonals (..., M) as the entries (..., E) of the diagonal block."""
    return np.concatenate([diagonal for diagonal, _ in fluctuating(diagonals)], axis=-1)


def diagonals(like: Moments, values: FloatArray) -> Moments:
    """Return entries (..., E) of the diagonal block as diagonals (..., M); ``like`` has the moments of the model."""
    parts = iter(np.split(values, values.shape[-1] // like.correlation.shape[-1], axis=-1))
    return Moments(*(None if part is None else next(parts) for part in like._replace(target=None)))


def matrices(like: Moments, values: Blocks) -> Moments:
    """Return the matrices (..., M, M) with these entries; ``like`` has the moments of the model."""
    modes, pairs = like.correlation.shape[-1], iter(np.moveaxis(values.pairs, -1, 0))
    upper, lower = np.triu_indices(modes, 1)

    def matrix(diagonal: FloatArray, symmetric: bool) -> FloatArray:
        filled = diagonal[..., None] * np.eye(modes)
        filled[..., upper, lower] = above = next(pairs)
        filled[..., lower, upper] = above if symmetric else next(pairs)
        return filled

    of_each = diagonals(like, values.diagonal)
    filled = iter([matrix(diagonal, symmetric) for diagonal, symmetric in fluctuating(of_each)])
    return Moments(*(None if part is None else next(filled) for part in of_each))


def scales(mean: Moments) -> Blocks:
    """Return the natural size of each entry of the blocks: the root of the product of the two modes' moments."""
    sizes = mean._replace(
        cross=None if mean.cross is None else np.sqrt(mean.correlation * mean.target),
        predictor=None if mean.predictor is None else np.abs(mean.predictor) + np.abs(mean.predictor).mean(),
    )

    def outer(size: FloatArray | None) -> FloatArray | None:
        return None if size is None else np.sqrt(np.outer(size, size))

    positive = blocks(Moments(*map(outer, sizes)))
    return Blocks(*(np.where(size > 0, size, 1.0) for size in positive))
