"""Deep networks with and without an averaged target, and the accuracy of all methods.

Halvagal et al. (2023), Figure 7 and table 1, on handwritten digits.
"""

from typing import NamedTuple

import numpy as np
from matplotlib.figure import Figure
from sklearn.neural_network import MLPClassifier

import dynamics as dyn
from dynamics.results.plotting import mode_colors
from figures import deep_networks as deep
from figures import style
from figures.captions import count, listing, table

METHODS = ("DirectPred", "DirectCopy", "IsoLoss", "IsoLoss, DirectCopy", "linear predictor", "MLP predictor")
LOOK = {"shared target": style.RED, "EMA target": style.BLUE}

Key = tuple[str, str, str]


class Data(NamedTuple):
    """Networks by method, loss and target; accuracies of supervised networks (S,) for S seeds."""

    runs: dict[Key, dyn.Trajectory]
    supervised: np.ndarray


def compute(full: bool) -> Data:
    """Return the networks of all methods, and the accuracies of supervised networks of the same size."""
    runs = {
        (method, loss, target): deep.run(method, loss, target, full)
        for method in METHODS
        for loss in style.LOSSES
        for target in deep.TARGETS
    }
    return Data(runs, np.array([_supervised(seed) for seed in deep.SEEDS]))


def _supervised(seed: int) -> float:
    """Return the accuracy of an MLP with the encoder's layers that is trained on labels, without augmentation."""
    images = dyn.digits()
    train, test = (part.reshape(len(part), -1) for part in (images.train, images.test))
    network = MLPClassifier((128, 128), random_state=seed, early_stopping=True)
    return float(network.fit(train, images.train_labels).score(test, images.test_labels))


def draw(data: Data) -> Figure:
    """Draw eigenvalues under IsoLoss without and with an averaged target, and accuracies; losses in rows."""
    figure = Figure(figsize=(style.PAGE, 3.9))
    axes = figure.subplots(2, 3)
    for row, loss in zip(axes, style.LOSSES, strict=True):
        for ax, target in zip(row, deep.TARGETS, strict=False):
            run = data.runs["IsoLoss", loss, target]
            s = np.exp(np.log(run.s).mean(axis=0))
            for column, colour in zip(s.T, mode_colors(s.shape[1]), strict=True):
                ax.plot(run.step, column, color=colour, linewidth=0.8)
            ax.set(title=f"{loss.capitalize()}, IsoLoss, {target}", yscale="log", ylim=(1e-3, 60))
            mean, error = deep.mean_and_error(run.measures["linear_accuracy"])
            row[-1].errorbar(run.step, 100 * mean, 100 * error, color=LOOK[target], linewidth=0.9, label=target)
        row[0].set_ylabel("eigenvalue $s_m$")
        row[1].tick_params(labelleft=False)
        row[-1].set(title="IsoLoss, accuracy of readout, %")
    axes[0, -1].legend(loc="lower right")
    for ax in axes[-1]:
        ax.set_xlabel("step")
    return figure


def caption(data: Data, full: bool) -> str:
    """Return the caption: contents, and the table of accuracies."""
    steps = count(next(iter(data.runs.values())).settings["steps"])
    return f"""
MLPs with IsoLoss on images of handwritten digits, for two targets: the encoder itself (shared target), and an
exponential average of the encoder (EMA target, decay {deep.DECAY:g} per step). Top: Euclidean loss; bottom: cosine
loss. Left and middle: eigenvalues `s_m` of the correlation of the representation z against step; geometric mean over
{len(deep.SEEDS)} seeds; dark to light: smallest to largest. Right: accuracy of a linear readout on 360 held-out digits
against step, in percent; mean and standard error over seeds; red: shared target, blue: EMA target. The paper's claim is
that IsoLoss does not need the average. {_iso_claim(data)}

Accuracy of the readout at step {steps} on 360 held-out digits in percent, mean +- standard error over {len(deep.SEEDS)}
seeds. Each row has one method, and each column has one loss and one target:

{_table(data)}

DirectPred and DirectCopy have a predictor that is a power of the correlation, with exponent alpha = 1/2 (DirectPred)
and alpha = 1 (DirectCopy). IsoLoss has alpha = 1/2 unless DirectCopy is named. The linear predictor and
the MLP predictor are learned: with the shared target the method is SimSiam, and with the EMA target it is BYOL. Random
encoder: the network before its first step. Supervised: an MLP of the encoder's size, trained with labels and without
augmentation."""


def _iso_claim(data: Data) -> str:
    """Format the effect of removing the averaged target on the accuracy, and the smallest final participation ratio."""
    changes = []
    for loss in style.LOSSES:
        without, average = (
            data.runs["IsoLoss", loss, target].measures["linear_accuracy"][:, -1] for target in deep.TARGETS
        )
        mean, error = deep.mean_and_error(without - average)
        changes.append(f"{100 * mean:+.1f} +- {100 * error:.1f} ({loss})")
    ratio = min(run.measures["participation_ratio"][:, -1].min() for key, run in data.runs.items() if "Iso" in key[0])
    return (
        f"Without the average, the accuracy changes by {listing(changes)} percentage points, mean +- standard error. "
        f"The participation ratio (sum s)^2 / sum s^2, an effective number of modes, is above {ratio:.1f} at the end "
        "for all seeds."
    )


def _table(data: Data) -> str:
    columns = [(loss, target) for loss in style.LOSSES for target in deep.TARGETS]
    rows = [["", *(f"{loss}, {target}" for loss, target in columns)]]
    for method in METHODS:
        rows.append(
            [method, *(_cell(data.runs[method, *column].measures["linear_accuracy"][:, -1]) for column in columns)]
        )
    first = data.runs["DirectPred", "cosine", "shared target"].measures["linear_accuracy"][:, 0]
    rows.append(["random encoder", *[_cell(first)] * len(columns)])
    rows.append(["supervised", *[_cell(data.supervised)] * len(columns)])
    return table(rows)


def _cell(accuracies: np.ndarray) -> str:
    mean, error = deep.mean_and_error(accuracies)
    return f"{100 * mean:.1f} +- {100 * error:.1f}"
