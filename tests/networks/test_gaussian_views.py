"""Gaussian views: moments, shared inputs, independence, and the polynomials against sine and cosine."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats

from dynamics.networks.gaussian_views import gaussian_views, normals, on_circle
from dynamics.networks.run import DTYPES

SIGMAS = (0.3, 0.2)


def test_views_are_standard_normal_and_share_the_input():
    samples = 200_000
    x1, x2 = gaussian_views(jax.random.key(0), SIGMAS, (True, True), None, (2, samples), "float32")
    x = np.concatenate([x1, x2]).T.astype(float)
    shared = np.kron([[1, 1], [1, 1]], np.eye(2))
    noise = np.diag(np.repeat(np.square(SIGMAS), 2))
    # Entries of a sample covariance have a standard error of at most sqrt(2) n1 / sqrt(samples) = 0.0035: 4 of them.
    np.testing.assert_allclose(np.cov(x.T), shared + noise, atol=0.014)
    # Fourth moments, 3 n^2: standard error sqrt(96) n1^2 / sqrt(samples) = 0.026.
    np.testing.assert_allclose((x**4).mean(axis=0), 3 * np.diag(shared + noise) ** 2, atol=0.1)


def test_only_noisy_views_have_noise_and_inputs_have_their_covariance():
    root = np.array([[2.0, 0.0], [1.0, 0.5]])
    noiseless, noisy = gaussian_views(jax.random.key(1), (0.0, 0.3), (False, True), root, (2, 200_000), "float32")
    covariance = np.cov(noiseless)
    # Standard errors of a sample covariance: at most sqrt(2) x 5 / sqrt(samples) = 0.016: 4 of them.
    np.testing.assert_allclose(covariance, root @ root.T, atol=0.064)
    difference = np.asarray(noisy - noiseless, float)
    np.testing.assert_allclose(np.cov(difference), 0.09 * np.eye(2), atol=4 * 0.09 * np.sqrt(2 / 200_000))
    (alone, same) = gaussian_views(jax.random.key(1), (0.0, 0.0), (False, False), None, (2, 10), "float32")
    np.testing.assert_array_equal(alone, same)


@pytest.mark.parametrize("dtype", DTYPES)
def test_samples_are_independent_standard_normals(dtype):
    """Moments within 4.5 standard errors, and Kolmogorov and Smirnov's test of the distribution."""
    count = 400_000
    with jax.enable_x64(dtype == "float64"):
        drawn = normals(jax.random.key(3), 3, (count,), dtype)
        first, second, third = (np.asarray(a).astype(float) for a in drawn)
        assert {a.dtype.name for a in drawn} == {dtype}
    assert all(np.isfinite(sample).all() for sample in (first, second, third))
    for sample in (first, second, third):
        for power, mean, variance in ((1, 0, 1), (2, 1, 2), (3, 0, 15), (4, 3, 96), (6, 15, 10_170)):
            assert abs((sample**power).mean() - mean) < 4.5 * np.sqrt(variance / count)
        assert scipy.stats.kstest(sample[::10], "norm").pvalue > 1e-4
    for a, b in ((first, second), (first, third), (second, third), (first[1:], first[:-1])):
        assert abs((a * b).mean()) < 4.5 / np.sqrt(count)
        assert abs((a**2 * b**2).mean() - 1) < 4.5 * np.sqrt(8 / count)  # E[a^4 b^4] - 1


def test_points_on_the_circle_are_those_of_sine_and_cosine():
    turn = np.linspace(-0.5, 0.5, 10_001).astype(np.float32)
    exact = np.cos(2 * np.pi * turn.astype(float)), np.sin(2 * np.pi * turn.astype(float))
    for computed, expected in zip(on_circle(jnp.asarray(turn)), exact, strict=True):
        # Terms up to 10 in size are summed in single precision.
        np.testing.assert_allclose(np.asarray(computed), expected, atol=10 * 2.0**-24)
