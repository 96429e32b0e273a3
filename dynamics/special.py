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


def tilt(x, X, y, Y):
    """X K^T, Y K^T (..., M, d), K (..., d, d) with K^T K = (1 + 2x^2 X^T X + 2y^2 Y^T Y)^(-1), and |det K| (..., 1, 1).

    X, Y: (..., M, d), M <= d. x, y: (..., 1, 1). In the singular vectors of Y, and then of what is left of X: neither
    is the 1 lost beside terms 1e20 times as large, nor do products with K fill with rounding what they should cancel.
    """
    xp = X.__array_namespace__()
    Y, directions, decay_y = _directions(y, Y)
    K = decay_y * directions
    X, directions, decay_x = _directions(x, X @ K.mT)
    weight_x, weight_y = (xp.prod(decay, axis=-2, keepdims=True) for decay in (decay_x, decay_y))
    Y = (Y * decay_y.mT) @ directions.mT
    return X * decay_x.mT, Y * decay_x.mT, decay_x * (directions @ K), weight_x * weight_y


def _directions(y, Y):
    """Y V (..., M, d), the right singular vectors V^T (..., d, d) of Y, and (1 + 2 y^2 s^2)^(-1/2) of each (..., d, 1).

    Smallest s first: the columns of X K^T then descend, as decompositions of graded matrices need it.
    """
    xp = Y.__array_namespace__()
    U, s, directions = xp.linalg.svd(Y)
    rest = Y.shape[-1] - s.shape[-1]
    along = xp.concat([U * s[..., None, :], xp.zeros((*U.shape[:-1], rest))], axis=-1)
    s = xp.concat([s, xp.zeros((*s.shape[:-1], rest))], axis=-1)
    s, along = xp.flip(s, axis=-1)[..., None], xp.flip(along, axis=-1)
    return along, xp.flip(directions, axis=-2), 1 / xp.sqrt(1 + 2 * (y * s) ** 2)
