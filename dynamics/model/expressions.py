"""User-defined losses and gains: expressions in the grammar of ``docs/losses.md``, with values of their parameters."""

import keyword
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from types import MappingProxyType
from typing import Any, Self

import numpy as np

from dynamics import errors

# What generated code calls things; a number of a sentence cannot have these names.
TAKEN = frozenset(
    set(keyword.kwlist)
    | {"D", "Delta", "K", "M", "S11", "S12", "S22", "W_P", "X", "Y", "Z", "alpha", "average", "decay", "dot"}
    | {"epsilon", "eta", "exp", "exprel", "force", "h", "init", "lam", "lam0", "lam1", "lambert_growth"}
    | {"learning_rate", "log", "loss", "max", "min", "n1", "n2", "norm", "over_modes", "p", "predict", "r", "rate"}
    | {"rate_ratio", "ratio", "rho", "s", "sg", "sigma1", "sigma2", "sqrt", "stop_gradient", "t", "t1", "t2"}
    | {"tanh", "tau", "tilt", "tracking", "v", "w", "weight_decay", "weights", "x", "xp", "y", "z1", "z2"}
)


@dataclass(frozen=True, repr=False, eq=False)
class Expression:
    """A sentence and the values of the parameters that it leaves open: parameters, or arrays that broadcast."""

    text: str
    parameters: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self):
        name = type(self).__name__.lower()
        must = f"be a sentence, such as {self.example!r}"
        errors.instance(name, self.text, str, must)
        for number in self.parameters:
            if not number.isidentifier() or not number.isascii() or number in TAKEN or _numbered(number):
                errors.reject(name, "have parameters with names that the language leaves free, in ASCII", number)
        kept = {number: _own(number, value) for number, value in sorted(self.parameters.items())}
        object.__setattr__(self, "text", " ".join(self.text.split()))
        object.__setattr__(self, "parameters", MappingProxyType(kept))
        from derivations.errors import ExpressionError

        try:
            self._check(name)
            unused = [number for number in kept if number not in _names(self.text)]
        except ExpressionError as error:
            raise errors.ArgumentError(f"Argument `{name}` must {must}, but {error}.") from None
        if unused:
            errors.reject(name, f"use the parameters it is given; {self.text!r} does not use {unused[0]}", self)

    example = ""

    def _check(self, name: str) -> None:
        """Raises ExpressionError or ArgumentError."""

    @classmethod
    def parse(cls, text, /, **parameters) -> Self:
        """The sentence, with values for its parameters; raises ArgumentError, with the position of what is wrong.

        text: a sentence, or a SymPy expression that prints as one, in symbols of its names and undefined functions.
        """
        return cls(str(text) if hasattr(text, "free_symbols") else text, parameters)

    def replace(self, /, **parameters) -> Self:
        """The same sentence with other values."""
        return type(self)(self.text, {**self.parameters, **parameters})

    def __reduce__(self):
        return type(self), (self.text, dict(self.parameters))

    def __eq__(self, other):
        if type(self) is not type(other) or (self.text, list(self.parameters)) != (other.text, list(other.parameters)):
            return False
        return all(np.array_equal(value, other.parameters[name]) for name, value in self.parameters.items())

    def __hash__(self):
        return hash((type(self), self.text, tuple(self.parameters)))

    def __repr__(self):
        return f"{type(self).__name__}.parse({', '.join(self._shown())})"

    def _shown(self) -> Iterator[str]:
        yield repr(self.text)
        for name, value in self.parameters.items():
            yield f"{name}={f'<array {np.shape(value)}>' if np.ndim(value) else repr(value)}"


def _numbered(name: str) -> bool:
    """Whether generated code may give this name itself."""
    return name.rstrip("0123456789") in {"h", "p", "v"} or name.startswith(("operator_", "_"))


def _own(name: str, value) -> Any:
    array = errors.real_array(name, value, "be a finite number, or an array of them")
    array.setflags(write=False)
    return array if array.ndim else float(array)


class Loss(Expression):
    """A loss of one's own, ``Loss.parse("|p - sg(z2)|^2 / 2 + beta * |z1|^2", beta=0.1)``.

    In z1 (view 1, by the encoder), z2 (view 2, by the target branch), p = W_P z1, W_P, and parameters by name: see
    ``docs/losses.md``. Whatever the losses of the catalogue have follows from the sentence: per-sample dynamics, rates
    (exact where the gradient is a polynomial over powers of norms, up to two in a term; else by Monte Carlo), flow,
    descent map, network. Stop-gradients stand where ``sg`` does. Raises ArgumentError.
    """

    example = "|p - sg(z2)|^2 / 2"

    def _check(self, name: str) -> None:
        from derivations.losses import gradients

        loss = self.derivation().in_eigenbasis()
        if gradients.force(loss, 1) == gradients.force(loss, 2) == 0:
            errors.reject(name, "have a gradient that reaches the encoder", self)

    def derivation(self, predictor: bool = True, symmetrised: bool = False):
        """What everything is derived from, in ``derivations``."""
        from derivations.losses.user_defined import UserDefinedLoss

        return UserDefinedLoss(self.text, tuple(self.parameters), predictor, symmetrised)


class Gain(Expression):
    """h(lambda), which multiplies the gradient of a mode in place of lambda: ``Gain.parse("lambda^gamma", gamma=0.5)``.

    Standard losses have the gain lambda, isotropic ones 1. A function of ``lambda``, the eigenvalue of W_P: of sums,
    products, powers, sqrt, exp, log, tanh, and parameters by name. Raises ArgumentError.
    """

    example = "lambda^0.5"

    def _check(self, name: str) -> None:
        from derivations.losses.gain import read_gain

        read_gain(self.text, tuple(self.parameters))

    @cached_property
    def _function(self):
        from derivations.codegen.functions import function
        from derivations.losses.gain import read_gain
        from dynamics.model.runtime_codegen import executed

        source = function(
            "gain", ["lam", *self.parameters], "h(lambda).", [read_gain(self.text, tuple(self.parameters))]
        )
        return executed(source, "gain").gain

    def __call__(self, lam) -> np.ndarray:
        """h at eigenvalues lam (..., M), of parameters as they are; arrays broadcast with the leading dimensions."""
        lam = np.asarray(lam, float)
        return self._function(lam, *(np.asarray(value)[..., None] for value in self.parameters.values())) + 0 * lam


def _names(text: str) -> list[str]:
    from derivations.losses.grammar import names

    return names(text)
