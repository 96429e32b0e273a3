"""Write the card of a result for notebooks: a piece of HTML with a title, facts, a picture and a formula.

A card inherits fonts and colours from the page, so that it can be read on light and on dark background. It contains no
script and no style sheet, and does not change the page around it.
"""

import base64
import html
from collections.abc import Iterable
from typing import NamedTuple

from dynamics.presentation.text import Fact, one_line

LONGEST_VALUE = 400  # largest number of characters of a title or of a value

CARD = "display:inline-block;max-width:100%;box-sizing:border-box;overflow-x:auto;padding:0.6em 0.9em;"
CARD += "border:1px solid rgba(128,128,128,0.4);border-radius:6px;text-align:left"
TITLE = "font-weight:600;overflow-wrap:anywhere;margin-bottom:0.4em"
ROW = "display:flex;flex-wrap:wrap;align-items:flex-start;gap:0.6em 1.4em"
TABLE = "border-collapse:collapse;border:none;margin:0;flex:0 1 auto;max-width:30em"
LINE = "background:none;border:none"
CELL = "text-align:left;vertical-align:top;padding:0.12em 0;border:none;background:none;white-space:normal;"
NAME = CELL + "padding-right:1.2em;font-weight:normal;opacity:0.7;white-space:nowrap"
VALUE = CELL + "overflow-wrap:anywhere"
PICTURE = "background:#fff;padding:4px;border-radius:4px;box-sizing:border-box;max-width:100%;height:auto;margin:0"
FORMULA = "max-width:100%;overflow-x:auto;overflow-y:hidden"


class Picture(NamedTuple):
    """A picture in the format PNG, its width on the page in pixels, and a text that replaces it where it is not seen.

    The file may have more pixels than the page shows, for screens with a high resolution.
    """

    png: bytes
    width: int
    alternative: str


def card(title: str, facts: Iterable[Fact], picture: Picture | None = None, formula: str | None = None) -> str:
    """Return the HTML of a card.

    title: first line. facts: pairs of a name and a value. picture: shown beside the facts. formula: LaTeX of an
    equation, which notebooks typeset, also beside the facts. All texts are escaped, and long texts are cut.
    """
    rows = "".join(_row(name, value) for name, value in facts)
    parts = [f'<table style="{TABLE}"><tbody>{rows}</tbody></table>'] if rows else []
    parts += [_image(picture)] if picture else []
    parts += [f'<div style="{FORMULA}">$${html.escape(formula)}$$</div>'] if formula else []
    body = [f'<div style="{TITLE}">{escaped(title)}</div>']
    body += [f'<div style="{ROW}">{"".join(parts)}</div>'] if parts else []
    return f'<div style="{CARD}">{"".join(body)}</div>'


def escaped(text: str) -> str:
    """Return a text as HTML that shows this text, and that is not typeset as a formula.

    The delimiters of formulas, backslash and dollar sign, are enclosed in HTML elements of their own; notebooks then do
    not recognise them as delimiters.
    """
    safe = html.escape(one_line(text, LONGEST_VALUE))
    return safe.replace("\\", "<span>&#92;</span>").replace("$", "<span>&#36;</span>")


def _row(name: str, value: str) -> str:
    if not name:
        return f'<tr style="{LINE}"><td colspan="2" style="{VALUE}">{escaped(value)}</td></tr>'
    return (
        f'<tr style="{LINE}"><th scope="row" style="{NAME}">{escaped(name)}</th>'
        f'<td style="{VALUE}">{escaped(value)}</td></tr>'
    )


def _image(picture: Picture) -> str:
    data = base64.b64encode(picture.png).decode("ascii")
    alternative = html.escape(one_line(picture.alternative))
    return f'<img src="data:image/png;base64,{data}" width="{picture.width}" alt="{alternative}" style="{PICTURE}">'
