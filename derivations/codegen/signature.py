"""Define the arguments and definitions that all functions of one generated module share."""

from dataclasses import dataclass

import sympy as sp

from derivations.losses.loss import SymbolicLoss
from derivations.theory import moments

STATISTICS = list(moments.VIEW_STATISTICS.items())
SPECTRUM = ["s", "lam", "ratio"]
VIEWS = ["sigma1", "sigma2"]


@dataclass(frozen=True)
class Signature:
    """The parameters of a loss, and the named functions of the predictor W_P in the loss.

    The parameters and the names determine the arguments and definitions of all functions generated for the loss.
    """

    loss_parameters: tuple[str, ...] = ()
    operators: tuple[tuple[sp.Expr, sp.Expr], ...] = ()

    @classmethod
    def of(cls, loss: SymbolicLoss) -> "Signature":
        """Return the signature of all generated functions of a loss."""
        return cls(loss.parameters, tuple(loss.operators.items()))

    @property
    def parameters(self) -> list[str]:
        """Names of the parameters of the views and of the loss."""
        return [*VIEWS, *self.loss_parameters]

    @property
    def arguments(self) -> list[str]:
        """Names of the arguments of every generated expectation."""
        return [*SPECTRUM, *self.parameters]

    @property
    def definitions(self) -> list[tuple[sp.Expr, sp.Expr]]:
        """Definitions that every generated expectation may use."""
        return [*self.operators, *STATISTICS]


PLAIN = Signature()
