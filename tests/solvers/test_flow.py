"""The flow by numerical methods: against exact solutions, each other, invariants, fixed points, blow-up times."""

from functools import partial
from importlib.util import find_spec
from itertools import product

import numpy as np
import pytest

import dynamics as dyn
from derivations.losses.catalogue import Setting
from dynamics.solvers import flow_diffrax as jax_flow
from tests.marks import parametrize
from tests.reference import CONSERVING, invariant, lambert_time, model_of, systems, wrong_side_blow_up

METHODS = ("scipy", "jax")
EPS = np.finfo(float).eps
RTOL = 1e-10
EUCLIDEAN, ISOTROPIC = Setting("euclidean"), Setting("euclidean", isotropic=True)
COSINE, ISOTROPIC_COSINE = Setting("cosine"), Setting("cosine", isotropic=True)
BOTH_LOSSES = [EUCLIDEAN, ISOTROPIC, COSINE, ISOTROPIC_COSINE]
by_method = pytest.mark.parametrize("method", METHODS)


# --- exact solutions ------------------------------------------------------------------------------------------------

STARTS = np.array([1e-6, 1e-3, 0.1, 0.7, 1.2, 10.0])
NUMERICAL = [
    "target alpha=1.0 sigma=0.5",
    "target alpha=0.5 sigma=0.0",
    "target alpha=2.0 sigma=0.0",
    "target symmetrised alpha=1.0",
    "isotropic alpha=1.0 rho=0.0",
    "isotropic alpha=0.5 rho=0.01",
    "isotropic alpha=1.0 rho=1.5",
    "wrong side alpha=1.0",
    "no predictor rho=0.01",
]


def starts_of(system):
    """Starts for which the solution stays finite; with alpha = 2, not so small that 1/lambda0 ends all precision."""
    if system.name.startswith("wrong side"):
        return STARTS / 10
    return np.maximum(STARTS, 1e-3) if system.alpha == 2 else STARTS


def times_of(system, s0):
    """0 and, for Lambert's function, times at which the mode is on its way; elsewhere ten fixed times."""
    if system.kind != "Lambert W":
        return np.array([0.0, 0.1, 0.5, 1, 2, 4, 7, 10, 12, 15])
    u0 = s0**system.alpha / system.level
    way = [u0 + fraction * (1 - u0) for fraction in (1e-3, 0.03, 0.1, 0.3, 0.5, 0.7, 0.9, 0.99, 0.999)]
    return np.array([0.0, *(float(lambert_time(u0, u, 1 / system.level)) / (2 * system.alpha) for u in way)])


def assert_exact(flow, system, s0, times):
    """1e-8, a hundred times rtol for what local errors add up to; for a small mode on its way, rounding of 1/lambda0
    in up to some thousand steps, times the condition number 1/(4 lambda0) of s; and atol, where s has decayed."""
    tolerance = 1e-8 + 1e3 * EPS / s0**system.alpha
    expected = system.solution(s0, times)
    error = np.abs(flow.s - expected)
    assert flow.status == "complete"
    assert (error <= tolerance * expected + flow.settings["atol"]).all(), error / expected


@parametrize(
    ("name", "method"), product(NUMERICAL, METHODS), quick=[*product(NUMERICAL, ["scipy"]), (NUMERICAL[0], "jax")]
)
def test_numerical_flow_of_one_mode_equals_the_exact_solution(name, method):
    system = systems()[name]
    for s0 in starts_of(system):
        times = times_of(system, s0)
        flow = dyn.solve(system.model, [s0], times, method=method, rtol=RTOL)
        assert flow.method == method
        assert_exact(flow, system, np.array([s0]), times)


@pytest.mark.parametrize("name", NUMERICAL)
def test_numerical_flow_of_modes_with_all_time_scales_equals_the_exact_solution(name):
    """Modes at rest beside modes on their way: stiff, and for the method that can do it."""
    system = systems()[name]
    s0 = starts_of(system)
    times = np.sort(np.concatenate([times_of(system, s) for s in s0]))
    flow = dyn.solve(system.model, s0, times, method="scipy", rtol=RTOL)
    assert_exact(flow, system, s0, times)


@pytest.fixture
def few_steps(monkeypatch):
    """The compiled solver may take 50 steps, in this test only."""
    monkeypatch.setattr(jax_flow, "MAX_STEPS", 50)
    jax_flow._compiled.cache_clear()
    yield
    jax_flow._compiled.cache_clear()


def test_a_solver_that_runs_out_of_steps_says_so(few_steps):
    """A mode at rest beside a slow one is stiff: explicit steps of about 3 are too short for t = 1e4."""
    flow = dyn.solve(dyn.Model("euclidean"), [1e-4, 1.2], [0, 1, 1e4], method="jax")
    assert "more than 50 steps" in flow.status
    assert np.isinf(flow.blow_up_time)
    np.testing.assert_array_equal(flow.t, [0, 1])
    assert np.isfinite(flow.s).all()


@by_method
def test_tolerance_is_kept_as_it_is_asked_for(method):
    """A mode that takes off from 0.01 amplifies errors by at most 1/lambda0 = 100."""
    system, s0 = systems()["target alpha=1.0 sigma=0.0"], np.array([0.01, 0.3, 3.0])
    times = np.linspace(0, 60, 31)
    expected = system.solution(s0, times)
    errors = [
        np.abs(dyn.solve(system.model, s0, times, method=method, rtol=rtol).s / expected - 1).max()
        for rtol in (1e-5, 1e-7, 1e-9)
    ]
    assert all(error <= 100 * rtol for error, rtol in zip(errors, (1e-5, 1e-7, 1e-9), strict=True))
    assert errors[2] < errors[0] / 100


# --- shapes ---------------------------------------------------------------------------------------------------------


@parametrize("method", METHODS, quick=["scipy"])
def test_time_zero_gives_the_start_to_the_last_bit(method):
    s0 = [0.1, 0.7, 0.12]
    flow = dyn.solve(model_of(EUCLIDEAN), s0, [0.0], method=method)
    np.testing.assert_array_equal(flow.s, [s0])


@parametrize(
    ("setting", "method"),
    product([EUCLIDEAN, COSINE], METHODS),
    quick=[(EUCLIDEAN, "scipy"), (COSINE, "scipy")],
    ids=lambda value: getattr(value, "name", value),
)
def test_a_dead_mode_stays_dead_and_disturbs_nothing(setting, method):
    run = partial(dyn.solve, model_of(setting), times=[0.0, 1.0], method=method)
    with_dead, without = run([0.3, 0.0, 2.0]), run([0.3, 2.0])
    np.testing.assert_array_equal(with_dead.s[:, 1], 0)
    np.testing.assert_allclose(with_dead.s[:, [0, 2]], without.s, rtol=2e-8)  # rtol 1e-8 each
    assert with_dead.error <= 1e-9


@parametrize("method", METHODS, quick=["scipy"])
def test_one_time_equals_the_last_of_many(method):
    model = model_of(Setting("euclidean", "none"), noise=(0.0, 0.1))
    one = dyn.solve(model, [0.3, 2.0], [3.0], method=method)
    many = dyn.solve(model, [0.3, 2.0], [0.0, 0.5, 3.0], method=method)
    assert one.s.shape == (1, 2)
    np.testing.assert_allclose(one.s[0], many.s[-1], rtol=2e-8)  # rtol 1e-8 each


@parametrize("method", METHODS, quick=["scipy"])
def test_a_time_may_occur_twice(method):
    flow = dyn.solve(model_of(EUCLIDEAN), [0.3], [0.0, 0.0, 1.0, 1.0], method=method)
    assert flow.s[0] == flow.s[1] == 0.3
    assert flow.s[2] == flow.s[3] != 0.3


ENSEMBLE_S0 = np.array([[0.1, 0.6, 1.5], [0.2, 0.3, 2.0], [0.05, 1.0, 1.1]])[:, None, :]  # (3, 1, M)
ENSEMBLE = {  # alpha and weight decay (2,), sigma1 (3, 1), sigma2 a number
    "alpha": np.array([0.5, 1.0]),
    "noise": (np.array([[0.0], [0.2], [0.5]]), 0.1),
    "weight_decay": np.array([0.0, 0.05]),
}
_solve = partial(dyn.solve, times=[0.0, 0.4, 1.5], rtol=1e-9)
_iterate = partial(dyn.iterate, steps=3, learning_rate=0.1)
ENSEMBLE_RUNS = {  # the ensemble, and one member; the compiled method would compile once a member
    "scipy": (partial(_solve, method="scipy"), partial(_solve, method="scipy")),
    "jax": (partial(_solve, method="jax"), partial(_solve, method="scipy")),
    "descent": (_iterate, _iterate),
}


def member(i, j):
    sigma1, sigma2 = ENSEMBLE["noise"]
    return ENSEMBLE["alpha"][j], (sigma1[i, 0], sigma2), ENSEMBLE["weight_decay"][j]


@parametrize(
    ("setting", "run"),
    ENSEMBLES := list(product([EUCLIDEAN, COSINE], ENSEMBLE_RUNS)),
    quick=[ensemble for ensemble in ENSEMBLES if ensemble != (COSINE, "jax")],
    ids=lambda value: getattr(value, "name", value),
)
def test_an_ensemble_equals_its_members_one_by_one(setting, run):
    run_all, run_one = ENSEMBLE_RUNS[run]
    whole = run_all(model_of(setting, **ENSEMBLE), ENSEMBLE_S0)
    assert whole.s.shape == (3, 2, len(whole.t), 3)
    for i, j in np.ndindex(3, 2):
        alone = run_one(model_of(setting, *member(i, j)), ENSEMBLE_S0[i, 0])
        # Each is within 10 rtol = 1e-8 of the truth: errors grow by no more than 1/lambda0 < 10 from these starts.
        np.testing.assert_allclose(whole.s[i, j], alone.s, rtol=2e-8)
        np.testing.assert_allclose(whole.predictor[i, j], alone.predictor, rtol=2e-8)


def test_an_exact_ensemble_equals_its_members_one_by_one():
    model = model_of(ISOTROPIC, **ENSEMBLE)
    whole = dyn.solve(model, ENSEMBLE_S0, [0.0, 1.5], method="exact")
    for i, j in np.ndindex(3, 2):
        alone = dyn.solve(model_of(ISOTROPIC, *member(i, j)), ENSEMBLE_S0[i, 0], [0.0, 1.5], method="exact")
        np.testing.assert_allclose(whole.s[i, j], alone.s, rtol=2 * EPS)  # alpha = 1/2: a power, or a square


def test_method_chosen_for_single_trajectories_and_large_ensembles():
    model = model_of(Setting("euclidean", "none"), noise=(0.1, 0.1))
    single = dyn.solve(model, [0.3, 1.0], [0.0, 1.0])
    large = dyn.solve(model, np.tile([0.3, 1.0], (100, 1)), [0.0, 1.0])
    compiled = "heyoka" if find_spec("heyoka") else "jax"
    assert (single.method, large.method) == ("scipy", compiled)
    np.testing.assert_allclose(large.s, np.broadcast_to(single.s, large.s.shape), rtol=2e-8)  # rtol 1e-8 each
    normalized = dyn.Model("euclidean", predictor=dyn.ClosedForm(normalize=True))  # refused by heyoka
    assert dyn.solve(normalized, np.tile([0.3, 1.0], (100, 1)), [0.0, 1.0]).method == "jax"


# --- the two methods with each other, where there is no formula -----------------------------------------------------

COUPLED = [
    ("gaussian", COSINE),
    ("gaussian", Setting("cosine", "online", predictor=False, symmetrised=True)),
    ("mean_field", COSINE),
    ("mean_field", ISOTROPIC_COSINE),
]


@parametrize(("closure", "setting"), COUPLED, quick=COUPLED[2:3], ids=lambda value: getattr(value, "name", value))
def test_scipy_and_jax_agree(closure, setting):
    model = model_of(setting, noise=(0.1, 0.3), weight_decay=0.01)
    times = np.array([0.0, 0.5, 2.0, 5.0])
    run = partial(dyn.solve, model, [0.05, 0.4, 1.5], times, closure=closure, rtol=1e-9)
    scipy, jax = (run(method=method) for method in METHODS)
    assert np.abs(scipy.s[-1] / scipy.s[0] - 1).max() > 0.5  # it did move
    # 1e-9 each, times what the start at 0.05 amplifies, 1/lambda0 = 20.
    np.testing.assert_allclose(scipy.s, jax.s, rtol=4e-8)
    assert all(flow.error <= 1e-10 for flow in (scipy, jax))


def test_mean_field_flow_has_the_velocity_of_the_theory():
    """ds/dt = 2 lambda s sum_k lambda_k (lambda_k - lambda_m) s_k/((sum lambda^2 s)^1.5 (sum s)^0.5), no noise."""
    s0, step = np.array([0.1, 0.5, 2.0]), 1e-3
    lam = np.sqrt(s0)
    pull = np.array([np.sum(lam * (lam - own) * s0) for own in lam])
    velocity = 2 * lam * s0 * pull / (np.sum(lam**2 * s0) ** 1.5 * np.sqrt(np.sum(s0)))
    model = model_of(COSINE, alpha=0.5)
    flow = dyn.solve(model, s0, [0, step, 2 * step], closure="mean_field", rtol=1e-12)
    found = (-3 * flow.s[0] + 4 * flow.s[1] - flow.s[2]) / (2 * step)
    # Second-order difference: step^2/3 times a third derivative of order 1; and rtol/step = 1e-9.
    np.testing.assert_allclose(found, velocity, atol=step**2)


# --- invariants -----------------------------------------------------------------------------------------------------


def relative_change(values):
    return np.abs(values / values[0] - 1).max()


CLOSED = [("gaussian", s) for s in CONSERVING] + [("mean_field", s) for s in CONSERVING if s.predictor]


@pytest.mark.parametrize(("closure", "setting"), CLOSED, ids=[f"{c} {s.name}" for c, s in CLOSED])
def test_cosine_flow_conserves_what_the_theory_says(closure, setting):
    s0, alpha, rtol = [0.1, 0.6, 1.5], 0.5, 1e-9
    model = model_of(setting, alpha, (0.3, 0.1))
    flow = dyn.solve(model, s0, np.linspace(0, 5, 6), closure=closure, method="scipy", rtol=rtol)
    assert relative_change(flow.s) > 0.1
    # s to ten times rtol, as 1/lambda0 is up to 1/sqrt(0.1); its power 1 + alpha doubles that at most.
    assert relative_change(invariant(setting, flow.s, alpha)) < 20 * rtol


# --- fixed points ---------------------------------------------------------------------------------------------------


@parametrize(
    ("setting", "method"),
    [(COSINE, "scipy"), (ISOTROPIC_COSINE, "scipy"), (ISOTROPIC_COSINE, "jax")],
    quick=[(COSINE, "scipy"), (ISOTROPIC_COSINE, "scipy")],
    ids=lambda value: getattr(value, "name", value),
)
def test_cosine_flow_makes_eigenvalues_equal(setting, method):
    """At the level that the invariant sets, whatever that is."""
    s0 = np.array([0.3, 1.2, 3.0])
    flow = dyn.solve(model_of(setting), s0, [0, 150], method=method, rtol=1e-8)
    level = s0.mean() if setting is COSINE else np.sqrt(np.mean(s0**2))
    np.testing.assert_allclose(flow.s[-1], level, rtol=2e-7)  # the invariant to 20 rtol, as above


def test_equal_eigenvalues_stay_where_they_are():
    s0 = np.full(4, 0.7)
    flow = dyn.solve(model_of(COSINE, noise=(0.1, 0.3)), s0, [0, 10], rtol=1e-9)
    np.testing.assert_allclose(flow.s[-1], s0, rtol=1e-8)  # ten times rtol


def test_mean_field_without_predictor_or_noise_of_the_norms_stands_still():
    """A - B with every factor replaced by its mean is zero."""
    flow = dyn.solve(model_of(CONSERVING[3], noise=(0.3, 0.1)), [0.1, 1.5], [0, 5], closure="mean_field")
    np.testing.assert_allclose(flow.s[1], flow.s[0], rtol=1e-12)  # a velocity of rounding, 1e-16, for t = 5


def test_cosine_without_stop_gradient_collapses_the_smallest_mode():
    s0 = np.array([0.3, 0.8, 1.5])
    flow = dyn.solve(model_of(Setting("cosine", "none"), noise=(0.5, 0.5)), s0, [0, 10], rtol=1e-9)
    assert flow.s[-1, 0] < 1e-2 * s0[0]
    np.testing.assert_allclose(flow.s[-1].sum(), s0.sum(), rtol=2e-8)  # as above


SADDLE = {"sigma": 0.5, "n1": 1.25, "rho": 0.1}  # rho below rho_c = 1/(4 n1) = 0.2


def levels(n1, rho):
    """lambda- and lambda+ of the Euclidean loss with weight decay."""
    root = np.sqrt(1 - 4 * n1 * rho)
    return (1 - root) / (2 * n1), (1 + root) / (2 * n1)


def test_euclidean_flow_with_weight_decay_is_bistable():
    lower, upper = levels(SADDLE["n1"], SADDLE["rho"])
    alpha = 0.5
    s0 = np.array([0.999 * lower, 1.001 * lower, 0.9 * upper, 1.5 * upper]) ** (1 / alpha)
    model = model_of(EUCLIDEAN, alpha, (SADDLE["sigma"], 0.1), SADDLE["rho"])
    flow = dyn.solve(model, s0, [0, 5, 400])
    assert flow.predictor[1, 0] < flow.predictor[0, 0]
    assert flow.s[-1, 0] < 1e-10 * s0[0]
    np.testing.assert_allclose(flow.predictor[-1, 1:], upper, rtol=1e-7)  # 10 rtol; e^-30 or less is left of the way


def test_beyond_the_saddle_node_everything_collapses():
    model = model_of(EUCLIDEAN, 1.0, (SADDLE["sigma"], 0.1), 1.01 / (4 * SADDLE["n1"]))
    flow = dyn.solve(model, [0.1, 1.0, 10.0], [0, 1000], method="scipy")
    assert (flow.s[-1] < 1e-6).all()


@pytest.mark.parametrize("rho", [0.01, 0.5, 0.9])
def test_isotropic_flow_with_weight_decay_has_no_basin_of_collapse(rho):
    model = model_of(ISOTROPIC, 1.0, (0.5, 0.1), rho)
    flow = dyn.solve(model, [1e-6, 0.1, 10.0], [0, 40 / (1 - rho)], method="scipy")
    np.testing.assert_allclose(flow.predictor[-1], (1 - rho) / 1.25, rtol=1e-6)  # amplified by tau = 80, rtol 1e-8


@parametrize("method", METHODS, quick=["scipy"])
def test_a_ghost_holds_trajectories_before_they_collapse(method):
    """Euclidean, no stop-gradient, n1 n2 > 1: from above to below 1/n1 in n1 pi/(2 alpha sqrt(n1 n2 - 1))."""
    n1, n2, alpha = 1.0 + 0.01**2, 1.0 + 0.01**2, 0.5
    passage = n1 * np.pi / (2 * alpha * np.sqrt(n1 * n2 - 1))
    flow = dyn.solve(
        model_of(Setting("euclidean", "none"), alpha, (0.01, 0.01)),
        [3.0],
        np.linspace(0, 2 * passage, 4001),
        method=method,
    )
    inside = np.abs(n1 * flow.predictor[:, 0] - 1) < 0.5
    held = flow.t[inside][-1] - flow.t[inside][0]
    # tan(+-pi/2) is cut at half-widths 0.5/sqrt(n1 n2 - 1) = 35 (arctan misses 1/35 a side) and lambda is not
    # constant over them: a relative error of order 0.5^2/35 more.
    assert abs(held / passage - 1) < 0.05


# --- blow-up --------------------------------------------------------------------------------------------------------


@parametrize(
    ("alpha", "method"),
    product([0.5, 1.0, 2.0], METHODS),
    quick=list(product([0.5, 1.0, 2.0], ["scipy"])),
)
def test_wrong_side_blows_up_at_the_exact_time(alpha, method):
    s0, sigma2, rho = np.array([0.5, 2.0]), 0.5, 0.1
    blow_up = wrong_side_blow_up(s0[1], alpha, sigma2, rho)
    times = blow_up * np.array([0, 0.5, 0.9, 1.1, 2])
    model = model_of(Setting("euclidean", "online"), alpha, (0.1, sigma2), rho)
    flow = dyn.solve(model, s0, times, method=method)
    np.testing.assert_allclose(flow.blow_up_time, blow_up, rtol=1e-6)  # 100 rtol: at infinity errors of s are of t
    np.testing.assert_array_equal(flow.t, times[:3])
    assert flow.status.startswith("eigenvalues diverge at t = ")
    assert float(flow.status.split()[-1]) == pytest.approx(blow_up, rel=1e-6)
    exact = dyn.solve(model, s0, times, method="exact")
    np.testing.assert_allclose(flow.s, exact.s, rtol=1e-6)
