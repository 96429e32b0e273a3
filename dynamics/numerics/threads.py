"""Work on all cores: how many there are, and results in order."""

import os
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any


def cores() -> int:
    """Processor cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def in_order(parts: list, compute: Callable, threads: int) -> Iterator[tuple[Any, Any]]:
    """(part, compute(part)) of each part, in order, so many of them at once; what is left is called off."""
    with ThreadPoolExecutor(threads) as pool:
        calls = deque((part, pool.submit(compute, part)) for part in parts)
        try:
            while calls:
                part, call = calls.popleft()
                yield part, call.result()
        finally:
            pool.shutdown(cancel_futures=True)
