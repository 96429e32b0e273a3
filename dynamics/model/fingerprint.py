"""Compute fingerprints: plain data (dictionaries, lists, numbers, text) that identify a computation.

The store of a sweep and the checkpoint of a training contain a fingerprint, so that only the same computation can
continue from the store or checkpoint.
"""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from dynamics import errors
from dynamics.derived_loss import DerivedLoss
from dynamics.model.model import Model

WRITTEN_OUT = 32  # a fingerprint contains all entries of arrays of at most this size, and digests of larger arrays


def plain(name: str, value: Any) -> Any:
    """Return a value as plain data for JSON.

    The value may be a number, text, an array, a mapping or a model. An array with more than WRITTEN_OUT entries is
    replaced by its shape, its type and its SHA-256 digest. Raises ArgumentError for other values; ``name`` is the name
    of the argument in the message.
    """
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, Model):
        return value.to_dict()
    if isinstance(value, Mapping):
        return {str(key): plain(name, part) for key, part in value.items()}
    requirement = "consist of numbers, text or a Model, because a sweep is identified by its arguments"
    array = errors.as_array(name, value, requirement)
    if array.dtype.kind not in "biufcU":
        errors.reject(name, requirement, value)
    if array.size <= WRITTEN_OUT and array.dtype.kind != "c":
        return array.tolist()
    sha256 = hashlib.sha256(np.ascontiguousarray(array).tobytes()).hexdigest()
    return {"shape": list(array.shape), "dtype": array.dtype.str, "sha256": sha256}


def of_code(derived: DerivedLoss, *modules: ModuleType) -> dict[str, str]:
    """Return the SHA-256 digests of the code that was derived for a loss, and of the source files of modules.

    The keys of the returned dictionary are the names of the loss and of the modules.
    """
    code = {derived.name: hashlib.sha256(derived.code.encode()).hexdigest()}
    return code | {module.__name__.rpartition(".")[2]: digest(Path(str(module.__file__))) for module in modules}


def digest(*paths: Path) -> str:
    """Return the SHA-256 digest of the concatenated contents of files."""
    return hashlib.sha256(b"".join(path.read_bytes() for path in paths)).hexdigest()


def as_read(fingerprint: dict[str, Any]) -> dict[str, Any]:
    """Return a fingerprint in the form that is read back from a JSON file, for example with lists instead of tuples."""
    return json.loads(json.dumps(fingerprint))


def differences(there: Any, here: Any, name: str = "") -> list[str]:
    """Return a list of texts that state the differences between two fingerprints.

    there: fingerprint in a file. here: fingerprint of this computation. name: keys, separated by spaces, that lead to
    the compared parts of the fingerprints; each text begins with these keys.
    """
    if isinstance(there, dict) and isinstance(here, dict):
        return [text for key in here | there for text in differences(there.get(key), here.get(key), f"{name} {key}")]
    return [] if there == here else [f"{name.strip()} ({_short(there)} stored, {_short(here)} now)"]


def _short(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
