"""Networks of correlated inputs at finite batch size: formulas for the Euclidean loss, networks themselves, and limits.

With W_P = C the gradient of the Euclidean loss is -F with F = C W Sigma_x - C^2 W (Sigma_x + sigma1^2).
"""

import numpy as np
import pytest

import dynamics as dyn
from dynamics.solvers.finite_batch.weight_expansion import WeightExpansion
from dynamics.solvers.problem import MOST_WEIGHTS, DescentProblem
from tests.marks import parametrize

NOISE, ETA = (0.1, 0.3), 0.1
ROTATION = np.linalg.qr(np.random.default_rng(5).standard_normal((4, 4)))[0]
INPUTS = ROTATION @ np.diag(np.geomspace(1, 0.1, 4)) @ ROTATION.T
W0 = np.random.default_rng(2).normal(0, 0.6, (3, 4))


def model_of(loss="euclidean", inputs=INPUTS, **options):
    return dyn.Model(loss, noise=NOISE, inputs=inputs, **options)


EUCLIDEAN = model_of()


def expansion(model=EUCLIDEAN, weights=W0, batch_size=64):
    problem = DescentProblem.of(model, weights, 1, ETA)
    return WeightExpansion(problem.field, problem.start, ETA, batch_size)


def step_of_weights(W):
    """A step of gradient descent on the expected Euclidean loss with W_P = C."""
    C = W @ INPUTS @ W.T
    return W + ETA * (C @ W @ INPUTS - C @ C @ W @ (INPUTS + NOISE[0] ** 2 * np.eye(4)))


# --- against formulas -----------------------------------------------------------------------------------------------


def test_derivative_of_the_map_of_weights():
    jacobian, h = expansion()._linearised().jacobian.variables, 1e-5
    for column, direction in zip(jacobian.T, np.eye(12).reshape(12, 3, 4), strict=True):
        slope = (step_of_weights(W0 + h * direction) - step_of_weights(W0 - h * direction)) / (2 * h)
        # Central differences of 1 % of a quintic map: 1e-4 of its change, of which eta is a factor.
        np.testing.assert_allclose(column.reshape(3, 4), slope, atol=1e-3 * ETA)


def test_curvature_of_the_map_shifts_the_mean():
    """Half the second derivative times a covariance of all weights."""
    networks, h = expansion(), 1e-3
    root = 0.02 * np.random.default_rng(0).standard_normal((12, 12))
    networks.covariance = networks.covariance._replace(variables=root @ root.T)
    shift = sum(
        (step_of_weights(W0 + h * d) + step_of_weights(W0 - h * d) - 2 * step_of_weights(W0)) / (2 * h**2)
        for d in root.T.reshape(12, 3, 4)
    )
    np.testing.assert_allclose(networks._linearised().curved.encoder, shift, atol=1e-3 * np.abs(shift).max())


def test_noise_is_the_covariance_of_the_gradient_over_samples():
    """Two times 65 536 samples of products of four normals: a relative standard error of about 1.5 %, 4 of them."""
    rng, n, C = np.random.default_rng(1), 65_536, W0 @ INPUTS @ W0.T
    x = rng.multivariate_normal(np.zeros(4), INPUTS, n)
    x1, x2 = (x + sigma * rng.standard_normal(x.shape) for sigma in NOISE)
    on_view1 = (x2 @ W0.T - x1 @ W0.T @ C) @ C
    gradients = (on_view1[:, :, None] * x1[:, None, :]).reshape(n, -1)
    expected = ETA**2 / 64 * np.cov(gradients.T)
    noise = expansion()._linearised().noise.variables
    scale = np.sqrt(np.outer(np.diagonal(expected), np.diagonal(expected)))
    np.testing.assert_allclose(noise / scale, expected / scale, atol=0.06)


def test_noise_adds_its_variance_to_a_tracked_correlation():
    """To its mean, the mean of dW Sigma_x dW^T; the average takes up a fifth."""
    added, noise, _ = expansion(model_of(predictor=dyn.ClosedForm(tracking=0.8)))._noise()
    of_weights = noise[:12, :12].reshape(3, 4, 3, 4)
    np.testing.assert_allclose(added.tracked, 0.2 * np.einsum("minj,ij->mn", of_weights, INPUTS), rtol=1e-6, atol=1e-12)
    np.testing.assert_allclose(added.encoder, 0, atol=1e-12)


# --- against networks -----------------------------------------------------------------------------------------------

CASES = {
    "euclidean": (EUCLIDEAN, 64),
    "cosine": (model_of("cosine"), 4096),
    "euclidean, EMA": (model_of(target=dyn.EMA(0.8)), 64),
    "euclidean, tracked": (model_of(predictor=dyn.ClosedForm(0.5, tracking=0.8)), 64),
    "euclidean, none, symmetrised": (model_of(predictor=dyn.NoPredictor(), symmetrised=True), 64),
    "euclidean, normalized": (model_of(predictor=dyn.ClosedForm(0.5, 0.1, normalize=True)), 64),
    "cosine, isotropic, EMA": (
        model_of("cosine", isotropic=True, target=dyn.EMA(0.8)),
        4096,
    ),
}
SEEDS = 64


def assert_law(measured, mean, deviation):
    """Mean and standard deviation of values (seeds, T, M) of nearly normal variables, at steps after the start.

    4 standard errors of each mean. A ratio of standard deviations has a standard error of 9 %; of their root mean
    square over three modes, which are nearly independent, 5 %, and of that over steps not less: 4 of them.
    """
    spread = measured.std(axis=0, ddof=1)[1:]
    assert np.abs((measured.mean(axis=0) - mean)[1:] / spread * np.sqrt(len(measured))).max() < 4
    assert 0.8 < np.sqrt(np.mean((spread / deviation[1:]) ** 2)) < 1.25


@parametrize("case", CASES, quick=["euclidean, EMA"])
def test_eigenvalues_and_modes_are_those_of_networks(case):
    model, batch_size = CASES[case]
    predicted = dyn.iterate(model, W0, 30, ETA, batch_size=batch_size, record=10)
    networks = dyn.train(model, W0, 30, ETA, batch_size=batch_size, seed=range(SEEDS), record=10, progress=False)
    assert_law(networks.s, predicted.s, predicted.deviation)
    assert_law(networks.modes, predicted.modes, predicted.mode_deviation)
    error = networks.target.std(axis=0, ddof=1)[-1] / np.sqrt(SEEDS)
    assert np.abs((networks.target.mean(axis=0) - predicted.target)[-1] / error).max() < 4


@pytest.mark.long
def test_mean_of_networks_differs_from_the_population_map():
    """40 inputs, 1 024 networks: means within 4 standard errors of the prediction, and beyond 8 of the map."""
    directions = np.linalg.qr(np.random.default_rng(2).standard_normal((40, 2)))[0].T
    model = model_of(inputs=np.diag(np.geomspace(1, 0.3, 40)), predictor=dyn.NoPredictor())
    start = np.array([[0.35], [1.1]]) * directions
    predicted = dyn.iterate(model, start, 30, ETA, batch_size=64, record=[30])
    networks = dyn.train(model, start, 30, ETA, batch_size=64, seed=range(1024), record=[30], progress=False)
    mean, error = networks.s[:, -1].mean(axis=0), networks.s[:, -1].std(axis=0, ddof=1) / 32
    assert predicted.reliable[-1]
    assert np.abs((mean - predicted.s[-1]) / error).max() < 4
    assert np.abs((mean - predicted.population[-1]) / error).max() > 8


# --- against eigenmodes ---------------------------------------------------------------------------------------------

WHITE = [("euclidean", 64, 4), ("euclidean", 64, 16), ("cosine", 4096, 4)]


@parametrize(("loss", "batch_size", "N"), WHITE, quick=WHITE[:1])
def test_white_inputs_give_the_expansion_of_eigenmodes(loss, batch_size, N):
    """Samples of both predictions: 5 % of the deviation, in which the direct term for N inputs is 10 % or more."""
    s0, white = np.array([0.15, 0.5, 1.2]), dyn.Model(loss, noise=NOISE)
    start = np.sqrt(s0)[:, None] * np.linalg.qr(np.random.default_rng(0).standard_normal((N, 3)))[0].T
    weights = dyn.iterate(model_of(loss, np.eye(N)), start, 20, ETA, batch_size=batch_size, record=10)
    modes = dyn.iterate(white, s0, 20, ETA, batch_size=batch_size, input_dimension=N, record=10)
    deviation = modes.deviation[1:]
    np.testing.assert_allclose((weights.modes - modes.s)[1:] / deviation, 0, atol=0.05)
    np.testing.assert_allclose(weights.mode_deviation[1:] / deviation, 1, rtol=0.08)
    assert weights.mode_reliable.tolist() == modes.reliable.tolist()


# --- limits ---------------------------------------------------------------------------------------------------------


def test_nothing_has_fluctuated_at_the_start():
    predicted = dyn.iterate(EUCLIDEAN, W0, 2, ETA, batch_size=64)
    np.testing.assert_array_equal(predicted.s[0], predicted.population[0])
    np.testing.assert_allclose(predicted.modes[0], predicted.s[0], rtol=1e-12)
    for deviation in (predicted.deviation, predicted.mode_deviation):
        assert (deviation[0] == 0).all() and (deviation[1:] > 0).all()


def test_shift_falls_as_one_over_the_batch_size():
    """And the deviation as its root. Samples of both predictions: 1 to 2 % of the shift."""
    model, start = model_of(inputs=np.diag(np.geomspace(1, 0.3, 12))), np.random.default_rng(2).normal(0, 0.4, (3, 12))
    small, large = (dyn.iterate(model, start, 10, ETA, batch_size=size, record=[10]) for size in (1_000, 16_000))
    shifts = [predicted.s[-1] - predicted.population[-1] for predicted in (small, large)]
    np.testing.assert_allclose(shifts[0], 16 * shifts[1], rtol=0.08)
    np.testing.assert_allclose(small.deviation[-1], 4 * large.deviation[-1], rtol=0.05)


@parametrize("loss", ["euclidean", "cosine"], quick=["euclidean"])
@pytest.mark.parametrize("predictor", [dyn.ClosedForm(0.5), dyn.ClosedForm(0.5, tracking=0.8)], ids=["", "tracked"])
def test_collapsed_modes_stay_collapsed(loss, predictor):
    model = model_of(loss, predictor=predictor)
    rotation = np.linalg.qr(np.random.default_rng(3).standard_normal((3, 3)))[0]
    predicted = dyn.iterate(model, rotation @ np.diag([1.0, 0.7, 0.0]) @ W0, 3, ETA, batch_size=1000)
    assert predicted.complete
    rounding = np.finfo(float).eps * predicted.s.max()  # of eigenvalues of a matrix of the size of the largest
    np.testing.assert_allclose(predicted.s[:, 0], 0, atol=rounding)
    np.testing.assert_allclose(predicted.deviation[:, 0], 0, atol=rounding)
    assert (predicted.deviation[1:, 1:] > 0).all()
    assert predicted.reliable.all() == (loss == "euclidean")  # the cosine loss of two modes has no variance


def test_derivatives_leave_collapsed_modes_alone():
    networks = expansion(weights=np.diag([1.0, 0.7, 1e-8]) @ W0)
    assert networks._sizes().shape == (12, 8)
    networks.advance()
    assert np.isfinite(networks.covariance.variables).all()


def test_without_weights_nothing_happens():
    predicted = dyn.iterate(EUCLIDEAN, 0 * W0, 2, ETA, batch_size=64)
    assert predicted.complete and (predicted.s == 0).all() and (predicted.deviation == 0).all()


def test_eigenvalues_that_are_too_close_are_flagged():
    """Two equal eigenvalues repel by their standard deviation; modes along given vectors do not."""
    start = np.diag([0.6, 0.6, 1.2]) @ np.eye(3, 4)
    predicted = dyn.iterate(model_of(inputs=np.eye(4)), start, 3, ETA, batch_size=1000)
    assert predicted.reliable.tolist() == [True, False, False, False]
    assert predicted.mode_reliable.all()


def test_small_batches_are_flagged():
    predicted = dyn.iterate(EUCLIDEAN, W0, 20, ETA, batch_size=2)
    assert not predicted.reliable[-1] and not predicted.mode_reliable[-1]


def test_first_order_must_suffice_for_the_mean():
    """Up to a quarter of an eigenvalue may be the variance of weights, and up to one deviation a change of the mean."""
    networks = expansion(batch_size=1000)
    networks.advance()
    law, deviation = networks.law, networks.deviation
    assert networks._follows(law)
    for part in (0.2, 0.3):
        assert networks._follows(law._replace(direct=part * law.mean, repelled=-part * law.mean)) == (part < 0.25)
    for size in (0.8, 1.2):
        assert networks._follows(law._replace(repelled=size * deviation)) == (size < 1)


def test_a_gradient_that_is_not_finite_ends_the_run():
    model = model_of("cosine")
    predicted = dyn.iterate(model, 0 * W0, 2, ETA, batch_size=64)
    assert predicted.status == "stopped before step 1: the gradient of a sample is not finite"


# --- arguments and results ------------------------------------------------------------------------------------------


def test_number_of_inputs_follows_from_the_model():
    predicted = dyn.iterate(EUCLIDEAN, W0, 1, ETA, batch_size=64)
    assert predicted.settings["input_dimension"] == 4
    assert dyn.iterate(EUCLIDEAN, W0, 1, ETA, batch_size=64, input_dimension=4) == predicted


def test_predictor_and_weights_are_those_of_the_mean():
    predicted = dyn.iterate(EUCLIDEAN, W0, 5, ETA, batch_size=64)
    np.testing.assert_array_equal(predicted.predictor, predicted.s)  # W_P = C
    assert predicted.weights.shape == (6, 3, 4)
    assert (np.linalg.norm(predicted.weights[-1] - dyn.iterate(EUCLIDEAN, W0, 5, ETA).weights[-1])) > 0


LARGE = model_of(inputs=np.eye(MOST_WEIGHTS // 2))
REFUSED = {
    "another number of inputs": (
        EUCLIDEAN,
        W0,
        {"input_dimension": 5},
        "`input_dimension` must be left out or be 4, the",
    ),
    "an ensemble": (EUCLIDEAN, np.stack([W0, W0]), {}, "`batch_size` must be left out for an ensemble"),
    "too many weights": (LARGE, np.eye(3, MOST_WEIGHTS // 2), {}, r"more than 128 weights \(encoder: 192\)"),
    "too many of encoder and target": (
        model_of(inputs=np.eye(MOST_WEIGHTS // 2), target=dyn.EMA(0.5)),
        np.eye(2, MOST_WEIGHTS // 2),
        {},
        r"more than 128 weights \(encoder, target: 256\)",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_invalid_arguments_are_refused(case):
    model, weights, options, message = REFUSED[case]
    with pytest.raises(dyn.ArgumentError, match=message):
        dyn.iterate(model, weights, 1, ETA, batch_size=64, **options)


def test_as_many_weights_as_admitted_are_predicted():
    assert dyn.iterate(LARGE, np.eye(2, MOST_WEIGHTS // 2), 0, ETA, batch_size=64).deviation.shape == (1, 2)
