"""The losses, as data: each is one expression in the representations z1, z2 and the prediction p = W_P z1.

To add a loss, add its expression to ``LOSSES`` (and, if it has one, its isotropic version to ``ISOTROPIC``), then
run ``make derive``: rates, closures, exact solutions, descent map and network all follow from the expression.
"""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import product

import sympy as sp

from derivations import notation as n
from derivations.modes import dot, norm
from derivations.stop_gradient import StopGradient as SG

# L(p, z2). Where the stop-gradient goes is decided by the placement below.
LOSSES: dict[str, Callable] = {
    "euclidean": lambda p, z2: dot(p - z2, p - z2) / 2,
    "cosine": lambda p, z2: -dot(p, z2) / (norm(p) * norm(z2)),
}

# L(z1, z2, p): isotropic versions (IsoLoss), which carry stop-gradients of their own. z1 . p = ||W_P^(1/2) z1||^2.
ISOTROPIC: dict[str, Callable] = {
    "euclidean": lambda z1, z2, p: dot(z1 - SG(z2 + z1 - p), z1 - SG(z2 + z1 - p)) / 2,
    "cosine": lambda z1, z2, p: (
        -dot(z1, SG(z2 / (norm(p) * norm(z2)))) + SG(dot(p, z2) / (norm(p) ** 3 * norm(z2))) * dot(z1, p) / 2
    ),
}

# Where the gradient is stopped: (p, z2) -> the pair the loss sees.
PLACEMENTS: dict[str, Callable] = {
    "target": lambda p, z2: (p, SG(z2)),
    "none": lambda p, z2: (p, z2),
    "online": lambda p, z2: (SG(p), z2),
}


@dataclass(frozen=True)
class Setting:
    """One member of the catalogue: a loss with its stop-gradient, predictor and symmetrisation."""

    loss: str
    stop_gradient: str = "target"
    isotropic: bool = False
    predictor: bool = True
    symmetrised: bool = False

    @property
    def name(self) -> str:
        """The name of the generated module."""
        parts = [self.loss, "isotropic" if self.isotropic else f"stop_{self.stop_gradient}"]
        parts += [] if self.predictor else ["no_predictor"]
        parts += ["symmetrised"] if self.symmetrised else []
        return "_".join(parts)

    def expression(self, z1: sp.Expr, z2: sp.Expr, predict: Callable) -> sp.Expr:
        """L(z1, z2), with p = predict(z); the identity where the loss has no predictor."""
        predict = predict if self.predictor else lambda z: z

        def one_way(z1, z2):
            if self.isotropic:
                return ISOTROPIC[self.loss](z1, z2, predict(z1))
            return LOSSES[self.loss](*PLACEMENTS[self.stop_gradient](predict(z1), z2))

        return (one_way(z1, z2) + one_way(z2, z1)) / 2 if self.symmetrised else one_way(z1, z2)

    def in_eigenbasis(self) -> sp.Expr:
        """L with W_P = diag(lambda): p_k = lambda_k z_k."""
        return self.expression(n.z1[n.k], n.z2[n.k], lambda z: n.lam[n.k] * z)


def catalogue() -> list[Setting]:
    """Every loss with every placement, predictor and symmetrisation; isotropic versions have a predictor."""
    settings = []
    for loss, symmetrised in product(LOSSES, (False, True)):
        for predictor, stop in product((True, False), PLACEMENTS):
            settings.append(Setting(loss, stop, predictor=predictor, symmetrised=symmetrised))
        if loss in ISOTROPIC:
            settings.append(Setting(loss, isotropic=True, symmetrised=symmetrised))
    return settings
