"""One step of training a deep Siamese network, with the loss and the closed-form predictor of the linear one."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from dynamics.generated import eigenvalues
from dynamics.model.model import Model
from dynamics.model.parameters import Parameters, Structure
from dynamics.networks.deep.layers import Architecture, Layers, Shape, architecture
from dynamics.networks.deep.network import Network
from dynamics.networks.linear import over_modes
from dynamics.vector_field.weight_state import closed_form


class Rule(NamedTuple):
    """What a step is compiled for."""

    generated: Any
    structure: Structure
    symmetrised: bool
    shape: Shape
    views: Any  # Augmentation or None
    noisy: bool  # noise joins the views
    momentum: float
    schedule: str
    target_schedule: str
    batch_size: int
    steps: int  # of the whole run, which schedules end with

    @property
    def architecture(self) -> Architecture:
        """How weights become functions."""
        return architecture(self.shape)


class Numbers(NamedTuple):
    """What may change without compiling anew."""

    learning_rate: Any
    parameters: Parameters


class Training(NamedTuple):
    """What a step changes, but for the last; None where absent."""

    layers: Layers  # what is trained
    target: Any  # weights of a branch of its own
    tracked: Any  # correlation (M, M)
    optimizer: Any
    loss: Any  # sum since the last record
    directions: Any  # eigenvectors (M, M) of the correlation at the start


def rule_of(model: Model, network: Network, batch_size: int, steps: int, dtype: str) -> Rule:
    """What a model's network is compiled for."""
    learned = network.predictor if model.structure.predictor == "learned" else None
    return Rule(
        model.generated,
        model.structure,
        bool(model.symmetrised),
        Shape(network.images.shape, network.encoder, network.projector, learned, network.batch_norm, dtype),
        network.views,
        any(sigma > 0 for sigma in model.noise),
        network.momentum,
        network.schedule,
        network.target_schedule,
        batch_size,
        max(steps, 1) if "cosine" in (network.schedule, network.target_schedule) else 0,
    )


def start(rule: Rule, numbers: Numbers, images, key) -> Training:
    """Before the first step. The tracked correlation is that of the images (n, height, width, channels)."""
    layers = rule.architecture.start(rule.shape, key)
    z = rule.architecture.represent(layers.branch, images)[1]
    return Training(
        layers,
        layers.branch if rule.structure.separate_target else None,
        correlation(z) if rule.structure.tracked else None,
        optimizer(rule, numbers).init(layers),
        jnp.zeros(()),
        jnp.linalg.eigh(correlation(z))[1],
    )


def step(rule: Rule, numbers: Numbers, images, training: Training, number, key) -> Training:
    """One step of gradient descent on a batch of images, drawn with replacement, each in two views."""
    p = numbers.parameters
    clean, views = _views(rule, p, images, key)

    def represent(branch, views):
        return [rule.architecture.represent(branch, x)[1] for x in views]

    def mean_loss(layers: Layers):
        z1, z2 = represent(layers.branch, views)
        t1, t2 = represent(training.target, views) if rule.structure.separate_target else (z1, z2)
        seen = represent(layers.branch, clean) if rule.noisy else (z1, z2)  # noise is no part of the correlation
        C = correlation(jax.lax.stop_gradient(jnp.concatenate(seen)))
        tracked = eigenvalues.average_step(training.tracked, C, p.tracking) if rule.structure.tracked else None
        predict = predictor(rule, p, layers, C if tracked is None else tracked)
        return _losses(rule, predict, p.of_loss, *(z.T for z in (z1, z2, t1, t2))).mean(), tracked

    (loss, tracked), slope = jax.value_and_grad(mean_loss, has_aux=True)(training.layers)
    slope = slope._replace(predictor=jax.tree.map(lambda a: p.rate_ratio * a, slope.predictor))
    updates, state = optimizer(rule, numbers).update(slope, training.optimizer, training.layers)
    layers = optax.apply_updates(training.layers, updates)
    target, decay = training.target, _decay(rule, p.decay, number)
    if rule.structure.separate_target:
        target = jax.tree.map(lambda v, w: eigenvalues.average_step(v, w, decay), target, layers.branch)
    return Training(layers, target, tracked, state, training.loss + loss, training.directions)


def _losses(rule: Rule, predict, own, z1, z2, t1, t2):
    """Of each sample (1, B). A loss that divides by norms has none for a sample where ReLU switches all units off."""
    stop_gradient = jax.lax.stop_gradient
    if not rule.generated.divides_by_norms:
        return rule.generated.loss(z1, z2, t1, t2, predict, over_modes, stop_gradient, *own)
    divided_by = (t2, predict(z1), t1, predict(z2))[: 4 if rule.symmetrised else 2]
    alive = jnp.stack([a.any(0, keepdims=True) for a in divided_by]).all(0)

    def kept(a):
        return jnp.where(alive, a, 1)

    if rule.structure.predictor == "none":  # which losses do without
        z1, z2 = kept(z1), kept(z2)

    def predict_kept(z, *function):
        return kept(predict(z, *function))

    loss = rule.generated.loss(z1, z2, kept(t1), kept(t2), predict_kept, over_modes, stop_gradient, *own)
    return jnp.where(alive, loss, 0)


def predictor(rule: Rule, p: Parameters, layers: Layers, C):
    """What makes predictions (M, B) of representations (M, B). C: what a closed form is built from, (M, M)."""
    kind = rule.structure.predictor
    if kind == "none":
        return lambda z: z
    if kind == "learned":
        return lambda z: rule.architecture.predict(layers.predictor, z.T).T
    finite = jnp.isfinite(C).all()  # LAPACK is not to see what is not
    kept = jnp.where(finite, C, jnp.eye(len(C)))

    def matrix(*function):
        return jnp.where(finite, closed_form(rule.structure, p, kept, *function), jnp.nan)

    W_P = matrix()
    return lambda z, *function: (matrix(*function) if function else W_P) @ z


def correlation(z):
    """E[z z^T] (M, M) of representations (B, M)."""
    return z.T @ z / len(z)


def _decayed(layers: Layers) -> Layers:
    """Which weights decay: matrices and filters, neither biases (those of filters have three axes) nor batch norm."""
    return jax.tree.map(lambda a: a.ndim in (2, 4), layers)


def optimizer(rule: Rule, numbers: Numbers) -> optax.GradientTransformation:
    """Gradient descent with momentum; weight decay joins the gradient."""
    rate = numbers.learning_rate
    if rule.schedule == "cosine":
        factor = optax.cosine_decay_schedule(1.0, rule.steps)
        scale = optax.scale_by_schedule(lambda count: -rate * factor(count))
    else:
        scale = optax.scale(-rate)
    decay = optax.add_decayed_weights(numbers.parameters.rho, mask=_decayed)
    return optax.chain(decay, optax.trace(rule.momentum), scale)


def _decay(rule: Rule, decay, number):
    """Of the target, in this step."""
    if rule.target_schedule == "constant":
        return decay
    return 1 - (1 - decay) * (jnp.cos(jnp.pi * number / rule.steps) + 1) / 2


def _views(rule: Rule, p: Parameters, images, key) -> tuple[list, list]:
    """Two views (B, height, width, channels) of a random batch, without and with noise."""
    chosen, *keys = jax.random.split(key, 5)
    x = images[jax.random.randint(chosen, (rule.batch_size,), 0, len(images))]
    drawn = [x, x] if rule.views is None else [rule.views(key, x) for key in keys[:2]]
    if not rule.noisy:
        return drawn, drawn
    noise = (jax.random.normal(key, x.shape, x.dtype) for key in keys[2:])
    return drawn, [x + sigma * xi for x, sigma, xi in zip(drawn, (p.sigma1, p.sigma2), noise, strict=True)]
