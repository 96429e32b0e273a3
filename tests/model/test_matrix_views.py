"""Views of any second moments: against correlated inputs, modes, samples of any distribution, and networks."""

import numpy as np
import pytest

import dynamics as dyn
from dynamics.vector_field.measured_samples import SampleField
from dynamics.vector_field.weights import WeightField
from tests.marks import parametrize

RNG = np.random.default_rng(3)
N, M = 4, 3
SHARED = np.cov(RNG.standard_normal((N, 9)))
W0 = 0.4 * RNG.standard_normal((M, N))
MIXED = RNG.standard_normal((2 * N, 2 * N)) / 3  # rows: the views as maps of independent normals
JOINT = MIXED @ MIXED.T + np.kron(np.full((2, 2), 0.4), np.eye(N))  # views that share a part, not symmetrically
GENERAL = {"online": JOINT[:N, :N], "cross": JOINT[N:, :N], "target": JOINT[N:, N:]}


def skewed_samples(count=50):
    """Samples of two views that are not Gaussian, with means."""
    rng = np.random.default_rng(5)
    x = rng.exponential(size=(count, N)) @ rng.standard_normal((N, N)) / 6
    return x + 0.2 * rng.uniform(size=x.shape), x + 0.3 * rng.uniform(size=x.shape) ** 2


MODELS = {
    "euclidean": {"loss": "euclidean"},
    "root": {"loss": "euclidean", "predictor": dyn.ClosedForm(alpha=0.5, epsilon=0.1)},
    "isotropic": {"loss": "euclidean", "isotropic": True},
    "EMA": {"loss": "euclidean", "target": dyn.EMA(0.9)},
    "symmetrised": {"loss": "euclidean", "symmetrised": True},
    "no predictor": {"loss": "euclidean", "predictor": dyn.NoPredictor(), "stop_gradient": "none"},
    "tracked": {"loss": "euclidean", "predictor": dyn.ClosedForm(tracking=0.5)},
    "user-defined": {"loss": "|p - sg(z2)|^2 / 2 + 0.1 * |z1|^2"},
}
DIVIDING = {"cosine": {"loss": "cosine"}, "cosine, symmetrised": {"loss": "cosine", "symmetrised": True}}


@pytest.mark.parametrize("options", [MODELS["euclidean"], MODELS["EMA"], DIVIDING["cosine"]], ids=str)
def test_moments_of_noisy_inputs_give_the_numbers_of_these_inputs(options):
    inputs = dyn.Model(**options, inputs=SHARED, noise=(0.3, 0.5), weight_decay=0.02)
    moments = SHARED + 0.09 * np.eye(N), SHARED, SHARED + 0.25 * np.eye(N)
    views = dyn.Model(**options, views=dyn.Views.moments(*moments), weight_decay=0.02)
    expected, found = (dyn.iterate(model, W0, 20, 0.1) for model in (inputs, views))
    for name in ("s", "target", "predictor", "weights"):
        # rounding errors of 20 steps; quadratures with a tolerance of 1e-9 take the same nodes
        np.testing.assert_allclose(getattr(found, name), getattr(expected, name), rtol=1e-11, atol=1e-12)


@pytest.mark.parametrize("options", [MODELS["euclidean"], MODELS["EMA"], DIVIDING["cosine"]], ids=str)
def test_moments_with_the_directions_of_the_weights_give_the_modes(options):
    c, n1, n2 = np.array([0.5, 1.0, 1.5]), np.array([0.9, 1.1, 1.5]), np.array([0.5, 1.3, 2.0])
    s0, U = np.array([0.1, 0.3, 0.6]), np.linalg.qr(RNG.standard_normal((M, M)))[0]
    V = np.linalg.qr(RNG.standard_normal((M, M)))[0]
    by_modes = dyn.iterate(dyn.Model(**options, views=dyn.Views.modes(n1, c, n2)), s0, 30, 0.1)
    matrices = [(V * moments) @ V.T for moments in (n1, c, n2)]
    weights = (U * np.sqrt(s0 / c)) @ V.T
    by_weights = dyn.iterate(dyn.Model(**options, views=dyn.Views.moments(*matrices)), weights, 30, 0.1)
    np.testing.assert_allclose(by_weights.s, np.sort(by_modes.s), rtol=1e-7)  # ten times the tolerance of quadratures


@pytest.mark.parametrize("name", MODELS)
def test_theory_of_measured_moments_is_exact_for_samples_of_any_distribution(name):
    model = dyn.Model(**MODELS[name], views=dyn.Views.measured(*skewed_samples()), weight_decay=0.01)
    theory = dyn.iterate(model, W0, 100, 0.02)
    network = dyn.train(model, W0, 100, 0.02, dtype="float64")
    scale = np.abs(theory.weights).max()
    np.testing.assert_allclose(network.weights, theory.weights, rtol=0, atol=1e-12 * scale)  # rounding of 100 steps


@pytest.mark.long
@pytest.mark.parametrize("options", [*DIVIDING.values(), MODELS["EMA"]], ids=str)
def test_networks_on_gaussian_views_follow_general_moments(options):
    model = dyn.Model(**options, views=dyn.Views.moments(**GENERAL))
    theory = dyn.iterate(model, W0, 60, 0.1, record=[60])
    network = dyn.train(model, W0, 60, 0.1, batch_size=40_000, seed=list(range(8)), record=[60])
    means = network.weights[:, -1].mean(axis=0)
    spread = network.weights[:, -1].std(axis=0, ddof=1) / np.sqrt(8)
    # Student's t with 7 degrees of freedom exceeds 6 in 12 entries with probability 0.7 %.
    assert (np.abs(means - theory.weights[-1]) < 6 * spread).all()
    other = {name: moments * (1.05 if name == "cross" else 1.0) for name, moments in GENERAL.items()}
    wrong = dyn.iterate(dyn.Model(**options, views=dyn.Views.moments(**other)), W0, 60, 0.1, record=[60])
    assert (np.abs(means - wrong.weights[-1]) > 6 * spread).any()


def test_a_batch_of_measured_samples_is_drawn_from_them():
    x1, x2 = skewed_samples(20)
    model = dyn.Model("euclidean", views=dyn.Views.measured(x1, x2))
    one_step = dyn.train(model, W0, 1, 0.1, batch_size=5, seed=list(range(400)), dtype="float64").weights[:, -1]
    whole = dyn.train(model, W0, 1, 0.1, dtype="float64").weights[-1]
    deviation = (one_step.mean(axis=0) - whole) / (one_step.std(axis=0) / 20)
    assert np.abs(deviation).max() < 4.5 and one_step.std() > 0  # 12 normal entries: probability 1e-4
    with pytest.raises(dyn.ArgumentError, match="`batch_size` must be at most 20, the number of samples"):
        dyn.train(model, W0, 1, 0.1, batch_size=21)


# --- measurement ----------------------------------------------------------------------------------------------------


def test_arrays_iterators_and_functions_give_the_same_moments():
    x1, x2 = skewed_samples()
    whole = dyn.Views.measured(x1, x2)
    batches = [(x1[i : i + 7], x2[i : i + 7]) for i in range(0, 50, 7)]
    for views in (dyn.Views.measured(iter(batches)), dyn.Views.measured(lambda i: batches[i], draws=8)):
        assert views.number == 50 and views.samples is None
        for name in ("online", "cross", "target"):
            np.testing.assert_allclose(getattr(views, name), getattr(whole, name), rtol=1e-13)
        np.testing.assert_allclose(views.standard_errors, whole.standard_errors, rtol=1e-10)
    np.testing.assert_allclose(whole.cross, x2.T @ x1 / 50, rtol=1e-13)


def test_centred_moments_are_covariances():
    x1, x2 = (x + 1e4 for x in skewed_samples())
    joint = np.cov(np.hstack([x1, x2]).T, bias=True)
    batches = [(x1[i : i + 7], x2[i : i + 7]) for i in range(0, 50, 7)]
    for views in (dyn.Views.measured(x1, x2, center=True), dyn.Views.measured(batches, center=True)):
        # the mean is 1e4 and the variance about 1: rounding of squares without the subtraction would be 1e-8
        np.testing.assert_allclose(views.cross, joint[N:, :N], rtol=0, atol=1e-10)
        np.testing.assert_allclose(views.online, joint[:N, :N], rtol=0, atol=1e-10)


def test_standard_errors_are_the_spread_of_measured_moments():
    rng = np.random.default_rng(0)

    def measured():
        x = rng.exponential(size=(200, 2))
        return dyn.Views.measured(x, x + rng.standard_normal(x.shape))

    repeated = [measured() for _ in range(400)]
    for number, name in enumerate(("online", "cross", "target")):
        spread = np.std([getattr(views, name) for views in repeated], axis=0)
        stated = np.mean([views.standard_errors[number] for views in repeated], axis=0)
        np.testing.assert_allclose(stated, spread, rtol=0.15)  # 400 repetitions of a heavy tail: 1/sqrt(800) = 0.035


def test_moments_of_images_are_those_of_the_augmentation():
    images = np.random.default_rng(1).standard_normal((30, 2, 3))
    same = dyn.Views.of_images(images, lambda key, x: x, draws=2)
    pixels = images.reshape(30, -1)
    np.testing.assert_allclose(same.cross, pixels.T @ pixels / 30, rtol=1e-12)
    np.testing.assert_array_equal(same.online, same.target)
    augmented = [dyn.Views.of_images(images, dyn.Augmentation(), draws=2, seed=seed) for seed in (0, 0, 1)]
    assert augmented[0] == augmented[1] != augmented[2] and augmented[0].number == 60
    assert not np.allclose(augmented[0].online, augmented[0].target)


def test_equal_moments_are_equal_views_and_survive_plain_data():
    measured = dyn.Views.measured(*skewed_samples())
    model = dyn.Model("euclidean", views=measured)
    assert dyn.Model.from_dict(model.to_dict()) == model
    given = dyn.Views.moments(measured.online, measured.cross, measured.target)
    assert given == measured and repr(measured) == "Views of 4 inputs, measured from 50 samples"
    with pytest.raises(ValueError, match="read-only"):
        measured.cross[0, 0] = 1.0


# --- refusals -------------------------------------------------------------------------------------------------------

EYE = np.eye(2)
PAIRS = np.ones((3, 2))
CASES = {
    "not symmetric": (lambda: dyn.Views.moments([[1, 0.5], [0, 1]], EYE, EYE), "`online` must be a symmetric matrix"),
    "shapes": (lambda: dyn.Views.moments(EYE, np.eye(3), EYE), "must be matrices of one shape"),
    "vectors": (lambda: dyn.Views.moments([1.0], [1.0], [1.0]), "must be matrices of one shape"),
    "impossible": (lambda: dyn.Views.moments(EYE, 1.1 * EYE, EYE), "`cross` must be possible with `online` and"),
    "opposite": (lambda: dyn.Views.moments(EYE, -EYE, EYE), "`cross` must have a symmetric part with an eigenvalue"),
    "text": (lambda: dyn.Views.moments("x", EYE, EYE), r"`online` must be a matrix \(N, N\) of finite numbers"),
    "no second view": (lambda: dyn.Views.measured(PAIRS), "`x2` must be given with samples `x1`"),
    "other shape": (lambda: dyn.Views.measured(PAIRS, np.ones((4, 2))), r"have the shapes \(3, 2\) and \(4, 2\)"),
    "no pair": (lambda: dyn.Views.measured([PAIRS]), r"`x1` must yield pairs \(x1, x2\)"),
    "other inputs": (lambda: dyn.Views.measured([(PAIRS, PAIRS), (EYE[:, :1], EYE[:, :1])]), "of one number of inputs"),
    "one sample": (lambda: dyn.Views.measured([[1.0]], [[1.0]]), "`x1` must have at least two samples"),
    "no samples": (lambda: dyn.Views.measured([]), "`x1` must have at least two samples"),
    "no draws": (lambda: dyn.Views.measured(lambda i: (PAIRS, PAIRS)), "`draws` must be the number of batches"),
    "draws of arrays": (lambda: dyn.Views.measured(PAIRS, PAIRS, draws=2), "`draws` must be left out unless `x1`"),
    "nan": (lambda: dyn.Views.measured(PAIRS, PAIRS * np.nan), "`x2` must be samples"),
    "center": (lambda: dyn.Views.measured(PAIRS, PAIRS, center=2), "`center` must be"),
    "images": (lambda: dyn.Views.of_images(EYE, dyn.Augmentation()), "`images` must be finite images of shape"),
    "augmentation": (lambda: dyn.Views.of_images(np.ones((2, 3, 3)), 0.1), "`augmentation` must be a function"),
    "noise": (
        lambda: dyn.Model("cosine", views=dyn.Views.moments(EYE, EYE, EYE), noise=(0, 1)),
        "`noise` must be left",
    ),
    "number of inputs": (
        lambda: dyn.solve(dyn.Model("cosine", views=dyn.Views.moments(EYE, EYE, EYE)), np.eye(3), [0, 1]),
        r"`s0` must be finite weights of shape \(..., M, 2\)",
    ),
    "no matrix form": (
        lambda: dyn.Model("|p - sg(z2)| / (1 + |z1|)", views=dyn.Views.moments(EYE, EYE, EYE)),
        "`views` must be white, have moments of each mode or keep",
    ),
    "fluctuations": (
        lambda: dyn.iterate(dyn.Model("euclidean", views=dyn.Views.moments(EYE, EYE, EYE)), EYE, 1, 0.1, batch_size=9),
        "`batch_size` must be left out for a model with `views`",
    ),
    "analysis": (
        lambda: dyn.equilibria(dyn.Model("euclidean", views=dyn.Views.moments(EYE, EYE, EYE)), [0.1, 0.2]),
        "`model` must have white inputs",
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_what_makes_no_sense_is_refused(case):
    call, message = CASES[case]
    with pytest.raises(dyn.ArgumentError, match=message):
        call()


# --- the closure "samples" ------------------------------------------------------------------------------------------

SAMPLED = {
    "cosine": {"loss": "cosine"},
    "cosine EMA": {"loss": "cosine", "target": dyn.EMA(0.9)},
    "cosine, isotropic, symmetrised": {"loss": "cosine", "isotropic": True, "symmetrised": True},
    "cosine learned": {"loss": "cosine", "predictor": dyn.Learned(0.7)},
    "cosine, no stop-gradient": {"loss": "cosine", "stop_gradient": "none"},
    "tracked": {"loss": "cosine", "predictor": dyn.ClosedForm(0.5, tracking=0.5)},
    "no exact expectation": {"loss": "-exp(-|p - sg(z2)|^2)"},
    "euclidean": {"loss": "euclidean"},
}


@parametrize("name", SAMPLED, quick=["cosine EMA", "cosine learned", "no exact expectation"])
def test_theory_of_samples_is_the_network_that_trains_on_all_of_them(name):
    model = dyn.Model(**SAMPLED[name], views=dyn.Views.measured(*skewed_samples()), weight_decay=0.01)
    theory = dyn.iterate(model, W0, 50, 0.05, closure="samples")
    network = dyn.train(model, W0, 50, 0.05, dtype="float64")
    np.testing.assert_allclose(network.weights, theory.weights, rtol=0, atol=1e-12)  # rounding of 50 steps
    assert "means over samples" in theory.method and 0 < theory.error < 1
    assert np.abs(theory.weights[-1] - theory.weights[0]).max() > 1e-3


def test_means_over_samples_and_their_errors_approach_the_gaussian_expectation():
    """Of Gaussian samples: the force lies within its standard errors of the exact one, in 20 sets of samples."""
    moments = np.block([[GENERAL["online"], GENERAL["cross"].T], [GENERAL["cross"], GENERAL["target"]]])
    exact = WeightField(dyn.Model("cosine", views=dyn.Views.moments(**GENERAL)))
    expected = exact.forces(exact.start(W0)).encoder
    forces, stated = [], []
    for seed in range(20):
        x = np.random.default_rng(seed).multivariate_normal(np.zeros(2 * N), moments, 4000)
        field = SampleField(dyn.Model("cosine", views=dyn.Views.measured(x[:, :N], x[:, N:])), "samples")
        start = exact.start(W0)
        forces.append(field.forces(start).encoder)
        stated.append(field.error)
    spread = np.std(forces, axis=0, ddof=1)
    # the predictor is that of the samples' own correlation, whose error adds a little to the spread
    assert (
        np.abs(np.mean(forces, axis=0) - expected) < 4.5 * spread / np.sqrt(20) + 1e-3 * np.abs(expected).max()
    ).all()
    np.testing.assert_allclose(stated, 4000**-0.5, rtol=0.5)  # relative to the forces of single samples


def test_a_flow_by_samples_is_the_limit_of_small_steps():
    model = dyn.Model("cosine", views=dyn.Views.measured(*skewed_samples()))
    flow = dyn.solve(model, W0, [0.0, 0.5], closure="samples", rtol=1e-9)
    coarse, fine = (dyn.iterate(model, W0, n, 0.5 / n, closure="samples", record=[n]).s[-1] for n in (50, 100))
    np.testing.assert_allclose(2 * fine - coarse, flow.s[-1], rtol=1e-5)
    assert flow.status == "complete"


def test_samples_are_needed_for_means_over_them():
    for model in (dyn.Model("cosine", views=dyn.Views.moments(**GENERAL)), dyn.Model("cosine", inputs=SHARED)):
        with pytest.raises(dyn.ArgumentError, match="`closure` must be another closure, because the views"):
            dyn.iterate(model, W0, 1, 0.1, closure="samples")
    unknown = dyn.Model("-exp(-|p - sg(z2)|^2)", views=dyn.Views.measured(*skewed_samples()))
    with pytest.raises(dyn.ArgumentError, match="`closure` must be 'samples' for this loss"):
        dyn.iterate(unknown, W0, 1, 0.1, closure="gaussian")
    ensemble = dyn.Model("cosine", views=dyn.Views.measured(*skewed_samples()), weight_decay=[0.0, 0.1])
    both = dyn.iterate(ensemble, W0, 3, 0.1, closure="samples")
    alone = dyn.iterate(ensemble.replace(weight_decay=0.1), W0, 3, 0.1, closure="samples")
    np.testing.assert_allclose(both.weights[1], alone.weights, rtol=1e-13)
