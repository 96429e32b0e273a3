"""Images, network, methods, and training with a cache on disk, for all figures of deep networks."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

import dynamics as dyn

RUNS = Path("build/runs")  # relative to the folder in which `python -m figures` is run
SEEDS = range(5)
STEPS = {False: 300, True: 4_000}
RECORDED = {  # steps; dense early in training, where accuracies are compared
    False: [*range(0, 120, 15), *range(120, 301, 30)],
    True: range(0, 4_001, 50),
}
LEARNING_RATE = {"euclidean": 0.01, "cosine": 0.05}
BATCH = 128
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


def model(method: str, loss: str, target: str, **options: Any) -> dyn.Model:
    """Return the model of a method (a key of PREDICTORS) with a loss and a target (a key of TARGETS)."""
    isotropic = method.startswith("IsoLoss")
    parts = {"predictor": PREDICTORS[method], "target": TARGETS[target], "symmetrised": True}
    return dyn.Model(loss, isotropic=isotropic, **(parts | options))


def network(method: str) -> dyn.Network:
    """Return an MLP on handwritten digits, with an MLP as predictor if the method requires it."""
    return dyn.Network(dyn.digits(), predictor=(64,) if method == "MLP predictor" else ())


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
    """Train the networks of a method, or read them from disk if another figure has trained the same networks."""
    return cached_training(
        full,
        "-".join((method, loss, target, *(f"{name} {value}" for name, value in options.items()))),
        model(method, loss, target, **options),
        network(method),
        STEPS[full] if steps is None else steps,
        LEARNING_RATE[loss],
        batch_size=BATCH,
        seed=seeds,
        record=RECORDED[full] if steps is None else steps // 20,
    )


def cached_training(full: bool, name: str, *arguments: Any, **keywords: Any) -> dyn.Trajectory:
    """Call ``dyn.train`` with a checkpoint; replace a checkpoint that was written for other arguments.

    Full-length and shortened runs have separate folders.
    """
    folder = RUNS / ("full" if full else "small")
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name.replace(' ', '_').replace(',', '')}.npz"
    try:
        return dyn.train(*arguments, checkpoint=path, **keywords)
    except dyn.ArgumentError as error:
        if "`checkpoint`" not in str(error):
            raise
        path.unlink(missing_ok=True)
        return dyn.train(*arguments, checkpoint=path, **keywords)


def steps_of(run: dyn.Trajectory) -> np.ndarray:
    """Return the recorded steps (T,) of a run."""
    return np.asarray(run.step)


def mean_and_error(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the mean over seeds (first axis), and the standard error of the mean."""
    return values.mean(axis=0), values.std(axis=0, ddof=1) / np.sqrt(len(values))
