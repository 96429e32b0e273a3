"""Training of deep networks, side by side: from record to record on the device, what is measured on the host."""

from dataclasses import asdict
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from threadpoolctl import threadpool_limits

from dynamics import errors
from dynamics.generated import eigenvalues
from dynamics.model.fingerprint import digest, of_code, plain
from dynamics.model.model import Model
from dynamics.networks import deep
from dynamics.networks.deep import checkpoint as checkpoints
from dynamics.networks.deep.collapse import summary, verdict
from dynamics.networks.deep.metrics import READ, Record, measure, represent
from dynamics.networks.deep.network import Network
from dynamics.networks.deep.step import Numbers, Rule, Training, rule_of, start, step
from dynamics.networks.run import Run
from dynamics.numerics.progress import progress_bar
from dynamics.results.trajectory import Trajectory
from dynamics.vector_field import eigenmode_state as state
from dynamics.vector_field import weight_state as weights

FORMAT = "ssl-dynamics checkpoint 1"
OWN = ("s", "target", "predictor")  # of a record: what every trajectory has
STEPS_PER_CALL = 50  # to the device, at most, before the progress bar moves or Ctrl-C is heard


class Plan(NamedTuple):
    """A run: what it is compiled for, its numbers, and what it is told by."""

    rule: Rule
    numbers: Numbers
    network: Network
    run: Run
    identity: dict[str, Any]


def train_deep(model: Model, network: Network, run: Run, checkpoint) -> Trajectory:
    """``train`` for a Network; the arguments are those of ``train``."""
    check_model(model, network)
    path = checkpoints.check_path(checkpoint)
    rule = rule_of(model, network, run.batch_size, run.steps, run.dtype)
    numbers = Numbers(run.learning_rate, model.parameters.map(lambda a: float(a[0])))
    settings = run.settings | {"network": describe(network)}
    with run.on_device() as where:
        plan = Plan(rule, numbers, network, run, _identity(model, settings, run.recorded))
        records, status = _run(plan, path)
    records = Record(*(np.moveaxis(a, 0, 1) if run.side_by_side else a[:, 0] for a in records))
    recorded = run.recorded[: records.s.shape[-2]]
    return Trajectory(
        model=model,
        kind="network",
        t=_times(network, run.learning_rate, run.steps)[recorded],
        **{name: getattr(records, name) for name in OWN},
        step=recorded,
        method=f"gradient descent on {run.batch_size} images ({network.images.name}) a step, {run.dtype}, on {where}",
        status=status,
        settings=settings,
        measures={name: array for name, array in records._asdict().items() if name not in OWN},
    )


def check_model(model: Model, network: Network) -> None:
    """Raises ArgumentError where model and network do not go together."""
    learned = model.structure.predictor == "learned"
    if model.inputs is not None:
        errors.reject("model", "have no `inputs` for a Network, whose inputs are its images", model)
    if learned and (model.init != 1).any():
        errors.reject("model", "leave `init` at 1 for a Network, whose predictor starts at random", model)
    if network.predictor and not learned:
        errors.reject("predictor", f"be left out for {model}, whose predictor is not learned", network.predictor)
    if network.target_schedule != "constant" and not model.structure.separate_target:
        errors.reject("target_schedule", f"be left out for {model}, whose target is shared", network.target_schedule)


def describe(network: Network) -> dict[str, Any]:
    """A network as plain data."""
    images = network.images
    own = {name: plain(name, getattr(images, name)) for name in ("train", "train_labels", "test", "test_labels")}
    parts = {name: getattr(network, name) for name in Network.__dataclass_fields__ if name != "images"}
    encoder = {"kind": type(network.encoder).__name__, **as_lists(asdict(network.encoder))}
    views = None if network.views is None else asdict(network.views)
    return {"images": {"name": images.name, **own}, **as_lists(parts | {"encoder": encoder, "views": views})}


def _identity(model: Model, settings: dict[str, Any], recorded) -> dict[str, Any]:
    """What must be the same for a run to go on."""
    sources = sorted(Path(deep.__path__[0]).glob("*.py"))
    return {
        "format": FORMAT,
        "model": plain("model", model),
        **settings,
        "recorded": plain("record", recorded),
        "generated code": of_code(model.generated, eigenvalues, state, weights),
        "code": digest(*sources),
        "jax": jax.__version__,
    }


def as_lists(parts: dict[str, Any]) -> dict[str, Any]:
    """With lists in place of tuples, as they come back from a file."""
    return {name: list(value) if isinstance(value, tuple) else value for name, value in parts.items()}


def _times(network: Network, learning_rate: float, steps: int) -> np.ndarray:
    """Sum of the learning rates up to each step (steps + 1,)."""
    factor = np.ones(steps)
    if network.schedule == "cosine":
        factor = (1 + np.cos(np.pi * np.arange(steps) / max(steps, 1))) / 2
    return learning_rate * np.concatenate([[0.0], np.cumsum(factor)])


# --- the loop -------------------------------------------------------------------------------------------------------


@lru_cache(maxsize=16)
def _compiled(rule: Rule):
    """(start, advance, represent) of networks side by side."""

    def advance(numbers, images, training: Training, key, first, last):
        def one(i, training):
            return step(rule, numbers, images, training, i, jax.random.fold_in(key, i + 1))

        return jax.lax.fori_loop(first, last, one, training)

    def at_start(numbers, images, key):
        return start(rule, numbers, images, jax.random.fold_in(key, 0))

    side_by_side = jax.vmap(advance, in_axes=(None, None, 0, 0, None, None))
    return (
        jax.jit(jax.vmap(at_start, in_axes=(None, None, 0))),
        jax.jit(side_by_side),
        jax.jit(jax.vmap(lambda *given: represent(rule, *given), in_axes=(0, None, None))),
    )


def _run(plan: Plan, path: Path | None) -> tuple[Record, str]:
    """Records (T, S, ...), from where a checkpoint stands, and how the run ended."""
    dtype, images = plan.rule.shape.dtype, plan.network.images
    saved = None if path is None else checkpoints.read(path, plan.identity)
    train, test = (jnp.asarray(part, dtype) for part in (images.train, images.test))
    shown, keys = (train[:READ], test[:READ]), jax.vmap(jax.random.key)(jnp.asarray(plan.run.seeds, jnp.uint32))
    _, advance, read_out = _compiled(plan.rule)
    records, training = _at_start(plan, saved, shown[0], keys)
    done = int(plan.run.recorded[len(records) - 1]) if records else 0
    status = "complete"
    with progress_bar(plan.run.steps, "train", plan.run.progress, done=done) as bar:
        try:
            for last in map(int, plan.run.recorded[len(records) :]):
                if _all_gone(records):
                    break
                for first in range(done, last, STEPS_PER_CALL):
                    until = min(first + STEPS_PER_CALL, last)
                    training = jax.block_until_ready(advance(plan.numbers, train, training, keys, first, until))
                    bar.update(until - first)
                records.append(_measured(plan, read_out(training, *shown), last - done))
                training, done = training._replace(loss=jnp.zeros_like(training.loss)), last
                if path is not None:
                    leaves = [np.asarray(leaf) for leaf in jax.tree.leaves(training)]
                    checkpoints.write(path, plan.identity, checkpoints.Saved(_stacked(records), leaves))
        except KeyboardInterrupt:
            if not records:
                raise
            status = f"interrupted after step {plan.run.recorded[len(records) - 1]}"
    return _stacked(records), _with_verdicts(status, plan, records)


def _at_start(plan: Plan, saved: checkpoints.Saved | None, images, keys) -> tuple[list[Record], Training]:
    """What was recorded, and where training stands: at its start, or where it was saved."""
    begin = _compiled(plan.rule)[0]
    if saved is None:
        return [], begin(plan.numbers, images, keys)
    like = jax.eval_shape(begin, plan.numbers, images, keys)
    training = jax.tree.unflatten(jax.tree.structure(like), map(jnp.asarray, saved.leaves))
    return [Record(*row) for row in zip(*saved.records, strict=True)], training


def _with_verdicts(status: str, plan: Plan, records: list[Record]) -> str:
    """How the run ended, and what became of its networks; that first, where it is why it ended."""
    said = summary([_verdicts(record, records[0]) for record in records], plan.run.recorded)
    if not said:
        return status
    if not _all_gone(records):
        return f"{status}; {said}"
    return said if status == "complete" else f"{said}; {status}"


def _measured(plan: Plan, found, steps: int) -> Record:
    """The record (S, ...) of all networks, the loss since the last one divided by its steps."""
    found = jax.tree.map(np.asarray, found)
    found = found._replace(loss=found.loss / steps) if steps else found
    own = (jax.tree.map(lambda a, i=i: a[i], found) for i in range(len(plan.run.seeds)))
    with threadpool_limits(1):  # small matrices: threads would wait for each other, and for those of JAX
        each = [measure(plan.rule, plan.numbers.parameters, one, plan.network.images) for one in own]
    record = Record(*(np.array(column) for column in zip(*each, strict=True)))
    return record if steps else record._replace(loss=np.full(len(plan.run.seeds), np.nan))


def _stacked(records: list[Record]) -> Record:
    return Record(*(np.array(column) for column in zip(*records, strict=True)))


def _verdicts(record: Record, first: Record) -> list[str | None]:
    """Of each network."""
    networks = (zip(*one, strict=True) for one in (record, first))
    return [verdict(Record(*own), Record(*start)) for own, start in zip(*networks, strict=True)]


def _all_gone(records: list[Record]) -> bool:
    return bool(records) and all(_verdicts(records[-1], records[0]))
