"""Ends of the axes of the closure's integrals: against bisection, and smooth in the spectrum."""

import math

import numpy as np
import pytest
import scipy.optimize
from hypothesis import given
from hypothesis import strategies as st

import dynamics as dyn
from dynamics.numerics.axes import POINT, extent, left_extent, mode_weights, significant_modes, trapezoidal_axis
from dynamics.numerics.quadrature import product_rule
from dynamics.vector_field.eigenmodes import EigenmodeField

ORDERS = st.lists(st.floats(0, 140), max_size=4)  # of magnitude, by which modes are smaller than the largest


@given(ORDERS, st.sampled_from([0, 0.5, 1, 2, 3]), st.floats(8, 18))
def test_an_axis_ends_where_the_weight_of_its_slowest_mode_does(orders, power, digits):
    """By bisection, for spectra over up to 140 orders of magnitude."""
    share = 10.0 ** -np.array([0.0, *orders])
    share /= share.sum()

    def left(tau):
        square = math.sinh(tau) ** 2
        weight = min(1 + (power % 2 or 2), 2.5) * tau - np.log1p(share * square).sum() / 2
        return weight - np.log1p(share.min() * square) + digits * math.log(10)

    end = extent(7 * share, np.ones_like(share), power, 10.0**-digits)
    # Newton's last step is below 1e-8; bisection's own tolerance is 2e-12.
    assert end == pytest.approx(scipy.optimize.brentq(left, 1, 354), abs=1e-7)


@pytest.mark.parametrize("power", [1, 3, 5])
def test_an_axis_does_not_jump_while_a_mode_vanishes(power):
    """In steps of 1 % of an order of magnitude; of a norm whose mean square goes like this power of s."""
    s = 10.0 ** -np.arange(0, 30, 0.01)[:, None] * [0.0, 1.0] + [1.0, 0.0]
    ends = extent(s**power, mode_weights(s), 1, 1e-14)
    alone = extent(np.ones(1), np.ones(1), 1, 1e-14)
    assert ends.max() > alone + 4 * power and ends[-1] < alone + 1e-9  # Newton's
    assert np.abs(np.diff(ends)).max() < 0.02 * power * math.log(10)  # twice as far as sinh(tau)^2 goes by itself


def test_mode_weights_fall_from_one_to_zero():
    """Between the threshold of significance and its square, by orders of magnitude."""
    s = np.array([1.0, 1e-12, 1e-19, 1e-26, 1e-40, 0.0])
    np.testing.assert_allclose(mode_weights(s), [1, 1, 2 * 13 / 19 - 1, 0, 0, 0], atol=1e-14)
    assert significant_modes(s).tolist() == [True, True, False, False, False, False]


@pytest.mark.parametrize("power", [1, 2, 0.5])
def test_rules_at_both_steps_integrate_a_gaussian_moment(power):
    """int x^(q-1) exp(-x^2/2) dx from 0 to oo is 2^(q/2-1) Gamma(q/2)."""
    rule = trapezoidal_axis(4.0, 160, power)
    f = rule.nodes ** (power - 1) * np.exp(-(rule.nodes**2) / 2)
    expected = 2 ** (power / 2 - 1) * math.gamma(power / 2)
    # Both converge geometrically: at twice the step the relative error is about the root of rounding, or less.
    assert (rule.fine * f).sum() == pytest.approx(expected, rel=1e-13)
    assert (rule.coarse * f).sum() == pytest.approx(expected, rel=1e-8)
    assert rule.step == pytest.approx((4 + left_extent(power)) / 160, rel=1e-15)


def test_a_product_rule_integrates_a_product():
    """int x exp(-x^2/2) dx int y^2 exp(-y^2/2) dy from 0 to oo is sqrt(pi/2), also at twice the step."""
    rule = product_rule(trapezoidal_axis(4.0, 160, 2), trapezoidal_axis(4.0, 160, 3))
    values = rule.weights @ (rule.x * rule.y**2 * np.exp(-(rule.x**2 + rule.y**2) / 2))
    np.testing.assert_allclose(values, math.sqrt(math.pi / 2), rtol=1e-8)
    pieces = [rule.part(nodes) for nodes in (slice(0, 50), slice(50, None))]
    np.testing.assert_array_equal(np.concatenate([piece.weights for piece in pieces], axis=1), rule.weights)
    one_norm = product_rule(trapezoidal_axis(4.0, 16), POINT)
    assert (one_norm.y == 0).all() and (one_norm.weights[0] == one_norm.weights[2]).all()
    assert not one_norm.edges[1].any()


def test_nodes_grow_no_faster_than_the_logarithm_of_the_spread_of_the_spectrum():
    """Three decades of spread add the same number of nodes (an even one) along each axis, also after nine decades."""
    nodes = []
    for decades in range(0, 15, 3):
        field = EigenmodeField(dyn.Model("cosine", noise=(0.0, 0.1)), rtol=1e-9)
        field.of_eigenvalues(np.array([10.0**-decades, 1.0]))
        nodes.append(field.nodes)
    added = np.diff(nodes, axis=0)
    assert (added[-1] <= 1.1 * added[:-1].max(axis=0) + 2).all() and added[:, 0].min() > 0
