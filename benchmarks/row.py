"""Define a row of the benchmark table: one task, several implementations, and a goal."""

from dataclasses import dataclass, field

from benchmarks.measure import Timing


@dataclass
class Measurement:
    """One implementation: median seconds of warm calls, seconds of the first call, and error against the reference."""

    name: str
    seconds: float
    first: float | None = None
    error: float | None = None
    note: str = ""

    @classmethod
    def of(cls, timing: Timing, error: float | None = None, note: str = "") -> "Measurement":
        """Build a measurement from the timing of an implementation."""
        return cls(timing.name, timing.seconds, timing.first, error, note)


@dataclass
class Row:
    """A task with the measurements of all implementations, the goal, and the reason if the goal is missed."""

    title: str
    work: str
    goal: str
    entries: list[Measurement]
    verdict: str
    met: bool | None  # None: there is no goal
    limit: str = ""  # the reason if the goal is missed
    notes: list[str] = field(default_factory=list)


def against_fastest(ours: Measurement, peers: list[Measurement], factor: float) -> tuple[str, bool]:
    """Return our speed divided by the speed of the fastest peer, as text, and True if the ratio is at least ``factor``.

    A peer is an implementation with another library.
    """
    fastest = min(peers, key=lambda peer: peer.seconds)
    ratio = fastest.seconds / ours.seconds
    return f"{ratio:.2g} times as fast as {fastest.name}, the fastest peer (goal: {factor:g})", ratio >= factor


class DisagreementError(AssertionError):
    """Error raised if two implementations of the same task give different results."""


def agree(name: str, error: float, tolerance: float) -> float:
    """Return the error of an implementation if it is within the tolerance; raise DisagreementError otherwise."""
    if not error <= tolerance:
        raise DisagreementError(f"{name} has an error of {error:.1e}, but may have {tolerance:.1e} at most")
    return error
