"""The steps of a run that are recorded in its result."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from dynamics import errors


def record_count(record: int | Sequence[int], steps: int) -> int:
    """Return an upper bound on the number of steps that a run records; raises ArgumentError.

    record: the number of steps between two records, or the recorded steps themselves.
    """
    return steps // errors.count("record", record) + 2 if np.ndim(record) == 0 else len(np.asarray(record)) + 2


def record_steps(record: int | Sequence[int], steps: int) -> npt.NDArray[np.int64]:
    """Return the steps that a run records, which include step 0 and the last step.

    record: the number of steps between two records, or the recorded steps themselves. Raises ArgumentError.
    """
    if np.ndim(record) == 0:
        chosen = np.arange(0, steps + 1, errors.count("record", record))
    else:
        chosen = np.asarray(record)
        if chosen.dtype.kind not in "iu" or chosen.ndim != 1 or (chosen < 0).any() or (chosen > steps).any():
            errors.reject("record", f"be a whole number, or steps between 0 and {steps}", chosen)
    return np.unique(np.concatenate([[0], chosen, [steps]]))
