"""Linear stability: Jacobian blocks against formulas of the Euclidean loss."""

import numpy as np
import pytest

import dynamics as dyn
from dynamics.analysis.stability import SurvivingModes


@pytest.mark.parametrize("isotropic", [False, True])
@pytest.mark.parametrize("alpha", [0.5, 1.0, 2.0])
def test_growth_of_independent_modes_is_the_derived_one(isotropic, alpha):
    """dw/dt = w h (1 - lambda) has the slope -2 alpha h at lambda = 1, h = 1 there; a step multiplies by 1 + eta g."""
    model = dyn.Model("euclidean", isotropic=isotropic, predictor=dyn.ClosedForm(alpha))
    modes = SurvivingModes.at(model, 1.0, 3, None)
    np.testing.assert_allclose(modes.growth, [-2 * alpha] * 3, rtol=1e-9)  # differences of sixth order
    np.testing.assert_allclose(modes.multipliers(0.1), [1 - 0.2 * alpha] * 3, rtol=1e-9)
    assert modes.largest_learning_rate == pytest.approx(1 / alpha, rel=1e-9)


def test_a_conserved_common_perturbation_is_left_out():
    growth = [SurvivingModes.at(dyn.Model("cosine"), 0.5, 3, None, neutral=neutral).growth for neutral in (0, 1)]
    assert [len(rates) for rates in growth] == [3, 2]
    assert np.abs(growth[0]).min() < 1e-7 < np.abs(growth[1]).min()


def test_the_largest_learning_rate_is_searched_where_something_decays_per_step():
    model = dyn.Model("euclidean", target=dyn.EMA(0.9), weight_decay=0.05)
    s = dyn.equilibria(model, [1.0], learning_rate=0.1)[0].s[0]
    modes = SurvivingModes.at(model, s, 1, 0.1)
    assert np.abs(modes.multipliers(modes.largest_learning_rate)).max() == pytest.approx(1, rel=1e-9)
    assert np.abs(modes.multipliers(0.99 * modes.largest_learning_rate)).max() < 1
