"""From rates to the step of each dynamical variable.

Written by ``python -m derivations.codegen``: change ``derivations/``, then run ``make derive``.
"""


def predictor(s, alpha, epsilon):
    """lambda = (s + epsilon)^alpha."""
    return (epsilon + s)**alpha


def normalized_predictor(s, alpha, epsilon):
    """lambda = (s/max s + epsilon)^alpha."""
    xp = s.__array_namespace__()
    return (epsilon + s / xp.max(s, axis=-1, keepdims=True))**alpha


def predictor_inverse(lam, alpha):
    """s = lambda^(1/alpha), for epsilon = 0."""
    return lam**(1 / alpha)


def velocity(s, r, rho):
    """ds/dt = 2 s (r - rho)."""
    return 2 * (-rho + r) * s


def encoder_velocity(w, r, rho):
    """dw/dt = w (r - rho)."""
    return w * (-rho + r)


def encoder_step(w, r, rho, eta):
    """w <- w (1 + eta (r - rho))."""
    return w * (eta * (-rho + r) + 1)


def descent_velocity(weights, force, rate_ratio, rho):
    """d lambda/dt = a_P f - rho lambda, of a learned predictor; of a matrix of weights with a_P = 1."""
    return force * rate_ratio - rho * weights


def descent_step(weights, force, rate_ratio, rho, eta):
    """lambda <- lambda + eta (a_P f - rho lambda)."""
    return eta * (force * rate_ratio - rho * weights) + weights


def average_velocity(average, x, decay, eta):
    """da/dt = (1 - tau)/eta (x - a), of an exponential average."""
    return (-decay + 1) * (-average + x) / eta


def average_step(average, x, decay):
    """a <- tau a + (1 - tau) x."""
    return average * decay + x * (-decay + 1)


def imbalance(s, lam, rate_ratio):
    """s - lambda^2/a_P, of encoder and learned predictor; conserved where the two are balanced."""
    return s - lam**2 / rate_ratio


def imbalance_decay(rho):
    """Its decay rate."""
    return 2 * rho


IMBALANCE = "s[m] - lam[m]**2/rate_ratio"
