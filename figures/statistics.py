"""Statistics of captions: means over seeds with their errors and intervals, compared with a null hypothesis."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy import stats

CONFIDENCE = 0.95
RESAMPLED = 2_000  # number of bootstrap samples

Array = npt.NDArray[np.float64]


class Interval(NamedTuple):
    """An estimate, the ends of its 95 % confidence interval, and its standard error where it is a mean."""

    value: float
    low: float
    high: float
    error: float = np.nan

    def side(self, null: float) -> int:
        """Return -1 if the interval lies below the null hypothesis, 1 if above, and 0 if it contains it."""
        return int(self.low > null) - int(self.high < null)

    def text(self, form: str = ".2f") -> str:
        """Format the estimate with its interval, such as 0.52 (0.45 to 0.60); form: format of each number."""
        return f"{self.value:{form}} ({self.low:{form}} to {self.high:{form}})"


def mean_and_error(values: Array) -> tuple[Array, Array]:
    """Return the mean over seeds (first axis), and the standard error of the mean."""
    return values.mean(axis=0), values.std(axis=0, ddof=1) / np.sqrt(len(values))


def plus_minus(values: Array, digits: int = 2) -> str:
    """Format the mean over seeds (S,) and its standard error: 1.14 +- 0.03, with the given number of decimals."""
    mean, error = mean_and_error(values)
    return f"{mean:.{digits}f} +- {error:.{digits}f}"


def mean_of(values: Array) -> Interval:
    """Return the mean of independent values (S,), with the interval of Student's t distribution."""
    mean, error = (float(number) for number in mean_and_error(values))
    half = float(stats.t.ppf((1 + CONFIDENCE) / 2, len(values) - 1)) * error
    return Interval(mean, mean - half, mean + half, error)


def crossed_mean(values: Array) -> Interval:
    """Return the mean of values (S, I) of S networks on the same I images, with an interval for both samples.

    The variance of the mean is the variance over networks divided by S, plus that over images divided by I, with
    degrees of freedom by Satterthwaite. The interval also holds for other networks and other images of the same kind.
    """
    parts = [values.mean(axis=axis).var(ddof=1) / values.shape[1 - axis] for axis in (1, 0)]
    variance = float(sum(parts))
    weights = sum(part**2 / (size - 1) for part, size in zip(parts, values.shape, strict=True))
    mean, error = float(values.mean()), variance**0.5
    half = float(stats.t.ppf((1 + CONFIDENCE) / 2, variance**2 / weights)) * error if variance else 0.0
    return Interval(mean, mean - half, mean + half, error)


def ratio_of(ratios: Array) -> Interval:
    """Return the geometric mean of independent positive ratios (S,), with the interval of the mean of their logs."""
    return Interval(*(float(np.exp(number)) for number in mean_of(np.log(ratios))[:3]))


def median_of(values: Array, seed: int = 0) -> Interval:
    """Return the median of values (S, M), inf included, with a bootstrap interval over both seeds and modes.

    Entries that are nan do not count. Whole seeds and whole modes are drawn with replacement, because the values of one
    seed, and of one mode, are not independent.
    """
    rng, (seeds, modes) = np.random.default_rng(seed), values.shape
    rows = rng.integers(seeds, size=(RESAMPLED, seeds, 1))
    columns = rng.integers(modes, size=(RESAMPLED, 1, modes))
    medians = [_median(sample) for sample in values[rows, columns]]
    tail = (1 - CONFIDENCE) / 2
    low, high = np.quantile([m for m in medians if not np.isnan(m)], (tail, 1 - tail), method="nearest")
    return Interval(_median(values), float(low), float(high))


def _median(values: Array) -> float:
    """Return the lower median of all values that are not nan: a value of the sample, so that inf needs no mean."""
    counted = np.sort(values[~np.isnan(values)])
    return float(counted[(len(counted) - 1) // 2]) if len(counted) else np.nan


def image_error(accuracies: Array, images: int) -> float:
    """Return the binomial standard error of an accuracy, the mean of ``accuracies``, on a number of test images.

    The mean over networks that are tested on the same images has at most this error, as networks tend to fail on the
    same images.
    """
    mean = float(accuracies.mean())
    return float(np.sqrt(mean * (1 - mean) / images))


def difference_error(first: Array, second: Array, images: int) -> float:
    """Return the largest standard error, from test images, of the difference of two mean accuracies.

    It is reached if the networks of one mean never fail on the same images as those of the other.
    """
    failures = 2 - float(first.mean()) - float(second.mean())
    return float(np.sqrt(failures / images))
