"""The components of a model: its predictor and its target branch."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from dynamics import errors


def keep(part, name: str, value) -> None:
    """Keep a checked value as the part's own: a number, or an array that nobody can change."""
    object.__setattr__(part, name, value if isinstance(value, tuple) else plain(value))


def plain(array: np.ndarray):
    array.setflags(write=False)
    return array if array.ndim else float(array)


@dataclass(frozen=True)
class ClosedForm:
    """W_P = (C + epsilon)^alpha: predictor eigenvalues lambda = (s + epsilon)^alpha.

    alpha: exponent > 0; 1 is DirectCopy and the paper's toy network, 1/2 is DirectPred. epsilon: >= 0, default 0.
    normalize: divide by the largest eigenvalue first, lambda = (s/max s + epsilon)^alpha (deep implementations). Where
    several are largest networks lie off the map by the size of their fluctuations: the largest of them is no mean.
    tracking: decay per step in [0, 1) of the exponential average of C that the predictor is built from,
    C~ <- tracking C~ + (1 - tracking) C with the current C, which it starts from; default 0: C itself.

    alpha, epsilon and tracking may be arrays that broadcast with the ensemble. Raises ArgumentError.
    (Tian et al. 2021; Wang et al. 2021; Halvagal et al. 2023, eq. 2.)
    """

    alpha: Any = 1.0
    epsilon: Any = 0.0
    normalize: bool = False
    tracking: Any = 0.0

    def __post_init__(self):
        keep(self, "alpha", errors.positive("alpha", self.alpha))
        keep(self, "epsilon", errors.non_negative("epsilon", self.epsilon))
        errors.flag("normalize", self.normalize)
        must = "be a decay per step, at least 0 and below 1"
        keep(self, "tracking", errors.fraction("tracking", self.tracking, must, below_one=True))


@dataclass(frozen=True)
class Learned:
    """A trained linear predictor, as in BYOL and SimSiam: dW_P/dt = -a_P dL/dW_P - rho W_P, rho as for the encoder.

    rate: a_P > 0, its learning rate relative to the encoder's; default 1. init: its eigenvalues at the start, in the
    eigenvectors of C: a number, or one per mode, (..., M) in the order of the modes of ``s0`` (network: ascending).
    rate may be an array that broadcasts with the ensemble. Raises ArgumentError. (Tian et al. 2021.)
    """

    rate: Any = 1.0
    init: Any = 1.0

    def __post_init__(self):
        keep(self, "rate", errors.positive("rate", self.rate))
        must = "be eigenvalues of the predictor, a number or one per mode, finite"
        keep(self, "init", errors.real_array("init", self.init, must))


@dataclass(frozen=True)
class NoPredictor:
    """W_P = 1: the loss compares the representations themselves; lambda = 1."""


@dataclass(frozen=True)
class Shared:
    """The target branch is the encoder itself."""


@dataclass(frozen=True)
class EMA:
    """The target branch is an exponential average of the encoder, V <- decay V + (1 - decay) W after each step.

    decay: per step, 0 <= decay <= 1 (1: the target stays as it starts, at W); may be an array that broadcasts with
    the ensemble. A flow needs the learning rate to turn it into a rate in time: dV/dt = (1 - decay)/eta (W - V).
    Raises ArgumentError. (Grill et al. 2020; Tian et al. 2021.)
    """

    decay: Any

    def __post_init__(self):
        keep(self, "decay", errors.fraction("decay", self.decay, "be a decay per step, between 0 and 1"))
