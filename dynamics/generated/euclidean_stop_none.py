"""Euclidean loss, no stop-gradient.

Written by ``python -m derivations.codegen``: change ``derivations/``, then run ``make derive``.
"""


def loss(z1, z2, predict, stop_gradient):
    """L of each sample, shape (..., 1)."""
    p1 = predict(z1)
    xp = z1.__array_namespace__()
    total1 = xp.sum((p1 - z2)**2, axis=-1, keepdims=True)
    return total1 / 2


def online_gradient(z1, z2, lam):
    """g = -dL/dz1 per sample, in the eigenbasis."""
    return (-lam * z1 + z2) * lam


def target_gradient(z1, z2, lam):
    """h = -dL/dz2 per sample, in the eigenbasis."""
    return lam * z1 - z2


def rates(s, lam, sigma1, sigma2):
    """r_m, exact (Gaussian moments)."""
    n1 = sigma1**2 + 1
    n2 = sigma2**2 + 1
    return -n1 * lam**2 - n2 + 2 * lam
