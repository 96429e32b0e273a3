"""Adapt deep networks to the training loop: train them on JAX's device, and compute metrics on the host."""

from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from threadpoolctl import threadpool_limits

from dynamics import errors
from dynamics.generated import eigenvalues
from dynamics.model.components import Reconstruction
from dynamics.model.fingerprint import digest, of_code, plain
from dynamics.model.model import Model
from dynamics.networks import deep, linear, loop
from dynamics.networks.deep.checkpoint import Checkpoint
from dynamics.networks.deep.collapse import summary, verdict
from dynamics.networks.deep.metrics import MEASURED, Record, Representations, measure, represent
from dynamics.networks.deep.network import Network, describe
from dynamics.networks.deep.optimizer import training_times
from dynamics.networks.deep.step import DeepSpec, Drawing, Hyperparameters, TrainingState, deep_spec, draw, start, step
from dynamics.networks.loop import Steps
from dynamics.networks.run import TrainingRun
from dynamics.numerics.memory import check_fits
from dynamics.results.trajectory import QUANTITIES
from dynamics.vector_field import eigenmode_state, weight_state

FORMAT = "ssl-dynamics checkpoint 1"
STRIDE = 50  # largest number of steps in one call to the device


@dataclass(frozen=True, eq=False)
class DeepNetwork:
    """S deep networks on images, with the interface ``loop.TrainedNetwork`` that the training loop requires.

    The state is a TrainingState whose arrays have the shape (S, ...). T records are stored in one Record, whose arrays
    have the shape (S, T, ...). Metrics are computed on the host. Therefore each call to the device returns the state at
    one step only, the last step of the call. ``advance`` also returns the number of this step, which is the argument
    ``history`` of ``record``.
    """

    model: Model
    network: Network
    run: TrainingRun

    stride = STRIDE
    stops_per_call = 1

    def __post_init__(self) -> None:
        check_model(self.model, self.network)
        run, itemsize = self.run, np.dtype(self.run.dtype).itemsize
        self.network.check_memory(len(run.seeds), run.batch_size, itemsize)
        values = len(QUANTITIES) * self.network.modes + len(Record._fields)
        check_fits(len(run.seeds), len(run.recorded), values, "Record fewer steps (record), or train fewer seeds.")

    @property
    def data(self) -> str:
        """Words that name the data set in ``Trajectory.method``, such as "images (digits) a step"."""
        return f"images ({self.network.images.name}) a step"

    @cached_property
    def settings(self) -> dict[str, Any]:
        """Description of the network as plain data, to be stored in the trajectory."""
        return {"network": describe(self.network)}

    @cached_property
    def spec(self) -> DeepSpec:
        """The static arguments of a training step, for which the step is compiled."""
        return deep_spec(self.model, self.network, self.run.batch_size, self.run.steps, self.run.dtype)

    @cached_property
    def drawing(self) -> Drawing:
        """The settings on which the random numbers of a training step depend."""
        spec, run = self.spec, self.run
        return Drawing(len(self.network.images.train), run.batch_size, spec.views is not None, spec.noisy, run.dtype)

    @cached_property
    def hyperparameters(self) -> Hyperparameters:
        """Learning rate and parameters of the model, which may change without a new compilation."""
        return Hyperparameters(self.run.learning_rate, self.model.parameters.map(lambda a: float(a[0])))

    @cached_property
    def images(self) -> jax.Array:
        """The training images (n, H, W, C), on the device."""
        with jax.ensure_compile_time_eval():  # the result is cached, and must not be a traced array
            return jnp.asarray(self.network.images.train, self.run.dtype)

    @cached_property
    def measured_images(self) -> tuple[jax.Array, jax.Array]:
        """The training and test images on which metrics are computed, at most MEASURED of each, on the device."""
        with jax.ensure_compile_time_eval():
            return self.images[:MEASURED], jnp.asarray(self.network.images.test[:MEASURED], self.run.dtype)

    def start(self, keys: Any) -> tuple[TrainingState, int]:
        """Return the state at step 0, and the step number 0, which is the argument ``history`` of ``record``."""
        begin, _, _ = _compiled(self.spec)
        return begin(self.hyperparameters, self.measured_images[0], keys), 0

    def advance(self, state: TrainingState, keys: Any, stops: Steps) -> tuple[TrainingState, int]:
        """Train from step ``stops[0]`` to step ``stops[1]``; return the final state and the number ``stops[1]``."""
        _, advance, _ = _compiled(self.spec)
        first, last = map(int, stops)
        draws = _drawn(self.drawing)(keys, first)
        return advance(self.hyperparameters, self.images, state, draws, first, last), last

    def record(self, state: TrainingState, history: int, chosen: Steps) -> tuple[TrainingState, Record]:
        """Return the state from which training continues, and the record with the metrics of the argument ``state``.

        In the returned state, the sum of the losses since the preceding record is set to zero. history: step number of
        the state.
        """
        return state._replace(loss=jnp.zeros_like(state.loss)), self._measured(self.representations(state), history)

    def representations(self, state: TrainingState) -> Representations:
        """Return the data of S networks from which metrics are computed, as arrays (S, ...) on the host."""
        _, _, read_out = _compiled(self.spec)
        return jax.tree.map(np.asarray, read_out(state, *self.measured_images))

    def _measured(self, representations: Representations, step: int) -> Record:
        """Return the metrics (S, 1, ...) at a step; the metric ``loss`` is the mean since the preceding record."""
        if step:
            last = self.run.recorded[np.searchsorted(self.run.recorded, step) - 1]
            representations = representations._replace(loss=representations.loss / int(step - last))
        members = (jax.tree.map(lambda a, i=i: a[i], representations) for i in range(len(self.run.seeds)))
        with threadpool_limits(1):  # with small matrices, more threads would wait for each other and for JAX
            p, images = self.hyperparameters.parameters, self.network.images
            rows = [measure(self.spec, p, member, images) for member in members]
        record = Record(*(np.array(column)[:, None] for column in zip(*rows, strict=True)))
        return record if step else record._replace(loss=np.full_like(record.loss, np.nan))

    def has_ended(self, state: TrainingState, records: list[Record]) -> bool:
        """Return True if all networks have diverged or collapsed."""
        return all(_verdicts(records[-1], -1, records[0]))

    def conclude(self, records: Record, steps: Steps, status: str) -> tuple[Record, str]:
        """Return all records, and the status, which states whether networks diverged or collapsed."""
        verdicts = [_verdicts(records, time, records) for time in range(len(steps))]
        outcome = summary(verdicts, steps)
        if not outcome:
            return records, status
        if not all(verdicts[-1]):
            return records, f"{status}; {outcome}"
        return records, outcome if status == "complete" else f"{outcome}; {status}"

    def quantities(self, records: Record, steps: Steps) -> dict[str, Any]:
        """Return the arguments of ``Trajectory``: times, ``s``, ``target``, ``predictor``, ..., and ``measures``.

        The dictionary ``measures`` contains all other metrics of the records.
        """
        times = training_times(self.run.learning_rate, self.network.schedule, self.run.steps)
        measures = records._asdict()
        return {"t": times[steps]} | {name: measures.pop(name) for name in QUANTITIES} | {"measures": measures}

    def checkpoint(self, path: Path | None) -> Checkpoint | None:
        """Return the checkpoint file at a path, with the data that identify this run; None if ``path`` is None."""
        if path is None:
            return None
        sources = [*sorted(Path(deep.__path__[0]).glob("*.py")), Path(str(loop.__file__)), Path(str(linear.__file__))]
        identity = {
            "format": FORMAT,
            "model": plain("model", self.model),
            **self.run.settings,
            **self.settings,
            "recorded": plain("record", self.run.recorded),
            "generated code": of_code(self.model.generated, eigenvalues, eigenmode_state, weight_state),
            "code": digest(*sources),
            "jax": jax.__version__,
        }
        return Checkpoint(path, identity)


def check_model(model: Model, network: Network) -> None:
    """Raise ArgumentError if an option of the model cannot be combined with an option of the network."""
    learned = model.structure.predictor == "learned"
    if model.by_weights:
        errors.reject("model", "have no `inputs`, because the inputs of a Network are its images", model)
    if model.views is not None:
        errors.reject("model", "have no `views`, because the views of a Network are its augmented images", model)
    if model.depth > 1 or isinstance(model.target, Reconstruction):
        requirement = "have depth 1 and no Reconstruction() target, because the architecture of a Network is its own"
        errors.reject("model", requirement, model)
    if learned and (model.init != 1).any():
        requirement = "have the default `init` = 1, because the predictor of a Network has random initial weights"
        errors.reject("model", requirement, model)
    if network.predictor and not learned:
        errors.reject("predictor", f"be left out, because the predictor of {model} is not learned", network.predictor)
    if network.target_schedule != "constant" and not model.structure.separate_target:
        errors.reject(
            "target_schedule",
            f"be left out, because the target of {model} is not an EMA and has no decay",
            network.target_schedule,
        )


@lru_cache(maxsize=16)
def _compiled(spec: DeepSpec) -> tuple[Any, Any, Any]:
    """Return three compiled functions that act on S networks at once.

    The functions compute the initial states, the states after further steps, and the representations.
    """

    def start_one(hyper: Any, images: Any, key: Any) -> Any:
        return start(spec, hyper, images, jax.random.fold_in(key, 0))

    def advance_one(hyper: Any, images: Any, state: Any, draws: Any, first: Any, last: Any) -> Any:
        def one_step(number: Any, state: Any) -> Any:
            return step(spec, hyper, images, state, number, jax.tree.map(lambda a: a[number - first], draws))

        return jax.lax.fori_loop(first, last, one_step, state)

    def represent_one(state: Any, train: Any, test: Any) -> Any:
        return represent(spec, state, train, test)

    return (
        jax.jit(jax.vmap(start_one, in_axes=(None, None, 0))),
        jax.jit(jax.vmap(advance_one, in_axes=(None, None, 0, 0, None, None))),
        jax.jit(jax.vmap(represent_one, in_axes=(0, None, None))),
    )


@lru_cache(maxsize=16)
def _drawn(drawing: Drawing) -> Any:
    """Return the compiled function that draws the random numbers of S networks for STRIDE steps, (S, STRIDE, ...)."""

    def of_network(key: Any, first: Any) -> Any:
        return jax.lax.map(
            lambda number: draw(drawing, jax.random.fold_in(key, number + 1)), first + jnp.arange(STRIDE)
        )

    return jax.jit(jax.vmap(of_network, in_axes=(0, None)))


def _verdicts(records: Record, time: int, first: Record) -> list[str | None]:
    """Return, for each network, how it has failed by a recorded step; None for networks that have not failed.

    time: index of the recorded step. first: records of the networks at step 0, or from step 0 on.
    """
    pairs = zip(_members(records, time), _members(first, 0), strict=True)
    return [verdict(record, start) for record, start in pairs]


def _members(records: Record, time: int) -> list[Record]:
    """Return the record of each network at one recorded step; ``time`` is the index of the step."""
    return [Record(*(a[i, time] for a in records)) for i in range(len(records.s))]
