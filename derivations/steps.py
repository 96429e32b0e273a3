"""What a derivation report is made of: steps, and formulas in LaTeX."""

from dataclasses import dataclass

import sympy as sp

from derivations.vectors import VectorLatex

SYMBOLS = "Symbols"  # title of the step that is a table: its equations are rows, LaTeX | meaning


@dataclass(frozen=True)
class Step:
    """One step: a title, prose with formulas between dollar signs, equations in LaTeX, and what was checked."""

    title: str
    text: str
    equations: tuple[str, ...] = ()
    checked: tuple[str, ...] = ()


def tex(expression: sp.Expr) -> str:
    """LaTeX of an expression, sums over modes as products of vectors where they are."""
    return VectorLatex().doprint(expression)
