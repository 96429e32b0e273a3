"""Define losses from an expression that the user gives, instead of a name in the catalogue."""

from dataclasses import dataclass
from functools import cached_property

import sympy as sp

from derivations.losses import gradients
from derivations.losses.loss import SymbolicLoss, is_natural

IN_WORDS = {"positive": "> 0", "negative": "< 0"}  # what may be known of the sign of a parameter


@dataclass(frozen=True)
class UserDefinedLoss(SymbolicLoss):
    """A loss given by its expression in the loss grammar and the names of its parameters.

    known: pairs (name, "positive"), (name, "negative") or (name, number as text), which state what a derivation may
    assume of the values of parameters. A parameter without entry is any real number.
    """

    text: str
    parameters: tuple[str, ...] = ()
    predictor: bool = True
    symmetrised: bool = False
    known: tuple[tuple[str, str], ...] = ()

    def parameter(self, name: str) -> sp.Expr:
        """Return the value of a parameter if it is known, otherwise a symbol with the known sign of the value."""
        known = dict(self.known).get(name)
        if known is None:
            return sp.Symbol(name, real=True)
        return sp.Symbol(name, **{known: True}) if known in IN_WORDS else sp.Rational(known)

    @property
    def name(self) -> str:
        """Name of the module that is generated for the loss."""
        return "user_defined"

    @property
    def title(self) -> str:
        """The loss in words."""
        words = [f"Loss {self.text}"]
        words += [] if self.predictor else ["no predictor"]
        words += ["symmetrised"] if self.symmetrised else []
        words += [f"{name} {IN_WORDS.get(known, f'= {known}')}" for name, known in self.known]
        return ", ".join(words)

    @property
    def formula(self) -> str:
        """The loss as an expression of the loss grammar."""
        return self.text

    @cached_property
    def trains_predictor(self) -> bool:
        """True if the gradient reaches the predictor W_P, and the loss contains only positive integer powers of W_P.

        A learned W_P need not be symmetric, and positive integer powers exist for every matrix. The expression is not
        simplified first: p . (W_P^-1 * z1) contains the power -1, even though it equals |z1|^2 for every symmetric W_P.
        """
        functions = [eigenvalue.as_coeff_Mul()[1] for eigenvalue, _ in self.applied()]
        natural = all(is_natural(function) for function in functions)
        return self.predictor and natural and gradients.force_on_predictor(self.in_eigenbasis()) != 0
