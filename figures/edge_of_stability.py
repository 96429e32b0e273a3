"""Edge of stability: the largest learning rate at which gradient descent is stable, in theory and in networks.

Small modes grow faster under an isotropic loss than under the standard loss. But with noise on the online view, the
largest stable learning rate is lower under the isotropic loss than under the standard loss.
"""

from typing import Any, NamedTuple

import numpy as np
from matplotlib.figure import Figure

import dynamics as dyn
from figures import style
from figures.captions import count, listing, percent
from figures.statistics import Interval, mean_and_error, mean_of, ratio_of

SIGMAS = np.linspace(0.0, 1.0, 50)  # standard deviations of the noise on the online view, for theory
MEASURED = np.array([0.0, 0.5, 1.0])  # standard deviations of the noise on the online view, for networks
ALPHAS = (0.5, 1.0)  # exponents of the predictor
LOSSES = {"Euclidean": (False, style.BLUE), "isotropic": (True, style.RED)}
BATCH = {False: 10_000, True: 50_000}  # with smaller batches, deviations are too large for a linear regression
SEEDS, STEPS, SKIPPED, SHARE = 4, 400, 50, 0.8
PREDICTED: dict[str, Any] = {"linewidth": 1.0}
LOOKS: dict[float, dict[str, Any]] = {
    0.5: {"marker": "o", "linestyle": "none", "markersize": 4},
    1.0: {"marker": "s", "linestyle": "none", "markersize": 4},
}


class Limit(NamedTuple):
    """Largest stable learning rates under one loss with one exponent, for several values of the noise.

    The noise is on the online view. K is the number of noises in MEASURED, and S is the number of seeds.
    """

    predicted: np.ndarray  # predicted for each noise in SIGMAS
    measured: np.ndarray  # measured for each noise in MEASURED, from all seeds together (K,)
    by_seed: np.ndarray  # measured for each noise in MEASURED, from each seed alone (K, S)


def model(loss: str, alpha: float, sigma: float) -> dyn.Model:
    """Return the model of a loss in LOSSES, with predictor exponent alpha.

    sigma: standard deviation of the noise on the online view.
    """
    return dyn.Model("euclidean", isotropic=LOSSES[loss][0], predictor=dyn.ClosedForm(alpha), noise=(sigma, 0.1))


def compute(full: bool) -> dict[tuple[str, float], Limit]:
    """Return the largest stable learning rates for each loss and exponent of the predictor."""
    limits = {}
    for loss in LOSSES:
        for alpha in ALPHAS:
            predicted = [_fixed_point(model(loss, alpha, sigma)).largest_learning_rate for sigma in SIGMAS]
            measured = [_measured(model(loss, alpha, sigma), BATCH[full]) for sigma in MEASURED]
            together, by_seed = (np.array(values) for values in zip(*measured, strict=True))
            limits[loss, alpha] = Limit(np.array(predicted), together, by_seed)
    return limits


def _fixed_point(model: dyn.Model) -> dyn.Equilibrium:
    return dyn.equilibria(model, [1.0])[0]


def _measured(model: dyn.Model, batch: int) -> tuple[float, np.ndarray]:
    """Return the largest stable learning rate, measured in networks that are trained at a smaller learning rate.

    Finite batches make the eigenvalues fluctuate about the fixed point. One step multiplies a deviation from the fixed
    point by 1 - c eta, where eta is the learning rate and c a constant. The function ``multiplier`` measures
    1 - c eta. The largest stable learning rate is the eta at which 1 - c eta = -1. The first returned value is measured
    from the networks of all seeds together; the second value (S,) is measured from the network of each seed alone.
    """
    learning_rate = SHARE * _fixed_point(model).largest_learning_rate
    W0 = np.sqrt(_fixed_point(model).s[0]) * np.eye(2, 3)
    s = dyn.train(model, W0, STEPS, learning_rate, batch_size=batch, seed=range(SEEDS)).modes[:, SKIPPED:]
    together, *single = (2 * learning_rate / (1 - multiplier(some)) for some in (s, *s[:, None]))
    return together, np.array(single)


def multiplier(s: np.ndarray) -> float:
    """Return the factor by which one step multiplies a deviation, the difference of an eigenvalue from its mean.

    s: eigenvalues (S, T, M) at consecutive steps; the mean is over steps. The factor is the coefficient of a linear
    regression of deviations on the deviations one step earlier, over all seeds, steps and modes.
    """
    deviation = s - s.mean(axis=1, keepdims=True)
    return float((deviation[:, 1:] * deviation[:, :-1]).sum() / (deviation[:, :-1] ** 2).sum())


def draw(data: dict[tuple[str, float], Limit]) -> Figure:
    """Draw the largest stable learning rates of all losses and exponents in one plot."""
    figure = Figure(figsize=(style.COLUMN, 2.8))
    ax = figure.subplots()
    for (loss, alpha), limit in data.items():
        color = LOSSES[loss][1]
        ax.plot(SIGMAS, limit.predicted, color=color, **PREDICTED)
        ax.plot(MEASURED, limit.measured, color=color, **LOOKS[alpha], clip_on=False)
        text = rf"{loss}, $\alpha = {alpha:g}$"
        if loss == "Euclidean":
            ax.text(0.73, np.interp(0.73, SIGMAS, limit.predicted), f"{text}  ", ha="right", va="bottom", color=color)
        else:
            ax.text(0.03, limit.predicted[0] - 0.06, text, va="top", color=color)
    ax.set(xlabel=r"noise $\sigma_1$ of the online view", ylabel=r"largest learning rate $\eta$")
    ax.set(xlim=(0, 1), ylim=(0.7, 4.4))
    style.legend(
        figure, predicted=PREDICTED, **{f"network, $\\alpha = {alpha:g}$": look for alpha, look in LOOKS.items()}
    )
    return figure


def _ratios(data: dict[tuple[str, float], Limit]) -> list[Interval]:
    """Return the learning rate of the Euclidean loss divided by that of the isotropic loss, for each noise in MEASURED.

    The learning rates are the largest stable ones, as measured in networks. Each ratio is a geometric mean over the
    exponents of the predictor, with an interval over seeds.
    """
    logs = [[np.log(data[loss, alpha].by_seed) for alpha in ALPHAS] for loss in LOSSES]
    standard, isotropic = np.mean(logs, axis=1)
    return [ratio_of(ratios) for ratios in np.exp(standard - isotropic)]


def caption(data: dict[tuple[str, float], Limit], full: bool) -> str:
    """Return the caption, which describes the plot and states how measured and predicted learning rates differ."""
    predicted = {
        key: np.array([_fixed_point(model(*key, sigma)).largest_learning_rate for sigma in MEASURED]) for key in data
    }
    worst = listing(
        f"{percent(float(np.abs(limit.measured / predicted[key] - 1).max()))} ({key[0]}, alpha = {key[1]:g})"
        for key, limit in data.items()
    )
    error = max(float((mean_and_error(limit.by_seed.T)[1] / limit.measured).max()) for limit in data.values())
    excluded = sum(
        mean_of(seeds).side(value) != 0
        for key, limit in data.items()
        for seeds, value in zip(limit.by_seed, predicted[key], strict=True)
    )
    points = len(data) * len(MEASURED)
    ratios = "; ".join(
        f"{ratio.text('.3f')} at sigma1 = {sigma:g} (theory {1 + sigma**2:g})"
        for sigma, ratio in zip(MEASURED, _ratios(data), strict=True)
    )
    return f"""
Largest learning rate eta at which gradient descent is stable at its fixed point, against the standard deviation sigma1
of the noise on the online view. The noise on the target view has standard deviation 0.1. Blue: Euclidean loss; red: the
isotropic version of the Euclidean loss. Both losses are shown for two exponents alpha of the predictor. Lines: theory.
One step of the descent map multiplies a deviation from the fixed point by a number, the multiplier. Under the Euclidean
loss the multiplier reaches -1 at the learning rate n1/alpha, where n1 = 1 + sigma1^2; under the isotropic loss it
reaches -1 at the learning rate 1/alpha. Symbols: linear networks of 2 modes with alpha = 1/2 (circles) and alpha = 1
(squares). For each symbol, {SEEDS} networks with different seeds make {count(STEPS)} steps with {count(BATCH[full])}
samples a step, at {percent(SHARE)} of the predicted largest learning rate. Finite batches make the eigenvalues of a
network fluctuate about the fixed point. A regression of each deviation on the preceding deviation measures the
multiplier. One minus the multiplier is proportional to the learning rate. The measured multiplier therefore determines
the learning rate at which the multiplier is -1.

In theory the Euclidean loss and the isotropic version of this loss lose stability at the same learning rate if the
views have no noise. If the noise on the online view has standard deviation sigma1, the Euclidean loss is stable up to a
learning rate that is larger by the factor 1 + sigma1^2. The reason is that the multiplier, by which a step multiplies a
deviation from the fixed point, contains the product of learning rate and eigenvalue under the Euclidean loss, and that
noise makes the eigenvalue smaller. The ratios that follow are the largest stable learning rate of the Euclidean loss
divided by that of the isotropic loss, measured in networks. Each ratio is a geometric mean over both exponents alpha,
with a 95 % interval over seeds (Student's t); the null hypothesis is 1: {ratios}. The largest relative difference
|network/theory - 1| between the measured and the predicted learning rates is {worst}. The standard error of a measured
learning rate over the {SEEDS} seeds is at most {percent(error)}. The 95 % interval of the networks over seeds
(Student's t) excludes the prediction at {excluded} of {points} symbols; if the theory holds, this is expected at one
symbol in twenty."""
