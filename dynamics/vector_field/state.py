"""Define the dynamical variables of a model, the forces on these variables, and the observables of a state.

The same classes describe eigenmodes, by arrays (..., M), and weight matrices, by arrays (..., M, N) for branches and
(..., M, M) for the predictor.
"""

from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar

Parts = TypeVar("Parts", bound=tuple[Any, ...])


class State(NamedTuple):
    """Values of the dynamical variables of a model; None for a variable that the model does not have."""

    encoder: Any  # singular values w, negative where a step of gradient descent changed their sign; or the matrix W
    target: Any = None  # singular values, or the matrix, of a separate target branch
    predictor: Any = None  # eigenvalues lambda of a learned predictor; or the matrix W_P
    tracked: Any = None  # eigenvalues of the tracked correlation; or the tracked correlation as a matrix
    encoder_buffer: Any = None  # momentum buffer of the encoder, of the shape of the encoder
    predictor_buffer: Any = None  # momentum buffer of a learned predictor


class Forces(NamedTuple):
    """Negative gradients of the expected loss with respect to the encoder and to a learned predictor.

    Each gradient has the same shape as the variable with respect to which it is taken.
    """

    encoder: Any
    predictor: Any = None  # None for a predictor that is not learned


class Observables(NamedTuple):
    """Observables of a state: eigenvalues (..., M), and the weights if the state consists of weight matrices."""

    s: Any  # eigenvalues of the correlation
    target: Any  # eigenvalues of the correlation of the target branch's representations
    predictor: Any  # eigenvalues of the predictor
    weights: Any = None  # weights of the encoder (..., M, N); None for eigenmodes
    target_weights: Any = None  # weights of a separate target branch (..., M, N)
    predictor_weights: Any = None  # weights of a learned predictor (..., M, M)


def each(function: Callable[..., Any], *tuples: Parts) -> Parts:
    """Call a function with the first entries of several named tuples, with the second entries, and so on.

    The tuples have the same class, such as ``State``. Returns a tuple of this class, whose entries are the returned
    values. An entry that is None in the first tuple stays None.
    """
    parts = zip(*tuples, strict=True)
    kind: Callable[..., Parts] = type(tuples[0])
    return kind(*(None if some[0] is None else function(*some) for some in parts))
