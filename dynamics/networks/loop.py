"""Run the training loop of linear and deep networks, with records, progress, interruption and checkpoints.

S networks are trained side by side on a device. Each call to the device runs a compiled program over many steps, and
returns the state at some of these steps. The numbers of these steps are called ``stops``. All T recorded steps are
among the stops.
"""

from collections.abc import Iterator
from typing import Any, NamedTuple, Protocol

import jax
import jax.numpy as jnp
import numpy as np
import numpy.typing as npt

from dynamics.model.model import Model
from dynamics.model.schedules import in_words
from dynamics.networks.run import TrainingRun
from dynamics.numerics.progress import hinting, progress_bar
from dynamics.results.trajectory import Trajectory

Variables = Any  # the state of training: a pytree of arrays (S, ...) on the device
Records = Any  # a pytree of NumPy arrays (S, T, ...)
Steps = npt.NDArray[np.integer]


class TrainedNetwork(Protocol):
    """Interface of S networks that the training loop trains side by side, one for each key of random numbers.

    A call to the device returns the state at no more than ``stops_per_call`` steps; from one of these steps to the next
    there are at most ``stride`` steps. Between two calls, the progress bar is updated and Ctrl-C takes effect.
    """

    @property
    def model(self) -> Model:
        """The model: loss, predictor, target branch and parameters."""
        ...

    @property
    def stride(self) -> int:
        """The largest number of steps between two successive steps at which calls to the device return the state."""
        ...

    @property
    def stops_per_call(self) -> int:
        """The largest number of steps at which one call to the device returns the state."""
        ...

    @property
    def data(self) -> str:
        """A short description of the batch and the network, for the ``method`` of the trajectory."""
        ...

    @property
    def settings(self) -> dict[str, Any]:
        """Settings of the network, which are stored in the trajectory together with the settings of the run."""
        ...

    def start(self, keys: Any) -> tuple[Variables, Any]:
        """Return the state before the first step, and the history: the data from which ``record`` computes record 0."""
        ...

    def advance(self, state: Variables, keys: Any, stops: Steps) -> tuple[Variables, Any]:
        """Train from the first to the last of the step numbers ``stops`` (K + 1,).

        Return the final state, and the history: the data from which ``record`` computes records at the last K of the
        step numbers.
        """
        ...

    def record(self, state: Variables, history: Any, chosen: Steps) -> tuple[Variables, Records]:
        """Return the state from which training continues, and the records at the ``chosen`` indices of a history."""
        ...

    def has_ended(self, state: Variables, records: list[Records]) -> bool:
        """Return True if all networks have diverged or collapsed, so that training can end."""
        ...

    def conclude(self, records: Records, steps: Steps, status: str) -> tuple[Records, str]:
        """Return the records of the result, and the status, which states whether networks diverged or collapsed."""
        ...

    def quantities(self, records: Records, steps: Steps) -> dict[str, Any]:
        """Return the arguments of ``Trajectory`` that follow from the records at the recorded ``steps``."""
        ...


class Saved(NamedTuple):
    """Contents of a checkpoint: all records so far, and the arrays of the state after the last record."""

    records: Records
    leaves: list[npt.NDArray[Any]]


class CheckpointFile(Protocol):
    """A file in which a training run is saved at each recorded step, and from which the run can continue.

    Each call to the device must end at a recorded step (``stops_per_call`` = 1), so that the saved state belongs to the
    saved record.
    """

    def read(self) -> Saved | None:
        """Return the saved run, or None if the file does not exist."""
        ...

    def write(self, saved: Saved) -> None:
        """Save a run in place of the previous contents of the file."""
        ...


def train_network(network: TrainedNetwork, run: TrainingRun, checkpoint: CheckpointFile | None = None) -> Trajectory:
    """Train networks side by side, and return their trajectory.

    checkpoint: file in which the run is saved; if the file exists, training continues from the saved state.
    """
    with run.on_device() as device:
        records, status = _train(network, run, checkpoint)
        steps = run.recorded[: _length(records)]
        if not run.side_by_side:
            records = jax.tree.map(lambda array: array[0], records)
        quantities = network.quantities(records, steps)
    update = in_words(run.schedules, run.momentum)
    return Trajectory(
        model=network.model,
        kind="network",
        step=steps,
        method=f"gradient descent{update} on {run.batch_size} {network.data}, {run.dtype}, on {device}",
        status=status,
        settings=run.settings | network.settings,
        **quantities,
    )


def _train(network: TrainedNetwork, run: TrainingRun, checkpoint: CheckpointFile | None) -> tuple[Records, str]:
    """Train the networks, and return their records and the status; an interruption ends the records early."""
    keys, status = run.keys(), "complete"
    state, records = _start(network, keys, checkpoint)
    done = int(run.recorded[sum(map(_length, records)) - 1])
    with hinting(lambda: run.faster), progress_bar(run.steps, "train", run.progress, done=done) as bar:
        try:
            for stops in device_calls(run.recorded, done, network.stride, network.stops_per_call):
                if network.has_ended(state, records):
                    break
                state, history = jax.block_until_ready(network.advance(state, keys, stops))
                bar.update(stops[-1] - stops[0])
                chosen = np.flatnonzero(np.isin(stops[1:], run.recorded) & (np.diff(stops) > 0))
                if chosen.size:
                    state, latest = network.record(state, history, chosen)
                    records.append(latest)
                    _save(checkpoint, records, state)
        except KeyboardInterrupt:
            status = f"interrupted after step {run.recorded[sum(map(_length, records)) - 1]}"
    whole = joined(records)
    return network.conclude(whole, run.recorded[: _length(whole)], status)


def device_calls(recorded: Steps, first: int, stride: int, stops_per_call: int) -> Iterator[Steps]:
    """Yield K + 1 step numbers for each call to the device: the first step, and K steps at which the state is returned.

    recorded: recorded steps of the run. first: step at which training begins. The yielded numbers contain all recorded
    steps from ``first`` on. K is the same for all calls, so that all calls use the same compiled program. If fewer than
    K steps are left for the last call, the last step number is repeated.
    """
    stops = np.union1d(recorded, np.arange(0, recorded[-1], stride))
    stops = stops[stops >= first]
    size = min(stops_per_call, max(len(stops) - 1, 1))
    for start in range(0, len(stops) - 1, size):
        part = stops[start : start + size + 1]
        yield np.pad(part, (0, size + 1 - len(part)), mode="edge")


def _start(network: TrainedNetwork, keys: Any, checkpoint: CheckpointFile | None) -> tuple[Variables, list[Records]]:
    """Return the state and the records with which training begins, from a checkpoint or from step 0."""
    saved = None if checkpoint is None else checkpoint.read()
    if saved is not None:
        structure = jax.tree.structure(jax.eval_shape(network.start, keys)[0])
        return jax.tree.unflatten(structure, map(jnp.asarray, saved.leaves)), [saved.records]
    state, first = network.record(*network.start(keys), np.array([0]))
    _save(checkpoint, [first], state)
    return state, [first]


def _save(checkpoint: CheckpointFile | None, records: list[Records], state: Variables) -> None:
    if checkpoint is not None:
        checkpoint.write(Saved(joined(records), [np.asarray(leaf) for leaf in jax.tree.leaves(state)]))


def joined(records: list[Records]) -> Records:
    """Concatenate a list of records (S, T_i, ...), which follow each other in time, into records (S, T, ...)."""
    return jax.tree.map(lambda *parts: np.concatenate(parts, axis=1), *records)


def _length(records: Records) -> int:
    """Return the number T of steps in records (S, T, ...)."""
    return jax.tree.leaves(records)[0].shape[1]
