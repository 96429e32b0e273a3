"""Deep networks with and without an averaged target, and the accuracies of all methods.

The figure repeats Figure 7 and Table 1 of Halvagal et al. (2023) on handwritten digits.
"""

from typing import NamedTuple

import numpy as np
from matplotlib.figure import Figure
from sklearn.neural_network import MLPClassifier

import dynamics as dyn
from dynamics.presentation.plotting import mode_colors
from figures import deep_networks as deep
from figures import style
from figures.captions import count, table
from figures.panels import panel_names
from figures.statistics import crossed_mean, mean_and_error

METHODS = ("DirectPred", "DirectCopy", "IsoLoss", "IsoLoss, DirectCopy", "linear predictor", "MLP predictor")
LOOK = {"shared target": style.RED, "EMA target": style.BLUE}

Key = tuple[str, str, str]


CLOSED_FORMS = {"IsoLoss": METHODS[2:4], "DirectPred and DirectCopy": METHODS[:2]}


class Data(NamedTuple):
    """The networks of all methods, losses and targets, and the held-out digits that each network recognises.

    An element (s, i) of an array (S, I) is True if the network of seed s recognises digit i.
    """

    runs: dict[Key, dyn.Trajectory]
    recognised: dict[Key, np.ndarray]  # recognised by the readouts of the networks after training (S, I)
    random: np.ndarray  # recognised by the readouts of the encoders before their first step (S, I)
    supervised: np.ndarray  # recognised by networks that are trained on labels (S, I)


def compute(full: bool) -> Data:
    """Return the networks of all methods, and the digits that these networks recognise.

    The digits that supervised networks of equal size recognise are returned, too.
    """
    runs = {
        (method, loss, target): deep.run(method, loss, target, full)
        for method in METHODS
        for loss in style.LOSSES
        for target in deep.TARGETS
    }
    recognised = {key: deep.recognised(*key, full) for key in runs}
    random = deep.recognised(*next(iter(runs)), full, trained=False)
    return Data(runs, recognised, random, np.array([_supervised(seed) for seed in deep.SEEDS]))


def _supervised(seed: int) -> np.ndarray:
    """Return True for each digit (I,) that an MLP as large as the encoder recognises after training on labels."""
    images = deep.digits()
    train, test = (part.reshape(len(part), -1) for part in (images.train, images.test))
    network = MLPClassifier((128, 128), random_state=seed, early_stopping=True)
    return network.fit(train, images.train_labels).predict(test) == images.test_labels


PANELS = panel_names(style.LOSSES, (*deep.TARGETS, "readout"))


def draw(data: Data) -> Figure:
    """Draw one row for each loss: eigenvalues under IsoLoss without and with an averaged target, and accuracies."""
    figure = Figure(figsize=(style.PAGE, 3.9))
    axes = figure.subplots(2, 3)
    for row, loss in zip(axes, style.LOSSES, strict=True):
        for ax, target in zip(row, deep.TARGETS, strict=False):
            run = data.runs["IsoLoss", loss, target]
            s = np.exp(np.log(run.s).mean(axis=0))
            for column, colour in zip(s.T, mode_colors(s.shape[1]), strict=True):
                ax.plot(run.step, column, color=colour, linewidth=0.8)
            ax.set(title=f"{loss.capitalize()}, IsoLoss, {target}", yscale="log", ylim=(1e-3, 60))
            mean, error = mean_and_error(run.measures["linear_accuracy"])
            row[-1].errorbar(run.step, 100 * mean, 100 * error, color=LOOK[target], linewidth=0.9, label=target)
        row[0].set_ylabel(style.EIGENVALUE)
        row[1].tick_params(labelleft=False)
        row[-1].set(title="IsoLoss, accuracy of readout, %")
    axes[0, -1].legend(loc="lower right")
    for ax in axes[-1]:
        ax.set_xlabel("step")
    return figure


def caption(data: Data, full: bool) -> str:
    """Return the caption, which describes the panels and states accuracies and the effect of the averaged target."""
    steps = count(next(iter(data.runs.values())).settings["steps"])
    return f"""
MLPs with IsoLoss on images of handwritten digits, for two targets: the encoder itself (shared target), and an
exponential average of the encoder (EMA target, decay {deep.DECAY:g} per step). Top: Euclidean loss; bottom: cosine
loss. Left and middle: eigenvalues `s_m` of the correlation of the representation z against step; geometric mean over
{len(deep.SEEDS)} seeds; dark to light: smallest to largest. Right: accuracy of a linear readout on {deep.TEST_IMAGES}
held-out digits against step, in percent; mean and standard error over seeds; red: shared target, blue: EMA target.

Halvagal et al. (2023) claim that IsoLoss does not need the EMA target, the exponential average of the encoder. The
numbers that follow are accuracies of the readout with the shared target minus accuracies with the EMA target, in
percentage points. Each number is a mean over two predictors, with exponents alpha = 1/2 and alpha = 1. The 95 %
intervals in parentheses hold for other seeds and other digits; the null hypothesis is no change. Of twenty such
intervals, one is expected to miss the true value. {_changes(data)}. {_participation(data)}

The table below has the accuracy of a linear readout at step {steps} on {deep.TEST_IMAGES} held-out digits in percent,
mean +- standard error. The error includes the variance over {len(deep.SEEDS)} seeds and the variance over the digits;
all networks are tested on the same digits. Each row has one method, and each column has one loss and one target.

{_table(data)}

The methods of the table above differ in their predictors. The predictor of DirectPred and of DirectCopy is a power of
the correlation, with exponent alpha = 1/2 (DirectPred) or alpha = 1 (DirectCopy). IsoLoss has alpha = 1/2, and
"IsoLoss, DirectCopy" has alpha = 1. The linear predictor and the MLP predictor are learned: with the shared target the
method is SimSiam, and with the EMA target the method is BYOL. Random encoder: the network before its first step.
Supervised: an MLP of the encoder's size, trained with labels and without augmentation."""


def change_without_average(
    recognised: dict[Key, np.ndarray], methods: tuple[str, ...], losses: tuple[str, ...]
) -> np.ndarray:
    """Return the accuracy with the shared target minus the accuracy with the averaged target, in percentage points.

    The result (S, I) has one value for each seed and digit; the value is a mean over ``methods`` and ``losses``.
    """
    pairs = [[recognised[method, loss, target] for target in deep.TARGETS] for method in methods for loss in losses]
    return 100 * np.mean([shared.astype(float) - average for shared, average in pairs], axis=0)


def _changes(data: Data) -> str:
    """State how the accuracy changes if the target is shared instead of averaged, for closed-form predictors."""
    parts = []
    for name, methods in CLOSED_FORMS.items():
        words = {-1: "the accuracy falls", 1: "the accuracy rises", 0: "no change is distinguishable"}
        if "Iso" in name:
            words[-1] += ", against the claim"
        for label, losses in {**{loss: (loss,) for loss in style.LOSSES}, "both losses": style.LOSSES}.items():
            change = crossed_mean(change_without_average(data.recognised, methods, losses))
            parts.append(f"{name}, {label}: {change.text('.1f')}, {words[change.side(0)]}")
    return "; ".join(parts)


def _participation(data: Data) -> str:
    """State whether networks with IsoLoss and the shared target collapse; give their smallest participation ratio."""
    runs = [run for (method, _, target), run in data.runs.items() if "Iso" in method and target == "shared target"]
    ratio = min(run.measures["participation_ratio"][:, -1].min() for run in runs)
    collapsed = "some networks collapse" if ratio < 1.1 else "no network collapses"
    return (
        f"With the shared target {collapsed} under IsoLoss. This is measured by the participation ratio "
        f"(sum s)^2 / sum s^2, which is 1 if only one mode is left; this ratio is at least {ratio:.1f} at the end "
        f"in all {len(runs) * len(deep.SEEDS)} networks."
    )


def _table(data: Data) -> str:
    columns = [(loss, target) for loss in style.LOSSES for target in deep.TARGETS]
    rows = [["", *(f"accuracy, {loss}, {target}" for loss, target in columns)]]
    for method in METHODS:
        rows.append([method, *(_cell(data.recognised[method, *column]) for column in columns)])
    rows.append(["random encoder", *[_cell(data.random)] * len(columns)])
    rows.append(["supervised", *[_cell(data.supervised)] * len(columns)])
    return table(rows)


def _cell(recognised: np.ndarray) -> str:
    accuracy = crossed_mean(100 * recognised)
    return f"{accuracy.value:.1f} +- {accuracy.error:.1f}"
