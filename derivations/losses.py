"""The losses: each is one sentence of the language in ``grammar``, in z1, z2, the prediction p = W_P z1, and W_P.

z2 is what the target branch makes of view 2. To add a loss to the catalogue, add its sentence to ``LOSSES`` (and, if it
has one, its isotropic version to ``ISOTROPIC``), then run ``make derive``: rates, closures, exact solutions, descent
map and network all follow from the sentence. A loss of a user's own is an ``OwnLoss``: it goes the same way.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from itertools import product

import sympy as sp

from derivations import gradients, grammar
from derivations import notation as n
from derivations.grammar import Number, Operator, Value, Vector, Vocabulary
from derivations.stop_gradient import StopGradient

LOSSES = {
    "euclidean": "|p - z2|^2 / 2",
    "cosine": "-p . z2 / (|p| * |z2|)",
}

# The names behind which the gradient is stopped.
PLACEMENTS = {"target": ("z2",), "none": (), "online": ("p",)}

# Isotropic versions (IsoLoss) carry stop-gradients of their own.
ISOTROPIC = {
    "euclidean": "|z1 - sg(z2 + z1 - p)|^2 / 2",
    "cosine": "-z1 . sg(z2 / (|p| * |z2|)) + sg(p . z2 / (|p|^3 * |z2|)) * (z1 . p) / 2",
}

# The same with a gain h = h(W_P) in place of the predictor as the multiplier of the gradient; h = 1 is isotropic.
GAINED = {
    "euclidean": "h * (z1 - sg(z2 + z1 - p)) . (z1 - sg(z2 + z1 - p)) / 2",
    "cosine": "-h * z1 . sg(z2 / (|p| * |z2|)) + sg(p . z2 / (|p|^3 * |z2|)) * (h * z1 . p) / 2",
}

VECTORS, W_P = ("z1", "z2", "p"), "W_P"
EIGENVALUE = ("lambda", "lam", "λ")  # what a gain calls the eigenvalues of W_P


def in_mode(eigenvalue: sp.Expr, component: sp.Expr) -> sp.Expr:
    """What an operator makes of a vector in the eigenbasis."""
    return eigenvalue * component


class Loss(ABC):
    """A sentence, and how it is used: the interface of what everything is derived from."""

    predictor: bool
    symmetrised: bool

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
    def gain(self) -> str | None:
        """What ``h`` stands for, in lambda."""
        return None

    @property
    def parameters(self) -> tuple[str, ...]:
        """Names of the numbers that it leaves open."""
        return ()

    @property
    @abstractmethod
    def trains_predictor(self) -> bool:
        """True if the gradient reaches the predictor: it may be learned."""

    def expression(self, apply: Callable[[sp.Expr, sp.Expr], sp.Expr] = in_mode) -> sp.Expr:
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
            spectral = Vocabulary({**dict.fromkeys(EIGENVALUE, Operator(lam)), **numbers}, apply)
            values["h"] = _as_operator(grammar.read(self.gain, spectral))
        return _number(self.sentence, grammar.read(self.sentence, Vocabulary(values | numbers, apply)))

    def in_eigenbasis(self) -> sp.Expr:
        """L with W_P = diag(lambda): p_k = lambda_k z_k."""
        return self.expression(in_mode)


def _component(value: Value) -> sp.Expr:
    assert isinstance(value, Vector)
    return value.component


def _as_operator(value: Value) -> Operator:
    if isinstance(value, Vector):
        raise AssertionError("a gain has no vectors to be made of")
    return value if isinstance(value, Operator) else Operator(value.value)


def _number(sentence: str, value: Value) -> sp.Expr:
    if not isinstance(value, Number):
        raise grammar.SentenceError(sentence, 1, f"a loss is a number, but this is {value.kind}")
    return value.value


# --- the catalogue --------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Setting(Loss):
    """One member of the catalogue: a loss with its stop-gradient, predictor and symmetrisation; with any gain."""

    loss: str
    stop_gradient: str = "target"
    isotropic: bool = False
    predictor: bool = True
    symmetrised: bool = False
    gain: str | None = None
    parameters: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """The name of the generated module."""
        kind = "isotropic" if self.isotropic else "gain" if self.gain else f"stop_{self.stop_gradient}"
        parts = [self.loss, kind]
        parts += [] if self.predictor else ["no_predictor"]
        parts += ["symmetrised"] if self.symmetrised else []
        return "_".join(parts)

    @property
    def title(self) -> str:
        """In words."""
        where = {
            "target": "stop-gradient on the target",
            "none": "no stop-gradient",
            "online": "stop-gradient on the wrong side",
        }
        words = ["isotropic" if self.isotropic else f"gain {self.gain}" if self.gain else where[self.stop_gradient]]
        words += [] if self.predictor else ["no predictor"]
        words += ["symmetrised"] if self.symmetrised else []
        return f"{self.loss.capitalize()} loss, {', '.join(words)}"

    @property
    def sentence(self) -> str:
        """In the language of ``grammar``."""
        return (ISOTROPIC if self.isotropic else GAINED if self.gain else LOSSES)[self.loss]

    @property
    def stopped(self) -> tuple[str, ...]:
        """Names behind which the gradient is stopped; isotropic losses stop it themselves."""
        return () if self.isotropic or self.gain else PLACEMENTS[self.stop_gradient]

    @property
    def trains_predictor(self) -> bool:
        """True if the gradient reaches the predictor: it may be learned. Isotropic losses hide it from the gradient."""
        return self.predictor and not self.isotropic and not self.gain and self.stop_gradient != "online"


def catalogue() -> list[Setting]:
    """Every loss with every placement, predictor and symmetrisation; isotropic versions have a predictor."""
    settings = []
    for loss, symmetrised in product(LOSSES, (False, True)):
        for predictor, stop in product((True, False), PLACEMENTS):
            settings.append(Setting(loss, stop, predictor=predictor, symmetrised=symmetrised))
        if loss in ISOTROPIC:
            settings.append(Setting(loss, isotropic=True, symmetrised=symmetrised))
    return settings


# --- of a user's own ------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class OwnLoss(Loss):
    """A loss outside the catalogue, by its sentence and the names of its parameters."""

    sentence: str
    parameters: tuple[str, ...] = ()
    predictor: bool = True
    symmetrised: bool = False

    @property
    def name(self) -> str:
        """The name of the generated module."""
        return "own"

    @property
    def title(self) -> str:
        """In words."""
        words = ["Loss " + " ".join(self.sentence.split())]
        words += [] if self.predictor else ["no predictor"]
        words += ["symmetrised"] if self.symmetrised else []
        return ", ".join(words)

    @cached_property
    def trains_predictor(self) -> bool:
        """True if the gradient reaches the predictor, and W_P only stands in natural powers: those a matrix has."""
        loss = self.in_eigenbasis()
        powers = {power for e in loss.atoms(sp.Indexed) if e.base == n.lam for power in _exponents(loss, e)}
        natural = all(power.is_Integer and power > 0 for power in powers)
        return self.predictor and natural and gradients.force_on_predictor(loss) != 0


def _exponents(loss: sp.Expr, eigenvalue: sp.Indexed) -> list[sp.Expr]:
    """To which an eigenvalue is raised; that of what is no power is none."""
    inside = loss.replace(lambda e: e.is_Pow and e.base == eigenvalue, lambda e: sp.Dummy())
    return [e.exp for e in loss.atoms(sp.Pow) if e.base == eigenvalue] + [sp.Integer(1)] * inside.has(eigenvalue)
