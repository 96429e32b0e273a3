"""From rates to eigenvalues.

Written by ``python -m derivations.codegen``: change ``derivations/``, then run ``make derive``.
"""


def predictor(s, alpha):
    """lambda = s^alpha."""
    return s**alpha


def predictor_inverse(lam, alpha):
    """s = lambda^(1/alpha)."""
    return lam**(1 / alpha)


def velocity(s, r, rho):
    """ds/dt = 2 s (r - rho)."""
    return 2 * (-rho + r) * s


def step(s, r, rho, eta):
    """s <- s (1 + eta (r - rho))^2."""
    return (-eta * rho + eta * r + 1)**2 * s
