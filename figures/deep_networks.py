"""Train the deep networks of all figures, and keep the results on disk, so that figures share them."""

from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import dynamics as dyn
from dynamics.model.schedules import StepSchedules
from dynamics.networks.deep.metrics import linear_readout
from dynamics.networks.deep.training import DeepNetwork
from dynamics.networks.run import TrainingRun
from dynamics.numerics.records import record_steps
from figures.statistics import Interval, ratio_of

RUNS = Path("build/runs")  # relative to the folder in which `python -m figures` is run
SEEDS = range(5)
STEPS = {False: 300, True: 4_000}
RECORDED = {  # recorded steps; they are dense early in training, where accuracies are compared
    False: [*range(0, 120, 15), *range(120, 301, 30)],
    True: range(0, 4_001, 50),
}
LEARNING_RATE = {"euclidean": 0.01, "cosine": 0.05}
BATCH = {False: 64, True: 128}
RANKS = {"2 to 6": slice(1, 6), "2 to 10": slice(1, 10)}  # ranges of modes, the largest is mode 1; there are 10 classes
TEST_IMAGES = 360  # held-out digits, the same for all networks
DECAY = 0.98  # decay per step of the exponential average that is the target

PREDICTORS: dict[str, dyn.ClosedForm | dyn.Learned] = {
    "DirectPred": dyn.ClosedForm(0.5, tracking=0.9),
    "DirectCopy": dyn.ClosedForm(1.0, tracking=0.9),
    "IsoLoss": dyn.ClosedForm(0.5, tracking=0.9),
    "IsoLoss, DirectCopy": dyn.ClosedForm(1.0, tracking=0.9),
    "MLP predictor": dyn.Learned(),
    "linear predictor": dyn.Learned(),
}
TARGETS: dict[str, dyn.Shared | dyn.EMA] = {"shared target": dyn.Shared(), "EMA target": dyn.EMA(DECAY)}


@cache
def digits() -> dyn.Images:
    """Return the images of handwritten digits, which all networks share."""
    return dyn.digits()


def model(method: str, loss: str, target: str, **options: Any) -> dyn.Model:
    """Return the model of a method (a key of PREDICTORS), a loss, and a target (a key of TARGETS)."""
    isotropic = method.startswith("IsoLoss")
    parts = {"predictor": PREDICTORS[method], "target": TARGETS[target], "symmetrised": True}
    return dyn.Model(loss, isotropic=isotropic, **(parts | options))


def network(method: str) -> dyn.Network:
    """Return an MLP on handwritten digits; for the method "MLP predictor", the predictor is an MLP, too."""
    return dyn.Network(digits(), predictor=(64,) if method == "MLP predictor" else ())


def run(
    method: str,
    loss: str,
    target: str,
    full: bool,
    *,
    steps: int | None = None,
    seeds: Sequence[int] = SEEDS,
    **options: Any,
) -> dyn.Trajectory:
    """Train the networks of a method; if a figure has trained the same networks before, read them from disk."""
    return cached_training(
        full,
        _name(method, loss, target, **options),
        model(method, loss, target, **options),
        network(method),
        STEPS[full] if steps is None else steps,
        LEARNING_RATE[loss],
        batch_size=BATCH[full],
        seed=seeds,
        record=RECORDED[full] if steps is None else steps // (20 if full else 10),
    )


def _name(method: str, loss: str, target: str, **options: Any) -> str:
    return "-".join((method, loss, target, *(f"{name} {value}" for name, value in options.items())))


def _path(full: bool, name: str) -> Path:
    """Return the path of the checkpoint of a run.

    full: True for a run of full length, False for a shortened run; the two kinds of runs have separate folders.
    """
    folder = RUNS / ("full" if full else "small")
    folder.mkdir(parents=True, exist_ok=True)
    return folder / f"{name.replace(' ', '_').replace(',', '')}.npz"


def cached_training(full: bool, name: str, *arguments: Any, **keywords: Any) -> dyn.Trajectory:
    """Call ``dyn.train`` with a checkpoint; if the file was written for other arguments of ``train``, replace it."""
    path = _path(full, name)
    try:
        return dyn.train(*arguments, checkpoint=path, **keywords)
    except dyn.ArgumentError as error:
        if "`checkpoint`" not in str(error):
            raise
        path.unlink(missing_ok=True)
        return dyn.train(*arguments, checkpoint=path, **keywords)


def recognised(method: str, loss: str, target: str, full: bool, trained: bool = True) -> np.ndarray:
    """Return True for each network and held-out digit if the readout recognises the digit; shape (S, TEST_IMAGES).

    trained: True for the networks after their last step, which must have been trained by the function ``run`` before;
    False for the networks before their first step.
    """
    recorded = record_steps(RECORDED[full], STEPS[full])
    rate = StepSchedules(LEARNING_RATE[loss], {})
    settings = TrainingRun(STEPS[full], rate, BATCH[full], np.array(SEEDS), True, recorded, "float32", None, False)
    networks = DeepNetwork(model(method, loss, target), network(method), settings)
    with settings.on_device():
        keys = settings.keys()
        path = _path(full, _name(method, loss, target))
        features = networks.representations(_finished(networks, keys, path) if trained else networks.start(keys)[0])
    images = networks.network.images
    labels, labels_test = (np.asarray(part) for part in (images.train_labels, images.test_labels))
    pairs = zip(np.asarray(features.h, float), np.asarray(features.h_test, float), strict=True)
    return np.array([linear_readout(h, labels, h_test) == labels_test for h, h_test in pairs])


def _finished(networks: DeepNetwork, keys: Any, path: Path) -> Any:
    """Return the last state of the networks with the given random keys, read from the checkpoint at ``path``."""
    checkpoint = networks.checkpoint(path)
    saved = checkpoint and checkpoint.read()
    if not saved:
        raise FileNotFoundError(f"There is no checkpoint {path}: call deep_networks.run to train the networks first.")
    structure = jax.tree.structure(jax.eval_shape(networks.start, keys)[0])
    return jax.tree.unflatten(structure, map(jnp.asarray, saved.leaves))


def final_level(s: np.ndarray, ranks: slice) -> Interval:
    """Return the geometric mean of final eigenvalues over modes and seeds, with an interval over seeds.

    s: eigenvalues (S, T, M). ranks: the modes that are counted; the largest eigenvalue has rank 0.
    """
    return ratio_of(np.exp(np.log(np.sort(s[:, -1])[:, ::-1][:, ranks]).mean(axis=-1)))


def steps_of(run: dyn.Trajectory) -> np.ndarray:
    """Return the recorded steps (T,) of a run."""
    return np.asarray(run.step)
