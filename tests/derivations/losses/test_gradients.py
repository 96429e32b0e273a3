"""Per-sample gradients: symbols against the paper's theorems, generated code against automatic differentiation."""

import importlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import sympy as sp

from derivations.losses import gradients
from derivations.losses.catalogue import Setting
from derivations.symbols import notation as n
from tests.reference import COSINE, EUCLIDEAN, explicit, over_modes, sample_gradients, sample_loss

M, SAMPLES = 4, 5
# A few dozen operations on numbers of order one, each rounded to 1.1e-16, times norms that are at least 0.1.
ROUNDING = 1e-12


def points(seed):
    """Representations in the eigenbasis, predictor eigenvalues, and a random orthogonal basis."""
    random = np.random.default_rng(seed)
    z1, z2 = random.standard_normal((2, SAMPLES, M))
    basis, _ = np.linalg.qr(random.standard_normal((M, M)))
    return z1, z2, random.uniform(0.2, 2.0, M), basis


def generated(setting):
    return importlib.import_module(f"dynamics.generated.{setting.name}")


def settings(function):
    return pytest.mark.parametrize("setting", EUCLIDEAN + COSINE, ids=lambda s: s.name)(function)


@settings
@pytest.mark.parametrize("seed", [1, 2])
def test_generated_gradient_equals_automatic_differentiation_in_any_basis(setting, seed, double_precision):
    z1, z2, lam, U = points(seed)
    by_jax = sample_gradients(setting, jnp.asarray(z1 @ U.T), jnp.asarray(z2 @ U.T), U @ np.diag(lam) @ U.T)
    code = generated(setting)
    for derivative, force in zip(by_jax, (code.force_on_view1, code.force_on_view2), strict=True):
        np.testing.assert_allclose(force(z1, z2, lam, 1.0), -np.asarray(derivative) @ U, rtol=0, atol=ROUNDING)


@settings
def test_generated_loss_equals_the_loss_in_any_basis(setting, double_precision):
    z1, z2, lam, U = points(3)
    W_P = U @ np.diag(lam) @ U.T
    expected = [sample_loss(setting, a, b, W_P) for a, b in zip(z1 @ U.T, z2 @ U.T, strict=True)]
    value = generated(setting).loss(*2 * (z1 @ U.T, z2 @ U.T), lambda z: z @ W_P, over_modes, lambda z: z)
    assert value.shape == (SAMPLES, 1)
    np.testing.assert_allclose(value[:, 0], expected, rtol=0, atol=ROUNDING)


@settings
def test_generated_loss_differentiates_to_the_same_gradient(setting, double_precision):
    z1, z2, lam, U = points(4)
    W_P = U @ np.diag(lam) @ U.T

    def total(z1, z2):
        return generated(setting).loss(z1, z2, z1, z2, lambda z: z @ W_P, over_modes, jax.lax.stop_gradient).sum()

    views = (jnp.asarray(z1 @ U.T), jnp.asarray(z2 @ U.T))
    expected = sample_gradients(setting, *views, W_P)
    np.testing.assert_allclose(jax.grad(total, (0, 1))(*views), expected, rtol=0, atol=ROUNDING)


# --- Theorems 1 and 2 of the paper and their isotropic versions: z1 = z2 = z, no noise ------------------------------

MODES = 3
z = [n.z1[i] for i in range(1, MODES + 1)]
lam = [n.lam[i] for i in range(1, MODES + 1)]
SIZE_P = sp.sqrt(sum(a**2 * b**2 for a, b in zip(lam, z, strict=True)))
SIZE_Z = sp.sqrt(sum(b**2 for b in z))


def cosine_theorem(mode):
    """The part the two cosine losses share: z_m sum_k lambda_k (lambda_k - lambda_m) z_k^2 / (||p||^3 ||z||)."""
    pull = sum(a * (a - lam[mode]) * b**2 for a, b in zip(lam, z, strict=True))
    return z[mode] * pull / (SIZE_P**3 * SIZE_Z)


THEOREMS = {
    ("euclidean", False): lambda i: lam[i] * (1 - lam[i]) * z[i],
    ("euclidean", True): lambda i: (1 - lam[i]) * z[i],
    ("cosine", False): lambda i: lam[i] * cosine_theorem(i),
    ("cosine", True): cosine_theorem,
}


@pytest.mark.parametrize(("loss", "isotropic"), THEOREMS)
@pytest.mark.parametrize("mode", range(MODES))
def test_representation_model_follows_the_theorems(loss, isotropic, mode):
    derived = gradients.representation(Setting(loss, isotropic=isotropic).in_eigenbasis())
    expected = THEOREMS[loss, isotropic](mode)
    assert sp.simplify(explicit(derived, MODES, mode + 1) - expected) == 0
