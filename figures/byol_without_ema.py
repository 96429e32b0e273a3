"""Learned predictors without an averaged target: what prevents their collapse.

The effect of the predictor's learning rate, weight decay and batch norm (Grill et al. 2020, Chen and He 2021, Tian et
al. 2021) in deep networks and in the linear theory of a learned predictor.
"""

from typing import Any, NamedTuple

import numpy as np
from matplotlib.figure import Figure

import dynamics as dyn
from figures import deep_networks as deep
from figures import style
from figures.captions import listing

RATES = (0.1, 1.0, 10.0)  # learning rates of the predictor, relative to the encoder's
DECAYS = (1e-4, 2e-2)  # weight decays
STEPS = {False: 150, True: 4_000}
SEEDS = {False: range(2), True: range(5)}
THEORY_STEPS, THEORY_RATE = 2_000, 0.05
START = 0.1  # initial predictor eigenvalues in theory, about as large as those of the networks' random matrices
COLOURS = {"shared target": style.RED, "EMA target": style.BLUE}
LINES = {1e-4: "-", 2e-2: (0, (3, 2))}
COLUMNS = ("linear theory", "with batch norm", "without batch norm")
COLLAPSED = 1.1  # participation ratio below which only one mode is left


class Curve(NamedTuple):
    """Participation ratio at each learning rate of the predictor, with mean and standard error over seeds."""

    mean: np.ndarray
    error: np.ndarray
    collapsed: int = 0  # number of networks that collapsed or diverged
    spread: float = 0.0  # largest ``channel_std`` of a collapsed network: 0 if z/|z| is constant, 1 if evenly spread


Key = tuple[str, str, str, float]  # column, loss, target, weight decay


def compute(full: bool) -> dict[Key, Curve]:
    """Return all curves of the figure by column, loss, target and weight decay."""
    curves: dict[Key, Curve] = {}
    for loss in style.LOSSES:
        for target in deep.TARGETS:
            for decay in DECAYS:
                runs = {bn: [_run(loss, target, decay, rate, bn, full) for rate in RATES] for bn in (True, False)}
                start = np.exp(np.log(runs[True][0].s[:, 0]).mean(axis=0))
                curves[COLUMNS[0], loss, target, decay] = _theory(loss, target, decay, start)
                for column, networks in zip(COLUMNS[1:], runs.values(), strict=True):
                    curves[column, loss, target, decay] = _of_networks(networks)
    return curves


def _model(loss: str, target: str, decay: float, **learned: Any) -> dyn.Model:
    return dyn.Model(
        loss, predictor=dyn.Learned(**learned), target=deep.TARGETS[target], weight_decay=decay, symmetrised=True
    )


def _run(loss: str, target: str, decay: float, rate: float, batch_norm: bool, full: bool) -> dyn.Trajectory:
    return deep.cached_training(
        full,
        f"byol-{loss}-{target}-{decay:g}-{rate:g}-{'bn' if batch_norm else 'no bn'}",
        _model(loss, target, decay, rate=rate),
        dyn.Network(dyn.digits(), predictor=(64,), batch_norm=batch_norm),
        STEPS[full],
        deep.LEARNING_RATE[loss],
        batch_size=deep.BATCH,
        seed=SEEDS[full],
        record=STEPS[full],
    )


def _theory(loss: str, target: str, decay: float, start: np.ndarray) -> Curve:
    """Return the curve of the descent map from the mean initial spectrum of the networks.

    The cosine loss is solved in mean field, which is fast even as s -> 0.
    """
    model = _model(loss, target, decay, rate=np.array(RATES), init=START)
    closure = "mean_field" if loss == "cosine" else None
    ends = dyn.iterate(model, np.tile(start, (len(RATES), 1)), THEORY_STEPS, THEORY_RATE, closure=closure).s[:, -1]
    ratio = ends.sum(axis=-1) ** 2 / np.maximum((ends**2).sum(axis=-1), np.finfo(float).tiny)
    return Curve(ratio, np.zeros(len(RATES)))


def _of_networks(runs: list[dyn.Trajectory]) -> Curve:
    ratios = np.stack([run.measures["participation_ratio"][:, -1] for run in runs], axis=1)
    ratios = np.where(np.isfinite(ratios), ratios, 1.0)  # networks that diverged count as collapsed
    collapsed = ratios < COLLAPSED
    spreads = np.stack([run.measures["channel_std"][:, -1] for run in runs], axis=1)
    spread = float(np.nanmax(spreads, where=collapsed, initial=0.0))
    return Curve(*deep.mean_and_error(ratios), int(collapsed.sum()), spread)


def draw(data: dict[Key, Curve]) -> Figure:
    """Draw participation ratios: losses in rows; theory, networks with and networks without batch norm in columns."""
    figure = Figure(figsize=(style.PAGE, 3.9))
    axes = figure.subplots(len(style.LOSSES), len(COLUMNS), sharex=True, sharey="col")
    for row, loss in zip(axes, style.LOSSES, strict=True):
        for ax, column in zip(row, COLUMNS, strict=True):
            for target, colour in COLOURS.items():
                for decay, line in LINES.items():
                    curve = data[column, loss, target, decay]
                    ax.errorbar(
                        RATES, curve.mean, curve.error, color=colour, linestyle=line, marker="o", markersize=2.5
                    )
            ax.set(title=f"{loss.capitalize()}, {column}", xscale="log")
            ax.axhline(1, color=style.GREY, linewidth=0.5)
        row[0].set_ylabel("participation ratio")
    for ax in axes[-1]:
        ax.set_xlabel("predictor's relative learning rate")
        ax.set_ylim(bottom=0.8)
    entries: dict[str, dict] = {name.replace(" ", "_"): {"color": colour} for name, colour in COLOURS.items()}
    entries |= {f"weight_decay_{decay:g}": {"linestyle": line} for decay, line in LINES.items()}
    style.legend(figure, **entries)
    return figure


def _range(data: dict[Key, Curve], column: str) -> str:
    """Format the smallest and the largest mean participation ratio among the curves of a column."""
    means = np.concatenate([curve.mean for key, curve in data.items() if key[0] == column])
    return f"{means.min():.1f} to {means.max():.1f}"


def _difference(data: dict[Key, Curve], column: str) -> float:
    """Return the largest difference in mean participation ratio between the shared target and the EMA target."""
    pairs = (
        data[column, loss, "EMA target", decay].mean - data[column, loss, "shared target", decay].mean
        for loss in style.LOSSES
        for decay in DECAYS
    )
    return max(float(np.abs(pair).max()) for pair in pairs)


def _gain(data: dict[Key, Curve], column: str) -> str:
    """Format the participation ratio for the fastest predictor divided by the ratio for the slowest predictor.

    The target is shared, and the weight decay is the smallest.
    """
    curves = {loss: data[column, loss, "shared target", DECAYS[0]].mean for loss in style.LOSSES}
    return listing(f"{mean[-1] / mean[0]:.1f} ({loss})" for loss, mean in curves.items())


def caption(data: dict[Key, Curve], full: bool) -> str:
    """Return the caption: contents, and which of the three factors prevents collapse."""
    networks = len(RATES) * len(DECAYS) * len(style.LOSSES) * len(deep.TARGETS) * len(SEEDS[full])
    spread = max(curve.spread for curve in data.values())
    collapsed = {c: sum(curve.collapsed for key, curve in data.items() if key[0] == c) for c in COLUMNS[1:]}
    return f"""
Effective number of modes that remain after training with a learned predictor, against the learning rate of the
predictor divided by the learning rate of the encoder. The effective number is the participation ratio (sum s)^2 / sum
s^2 of the eigenvalues s of the correlation. Top: Euclidean loss; bottom: cosine loss. Left: the linear theory without
noise. Its descent map starts from the initial eigenvalues of the networks and from predictor eigenvalues of {START:g},
and makes {THEORY_STEPS} steps at learning rate {THEORY_RATE:g}. For the cosine loss the theory is the mean-field
approximation. Middle and right: networks with an MLP as predictor on images of handwritten digits, with batch norm
(middle) and without batch norm (right), after {STEPS[full]} steps. Points and bars of the networks: mean and standard
error over {len(SEEDS[full])} seeds. Red: the target is the encoder itself (SimSiam); blue: the target is an exponential
average of the encoder (BYOL). Solid lines: weight decay {DECAYS[0]:g}; dashed lines: weight decay {DECAYS[1]:g}. Grey
line: a ratio of 1, one mode.

BYOL without the exponential average is reported to collapse in cases where SimSiam does not collapse. In the linear
theory the average does not decide about collapse: the ratios with and without the average differ by at most
{_difference(data, COLUMNS[0]):.2g}. In these networks the average does not decide about collapse either. Of the
networks with batch norm, {collapsed[COLUMNS[1]]} of {networks} collapse to one mode (a ratio below {COLLAPSED:g}). Of
the networks without batch norm, {collapsed[COLUMNS[2]]} of {networks} collapse. Both counts include networks with
either target. The means of the ratio over seeds are {_range(data, COLUMNS[1])} with batch norm and
{_range(data, COLUMNS[2])} without batch norm. The remaining mode of a collapsed network is the mean of z, which an
uncentred correlation counts as a mode. The channels of z/|z| vary little between images in these networks: their
standard deviations, on a scale on which evenly spread representations have 1, are at most {spread:.2g}.

A faster predictor keeps more modes with batch norm. The ratio for the fastest predictor divided by the ratio for the
slowest predictor is {_gain(data, COLUMNS[1])}, when the target is the encoder and the weight decay is the smaller one.
The theory does not explain this factor: its factors are {_gain(data, COLUMNS[0])}. Without weight decay the theory of
the Euclidean loss conserves s - p^2/a_P, where p is the predictor eigenvalue and a_P is the relative learning rate of
the predictor. A fast predictor therefore preserves the initial spectrum, and a slow predictor equalises it. Of the
three factors (learning rate of the predictor, weight decay and batch norm), batch norm has the largest effect, and the
learning rate of the predictor the second largest."""
