"""Special functions of the exact solutions, accurate where the plain formula overflows or cancels."""

import numpy as np
import scipy.special


def exprel(x):
    """(e^x - 1)/x, with the value 1 at x = 0; keeps extended precision. x: any shape."""
    x = np.asarray(x)
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        return np.where(x == 0, 1, np.expm1(x) / x)


def lambert_decay(y0, tau):
    """y = W(y0 e^(y0 - tau)), principal branch: the solution of dy/dtau = -y/(1 + y), y(0) = y0 > -1.

    In logarithms, y + log|y| = y0 + log|y0| - tau (Wright's omega for y0 > 0), so that y0 = 1e6 does not overflow;
    the sum is taken in extended precision where the platform has it, and one Newton step on the difference from y0
    removes what the branch point costs for y0 near -1. Broadcasts y0 and tau.
    """
    y0, tau = np.broadcast_arrays(np.asarray(y0, np.longdouble), np.asarray(tau, np.longdouble))
    with np.errstate(all="ignore"):
        logarithm = (y0 + np.log(np.abs(y0)) - tau).astype(float)
        positive = scipy.special.wrightomega(logarithm)
        negative = scipy.special.lambertw(-np.exp(logarithm)).real
        y = np.where(y0 > 0, positive, np.where(y0 < 0, negative, 0.0)).astype(np.longdouble)
        shift = y - y0
        mismatch = shift + np.log1p(shift / y0) + tau
        refined = y - mismatch * y / (1 + y)
    usable = (
        np.isfinite(refined)
        & (refined > -1)
        & (np.sign(refined) == np.sign(y0))
        & (np.abs(refined - y) < 0.1 * np.abs(1 + y))
    )
    return np.where(usable, refined, y)
