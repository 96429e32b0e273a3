"""A deep network that is linear follows the descent map of theory."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np

import dynamics as dyn
from dynamics.networks.deep import step as steps
from dynamics.networks.deep.step import Hyperparameters
from tests.marks import parametrize

SEEDS = range(12)
IMAGES = [dyn.gaussian_images(side=3, train=5000, test=10, seed=seed) for seed in SEEDS]  # as many as are measured
M, LENGTH, RATE = 2, 60, 0.05
NOISE = (0.5, 0.3)
CASES = {
    "isotropic": dyn.Model("euclidean", isotropic=True, symmetrised=True, noise=NOISE, weight_decay=0.1),
    "tracked": dyn.Model("euclidean", predictor=dyn.ClosedForm(0.5, 0.1, True, 0.8), noise=NOISE, target=dyn.EMA(0.9)),
    "cosine": dyn.Model("cosine", noise=NOISE),
}


def a_network(images):
    return dyn.Network(images, encoder=dyn.MLP((M,)), projector=(), batch_norm=False, views=None, momentum=0)


def first_weights(model, images, seed, batch):
    """(M, N), that ``train`` starts from."""
    hyper = Hyperparameters(RATE, model.parameters.map(lambda a: float(a[0])))
    spec = steps.deep_spec(model, a_network(images), batch, LENGTH, "float32")
    key = jax.random.fold_in(jax.random.key(np.uint32(seed)), 0)
    (W,) = jax.tree.leaves(steps.start(spec, hyper, jnp.asarray(images.train[:10]), key).layers)
    return np.asarray(W, float)


@parametrize("name", CASES, quick=["tracked"])
def test_it_follows_the_descent_map(name):
    """Theory has the covariance of the network's images. Networks differ in weights, images and batches."""
    model, batch, deviations, changes = CASES[name], 1000, [], []
    for seed, images in zip(SEEDS, IMAGES, strict=True):
        net = dyn.train(model, a_network(images), LENGTH, RATE, batch_size=batch, seed=seed, record=20)
        X = images.train.reshape(len(images.train), -1).astype(float)
        W0 = first_weights(model, images, seed, batch)
        theory = dyn.iterate(replace(model, inputs=X.T @ X / len(X)), W0, LENGTH, RATE, record=20)
        np.testing.assert_allclose(net.s[0], theory.s[0], rtol=1e-5)  # single precision
        np.testing.assert_array_equal(net.step, theory.step)
        deviations.append(np.log(net.s / theory.s)[1:])
        changes.append(np.abs(np.log(theory.s[1:] / theory.s[0])))
    error = np.std(deviations, axis=0, ddof=1) / np.sqrt(len(SEEDS))
    # Six entries of Student's t with 11 degrees of freedom: one of them is above 5 in 400 such tests.
    assert np.abs(np.mean(deviations, axis=0) / error).max() < 5
    # Against which eigenvalues change by more than 20 standard errors.
    assert 20 * error.max() < np.max(np.mean(changes, axis=0))
