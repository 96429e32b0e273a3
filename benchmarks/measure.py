"""Timing several ways of doing the same work in turn, so that the machine's mood meets them all."""

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, field

REPEATS = 15  # of each, at most,
PATIENCE = 20.0  # seconds of each, at most, but at least three runs


@dataclass
class Timing:
    """Seconds of one way: the first call, which may compile, and the median of the warm ones; and its result."""

    name: str
    call: Callable
    first: float = 0.0
    runs: list[float] = field(default_factory=list)
    result: object = None

    def once(self) -> float:
        """Run it and keep its result."""
        start = time.perf_counter()
        self.result = self.call()
        return time.perf_counter() - start

    @property
    def seconds(self) -> float:
        """Median of the warm runs."""
        return statistics.median(self.runs)


def in_turn(ways: dict[str, Callable], repeats: int = REPEATS) -> dict[str, Timing]:
    """Each way once to warm up, then all of them again and again, A B C A B C."""
    timings = {name: Timing(name, call) for name, call in ways.items()}
    for timing in timings.values():
        timing.first = timing.once()
    for number in range(repeats):
        for timing in timings.values():
            if number < 3 or sum(timing.runs) < PATIENCE:
                timing.runs.append(timing.once())
    return timings
