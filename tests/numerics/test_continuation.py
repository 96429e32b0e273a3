"""Curves in a plane: a circle, a parabola, a line, and a point that is alone."""

import numpy as np
import pytest

from dynamics.numerics.continuation import Plane


def nowhere(p):
    return -10.0


def test_a_circle_is_cut_at_its_folds():
    plane = Plane(lambda p, x: p**2 + x**2 - 1, -2.0, 2.0, lambda p: -0.5)  # it ends at x = -1/2, on both sides
    pieces = plane.follow(np.array([0.6, 0.8]))
    assert sorted(piece.folds for piece in pieces) == [(False, True), (True, False), (True, True)]
    for piece in pieces:
        p, x = piece.points.T
        np.testing.assert_allclose(p**2 + x**2, 1, rtol=1e-14)  # put back onto the curve: rounding
        assert (np.diff(p) > 0).all()
        for fold, end in zip(piece.folds, piece.points[[0, -1]], strict=True):
            expected = [np.sign(end[0]), 0] if fold else [np.sign(end[0]) * np.sqrt(0.75), -0.5]
            np.testing.assert_allclose(end, expected, atol=1e-14 if fold else 1e-9)  # events: SciPy's root-finding


@pytest.mark.parametrize("start", [-0.9, 0.1, 0.9])
def test_a_parabola_from_anywhere(start):
    plane = Plane(lambda p, x: p + x**2 - 0.3, -0.7, 1.0, nowhere)
    upper, lower = sorted(plane.follow(np.array([0.3 - start**2, start])), key=lambda piece: -piece.points[0, 1])
    assert upper.folds == lower.folds == (False, True)
    for piece, sign in ((upper, 1), (lower, -1)):
        np.testing.assert_allclose(piece.points[[0, -1]], [[-0.7, sign], [0.3, 0]], atol=1e-14)
        assert plane.on_curve(0.05, sign * 0.4) == pytest.approx(sign * 0.5, rel=1e-14)


def test_a_line_runs_from_one_end_of_the_range_to_the_other():
    (piece,) = Plane(lambda p, x: x - 2 * p, 0.25, 1.0, nowhere).follow(np.array([0.25, 0.5]))
    np.testing.assert_allclose(piece.points[[0, -1]], [[0.25, 0.5], [1, 2]], rtol=1e-14)
    assert piece.folds == (False, False)


@pytest.mark.parametrize(
    "residual", [lambda p, x: (x - 1) ** 2 + p, lambda p, x: (x - 1) ** 2 + p**2], ids=["end of the range", "isolated"]
)
def test_a_single_point_is_a_fold(residual):
    (piece,) = Plane(residual, 0.0, 1.0, nowhere).follow(np.array([0.0, 1.0]))
    np.testing.assert_array_equal(piece.points, [[0, 1]])
    assert piece.folds == (True, True)
