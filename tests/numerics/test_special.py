"""Tilting by matrices, and Lambert W growth, against mpmath, at scales where the plain formula loses everything."""

import mpmath as mp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dynamics.numerics.special import LogRatio, lambert_growth, linear_growth, tilt, times_exp


def reference(x, X, y, Y):
    """(1 + 2x^2 X^T X + 2y^2 Y^T Y)^(-1) and its determinant's root; and itself with 100 digits."""
    with mp.workdps(100):
        X, Y = mp.matrix(X.tolist()), mp.matrix(Y.tolist())
        precision = mp.eye(X.cols) + 2 * mp.mpf(x) ** 2 * X.T * X + 2 * mp.mpf(y) ** 2 * Y.T * Y
        H = precision**-1
        return np.array(H.tolist(), float), float(mp.sqrt(mp.det(H))), H


@pytest.mark.parametrize("x", [0.0, 1.0, 1e8, 1e20])
@pytest.mark.parametrize("y", [0.0, 1.0, 1e8, 1e20])
@pytest.mark.parametrize("normals", [2, 3, 4])
def test_tilt(x, y, normals):
    X, Y = np.random.default_rng(normals).standard_normal((2, 2, normals))
    H, Z, H_exact = reference(x, X, y, Y)
    tilted_X, tilted_Y, K, weight = tilt(np.array([[x]]), X, np.array([[y]]), Y)
    # Rounding of two decompositions, some hundred operations of eps = 2.2e-16.
    np.testing.assert_allclose(K.T @ K, H, rtol=0, atol=1e-13 * np.abs(H).max())
    np.testing.assert_allclose(weight, [[Z]], rtol=1e-12)
    for scale, tilted, vector in ((x, tilted_X, X), (y, tilted_Y, Y)):
        with mp.workdps(100):
            expected = mp.matrix(vector.tolist()) * H_exact * mp.matrix(vector.tolist()).T
        expected = np.array(expected.tolist(), float)
        # of size min(1, 1/(2 scale^2)), and so are the errors: nothing is left of what has cancelled
        np.testing.assert_allclose(tilted @ tilted.T, expected, rtol=0, atol=1e-13 * np.abs(expected).max())
        assert np.abs(tilted).max() * max(scale, 1e-300) < 1


def test_one_call_serves_many_nodes():
    X, Y = np.random.default_rng(0).standard_normal((2, 2, 3))
    x, y = np.array([0.3, 2.0, 5.0])[:, None, None, None], np.array([0.1, 4.0])[None, :, None, None]
    *_, K, weight = tilt(x, X, y, Y)
    assert K.shape == (3, 2, 3, 3) and weight.shape == (3, 2, 1, 1)
    *_, alone, _ = tilt(x[2, 0], X, y[0, 1], Y)
    np.testing.assert_allclose(K[2, 1].T @ K[2, 1], alone.T @ alone, rtol=1e-13, atol=1e-15)


@given(exponent=st.floats(0, 14), below=st.booleans(), progress=st.floats(0, 3))
def test_lambert_growth_from_any_start(exponent, below, progress):
    """Starts below and above the level, up to 1e14 times as far: at the branch point of W, and beyond exact splits."""
    lam0 = 10.0 ** (-exponent if below else exponent)
    y0 = 1 / lam0 - 1
    tau = progress * (abs(y0) + 1)
    start = np.array([lam0], np.longdouble)
    found = lam0 * np.exp(lambert_growth(start, np.log(start), np.array([1.0]), np.array([tau])))[0]
    with mp.workdps(60):
        start = 1 / mp.mpf(lam0) - 1
        expected = 1 / (1 + mp.lambertw(start * mp.exp(start - mp.mpf(tau))).real)
    # Some dozen roundings, also of log(lambda/lam0), which is at most 18; and, for a small start, that of 1/lam0 in
    # extended precision, times 1/4 of itself.
    assert abs(found / float(expected) - 1) < 8e-15 + np.finfo(np.longdouble).eps / min(lam0, 1.0)


@pytest.mark.parametrize("log_x0", [-90.0, -3.0, 0.0, 5.0, 99.0, 101.0, 300.0])
@pytest.mark.parametrize("b", [-2.0, -1e-9, 0.0, 0.5, 7.0])
def test_linear_growth_kept_as_a_ratio_or_as_a_logarithm(log_x0, b):
    tau = np.array([0.0, 1e-3, 1.0, 30.0])
    growth = linear_growth(log_x0, 0.7, b, tau)
    assert isinstance(growth, LogRatio) == (log_x0 < 100 and b < 1)
    with mp.workdps(60):
        x0 = mp.exp(log_x0)
        ends = [x0 * mp.exp(b * t) + (0.7 * mp.expm1(b * t) / b if b else 0.7 * t) for t in tau.tolist()]
        expected = np.array([float(mp.log(end / x0)) for end in ends])
    # Rounding of log x0 and of b tau, which are at most 300; log(x/x0) itself may be smaller.
    np.testing.assert_allclose(np.asarray(growth), expected, rtol=1e-13, atol=1e-15 * max(abs(log_x0), 1.0))
    shrinking = -growth / 2.0
    np.testing.assert_allclose(times_exp(np.array(3.0), shrinking), 3 * np.exp(-expected / 2), rtol=1e-12)
