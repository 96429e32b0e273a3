"""What the figures of deep networks share: images, network, methods, and runs that are kept on disk."""

from pathlib import Path

import numpy as np

import dynamics as dyn

RUNS = Path("build/runs")  # beside build/figures, from where figures are drawn
SEEDS = range(5)
STEPS = {False: 300, True: 4_000}
RECORDED = {  # densely early on, where accuracies are compared
    False: [*range(0, 120, 15), *range(120, 301, 30)],
    True: range(0, 4_001, 50),
}
LEARNING_RATE = {"euclidean": 0.01, "cosine": 0.05}
BATCH = 128
DECAY = 0.98  # of an averaged target, per step

PREDICTORS: dict[str, dyn.ClosedForm | dyn.Learned] = {
    "DirectPred": dyn.ClosedForm(0.5, tracking=0.9),
    "DirectCopy": dyn.ClosedForm(1.0, tracking=0.9),
    "IsoLoss": dyn.ClosedForm(0.5, tracking=0.9),
    "IsoLoss, DirectCopy": dyn.ClosedForm(1.0, tracking=0.9),
    "MLP predictor": dyn.Learned(),
    "linear predictor": dyn.Learned(),
}
TARGETS: dict[str, dyn.Shared | dyn.EMA] = {"shared target": dyn.Shared(), "EMA target": dyn.EMA(DECAY)}


def model(method: str, loss: str, target: str, **options) -> dyn.Model:
    """A method of self-supervised learning."""
    isotropic = method.startswith("IsoLoss")
    parts = {"predictor": PREDICTORS[method], "target": TARGETS[target], "symmetrised": True}
    return dyn.Model(loss, isotropic=isotropic, **(parts | options))


def network(method: str) -> dyn.Network:
    """An MLP on handwritten digits."""
    return dyn.Network(dyn.digits(), predictor=(64,) if method == "MLP predictor" else ())


def run(method: str, loss: str, target: str, full: bool, *, steps: int | None = None, seeds=SEEDS, **options):
    """A trained network, kept on disk: several figures show the same one."""
    return kept(
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


def kept(full: bool, name: str, *arguments, **keywords) -> dyn.Trajectory:
    """``dyn.train`` with a checkpoint, made anew where it is of another run; full runs lie apart from short ones."""
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
    """The recorded steps (T,)."""
    return np.asarray(run.step)


def mean_and_error(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean over seeds (first axis), and its standard error."""
    return values.mean(axis=0), values.std(axis=0, ddof=1) / np.sqrt(len(values))
