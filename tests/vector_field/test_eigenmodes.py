"""Targets and predictors that move: flow and map against the theory typed in, limits, invariants, and networks."""

from itertools import product

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.integrate import solve_ivp

import dynamics as dyn
from dynamics.vector_field.eigenmode_state import initial
from dynamics.vector_field.eigenmodes import EigenmodeField
from dynamics.vector_field.state import State
from tests.marks import parametrize
from tests.reference import gaussian_expectations

S0, ETA, RHO, NOISE = np.array([0.2, 0.5, 1.5]), 0.02, 0.01, (0.3, 0.1)
N1 = 1 + NOISE[0] ** 2
TIMES = np.array([0.0, 0.5, 2.0, 6.0])
METHODS = ("scipy", "jax")


def model(loss="euclidean", **options):
    return dyn.Model(loss, **({"noise": NOISE, "weight_decay": RHO} | options))


# --- Euclidean losses: the ODEs of section 6, typed in --------------------------------------------------------------


def pull(kind, s, lam, w, v):
    """dw/dt without weight decay."""
    return {
        "standard": -lam * (N1 * lam * w - v),
        "isotropic": -(N1 * lam * w - v),
        "no predictor": -(N1 * w - v),
    }[kind]


KINDS = {"standard": {}, "isotropic": {"isotropic": True}, "no predictor": {"predictor": dyn.NoPredictor()}}


def accurate(slope, y0):
    return solve_ivp(slope, (0, TIMES[-1]), y0, "DOP853", TIMES, rtol=1e-13, atol=1e-15).y.reshape(-1, 3, len(TIMES))


@parametrize(("kind", "method"), product(KINDS, METHODS), quick=[*product(KINDS, ["scipy"]), ("no predictor", "jax")])
def test_flow_with_a_target_of_its_own(kind, method):
    decay, alpha = 0.9, 0.5
    beta = (1 - decay) / ETA

    def slope(_, y):
        w, v = y.reshape(2, -1)
        lam = np.ones(3) if kind == "no predictor" else w ** (2 * alpha)
        return np.concatenate([pull(kind, w**2, lam, w, v) - RHO * w, beta * (w - v)])

    options = {"predictor": dyn.ClosedForm(alpha)} | KINDS[kind]
    flow = dyn.solve(model(target=dyn.EMA(decay), **options), S0, TIMES, learning_rate=ETA, rtol=1e-9, method=method)
    w, v = accurate(slope, np.tile(np.sqrt(S0), 2))
    np.testing.assert_allclose(flow.s, w.T**2, rtol=1e-8)  # ten times the rtol: what small modes amplify
    np.testing.assert_allclose(flow.target, v.T**2, rtol=1e-8)


@parametrize(
    ("separate_target", "method"),
    product((False, True), METHODS),
    quick=[(False, "scipy"), (True, "scipy")],
)
def test_flow_of_a_learned_predictor(separate_target, method):
    """Two of the predictor's eigenvalues start on the wrong side of zero or of 1/n1."""
    decay, rate, init = 0.9, 2.0, np.array([-0.1, 0.4, 1.2])

    def slope(_, y):
        w, v, p = y.reshape(3, -1)
        v = v if separate_target else w
        dw, dp = -p * (N1 * p * w - v) - RHO * w, -rate * w * (N1 * p * w - v) - RHO * p
        return np.concatenate([dw, (1 - decay) / ETA * (w - v), dp])

    target = {"target": dyn.EMA(decay)} if separate_target else {}
    start = model(predictor=dyn.Learned(rate, init), **target)
    eta = {"learning_rate": ETA} if separate_target else {}
    flow = dyn.solve(start, S0, TIMES, rtol=1e-9, method=method, **eta)
    w, v, p = accurate(slope, np.concatenate([np.sqrt(S0), np.sqrt(S0), init]))
    np.testing.assert_allclose(flow.s, w.T**2, rtol=1e-8, atol=1e-9)
    np.testing.assert_allclose(flow.predictor, p.T, rtol=1e-8, atol=1e-9)
    np.testing.assert_allclose(flow.target, v.T**2 if separate_target else w.T**2, rtol=1e-8, atol=1e-9)


@parametrize("method", METHODS, quick=["scipy"])
def test_flow_of_a_tracked_correlation(method):
    tracking, alpha, epsilon = 0.95, 0.5, 0.1

    def slope(_, y):
        w, tracked = y.reshape(2, -1)
        lam = (tracked / tracked.max() + epsilon) ** alpha
        return np.concatenate([-lam * (N1 * lam - 1) * w - RHO * w, (1 - tracking) / ETA * (w**2 - tracked)])

    predictor = dyn.ClosedForm(alpha, epsilon, normalize=True, tracking=tracking)
    flow = dyn.solve(model(predictor=predictor), S0, TIMES, learning_rate=ETA, rtol=1e-9, method=method)
    w, tracked = accurate(slope, np.concatenate([np.sqrt(S0), S0]))
    np.testing.assert_allclose(flow.s, w.T**2, rtol=1e-8)
    largest = tracked.max(axis=0)
    np.testing.assert_allclose(flow.predictor, ((tracked / largest).T + epsilon) ** alpha, rtol=1e-8)


def test_descent_map_in_the_order_of_the_theory():
    """Encoder and predictor together, the target from the new encoder."""
    decay, rate, eta = 0.8, 1.5, 0.1
    w, v, p = np.sqrt(S0), np.sqrt(S0), np.full(3, 0.5)
    gd = dyn.iterate(model(predictor=dyn.Learned(rate, 0.5), target=dyn.EMA(decay)), S0, 4, eta)
    for step in range(1, 5):
        force = N1 * p * w - v
        w, p = w - eta * (p * force + RHO * w), p - eta * (rate * w * force + RHO * p)
        v = decay * v + (1 - decay) * w
        for found, expected in zip((gd.s, gd.target, gd.predictor), (w**2, v**2, p), strict=True):
            np.testing.assert_allclose(found[step], expected, rtol=1e-13)  # rounding of four steps


def test_descent_map_builds_its_predictor_from_what_is_tracked_with_the_current_correlation():
    tracking, eta = 0.7, 0.1
    w, tracked = np.sqrt(S0), S0
    gd = dyn.iterate(model(predictor=dyn.ClosedForm(1.0, tracking=tracking)), S0, 4, eta)
    for step in range(1, 5):
        w = w * (1 + eta * (-tracked * (N1 * tracked - 1) - RHO))
        tracked = tracking * tracked + (1 - tracking) * w**2
        np.testing.assert_allclose(gd.s[step], w**2, rtol=1e-13)
        np.testing.assert_allclose(gd.predictor[step], tracked, rtol=1e-13)


# --- limits ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("loss", ["euclidean", "cosine"])
def test_without_decay_the_target_is_the_encoder(loss):
    one, other = (dyn.iterate(model(loss, target=target), S0, 10, 0.1) for target in (dyn.EMA(0.0), dyn.Shared()))
    np.testing.assert_allclose(one.s, other.s, rtol=1e-8)  # the closure's tolerance, 1e-9 a step
    np.testing.assert_allclose(one.target, one.s, rtol=1e-14)


def test_with_decay_one_the_target_stays():
    gd = dyn.iterate(model(target=dyn.EMA(1.0)), S0, 10, 0.1)
    np.testing.assert_allclose(gd.target, np.tile(S0, (11, 1)), rtol=1e-14)
    assert (np.abs(gd.s[-1] / S0 - 1) > 0.01).all()


@pytest.mark.parametrize("loss", ["euclidean", "cosine"])
@pytest.mark.parametrize("options", [{"target": dyn.EMA(0.95)}, {"predictor": dyn.Learned(2.0, 0.5)}], ids=str)
def test_descent_map_converges_to_the_flow(loss, options):
    """Decays per step are adjusted, 1 - decay in proportion to eta, to keep their rate in time."""
    end, errors = 1.0, []
    for eta in (0.01, 0.005):
        own = {"target": dyn.EMA(1 - 5 * eta)} if "target" in options else options
        rate = {"learning_rate": eta} if "target" in options else {}
        flow = dyn.solve(model(loss, **own), S0, [end], rtol=1e-10, **rate)
        errors.append(dyn.iterate(model(loss, **own), S0, round(end / eta), eta).s[-1] - flow.s[-1])
    worst = np.abs(errors[0]).argmax()
    assert np.abs(errors[0][worst]) > 1e-5
    assert errors[0][worst] / errors[1][worst] == pytest.approx(2, rel=0.1)  # order one: 2 + O(eta)


# --- invariants -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("rho", [0.0, 0.1])
@pytest.mark.parametrize("loss", ["euclidean", "cosine"])
def test_invariant_of_the_learned_predictor_decays_with_weight_decay(loss, rho):
    """s - p^2/a_P decays as e^(-2 rho t): both losses see only the product W_P W."""
    rate, init = 2.0, np.array([0.3, 0.6, 0.9])
    flow = dyn.solve(model(loss, predictor=dyn.Learned(rate, init), weight_decay=rho), S0, TIMES, rtol=1e-10)
    invariant = flow.s - flow.predictor**2 / rate
    expected = (S0 - init**2 / rate) * np.exp(-2 * rho * TIMES)[:, None]
    assert np.abs(flow.s[-1] / S0 - 1).max() > 0.3
    np.testing.assert_allclose(invariant, expected, atol=2e-9)  # rtol of s, of order one, over six times


def test_cosine_conserves_the_sum_with_a_learned_predictor_and_not_with_a_target_of_its_own():
    """z . g = 0 where the loss does not change with the size of z, whatever the target."""
    for target in (dyn.Shared(), dyn.EMA(0.9)):
        rate = {"learning_rate": ETA} if target != dyn.Shared() else {}
        flow = dyn.solve(
            model("cosine", predictor=dyn.Learned(), target=target, weight_decay=0.0), S0, TIMES, rtol=1e-10, **rate
        )
        np.testing.assert_allclose(flow.s.sum(axis=-1), S0.sum(), rtol=1e-8)
        assert np.abs(flow.s[-1] / S0 - 1).max() > 0.1


# --- cosine: forces against a slow safe rule, and against sampling --------------------------------------------------

FORCES = list(product(("euclidean", "cosine"), (False, True)))
W, V, P = np.sqrt(S0), np.array([0.6, 0.5, 1.4]), np.array([0.4, 1.1, -0.7])


@pytest.mark.parametrize("modes", [2, 3, 10, 64])
@pytest.mark.parametrize("isotropic", [False, True])
def test_cosine_rates_with_a_target_of_its_own(modes, isotropic):
    random = np.random.default_rng(modes)
    s, ratio = 10 ** random.uniform(-3, 0.5, modes), random.uniform(0.3, 2, modes)
    rates = EigenmodeField(dyn.Model("cosine", isotropic=isotropic, noise=NOISE, target=dyn.EMA(0.9)), rtol=1e-9)
    A, B, _ = gaussian_expectations(s, s, *NOISE, ratio=ratio)
    expected = A - s * B if isotropic else s * A - s**2 * B
    found = s * rates(State(np.sqrt(s), target=ratio * np.sqrt(s))).rates
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-8 * np.abs(expected).max())


@pytest.mark.parametrize("modes", [2, 3, 10, 64])
@pytest.mark.parametrize("separate_target", [False, True])
def test_cosine_force_on_a_learned_predictor(modes, separate_target):
    random = np.random.default_rng(modes)
    s, p = 10 ** random.uniform(-2, 0.5, modes), random.uniform(0.1, 2, modes)
    ratio = random.uniform(0.3, 2, modes) if separate_target else np.ones(modes)
    target = {"target": dyn.EMA(0.9)} if separate_target else {}
    rates = EigenmodeField(dyn.Model("cosine", noise=NOISE, predictor=dyn.Learned(), **target), rtol=1e-9)
    A, B, _ = gaussian_expectations(s, p, *NOISE, ratio=ratio)
    found = rates(State(np.sqrt(s), target=ratio * np.sqrt(s) if separate_target else None, predictor=p))
    for value, expected in ((found.on_predictor, A - p * B), (s * found.rates, p * A - p**2 * B)):
        np.testing.assert_allclose(value, expected, rtol=0, atol=1e-8 * np.abs(expected).max())


@parametrize(("loss", "symmetrised"), FORCES, quick=[("cosine", True)])
def test_forces_are_means_of_the_gradient_of_the_loss(loss, symmetrised):
    """Automatic differentiation of a loss typed in, with signed eigenvalues, over a million samples: |z| < 4.5."""
    samples, random = 1_000_000, np.random.default_rng(5)
    x = random.standard_normal((samples, 3))
    x1, x2 = (x + sigma * random.standard_normal(x.shape) for sigma in NOISE)

    def one_way(w, p, x1, x2):
        prediction, target = p * w * x1, V * x2
        if loss == "euclidean":
            return ((prediction - target) ** 2).sum() / 2
        return -(prediction @ target) / jnp.sqrt((prediction @ prediction) * (target @ target))

    def sample_loss(w, p, x1, x2):
        both = one_way(w, p, x1, x2) + one_way(w, p, x2, x1)
        return both / 2 if symmetrised else one_way(w, p, x1, x2)

    with jax.enable_x64(True):
        slopes = jax.vmap(jax.grad(sample_loss, (0, 1)), (None, None, 0, 0))(W, P, x1, x2)
        drives = [-np.asarray(slope) for slope in slopes]
    start = dyn.Model(loss, noise=NOISE, predictor=dyn.Learned(), target=dyn.EMA(0.9), symmetrised=symmetrised)
    found = EigenmodeField(start)(State(W, target=V, predictor=P))
    for value, drive in zip((W * found.rates, found.on_predictor), drives, strict=True):
        z = (drive.mean(axis=0) - value) / (drive.std(axis=0) / np.sqrt(samples))
        assert np.abs(z).max() < 4.5  # six entries in each of four cases: a chance of 1 in 6 000


# --- networks -------------------------------------------------------------------------------------------------------

LOSSES = [("euclidean", False), ("euclidean", True), ("cosine", False), ("cosine", True)]
PREDICTORS = {
    "closed form": dyn.ClosedForm(0.5, 0.1, normalize=True, tracking=0.8),
    "learned": dyn.Learned(2.0, [0.5, 0.6, 0.7, 1.0]),
    "no predictor": dyn.NoPredictor(),
}
TARGETS = {"shared": dyn.Shared(), "own target": dyn.EMA(0.8)}
COMBINED = [
    pytest.param(loss, isotropic, predictor, target, id=f"{loss}{' isotropic' * isotropic} {predictor} {target}")
    for (loss, isotropic), predictor, target in product(LOSSES, PREDICTORS, TARGETS)
    if not isotropic or predictor == "closed form"
]


@parametrize(("loss", "isotropic", "predictor", "target"), COMBINED, quick=COMBINED[::8])
def test_network_follows_descent_map(loss, isotropic, predictor, target):
    W0 = np.random.default_rng(1).normal(0, 0.35, (4, 6))
    start = model(loss, isotropic=isotropic, predictor=PREDICTORS[predictor], target=TARGETS[target])
    gd = dyn.iterate(
        start, np.linalg.svd(W0, compute_uv=False)[::-1] ** 2, 20, 0.1, batch_size=20_000, input_dimension=W0.shape[1]
    )
    net = dyn.train(start, W0, 20, 0.1, batch_size=20_000, record=4)
    report = dyn.compare(gd, net)
    assert report.within(4.5) == 1  # 20 entries, strongly correlated in time
    assert (report.sampling_error[1:] / report.theory_modes[1:]).max() < 0.01
    for name in ("target", "predictor"):
        ours, theirs = getattr(gd, name)[net.step], getattr(net, name)
        # The target follows the encoder, the predictor s or its own gradient: sampled as well as the encoder.
        np.testing.assert_allclose(np.sort(theirs), np.sort(ours), rtol=0.02)


def test_alignment_of_a_predictor_that_starts_at_random():
    """Its eigenvectors turn towards the eigenvectors of C (Tian et al. 2021); the values at the start are by hand."""
    random = np.random.default_rng(0)
    W0, W_P0 = random.normal(0, 0.5, (3, 5)), np.eye(3) + 0.3 * random.standard_normal((3, 3))
    net = dyn.train(model(predictor=dyn.Learned()), W0, 1500, 0.1, batch_size=1000, record=1500, W_P0=W_P0)
    U = np.linalg.eigh(W0 @ W0.T)[1]
    expected = [abs(u @ W_P0 @ u) / np.linalg.norm(W_P0 @ u) for u in U.T]
    np.testing.assert_allclose(net.alignment[0], expected, rtol=1e-5)  # float32
    assert net.alignment[0].min() < 0.95 and net.alignment[-1].min() > 0.99


def test_compare_reports_how_well_eigenvectors_align():
    W0, start = np.random.default_rng(0).normal(0, 0.5, (3, 5)), model(predictor=dyn.Learned())
    gd = dyn.iterate(start, np.linalg.svd(W0, compute_uv=False) ** 2, 20, 0.1)
    net = dyn.train(start, W0, 20, 0.1, batch_size=100, seed=[0, 1, 2], record=5)
    report = dyn.compare(gd, net)
    np.testing.assert_allclose(report.alignment, net.alignment.mean(axis=0))
    assert report.alignment.shape == (5, 3) and 0.9 < report.alignment[-1].min() < report.alignment[0].min() <= 1
    text = " ".join(str(report).split())
    assert f"least aligned eigenvector 1.0000 at the start, {report.alignment[-1].min():.4f} at the end" in text
    assert dyn.compare(dyn.iterate(model(), net.s[0, 0], 2, 0.1), dyn.train(model(), W0, 2, 0.1)).alignment is None


def test_initial_states_follow_the_encoder():
    start = model(predictor=dyn.ClosedForm(tracking=0.5), target=dyn.EMA(0.5))
    state = initial(start.structure, S0, start.init)
    np.testing.assert_array_equal(state.target, state.encoder)
    np.testing.assert_array_equal(state.tracked, S0)
    assert state.predictor is None
