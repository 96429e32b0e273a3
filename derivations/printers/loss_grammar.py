"""Print SymPy expressions in the loss grammar."""

import sympy as sp
from sympy.printing.str import StrPrinter


class _Language(StrPrinter):
    """SymPy -> the language of ``grammar``."""

    def _print_Min(self, expr):
        return f"min({', '.join(self._print(a) for a in expr.args)})"

    def _print_Max(self, expr):
        return f"max({', '.join(self._print(a) for a in expr.args)})"

    def _print_Pow(self, expr, rational=False):
        return super()._print_Pow(expr, rational=False).replace("**", "^")


def sentence(expression: sp.Expr) -> str:
    """An expression in lambda and named numbers, in the language that gains are written in."""
    return _Language().doprint(expression)
