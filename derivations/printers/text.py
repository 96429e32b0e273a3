"""Print SymPy expressions as one line of plain text."""

import sympy as sp
from sympy.printing.str import StrPrinter

from derivations.symbols import notation as n


class MathText(StrPrinter):
    """Print SymPy expressions as one line of plain text, in which symbols have the same names as in code."""

    def _print_Indexed(self, expr: sp.Basic) -> str:
        statistic = n.STATISTICS.get(expr.base)
        return super()._print_Indexed(expr) if statistic is None else self._print(statistic)

    def _print_Sum(self, expr: sp.Basic) -> str:
        index = expr.variables[0]
        return f"Sum_{index}[{self._print(expr.function)}]"

    def _print_StopGradient(self, expr: sp.Basic) -> str:
        return f"SG({self._print(expr.args[0])})"

    def _print_LambertGrowth(self, expr: sp.Basic) -> str:
        start, level, tau = expr.args
        y0 = self._print(level / start - 1)
        return self._print(level / (1 + sp.Symbol(f"W(y0*exp(y0 - {self._print(tau)}), y0 = {y0})")))
