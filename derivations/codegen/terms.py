"""The arguments and definitions that the functions of one module share."""

from dataclasses import dataclass

import sympy as sp

from derivations.losses.loss import Loss
from derivations.theory import moments

STATISTICS = list(moments.VIEW_STATISTICS.items())
SPECTRUM = ["s", "lam", "ratio"]
VIEWS = ["sigma1", "sigma2"]


@dataclass(frozen=True)
class Terms:
    """What the functions of one module speak of: numbers that its loss leaves open, and functions of W_P by name."""

    numbers: tuple[str, ...] = ()
    operators: tuple[tuple[sp.Expr, sp.Expr], ...] = ()

    @classmethod
    def of(cls, loss: Loss) -> "Terms":
        """Those of a loss."""
        return cls(loss.parameters, tuple(loss.operators.items()))

    @property
    def parameters(self) -> list[str]:
        """Numbers that belong to views and loss."""
        return [*VIEWS, *self.numbers]

    @property
    def arguments(self) -> list[str]:
        """Of every expectation."""
        return [*SPECTRUM, *self.parameters]

    @property
    def definitions(self) -> list[tuple[sp.Expr, sp.Expr]]:
        """Of every expectation."""
        return [*self.operators, *STATISTICS]


PLAIN = Terms()
