"""Linear networks: against the descent map, and against a second implementation in NumPy."""

import re
from itertools import product

import jax
import numpy as np
import pytest

import dynamics as dyn
from dynamics.networks.gaussian_views import gaussian_views
from dynamics.networks.linear import _without_diverged
from dynamics.networks.run import DTYPES
from dynamics.vector_field.state import State
from dynamics.vector_field.weight_state import observables
from tests.marks import parametrize

NOISE = (0.0, 0.1)
BOTH_NOISY = (0.3, 0.2)


def weights(modes, inputs, seed=0):
    return np.random.default_rng(seed).standard_normal((modes, inputs)) / 4


def eigenvalues(W):
    return np.linalg.svd(W, compute_uv=False)[..., ::-1] ** 2


def a_run(**changes):
    """A short run in which every part of the training step matters."""
    model = dyn.Model("euclidean", noise=BOTH_NOISY, weight_decay=0.1)
    given = {"model": model, "W0": weights(2, 3), "steps": 6, "learning_rate": 0.1, "batch_size": 20} | changes
    return dyn.train(**given)


# --- network against descent map ------------------------------------------------------------------------------------

VERSIONS = {
    "no stop-gradient": {"stop_gradient": "none"},
    "no predictor": {"predictor": dyn.NoPredictor()},
    "standard": {},
    "isotropic": {"isotropic": True},
}
PANELS = {  # name: model and learning rate
    f"{loss}, {name}": (
        dyn.Model(loss, noise=NOISE, **options),
        0.01 if loss == "euclidean" and name != "no predictor" else 0.1,
    )
    for loss in ("euclidean", "cosine")
    for name, options in VERSIONS.items()
}


@parametrize("panel", PANELS, quick=["euclidean, standard"])
def test_network_follows_descent_map_at_the_papers_settings(panel):
    model, learning_rate = PANELS[panel]
    W0 = weights(10, 15)
    theory = dyn.iterate(model, eigenvalues(W0), steps=300, learning_rate=learning_rate)
    trained = dyn.train(model, W0, steps=300, learning_rate=learning_rate, batch_size=50_000)
    assert (trained.status, len(trained.step)) == ("complete", 301)
    comparison = dyn.compare(theory, trained)
    # 50 000 samples a step give eigenvalues above 1e-3 a standard deviation of at most 0.65 % (predicted; largest where
    # the cosine loss without stop-gradient makes a mode vanish), 0.25 % in the other panels.
    # Four of them, and 1 % where that is less.
    vanishes = panel == "cosine, no stop-gradient"
    assert comparison.max_relative(above=1e-3) < (0.026 if vanishes else 0.01)
    # Ten modes: chance of 1 in 1600, more by the modes' independent periods. What a vanishing mode is off by is
    # multiplied step by step, and has a heavier tail: up to 1 % of the entries, in a third of the seeds.
    assert comparison.within(4) >= (0.98 if vanishes else 1)


GRADIENTS = {
    **{name: PANELS[name][0] for name in ("euclidean, standard", "cosine, standard", "cosine, no stop-gradient")},
    "cosine, wrong side": dyn.Model("cosine", stop_gradient="online", noise=NOISE),
    "isotropic cosine, symmetrised": dyn.Model("cosine", isotropic=True, symmetrised=True, noise=NOISE),
    "cosine, DirectPred, decay": dyn.Model("cosine", predictor=dyn.ClosedForm(0.5), noise=BOTH_NOISY, weight_decay=0.1),
}


@parametrize("name", GRADIENTS, quick=["cosine, DirectPred, decay", "isotropic cosine, symmetrised"])
def test_gradient_is_right_in_the_mean(name):
    """E[W after a step] = U diag(w (1 + eta (r - rho))) V^T, from the descent map."""
    model, seeds = GRADIENTS[name], 256
    W0 = weights(3, 5)
    U, w, Vt = np.linalg.svd(W0, full_matrices=False)
    before, after = dyn.iterate(model, w**2, steps=1, learning_rate=0.1).s
    expected = (U * w * np.sqrt(after / before)) @ Vt
    trained = dyn.train(model, W0, 1, 0.1, batch_size=1000, seed=range(seeds)).weights[:, -1].astype(float)
    error = trained.std(axis=0, ddof=1) / np.sqrt(seeds)
    # 15 entries of Student's t with 255 degrees of freedom: |z| > 4.5 in one of 6000 such tests. Rounding to single
    # precision, 3e-8, is a thousand times less than these errors.
    assert np.abs((trained.mean(axis=0) - expected) / error).max() < 4.5


def off_diagonal(trained, U):
    """rms over seeds and pairs of the entries of U^T W W^T U off the diagonal, at the last step."""
    C = trained.weights[:, -1] @ np.swapaxes(trained.weights[:, -1], -1, -2)
    entries = (U.T @ C @ U)[:, *np.triu_indices(len(U), 1)]
    return np.sqrt(np.mean(entries**2))


@parametrize("loss", ["euclidean", "cosine"], quick=["euclidean"])
def test_eigenvectors_stay_put(loss):
    """Sampling alone turns them, by 1/sqrt(batch size); a drift would not fall with it."""
    model, W0 = dyn.Model(loss, noise=NOISE), weights(3, 5)
    U = np.linalg.svd(W0)[0]
    few, many = (
        off_diagonal(dyn.train(model, W0, 40, 0.1, batch_size=size, seed=range(32), record=40), U)
        for size in (400, 6400)  # with 100 a few networks of the cosine loss turn far: no rms to compare with
    )
    # Each rms has 32 seeds x 3 pairs and so a relative standard error of 1/sqrt(2 * 96) = 7 %, the ratio 10 %.
    assert 4 * (1 - 0.3) < few / many < 4 * (1 + 0.3)


# --- a second implementation ----------------------------------------------------------------------------------------


def loss_gradients(model, p, z2):
    """dL/dp and dL/dz2, per sample, typed in independently of the derivations."""
    if model.loss == "euclidean":
        return p - z2, z2 - p
    # Where ReLU switches off all units the cosine is not defined; such a sample takes no part.
    norm_p, norm_z = (np.maximum(np.linalg.norm(a, axis=1, keepdims=True), 1e-12) for a in (p, z2))
    cosine = (p * z2).sum(axis=1, keepdims=True) / (norm_p * norm_z)
    return cosine * p / norm_p**2 - z2 / (norm_p * norm_z), cosine * z2 / norm_z**2 - p / (norm_p * norm_z)


def weight_gradient(model, unit, W, x1, x2):
    """dL/dW of the mean over the batch."""
    s, U = np.linalg.eigh(W @ W.T)
    P = (U * s**model.predictor.alpha) @ U.T if isinstance(model.predictor, dyn.ClosedForm) else np.eye(len(s))
    (a1, z1), (a2, z2) = ((x @ W.T, unit(x @ W.T)) for x in (x1, x2))
    dp, dz2 = loss_gradients(model, z1 @ P, z2)
    dz1 = dp if model.isotropic else dp @ P
    # Where the activation passes a gradient: everywhere, or where it is positive.
    slopes = [np.ones_like(a) if unit(np.array(-1.0)) else a > 0 for a in (a1, a2)]
    branches = {"target": (1, 0), "none": (1, 1), "online": (0, 1)}[model.stop_gradient]
    parts = zip(branches, (dz1, dz2), slopes, (x1, x2), strict=True)
    return sum(on * (dz * slope).T @ x for on, dz, slope, x in parts) / len(x1)


def train_in_numpy(model, W, unit, steps, learning_rate, batch_size, seed):
    """Gradient descent on the very views that ``train`` draws."""
    for step in range(steps):
        with jax.enable_x64(True):
            key = jax.random.fold_in(jax.random.key(np.uint32(seed)), step)
            views = gaussian_views(key, model.noise, (True, True), None, (W.shape[1], batch_size), "float64")
            x1, x2 = (np.asarray(view).T for view in views)
        gradient = weight_gradient(model, unit, W, x1, x2)
        if model.symmetrised:
            gradient = (gradient + weight_gradient(model, unit, W, x2, x1)) / 2
        W = W - learning_rate * (gradient + model.weight_decay * W)
    return W


UNITS = {"linear": lambda a: a, "relu": lambda a: np.maximum(a, 0)}
OPTIONS = {
    "target": {},
    "none": {"stop_gradient": "none"},
    "online": {"stop_gradient": "online"},
    "isotropic": {"isotropic": True},
    "no predictor": {"predictor": dyn.NoPredictor()},
    "symmetrised": {"symmetrised": True},
}


NETWORKS = [
    (loss, options, units)
    for loss in ("euclidean", "cosine")
    for options, units in [*product(OPTIONS, ["linear"]), ("target", "relu"), ("none", "relu")]
]


@parametrize(("loss", "options", "units"), NETWORKS, quick=NETWORKS[::6])
def test_training_equals_a_second_implementation(loss, options, units):
    common = {"predictor": dyn.ClosedForm(0.5), "noise": BOTH_NOISY, "weight_decay": 0.1}
    model, W0 = dyn.Model(loss, **(common | OPTIONS[options])), weights(2, 3)
    trained = dyn.train(model, W0, 3, 0.2, batch_size=16, seed=7, units=units, dtype="float64").weights[-1]
    again = train_in_numpy(model, W0, UNITS[units], 3, 0.2, 16, 7)
    # Rounding: eps = 2e-16 times a few hundred operations, and times 1/|z| for the cosine, which ReLU lets be large.
    np.testing.assert_allclose(trained, again, rtol=0, atol=1e-11)


def test_modes_are_projections_on_the_first_eigenvectors():
    net = dyn.train(dyn.Model("cosine", noise=NOISE), weights(3, 5), 6, 0.5, batch_size=10, seed=[0, 1])
    U = np.linalg.eigh(weights(3, 5) @ weights(3, 5).T)[1]
    W = net.weights.astype(float)
    expected = np.einsum("im,stin,stjn,jm->stm", U, W, W, U)
    np.testing.assert_allclose(net.modes, expected, rtol=1e-5)  # float32
    np.testing.assert_allclose(net.modes[:, 0], net.s[:, 0], rtol=1e-5)
    assert (np.abs(net.modes[:, -1] / net.s[:, -1] - 1) > 1e-4).any()


def test_modes_of_theory_are_its_eigenvalues_in_ascending_order():
    gd = dyn.iterate(dyn.Model("euclidean"), [[0.5, 0.2], [0.1, 0.3]], 3, 0.1)
    np.testing.assert_array_equal(gd.modes, [gd.s[0][:, ::-1], gd.s[1]])


def test_weight_decay_alone_shrinks_geometrically():
    """Without predictor and noise both views agree: the Euclidean gradient vanishes."""
    model, W0 = dyn.Model("euclidean", predictor=dyn.NoPredictor(), weight_decay=0.5), weights(2, 3)
    trained = dyn.train(model, W0, 5, 0.1, batch_size=10, dtype="float64")
    expected = W0 * (1 - 0.1 * 0.5) ** np.arange(6)[:, None, None]
    np.testing.assert_allclose(trained.weights, expected, rtol=1e-14)  # rounding: 5 steps


# --- options --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", DTYPES)
def test_dtype_is_that_of_the_weights(dtype):
    assert a_run(dtype=dtype).weights.dtype == dtype


def test_single_precision_agrees_with_double():
    """A run without sampling noise (see the test above), so that only rounding can differ."""
    model = dyn.Model("euclidean", predictor=dyn.NoPredictor(), weight_decay=0.5)
    single, double = (a_run(model=model, dtype=dtype).s for dtype in DTYPES)
    np.testing.assert_allclose(single, double, rtol=1e-5)  # eps = 1.2e-7, six steps, eigenvalues are squares
    assert (single != double).any()


def test_eigenvalues_are_those_of_the_weights_ascending():
    trained = a_run(dtype="float64")
    C = trained.weights @ np.swapaxes(trained.weights, -1, -2)
    np.testing.assert_allclose(trained.s, np.linalg.eigvalsh(C), rtol=1e-12)  # rounding; condition of C below 100
    assert (np.diff(trained.s) > 0).all()


def test_time_is_learning_rate_times_step():
    trained = a_run(steps=4, learning_rate=0.25)
    assert trained.step.tolist() == [0, 1, 2, 3, 4]
    assert trained.t.tolist() == [0, 0.25, 0.5, 0.75, 1]


def test_several_seeds_add_a_leading_axis():
    probes = np.ones((4, 3))
    many = a_run(seed=[3, 5, 8], probes=probes)
    shapes = many.s.shape, many.weights.shape, many.embeddings.shape, many.predictor.shape
    assert shapes == ((3, 7, 2), (3, 7, 2, 3), (3, 7, 4, 2), (3, 7, 2))
    assert many.settings["seed"] == [3, 5, 8]
    one = a_run(seed=5, probes=probes)
    assert (one.s.shape, one.weights.shape, one.embeddings.shape) == ((7, 2), (7, 2, 3), (7, 4, 2))
    assert a_run(seed=[5]).s.shape == (1, 7, 2)


def test_networks_side_by_side_are_those_trained_alone():
    many = a_run(seed=[3, 5], dtype="float64").weights
    alone = np.stack([a_run(seed=seed, dtype="float64").weights for seed in (3, 5)])
    np.testing.assert_allclose(many, alone, rtol=0, atol=1e-14)  # rounding: sums may be taken in another order


def test_same_seed_same_run():
    np.testing.assert_array_equal(a_run(seed=1).weights, a_run(seed=1).weights)


def test_another_seed_another_run():
    assert (a_run(seed=1).weights[1:] != a_run(seed=2).weights[1:]).all()


@pytest.mark.parametrize(
    ("record", "steps", "recorded"),
    [
        (1, 3, [0, 1, 2, 3]),
        (2, 6, [0, 2, 4, 6]),
        (4, 6, [0, 4, 6]),
        (99, 6, [0, 6]),
        ([1, 5], 6, [0, 1, 5, 6]),
        ([5, 1, 5, 0], 6, [0, 1, 5, 6]),
        (np.array([2]), 6, [0, 2, 6]),
        (1, 0, [0]),
        (60, 130, [0, 60, 120, 130]),
        (1, 130, list(range(131))),
    ],
    ids=lambda value: str(value) if not isinstance(value, list) or len(value) < 9 else "every step",
)
def test_recorded_steps(record, steps, recorded):
    """Which steps are recorded does not change what is computed."""
    chosen, every = (a_run(steps=steps, record=r, dtype="float64") for r in (record, 1))
    assert chosen.step.tolist() == recorded
    np.testing.assert_allclose(chosen.weights, every.weights[recorded], rtol=0, atol=1e-13)  # rounding


@pytest.mark.parametrize("units", UNITS)
@pytest.mark.parametrize("seed", [0, [0, 1]], ids=["one seed", "two seeds"])
def test_embeddings_are_the_probes_representations(units, seed):
    probes = np.random.default_rng(1).standard_normal((4, 3))
    trained = a_run(probes=probes, units=units, seed=seed, dtype="float64")
    expected = UNITS[units](np.einsum("...mn,pn->...pm", trained.weights, probes))
    np.testing.assert_allclose(trained.embeddings, expected, rtol=0, atol=1e-15)  # rounding: three products of order 1


def test_no_probes_no_embeddings():
    assert a_run().embeddings is None


# --- how a run ends -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("record", [1, 3])
def test_divergence_names_the_step_and_keeps_the_finite_part(dtype, record):
    """Stop-gradient on the wrong side: eigenvalues above 1 grow without bound."""
    model = dyn.Model("euclidean", stop_gradient="online")
    trained = dyn.train(model, 2 * np.eye(2, 3), 300, 0.1, batch_size=1000, record=record, dtype=dtype)
    match = re.fullmatch(r"weights diverge before step (\d+)", trained.status)
    assert match and not trained.complete
    assert int(match[1]) == trained.step[-1] + record
    assert len(trained.step) == len(trained.t) == len(trained.s) == len(trained.weights) > 2
    assert np.isfinite(trained.weights).all() and np.isfinite(trained.s).all()
    assert trained.s[-1].max() > 1e3 * trained.s[0].max()


def test_a_whole_run_is_complete():
    trained = a_run()
    assert trained.complete and trained.status == "complete" and trained.kind == "network"
    assert trained.settings["learning_rate"] == 0.1 and trained.settings["batch_size"] == 20


def test_zero_steps_return_the_start():
    trained = a_run(steps=0, dtype="float64")
    np.testing.assert_array_equal(trained.weights, weights(2, 3)[None])


def test_one_network_that_diverges_leaves_the_others():
    weights = State(np.array([1.0, 2.0, np.inf])[None, :, None, None] * np.ones((2, 3, 1, 1)))
    weights.encoder[1] = 1.0
    kept, status = _without_diverged(weights, np.array([0, 5, 10]), "complete")
    assert status == "weights diverge in 1 of 2 networks, the first before step 10"
    assert kept.encoder.shape == (2, 3, 1, 1)
    model = dyn.Model("cosine")
    seen = observables(model.structure, model.parameters, kept, None)
    np.testing.assert_allclose(seen.s[..., 0], [[1, 4, np.inf], [1, 1, 1]])


def test_records_after_the_last_finite_one_are_left_out():
    weights = State(np.array([1.0, np.nan, np.inf])[None, :, None, None] * np.ones((2, 3, 1, 1)))
    kept, status = _without_diverged(weights, np.array([0, 5, 10]), "interrupted after step 10")
    assert status == "weights diverge in 2 of 2 networks, the first before step 5; interrupted after step 10"
    np.testing.assert_array_equal(kept.encoder, np.ones((2, 1, 1, 1)))
