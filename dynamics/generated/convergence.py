"""How long a mode of the Euclidean loss takes.

Written by ``python -m derivations.codegen``: change ``derivations/``, then run ``make derive``.
"""


def time_euclidean(u0, u1, alpha, n1):
    """Time from u0 to u1, u = n1 lambda, both on one side of 1."""
    xp = u0.__array_namespace__()
    return n1 * xp.log(u1 * (-u0 + 1) / (u0 * (-u1 + 1))) / (2 * alpha) - n1 / (2 * alpha * u1) + n1 / (2 * alpha * u0)


def time_isotropic(u0, u1, alpha, n1):
    """Time from u0 to u1, u = n1 lambda, both on one side of 1."""
    xp = u0.__array_namespace__()
    return xp.log(u1 * (-u0 + 1) / (u0 * (-u1 + 1))) / (2 * alpha)
