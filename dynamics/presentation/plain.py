"""Convert values to plain ones, which ``json`` writes and reads back without loss."""

import math
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

import numpy as np

NOT_FINITE = {math.inf: "Infinity", -math.inf: "-Infinity"}  # JSON has no such numbers; ``float`` reads these texts


def plain(value: Any) -> Any:
    """Return a value as dictionaries, lists, texts, numbers, booleans and None.

    Arrays become nested lists; named tuples become dictionaries. Numbers that are not finite become the texts "NaN",
    "Infinity" and "-Infinity", which ``float`` converts back. A complex number becomes a list of its real and imaginary
    part. Objects with a method ``to_dict`` become the result of this method.
    """
    if hasattr(value, "to_dict"):
        return value.to_dict()
    if is_dataclass(value) and not isinstance(value, type):
        return plain_fields(value)
    if isinstance(value, Mapping):
        return {str(name): plain(part) for name, part in value.items()}
    if isinstance(value, tuple) and hasattr(value, "_asdict"):
        return plain(value._asdict())
    if isinstance(value, (tuple, list)):
        return [plain(part) for part in value]
    if hasattr(value, "__array__"):
        return plain(np.asarray(value).tolist())
    if isinstance(value, float) and not math.isfinite(value):
        return NOT_FINITE.get(value, "NaN")
    if isinstance(value, complex):
        return [plain(value.real), plain(value.imag)]
    return str(value) if isinstance(value, Path) else value


def plain_fields(value: Any) -> dict[str, Any]:
    """Return the public fields of a dataclass as plain values; fields that contain a function are left out."""
    named = {field.name: getattr(value, field.name) for field in fields(value) if not field.name.startswith("_")}
    return {name: plain(part) for name, part in named.items() if not callable(part) or hasattr(part, "to_dict")}
