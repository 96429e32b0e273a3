"""Refuse a computation that would not fit into memory or would take too long, before the computation starts."""

import sys
from pathlib import Path

import numpy as np

from dynamics.errors import ArgumentError, count, reject

MOST_STEPS = 10**9  # upper limit of the steps of a run; so many steps take hours even for a single mode
CONTROL_GROUP_FOLDER = Path("/sys/fs/cgroup")
CONTROL_GROUPS = (  # for versions 2 and 1: files with limit and use, and the entry of memory.stat for cached files
    ("memory.max", "memory.current", "inactive_file"),
    ("memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes", "total_inactive_file"),
)


def check_fits(members: int, times: int, values: int, remedy: str, itemsize: int = 8) -> None:
    """Raise ArgumentError unless the result for an ensemble of trajectories fits into the free memory.

    members: number of trajectories. times: number of times in each trajectory. values: how many numbers a trajectory
    stores at each time. remedy: advice to the user at the end of the message. itemsize: size of a number in bytes.
    """
    from tqdm import tqdm

    each = tqdm.format_sizeof(times * values * itemsize, "B")
    of_each = f"{each} for each of {members} trajectories with {times} times"
    check_size("The result", members * times * values, remedy, itemsize, of_each)


def check_size(what: str, numbers: int, remedy: str, itemsize: int = 8, of_each: str = "") -> None:
    """Raise ArgumentError unless an array of ``numbers`` numbers fits into the free memory.

    what: name of the array, with which the message begins. remedy: advice to the user at the end of the message.
    itemsize: size of a number in bytes. of_each: optional text that the message contains after the size of the array,
    for example the size for each trajectory.
    """
    needed, free = numbers * itemsize, available()
    if needed > free:
        from tqdm import tqdm

        whole, left = (tqdm.format_sizeof(size, "B") for size in (needed, free))
        parts = f", {of_each}" if of_each else ""
        raise ArgumentError(f"{what} would take {whole}{parts}, and {left} of memory are free. {remedy}")


def check_steps(steps: int, least: int = 0) -> int:
    """Return the number of steps of a run as an int; raise ArgumentError for an invalid or too large number.

    A valid number is whole, at least ``least`` and below MOST_STEPS.
    """
    if isinstance(steps, (list, tuple, range)) or (isinstance(steps, np.ndarray) and steps.ndim):
        advice = "Give their number; the argument `record` selects steps, and `solve` takes times."
        reject("steps", f"be a whole number >= {least}", steps, advice)
    checked = count("steps", steps, least)
    if checked >= MOST_STEPS:
        message = f"Argument `steps` must be a whole number below {MOST_STEPS:,}, but is {checked:,}."
        raise ArgumentError(f"{message} At 10 microseconds a step, that many steps take {checked / 3.6e8:.2g} hours.")
    return checked


def available() -> int:
    """Return the bytes of free memory; in a container, the memory limit of the container is taken into account."""
    import psutil

    return min(psutil.virtual_memory().available, *map(_free_in_control_group, CONTROL_GROUPS))


def _free_in_control_group(names: tuple[str, str, str]) -> int:
    """Return how many bytes of memory are free under the memory limit of a container; sys.maxsize without a limit.

    The limit is read from the files of the Linux control group of the process. The memory of cached files counts as
    free, because the kernel frees it when memory is short. names: an entry of CONTROL_GROUPS.
    """
    try:
        limit, used = (int((CONTROL_GROUP_FOLDER / name).read_text()) for name in names[:2])
        stat = (CONTROL_GROUP_FOLDER / names[0]).with_name("memory.stat").read_text()
        cached = int(dict(line.split() for line in stat.splitlines())[names[2]])
    except (OSError, ValueError, KeyError):  # no control groups of this version, or no limit ("max")
        return sys.maxsize
    return max(limit - used + cached, 0)
