"""One step of training a deep network, against a second implementation; and the views of a batch."""

from functools import cache, partial
from itertools import product

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import dynamics as dyn
from dynamics.networks.deep import step as steps
from dynamics.networks.deep.layers import architecture
from dynamics.networks.deep.step import Hyperparameters, TrainingState
from tests.marks import parametrize
from tests.networks.deep import by_hand

IMAGES = dyn.gaussian_images(side=3, train=20, test=4)
BATCH = 12
RATE = 100.0  # so that rounding is that of the gradient, not of the weights
DECAY = 0.7
EPS = 2.0**-24  # half a unit in the last place, in single precision
PREDICTORS = {
    "DirectPred": dyn.ClosedForm(0.5, 0.05, normalize=True, tracking=0.9),
    "DirectCopy": dyn.ClosedForm(1.0, 0.25),
    "linear": dyn.Learned(2.0),
    "MLP": dyn.Learned(0.5),
    "none": dyn.NoPredictor(),
}
METHODS = {name: {"predictor": predictor} for name, predictor in PREDICTORS.items()} | {
    f"isotropic {name}": {"predictor": PREDICTORS[name], "isotropic": True} for name in ("DirectPred", "DirectCopy")
}
TARGETS = {"shared": dyn.Shared(), "EMA": dyn.EMA(DECAY)}


def a_network(name="", **changes):
    small = {"encoder": dyn.MLP((7,)), "projector": (6, 3), "views": None, "momentum": 0}
    return dyn.Network(IMAGES, **small | {"predictor": (5,) if name == "MLP" else ()} | changes)


def hyperparameters(model, learning_rate=RATE):
    return Hyperparameters(learning_rate, model.parameters.map(lambda a: float(a[0])))


def random_like(tree, rng, dtype):
    """All weights are random; the scales and shifts of batch norm are about 1 and 0."""
    return jax.tree.map(lambda a: jnp.asarray(a + 0.3 * rng.standard_normal(a.shape), dtype), tree)


@cache
def first_layers(shape):
    return jax.tree.map(np.asarray, architecture(shape).start(shape, jax.random.key(0)))


def a_start(spec, hyper, dtype, seed=0):
    """The middle of training: target and tracked correlation differ from the encoder and its correlation."""
    rng = np.random.default_rng(seed)
    layers = random_like(first_layers(spec.shape), rng, dtype)
    target = random_like(layers.branch, rng, dtype) if spec.structure.separate_target else None
    root = rng.standard_normal((3, 5))
    tracked = jnp.asarray(root @ root.T / 5, dtype) if spec.structure.tracked else None
    return TrainingState(layers, target, tracked, spec.optimizer(hyper).init(layers), jnp.zeros((), dtype), None)


def some_views(dtype, noisy, seed=1):
    """(without noise, with noise), each of two views of a batch."""
    drawn = np.random.default_rng(seed).standard_normal((4, BATCH, 3, 3, 1))
    clean = [jnp.asarray(x, dtype) for x in drawn[:2]]
    return clean, [x + jnp.asarray(0.2 * xi, dtype) for x, xi in zip(clean, drawn[2:], strict=True)] if noisy else clean


def flat(views):
    return [np.asarray(x, float).reshape(len(x), -1) for x in views]


def as_rows(training):
    """(branch, predictor, target, tracked) in double precision."""
    layers, target = training.layers, training.target
    found = (
        by_hand.rows(layers.branch.encoder, layers.branch.projector),
        None if layers.predictor is None else by_hand.rows(layers.predictor),
        None if target is None else by_hand.rows(target.encoder, target.projector),
        training.tracked,
    )
    return jax.tree.map(lambda a: np.asarray(a, float), found)


def stepped(model, network, dtype, monkeypatch, seeds):
    """For each seed (before, after) as rows, the summed loss, and views without and with noise."""
    with jax.enable_x64(dtype == "float64"):
        spec, hyper = steps.deep_spec(model, network, BATCH, 10, dtype), hyperparameters(model)

        def step(start, *views):
            monkeypatch.setattr(steps, "_views", lambda *_: views)
            return steps.step(spec, hyper, None, start._replace(loss=start.loss + 100), 3, None)

        step = jax.jit(step) if len(seeds) > 1 else step  # one program is compiled sooner than its operations are
        found = []
        for seed in seeds:
            start, (clean, views) = a_start(spec, hyper, dtype, seed), some_views(dtype, any(model.noise), seed + 1)
            end = step(start, clean, views)
            assert all(a.dtype == dtype for a in jax.tree.leaves(end.layers))
            found.append((as_rows(start), as_rows(end), float(end.loss) - 100, flat(clean), flat(views)))
        return found


def one_step(model, network, dtype, monkeypatch):
    return stepped(model, network, dtype, monkeypatch, [0])[0]


def by_hand_from(model, before, views, clean):
    """(loss, after), by the second implementation in double precision."""
    with jax.enable_x64(True):
        loss, *after = by_hand.expected(model, before, views, clean, RATE, DECAY)
    return float(loss), tuple(after)


def deviation(before, after, expected, norm):
    """In units of the change; the largest of branch, predictor, target, tracked."""
    assert jax.tree.structure(after) == jax.tree.structure(expected)
    olds, news, rights = map(list, map(partial(map, of_one_part), (before, after, expected)))
    parts = [part for part in zip(olds, news, rights, strict=True) if len(part[0])]
    return max(norm(new - right) / norm(right - old) for old, new, right in parts)


def of_one_part(tree):
    return np.concatenate([[], *(a.ravel() for a in jax.tree.leaves(tree))])


def largest(a):
    return np.abs(a).max()


def assert_step_is(model, network, dtype, tolerance, monkeypatch):
    before, after, loss, clean, views = one_step(model, network, dtype, monkeypatch)
    expected_loss, expected = by_hand_from(model, before, views, clean)
    assert loss == pytest.approx(expected_loss, abs=100 * tolerance)  # its sum started at 100
    assert deviation(before, after, expected, largest) < tolerance


FACTORS = ("euclidean", "cosine"), tuple(METHODS), tuple(TARGETS), (False, True), (False, True)
# Half of all combinations: such that any four factors come in each of theirs.
CASES = [case for case in product(*FACTORS) if sum(map(tuple.index, FACTORS, case)) % 2 == 0]


def a_case(loss, method, target, symmetrised, batch_norm):
    """Every other one has noise."""
    noise = (0.1, 0.2) if symmetrised != batch_norm else (0, 0)
    common = {"target": TARGETS[target], "symmetrised": symmetrised, "noise": noise, "weight_decay": 0.05}
    return dyn.Model(loss, **METHODS[method], **common), a_network(method, batch_norm=batch_norm)


@parametrize("case", CASES, quick=[CASES[0], CASES[-2]], ids=lambda case: " ".join(map(str, case)))
def test_a_step_is_that_of_a_second_implementation(case, monkeypatch):
    """Rounding: eps = 2e-16 times some hundred operations, and times what batch norm and norms divide by."""
    assert_step_is(*a_case(*case), "float64", 1e-12, monkeypatch)


ELSEWHERE = list(product(("euclidean", "cosine"), ("DirectPred", "DirectCopy", "none"), ("none", "online")))


@parametrize(("loss", "method", "stop_gradient"), ELSEWHERE, quick=ELSEWHERE[::5])
def test_a_step_with_the_stop_gradient_elsewhere(loss, method, stop_gradient, monkeypatch):
    model = dyn.Model(loss, stop_gradient=stop_gradient, noise=(0.1, 0.2), **METHODS[method])
    assert_step_is(model, a_network(method), "float64", 1e-12, monkeypatch)


def test_some_samples_have_no_cosine(monkeypatch):
    """In these steps, where ReLU switches all units of some off."""
    model, network = a_case("cosine", "DirectPred", "shared", False, True)
    before, *_, views = one_step(model, network, "float64", monkeypatch)
    alive = by_hand.alive(model, by_hand.seen(model, *before[:3], np.eye(3), *views))
    assert 0 < alive.sum() < BATCH


def when(case):
    """Each method with batch norm and an average, the hardest, each time; all others when all tests run."""
    _, _, target, _, batch_norm = case
    return () if target == "EMA" and batch_norm else pytest.mark.full


def rounding(model, before, views, clean):
    """The most by which the second implementation, in single precision, deviates from itself in double precision.

    Of eight roundings: of each number up or down, or not at all.
    """
    found = []
    for seed in range(8):
        rng = np.random.default_rng(seed)

        def rounded(a, rng=rng):
            return np.float32(a * (1 + 2 * EPS * rng.choice([-1, 0, 1], a.shape)))

        start, pair = jax.tree.map(rounded, (before, views))
        points = start, pair, jax.tree.map(rounded, clean) if any(model.noise) else pair
        with jax.enable_x64(False):
            _, *after = by_hand.expected(model, *points, np.float32(RATE), np.float32(DECAY))
        exact = jax.tree.map(np.float64, points)
        found.append(deviation(exact[0], tuple(after), by_hand_from(model, *exact)[1], largest))
    return max(found)


POINTS = [pytest.param(case, id=" ".join(map(str, case)), marks=when(case)) for case in CASES]
HARDEST = [point for point in POINTS if not point.marks]


@parametrize("case", POINTS, quick=HARDEST[:1])
def test_a_step_in_single_precision(case, monkeypatch):
    """1e-6, at all points but those where no program can: where rounding, by 6e-8, moves the reference as much itself.

    Such are cosines of samples with hardly any unit on, the most of one point in ten. There, ten times as much: both
    are drawn once of few. Half of the points are held to twice.
    """
    model, network = a_case(*case)
    found, moved = [], []
    for before, after, loss, clean, views in stepped(model, network, "float32", monkeypatch, range(9)):
        expected_loss, expected = by_hand_from(model, before, views, clean)
        assert loss == pytest.approx(expected_loss, abs=1e-4)  # its sum started at 100: an eps of it is 6e-6
        found.append(deviation(before, after, expected, largest))
        moved.append(0 if found[-1] < 1e-6 else rounding(model, before, views, clean))
    assert found[0] < 4e-6  # whatever rounding does there
    assert (np.array(found) < np.maximum(1e-6, 10 * np.array(moved))).all()
    assert np.median(found) < max(1e-6, 2 * np.median(moved))


# --- schedules ------------------------------------------------------------------------------------------------------


def test_the_target_moves_by_the_decay_of_its_step(monkeypatch):
    """Step 3 of 10."""
    model = dyn.Model("euclidean", target=TARGETS["EMA"])
    before, after, *_ = one_step(model, a_network(target_schedule="cosine"), "float64", monkeypatch)
    tau = 1 - (1 - DECAY) * (1 + np.cos(0.3 * np.pi)) / 2
    for v, w, new in zip(*map(jax.tree.leaves, (before[2], after[0], after[2])), strict=True):
        np.testing.assert_allclose(new, tau * v + (1 - tau) * w, rtol=0, atol=1e-15 + 1e-15 * np.abs(w).max())


# --- the batch ------------------------------------------------------------------------------------------------------


def a_spec(model=None, dtype="float64", batch=BATCH, length=10, **changes):
    return steps.deep_spec(model or dyn.Model("euclidean"), a_network(**changes), batch, length, dtype)


def drawn(spec, model, images=IMAGES.train, key=0):
    drawing = steps.Drawing(len(images), spec.batch_size, spec.views is not None, spec.noisy, spec.shape.dtype)
    draws = steps.draw(drawing, jax.random.key(key))
    return steps._views(spec, hyperparameters(model).parameters, jnp.asarray(images), draws)


def test_a_batch_is_of_images_with_noise_of_its_own_in_each_view():
    model, batch = dyn.Model("euclidean", noise=(0.1, 0.3)), 4000
    (x1, x2), (noisy1, noisy2) = drawn(a_spec(model, "float32", batch), model)
    np.testing.assert_array_equal(x1, x2)
    which = np.array([np.flatnonzero((IMAGES.train == x).all(axis=(1, 2, 3))) for x in np.asarray(x1)])
    counts = np.bincount(which.ravel(), minlength=20)
    # Each image 200 times; chi squared of 19 degrees of freedom is above 50 once in 7000 times.
    assert which.shape == (batch, 1) and ((counts - 200) ** 2 / 200).sum() < 50
    noise = np.stack([noisy1 - x1, noisy2 - x2]).reshape(2, -1)
    covariance = noise @ noise.T / noise.shape[1]
    # 36 000 numbers: a relative standard error of sqrt(2/36000) = 0.75 % of variances, of 1/sqrt(36000) between them.
    np.testing.assert_allclose(np.diag(covariance), [0.01, 0.09], rtol=4 * 0.0075)
    assert abs(covariance[0, 1]) < 4 * 0.03 / np.sqrt(36_000)


def test_without_noise_views_are_the_images():
    model = dyn.Model("euclidean")
    clean, views = drawn(a_spec(model, "float32"), model)
    for x in (*clean, *views):
        np.testing.assert_array_equal(x, clean[0])


def test_each_view_is_drawn_by_itself():
    class Shift:
        @staticmethod
        def drawn(numbers, x):
            return x + numbers[0, 0]

    model = dyn.Model("euclidean")
    _, (x1, x2) = drawn(a_spec(model, "float32")._replace(views=Shift()), model)
    plain = drawn(a_spec(model, "float32"), model)[1][0]
    moved = [np.unique(np.round(np.asarray(x - plain), 5)) for x in (x1, x2)]
    assert [len(shift) for shift in moved] == [1, 1] and moved[0] != moved[1] and 0 not in np.concatenate(moved)


def test_another_key_another_batch():
    model = dyn.Model("euclidean")
    first, second = (drawn(a_spec(model, "float32"), model, key=key)[1][0] for key in (0, 1))
    assert (first != second).any()
