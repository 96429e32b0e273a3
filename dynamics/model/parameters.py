"""The components of a model (``Structure``), and its parameters as arrays with a trailing axis for the modes."""

from collections.abc import Callable
from typing import Any, NamedTuple


class Structure(NamedTuple):
    """Components of a model: the form of its predictor, and the target branch."""

    predictor: str  # "none", "closed form", "normalized" or "learned"
    tracked: bool  # True if the predictor is built from an exponential average of the correlation
    separate_target: bool  # True if the target branch has its own weights


class Parameters(NamedTuple):
    """Parameters of a model, each (..., 1), by their symbols; a parameter that the model lacks has a neutral value."""

    alpha: Any = 1.0  # exponent of a closed-form predictor
    epsilon: Any = 0.0  # offset of a closed-form predictor
    tracking: Any = 0.0  # decay per step of the tracked correlation
    rate_ratio: Any = 1.0  # learning rate of a learned predictor relative to the encoder's
    decay: Any = 0.0  # decay per step of an EMA target
    sigma1: Any = 0.0  # standard deviation of the noise on view 1
    sigma2: Any = 0.0  # standard deviation of the noise on view 2
    rho: Any = 0.0  # weight decay
    of_loss: tuple[Any, ...] = ()  # parameters of a user-defined loss or gain

    def map(self, function: Callable[..., Any]) -> "Parameters":
        """Return the parameters with a function applied to each of them."""
        mapped = {name: function(value) for name, value in self._asdict().items() if name != "of_loss"}
        return Parameters(**mapped, of_loss=tuple(map(function, self.of_loss)))

    @property
    def of_expectations(self) -> tuple[Any, ...]:
        """Parameters that the expectations of a loss take beside eigenvalues: noise, and parameters of the loss."""
        return (self.sigma1, self.sigma2, *self.of_loss)
