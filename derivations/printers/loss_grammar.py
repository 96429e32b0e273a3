"""Print SymPy expressions in the loss grammar."""

import sympy as sp
from sympy.printing.str import StrPrinter


class LossGrammarPrinter(StrPrinter):
    """Print SymPy expressions as text in the loss grammar."""

    def _print_Min(self, expr: sp.Basic) -> str:
        return f"min({', '.join(self._print(a) for a in expr.args)})"

    def _print_Max(self, expr: sp.Basic) -> str:
        return f"max({', '.join(self._print(a) for a in expr.args)})"

    def _print_Pow(self, expr: sp.Basic, rational: bool = False) -> str:
        return super()._print_Pow(expr, rational=False).replace("**", "^")


def formula(expression: sp.Expr) -> str:
    """Return an expression in lambda and parameters as text in the loss grammar."""
    return LossGrammarPrinter().doprint(expression)
