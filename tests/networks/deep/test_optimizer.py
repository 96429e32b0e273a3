"""Gradient descent with momentum and weight decay, and the schedules, against loops and formulas typed again."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import dynamics as dyn
from dynamics.networks.deep.layers import Shape, architecture
from dynamics.networks.deep.optimizer import gradient_descent, target_decay, training_times


@pytest.mark.parametrize("schedule", ["constant", "cosine"])
def test_momentum_and_the_learning_rates_schedule(schedule, double_precision):
    """v <- m v + g + rho W; W <- W - eta_k v, down to eta_K = 0."""
    rng = np.random.default_rng(0)
    matrix, shift = rng.standard_normal((2, 3)), rng.standard_normal(3)
    weights, v, v_shift = {"matrix": matrix, "shift": shift}, np.zeros((2, 3)), np.zeros(3)
    descent = gradient_descent(0.3, 0.1, 0.9, schedule, 10)
    state = descent.init(weights)
    for k in range(10):
        gradient = {name: rng.standard_normal(a.shape) for name, a in weights.items()}
        updates, state = descent.update(gradient, state, weights)
        weights = {name: a + updates[name] for name, a in weights.items()}
        v, v_shift = 0.9 * v + gradient["matrix"] + 0.1 * matrix, 0.9 * v_shift + gradient["shift"]
        eta = 0.3 * (1 + np.cos(np.pi * k / 10)) / 2 if schedule == "cosine" else 0.3
        matrix, shift = matrix - eta * v, shift - eta * v_shift
    np.testing.assert_allclose(weights["matrix"], matrix, rtol=0, atol=1e-14)  # rounding: ten steps
    np.testing.assert_allclose(weights["shift"], shift, rtol=0, atol=1e-14)


@pytest.mark.parametrize("batch_norm", [False, True])
def test_weight_decay_acts_on_matrices_and_filters_alone(batch_norm, double_precision):
    shape = Shape((3, 3, 1), dyn.ConvNet((2,)), (6, 3), None, batch_norm, "float64")
    branch = jax.tree.map(jnp.ones_like, architecture(shape).start(shape, jax.random.key(0)).branch)
    descent = gradient_descent(0.5, 0.1, 0.0, "constant", 0)
    updates, _ = descent.update(jax.tree.map(jnp.zeros_like, branch), descent.init(branch), branch)
    changed = {leaf.shape: float(leaf.ravel()[0]) for leaf in jax.tree.leaves(updates)}
    decays = {(2, 1, 3, 3), (6, 2), (3, 6)}
    assert decays <= set(changed) and ((2,) in changed) == batch_norm
    assert all(change == (-0.05 if shape in decays else 0) for shape, change in changed.items())


def test_the_targets_decay_rises_to_one():
    """tau_k = 1 - (1 - tau)(1 + cos(pi k/K))/2 (Grill et al. 2020)."""
    taus = np.array([float(target_decay(0.9, "cosine", k, 10)) for k in range(11)])
    expected = 1 - 0.1 * (np.cos(np.pi * np.arange(11) / 10) + 1) / 2
    np.testing.assert_allclose(taus, expected, rtol=1e-6)  # single precision
    assert target_decay(0.9, "constant", 3, 10) == 0.9


def test_time_is_the_sum_of_the_learning_rates():
    np.testing.assert_allclose(training_times(0.05, "constant", 3), [0, 0.05, 0.1, 0.15], rtol=1e-15)
    factors = (1 + np.cos(np.pi * np.arange(4) / 4)) / 2
    np.testing.assert_allclose(training_times(0.1, "cosine", 4), [0, *(0.1 * np.cumsum(factors))], rtol=1e-15)
    assert training_times(0.1, "cosine", 0).tolist() == [0]
