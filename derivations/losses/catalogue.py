"""Define the catalogue of named losses.

Each loss occurs with every placement of the stop-gradient, with and without predictor, and symmetrised or not.

To add a loss, write its expression into ``LOSSES``. The expression may contain the representation z1 of view 1 by the
encoder, the representation z2 of view 2 by the target branch, the predictor W_P, and the prediction p = W_P z1. If the
loss has an isotropic version, write the expression of this version into ``ISOTROPIC``. Then run ``make derive``, which
derives forces, rates and solutions from the expressions.
"""

from dataclasses import dataclass
from itertools import product

from derivations.losses.loss import SymbolicLoss

LOSSES = {
    "euclidean": "|p - z2|^2 / 2",
    "cosine": "-p . z2 / (|p| * |z2|)",
}
# Placement of the stop-gradient: names of the vectors whose gradient is stopped.
PLACEMENTS = {"target": ("z2",), "none": (), "online": ("p",)}
# Isotropic versions (IsoLoss), with the stop-gradients written in the expression.
ISOTROPIC = {
    "euclidean": "|z1 - sg(z2 + z1 - p)|^2 / 2",
    "cosine": "-z1 . sg(z2 / (|p| * |z2|)) + sg(p . z2 / (|p|^3 * |z2|)) * (z1 . p) / 2",
}
# Versions with a gain h(W_P), which replaces W_P as a factor of the gradient; h = 1 gives the isotropic version.
GAINED = {
    "euclidean": "h * (z1 - sg(z2 + z1 - p)) . (z1 - sg(z2 + z1 - p)) / 2",
    "cosine": "-h * z1 . sg(z2 / (|p| * |z2|)) + sg(p . z2 / (|p|^3 * |z2|)) * (h * z1 . p) / 2",
}


@dataclass(frozen=True)
class Setting(SymbolicLoss):
    """A loss of the catalogue with the options that apply to it: stop-gradient, predictor, symmetrisation and gain."""

    loss: str
    stop_gradient: str = "target"
    isotropic: bool = False
    predictor: bool = True
    symmetrised: bool = False
    gain: str | None = None
    parameters: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """Name of the module that is generated for the loss."""
        kind = "isotropic" if self.isotropic else "gain" if self.gain else f"stop_{self.stop_gradient}"
        parts = [self.loss, kind]
        parts += [] if self.predictor else ["no_predictor"]
        parts += ["symmetrised"] if self.symmetrised else []
        return "_".join(parts)

    @property
    def title(self) -> str:
        """The loss in words."""
        where = {
            "target": "stop-gradient on the target",
            "none": "no stop-gradient",
            "online": "stop-gradient on the online branch",
        }
        words = ["isotropic" if self.isotropic else f"gain {self.gain}" if self.gain else where[self.stop_gradient]]
        words += [] if self.predictor else ["no predictor"]
        words += ["symmetrised"] if self.symmetrised else []
        return f"{self.loss.capitalize()} loss, {', '.join(words)}"

    @property
    def formula(self) -> str:
        """The loss as an expression of the loss grammar."""
        return (ISOTROPIC if self.isotropic else GAINED if self.gain else LOSSES)[self.loss]

    @property
    def stopped(self) -> tuple[str, ...]:
        """Names of the vectors whose gradient is stopped; empty if the expression itself contains stop-gradients."""
        return () if self.isotropic or self.gain else PLACEMENTS[self.stop_gradient]

    @property
    def trains_predictor(self) -> bool:
        """True if the gradient reaches the predictor, so that the predictor may be learned.

        False for an isotropic loss and for a loss with a gain.
        """
        return self.predictor and not self.isotropic and not self.gain and self.stop_gradient != "online"


def catalogue() -> list[Setting]:
    """Return the catalogue: each loss with every stop-gradient, with and without predictor, symmetrised and not.

    Isotropic losses always have a predictor, and their stop-gradients have one placement only.
    """
    settings = []
    for loss, symmetrised in product(LOSSES, (False, True)):
        for predictor, stop in product((True, False), PLACEMENTS):
            settings.append(Setting(loss, stop, predictor=predictor, symmetrised=symmetrised))
        if loss in ISOTROPIC:
            settings.append(Setting(loss, isotropic=True, symmetrised=symmetrised))
    return settings
