"""Learned predictors with and without an averaged target: how many modes remain, and which networks collapse.

The figure shows how four settings change the number of modes that remain: an exponential average as target, the
learning rate of the predictor, weight decay, and batch norm. It shows these effects in deep networks and in the linear
theory of a learned predictor. Earlier studies of these settings are Grill et al. (2020), Chen and He (2021), and Tian
et al. (2021).
"""

from typing import Any, NamedTuple

import numpy as np
from matplotlib.figure import Figure

import dynamics as dyn
from figures import deep_networks as deep
from figures import style
from figures.captions import listing, percent, table
from figures.statistics import CONFIDENCE, Interval, mean_of, ratio_of

RATES = (0.1, 1.0, 10.0)  # learning rates of the predictor, divided by the learning rate of the encoder
DECAYS = (1e-4, 2e-2)  # weight decays
STEPS = {False: 150, True: 4_000}
THEORY_STEPS, THEORY_RATE = 2_000, 0.05
START = 0.1  # initial predictor eigenvalues in theory; random matrices in networks have about this size
COLOURS = {"shared target": style.RED, "EMA target": style.BLUE}
LINES = {1e-4: "-", 2e-2: (0, (3, 2))}
COLUMNS = ("linear theory", "with batch norm", "without batch norm")
COLLAPSED = 1.1  # a representation with a participation ratio below this value counts as having one mode left
VANISHED = 1e-6  # in theory, a representation vanishes if the sum of s falls below this share of the initial sum


class Curve(NamedTuple):
    """Participation ratios, and spreads of the representations, of S seeds at R learning rates of the predictor.

    A ratio is nan for a network that diverges, and in theory for a representation that vanishes.
    """

    ratios: np.ndarray  # (S, R)
    spread: np.ndarray  # ``channel_std`` (S, R): 0 if z/|z| is the same for all images, 1 if z/|z| is evenly spread

    @property
    def collapsed(self) -> np.ndarray:
        """True for networks that keep only one mode, False also for networks that diverge; shape (S, R)."""
        return self.ratios < COLLAPSED

    @property
    def diverged(self) -> np.ndarray:
        """True for networks that diverge; shape (S, R)."""
        return np.isnan(self.ratios)


Key = tuple[str, str, str, float]  # column, loss, target, weight decay


def compute(full: bool) -> dict[Key, Curve]:
    """Return the curves of the figure, in a dictionary with keys (column, loss, target, weight decay)."""
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
    """Return the curve of the descent map that starts from the initial spectra (S, M) of the networks.

    For the cosine loss the map is computed in mean field, which is fast even as s -> 0. The map is computed from the
    initial spectrum of every seed, because one spectrum would not be enough: some participation ratios change by ten
    percent if the initial spectrum changes by 1e-12.
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
    """Draw participation ratios, with one loss in each row.

    The columns are the theory, networks with batch norm, and networks without batch norm.
    """
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
    """Return the mean and the standard error over seeds (the first axis); networks that diverge are left out."""
    counted = (~np.isnan(ratios)).sum(axis=0)
    mean = np.nansum(ratios, axis=0) / np.where(counted, counted, np.nan)
    squares = np.nansum((ratios - mean) ** 2, axis=0)
    return mean, np.sqrt(squares / np.maximum(counted - 1, 1) / np.maximum(counted, 1))


def ratios_of(data: dict[Key, Curve], column: str, loss: str) -> np.ndarray:
    """Return all participation ratios of a column of the figure (see COLUMNS) and a loss.

    The axes of the result are seeds, targets, weight decays, and learning rates of the predictor.
    """
    curves = [[data[column, loss, target, decay].ratios for decay in DECAYS] for target in deep.TARGETS]
    return np.moveaxis(np.array(curves), 2, 0)


def factor(ratios: np.ndarray, reference: np.ndarray) -> Interval:
    """Return the participation ratio of networks divided by that of reference networks, with an interval over seeds.

    The quotient is averaged geometrically over all pairs of networks (S, ...); a pair is left out if one of its
    networks has diverged.
    """
    logs = np.log(ratios / reference).reshape(len(ratios), -1)
    pairs = ~np.isnan(logs)
    return ratio_of(np.exp(np.nansum(logs, axis=1) / pairs.sum(axis=1)))


FACTORS: dict[str, tuple[tuple, tuple]] = {  # indices, in the array of ``ratios_of``, of networks and of references
    "EMA target instead of shared target": (np.index_exp[:, 1], np.index_exp[:, 0]),
    f"weight decay {DECAYS[1]:g} instead of {DECAYS[0]:g}": (np.index_exp[:, :, 1], np.index_exp[:, :, 0]),
    f"learning rate {RATES[-1]:g} instead of {RATES[0]:g}": (np.index_exp[..., -1], np.index_exp[..., 0]),
}
WORDS = {-1: "fewer modes", 1: "more modes", 0: "no effect distinguishable"}


def stated(estimate: Interval) -> str:
    """Format a factor with three decimals, and state its effect if the interval excludes 1 to this precision."""
    shown = Interval(*(round(value, 3) for value in estimate))
    return f"{estimate.text('.3f')}, {WORDS[shown.side(1)]}"


def _factors(data: dict[Key, Curve]) -> str:
    """Format the table of factors by which target, weight decay and learning rate change the participation ratio."""
    rows = [["", *COLUMNS]]
    for name, (networks, reference) in FACTORS.items():
        for loss in style.LOSSES:
            columns = (ratios_of(data, column, loss) for column in COLUMNS)
            estimates = [factor(ratios[networks], ratios[reference]) for ratios in columns]
            rows.append([f"{name}, {loss}", *map(stated, estimates)])
    return table(rows)


def _batch_norm(data: dict[Key, Curve]) -> str:
    """Format the factor by which batch norm changes the participation ratio."""
    estimates = {loss: factor(*(ratios_of(data, column, loss) for column in COLUMNS[1:])) for loss in style.LOSSES}
    return listing(f"{e.text('.3f')} ({loss}; {WORDS[e.side(1)]})" for loss, e in estimates.items())


def failures(data: dict[Key, Curve], column: str, target: str) -> np.ndarray:
    """Return, for each seed (S,), the number of networks that collapse or diverge.

    Only networks in one column of the figure (see COLUMNS) and with one target are counted.
    """
    curves = [curve for key, curve in data.items() if (key[0], key[2]) == (column, target)]
    return np.sum([(curve.collapsed | curve.diverged).sum(axis=1) for curve in curves], axis=0)


def _counts(data: dict[Key, Curve]) -> str:
    """Format the table with the numbers of networks that collapse and that diverge, with and without batch norm.

    Each row has one target, and networks either with or without batch norm.
    """
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
    """Format how many more networks of a seed collapse or diverge without a setting than with this setting.

    The settings are the averaged target and batch norm.
    """
    number = {(column, target): failures(data, column, target) for column in COLUMNS[1:] for target in deep.TARGETS}
    shared, average = deep.TARGETS
    changes = {
        f"without the average, {column}": number[column, shared] - number[column, average] for column in COLUMNS[1:]
    }
    changes["without batch norm"] = sum(number[COLUMNS[2], t] - number[COLUMNS[1], t] for t in deep.TARGETS)
    return "; ".join(f"{name}: {difference(values)}" for name, values in changes.items())


def difference(counts: np.ndarray) -> str:
    """Format the mean over seeds of differences of counts (S,), with its interval.

    If no seed has a difference, the deviation over seeds is 0, and the interval is that of the share of seeds.
    """
    if not counts.any():
        most = 1 - (1 - CONFIDENCE) ** (1 / len(counts))
        return f"0 for all seeds, which excludes a difference for more than {percent(most)} of seeds"
    words = {-1: "fewer", 1: "more", 0: "no difference distinguishable"}
    estimate = mean_of(counts.astype(float))
    return f"{estimate.text('.1f')}, {words[estimate.side(0)]}"


def caption(data: dict[Key, Curve], full: bool) -> str:
    """Return the caption, which describes the panels and states the effect of each setting with its error."""
    networks = len(RATES) * len(DECAYS) * len(style.LOSSES)
    spread = max(float(np.max(c.spread, where=c.collapsed, initial=0.0)) for c in data.values())
    return f"""
Effective number of modes that remain after training with a learned predictor, against the learning rate of the
predictor divided by the learning rate of the encoder. The effective number of modes is the participation ratio
(sum s)^2 / sum s^2, where s are the eigenvalues of the correlation. Top: Euclidean loss; bottom: cosine loss. Left: the
linear theory without noise. Its descent map starts from the initial eigenvalues of each network and from predictor
eigenvalues of {START:g}, and makes {THEORY_STEPS} steps at learning rate {THEORY_RATE:g}. For the cosine loss the
theory is the mean-field approximation. Middle and right: networks that learn from images of handwritten digits and have
an MLP as predictor, after {STEPS[full]} steps; middle: with batch norm, right: without batch norm. Points and bars:
mean and standard error over {len(deep.SEEDS)} seeds; networks that diverge are left out. Red: the target is the encoder
itself (SimSiam); blue: the target is an exponential average of the encoder (BYOL). Solid lines: weight decay
{DECAYS[0]:g}; dashed lines: weight decay {DECAYS[1]:g}. Grey line: a participation ratio of 1, which means one mode.

BYOL without the exponential average is reported to collapse in cases where SimSiam does not collapse. The table counts
networks that collapse to one mode (a participation ratio below {COLLAPSED:g}) and networks that diverge, over all
losses, learning rates, weight decays and seeds:

{_counts(data)}

For each seed, there are {networks} networks with each target. The next numbers compare how many networks of a seed
collapse or diverge: the number without the average minus the number with the average, and the number without batch norm
minus the number with batch norm. In parentheses: 95 % intervals over seeds (Student's t); the null hypothesis is no
difference. {_differences(data)}. In collapsed networks, the channels of z/|z| have a standard deviation over images of
at most {spread:.2g}; this standard deviation is 1 if representations are evenly spread. It is 0 if the remaining mode
is the mean of z, because the correlation is not centred and counts the mean as a mode.

The next table has the factors by which each setting changes the participation ratio. A factor is the geometric mean
over all pairs of networks that differ in this setting alone; a pair does not count if one of its networks diverges. In
parentheses: 95 % intervals over seeds; the null hypothesis is a factor of 1. Of twenty such intervals, one is expected
to miss the true value. In theory, a pair does not count if one of its representations vanishes (the sum of s falls
below {VANISHED:g} of its initial value).

{_factors(data)}

Batch norm changes the participation ratio by factors of {_batch_norm(data)}. All factors depend on the ranges over
which the settings are varied, so that they do not rank the settings in general, and on the number of steps, here
{STEPS[full]}."""
