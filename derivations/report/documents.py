"""Write derivation reports as Markdown, LaTeX or HTML, and the reports of the catalogue for ``docs/derivations``."""

import html
import re
from collections.abc import Callable, Mapping
from pathlib import Path

import mpmath as mp

from derivations.losses.catalogue import Setting, catalogue
from derivations.losses.loss import SymbolicLoss
from derivations.report import checks
from derivations.report.derivation import report
from derivations.report.steps import SYMBOLS, Step

FOLDER = Path(__file__).resolve().parents[2] / "docs" / "derivations"
SOURCE = (
    "Linear networks after Halvagal, Laborieux and Zenke, Implicit variance regularization in non-contrastive SSL, "
    "NeurIPS 2023 (arXiv:2212.04858)."
)
NOTICE = "<!-- Written by `make docs` from derivations/: do not edit. -->"
INLINE = re.compile(r"\$([^$]+)\$")


def title(setting: SymbolicLoss) -> str:
    """Return the title of a report."""
    return f"{setting.title}: from the loss to its eigenvalue dynamics"


# --- Markdown -------------------------------------------------------------------------------------------------------


def as_markdown(setting: SymbolicLoss, steps: list[Step]) -> str:
    """Return a report in Markdown; formulas are fenced ``math`` blocks, or $`...`$ inside a line."""
    parts = [NOTICE, f"# {title(setting)}", SOURCE]
    for number, step in enumerate(steps, 1):
        if step.title == SYMBOLS:
            rows = ["| symbol | meaning |", "|---|---|"]
            rows += [f"| $`{latex}`$ | {_inline(meaning)} |" for latex, meaning in _rows(step)]
            parts += [f"## {step.title}", "\n".join(rows)]
            continue
        parts += [f"## {number}. {step.title}", _inline(step.text)]
        parts += [f"```math\n{equation}\n```" for equation in step.equations]
        parts += ["\n".join(f"- Checked {_inline(what)}." for what in step.checked)] if step.checked else []
    return "\n\n".join(parts) + "\n"


def _inline(text: str) -> str:
    return INLINE.sub(r"$`\1`$", text)


def _rows(step: Step) -> list[list[str]]:
    return [row.split("|", 1) for row in step.equations]


# --- LaTeX ----------------------------------------------------------------------------------------------------------

PREAMBLE = r"""\documentclass[11pt]{article}
\usepackage[T1]{fontenc}
\usepackage[margin=2.5cm]{geometry}
\usepackage{amsmath, amssymb, graphicx, longtable}
\newsavebox{\formula}
\newcommand{\fit}[1]{% shrinks a formula that is wider than the page
  \sbox{\formula}{$\displaystyle #1$}%
  \ifdim\wd\formula>\linewidth \resizebox{\linewidth}{!}{\usebox{\formula}}\else \usebox{\formula}\fi}
"""


def as_latex(setting: SymbolicLoss, steps: list[Step]) -> str:
    """Return a report as a complete LaTeX document."""
    parts = [
        PREAMBLE + rf"\title{{{title(setting)}}}" + "\n\\author{}\n\\date{}\n\\begin{document}\n\\maketitle",
        SOURCE,
    ]
    for step in steps:
        parts.append(rf"\section{{{step.title}}}")
        if step.title == SYMBOLS:
            rows = [rf"${latex}$ & {_escaped(meaning)} \\" for latex, meaning in _rows(step)]
            parts.append("\\begin{longtable}{ll}\n" + "\n".join(rows) + "\n\\end{longtable}")
            continue
        parts.append(_escaped(step.text))
        parts += [f"\\[ \\fit{{{equation}}} \\]" for equation in step.equations]
        parts += [rf"\noindent\emph{{Checked {_escaped(what)}.}}" for what in step.checked]
    return "\n\n".join([*parts, "\\end{document}"]) + "\n"


def _escaped(text: str) -> str:
    """Escape the characters %, & and #, which have a special meaning in LaTeX."""
    return re.sub(r"(?<!\\)([%&#])", r"\\\1", text)


# --- HTML -----------------------------------------------------------------------------------------------------------

PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>
body {{ max-width: 50rem; margin: 2rem auto; padding: 0 1rem; font: 1rem/1.5 sans-serif; color: #222; }}
div.formula {{ overflow: auto hidden; padding: 0.2rem 0; margin: 0.6rem 0; }}
p.checked {{ color: #555; font-size: 0.9rem; margin: 0.3rem 0; }}
td {{ padding: 0.1rem 1rem 0.1rem 0; vertical-align: top; }}
</style>
</head>
<body>
{body}
</body>
</html>
"""


def as_html(setting: SymbolicLoss, steps: list[Step]) -> str:
    """Return a report as an HTML page without external files; formulas are MathML, which browsers can draw."""
    from latex2mathml.converter import convert

    def text(words: str) -> str:
        pieces = INLINE.split(words)  # words, formula, words, ...
        return "".join(convert(piece) if i % 2 else html.escape(piece) for i, piece in enumerate(pieces))

    parts = [f"<h1>{html.escape(title(setting))}</h1>", f"<p>{html.escape(SOURCE)}</p>"]
    for number, step in enumerate(steps, 1):
        if step.title == SYMBOLS:
            rows = [f"<tr><td>{convert(latex)}</td><td>{text(meaning)}</td></tr>" for latex, meaning in _rows(step)]
            parts += [f"<h2>{step.title}</h2>", "<table>\n" + "\n".join(rows) + "\n</table>"]
            continue
        parts += [f"<h2>{number}. {html.escape(step.title)}</h2>", f"<p>{text(step.text)}</p>"]
        parts += [f'<div class="formula">{convert(equation, display="block")}</div>' for equation in step.equations]
        parts += [f'<p class="checked">✓ Checked {text(what)}.</p>' for what in step.checked]
    return PAGE.format(title=html.escape(title(setting)), body="\n".join(parts))


FORMATS: dict[str, Callable[[SymbolicLoss, list[Step]], str]] = {
    "markdown": as_markdown,
    "latex": as_latex,
    "html": as_html,
}


def document(setting: SymbolicLoss, form: str) -> str:
    """Return the report of a loss in a format: "markdown", "latex" or "html"."""
    return FORMATS[form](setting, report(setting))


# --- the reports of the catalogue -----------------------------------------------------------------------------------


def index(reports: Mapping[Setting, list[Step]]) -> str:
    """Return a Markdown page that lists the reports of all losses of the catalogue."""
    rows = []
    for setting, steps in reports.items():
        present = {step.title for step in steps}
        rate = next(e for step in steps for e in step.equations if e.startswith("r_m = "))
        marks = ("yes" if name in present else "" for name in ("Exact solution", "Conserved quantity", "Fixed points"))
        rows.append(f"| [{setting.title}]({setting.name}.md) | $`{rate}`$ | {' | '.join(marks)} |")
    lines = [
        NOTICE,
        "",
        "# Derivations",
        "",
        "Each page leads from a loss to its eigenvalue dynamics, step by step. Each step is checked when the page",
        "is written. Symbolic checks hold for any number of modes. Numerical checks compare both sides at random",
        f"points, in {checks.DIGITS} digits; they fail if the difference exceeds {mp.nstr(checks.CLOSE, 1)} times 1"
        " plus the value.",
        "The letters $`A_m, B_m, \\ldots`$ in rates are expectations, which the page of the loss defines.",
        "`ssl-dynamics derive --loss cosine --isotropic --format latex` prints a derivation as a LaTeX document,",
        "`--format html` as a web page.",
        "",
        "| loss | rate | exact solution | conserved sum | fixed points in closed form |",
        "|---|---|---|---|---|",
        *rows,
    ]
    return "\n".join(lines) + "\n"


def documents() -> dict[str, str]:
    """Return the content of each file of docs/derivations, in a dictionary from file names to contents."""
    reports = {setting: report(setting) for setting in catalogue()}
    pages = {f"{setting.name}.md": as_markdown(setting, steps) for setting, steps in reports.items()}
    return {"README.md": index(reports)} | pages
