"""Define the components of a model (``Structure``), and its parameters as arrays (``Parameters``)."""

from collections.abc import Callable
from typing import Any, NamedTuple


class Structure(NamedTuple):
    """The components of a model that determine its dynamical variables."""

    predictor: str  # form of the predictor: "none", "closed form", "normalized" or "learned"
    tracked: bool  # True if the predictor is computed from an exponential average of the correlation
    separate_target: bool  # True if the target branch has weights that differ from those of the encoder


class Parameters(NamedTuple):
    """Parameters of a model, each of shape (..., 1); the last axis is for the modes.

    A parameter that the model does not have is given a value with which it has no effect.
    """

    alpha: Any = 1.0  # exponent of a closed-form predictor
    epsilon: Any = 0.0  # offset of a closed-form predictor
    tracking: Any = 0.0  # decay per step of the tracked correlation
    rate_ratio: Any = 1.0  # learning rate of a learned predictor divided by that of the encoder
    decay: Any = 0.0  # decay per step of an EMA target
    sigma1: Any = 0.0  # standard deviation of the noise on view 1
    sigma2: Any = 0.0  # standard deviation of the noise on view 2
    rho: Any = 0.0  # weight decay
    of_loss: tuple[Any, ...] = ()  # parameters of a user-defined loss or gain

    def map(self, function: Callable[..., Any]) -> "Parameters":
        """Return new parameters: the values of ``function`` at each of these parameters."""
        mapped = {name: function(value) for name, value in self._asdict().items() if name != "of_loss"}
        return Parameters(**mapped, of_loss=tuple(map(function, self.of_loss)))

    @property
    def of_expectations(self) -> tuple[Any, ...]:
        """The parameters on which expectations over inputs and noise depend: sigma1, sigma2, parameters of the loss."""
        return (self.sigma1, self.sigma2, *self.of_loss)
