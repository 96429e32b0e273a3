"""Networks at finite batch size: formulas for the Euclidean loss, networks themselves, and the limits of the expansion.

Networks of the Euclidean loss with W_P = C have the gradient F = K W with K = C - n1 C^2, n1 = 1 + sigma1^2, so that
the map of C is a polynomial, and the second moment of the gradient is known.
"""

from itertools import combinations_with_replacement, product

import numpy as np
import pytest

import dynamics as dyn
from dynamics.solvers.finite_batch.eigenmode_expansion import EigenmodeExpansion
from dynamics.solvers.problem import DescentProblem
from tests.marks import parametrize

NOISE, ETA = (0.1, 0.3), 0.1
S0 = np.array([0.15, 0.5, 1.2])
EUCLIDEAN = dyn.Model("euclidean", noise=NOISE)
N1, N2 = 1 + NOISE[0] ** 2, 1 + NOISE[1] ** 2


def batches(model=EUCLIDEAN, s0=S0, batch_size=64, inputs=32):
    problem = DescentProblem.of(model, s0, 1, ETA)
    return EigenmodeExpansion(problem.field, problem.start, ETA, batch_size, inputs)


def map_of_correlation(C):
    K = C - N1 * C @ C
    step = np.eye(len(C)) + ETA * K
    return step @ C @ step


def predicted(model, s0=S0, steps=40, batch_size=64, inputs=32, **options):
    return dyn.iterate(model, s0, steps, ETA, batch_size=batch_size, input_dimension=inputs, **options)


# --- against formulas -----------------------------------------------------------------------------------------------


def test_noise_adds_the_second_moment_of_the_gradient():
    """Means over 65 536 samples of the fourth power of normals: a relative standard error of about 1 %, 5 of them."""
    sampled = batches(batch_size=64, inputs=784)._linearised()
    C, P = np.diag(S0), np.diag(S0)
    K = P - N1 * P @ P
    gradient = P @ (N1 * P @ C @ P - P @ C - C @ P + N2 * C) @ P
    second = 784 * N1 * gradient + 2 * K @ C @ K
    expected = ETA**2 / 64 * np.diag(second - K @ C @ K)
    np.testing.assert_allclose(sampled.added.correlation, expected, rtol=0.05)


def test_derivative_of_the_map_of_correlations():
    """The diagonal by differences of eigenmodes; pairs by 16 384 samples, which the learning rate multiplies.

    Batches are so large that the noise which they add does not depend on C.
    """
    jacobian, h = batches(batch_size=10**12)._linearised().jacobian, 1e-5
    for pair, (m, k) in zip(jacobian.pairs, [(0, 1), (0, 2), (1, 2)], strict=True):
        change = np.zeros((3, 3))
        change[m, k] = change[k, m] = h
        slope = (map_of_correlation(np.diag(S0) + change) - map_of_correlation(np.diag(S0) - change)) / (2 * h)
        assert pair[0, 0] == pytest.approx(slope[m, k], abs=0.05 * ETA)
    for m in range(3):
        change = np.diag(h * np.eye(3)[m])
        slope = (map_of_correlation(np.diag(S0) + change) - map_of_correlation(np.diag(S0) - change)) / (2 * h)
        np.testing.assert_allclose(jacobian.diagonal[:, m], np.diag(slope), rtol=1e-7, atol=1e-7)


def test_curvature_of_the_map_shifts_the_mean():
    """Half the second derivative times the covariance, of diagonal and off-diagonal entries."""
    networks, h = batches(), 1e-4
    rng = np.random.default_rng(0)
    root = 0.02 * rng.standard_normal((3, 3))
    diagonal, pairs = root @ root.T, rng.uniform(1e-3, 2e-3, 3)
    networks.covariance = networks.covariance._replace(diagonal=diagonal, pairs=pairs[:, None, None])
    shift = np.zeros(3)
    directions = [np.diag(vector) for vector in np.linalg.cholesky(diagonal).T]
    for variance, (m, k) in zip(pairs, [(0, 1), (0, 2), (1, 2)], strict=True):
        directions.append(np.zeros((3, 3)))
        directions[-1][m, k] = directions[-1][k, m] = np.sqrt(variance)
    C = np.diag(S0)
    for direction in directions:
        ahead, behind = (map_of_correlation(C + sign * h * direction) for sign in (1, -1))
        shift += np.diag(ahead + behind - 2 * map_of_correlation(C)) / (2 * h**2)
    # 16 384 samples and 512 directions, whose second moments are exact: 3 % of the largest, and 3 of them.
    np.testing.assert_allclose(networks._linearised().curved.correlation, shift, atol=0.1 * np.abs(shift).max())


def test_means_are_those_of_the_expansion_for_the_euclidean_loss():
    """64 inputs, 60 steps: the expansion with exact derivatives, computed apart; its samples are good to 1e-4 of s."""
    networks = predicted(EUCLIDEAN, steps=60)
    np.testing.assert_allclose(networks.population[-1], [0.9816, 0.9901, 0.9901], atol=5e-5)
    np.testing.assert_allclose(networks.s[-1], [0.9834, 0.9919, 0.9919], atol=3e-4)
    np.testing.assert_allclose(networks.deviation[-1], 0.0131, rtol=0.05)


# --- against networks -----------------------------------------------------------------------------------------------

CLOSED = {"alpha 1/2": dyn.ClosedForm(0.5), "normalized": dyn.ClosedForm(0.5, 0.1, normalize=True)}
PREDICTORS = CLOSED | {
    "DirectCopy": dyn.ClosedForm(),
    "tracked": dyn.ClosedForm(tracking=0.8),
    "learned": dyn.Learned(2.0, [0.5, 0.7, 1.0]),
    "none": dyn.NoPredictor(),
}
KINDS = {
    **{
        f"{loss}, {name}": dyn.Model(loss, noise=NOISE, predictor=p)
        for loss in ("euclidean", "cosine")
        for name, p in PREDICTORS.items()
    },
    **{f"{loss}, EMA": dyn.Model(loss, noise=NOISE, target=dyn.EMA(0.8)) for loss in ("euclidean", "cosine")},
    "euclidean, learned, EMA": dyn.Model(
        "euclidean", noise=NOISE, predictor=dyn.Learned(1.0, 0.5), target=dyn.EMA(0.8)
    ),
    "euclidean, weight decay": dyn.Model("euclidean", noise=NOISE, weight_decay=0.05),
    "euclidean, symmetrised": dyn.Model("euclidean", noise=NOISE, symmetrised=True),
    "euclidean, isotropic": dyn.Model("euclidean", noise=NOISE, isotropic=True),
    "cosine, isotropic, EMA, tracked": dyn.Model(
        "cosine", noise=NOISE, isotropic=True, target=dyn.EMA(0.8), predictor=dyn.ClosedForm(tracking=0.5)
    ),
}
SEEDS, STEPS, INPUTS = 1500, 6, 12
BATCH = {"euclidean": 64, "cosine": 1024}
FLAT = np.array([0.4, 0.7, 1.2])  # at spectra that are not, the cosine loss has gradients with heavy tails


def law_after(model, steps, eta, batch_size, inputs):
    """The prediction after some steps, and the correlations C of as many networks as there are SEEDS."""
    problem = DescentProblem.of(model, FLAT, 1, eta)
    predicted = EigenmodeExpansion(problem.field, problem.start, eta, batch_size, inputs)
    for _ in range(steps):
        predicted.advance()
    W0 = np.sqrt(FLAT)[:, None] * np.linalg.qr(np.random.default_rng(0).standard_normal((inputs, 3)))[0].T
    correlations = []
    for first in range(0, SEEDS, 250):
        seeds = range(first, first + 250)
        trained = dyn.train(model, W0, steps, eta, batch_size=batch_size, seed=seeds, record=[steps])
        W = trained.weights[:, -1].astype(float)
        correlations.append(W @ W.mT)
    return predicted, np.concatenate(correlations)


def assert_mean_and_covariance(predicted, C):
    """Compare all entries of C.

    Fluctuations of C over networks are nearly normal: standard errors of their mean and of their products, and 2 % of
    a product for the samples of the prediction; 4.5 of them for at most 30 entries.
    """
    z = (C.mean(axis=0).diagonal() - predicted.mean.correlation) / predicted.deviation * np.sqrt(len(C))
    assert np.abs(z).max() < 4.5
    centred = C - C.mean(axis=0)
    entries = [
        (centred[:, m, m], centred[:, k, k], predicted.covariance.diagonal[m, k])
        for m, k in combinations_with_replacement(range(3), 2)
    ]
    for i, (m, k) in enumerate([(0, 1), (0, 2), (1, 2)]):
        entries.append((centred[:, m, k], centred[:, m, k], predicted.covariance.pairs[i, 0, 0]))
    for a, b, expected in entries:
        error = (a * b).std() / np.sqrt(len(C)) + 0.02 * np.sqrt((a**2).mean() * (b**2).mean())
        assert abs((a * b).mean() - expected) < 4.5 * error


@parametrize("kind", KINDS, quick=["euclidean, learned, EMA", "cosine, tracked"])
def test_mean_and_covariance_are_those_of_networks(kind):
    predicted, C = law_after(KINDS[kind], STEPS, ETA, BATCH[kind.split(",")[0]], INPUTS)
    assert predicted.reliable
    assert_mean_and_covariance(predicted, C)


MANY_INPUTS = [
    ("euclidean, none", 1),
    ("euclidean, none", 4),
    ("euclidean, learned", 1),
    ("euclidean, learned", 4),
    ("euclidean, learned, EMA", 1),
]


@parametrize(("kind", "steps"), MANY_INPUTS, quick=MANY_INPUTS[:1])
def test_covariance_with_many_inputs(kind, steps):
    """784 inputs, batches of 64: most of the noise is v v^T, of single samples and of pairs, and depends on C."""
    predicted, C = law_after(KINDS[kind], steps, 0.3, 64, 784)
    assert_mean_and_covariance(predicted, C)


@parametrize(
    ("loss", "inputs"),
    [("euclidean", 784), ("cosine", 784), ("euclidean", 4), ("cosine", 64)],
    quick=[("euclidean", 4)],
)
def test_mean_of_networks_with_many_inputs(loss, inputs):
    """64 networks, 40 steps, batches of 256: every mean within 4 standard errors, where the population map fails."""
    model, s0 = dyn.Model(loss, noise=NOISE), np.array([0.1, 0.3, 0.8, 1.6])
    W0 = np.sqrt(s0)[:, None] * np.linalg.qr(np.random.default_rng(0).standard_normal((inputs, 4)))[0].T
    networks = predicted(model, s0, 40, 256, inputs, record=[40])
    modes = dyn.train(model, W0, 40, ETA, batch_size=256, seed=range(64), record=[40]).modes[:, -1]
    error = modes.std(axis=0, ddof=1) / 8
    assert np.abs((modes.mean(axis=0) - networks.s[-1]) / error).max() < 4
    if inputs == 784:
        assert np.abs((modes.mean(axis=0) - networks.population[-1]) / error).max() > 15


# --- the limit of large batches, and other limits -------------------------------------------------------------------


@parametrize("model", [EUCLIDEAN, dyn.Model("cosine", noise=NOISE, predictor=dyn.Learned(1.0, 0.5))], quick=[EUCLIDEAN])
def test_shift_falls_as_one_over_the_batch_size(model):
    """And the deviation as its root; both with the same samples, up to second order: (N/B eta) of 0.1 at most."""
    small, large = (predicted(model, batch_size=size, inputs=8) for size in (4_000, 64_000))
    population = dyn.iterate(model, S0, 40, ETA)
    np.testing.assert_array_equal(large.population, population.s)
    np.testing.assert_allclose(small.deviation[1:] / large.deviation[1:], 4, rtol=0.1)
    shifts = [networks.s[-1] - networks.population[-1] for networks in (small, large)]
    np.testing.assert_allclose(shifts[0], 16 * shifts[1], atol=0.3 * np.abs(shifts[0]).max())


def test_initial_eigenvalues_have_no_deviation():
    networks = predicted(EUCLIDEAN, steps=2)
    np.testing.assert_array_equal(networks.s[0], S0)
    assert (networks.deviation[0] == 0).all()
    assert (networks.deviation[1:] > 0).all()


@parametrize(
    ("loss", "s0"),
    list(product(["euclidean", "cosine"], [[0.5], [0.5, 0.5, 0.5], [0.0, 0.4, 1.0], [0.0, 0.0]])),
    quick=[("euclidean", [0.5]), ("cosine", [0.0, 0.4, 1.0]), ("euclidean", [0.0, 0.0])],
)
def test_one_mode_equal_modes_and_vanished_modes(loss, s0):
    networks = predicted(dyn.Model(loss, noise=NOISE), s0, steps=3, inputs=4)
    assert np.isfinite(networks.s).all() and np.isfinite(networks.deviation).all()
    assert (networks.deviation[-1] > 0).tolist() == [s > 0 for s in s0]
    assert (networks.s[-1] > 0).tolist() == [s > 0 for s in s0]


# --- limits of the expansion ----------------------------------------------------------------------------------------

UNRELIABLE = {
    "cosine near rank one": (dyn.Model("cosine", noise=(0.2, 0.2)), [1e-3, 1e-3, 1e-2, 1.0], 20, 10_000, 4),
    "cosine without stop-gradient": (
        dyn.Model("cosine", stop_gradient="none", predictor=dyn.ClosedForm(2.0), weight_decay=0.02),
        [0.1, 0.3, 0.8, 1.6],
        100,
        4_000,
        6,
    ),
    "batches of two": (EUCLIDEAN, S0, 40, 2, 32),
    "target that lags behind": (KINDS["euclidean, learned, EMA"], S0, 40, 64, 20_000),
}


@parametrize("name", UNRELIABLE, quick=["cosine near rank one", "batches of two"])
def test_unreliable_predictions_are_flagged(name):
    model, s0, steps, batch_size, inputs = UNRELIABLE[name]
    networks = predicted(model, s0, steps, batch_size, inputs)
    assert networks.reliable[0]
    assert not networks.complete or not networks.reliable[-1]


def test_a_prediction_stays_unreliable():
    networks = predicted(EUCLIDEAN, steps=10, batch_size=2)
    assert (np.diff(networks.reliable.astype(int)) <= 0).all()


def test_fluctuations_as_large_as_the_eigenvalues_end_the_run(monkeypatch):
    advance, calls = EigenmodeExpansion.advance, []

    def negative_at_the_third_step(self):
        calls.append(1)
        if len(calls) == 3:
            self.mean = self.mean._replace(correlation=-1e6 * self.mean.correlation)
        advance(self)

    monkeypatch.setattr(EigenmodeExpansion, "advance", negative_at_the_third_step)
    with np.errstate(invalid="ignore"):
        networks = predicted(EUCLIDEAN, steps=10)
    reason = "the fluctuations at this batch size are as large as the eigenvalues"
    assert networks.status == f"stopped before step 3: {reason}"
    assert len(networks.s) == len(networks.deviation) == len(networks.population) == len(networks.reliable) == 3
