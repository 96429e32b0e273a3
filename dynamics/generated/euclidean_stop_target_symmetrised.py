"""Euclidean loss, stop-gradient on the target, symmetrised.

Written by ``python -m derivations.codegen``: change ``derivations/``, then run ``make derive``.
"""

from dynamics.special import lambert_decay


def loss(z1, z2, predict, stop_gradient):
    """L of each sample, shape (..., 1)."""
    p1 = predict(z1)
    p2 = predict(z2)
    xp = z1.__array_namespace__()
    total1 = xp.sum((-stop_gradient(z1) + p2)**2, axis=-1, keepdims=True)
    total2 = xp.sum((-stop_gradient(z2) + p1)**2, axis=-1, keepdims=True)
    return total1 / 4 + total2 / 4


def online_gradient(z1, z2, lam):
    """g = -dL/dz1 per sample, in the eigenbasis."""
    return (-lam * z1 + z2) * lam / 2


def target_gradient(z1, z2, lam):
    """h = -dL/dz2 per sample, in the eigenbasis."""
    return (-lam * z2 + z1) * lam / 2


def rates(s, lam, sigma1, sigma2):
    """r_m, exact (Gaussian moments)."""
    n1 = sigma1**2 + 1
    n2 = sigma2**2 + 1
    return (-n1 * lam / 2 - n2 * lam / 2 + 1) * lam


EXACT = "Lambert W"
EXACT_FOR_ANY_WEIGHT_DECAY = False


def exact(lam0, t, alpha, sigma1, sigma2, rho):
    """Predictor eigenvalues at time t: Lambert W solution."""
    n1 = sigma1**2 + 1
    n2 = sigma2**2 + 1
    return 2 / ((n1 + n2) * (lambert_decay(-1 + 2 / (lam0 * (n1 + n2)), 4 * alpha * t / (n1 + n2)) + 1))
