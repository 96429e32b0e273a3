"""A run on disk, so that it goes on after a kill, to the same result: what was recorded, and where training stands."""

import json
import os
import zipfile
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from dynamics import errors
from dynamics.model.fingerprint import as_read, differences
from dynamics.networks.deep.metrics import Record

MUST = "name a new file in an existing folder, or the checkpoint of this very run"


class Saved(NamedTuple):
    """records: of all networks, each entry (T, S, ...). leaves: those of the training state."""

    records: Record
    leaves: list[np.ndarray]


def check_path(checkpoint) -> Path | None:
    """Raises ArgumentError."""
    if checkpoint is None:
        return None
    if not isinstance(checkpoint, (str, Path)) or not Path(checkpoint).parent.is_dir() or Path(checkpoint).is_dir():
        errors.reject("checkpoint", MUST, checkpoint)
    return Path(checkpoint)


def write(path: Path, identity: dict[str, Any], saved: Saved) -> None:
    """All of it or nothing: a file beside it takes its place."""
    fresh = path.with_name(f".{path.name}.new")
    entries = {f"record.{name}": array for name, array in saved.records._asdict().items()}
    entries |= {f"state.{number}": leaf for number, leaf in enumerate(saved.leaves)}
    with fresh.open("wb") as file:
        np.savez(file, identity=np.array(json.dumps(identity)), **entries)
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(path)


def read(path: Path, identity: dict[str, Any]) -> Saved | None:
    """What is there of this very run; None where there is nothing. Raises ArgumentError. Nothing is unpickled."""
    if not path.exists():
        return None
    if not zipfile.is_zipfile(path):
        raise errors.ArgumentError(f"Argument `checkpoint` must {MUST}, but {path} is no checkpoint.")
    try:
        with path.open("rb") as raw, np.load(raw, allow_pickle=False) as file:
            there = json.loads(str(file["identity"]))
            records = Record(*(file[f"record.{name}"] for name in Record._fields))
            leaves = [file[f"state.{number}"] for number in range(sum(name.startswith("state.") for name in file))]
    except Exception as error:  # whatever a damaged archive makes its readers raise
        raise errors.ArgumentError(
            f"Argument `checkpoint` must {MUST}, but {path} is damaged or no checkpoint."
        ) from error
    if found := differences(there, as_read(identity)):
        raise errors.ArgumentError(
            f"Argument `checkpoint` must {MUST}, but {path} is one with another {'; '.join(found)}."
        )
    return Saved(records, leaves)
