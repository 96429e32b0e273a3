"""Speed and stability of the isotropic and the standard loss, with and without an averaged target."""

import numpy as np
from matplotlib.figure import Figure

import dynamics as dyn
from figures import style
from figures.agreement import agreement, agreements
from figures.captions import count, listing, percent
from figures.panels import panel_names

DECAY, STEPS, CLOSE = 0.95, 400, 0.1  # decay of the average; largest number of steps; tolerance of convergence
HOLD = 3  # last steps at which a converged run must be near the fixed point; a chaotic run may be near it once
LOSSES = {"standard": False, "isotropic": True}
TARGETS: dict[str, dyn.Shared | dyn.EMA] = {
    "shared target": dyn.Shared(),
    f"EMA target, decay {DECAY:g}": dyn.EMA(DECAY),
}
S0 = np.array([0.02, 0.1, 0.5, 1.5])
CELLS = {False: 24, True: 60}
CHECKS = {"learning_rate": 0.3, "noise": 0.4, "batch": 2_000}

Key = tuple[str, str]


def grid(cells: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the values on the axes of the figure: learning rates, and standard deviations of the noise.

    Each cell of the figure is one pair of these values. cells: number of values on each axis.
    """
    return np.geomspace(0.02, 3.0, cells), np.linspace(0.0, 1.0, cells)


def model(loss: str, target: str, sigma: float | np.ndarray) -> dyn.Model:
    """Return the model of a loss and a target, with noise of standard deviation sigma on both views."""
    return dyn.Model("euclidean", isotropic=LOSSES[loss], target=TARGETS[target], noise=(sigma, sigma))


def compute(full: bool) -> dict[Key, tuple[np.ndarray, dyn.Trajectory]]:
    """Return, for each loss and target, the numbers of steps to converge (see ``_steps``), and a trained network.

    The network is trained at the noise and the learning rate in CHECKS.
    """
    return {
        (loss, target): (_steps(loss, target, CELLS[full]), _network(loss, target))
        for loss in LOSSES
        for target in TARGETS
    }


def _steps(loss: str, target: str, cells: int) -> np.ndarray:
    """Return the number of steps to converge, in an array with the axes noise and learning rate.

    A run has converged as soon as all modes stay within a relative distance CLOSE of the fixed point 1/n1. Here n1 is
    1 + sigma^2, and sigma is the standard deviation of the noise. The number is infinite for a run that does not
    converge.
    """
    learning_rates, noises = grid(cells)
    steps = np.full((cells, cells), np.inf)
    ensemble = model(loss, target, noises)
    level = 1 / (1 + noises**2)
    for column, eta in enumerate(learning_rates):
        gd = dyn.iterate(ensemble, np.tile(S0, (cells, 1)), STEPS, eta)
        away = (np.abs(gd.s - level[:, None, None]) > CLOSE * level[:, None, None]).any(axis=-1)
        padded = np.ones((cells, STEPS + 1), bool)  # a run that ended early has not converged
        padded[:, : away.shape[1]] = away
        last = STEPS - padded[:, ::-1].argmax(axis=1)
        steps[:, column] = np.where(padded[:, -HOLD:].any(axis=1), np.inf, np.where(padded.any(axis=1), last + 1, 0))
    return steps


def _network(loss: str, target: str) -> dyn.Trajectory:
    directions = np.linalg.qr(np.random.default_rng(0).standard_normal((6, len(S0))))[0].T
    return dyn.train(
        model(loss, target, CHECKS["noise"]),
        np.sqrt(S0)[:, None] * directions,
        100,
        CHECKS["learning_rate"],
        batch_size=int(CHECKS["batch"]),
        record=5,
    )


PANELS = panel_names(LOSSES, TARGETS)


def draw(data: dict[Key, tuple[np.ndarray, dyn.Trajectory]]) -> Figure:
    """Draw the number of steps to converge: losses in rows, targets in columns."""
    figure = Figure(figsize=(0.75 * style.PAGE, 4.2))
    axes = figure.subplots(len(LOSSES), len(TARGETS), sharex=True, sharey=True)
    for ax, ((loss, target), (steps, _)) in zip(axes.flat, data.items(), strict=True):
        learning_rates, noises = grid(len(steps))
        shown = np.where(np.isfinite(steps), steps, np.nan)
        mesh = ax.pcolormesh(
            learning_rates, noises, np.log10(np.maximum(shown, 1)), cmap="viridis", vmin=0.5, vmax=np.log10(STEPS)
        )
        ax.set_facecolor("0.85")
        ax.axvline(1.0, color="white", linewidth=0.8, linestyle=":")
        ax.set(
            xscale="log",
            title=f"{loss.capitalize()}, {target}",
            xlabel=r"learning rate $\eta$",
            ylabel=r"noise $\sigma$",
        )
        ax.label_outer(remove_inner_ticks=False)
    bar = figure.colorbar(mesh, ax=axes, label="steps to converge; grey: not converged", shrink=0.7)
    bar.set_ticks([1, 2, np.log10(STEPS)], labels=["10", "100", count(STEPS)])
    return figure


def caption(data: dict[Key, tuple[np.ndarray, dyn.Trajectory]], full: bool) -> str:
    """Return the caption, which describes the panels, states which runs converge, and tests networks against theory."""
    shares = "; ".join(
        f"{loss}, {target}: {percent(float(np.isfinite(a).mean()))}" for (loss, target), (a, _) in data.items()
    )
    largest = "; ".join(f"{loss}, {target}: {_largest(a):.2g}" for (loss, target), (a, _) in data.items())
    steps = {key: a for key, (a, _) in data.items()}
    shared, average = TARGETS
    slower = listing(f"{loss} {_ratio(steps[loss, average], steps[loss, shared])}" for loss in LOSSES)
    faster = _ratio(steps["standard", shared], steps["isotropic", shared])
    ranges = {loss: _largest(steps[loss, average]) / _largest(steps[loss, shared]) for loss in LOSSES}
    rates = grid(len(steps["standard", shared]))[0]
    spacing = rates[1] / rates[0]
    narrower = listing(
        f"{ratio:.2g} ({loss}; grid steps: {abs(round(np.log(ratio) / np.log(spacing)))})"
        for loss, ratio in ranges.items()
    )
    rows = {f"{loss}, {target}": agreement(network) for (loss, target), (_, network) in data.items()}
    return f"""
Number of steps of gradient descent (exact descent map) until all four modes are within {percent(CLOSE)} of the fixed
point 1/n1 and stay there, where n1 = 1 + sigma^2. The initial eigenvalues are {listing(f"{s:g}" for s in S0)}.
Horizontal axes: learning rate eta; vertical axes: standard deviation sigma of the noise on both views. Colour: number
of steps on a logarithmic scale. Grey: not converged within {count(STEPS)} steps. Top: Euclidean loss; bottom: the
isotropic version of the Euclidean loss; both with predictor exponent alpha = 1. Left: the target branch is the encoder
(shared target). Right: the target branch is an exponential average of the encoder, with decay {DECAY:g} a step (EMA
target). White dotted line: learning rate 1, at which the isotropic loss with a shared target loses stability.

Each cell of the panels is one pair of learning rate and noise. Share of the cells at which gradient descent converges:
{shares}. Largest learning rate at which gradient descent converges for at least one noise: {largest}. With the EMA
target (an exponential average of the encoder) instead of the shared target (the encoder), the largest learning rate
changes by factors of {narrower}. Neighbouring learning rates of the grid differ by a factor of {spacing:.2g}; a change
by one grid step is within the resolution of the grid. Three factors compare numbers of steps until convergence, as
medians over cells with the first and third quartile in parentheses. The number of steps with the EMA target, divided by
that with the shared target, at the cells that converge with both targets, is {slower}. The number of steps under the
standard loss, divided by that under the isotropic loss, both with the shared target, at the cells that converge under
both losses, is {faster}. A factor of 1 means no effect.

To test the descent map, linear networks were trained at learning rate {CHECKS["learning_rate"]:g}, with noise of
standard deviation {CHECKS["noise"]:g} on both views ({count(int(CHECKS["batch"]))} samples a step, 100 steps).

{agreements(rows)}"""


def _largest(steps: np.ndarray) -> float:
    """Return the largest learning rate at which gradient descent converges for at least one noise of the grid.

    steps: numbers of steps to converge, with the axes noise and learning rate; infinite for runs that do not converge.
    """
    return float(grid(len(steps))[0][np.isfinite(steps).any(axis=0)].max())


def _ratio(steps: np.ndarray, reference: np.ndarray) -> str:
    """Format the median and the quartiles of ``steps/reference`` over the pairs of noise and learning rate.

    steps, reference: numbers of steps to converge in two settings, with the axes noise and learning rate. A pair is
    counted if both numbers are finite, that is, if gradient descent converges in both settings.
    """
    both = np.isfinite(steps) & np.isfinite(reference)
    low, median, high = np.quantile(steps[both] / reference[both], (0.25, 0.5, 0.75))
    return f"{median:.2g} ({low:.2g} to {high:.2g})"
