"""Measurements of deep networks, against formulas typed again."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import dynamics as dyn
from dynamics.networks.deep import metrics
from dynamics.networks.deep import step as steps
from dynamics.networks.deep.metrics import Record, Representations, measure

RNG = np.random.default_rng(0)
N, N_TEST, M, H = 60, 40, 3, 5
PLAIN = dyn.gaussian_images(side=3, train=N, test=N_TEST)
LABELLED = dyn.Images("labelled", PLAIN.train, RNG.integers(0, 4, N), PLAIN.test, RNG.integers(0, 4, N_TEST))
CLOSED = dyn.Model("euclidean", predictor=dyn.ClosedForm(0.5, 0.1))
TRACKED = dyn.Model("euclidean", predictor=dyn.ClosedForm(0.5, 0.1, normalize=True, tracking=0.9))
LEARNED = dyn.Model("euclidean", predictor=dyn.Learned())
NONE = dyn.Model("euclidean", predictor=dyn.NoPredictor())


def spread(n=N, modes=M, seed=1):
    """z (n, M) of different variances, correlated, and not about zero."""
    rng = np.random.default_rng(seed)
    return (rng.standard_normal((n, modes)) * [2.0, 1.0, 0.3]) @ rng.standard_normal((modes, modes)) + 0.3


def representations(**changes):
    rng = np.random.default_rng(2)
    h, h_test = rng.standard_normal((N, H)), rng.standard_normal((N_TEST, H))
    return Representations(h, h_test, spread(), None, None, None, np.array(0.25), np.eye(M))._replace(**changes)


def measured(model=CLOSED, images=PLAIN, **changes):
    spec = steps.deep_spec(model, dyn.Network(images, projector=(6, M)), 8, 10, "float64")
    return measure(spec, model.parameters.map(lambda a: float(a[0])), representations(**changes), images)


def spectrum(z=None):
    z = spread() if z is None else z
    s, U = np.linalg.eigh(z.T @ z / len(z))
    return s, U


# --- spectra and predictor ------------------------------------------------------------------------------------------


def test_modes_are_variances_along_the_directions_of_the_start():
    s, U = spectrum()
    z = spread()
    np.testing.assert_allclose(measured(directions=U).modes, s, rtol=1e-10)
    np.testing.assert_allclose(measured().modes, (z**2).mean(axis=0), rtol=1e-12)  # along the axes


def test_eigenvalues_are_those_of_the_correlation_not_of_the_covariance():
    expected, target = np.linalg.svd(spread(), compute_uv=False)[::-1] ** 2 / N, spread(seed=5)
    record = measured(target=target)
    np.testing.assert_allclose(record.s, expected, rtol=1e-12)
    np.testing.assert_allclose(record.target, np.linalg.svd(target, compute_uv=False)[::-1] ** 2 / N, rtol=1e-12)
    np.testing.assert_array_equal(measured().target, measured().s)
    assert record.loss == 0.25


def test_a_closed_form_is_built_from_the_correlation():
    record, (s, _) = measured(), spectrum()
    np.testing.assert_allclose(record.predictor, np.sqrt(s + 0.1), rtol=1e-12)
    np.testing.assert_array_equal(record.alignment, 1)
    np.testing.assert_array_equal(record.tracked, record.s)


def test_no_predictor_is_one():
    record = measured(NONE)
    np.testing.assert_array_equal([record.predictor, record.alignment], 1)


def assert_along(record, W_P):
    """u . W_P u and its share of |W_P u|, eigenvector by eigenvector."""
    for m, u in enumerate(spectrum()[1].T):
        assert record.predictor[m] == pytest.approx(u @ W_P @ u, rel=1e-10)
        assert record.alignment[m] == pytest.approx(abs(u @ W_P @ u) / np.linalg.norm(W_P @ u), rel=1e-10)
    assert record.alignment.max() < 0.999


def test_a_tracked_correlation_and_the_predictor_that_is_built_from_it():
    C = np.cov(spread(seed=7).T)
    record, (t, V) = measured(TRACKED, tracked=C), np.linalg.eigh(C)
    np.testing.assert_allclose(record.tracked, t, rtol=1e-12)
    assert_along(record, (V * np.sqrt(t / t.max() + 0.1)) @ V.T)


def test_alignment_of_a_learned_predictor():
    W_P = np.random.default_rng(3).standard_normal((M, M))
    assert_along(measured(LEARNED, W_P=W_P), W_P)


@pytest.mark.parametrize("hidden", [(), (7,)], ids=["linear", "MLP"])
def test_the_matrix_of_a_learned_predictor(hidden, double_precision):
    """For an MLP it is the linear map nearest to it: by least squares over the images, without a constant."""
    spec = steps.deep_spec(LEARNED, dyn.Network(PLAIN, projector=(6, M), predictor=hidden), 8, 10, "float64")
    layers, z = spec.architecture.start(spec.shape, jax.random.key(1)), jnp.asarray(spread())
    predicted = np.asarray(spec.architecture.predict(layers.predictor, z))
    W_P = np.asarray(metrics._matrix(spec, steps.TrainingState(layers, None, None, None, None, None), z))
    expected = np.linalg.lstsq(spread(), predicted)[0].T
    np.testing.assert_allclose(W_P, expected, rtol=0, atol=1e-12)  # rounding, times a condition number of 100
    residual = np.abs(predicted - spread() @ W_P.T).max()
    assert residual < 1e-12 if not hidden else residual > 0.01
    if not hidden:
        (matrix,) = jax.tree.leaves(layers.predictor)
        np.testing.assert_allclose(W_P, matrix, rtol=0, atol=1e-15)


def test_representations_are_read_with_the_statistics_of_the_images_for_training(double_precision):
    """h of an image for testing does not depend on the others."""
    spec = steps.deep_spec(CLOSED, dyn.Network(PLAIN, encoder=dyn.MLP((H,)), projector=(6, M)), 8, 10, "float64")
    layers = spec.architecture.start(spec.shape, jax.random.key(1))
    training = steps.TrainingState(layers, None, None, None, jnp.asarray(0.5), jnp.eye(M))
    train, test = jnp.asarray(PLAIN.train, float), jnp.asarray(PLAIN.test, float)
    read = metrics.represent(spec, training, train, test)
    linear = layers.branch.encoder.layers[1].weight
    a, a_test = (np.asarray(x.reshape(len(x), -1) @ linear.T) for x in (train, test))
    scale = np.sqrt(a.var(axis=0) + 1e-5)
    np.testing.assert_allclose(read.h, np.maximum((a - a.mean(0)) / scale, 0), rtol=0, atol=1e-12)
    np.testing.assert_allclose(read.h_test, np.maximum((a_test - a.mean(0)) / scale, 0), rtol=0, atol=1e-12)
    assert read.z.shape == (N, M) and read.target is None and read.W_P is None and read.loss == 0.5


# --- how many dimensions --------------------------------------------------------------------------------------------


def test_ranks_and_spread():
    record, (s, _), z = measured(), spectrum(), spread()
    assert record.participation_ratio == pytest.approx(s.sum() ** 2 / (s**2).sum(), rel=1e-12)
    share = np.sqrt(s) / np.sqrt(s).sum()
    assert record.rankme == pytest.approx(np.prod(share**-share), rel=1e-12)
    unit = np.array([row / np.sqrt(row @ row) for row in z])
    deviations = [np.sqrt(np.mean((channel - channel.mean()) ** 2)) for channel in unit.T]
    assert record.channel_std == pytest.approx(np.sqrt(M) * np.mean(deviations), rel=1e-12)
    centred = z - z.mean(axis=0)
    singular = np.linalg.svd(centred, compute_uv=False)
    assert record.line == pytest.approx(singular[0] ** 2 / (centred**2).sum(), rel=1e-12)


def test_isotropic_representations_have_full_rank():
    z = np.repeat([np.eye(M), -np.eye(M)], 10, axis=0).reshape(-1, M)
    record = measured(z=z)
    ranks = (record.participation_ratio, record.rankme, record.channel_std, record.line)
    np.testing.assert_allclose(ranks, (M, M, 1, 1 / M), rtol=1e-12)


def test_a_line_and_a_point():
    direction = np.array([1.0, 2.0, -1.0])
    line = measured(z=np.linspace(-1, 1, N)[:, None] * direction)
    np.testing.assert_allclose([line.participation_ratio, line.line], 1, rtol=1e-12)
    assert line.rankme == pytest.approx(1, abs=1e-6)  # singular values that are zero come as the root of rounding
    point = measured(z=np.tile(direction, (N, 1)))
    assert point.channel_std < 1e-12 and point.participation_ratio == pytest.approx(1, rel=1e-12)


# --- readouts -------------------------------------------------------------------------------------------------------


def test_accuracies_where_classes_lie_apart():
    rng = np.random.default_rng(4)
    h, h_test = (
        10 * np.eye(H)[labels] + rng.standard_normal((len(labels), H))
        for labels in (LABELLED.train_labels, LABELLED.test_labels)
    )
    record = measured(images=LABELLED, h=h, h_test=h_test)
    assert (record.linear_accuracy, record.knn_accuracy) == (1, 1)


def test_accuracies_of_noise_are_those_of_guessing():
    """400 images of four classes: 0.25 with a standard error of 0.022."""
    rng = np.random.default_rng(5)
    many = dyn.Images(
        "many", np.zeros((400, 1, 1, 1)), rng.integers(0, 4, 400), np.zeros((400, 1, 1, 1)), rng.integers(0, 4, 400)
    )
    found = metrics._accuracies(rng.standard_normal((400, H)), rng.standard_normal((400, H)), many)
    np.testing.assert_allclose(found, 0.25, atol=4 * 0.022)


def test_neighbours_vote_by_angle():
    """Two classes along two directions, at sizes that would mislead distances."""
    angles = np.repeat([0.1, 1.4], 25)
    sizes = np.tile(10.0 ** np.linspace(-2, 2, 25), 2)
    h = np.stack([np.cos(angles), np.sin(angles)], 1) * sizes[:, None]
    labels = np.repeat([0, 1], 25)
    data = np.zeros((50, 1, 1, 1))
    images = dyn.Images("angles", data, labels, data, labels)
    assert metrics._accuracies(h, h[::-1][:, ::-1], images)[1] == 1
    assert metrics._accuracies(h, h[:, ::-1], images)[1] == 0


def test_without_labels_there_are_no_accuracies():
    assert np.isnan([measured().linear_accuracy, measured().knn_accuracy]).all()


# --- what is not finite ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("wrong", [np.nan, np.inf, -1e39], ids=str)
@pytest.mark.parametrize("where", ["h", "h_test", "z", "target", "W_P", "tracked", "loss"])
def test_what_is_not_finite_is_blank(where, wrong, monkeypatch):
    """And decomposes nothing: it would warn or raise."""
    array = np.array(getattr(representations(), where) if getattr(representations(), where) is not None else np.eye(M))
    array.reshape(-1)[-1:] = wrong
    monkeypatch.delattr(np, "linalg")
    record = measured(LEARNED, LABELLED, **{where: array})
    for name in ("s", "target", "predictor", "tracked", "modes"):
        assert getattr(record, name).tolist() == [np.inf] * M
    rest = [np.ravel(value) for name, value in record._asdict().items() if name not in Record._fields[:5]]
    assert np.isnan(np.concatenate(rest)).all()


@pytest.mark.parametrize(
    "model", [CLOSED, TRACKED, LEARNED, NONE, replace(TRACKED, predictor=dyn.ClosedForm(1, 0, True))]
)
def test_a_network_that_is_zero_is_measured_without_a_warning(model):
    tracked = np.zeros((M, M)) if model.structure.tracked else None
    W_P = np.zeros((M, M)) if model is LEARNED else None
    record = measured(model, LABELLED, z=np.zeros((N, M)), h=np.zeros((N, H)), tracked=tracked, W_P=W_P)
    assert not record.s.any() and record.channel_std == 0
    assert np.isfinite([record.participation_ratio, record.rankme, record.line, record.knn_accuracy]).all()


def test_large_numbers_are_measured_without_a_warning():
    """Just below what counts as infinite."""
    record = measured(images=LABELLED, z=1e37 * spread(), h=1e37 * representations().h)
    np.testing.assert_allclose(record.s, 1e74 * measured().s, rtol=1e-12)
    assert record.participation_ratio == pytest.approx(measured().participation_ratio)


def test_least_squares_never_see_what_is_not_finite(monkeypatch):
    spec = steps.deep_spec(LEARNED, dyn.Network(PLAIN, projector=(6, M), predictor=(7,)), 8, 10, "float32")
    layers = spec.architecture.start(spec.shape, jax.random.key(1))
    seen, pinv = [], jnp.linalg.pinv
    monkeypatch.setattr(jnp.linalg, "pinv", lambda a, **options: seen.append(np.asarray(a)) or pinv(a, **options))
    for scale in (1.0, 1e25, np.inf):  # the second has a correlation that overflows
        W_P = metrics._matrix(
            spec, steps.TrainingState(layers, None, None, None, None, None), jnp.asarray(spread() * scale, "f")
        )
        assert np.isfinite(W_P).all() == (scale == 1)
    assert len(seen) == 3 and np.isfinite(seen).all()
