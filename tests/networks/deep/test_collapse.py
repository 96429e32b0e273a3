"""Verdicts on deep networks, at both sides of each threshold, and the sentence on several."""

import numpy as np
import pytest

from dynamics.networks.deep.collapse import summary, verdict
from dynamics.networks.deep.metrics import Record, blank

M = 3
INTACT = Record(
    **dict.fromkeys(Record._fields, np.ones(M)) | {"s": np.array([0.5, 1.0, 2.0]), "channel_std": 0.9, "line": 0.6}
)


@pytest.mark.parametrize(
    ("changes", "outcome"),
    [
        ({}, None),
        ({"s": np.array([0.0, 1, np.inf])}, "diverged"),
        ({"s": INTACT.s * 0.9e-8}, "collapsed to zero"),
        ({"s": INTACT.s * 1.1e-8}, None),
        ({"channel_std": 0.0099}, "collapsed to a point"),
        ({"channel_std": 0.0101}, None),
        ({"line": 0.99991}, "collapsed to a line"),
        ({"line": 0.99989}, None),
        ({"line": 1.0, "channel_std": 0.0}, "collapsed to a point"),
        ({"line": 1.0, "channel_std": 0.0, "s": 0 * INTACT.s}, "collapsed to zero"),
        ({"line": 1.0, "s": INTACT.s[:1]}, None),
    ],
)
def test_verdict(changes, outcome):
    first = INTACT if len(changes.get("s", INTACT.s)) == M else INTACT._replace(s=INTACT.s[:1])
    assert verdict(INTACT._replace(**changes), first) == outcome


def test_a_blank_record_has_diverged():
    assert verdict(blank(M), INTACT) == "diverged"


ZERO, POINT = "collapsed to zero", "collapsed to a point"


@pytest.mark.parametrize(
    ("verdicts", "outcome"),
    [
        ([[None], [None]], ""),
        ([[None], [ZERO], [ZERO]], "collapsed to zero by step 5"),
        ([[None], [POINT], [ZERO]], "collapsed to a point by step 5"),
        ([[None, None], [None, None], [ZERO, None]], "collapsed to zero in 1 of 2 networks, the first by step 9"),
        (
            [[None] * 4, [None, ZERO, None, None], [POINT, ZERO, ZERO, None]],
            "collapsed to a point in 1 of 4 networks, the first by step 9; "
            "collapsed to zero in 2 of 4 networks, the first by step 5",
        ),
    ],
)
def test_summary(verdicts, outcome):
    assert summary(verdicts, [0, 5, 9, 12]) == outcome
