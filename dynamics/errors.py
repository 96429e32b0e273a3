"""Errors, warnings, and checks of arguments.

A check returns the validated value, or raises an ArgumentError that names the argument.
"""

import difflib
import importlib.util
from collections.abc import Callable, Iterable
from typing import Any, NoReturn

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]


class ArgumentError(ValueError):
    """Error raised for an argument that does not meet its requirement, before any work is done.

    Notes
    -----
    The message names the argument, its requirement and the given value: "Argument ``alpha`` must be a positive number,
    but is 0.".

    Examples
    --------
    >>> import dynamics as dyn
    >>> try:
    ...     dyn.ClosedForm(alpha=0)
    ... except dyn.ArgumentError as error:
    ...     print(error)
    Argument `alpha` must be a positive number, or an array of them, but is 0.
    """


class AccuracyWarning(UserWarning):
    """Warning that a result does not meet the requested tolerance.

    Notes
    -----
    The message states the estimated error. The result is returned all the same.

    Examples
    --------
    Turn a missed tolerance into an error:

    >>> import warnings
    >>> import dynamics as dyn
    >>> with warnings.catch_warnings():
    ...     warnings.simplefilter("error", dyn.AccuracyWarning)
    ...     flow = dyn.solve(dyn.Model("cosine"), [0.1, 0.5], [0.0, 1.0])
    """


class SweepError(RuntimeError):
    """Error raised when a block of a sweep, a group of grid points that are computed together, has failed.

    Notes
    -----
    The message names the points of the block and the reason; the original exception is the cause (``__cause__``).
    Complete blocks stay in the store: the same call of ``sweep`` then computes only the missing blocks.

    Examples
    --------
    >>> import tempfile
    >>> import dynamics as dyn
    >>> def inverse(x):
    ...     return {"inverse": 1 // x}
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     try:
    ...         dyn.sweep(inverse, {"x": [2, 0]}, store=f"{folder}/inverse.zarr", chunk=1)
    ...     except dyn.SweepError as error:
    ...         print(error)
    Block 2 of 2, x = 0, failed: ZeroDivisionError: integer division or modulo by zero, at x = 0
    """


class MissingExtraError(ImportError):
    """Error raised when an optional library is not installed.

    Notes
    -----
    The message states the command that installs the library, such as ``pip install "ssl-dynamics[sweeps]"``.
    """


def reject(name: str, requirement: str, value: Any) -> NoReturn:
    """Raise ArgumentError: ``Argument `name` must <requirement>, but is <value>.``"""
    shown = np.array2string(value, threshold=8, separator=", ") if isinstance(value, np.ndarray) else repr(value)
    raise ArgumentError(f"Argument `{name}` must {requirement}, but is {' '.join(map(str.strip, shown.splitlines()))}.")


def choice(name: str, value: Any, allowed: Iterable[str], otherwise: str = "") -> str:
    """Return the value if it is an allowed name; else raise ArgumentError, which suggests the nearest allowed name.

    otherwise: description, for the message, of the values that the caller accepts in addition to the names.
    """
    allowed = list(allowed)
    if not isinstance(value, str) or value not in allowed:
        near = difflib.get_close_matches(value.lower(), allowed, n=1) if isinstance(value, str) else []
        hint = f" Did you mean '{near[0]}'?" if near else ""
        listing = ", ".join(f"'{a}'" for a in allowed) + (f", or {otherwise}" if otherwise else "")
        raise ArgumentError(f"Argument `{name}` must be one of {listing}, but is {value!r}.{hint}")
    return value


def real_array(name: str, value: Any, requirement: str = "be finite real numbers") -> FloatArray:
    """Return a value as a float64 array; raise ArgumentError unless all entries are finite real numbers."""
    try:
        array = np.asarray(value)
    except ValueError:
        reject(name, requirement, value)
    if array.dtype.kind not in "iuf" or not np.isfinite(array).all():
        reject(name, requirement, value if array.ndim == 0 else array)
    return np.array(array, dtype=np.float64)  # a copy: later changes of the caller's array do not reach it


def non_negative(
    name: str, value: Any, requirement: str = "be a non-negative number, or an array of them"
) -> FloatArray:
    """Return a value as a float64 array; raise ArgumentError if an entry is negative."""
    return _array_with(lambda array: array >= 0, name, value, requirement)


def positive(name: str, value: Any, requirement: str = "be a positive number, or an array of them") -> FloatArray:
    """Return a value as a float64 array; raise ArgumentError unless all entries are positive."""
    return _array_with(lambda array: array > 0, name, value, requirement)


def fraction(name: str, value: Any, requirement: str, below_one: bool = False) -> FloatArray:
    """Return a value as a float64 array; raise ArgumentError unless all entries are in [0, 1] (below_one: [0, 1))."""
    return _array_with(
        lambda array: (array >= 0) & ((array < 1) if below_one else (array <= 1)), name, value, requirement
    )


def _array_with(holds: Callable[[FloatArray], Any], name: str, value: Any, requirement: str) -> FloatArray:
    """Return a value as a float64 array; raise ArgumentError unless the condition ``holds`` for all entries."""
    array = real_array(name, value, requirement)
    if not holds(array).all():
        reject(name, requirement, value if array.ndim == 0 else np.asarray(value))
    return array


def covariance(name: str, value: Any) -> FloatArray:
    """Return a covariance matrix (N, N); raise ArgumentError unless it is nonzero, symmetric and semidefinite.

    Deviations from symmetry and negative eigenvalues within rounding errors are accepted.
    """
    requirement = "be a covariance of shape (N, N): finite, symmetric, positive semidefinite and not zero"
    array = real_array(name, value, requirement)
    if array.ndim != 2 or array.shape[0] != array.shape[1] or not array.any():
        reject(name, requirement, array)
    rounding = len(array) * np.finfo(float).eps * np.abs(array).max()
    if np.abs(array - array.T).max() > rounding or np.linalg.eigvalsh(array).min() < -rounding:
        reject(name, requirement, array)
    return (array + array.T) / 2


def flag(name: str, value: Any) -> None:
    """Raise ArgumentError unless the value is True or False."""
    if not isinstance(value, (bool, np.bool_)):
        reject(name, "be True or False", value)


def instance(name: str, value: Any, kind: type, requirement: str) -> None:
    """Raise ArgumentError unless the value is an instance of a class."""
    if not isinstance(value, kind):
        reject(name, requirement, value)


def count(name: str, value: Any, least: int = 1) -> int:
    """Return a whole number as an int; raise ArgumentError unless it is at least ``least``."""
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < least:
        reject(name, f"be a whole number >= {least}", value)
    return int(value)


def positive_number(name: str, value: Any) -> float:
    """Return a positive number as a float; raise ArgumentError for arrays and other values."""
    requirement = "be a positive number"
    return _single(name, positive(name, value, requirement), requirement)


def real_number(name: str, value: Any) -> float:
    """Return a finite number as a float; raise ArgumentError for arrays and other values."""
    requirement = "be a finite number"
    return _single(name, real_array(name, value, requirement), requirement)


def _single(name: str, array: FloatArray, requirement: str) -> float:
    if array.ndim:
        reject(name, requirement, array)
    return float(array)


def require_extra(extra: str, *libraries: str) -> None:
    """Raise MissingExtraError if one of the libraries is not installed.

    extra: name of the optional dependencies of this package that contain the libraries.
    """
    missing = [library for library in libraries if importlib.util.find_spec(library) is None]
    if missing:
        command = f'pip install "ssl-dynamics[{extra}]"'
        raise MissingExtraError(f"Not installed: {', '.join(missing)}. To install what is missing: {command}")
