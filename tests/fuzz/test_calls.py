"""2000 calls of public functions with random arguments, and 500 with numbers anywhere in the range of float64.

Each returns finite numbers, or a result that states what happened, or raises a documented error, within the time.
"""

import inspect
from typing import NamedTuple

import pytest

import dynamics as dyn
from tests.fuzz.generators import OTHERS, WEIGHTS, call_of, extreme_of
from tests.fuzz.outcome import outcome_of

ANSWERED = 0.4  # least share of the calls of a chunk that return a result; the others are refused


class Calls(NamedTuple):
    """Calls drawn by seed, tested in chunks; quick: seeds of the calls of the quick suite."""

    draw: object
    count: int
    chunk: int
    quick: range


SQUARE_ROOT = dyn.ClosedForm(0.5)
KINDS = {"api": Calls(call_of, 2000, 100, range(60)), "extremes": Calls(extreme_of, 500, 100, range(20))}
SLOW = {  # calls that once took over 30 s
    "modes vanish": lambda: dyn.convergence_time(
        dyn.Model("cosine", predictor=SQUARE_ROOT, stop_gradient="online", weight_decay=0.01, symmetrised=True),
        [1.836, 1.637, 0.121], 0.2, within=50.0,
    ),
    "weight decay without a change of scale": lambda: dyn.convergence_time(
        dyn.Model("cosine", predictor=dyn.ClosedForm(0.5, 0.1), isotropic=True, weight_decay=0.2, symmetrised=True),
        [1.846, 1.581, 0.271], 0.6,
    ),
    "tiny eigenvalues": lambda: dyn.solve(
        dyn.Model("cosine", predictor=dyn.Learned(0.3, 1.0)), [1.0, 1e-100, 1e-100], [0.0, 1e12], rtol=0.5
    ),
    "huge eigenvalues": lambda: dyn.solve(
        dyn.Model("cosine", predictor=SQUARE_ROOT, weight_decay=0.01, symmetrised=True),
        [1e100, 7.0], [0.0, 1e6], rtol=1e-3,
    ),
}  # fmt: skip
QUICK = {"solve", "iterate", "replace", "effective_rates", "equilibria", "collapse", "save", "concatenate"}
CHUNKS = [(kind, first) for kind, calls in KINDS.items() for first in range(0, calls.count, calls.chunk)]
BY_TARGET = {"design"}  # a design is drawn by its target


def outcomes(kind, seeds):
    """Outcomes of calls; raises AssertionError with those that have a fault."""
    calls = {seed: KINDS[kind].draw(seed) for seed in seeds}
    answers = {seed: outcome_of(call) for seed, call in calls.items()}
    faults = {seed: f"{calls[seed]}: {answer.fault}" for seed, answer in answers.items() if answer.fault}
    assert not faults
    return list(answers.values())


def test_every_public_function_is_drawn():
    public = {name for name in dyn.__all__ if inspect.isfunction(getattr(dyn, name))}
    drawn = {call_of(seed).name for seed in range(KINDS["api"].count)}
    assert public - BY_TARGET <= drawn <= {*WEIGHTS, *OTHERS, "concatenate"}


@pytest.mark.parametrize("kind", KINDS)
def test_a_few_calls_are_answered(kind):
    outcomes(kind, [seed for seed in KINDS[kind].quick if KINDS[kind].draw(seed).name in QUICK])


@pytest.mark.long
@pytest.mark.parametrize(("kind", "first"), CHUNKS)
def test_calls_are_answered(kind, first):
    """No call has a fault; many return a result, so that not only the checks of arguments are tested."""
    answers = outcomes(kind, range(first, first + KINDS[kind].chunk))
    assert sum(not answer.refused for answer in answers) >= ANSWERED * len(answers)


class Named:
    """A call with the name of its function."""

    def __init__(self, call, name):
        self.call, self.name = call, name

    def __call__(self):
        return self.call()


@pytest.mark.long
@pytest.mark.parametrize("case", SLOW)
def test_calls_that_were_slow_are_answered(case):
    name = "convergence_time" if case.startswith(("modes", "weight")) else "solve"
    assert outcome_of(Named(SLOW[case], name)) == (False, None)
