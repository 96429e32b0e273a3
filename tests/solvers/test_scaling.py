"""Weight decay as a change of scale: against the flow integrated as it is, closed formulas, and long flows."""

import numpy as np
import pytest

import dynamics as dyn
from dynamics.solvers import flow_scipy
from dynamics.solvers.scaling import Scaling
from tests.marks import parametrize

MODELS = {
    "cosine": dyn.Model("cosine", noise=(0.1, 0.3), weight_decay=0.3),
    "square root": dyn.Model("cosine", predictor=dyn.ClosedForm(0.5), weight_decay=0.3),
    "isotropic": dyn.Model("cosine", isotropic=True, predictor=dyn.ClosedForm(0.5), weight_decay=0.2),
    "normalized": dyn.Model("cosine", predictor=dyn.ClosedForm(normalize=True), weight_decay=0.3),
    "no predictor": dyn.Model("cosine", predictor=dyn.NoPredictor(), noise=(0.1, 0.3), weight_decay=0.3),
    "learned": dyn.Model("cosine", predictor=dyn.Learned(2.0, 0.7), noise=(0.1, 0.3), weight_decay=0.2),
    "quartic": dyn.Model(dyn.Loss("|p|^4 / 4"), weight_decay=0.2),
}
S0, TIMES = [0.05, 0.4, 1.5], [0.0, 0.2, 1.0, 2.5]


@parametrize("name", MODELS, quick=["cosine", "quartic"])
def test_the_separated_flow_equals_the_flow_as_it_is(name, monkeypatch):
    """Both to rtol = 1e-9 each, times ten for what a small mode amplifies."""
    model = MODELS[name]
    separated = dyn.solve(model, S0, TIMES, method="scipy", rtol=1e-9)
    monkeypatch.setattr(flow_scipy.Scaling, "of", classmethod(lambda cls, field: cls(field)))
    plain = dyn.solve(model, S0, TIMES, method="scipy", rtol=1e-9)
    for part in ("s", "predictor"):
        np.testing.assert_allclose(getattr(separated, part), getattr(plain, part), rtol=2e-8, atol=1e-13)


@pytest.mark.parametrize("options", [{"target": dyn.EMA(0.9)}, {"predictor": dyn.ClosedForm(1.0, 0.1)}], ids=str)
def test_flows_that_do_not_separate_are_integrated_as_they_are(options):
    model = dyn.Model("cosine", weight_decay=0.1, **options)
    problem = flow_scipy.FlowProblem.of(model, S0, TIMES, learning_rate=0.1 if "target" in options else None)
    assert Scaling.of(problem.field).decay == 0


@pytest.mark.long
@pytest.mark.parametrize(("weight_decay", "times"), [(1.0, [0.0, 10.0]), (10.0, [0.0, 1.0, 2.0])])
def test_equal_modes_shrink_at_the_weight_decay(weight_decay, times):
    """The modes become equal at once; their sum is conserved, but for e^(-2 rho t)."""
    flow = dyn.solve(dyn.Model("cosine", weight_decay=weight_decay), [1e-6, 0.5], times)
    assert flow.complete
    expected = (0.5 + 1e-6) / 2 * np.exp(-2 * weight_decay * np.array(times[1:]))
    np.testing.assert_allclose(flow.s[1:], np.stack([expected] * 2, axis=-1), rtol=2e-8)


SOFTENED = dyn.Model(  # epsilon sets a scale, so that the weight decay is no change of scale
    "cosine", predictor=dyn.ClosedForm(0.5, 0.1), isotropic=True, weight_decay=0.2, symmetrised=True
)


def test_equal_modes_shrink_at_the_weight_decay_also_without_a_change_of_scale():
    """As modes shrink, their rates and the errors of their rates grow as 1/s, until steps follow errors alone."""
    times = [0.0, 1.0, 15.0, 100.0, 1e9]
    flow = dyn.solve(SOFTENED, [1.846, 1.581, 0.271], times)
    assert flow.complete and Scaling.of(flow_scipy.FlowProblem.of(SOFTENED, [1.0], times).field).decay == 0
    np.testing.assert_allclose(flow.s[3], flow.s[2] * np.exp(-0.4 * 85), rtol=1e-12)
    np.testing.assert_allclose(flow.s[2], flow.s[2, 0], rtol=1e-8)
    assert not flow.s[4].any()
    steady = dyn.solve(SOFTENED, [1.846, 1.581, 0.271], [0.0, 15.0, 1e9], until="steady")
    assert steady.status == f"steady at t = {steady.t[-1]:.6g}"  # all modes have shrunk to 5e-7 of the largest w(0)
    np.testing.assert_allclose(steady.s[-1], 1.846 * 0.25e-12, rtol=1e-8)
    np.testing.assert_allclose(steady.s[:-1], flow.s[[0, 2]], rtol=1e-12)
    moving = dyn.solve(SOFTENED, [1.846, 1.581, 0.271], [0.0, 15.0, 50.0], until="steady")
    assert moving.status == "not steady at t = 50, moving at a relative speed of 0.2, and not slowing down"
    np.testing.assert_allclose(moving.s[-1], flow.s[2] * np.exp(-0.4 * 35), rtol=2e-8)


@pytest.mark.long
def test_a_learned_predictor_of_equal_eigenvalues_moves_with_the_scale_alone():
    model = dyn.Model("cosine", predictor=dyn.Learned(), weight_decay=0.05)
    flow = dyn.solve(model, [0.1, 0.5], [0.0, 80.0])
    np.testing.assert_allclose(flow.s[-1], np.array([0.1, 0.5]) * np.exp(-8), rtol=3e-8)
    np.testing.assert_allclose(flow.predictor[-1], np.exp(-4), rtol=3e-8)


def test_too_many_evaluations_end_with_a_status(monkeypatch):
    monkeypatch.setattr(flow_scipy, "MAX_EVALUATIONS", 10)
    monkeypatch.setattr(flow_scipy, "EVALUATIONS_PER_VARIABLE", 10)
    flow = dyn.solve(dyn.Model("cosine"), [0.1, 0.5], np.linspace(0, 5, 100))
    assert flow.status.endswith("more than 30 evaluations of the rates needed")
    assert 1 <= len(flow.t) < 100 and np.isfinite(flow.s).all()


@pytest.mark.parametrize("weight_decay", [1e300, 1e308])
def test_a_weight_decay_whose_products_overflow_ends_with_a_status(weight_decay):
    flow = dyn.solve(dyn.Model("cosine", weight_decay=weight_decay), [0.1, 0.5], [0.0, 1.0], closure="mean_field")
    assert flow.status.startswith("stopped at t = 0") or not flow.s[-1].any()


@pytest.mark.parametrize("s0", [[1e308, 1.0], [1e200, 7.0]])
def test_a_first_step_without_length_ends_with_a_status(s0):
    """The rates overflow at the start, so that the solver would shorten its first step forever."""
    model = dyn.Model("euclidean", predictor=dyn.ClosedForm(1.0, 0.1), weight_decay=1.0)
    flow = dyn.solve(model, s0, [0.0, 1.0])
    assert flow.status == "stopped at t = 0: the rates leave the range of double precision"
    np.testing.assert_array_equal(flow.s, [s0])
