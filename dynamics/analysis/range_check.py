"""Reject arguments for which a computation of this package exceeds the range of double precision."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import numpy.typing as npt

from dynamics import errors
from dynamics.model.model import Model
from dynamics.vector_field.extremes import extreme_argument

REQUIREMENT = "have values for which all rates of this model are within the range of double precision"


@contextmanager
def within_range(model: Model, s: npt.NDArray[np.float64] | None = None, /, **arguments: Any) -> Iterator[None]:
    """Return a context that raises ArgumentError if a computation inside the context overflows.

    The message names the most extreme argument; the arguments of this function are those of ``extreme_argument``. An
    overflow appears as one of three errors: FloatingPointError from an integral that is not finite, LinAlgError from
    the eigenvalues of a matrix that is not finite, or RuntimeError from an iteration that does not converge.
    """
    try:
        with np.errstate(all="ignore"):
            yield
    except (FloatingPointError, np.linalg.LinAlgError, RuntimeError) as error:
        reason = "a matrix is not finite" if isinstance(error, np.linalg.LinAlgError) else error
        name, value = extreme_argument(model, s, **arguments)
        errors.reject(name, f"{REQUIREMENT} (here {reason})", value)


def check_range_of_parameter(model: Model, parameter: str, values: npt.NDArray[np.float64], name: str) -> None:
    """Raise ArgumentError unless a parameter of the model, or the learning rate, can have all ``values``.

    parameter: name of a parameter of the model, or "learning_rate". name: argument of the caller that contains the
    values; the message names this argument.
    """
    try:
        if parameter == "learning_rate":
            errors.positive(parameter, values)
        else:
            model.replace(**{parameter: values})
    except errors.ArgumentError as error:
        reason = str(error).partition(", but is")[0].removeprefix("Argument ")
        errors.reject(name, f"contain only values that `{parameter}` can have ({reason})", values)


def check_finite(*results: Any) -> None:
    """Raise FloatingPointError unless all numbers are finite; ``within_range`` turns the error into ArgumentError."""
    if not all(np.isfinite(result).all() for result in results):
        raise FloatingPointError("the rates overflow")
