"""Check of a range of a parameter: two numbers (low, high), or three or more ascending values."""

import numpy as np
import numpy.typing as npt

from dynamics import errors

REQUIREMENT = "be a range: two ascending numbers (low, high), or three or more ascending values"


def check_range(name: str, value: npt.ArrayLike, points: int = 50) -> npt.NDArray[np.float64]:
    """Return the ascending values (K,) of a range; (low, high) stands for ``points`` evenly spaced values.

    Raises an ArgumentError that names the argument.
    """
    values = errors.real_array(name, value, REQUIREMENT)
    if values.ndim != 1 or len(values) < 2 or not (np.diff(values) > 0).all():
        errors.reject(name, REQUIREMENT, value)
    return np.linspace(values[0], values[1], points) if len(values) == 2 else values
