"""Equilibria: against theory section 5, Jacobians of all modes, flows and maps that start beside them."""

import numpy as np
import pytest

import dynamics as dyn
from dynamics.vector_field.eigenmodes import EigenmodeField
from dynamics.vector_field.state import State
from tests.marks import parametrize

S0, NOISE = np.array([0.2, 0.5, 1.5]), (0.3, 0.1)
N1 = 1 + NOISE[0] ** 2


def euclidean(**options):
    return dyn.Model("euclidean", **({"noise": NOISE} | options))


def cosine(**options):
    return dyn.Model("cosine", **({"noise": NOISE} | options))


def counts(points):
    """The number of surviving modes of each equilibrium, and the verdict."""
    return [(e.surviving, e.verdict) for e in points]


# --- theory, section 5 ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("alpha", [0.5, 1.0, 2.0])
@pytest.mark.parametrize("sigma1", [0.0, 0.3])
def test_euclidean_modes_with_weight_decay_survive_up_to_a_fold(alpha, sigma1):
    """lambda = (1 +- sqrt(1 - 4 n1 rho))/(2 n1); modes below the lower one vanish; none beyond rho = 1/(4 n1)."""
    n1, predictor = 1 + sigma1**2, dyn.ClosedForm(alpha)
    rho_fold = 1 / (4 * n1)
    for rho in (0.02, rho_fold - 1e-9):
        points = dyn.equilibria(euclidean(noise=(sigma1, 0.5), predictor=predictor, weight_decay=rho), S0)
        upper, lower = ((1 + sign * np.sqrt(1 - 4 * n1 * rho)) / (2 * n1) for sign in (1, -1))
        assert len(points) == 10  # three modes, at two eigenvalues or zero
        np.testing.assert_allclose(points[0].predictor, upper, rtol=1e-8)
        assert points.boundary == pytest.approx(lower ** (1 / alpha), rel=1e-7)
        assert counts(points.stable) == [(3, "stable"), (2, "stable"), (1, "stable"), (0, "stable")]
        assert points.fold == pytest.approx(rho_fold, rel=1e-15)
    beyond = dyn.equilibria(euclidean(noise=(sigma1, 0.5), predictor=predictor, weight_decay=rho_fold + 1e-9), S0)
    assert counts(beyond) == [(0, "stable")] and beyond.boundary is None


def test_isotropic_has_no_basin_of_collapse():
    points = dyn.equilibria(euclidean(isotropic=True, weight_decay=0.2), S0)
    assert counts(points) == [(3, "stable"), (2, "unstable"), (1, "unstable"), (0, "unstable")]
    np.testing.assert_allclose(points[0].predictor, 0.8 / N1)
    assert points.boundary is None and points.fold is None and points[1].collapsed_growth == pytest.approx(0.8)
    assert counts(dyn.equilibria(euclidean(isotropic=True, weight_decay=1.1), S0)) == [(0, "stable")]


@pytest.mark.parametrize(("isotropic", "limit"), [(False, N1), (True, 1.0)])
@pytest.mark.parametrize("alpha", [0.5, 1.0, 2.0])
def test_the_largest_learning_rate_is_the_edge_of_stability(isotropic, limit, alpha):
    points = dyn.equilibria(euclidean(isotropic=isotropic, predictor=dyn.ClosedForm(alpha)), S0)
    assert points[0].largest_learning_rate == pytest.approx(limit / alpha, rel=1e-9)
    assert np.abs(points[0].multipliers(limit / alpha)).max() == pytest.approx(1, rel=1e-9)


def test_without_stop_gradient_and_noise_the_fixed_point_is_marginal_and_with_noise_it_is_gone():
    assert counts(dyn.equilibria(euclidean(stop_gradient="none", noise=(0, 0)), S0))[::3] == [
        (3, "marginal"),
        (0, "stable"),
    ]
    assert counts(dyn.equilibria(euclidean(stop_gradient="none"), S0)) == [(0, "stable")]


def test_the_wrong_side_collapses_below_the_boundary_and_diverges_above():
    """lambda < n2 vanishes, lambda > n2 diverges."""
    points = dyn.equilibria(euclidean(stop_gradient="online"), S0)
    assert counts(points) == [(3, "unstable"), (2, "unstable"), (1, "unstable"), (0, "stable")]
    assert points.boundary == pytest.approx(1.01)
    assert points[0].largest_learning_rate == 0


def test_equal_cosine_modes_keep_the_invariant():
    for model, power in ((cosine(), 1), (cosine(isotropic=True, predictor=dyn.ClosedForm(0.5)), 1.5)):
        points = dyn.equilibria(model, S0)
        assert counts(points) == [(3, "stable"), (2, "unstable"), (1, "unstable")]
        for equilibrium in points:
            np.testing.assert_allclose((equilibrium.s**power).sum(), (S0**power).sum(), rtol=1e-12)
            assert len(equilibrium.growth) == equilibrium.surviving - 1  # the scale is no perturbation: it is conserved
            assert np.ptp(equilibrium.s[equilibrium.s > 0]) == 0


def test_cosine_without_stop_gradient_collapses_and_with_noise_keeps_what_is_large():
    assert [verdict for _, verdict in counts(dyn.equilibria(cosine(stop_gradient="none"), S0))] == ["stable"] * 3
    without = counts(dyn.equilibria(cosine(stop_gradient="none", noise=(0, 0)), S0))
    assert without == [(3, "marginal"), (2, "marginal"), (1, "stable")]


# --- Jacobians of all modes, by differences of the rates ------------------------------------------------------------


def jacobian(model, s, size=1e-5):
    """d/dw of w (r - rho), for all modes at once."""
    rates, w = EigenmodeField(model, rtol=1e-12), np.sqrt(s)

    def velocity(w):
        return w * (rates(State(w)).rates - model.weight_decay)

    return np.stack([(velocity(w + step) - velocity(w - step)) / (2 * size) for step in size * np.eye(len(w))], axis=1)


@pytest.mark.parametrize(
    "model",
    [
        euclidean(weight_decay=0.05, predictor=dyn.ClosedForm(0.5, 0.02)),
        euclidean(isotropic=True, weight_decay=0.05),
        cosine(),
        cosine(isotropic=True, predictor=dyn.ClosedForm(0.5, 0.1)),
        cosine(stop_gradient="none"),
        cosine(stop_gradient="online", symmetrised=True),
        cosine(predictor=dyn.ClosedForm(0.5, 0.1, normalize=True)),
    ],
    ids=str,
)
def test_growth_is_that_of_the_whole_jacobian(model):
    for equilibrium in dyn.equilibria(model, S0):
        surviving = equilibrium.s[equilibrium.s > 0]
        if len(surviving) < 2:
            continue
        whole = np.sort(np.linalg.eigvals(jacobian(model, surviving)).real)
        growth = np.sort([*equilibrium.growth.real, *[0.0] * (len(surviving) - len(equilibrium.growth))])
        # The closure's 1e-12 over the difference's 1e-5, ten times; and the difference itself at the kink of a maximum.
        np.testing.assert_allclose(growth, whole, atol=1e-4 if model.structure.predictor == "normalized" else 2e-6)


def test_growth_with_a_separate_target_is_that_of_its_matrix():
    """Each mode's two by two matrix, typed in: a = -lam (n1 lam w - v) - rho w, b = beta (w - v)."""
    rho, decay, eta = 0.05, 0.9, 0.1
    model = euclidean(weight_decay=rho, target=dyn.EMA(decay))
    points = dyn.equilibria(model, S0, learning_rate=eta)
    lam = points[0].predictor[0]
    w = np.sqrt(lam)
    beta = (1 - decay) / eta
    matrix = np.array([[-5 * N1 * w**4 + 2 * w * w - rho, w**2], [beta, -beta]])
    np.testing.assert_allclose(points[0].growth, np.repeat(np.sort(np.linalg.eigvals(matrix)), 3), rtol=1e-9)
    limit = points[0].largest_learning_rate
    for factor, settles in ((0.98, True), (1.02, False)):
        gd = dyn.iterate(model, 1.001 * points[0].s, 2000, factor * limit)
        assert (np.abs(gd.s[-1] / points[0].s - 1).max() < 1e-6) == settles


def test_a_learned_predictor_is_stationary_where_it_is_balanced_with_the_encoder():
    """lambda from r = rho, s = lambda^2/a_P; Jacobian of dp/dt = -a s (n1 p - 1) - rho p, dw/dt = w (r - rho)."""
    a, rho = 2.0, 0.05
    model = euclidean(predictor=dyn.Learned(a, 0.5), weight_decay=rho)
    points = dyn.equilibria(model, [0.2, 0.5])
    assert counts(points.stable) == [(2, "stable"), (1, "stable"), (0, "stable")] and points.boundary is None
    best = points[0]
    p = (1 + np.sqrt(1 - 4 * N1 * rho)) / (2 * N1)
    np.testing.assert_allclose(best.predictor, p, rtol=1e-14)
    np.testing.assert_allclose(best.s, p**2 / a, rtol=1e-14)
    w = p / np.sqrt(a)
    matrix = [[p * (1 - N1 * p) - rho, w * (1 - 2 * N1 * p)], [2 * w * a * (1 - N1 * p), -a * w**2 * N1 - rho]]
    np.testing.assert_allclose(best.growth, np.repeat(np.sort(np.linalg.eigvals(matrix)), 2), rtol=1e-9)
    assert best.growth[-1] == pytest.approx(-2 * rho)  # the imbalance decays at the rate 2 rho
    flow = dyn.solve(model, [0.5], [0.0, 1e4], until="steady")
    assert flow.s[-1] == pytest.approx(best.s[:1], rel=1e-5) and flow.predictor[-1] == pytest.approx(p, rel=1e-5)
    for share, settles in ((0.98, True), (1.02, False)):
        beside = model.replace(init=p * 1.001)
        gd = dyn.iterate(beside, best.s[:1], 2000, share * best.largest_learning_rate)
        assert (abs(gd.s[-1, 0] / best.s[0] - 1) < 1e-6) == settles
    assert "a line of equilibria: lambda = 0.917431" in str(dyn.equilibria(model.replace(weight_decay=0.0), [0.2]))


def test_the_effective_step_of_a_cosine_loss_is_eta_over_s():
    """alpha = 1: rates go as 1/s, isotropic as 1/s^2. So weight decay drives what shrinks towards its own edge."""
    for model, power in ((cosine(), 1), (cosine(isotropic=True), 2)):
        small, large = (dyn.equilibria(model, scale * S0)[0].largest_learning_rate for scale in (1.0, 3.0))
        assert large / small == pytest.approx(3.0**power, rel=1e-6)  # closure and differences: 1e-12 over 0.01


# --- flows and maps -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("model", [cosine(), cosine(isotropic=True), euclidean(weight_decay=0.02)], ids=str)
def test_a_step_of_the_map_shrinks_perturbations_below_the_largest_learning_rate_and_not_above(model):
    """By the factor of the multiplier. Above it, cosine losses then grow the representation until they are stable."""
    best = dyn.equilibria(model, S0)[0]
    for share in (0.9, 1.1):
        eta = share * best.largest_learning_rate
        gd = dyn.iterate(model, best.s * np.array([1 + 1e-5, 1.0, 1 - 1e-5]), 5, eta, rtol=1e-10)
        spread = gd.s[:, 0] - gd.s[:, 2]
        (factor,) = np.unique(best.multipliers(eta).real.round(6))
        # Second order in a perturbation of 1e-5, and the closure's 1e-11 over it.
        np.testing.assert_allclose(spread[1:] / spread[:-1], factor, rtol=1e-4)
        assert (abs(factor) < 1) == (share < 1)


FLOWING = [
    cosine(),
    euclidean(weight_decay=0.05),
    euclidean(stop_gradient="online"),
    euclidean(isotropic=True, weight_decay=0.2),
    cosine(stop_gradient="none"),
    cosine(stop_gradient="online"),
]


@parametrize("model", FLOWING, quick=FLOWING[:4], ids=str)
def test_verdicts_are_what_the_flow_does(model):
    """Survivors a little off, collapsed modes a little above zero; of a cosine loss the spectrum's shape counts."""
    for equilibrium in dyn.equilibria(model, S0):
        start = np.where(equilibrium.s > 0, equilibrium.s * [1.01, 0.99, 1.01], 0.01)
        flow = dyn.solve(model, start, [0.0, 20.0], rtol=1e-8)
        end = flow.s[-1] if len(flow.s) == 2 else np.inf
        scale = (lambda s: s / s.sum()) if model.loss == "cosine" else lambda s: s
        before, after = (np.abs(scale(s) - scale(equilibrium.s)) for s in (start, end))
        assert (after < before).all() == (equilibrium.verdict == "stable")


# --- printed, refused -----------------------------------------------------------------------------------------------


def test_a_remark_explains_missing_equilibria():
    assert "weight decay shrinks" in str(dyn.equilibria(cosine(weight_decay=0.01), S0))
    assert "zero from the start" in str(dyn.equilibria(cosine(), [0.0, 0.0]))
    assert "normalized predictor" in str(dyn.equilibria(euclidean(predictor=dyn.ClosedForm(normalize=True)), S0))
    tracked = cosine(isotropic=True, predictor=dyn.ClosedForm(tracking=0.5))
    assert "no invariant" in str(dyn.equilibria(tracked, S0, learning_rate=0.1))
    still = dyn.equilibria(euclidean(predictor=dyn.NoPredictor(), noise=(0, 0)), S0)
    assert "all eigenvalues are stationary" in str(still)


def test_print_lists_equilibria_and_the_boundary():
    lines = str(dyn.equilibria(euclidean(weight_decay=0.05), [0.1, 0.2])).splitlines()
    assert lines[0].startswith("Equilibria of Model(loss='euclidean'")
    assert lines[1] == "  2 at 0.864361: stable, up to learning rate 1.30828"
    assert lines[-2:] == [
        "  modes that start below 0.0530699 collapse",
        "  no mode survives weight decay above 0.229358, a fold",
    ]
    returning = str(dyn.equilibria(cosine(), [0.1, 0.2])[1])
    assert returning == "1 at 0.3, 1 collapsed but recovering: unstable"


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: dyn.equilibria("cosine", S0), "`model` must be a Model"),
        (lambda: dyn.equilibria(cosine(), S0[None]), r"`s0` must have the shape \(M,\)"),
        (lambda: dyn.equilibria(cosine(), [-1.0]), "`s0` must be finite and non-negative eigenvalues"),
        (
            lambda: dyn.equilibria(cosine(predictor=dyn.Learned()), S0),
            "`model` must have a predictor that is not learned, or a loss with independent modes",
        ),
        (lambda: dyn.equilibria(cosine(inputs=np.eye(3)), S0), "`model` must have white inputs"),
        (
            lambda: dyn.equilibria(cosine(weight_decay=[0, 0.1]), S0),
            "`model` must have plain numbers as parameters",
        ),
        (lambda: dyn.equilibria(cosine(target=dyn.EMA(0.9)), S0), "`learning_rate` must be given"),
        (lambda: dyn.equilibria(cosine(), S0, learning_rate=0.1), "`learning_rate` must be left out"),
        (lambda: dyn.equilibria(cosine(), S0)[0].multipliers(-1), "`learning_rate` must be a positive number"),
    ],
)
def test_bad_arguments_are_refused(call, message):
    with pytest.raises(dyn.ArgumentError, match=message):
        call()
