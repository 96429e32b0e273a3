"""Print SymPy expressions as LaTeX, in the symbols of Halvagal, Laborieux and Zenke (2023).

A sum over modes is written as a dot product or a norm of vectors where possible.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import sympy as sp
from sympy.printing.latex import LatexPrinter

from derivations.symbols import notation as n
from derivations.symbols.stop_gradient import StopGradient
from derivations.theory import solutions

NO_VECTORS = {n.s, n.w, n.v, n.ratio, n.S11, n.S12, n.S22, n.Delta}  # spectra and variances: indexed, but no vectors
Vector = tuple[int, sp.Expr]  # (q, a) is the vector Lambda^q a, where a is written as its component


def inner_product(summation: sp.Expr) -> tuple[Vector, Vector] | None:
    """Return the two vectors whose dot product is the given sum over modes; return None if the sum is no dot product.

    Each vector Lambda^q a is returned as a pair (q, a), where Lambda is the diagonal matrix of the predictor
    eigenvalues. If the sum is a squared norm, both vectors are the same.
    """
    if not isinstance(summation, sp.Sum):
        return None
    index, power, vectors = summation.variables[0], 0, []
    for factor in sp.Mul.make_args(summation.function):
        base, exponent = factor.as_base_exp()
        if not (exponent.is_Integer and exponent > 0 and base.has(index)):
            return None
        if base == n.lam[index]:
            power = int(exponent)
        elif base.atoms(sp.IndexedBase) & NO_VECTORS:
            return None
        elif isinstance(base, (sp.Indexed, sp.Add, StopGradient)):
            vectors += [base] * int(exponent)
        else:
            return None
    if len(vectors) != 2:
        return None
    if vectors[0] == vectors[1] and power % 2 == 0:
        return (power // 2, vectors[0]), (power // 2, vectors[0])
    return (0, vectors[0]), (power, vectors[1])


class MathLatex(LatexPrinter):
    """Print SymPy expressions as LaTeX in the symbols of Halvagal, Laborieux and Zenke (2023)."""

    def __init__(self) -> None:
        entries = {getattr(e.symbol, "label", e.symbol): e.latex for e in n.TABLE}
        extra = {solutions.lam0: r"\lambda(0)", solutions.lam: r"\lambda", solutions.lam1: r"\lambda"}
        super().__init__({"symbol_names": entries | extra})

    def _print_Indexed(self, expr: sp.Basic) -> str:
        if expr.base in n.STATISTICS:
            return self._print(n.STATISTICS[expr.base])
        index = ",".join(self._print(i) for i in expr.indices)
        base = self._print(expr.base.label)
        return f"{base[:-1]},{index}}}" if base.endswith("}") and "_{" in base else self._subscript(base, index)

    @staticmethod
    def _subscript(base: str, index: str) -> str:
        head, mark, tail = base.rpartition("_")
        return f"{head}_{{{tail},{index}}}" if mark else f"{base}_{{{index}}}"

    def _print_MatAdd(self, expr: sp.Basic) -> str:
        return self._print_Add(expr).replace("+ -", "-")

    def _print_StopGradient(self, expr: sp.Basic, exp: str | None = None) -> str:
        inside = rf"\mathrm{{SG}}\left({self._print(expr.args[0])}\right)"
        return inside if exp is None else rf"{inside}^{{{exp}}}"

    def _print_LambertGrowth(self, expr: sp.Basic, exp: str | None = None) -> str:
        start, level, tau = expr.args
        y0, tau = self._print(level / start - 1), self._print(tau)
        inside = rf"W\left(y_0 e^{{y_0 - \tau}}\right)\big|_{{y_0 = {y0},\ \tau = {tau}}}"
        whole = self._print(level / (1 + sp.Symbol(inside)))
        return whole if exp is None else rf"\left[{whole}\right]^{{{exp}}}"


class VectorLatex(MathLatex):
    """Print LaTeX in which sums over modes are written, where possible, as z1 . Lambda z2 or ||Lambda z||^2.

    Lambda is the diagonal matrix of the predictor eigenvalues.
    """

    def __init__(self, index: sp.Symbol | None = None):
        """Set up the printer.

        index: a mode index that is not printed: a component z_k is then printed as the vector z.
        """
        super().__init__()
        self.index = index

    def _as_ordered_terms(self, expr: sp.Expr, order: str | None = None) -> list[sp.Expr]:
        """Return the terms of a sum, with negative terms last."""
        return sorted(super()._as_ordered_terms(expr, order), key=lambda term: term.could_extract_minus_sign())

    def _print_Sum(self, expr: sp.Basic) -> str:
        vectors = inner_product(expr)
        if vectors is None:
            return super()._print_Sum(expr)
        first, second = (self._vector(vector, expr.variables[0]) for vector in vectors)
        return rf"\left\|{first}\right\|^{{2}}" if vectors[0] == vectors[1] else rf"{first} \cdot {second}"

    def _vector(self, vector: Vector, index: sp.Symbol) -> str:
        power, component = vector
        with self._without(index):
            text = self._print(component)
        text = rf"\left({text}\right)" if power and isinstance(component, sp.Add) else text
        return {0: "", 1: r"\Lambda "}.get(power, rf"\Lambda^{{{power}}} ") + text

    @contextmanager
    def _without(self, index: sp.Symbol) -> Iterator[None]:
        outer, self.index = self.index, index
        try:
            yield
        finally:
            self.index = outer

    def _print_Indexed(self, expr: sp.Basic) -> str:
        if expr.indices != (self.index,):
            return super()._print_Indexed(expr)
        return r"\Lambda" if expr.base == n.lam else self._print(expr.base.label)

    def _print_Pow(self, expr: sp.Basic) -> str:
        base, exponent = expr.as_base_exp()
        vectors = inner_product(base)
        if vectors is None or vectors[0] != vectors[1]:
            return super()._print_Pow(expr)
        if exponent.is_negative:
            return rf"\frac{{1}}{{{self._print_Pow(1 / expr)}}}"
        norm = rf"\left\|{self._vector(vectors[0], base.variables[0])}\right\|"
        return norm if 2 * exponent == 1 else rf"{norm}^{{{self._print(2 * exponent)}}}"

    def _needs_mul_brackets(self, expr: sp.Expr, first: bool = False, last: bool = False) -> bool:
        vectors = inner_product(expr.as_base_exp()[0])
        if vectors is None:
            return super()._needs_mul_brackets(expr, first, last)
        return vectors[0] != vectors[1]
