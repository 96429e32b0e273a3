"""The coordinate in which the flow is integrated numerically, and what an integrator returns.

In y = 1/lambda the slow take-off of small modes, d lambda/dt ~ lambda^2, is a straight line, so that they start to
move at the right time: a relative error delta in a small lambda0 has become delta/lambda0 when the mode has grown.
Above lambda = KINK, y continues as a logarithm: an absolute error of y is then a relative error of lambda.
"""

from dataclasses import dataclass

import numpy as np

from dynamics.generated import eigenvalues

KINK = 2.0
ROUNDING = 2.3e-14  # below this an integrator with a relative tolerance only follows rounding errors
QUADRATURE_NOISE = 0.1  # ... or those of a quadrature, in units of its tolerance
HUGE = 1e12  # an eigenvalue this many times the largest one at the start is blowing up


@dataclass(frozen=True)
class Reciprocal:
    """y(lambda) with lambda = (s + floor)^alpha: 1/lambda up to KINK, (1 + log(KINK/lambda))/KINK above."""

    alpha: float
    floor: float

    def forward(self, s):
        xp = s.__array_namespace__()
        lam = eigenvalues.predictor(s + self.floor, self.alpha)
        return xp.where(lam < KINK, 1 / lam, (1 + xp.log(KINK / xp.maximum(lam, KINK))) / KINK)

    def backward(self, y):
        """(s, lambda)."""
        xp = y.__array_namespace__()
        small, large = xp.maximum(y, 1 / KINK), xp.minimum(y, 1 / KINK)
        lam = xp.where(y > 1 / KINK, 1 / small, KINK * xp.exp(1 - KINK * large))
        return xp.maximum(eigenvalues.predictor_inverse(lam, self.alpha) - self.floor, 0.0), lam

    def slope(self, y, velocity):
        """dy/dt for a velocity ds/dt = velocity(s)."""
        xp = y.__array_namespace__()
        s, lam = self.backward(y)
        return -self.alpha * velocity(s) / (s + self.floor) / xp.minimum(lam, KINK)

    def tolerance(self, rtol: float) -> float:
        """Absolute tolerance on y that keeps the accumulated relative error of s near rtol."""
        return 0.1 * rtol * (self.alpha / (1 + self.alpha))


def relative_tolerance(rates) -> float:
    """Relative tolerance on y: as small as the noise of the rates allows, for the absolute one to decide."""
    return max(QUADRATURE_NOISE * rates.rtol, ROUNDING) if rates.quadrature else ROUNDING


@dataclass(frozen=True)
class Flow:
    """s (..., T, M), inf after a blow-up. status: how it ended. reached: number of times computed, if not all."""

    s: np.ndarray
    blow_up_time: np.ndarray
    status: str = "complete"
    reached: int | None = None
