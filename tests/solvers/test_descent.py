"""The descent map: against gradient descent typed in, the flow, broken invariants, and stability thresholds."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import dynamics as dyn
from derivations.losses.catalogue import Setting
from tests.reference import CONSERVING, invariant, model_of

EUCLIDEAN, ISOTROPIC, COSINE = Setting("euclidean"), Setting("euclidean", isotropic=True), Setting("cosine")


@given(s0=st.lists(st.floats(0.01, 1.2), min_size=1, max_size=4), eta=st.floats(0.01, 0.5), rho=st.floats(0, 0.3))
def test_descent_map_is_gradient_descent(s0, eta, rho):
    """w <- w (1 + eta (r - rho)), r = -lambda (n1 lambda - 1), for lambda = s = w^2, four steps."""
    w = np.sqrt(np.array(s0))
    expected = [w**2]
    for _ in range(4):
        w = w * (1 + eta * (-(w**2) * (1.25 * w**2 - 1) - rho))
        expected.append(w**2)
    gd = dyn.iterate(model_of(EUCLIDEAN, noise=(0.5, 0.1), weight_decay=rho), s0, 4, eta)
    np.testing.assert_allclose(gd.s, expected, rtol=1e-12, atol=1e-15)  # fifty roundings, no cancellation below 1e-3
    np.testing.assert_array_equal(gd.step, range(5))
    np.testing.assert_array_equal(gd.t, eta * np.arange(5))


@pytest.mark.parametrize(
    "setting", [EUCLIDEAN, ISOTROPIC, COSINE, Setting("cosine", isotropic=True)], ids=lambda s: s.name
)
def test_descent_map_converges_to_the_flow_with_order_one(setting):
    model, s0, end = model_of(setting, noise=(0.1, 0.3)), [0.2, 0.5, 1.5], 1.0
    flow = dyn.solve(model, s0, [end], rtol=1e-10).s[-1]
    coarse, fine = (dyn.iterate(model, s0, steps, end / steps).s[-1] - flow for steps in (100, 200))
    # Error c eta + d eta^2 with d of order c: the ratio is 2 up to eta = 0.01 times that order.
    assert (np.abs(coarse) > 1e-5).all()
    assert (coarse / fine > 1.8).all()
    assert (coarse / fine < 2.2).all()


@pytest.mark.parametrize("setting", CONSERVING[::4], ids=lambda s: s.name)
def test_descent_map_breaks_the_invariant_at_second_order(setting):
    """sum s grows by eta^2 sum s r^2 a step; with a power 1 + alpha, up to a relative eta."""
    model, s0, alpha = model_of(setting, 0.5, (0.1, 0.3)), np.array([0.2, 0.5, 1.5]), 0.5

    def growth(eta):
        s = dyn.iterate(model, s0, 1, eta, rtol=1e-11).s
        return np.diff(invariant(setting, s, alpha))[0]

    coarse, fine = growth(0.02), growth(0.01)
    assert coarse > 1e-6
    assert 3.9 < coarse / fine < 4.1


STABLE = [(EUCLIDEAN, 1.25), (ISOTROPIC, 1.0)]


@pytest.mark.parametrize(("setting", "limit"), STABLE, ids=[s.name for s, _ in STABLE])
@pytest.mark.parametrize("alpha", [0.5, 1.0, 2.0])
def test_fixed_point_is_stable_up_to_the_learning_rate_of_the_theory(setting, limit, alpha):
    """Euclidean: eta < n1/alpha, isotropic: eta < 1/alpha. 2 % from it, a deviation is multiplied by 0.96 or 1.04."""
    model, level = model_of(setting, alpha, (0.5, 0.1)), 0.8 ** (1 / alpha)

    def deviation(eta):
        s = dyn.iterate(model, [level * (1 + 1e-6)], 100, eta).s[:, 0]
        return np.abs(s / level - 1)

    below, above = deviation(0.98 * limit / alpha), deviation(1.02 * limit / alpha)
    # Multipliers are exact up to the deviation itself, below 1e-4 throughout.
    assert below[-1] / below[0] == pytest.approx(0.96**100, rel=0.02)
    assert above[-1] / above[0] == pytest.approx(1.04**100, rel=0.02)


@pytest.mark.parametrize(("setting", "limit"), STABLE, ids=[s.name for s, _ in STABLE])
@pytest.mark.parametrize("alpha", [0.5, 1.0])
def test_networks_lose_stability_within_five_percent_of_that_learning_rate(setting, limit, alpha):
    """Below, a deviation of 5 % shrinks to what batches add; above, it grows to the map's oscillation of period two."""
    model, level = model_of(setting, alpha, (0.5, 0.1)), 0.8 ** (1 / alpha)
    W0 = np.sqrt(1.05 * level) * np.eye(2, 3)

    def swing(s):
        """Root mean square change from one step to the next, relative, over the last of 120 steps."""
        return np.sqrt(np.mean(np.diff(s[80:], axis=0) ** 2)) / level

    def trained(factor):
        return swing(dyn.train(model, W0, 120, factor * limit / alpha, batch_size=20_000).s)

    # Each step adds sqrt(2/20 000) = 1 %, times order one; a multiplier of -0.9 collects 1/sqrt(1 - 0.81) = 2.3 of it.
    assert trained(0.95) < 0.1
    predicted = swing(dyn.iterate(model, [1.05 * level], 120, 1.05 * limit / alpha).s)
    assert predicted > 0.15
    assert trained(1.05) == pytest.approx(predicted, rel=0.1)  # a few per cent of noise on an oscillation of 20 or more
