"""Check, before any computation, that a result will fit into memory."""

from dynamics.errors import ArgumentError


def check_fits(members: int, times: int, values: int, remedy: str, itemsize: int = 8) -> None:
    """Raise ArgumentError unless an array of members x times x values fits into the free memory.

    members: number of trajectories. values: numbers that each trajectory stores at each time. remedy: advice at the end
    of the message. itemsize: bytes of a number.
    """
    needed, free = members * times * values * itemsize, available()
    if needed > free:
        from tqdm import tqdm

        whole, each, left = (tqdm.format_sizeof(count, "B") for count in (needed, needed // members, free))
        raise ArgumentError(
            f"The result would take {whole}, {each} for each of {members} trajectories with {times} times, "
            f"and {left} of memory are free. {remedy}"
        )


def available() -> int:
    """Return the bytes of memory that are free for use."""
    import psutil

    return psutil.virtual_memory().available
