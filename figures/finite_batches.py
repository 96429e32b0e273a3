"""Finite batches: predicted and measured mean and spread of modes over networks, with few and with many inputs."""

from collections.abc import Iterable
from itertools import product
from typing import NamedTuple

import numpy as np
from matplotlib.figure import Figure
from scipy.special import stdtrit

import dynamics as dyn
from figures import style
from figures.captions import noise, table
from figures.panels import panel_names

S0 = np.array([0.1, 0.3, 0.8, 1.6])
INPUTS = (4, 64, 784)
LEARNING_RATE, STEPS, BATCH, SEEDS = 0.1, 60, 256, {False: 32, True: 512}
RECORDS = [5, 10, 15, 20, 30, 40, 50, 60]
NOISE, EMA = (0.1, 0.3), 0.9  # standard deviations on the two views; decay of the averaged target
MODES = {"smallest": (0, style.BLUE), "largest": (3, style.ORANGE)}
MODELS = {
    "Euclidean, EMA, learned": dyn.Model(
        "euclidean", noise=NOISE, predictor=dyn.Learned(1.0, 0.5), target=dyn.EMA(EMA)
    ),
    "cosine": dyn.Model("cosine", noise=NOISE, predictor=dyn.ClosedForm(0.5)),
}
POPULATION = {"linestyle": (0, (3, 2)), "linewidth": 0.8, "color": style.GREY}


class Panel(NamedTuple):
    """The predicted mean and spread of modes under training with finite batches, and the modes of trained networks."""

    predicted: dyn.Trajectory
    networks: np.ndarray  # variances of the representation along the initial eigenvectors (seeds, T, M)


KEYS = tuple(product(MODELS, INPUTS))
PANELS = panel_names(MODELS, (f"N {inputs}" for inputs in INPUTS))


def compute(full: bool, keys: Iterable[tuple[str, int]] = KEYS) -> dict[tuple[str, int], Panel]:
    """Return a panel for each model and number of inputs, or for some of these pairs."""
    return {(name, inputs): _panel(MODELS[name], inputs, SEEDS[full]) for name, inputs in keys}


def _panel(model: dyn.Model, inputs: int, networks: int) -> Panel:
    directions = np.linalg.qr(np.random.default_rng(0).standard_normal((inputs, len(S0))))[0].T
    predicted = dyn.iterate(model, S0, STEPS, LEARNING_RATE, batch_size=BATCH, input_dimension=inputs, record=RECORDS)
    W0, modes = np.sqrt(S0)[:, None] * directions, []
    for first in range(0, networks, 16):
        seeds = range(first, first + 16)
        trained = dyn.train(
            model, W0, STEPS, LEARNING_RATE, batch_size=BATCH, seed=seeds, record=RECORDS, progress=False
        )
        modes.append(trained.modes)
    return Panel(predicted, np.concatenate(modes))


def draw(data: dict[tuple[str, int], Panel]) -> Figure:
    """Draw mean and spread of two modes over networks, as deviations from the population map in percent.

    The population map is gradient descent on the population loss. Models are in rows, and numbers of inputs in columns.
    """
    figure = Figure(figsize=(style.PAGE, 3.8))
    axes = figure.subplots(len(MODELS), len(INPUTS), sharex=True)
    for ax, ((name, inputs), panel) in zip(axes.flat, data.items(), strict=True):
        ax.axhline(0, **POPULATION)
        for mode, color in MODES.values():
            population = np.asarray(panel.predicted.population)[:, mode]
            mean, band = (
                100 * values[:, mode] / population
                for values in (panel.predicted.s, 2 * np.asarray(panel.predicted.deviation))
            )
            ax.plot(panel.predicted.step, mean - 100, color=color, linewidth=1)
            ax.fill_between(panel.predicted.step, mean - band - 100, mean + band - 100, color=color, alpha=0.2, lw=0)
            measured = 100 * panel.networks[..., mode] / population - 100
            bars = {"yerr": 2 * measured.std(axis=0, ddof=1), "linestyle": "none", "marker": "o", "markersize": 2.5}
            ax.errorbar(panel.predicted.step, measured.mean(axis=0), color=color, elinewidth=0.7, **bars)
        ax.set_title(f"{name}, N = {inputs}")
    for ax in axes[:, 0]:
        ax.set_ylabel("deviation / %")
    for ax in axes[-1]:
        ax.set_xlabel("step")
    colors = {f"{name}_mode": {"color": color, "linewidth": 1} for name, (_, color) in MODES.items()}
    marks = {"networks": {"linestyle": "none", "marker": "o", "markersize": 2.5}, "population_map": POPULATION}
    style.legend(figure, **colors, **marks)
    return figure


def statistics(panel: Panel) -> tuple[float, float, float]:
    """Return three numbers that compare trained networks with the prediction for finite batches.

    The first number is the largest distance between the mean over networks and the predicted mean. The second number is
    the largest distance between the mean over networks and the population map, which has no effects of finite batches.
    Both distances are in standard errors of the mean over networks, and the largest value over modes and recorded steps
    is taken. The third number is the standard deviation over networks divided by the predicted standard deviation, as a
    root mean square over modes and recorded steps.
    """
    networks = panel.networks[:, 1:]
    deviation = networks.std(axis=0, ddof=1)
    error = deviation / np.sqrt(len(networks))
    maps = panel.predicted.s, np.asarray(panel.predicted.population)
    corrected, population = (float(np.abs((networks.mean(axis=0) - s[1:]) / error).max()) for s in maps)
    ratio = deviation / np.asarray(panel.predicted.deviation)[1:]
    return corrected, population, float(np.sqrt((ratio**2).mean()))


def caption(data: dict[tuple[str, int], Panel], full: bool) -> str:
    """Return the caption, which describes the panels and compares networks with the predicted mean in a table.

    The table also compares the networks with the population map, which is gradient descent on the population loss.
    """
    seeds = SEEDS[full]
    values = len(S0) * len(RECORDS)
    bound = stdtrit(seeds - 1, 1 - 0.025 / (values * len(data)))
    error = 100 / (2 * seeds) ** 0.5  # standard error of a standard deviation, in percent
    largest = (f"largest |t| of the {name}" for name in ("predicted mean", "population map"))
    rows = [["model", "N", *largest, "ratio of standard deviations", "prediction reliable until step"]]
    for (name, inputs), panel in data.items():
        corrected, population, ratio = statistics(panel)
        reliable = np.asarray(panel.predicted.step)[np.asarray(panel.predicted.reliable)].max()
        rows.append([name, str(inputs), f"{corrected:.1f}", f"{population:.1f}", f"{ratio:.2f}", str(reliable)])
    return f"""
Mean and spread of the variances of modes, over linear networks that are trained with batches of {BATCH} samples (M =
{len(S0)} modes, {noise(NOISE)}, learning rate {LEARNING_RATE}, {seeds} networks with the same initial weights).
Horizontal axes: step. Blue: smallest mode; orange: largest mode. Columns: number of inputs N. Top: Euclidean loss with
a learned predictor and a target that is an exponential average of the encoder with decay {EMA:g} per step. Bottom:
cosine loss with the predictor W_P = C^(1/2), where C is the correlation of the representations. Vertical axes:
deviation of the variance along an initial eigenvector from the population map (dashed), in percent. The population map
is gradient descent on the population loss, without effects of finite batches. Points and bars: mean of the networks,
and two standard deviations on either side. Lines and bands: mean and two standard deviations as predicted to first
order in one over the batch size.

The table below compares the mean over networks with two maps: the predicted mean, which includes the effect of finite
batches to first order, and the population map, which has no effects of finite batches. |t| is the distance of the mean
over networks from such a map, in standard errors; the table has the largest |t| over {len(S0)} modes and {len(RECORDS)}
steps. If a map is right, all |t| of this map stay below {bound:.1f} with a probability of at least 95 % (Bonferroni's
bound for Student's t, all rows). The ratio of standard deviations is the standard deviation over networks divided by
the predicted standard deviation, as a root mean square over modes and steps. The standard error of one measured
standard deviation is {error:.0f} %. The standard error of the ratio is at most {error / len(S0) ** 0.5:.0f} % if the
modes fluctuate independently. The last column has the last drawn step at which fluctuations are small enough for
the prediction.

{table(rows)}"""
