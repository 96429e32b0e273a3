"""Define the steps of a derivation report, and print their formulas in LaTeX."""

from dataclasses import dataclass

import sympy as sp

from derivations.printers.latex import VectorLatex
from derivations.symbols import notation as n

SYMBOLS = "Symbols"  # title of the last step, which is a table; each of its equations is a row LaTeX | meaning


@dataclass(frozen=True)
class Step:
    """One step: a title, prose with formulas between dollar signs, equations in LaTeX, and the checks of this step."""

    title: str
    text: str
    equations: tuple[str, ...] = ()
    checked: tuple[str, ...] = ()


def tex(expression: sp.Expr) -> str:
    """Return the LaTeX of an expression, with sums over modes written as products of vectors where possible."""
    return VectorLatex().doprint(expression)


def gathered(expression: sp.Expr) -> sp.Expr:
    """Return the expression as one fraction, with one sum over modes in the numerator.

    If the numerator cannot be written as one sum, only common factors are taken out.
    """
    numerator, denominator = sp.fraction(sp.together(expression))
    common, rest = sp.factor_terms(sp.expand(numerator)).as_independent(sp.Add, as_Add=False)
    index, summand = sp.Symbol("k", integer=True), sp.Integer(0)
    for term in sp.Add.make_args(sp.expand(rest)):
        coefficient, sums = term.as_independent(sp.Sum, as_Add=False)
        if not isinstance(sums, sp.Sum):
            return sp.factor_terms(expression)
        summand += coefficient * sums.function.subs(sums.variables[0], index)
    return common * sp.Sum(sp.factor(summand), (index, 1, n.M)) / denominator
