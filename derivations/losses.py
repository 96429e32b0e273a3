"""The losses, as data: each is one expression in z1, the prediction p = W_P z1, and the target branch's t2.

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

# L(p, t2). Where the stop-gradient goes is decided by the placement below.
LOSSES: dict[str, Callable] = {
    "euclidean": lambda p, t2: dot(p - t2, p - t2) / 2,
    "cosine": lambda p, t2: -dot(p, t2) / (norm(p) * norm(t2)),
}

# L(z1, t2, p): isotropic versions (IsoLoss), which carry stop-gradients of their own. z1 . p = ||W_P^(1/2) z1||^2.
ISOTROPIC: dict[str, Callable] = {
    "euclidean": lambda z1, t2, p: dot(z1 - SG(t2 + z1 - p), z1 - SG(t2 + z1 - p)) / 2,
    "cosine": lambda z1, t2, p: (
        -dot(z1, SG(t2 / (norm(p) * norm(t2)))) + SG(dot(p, t2) / (norm(p) ** 3 * norm(t2))) * dot(z1, p) / 2
    ),
}

# Where the gradient is stopped: (p, t2) -> the pair the loss sees.
PLACEMENTS: dict[str, Callable] = {
    "target": lambda p, t2: (p, SG(t2)),
    "none": lambda p, t2: (p, t2),
    "online": lambda p, t2: (SG(p), t2),
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

    def expression(self, predict: Callable) -> sp.Expr:
        """L in z1, z2 (encoder) and t1, t2 (target branch), with p = predict(z); the identity without a predictor."""
        predict = predict if self.predictor else lambda z: z

        def one_way(z, t):
            if self.isotropic:
                return ISOTROPIC[self.loss](z, t, predict(z))
            return LOSSES[self.loss](*PLACEMENTS[self.stop_gradient](predict(z), t))

        z1, z2, t1, t2 = (vector[n.k] for vector in (n.z1, n.z2, n.t1, n.t2))
        return (one_way(z1, t2) + one_way(z2, t1)) / 2 if self.symmetrised else one_way(z1, t2)

    @property
    def trains_predictor(self) -> bool:
        """True if the gradient reaches the predictor: it may be learned. Isotropic losses hide it from the gradient."""
        return self.predictor and not self.isotropic and self.stop_gradient != "online"

    def in_eigenbasis(self) -> sp.Expr:
        """L with W_P = diag(lambda): p_k = lambda_k z_k."""
        return self.expression(lambda z: n.lam[n.k] * z)


def catalogue() -> list[Setting]:
    """Every loss with every placement, predictor and symmetrisation; isotropic versions have a predictor."""
    settings = []
    for loss, symmetrised in product(LOSSES, (False, True)):
        for predictor, stop in product((True, False), PLACEMENTS):
            settings.append(Setting(loss, stop, predictor=predictor, symmetrised=symmetrised))
        if loss in ISOTROPIC:
            settings.append(Setting(loss, isotropic=True, symmetrised=symmetrised))
    return settings
