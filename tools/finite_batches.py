"""Train networks with finite batches in all settings of docs/finite_batches.md; write docs/finite_batches_table.md."""

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
    """Variances of networks (seeds, T, M), their predicted mean and deviation, and the population map (T, M).

    The start, at which nothing has fluctuated, is left out. reliable: True where the prediction is, (T,).
    """

    measured: Array
    mean: Array
    deviation: Array
    population: Array | None
    reliable: npt.NDArray[np.bool_]

    def largest_t(self, mean: Array) -> float:
        """Largest distance of the mean over networks from ``mean``, in standard errors."""
        error = self.measured.std(axis=0, ddof=1) / np.sqrt(len(self.measured))
        return float(np.abs((self.measured.mean(axis=0) - mean) / error).max())

    @property
    def ratios(self) -> Array:
        """Measured standard deviations divided by the predicted ones, (T, M)."""
        return self.measured.std(axis=0, ddof=1) / self.deviation

    @property
    def ratio(self) -> tuple[float, float]:
        """Root mean square of the ratios, and its standard error by the jackknife over networks."""
        n = len(self.measured)
        distances = (self.measured - self.measured.mean(axis=0)) ** 2
        variances = (distances.sum(axis=0) - n / (n - 1) * distances) / (n - 2)  # without one of the networks
        without = np.sqrt((variances / self.deviation**2).mean(axis=(1, 2)))
        return float(np.sqrt((self.ratios**2).mean())), float(np.sqrt((n - 1) * without.var()))

    @property
    def within(self) -> tuple[float, float]:
        """Share of networks within two predicted deviations of the predicted mean, and its standard error."""
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
    """Return eight settings of 2 000 networks, with which no limit of the criterion was chosen."""
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
    """Train the networks of a setting; return the law of their modes, and of eigenvalues for correlated inputs."""
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
