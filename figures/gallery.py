"""Write a page with all figures and their captions: one HTML file, which loads only the pictures next to it."""

import html
import importlib
import re
from pathlib import Path

from dynamics.numerics.files import write_text
from figures import names
from figures.captions import is_table, paragraphs

PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>ssl-dynamics: figures</title>
<style>
body {{ max-width: 60rem; margin: 2rem auto; padding: 0 1rem; font: 1rem/1.5 sans-serif; color: #222; }}
section {{ margin: 3rem 0; border-top: 1px solid #ccc; }}
img {{ display: block; max-width: 100%; margin: 1rem auto; }}
td, th {{ padding: 0.1em 0.8em; text-align: left; border-bottom: 1px solid #ccc; }}
code {{ background: #f3f3f3; padding: 0 0.2em; }}
nav li {{ margin: 0.2rem 0; }}
</style>
</head>
<body>
<h1>Figures</h1>
<nav><ul>
{contents}
</ul></nav>
{sections}
</body>
</html>
"""

SECTION = """<section id="{name}">
<h2>{title}</h2>
<a href="{name}.png"><img src="{name}.png" alt="{title}"></a>
{caption}
<p><a href="{name}.pdf">PDF</a></p>
</section>"""


def title(name: str) -> str:
    """Return the title of a figure, which is the first line of the docstring of its module."""
    return (importlib.import_module(f"figures.{name}").__doc__ or name).strip().splitlines()[0].rstrip(".")


def to_html(caption: str) -> str:
    """Convert a caption from Markdown to HTML; captions consist of paragraphs, inline code and tables."""
    text = re.sub(r"`([^`]+)`", r"<code>\1</code>", html.escape(caption.strip()))
    return "\n".join(_table(part) if is_table(part) else f"<p>{part}</p>" for part in paragraphs(text))


def _table(paragraph: str) -> str:
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in paragraph.splitlines()]
    lines = [
        f"<tr>{''.join(f'<{tag}>{cell}</{tag}>' for cell in row)}</tr>"
        for row, tag in zip([rows[0], *rows[2:]], ["th", *["td"] * (len(rows) - 2)], strict=True)
    ]
    return f"<table>{''.join(lines)}</table>"


def write(folder: Path) -> None:
    """Write index.html into a folder that contains the pictures and captions."""
    titles = {name: html.escape(title(name)) for name in names()}
    contents = [f'<li><a href="#{name}">{text}</a></li>' for name, text in titles.items()]
    sections = [
        SECTION.format(name=name, title=text, caption=_caption(folder / f"{name}.md")) for name, text in titles.items()
    ]
    page = PAGE.format(contents="\n".join(contents), sections="\n".join(sections))
    write_text(folder / "index.html", page)


def _caption(path: Path) -> str:
    if not path.exists():
        return f"<p>Not drawn yet: <code>python -m figures {path.stem}</code></p>"
    return to_html(path.read_text(encoding="utf-8"))
