"""Draw the views of a batch for each kind of ``Model.views``: Gaussian views, or samples that were measured.

A sampler is a named tuple of arrays on the device, and an argument of the compiled training step.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from dynamics.model.model import Model
from dynamics.model.views import MatrixViews
from dynamics.networks.gaussian_views import gaussian_views, normals, views_of_moments

Array = Any  # an array of JAX, traced or not


class NoisyInputs(NamedTuple):
    """Views x + sigma_i xi_i of Gaussian inputs x with white noise xi_i.

    sigmas: standard deviations of the noise on both views; None for a view without noise.
    root: square root Sigma_x^(1/2) (N, N) of the covariance of the inputs; None for white inputs.
    """

    sigmas: tuple[Any, Any]
    root: Array | None

    def draw(self, key: Array, shape: tuple[int, ...], dtype: str) -> list[Array]:
        """Return two views (N, B) of B random inputs; shape: (N, B)."""
        noisy = self.sigmas[0] is not None, self.sigmas[1] is not None
        return gaussian_views(key, self.sigmas, noisy, self.root, shape, dtype)


class GaussianModes(NamedTuple):
    """Gaussian views whose second moments differ between inputs.

    n1 and n2 are the second moments of the views, and c is the second moment that the views share. excess: n1/c - 1 and
    n2/c - 1, each (N,). cross: c (N,).
    """

    excess: tuple[Array, Array]
    cross: Array

    def draw(self, key: Array, shape: tuple[int, ...], dtype: str) -> list[Array]:
        """Return two views (N, B) of B random inputs; shape: (N, B)."""
        return views_of_moments(key, self.excess, self.cross, shape, dtype)


class GaussianMoments(NamedTuple):
    """Gaussian views R1 l and R2 l of d independent standard normals l, with matrices R1 and R2 (N, d)."""

    roots: tuple[Array, Array]

    def draw(self, key: Array, shape: tuple[int, ...], dtype: str) -> list[Array]:
        """Return two views (N, B) of B random inputs; shape: (N, B)."""
        (common,) = normals(key, 1, (self.roots[0].shape[1], shape[1]), dtype)
        return [root @ common for root in self.roots]


class MeasuredSamples(NamedTuple):
    """Samples (N, K) of both views. A batch consists of all K samples, or of B < K samples drawn with replacement."""

    samples: tuple[Array, Array]

    def draw(self, key: Array, shape: tuple[int, ...], dtype: str) -> list[Array]:
        """Return two views (N, B); shape: (N, B)."""
        count = self.samples[0].shape[1]
        if shape[1] == count:
            return list(self.samples)
        chosen = jax.random.randint(key, (shape[1],), 0, count)
        return [views[:, chosen] for views in self.samples]


Sampler = NoisyInputs | GaussianModes | GaussianMoments | MeasuredSamples


def sampler_of(model: Model, dtype: str) -> Sampler:
    """Return the sampler of the views of a model, with arrays of this dtype."""

    def pair(arrays: Any) -> tuple[Array, Array]:
        first, second = (jnp.asarray(array, dtype) for array in arrays)
        return first, second

    if isinstance(model.views, MatrixViews):
        if model.views.samples is None:
            return GaussianMoments(pair(model.views.joint_roots))
        return MeasuredSamples(pair(samples.T for samples in model.views.samples))
    p = model.parameters
    if model.views is not None:
        return GaussianModes(pair((p.excess1, p.excess2)), jnp.asarray(p.cross, dtype))
    sigma1, sigma2 = (float(np.sqrt(excess[0])) or None for excess in (p.excess1, p.excess2))
    root = None if model.input_root is None else jnp.asarray(model.input_root, dtype)
    return NoisyInputs((sigma1, sigma2), root)
