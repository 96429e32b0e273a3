"""Compute the statistics of captions: means over seeds, their errors and intervals, comparisons with a null value."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy import special

CONFIDENCE = 0.95
RESAMPLED = 2_000  # number of bootstrap samples

Array = npt.NDArray[np.float64]


class Interval(NamedTuple):
    """An estimate, the ends of its 95 % confidence interval, and, for a mean, its standard error."""

    value: float
    low: float
    high: float
    error: float = np.nan

    def side(self, null: float) -> int:
        """Return -1 if the interval lies below the null value, 1 if it lies above, 0 if it contains the null value."""
        return int(self.low > null) - int(self.high < null)

    def text(self, form: str = ".2f") -> str:
        """Format the estimate with its interval, such as 0.52 (0.45 to 0.60); ``form`` is the format of each number."""
        return f"{self.value:{form}} ({self.low:{form}} to {self.high:{form}})"


def mean_and_error(values: Array) -> tuple[Array, Array]:
    """Return the mean over seeds (the first axis), and the standard error of the mean."""
    return values.mean(axis=0), values.std(axis=0, ddof=1) / np.sqrt(len(values))


def plus_minus(values: Array, digits: int = 2) -> str:
    """Format the mean over seeds (S,) and its standard error: 1.14 +- 0.03, with the given number of decimals."""
    mean, error = mean_and_error(values)
    return f"{mean:.{digits}f} +- {error:.{digits}f}"


def mean_of(values: Array) -> Interval:
    """Return the mean of independent values (S,), with a confidence interval from Student's t distribution."""
    mean, error = (float(number) for number in mean_and_error(values))
    half = float(special.stdtrit(len(values) - 1, (1 + CONFIDENCE) / 2)) * error
    return Interval(mean, mean - half, mean + half, error)


def crossed_mean(values: Array) -> Interval:
    """Return the mean of values (S, I) of S networks on the same I images, with a confidence interval.

    The interval holds for other networks and other images of the same kind. The variance of the mean is a sum of two
    terms. The first term is the variance over networks of their means over images, divided by S. The second term is the
    variance over images of their means over networks, divided by I. The degrees of freedom are those of Satterthwaite's
    approximation.
    """
    parts = [values.mean(axis=axis).var(ddof=1) / values.shape[1 - axis] for axis in (1, 0)]
    variance = float(sum(parts))
    weights = sum(part**2 / (size - 1) for part, size in zip(parts, values.shape, strict=True))
    mean, error = float(values.mean()), variance**0.5
    half = float(special.stdtrit(variance**2 / weights, (1 + CONFIDENCE) / 2)) * error if variance else 0.0
    return Interval(mean, mean - half, mean + half, error)


def ratio_of(ratios: Array) -> Interval:
    """Return the geometric mean of independent positive ratios (S,), with a confidence interval.

    The interval is the exponential of the interval for the mean of the logarithms.
    """
    return Interval(*(float(np.exp(number)) for number in mean_of(np.log(ratios))[:3]))


def median_of(values: Array, seed: int = 0) -> Interval:
    """Return the median of values (S, M) of S seeds and M modes, with a bootstrap interval over seeds and modes.

    Values may be infinite; values that are nan are left out. Values of the same seed are not independent, and values of
    the same mode are not independent either. The bootstrap therefore draws whole seeds and whole modes, with
    replacement.
    """
    rng, (seeds, modes) = np.random.default_rng(seed), values.shape
    rows = rng.integers(seeds, size=(RESAMPLED, seeds, 1))
    columns = rng.integers(modes, size=(RESAMPLED, 1, modes))
    medians = [_median(sample) for sample in values[rows, columns]]
    tail = (1 - CONFIDENCE) / 2
    low, high = np.quantile([m for m in medians if not np.isnan(m)], (tail, 1 - tail), method="nearest")
    return Interval(_median(values), float(low), float(high))


def _median(values: Array) -> float:
    """Return the lower median of all values that are not nan; return nan if there are none.

    For an even number of values, the lower median is the smaller one of the two middle values. Their mean is not used,
    because it would be infinite if one of them is infinite.
    """
    counted = np.sort(values[~np.isnan(values)])
    return float(counted[(len(counted) - 1) // 2]) if len(counted) else np.nan


def image_error(accuracies: Array, images: int) -> float:
    """Return the binomial standard error of a mean accuracy, due to the finite number of test images.

    accuracies: the accuracy of each network, between 0 and 1; all networks are tested on the same images. images: the
    number of test images. The returned error is an upper bound, which is reached if all networks fail on the same
    images.
    """
    mean = float(accuracies.mean())
    return float(np.sqrt(mean * (1 - mean) / images))


def difference_error(first: Array, second: Array, images: int) -> float:
    """Return an upper bound of the standard error of the difference of two mean accuracies.

    The error is due to the finite number of test images, ``images``. first, second: accuracies of two groups of
    networks, between 0 and 1; all networks are tested on the same images. The bound is reached if there is no image on
    which networks of both groups fail.
    """
    failures = 2 - float(first.mean()) - float(second.mean())
    return float(np.sqrt(failures / images))
