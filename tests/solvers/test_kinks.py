"""Flows without noise that reach a kink of the loss, where prediction and target are equal, in finite time."""

import numpy as np
import pytest

import dynamics as dyn
from dynamics.solvers.flow_scipy import KINK
from dynamics.vector_field.factory import vector_field_of

NORM = dyn.Loss.parse("|p - sg(z2)|")
TIMES = np.linspace(0, 3, 31)


def test_one_mode_reaches_the_kink_at_the_exact_time():
    """lambda = s: L = |s^(1/2) zeta (s - 1)|, so ds/dt = -2 s^(3/2) E|zeta| sign(s - 1), which ends at s = 1."""
    for s0 in (0.3, 2.0):
        flow = dyn.solve(dyn.Model(NORM), [s0], TIMES)
        end = abs(1 / np.sqrt(s0) - 1) / np.sqrt(2 / np.pi)
        assert flow.status == f"stopped at t = {end:.6g}: {KINK}"
        expected = (1 / np.sqrt(s0) + np.sign(s0 - 1) * np.sqrt(2 / np.pi) * flow.t) ** -2
        np.testing.assert_allclose(flow.s[:, 0], expected, rtol=1e-7)
        assert len(flow.t) == np.searchsorted(TIMES, end)


@pytest.mark.parametrize(
    "model",
    [
        dyn.Model(NORM),
        dyn.Model(NORM, weight_decay=0.05),  # less than the jump of the rates, so that the flow would stay
        dyn.Model(NORM, predictor=dyn.Learned(1.0, 0.5)),
        dyn.Model(dyn.Loss.parse("|p - sg(z2)|^q", q=1.5)),
    ],
    ids=["norm", "decay", "learned", "power"],
)
def test_all_modes_reach_the_kink_together(model):
    flow = dyn.solve(model, [0.2, 0.5, 0.7], TIMES)
    assert flow.status.startswith("stopped at t = ") and flow.status.endswith(KINK)
    assert flow.t[-1] > 1 and np.isfinite(flow.s).all()


@pytest.mark.parametrize(
    ("loss", "noise"), [("|p - sg(z2)|", (0.1, 0.1)), ("sqrt(0.5 + |p - sg(z2)|^2)", (0.0, 0.0))], ids=str
)
def test_with_noise_or_a_softened_norm_there_is_no_kink(loss, noise):
    assert dyn.solve(dyn.Model(dyn.Loss.parse(loss), noise=noise), [0.2, 0.7], TIMES).complete


def test_distance_to_a_kink_is_that_of_differences_alone():
    """p = s z1 and target z2 = z1: |p - z2|/|p| = 1 - 1/s. No norm of a single vector is a kink that a flow reaches."""
    s = np.array([2.0, 2.0])
    for loss, distance in (("|p - sg(z2)|", 0.5), ("-p . sg(z2) / (|p| * |sg(z2)|)", np.inf)):
        field = vector_field_of(dyn.Model(dyn.Loss.parse(loss)), "gaussian")
        assert field.distance_to_kink(field.start(s)) == pytest.approx(distance)


@pytest.mark.parametrize("others", [1, 2])
def test_modes_at_the_kink_leave_the_rates_of_the_last_mode_right(others):
    """For modes with lambda = 1, p - z2 has no component: the other mode is alone, r = sqrt(s) E|zeta|."""
    s = np.array([0.5, *[1.0] * others])
    field = vector_field_of(dyn.Model(NORM), "gaussian")
    np.testing.assert_allclose(field(field.start(s)).rates, [np.sqrt(0.5 * 2 / np.pi), *[0.0] * others], rtol=1e-9)
    assert field.error < 1e-9


def test_the_descent_map_oscillates_about_the_kink():
    """A step eta changes s by at most about 2 eta s^(3/2) E|zeta|, so that the map stays within this distance of 1."""
    descent = dyn.iterate(dyn.Model(NORM), [0.2, 0.5, 0.7], 400, 0.01)
    assert descent.complete
    assert np.abs(descent.s[200:] - 1).max() < 0.02
