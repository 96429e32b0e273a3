"""Lay out results as text: one line, or one screen."""

import textwrap
from collections.abc import Iterable

Fact = tuple[str, str]  # name and value; without a name, the value is a line of its own

COLUMNS = 100  # largest number of characters in a line of a screen
LONGEST_LINE = 180  # largest number of characters of a text that stands for a result in one line
MOST_ROWS = 10  # largest number of rows of the same kind, such as the modes of a spectrum


def counted(number: int, noun: str) -> str:
    """Return a number and a noun, such as "1 mode" or "2 modes"."""
    return f"{number} {noun}{'s' * (number != 1)}"


def listed(texts: Iterable[str], most: int = MOST_ROWS) -> str:
    """Return texts, separated by commas; of more than ``most`` texts, the first are followed by the total number."""
    texts = list(texts)
    return ", ".join(texts if len(texts) <= most else [*texts[: most - 1], f"... ({len(texts)} in all)"])


def one_line(text: str, longest: int = LONGEST_LINE) -> str:
    """Return a text as one line of at most ``longest`` characters; a longer text is cut and ends in dots."""
    line = " ".join(text.split())
    return line if len(line) <= longest else f"{line[: longest - 4]} ..."


def shortened(rows: Iterable[Fact], most: int = MOST_ROWS) -> list[Fact]:
    """Return at most ``most`` rows; if rows are left out, the last returned row states their number."""
    rows = list(rows)
    return rows if len(rows) <= most else [*rows[: most - 1], ("", f"... and {len(rows) - most + 1} more")]


def screen(title: str, facts: Iterable[Fact]) -> str:
    """Return a title, and below it the facts in two columns of names and values; long lines are wrapped."""
    facts = list(facts)
    width = max((len(name) for name, _ in facts), default=0)
    rows = [_wrapped(one_line(title, 3 * COLUMNS), 2)]
    rows += [
        _wrapped(f"  {name:<{width}}  {value}", width + 4) if name else _wrapped(f"  {value}", 4)
        for name, value in facts
    ]
    return "\n".join(rows)


def _wrapped(line: str, indent: int) -> str:
    return textwrap.fill(line.rstrip(), COLUMNS, subsequent_indent=" " * indent)
