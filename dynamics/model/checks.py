"""Check the values of options of a model.

Each function takes the name of an option, for messages, and a value. It returns the value to store, or raises
ArgumentError if the value is not valid.
"""

from typing import Any

import numpy as np
import numpy.typing as npt

from dynamics import errors

Array = npt.NDArray[np.float64]


def flag(name: str, value: Any) -> bool:
    """Return the value of an option that must be True or False."""
    errors.flag(name, value)
    return bool(value)


def decay(name: str, value: Any) -> Array:
    """Return the decay per step of an exponential average: a number in [0, 1], or an array of such numbers."""
    return errors.fraction(name, value, "be a decay per step, between 0 and 1")


def decay_below_one(name: str, value: Any) -> Array:
    """Return the decay per step of an exponential average: a number in [0, 1), or an array of such numbers."""
    return errors.fraction(name, value, "be a decay per step that is at least 0 and below 1", True)


def predictor_eigenvalues(name: str, value: Any) -> Array:
    """Return the initial eigenvalues of a learned predictor, which must be finite numbers of any sign."""
    requirement = "be eigenvalues of the predictor: one finite number, or one finite number for each mode"
    return errors.real_array(name, value, requirement)


def covariance(name: str, value: Any) -> Array | None:
    """Return a validated covariance matrix (N, N) of the inputs; return None, which means white inputs, unchanged."""
    return None if value is None else errors.covariance(name, value)


def two_sigmas(name: str, value: Any) -> tuple[Array, Array]:
    """Return the standard deviations of the noise on view 1 and on view 2, each a number or an array."""
    requirement = "be two non-negative numbers, or, for an ensemble, two arrays of non-negative numbers"
    several = isinstance(value, (tuple, list)) or (isinstance(value, np.ndarray) and value.ndim > 0)
    if not several or len(value) != 2:
        errors.reject(name, requirement, value)
    try:
        sigma1, sigma2 = (errors.non_negative(name, sigma, requirement) for sigma in value)
    except errors.ArgumentError:
        errors.reject(name, requirement, tuple(value))
    return sigma1, sigma2
