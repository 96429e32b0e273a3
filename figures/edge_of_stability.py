"""Edge of stability: the largest learning rate, and where networks lose it.

Isotropic losses learn small modes faster, at the price of a lower limit where noise is large.
"""

from typing import Any, NamedTuple

import numpy as np
from matplotlib.figure import Figure

import dynamics as dyn
from figures import style
from figures.captions import count, listing, percent

SIGMAS = np.linspace(0.0, 1.0, 50)  # of the online view, along the lines
MEASURED = np.array([0.0, 0.5, 1.0])
ALPHAS = (0.5, 1.0)
LOSSES = {"Euclidean": (False, style.BLUE), "isotropic": (True, style.RED)}
BATCH = {False: 10_000, True: 50_000}  # with smaller ones deviations are so large that they see the curvature
SEEDS, STEPS, SKIPPED, SHARE = 4, 400, 50, 0.8
PREDICTED: dict[str, Any] = {"linewidth": 1.0}
LOOKS: dict[float, dict[str, Any]] = {
    0.5: {"marker": "o", "linestyle": "none", "markersize": 4},
    1.0: {"marker": "s", "linestyle": "none", "markersize": 4},
}


class Limit(NamedTuple):
    """Largest learning rates along SIGMAS, and those of networks at MEASURED."""

    predicted: np.ndarray
    measured: np.ndarray


def model(loss: str, alpha: float, sigma: float) -> dyn.Model:
    return dyn.Model("euclidean", isotropic=LOSSES[loss][0], predictor=dyn.ClosedForm(alpha), noise=(sigma, 0.1))


def compute(full: bool) -> dict[tuple[str, float], Limit]:
    """For each loss and exponent."""
    found = {}
    for loss in LOSSES:
        for alpha in ALPHAS:
            predicted = [_at_rest(model(loss, alpha, sigma)).largest_learning_rate for sigma in SIGMAS]
            measured = [_measured(model(loss, alpha, sigma), BATCH[full]) for sigma in MEASURED]
            found[loss, alpha] = Limit(np.array(predicted), np.array(measured))
    return found


def _at_rest(own: dyn.Model) -> dyn.Equilibrium:
    return dyn.equilibria(own, [1.0])[0]


def _measured(own: dyn.Model, batch: int) -> float:
    """Where the factor from one deviation to the next, 1 at eta = 0 and linear in it, reaches -1."""
    learning_rate = SHARE * _at_rest(own).largest_learning_rate
    return 2 * learning_rate / (1 - _factor(own, learning_rate, batch))


def _factor(own: dyn.Model, learning_rate: float, batch: int) -> float:
    """Regression of each deviation from the mean, as batches toss the eigenvalues, on the one a step before."""
    W0 = np.sqrt(_at_rest(own).s[0]) * np.eye(2, 3)
    s = dyn.train(own, W0, STEPS, learning_rate, batch_size=batch, seed=range(SEEDS)).modes[:, SKIPPED:]
    off = s - s.mean(axis=1, keepdims=True)
    return float((off[:, 1:] * off[:, :-1]).sum() / (off[:, :-1] ** 2).sum())


def draw(data: dict[tuple[str, float], Limit]) -> Figure:
    """All limits in one plot."""
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


def caption(data: dict[tuple[str, float], Limit], full: bool) -> str:
    """What is shown, and how far the thresholds of networks are from the prediction."""
    off = {
        key: np.abs(
            limit.measured / [_at_rest(model(*key, sigma)).largest_learning_rate for sigma in MEASURED] - 1
        ).max()
        for key, limit in data.items()
    }
    worst = listing(f"{percent(float(error))} ({loss}, alpha = {alpha:g})" for (loss, alpha), error in off.items())
    return f"""
Largest learning rate at which gradient descent stays at its fixed point, against the noise of the online view. Lines:
from the multiplier of the descent map, which reaches -1 there (n1/alpha; isotropic 1/alpha). Symbols: networks of 2
modes ({count(BATCH[full])} samples a step, {SEEDS} seeds of {count(STEPS)} steps). Batches toss their eigenvalues about
the fixed point, and the regression of each deviation on the one before is the networks' own multiplier. It is measured
at {percent(SHARE)} of the predicted limit; as 1 less the multiplier is in proportion to the learning rate, that tells
where it reaches -1.

Without noise both losses lose stability at the same learning rate; noise lets the standard loss go further, as its
eigenvalues, which multiply the learning rate, become smaller. Largest relative difference of a network from the line:
{worst}."""
