"""Define a loss as an expression of the loss grammar in z1, z2, the prediction p = W_P z1, and the predictor W_P.

z1 is the representation of view 1 by the encoder, and z2 the representation of view 2 by the target branch. A loss
belongs to the module ``catalogue``, or is ``user_defined``. Both kinds implement the class ``SymbolicLoss``, and the
derivations use only this class.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from functools import cache

import sympy as sp

from derivations import errors
from derivations.losses import gradients, reader
from derivations.losses.gain import read_gain
from derivations.losses.reader import Number, Operator, Value, Vector, Vocabulary
from derivations.symbols import notation as n
from derivations.symbols.stop_gradient import StopGradient

W_P = "W_P"


class Operators(dict[sp.Expr, sp.Indexed]):
    """A dictionary from functions h(lambda) to the names h1, h2, ... of these functions.

    lambda is an eigenvalue of the predictor W_P; the functions are applied to W_P. Powers of lambda get no name.
    """

    def __call__(self, eigenvalue: sp.Expr, component: sp.Expr) -> sp.Expr:
        """Return h(lambda_k) u_k, the component in mode ``k`` of the product h(W_P) u, in the eigenbasis of W_P.

        If h is not a power, the name of h replaces h(lambda_k), and h is added to this dictionary. eigenvalue:
        h(lambda_k). component: the component u_k of the vector u.
        """
        coefficient, function = eigenvalue.as_coeff_Mul()
        if function.has(n.lam) and not is_power(function):
            function = self.setdefault(function, sp.IndexedBase(f"h{len(self) + 1}", real=True)[n.k])
        return coefficient * function * component


def is_power(eigenvalue: sp.Expr) -> bool:
    """Return True if an expression h(lambda) is 1 or a power of lambda; h(lambda) is an eigenvalue of h(W_P)."""
    return eigenvalue == 1 or eigenvalue.as_base_exp()[0] == n.lam[n.k]


def is_natural(eigenvalue: sp.Expr) -> bool:
    """Return True if an eigenvalue h(lambda) of a function h(W_P) is 1 or lambda^n with an integer n > 0.

    W_P^n then exists for every matrix W_P, even if W_P is not symmetric.
    """
    exponent = eigenvalue.as_base_exp()[1]
    return is_power(eigenvalue) and exponent.is_Integer and exponent > 0


class SymbolicLoss(ABC):
    """A loss with the options ``predictor`` and ``symmetrised``; forces, rates and solutions are derived from it."""

    predictor: bool
    symmetrised: bool
    parameters: tuple[str, ...]  # names of parameters; values are given later
    gain: str | None = None  # the function h(lambda), as text in the loss grammar

    @property
    @abstractmethod
    def name(self) -> str:
        """Name of the module that is generated for the loss."""

    @property
    @abstractmethod
    def title(self) -> str:
        """The loss in words."""

    @property
    @abstractmethod
    def formula(self) -> str:
        """The loss as an expression of the loss grammar."""

    @property
    def stopped(self) -> tuple[str, ...]:
        """Names of the vectors whose gradient is stopped."""
        return ()

    @property
    @abstractmethod
    def trains_predictor(self) -> bool:
        """True if the gradient reaches the predictor, so that the predictor may be learned."""

    def parameter(self, name: str) -> sp.Expr:
        """Return the value of a parameter if it is known, otherwise a symbol with the known sign of the value."""
        return sp.Symbol(name, real=True)

    def expression(self, apply: Callable[[sp.Expr, sp.Expr], sp.Expr]) -> sp.Expr:
        """Return the loss of one sample, with representations z1, z2 by the encoder and t1, t2 by the target branch.

        apply: function of h(lambda) and of the component of a vector u; it returns the component of the product
        h(W_P) u. Here h is any function of the predictor W_P, and lambda are the eigenvalues of W_P.
        """
        z1, z2, t1, t2 = (vector[n.k] for vector in (n.z1, n.z2, n.t1, n.t2))
        one_way = self._one_way(z1, t2, apply)
        return (one_way + self._one_way(z2, t1, apply)) / 2 if self.symmetrised else one_way

    def _one_way(self, z: sp.Expr, t: sp.Expr, apply: Callable[[sp.Expr, sp.Expr], sp.Expr]) -> sp.Expr:
        numbers: dict[str, Value] = {name: Number(self.parameter(name)) for name in self.parameters}
        lam = n.lam[n.k] if self.predictor else sp.Integer(1)
        p = apply(lam, z) if self.predictor else z
        values: dict[str, Value] = {"z1": Vector(z), "z2": Vector(t), "p": Vector(p), W_P: Operator(lam)}
        values |= {name: Vector(StopGradient(_component(values[name]))) for name in self.stopped}
        if self.gain is not None:
            values["h"] = Operator(read_gain(self.gain, self.parameters))
        return _number(self.formula, reader.read(self.formula, Vocabulary(values | numbers, apply)))

    def in_eigenbasis(self) -> sp.Expr:
        """Return the loss in the eigenbasis of W_P, where W_P = diag(lambda) and p_k = lambda_k z1_k.

        A function of W_P that is not a power of W_P is written as a name (see ``operators``).
        """
        return _eigenbasis(self)[0]

    @property
    def operators(self) -> dict[sp.Indexed, sp.Expr]:
        """The functions of W_P to which ``in_eigenbasis`` gives names, as a dictionary from names to expressions.

        The expressions contain lambda and the parameters of the loss.
        """
        return _eigenbasis(self)[1]

    @property
    def has_free_target(self) -> bool:
        """True if no gradient reaches the target branch, so that the target branch may have separate weights."""
        return gradients.has_free_target(self.in_eigenbasis())

    def explicit(self, expression: sp.Expr) -> sp.Expr:
        """Return an expression in which the names of functions of W_P are replaced by their expressions in lambda."""
        meanings = {name.base: meaning for name, meaning in self.operators.items()}

        def written(indexed: sp.Indexed) -> sp.Expr:
            return meanings[indexed.base].subs(n.k, indexed.indices[0])

        return expression.replace(lambda e: isinstance(e, sp.Indexed) and e.base in meanings, written)

    @property
    def poles(self) -> list[sp.Expr]:
        """Factors of the loss gradient that depend only on the predictor eigenvalue, and that may have a pole.

        The factors are written in mode ``k``. A pole may lie where the eigenvalue is zero.
        """
        bases = {n.lam, *(name.base for name in self.operators)}
        forces = [sp.expand(gradients.force(self.in_eigenbasis(), view)) for view in gradients.VIEWS]
        atoms = set().union(*(force.atoms(sp.Pow, sp.Indexed) for force in forces))
        of_mode = [atom for atom in atoms if (used := {e.base for e in atom.atoms(sp.Indexed)}) and used <= bases]
        functions = {
            self.explicit(a).replace(lambda e: isinstance(e, sp.Indexed), lambda e: e.base[n.k]) for a in of_mode
        }
        return sorted((function for function in functions if not is_natural(function)), key=sp.default_sort_key)

    def applied(self) -> set[tuple[sp.Expr, sp.Expr]]:
        """Return a pair (eigenvalue, component) for each product of a matrix h(W_P) and a vector u in the loss.

        eigenvalue: h(lambda) in mode ``k``. component: the component of the vector u in mode ``k``.
        """
        pairs = set()

        def apply(eigenvalue: sp.Expr, component: sp.Expr) -> sp.Expr:
            pairs.add((eigenvalue, component))
            return eigenvalue * component

        self.expression(apply)
        return pairs

    @property
    def applies_functions(self) -> bool:
        """True if the loss contains a product h(W_P) u other than W_P z1 and W_P z2."""
        return not self.applied() <= {(n.lam[n.k], z[n.k]) for z in (n.z1, n.z2)}


@cache
def _eigenbasis(loss: SymbolicLoss) -> tuple[sp.Expr, dict[sp.Indexed, sp.Expr]]:
    operators = Operators()
    expression = loss.expression(operators)
    return expression, {name: meaning for meaning, name in operators.items()}


def _component(value: Value) -> sp.Expr:
    assert isinstance(value, Vector)
    return value.component


def _number(text: str, value: Value) -> sp.Expr:
    if not isinstance(value, Number):
        raise errors.ExpressionError(text, 1, f"a loss must be a number, but this expression is {value.kind}")
    return value.value
