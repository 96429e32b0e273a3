"""Functions of eigenvalues that are the same for all losses: predictor, velocities, steps and imbalance.

Written by ``python -m derivations.codegen``: change ``derivations/``, then run ``make derive``.
"""


def predictor(s, alpha, epsilon):
    """Return the closed-form predictor's eigenvalues (s + epsilon)^alpha; s: eigenvalues of the correlation."""
    return (epsilon + s)**alpha


def normalized_predictor(s, alpha, epsilon):
    """Return the normalised predictor's eigenvalues (s/max s + epsilon)^alpha; s: eigenvalues of the correlation."""
    xp = s.__array_namespace__()
    return (epsilon + s / xp.max(s, axis=-1, keepdims=True))**alpha


def predictor_inverse(lam, alpha):
    """Return the correlation eigenvalues s = lambda^(1/alpha) of a predictor with epsilon = 0."""
    return lam**(1 / alpha)


def velocity(s, r, rho):
    """Return ds/dt = 2 s (r - rho) of correlation eigenvalues s, with rates r and weight decay rho."""
    return 2 * (-rho + r) * s


def encoder_velocity(w, r, rho):
    """Return dw/dt = w (r - rho) of the encoder's singular values w, with rates r and weight decay rho."""
    return w * (-rho + r)


def descent_velocity(weights, force, rate_ratio, rho):
    """Return dW/dt = a_P f - rho W, the velocity of weights W under the force f and weight decay rho.

    weights, force: W and f. rate_ratio: a_P, the learning rate of W divided by that of the encoder.
    """
    return force * rate_ratio - rho * weights


def descent_step(weights, force, rate_ratio, rho, eta):
    """Return W + eta (a_P f - rho W), the weights W after a step under the force f and weight decay rho.

    weights, force: W and f. eta: learning rate of the encoder. rate_ratio: a_P, the learning rate of W divided by eta.
    """
    return eta * (force * rate_ratio - rho * weights) + weights


def average_velocity(average, x, decay, eta):
    """Return da/dt = (1 - tau)/eta (x - a), the velocity of an exponential average a of x.

    average: a. decay: tau, the decay per step. eta: learning rate, which is the time of a step.
    """
    return (-decay + 1) * (-average + x) / eta


def average_step(average, x, decay):
    """Return tau a + (1 - tau) x, the value after a step of an exponential average a of x.

    average: a before the step. decay: tau, the decay per step.
    """
    return average * decay + x * (-decay + 1)


def momentum_step(buffer, x, momentum):
    """Return mu b + x, the value after a step of a momentum buffer b that adds up gradients x.

    buffer: b before the step. momentum: mu, the share of b that is kept.
    """
    return buffer * momentum + x


def imbalance(s, lam, rate_ratio, cross):
    """Return the imbalance s/c - lambda^2/a_P between the encoder and a learned predictor in each mode.

    s, lam: eigenvalues s of the correlation and lambda of the predictor. rate_ratio: a_P, the learning rate of the
    predictor divided by that of the encoder. cross: c, the second moment that the views share.
    """
    return s / cross - lam**2 / rate_ratio


def imbalance_decay(rho):
    """Return k >= 0: under weight decay rho, the imbalance falls as exp(-k t) in the time t of the flow.

    The imbalance is that between the encoder and a learned predictor (see ``imbalance``).
    """
    return 2 * rho


IMBALANCE = "s[m] - lam[m]**2/rate_ratio"


IMBALANCE_OF_VIEWS = "s[m]/cross[m] - lam[m]**2/rate_ratio"
