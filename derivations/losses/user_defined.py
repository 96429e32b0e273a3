"""Define losses from an expression that the user gives, instead of a name in the catalogue."""

from dataclasses import dataclass
from functools import cached_property

from derivations.losses import gradients
from derivations.losses.loss import SymbolicLoss, is_natural


@dataclass(frozen=True)
class UserDefinedLoss(SymbolicLoss):
    """A loss given by its expression in the loss grammar and the names of its parameters."""

    text: str
    parameters: tuple[str, ...] = ()
    predictor: bool = True
    symmetrised: bool = False

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
