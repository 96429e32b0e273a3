"""Learned predictors as matrices: against eigenmodes, automatic differentiation, networks, and any initial weights."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import dynamics as dyn
from dynamics.vector_field.state import State
from dynamics.vector_field.weights import WeightField
from tests.marks import parametrize

RNG = np.random.default_rng(2)
N, M, ETA = 5, 3, 0.1
COVARIANCE = np.diag([1.0, 0.5, 0.2, 0.05, 0.01])  # condition number 100
TURN = np.linalg.qr(RNG.standard_normal((N, N)))[0]
JOINT = RNG.standard_normal((2 * N, 2 * N)) / 3  # rows: the views as maps of independent normals
MOMENTS = JOINT @ JOINT.T + np.kron(np.full((2, 2), 1.0), TURN @ COVARIANCE @ TURN.T)
GENERAL = dyn.Views.moments(MOMENTS[:N, :N], MOMENTS[N:, :N], MOMENTS[N:, N:])
W0 = 0.4 * RNG.standard_normal((M, N))
W_P0 = np.eye(M) + 0.4 * RNG.standard_normal((M, M))  # neither symmetric nor aligned

KINDS = {
    "euclidean": {"loss": "euclidean"},
    "euclidean EMA": {"loss": "euclidean", "target": dyn.EMA(0.9)},
    "euclidean symmetrised": {"loss": "euclidean", "symmetrised": True},
    "euclidean, no stop-gradient": {"loss": "euclidean", "stop_gradient": "none"},
    "cosine": {"loss": "cosine"},
    "cosine EMA": {"loss": "cosine", "target": dyn.EMA(0.9)},
    "cosine symmetrised": {"loss": "cosine", "symmetrised": True},
    "cosine, no stop-gradient": {"loss": "cosine", "stop_gradient": "none"},
    "twice": {"loss": "|W_P^2 * z1 - sg(z2)|^2 / 2"},
    "on the target": {"loss": "|z1 - W_P * sg(z2)|^2 / 2"},
}


def model_of(kind, **options):
    learned = dyn.Learned(rate=0.7, init=[0.5, 0.8, 1.1])
    return dyn.Model(**KINDS[kind], predictor=learned, weight_decay=0.01, **options)


@parametrize("kind", KINDS, quick=["euclidean EMA", "cosine", "on the target"])
def test_aligned_predictors_follow_the_eigenmodes_where_inputs_are_white(kind):
    matrices = dyn.iterate(model_of(kind, inputs=np.eye(N), noise=(0.3, 0.1)), W0, 8, ETA, rtol=1e-11)
    s0 = np.linalg.svd(W0, compute_uv=False)[::-1] ** 2
    modes = dyn.iterate(model_of(kind, noise=(0.3, 0.1)), s0, 8, ETA, rtol=1e-11)
    order = np.argsort(modes.s, axis=-1)  # eigenvalues of matrices are sorted, and modes may overtake each other
    expected = {"s": np.sort(modes.s), "target": np.sort(modes.target)}
    expected["predictor"] = np.take_along_axis(modes.predictor, order, axis=-1)
    for name, values in expected.items():
        np.testing.assert_allclose(getattr(matrices, name), values, rtol=1e-9, atol=1e-12)  # the closure's 1e-11
    assert np.abs(modes.predictor[-1] / modes.predictor[0] - 1).max() > 0.01


def losses_typed_in(kind):
    """The loss of one sample as a function of W and W_P, with V the weights of the target."""
    stop = jax.lax.stop_gradient

    def one_way(W, W_P, V, x1, x2):
        z, t = W @ x1, (W if "no stop" in kind else V) @ x2
        if kind == "on the target":
            return ((z - W_P @ stop(t)) ** 2).sum() / 2
        p = W_P @ (W_P @ z) if kind == "twice" else W_P @ z
        t = t if "no stop" in kind else stop(t)
        if "cosine" in kind:
            return -(p @ t) / (jnp.linalg.norm(p) * jnp.linalg.norm(t))
        return ((p - t) ** 2).sum() / 2

    def loss(W, W_P, V, x1, x2):
        first = one_way(W, W_P, V, x1, x2)
        return (first + one_way(W, W_P, V, x2, x1)) / 2 if "symmetrised" in kind else first

    return loss


@parametrize("kind", KINDS, quick=["euclidean", "cosine EMA", "twice"])
def test_forces_are_means_of_the_gradients_of_the_loss(kind):
    """Automatic differentiation over 200 000 samples of views with general moments: |z| < 4.7."""
    samples = np.random.default_rng(7).multivariate_normal(np.zeros(2 * N), MOMENTS, 200_000)
    V = W0 + (0.3 * RNG.standard_normal((M, N)) if "EMA" in kind else 0.0)
    state = State(W0, target=V if "EMA" in kind else None, predictor=W_P0)
    forces = WeightField(model_of(kind, views=GENERAL)).forces(state)
    with jax.enable_x64(True):
        gradients = jax.vmap(jax.grad(losses_typed_in(kind), (0, 1)), (None, None, None, 0, 0))
        drawn = [np.asarray(a) for a in gradients(W0, W_P0, V, samples[:, :N], samples[:, N:])]
    for force, gradient in zip(forces, drawn, strict=True):
        mean, error = -np.mean(gradient, axis=0), np.std(gradient, axis=0) / np.sqrt(len(samples))
        assert (np.abs(mean - force) < 4.7 * error).all()  # 24 entries in ten cases: a chance of 1 in 1 600
    assert np.abs(forces.predictor - forces.predictor.T).max() > 0.01  # the alignment of modes is not assumed


@pytest.mark.parametrize("kind", [kind for kind in KINDS if "cosine" not in kind])
def test_theory_is_exact_for_samples_of_any_distribution_and_any_initial_predictor(kind):
    rng = np.random.default_rng(5)
    x = rng.exponential(size=(40, N)) @ rng.standard_normal((N, N)) / 6
    views = dyn.Views.measured(x + 0.1 * rng.uniform(size=x.shape), x + 0.2 * rng.uniform(size=x.shape) ** 2)
    model = model_of(kind, views=views)
    theory = dyn.iterate(model, W0, 100, 0.02, W_P0=W_P0)
    network = dyn.train(model, W0, 100, 0.02, W_P0=W_P0, dtype="float64")
    for name in ("weights", "predictor_weights", "s", "predictor"):
        found, expected = getattr(network, name), getattr(theory, name)
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-12 * np.abs(expected).max())  # rounding
    np.testing.assert_array_equal(theory.predictor_weights[0], W_P0)
    assert np.abs(theory.predictor_weights - W_P0).max() > 0.01


@pytest.mark.long
@pytest.mark.parametrize("kind", ["euclidean", "cosine", "cosine EMA", "cosine symmetrised"])
def test_networks_on_moments_with_condition_number_100_follow_theory(kind):
    """200 steps on 20 000 samples, ten seeds; the distance in standard errors, and below 1 % of the largest weight."""
    model = model_of(kind, inputs=TURN @ COVARIANCE @ TURN.T, noise=(0.1, 0.2))
    theory = dyn.iterate(model, W0, 200, ETA, W_P0=W_P0, record=[200])
    options = {"W_P0": W_P0, "batch_size": 20_000, "seed": list(range(10)), "record": [200]}
    network = dyn.train(model, W0, 200, ETA, **options)
    for name in ("weights", "predictor_weights"):
        found, expected = getattr(network, name)[:, -1], getattr(theory, name)[-1]
        deviation, error = np.abs(found.mean(axis=0) - expected), found.std(axis=0, ddof=1) / np.sqrt(10)
        assert (deviation < 6 * error + 1e-5).all()  # Student's t with 9 degrees of freedom: 2e-4 for each of 24
        assert deviation.max() < 0.01 * np.abs(expected).max()
    other = dyn.iterate(model, W0, 200, ETA, record=[200])  # from an aligned predictor: another trajectory
    assert np.abs(other.weights[-1] - theory.weights[-1]).max() > 0.05 * np.abs(theory.weights[-1]).max()


def test_flow_is_the_limit_of_small_steps():
    model, times = model_of("cosine", views=GENERAL), [0.0, 0.5]
    flow = dyn.solve(model, W0, times, W_P0=W_P0, rtol=1e-9)
    ends = [dyn.iterate(model, W0, n, 0.5 / n, W_P0=W_P0, record=[n], rtol=1e-9) for n in (50, 100)]
    for name in ("weights", "predictor_weights"):
        coarse, fine = (getattr(end, name)[-1] for end in ends)
        size = np.abs(getattr(flow, name)[-1]).max()
        # Richardson's extrapolation leaves an error of second order in the step, 1/100 of the difference of both
        distance = np.abs(2 * fine - coarse - getattr(flow, name)[-1]).max()
        assert distance < 0.05 * np.abs(fine - coarse).max() and np.abs(fine - coarse).max() > 1e-5 * size


def test_the_predictor_of_a_collapsed_encoder_decays():
    model = dyn.Model("cosine", predictor=dyn.Learned(), inputs=COVARIANCE, weight_decay=0.1)
    gd = dyn.iterate(model, np.zeros((M, N)), 3, ETA, W_P0=W_P0)
    np.testing.assert_allclose(gd.predictor_weights[-1], (1 - 0.01) ** 3 * W_P0, rtol=1e-12)
    assert not gd.weights.any()


CASES = {
    "not learned": (lambda W: dyn.solve(dyn.Model("cosine", inputs=COVARIANCE), W0, [0, 1], W_P0=W), "be left out, "),
    "white": (
        lambda W: dyn.iterate(dyn.Model("cosine", predictor=dyn.Learned()), [0.1, 0.2, 0.3], 1, 0.1, W_P0=W),
        "be left out for white inputs",
    ),
    "shape": (lambda W: dyn.iterate(model_of("cosine", views=GENERAL), W0, 1, 0.1, W_P0=W[:2]), "be finite weights"),
    "nan": (lambda W: dyn.iterate(model_of("cosine", views=GENERAL), W0, 1, 0.1, W_P0=W * np.nan), "be finite weights"),
}


@pytest.mark.parametrize("case", CASES)
def test_initial_weights_that_do_not_fit_are_refused(case):
    call, requirement = CASES[case]
    with pytest.raises(dyn.ArgumentError, match=f"`W_P0` must {requirement}"):
        call(W_P0)


def test_fluctuations_of_learned_predictors_as_matrices_are_refused():
    with pytest.raises(dyn.ArgumentError, match="`batch_size` must be left out for a learned predictor"):
        dyn.iterate(dyn.Model("cosine", predictor=dyn.Learned(), inputs=COVARIANCE), W0, 1, 0.1, batch_size=100)
