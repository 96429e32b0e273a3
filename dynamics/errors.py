"""What can go wrong, and the checks of arguments that name the culprit."""

import difflib
import importlib.util
from collections.abc import Iterable
from typing import Any, NoReturn

import numpy as np


class ArgumentError(ValueError):
    """An argument is not what it must be; the message names it, what it must be, and what it was."""


class AccuracyWarning(UserWarning):
    """A result does not meet the tolerance asked for; the message says by how much."""


class SweepError(RuntimeError):
    """A block of a sweep failed; the message names its points and the reason. Blocks that are done are kept."""


def reject(name: str, must: str, value: Any) -> NoReturn:
    """Raise ``Argument `name` must ..., but is value.``"""
    shown = np.array2string(value, threshold=8, separator=", ") if isinstance(value, np.ndarray) else repr(value)
    raise ArgumentError(f"Argument `{name}` must {must}, but is {' '.join(map(str.strip, shown.splitlines()))}.")


def choice(name: str, value: Any, allowed: Iterable[str], otherwise: str = "") -> str:
    """One of the allowed names, or an error with the nearest of them; otherwise: what else the caller takes."""
    allowed = list(allowed)
    if not isinstance(value, str) or value not in allowed:
        near = difflib.get_close_matches(value.lower(), allowed, n=1) if isinstance(value, str) else []
        hint = f" Did you mean '{near[0]}'?" if near else ""
        listing = ", ".join(f"'{a}'" for a in allowed) + (f", or {otherwise}" if otherwise else "")
        raise ArgumentError(f"Argument `{name}` must be one of {listing}, but is {value!r}.{hint}")
    return value


def real_array(name: str, value: Any, must: str = "be finite real numbers") -> np.ndarray:
    """A float64 array of finite numbers."""
    try:
        array = np.asarray(value)
    except ValueError:
        reject(name, must, value)
    if array.dtype.kind not in "iuf" or not np.isfinite(array).all():
        reject(name, must, value if array.ndim == 0 else array)
    return np.array(array, dtype=np.float64)  # a copy: later changes of the caller's array do not reach it


def non_negative(name: str, value: Any, must: str = "be a non-negative number, or an array of them") -> np.ndarray:
    """A float64 array without negative entries."""
    array = real_array(name, value, must)
    if (array < 0).any():
        reject(name, must, value if np.ndim(value) == 0 else np.asarray(value))
    return array


def positive(name: str, value: Any, must: str = "be a positive number, or an array of them") -> np.ndarray:
    """A float64 array of positive entries."""
    array = real_array(name, value, must)
    if (array <= 0).any():
        reject(name, must, value if np.ndim(value) == 0 else np.asarray(value))
    return array


def fraction(name: str, value: Any, must: str, below_one: bool = False) -> np.ndarray:
    """A float64 array of numbers from 0 to 1, or to below 1."""
    array = non_negative(name, value, must)
    if (array > 1).any() or (below_one and (array == 1).any()):
        reject(name, must, value if np.ndim(value) == 0 else np.asarray(value))
    return array


def covariance(name: str, value: Any) -> np.ndarray:
    """A symmetric, positive semidefinite matrix that is not zero; rounding is forgiven."""
    must = "be a covariance of shape (N, N): finite, symmetric, positive semidefinite and not zero"
    array = real_array(name, value, must)
    if array.ndim != 2 or array.shape[0] != array.shape[1] or not array.any():
        reject(name, must, array)
    rounding = len(array) * np.finfo(float).eps * np.abs(array).max()
    if np.abs(array - array.T).max() > rounding or np.linalg.eigvalsh(array).min() < -rounding:
        reject(name, must, array)
    return (array + array.T) / 2


def flag(name: str, value: Any) -> None:
    """True or False."""
    if not isinstance(value, (bool, np.bool_)):
        reject(name, "be True or False", value)


def instance(name: str, value: Any, kind: type, must: str) -> None:
    """An object of a class of this package."""
    if not isinstance(value, kind):
        reject(name, must, value)


def count(name: str, value: Any, least: int = 1) -> int:
    """A whole number, at least ``least``."""
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < least:
        reject(name, f"be a whole number >= {least}", value)
    return int(value)


def positive_number(name: str, value) -> float:
    """A single positive number."""
    must = "be a positive number"
    array = positive(name, value, must)
    if array.ndim:
        reject(name, must, array)
    return float(array)


def real_number(name: str, value) -> float:
    """A single finite number."""
    must = "be a finite number"
    array = real_array(name, value, must)
    if array.ndim:
        reject(name, must, array)
    return float(array)


class MissingExtraError(ImportError):
    """An optional library is not installed; the message names the extra that brings it."""


def require_extra(extra: str, *libraries: str) -> None:
    """Raise MissingExtraError if one of the libraries, which an extra of this distribution brings, is not installed."""
    missing = [library for library in libraries if importlib.util.find_spec(library) is None]
    if missing:
        command = f'pip install "ssl-dynamics[{extra}]"'
        raise MissingExtraError(f"Not installed: {', '.join(missing)}. To install what is missing: {command}")
