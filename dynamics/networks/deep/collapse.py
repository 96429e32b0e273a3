"""Detect deep networks that diverged, and networks whose representations z collapsed to zero, a point or a line."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from dynamics.networks.deep.metrics import Record

VANISHED = 1e-8  # z has collapsed to zero if its mean square falls to this fraction of the initial value
POINT = 0.01  # z has collapsed to a point if ``channel_std``, the spread of z/|z|, is below this value
LINE = 0.9999  # z has collapsed to a line if more than this fraction of the variance lies along one axis


def verdict(record: Record, first: Record) -> str | None:
    """Return how a network has failed, such as "diverged" or "collapsed to a point"; None for a network that works.

    record: metrics of the network at a step. first: metrics of the same network at step 0.
    """
    if not np.isfinite(record.s).all():
        return "diverged"
    if record.s.sum() <= VANISHED * first.s.sum():
        return "collapsed to zero"
    if record.channel_std < POINT:
        return "collapsed to a point"
    several = len(record.s) > 1  # representations with a single mode always lie on a line
    return "collapsed to a line" if several and record.line > LINE else None


def summary(verdicts: Sequence[Sequence[str | None]], steps: Sequence[int] | npt.NDArray[np.integer]) -> str:
    """Return a text that states how many networks diverged or collapsed, and by which step the first of them did.

    The text is empty if no network diverged or collapsed. verdicts: result of ``verdict`` for each of T recorded
    steps and each of S networks.
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
