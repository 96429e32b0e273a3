"""The arguments and definitions that the functions of one module share."""

from dataclasses import dataclass

import sympy as sp

from derivations.losses.loss import SymbolicLoss
from derivations.theory import moments

STATISTICS = list(moments.VIEW_STATISTICS.items())
SPECTRUM = ["s", "lam", "ratio"]
VIEWS = ["sigma1", "sigma2"]


@dataclass(frozen=True)
class Signature:
    """The parameters of a loss and its named functions of W_P, which determine the arguments of its functions."""

    loss_parameters: tuple[str, ...] = ()
    operators: tuple[tuple[sp.Expr, sp.Expr], ...] = ()

    @classmethod
    def of(cls, loss: SymbolicLoss) -> "Signature":
        """Return the signature that the functions of a loss share."""
        return cls(loss.parameters, tuple(loss.operators.items()))

    @property
    def parameters(self) -> list[str]:
        """Parameters of views and loss."""
        return [*VIEWS, *self.loss_parameters]

    @property
    def arguments(self) -> list[str]:
        """Arguments of every expectation."""
        return [*SPECTRUM, *self.parameters]

    @property
    def definitions(self) -> list[tuple[sp.Expr, sp.Expr]]:
        """Definitions that every expectation may use."""
        return [*self.operators, *STATISTICS]


PLAIN = Signature()
