"""What was derived for a loss, as text or LaTeX: per-sample dynamics, rates, eigenvalue ODE, exact solution."""

from dataclasses import dataclass

import sympy as sp
from sympy.printing.latex import LatexPrinter
from sympy.printing.str import StrPrinter

from derivations import closures, gradients, rates, solutions
from derivations import notation as n
from derivations.losses import Setting


@dataclass(frozen=True)
class Line:
    """left = right, and what it is."""

    title: str
    left: str
    right: sp.Expr | str


class MathLatex(LatexPrinter):
    """LaTeX in the paper's symbols."""

    def __init__(self):
        entries = {getattr(e.symbol, "label", e.symbol): e.latex for e in n.TABLE}
        extra = {solutions.lam0: r"\lambda(0)", solutions.lam: r"\lambda"}
        super().__init__({"symbol_names": entries | extra})

    def _print_Indexed(self, expr):
        index = ",".join(self._print(i) for i in expr.indices)
        base = self._print(expr.base.label)
        return f"{base[:-1]},{index}}}" if base.endswith("}") and "_{" in base else self._subscript(base, index)

    @staticmethod
    def _subscript(base: str, index: str) -> str:
        head, mark, tail = base.rpartition("_")
        return f"{head}_{{{tail},{index}}}" if mark else f"{base}_{{{index}}}"

    def _print_StopGradient(self, expr, exp=None):
        inside = rf"\operatorname{{SG}}\left({self._print(expr.args[0])}\right)"
        return inside if exp is None else rf"{inside}^{{{exp}}}"

    def _print_LambertDecay(self, expr, exp=None):
        y0, tau = (self._print(a) for a in expr.args)
        inside = rf"W\left(y_0 e^{{y_0 - \tau}}\right)\big|_{{y_0 = {y0},\ \tau = {tau}}}"
        return inside if exp is None else rf"\left[{inside}\right]^{{{exp}}}"


class MathText(StrPrinter):
    """One line of plain text in code names."""

    def _print_Sum(self, expr):
        index = expr.variables[0]
        return f"Sum_{index}[{self._print(expr.function)}]"

    def _print_StopGradient(self, expr):
        return f"SG({self._print(expr.args[0])})"


def derivation(setting: Setting, closure: str = "gaussian") -> list[Line]:
    """From the loss to its eigenvalue dynamics, encoder and target sharing weights. closure: see ``rates``."""
    loss = setting.in_eigenbasis()
    lines = [
        Line("loss of one sample, in the eigenbasis", "L", loss),
        Line("force on the representation of view 1", "g_m", sp.factor_terms(gradients.force(loss, 1))),
        Line("force on the representation of view 2", "h_m", sp.factor_terms(gradients.force(loss, 2))),
    ]
    rate = rates.rates(loss, closure)
    if isinstance(rate, sp.Expr):
        lines.append(Line("rate of the linear network", "r_m", sp.factor_terms(rate)))
    else:
        lines += [line for i, integral in enumerate(rate, 1) for line in _integral(i, integral)]
        parts = " + ".join(f"I_{i}" for i in range(1, len(rate) + 1))
        lines.append(Line("rate of the linear network, int_0^oo dx int_0^oo dy of", "r_m", parts))
    shown = rate if isinstance(rate, sp.Expr) else sp.IndexedBase("r", real=True)[n.m]
    flow = rates.velocity().subs(rates.rate, sp.factor_terms(shown))
    lines += [Line("flow of the eigenvalues", "ds_m/dt", flow), Line("predictor", "lam_m", _predictor(setting))]
    solution = solutions.solve(rate) if isinstance(rate, sp.Expr) else None
    if solution:
        limit = "" if solution.any_weight_decay else ", rho = 0"
        explicit = solution.predictor.replace(solutions.Exprel, lambda x: (sp.exp(x) - 1) / x)
        lines.append(Line(f"exact solution ({solution.name}{limit})", "lam(t)", explicit))
    lines = [Line(a.title, a.left, _shared(a.right)) for a in lines]
    used = {s for line in lines if isinstance(line.right, sp.Expr) for s in line.right.free_symbols}
    named = [(s, e) for s, e in closures.VIEW_STATISTICS.items() if s in used]
    return lines + [Line("where", str(symbol), expression) for symbol, expression in named]


def _predictor(setting: Setting) -> sp.Expr:
    return rates.predictor().subs(n.epsilon, 0) if setting.predictor else sp.Integer(1)


def _shared(right: sp.Expr | str) -> sp.Expr | str:
    return right if isinstance(right, str) else rates.shared_weights(right)


def _integral(number: int, integral: closures.TiltedIntegral) -> list[Line]:
    lines = [
        Line("tilted covariance", str(symbol).replace("[k]", "_k"), expression)
        for symbol, expression in integral.tilt.definitions.items()
    ]
    return [*lines, Line("with Z = prod_k Delta_k^(-1/2)", f"I_{number}", integral.integrand)]


def as_text(lines: list[Line]) -> str:
    """One equation a line, each under its title."""
    printer, rows, title = MathText(), [], None
    for line in lines:
        rows += [line.title] if line.title != title else []
        rows.append(f"    {line.left} = {_shown(printer, line.right)}")
        title = line.title
    return "\n".join(rows)


def as_latex(lines: list[Line]) -> str:
    """An align* environment with a comment for each title."""
    printer = MathLatex()
    names = {"ds_m/dt": r"\dot s_m", "lam_m": r"\lambda_m", "lam(t)": r"\lambda(t)"}
    rows = []
    for line in lines:
        left = names.get(line.left) or _latex_name(line.left)
        rows.append(f"  % {line.title}\n  {left} &= {_shown(printer, line.right)}")
    return "\\begin{align*}\n" + " \\\\\n".join(rows) + "\n\\end{align*}"


def _latex_name(name: str) -> str:
    base, mark, index = name.partition("_")
    base = n.LATEX.get(base, base)
    if not mark:
        return base
    return f"{base[:-1]},{index}}}" if base.endswith("}") else f"{base}_{{{index}}}"


def _shown(printer, right: sp.Expr | str) -> str:
    return right if isinstance(right, str) else printer.doprint(right)
