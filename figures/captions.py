"""Captions: plain paragraphs, with numbers that are computed, rounded, and never typed."""

import re
import textwrap
from collections.abc import Iterable

SPACE = "\u00a0"  # one that does not break lines


def percent(fraction: float) -> str:
    """Two significant digits: 0.0034 -> 0.34 %."""
    value = 100 * fraction
    return f"{value:.0f}{SPACE}%" if value >= 10 else f"{value:.2g}{SPACE}%"


def count(number: int) -> str:
    """100000 -> 100 000."""
    return f"{number:,}".replace(",", SPACE)


def listing(items: Iterable[str]) -> str:
    """a, b and c."""
    *most, last = items
    return f"{', '.join(most)} and {last}" if most else last


def table(rows: list[list[str]]) -> str:
    """Markdown; the first row heads the others."""
    head, *others = (f"| {' | '.join(row)} |" for row in rows)
    return "\n".join([head, "|---" * len(rows[0]) + "|", *others])


def is_table(paragraph: str) -> bool:
    """Whether a paragraph is one."""
    return paragraph.startswith("|")


def paragraphs(text: str) -> list[str]:
    """What blank lines set apart."""
    return re.split(r"\n\s*\n", text.strip())


def reflow(text: str) -> str:
    """Paragraphs in lines of one width, so that captions can be written without counting; tables as they are."""
    return "\n\n".join(part if is_table(part) else textwrap.fill(part, 100) for part in paragraphs(text)) + "\n"
