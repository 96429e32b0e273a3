"""Compute one training step of a deep Siamese network, with the same loss and predictor as for linear networks."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from dynamics.generated import eigenvalues
from dynamics.model.model import Model
from dynamics.model.parameters import Parameters, Structure
from dynamics.networks.deep.augmentation import Augmentation
from dynamics.networks.deep.layers import Architecture, Layers, Shape, architecture
from dynamics.networks.deep.network import Network
from dynamics.networks.deep.optimizer import gradient_descent, target_decay
from dynamics.networks.linear import over_modes
from dynamics.vector_field.weight_state import closed_form

Array = Any  # an array of JAX, traced or not


class Hyperparameters(NamedTuple):
    """The arguments of a training step that can change without a new compilation."""

    learning_rate: Any
    parameters: Parameters


class DeepSpec(NamedTuple):
    """The static arguments of a training step; for each new combination, the step is compiled again."""

    generated: Any  # functions derived for the loss, of which training uses only the loss itself
    structure: Structure
    symmetrised: bool
    shape: Shape
    views: Augmentation | None
    noisy: bool  # True if noise is added to the views
    momentum: float
    schedule: str
    target_schedule: str
    batch_size: int
    steps: int  # number of steps of the whole run, for the schedules; 0 if there are no schedules

    @property
    def architecture(self) -> Architecture:
        """The functions that apply weights to images and representations."""
        return architecture(self.shape)

    def optimizer(self, hyper: Hyperparameters) -> optax.GradientTransformation:
        """Return gradient descent with momentum and weight decay."""
        return gradient_descent(hyper.learning_rate, hyper.parameters.rho, self.momentum, self.schedule, self.steps)


class Drawing(NamedTuple):
    """The settings on which the random numbers of a training step depend.

    The random numbers are drawn by a compiled function of their own, which takes as long to compile as the training
    step. Models of any kind draw the same random numbers, and therefore share this function.
    """

    images: int  # number of training images
    batch_size: int
    augmented: bool
    noisy: bool
    dtype: str


class Draws(NamedTuple):
    """Random numbers of a training step."""

    batch: Any  # numbers of the images in the batch (B,)
    views: Any  # random numbers of the augmentation of both views (2, 6, B); None without augmentation
    noise: Any  # keys of the noise on both views (2,); None without noise


class TrainingState(NamedTuple):
    """The state of training of a deep network; variables that the model does not have are None."""

    layers: Layers  # trained weights
    target: Any  # weights of a separate target branch
    tracked: Any  # tracked correlation (M, M)
    optimizer: Any  # state of the optimizer
    loss: Any  # sum of the losses of all steps since the preceding record
    directions: Any  # eigenvectors (M, M) of the correlation at step 0, constant during training


def deep_spec(model: Model, network: Network, batch_size: int, steps: int, dtype: str) -> DeepSpec:
    """Return the static arguments of a training step, for a model and a description of a network."""
    hidden = network.predictor if model.structure.predictor == "learned" else None
    return DeepSpec(
        model.generated,
        model.structure,
        bool(model.symmetrised),
        Shape(network.images.shape, network.encoder, network.projector, hidden, network.batch_norm, dtype),
        network.views,
        any(sigma > 0 for sigma in model.noise),
        network.momentum,
        network.schedule,
        network.target_schedule,
        batch_size,
        max(steps, 1) if "cosine" in (network.schedule, network.target_schedule) else 0,
    )


def start(spec: DeepSpec, hyper: Hyperparameters, images: Array, key: Array) -> TrainingState:
    """Return the state before the first training step, with random weights.

    A separate target starts with the weights of the encoder. A tracked correlation starts with the correlation of the
    representations of the images (n, H, W, C).
    """
    layers = spec.architecture.start(spec.shape, key)
    z = spec.architecture.represent(layers.branch, images)[1]
    return TrainingState(
        layers,
        layers.branch if spec.structure.separate_target else None,
        correlation(z) if spec.structure.tracked else None,
        spec.optimizer(hyper).init(layers),
        jnp.zeros(()),
        jnp.linalg.eigh(correlation(z))[1],
    )


def step(
    spec: DeepSpec, hyper: Hyperparameters, images: Array, state: TrainingState, number: Array, draws: Draws
) -> TrainingState:
    """Return the state after one training step on two views of a random batch of images.

    images: all training images (n, H, W, C). number: index of the step. draws: random numbers of the step.
    """
    p = hyper.parameters
    clean, views = _views(spec, p, images, draws)

    def represent(branch: Any, views: list[Array]) -> list[Array]:
        return [spec.architecture.represent(branch, x)[1] for x in views]

    def mean_loss(layers: Layers) -> tuple[Array, Array | None]:
        z1, z2 = represent(layers.branch, views)
        t1, t2 = represent(state.target, views) if spec.structure.separate_target else (z1, z2)
        noiseless = represent(layers.branch, clean) if spec.noisy else (z1, z2)  # the correlation C excludes the noise
        C = correlation(jax.lax.stop_gradient(jnp.concatenate(noiseless)))
        tracked = eigenvalues.average_step(state.tracked, C, p.tracking) if spec.structure.tracked else None
        predict = predictor(spec, p, layers, C if tracked is None else tracked)
        return _losses(spec, predict, p.of_loss, *(z.T for z in (z1, z2, t1, t2))).mean(), tracked

    (loss, tracked), gradient = jax.value_and_grad(mean_loss, has_aux=True)(state.layers)
    gradient = gradient._replace(predictor=jax.tree.map(lambda a: p.rate_ratio * a, gradient.predictor))
    changes, optimizer = spec.optimizer(hyper).update(gradient, state.optimizer, state.layers)
    layers, target = optax.apply_updates(state.layers, changes), state.target
    if spec.structure.separate_target:
        decay = target_decay(p.decay, spec.target_schedule, number, spec.steps)
        target = jax.tree.map(lambda v, w: eigenvalues.average_step(v, w, decay), target, layers.branch)
    return TrainingState(layers, target, tracked, optimizer, state.loss + loss, state.directions)


def _losses(
    spec: DeepSpec,
    predict: Callable[..., Array],
    loss_parameters: tuple[Any, ...],
    z1: Array,
    z2: Array,
    t1: Array,
    t2: Array,
) -> Array:
    """Return the losses (1, B) of B samples; a loss that would divide by the norm of a zero vector is set to 0.

    z1, z2: representations (M, B) of views 1 and 2, computed by the online branch. t1, t2: representations (M, B) of
    the same views, computed by the target branch.
    """
    stop_gradient = jax.lax.stop_gradient
    if not spec.generated.divides_by_norms:
        return spec.generated.loss(z1, z2, t1, t2, predict, over_modes, stop_gradient, *loss_parameters)
    divisors = (t2, predict(z1), t1, predict(z2))[: 4 if spec.symmetrised else 2]
    active = jnp.stack([a.any(0, keepdims=True) for a in divisors]).all(0)

    def safe(a: Array) -> Array:
        return jnp.where(active, a, 1)

    if spec.structure.predictor == "none":  # losses without predictor do not call ``predict``
        z1, z2 = safe(z1), safe(z2)

    def safe_predict(z: Array, *function: Callable[[Array], Array]) -> Array:
        return safe(predict(z, *function))

    losses = spec.generated.loss(z1, z2, safe(t1), safe(t2), safe_predict, over_modes, stop_gradient, *loss_parameters)
    return jnp.where(active, losses, 0)


def predictor(spec: DeepSpec, p: Parameters, layers: Layers, C: Array) -> Callable[..., Array]:
    """Return the predictor as a function of representations (M, B).

    C: correlation (M, M), from which a closed-form predictor is built.
    """
    kind = spec.structure.predictor
    if kind == "none":
        return lambda z: z
    if kind == "learned":
        return lambda z: spec.architecture.predict(layers.predictor, z.T).T
    finite = jnp.isfinite(C).all()  # LAPACK may fail for other matrices
    finite_C = jnp.where(finite, C, jnp.eye(len(C)))

    def matrix(*function: Callable[[Array], Array]) -> Array:
        return jnp.where(finite, closed_form(spec.structure, p, finite_C, *function), jnp.nan)

    W_P = matrix()
    return lambda z, *function: (matrix(*function) if function else W_P) @ z


def correlation(z: Array) -> Array:
    """Return the correlation E[z z^T] (M, M) of B representations z (B, M)."""
    return z.T @ z / len(z)


def draw(drawing: Drawing, key: Array) -> Draws:
    """Return the random numbers of a training step; the batch is drawn with replacement.

    key: key of JAX's random numbers, which is different for each step.
    """
    batch_key, *keys = jax.random.split(key, 5)
    batch = jax.random.randint(batch_key, (drawing.batch_size,), 0, drawing.images)
    draws = [Augmentation().draw(key, drawing.batch_size, drawing.dtype) for key in keys[:2]]
    return Draws(batch, jnp.stack(draws) if drawing.augmented else None, jnp.stack(keys[2:]) if drawing.noisy else None)


def _views(spec: DeepSpec, p: Parameters, images: Array, draws: Draws) -> tuple[list[Array], list[Array]]:
    """Return two augmented views of a random batch of images, first without noise and then with noise.

    The result consists of two lists, and each list contains two views (B, H, W, C). The second list contains the views
    of the first list after noise is added.
    """
    x = images[draws.batch]
    drawn = [x, x] if spec.views is None else [spec.views.drawn(numbers, x) for numbers in draws.views]
    if not spec.noisy:
        return drawn, drawn
    noise = (jax.random.normal(key, x.shape, x.dtype) for key in draws.noise)
    return drawn, [x + sigma * xi for x, sigma, xi in zip(drawn, (p.sigma1, p.sigma2), noise, strict=True)]
