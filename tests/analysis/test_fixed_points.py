"""Fixed points of a single mode: roots by formula and by search, and the eigenvalue that belongs to a root."""

import numpy as np
import pytest

import dynamics as dyn
from dynamics.analysis.fixed_points import eigenvalue_of, single_mode, single_mode_rate, single_mode_roots


@pytest.mark.parametrize("rho", [0.02, 0.2])
def test_roots_by_search_are_those_of_the_formula(rho):
    """The gain h = lambda is the Euclidean loss; roots in log lambda to 1e-14."""
    standard, gained = (dyn.Model("euclidean", gain=gain, weight_decay=rho) for gain in (None, "lambda"))
    expected = (1 + np.array([1, -1]) * np.sqrt(1 - 4 * rho)) / 2
    np.testing.assert_allclose(single_mode_roots(standard), expected, rtol=1e-13)
    np.testing.assert_allclose(single_mode_roots(gained), expected, rtol=1e-13)


def test_the_rate_equals_weight_decay_at_a_root():
    model, one = dyn.Model("euclidean", noise=(0.3, 0.1), weight_decay=0.1), np.ones(1)
    for lam in single_mode_roots(model):
        rate = single_mode_rate(model)(one, np.array([lam]), one, *model.parameters.of_expectations)
        assert rate[0] == pytest.approx(0.1, rel=1e-13)


def test_the_eigenvalue_of_a_root_inverts_the_predictor():
    closed = dyn.Model("euclidean", predictor=dyn.ClosedForm(0.5, 0.1))
    assert eigenvalue_of(closed, 0.8) == pytest.approx(0.8**2 - 0.1)
    learned = dyn.Model("euclidean", predictor=dyn.Learned(2.0), weight_decay=0.1)
    assert eigenvalue_of(learned, 0.8) == pytest.approx(0.8**2 / 2)


def test_a_single_mode_has_collapsed_without_an_eigenvalue():
    model = dyn.Model("euclidean", weight_decay=0.1)
    assert (single_mode(model, None, None).surviving, single_mode(model, None, None).s.tolist()) == (0, [0.0])
    (upper, _) = single_mode_roots(model)
    assert single_mode(model, upper, None).s[0] == pytest.approx(upper)
