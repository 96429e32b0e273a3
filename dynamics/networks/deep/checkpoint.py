"""A file in which a training run is saved, so that the run can continue to the same result after it was killed."""

import json
import os
import zipfile
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

import numpy as np

from dynamics import errors
from dynamics.model.fingerprint import as_read, differences
from dynamics.networks.deep.metrics import Record
from dynamics.networks.loop import Saved
from dynamics.numerics.files import replacing

REQUIREMENT = "name a new file in an existing folder, or the checkpoint of this very run"


def check_path(checkpoint: str | Path | None) -> Path | None:
    """Return the path of a checkpoint, None for None; raises ArgumentError if no file can be written at the path."""
    if checkpoint is None:
        return None
    path = errors.path("checkpoint", checkpoint, REQUIREMENT)
    if not os.path.isdir(path.parent) or os.path.isdir(path):
        errors.reject("checkpoint", REQUIREMENT, checkpoint)
    return path


class Checkpoint(NamedTuple):
    """A checkpoint file, and plain data (identity) that identify the run that it saves. Nothing is pickled."""

    path: Path
    identity: dict[str, Any]

    def write(self, saved: Saved) -> None:
        """Save the run, completely or not at all: a new file is written, and then replaces the old file."""
        entries = {f"record.{name}": array for name, array in saved.records._asdict().items()}
        entries |= {f"state.{number}": leaf for number, leaf in enumerate(saved.leaves)}
        with replacing(self.path) as fresh, fresh.open("wb") as file:
            np.savez(file, identity=np.array(json.dumps(self.identity)), **entries)

    def read(self) -> Saved | None:
        """Return the saved run; None if the file does not exist. Raises ArgumentError if it is of another run."""
        if not self.path.exists():
            return None
        if not zipfile.is_zipfile(self.path):
            self._reject("is no checkpoint")
        try:
            with self.path.open("rb") as raw, np.load(raw, allow_pickle=False) as file:
                saved_identity = json.loads(str(file["identity"]))
                records = Record(*(file[f"record.{name}"] for name in Record._fields))
                leaves = [file[f"state.{number}"] for number in range(sum(name.startswith("state.") for name in file))]
        except Exception as error:  # a damaged archive may raise errors of many classes
            self._reject("is damaged or no checkpoint", error)
        if changes := differences(saved_identity, as_read(self.identity)):
            self._reject(f"differs in {'; '.join(changes)}")
        return Saved(records, leaves)

    def _reject(self, problem: str, cause: Exception | None = None) -> NoReturn:
        message = f"Argument `checkpoint` must {REQUIREMENT}, but {self.path} {problem}."
        raise errors.ArgumentError(message) from cause
