"""Which layers a network has, and convolutions against a second implementation."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import dynamics as dyn
from dynamics.networks.deep.layers import Shape, architecture

IMAGE = (4, 6, 2)
MLP, CONV = dyn.MLP((8,)), dyn.ConvNet((5, 3))
NORM = [(5,), (5,)]


def shapes(*, encoder=MLP, projector=(6, 4), predictor=None, batch_norm=True):
    """The shapes of all weights, in the order of the layers."""
    shape = Shape(IMAGE, encoder, projector, predictor, batch_norm, "float32")
    layers = jax.eval_shape(lambda: architecture(shape).start(shape, jax.random.key(0)))
    return [leaf.shape for leaf in jax.tree.leaves(layers)]


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, [(8, 48), (8,), (8,), (6, 8), (6,), (6,), (4, 6)]),
        ({"batch_norm": False}, [(8, 48), (8,), (6, 8), (6,), (4, 6)]),
        ({"projector": ()}, [(8, 48)]),
        ({"projector": (), "batch_norm": False, "predictor": ()}, [(8, 48), (8, 8)]),
        ({"projector": (4,), "predictor": (5,)}, [(8, 48), (8,), (8,), (4, 8), (5, 4), *NORM, (4, 5)]),
        ({"projector": (4,), "predictor": (5,), "batch_norm": False}, [(8, 48), (8,), (4, 8), (5, 4), (5,), (4, 5)]),
        ({"encoder": CONV, "projector": (4,)}, [(5, 2, 3, 3), *NORM, (3, 5, 3, 3), (3,), (3,), (4, 3)]),
        (
            {"encoder": CONV, "projector": (), "batch_norm": False},
            [(5, 2, 3, 3), (5, 1, 1), (3, 5, 3, 3), (3, 1, 1)],
        ),
    ],
    ids=str,
)
def test_weights(options, expected):
    """Biases where there is no batch norm, and neither at the end."""
    assert shapes(**options) == expected


def convolved(x, filters):
    """Images (B, C, H, W) with an edge of zeros, by filters (O, C, 3, 3): the sum over their nine places."""
    height, width = x.shape[2:]
    x = np.pad(x, ((0, 0), (0, 0), (1, 1), (1, 1)))
    places = [(i, j, x[:, :, i : i + height, j : j + width]) for i in range(3) for j in range(3)]
    return sum(np.einsum("oc,bchw->bohw", filters[:, :, i, j], part) for i, j, part in places)


def test_convolutions(double_precision):
    """With batch norm over images and pixels, ReLU, and the largest of each two by two; then the mean of the rest."""
    shape = Shape(IMAGE, CONV, (4,), None, True, "float64")
    own, images = architecture(shape), np.random.default_rng(0).standard_normal((7, *IMAGE))
    branch = own.start(shape, jax.random.key(0)).branch
    h, z, _ = jax.jit(own.represent)(branch, jnp.asarray(images))
    x = np.moveaxis(images, -1, 1)
    filters = [np.asarray(leaf) for leaf in jax.tree.leaves(branch.encoder) if leaf.ndim == 4]
    for kernel in filters:
        x = convolved(x, kernel)
        x = x - x.mean(axis=(0, 2, 3), keepdims=True)
        x = np.maximum(x / np.sqrt((x**2).mean(axis=(0, 2, 3), keepdims=True) + 1e-5), 0)
        batch, channels, height, width = x.shape
        x = x[:, :, : height // 2 * 2, : width // 2 * 2].reshape(batch, channels, height // 2, 2, width // 2, 2)
        x = x.max(axis=(3, 5))
    np.testing.assert_allclose(h, x.mean(axis=(2, 3)), rtol=0, atol=1e-12)  # rounding, times what norms divide by
    (last,) = jax.tree.leaves(branch.projector)
    np.testing.assert_allclose(z, h @ last.T, rtol=0, atol=1e-12)


def test_another_key_other_weights():
    shape = Shape(IMAGE, MLP, (4,), None, False, "float32")
    first, again, other = (jax.tree.leaves(architecture(shape).start(shape, jax.random.key(k))) for k in (0, 0, 1))
    assert all((a == b).all() and (a != c).any() for a, b, c in zip(first, again, other, strict=True))
