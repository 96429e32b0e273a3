"""Define errors and warnings, and check arguments.

A check returns the validated value, or raises an ArgumentError that names the argument.
"""

import difflib
import importlib.util
import inspect
import operator
import os
import reprlib
import sys
import warnings
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]

LONGEST_VALUE, LONGEST_MESSAGE = 300, 1000  # largest number of characters of a value, and of a whole message

SYNONYMS = {  # other names of parameters and options, such as symbols, and the names in this package
    "rho": "weight_decay",
    "wd": "weight_decay",
    "eta": "learning_rate",
    "lr": "learning_rate",
    "sigma": "sigma2",
    "noise": "sigma2",
    "mse": "euclidean",
    "byol": "cosine",
    "simsiam": "cosine",
    "lambda": "predictor",
    "rk45": "scipy",
    "lsoda": "scipy",
    "dopri8": "jax",
    "diffrax": "jax",
    "integrate": "solve",
    "simulate": "solve",
    "gradient_descent": "iterate",
    "fit": "train",
    "fixed_points": "equilibria",
    "predictor": "ClosedForm",
    "directpred": "ClosedForm",
    "target": "EMA",
    "s0": "W0",
    "t": "times",
    "steps": "times",
    "epochs": "steps",
    "times": "steps t",
    "time": "t",
    "eigenvalues": "s",
    "tau": "decay",
    "momentum": "decay",
    "optimizer": "momentum",
    "optimiser": "momentum",
    "sgd": "Momentum",
    "adam": "Momentum",
    "schedule": "schedules",
}
ADVICE = {  # advice on arrays without real numbers, by NumPy's letter for the type
    "U": "Write numbers without quotes.",
    "c": "Complex eigenvalues of a symmetric matrix are real with np.linalg.eigvalsh.",
}
LONGEST_RANGE = 10**7  # largest number of entries of a range, which NumPy converts one by one


# --- errors and warnings --------------------------------------------------------------------------------------------


class ArgumentError(ValueError):
    """Error raised for an argument that does not meet its requirement, before any work is done.

    Notes
    -----
    The message names the argument, its requirement and the given value, as in the example.

    Examples
    --------
    >>> import dynamics as dyn
    >>> try:
    ...     dyn.ClosedForm(alpha=0)
    ... except dyn.ArgumentError as error:
    ...     print(error)
    Argument `alpha` must be a positive number, or an array of them, but is 0.
    """

    def __init__(self, message: str) -> None:
        super().__init__(shortened(message, LONGEST_MESSAGE))


class AccuracyWarning(UserWarning):
    """Warning that a result does not meet the requested tolerance.

    Notes
    -----
    The message states the estimated error. The result is returned despite the warning.

    Examples
    --------
    Turn a missed tolerance into an error:

    >>> import warnings
    >>> import dynamics as dyn
    >>> with warnings.catch_warnings():
    ...     warnings.simplefilter("error", dyn.AccuracyWarning)
    ...     flow = dyn.solve(dyn.Model("cosine"), [0.1, 0.5], [0.0, 1.0])
    """


def warn_caller(message: str, kind: type[Warning] = AccuracyWarning) -> None:
    """Issue a warning of class ``kind`` that points to the line of the user's code that called this package."""
    frame, level = sys._getframe(), 1
    while frame.f_back is not None and frame.f_globals.get("__name__", "").partition(".")[0] in ("dynamics", "numpy"):
        frame, level = frame.f_back, level + 1
    warnings.warn(message, kind, stacklevel=level)


class SweepError(RuntimeError):
    """Error raised when a block of a sweep fails, or when the store of the sweep is damaged or cannot be written.

    A block is a group of grid points that are computed together.

    Notes
    -----
    If a block fails, the message names the points of the block and the reason; the original exception is the cause
    (``__cause__``) of the error. Complete blocks stay in the store. If the same call of ``sweep`` is repeated, it
    computes only the missing blocks.

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

    def __init__(self, message: str) -> None:
        super().__init__(shortened(message, LONGEST_MESSAGE))


class MissingExtraError(ImportError):
    """Error raised when an optional library is not installed.

    Notes
    -----
    The message states the command that installs the library, such as ``pip install ".[sweeps]"`` in a clone of the
    repository.
    """


# --- messages -------------------------------------------------------------------------------------------------------


def reject(name: str, requirement: str, value: Any, advice: str = "") -> NoReturn:
    """Raise ArgumentError: ``Argument `name` must <requirement>, but is <value>. <advice>``"""
    raise ArgumentError(f"Argument `{name}` must {requirement}, but is {excerpt(value)}. {advice}".rstrip())


def excerpt(value: Any) -> str:
    """Return a value as text on one line, shortened to LONGEST_VALUE characters; never raises an error."""
    return shortened(" ".join(map(str.strip, _EXCERPT.repr(value).splitlines())), LONGEST_VALUE)


def shortened(text: str, longest: int) -> str:
    """Return a text; if it is longer than ``longest`` characters, replace its middle by dots."""
    if len(text) <= longest:
        return text
    half = (longest - 5) // 2
    return f"{text[:half]} ... {text[-half:]}"


def call_advice(function: Callable[..., Any], arguments: tuple[Any, ...], named: dict[str, Any]) -> str | None:
    """Return advice on a call with wrong arguments: the nearest keyword, or all arguments of the function.

    The result is None if the function can be called with these arguments.
    """
    signature = inspect.signature(function)
    try:
        signature.bind(*arguments, **named)
    except TypeError:
        known = [parameter.name for parameter in signature.parameters.values() if parameter.name != "self"]
        near = [nearest(name, known) for name in named if name not in known]
        if near and near[0]:
            return f"Did you mean `{near[0]}`?"
        untyped = [p.replace(annotation=p.empty) for p in signature.parameters.values() if p.name != "self"]
        call = inspect.Signature([p if p.default is p.empty else p.replace(default=None) for p in untyped])
        return f"Call it as {function.__name__}{str(call).replace('=None', '')}."
    return None


class _Excerpt(reprlib.Repr):
    """A variant of ``repr`` that abbreviates collections: many entries, and deeply nested levels, are left out."""

    def __init__(self) -> None:
        super().__init__()
        self.maxlevel, self.maxtuple, self.maxlist, self.maxdict, self.maxset = 4, 8, 8, 8, 8
        self.maxstring = self.maxlong = self.maxother = LONGEST_VALUE

    def repr_int(self, number: int, level: int) -> str:
        """Digits of an integer; for an integer of 1000 or more bits, the number of its bits."""
        return repr(number) if number.bit_length() < 1000 else f"an integer of {number.bit_length()} bits"

    def repr_ndarray(self, array: npt.NDArray[Any], level: int) -> str:
        """First and last entries of an array; the shape and range of a matrix with no entries, or with more than 8."""
        if array.ndim > 1 and not 0 < array.size <= 8:
            numbers = array[np.isfinite(array)] if array.dtype.kind in "iuf" else array[:0]
            values = f" with values from {numbers.min():.4g} to {numbers.max():.4g}" if numbers.size else ""
            return f"<array of shape {array.shape}{values}>"
        if array.dtype.kind in "OSUV":
            return f"<array of shape {array.shape} and type {array.dtype}>" if array.size > 8 else repr(array.tolist())
        return np.array2string(array, threshold=8, separator=", ")

    def repr_MaskedArray(self, array: Any, level: int) -> str:
        """First and last entries of a masked array; masked entries appear as --."""
        with np.printoptions(threshold=8):
            return f"masked {array}"


_EXCERPT = _Excerpt()


# --- names, arrays, numbers -----------------------------------------------------------------------------------------


def choice(name: str, value: Any, allowed: Iterable[str], otherwise: str = "") -> str:
    """Return the value if it is one of the allowed names; else raise ArgumentError.

    The message lists the allowed names and suggests the name that resembles the value most. otherwise: text for the
    message that describes values which the caller accepts in addition to the names.
    """
    allowed = list(allowed)
    if not isinstance(value, str) or value not in allowed:
        near = nearest(value, allowed) if len(allowed) > 1 else None
        hint = f" Did you mean '{near}'?" if near else ""
        listing = ", ".join(f"'{a}'" for a in allowed) + (f", or {otherwise}" if otherwise else "")
        listing = listing if len(allowed) == 1 else f"one of {listing}"
        raise ArgumentError(f"Argument `{name}` must be {listing}, but is {excerpt(value)}.{hint}")
    return value


def nearest(value: Any, allowed: Iterable[str]) -> str | None:
    """Return the allowed name that a value resembles most, or a synonym of it; None if it resembles no name."""
    if not isinstance(value, str) or len(value) > LONGEST_VALUE:
        return None
    allowed = list(allowed)
    for meant in SYNONYMS.get(value.lower(), "").split():
        if meant in allowed:
            return meant
    close = difflib.get_close_matches(value.lower(), [name.lower() for name in allowed], n=1)
    same = [name for name in allowed if name.lower() in close]
    return max(same, key=lambda name: name[0] == value[0]) if same else None


def as_array(name: str, value: Any, requirement: str) -> npt.NDArray[Any]:
    """Return a value as an array of any type.

    Raises ArgumentError for a value that NumPy cannot convert to an array, and for an array with masked entries. All
    arrays that a user passes go through this function. Integers that are too large for NumPy's integer types become
    floats. name, requirement: name of the argument, and what it must be, for the message (see ``reject``).
    """
    if isinstance(value, range) and len(value) > LONGEST_RANGE:
        reject(name, f"{requirement}, at most {LONGEST_RANGE:,} of them", value)
    try:
        masked, array = _is_masked(value), np.asarray(value)
        if array.dtype == object and array.size and all(type(entry) in (int, float) for entry in array.flat):
            array = array.astype(np.float64)
    except Exception as error:  # other libraries define conversions; lists may be ragged or nested too deeply
        tensor = "Pass a tensor as NumPy array: .detach().cpu().numpy()." if hasattr(value, "detach") else ""
        message = f"Argument `{name}` must {requirement}, but is {excerpt(value)}. {tensor}".rstrip()
        raise ArgumentError(message) from error
    if masked:
        reject(name, f"{requirement}, without masked entries", value)
    return array


def _is_masked(value: Any) -> bool:
    """Return True for a masked array with masked entries, and for a list or tuple that contains such an array."""
    if isinstance(value, (list, tuple)):
        return any(_is_masked(entry) for entry in value)
    return bool(np.ma.is_masked(value)) if isinstance(value, np.ma.MaskedArray) else False


def real_array(name: str, value: Any, requirement: str = "be finite real numbers") -> FloatArray:
    """Return a value as a float64 array; raise ArgumentError unless all entries are finite real numbers.

    An array without entries raises ArgumentError, too.
    """
    array = as_array(name, value, requirement)
    if array.dtype.kind not in "iuf" or not array.size:
        reject(name, requirement, value if array.ndim == 0 else array, ADVICE.get(array.dtype.kind, ""))
    with np.errstate(all="ignore"):  # extended precision may overflow
        numbers = np.array(array, dtype=np.float64)  # a copy: later changes of the caller's array do not reach it
    if not np.isfinite(numbers).all():
        reject(name, requirement, value if array.ndim == 0 else array)
    return numbers


def whole_array(name: str, value: Any, requirement: str) -> npt.NDArray[np.integer]:
    """Return a value as an array of integers; raise ArgumentError if it contains anything but integers."""
    array = as_array(name, value, requirement)
    if array.dtype.kind not in "iu":
        reject(name, requirement, value if array.ndim == 0 else array)
    return np.array(array)


def non_negative(
    name: str, value: Any, requirement: str = "be a non-negative number, or an array of them"
) -> FloatArray:
    """Return a value as a float64 array; raise ArgumentError if an entry is negative."""
    return _array_with(lambda array: array >= 0, name, value, requirement)


def positive(name: str, value: Any, requirement: str = "be a positive number, or an array of them") -> FloatArray:
    """Return a value as a float64 array; raise ArgumentError unless all entries are positive."""
    return _array_with(lambda array: array > 0, name, value, requirement)


def fraction(name: str, value: Any, requirement: str, below_one: bool = False) -> FloatArray:
    """Return a value as a float64 array; raise ArgumentError unless all entries lie between 0 and 1.

    The limits 0 and 1 are allowed; if ``below_one`` is True, the limit 1 is not allowed.
    """
    return _array_with(
        lambda array: (array >= 0) & ((array < 1) if below_one else (array <= 1)), name, value, requirement
    )


def _array_with(holds: Callable[[FloatArray], Any], name: str, value: Any, requirement: str) -> FloatArray:
    """Return a value as a float64 array; raise ArgumentError unless ``holds`` returns True for all entries."""
    array = real_array(name, value, requirement)
    if not holds(array).all():
        reject(name, requirement, value if array.ndim == 0 else np.asarray(value))
    return array


def covariance(name: str, value: Any) -> FloatArray:
    """Return a covariance matrix (N, N) as a float64 array; raise ArgumentError if the value is no covariance.

    A covariance must be nonzero, symmetric and positive semidefinite. Deviations from symmetry, and negative
    eigenvalues, are accepted if they are no larger than rounding errors.
    """
    requirement = "be a covariance of shape (N, N): finite, symmetric, positive semidefinite and not zero"
    array = real_array(name, value, requirement)
    if array.ndim != 2 or array.shape[0] != array.shape[1] or not array.any():
        reject(name, requirement, array, "For independent inputs use np.diag(variances)." if array.ndim == 1 else "")
    scaled, rounding = array / np.abs(array).max(), len(array) * np.finfo(float).eps
    if np.abs(scaled - scaled.T).max() > rounding or np.linalg.eigvalsh(scaled).min() < -rounding:
        reject(name, requirement, array)
    return array / 2 + array.T / 2


def flag(name: str, value: Any) -> None:
    """Raise ArgumentError unless the value is True or False."""
    if not isinstance(value, (bool, np.bool_)):
        reject(name, "be True or False", value)


def instance(name: str, value: Any, kind: type | tuple[type, ...], requirement: str) -> None:
    """Raise ArgumentError unless the value is an instance of a class."""
    if not isinstance(value, kind):
        reject(name, requirement, value)


def count(name: str, value: Any, least: int = 1) -> int:
    """Return a value as an int; raise ArgumentError unless the value is a whole number, at least ``least``."""
    requirement = f"be a whole number >= {least}"
    if isinstance(value, (bool, np.bool_, np.timedelta64)):
        reject(name, requirement, value)
    try:
        number = operator.index(value)
    except TypeError:
        whole = isinstance(value, (float, np.floating)) and float(value).is_integer() and value < 1e15
        reject(name, requirement, value, f"Write {int(value)}." if whole else "")
    if not least <= number < 2**63:
        reject(name, requirement if number < least else f"{requirement} and below 2^63", value)
    return number


def path(name: str, value: Any, requirement: str = "be a path") -> Path:
    """Return a text or a path object as a ``Path``; raise ArgumentError for other values. The file need not exist."""
    text = os.fspath(value) if isinstance(value, (str, os.PathLike)) else None
    if not isinstance(text, str) or not text or "\0" in text:
        reject(name, requirement, value)
    return Path(text)


def positive_number(name: str, value: Any) -> float:
    """Return a single positive number as a float; raise ArgumentError for any other value."""
    requirement = "be a positive number"
    return single(name, positive(name, value, requirement), requirement)


def real_number(name: str, value: Any) -> float:
    """Return a single finite real number as a float; raise ArgumentError for any other value."""
    requirement = "be a finite number"
    return single(name, real_array(name, value, requirement), requirement)


def single(name: str, array: FloatArray, requirement: str) -> float:
    """Return the only entry of an array of shape () as a float; raise ArgumentError for arrays of any other shape.

    All scalars that a user passes go through this function.
    """
    if array.ndim:
        reject(name, requirement, array)
    return float(array)


def require_extra(extra: str, *libraries: str) -> None:
    """Raise MissingExtraError if one of the libraries is not installed.

    extra: name of the optional dependency group that contains the libraries; the message tells the user to install it.
    """
    missing = [library for library in libraries if importlib.util.find_spec(library) is None]
    if missing:
        command = f'pip install ".[{extra}]"'
        raise MissingExtraError(
            f"Not installed: {', '.join(missing)}. In a clone of the repository, install what is missing: {command}"
        )
