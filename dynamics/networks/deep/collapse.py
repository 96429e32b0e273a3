"""Detection of deep networks that diverged, or whose representations z collapsed to zero, to a point or to a line."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from dynamics.networks.deep.metrics import Record

VANISHED = 1e-8  # mean square of z, relative to its initial value, up to which z has collapsed to zero
POINT = 0.01  # ``channel_std`` below which z has collapsed to a point
LINE = 0.9999  # fraction of the variance along one axis above which z has collapsed to a line


def verdict(record: Record, first: Record) -> str | None:
    """Return how a network has failed, such as "diverged" or "collapsed to a point"; None if it has not failed.

    record: measurements of the network at a step. first: measurements of the same network at step 0.
    """
    if not np.isfinite(record.s).all():
        return "diverged"
    if record.s.sum() <= VANISHED * first.s.sum():
        return "collapsed to zero"
    if record.channel_std < POINT:
        return "collapsed to a point"
    several = len(record.s) > 1  # a single mode is always on a line
    return "collapsed to a line" if several and record.line > LINE else None


def summary(verdicts: Sequence[Sequence[str | None]], steps: Sequence[int] | npt.NDArray[np.integer]) -> str:
    """Return a sentence on the networks that diverged or collapsed, and at which step; empty if there are none.

    verdicts: results of ``verdict`` for each of T recorded steps and S networks.
    """
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
