"""Learned predictors with and without an averaged target: how many modes remain, and which networks collapse.

Four settings are varied: the target (the encoder itself or an exponential average of the encoder), the learning rate of
the predictor, weight decay, and batch norm. The figure shows how each setting changes the number of modes that remain
in deep networks. It also shows the linear theory of a learned predictor, which has no batch norm. Earlier studies of
these settings are Grill et al. (2020), Chen and He (2021), and Tian et al. (2021).
"""

from typing import Any, NamedTuple

import numpy as np
from matplotlib.figure import Figure

import dynamics as dyn
from figures import deep_networks as deep
from figures import style
from figures.captions import listing, percent, table
from figures.panels import panel_names
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
    """Final participation ratio and spread of representations, for S seeds and R learning rates of the predictor.

    The participation ratio is nan for a network that diverges. In the linear theory it is nan for a representation that
    vanishes, and the spread is not computed (nan).
    """

    ratios: np.ndarray  # (S, R)
    spread: np.ndarray  # ``channel_std`` (S, R): 0 if z/|z| is the same for all images, 1 if z/|z| is evenly spread

    @property
    def collapsed(self) -> np.ndarray:
        """True for networks that keep only one mode, (S, R) for S seeds and R learning rates of the predictor.

        False for networks that keep several modes, and for networks that diverge.
        """
        return self.ratios < COLLAPSED

    @property
    def diverged(self) -> np.ndarray:
        """True for networks that diverge, (S, R) for S seeds and R learning rates of the predictor."""
        return np.isnan(self.ratios)


Key = tuple[str, str, str, float]  # column, loss, target, weight decay


def compute(full: bool) -> dict[Key, Curve]:
    """Return the curves of the figure; the key of a curve is (column, loss, target, weight decay), see COLUMNS."""
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
        dyn.Network(deep.digits(), predictor=(64,), batch_norm=batch_norm),
        STEPS[full],
        deep.LEARNING_RATE[loss],
        batch_size=deep.BATCH[full],
        seed=deep.SEEDS,
        record=STEPS[full],
    )


def _theory(loss: str, target: str, decay: float, starts: np.ndarray) -> Curve:
    """Return the curve of the linear theory, computed with the descent map.

    starts: initial eigenvalues (S, M) of the networks of S seeds; the descent map starts from each of these spectra.
    One spectrum for all seeds would not be enough, because some participation ratios change by ten percent if the
    initial eigenvalues change by 1e-12. For the cosine loss, the descent map is computed in the mean-field
    approximation, which is fast even if the eigenvalues approach zero.
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


PANELS = panel_names(style.LOSSES, COLUMNS)


def draw(data: dict[Key, Curve]) -> Figure:
    """Draw final participation ratios against the learning rate of the predictor, with one loss in each row.

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
    """Return the mean and the standard error over seeds (the first axis); ratios that are nan are left out."""
    counted = (~np.isnan(ratios)).sum(axis=0)
    mean = np.nansum(ratios, axis=0) / np.where(counted, counted, np.nan)
    squares = np.nansum((ratios - mean) ** 2, axis=0)
    return mean, np.sqrt(squares / np.maximum(counted - 1, 1) / np.maximum(counted, 1))


def ratios_of(data: dict[Key, Curve], column: str, loss: str) -> np.ndarray:
    """Return all participation ratios in one column of the figure, for one loss.

    column: a name in COLUMNS. The axes of the result are seed, target, weight decay, and learning rate of the
    predictor.
    """
    curves = [[data[column, loss, target, decay].ratios for decay in DECAYS] for target in deep.TARGETS]
    return np.moveaxis(np.array(curves), 2, 0)


def factor(ratios: np.ndarray, reference: np.ndarray) -> Interval:
    """Return the factor between two arrays of participation ratios, with an interval over seeds.

    ratios, reference: arrays (S, ...) of equal shape, for S seeds. The factor is the geometric mean of the elements of
    ``ratios/reference``. An element is left out if it is nan in one of the arrays.
    """
    logs = np.log(ratios / reference).reshape(len(ratios), -1)
    pairs = ~np.isnan(logs)
    return ratio_of(np.exp(np.nansum(logs, axis=1) / pairs.sum(axis=1)))


FACTORS: dict[str, tuple[tuple, tuple]] = {  # two indices into the array of ``ratios_of``: networks, reference
    "EMA target instead of shared target": (np.index_exp[:, 1], np.index_exp[:, 0]),
    f"weight decay {DECAYS[1]:g} instead of {DECAYS[0]:g}": (np.index_exp[:, :, 1], np.index_exp[:, :, 0]),
    f"learning rate {RATES[-1]:g} instead of {RATES[0]:g}": (np.index_exp[..., -1], np.index_exp[..., 0]),
}
WORDS = {-1: "fewer modes", 1: "more modes", 0: "no effect distinguishable"}


def stated(estimate: Interval) -> str:
    """Format a factor and its interval with three decimals; state an effect if the rounded interval excludes 1."""
    shown = Interval(*(round(value, 3) for value in estimate))
    return f"{estimate.text('.3f')}, {WORDS[shown.side(1)]}"


def _factors(data: dict[Key, Curve]) -> str:
    """Format a table of the factors by which the settings in FACTORS change the participation ratio.

    Each row has one setting and one loss; the columns are those of the figure.
    """
    rows = [["", *(f"factor, {column}" for column in COLUMNS)]]
    for name, (networks, reference) in FACTORS.items():
        for loss in style.LOSSES:
            columns = (ratios_of(data, column, loss) for column in COLUMNS)
            estimates = [factor(ratios[networks], ratios[reference]) for ratios in columns]
            rows.append([f"{name}, {loss}", *map(stated, estimates)])
    return table(rows)


def _batch_norm(data: dict[Key, Curve]) -> str:
    """Format, for each loss, the factor by which batch norm changes the participation ratio."""
    estimates = {loss: factor(*(ratios_of(data, column, loss) for column in COLUMNS[1:])) for loss in style.LOSSES}
    return listing(f"{e.text('.3f')} ({loss}; {WORDS[e.side(1)]})" for loss, e in estimates.items())


def failures(data: dict[Key, Curve], column: str, target: str) -> np.ndarray:
    """Return, for each seed (S,), the number of networks that collapse or diverge.

    column, target: only networks in this column of the figure (a name in COLUMNS) and with this target are counted,
    under all losses, weight decays and learning rates.
    """
    curves = [curve for key, curve in data.items() if (key[0], key[2]) == (column, target)]
    return np.sum([(curve.collapsed | curve.diverged).sum(axis=1) for curve in curves], axis=0)


def _counts(data: dict[Key, Curve]) -> str:
    """Format a table with the numbers of networks that collapse and of networks that diverge.

    There is one row for each combination of target branch (shared, or EMA) and batch norm (with, or without).
    """
    counted = "networks", "networks that collapse", "networks that diverge"
    rows = [["", *counted, "mean participation ratio of all other networks"]]
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
    """Format how the number of networks that collapse or diverge changes if a setting is removed.

    The settings are the averaged target and batch norm. The change is counted for each seed; the text has the mean over
    seeds with its interval.
    """
    number = {(column, target): failures(data, column, target) for column in COLUMNS[1:] for target in deep.TARGETS}
    shared, average = deep.TARGETS
    changes = {
        f"without the average, {column}": number[column, shared] - number[column, average] for column in COLUMNS[1:]
    }
    changes["without batch norm"] = sum(number[COLUMNS[2], t] - number[COLUMNS[1], t] for t in deep.TARGETS)
    return "; ".join(f"{name}: {difference(values)}" for name, values in changes.items())


def difference(counts: np.ndarray) -> str:
    """Format the mean of ``counts`` (S,) over seeds with its interval.

    counts: for each seed, the difference of two numbers of networks. If all differences are 0, their standard deviation
    is 0, too. The text then states the largest share of seeds with a difference that this observation allows.
    """
    if not counts.any():
        most = 1 - (1 - CONFIDENCE) ** (1 / len(counts))
        return f"0 for all seeds, which excludes a difference for more than {percent(most)} of seeds"
    words = {-1: "fewer", 1: "more", 0: "no difference distinguishable"}
    estimate = mean_of(counts.astype(float))
    return f"{estimate.text('.1f')}, {words[estimate.side(0)]}"


def caption(data: dict[Key, Curve], full: bool) -> str:
    """Return the caption, which describes the panels and states the effect of each setting with an interval."""
    networks = len(RATES) * len(DECAYS) * len(style.LOSSES)
    spread = max(float(np.max(c.spread, where=c.collapsed, initial=0.0)) for c in data.values())
    return f"""
Effective number of modes that remain after training with a learned predictor, against the learning rate of the
predictor divided by the learning rate of the encoder. The effective number of modes is the participation ratio (sum
s)^2 / sum s^2, where s are the eigenvalues of the correlation of the representation z. Top: Euclidean loss; bottom:
cosine loss. Left: the linear theory without noise. In theory, the descent map starts from the initial eigenvalues of
each network and from predictor eigenvalues of {START:g}, and makes {THEORY_STEPS} steps at learning rate
{THEORY_RATE:g}. For the cosine loss the theory is the mean-field approximation. Middle and right: networks that learn
from images of handwritten digits and have an MLP as predictor, after {STEPS[full]} steps; middle: with batch norm,
right: without batch norm. Points and bars: mean and standard error over {len(deep.SEEDS)} seeds; networks that diverge
are left out. Red: the target is the encoder itself (SimSiam); blue: the target is an exponential average of the encoder
(BYOL). Solid lines: weight decay {DECAYS[0]:g}; dashed lines: weight decay {DECAYS[1]:g}. Grey line: a participation
ratio of 1, which means one mode.

Earlier studies report that BYOL without the exponential average collapses in cases where SimSiam does not collapse. The
table below counts the networks that collapse to one mode and the networks that diverge. A network has collapsed to one
mode if the participation ratio (sum s)^2 / sum s^2 of the eigenvalues s of the correlation is below {COLLAPSED:g}. Each
row counts the networks of all losses, learning rates, weight decays and seeds.

{_counts(data)}

A failure is a network that collapses to one mode or diverges. For each seed, every combination of target and batch norm
has {networks} networks. The numbers that follow are differences between the numbers of failures of a seed, as means
over seeds. "Without the average" is the number of failures with the shared target minus the number with the EMA target.
"Without batch norm" is the number of failures without batch norm minus the number with batch norm, for both targets
together. In parentheses: 95 % intervals over seeds (Student's t); the null hypothesis is no difference.
{_differences(data)}. In collapsed networks with the representation z, the standard deviation of the channels of z/|z|
over images is at most {spread:.2g}. This standard deviation is 1 if representations are evenly spread, and 0 if the
remaining mode is the mean of z. The mean counts as a mode, because the correlation is not centred.

The table below has the factors by which a change of one setting multiplies the participation ratio (sum s)^2 / sum s^2
of the eigenvalues s of the correlation. A factor is a quotient of two participation ratios, as a geometric mean over
all pairs of networks that differ in this setting alone. A pair is left out if one of the two networks diverges. In
parentheses: 95 % intervals over seeds; the null hypothesis is a factor of 1. Of twenty such intervals, one is expected
to miss the true value. In the column of the linear theory, a pair is left out if one of the two representations
vanishes (the sum of s falls below {VANISHED:g} of the initial sum).

{_factors(data)}

Batch norm multiplies the effective number of modes (participation ratio) of the networks in this figure by factors of
{_batch_norm(data)}. This factor and the factors for the other settings depend on the number of steps, here
{STEPS[full]}, and on the ranges over which the settings are varied. The factors therefore do not rank the settings in
general."""
