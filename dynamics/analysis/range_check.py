"""Reject arguments for which the numbers in an analysis leave the range of double precision."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from dynamics import errors

REQUIREMENT = "have values for which all rates of this model are within the range of double precision"


@contextmanager
def within_range(name: str, value: Any) -> Iterator[None]:
    """Return a context that raises ArgumentError if a computation inside the context overflows.

    name, value: the argument that the message names. An overflow appears as one of three errors: FloatingPointError
    from an integral that is not finite, LinAlgError from the eigenvalues of a matrix that is not finite, or
    RuntimeError from an iteration that does not converge.
    """
    try:
        with np.errstate(all="ignore"):
            yield
    except (FloatingPointError, np.linalg.LinAlgError, RuntimeError) as error:
        errors.reject(name, f"{REQUIREMENT} (here {error})", value)


def check_finite(name: str, value: Any, *results: Any) -> None:
    """Raise ArgumentError unless all results are finite; ``name`` and ``value`` are the argument in the message."""
    if not all(np.isfinite(result).all() for result in results):
        errors.reject(name, REQUIREMENT, value)
