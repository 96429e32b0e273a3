"""Print a loss, and the closed-form predictor, as lines of code for a training loop in JAX or PyTorch.

Vectors are arrays (batch, M) in any basis, with the M components on the last axis. The expression of a loss determines
where gradients stop. The caller supplies the code for the product of a function of the predictor W_P with a vector.
"""

import re
from dataclasses import dataclass
from typing import Any

import sympy as sp

from derivations.losses.loss import SymbolicLoss
from derivations.losses.reader import tanh
from derivations.printers.array_code import ArrayPrinter, Dialect, spaced
from derivations.printers.predictions import Predictions
from derivations.printers.sum_names import free, names_of_sums
from derivations.symbols import notation as n
from derivations.theory import rates

JAX = Dialect(
    namespace="jnp",
    over_modes="jnp.sum({}, axis=-1, keepdims=True)",
    product="jnp.prod({}, axis=-1, keepdims=True)",
    largest="jnp.max({}, axis=-1, keepdims=True)",
    stop_gradient="stop_gradient({})",
    smaller="jnp.minimum({}, {})",
    larger="jnp.maximum({}, {})",
)
TORCH = Dialect(
    namespace="torch",
    over_modes="torch.sum({}, dim=-1, keepdim=True)",
    product="torch.prod({}, dim=-1, keepdim=True)",
    largest="torch.amax({}, dim=-1, keepdim=True)",
    stop_gradient="{}.detach()",
    smaller="torch.clamp({}, max={})",
    larger="torch.clamp({}, min={})",
)
VECTORS = {n.z1: "z", n.t2: "target"}  # names of z1 and t2 in a training loop
PREDICTION = sp.IndexedBase("p", real=True)
FUNCTIONS = (sp.exp, sp.log, tanh)  # functions of one argument
EXTREMES = (sp.Min, sp.Max)  # functions of two arguments
SIMPLE = re.compile(r"[A-Za-z_][\w.]*|\d+(\.\d+)?")  # names and numbers; between two of them, ** gets no blanks
ATOM = re.compile(r"[A-Za-z_]\w*|\(.*\)")


class Root(sp.Function):
    """The square root of a sum over modes, kept as one expression so that the code can give the root a name."""

    nargs = 1


class PortablePrinter(ArrayPrinter):
    """Print code as a person would write it: negative terms last, decimal constants, blanks as in formatted code."""

    def _print(self, expr: sp.Basic, **kwargs: Any) -> str:
        if (
            isinstance(expr, sp.Expr)
            and expr.is_number
            and not expr.is_Rational
            and not expr.could_extract_minus_sign()
        ):
            return repr(float(expr))  # PyTorch's functions, such as sqrt and exp, refuse constants that are no tensors
        return super()._print(expr, **kwargs)

    def _print_Indexed(self, expr: sp.Basic) -> str:
        return VECTORS.get(expr.base, str(expr.base))

    def _as_ordered_terms(self, expr: sp.Expr, order: str | None = None) -> list[sp.Expr]:
        return sorted(super()._as_ordered_terms(expr, order), key=lambda term: term.could_extract_minus_sign())

    def parenthesize(self, item: sp.Expr, level: int, strict: bool = False) -> str:
        is_call = isinstance(item, sp.Pow) and item.exp == sp.Rational(1, 2)
        return self._print(item) if is_call else super().parenthesize(item, level, strict)

    def _print_StopGradient(self, expr: sp.Basic) -> str:
        inside = self._print(expr.args[0])
        bare = not self.dialect.stop_gradient.startswith("{}") or SIMPLE.fullmatch(inside)
        return self.dialect.stop_gradient.format(inside if bare else f"({inside})")

    def _print_Root(self, expr: sp.Basic) -> str:
        return f"{self.xp}.sqrt({self._print(expr.args[0])})"

    def _power(self, base: str, exponent: str) -> str:
        tight = SIMPLE.fullmatch(base) and SIMPLE.fullmatch(exponent)
        return f"{base}**{exponent}" if tight else f"{base} ** {exponent}"


class Products(Predictions):
    """Names for the products of vectors with functions of the predictor W_P.

    ``lines`` contains the code that computes all products except the prediction p, which is an argument of the loss.
    """

    def __init__(self, loss: SymbolicLoss, printer: ArrayPrinter, product: str):
        super().__init__(loss, printer)
        self.product = product

    def _named(self, function: sp.Expr, component: sp.Expr) -> sp.Expr:
        key = (function, component)
        if key == (n.lam[n.k], n.z1[n.k]):
            return PREDICTION[n.k]
        if not function.has(sp.Indexed):  # the same for all modes
            return function * component
        if key not in self.names:
            name = f"v{len(self.lines) + 1}"
            self.names[key] = sp.IndexedBase(name, real=True)[n.k]
            code = self.product.format(values=self.printer.doprint(function), vector=self._vector(component))
            self.lines.append(f"{name} = {code}")
        return self.names[key]

    def _vector(self, component: sp.Expr) -> str:
        text = self.printer.doprint(component)
        inside_a_call = ", {vector}" in self.product
        return text if inside_a_call or ATOM.fullmatch(text) else f"({text})"


@dataclass(frozen=True)
class Lines:
    """Lines of code that compute ``value``, the loss of each sample (batch, 1).

    The code uses the names ``z`` for the representation z1 of the online branch, ``p`` for the prediction W_P z1, and
    ``target`` for the representation t2 of the target branch.
    """

    products: tuple[str, ...]  # the first lines, which compute products of functions of W_P with vectors
    lines: tuple[str, ...]  # the other lines
    uses: frozenset[str]  # the names among p, z and target that occur in the lines
    inside_functions: frozenset[str]  # parameters in arguments of functions; in PyTorch, such arguments must be tensors
    divides: bool  # True if the loss divides by a sum over modes, or by the root of such a sum, which may be zero


def loss_lines(loss: SymbolicLoss, dialect: Dialect, product: str) -> Lines:
    """Return the lines of code that compute a loss in the dialect of a library.

    product: text of the code for the product of a function h(W_P) with a vector, U diag(h(lam)) U^T vector. Here U are
    the eigenvectors of W_P, and ``lam`` are its eigenvalues. The text contains two placeholders: {values} is replaced
    by the code of h(lam), and {vector} by the code of the vector.
    """
    printer = PortablePrinter(dialect=dialect)
    products = Products(loss, printer, product)
    expression = loss.expression(products)
    components = [component for _, component in products.names]
    meanings = [meaning for meaning, _ in products.names]
    present = set().union(*(part.atoms(sp.IndexedBase) for part in [expression, *components]))
    lines = tuple(_named_sums(expression, printer, set(loss.parameters)))
    return Lines(
        tuple(map(spaced, products.lines)),
        lines,
        frozenset(VECTORS.get(base, str(base)) for base in present & {*VECTORS, PREDICTION}),
        frozenset().union(*(_inside_functions(part) for part in [expression, *components, *meanings])),
        any(power.exp.could_extract_minus_sign() and power.base.has(sp.Sum) for power in expression.atoms(sp.Pow)),
    )


def _named_sums(expression: sp.Expr, printer: PortablePrinter, taken: set[str]) -> list[str]:
    """Return lines of code that compute each sum over modes and each norm, and last ``value``, the loss.

    A sum inside another sum is computed before the outer sum. taken: names already in use.
    """
    expression, lines = _with_roots(expression), []
    parts = sorted(_parts(expression), key=lambda e: (sp.count_ops(e), str(e)))
    sums = dict.fromkeys(part.args[0] if isinstance(part, Root) else part for part in parts)
    names = names_of_sums(sums, printer.doprint, taken)
    for part in parts:
        name = _name_of_root(names[part.args[0]], taken) if isinstance(part, Root) else names[part]
        lines.append(f"{name} = {printer.doprint(part)}")
        printer.names[part] = name
    return [*map(spaced, lines), spaced(f"value = {printer.doprint(expression)}")]


def _with_roots(expression: sp.Expr) -> sp.Expr:
    def is_root(e: sp.Expr) -> bool:
        return e.is_Pow and isinstance(e.base, sp.Sum) and e.exp.is_Rational and e.exp.q == 2

    return expression.replace(is_root, lambda e: Root(e.base) ** e.exp.p)


def _parts(expression: sp.Basic) -> set[sp.Expr]:
    """Return the set of all sums over modes in an expression, also those inside other sums.

    For a sum under a square root, the set contains the root instead.
    """
    if isinstance(expression, (sp.Sum, Root)):
        inner = expression.args[0] if isinstance(expression, sp.Sum) else expression.args[0].args[0]
        return {expression} | _parts(inner)
    return set().union(*(_parts(argument) for argument in expression.args))


def _name_of_root(name: str, taken: set[str]) -> str:
    """Return the name of the root of a sum, such as ``norm_p`` for ``norm_p_squared``."""
    root = name.removesuffix("_squared")
    return free(root if root != name else f"root_of_{name}", taken)


def _inside_functions(expression: sp.Expr) -> set[str]:
    """Return the names of the parameters that code for PyTorch must convert to tensors.

    These are the parameters in arguments of functions and in bases of fractional powers, because PyTorch's functions
    refuse arguments that are no tensors. An argument or base that contains a vector or an eigenvalue is ignored,
    because in code it is a tensor already.
    """
    functions = expression.atoms(*FUNCTIONS) | {e for e in expression.atoms(sp.Pow) if not e.exp.is_Integer}
    arguments = {e.args[0] for e in functions} | expression.atoms(*EXTREMES)
    return {symbol.name for argument in arguments if not argument.has(sp.Indexed) for symbol in argument.free_symbols}


def predictor_formula(normalize: bool, dialect: Dialect) -> str:
    """Return code that computes the eigenvalues of the closed-form predictor from ``s``, ``alpha`` and ``epsilon``.

    s are the eigenvalues of the correlation. The eigenvalues of the predictor are (s + epsilon)^alpha, or
    (s/max s + epsilon)^alpha if ``normalize`` is True.
    """
    form = rates.normalized_predictor() if normalize else rates.predictor()
    return spaced(PortablePrinter(dialect=dialect).doprint(form))


def average_formula(dialect: Dialect) -> str:
    """Return code for a step of the tracked correlation C, an exponential average with decay tau per step.

    After the step, C is tau C + (1 - tau) times the current correlation.
    """
    names = {rates.average: "correlation", rates.x: "current"}
    return spaced(PortablePrinter(dict(names), dialect).doprint(rates.average_step()))


def spelled(loss: SymbolicLoss) -> str:
    """Return a loss in the loss grammar, with ``sg(...)`` around each vector whose gradient is stopped."""
    formula = loss.formula
    for name in loss.stopped:
        formula = re.sub(rf"\b{name}\b", f"sg({name})", formula)
    return formula
