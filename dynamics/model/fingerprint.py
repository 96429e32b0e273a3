"""Compute fingerprints: plain data (dictionaries, lists, numbers, text) that identify a computation.

The store of a sweep contains the fingerprint of the sweep, and a checkpoint contains the fingerprint of the training
run. Before a computation continues from such a file, its own fingerprint is compared with the fingerprint in the file.
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

    The value may be None, a number, text, an array, a mapping or a model. A complex array, or an array with more than
    WRITTEN_OUT = 32 entries, is replaced by its shape, its type and its SHA-256 digest. Raises ArgumentError for other
    values. name: name of the argument in the message.
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
    """Return a dictionary of SHA-256 digests: one for the code derived for a loss, and one for each of ``modules``.

    The digest for a module is the digest of its source file. The keys are the name of the loss and the names of the
    modules.
    """
    code = {derived.name: hashlib.sha256(derived.code.encode()).hexdigest()}
    return code | {module.__name__.rpartition(".")[2]: digest(Path(str(module.__file__))) for module in modules}


def digest(*paths: Path) -> str:
    """Return one SHA-256 digest of several files, computed from their concatenated contents."""
    return hashlib.sha256(b"".join(path.read_bytes() for path in paths)).hexdigest()


def as_read(fingerprint: dict[str, Any]) -> dict[str, Any]:
    """Return a fingerprint as it would be after writing to and reading from a JSON file; tuples become lists.

    Only in this form can the fingerprint be compared with a fingerprint that was read from a file.
    """
    return json.loads(json.dumps(fingerprint))


def differences(there: Any, here: Any, name: str = "") -> list[str]:
    """Return the differences between a stored fingerprint and the present one, as a list of texts.

    there: fingerprint that was read from a file. here: fingerprint of this computation. Each text begins with the keys
    of the entry that differs, separated by spaces. name: keys of the enclosing dictionaries, for the call of the
    function by itself on a nested dictionary.
    """
    if isinstance(there, dict) and isinstance(here, dict):
        return [text for key in here | there for text in differences(there.get(key), here.get(key), f"{name} {key}")]
    return [] if there == here else [f"{name.strip()} ({_short(there)} stored, {_short(here)} now)"]


def _short(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
