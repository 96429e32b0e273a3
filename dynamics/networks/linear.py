"""Train Siamese networks z = W x by automatic differentiation of the loss.

No gradient or rate that was derived in advance is used. The encoder W (M, N), for M modes and N inputs, is one matrix
or a product of layers. The inputs are Gaussian, or samples that were measured. In shapes of arrays, B is the batch
size, S the number of networks, and T the number of recorded steps.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, lru_cache, reduce
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import numpy.typing as npt

from dynamics import errors
from dynamics.model.components import EMA, Reconstruction
from dynamics.model.model import Model
from dynamics.model.momentum import Momentum
from dynamics.model.parameters import Parameters, Structure
from dynamics.model.schedules import StepSchedules
from dynamics.model.views import ModeViews
from dynamics.networks.run import TrainingRun
from dynamics.networks.view_samplers import Sampler, sampler_of
from dynamics.numerics.memory import check_fits, check_size
from dynamics.vector_field import update
from dynamics.vector_field.state import Forces, State
from dynamics.vector_field.weight_state import correlation, directions_of_inputs, initial, observables, predictor

Array = Any  # an array of JAX, traced or not
BATCH_ARRAYS = 7  # measured number of arrays (N, B) that are in memory while a step is computed
UNITS: dict[str, Callable[[Array], Array]] = {"linear": lambda z: z, "relu": jax.nn.relu}


# --- one step -------------------------------------------------------------------------------------------------------


class LinearSpec(NamedTuple):
    """The static arguments of a training step; for each new combination, the step is compiled again."""

    generated: Any  # functions derived for the loss, of which training uses only the loss itself
    structure: Structure
    batch_size: int
    units: str
    dtype: str
    momentum: Momentum | None


def step(
    spec: LinearSpec,
    learning_rate: Array,
    parameters: Parameters,
    sampler: Sampler,
    root: Array | None,
    weights: State,
    key: Array,
) -> State:
    """Return the weights (M, N) after one training step on newly drawn views.

    spec: the options for which the step is compiled. sampler: draws the views. root: Sigma_x^(1/2), where Sigma_x is
    the second moment that the views share; None for white inputs. weights: weights before the step. key: random key of
    the step.
    """
    first, *_ = layers_of(weights.encoder)
    views = sampler.draw(key, (first.shape[1], spec.batch_size), spec.dtype)
    gradients = jax.grad(_mean_loss, (0, 1))(weights.encoder, weights.predictor, spec, parameters, root, weights, views)
    forces = Forces(*jax.tree.map(jnp.negative, gradients))

    def correlated(encoder: Any) -> Array:
        return correlation(product(encoder), root)

    return update.step(weights, forces, parameters, learning_rate, correlated, spec.momentum)


def layers_of(encoder: Any) -> tuple[Array, ...]:
    """Return the layers of an encoder, the first one first; an encoder that is a single matrix has one layer."""
    return encoder if isinstance(encoder, tuple) else (encoder,)


def product(encoder: Any) -> Any:
    """Return the matrix W = W_L ... W_1 (..., M, N) of an encoder, which is a matrix or a tuple of layers."""
    return reduce(lambda below, layer: layer @ below, layers_of(encoder))


def in_one_layer(weights: State) -> State:
    """Return the weights of a network with the products of all layers in place of the layers."""
    target = None if weights.target is None else product(weights.target)
    return weights._replace(encoder=product(weights.encoder), target=target)


def _mean_loss(
    W: Array,
    W_P: Array | None,
    spec: LinearSpec,
    parameters: Parameters,
    root: Array | None,
    fixed: State,
    views: list[Array],
) -> Array:
    """Return the mean loss over a batch of B samples; a sample has two views, and ``views`` are two arrays (N, B).

    W: weights of the encoder. W_P: weights of a learned predictor. Training computes the gradient of the loss with
    respect to W and W_P. fixed: weights that are constants in this gradient; the target and a closed-form predictor are
    computed from them.
    """
    z1, z2, fixed = *_represent(spec, product(W), views), in_one_layer(fixed)
    t1, t2 = (z1, z2) if fixed.target is None else _represent(spec, fixed.target, views)
    matrix = predictor(spec.structure, parameters, fixed, root) if W_P is None else W_P

    def predict(z: Array, function: Callable[[Array], Array] | None = None) -> Array:
        return (matrix if function is None else predictor(spec.structure, parameters, fixed, root, function)) @ z

    undefined = _silent(spec, z1, z2, t1, t2)
    z1, z2, t1, t2 = (jnp.where(undefined, 1, z) for z in (z1, z2, t1, t2))
    losses = spec.generated.loss(z1, z2, t1, t2, predict, over_modes, jax.lax.stop_gradient, *parameters.of_loss)
    return jnp.where(undefined, 0, losses).mean()


def _represent(spec: LinearSpec, W: Array, views: list[Array]) -> list[Array]:
    """Return the representations (M, B) of both views (N, B), computed by a network with weights W."""
    return [UNITS[spec.units](W @ x) for x in views]


def over_modes(a: Array) -> Array:
    """Return the sum (1, B) of an array (M, B) over modes; a matrix product is faster here than a sum by XLA."""
    return jnp.ones((1, len(a)), a.dtype) @ a


def _silent(spec: LinearSpec, *representations: Array) -> Array:
    """Return a mask (1, B) that is True for samples whose loss is undefined.

    A loss that divides by norms is undefined for a sample if all ReLU units are zero in a representation of the sample.
    """
    if spec.units != "relu" or not spec.generated.divides_by_norms:
        return jnp.zeros((1, 1), bool)
    return ~jnp.stack([z.any(0, keepdims=True) for z in representations]).all(0)


@lru_cache(maxsize=32)
def _compiled(spec: LinearSpec) -> Callable[..., tuple[State, State]]:
    """Return a compiled function that trains networks over many steps and returns the weights at some of these steps.

    The function is not compiled again if the learning rate or the parameters change.
    """

    def advance(
        schedules: StepSchedules,
        parameters: Parameters,
        sampler: Sampler,
        root: Array | None,
        weights: State,
        key: Array,
        starts: Array,
        stops: Array,
    ) -> tuple[State, State]:
        def one_step(i: Array, weights: State) -> State:
            learning_rate, scheduled = schedules.at(i)
            present = parameters._replace(**scheduled)
            return step(spec, learning_rate, present, sampler, root, weights, jax.random.fold_in(key, i))

        def to_next_stop(weights: State, bounds: tuple[Array, Array]) -> tuple[State, State]:
            first, last = bounds
            weights = jax.lax.fori_loop(first, last, one_step, weights)
            return weights, weights

        return jax.lax.scan(to_next_stop, weights, (starts, stops))

    return jax.jit(jax.vmap(advance, in_axes=(None, None, None, None, 0, 0, None, None)))


# --- the interface to the training loop -----------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class LinearNetwork:
    """S linear networks z = W x, with the interface ``loop.TrainedNetwork`` that the training loop requires.

    The state of training is a State whose arrays have the shape (S, ...). T records are stored in one State, whose
    arrays have the shape (S, T, ...). Records are copies of the weights, so that a single call to the device can record
    many steps.
    """

    model: Model
    run: TrainingRun
    units: str
    initial: State  # initial weights, the same for all networks
    probes: npt.NDArray[np.float64] | None

    stride = 4
    stops_per_call = 50

    @property
    def data(self) -> str:
        """Words that describe samples and units in ``Trajectory.method``, such as "samples a step, linear units"."""
        return f"samples a step, {self.units} units"

    @property
    def settings(self) -> dict[str, Any]:
        """The activation of the network, to be stored in the trajectory."""
        return {"units": self.units}

    @cached_property
    def _advance(self) -> Callable[..., tuple[State, State]]:
        model, run, p = self.model, self.run, self.model.parameters
        program = _compiled(
            LinearSpec(model.generated, model.structure, run.batch_size, self.units, run.dtype, run.momentum)
        )
        root = None if model.input_root is None else jnp.asarray(model.input_root, run.dtype)
        scalars = p.map(lambda a: float(a[0]) if a.size == 1 else jnp.asarray(a, run.dtype))
        sampler = sampler_of(model, run.dtype)
        return lambda *arguments: program(run.schedules, scalars, sampler, root, *arguments)

    def start(self, keys: Any) -> tuple[State, State]:
        """Return the initial weights of all networks twice: as state (S, ...), and as a history (S, 1, ...)."""
        dtype = self.run.dtype
        weights = jax.tree.map(lambda a: jnp.broadcast_to(jnp.asarray(a, dtype), (len(keys), *a.shape)), self.initial)
        return weights, jax.tree.map(lambda a: a[:, None], weights)

    def advance(self, state: State, keys: Any, stops: npt.NDArray[np.integer]) -> tuple[State, State]:
        """Train from the first to the last of the step numbers ``stops`` (K + 1,).

        Return the final weights (S, ...) as state, and the weights (S, K, ...) at the last K step numbers as the
        ``history`` for ``record``.
        """
        return self._advance(state, keys, stops[:-1], stops[1:])

    def record(self, state: State, history: State, chosen: npt.NDArray[np.integer]) -> tuple[State, State]:
        """Return the state unchanged, and the records: the weights in ``history`` at the ``chosen`` indices."""
        return state, _at_steps(jax.tree.map(np.asarray, history), chosen)

    def has_ended(self, state: State, records: list[State]) -> bool:
        """Return True if the weights of all networks have overflowed."""
        return not _finite(jax.tree.map(lambda a: np.asarray(a)[:, None], state)).any()

    def conclude(self, records: State, steps: npt.NDArray[np.integer], status: str) -> tuple[State, str]:
        """Return the records up to the last step at which at least one network has finite weights, and the status."""
        return _without_diverged(records, steps, status)

    def quantities(self, records: State, steps: npt.NDArray[np.integer]) -> dict[str, Any]:
        """Return the arguments of ``Trajectory``: times, observables, weights, and representations of the probes."""
        records, embeddings = in_one_layer(records), None
        if self.probes is not None:
            embeddings = np.asarray(UNITS[self.units](np.swapaxes(records.encoder @ self.probes.T, -1, -2)))
        seen = observables(self.model.structure, self.model.parameters, records, self.model.input_root)
        return seen._asdict() | {
            "t": self.run.schedules.times(steps),
            "embeddings": embeddings,
        }


def _without_diverged(weights: State, steps: npt.NDArray[np.integer], status: str) -> tuple[State, str]:
    """Return the records up to the last step at which at least one network has finite weights, and the status.

    If networks diverged, a text that states how many is added to the status.
    """
    finite = _finite(weights)
    if finite.all():
        return weights, status
    step = steps[finite.all(axis=0).sum()]
    count = (~finite[:, -1]).sum()
    which = "" if len(finite) == 1 else f" in {count} of {len(finite)} networks, the first"
    diverged = f"weights diverge{which} before step {step}"
    kept = _at_steps(weights, slice(finite.any(axis=0).sum()))
    return kept, diverged if status == "complete" else f"{diverged}; {status}"


def _finite(weights: State) -> npt.NDArray[np.bool_]:
    """Return a mask (S, T) that is True if all weights of a network are finite at a recorded step."""
    return np.all([np.isfinite(a).all(axis=(2, 3)) for a in jax.tree.leaves(weights)], axis=0)


def _at_steps(weights: State, chosen: npt.NDArray[np.integer] | slice) -> State:
    """Return the weights (S, T, ...) at the ``chosen`` indices of the recorded steps."""
    return jax.tree.map(lambda a: a[:, chosen], weights)


# --- arguments ------------------------------------------------------------------------------------------------------


def linear_network(
    model: Model,
    W0: npt.ArrayLike,
    run: TrainingRun,
    units: str,
    W_P0: npt.ArrayLike | None,
    probes: npt.ArrayLike | None,
    layers0: npt.ArrayLike | None,
) -> LinearNetwork:
    """Return the linear networks that ``train`` trains; raises ArgumentError if an argument is not valid."""
    weights = _initial_weights(model, W0, W_P0, layers0)
    inputs = layers_of(weights.encoder)[0].shape[1]
    probe_inputs = _probes(probes, inputs)
    errors.choice("units", units, UNITS)
    if units != "linear" and (model.depth > 1 or isinstance(model.target, Reconstruction)):
        errors.reject("units", "be 'linear' for a deep encoder, and for the target Reconstruction()", units)
    remedy = "Record fewer steps (`record`), or train fewer seeds."
    weights = update.with_buffers(weights, run.momentum)
    numbers, itemsize = sum(part.size for part in jax.tree.leaves(weights)), np.dtype(run.dtype).itemsize
    check_fits(len(run.seeds), len(run.recorded), numbers, remedy, itemsize)
    batch = f"A batch of {run.batch_size:,} samples with {inputs} inputs, for {len(run.seeds)} seeds,"
    in_batch = len(run.seeds) * run.batch_size * inputs * BATCH_ARRAYS
    check_size(batch, in_batch, "Use a smaller batch_size, or fewer seeds.", itemsize)
    return LinearNetwork(model, run, units, weights, probe_inputs)


def _initial_weights(
    model: Model, W0: npt.ArrayLike, W_P0: npt.ArrayLike | None, layers0: npt.ArrayLike | None
) -> State:
    W, structure = model.check_weights("W0", W0, ensemble=False), model.structure
    W_P = model.check_predictor_weights(W, W_P0)
    state = initial(structure, W, model.input_root, model.init)
    if W_P is None and structure.predictor == "learned" and isinstance(model.views, ModeViews):
        U = directions_of_inputs(W)
        W_P = None if U is None else (U * model.init) @ U.T
    state = state if W_P is None else state._replace(predictor=W_P)
    U, w, V = _modes_of(model, W)
    layers = model.check_layers(model.parameters.cross * w**2, layers0)
    values = np.repeat(w[None] ** (1 / model.depth), model.depth, axis=0) if layers is None else layers

    def of_singular_values(values: npt.NDArray[np.float64]) -> Any:
        matrices = tuple((U * u) @ (V if number == 0 else U.T) for number, u in enumerate(values))
        return matrices if model.depth > 1 else matrices[0]

    if model.depth > 1:
        encoder = of_singular_values(values)
        state = state._replace(encoder=encoder, target=encoder if isinstance(model.target, EMA) else None)
    if isinstance(model.target, Reconstruction):
        state = state._replace(target=of_singular_values(np.ones_like(values)))
    return state


def _modes_of(model: Model, W: npt.NDArray[np.float64]) -> tuple[npt.NDArray[np.float64], ...]:
    """Return U, w and V for which W = U diag(w) V, with modes in the order of the initial eigenvalues of the theory.

    The order is ascending, or that of the inputs if each mode has its own second moments of the views.
    """
    if isinstance(model.views, ModeViews) and (directions := directions_of_inputs(W)) is not None:
        return directions, np.linalg.norm(W, axis=0), np.eye(len(W))
    U, w, V = np.linalg.svd(W, full_matrices=False)
    return U[:, ::-1], w[::-1], V[::-1]


def _probes(probes: npt.ArrayLike | None, inputs: int) -> npt.NDArray[np.float64] | None:
    if probes is None:
        return None
    requirement = f"be finite inputs of shape (P, N) with N = {inputs}"
    array = errors.real_array("probes", probes, requirement)
    if array.ndim != 2 or array.shape[1] != inputs:
        raise errors.ArgumentError(f"Argument `probes` must {requirement}, but has shape {array.shape}.")
    return array
