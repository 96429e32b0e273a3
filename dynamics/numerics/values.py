"""Define a base class of frozen dataclasses, which compares, hashes, copies and pickles them by their contents."""

from collections.abc import Iterator, Mapping
from dataclasses import fields
from typing import Any

import numpy as np
import numpy.typing as npt


class Value:
    """Base of frozen dataclasses that compare by their contents; a subclass must be declared with ``eq=False``.

    Two values are equal if they have the same class and all fields with ``compare=True`` are equal; nan equals nan. An
    array enters the hash of a value only by its shape. A value that is copied or restored from a pickle loses its
    cached properties; arrays that were read-only in the original are read-only again.
    """

    def __eq__(self, other: object) -> bool:
        if type(self) is not type(other):
            return NotImplemented
        return all(same(getattr(self, name), getattr(other, name)) for name in _compared(self))

    def __hash__(self) -> int:
        return hash((type(self), *(_key(getattr(self, name)) for name in _compared(self))))

    def __getstate__(self) -> tuple[dict[str, Any], list[str]]:
        """Return the values of all fields, and the names of the fields that contain read-only arrays."""
        contents = {field.name: getattr(self, field.name) for field in fields(self)}  # type: ignore[arg-type]
        return contents, [name for name, part in contents.items() if _is_read_only(part)]

    def __setstate__(self, state: tuple[dict[str, Any], list[str]]) -> None:
        contents, read_only = state
        self.__dict__.update(contents)
        for name in read_only:
            make_read_only(contents[name])


def _compared(value: Any) -> list[str]:
    return [field.name for field in fields(value) if field.compare]


def same(a: Any, b: Any) -> bool:
    """Return True if two numbers, arrays, texts, values, or collections of them are equal; nan equals nan."""
    if a is b:
        return True
    if isinstance(a, (tuple, list)):
        return type(a) is type(b) and len(a) == len(b) and all(map(same, a, b))
    if isinstance(a, Mapping):
        return isinstance(b, Mapping) and a.keys() == b.keys() and all(same(part, b[name]) for name, part in a.items())
    if _is_array(a) or _is_array(b):
        a, b = np.asarray(a), np.asarray(b)
        return np.array_equal(a, b, equal_nan=a.dtype.kind in "fc" and b.dtype.kind in "fc")
    return bool(a == b) or bool(a != a and b != b)


def _key(value: Any) -> Any:
    """Return an object that can be hashed and that is equal for equal values."""
    if isinstance(value, (tuple, list)):
        return tuple(map(_key, value))
    if isinstance(value, Mapping):
        return frozenset((name, _key(part)) for name, part in value.items())
    if _is_array(value):
        return value.shape if value.ndim else _key(value.item())
    return "nan" if value != value else value


def _is_array(value: Any) -> bool:
    """Return True for arrays and scalars of NumPy or JAX; False for other objects that can be indexed."""
    return hasattr(value, "__array__") and hasattr(value, "shape")


def make_read_only(value: Any) -> None:
    """Make an array read-only; for a tuple, list or mapping, make all arrays in it read-only."""
    for array in _arrays_in(value):
        array.setflags(write=False)


def _is_read_only(value: Any) -> bool:
    """Return True for a read-only array, and for a collection that contains a read-only array."""
    return any(not array.flags.writeable for array in _arrays_in(value))


def _arrays_in(value: Any) -> Iterator[npt.NDArray[Any]]:
    if isinstance(value, np.ndarray):
        yield value
    elif isinstance(value, (tuple, list, Mapping)):
        for part in value.values() if isinstance(value, Mapping) else value:
            yield from _arrays_in(part)
