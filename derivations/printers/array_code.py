"""Print SymPy expressions as array code that runs on NumPy and JAX arrays alike.

The shapes of the arrays depend on the code. Let M be the number of modes.

- Most code: a quantity with a value per mode is an array (..., M). A sum over modes is a sum over the last axis, which
  is kept with length 1.
- Integrands, evaluated at K nodes: a quantity with a value per mode is an array (..., M, 1), and a quantity with a
  value per mode and node is an array (..., M, K). The nodes lie on the last axis, because code is faster if the last
  axis is long.
- Code with matrices: the last two axes are the rows and columns of a matrix. A scalar has the shape (..., 1, 1).

If no print method handles an expression, an error names the expression. A ``Dialect`` contains the names of functions
in a library.
"""

import re
from dataclasses import dataclass, replace
from typing import Any

import sympy as sp
from sympy.printing.precedence import PRECEDENCE, precedence
from sympy.printing.str import StrPrinter

from derivations.errors import UntranslatableError
from derivations.losses.reader import tanh
from derivations.symbols import notation as n
from derivations.theory.matrices import MatrixTilt
from derivations.theory.solutions import LambertLogGrowth, LambertTime, LinearGrowth, LinearTime

FUNCTIONS = {sp.exp: "exp", sp.log: "log", tanh: "tanh", sp.Abs: "abs"}  # names in every library
SPECIAL = {  # names of functions in dynamics.numerics.special
    LambertLogGrowth: "lambert_growth",
    LambertTime: "lambert_time",
    LinearGrowth: "linear_growth",
    LinearTime: "linear_time",
    MatrixTilt: "tilt",
}


@dataclass(frozen=True)
class Dialect:
    """The names of functions in an array library such as JAX or PyTorch; {} stands for an argument."""

    namespace: str
    over_modes: str  # the sum of an array over modes
    product: str  # the product of an array over modes
    largest: str  # the largest value of an array over modes
    stop_gradient: str
    smaller: str  # the smaller of two arguments; if only one argument is an array, the array comes first
    larger: str  # the larger of two arguments, in the same order


ARRAY = Dialect(
    namespace="xp",
    over_modes="xp.sum({}, axis=-1, keepdims=True)",
    product="xp.prod({}, axis=-1, keepdims=True)",
    largest="xp.max({}, axis=-1, keepdims=True)",
    stop_gradient="stop_gradient({})",
    smaller="xp.minimum({}, {})",
    larger="xp.maximum({}, {})",
)
INTEGRAND = replace(  # modes on the last but one axis, nodes on the last axis
    ARRAY,
    over_modes="xp.sum({}, axis=-2, keepdims=True)",
    product="xp.prod({}, axis=-2, keepdims=True)",
    largest="xp.max({}, axis=-2, keepdims=True)",
)
PER_AXIS = {n.x, n.y, n.Z}  # quantities with one value per node of an integral
PER_NODE_AND_MODE = {
    n.Delta,
    n.inverse_Delta,
    n.S11,
    n.S12,
    n.S22,
}  # quantities with one value per node of an integral and per mode


class ArrayPrinter(StrPrinter):
    """Print SymPy expressions as Python source in the dialect of a library.

    names: a dictionary from subexpressions to the code that is printed in their place.
    """

    # No class of SymPy has a method of this name, so that the print methods below are used for all classes.
    printmethod = "_array_code"

    def __init__(self, names: dict[sp.Expr, str] | None = None, dialect: Dialect = ARRAY):
        super().__init__({"order": "lex"})
        self.names, self.dialect, self.xp = names or {}, dialect, dialect.namespace

    def _print(self, expr: sp.Basic, **kwargs: Any) -> str:
        if expr in self.names:
            return self.names[expr]
        return super()._print(expr, **kwargs)

    def _print_Symbol(self, expr: sp.Basic) -> str:
        return expr.name

    def _print_Indexed(self, expr: sp.Basic) -> str:
        return str(expr.base)

    def _print_Sum(self, expr: sp.Basic) -> str:
        return self.dialect.over_modes.format(self._over_one_index(expr))

    def _print_Product(self, expr: sp.Basic) -> str:
        return self.dialect.product.format(self._over_one_index(expr))

    def _over_one_index(self, expr: sp.Basic) -> str:
        """Print the summand of a sum over modes, or the factor of a product over modes.

        Raises UntranslatableError if the expression contains an index other than the index of the sum or product.
        """
        bound, name = set(expr.variables), type(expr).__name__.lower()
        if any(not set(indexed.indices) <= bound for indexed in _own_indexed(expr.function)):
            raise UntranslatableError(
                f"the {name} {expr} has several mode indices; array code is written for one index"
            )
        return self._print(expr.function)

    def _print_Mul(self, expr: sp.Basic) -> str:
        """Print a product so that small arrays are multiplied first: values per mode, then values per node.

        Large arrays, with values per node of an integral and per mode, come last.
        """
        coefficient, rest = expr.as_coeff_Mul()
        factors, code = rest.as_ordered_factors(), ""
        for size in sorted(set(map(_size, factors)) | {0}):
            of_size = [factor for factor in factors if _size(factor) == size]
            above = [f for f in of_size if not (isinstance(f, sp.Pow) and f.exp.could_extract_minus_sign())]
            below = [1 / f for f in of_size if f not in above]
            if size == 0:
                above = ([sp.Integer(abs(coefficient.p))] if abs(coefficient.p) != 1 else []) + above
                below = ([sp.Integer(coefficient.q)] if coefficient.q != 1 else []) + below
            product = "*".join(self.parenthesize(factor, precedence(expr)) for factor in above)
            if size == 1 and len(above) > 1 and code:
                product = f"({product})"
            code = f"{code}*{product}" if code and product else code or product
            if below:
                code = f"{code or 1}/{self._divisor(below, precedence(expr))}"
        return f"-{code}" if coefficient.is_negative else code

    def _divisor(self, factors: list[sp.Expr], level: int) -> str:
        product = "*".join(self.parenthesize(factor, level) for factor in factors)
        return f"({product})" if len(factors) > 1 else self.parenthesize(factors[0], PRECEDENCE["Pow"])

    def _print_Pow(self, expr: sp.Basic, rational: bool = False) -> str:
        base, exponent = expr.as_base_exp()
        if exponent.could_extract_minus_sign():
            return f"1/{self.parenthesize(1 / expr, precedence(expr))}"
        if exponent.is_Rational and exponent.q == 2:
            root = f"{self.xp}.sqrt({self._print(base)})"
            return self._power(root, str(exponent.p)) if exponent.p > 1 else root
        power = self._print(exponent)
        short = exponent.is_Integer or exponent.is_Symbol  # a fraction is a quotient in the code
        return self._power(self.parenthesize(base, precedence(expr)), power if short else f"({power})")

    def _power(self, base: str, exponent: str) -> str:
        return f"{base}**{exponent}"

    def _print_Min(self, expr: sp.Basic) -> str:
        two = self.dialect.smaller if expr.func == sp.Min else self.dialect.larger
        first, *others = (self._print(argument) for argument in sorted(expr.args, key=_constants_last))
        for other in others:
            first = two.format(first, other)
        return first

    _print_Max = _print_Min

    def _print_Largest(self, expr: sp.Basic) -> str:
        return self.dialect.largest.format(self._print(expr.args[0]))

    def _print_StopGradient(self, expr: sp.Basic) -> str:
        return self.dialect.stop_gradient.format(self._print(expr.args[0]))

    def _print_Rational(self, expr: sp.Basic) -> str:
        return f"{expr.p}/{expr.q}" if expr.q != 1 else str(expr.p)

    def _print_Pi(self, expr: sp.Basic) -> str:
        return f"{self.xp}.pi"

    def _print_Exp1(self, expr: sp.Basic) -> str:
        return f"{self.xp}.e"

    def _print_Function(self, expr: sp.Basic) -> str:
        name = f"{self.xp}.{FUNCTIONS[expr.func]}" if expr.func in FUNCTIONS else SPECIAL.get(expr.func)
        if name is None:
            raise UntranslatableError(f"there is no array code for the function {expr.func.__name__} in {expr}")
        return f"{name}({', '.join(self._print(a) for a in expr.args)})"

    def _print_MatrixSymbol(self, expr: sp.Basic) -> str:
        return expr.name

    def _print_MatMul(self, expr: sp.Basic) -> str:
        coefficient, factors = expr.as_coeff_matrices()
        product = " @ ".join(self._print_factor(factor) for factor in factors)
        if coefficient == 1:
            return product
        sign, size = ("-", -coefficient) if coefficient.could_extract_minus_sign() else ("", coefficient)
        product = f"({product})" if len(factors) > 1 else product
        return f"{sign}{product}" if size == 1 else f"{sign}{self.parenthesize(size, PRECEDENCE['Mul'])}*{product}"

    def _print_factor(self, factor: sp.Basic) -> str:
        """Print one factor of a product of matrices; sums get brackets, because @ binds more strongly than +."""
        if isinstance(factor, sp.MatPow) and factor.exp.is_Integer and factor.exp > 0:
            return " @ ".join([self._print_factor(factor.base)] * int(factor.exp))
        text = self._print(factor)
        return f"({text})" if isinstance(factor, sp.MatAdd) else text

    def _print_MatPow(self, expr: sp.Basic) -> str:
        return self._print_factor(expr) if expr.exp.is_Integer and expr.exp > 0 else self.emptyPrinter(expr)

    def _print_MatAdd(self, expr: sp.Basic) -> str:
        first, *others = (self._print(term) for term in expr.args)
        return first + "".join(f" - {text[1:]}" if text.startswith("-") else f" + {text}" for text in others)

    def _print_Transpose(self, expr: sp.Basic) -> str:
        return f"{self.parenthesize(expr.arg, PRECEDENCE['Pow'])}.mT"

    def _print_Trace(self, expr: sp.Basic) -> str:
        return f"{self.xp}.linalg.trace({self._print(expr.arg)})[..., None, None]"

    _print_exp = _print_log = _print_MatrixTilt = _print_Function

    def emptyPrinter(self, expr: sp.Basic) -> str:
        raise UntranslatableError(f"there is no array code for {type(expr).__name__} in {expr}")

    _print_Derivative = _print_Integral = _print_Piecewise = _print_KroneckerDelta = emptyPrinter
    _print_LambertW = emptyPrinter

    def _print_gamma(self, expr: sp.Basic) -> str:
        """Print a value of the gamma function as a number.

        Gamma(q/2) occurs in the integral that replaces the power -q of a norm.
        """
        return repr(float(expr)) if expr.is_number else self.emptyPrinter(expr)


def _constants_last(argument: sp.Expr) -> tuple[bool, bool, Any]:
    return not argument.has(sp.Indexed), not argument.free_symbols, sp.default_sort_key(argument)


def _size(factor: sp.Expr) -> int:
    """Return the size class of a factor's array: 0 for small, 1 for larger, 2 for the largest arrays.

    Class 2 has a value for each node of an integral and each mode. Class 1 has a value for each node, but not for each
    mode. All other arrays have class 0.
    """
    if factor.atoms(sp.IndexedBase) & PER_NODE_AND_MODE:
        return 2
    return 1 if factor.atoms(sp.Symbol) & PER_AXIS else 0


def _own_indexed(expression: sp.Expr) -> set[sp.Indexed]:
    """Return the indexed quantities that occur in an expression outside of sums."""
    if isinstance(expression, sp.Indexed):
        return {expression}
    if isinstance(expression, sp.Sum):
        return set()
    return set().union(*(_own_indexed(argument) for argument in expression.args))


def spaced(line: str) -> str:
    """Put blanks around * and / in a line of code, but not around **."""
    return re.sub(r"(?<![*])([*/])(?![*])", r" \1 ", line)
