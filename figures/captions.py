"""Format the parts of captions: numbers, the noise of a model, lists, tables and paragraphs."""

import re
import textwrap
from collections.abc import Iterable

SPACE = "\u00a0"  # non-breaking space


def percent(fraction: float) -> str:
    """Format a fraction as a percentage, with two digits below 10 % and no decimals above: 0.0034 -> 0.34 %."""
    value = 100 * fraction
    return f"{value:.0f}{SPACE}%" if value >= 10 else f"{value:.2g}{SPACE}%"


def count(number: int) -> str:
    """Format an integer with its digits in groups of three: 100000 -> 100 000."""
    return f"{number:,}".replace(",", SPACE)


def noise(sigmas: tuple[float, float]) -> str:
    """Format the standard deviations (sigma1, sigma2) of the noise on the online and on the target view."""
    online, target = (f"{sigma:g}" for sigma in sigmas)
    if online == target:
        return f"noise of standard deviation {online} on both views"
    return f"noise of standard deviation {online} on the online and {target} on the target view"


def listing(items: Iterable[str]) -> str:
    """Join items as in a text: a, b and c."""
    *most, last = items
    return f"{', '.join(most)} and {last}" if most else last


def table(rows: list[list[str]]) -> str:
    """Format rows as a Markdown table; the first row is the header."""
    head, *others = (f"| {' | '.join(row)} |" for row in rows)
    return "\n".join([head, "|---" * len(rows[0]) + "|", *others])


def is_table(paragraph: str) -> bool:
    """Return True if a paragraph is a Markdown table."""
    return paragraph.startswith("|")


def paragraphs(text: str) -> list[str]:
    """Split a text at its blank lines."""
    return re.split(r"\n\s*\n", text.strip())


def reflow(text: str) -> str:
    """Wrap paragraphs to lines of at most 100 characters; leave tables as they are."""
    return "\n\n".join(part if is_table(part) else textwrap.fill(part, 100) for part in paragraphs(text)) + "\n"
