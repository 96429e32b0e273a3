"""The losses: each is one sentence of the language in ``grammar``, in z1, z2, the prediction p = W_P z1, and W_P.

z2 is what the target branch makes of view 2. To add a loss to the catalogue, add its sentence to ``LOSSES`` (and, if it
has one, its isotropic version to ``ISOTROPIC``), then run ``make derive``: rates, closures, exact solutions, descent
map and network all follow from the sentence. A loss of a user's own is an ``OwnLoss``: it goes the same way.
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


class Operators(dict):
    """Eigenvalues of W_P's functions: powers as they are, any other under a name, by which it stays in one piece."""

    def __call__(self, eigenvalue: sp.Expr, component: sp.Expr) -> sp.Expr:
        """What an operator makes of a vector in the eigenbasis."""
        coefficient, function = eigenvalue.as_coeff_Mul()
        if function.has(n.lam) and not is_power(function):
            function = self.setdefault(function, sp.IndexedBase(f"h{len(self) + 1}", real=True)[n.k])
        return coefficient * function * component


def is_power(eigenvalue: sp.Expr) -> bool:
    """Whether it is 1, or a power of lambda."""
    return eigenvalue == 1 or eigenvalue.as_base_exp()[0] == n.lam[n.k]


def is_natural(eigenvalue: sp.Expr) -> bool:
    """Whether it is a natural power of lambda: those a matrix has, whatever its eigenvalues."""
    exponent = eigenvalue.as_base_exp()[1]
    return is_power(eigenvalue) and exponent.is_Integer and exponent > 0


class Loss(ABC):
    """A sentence, and how it is used: the interface of what everything is derived from."""

    predictor: bool
    symmetrised: bool
    parameters: tuple[str, ...]  # names of the numbers that it leaves open
    gain: str | None = None  # what ``h`` stands for, in lambda

    @property
    @abstractmethod
    def name(self) -> str:
        """The name of the generated module."""

    @property
    @abstractmethod
    def title(self) -> str:
        """In words."""

    @property
    @abstractmethod
    def sentence(self) -> str:
        """In the language of ``grammar``."""

    @property
    def stopped(self) -> tuple[str, ...]:
        """Names behind which the gradient is stopped."""
        return ()

    @property
    @abstractmethod
    def trains_predictor(self) -> bool:
        """True if the gradient reaches the predictor: it may be learned."""

    def expression(self, apply: Callable[[sp.Expr, sp.Expr], sp.Expr]) -> sp.Expr:
        """L in z1, z2 (encoder) and t1, t2 (target branch), with apply(eigenvalue, component) for operators."""
        z1, z2, t1, t2 = (vector[n.k] for vector in (n.z1, n.z2, n.t1, n.t2))
        one_way = self._one_way(z1, t2, apply)
        return (one_way + self._one_way(z2, t1, apply)) / 2 if self.symmetrised else one_way

    def _one_way(self, z: sp.Expr, t: sp.Expr, apply: Callable) -> sp.Expr:
        numbers: dict[str, Value] = {name: Number(sp.Symbol(name, real=True)) for name in self.parameters}
        lam = n.lam[n.k] if self.predictor else sp.Integer(1)
        p = apply(lam, z) if self.predictor else z
        values: dict[str, Value] = {"z1": Vector(z), "z2": Vector(t), "p": Vector(p), W_P: Operator(lam)}
        values |= {name: Vector(StopGradient(_component(values[name]))) for name in self.stopped}
        if self.gain is not None:
            values["h"] = Operator(read_gain(self.gain, self.parameters))
        return _number(self.sentence, reader.read(self.sentence, Vocabulary(values | numbers, apply)))

    def in_eigenbasis(self) -> sp.Expr:
        """L with W_P = diag(lambda): p_k = lambda_k z_k, and with names for other functions of W_P."""
        return _eigenbasis(self)[0]

    @property
    def operators(self) -> dict[sp.Indexed, sp.Expr]:
        """What those names stand for: functions of lambda, and parameters."""
        return _eigenbasis(self)[1]

    @property
    def has_free_target(self) -> bool:
        """True if no gradient reaches the target branch: then it may have weights of its own."""
        return gradients.has_free_target(self.in_eigenbasis())

    def explicit(self, expression: sp.Expr) -> sp.Expr:
        """The same without those names."""
        meanings = {name.base: meaning for name, meaning in self.operators.items()}

        def written(indexed: sp.Indexed) -> sp.Expr:
            return meanings[indexed.base].subs(n.k, indexed.indices[0])

        return expression.replace(lambda e: isinstance(e, sp.Indexed) and e.base in meanings, written)

    @property
    def poles(self) -> list[sp.Expr]:
        """Functions of lambda, in mode ``k``, that a gradient has in its terms and that may have a pole at zero."""
        bases = {n.lam, *(name.base for name in self.operators)}
        forces = [sp.expand(gradients.force(self.in_eigenbasis(), view)) for view in gradients.VIEWS]
        atoms = set().union(*(force.atoms(sp.Pow, sp.Indexed) for force in forces))
        of_mode = [atom for atom in atoms if (own := {e.base for e in atom.atoms(sp.Indexed)}) and own <= bases]
        found = {self.explicit(a).replace(lambda e: isinstance(e, sp.Indexed), lambda e: e.base[n.k]) for a in of_mode}
        return sorted((function for function in found if not is_natural(function)), key=sp.default_sort_key)

    def applied(self) -> set[tuple[sp.Expr, sp.Expr]]:
        """(eigenvalue, component) of each operator and the vector that the sentence has it act on."""
        found = set()

        def apply(eigenvalue: sp.Expr, component: sp.Expr) -> sp.Expr:
            found.add((eigenvalue, component))
            return eigenvalue * component

        self.expression(apply)
        return found

    @property
    def applies_functions(self) -> bool:
        """Whether W_P does more than predict: other functions of it, or it on other vectors."""
        return not self.applied() <= {(n.lam[n.k], z[n.k]) for z in (n.z1, n.z2)}


@cache
def _eigenbasis(loss: Loss) -> tuple[sp.Expr, dict[sp.Indexed, sp.Expr]]:
    operators = Operators()
    expression = loss.expression(operators)
    return expression, {name: meaning for meaning, name in operators.items()}


def _component(value: Value) -> sp.Expr:
    assert isinstance(value, Vector)
    return value.component


def _number(sentence: str, value: Value) -> sp.Expr:
    if not isinstance(value, Number):
        raise errors.ExpressionError(sentence, 1, f"a loss is a number, but this is {value.kind}")
    return value.value
