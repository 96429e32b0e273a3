"""Verdicts on deep networks: diverged, or collapsed to zero, to a point or to a line."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from dynamics.networks.deep.metrics import Record

VANISHED = 1e-8  # of the mean square of z at the start
POINT = 0.01  # of ``channel_std``
LINE = 0.9999  # of the variance


def verdict(record: Record, first: Record) -> str | None:
    """Return what a network has become at a record, None while it is intact. first: its record at the start."""
    if not np.isfinite(record.s).all():
        return "diverged"
    if record.s.sum() <= VANISHED * first.s.sum():
        return "collapsed to zero"
    if record.channel_std < POINT:
        return "collapsed to a point"
    several = len(record.s) > 1  # one mode is a line from the start
    return "collapsed to a line" if several and record.line > LINE else None


def summary(verdicts: Sequence[Sequence[str | None]], steps: Sequence[int] | npt.NDArray[np.integer]) -> str:
    """Return a sentence on networks whose verdicts (T, S) are listed by record; empty where all are intact."""
    first_steps: dict[str, list[int]] = {}
    for history in zip(*verdicts, strict=True):
        first = next((index for index, verdict in enumerate(history) if verdict), None)
        if first is not None:
            first_steps.setdefault(history[first], []).append(int(steps[first]))
    networks = len(verdicts[0])
    return "; ".join(
        f"{verdict}{f' in {len(when)} of {networks} networks, the first' if networks > 1 else ''} by step {min(when)}"
        for verdict, when in first_steps.items()
    )
