"""Learned predictors with and without an averaged target: collapse, and numbers of modes.

The effects of the average, the predictor's learning rate, weight decay and batch norm (Grill et al. 2020, Chen and He
2021, Tian et al. 2021) in deep networks and in the linear theory of a learned predictor.
"""

from typing import Any, NamedTuple

import numpy as np
from matplotlib.figure import Figure

import dynamics as dyn
from figures import deep_networks as deep
from figures import style
from figures.captions import listing, table
from figures.statistics import Interval, mean_of, ratio_of

RATES = (0.1, 1.0, 10.0)  # learning rates of the predictor, relative to the encoder's
DECAYS = (1e-4, 2e-2)  # weight decays
STEPS = {False: 150, True: 4_000}
THEORY_STEPS, THEORY_RATE = 2_000, 0.05
START = 0.1  # initial predictor eigenvalues in theory, about as large as those of the networks' random matrices
COLOURS = {"shared target": style.RED, "EMA target": style.BLUE}
LINES = {1e-4: "-", 2e-2: (0, (3, 2))}
COLUMNS = ("linear theory", "with batch norm", "without batch norm")
COLLAPSED = 1.1  # participation ratio below which only one mode is left
VANISHED = 1e-6  # share of the initial sum of eigenvalues below which a representation in theory has no spectrum left


class Curve(NamedTuple):
    """Participation ratios (S, R) of S seeds at R learning rates of the predictor.

    They are nan for networks that diverge, and in theory for representations that vanish.
    """

    ratios: np.ndarray
    spread: np.ndarray  # ``channel_std`` (S, R): 0 if z/|z| is the same for all images, 1 if evenly spread

    @property
    def collapsed(self) -> np.ndarray:
        """True for networks that keep one mode (S, R); networks that diverge do not count."""
        return self.ratios < COLLAPSED

    @property
    def diverged(self) -> np.ndarray:
        """True for networks that diverge (S, R)."""
        return np.isnan(self.ratios)


Key = tuple[str, str, str, float]  # column, loss, target, weight decay


def compute(full: bool) -> dict[Key, Curve]:
    """Return all curves of the figure by column, loss, target and weight decay."""
    curves: dict[Key, Curve] = {}
    for loss in style.LOSSES:
        for target in deep.TARGETS:
            for decay in DECAYS:
                runs = {bn: [_run(loss, target, decay, rate, bn, full) for rate in RATES] for bn in (True, False)}
                starts = runs[True][0].s[:, 0]
                curves[COLUMNS[0], loss, target, decay] = _theory(loss, target, decay, starts)
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
        seed=deep.SEEDS,
        record=STEPS[full],
    )


def _theory(loss: str, target: str, decay: float, starts: np.ndarray) -> Curve:
    """Return the curve of the descent map from the initial spectra (S, M) of the networks.

    The cosine loss is solved in mean field, which is fast even as s -> 0. Some ratios depend on rounding (changes of
    1e-12 of the start change them by ten percent), so that one start would not be enough.
    """
    pairs = len(starts), len(RATES)
    model = _model(loss, target, decay, rate=np.tile(RATES, len(starts)), init=START)
    closure = "mean_field" if loss == "cosine" else None
    s0 = np.repeat(starts, len(RATES), axis=0)
    ends = dyn.iterate(model, s0, THEORY_STEPS, THEORY_RATE, closure=closure).s[:, -1]
    left = ends.sum(axis=-1) > VANISHED * s0.sum(axis=-1)
    ratios = np.full(len(ends), np.nan)
    ratios[left] = ends[left].sum(axis=-1) ** 2 / (ends[left] ** 2).sum(axis=-1)
    return Curve(ratios.reshape(pairs), np.full(pairs, np.nan))


def _of_networks(runs: list[dyn.Trajectory]) -> Curve:
    ratios, spread = (
        np.stack([run.measures[name][:, -1] for run in runs], axis=1) for name in ("participation_ratio", "channel_std")
    )
    return Curve(np.where(np.isfinite(ratios), ratios, np.nan), spread)


def draw(data: dict[Key, Curve]) -> Figure:
    """Draw participation ratios: losses in rows; theory, networks with and networks without batch norm in columns."""
    figure = Figure(figsize=(style.PAGE, 3.9))
    axes = figure.subplots(len(style.LOSSES), len(COLUMNS), sharex=True, sharey="col")
    for row, loss in zip(axes, style.LOSSES, strict=True):
        for ax, column in zip(row, COLUMNS, strict=True):
            for target, colour in COLOURS.items():
                for decay, line in LINES.items():
                    mean, error = _mean_and_error(data[column, loss, target, decay].ratios)
                    ax.errorbar(RATES, mean, error, color=colour, linestyle=line, marker="o", markersize=2.5)
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


def _mean_and_error(ratios: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return mean and standard error over the seeds (first axis) that do not diverge."""
    counted = (~np.isnan(ratios)).sum(axis=0)
    mean = np.nansum(ratios, axis=0) / np.where(counted, counted, np.nan)
    squares = np.nansum((ratios - mean) ** 2, axis=0)
    return mean, np.sqrt(squares / np.maximum(counted - 1, 1) / np.maximum(counted, 1))


def ratios_of(data: dict[Key, Curve], column: str, loss: str) -> np.ndarray:
    """Return all participation ratios of a column and a loss: seeds, targets, weight decays, learning rates."""
    curves = [[data[column, loss, target, decay].ratios for decay in DECAYS] for target in deep.TARGETS]
    return np.moveaxis(np.array(curves), 2, 0)


def factor(ratios: np.ndarray, reference: np.ndarray) -> Interval:
    """Return by which factor the participation ratio exceeds that of reference networks, with an interval over seeds.

    It is the geometric mean over all pairs of networks (S, ...) of which neither has diverged.
    """
    logs = np.log(ratios / reference).reshape(len(ratios), -1)
    pairs = ~np.isnan(logs)
    return ratio_of(np.exp(np.nansum(logs, axis=1) / pairs.sum(axis=1)))


FACTORS: dict[str, tuple[tuple, tuple]] = {  # indices of the networks and of the reference networks in ``ratios_of``
    "EMA target instead of shared target": (np.index_exp[:, 1], np.index_exp[:, 0]),
    f"weight decay {DECAYS[1]:g} instead of {DECAYS[0]:g}": (np.index_exp[:, :, 1], np.index_exp[:, :, 0]),
    f"learning rate {RATES[-1]:g} instead of {RATES[0]:g}": (np.index_exp[..., -1], np.index_exp[..., 0]),
}
WORDS = {-1: "fewer modes", 1: "more modes", 0: "no effect distinguishable"}


def _factors(data: dict[Key, Curve]) -> str:
    """Format the table of factors by which each setting changes the participation ratio."""
    rows = [["", *COLUMNS]]
    for name, (networks, reference) in FACTORS.items():
        for loss in style.LOSSES:
            columns = (ratios_of(data, column, loss) for column in COLUMNS)
            estimates = [factor(ratios[networks], ratios[reference]) for ratios in columns]
            rows.append([f"{name}, {loss}", *(f"{e.text('.3f')}, {WORDS[e.side(1)]}" for e in estimates)])
    return table(rows)


def _batch_norm(data: dict[Key, Curve]) -> str:
    """Format the factor by which batch norm changes the participation ratio."""
    estimates = {loss: factor(*(ratios_of(data, column, loss) for column in COLUMNS[1:])) for loss in style.LOSSES}
    return listing(f"{e.text('.3f')} ({loss}; {WORDS[e.side(1)]})" for loss, e in estimates.items())


def failures(data: dict[Key, Curve], column: str, target: str) -> np.ndarray:
    """Return for each seed how many networks of a column and a target collapse or diverge (S,)."""
    curves = [curve for key, curve in data.items() if (key[0], key[2]) == (column, target)]
    return np.sum([(curve.collapsed | curve.diverged).sum(axis=1) for curve in curves], axis=0)


def _counts(data: dict[Key, Curve]) -> str:
    """Format the table of networks that collapse and that diverge, by batch norm and target."""
    rows = [["", "networks", "collapse", "diverge", "mean participation ratio of the others"]]
    for column in COLUMNS[1:]:
        for target in deep.TARGETS:
            curves = [curve for key, curve in data.items() if (key[0], key[2]) == (column, target)]
            ratios = np.concatenate([curve.ratios.ravel() for curve in curves])
            kept = ratios[ratios >= COLLAPSED]
            counts = [
                len(ratios),
                *(sum(int(getattr(c, what).sum()) for c in curves) for what in ("collapsed", "diverged")),
            ]
            rows.append([f"{column}, {target}", *map(str, counts), f"{kept.mean():.1f}" if len(kept) else ""])
    return table(rows)


def _differences(data: dict[Key, Curve]) -> str:
    """Format how many more networks of a seed collapse or diverge without the average, and without batch norm."""
    number = {(column, target): failures(data, column, target) for column in COLUMNS[1:] for target in deep.TARGETS}
    shared, average = deep.TARGETS
    changes = {
        f"without the average, {column}": number[column, shared] - number[column, average] for column in COLUMNS[1:]
    }
    changes["without batch norm"] = sum(number[COLUMNS[2], t] - number[COLUMNS[1], t] for t in deep.TARGETS)
    words = {-1: "fewer", 1: "more", 0: "no difference distinguishable"}
    estimates = {name: mean_of(values.astype(float)) for name, values in changes.items()}
    return "; ".join(f"{name}: {e.text('.1f')}, {words[e.side(0)]}" for name, e in estimates.items())


def caption(data: dict[Key, Curve], full: bool) -> str:
    """Return the caption: contents, and the effect of each factor on collapse, with its error."""
    networks = len(RATES) * len(DECAYS) * len(style.LOSSES)
    spread = max(float(np.max(c.spread, where=c.collapsed, initial=0.0)) for c in data.values())
    return f"""
Effective number of modes that remain after training with a learned predictor, against the learning rate of the
predictor divided by the learning rate of the encoder. The effective number is the participation ratio (sum s)^2 / sum
s^2 of the eigenvalues s of the correlation. Top: Euclidean loss; bottom: cosine loss. Left: the linear theory without
noise. Its descent map starts from the initial eigenvalues of each network and from predictor eigenvalues of {START:g},
and makes {THEORY_STEPS} steps at learning rate {THEORY_RATE:g}. For the cosine loss the theory is the mean-field
approximation. Middle and right: networks with an MLP as predictor on images of handwritten digits, with batch norm
(middle) and without batch norm (right), after {STEPS[full]} steps. Points and bars: mean and standard error over
{len(deep.SEEDS)} seeds, without networks that diverge. Red: the target is the encoder itself (SimSiam); blue: the
target is an exponential average of the encoder (BYOL). Solid lines: weight decay {DECAYS[0]:g}; dashed lines: weight
decay {DECAYS[1]:g}. Grey line: a ratio of 1, one mode.

BYOL without the exponential average is reported to collapse in cases where SimSiam does not collapse. Networks that
collapse to one mode (a ratio below {COLLAPSED:g}) or diverge, over all losses, learning rates, weight decays and seeds:

{_counts(data)}

Number of networks of a seed that collapse or diverge, minus this number with the average or with batch norm ({networks}
networks of each seed for a target), with a 95 % interval over seeds (Student's t); the null hypothesis is no
difference. {_differences(data)}. The channels of z/|z| of
collapsed networks have standard deviations over images of at most {spread:.2g}, on a scale on which evenly spread
representations have 1. A value of 0 means that
the remaining mode is the mean of z, which an uncentred correlation counts as a mode.

The next table has the factor by which a setting changes the ratio: the geometric mean over all pairs of networks that
differ in this setting alone, if neither diverges. In parentheses: 95 % intervals over seeds; the null hypothesis is a
factor of 1. In theory, pairs of which a representation vanishes (the sum of s below {VANISHED:g} of its initial value)
do not count.

{_factors(data)}

Batch norm changes the ratio by factors of {_batch_norm(data)}. Factors depend on the ranges over which settings are
varied, so that they do not rank the settings in general, and {STEPS[full]} steps are a short training."""
