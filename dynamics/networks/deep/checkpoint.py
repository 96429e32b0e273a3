"""Save a training run to a file, so that a run that was killed can continue and reach the same result."""

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

REQUIREMENT = "name a new file in an existing folder, or a checkpoint of the same run"


def check_path(checkpoint: str | Path | None) -> Path | None:
    """Return the path of a checkpoint file; return None if ``checkpoint`` is None.

    Raises ArgumentError if the path cannot name a file.
    """
    if checkpoint is None:
        return None
    path = errors.path("checkpoint", checkpoint, REQUIREMENT)
    if not os.path.isdir(path.parent) or os.path.isdir(path):
        errors.reject("checkpoint", REQUIREMENT, checkpoint)
    return path


class Checkpoint(NamedTuple):
    """A checkpoint file of a run.

    identity: plain data that identify the run. ``write`` saves them in the file, and ``read`` compares them with the
    data in the file. Nothing is pickled.
    """

    path: Path
    identity: dict[str, Any]

    def write(self, saved: Saved) -> None:
        """Save the run to a new file, which then replaces the old file, so that the checkpoint is always complete."""
        entries = {f"record.{name}": array for name, array in saved.records._asdict().items()}
        entries |= {f"state.{number}": leaf for number, leaf in enumerate(saved.leaves)}
        with replacing(self.path) as fresh, fresh.open("wb") as file:
            np.savez(file, identity=np.array(json.dumps(self.identity)), **entries)

    def read(self) -> Saved | None:
        """Return the saved run, or None if the file does not exist.

        Raises ArgumentError if the file is no checkpoint, or is the checkpoint of another run.
        """
        if not self.path.exists():
            return None
        if not zipfile.is_zipfile(self.path):
            self._reject("is not a checkpoint")
        try:
            with self.path.open("rb") as raw, np.load(raw, allow_pickle=False) as file:
                saved_identity = json.loads(str(file["identity"]))
                records = Record(*(file[f"record.{name}"] for name in Record._fields))
                leaves = [file[f"state.{number}"] for number in range(sum(name.startswith("state.") for name in file))]
        except Exception as error:  # a damaged archive may raise errors of many classes
            self._reject("is damaged, or is not a checkpoint", error)
        if changes := differences(saved_identity, as_read(self.identity)):
            self._reject(f"is of a run that differs in {'; '.join(changes)}")
        return Saved(records, leaves)

    def _reject(self, problem: str, cause: Exception | None = None) -> NoReturn:
        message = f"Argument `checkpoint` must {REQUIREMENT}, but {self.path} {problem}."
        raise errors.ArgumentError(message) from cause
