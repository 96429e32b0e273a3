"""Structure of a model, and its numerical parameters as arrays with an axis for the modes."""

from collections.abc import Callable
from typing import Any, NamedTuple


class Structure(NamedTuple):
    """Components of a model. predictor: "none", "closed form", "normalized" or "learned"."""

    predictor: str
    tracked: bool  # the predictor is built from an exponential average of the correlation
    separate_target: bool  # the target branch has its own weights


class Parameters(NamedTuple):
    """Parameters of a model, each (..., 1), by their symbols; parameters that a model lacks are neutral."""

    alpha: Any = 1.0  # exponent and
    epsilon: Any = 0.0  # offset of a closed-form predictor
    tracking: Any = 0.0  # decay per step of the tracked correlation
    rate_ratio: Any = 1.0  # learning rate of a learned predictor relative to the encoder's
    decay: Any = 0.0  # decay per step of an EMA target
    sigma1: Any = 0.0  # standard deviations of the noise on view 1
    sigma2: Any = 0.0  # and on view 2
    rho: Any = 0.0  # weight decay
    of_loss: tuple[Any, ...] = ()  # parameters of a user-defined loss or gain

    def map(self, function: Callable[..., Any]) -> "Parameters":
        """Apply a function to each parameter."""
        mapped = {name: function(value) for name, value in self._asdict().items() if name != "of_loss"}
        return Parameters(**mapped, of_loss=tuple(map(function, self.of_loss)))

    @property
    def of_expectations(self) -> tuple[Any, ...]:
        """Parameters on which the expectations of a loss depend, in addition to the spectrum."""
        return (self.sigma1, self.sigma2, *self.of_loss)
