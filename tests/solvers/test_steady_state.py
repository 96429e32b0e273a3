"""Flows that are followed to their rest: where they stop is a fixed point, and what is only slow does not stop."""

import numpy as np
import pytest

import dynamics as dyn

S0, NOISE = np.array([0.02, 0.3, 0.8, 1.5]), (0.3, 0.1)
TIMES = np.linspace(0, 1000, 6)
N1 = 1 + NOISE[0] ** 2


def steady(model, s0=S0, times=TIMES, **options):
    return dyn.solve(model, s0, times, until="steady", **options)


@pytest.mark.parametrize(
    ("model", "expected"),
    [
        (dyn.Model("euclidean", noise=NOISE), [1 / N1] * 4),
        (dyn.Model("euclidean", isotropic=True, noise=NOISE, weight_decay=0.1), [0.9 / N1] * 4),
        (dyn.Model("euclidean", weight_decay=0.05), [0, *[(1 + np.sqrt(0.8)) / 2] * 3]),
        (dyn.Model("euclidean", stop_gradient="none", noise=NOISE), [0, 0, 0, 0]),
        (dyn.Model("cosine", noise=NOISE), [S0.mean()] * 4),
        (dyn.Model("cosine", isotropic=True, noise=NOISE), [np.sqrt((S0**2).mean())] * 4),
    ],
    ids=str,
)
def test_rest_is_a_fixed_point(model, expected):
    """Within a relative 1e-5: at rest are 1e-6 to go, the largest of a few modes, and the flow's error of 1e-8."""
    found = steady(model)
    assert found.status == f"steady at t = {found.t[-1]:.6g}" and found.complete
    assert found.t[-1] < TIMES[-1] and (np.isin(found.t[:-1], TIMES)).all()
    np.testing.assert_allclose(found.s[-1], expected, rtol=1e-5, atol=1e-11)
    longer = dyn.solve(model, S0, [0.0, *found.t[1:]], method="scipy")
    np.testing.assert_allclose(found.s, longer.s, rtol=1e-6, atol=1e-11)


def test_a_learned_predictor_comes_to_rest_where_its_invariant_says():
    model = dyn.Model("euclidean", predictor=dyn.Learned(2.0, 0.5))
    found = steady(model)
    np.testing.assert_allclose(found.predictor[-1], 1, rtol=1e-5)
    np.testing.assert_allclose(found.s[-1], S0 - 0.25 / 2 + 1 / 2, rtol=1e-5)


def test_a_small_mode_beside_others_at_rest_is_waited_for():
    """At t = 1000 all but one are at rest to 1e-16, and that one, 1e-5 at the start, moves at 2e-5."""
    found = steady(dyn.Model("euclidean"), [1e-5, 1.0], np.array([0.0, 1e3, 1e6]))
    assert found.t[-1] > 1e5 / 2
    np.testing.assert_allclose(found.s[-1], 1, rtol=1e-5)


def test_a_ghost_is_slow_and_no_rest():
    """Fixed points have met and vanished: the flow creeps at 2 (n1 n2 - 1) = 2e-6 where one would expect them."""
    model = dyn.Model("euclidean", stop_gradient="none", noise=(0.0, 1e-3))
    before, after = (steady(model, [1.5], np.linspace(0, end, 3)) for end in (500, 1300))
    assert before.status.startswith("not steady at t = 500, moving at a relative speed of")
    assert before.status.endswith("from a steady state if it keeps slowing down")
    assert after.status.endswith("and not slowing down")
    for slow in (before, after):
        assert not slow.complete and len(slow.t) == 3 and slow.s[-1] == pytest.approx(1, abs=0.01)
    gone = steady(model, [1.5], np.linspace(0, 1e5, 3))
    assert gone.complete and gone.s[-1] == pytest.approx(0, abs=1e-11)


def test_where_it_starts_at_rest_it_stays():
    for model, s0 in ((dyn.Model("euclidean"), [1.0, 0.0]), (dyn.Model("cosine", noise=NOISE), [0.7, 0.7, 0.7])):
        found = steady(model, s0)
        assert found.complete
        np.testing.assert_allclose(found.s, np.broadcast_to(s0, found.s.shape), rtol=1e-9)


@pytest.mark.parametrize("times", [[0.0], [0.0, 0.0], [0.0, 5.0], [5.0]])
def test_convergence_is_tested_at_the_start(times):
    """At s = 1 the flow is steady; at s = 1/2 the singular value moves at the relative speed 1/4."""
    found = steady(dyn.Model("euclidean"), [1.0], times)
    assert found.status == "steady at t = 0" and found.t.tolist() == [0.0] and found.s.tolist() == [[1.0]]
    if times[-1] == 0:
        moving = steady(dyn.Model("euclidean"), [0.5], times)
        assert moving.status.startswith("not steady at t = 0, moving at a relative speed of 0.25,")


def test_members_of_an_ensemble_stay_where_they_rest():
    model, starts = dyn.Model("cosine", noise=NOISE), np.array([S0, 2 * S0])
    both = steady(model, starts)
    alone = [steady(model, s0) for s0 in starts]
    assert both.status == f"steady at t = {alone[1].t[-1]:.6g} (the last of 2 members to converge)" and both.complete
    for member, one in zip(both.s, alone, strict=True):
        np.testing.assert_array_equal(member[len(one.t) - 1 :], np.broadcast_to(one.s[-1], (7 - len(one.t), 4)))


def test_an_ensemble_says_which_member_still_moves():
    model = dyn.Model("euclidean")
    found = steady(model, [[1e-5, 1.0], [0.5, 1.0]])
    assert found.status.startswith("not steady in 1 of 2 ensemble members; the first, number 1, is at t = 1000")
    assert not found.complete


def test_divergence_is_no_rest():
    found = steady(dyn.Model("euclidean", stop_gradient="online"), [2.0])
    assert found.status.startswith("eigenvalues diverge")


def test_it_is_saved_with_the_run(tmp_path):
    found = steady(dyn.Model("euclidean"), S0, [0.0, 100.0])
    assert dyn.load(found.save(tmp_path / "rest.npz")).complete


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"until": "rest"}, "`until` must be"),
        ({"until": "steady", "method": "exact"}, "`method` must be 'auto' or 'scipy' with until='steady'"),
        ({"until": "steady", "method": "jax"}, "`method` must be 'auto' or 'scipy' with until='steady'"),
    ],
)
def test_errors(options, message):
    with pytest.raises(dyn.ArgumentError, match=message):
        dyn.solve(dyn.Model("euclidean"), S0, TIMES, **options)


def test_correlated_inputs_are_refused():
    with pytest.raises(dyn.ArgumentError, match="`until` must be left out for a model with `inputs`"):
        steady(dyn.Model("euclidean", inputs=np.diag([1.0, 2.0])), np.eye(2))


@pytest.mark.parametrize("s0", [[0.3], [0.3, 0.0]])
@pytest.mark.parametrize("options", [{}, {"isotropic": True, "predictor": dyn.ClosedForm(2.0, 0.1)}], ids=str)
def test_the_last_mode_of_a_cosine_loss_is_at_rest_at_once(s0, options):
    """The loss is then the sign of p . t, and the rounding of its quadrature moves nothing."""
    flow = dyn.solve(dyn.Model("cosine", **options), s0, [0.0, 1e5], until="steady")
    assert flow.status.startswith("steady") and flow.t[-1] < 1
    np.testing.assert_allclose(flow.s[-1], s0, rtol=1e-14)  # rounding of the coordinates


def test_a_first_step_that_is_tried_too_long_warns_of_nothing():
    """Dead modes far from zero in 1/lambda make the solver's first guess of its step overflow."""
    model = dyn.Model("euclidean", noise=(0.0, 0.57), weight_decay=0.0032)
    flow = dyn.solve(model, [0.116, 0.0, 0.745, 0.730], [0.0, 1e5], until="steady")
    assert flow.status.startswith("steady")
