"""Refusal of arguments at which an analysis leaves the range of double precision."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from dynamics import errors

REQUIREMENT = "be at a scale at which the rates of this model are within the range of double precision"


@contextmanager
def within_range(name: str, value: Any) -> Iterator[None]:
    """Raise ArgumentError for an argument if the computation in this context overflows.

    Overflows are found in the results: integrals that are not finite (FloatingPointError), eigenvalues of a matrix that
    is not (LinAlgError), and iterations that do not converge (RuntimeError).
    """
    try:
        with np.errstate(all="ignore"):
            yield
    except (FloatingPointError, np.linalg.LinAlgError, RuntimeError) as error:
        errors.reject(name, f"{REQUIREMENT} (here {error})", value)


def check_finite(name: str, value: Any, *results: Any) -> None:
    """Raise ArgumentError for an argument unless all results are finite."""
    if not all(np.isfinite(result).all() for result in results):
        errors.reject(name, REQUIREMENT, value)
