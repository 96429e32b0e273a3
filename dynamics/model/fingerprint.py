"""Compute fingerprints, which are plain data that identify a computation.

A store or a checkpoint contains a fingerprint, so that only the same computation can continue it.
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

WRITTEN_OUT = 32  # arrays with at most this number of entries are stored in full; for other arrays, a digest is stored


def plain(name: str, value: Any) -> Any:
    """Return a value as plain data for JSON.

    The value may be a number, text, an array, a mapping or a model. Raises ArgumentError for other values. An array
    with more than WRITTEN_OUT entries is replaced by its shape, its type and its SHA-256 digest.
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
    """Return the SHA-256 digests of the code derived for a loss, and of the source files of modules.

    The keys of the dictionary are the names of the loss and of the modules.
    """
    code = {derived.name: hashlib.sha256(derived.code.encode()).hexdigest()}
    return code | {module.__name__.rpartition(".")[2]: digest(Path(str(module.__file__))) for module in modules}


def digest(*paths: Path) -> str:
    """Return the SHA-256 digest of the contents of files, which are concatenated."""
    return hashlib.sha256(b"".join(path.read_bytes() for path in paths)).hexdigest()


def as_read(fingerprint: dict[str, Any]) -> dict[str, Any]:
    """Return a fingerprint as it is read from a JSON file, for example with lists instead of tuples."""
    return json.loads(json.dumps(fingerprint))


def differences(there: Any, here: Any, name: str = "") -> list[str]:
    """Return a list of texts that state the differences between two fingerprints.

    there: fingerprint in a file. here: fingerprint of this computation. name: keys of the parts that are compared, with
    which each text begins.
    """
    if isinstance(there, dict) and isinstance(here, dict):
        return [text for key in here | there for text in differences(there.get(key), here.get(key), f"{name} {key}")]
    return [] if there == here else [f"{name.strip()} ({_short(there)} there, {_short(here)} here)"]


def _short(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
