"""Build encoder, projector and predictor as Equinox modules, and apply these modules to batches.

The encoder maps B images (B, H, W, C) to representations h. The projector maps h to representations z (B, M).
"""

from functools import lru_cache
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp

from dynamics.networks.deep.network import MLP, ConvNet

BATCH = "batch"  # name of the axis over which batch norm averages

Array = Any  # an array of JAX, traced or not


class SiameseBranch(eqx.Module):
    """Encoder and projector of one branch of the Siamese network."""

    encoder: eqx.nn.Sequential
    projector: eqx.nn.Sequential


class Shape(NamedTuple):
    """The sizes of all layers of a deep network."""

    image: tuple[int, int, int]  # height, width, channels
    encoder: MLP | ConvNet
    projector: tuple[int, ...]  # widths of the layers
    predictor: tuple[int, ...] | None  # widths of the hidden layers; None if there is no learned predictor
    batch_norm: bool
    dtype: str


class Layers(NamedTuple):
    """The trained weights of a deep network."""

    branch: Any  # weights of the online branch
    predictor: Any  # weights of the predictor; None if the predictor is not learned


class Architecture(NamedTuple):
    """The functions that apply the weights of a network; networks with the same layer sizes share one Architecture."""

    static: Layers  # the Equinox modules without their weights
    statistics: eqx.nn.State  # initial statistics of batch norm
    treedef: Any  # structure of the weights

    def represent(self, weights: Any, images: Array) -> tuple[Array, Array, eqx.nn.State]:
        """Return the encoder's output h, the projector's output z and the statistics of batch norm for images.

        images: (B, height, width, channels). Batch norm uses the statistics of this batch, which are also returned.
        """
        branch = eqx.combine(weights, self.static.branch)
        x = jnp.moveaxis(images, -1, 1)
        h, statistics = _on_batch(branch.encoder, x, self.statistics)
        z, statistics = _on_batch(branch.projector, h, statistics)
        return h, z, statistics

    def encode(self, weights: Any, images: Array, statistics: eqx.nn.State) -> Array:
        """Return the output h of the encoder for images (B, H, W, C), with given statistics for batch norm.

        statistics: statistics of another batch of images, as returned by ``represent``.
        """
        encoder = eqx.nn.inference_mode(eqx.combine(weights, self.static.branch)).encoder
        return _on_batch(encoder, jnp.moveaxis(images, -1, 1), statistics)[0]

    def predict(self, weights: Any, z: Array) -> Array:
        """Return the predictions (B, M) of a learned predictor for representations z (B, M)."""
        return _on_batch(eqx.combine(weights, self.static.predictor), z, self.statistics)[0]

    def start(self, shape: Shape, key: Array) -> Layers:
        """Return random initial weights of all layers."""
        modules, _ = eqx.nn.make_with_state(_modules)(shape, key)
        return jax.tree.unflatten(self.treedef, jax.tree.leaves(eqx.filter(modules, eqx.is_inexact_array)))


def _on_batch(module: Any, x: Array, state: eqx.nn.State) -> tuple[Array, eqx.nn.State]:
    return jax.vmap(module, in_axes=(0, None), out_axes=(0, None), axis_name=BATCH)(x, state)


@lru_cache(maxsize=32)
def architecture(shape: Shape) -> Architecture:
    """Return the functions that apply the weights of deep networks with layers of the given sizes."""
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
    """Return the encoder with random initial weights, and the width of its output h."""
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
    """Return linear layers, and the width of the last layer.

    Each layer is followed by batch norm, if ``batch_norm`` is True, and by ReLU. width: width of the input. widths:
    widths of the layers. ends_bare: True for a last layer without bias, batch norm and ReLU.
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
    """Return a list with a layer of batch norm, or an empty list if ``batch_norm`` is False.

    The layer has no running averages; it stores the statistics of the last batch.
    """
    return [eqx.nn.BatchNorm(width, BATCH, momentum=0.0, mode="batch")] if batch_norm else []
