r"""Define the moments of a network: learned predictor, tracked correlation, and second moments of the weights.

With the weights W of the encoder and V of a separate target, the second moments of the weights are

    C = W W^T,  X = V W^T,  T = V V^T

The other moments are the matrix W_P of a learned predictor, and a tracked correlation. For white inputs the moments
have a closed law: the distribution of the moments after a step follows from the moments before the step, the batch size
and the number of inputs. The reason is that a rotation of the inputs changes neither the distribution of the inputs nor
the loss. Before the first step all moments are diagonal in the basis of the modes. A change of the sign of one mode
leaves the law unchanged. Therefore the means of the moments stay diagonal, and an off-diagonal entry correlates only
with entries of the same pair of modes.
"""

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from dynamics.vector_field.state import State

FloatArray = npt.NDArray[np.float64]


class Moments(NamedTuple):
    """Moments of networks: second moments of the weights, the learned predictor, and the tracked correlation.

    Each moment is given by matrices (..., M, M) or by diagonals (..., M). A moment that the model does not have is
    None.
    """

    correlation: Any  # C = W W^T
    cross: Any = None  # X = V W^T
    target: Any = None  # T = V V^T
    predictor: Any = None  # W_P of a learned predictor
    tracked: Any = None  # the tracked correlation


class Blocks(NamedTuple):
    """Entries of the moments in two blocks; the arrays contain fluctuations of the entries, or covariances of them.

    The moments are, in this order, C = W W^T and X = V W^T for encoder weights W and target weights V, a learned
    predictor and a tracked correlation. diagonal: the E diagonal entries of all moments, (..., E). pairs: for each of P
    pairs m < k of modes, the F entries that belong to this pair, (..., P, F). They are the entry (m, k) of each moment,
    and also the entry (k, m) of each moment that is not symmetric. For covariances the last axis appears twice:
    (..., E, E) and (..., P, F, F). T = V V^T is left out, because at given C and X the fluctuations of T are of second
    order.
    """

    diagonal: Any
    pairs: Any


def of_state(state: State) -> Moments:
    """Return the moments of a state of eigenmodes: the diagonals (M,) of C = W W^T and of the other ``Moments``."""
    w, v = state.encoder, state.target
    cross, target = (None, None) if v is None else (v * w, v * v)
    return Moments(w * w, cross, target, state.predictor, state.tracked)


def eigenmodes(moments: Moments) -> State:
    """Return the state of eigenmodes with these moments, diagonals (..., M); the target's moment T is ignored.

    The function is the inverse of ``of_state`` only if the moments C, X and T (see ``Moments``) obey T = X^2/C.
    """
    w = np.sqrt(moments.correlation)
    v = None if moments.cross is None else np.divide(moments.cross, w, out=np.zeros_like(w), where=w > 0)
    return State(w, v, moments.predictor, moments.tracked)


def fluctuating(moments: Moments) -> list[tuple[Any, bool]]:
    """Return a list of pairs (moment, symmetric), one for each moment whose fluctuations are propagated.

    moment: the array in ``moments``. symmetric: True if the moment is a symmetric matrix. The list contains all moments
    of the model except T = V V^T of the target weights V, whose fluctuations are left out.
    """
    symmetric = ((moments.correlation, True), (moments.cross, False), (moments.predictor, False))
    return [(matrix, same) for matrix, same in (*symmetric, (moments.tracked, True)) if matrix is not None]


def blocks(moments: Moments) -> Blocks:
    """Return the entries of moments in two blocks: diagonal entries, and off-diagonal entries for each pair of modes.

    moments: matrices (..., M, M) of NumPy or JAX. The order of the entries is that of ``Blocks``.
    """
    xp = moments.correlation.__array_namespace__()
    upper, lower = np.triu_indices(moments.correlation.shape[-1], 1)
    diagonal, pairs = [], []
    for matrix, symmetric in fluctuating(moments):
        diagonal.append(xp.linalg.diagonal(matrix))
        pairs.append(matrix[..., upper, lower])
        pairs += [] if symmetric else [matrix[..., lower, upper]]
    return Blocks(xp.concat(diagonal, axis=-1), xp.stack(pairs, axis=-1))


def entries(diagonals: Moments) -> FloatArray:
    """Return the diagonals (..., M) of all moments, joined in one array (..., E).

    T = V V^T of target weights V is left out, so that E is M times the number of the other moments.
    """
    return np.concatenate([diagonal for diagonal, _ in fluctuating(diagonals)], axis=-1)


def diagonals(like: Moments, values: FloatArray) -> Moments:
    """Return the moments, as diagonals (..., M), from one array ``values`` (..., E); the inverse of ``entries``.

    like: any moments of the same model, from which the function takes M and the names of the moments. The target's
    moment T is None in the result, and E is M times the number of the other moments.
    """
    parts = iter(np.split(values, values.shape[-1] // like.correlation.shape[-1], axis=-1))
    return Moments(*(None if part is None else next(parts) for part in like._replace(target=None)))


def matrices(like: Moments, values: Blocks) -> Moments:
    """Return the moments, as matrices (..., M, M), from their entries in blocks; the inverse of ``blocks``.

    like: any moments of the same model, from which the function takes M and the names of the model's moments.
    """
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
    """Return a typical size of each entry of the moments; fluctuations of an entry are measured in units of its size.

    mean: mean moments over networks, as diagonals (M,). The size of an entry (m, k) is the geometric mean of the sizes
    of the entries (m, m) and (k, k). For the correlation C = W W^T, and for a tracked correlation, the size of an entry
    (m, m) is its mean over networks. For X = V W^T it is the square root of the product of the mean entries (m, m) of C
    and T = V V^T. For a learned predictor it is the absolute mean entry (m, m) plus the average of the absolute entries
    of all modes. Sizes of zero are replaced by 1.
    """
    sizes = mean._replace(
        cross=None if mean.cross is None else np.sqrt(mean.correlation * mean.target),
        predictor=None if mean.predictor is None else np.abs(mean.predictor) + np.abs(mean.predictor).mean(),
    )

    def outer(size: FloatArray | None) -> FloatArray | None:
        return None if size is None else np.sqrt(np.outer(size, size))

    positive = blocks(Moments(*map(outer, sizes)))
    return Blocks(*(np.where(size > 0, size, 1.0) for size in positive))
