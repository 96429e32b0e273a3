"""Define ``Structure`` (kinds of the components of a model) and ``Parameters`` (parameters of a model as arrays)."""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np


class Structure(NamedTuple):
    """The kinds of predictor and target branch of a model, which determine the dynamical variables of the model."""

    predictor: str  # form of the predictor: "none", "closed form", "normalized" or "learned"
    tracked: bool  # True if the predictor is computed from an exponential average of the correlation
    separate_target: bool  # True if the target branch has weights that differ from those of the encoder


class Parameters(NamedTuple):
    """Parameters of a model as arrays (..., 1) or (..., M), which broadcast against arrays (..., M) of M modes.

    There is a field for each parameter that any model can have. If a model lacks a parameter, the field has a value
    without effect.
    """

    alpha: Any = 1.0  # exponent of a closed-form predictor
    epsilon: Any = 0.0  # offset of a closed-form predictor
    tracking: Any = 0.0  # decay per step of the tracked correlation
    rate_ratio: Any = 1.0  # learning rate of a learned predictor divided by that of the encoder
    decay: Any = 0.0  # decay per step of an EMA target
    excess1: Any = 0.0  # second moment of view 1 divided by ``cross``, minus 1; the variance of white noise
    excess2: Any = 0.0  # the same for view 2
    cross: Any = 1.0  # second moment that the views share, by which the force on the encoder is multiplied
    rho: Any = 0.0  # weight decay
    of_loss: tuple[Any, ...] = ()  # parameters of a user-defined loss or gain

    def map(self, function: Callable[..., Any]) -> "Parameters":
        """Return new parameters: each parameter is replaced by the value of ``function`` at this parameter."""
        mapped = {name: function(value) for name, value in self._asdict().items() if name != "of_loss"}
        return Parameters(**mapped, of_loss=tuple(map(function, self.of_loss)))

    def rows(self, batch: tuple[int, ...]) -> "Parameters":
        """Return the parameters as arrays (B, 1) or (B, M), with one row for each of B ensemble members.

        batch: shape of the ensemble, of which B is the product.
        """
        return self.map(lambda a: np.broadcast_to(a, (*batch, a.shape[-1])).reshape(-1, a.shape[-1]))

    @property
    def noise(self) -> tuple[Any, Any]:
        """Standard deviations of the noise on views 1 and 2, relative to the part that the views share."""
        return self.excess1**0.5, self.excess2**0.5

    def views(self, x: Any, noise1: Any, noise2: Any) -> tuple[Any, Any]:
        """Return the components of two views along the modes, in units of the second moment that they share.

        x, noise1, noise2: independent standard normal numbers (..., M). A view is the sum of x and its noise. If a view
        has a smaller second moment than the views share, this view is the regression on the other view, plus noise.
        """
        with np.errstate(invalid="ignore"):  # square roots of negative numbers are not used
            view1, view2 = (x + excess**0.5 * xi for excess, xi in ((self.excess1, noise1), (self.excess2, noise2)))
        if not ((self.excess1 < 0) | (self.excess2 < 0)).any():
            return view1, view2
        n1, n2 = 1 + self.excess1, 1 + self.excess2
        residual = np.maximum(self.excess1 * self.excess2 + self.excess1 + self.excess2, 0.0)  # n1 n2 - 1
        of_view2, of_view1 = view2 / n2 + (residual / n2) ** 0.5 * noise1, view1 / n1 + (residual / n1) ** 0.5 * noise2
        return np.where(self.excess1 < 0, of_view2, view1), np.where(self.excess2 < 0, of_view1, view2)

    @property
    def of_expectations(self) -> tuple[Any, ...]:
        """Parameters that generated functions for expectations take: those of the views, and those of the loss.

        The expectations are over inputs and noise; a rate is such an expectation.
        """
        return (self.excess1, self.excess2, *self.of_loss)
