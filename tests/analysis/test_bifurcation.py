"""Bifurcation diagrams: against theory section 5, equilibria one by one, and maps beside the special points."""

import numpy as np
import pytest
import sympy as sp

import dynamics as dyn
from derivations.losses.catalogue import Setting
from derivations.symbols import notation as n
from derivations.theory import equilibria as derived
from derivations.theory import rates

S0, NOISE = np.array([0.2, 0.5, 1.0]), (0.3, 0.1)
N1 = 1 + NOISE[0] ** 2


def euclidean(**options):
    return dyn.Model("euclidean", **({"noise": NOISE} | options))


def special(diagram):
    return [(point.kind, pytest.approx(point.value, abs=1e-8), pytest.approx(point.s, abs=1e-8)) for point in diagram]


def at(diagram, kind):
    return [(point.value, point.s) for point in diagram if point.kind == kind]


# --- theory, section 5 ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("alpha", [0.5, 1.0, 2.0])
@pytest.mark.parametrize("sigma1", [0.0, 0.3])
def test_fold_in_weight_decay(alpha, sigma1):
    """rho_c = 1/(4 n1): followed numerically, and derived."""
    model = euclidean(noise=(sigma1, 0.5), predictor=dyn.ClosedForm(alpha))
    ((value, s),) = at(dyn.bifurcation(model, "weight_decay", (0.0, 0.3)), "fold")
    n1 = 1 + sigma1**2
    assert value == pytest.approx(1 / (4 * n1), rel=1e-14) and s == pytest.approx((2 * n1) ** (-1 / alpha), rel=1e-7)
    rate = derived.independent_rate(rates.rates(Setting("euclidean").in_eigenbasis()))
    assert float(derived.fold(rate)[0].subs(n.n1, sp.Float(n1, 30))) == pytest.approx(value, rel=1e-14)


def test_fold_in_noise():
    """4 n1 rho = 1 at sigma1 = sqrt(1/(4 rho) - 1)."""
    diagram = dyn.bifurcation(euclidean(weight_decay=0.1), "sigma1", (0.0, 2.0))
    assert special(diagram) == [("fold", np.sqrt(1.5), 0.2)]


def test_isotropic_survivors_meet_the_collapsed_mode_without_a_fold():
    """lambda = (1 - rho)/n1 up to rho = 1."""
    diagram = dyn.bifurcation(euclidean(isotropic=True), "weight_decay", (0.0, 1.3))
    assert special(diagram) == [("transcritical", 1.0, 0.0)]
    surviving, collapsed = diagram.branches
    np.testing.assert_allclose(surviving.s, (1 - surviving.value) / N1, atol=1e-15)
    assert surviving.stable[:-1].all()
    np.testing.assert_array_equal(collapsed.stable, collapsed.value > 1)


def test_epsilon_lifts_the_collapsed_mode_over_the_boundary():
    """epsilon^alpha meets the roots lambda = (1 +- sqrt(1 - 4 n1 rho))/(2 n1): below the lower one zero is stable."""
    rho, alpha = 0.1, 0.5
    diagram = dyn.bifurcation(euclidean(weight_decay=rho, predictor=dyn.ClosedForm(alpha)), "epsilon", (0.0, 1.0))
    roots = (1 + np.array([-1, 1]) * np.sqrt(1 - 4 * N1 * rho)) / (2 * N1)
    assert special(diagram) == [("transcritical", root ** (1 / alpha), 0.0) for root in roots]
    collapsed = next(branch for branch in diagram.branches if not branch.surviving)
    outside = (collapsed.value < roots[0] ** 2) | (collapsed.value > roots[1] ** 2)
    np.testing.assert_array_equal(collapsed.stable, outside)


@pytest.mark.parametrize("isotropic", [False, True])
@pytest.mark.parametrize("alpha", [0.5, 2.0])
def test_flip_at_the_edge_of_stability(isotropic, alpha):
    """Without weight decay eta = n1/alpha, isotropic 1/alpha."""
    model = euclidean(isotropic=isotropic, predictor=dyn.ClosedForm(alpha))
    diagram = dyn.bifurcation(model, "learning_rate", (0.1, 3.0))
    assert special(diagram) == [("flip", (1 if isotropic else N1) / alpha, N1 ** (-1 / alpha))]
    surviving = diagram.branches[0]
    np.testing.assert_array_equal(surviving.stable, surviving.value < diagram.points[0].value)


@pytest.mark.parametrize("parameter", ["weight_decay", "sigma1", "sigma2"])
def test_without_stop_gradient_the_surviving_branch_is_one_point(parameter):
    """Semi-stable lambda = 1 at sigma = rho = 0; no fixed point above zero beyond."""
    diagram = dyn.bifurcation(euclidean(stop_gradient="none", noise=(0, 0)), parameter, (0.0, 0.5))
    assert special(diagram) == [("fold", 0.0, 1.0)]
    surviving, collapsed = diagram.branches
    assert len(surviving.value) == 1 and not surviving.stable.any() and collapsed.stable.all()


def test_equal_cosine_modes_keep_the_invariant():
    model = dyn.Model("cosine", isotropic=True, noise=NOISE)
    diagram = dyn.bifurcation(model, "alpha", (0.5, 2.0), S0, points=3)
    assert [branch.surviving for branch in diagram.branches] == [3, 2, 1] and not len(diagram)
    for branch in diagram.branches:
        power = 1 + branch.value
        np.testing.assert_allclose(branch.surviving * branch.s**power, (S0[:, None] ** power).sum(axis=0), rtol=1e-12)
        assert (branch.stable == (branch.surviving == 3)).all()
    assert "weight decay shrinks" in str(dyn.bifurcation(model, "weight_decay", (0.0, 0.1), S0))


# --- against equilibria, flow and map -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("model", "parameter", "between", "eta"),
    [
        (euclidean(), "weight_decay", (0.01, 0.3), None),
        (euclidean(weight_decay=0.05, predictor=dyn.ClosedForm(2.0, 0.05)), "alpha", (0.5, 2.0), None),
        (euclidean(symmetrised=True, weight_decay=0.05), "sigma2", (0.0, 1.0), None),
        (euclidean(stop_gradient="online"), "weight_decay", (0.0, 1.0), None),
        (euclidean(target=dyn.EMA(0.9)), "weight_decay", (0.01, 0.3), 0.1),
        (euclidean(predictor=dyn.NoPredictor()), "sigma1", (0.1, 0.5), None),
        (euclidean(predictor=dyn.Learned(2.0)), "weight_decay", (0.01, 0.3), None),
    ],
    ids=str,
)
def test_branches_are_the_equilibria(model, parameter, between, eta):
    """At each of some values: as many as there are, at their levels, with their verdicts."""
    diagram = dyn.bifurcation(model, parameter, between, learning_rate=eta)
    for value in np.linspace(*between, 7)[1:-1]:
        expected = dyn.equilibria(model.replace(**{parameter: value}), [1.0], learning_rate=eta)
        here = [branch for branch in diagram.branches if branch.value[0] <= value <= branch.value[-1]]
        levels = sorted((np.interp(value, b.value, b.s), bool(b.stable[np.searchsorted(b.value, value)])) for b in here)
        assert [stable for _, stable in levels] == [e.verdict == "stable" for e in reversed(expected.fixed_points)]
        # Interpolated between points 0.02 apart, on curves of curvature of order one away from the folds
        np.testing.assert_allclose([s for s, _ in levels], [e.s[0] for e in reversed(expected.fixed_points)], atol=2e-3)


RANGES = {  # models with a collapsed mode that grows back at one end of the range, at both ends, or at none
    "alpha 1/2": (euclidean(predictor=dyn.ClosedForm(0.5)), (0.0, 0.3)),
    "alpha 1": (euclidean(), (0.0, 0.3)),
    "alpha 2": (euclidean(predictor=dyn.ClosedForm(2.0)), (0.0, 0.3)),
    "gain": (dyn.Model("euclidean", gain="lambda^0.5", noise=NOISE), (0.0, 0.3)),
    "epsilon": (euclidean(predictor=dyn.ClosedForm(epsilon=0.1)), (0.0, 0.05)),
    "isotropic": (euclidean(isotropic=True), (0.0, 0.3)),
    "no stop-gradient": (euclidean(stop_gradient="none"), (0.0, 0.3)),
    "user-defined": (dyn.Model("|p - sg(z2)|^2 / 2", noise=NOISE), (0.0, 0.3)),
    "above zero": (euclidean(), (0.01, 0.3)),
}


@pytest.mark.parametrize("case", RANGES)
def test_a_collapsed_mode_has_the_stability_that_equilibria_and_flow_give_it(case):
    """At a weight decay of zero it grows back, ds/dt = 2 s^2 for alpha = 1, although its growth rate is zero."""
    model, between = RANGES[case]
    diagram = dyn.bifurcation(model, "weight_decay", between, points=5)
    branch = next(branch for branch in diagram.branches if branch.surviving == 0)
    verdicts = []
    for value, stable in zip(branch.value, branch.stable, strict=True):
        single = model.replace(weight_decay=value)
        (collapsed,) = (e for e in dyn.equilibria(single, [0.1]) if not e.surviving)
        flow = dyn.solve(single, [1e-6], [0.0, 1e-3])
        assert stable == (collapsed.verdict == "stable") == (flow.s[1, 0] < flow.s[0, 0])
        verdicts.append(collapsed.verdict)
    (line,) = (value for _, value in diagram.facts() if value.startswith("all collapsed"))
    exception = f", unstable at {between[0]:g}" if verdicts[0] == "unstable" and set(verdicts[1:]) == {"stable"} else ""
    inside = set(verdicts[1:-1])
    words = {"stable": "stable", "unstable": "not stable"}[inside.pop()] if len(inside) == 1 else "stable in part"
    assert line.partition(": ")[2] == words + exception


def test_the_descent_map_oscillates_above_a_flip():
    """A deviation decays below, and becomes an oscillation above."""
    model = euclidean(weight_decay=0.1, target=dyn.EMA(0.5))
    ((eta, s),) = at(dyn.bifurcation(model, "learning_rate", (0.1, 5.0)), "flip")
    for share, settles in ((0.97, True), (1.03, False)):
        gd = dyn.iterate(model, [1.01 * s], 1000, share * eta)
        assert (abs(gd.s[-1, 0] / s - 1) < 1e-9) == settles


def test_a_complex_pair_is_a_neimark_sacker_point():
    """With a target that hardly follows, the two by two matrix of a mode loses stability by complex factors."""
    model = dyn.Model("euclidean", isotropic=True, weight_decay=0.1, target=dyn.EMA(0.9), predictor=dyn.ClosedForm(2.0))
    diagram = dyn.bifurcation(model, "learning_rate", (0.01, 10.0))
    for point in diagram:
        (equilibrium,) = (e for e in diagram.branches[0].equilibria[:1])
        factors = equilibrium.multipliers(point.value)
        assert np.abs(factors).max() == pytest.approx(1, abs=1e-12)
        assert (point.kind == "neimark-sacker") == bool(np.iscomplex(factors).any())
    assert len(diagram) == 1


def test_values_of_the_parameter_may_be_given():
    values = np.array([0.01, 0.02, 0.3])
    diagram = dyn.bifurcation(euclidean(), "weight_decay", values)
    assert diagram.between == (0.01, 0.3) and [point.kind for point in diagram] == ["fold"]
    np.testing.assert_array_equal(diagram.branches[-1].value, values)
    ends = dyn.bifurcation(dyn.Model("cosine"), "alpha", (0.5, 2.0), S0, points=4)
    np.testing.assert_array_equal(ends.branches[0].value, [0.5, 1.0, 1.5, 2.0])


# --- printed, refused -----------------------------------------------------------------------------------------------


def test_print_lists_branches_and_points():
    assert str(dyn.bifurcation(euclidean(), "weight_decay", (0.01, 0.3))).splitlines() == [
        "Equilibria of Model(loss='euclidean', noise=(0.3, 0.1)), weight_decay from 0.01 to 0.3",
        "  1 surviving at 0.90732 to 0.458716, weight_decay 0.01 to 0.229358: stable",
        "  1 surviving at 0.0101114 to 0.458716, weight_decay 0.01 to 0.229358: not stable",
        "  all collapsed, weight_decay 0.01 to 0.3: stable",
        "  fold at weight_decay = 0.2293577982, s = 0.458716",
    ]
    normalized = dyn.bifurcation(euclidean(predictor=dyn.ClosedForm(normalize=True)), "alpha", (0.5, 1.0))
    assert "normalized predictor" in str(normalized)


COSINE = dyn.Model("cosine")


@pytest.mark.parametrize(
    ("model", "parameter", "between"),
    [
        (COSINE, "weight_decay", (0.0, 0.3)),
        (COSINE.replace(weight_decay=0.1), "alpha", (0.5, 1.0)),
        (COSINE.replace(weight_decay=0.1), "learning_rate", (0.1, 1.0)),
    ],
    ids=str,
)
def test_a_start_is_not_required_where_there_are_no_equilibria_for_any(model, parameter, between):
    without, given = (dyn.bifurcation(model, parameter, between, s0, points=3) for s0 in (None, [0.1, 0.5]))
    assert without.remark == given.remark and "weight decay shrinks all modes" in without.remark


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: dyn.bifurcation("cosine", "alpha", (0, 1)), "`model` must be a Model"),
        (
            lambda: dyn.bifurcation(dyn.Model("cosine", predictor=dyn.Learned()), "rate", (0, 1)),
            "`model` must have a predictor that is not learned, or",
        ),
        (lambda: dyn.bifurcation(euclidean(predictor=dyn.Learned()), "init", (0, 1)), "`parameter` must be one of"),
        (lambda: dyn.bifurcation(COSINE, "weight_deca", (0, 1)), "`parameter` must be one of .* 'weight_decay'"),
        (lambda: dyn.bifurcation(COSINE, "decay", (0, 1)), "`parameter` must be one of"),
        (lambda: dyn.bifurcation(COSINE, "alpha", (1, 0.5)), "`between` must be a range: two ascending numbers"),
        (
            lambda: dyn.bifurcation(COSINE, "alpha", [1, 3, 2]),
            "`between` must be a range: .* or three or more ascending",
        ),
        (
            lambda: dyn.bifurcation(COSINE, "learning_rate", (0, 1)),
            "`between` must contain only values that `learning_rate` can have",
        ),
        (lambda: dyn.bifurcation(COSINE, "alpha", (0, 1)), "`alpha` must be a positive number"),
        (
            lambda: dyn.bifurcation(COSINE, "alpha", (0.5, 1)),
            "`s0` must be given, because this loss conserves a quantity",
        ),
        (
            lambda: dyn.bifurcation(euclidean(), "alpha", (0.5, 1), S0),
            "`s0` must be left out, because the modes of this model are independent",
        ),
        (
            lambda: dyn.bifurcation(COSINE, "alpha", (0.5, 1), [S0]),
            r"`s0` must have the shape \(M,\)",
        ),
        (lambda: dyn.bifurcation(euclidean(), "alpha", (0.5, 1), points=1), "`points` must be a whole number >= 2"),
        (
            lambda: dyn.bifurcation(euclidean(), "alpha", (0.5, 1), learning_rate=0.1),
            "`learning_rate` must be left out, because the flow",
        ),
        (
            lambda: dyn.bifurcation(euclidean(), "learning_rate", (0.5, 1), learning_rate=0.1),
            "`learning_rate` must be left out, because `parameter` is 'learning_rate', whose values are set by",
        ),
        (
            lambda: dyn.bifurcation(euclidean(target=dyn.EMA(0.9)), "alpha", (0.5, 1)),
            "`learning_rate` must be given",
        ),
    ],
)
def test_bad_arguments_are_refused(call, message):
    with pytest.raises(dyn.ArgumentError, match=message):
        call()
