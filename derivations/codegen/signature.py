"""Define the arguments and definitions that all functions of one generated module share."""

from dataclasses import dataclass

import sympy as sp

from derivations.losses.loss import SymbolicLoss
from derivations.theory import moments

STATISTICS = list(moments.VIEW_STATISTICS.items())
SPECTRUM = ["s", "lam", "ratio"]
VIEWS = ["excess1", "excess2"]  # variances of the noise on views 1 and 2
SPECTRUM_DOC = (  # for the docstrings of generated functions
    "s, lam: eigenvalues of the correlation and of the predictor. ratio: singular values of the target branch divided\n"
    "by those of the encoder. excess1, excess2: variances of the noise on views 1 and 2.\n"
)


@dataclass(frozen=True)
class Signature:
    """The parameters of a loss, and the named functions of the predictor W_P in the loss.

    The parameters and the names determine the arguments and definitions of all functions generated for the loss.
    """

    loss_parameters: tuple[str, ...] = ()
    operators: tuple[tuple[sp.Expr, sp.Expr], ...] = ()

    @classmethod
    def of(cls, loss: SymbolicLoss) -> "Signature":
        """Return the signature that the generated functions of a loss share."""
        return cls(loss.parameters, tuple(loss.operators.items()))

    @property
    def parameters(self) -> list[str]:
        """Names of the parameters of the views and of the loss."""
        return [*VIEWS, *self.loss_parameters]

    @property
    def arguments(self) -> list[str]:
        """Names of the arguments that all generated functions for rates and for the force on the predictor share."""
        return [*SPECTRUM, *self.parameters]

    @property
    def definitions(self) -> list[tuple[sp.Expr, sp.Expr]]:
        """Definitions of symbols that may occur in rates and in the force on the predictor.

        The symbols are the named functions of W_P, and the statistics of the views.
        """
        return [*self.operators, *STATISTICS]


PLAIN = Signature()
