"""Validate the values that a user gives for the options of a model.

Each function takes the name of an option and its value. If the value is valid, the function returns the value in the
form in which the model stores it. Otherwise the function raises ArgumentError; the message contains the name.
"""

from typing import Any

import numpy as np
import numpy.typing as npt

from dynamics import errors

Array = npt.NDArray[np.float64]


def flag(name: str, value: Any) -> bool:
    """Return the value of an option as a bool; raise ArgumentError unless the value is True or False."""
    errors.flag(name, value)
    return bool(value)


def decay(name: str, value: Any) -> Array:
    """Return a decay per step of an exponential average, or an array of decays; raise ArgumentError outside [0, 1]."""
    return errors.fraction(name, value, "be a decay per step, between 0 and 1")


def decay_below_one(name: str, value: Any) -> Array:
    """Return a decay per step of an exponential average, or an array of decays; raise ArgumentError outside [0, 1)."""
    return errors.fraction(name, value, "be a decay per step that is at least 0 and below 1", True)


def predictor_eigenvalues(name: str, value: Any) -> Array:
    """Return the initial eigenvalues of a learned predictor as an array; raise ArgumentError if they are not finite.

    Eigenvalues may have any sign.
    """
    requirement = "be eigenvalues of the predictor: one finite number, or one finite number for each mode"
    return errors.real_array(name, value, requirement)


def covariance(name: str, value: Any) -> Array | None:
    """Return the covariance matrix (N, N) of the inputs as an array; return None if the value is None (white inputs).

    Raises ArgumentError if the value is neither None nor a covariance matrix.
    """
    return None if value is None else errors.covariance(name, value)


def two_sigmas(name: str, value: Any) -> tuple[Array, Array]:
    """Return the standard deviations of the noise on view 1 and on view 2, each a number or an array.

    Raises ArgumentError unless the value is a pair of non-negative numbers or arrays.
    """
    requirement = "be two non-negative numbers, or, for an ensemble, two arrays of non-negative numbers"
    advice = "Give a pair (sigma1, sigma2): the standard deviations on views 1 and 2."
    several = isinstance(value, (tuple, list)) or (isinstance(value, np.ndarray) and value.ndim > 0)
    if not several or len(value) != 2:
        errors.reject(name, requirement, value, advice)
    try:
        sigma1, sigma2 = (errors.non_negative(name, sigma, requirement) for sigma in value)
    except errors.ArgumentError:
        errors.reject(name, requirement, tuple(value))
    return sigma1, sigma2
