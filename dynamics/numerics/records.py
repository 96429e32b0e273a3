"""Choose the steps of a run that are recorded in its result."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from dynamics import errors
from dynamics.numerics.memory import check_size


def record_count(record: int | Sequence[int], steps: int) -> int:
    """Return an upper bound on the number of steps that a run records.

    record: the number of steps between two records, or the recorded steps themselves. steps: the number of steps of the
    run. Raises ArgumentError if ``record`` is invalid.
    """
    chosen = _check(record, steps)
    return steps // chosen + 2 if isinstance(chosen, int) else len(chosen) + 2


def record_steps(record: int | Sequence[int], steps: int) -> npt.NDArray[np.int64]:
    """Return the steps that a run records, which include step 0 and the last step.

    record: the number of steps between two records, or the recorded steps themselves. steps: the number of steps of the
    run. Raises ArgumentError if ``record`` is invalid, or if the list of recorded steps does not fit into memory.
    """
    chosen, count = _check(record, steps), record_count(record, steps)
    check_size(f"The list of {count:,} recorded steps", 3 * count, "Record fewer steps (`record`).")
    if isinstance(chosen, int):
        chosen = np.arange(0, steps + 1, chosen)
    return np.unique(np.concatenate([[0], chosen, [steps]]))


def _check(record: int | Sequence[int], steps: int) -> int | npt.NDArray[np.int64]:
    """Return the validated argument ``record``: the number of steps between two records, or the recorded steps."""
    requirement = f"be a whole number >= 1, or a sequence of steps between 0 and {steps}"
    chosen = errors.as_array("record", record, requirement)
    if chosen.ndim == 0:
        return errors.count("record", record)
    if chosen.shape == (0,):
        return chosen.astype(np.int64)
    if chosen.dtype.kind not in "iu" or chosen.ndim != 1 or (chosen < 0).any() or (chosen > steps).any():
        errors.reject("record", requirement, chosen)
    return chosen.astype(np.int64)
