"""From rates to the step of each dynamical variable.

Written by ``python -m derivations.codegen``: change ``derivations/``, then run ``make derive``.
"""


def predictor(s, alpha, epsilon):
    """Return lambda = (s + epsilon)^alpha, the eigenvalues of the closed-form predictor."""
    return (epsilon + s)**alpha


def normalized_predictor(s, alpha, epsilon):
    """Return lambda = (s/max s + epsilon)^alpha, the eigenvalues of the normalised closed-form predictor."""
    xp = s.__array_namespace__()
    return (epsilon + s / xp.max(s, axis=-1, keepdims=True))**alpha


def predictor_inverse(lam, alpha):
    """Return s = lambda^(1/alpha), for epsilon = 0."""
    return lam**(1 / alpha)


def velocity(s, r, rho):
    """Return ds/dt = 2 s (r - rho)."""
    return 2 * (-rho + r) * s


def encoder_velocity(w, r, rho):
    """Return dw/dt = w (r - rho)."""
    return w * (-rho + r)


def descent_velocity(weights, force, rate_ratio, rho):
    """Return d lambda/dt = a_P f - rho lambda of a learned predictor; dW/dt of a matrix with a_P = 1."""
    return force * rate_ratio - rho * weights


def descent_step(weights, force, rate_ratio, rho, eta):
    """Return lambda + eta (a_P f - rho lambda), the weights after a step."""
    return eta * (force * rate_ratio - rho * weights) + weights


def average_velocity(average, x, decay, eta):
    """Return da/dt = (1 - tau)/eta (x - a) of an exponential average a of x with the decay tau per step."""
    return (-decay + 1) * (-average + x) / eta


def average_step(average, x, decay):
    """Return tau a + (1 - tau) x."""
    return average * decay + x * (-decay + 1)


def imbalance(s, lam, rate_ratio):
    """Return s - lambda^2/a_P of encoder and learned predictor, conserved if they are balanced and rho = 0."""
    return s - lam**2 / rate_ratio


def imbalance_decay(rho):
    """Return the decay rate of the imbalance under weight decay."""
    return 2 * rho


IMBALANCE = "s[m] - lam[m]**2/rate_ratio"
