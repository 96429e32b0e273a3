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


SCALES = (1e-12, 1e-6, 1e6, 1e12)
SCALE_FREE = {  # models with the degree d of their rates, which are proportional to s^-d
    "cosine": (dyn.Model("cosine", noise=(0.1, 0.2)), 1.0),
    "isotropic": (dyn.Model("cosine", isotropic=True, predictor=dyn.ClosedForm(0.5)), 1.5),
    "online": (dyn.Model("cosine", stop_gradient="online", noise=(0.1, 0.2)), 1.0),
    "none": (dyn.Model("cosine", stop_gradient="none", noise=(0.1, 0.2)), 1.0),
}


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("name", SCALE_FREE)
def test_a_scale_free_loss_has_the_same_stability_at_all_scales(name, scale):
    """Growth rates are proportional to s^-d, and learning rates to s^d."""
    model, degree = SCALE_FREE[name]
    one, scaled = (dyn.equilibria(model, factor * np.array([0.2, 0.5, 0.9])) for factor in (1.0, scale))
    time = scale**degree
    assert [e.verdict for e in scaled] == [e.verdict for e in one] and "stable" in {e.verdict for e in one}
    for a, b in zip(one, scaled, strict=True):
        np.testing.assert_allclose(time * b.growth, a.growth, rtol=1e-7)
        np.testing.assert_allclose(b.largest_learning_rate, time * a.largest_learning_rate, rtol=1e-7)
        assert a.recovers == b.recovers


@pytest.mark.parametrize("scale", SCALES)
def test_a_learning_rate_is_searched_at_the_scale_of_the_rates(scale):
    model = dyn.Model("cosine", target=dyn.EMA(0.9))
    limits = [
        dyn.equilibria(model, factor * np.array([0.2, 0.5]), learning_rate=0.1 * factor)[0].largest_learning_rate
        for factor in (1.0, scale)
    ]
    assert 0 < limits[0] < np.inf and limits[1] == pytest.approx(scale * limits[0], rel=1e-7)


def multiple(mu):
    """The Euclidean loss times mu, with the weight decay 0.05 mu: time runs mu times as fast."""
    return dyn.Model(dyn.Loss("mu * |p - sg(z2)|^2 / 2", {"mu": mu}), weight_decay=0.05 * mu)


@pytest.mark.parametrize("mu", SCALES)
def test_a_multiple_of_a_loss_has_the_same_stability(mu):
    one, scaled = (dyn.equilibria(multiple(factor), [0.5]) for factor in (1.0, mu))
    assert [e.verdict for e in scaled] == [e.verdict for e in one] == ["stable", "unstable", "stable"]
    for a, b in zip(one, scaled, strict=True):
        np.testing.assert_allclose(b.growth, mu * a.growth, rtol=1e-7)
        np.testing.assert_allclose(b.largest_learning_rate * mu, a.largest_learning_rate, rtol=1e-7)


@pytest.mark.parametrize("mu", SCALES)
@pytest.mark.parametrize(("parameter", "power"), [("weight_decay", 1), ("learning_rate", -1)])
def test_a_multiple_of_a_loss_has_the_same_bifurcations(parameter, power, mu):
    between = np.array([0.01, 0.4]) if parameter == "weight_decay" else np.array([0.5, 50.0])
    one, scaled = (
        dyn.bifurcation(multiple(factor), parameter, between * factor**power, points=9) for factor in (1.0, mu)
    )
    assert [p.kind for p in scaled.points] == [p.kind for p in one.points] and one.points
    np.testing.assert_allclose([p.value for p in scaled.points], [p.value * mu**power for p in one.points], rtol=1e-7)
    assert [b.stable.tolist() for b in scaled.branches] == [b.stable.tolist() for b in one.branches]


def test_the_largest_learning_rate_is_searched_where_something_decays_per_step():
    model = dyn.Model("euclidean", target=dyn.EMA(0.9), weight_decay=0.05)
    s = dyn.equilibria(model, [1.0], learning_rate=0.1)[0].s[0]
    modes = SurvivingModes.at(model, s, 1, 0.1)
    assert np.abs(modes.multipliers(modes.largest_learning_rate)).max() == pytest.approx(1, rel=1e-9)
    assert np.abs(modes.multipliers(0.99 * modes.largest_learning_rate)).max() < 1
