"""The coordinate in which the flow is integrated numerically, and what an integrator returns.

y = 1/lambda - log(lambda). For small lambda it is 1/lambda, in which the slow take-off of small modes,
d lambda/dt ~ lambda^2, is a straight line, so that they start to move at the right time: a relative error delta in a
small lambda0 has become delta/lambda0 when the mode has grown. For large lambda it is a logarithm. An absolute error of
y is a relative error of lambda times 1 + 1/lambda.
"""

from dataclasses import dataclass

import numpy as np

from dynamics.generated import eigenvalues

ROUNDING = 2.3e-14  # below this an integrator with a relative tolerance only follows rounding errors
QUADRATURE_NOISE = 0.1  # ... or those of a quadrature, in units of its tolerance
HUGE = 1e12  # a predictor eigenvalue this many times those at the start, or 1, is blowing up
NEWTON_STEPS = 6  # quadratic convergence to rounding, from any y


@dataclass(frozen=True)
class Reciprocal:
    """y(lambda) = 1/lambda - log(lambda), with lambda = (s + floor)^alpha."""

    alpha: float
    floor: float

    def forward(self, s):
        """y of eigenvalues s."""
        xp = s.__array_namespace__()
        lam = eigenvalues.predictor(s + self.floor, self.alpha)
        return 1 / lam - xp.log(lam)

    def backward(self, y):
        """(s, lambda): Newton's method for l + e^l = y, with l = -log(lambda)."""
        xp = y.__array_namespace__()
        log_reciprocal = xp.where(y > 1, xp.log(xp.maximum(y, 1.0)), y)
        for _ in range(NEWTON_STEPS):
            reciprocal = xp.exp(log_reciprocal)
            log_reciprocal = log_reciprocal - (log_reciprocal + reciprocal - y) / (1 + reciprocal)
        lam = xp.exp(-log_reciprocal)
        return xp.maximum(eigenvalues.predictor_inverse(lam, self.alpha) - self.floor, 0.0), lam

    def slope(self, y, velocity):
        """dy/dt for a velocity ds/dt = velocity(s)."""
        s, lam = self.backward(y)
        return -self.alpha * (1 + 1 / lam) * velocity(s) / (s + self.floor)

    def horizon(self, y0):
        """y of an eigenvalue that is blowing up, in a trajectory that starts at y0 (M,)."""
        xp = y0.__array_namespace__()
        largest = xp.max(self.backward(y0)[1])
        return -xp.log(HUGE * xp.maximum(largest, 1.0))

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
