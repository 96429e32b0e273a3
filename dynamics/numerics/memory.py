"""Refuse, before the work starts, what would not fit into memory, or not end."""

import sys
from pathlib import Path

from dynamics.errors import ArgumentError, count

MOST_STEPS = 10**9  # steps of a run, hours even for a single mode
CONTROL_GROUP_FOLDER = Path("/sys/fs/cgroup")
CONTROL_GROUPS = (  # of versions 2 and 1: files of limit and use, and the name of cached files in memory.stat
    ("memory.max", "memory.current", "inactive_file"),
    ("memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes", "total_inactive_file"),
)


def check_fits(members: int, times: int, values: int, remedy: str, itemsize: int = 8) -> None:
    """Raise ArgumentError unless an array of members x times x values fits into the free memory.

    members: number of trajectories. values: numbers that each trajectory stores at each time. remedy: advice at the end
    of the message. itemsize: bytes of a number.
    """
    from tqdm import tqdm

    each = tqdm.format_sizeof(times * values * itemsize, "B")
    of_each = f"{each} for each of {members} trajectories with {times} times"
    check_size("The result", members * times * values, remedy, itemsize, of_each)


def check_size(what: str, numbers: int, remedy: str, itemsize: int = 8, of_each: str = "") -> None:
    """Raise ArgumentError unless so many numbers fit into the free memory.

    what: what they are, as the first words of the message. of_each: a part of it and the size of the part.
    """
    needed, free = numbers * itemsize, available()
    if needed > free:
        from tqdm import tqdm

        whole, left = (tqdm.format_sizeof(size, "B") for size in (needed, free))
        parts = f", {of_each}" if of_each else ""
        raise ArgumentError(f"{what} would take {whole}{parts}, and {left} of memory are free. {remedy}")


def check_steps(steps: int, least: int = 0) -> int:
    """Return a number of steps below MOST_STEPS; raises ArgumentError."""
    checked = count("steps", steps, least)
    if checked >= MOST_STEPS:
        message = f"Argument `steps` must be a whole number below {MOST_STEPS:,}, but is {checked:,}."
        raise ArgumentError(f"{message} At 10 microseconds a step, that many take {checked / 3.6e8:.2g} hours.")
    return checked


def available() -> int:
    """Return the bytes of memory that are free for use, on this machine and in this container."""
    import psutil

    return min(psutil.virtual_memory().available, *map(_free_in_control_group, CONTROL_GROUPS))


def _free_in_control_group(names: tuple[str, str, str]) -> int:
    """Return the bytes that the limit of a container's control group leaves free, or sys.maxsize without a limit.

    Cached files, which the kernel gives back when memory is short, count as free. names: see CONTROL_GROUPS.
    """
    try:
        limit, used = (int((CONTROL_GROUP_FOLDER / name).read_text()) for name in names[:2])
        stat = (CONTROL_GROUP_FOLDER / names[0]).with_name("memory.stat").read_text()
        cached = int(dict(line.split() for line in stat.splitlines())[names[2]])
    except (OSError, ValueError, KeyError):  # no such version of control groups, or no limit ("max")
        return sys.maxsize
    return max(limit - used + cached, 0)
