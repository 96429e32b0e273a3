"""Train networks with finite batches in all settings of docs/finite_batches.md; write docs/finite_batches_table.md."""

import textwrap
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.stats import norm
from scipy.stats import t as student

import dynamics as dyn

DOCUMENT = Path(__file__).resolve().parent.parent / "docs" / "finite_batches_table.md"
NOISE, ETA = (0.1, 0.3), 0.1
S0 = np.array([0.1, 0.3, 0.8, 1.6])
TOLERANCE, LEVEL = 0.1, 0.05  # largest error of a predicted deviation, relative; probability of a false alarm
MEMORY = 2**25  # largest number of inputs drawn at once, over all networks and samples

Array = npt.NDArray[np.float64]


class Setting(NamedTuple):
    """Networks of one model, which start from the same weights.

    label: entries of the first columns of the table.
    """

    label: tuple[str, ...]
    model: dyn.Model
    weights: Array
    batch_size: int
    seeds: int
    steps: int
    record: list[int]


class Law(NamedTuple):
    """Variances of modes, or eigenvalues, in trained networks and in the prediction, at T recorded steps.

    Step 0 is left out, because the networks have not yet fluctuated. measured: values in the networks, (seeds, T, M).
    mean, deviation: predicted mean and standard deviation over networks, (T, M). population: values under the
    population map, (T, M), or None. reliable: True at steps at which the prediction is reliable, (T,).
    """

    measured: Array
    mean: Array
    deviation: Array
    population: Array | None
    reliable: npt.NDArray[np.bool_]

    def largest_t(self, mean: Array) -> float:
        """Largest distance between the mean over networks and the values ``mean`` (T, M), in standard errors."""
        error = self.measured.std(axis=0, ddof=1) / np.sqrt(len(self.measured))
        return float(np.abs((self.measured.mean(axis=0) - mean) / error).max())

    @property
    def ratios(self) -> Array:
        """Measured standard deviations over networks divided by predicted standard deviations, (T, M)."""
        return self.measured.std(axis=0, ddof=1) / self.deviation

    @property
    def ratio(self) -> tuple[float, float]:
        """Root mean square of ``ratios``, and the standard error of this number by the jackknife over networks."""
        n = len(self.measured)
        distances = (self.measured - self.measured.mean(axis=0)) ** 2
        variances = (distances.sum(axis=0) - n / (n - 1) * distances) / (n - 2)  # without one of the networks
        without = np.sqrt((variances / self.deviation**2).mean(axis=(1, 2)))
        return float(np.sqrt((self.ratios**2).mean())), float(np.sqrt((n - 1) * without.var()))

    @property
    def within(self) -> tuple[float, float]:
        """Share of networks within two predicted deviations of the predicted mean, and standard error of this share."""
        shares = (np.abs(self.measured - self.mean) <= 2 * self.deviation).mean(axis=(1, 2))
        return float(shares.mean()), float(shares.std(ddof=1) / np.sqrt(len(shares)))


# ------------------------------------------------------------------------------------------------ settings

PREDICTORS = {
    "DirectCopy": dyn.ClosedForm(),
    "DirectPred": dyn.ClosedForm(0.5, 0.1, normalize=True, tracking=0.8),
    "learned": dyn.Learned(2.0, [0.5, 0.6, 0.7, 1.0]),
    "no predictor": dyn.NoPredictor(),
}
ISOTROPIC = {
    "DirectCopy": dyn.ClosedForm(),
    "alpha 1/2": dyn.ClosedForm(0.5),
    "normalised": dyn.ClosedForm(0.5, 0.1, normalize=True),
    "tracked": dyn.ClosedForm(tracking=0.8),
}
CORRELATED: dict[str, dict[str, Any]] = {
    "DirectCopy": {},
    "alpha 1/2": {"predictor": dyn.ClosedForm(0.5)},
    "normalised": {"predictor": dyn.ClosedForm(0.5, 0.1, normalize=True)},
    "tracked": {"predictor": dyn.ClosedForm(0.5, tracking=0.8)},
    "no predictor": {"predictor": dyn.NoPredictor()},
    "isotropic": {"isotropic": True},
    "separate target": {"target": dyn.EMA(0.8)},
}
MANY: dict[tuple[str, str], dict[str, Any]] = {
    ("Euclidean", "DirectCopy, weight decay"): {"weight_decay": 0.01},
    ("Euclidean, isotropic", "DirectCopy"): {"isotropic": True},
    ("Euclidean", "learned, separate target"): {"predictor": dyn.Learned(2.0, 0.5), "target": dyn.EMA(0.9)},
    ("cosine", "DirectCopy"): {},
    ("cosine, isotropic", "DirectCopy, separate target"): {"isotropic": True, "target": dyn.EMA(0.9)},
    ("cosine", "learned, weight decay"): {
        "predictor": dyn.Learned(1.0, [0.5, 0.6, 0.8, 1.0]),
        "weight_decay": 0.01,
    },
}


def white() -> list[Setting]:
    """Return 108 settings of white inputs."""
    kinds = [("Euclidean", PREDICTORS), ("cosine", PREDICTORS), ("cosine, isotropic", ISOTROPIC)]
    settings = []
    for loss, predictors in kinds:
        for name, inputs, batch_size in product(predictors, (4, 64, 784), (64, 256, 4096)):
            model = dyn.Model(
                loss.split(",")[0].lower(), isotropic="iso" in loss, noise=NOISE, predictor=predictors[name]
            )
            directions = np.linalg.qr(np.random.default_rng(0).standard_normal((inputs, len(S0))))[0].T
            label = (loss, name, str(inputs), str(batch_size))
            settings.append(Setting(label, model, np.sqrt(S0)[:, None] * directions, batch_size, 64, 40, [10, 20, 40]))
    return settings


def correlated() -> list[Setting]:
    """Return 42 settings of six inputs with variances from 1 to 0.05."""
    rng = np.random.default_rng(4)
    directions = np.linalg.qr(rng.standard_normal((6, 6)))[0]
    inputs, weights = directions @ np.diag(np.geomspace(1, 0.05, 6)) @ directions.T, rng.normal(0, 0.6, (4, 6))
    return [
        Setting(
            (loss, name, str(batch_size)),
            dyn.Model(loss.lower(), noise=NOISE, inputs=inputs, **CORRELATED[name]),
            weights,
            batch_size,
            seeds=64,
            steps=40,
            record=[10, 20, 40],
        )
        for loss, name, batch_size in product(("Euclidean", "cosine"), CORRELATED, (64, 256, 4096))
    ]


def many_networks() -> list[Setting]:
    """Return eight settings of 2 000 networks, which test the criterion for reliable predictions.

    The limits of this criterion were chosen with other settings.
    """
    weights = np.random.default_rng(3).normal(0, 0.3, (4, 6))  # far from where a step overshoots
    large = [(("Euclidean", "DirectCopy, weight decay"), 4096), (("cosine", "DirectCopy"), 4096)]
    settings = []
    for (loss, name), batch_size in [*((kind, 256) for kind in MANY), *large]:
        model = dyn.Model(loss.split(",")[0].lower(), noise=NOISE, **MANY[loss, name])
        label = (loss, name, "6", str(batch_size))
        settings.append(Setting(label, model, weights, batch_size, 2000, 60, [20, 30, 40, 50, 60]))
    return settings


# ------------------------------------------------------------------------------------------------ measurement


def measure(setting: Setting) -> dict[str, Law]:
    """Train the networks of a setting; return a ``Law`` of the modes and, for correlated inputs, of the eigenvalues."""
    model, weights, batch_size = setting.model, setting.weights, setting.batch_size
    options: dict[str, Any] = {"batch_size": batch_size, "record": setting.record}
    together = max(1, MEMORY // (weights.shape[1] * batch_size))
    runs = [
        dyn.train(
            model,
            weights,
            setting.steps,
            ETA,
            seed=range(i, min(i + together, setting.seeds)),
            progress=False,
            **options,
        )
        for i in range(0, setting.seeds, together)
    ]
    if model.inputs is None:
        start = np.linalg.svd(weights, compute_uv=False)[::-1] ** 2
        theory = dyn.iterate(model, start, setting.steps, ETA, input_dimension=weights.shape[1], **options)
        laws = {"modes": ("modes", theory.s, theory.deviation, theory.population, theory.reliable)}
    else:
        theory = dyn.iterate(model, weights, setting.steps, ETA, **options)
        laws = {
            "modes": ("modes", theory.modes, theory.mode_deviation, None, theory.mode_reliable),
            "eigenvalues": ("s", theory.s, theory.deviation, theory.population, theory.reliable),
        }
    recorded = slice(1, len(theory.s))
    return {
        quantity: Law(
            np.concatenate([np.asarray(getattr(run, name)) for run in runs])[:, recorded],
            *(None if part is None else np.asarray(part)[recorded] for part in parts),  # type: ignore[arg-type]
        )
        for quantity, (name, *parts) in laws.items()
    }


# ------------------------------------------------------------------------------------------------ page


class Row(NamedTuple):
    """The statistics of one setting in the table."""

    label: tuple[str, ...]
    t: float  # largest distance of the mean over networks from the predicted mean, in standard errors
    population: float  # the same distance from the population map; nan if the map was not computed
    ratio: float  # measured divided by predicted standard deviation, root mean square over modes and steps
    ratio_error: float
    least: float  # smallest ratio of one mode at one step
    largest: float  # largest ratio of one mode at one step
    within: float  # share of networks within two predicted deviations of the predicted mean
    within_error: float
    reliable: bool  # True if the prediction is reliable up to the last step

    @property
    def off(self) -> bool:
        """True if the predicted deviation is wrong by more than TOLERANCE."""
        return not abs(self.ratio - 1) < TOLERANCE

    @property
    def off_by_chance(self) -> float:
        """Probability that sampling alone makes the predicted deviation appear wrong by more than TOLERANCE."""
        return float(2 * norm.sf(TOLERANCE / self.ratio_error))


def row_of(label: tuple[str, ...], law: Law, steps: int) -> Row:
    """Return the statistics of a ``Law`` for the table; a prediction that ends early is not reliable.

    steps: number of recorded steps after step 0.
    """
    if law.measured.shape[1] < steps:
        return Row(label, *[np.nan] * 8, reliable=False)
    population = np.nan if law.population is None else law.largest_t(law.population)
    ratios = float(law.ratios.min()), float(law.ratios.max())
    return Row(label, law.largest_t(law.mean), population, *law.ratio, *ratios, *law.within, bool(law.reliable[-1]))


def summary(rows: list[Row], values: int, seeds: int) -> str:
    """Return sentences that compare the statistics of all settings with their values if the prediction holds.

    values: number of modes times recorded steps. seeds: number of networks in each setting.
    """
    reliable, flagged = ([row for row in rows if row.reliable == wanted] for wanted in (True, False))
    bound = float(student.isf(LEVEL / (2 * values * max(len(reliable), 1)), seeds - 1))
    scores = [abs(row.ratio - 1) / row.ratio_error for row in reliable]
    errors = [100 * row.ratio_error for row in reliable]
    beyond = sum(row.t > bound for row in reliable)
    known = [row for row in reliable if not np.isnan(row.population)]
    maps = sum(row.population > bound for row in known)
    most = float(norm.isf(LEVEL / (2 * max(len(reliable), 1))))
    error = 100 / np.sqrt(2 * seeds)
    widest = error * float(norm.isf(LEVEL / (2 * values * max(len(reliable), 1))))
    lines = [
        f"{len(reliable)} of {len(rows)} settings are reliable up to the last step.",
        f"Means: the largest t is {max(row.t for row in reliable):.1f}. Bonferroni's bound of Student's t at 5 %, for "
        f"all {values} values in each of these settings, is {bound:.1f}; it is exceeded in {beyond} settings."
        + (f" The population map exceeds the bound in {maps} of {len(known)} settings." if known else ""),
        f"Deviations: ratios lie between {min(row.ratio for row in reliable):.3f} and "
        f"{max(row.ratio for row in reliable):.3f}, with standard errors of {min(errors):.1f} to {max(errors):.1f} %. "
        f"The largest distance from 1 is {max(scores):.1f} standard errors (bound at 5 %, all settings: {most:.1f}). "
        f"{_off(reliable)} Single ratios lie between {min(row.least for row in reliable):.2f} and "
        f"{max(row.largest for row in reliable):.2f}; each has a standard error of {error:.1f} %, so that all are "
        f"within {widest:.0f} % of 1 with a probability of 95 % if the prediction holds.",
        f"Shares within two deviations: {_shares(reliable)}; 95.4 % if fluctuations are normal.",
    ]
    if flagged:
        measured = [row for row in flagged if not np.isnan(row.ratio)]
        ended = len(flagged) - len(measured)
        lines.append(
            f"In the {len(flagged)} settings that are not reliable, ratios lie between "
            f"{min(row.ratio for row in measured):.2f} and {max(row.ratio for row in measured):.2f}. {_off(measured)}"
            + (f" In {ended} settings the prediction ends before the last step." if ended else "")
        )
    return "\n".join(textwrap.fill(line, 120, initial_indent="- ", subsequent_indent="  ") for line in lines)


def _off(rows: list[Row]) -> str:
    off, chance = sum(row.off for row in rows), sum(row.off_by_chance for row in rows)
    return (
        f"The ratio is off by more than {100 * TOLERANCE:.0f} % in {off} settings; if the prediction holds, sampling "
        f"alone is expected to do this in {chance:.1f} settings."
    )


def _shares(rows: list[Row]) -> str:
    low, high = (pick(rows, key=lambda row: row.within) for pick in (min, max))
    return " to ".join(f"{100 * row.within:.1f} +- {100 * row.within_error:.1f} %" for row in (low, high))


def table(head: list[str], rows: list[Row]) -> str:
    """Format the rows as a Markdown table; head: titles of the columns of labels."""
    titles = [*head, "t", "t, population map", "ratio", "within / %", "reliable"]
    lines = [f"| {' | '.join(titles)} |", "|---" * len(titles) + "|"]
    for row in rows:
        cells = ["", "", "", ""]
        if not np.isnan(row.t):
            population = "" if np.isnan(row.population) else f"{row.population:.1f}"
            digits = 2 if row.ratio_error >= 0.01 else 3
            ratio = f"{row.ratio:.{digits}f} +- {row.ratio_error:.{digits}f}"
            within = f"{100 * row.within:.1f} +- {100 * row.within_error:.1f}"
            cells = [f"{row.t:.1f}", population, ratio, within]
        lines.append(f"| {' | '.join([*row.label, *cells, 'yes' if row.reliable else 'no'])} |")
    return "\n".join(lines)


class Section(NamedTuple):
    """Settings that have a common table on the page."""

    title: str
    settings: list[Setting]
    head: list[str]
    quantity: str = "modes"


def sections() -> list[Section]:
    """Return the sections of the page."""
    white_head, correlated_head = ["loss", "predictor", "N", "B"], ["loss", "model", "B"]
    return [
        Section("White inputs", white(), white_head),
        Section("Correlated inputs, variances along the initial eigenvectors", correlated(), correlated_head),
        Section("Correlated inputs, eigenvalues", correlated(), correlated_head, "eigenvalues"),
        Section("2 000 networks", many_networks(), white_head),
    ]


def document(laws: dict[tuple[str, ...], dict[str, Law]]) -> str:
    """Return the text of the page. laws: for each label of a setting, the result of ``measure``."""
    parts = [INTRODUCTION]
    for title, settings, head, quantity in sections():
        rows = [row_of(each.label, laws[each.label][quantity], len(each.record)) for each in settings]
        first = settings[0]
        values = first.weights.shape[0] * len(first.record)
        parts += [f"## {title}", summary(rows, values, first.seeds), table(head, rows)]
    return "\n\n".join(parts) + "\n"


INTRODUCTION = """# Finite batches: all settings

Written by `make finite-batches` (`tools/finite_batches.py`), which trains the networks of all settings; this takes an
hour of processor time. [finite_batches.md](finite_batches.md) explains the prediction.

Learning rate 0.1, noise 0.1 and 0.3, M = 4 modes. White inputs: initial eigenvalues 0.1, 0.3, 0.8 and 1.6; 64 networks;
steps 10, 20 and 40. Correlated inputs: N = 6 inputs with variances from 1 to 0.05; 64 networks; steps 10, 20 and 40.
2 000 networks: steps 20, 30, 40, 50 and 60. The limits of the criterion for a reliable prediction were chosen with 97
of the settings of white inputs, and not with those of 2 000 networks.

- t: largest distance of the mean over networks from the predicted mean, or from the population map, in standard errors,
  over modes and steps.
- ratio: measured divided by predicted standard deviation, root mean square over modes and steps, +- standard error by
  the jackknife over networks. The predicted deviation also has an error, of about 1 %, which is not included.
- within: share of networks within two predicted deviations of the predicted mean, +- standard error.
- reliable: `reliable` (`mode_reliable` for variances along the initial eigenvectors) at the last step."""


def main() -> None:
    """Measure all settings and write the page."""
    laws: dict[tuple[str, ...], dict[str, Law]] = {}
    for settings in (white(), correlated(), many_networks()):
        for number, setting in enumerate(settings, 1):
            laws[setting.label] = measure(setting)
            print(f"{number} of {len(settings)}: {', '.join(setting.label)}", flush=True)
    DOCUMENT.write_text(document(laws), encoding="utf-8")


if __name__ == "__main__":
    main()
