"""Laws of eigenvalues, against eigenvalues of matrices whose weights are drawn."""

import numpy as np

from dynamics.solvers.finite_batch.eigenvalue_law import along, of_eigenvalues

RNG = np.random.default_rng(0)
W, ROOT = np.diag([1.0, 2.0, 3.5]) @ np.linalg.qr(RNG.standard_normal((4, 4)))[0][:3], np.diag([1.0, 0.8, 0.9, 0.7])
FACTOR = 0.03 * RNG.standard_normal((12, 12))
COVARIANCE = FACTOR @ FACTOR.T
NORMALS = RNG.standard_normal((100_000, 12))


def drawn(scale=1.0):
    """Weights at plus and minus each fluctuation, whose odd orders cancel in a mean."""
    fluctuations = scale * (NORMALS @ FACTOR.T).reshape(-1, 3, 4)
    return np.concatenate([W + fluctuations, W - fluctuations])


def eigenvalues(weights):
    return np.linalg.svd(weights @ ROOT, compute_uv=False)[..., ::-1] ** 2


def test_mean_of_eigenvalues_has_variance_and_repulsion():
    """The mean of the change, of first order in the covariance: 0.5 % from 10^5 draws, and higher orders of 2 %."""
    law, s = of_eigenvalues(W, COVARIANCE, ROOT), eigenvalues(W)
    change = eigenvalues(drawn()).mean(axis=0) - s
    np.testing.assert_allclose(law.mean - s, change, rtol=0.05)
    np.testing.assert_allclose(law.mean, s + law.direct + law.repelled, rtol=1e-12)
    assert law.repelled[0] < -0.1 * law.direct[0] and law.repelled[2] > 0.1 * law.direct[2]


def test_slopes_are_derivatives_of_eigenvalues():
    h, law = 1e-6, of_eigenvalues(W, COVARIANCE, ROOT)
    for direction, slope in zip(np.eye(12).reshape(12, 3, 4), law.slopes.T, strict=True):
        expected = (eigenvalues(W + h * direction) - eigenvalues(W - h * direction)) / (2 * h)
        np.testing.assert_allclose(slope, expected, atol=1e-6)


def test_variances_along_given_vectors_are_exact():
    """Their mean is quadratic in the weights: the standard error of 10^5 draws alone, 4 of them."""
    U = np.linalg.qr(RNG.standard_normal((3, 3)))[0]
    values = ((U.T @ drawn() @ ROOT) ** 2).sum(axis=-1)
    pairs = values.reshape(2, -1, 3).mean(axis=0)
    law = along(U, W, COVARIANCE, ROOT)
    assert np.abs((law.mean - pairs.mean(axis=0)) / pairs.std(axis=0) * np.sqrt(len(pairs))).max() < 4
    np.testing.assert_array_equal(law.repelled, 0)


def test_eigenvalues_are_separate_unless_closer_than_some_deviations():
    assert of_eigenvalues(W, 1e-2 * COVARIANCE, ROOT).separate
    assert not of_eigenvalues(W, 1e2 * COVARIANCE, ROOT).separate


def test_equal_eigenvalues_repel_by_their_deviation():
    law = of_eigenvalues(np.eye(2), 1e-4 * np.eye(4), np.eye(2))
    # c_12 has the variance 2e-4: eigenvalues 1 - |c| and 1 + |c|, at its standard deviation.
    np.testing.assert_allclose(law.repelled, np.sqrt(2e-4) * np.array([-1, 1]), rtol=1e-12)
    assert not law.separate
