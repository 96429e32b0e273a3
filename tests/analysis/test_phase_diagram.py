"""Phase diagrams: against ends predicted from fixed points, thresholds of the theory, and single runs."""

import numpy as np
import pytest

import dynamics as dyn
from dynamics.analysis import ensemble_descent

S0 = np.array([0.05, 0.2, 0.6, 1.2])
RHO, SIGMA = ("weight_decay", np.linspace(0.0, 0.3, 8)), ("sigma1", np.linspace(0.0, 1.2, 7))


def points(diagram):
    """(model, learning rate or None, outcome, s) of each point."""
    (x, along_x), (y, along_y) = diagram.x, diagram.y
    for (j, i), outcome in np.ndenumerate(diagram.outcome):
        numbers = {x: float(along_x[i]), y: float(along_y[j])}
        eta = numbers.pop("learning_rate", None)
        yield diagram.model.replace(**numbers), eta, outcome, diagram.s[j, i]


@pytest.mark.parametrize(
    "model",
    [
        dyn.Model("euclidean"),
        dyn.Model("euclidean", isotropic=True),
        dyn.Model("euclidean", predictor=dyn.ClosedForm(2.0, 0.05), symmetrised=True),
        dyn.Model("euclidean", stop_gradient="online"),
        dyn.Model("euclidean", stop_gradient="none", noise=(0, 0.1)),
    ],
    ids=str,
)
def test_small_steps_end_as_the_fixed_points_predict(model):
    """Steps of 0.05 stay on the side of the boundary that they start on. Eigenvalues: to the 1e-3 left to go."""
    diagram = dyn.phase_diagram(model, S0, RHO, SIGMA, learning_rate=0.05)
    assert diagram.outcome.shape == (7, 8) and diagram.s.shape == (7, 8, 4)
    for at_point, _, outcome, s in points(diagram):
        predicted = dyn.collapse(at_point, S0)
        if predicted.outcome == "unequal modes":  # some start at a fixed point where others do not
            continue
        assert outcome == predicted.outcome, at_point
        if predicted.outcome != "divergence":  # modes may still be on their way when the first one is gone
            np.testing.assert_allclose(s, predicted.final, rtol=2e-3)


@pytest.mark.parametrize(("isotropic", "alpha"), [(False, 1.0), (False, 0.5), (True, 1.0), (True, 2.0)])
def test_oscillation_starts_at_the_edge_of_stability(isotropic, alpha):
    """All modes survive and converge below eta = n1/alpha (isotropic: 1/alpha), and swing above it."""
    model = dyn.Model("euclidean", isotropic=isotropic, predictor=dyn.ClosedForm(alpha))
    share = np.array([0.5, 0.9, 0.97, 1.03, 1.1, 1.2])
    sigma = np.array([0.0, 0.15, 0.3])
    for k, sigma1 in enumerate(sigma):
        limit = (1.0 if isotropic else 1 + sigma1**2) / alpha
        diagram = dyn.phase_diagram(model, S0, ("learning_rate", share * limit), ("sigma1", sigma))
        assert list(diagram.outcome[k]) == ["equal modes"] * 3 + ["oscillation"] * 3


def test_an_oscillation_is_that_of_the_descent_map():
    model, eta = dyn.Model("euclidean", weight_decay=0.02), 1.2
    diagram = dyn.phase_diagram(model, [0.5], ("learning_rate", (eta, 1.25)), ("sigma1", (0.0, 0.1)), points=2)
    gd = dyn.iterate(model, [0.5], 5000, eta)
    assert diagram.outcome[0, 0] == "oscillation"
    assert np.abs(gd.s[-2:, 0] - diagram.s[0, 0, 0]).min() < 1e-9 and np.ptp(gd.s[-2:]) > 0.1
    assert gd.s[-1] == pytest.approx(gd.s[-3], rel=1e-12)  # of period two


@pytest.mark.long
def test_points_with_a_learned_predictor_and_a_separate_target_end_as_single_runs():
    model = dyn.Model("euclidean", predictor=dyn.Learned(1.0, 0.5), target=dyn.EMA(0.8), noise=(0.2, 0.1))
    diagram = dyn.phase_diagram(
        model, [0.3, 0.8], ("weight_decay", [0.01, 0.1, 0.4]), ("rate", [0.5, 1.0, 2.0]), learning_rate=0.2
    )
    for at_point, _, outcome, s in points(diagram):
        gd = dyn.iterate(at_point, [0.3, 0.8], 20_000, 0.2, record=20_000)
        np.testing.assert_allclose(s, np.where(gd.s[-1] < 1e-6, 0, gd.s[-1]), rtol=2e-3)
        assert outcome == ("collapse" if gd.s[-1].max() < 1e-6 else "equal modes")
    assert set(diagram.outcome.ravel()) == {"collapse", "equal modes"}


def test_cosine_modes_become_equal_but_not_without_stop_gradient():
    noise, rates = ("sigma1", (0.2, 0.5)), ("learning_rate", (0.1, 0.3))
    standard = dyn.phase_diagram(dyn.Model("cosine"), [0.3, 0.9], rates, noise, points=2)
    assert (standard.outcome == "equal modes").all()
    np.testing.assert_allclose(standard.s, 0.6, rtol=0.05)  # the sum is conserved to order eta
    none = dyn.phase_diagram(dyn.Model("cosine", stop_gradient="none"), [0.05, 0.9, 0.9], rates, noise, points=2)
    assert (none.outcome == "partial collapse").all() and (none.s[..., 0] == 0).all() and (none.s[..., 1:] > 0).all()


def test_points_that_have_not_ended_are_undecided():
    diagram = dyn.phase_diagram(dyn.Model("euclidean"), [1e-4], RHO, SIGMA, learning_rate=0.01, steps=100)
    assert diagram.outcome[0, 0] == "undecided" and diagram.steps[0, 0] == 128
    assert diagram.s[0, 0, 0] == pytest.approx(
        dyn.iterate(dyn.Model("euclidean"), [1e-4], 128, 0.01).s[-1, 0], rel=1e-12
    )


def test_interrupted_it_keeps_the_points_that_have_ended(monkeypatch):
    model = dyn.Model("euclidean", stop_gradient="online")
    whole = dyn.phase_diagram(model, S0, RHO, SIGMA, learning_rate=0.05)
    step, calls = ensemble_descent.one_step, []

    def interrupted(*arguments):
        calls.append(None)
        if len(calls) > whole.steps.max() / 2:
            raise KeyboardInterrupt
        return step(*arguments)

    monkeypatch.setattr(ensemble_descent, "one_step", interrupted)
    part = dyn.phase_diagram(model, S0, RHO, SIGMA, learning_rate=0.05)
    done = part.outcome != "undecided"
    assert 0 < done.sum() < done.size and part.status == f"interrupted with {(~done).sum()} of 56 points undecided"
    np.testing.assert_array_equal(part.outcome[done], whole.outcome[done])


def test_print_gives_the_share_of_each_outcome():
    model = dyn.Model("euclidean", stop_gradient="online")
    sigma2 = ("sigma2", (0.0, 2.0))
    lines = str(
        dyn.phase_diagram(model, [0.5, 2.0], ("weight_decay", (0.0, 0.3)), sigma2, learning_rate=0.05, points=2)
    )
    assert lines.splitlines() == [
        "Phase diagram of Model(loss='euclidean', stop_gradient='online'), 4 points",
        "  weight_decay  0 to 0.3",
        "  sigma2        0 to 2",
        "  collapse      50 %",
        "  divergence    50 %",
        "  status        complete",
    ]


def test_a_range_of_two_numbers_has_evenly_spaced_points():
    diagram = dyn.phase_diagram(
        dyn.Model("euclidean"), [0.5], ("weight_decay", (0.0, 0.3)), ("sigma1", [0.0, 0.3, 0.4]), learning_rate=0.3
    )
    assert diagram.outcome.shape == (3, 50)
    np.testing.assert_array_equal(diagram.x[1], np.linspace(0.0, 0.3, 50))
    np.testing.assert_array_equal(diagram.y[1], [0.0, 0.3, 0.4])


def diagram(model=None, s0=S0, x=RHO, y=SIGMA, **options):
    return lambda: dyn.phase_diagram(model or dyn.Model("euclidean"), s0, x, y, **({"learning_rate": 0.1} | options))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (diagram("cosine"), "`model` must be a Model"),
        (diagram(dyn.Model("euclidean", inputs=np.eye(4))), "`model` must have white inputs"),
        (
            diagram(dyn.Model("euclidean", weight_decay=[0.1, 0.2])),
            "`model` must have plain numbers as parameters",
        ),
        (diagram(s0=[S0]), r"`s0` must have the shape \(M,\)"),
        (diagram(s0=[0.0]), "`s0` must have at least one eigenvalue above zero"),
        (diagram(s0=[-1.0]), "`s0` must be finite and non-negative eigenvalues"),
        (diagram(x="weight_decay"), r"`x` must be a pair \(name, range\)"),
        (diagram(y=("weight_deca", [0, 1])), "`y` must be one of .*Did you mean 'weight_decay'"),
        (diagram(y=("sigma1", [1.0, 0.5])), r"`y` must be a range: two ascending numbers"),
        (diagram(y=("sigma1", [1.0])), r"`y` must be a range: two ascending numbers"),
        (diagram(y=("sigma1", [0.0, np.nan])), r"`y` must be a range"),
        (diagram(y=("sigma1", [-1.0, 0.0])), "`noise` must be two non-negative numbers"),
        (diagram(y=RHO), "`y` must name another parameter than `x`"),
        (diagram(learning_rate=None), "`learning_rate` must be given, unless `x` or `y`"),
        (
            diagram(x=("learning_rate", [0.1, 0.2])),
            "`learning_rate` must be left out, because `x` or `y` already sets the learning rate",
        ),
        (diagram(x=("learning_rate", [0.0, 0.2]), learning_rate=None), "`learning_rate` must be a positive number"),
        (diagram(points=1), "`points` must be a whole number >= 2"),
        (diagram(steps=0), "`steps` must be a whole number >= 1"),
        (diagram(rtol=0), "`rtol` must be a positive number"),
        (diagram(closure="mean_field"), "`closure` must be 'gaussian' for the euclidean loss"),
    ],
)
def test_bad_arguments_are_refused(call, message):
    with pytest.raises(dyn.ArgumentError, match=message):
        call()
