"""What a model consists of, and its numerical parameters, as arrays with an axis for the modes."""

from collections.abc import Callable
from typing import Any, NamedTuple


class Structure(NamedTuple):
    """Which parts a model has. predictor: "none", "closed form", "normalized" or "learned"."""

    predictor: str
    tracked: bool  # the predictor is built from an exponential average of the correlation
    separate_target: bool  # the target branch has weights of its own


class Parameters(NamedTuple):
    """The numbers of a model, each (..., 1); those a model does not have are neutral."""

    alpha: Any
    epsilon: Any
    tracking: Any
    rate_ratio: Any
    decay: Any
    sigma1: Any
    sigma2: Any
    rho: Any
    of_loss: tuple = ()  # parameters of a user-defined loss or gain

    def map(self, function: Callable) -> "Parameters":
        """What the function makes of each."""
        mapped = {name: function(number) for name, number in self._asdict().items() if name != "of_loss"}
        return Parameters(**mapped, of_loss=tuple(map(function, self.of_loss)))

    @property
    def of_expectations(self) -> tuple:
        """What the expectations of a loss depend on, beside the spectrum."""
        return (self.sigma1, self.sigma2, *self.of_loss)
