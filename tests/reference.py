"""Independent references: the mathematics typed a second time, from the theory notes and not from the code under test.

A setting is data (loss, stop-gradient, isotropic, predictor, symmetrised); the formulas for it stand here.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import jax
import jax.numpy as jnp
import mpmath as mp
import numpy as np
import sympy as sp

import dynamics as dyn
from derivations.losses.catalogue import Setting, catalogue
from derivations.symbols import notation as n

EUCLIDEAN = [setting for setting in catalogue() if setting.loss == "euclidean"]
COSINE = [setting for setting in catalogue() if setting.loss == "cosine"]
DIGITS = 80  # of mpmath: 50, and up to 1/lambda0 ~ 1e24 that cancels in the exact solutions


def model_of(setting: Setting, alpha=1.0, noise=(0.0, 0.0), weight_decay=0.0) -> dyn.Model:
    """The model of a setting of the catalogue."""
    return dyn.Model(
        setting.loss,
        isotropic=setting.isotropic,
        stop_gradient=setting.stop_gradient,
        predictor=dyn.ClosedForm(alpha) if setting.predictor else dyn.NoPredictor(),
        noise=noise,
        weight_decay=weight_decay,
        symmetrised=setting.symmetrised,
    )


def predictor_of(setting: Setting, s: np.ndarray, alpha: float) -> np.ndarray:
    """lambda = s^alpha, or 1 without a predictor."""
    return s**alpha if setting.predictor else np.ones_like(s)


# --- symbols --------------------------------------------------------------------------------------------------------


def explicit(expression: sp.Expr, modes: int, mode: int = 1) -> sp.Expr:
    """The expression for M = modes and m = mode, its sums written out."""
    return sp.sympify(expression).subs({n.m: mode, n.M: modes}).doit()


# --- losses, theory section 2 ---------------------------------------------------------------------------------------


def sample_loss(setting: Setting, z1, z2, W_P):
    """L of one sample: z1, z2 (M,), W_P (M, M) symmetric, in any basis."""
    sg, norm = jax.lax.stop_gradient, jnp.linalg.norm
    W_P = W_P if setting.predictor else jnp.eye(len(z1))

    def one_way(z1, z2):
        p = W_P @ z1
        if setting.isotropic and setting.loss == "euclidean":
            return norm_squared(z1 - sg(z2 + z1 - p)) / 2
        if setting.isotropic:
            pull = z1 @ sg(z2 / (norm(p) * norm(z2)))
            return -pull + sg(p @ z2 / (norm(p) ** 3 * norm(z2))) * (z1 @ W_P @ z1) / 2
        p = sg(p) if setting.stop_gradient == "online" else p
        z2 = sg(z2) if setting.stop_gradient == "target" else z2
        return norm_squared(p - z2) / 2 if setting.loss == "euclidean" else -(p @ z2) / (norm(p) * norm(z2))

    return (one_way(z1, z2) + one_way(z2, z1)) / 2 if setting.symmetrised else one_way(z1, z2)


def norm_squared(a):
    return a @ a


def sample_gradients(setting: Setting, z1, z2, W_P):
    """dL/dz1 and dL/dz2 of each sample by automatic differentiation: z1, z2 (B, M)."""

    def one(z1, z2):
        return jax.grad(lambda *z: sample_loss(setting, *z, W_P), (0, 1))(z1, z2)

    return jax.vmap(one)(z1, z2)


# --- rates of the cosine family, theory section 3 -------------------------------------------------------------------


def cosine_coefficients(setting: Setting, lam) -> tuple:
    """s r = a A + b B + c C; without a predictor lam is 1."""
    if setting.isotropic:
        return 1, -lam, 0
    return {"target": (lam, -(lam**2), 0), "none": (2 * lam, -(lam**2), -1), "online": (lam, 0, -1)}[
        setting.stop_gradient
    ]


def nodes_in_reach(logs, weights) -> np.ndarray:
    """e^logs/sum(weights) where sqrt(x) prod_k (1 + 2 x w_k)^(-1/4) is more than e^-43 of its largest value.

    As Delta_k >= 1 + 2 x w_k and >= 1 + 2 y w'_k, Z is at most the product of these bounds for x and for y.
    """
    x = np.exp(logs) / np.sum(weights)
    bound = logs / 2 - np.sum(np.log1p(2 * x[:, None] * weights), axis=1) / 4
    return x[bound > bound.max() - 43]


def gaussian_expectations(s, lam, sigma1, sigma2, nodes=600, reach=85.0, ratio=1.0):
    """A, B, C (M,) by the trapezoidal rule in log x and log y over e^-reach ... e^reach.

    In u = log x the integrand is analytic for |Im u| < pi; with many modes it decays as exp(-e^u), which it does for
    |Im u| < pi/2. The rule with step h = 2 reach/nodes errs by e^(-pi^2/h): 7e-16 with 600 nodes. Below e^-85 lies a
    fraction e^(-85/2) = 3e-19; what remains is rounding. Delta is multiplied out with n1 n2 - 1 in the noise, so that
    nothing cancels.
    """
    n1, n2 = 1 + sigma1**2, 1 + sigma2**2
    # a = E[z1^2], b = E[z1 t2], c = E[t2^2] with t2 = ratio z2, and det = a c - b^2
    a, b, c = n1 * s, ratio * s, n2 * ratio**2 * s
    det = (sigma1**2 + sigma2**2 + sigma1**2 * sigma2**2) * (ratio * s) ** 2
    logs, step = np.linspace(-reach, reach, nodes + 1, retstep=True)
    y = nodes_in_reach(logs, c)[:, None]
    gamma = np.sqrt(np.pi)  # Gamma(1/2); Gamma(3/2) is half of it
    A, B, C = (np.zeros(len(s)) for _ in range(3))
    for x in nodes_in_reach(logs, lam**2 * a):
        delta = 1 + 2 * x * lam**2 * a + 2 * y * c + 4 * x * y * lam**2 * det
        weight = step**2 * np.sqrt(x * y) * np.exp(-np.sum(np.log(delta), axis=1, keepdims=True) / 2)
        s11, s12, s22 = (a + 2 * y * det) / delta, b / delta, (c + 2 * x * lam**2 * det) / delta
        overlap = np.sum(lam * s12, axis=1, keepdims=True) + 2 * lam * s12
        A += np.sum(weight * s12, axis=0) / gamma**2
        B += np.sum(weight * x * s11 * overlap, axis=0) / (gamma**2 / 2)
        C += np.sum(weight * y * s22 * overlap, axis=0) / (gamma**2 / 2)
    return A, B, C


def combine(setting: Setting, lam, expectations) -> tuple[np.ndarray, np.ndarray]:
    """s r of a setting that is not symmetrised, and the size of the terms it is the sum of."""
    terms = [np.asarray(f * e, float) for f, e in zip(cosine_coefficients(setting, lam), expectations, strict=True)]
    return sum(terms), sum(abs(term) for term in terms)


def cosine_drift(setting: Setting, s, alpha, noise, nodes=600) -> tuple[np.ndarray, np.ndarray]:
    """s r (M,) and the size of its terms (M,); symmetrised: the mean with sigma1 and sigma2 swapped."""
    lam = predictor_of(setting, s, alpha)
    orders = [noise, noise[::-1]] if setting.symmetrised else [noise]
    results = [combine(setting, lam, gaussian_expectations(s, lam, *order, nodes)) for order in orders]
    return tuple(sum(parts) / len(orders) for parts in zip(*results, strict=True))


# --- exact solutions, theory section 4 ------------------------------------------------------------------------------


def lambert(lam0, tau, n1):
    """d lambda/d tau = lambda^2 (1 - n1 lambda): u = n1 lambda, y = 1/u - 1, y e^y = y0 e^y0 e^(-tau/n1)."""
    y0 = 1 / (n1 * lam0) - 1
    return 1 / (n1 * (1 + mp.lambertw(y0 * mp.exp(y0 - tau / n1)).real))


def logistic(lam0, tau, growth, damping):
    """d lambda/d tau = lambda (growth - damping lambda)."""
    if growth == 0:
        return 1 / (1 / lam0 + damping * tau)
    return growth / (damping + (growth / lam0 - damping) * mp.exp(-growth * tau))


def lambert_time(u0, u, n1):
    """2 alpha times the time from u0 to u."""
    return n1 * (1 / u0 - 1 / u + mp.log(u * (1 - u0) / (u0 * (1 - u))))


@mp.workdps(DIGITS)
def wrong_side_blow_up(s0, alpha, sigma2, rho) -> float:
    """t* of d lambda/dt = 2 alpha lambda (lambda - n2 - rho), lambda0 = s0^alpha > n2 + rho."""
    threshold = n_of(sigma2) + mp.mpf(rho)
    return float(-mp.log(1 - threshold / mp.mpf(s0) ** mp.mpf(alpha)) / (2 * alpha * threshold))


@dataclass(frozen=True)
class System:
    """A model, and its exact solution lambda(lam0, tau), tau = 2 alpha t; ``level``: lambda at the fixed point."""

    name: str
    model: dyn.Model
    predictor: Callable
    kind: str
    level: float

    @property
    def alpha(self) -> float:
        return float(self.model.parameters.alpha[0])

    def solution(self, s0: np.ndarray, times: np.ndarray) -> np.ndarray:
        """s (T, M), rounded from DIGITS digits."""
        return np.array([[float(self.eigenvalue(s, t)) for s in s0] for t in times])

    @mp.workdps(DIGITS)
    def eigenvalue(self, s0: float, t: float):
        alpha = mp.mpf(self.alpha)
        return self.predictor(mp.mpf(float(s0)) ** alpha, 2 * alpha * mp.mpf(float(t))) ** (1 / alpha)


def n_of(sigma: float):
    """1 + sigma^2 of the number that a float stands for."""
    return 1 + mp.mpf(sigma) ** 2


@cache
def systems() -> dict[str, System]:
    """Every Euclidean setting with a formula, for several alpha, noises and weight decays."""
    found = []

    def add(name, setting, predictor, kind, level=0.0, **parameters):
        found.append(System(name, model_of(setting, **parameters), predictor, kind, level))

    target, isotropic = Setting("euclidean"), Setting("euclidean", isotropic=True)
    wrong, none = Setting("euclidean", "online"), Setting("euclidean", predictor=False)
    for alpha in (0.5, 1.0, 2.0):
        for sigma in (0.0, 0.5):  # n1 = 1, 1.25
            add(
                f"target alpha={alpha} sigma={sigma}",
                target,
                lambda lam0, tau, sigma=sigma: lambert(lam0, tau, n_of(sigma)),
                "Lambert W",
                1 / (1 + sigma**2),
                alpha=alpha,
                noise=(sigma, 0.1),
            )
        for rho in (0.0, 0.01, 1.0, 1.5):
            add(
                f"isotropic alpha={alpha} rho={rho}",
                isotropic,
                lambda lam0, tau, rho=rho: logistic(lam0, tau, 1 - mp.mpf(rho), n_of(0.3)),
                "logistic",
                max(1 - rho, 0.0) / 1.09,
                alpha=alpha,
                noise=(0.3, 0.1),
                weight_decay=rho,
            )
        add(
            f"wrong side alpha={alpha}",
            wrong,
            lambda lam0, tau: logistic(lam0, tau, -n_of(0.5) - mp.mpf(0.1), -1),
            "logistic",
            alpha=alpha,
            noise=(0.1, 0.5),
            weight_decay=0.1,
        )
        add(
            f"target symmetrised alpha={alpha}",
            Setting("euclidean", symmetrised=True),
            lambda lam0, tau: lambert(lam0, tau, (n_of(0.5) + n_of(0.1)) / 2),
            "Lambert W",
            1 / 1.13,
            alpha=alpha,
            noise=(0.5, 0.1),
        )
    for rho in (0.0, 0.01):
        add(
            f"no predictor rho={rho}",
            none,
            lambda lam0, tau, rho=rho: lam0 * mp.exp(-(mp.mpf(0.3) ** 2 + mp.mpf(rho)) * tau),
            "exponential",
            noise=(0.3, 0.1),
            weight_decay=rho,
        )
    return {system.name: system for system in found}


# --- invariants of the cosine losses ---------------------------------------------------------------------------------

CONSERVING = [  # at zero weight decay
    Setting("cosine"),
    Setting("cosine", "none"),
    Setting("cosine", "online"),
    Setting("cosine", predictor=False),
    Setting("cosine", isotropic=True),
]


def invariant(setting, s, alpha):
    """sum s, or sum s^(1 + alpha) for the isotropic loss."""
    return np.sum(s ** (1 + alpha if setting.isotropic else 1), axis=-1)


def over_modes(a):
    """Sums over modes, on the last axis, kept: what a generated loss is given."""
    return a.sum(axis=-1, keepdims=True)
