"""Inputs of any covariance: against eigenmodes where inputs are white, the theory typed in, sampling, and networks."""

from itertools import product

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.integrate import solve_ivp

import dynamics as dyn
from dynamics.vector_field.eigenmodes import EigenmodeField
from dynamics.vector_field.state import State
from dynamics.vector_field.weight_state import initial
from dynamics.vector_field.weights import WeightField
from tests.marks import parametrize

RHO, NOISE, ETA = 0.01, (0.3, 0.1), 0.1
WHITE = np.eye(5)
COVARIANCE = np.diag([1.0, 0.5, 0.2, 0.05, 0.01])  # condition number 100


def model(loss="euclidean", **options):
    return dyn.Model(loss, **({"noise": NOISE, "weight_decay": RHO, "inputs": COVARIANCE} | options))


def weights(modes=3, inputs=5, seed=1, std=0.4):
    return np.random.default_rng(seed).normal(0, std, (modes, inputs))


def eigenvalues(W0):
    return np.linalg.svd(W0, compute_uv=False)[::-1] ** 2


# --- white inputs, beside eigenmodes --------------------------------------------------------------------------------

KINDS = {
    "standard": {},
    "isotropic": {"isotropic": True},
    "no predictor": {"predictor": dyn.NoPredictor()},
    "no stop-gradient, symmetrised": {"stop_gradient": "none", "symmetrised": True},
    "wrong side": {"stop_gradient": "online"},
    "target of its own": {"target": dyn.EMA(0.9), "symmetrised": True},
    "gain": {"gain": "log(1 + lambda)"},
    "normalized and tracked": {"predictor": dyn.ClosedForm(0.5, 0.1, normalize=True, tracking=0.9)},
}


MAPS = list(product(("euclidean", "cosine"), KINDS))


@parametrize(("loss", "kind"), MAPS, quick=[*MAPS[:8], ("cosine", "standard")])
def test_descent_map_is_that_of_eigenmodes_where_inputs_are_white(loss, kind):
    W0 = weights()
    matrices = dyn.iterate(model(loss, inputs=WHITE, **KINDS[kind]), W0, 8, ETA, rtol=1e-11)
    modes = dyn.iterate(model(loss, inputs=None, **KINDS[kind]), eigenvalues(W0), 8, ETA, rtol=1e-11)
    for name in ("s", "target", "predictor"):
        found, expected = getattr(matrices, name), getattr(modes, name)
        np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-12)  # eight steps at the closure's 1e-11
    assert np.abs(modes.s[-1] / modes.s[0] - 1).max() > 0.05


FLOWS = [("euclidean", kind) for kind in KINDS if kind != "wrong side"]
FLOWS += [("cosine", kind) for kind in KINDS if kind not in ("no predictor", "target of its own")]


@parametrize(("loss", "kind"), FLOWS, quick=[*FLOWS[:6], ("cosine", "wrong side")])
def test_flow_is_that_of_eigenmodes_where_inputs_are_white(loss, kind):
    W0, times = weights(2, 3, std=0.6), [0.0, 0.3, 1.0]
    per_step = "target" in KINDS[kind] or ("predictor" in KINDS[kind] and kind != "no predictor")
    rate = {"learning_rate": ETA} if per_step else {}
    matrices = dyn.solve(model(loss, inputs=WHITE[:3, :3], **KINDS[kind]), W0, times, rtol=1e-10, **rate)
    modes = dyn.solve(model(loss, inputs=None, **KINDS[kind]), eigenvalues(W0), times, rtol=1e-10, **rate)
    assert matrices.method == "scipy" and matrices.status == "complete"
    for name in ("s", "target", "predictor"):
        found, expected = getattr(matrices, name), getattr(modes, name)
        np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-12)  # ten times the flows' rtol
    assert np.abs(modes.s[-1] / modes.s[0] - 1).max() > 0.02


def test_blow_up_on_the_wrong_side_is_dated():
    """The exact time of eigenmodes: a pole of the same ODE."""
    W0, times = weights(2, 3, std=1.2), np.linspace(0, 5, 11)
    wrong = {"stop_gradient": "online", "weight_decay": 0.0}
    exact = dyn.solve(model(inputs=None, **wrong), eigenvalues(W0), times)
    found = dyn.solve(model(inputs=WHITE[:3, :3], **wrong), W0, times)
    assert exact.blow_up_time < 5
    assert found.blow_up_time == pytest.approx(exact.blow_up_time, rel=1e-3)  # where the solver gives up
    np.testing.assert_allclose(found.s[: len(exact.t) - 1], exact.s[:-1], rtol=1e-6)


# --- the matrix ODE, typed in ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("alpha", [0.5, 1.0])
@pytest.mark.parametrize("separate_target", [False, True])
def test_euclidean_flow_against_the_matrix_equation(separate_target, alpha):
    """dW/dt = -W_P (W_P W (Sigma_x + sigma1^2) - V Sigma_x) - rho W."""
    covariance = np.cov(np.random.default_rng(3).standard_normal((5, 40)))
    W0, times, decay = weights(), np.array([0.0, 0.5, 2.0]), 0.9

    def slope(_, y):
        W, V = y.reshape(2, *W0.shape)
        s, U = np.linalg.eigh(W @ covariance @ W.T)
        W_P = (U * s**alpha) @ U.T
        target = V if separate_target else W
        force = -W_P @ (W_P @ W @ (covariance + NOISE[0] ** 2 * WHITE) - target @ covariance)
        return np.stack([force - RHO * W, (1 - decay) / ETA * (W - V)]).ravel()

    options = {"target": dyn.EMA(decay)} if separate_target else {}
    rate = {"learning_rate": ETA} if separate_target else {}
    correlated = model(inputs=covariance, predictor=dyn.ClosedForm(alpha), **options)
    flow = dyn.solve(correlated, W0, times, rtol=1e-10, **rate)
    expected = solve_ivp(slope, (0, times[-1]), np.tile(W0.ravel(), 2), "DOP853", times, rtol=1e-12, atol=1e-14)
    W, V = np.moveaxis(expected.y.reshape(2, *W0.shape, len(times)), -1, 1)
    np.testing.assert_allclose(flow.weights, W, atol=1e-9)  # ten times the rtol, of weights of order one
    if separate_target:
        np.testing.assert_allclose(flow.target_weights, V, atol=1e-9)
        np.testing.assert_allclose(flow.target[-1], np.linalg.eigvalsh(V[-1] @ covariance @ V[-1].T), rtol=1e-8)
    np.testing.assert_allclose(flow.s[-1], np.linalg.eigvalsh(W[-1] @ covariance @ W[-1].T), rtol=1e-8)


def test_descent_map_takes_the_steps_of_the_matrix_equation():
    W, eta = weights(), 0.1
    gd = dyn.iterate(model(), W, 5, eta)
    for step in range(1, 6):
        W_P = W @ COVARIANCE @ W.T
        W = W - eta * (W_P @ (W_P @ W @ (COVARIANCE + NOISE[0] ** 2 * WHITE) - W @ COVARIANCE) + RHO * W)
        np.testing.assert_allclose(gd.weights[step], W, atol=1e-14)
    np.testing.assert_array_equal(gd.step, np.arange(6))


# --- invariants -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("loss", ["euclidean", "cosine"])
def test_nothing_depends_on_the_axes_of_the_inputs(loss):
    """Sigma_x -> Q Sigma_x Q^T, W -> W Q^T, and W -> R W."""
    random = np.random.default_rng(0)
    Q, R = (np.linalg.qr(random.standard_normal((size, size)))[0] for size in (5, 3))
    W0 = weights()
    first = dyn.iterate(model(loss), W0, 5, ETA, rtol=1e-11)
    turned = dyn.iterate(model(loss, inputs=Q @ COVARIANCE @ Q.T), R @ W0 @ Q.T, 5, ETA, rtol=1e-11)
    np.testing.assert_allclose(turned.s, first.s, rtol=1e-9)  # five steps at the closure's 1e-11
    np.testing.assert_allclose(turned.weights, R @ first.weights @ Q.T, atol=1e-10)


def test_cosine_conserves_the_size_of_the_weights():
    """z1 . g = 0 in each sample, so |W|^2 stays, although the sum of eigenvalues of C does not."""
    covariance = np.diag([1.0, 0.3, 0.01])
    flow = dyn.solve(model("cosine", inputs=covariance, weight_decay=0.0), weights(2, 3), [0.0, 2.0], rtol=1e-9)
    size = (flow.weights**2).sum(axis=(-2, -1))
    np.testing.assert_allclose(size[1], size[0], rtol=1e-8)
    assert abs(flow.s[1].sum() / flow.s[0].sum() - 1) > 0.05


# --- drives against sampling ----------------------------------------------------------------------------------------

SAMPLED = {
    "euclidean": {},
    "euclidean isotropic": {"isotropic": True},
    "cosine": {},
    "cosine isotropic": {"isotropic": True},
    "cosine symmetrised": {"symmetrised": True},
    "cosine no stop-gradient": {"stop_gradient": "none"},
    "cosine wrong side": {"stop_gradient": "online"},
    "cosine no predictor": {"predictor": dyn.NoPredictor()},
}


@parametrize("kind", SAMPLED, quick=["euclidean isotropic", "cosine", "cosine no predictor"])
def test_drives_are_means_of_the_gradient_of_the_loss(kind):
    """Automatic differentiation of losses typed in, any target weights, over 400 000 samples: |z| < 4.5."""
    options, stop = SAMPLED[kind], jax.lax.stop_gradient
    frozen = options.get("stop_gradient", "target")
    separate_target = frozen == "target"
    samples, random = 400_000, np.random.default_rng(7)
    covariance = np.cov(random.standard_normal((4, 30)))
    W, V = random.normal(0, 0.5, (2, 3, 4))
    V = V if separate_target else W
    x = random.multivariate_normal(np.zeros(4), covariance, samples)
    x1, x2 = (x + sigma * random.standard_normal(x.shape) for sigma in NOISE)
    C = W @ covariance @ W.T
    W_P = np.eye(3) if "no predictor" in kind else C

    def one_way(W, x1, x2):
        z, t = W @ x1, (W if frozen != "target" else V) @ x2
        z, t = (stop(z) if frozen == "online" else z), (stop(t) if frozen == "target" else t)
        p = W_P @ z
        if kind == "euclidean":
            return ((p - t) ** 2).sum() / 2
        if kind == "euclidean isotropic":
            return ((z + stop(p - t - z)) ** 2).sum() / 2
        if kind == "cosine isotropic":
            size, other = jnp.linalg.norm(p), jnp.linalg.norm(t)
            inner = stop(p) @ t / (size * other)
            return -(z @ stop(t / (size * other) - inner * p / size**2))
        return -(p @ t) / (jnp.linalg.norm(p) * jnp.linalg.norm(t))

    def sample_loss(W, x1, x2):
        both = (one_way(W, x1, x2) + one_way(W, x2, x1)) / 2
        return both if "symmetrised" in options else one_way(W, x1, x2)

    with jax.enable_x64(True):
        drive = -np.asarray(jax.vmap(jax.grad(sample_loss), (None, 0, 0))(W, x1, x2))
    target = {"target": dyn.EMA(0.9)} if separate_target else {}
    described = model(kind.split()[0], inputs=covariance, **options, **target)
    found = WeightField(described).forces(State(W, target=V if separate_target else None)).encoder
    z = (drive.mean(axis=0) - found) / (drive.std(axis=0) / np.sqrt(samples))
    assert np.abs(z).max() < 4.5  # twelve entries in each of eight cases: a chance of 1 in 1 500


@pytest.mark.parametrize("spread", [1e-2, 1e-4])
@pytest.mark.parametrize("modes", [2, 3])
@pytest.mark.parametrize("kind", ["cosine", "cosine isotropic", "cosine no stop-gradient", "cosine wrong side"])
def test_drives_meet_their_tolerance(kind, modes, spread):
    """A tenth, and a thousandth, of the tolerance change them by less than the tolerance."""
    described = model("cosine", inputs=np.diag(np.geomspace(1, spread, 5)), **SAMPLED[kind])
    coarse, fine = (WeightField(described, rtol=rtol) for rtol in (1e-8, 1e-11))
    found, expected = (
        field.forces(initial(described.structure, weights(modes), None)).encoder for field in (coarse, fine)
    )
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-8 * np.abs(expected).max())
    assert 0 < coarse.error <= 1e-8 and 0 < fine.error <= 1e-11


# --- networks -------------------------------------------------------------------------------------------------------


FOLLOWED = list(product(("euclidean", "cosine"), ({}, {"isotropic": True}, {"target": dyn.EMA(0.8)})))


@parametrize(("loss", "options"), FOLLOWED, quick=[FOLLOWED[2], FOLLOWED[3]], ids=str)
def test_network_follows_descent_map(loss, options):
    W0 = weights(3, 5, std=0.8)
    start = model(loss, **options)
    gd = dyn.iterate(start, W0, 20, ETA)
    net = dyn.train(start, W0, 20, ETA, batch_size=20_000, record=4, seed=[0, 1, 2])
    report = dyn.compare(gd, net)
    assert report.source == "from 3 seeds"
    assert report.max_relative() < 0.01  # three times 20 000 samples a step
    np.testing.assert_allclose(net.predictor.mean(axis=0), gd.predictor[net.step], rtol=0.02)
    assert np.abs(gd.s[-1] / gd.s[0] - 1).max() > 0.1


# --- arguments ------------------------------------------------------------------------------------------------------


def test_an_ensemble_is_its_members():
    W0 = np.stack([weights(seed=1), weights(seed=2)])
    noisy = model("euclidean", noise=(np.array([[0.0], [0.3], [0.6]]), 0.1))
    together = dyn.solve(noisy, W0, [0.0, 1.0])
    assert together.s.shape == (3, 2, 2, 3) and together.weights.shape == (3, 2, 2, 3, 5)
    alone = dyn.solve(model(noise=(0.6, 0.1)), W0[0], [0.0, 1.0])
    np.testing.assert_allclose(together.s[2, 0], alone.s, rtol=1e-12)
    iterated = dyn.iterate(noisy, W0, 3, ETA)
    np.testing.assert_allclose(iterated.weights[2, 0], dyn.iterate(model(noise=(0.6, 0.1)), W0[0], 3, ETA).weights)


def test_dead_weights_stay_dead():
    for loss in ("euclidean", "cosine"):
        gd = dyn.iterate(model(loss), np.zeros((2, 5)), 3, ETA)
        np.testing.assert_array_equal(gd.s, 0)


def test_results_survive_a_file(tmp_path):
    flow = dyn.solve(model(target=dyn.EMA(0.9)), weights(), [0.0, 1.0], learning_rate=ETA)
    again = dyn.load(flow.save(tmp_path / "flow.npz"))
    assert str(again) == str(flow)
    for name in ("s", "weights", "target_weights"):
        np.testing.assert_array_equal(getattr(again, name), getattr(flow, name))
    np.testing.assert_array_equal(again.model.inputs, COVARIANCE)


@pytest.mark.parametrize(
    ("covariance", "message"),
    [
        (np.ones((2, 3)), r"`inputs` must be a covariance of shape \(N, N\)"),
        (np.array([[1.0, 0.5], [0.2, 1.0]]), "`inputs` must be .*symmetric"),
        (np.diag([1.0, -0.5]), "`inputs` must be .*positive semidefinite"),
        (np.diag([1.0, np.nan]), "`inputs` must be .*finite"),
        ("white", "`inputs` must be "),
    ],
)
def test_what_is_no_covariance_is_refused(covariance, message):
    with pytest.raises(dyn.ArgumentError, match=message):
        dyn.Model("euclidean", inputs=covariance)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: dyn.solve(model(), np.ones(3), [1.0]),
            r"`s0` must be finite weights of shape .* but has shape \(3,\)",
        ),
        (lambda: dyn.solve(model(), np.ones((6, 5)), [1.0]), r"`s0` must be finite weights of shape .* \(6, 5\)"),
        (lambda: dyn.iterate(model(), np.ones((3, 4)), 1, 0.1), r"`s0` must be finite weights of shape .* \(3, 4\)"),
        (lambda: dyn.train(model(), np.ones((3, 4)), 1, 0.1), r"`W0` must be finite weights of shape .* \(3, 4\)"),
        (lambda: dyn.solve(model(), np.full((3, 5), np.nan), [1.0]), "`s0` must be finite weights"),
        (lambda: dyn.solve(model(), weights(), [1.0], method="jax"), "`method` must be 'auto' or 'scipy' for .*inputs"),
        (lambda: dyn.solve(model(), weights(), [1.0], method="exact"), "`method` must be 'auto' or 'scipy' for "),
        (
            lambda: dyn.solve(model("cosine"), weights(), [1.0], closure="mean_field"),
            "`closure` must be 'gaussian' for a model with correlated inputs",
        ),
        (
            lambda: dyn.solve(model(predictor=dyn.ClosedForm(normalize=True)), np.zeros((2, 5)), [1.0]),
            "`s0` must have a nonzero weight",
        ),
        (
            lambda: dyn.solve(model(noise=(np.ones(2), 0.0)), np.ones((3, 3, 5)), [1.0]),
            r"`s0` must have leading dimensions .*\(2,\).*, but its leading dimensions are \(3,\)",
        ),
    ],
)
def test_what_does_not_apply_is_refused(call, message):
    with pytest.raises(dyn.ArgumentError, match=message):
        call()


@pytest.mark.parametrize("options", [{}, {"isotropic": True}, {"stop_gradient": "none"}], ids=str)
def test_a_single_mode_of_a_cosine_loss_does_not_move(options):
    """The loss is the sign of p . t in a network with one mode, with one mode left, or with one input."""
    for W0, covariance in (
        (weights(1, 3), np.diag([1.0, 0.5, 0.1])),
        (np.array([[1.0, 0.2, 0.0], [0.0, 0.0, 0.0]]), np.diag([1.0, 0.5, 0.1])),
        (weights(2, 3), np.diag([1.0, 0.0, 0.0])),
    ):
        noise = (0.0, 0.0) if np.linalg.matrix_rank(covariance) == 1 else NOISE
        gd = dyn.iterate(model("cosine", inputs=covariance, noise=noise, weight_decay=0.0, **options), W0, 3, ETA)
        assert gd.complete
        np.testing.assert_array_equal(gd.weights, np.broadcast_to(W0, gd.weights.shape))


@pytest.mark.parametrize("predictor", [dyn.NoPredictor(), dyn.ClosedForm(0.5, 0.25)], ids=str)
def test_noise_moves_what_sees_a_single_input(predictor):
    """As where the other inputs are nearly constant: an input of variance 1e-10 changes drives by that much."""
    W0 = weights(2, 3)
    models = [
        model("cosine", inputs=np.diag([1.0, variance, variance]), predictor=predictor) for variance in (0, 1e-10)
    ]
    constant, nearly = (WeightField(described).forces(State(W0)).encoder for described in models)
    assert np.abs(constant).max() > 1e-2
    np.testing.assert_allclose(constant, nearly, rtol=0, atol=1e-7 * np.abs(nearly).max())


def test_a_predictor_of_one_mode_beside_noise_in_others_is_not_treated():
    gd = dyn.iterate(model("cosine", isotropic=True, inputs=np.diag([1.0, 0.0, 0.0])), weights(2, 3), 3, ETA)
    assert gd.status.startswith("stopped before step 1: the predictor has one nonzero eigenvalue")


@pytest.mark.parametrize("smallest", [1e-1, 1e-2, 1e-3, 1e-4, 1e-5])
@pytest.mark.parametrize("stop_gradient", ["target", "none", "online"])
def test_drives_beside_a_mode_that_nearly_died(smallest, stop_gradient):
    """White inputs: the eigenmodes' rates r, as drives w r.

    The small mode's to ten times the closure's 1e-8. The other's is as small, but the sum of terms of order one at
    many nodes, which cancel: 200 eps = 4.4e-14 (``ROUNDING`` of the quadrature).
    """
    w, options = np.array([1.0, smallest]), {"stop_gradient": stop_gradient}
    drives = WeightField(model("cosine", inputs=WHITE[:3, :3], **options), rtol=1e-8)
    found = drives.forces(State(np.eye(2, 3) * w[:, None])).encoder
    rates = EigenmodeField(model("cosine", inputs=None, **options), rtol=1e-10)
    expected = w * rates(rates.start(w**2)).rates
    assert drives.error <= 1e-8
    np.testing.assert_allclose(found[1, 1], expected[1], rtol=1e-7)
    np.testing.assert_allclose(found[0, 0], expected[0], rtol=1e-7, atol=4.4e-14)
    np.testing.assert_allclose(found[[0, 0, 1, 1], [1, 2, 0, 2]], 0, atol=4.4e-14)


@pytest.mark.parametrize(
    "options", [{"target": dyn.EMA(0.9)}, {"predictor": dyn.ClosedForm(tracking=0.9)}, {"isotropic": True}], ids=str
)
def test_a_dead_member_of_an_ensemble_leaves_the_others_alone(options):
    W0, covariance = weights(2, 4), np.diag([0.0, 0.0, 0.5, 1.0])
    described = model("cosine", inputs=covariance, noise=(0.0, 0.0), **options)
    both = dyn.iterate(described, np.stack([W0, 0 * W0]), 3, ETA)
    alone = dyn.iterate(described, W0, 3, ETA)
    np.testing.assert_allclose(both.weights[0], alone.weights, rtol=1e-7)  # a hundred times the closure's tolerance
    assert (both.weights[1] == 0).all() and np.abs(alone.weights[3] - W0).max() > 1e-3


def test_a_normalized_predictor_needs_weights_on_inputs_that_vary():
    W0 = np.array([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]])
    blind = model(inputs=np.diag([0.0, 0.0, 1.0]), predictor=dyn.ClosedForm(normalize=True))
    with pytest.raises(dyn.ArgumentError, match="`s0` must have a nonzero weight on an input with nonzero variance"):
        dyn.iterate(blind, W0, 1, ETA)
