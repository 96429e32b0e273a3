"""2000 calls of public functions with random arguments, and 500 with numbers anywhere in the range of float64.

Each returns finite numbers, or a result that states what happened, or raises a documented error, within the time.
"""

import inspect
from typing import NamedTuple

import pytest

import dynamics as dyn
from tests.fuzz.generators import OTHERS, WEIGHTS, call_of, extreme_of
from tests.fuzz.outcome import fault_of


class Calls(NamedTuple):
    """Calls drawn by seed; over_time: seeds of calls that take over 30 s, with the reason as far as it is known."""

    draw: object
    count: int
    chunk: int
    quick: int
    over_time: dict


KINDS = {
    "api": Calls(call_of, 2000, 50, 30, {
        1804: "isotropic cosine with epsilon and weight decay, which has no exact rescaling",
    }),
    "extremes": Calls(extreme_of, 500, 25, 20, {}),
}  # fmt: skip
CHUNKS = [(kind, first) for kind, calls in KINDS.items() for first in range(0, calls.count, calls.chunk)]
SLOW = [(kind, seed) for kind, calls in KINDS.items() for seed in calls.over_time]
BY_TARGET, ELSEWHERE = {"design"}, {"sweep"}  # a design is drawn by its target; stores are in test_store_damage


def faults(calls):
    """Faults of calls, by seed."""
    return {seed: f"{call}: {fault}" for seed, call in calls if (fault := fault_of(call))}


def test_every_public_function_is_drawn():
    public = {name for name in dyn.__all__ if inspect.isfunction(getattr(dyn, name))}
    drawn = {call_of(seed).name for seed in range(KINDS["api"].count)}
    assert public - ELSEWHERE - BY_TARGET <= drawn <= set(WEIGHTS) | set(OTHERS)


@pytest.mark.parametrize("kind", KINDS)
def test_a_few_calls_are_answered(kind):
    drawn = ((seed, KINDS[kind].draw(seed)) for seed in range(KINDS[kind].quick))
    assert not faults((seed, call) for seed, call in drawn if call.name in ("solve", "iterate", "replace"))


@pytest.mark.long
@pytest.mark.parametrize(("kind", "first"), CHUNKS)
def test_calls_are_answered(kind, first):
    calls = KINDS[kind]
    seeds = (seed for seed in range(first, first + calls.chunk) if seed not in calls.over_time)
    assert not faults((seed, calls.draw(seed)) for seed in seeds)


@pytest.mark.full
@pytest.mark.xfail(reason="takes over 30 s", strict=True)
@pytest.mark.parametrize(("kind", "seed"), SLOW)
def test_calls_that_are_still_too_slow(kind, seed):
    assert not faults([(seed, KINDS[kind].draw(seed))])
