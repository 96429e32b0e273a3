r"""How far finite batches throw a network off its theory: the linear noise approximation.

One step moves the singular value of a mode by eta times the mean over the batch of q_m = g_m zeta1_m + h_m zeta2_m.
Its covariance Q = cov(q)/batch comes from the Gaussian model (by Monte Carlo over per-sample gradients), and the
covariance P of the singular values follows P <- J P J^T + eta^2 Q, J the Jacobian of the descent map.
"""

import numpy as np

from dynamics.generated import eigenvalues
from dynamics.model import Model
from dynamics.rates import Rates

SAMPLES = 20_000  # the deviation is then good to about 1 %
KNOTS = 40  # steps at which J and Q are computed anew


def predicted_deviation(model: Model, s0: np.ndarray, step: np.ndarray, settings: dict) -> np.ndarray:
    """Standard deviation of each eigenvalue (T, M) at the given steps, for a network trained with ``settings``."""
    eta, batch = settings["learning_rate"], settings["batch_size"]
    rates, rng = Rates(model, rtol=1e-7), np.random.default_rng(0)
    knots = set(np.unique(np.linspace(0, step[-1], KNOTS).astype(int)))
    s, P, deviation = np.array(s0, float), np.zeros((len(s0), len(s0))), np.zeros((len(step), len(s0)))
    wanted = {int(k): i for i, k in enumerate(step)}
    for k in range(int(step[-1]) + 1):
        if k in wanted:
            deviation[wanted[k]] = 2 * np.sqrt(s * np.diag(P))
        if k in knots:
            J, Q = _jacobian(model, rates, s, eta), _gradient_covariance(model, s, rng) / batch
        P = J @ P @ J.T + eta**2 * Q
        s = eigenvalues.step(s, rates(s), model.rho, eta)
    return deviation


def _jacobian(model: Model, rates: Rates, s: np.ndarray, eta: float, h: float = 1e-4) -> np.ndarray:
    """d w'_i / d w_j of one step, by central differences of relative size h."""
    w = np.sqrt(s)
    moved = w * (1 + h * np.stack([np.eye(len(w)), -np.eye(len(w))]))
    after = np.sqrt(eigenvalues.step(moved**2, rates(moved**2), model.rho, eta))
    return ((after[0] - after[1]) / np.maximum(2 * h * w, 1e-300)[:, None]).T


def _gradient_covariance(model: Model, s: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Covariance over samples of g_m zeta1_m + h_m zeta2_m."""
    generated, lam = model.generated, model.eigenvalues_of_predictor(s)
    x = rng.standard_normal((SAMPLES, len(s)))
    zeta1, zeta2 = (x + sigma * rng.standard_normal(x.shape) for sigma in model.sigmas)
    z1, z2 = np.sqrt(s) * zeta1, np.sqrt(s) * zeta2
    drive = generated.online_gradient(z1, z2, lam) * zeta1 + generated.target_gradient(z1, z2, lam) * zeta2
    return np.atleast_2d(np.cov(drive.T))
