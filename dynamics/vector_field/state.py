"""The dynamical variables of a model, the forces on them, and the observables of a state.

The same tuples hold eigenmodes, each part (..., M), and weights as matrices, (..., M, N) and (..., M, M).
"""

from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar

Parts = TypeVar("Parts", bound=tuple[Any, ...])


class State(NamedTuple):
    """The dynamical variables; None where the model has no such variable."""

    encoder: Any  # singular values w, with their sign in the first singular vectors; or the matrix W
    target: Any = None  # singular values, or the matrix, of a separate target branch
    predictor: Any = None  # eigenvalues lambda of a learned predictor; or the matrix W_P
    tracked: Any = None  # eigenvalues of the tracked correlation; or the matrix


class Forces(NamedTuple):
    """Negative gradients of the expected loss with respect to encoder and learned predictor, in the shapes of both."""

    encoder: Any
    predictor: Any = None


class Observables(NamedTuple):
    """Eigenvalues (..., M) of the correlation, of the target's correlation and of the predictor; weight matrices."""

    s: Any
    target: Any
    predictor: Any
    weights: Any = None  # (..., M, N); None for eigenmodes
    target_weights: Any = None  # the same of the target branch


def each(function: Callable[..., Any], *tuples: Parts) -> Parts:
    """Apply a function to corresponding parts of tuples, where they are not None; returns a tuple of the same class."""
    parts = zip(*tuples, strict=True)
    kind: Callable[..., Parts] = type(tuples[0])
    return kind(*(None if some[0] is None else function(*some) for some in parts))
