"""Time several implementations in turn, so that variations of the machine's speed affect all alike."""

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

REPEATS = 15  # largest number of runs of each implementation
PATIENCE = 20.0  # after this many seconds in total and three runs, an implementation is not run again


@dataclass
class Timing:
    """Timing of an implementation: seconds of the first call, seconds of later calls, and the last result.

    The first call may include a compilation.
    """

    name: str
    call: Callable[[], Any]
    first: float = 0.0
    runs: list[float] = field(default_factory=list)
    result: Any = None

    def once(self) -> float:
        """Call the implementation once, store its result, and return the seconds."""
        start = time.perf_counter()
        self.result = self.call()
        return time.perf_counter() - start

    @property
    def seconds(self) -> float:
        """Median of the seconds of the calls after the first."""
        return statistics.median(self.runs)


def in_turn(calls: dict[str, Callable[[], Any]], repeats: int = REPEATS) -> dict[str, Timing]:
    """Call each implementation once to warm up, then all in turn (A B C A B C ...), and return their timings."""
    timings = {name: Timing(name, call) for name, call in calls.items()}
    for timing in timings.values():
        timing.first = timing.once()
    for number in range(repeats):
        for timing in timings.values():
            if number < 3 or sum(timing.runs) < PATIENCE:
                timing.runs.append(timing.once())
    return timings
