"""Compute in threads: count the processor cores, and return results in the order of the arguments."""

import os
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from dynamics.numerics.context import isolated

Part = TypeVar("Part")
Result = TypeVar("Result")


def cores() -> int:
    """Return the number of processor cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def in_order(parts: Sequence[Part], compute: Callable[[Part], Result], threads: int) -> Iterator[tuple[Part, Result]]:
    """Yield (part, compute(part)) for each entry of ``parts``, in the order of ``parts``.

    The calls of ``compute`` run in several threads. threads: number of calls that run at the same time. If the caller
    closes the iterator, or if a call raises an error, the calls that have not begun are cancelled.
    """
    with ThreadPoolExecutor(threads) as pool:
        calls = deque((part, pool.submit(isolated(compute), part)) for part in parts)
        try:
            while calls:
                part, call = calls.popleft()
                yield part, call.result()
        finally:
            pool.shutdown(cancel_futures=True)
