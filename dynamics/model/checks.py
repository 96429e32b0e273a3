"""Checks of option values: functions of (name, value) that return the value to store, or raise ArgumentError."""

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
    """Return the decays per step of an exponential average, numbers in [0, 1]."""
    return errors.fraction(name, value, "be a decay per step, between 0 and 1")


def decay_below_one(name: str, value: Any) -> Array:
    """Return the decays per step of an exponential average, numbers in [0, 1)."""
    return errors.fraction(name, value, "be a decay per step, at least 0 and below 1", True)


def predictor_eigenvalues(name: str, value: Any) -> Array:
    """Return the eigenvalues of a predictor, finite numbers of any sign."""
    return errors.real_array(name, value, "be eigenvalues of the predictor: one finite number, or one for each mode")


def covariance(name: str, value: Any) -> Array | None:
    """Return a covariance matrix; return None for None."""
    return None if value is None else errors.covariance(name, value)


def two_sigmas(name: str, value: Any) -> tuple[Array, Array]:
    """Return the standard deviations of the noise on view 1 and on view 2, each a number or an array."""
    requirement = "be two non-negative numbers, or two arrays of them, for an ensemble"
    several = isinstance(value, (tuple, list)) or (isinstance(value, np.ndarray) and value.ndim > 0)
    if not several or len(value) != 2:
        errors.reject(name, requirement, value)
    try:
        sigma1, sigma2 = (errors.non_negative(name, sigma, requirement) for sigma in value)
    except errors.ArgumentError:
        errors.reject(name, requirement, tuple(value))
    return sigma1, sigma2
