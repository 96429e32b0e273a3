"""Analyses of views with second moments of each mode: against formulas by hand, flows and descent maps."""

from itertools import product

import numpy as np
import pytest

import dynamics as dyn
from tests.marks import parametrize

CROSS = np.array([0.4, 1.0, 1.7])
ONLINE = CROSS * np.array([1.6, 1.0, 1.2])
TARGET = CROSS * np.array([0.8, 1.1, 1.9])  # below CROSS in the first mode: view 1 has more noise than view 2
VIEWS = dyn.Views.modes(ONLINE, CROSS, TARGET)
S0 = np.array([0.3, 0.1, 0.7])
MODELS = {
    "weight decay": dyn.Model("euclidean", views=VIEWS, weight_decay=0.05),
    "square root": dyn.Model("euclidean", predictor=dyn.ClosedForm(0.5), views=VIEWS, weight_decay=0.05),
    "isotropic": dyn.Model("euclidean", isotropic=True, views=VIEWS, weight_decay=0.05),
    "no stop-gradient": dyn.Model("euclidean", stop_gradient="none", views=VIEWS),
    "wrong side": dyn.Model("euclidean", stop_gradient="online", views=VIEWS),
    "learned": dyn.Model("euclidean", predictor=dyn.Learned(0.7), views=VIEWS, weight_decay=0.05),
}
ALONE = [name for name in MODELS if name != "learned"]  # the encoder is the only variable


# --- formulas by hand -----------------------------------------------------------------------------------------------


def test_threshold_of_directcopy_for_each_input_variance():
    """Wang et al. 2021: weight decay Sigma^2/(4 (Sigma + sigma^2)), for input variance Sigma and noise sigma^2."""
    variance, noise = np.array([0.3, 1.0, 2.5, 2.5]), np.array([0.0, 0.5, 0.2, 2.0])
    views = dyn.Views.modes(variance + noise, variance, variance + noise)
    threshold = variance**2 / (4 * (variance + noise))
    points = dyn.equilibria(dyn.Model("euclidean", views=views, weight_decay=0.01), np.full(4, 0.1))
    np.testing.assert_allclose(points.fold, threshold, rtol=1e-12)


def test_branches_of_each_mode_meet_at_its_fold():
    diagram = dyn.bifurcation(dyn.Model("euclidean", views=VIEWS), "weight_decay", (0.01, 0.4), points=3)
    folds = {fold.mode: fold.value for fold in diagram if fold.kind == "fold"}
    np.testing.assert_allclose([folds[m] for m in range(3)], CROSS**2 / (4 * ONLINE), rtol=1e-9)  # by Newton's method
    assert [branch.mode for branch in diagram.branches] == np.repeat(range(3), 3).tolist()
    flips = dyn.bifurcation(dyn.Model("euclidean", views=VIEWS), "learning_rate", (0.1, 5.0), points=3)
    expected = {m: ONLINE[m] / CROSS[m] ** 2 for m in range(3)}  # growth rate -2 c^2/n1
    assert {flip.mode: flip.value for flip in flips if flip.kind == "flip"} == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("alpha", [0.5, 1.0])
def test_fixed_points_of_each_mode(alpha):
    """The roots of n1 lambda^2 - c lambda + rho = 0; the smaller one, as rho/(n1 times the larger), is the boundary."""
    model = dyn.Model("euclidean", predictor=dyn.ClosedForm(alpha), views=VIEWS, weight_decay=0.05)
    points = dyn.equilibria(model, S0)
    upper = (CROSS + np.sqrt(CROSS**2 - 4 * ONLINE * 0.05)) / (2 * ONLINE)
    lower = 0.05 / (ONLINE * upper)
    np.testing.assert_allclose(points[0].predictor, upper, rtol=1e-12)
    np.testing.assert_allclose(points.boundary, lower ** (1 / alpha), rtol=1e-10)  # upper - lower cancels one digit
    expected = sorted(product(*([*pair, 0.0] for pair in zip(upper, lower, strict=True))))
    np.testing.assert_allclose(sorted(points, key=lambda e: tuple(e.predictor))[0].predictor, expected[0])
    assert len(points) == len(expected) == 27 and len(points.stable) == 8


def test_a_learned_predictor_is_balanced_with_the_encoder():
    """s = c lambda^2/a_P, at the roots for a closed-form predictor; without weight decay lambda = c/n1 at any s."""
    best = dyn.equilibria(MODELS["learned"], S0)[0]
    upper = (CROSS + np.sqrt(CROSS**2 - 4 * ONLINE * 0.05)) / (2 * ONLINE)
    np.testing.assert_allclose(best.predictor, upper, rtol=1e-12)
    np.testing.assert_allclose(best.s, CROSS * upper**2 / 0.7, rtol=1e-12)
    line = dyn.equilibria(MODELS["learned"].replace(weight_decay=0.0), S0)
    assert not len(line) and "lambda of the modes, in their order, = 0.625, 1, 0.833333 at any s" in line.remark


@pytest.mark.parametrize("loss", ["euclidean", "cosine"])
def test_modes_with_the_same_moments_are_those_of_white_views_in_other_units(loss):
    """With shared moment c, time is c times as fast: growth rates are c times as large, limits of steps 1/c."""
    c, decay = 2.5, 0.05 * (loss == "euclidean")
    views = dyn.Views.modes(np.full(3, c * 1.09), c, np.full(3, c * 1.25))
    points = dyn.equilibria(dyn.Model(loss, views=views, weight_decay=c * decay), S0)
    white = dyn.equilibria(dyn.Model(loss, noise=(0.3, 0.5), weight_decay=decay), S0)
    assert len(points) == len(white)
    for point, expected in zip(points, white, strict=True):
        np.testing.assert_allclose(point.s, expected.s, rtol=1e-12)
        np.testing.assert_allclose(point.growth, c * expected.growth, rtol=1e-7, atol=1e-7)  # of quadrature
        assert point.largest_learning_rate == pytest.approx(expected.largest_learning_rate / c, rel=1e-7)
        assert point.verdict == expected.verdict and str(point).split(":")[0] == str(expected).split(":")[0]
    if loss == "euclidean":
        assert (points.boundary, points.fold) == pytest.approx((white.boundary, c * white.fold), rel=1e-12)


# --- against flows and maps -----------------------------------------------------------------------------------------


@parametrize("name", ALONE, ["weight decay", "isotropic"])
def test_verdicts_are_those_of_flows_that_start_beside_the_fixed_point(name):
    """Above and below it, in all modes; collapsed modes start at a tiny eigenvalue."""
    signs, tiny = np.array(list(product((-1, 1), repeat=3))), 1e-6
    for point in dyn.equilibria(MODELS[name], S0):
        start = np.where(point.s > 0, point.s * (1 + 1e-3 * signs), tiny)
        final = dyn.solve(MODELS[name], start, [0.0, 0.5], rtol=1e-10).s[:, -1]
        before, after = (np.abs(s - point.s) for s in (start, final))
        stable = (after < before).all(axis=0)
        assert stable.all() == (point.verdict == "stable") and (stable | (after > 1.01 * before).all(axis=0)).all()


OF_STEPS = {  # models whose flow depends on the learning rate
    "EMA": dyn.Model("euclidean", target=dyn.EMA(0.9), views=VIEWS, weight_decay=0.05),
    "tracked": dyn.Model("euclidean", predictor=dyn.ClosedForm(tracking=0.9), views=VIEWS, weight_decay=0.05),
}


@parametrize("name", MODELS | OF_STEPS, ["weight decay", "learned"])
def test_the_largest_learning_rate_is_the_edge_of_the_descent_map(name):
    """A singular value's distance from the fixed point shrinks below the edge, and grows above."""
    original = (MODELS | OF_STEPS)[name]
    options = {"learning_rate": 0.1} if name in OF_STEPS else {}
    for point in dyn.equilibria(original, S0, **options).stable:
        for share in (0.97, 1.03):
            start = np.where(point.s > 0, point.s * (1 + 1e-6), 1e-9)
            model = original
            if name == "learned":
                model = dyn.Model("euclidean", predictor=dyn.Learned(0.7, point.predictor + 1e-9), views=VIEWS)
                model = model.replace(weight_decay=0.05)
            run = dyn.iterate(model, start, 400, share * point.largest_learning_rate, record=100)
            distance = np.abs(np.sqrt(run.s) - np.sqrt(point.s)).max(axis=-1)
            assert (distance[-1] < distance[1]) == (share < 1)


@parametrize("name", ALONE, ["weight decay"])
def test_predicted_ends_are_those_of_the_flow(name):
    model = MODELS[name]
    for s0 in (S0, [0.05, 0.01, 0.02], [2.0, 0.2, 0.03]):
        prediction = dyn.collapse(model, s0)
        flow = dyn.solve(model, s0, [0.0, 1e3], until="steady")
        if np.isfinite(prediction.final).all():  # a mode that vanishes does so slowly where its rate is that of a ghost
            np.testing.assert_allclose(flow.s[-1], prediction.final, rtol=1e-5, atol=1e-5)
        else:
            assert not flow.complete and np.isfinite(flow.blow_up_time)


def test_each_mode_has_its_own_reason():
    reasons = dyn.collapse(MODELS["weight decay"].replace(weight_decay=0.08), [0.5, 0.01, 1.0]).reasons
    fold = f"no fixed point beyond the fold at weight decay {0.4**2 / (4 * 0.64):.6g}"
    assert reasons[0] == f"{fold}; a ghost of the fixed points at {0.4 / (2 * 0.64):.6g} delays the collapse"
    assert reasons[1].startswith("starts below the boundary 0.0876") and reasons[2] == "attracted from above"


def test_many_modes_are_predicted_one_by_one():
    """Their equilibria are too many to be listed."""
    views = dyn.Views.modes(np.linspace(1, 2, 60), 1.0, 2.0)
    model = dyn.Model("euclidean", views=views, weight_decay=0.05)
    prediction = dyn.collapse(model, np.full(60, 0.5))
    assert prediction.survives.all() and len(prediction.equilibria) == 60
    with pytest.raises(dyn.ArgumentError, match="equilibria of fewer modes are sufficient"):
        dyn.equilibria(model, np.full(60, 0.5))


@parametrize(
    ("loss", "parameter", "values"),
    [("euclidean", "weight_decay", (0.0, 0.15)), ("cosine", "alpha", (0.5, 1.0))],
    [("euclidean", "weight_decay", (0.0, 0.15))],
)
def test_outcomes_are_those_of_the_descent_map(loss, parameter, values):
    model = dyn.Model(loss, views=VIEWS)
    diagram = dyn.phase_diagram(model, S0, (parameter, values), ("learning_rate", (0.1, 0.4)), points=2)
    for (i, rate), (j, value) in product(enumerate(diagram.y[1]), enumerate(diagram.x[1])):
        end = dyn.iterate(model.replace(**{parameter: value}), S0, 4000, rate, record=4000).s[-1]
        vanishes = end < 1e-3 * S0.max()
        np.testing.assert_array_equal(diagram.s[i, j] == 0, vanishes)
        np.testing.assert_allclose(diagram.s[i, j], np.where(vanishes, 0.0, end), rtol=2e-3)
    assert "unequal modes" in diagram.outcome


# --- printed, drawn, refused ----------------------------------------------------------------------------------------


def test_equilibria_are_printed_in_the_order_of_modes():
    views = dyn.Views.modes([1.0, 1.5], [1.0, 1.0], [1.0, 1.5])
    points = dyn.equilibria(dyn.Model("euclidean", views=views, weight_decay=0.05), [0.1, 0.1])
    text = " ".join(str(points).split())
    assert "modes at 0.947214, 0.61222: stable, up to learning rate 1.18034" in text
    assert "modes at 0.947214, zero: stable" in text and "modes at zero, 0.61222: stable" in text
    assert "modes that start below 0.0527864, 0.0544467 (in their order) collapse" in text
    assert "no mode survives weight decay above 0.25, 0.166667 (in their order), a fold" in text
    labels = {text.get_text() for text in points.plot().texts}
    assert {"1", "2", "1,2"} <= labels
    assert points.to_dict()["fold"] == pytest.approx([1 / 4, 1 / 6])
    assert "mode 2: fold at weight_decay = 0.1666666667" in str(
        dyn.bifurcation(points.model, "weight_decay", (0.1, 0.3))
    )


def test_modes_without_boundary_have_none():
    """Beyond its fold, a mode vanishes from any start."""
    points = dyn.equilibria(MODELS["weight decay"].replace(weight_decay=0.08), S0)
    assert np.isnan(points.boundary).tolist() == [True, False, False]
    assert "below -, 0.0876894, 0.0500669 (in their order)" in " ".join(str(points).split())
    stationary = dyn.equilibria(dyn.Model("euclidean", predictor=dyn.NoPredictor(), views=VIEWS), S0)
    assert stationary.remark == "all eigenvalues in mode 2 are stationary: the rate always equals the weight decay"


def test_fixed_points_are_in_descending_order_of_surviving_modes():
    for model in (MODELS["weight decay"], dyn.Model("euclidean", weight_decay=0.05)):
        surviving = [point.surviving for point in dyn.equilibria(model, S0)]
        assert surviving == sorted(surviving, reverse=True)


@pytest.mark.parametrize("options", [{}, {"isotropic": True}, {"stop_gradient": "none"}])
def test_equilibria_of_interacting_modes_with_different_moments_are_refused(options):
    model = dyn.Model("cosine", views=VIEWS, **options)
    remedy = r"views with the same second moments in all modes, .* `solve` with until='steady'"
    for call in (dyn.equilibria, lambda model, s0: dyn.bifurcation(model, "alpha", (0.5, 2.0), s0)):
        with pytest.raises(dyn.ArgumentError, match=remedy):
            call(model, S0)
    if "stop_gradient" not in options:
        with pytest.raises(dyn.ArgumentError, match=remedy):
            dyn.collapse(model, S0)
    assert dyn.solve(model, S0, [0.0, 500.0], until="steady").status.startswith("steady") or options


def test_the_noise_is_no_parameter_of_a_model_with_views():
    assert "sigma1" not in MODELS["isotropic"].parameter_names and "sigma1" in dyn.Model("cosine").parameter_names
    with pytest.raises(dyn.ArgumentError, match="`parameter` must be one of 'learning_rate', 'weight_decay', 'alpha'"):
        dyn.bifurcation(MODELS["isotropic"], "sigma1", (0.0, 0.3))
