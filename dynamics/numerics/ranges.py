"""Validate a range of a parameter: two numbers (low, high), or three or more ascending values."""

from typing import Any

import numpy as np
import numpy.typing as npt

from dynamics import errors
from dynamics.numerics.memory import check_size

NUMBERS = 8  # numbers stored for each point: the range, copies, and a result
SPACINGS: dict[str, Any] = {"linear": np.linspace, "log": np.geomspace}
REQUIREMENT = "be a range: two ascending numbers (low, high), or three or more ascending values"


def check_range(name: str, value: npt.ArrayLike, points: int = 50, numbers: int = NUMBERS) -> npt.NDArray[np.float64]:
    """Return the ascending values (K,) of a range; a pair (low, high) becomes ``points`` evenly spaced values.

    numbers: how many numbers the caller will store for each value of the range. Raises ArgumentError for an invalid
    range, and if these numbers do not fit into memory.
    """
    values = errors.real_array(name, value, REQUIREMENT)
    if values.ndim != 1 or len(values) < 2 or not (np.diff(values) > 0).all():
        errors.reject(name, REQUIREMENT, value)
    if len(values) == 2:
        return evenly_spaced(values[0], values[1], points, numbers=numbers)
    _check_points(len(values), numbers)
    return values


def evenly_spaced(
    first: float, last: float, points: int, spacing: str = "linear", numbers: int = NUMBERS
) -> npt.NDArray[np.float64]:
    """Return ``points`` values from ``first`` to ``last``, at equal distances ("linear") or at equal ratios ("log").

    numbers: how many numbers the caller will store for each value. Raises ArgumentError if these numbers do not fit
    into memory.
    """
    _check_points(points, numbers)
    return SPACINGS[spacing](first, last, points)


def _check_points(points: int, numbers: int) -> None:
    check_size(f"A range of {points:,} points", numbers * points, "Ask for fewer points.")
