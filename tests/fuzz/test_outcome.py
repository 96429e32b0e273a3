"""The detector of faults reports each kind of fault, and no documented outcome."""

import warnings
from dataclasses import replace

import numpy as np
import pytest
import xarray as xr

import dynamics as dyn
from tests.fuzz.outcome import outcome_of


class Stub:
    """A call of a given name, with a given outcome."""

    def __init__(self, outcome, name="effective_rates"):
        self.outcome, self.name = outcome, name

    def __call__(self):
        return self.outcome()


def spin():
    while True:
        pass


def refuse():
    raise dyn.ArgumentError("no")


FLOW = dyn.solve(dyn.Model("euclidean"), [0.1, 0.5], [0.0, 1.0])
SWEPT = xr.Dataset({"status": ("alpha", [1, 2]), "s": (("alpha", "mode"), [[1.0], [np.inf]])})
FAULTS = {
    "an error from inside": (lambda: [][0], "IndexError"),
    "a warning": (lambda: warnings.warn("beware", RuntimeWarning, stacklevel=1), "RuntimeWarning"),
    "nan": (lambda: np.array([1.0, np.nan]), "is nan"),
    "inf, nested": (lambda: {"a": [(1.0, np.inf)]}, "is inf"),
    "infinite error": (lambda: replace(FLOW, error=np.nan), "error is nan"),
    "nan in a complete trajectory": (lambda: replace(FLOW, population=np.full((2, 2), np.nan)), "is not finite"),
    "nan in a complete run of a sweep": (
        lambda: SWEPT.where(SWEPT.status == 2, np.nan).assign(status=SWEPT.status),
        "s of",
    ),
    "a point without a run": (lambda: SWEPT.assign(status=("alpha", [1, 0])), "without a run"),
    "no end": (spin, "over 0.3 s"),
}
ANSWERS = {"a sweep": lambda: SWEPT, "a result": lambda: FLOW, "a refusal": refuse, "no number": lambda: "nan"}


@pytest.mark.parametrize("kind", FAULTS)
def test_faults_are_reported(kind):
    outcome, expected = FAULTS[kind]
    assert expected in outcome_of(Stub(outcome), limit=0.3).fault


@pytest.mark.parametrize("kind", ANSWERS)
def test_answers_are_not_reported(kind):
    assert outcome_of(Stub(ANSWERS[kind])) == (kind == "a refusal", None)
