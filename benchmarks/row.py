"""A row of the table: the same work, done in several ways, with a goal."""

from dataclasses import dataclass, field

from benchmarks.measure import Timing


@dataclass
class Entry:
    """One way: seconds (warm median), the first call where it costs more, the error against the reference."""

    name: str
    seconds: float
    first: float | None = None
    error: float | None = None
    note: str = ""

    @classmethod
    def of(cls, timing: Timing, error: float | None = None, note: str = "") -> "Entry":
        """From what was measured."""
        return cls(timing.name, timing.seconds, timing.first, error, note)


@dataclass
class Row:
    """What was done, how fast each way was, whether that meets the goal; and if not, why."""

    title: str
    work: str
    goal: str
    entries: list[Entry]
    verdict: str
    met: bool | None  # None: there is no goal
    limit: str = ""  # what stands in the way, where a goal is missed
    notes: list[str] = field(default_factory=list)


def against_fastest(own: Entry, peers: list[Entry], factor: float) -> tuple[str, bool]:
    """How many times as fast as the fastest peer, and whether that is ``factor``."""
    fastest = min(peers, key=lambda peer: peer.seconds)
    ratio = fastest.seconds / own.seconds
    return f"{ratio:.2g} times as fast as {fastest.name}, the fastest peer (goal: {factor:g})", ratio >= factor


class DisagreementError(AssertionError):
    """Two ways of doing the same work gave different answers."""


def agree(name: str, error: float, tolerance: float) -> float:
    """The error, if it is within the tolerance: ways that disagree are not compared."""
    if not error <= tolerance:
        raise DisagreementError(f"{name} is off by {error:.1e}, more than {tolerance:.1e}")
    return error
