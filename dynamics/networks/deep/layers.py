"""Encoder, projector and predictor as Equinox modules, and the functions that apply them to batches.

The encoder maps images (B, H, W, C) to representations h, the projector h to z (B, M).
"""

from functools import lru_cache
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp

from dynamics.networks.deep.network import MLP, ConvNet

BATCH = "batch"  # name of the axis that batch norm averages over

Array = Any  # of JAX, traced or not


class SiameseBranch(eqx.Module):
    """Encoder and projector of one branch of the Siamese network."""

    encoder: eqx.nn.Sequential
    projector: eqx.nn.Sequential


class Shape(NamedTuple):
    """The sizes of all layers. image: (height, width, channels)."""

    image: tuple[int, int, int]
    encoder: MLP | ConvNet
    projector: tuple[int, ...]
    predictor: tuple[int, ...] | None  # None if it is not learned
    batch_norm: bool
    dtype: str


class Layers(NamedTuple):
    """Weights of the online branch and of a learned predictor (otherwise None)."""

    branch: Any
    predictor: Any


class Architecture(NamedTuple):
    """The functions that apply weights to images and representations."""

    static: Layers  # the parts of the modules other than weights
    statistics: eqx.nn.State  # initial statistics of batch norm
    treedef: Any

    def represent(self, weights: Any, images: Array) -> tuple[Array, Array, eqx.nn.State]:
        """Return (h, z, statistics) of images (B, H, W, C); batch norm uses the statistics of this batch."""
        branch = eqx.combine(weights, self.static.branch)
        x = jnp.moveaxis(images, -1, 1)
        h, statistics = _on_batch(branch.encoder, x, self.statistics)
        z, statistics = _on_batch(branch.projector, h, statistics)
        return h, z, statistics

    def encode(self, weights: Any, images: Array, statistics: eqx.nn.State) -> Array:
        """Return h of images; batch norm uses the given statistics of another batch."""
        encoder = eqx.nn.inference_mode(eqx.combine(weights, self.static.branch)).encoder
        return _on_batch(encoder, jnp.moveaxis(images, -1, 1), statistics)[0]

    def predict(self, weights: Any, z: Array) -> Array:
        """Return the predictions of a learned predictor for representations (B, M)."""
        return _on_batch(eqx.combine(weights, self.static.predictor), z, self.statistics)[0]

    def start(self, shape: Shape, key: Array) -> Layers:
        """Draw initial weights."""
        modules, _ = eqx.nn.make_with_state(_modules)(shape, key)
        return jax.tree.unflatten(self.treedef, jax.tree.leaves(eqx.filter(modules, eqx.is_inexact_array)))


def _on_batch(module: Any, x: Array, state: eqx.nn.State) -> tuple[Array, eqx.nn.State]:
    return jax.vmap(module, in_axes=(0, None), out_axes=(0, None), axis_name=BATCH)(x, state)


@lru_cache(maxsize=32)
def architecture(shape: Shape) -> Architecture:
    """Return the functions that apply weights of this shape."""
    modules, statistics = eqx.filter_eval_shape(eqx.nn.make_with_state(_modules), shape, jax.random.key(0))
    with jax.ensure_compile_time_eval():  # the result is cached, and must not be a traced array
        statistics = jax.tree.map(lambda a: jnp.zeros(a.shape, a.dtype), statistics)  # overwritten by the first batch
    weights, static = eqx.partition(modules, _is_weight)
    return Architecture(static, statistics, jax.tree.structure(weights))


def _is_weight(leaf: Any) -> bool:
    return isinstance(leaf, jax.ShapeDtypeStruct) and jnp.issubdtype(leaf.dtype, jnp.inexact)


def _modules(shape: Shape, key: Array) -> Layers:
    keys = jax.random.split(key, 3)
    encoder, width = _encoder(shape, keys[0])
    projector, modes = _dense(width, shape.projector, shape.batch_norm, keys[1], ends_bare=True)
    if shape.predictor is None:
        return Layers(SiameseBranch(encoder, projector), None)
    predictor, _ = _dense(modes, (*shape.predictor, modes), shape.batch_norm, keys[2], ends_bare=True)
    return Layers(SiameseBranch(encoder, projector), predictor)


def _encoder(shape: Shape, key: Array) -> tuple[eqx.nn.Sequential, int]:
    """Return the encoder, and the width of its output h."""
    height, width, channels = shape.image
    if isinstance(shape.encoder, MLP):
        inputs, bare = height * width * channels, not shape.projector
        dense, out = _dense(inputs, shape.encoder.widths, shape.batch_norm, key, ends_bare=bare)
        return eqx.nn.Sequential([eqx.nn.Lambda(jnp.ravel), *dense]), out
    layers: list[Any] = []
    for out, layer_key in zip(shape.encoder.channels, jax.random.split(key, len(shape.encoder.channels)), strict=True):
        conv = eqx.nn.Conv2d(channels, out, 3, padding=1, use_bias=not shape.batch_norm, key=layer_key)
        layers += [conv, *_norm(out, shape.batch_norm), eqx.nn.Lambda(jax.nn.relu), eqx.nn.MaxPool2d(2, 2)]
        channels = out
    return eqx.nn.Sequential([*layers, eqx.nn.AdaptiveAvgPool2d(1), eqx.nn.Lambda(jnp.ravel)]), channels


def _dense(
    width: int, widths: tuple[int, ...], batch_norm: bool, key: Array, ends_bare: bool
) -> tuple[eqx.nn.Sequential, int]:
    """Return linear layers with (batch norm and) ReLU, and the width of the last.

    ends_bare: the last layer has neither batch norm, ReLU nor bias.
    """
    layers: list[Any] = []
    keys: Any = jax.random.split(key, len(widths)) if widths else []
    for number, (out, layer_key) in enumerate(zip(widths, keys, strict=True)):
        bare = ends_bare and number == len(widths) - 1
        layers.append(eqx.nn.Linear(width, out, use_bias=not (bare or batch_norm), key=layer_key))
        if not bare:
            layers += [*_norm(out, batch_norm), eqx.nn.Lambda(jax.nn.relu)]
        width = out
    return eqx.nn.Sequential(layers), width


def _norm(width: int, batch_norm: bool) -> list[eqx.nn.BatchNorm]:
    """Return batch norm without running averages: it keeps the statistics of the last batch."""
    return [eqx.nn.BatchNorm(width, BATCH, momentum=0.0, mode="batch")] if batch_norm else []
