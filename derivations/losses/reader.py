"""Turn parsed expressions of the loss grammar into SymPy objects.

Each part of an expression becomes a number, a vector or an operator. Operators are functions of the predictor W_P, and
have the same eigenvectors as W_P. The value of a loss does not change if all vectors and W_P are rotated together. This
symmetry makes the dynamics of the eigenmodes independent of the basis.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any, NoReturn

import sympy as sp
from lark import Tree
from lark.visitors import Interpreter
from sympy.core.function import Application

from derivations.errors import ExpressionError
from derivations.losses.grammar import LONGEST, parse
from derivations.symbols.modes import dot, norm
from derivations.symbols.notation import lam
from derivations.symbols.stop_gradient import StopGradient

HIGHEST = 12  # largest exponent, and largest degree (number of vectors that are multiplied)
NESTED = 5  # largest depth of functions and powers inside one another; SymPy's time grows exponentially with the depth
DIGITS = 20  # largest number of digits of a number
LARGEST = 1e60  # largest absolute value of a constant
EXPONENT = 100  # largest absolute value of a constant in exp(...) or in an exponent


@dataclass(frozen=True)
class Number:
    """A scalar in an expression; the scalar may have a different value for each sample."""

    value: sp.Expr
    kind = "a number"


@dataclass(frozen=True)
class Vector:
    """A vector in an expression, represented by its component in mode ``k``."""

    component: sp.Expr
    kind = "a vector"


@dataclass(frozen=True)
class Operator:
    """A function of the predictor W_P, represented by its eigenvalue in mode ``k``."""

    eigenvalue: sp.Expr
    kind = "an operator"


Value = Number | Vector | Operator
Node = Tree[Any]  # a node of a parse tree


class tanh(sp.tanh):
    """The function tanh of a real argument.

    This class replaces SymPy's tanh, which searches its argument for imaginary parts. The time for this search grows
    exponentially with the number of functions inside one another.
    """

    def fdiff(self, argindex: int = 1) -> sp.Expr:
        return 1 - self**2

    def _eval_is_real(self) -> bool | None:
        return self.args[0].is_real

    _eval_is_finite = _eval_is_extended_real = _eval_is_real

    def as_real_imag(self, deep: bool = True, **hints: object) -> tuple[sp.Expr, sp.Expr]:
        return self, sp.Integer(0)


FUNCTIONS: dict[str, Callable[[sp.Expr], sp.Expr]] = {"sqrt": sp.sqrt, "exp": sp.exp, "log": sp.log, "tanh": tanh}
EXTREMES = {"min": sp.Min, "max": sp.Max}  # not for random numbers: both have a kink
OF_TWO = ("dot", *EXTREMES)  # functions of two arguments
CALLS = ("sg", "dot", "norm", *FUNCTIONS, *EXTREMES)
SYNONYMS = dict.fromkeys(("detach", "stop_gradient", "stop_grad", "stopgrad", "no_grad", "StopGradient"), "sg") | {
    "abs": "norm",
    "ln": "log",
    "maximum": "max",
    "minimum": "min",
}


@dataclass(frozen=True)
class Vocabulary:
    """The names that an expression may use, and their values.

    apply: function of the eigenvalue of an operator and of the component of a vector; it returns the component of the
    product of operator and vector.
    """

    values: Mapping[str, Value]
    apply: Callable[[sp.Expr, sp.Expr], sp.Expr]


def read(text: str, vocabulary: Vocabulary) -> Value:
    """Return the value of an expression; raises ExpressionError if the text is not a valid expression.

    vocabulary: the meanings of all names that the text may contain.
    """
    return Reader(text, vocabulary).visit(parse(text))


class Reader(Interpreter[Any, Value]):
    """An evaluator of parse trees, which goes from the leaves to the root."""

    def __init__(self, text: str, vocabulary: Vocabulary):
        self.text, self.vocabulary = text, vocabulary

    def refuse(self, tree: Node, wrong: str, unknown: str = "") -> NoReturn:
        """Raise ExpressionError for a node of the parse tree; the error states the position where the node starts.

        wrong: text that states what is wrong. unknown: the name, if the node is a name that has no meaning.
        """
        raise ExpressionError(self.text, tree.meta.start_pos + 1, wrong, unknown)

    def visit(self, tree: Node) -> Value:
        """Return the value of a node of the parse tree.

        Raises ExpressionError for a value that is not real and finite, or that is too complicated for the derivation.
        """
        value = super().visit(tree)
        inside = content(value)
        if _nested(inside) > NESTED:
            self.refuse(tree, f"this part has more than {NESTED} functions and powers inside one another")
        if inside.has(sp.zoo, sp.nan, sp.oo, -sp.oo) or not all(map(_in_range, _constants(inside))):
            what = "is" if inside.is_number else "contains a constant that is"
            self.refuse(tree, f"this part {what} not a real number between -{LARGEST:g} and {LARGEST:g}")
        if any(_size(e) > EXPONENT for power in inside.atoms(sp.Pow) for e in _constants(power.exp)):
            self.refuse(tree, f"this part has an exponent whose absolute value is larger than {EXPONENT}")
        if degree(inside) > HIGHEST:
            self.refuse(tree, f"this part multiplies {degree(inside)} vectors, but at most {HIGHEST} are supported")
        return value

    # --- names and numbers

    def name(self, tree: Node) -> Value:
        """Return the value of a name in the vocabulary."""
        name, values = str(tree.children[0]), self.vocabulary.values
        if name in values:
            return values[name]
        if name in CALLS:
            self.refuse(tree, f"the function `{name}` must be followed by `(`")
        self._unknown(tree, f"`{name}` is an unknown name; known names are {', '.join(values)}", name, values)

    def _unknown(self, tree: Node, wrong: str, name: str, names: Iterable[str]) -> NoReturn:
        near = [SYNONYMS[name]] if name in SYNONYMS else get_close_matches(name, list(names), 1)
        if near and near[0] in names:
            self.refuse(tree, f"{wrong}. Did you mean `{near[0]}`?")
        self.refuse(tree, wrong, "" if name in CALLS or names is CALLS else name)

    def number(self, tree: Node) -> Number:
        """Return a number as a fraction, exactly as written."""
        mantissa, _, exponent = str(tree.children[0]).lower().partition("e")
        if len(mantissa) > DIGITS or len(exponent) > 3 or abs(int(exponent or 0)) > DIGITS:
            self.refuse(
                tree, f"a number must have at most {DIGITS} digits and an exponent between -{DIGITS} and {DIGITS}"
            )
        return Number(sp.Rational(f"{mantissa}e{exponent or 0}"))

    # --- sums and products

    def plus(self, tree: Node) -> Value:
        """Evaluate a + b."""
        return self._sum(tree, 1)

    def minus(self, tree: Node) -> Value:
        """Evaluate a - b."""
        return self._sum(tree, -1)

    def _sum(self, tree: Node, sign: int) -> Value:
        a, b = (self.visit(child) for child in tree.children)
        if {type(a), type(b)} == {Number, Operator}:  # a constant stands for the constant times the identity
            a, b = (self._as_operator(child, value) for child, value in zip(tree.children, (a, b), strict=True))
        if type(a) is not type(b):
            self.refuse(tree.children[1], f"{b.kind} cannot be added to {a.kind}")
        return type(a)(content(a) + sign * content(b))

    def _as_operator(self, tree: Node, value: Value) -> Operator:
        if isinstance(value, Number) and _random(value.value):
            self.refuse(tree, "a number that differs from sample to sample cannot be added to an operator")
        return Operator(content(value))

    def negative(self, tree: Node) -> Value:
        """Evaluate -a."""
        a = self.visit(tree.children[0])
        return type(a)(-content(a))

    def times(self, tree: Node) -> Value:
        """Evaluate a * b."""
        a, b = (self.visit(child) for child in tree.children)
        if isinstance(b, Operator) and (isinstance(a, Vector) or _random(content(a))):
            self.refuse(tree.children[1], f"an operator must stand before its vector, but here it follows {a.kind}")
        if isinstance(a, Vector) and isinstance(b, Vector):
            self.refuse(tree.children[1], "two vectors must be multiplied with a dot, as in z1 . z2")
        if isinstance(a, Operator) and isinstance(b, Vector):
            return Vector(self.vocabulary.apply(a.eigenvalue, b.component))
        if isinstance(a, Operator) and isinstance(b, Number) and _random(b.value):
            self.refuse(
                tree.children[1], "an operator cannot be multiplied by a number that differs from sample to sample"
            )
        kind = next(kind for kind in (Vector, Operator, Number) if kind in (type(a), type(b)))
        return kind(content(a) * content(b))

    def over(self, tree: Node) -> Value:
        """Evaluate a / b."""
        a, b = (self.visit(child) for child in tree.children)
        if isinstance(b, Vector) or (isinstance(b, Operator) and (isinstance(a, Vector) or _random(content(a)))):
            self.refuse(tree.children[1], f"{a.kind} cannot be divided by {b.kind}")
        kind = next(kind for kind in (Vector, Operator, Number) if kind in (type(a), type(b)))
        return kind(content(a) / content(b))

    def dot(self, tree: Node) -> Number:
        """Evaluate a . b."""
        return self._dot(*tree.children)

    def _dot(self, *children: Node) -> Number:
        a, b = (self._vector(child) for child in children)
        return Number(dot(a, b))

    def _vector(self, tree: Node) -> sp.Expr:
        value = self.visit(tree)
        if not isinstance(value, Vector):
            hint = "; put brackets around the product of operator and vector" if isinstance(value, Operator) else ""
            self.refuse(tree, f"this must be a vector, but it is {value.kind}{hint}")
        return value.component

    def norm(self, tree: Node) -> Number:
        """Evaluate |a|."""
        return Number(norm(self._vector(tree.children[0])))

    def power(self, tree: Node) -> Value:
        """Evaluate a^b with a constant b."""
        a, b = (self.visit(child) for child in tree.children)
        if isinstance(a, Vector):
            self.refuse(tree, "a vector has no powers; the square of a vector z1 is |z1|^2 or z1 . z1")
        if not isinstance(b, Number) or _random(b.value):
            self.refuse(tree.children[1], "an exponent must be a constant that contains no vector and no operator")
        if b.value.is_number and not (b.value.is_Rational and abs(b.value) <= HIGHEST and b.value.q <= LONGEST):
            self.refuse(tree.children[1], f"an exponent must be a fraction between -{HIGHEST} and {HIGHEST}")
        return type(a)(content(a) ** b.value)

    # --- functions

    def call(self, tree: Node) -> Value:
        """Evaluate f(a, ...)."""
        token, *arguments = tree.children
        name = str(token)
        if name not in CALLS:
            if name in self.vocabulary.values:
                self.refuse(tree, f"`{name}` is not a function: to multiply `{name}` by the bracket, write `*` between")
            self._unknown(tree, f"`{name}` is an unknown function; known functions are {', '.join(CALLS)}", name, CALLS)
        if len(arguments) != 1 + (name in OF_TWO):
            self.refuse(tree, f"the function `{name}` has {'two arguments' if name in OF_TWO else 'one argument'}")
        if name == "dot":
            return self._dot(*arguments)
        if name in EXTREMES:
            return self._extreme(name, arguments)
        if name == "norm":
            return Number(norm(self._vector(arguments[0])))
        argument = self.visit(arguments[0])
        if name == "sg":
            return self._stopped(arguments[0], argument)
        if isinstance(argument, Vector):
            self.refuse(
                arguments[0],
                f"`{name}` takes a number or an operator, but this is a vector; the result would depend on the basis",
            )
        if name == "exp" and content(argument).is_number and _size(content(argument)) > EXPONENT:
            self.refuse(arguments[0], f"a constant in exp(...) must be between -{EXPONENT} and {EXPONENT}")
        return type(argument)(FUNCTIONS[name](content(argument)))

    def _extreme(self, name: str, arguments: list[Node]) -> Value:
        values = [self.visit(argument) for argument in arguments]
        for argument, value in zip(arguments, values, strict=True):
            if isinstance(value, Vector) or _random(content(value)):
                self.refuse(
                    argument, f"`{name}` takes constants and operators, but this value differs from sample to sample"
                )
        kind = Operator if any(isinstance(value, Operator) for value in values) else Number
        return kind(EXTREMES[name](*map(content, values)))

    def _stopped(self, tree: Node, value: Value) -> Value:
        if isinstance(value, Operator):
            self.refuse(tree, "`sg` takes a vector or a number, but this is an operator; write sg(W_P * z1) instead")
        return type(value)(StopGradient(content(value)) if _random(content(value)) else content(value))


def content(value: Value) -> sp.Expr:
    """Return the SymPy expression of a value: of a number, a vector's component or an operator's eigenvalue."""
    if isinstance(value, Vector):
        return value.component
    return value.eigenvalue if isinstance(value, Operator) else value.value


def _constants(value: sp.Basic) -> list[sp.Expr]:
    """Return the constant subexpressions of a value; constants inside a larger constant are left out."""
    return [value] if value.is_number else [constant for part in value.args for constant in _constants(part)]


def _nested(value: sp.Basic) -> int:
    """Return the nesting depth of an expression: the largest number of functions and powers inside one another."""
    return isinstance(value, sp.Pow | Application) + max(map(_nested, value.args), default=0)


def _size(constant: sp.Expr) -> sp.Expr:
    return abs(constant.evalf())


def _in_range(constant: sp.Expr) -> bool:
    """Return True if a constant is real and its absolute value is at most LARGEST.

    For a fraction, numerator and denominator must also be at most LARGEST.
    """
    if constant.is_Rational and max(abs(constant.p), constant.q) > LARGEST:
        return False
    return constant.is_real is True and bool(_size(constant) <= LARGEST)


def _random(value: sp.Expr) -> bool:
    """Return True if a value contains a vector; the value then differs from sample to sample."""
    return any(indexed.base != lam for indexed in value.atoms(sp.Indexed))


def degree(value: sp.Expr) -> int:
    """Return the degree of an expression: the number of vectors that are multiplied in the term with the most vectors.

    Vectors in the numerator and in the denominator of a term are both counted. W_P is not counted.
    """
    if isinstance(value, sp.Pow):
        return int(abs(value.exp) * degree(value.base)) if value.exp.is_Rational else degree(value.base)
    if isinstance(value, sp.Indexed):
        return int(value.base != lam)
    parts = [degree(part) for part in (value.args[:1] if isinstance(value, sp.Sum) else value.args)]
    return sum(parts) if isinstance(value, sp.Mul) else max(parts, default=0)
