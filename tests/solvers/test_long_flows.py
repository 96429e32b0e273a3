"""Long flows that once did not end: they end, in a bounded number of evaluations, with the right values."""

import numpy as np
import pytest

import dynamics as dyn
from dynamics.solvers import flow_scipy


@pytest.fixture
def evaluations(monkeypatch):
    """The number of evaluations of the rates of each trajectory."""
    counts, integrate = [], flow_scipy._Member.integrate

    def counted(member, bar):
        try:
            return integrate(member, bar)
        finally:
            counts.append(member.evaluations)

    monkeypatch.setattr(flow_scipy._Member, "integrate", counted)
    return counts


@pytest.mark.long
def test_a_mode_that_collapses_in_finite_time_does_not_stop_the_others(evaluations):
    """Without stop-gradient the small mode reaches zero at t = 0.80; the sum is conserved, so that the other stays."""
    flow = dyn.solve(dyn.Model("cosine", stop_gradient="none"), [0.1, 0.5], [0.0, 1e9])
    assert flow.complete and evaluations[0] < 4000
    np.testing.assert_allclose(flow.s[-1], [0.0, 0.6], rtol=1e-8)


@pytest.mark.parametrize("s0", [[1e300], [1e300, 1e-6]])
def test_starts_that_overflow_end_with_a_status(s0):
    flow = dyn.solve(dyn.Model("cosine", weight_decay=1.0), s0, [0.0, 1.0])
    assert flow.status.startswith("stopped at t = 0: the closure's integrals overflow") and len(flow.t) == 1


def test_equal_modes_are_constant(evaluations):
    flow = dyn.solve(dyn.Model("cosine"), [0.4, 0.6], [0.0, 10.0, 1e9])
    assert flow.complete and evaluations[0] < 2000
    np.testing.assert_allclose(flow.s[-1], 0.5, rtol=2e-8)


def test_a_last_time_that_steps_cannot_resolve_ends_with_a_status():
    flow = dyn.solve(dyn.Model("cosine", predictor=dyn.Learned()), [1.0, 0.5], [0.0, 5e-324])
    assert flow.status == "stopped at t = 0: the steps are too short for double precision"
