"""Euclidean loss, no stop-gradient, no predictor, symmetrised.

Written by ``python -m derivations.codegen``: change ``derivations/``, then run ``make derive``.
"""


def loss(z1, z2, predict, stop_gradient):
    """L of each sample, shape (..., 1)."""
    xp = z1.__array_namespace__()
    total1 = xp.sum((-z1 + z2)**2, axis=-1, keepdims=True)
    total2 = xp.sum((z1 - z2)**2, axis=-1, keepdims=True)
    return total1 / 4 + total2 / 4


def online_gradient(z1, z2, lam):
    """g = -dL/dz1 per sample, in the eigenbasis."""
    return -z1 + z2


def target_gradient(z1, z2, lam):
    """h = -dL/dz2 per sample, in the eigenbasis."""
    return z1 - z2


def rates(s, lam, sigma1, sigma2):
    """r_m, exact (Gaussian moments)."""
    return (-sigma1**2 - sigma2**2) + 0 * s


EXACT = "exponential"
EXACT_FOR_ANY_WEIGHT_DECAY = True


def exact(lam0, t, alpha, sigma1, sigma2, rho):
    """Predictor eigenvalues at time t: exponential solution."""
    xp = lam0.__array_namespace__()
    return lam0 * xp.exp(-2 * alpha * t * (rho + sigma1**2 + sigma2**2))
