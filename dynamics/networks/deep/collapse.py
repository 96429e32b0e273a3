"""Whether a deep network has collapsed, or left the finite world."""

import numpy as np

from dynamics.networks.deep.metrics import Record

VANISHED = 1e-8  # of the mean square of z at the start
POINT = 0.01  # of ``channel_std``
LINE = 0.9999  # of the variance


def verdict(record: Record, first: Record) -> str | None:
    """What has become of a network at a record: None while it lives."""
    if not np.isfinite(record.s).all():
        return "diverged"
    if record.s.sum() <= VANISHED * first.s.sum():
        return "collapsed to zero"
    if record.channel_std < POINT:
        return "collapsed to a point"
    several = len(record.s) > 1  # one mode is a line from the start
    return "collapsed to a line" if several and record.line > LINE else None


def summary(verdicts: list[list[str | None]], steps) -> str:
    """What to say of networks whose verdicts are listed record by record; empty where all live."""
    found: dict[str, list[int]] = {}
    for own in zip(*verdicts, strict=True):
        first = next((index for index, said in enumerate(own) if said), None)
        if first is not None:
            found.setdefault(own[first], []).append(int(steps[first]))
    many = len(verdicts[0])
    return "; ".join(
        f"{said}{f' in {len(when)} of {many} networks, the first' if many > 1 else ''} by step {min(when)}"
        for said, when in found.items()
    )
