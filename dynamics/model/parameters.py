"""Define ``Structure`` (kinds of the components of a model) and ``Parameters`` (parameters of a model as arrays)."""

from collections.abc import Callable
from typing import Any, NamedTuple


class Structure(NamedTuple):
    """The kinds of predictor and target branch of a model, which determine the dynamical variables of the model."""

    predictor: str  # form of the predictor: "none", "closed form", "normalized" or "learned"
    tracked: bool  # True if the predictor is computed from an exponential average of the correlation
    separate_target: bool  # True if the target branch has weights that differ from those of the encoder


class Parameters(NamedTuple):
    """Parameters of a model as arrays (..., 1), which broadcast against arrays (..., M) of M modes.

    There is a field for each parameter that any model can have. If a model lacks a parameter, the field has a value
    without effect.
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
        """Return new parameters: each parameter is replaced by the value of ``function`` at this parameter."""
        mapped = {name: function(value) for name, value in self._asdict().items() if name != "of_loss"}
        return Parameters(**mapped, of_loss=tuple(map(function, self.of_loss)))

    @property
    def of_expectations(self) -> tuple[Any, ...]:
        """Parameters that generated functions for expectations take: sigma1, sigma2, and the parameters of the loss.

        The expectations are over inputs and noise; a rate is such an expectation.
        """
        return (self.sigma1, self.sigma2, *self.of_loss)
