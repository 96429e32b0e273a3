"""Linear networks with momentum and schedules follow the descent map; deep networks refuse both."""

import numpy as np
import optax
import pytest

import dynamics as dyn
from tests.marks import parametrize

STEPS, SAMPLES, WITHIN = 200, 200_000, 0.01  # of sampling, about 2e-3 after 200 steps
S0 = np.array([0.1, 0.5])
W0 = np.sqrt(S0)[:, None] * np.linalg.qr(np.random.default_rng(0).standard_normal((3, 3)))[0][:2]
K = np.arange(STEPS)
INPUTS = np.array([[2.0, 0.5, 0.0], [0.5, 1.0, 0.3], [0.0, 0.3, 0.5]])
EMA, TRACKED = dyn.EMA(0.9), dyn.ClosedForm(tracking=0.5)
RISING = 1 - 0.1 * (1 + np.cos(np.pi * K / STEPS)) / 2
COSINE = dyn.Model("cosine", noise=(0.1, 0.3), weight_decay=0.02)
CASES = {
    "rate, warm-up and cosine": (COSINE, optax.warmup_cosine_decay_schedule(0.0, 0.2, 30, STEPS), 0.0, {}),
    "rate, array": (COSINE, 0.2 * 0.99**K, 0.0, {}),
    "weight decay": (COSINE, 0.1, 0.0, {"weight_decay": lambda step: 0.1 * (step > 60) * (1 - step / STEPS)}),
    "EMA decay": (dyn.Model("euclidean", target=EMA), 0.1, 0.0, {"decay": 0.99 - 0.5 * K / STEPS}),
    "tracking": (dyn.Model("euclidean", predictor=TRACKED), 0.1, 0.0, {"tracking": 0.99 - 0.5 * K / STEPS}),
    "momentum": (COSINE, 0.01, 0.9, {}),
    "Nesterov, learned": (
        dyn.Model("euclidean", noise=(0.3, 0.0), predictor=dyn.Learned(0.5), weight_decay=0.02),
        0.02,
        dyn.Momentum(0.9, nesterov=True),
        {},
    ),
    "decoupled, learned": (
        dyn.Model("cosine", noise=(0.1, 0.3), predictor=dyn.Learned(), weight_decay=0.05, target=EMA),
        0.02,
        dyn.Momentum(0.9, decoupled=True),
        {},
    ),
    "all at once": (
        dyn.Model("cosine", noise=(0.1, 0.3), weight_decay=0.02, target=EMA, predictor=TRACKED),
        0.02 * (1 + np.cos(np.pi * K / STEPS)),
        dyn.Momentum(0.9, nesterov=True, decoupled=True),
        {"weight_decay": 0.1 * K / STEPS, "decay": RISING, "tracking": 0.99 - 0.5 * K / STEPS},
    ),
    "isotropic": (dyn.Model("cosine", isotropic=True, noise=(0.1, 0.3)), 0.02, 0.9, {}),
    "learned matrix": (
        dyn.Model("euclidean", noise=(0.1, 0.3), inputs=INPUTS, weight_decay=0.05, predictor=dyn.Learned()),
        0.012 * 0.995**K,
        dyn.Momentum(0.9, nesterov=True),
        {"weight_decay": 0.1 * K / STEPS},
    ),
    "inputs": (
        dyn.Model("euclidean", noise=(0.1, 0.3), inputs=INPUTS, weight_decay=0.05),
        0.01 + 0 * K + 1e-4 * K,
        0.9,
        {},
    ),
}


@parametrize("name", CASES, ["all at once"])
def test_a_network_follows_the_map(name):
    model, rate, momentum, schedules = CASES[name]
    options = {"momentum": momentum, "schedules": schedules}
    network = dyn.train(model, W0, STEPS, rate, batch_size=SAMPLES, seed=1, record=20, progress=False, **options)
    start = S0 if model.inputs is None else W0
    theory = dyn.iterate(model, start, STEPS, rate, record=20, **options)
    assert np.array_equal(theory.t, network.t) and np.ptp(theory.s, axis=0).max() > 0.05
    np.testing.assert_allclose(network.modes, theory.modes, rtol=WITHIN)
    mean = float(np.mean(theory.settings["learning_rate"]))
    plain = dyn.iterate(model, start, STEPS, mean, record=20)
    assert np.abs(plain.s / theory.s - 1).max() > 3 * WITHIN  # so that the test could fail
    for key in ("learning_rate", "momentum", "schedules"):
        assert network.settings.get(key) == theory.settings.get(key)


@pytest.mark.long
def test_constant_schedules_and_zero_momentum_are_plain_training_bit_for_bit():
    model = dyn.Model("cosine", noise=(0.1, 0.3), weight_decay=0.02, target=EMA)
    run = {"batch_size": 50, "seed": [0, 1], "progress": False}
    plain = dyn.train(model, W0, 10, 0.1, **run)
    constant = {"weight_decay": lambda step: 0.02, "decay": np.full(10, 0.9)}
    scheduled = dyn.train(model, W0, 10, [0.1] * 10, momentum=0.0, schedules=constant, **run)
    assert np.array_equal(scheduled.weights, plain.weights) and np.array_equal(scheduled.t, plain.t)
    late = dyn.train(model, W0, 10, np.append(np.full(9, 0.1), 0.2), **run)
    np.testing.assert_allclose(late.weights[:, :10], plain.weights[:, :10], rtol=1e-5)
    assert not np.allclose(late.weights[:, 10], plain.weights[:, 10], rtol=1e-5)


@pytest.mark.long
def test_each_seed_has_a_buffer_of_its_own():
    run = {"momentum": 0.9, "batch_size": 20, "dtype": "float64", "progress": False}
    together = dyn.train(dyn.Model("euclidean"), W0, 20, 0.05, seed=[3, 5], **run)
    alone = dyn.train(dyn.Model("euclidean"), W0, 20, 0.05, seed=5, **run)
    np.testing.assert_allclose(together.weights[1], alone.weights, rtol=1e-12)


def deep():
    return dyn.Network(dyn.gaussian_images(side=2, train=8, test=4), dyn.MLP((3,)), (2,), views=None)


@pytest.mark.parametrize(
    ("rate", "options", "message"),
    [
        (
            0.1,
            {"momentum": 0.9},
            "`momentum` must be left out for a deep network, because its momentum and its schedules",
        ),
        (0.1, {"schedules": {"weight_decay": lambda step: 0.1}}, "`schedules` must be left out for a deep network"),
        ([0.1, 0.2], {}, "`learning_rate` must be a number for a deep network, because its schedule is an option of"),
        (lambda step: 0.1, {}, "`learning_rate` must be a number for a deep network"),
    ],
    ids=["momentum", "schedule", "array of learning rates", "function as learning rate"],
)
def test_deep_networks_have_options_of_their_own(rate, options, message):
    with pytest.raises(dyn.ArgumentError) as error:
        dyn.train(dyn.Model("cosine"), deep(), 2, rate, **options)
    assert message in str(error.value)
