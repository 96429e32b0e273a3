"""Cosine loss, stop-gradient on the target.

Written by ``python -m derivations.codegen``: change ``derivations/``, then run ``make derive``.
"""


def loss(z1, z2, predict, stop_gradient):
    """L of each sample, shape (..., 1)."""
    p1 = predict(z1)
    xp = z1.__array_namespace__()
    total1 = xp.sum(p1**2, axis=-1, keepdims=True)
    total2 = xp.sum(stop_gradient(z2)**2, axis=-1, keepdims=True)
    total3 = xp.sum(stop_gradient(z2) * p1, axis=-1, keepdims=True)
    return -total3 / (xp.sqrt(total2) * xp.sqrt(total1))


def online_gradient(z1, z2, lam):
    """g = -dL/dz1 per sample, in the eigenbasis."""
    xp = z1.__array_namespace__()
    total1 = xp.sum(z2**2, axis=-1, keepdims=True)
    total2 = xp.sum(lam * z1 * z2, axis=-1, keepdims=True)
    total3 = xp.sum(lam**2 * z1**2, axis=-1, keepdims=True)
    return (-lam * z1 * total2 / total3 + z2) * lam / (xp.sqrt(total3) * xp.sqrt(total1))


def target_gradient(z1, z2, lam):
    """h = -dL/dz2 per sample, in the eigenbasis."""
    return 0 * z1


def rates_mean_field(s, lam, sigma1, sigma2):
    """r_m with every norm and sum replaced by its mean."""
    xp = s.__array_namespace__()
    n1 = sigma1**2 + 1
    n2 = sigma2**2 + 1
    total1 = xp.sum(s, axis=-1, keepdims=True)
    total2 = xp.sum(lam * s, axis=-1, keepdims=True)
    total3 = xp.sum(lam**2 * s, axis=-1, keepdims=True)
    return (-lam * total2 / total3 + 1) * lam / (xp.sqrt(n1) * xp.sqrt(n2) * xp.sqrt(total3) * xp.sqrt(total1))


def mean_squares(s, lam, sigma1, sigma2):
    """Mean square of each norm, per mode: the scales of the integral."""
    n1 = sigma1**2 + 1
    n2 = sigma2**2 + 1
    return n1 * lam**2 * s, n2 * s


def integrand(x, y, s, lam, sigma1, sigma2):
    """r_m is the integral of this over x, y in (0, oo)."""
    xp = x.__array_namespace__()
    n1 = sigma1**2 + 1
    n2 = sigma2**2 + 1
    D = sigma1**2 * sigma2**2 + sigma1**2 + sigma2**2
    Delta = 2 * n2 * y**2 * s + (4 * D * x**2 * y**2 * s**2 + 2 * n1 * x**2 * s) * lam**2 + 1
    S11 = (2 * D * y**2 * s + n1) / Delta
    S12 = 1 / Delta
    Z = xp.exp(-xp.sum(xp.log(Delta), axis=-1, keepdims=True) / 2)
    total1 = xp.sum(S12 * lam * s, axis=-1, keepdims=True)
    return 4 * Z * (-2 * x**2 * (2 * S12 * lam * s + total1) * S11 * lam + S12) * lam / xp.pi


INTEGRALS = ((mean_squares, integrand),)
