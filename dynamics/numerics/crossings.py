"""Find the first zero of smooth functions on an interval, even if two zeros lie between two samples."""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import scipy.optimize

Array = npt.NDArray[np.float64]

SAMPLES = 17  # number of samples of a function on the interval; the function should have fewer extrema than samples


def first_crossings(functions: Callable[[npt.ArrayLike], Array], start: float, end: float) -> Array:
    """Return the first zero in [start, end] of each of M functions of time; inf for functions without a zero.

    functions: maps times (...) to the values (..., M) of all M functions. Each function is sampled on the interval. If
    its samples approach zero and depart again without a change of sign, its extremum between these samples is located.
    In this way, two zeros between neighbouring samples are found.
    """
    times = np.linspace(start, end, SAMPLES)
    values = functions(times)

    def alone(m: int) -> Callable[[float], float]:
        return lambda t: float(functions(t)[m])

    return np.array([_first(alone(m), times, values[:, m]) for m in range(values.shape[1])])


def _first(function: Callable[[float], float], times: Array, values: Array) -> float:
    if values[0] == 0:
        return float(times[0])
    sign = np.sign(values[0])
    crossed = np.flatnonzero(sign * values <= 0)
    last = int(crossed[0]) if crossed.size else len(times) - 1
    for low, high in _dips(times[: last + 1], sign * values[: last + 1]):
        found = scipy.optimize.minimize_scalar(
            lambda t: sign * function(t), bounds=(low, high), method="bounded", options={"xatol": 1e-9 * (high - low)}
        )
        if found.fun <= 0:
            return _zero(function, low, float(found.x))
    return _zero(function, times[last - 1], times[last]) if crossed.size else np.inf


def _dips(times: Array, heights: Array) -> list[tuple[float, float]]:
    """Return the intervals, from one sample to the next but one, in which the sampled function may have a minimum.

    The parabola through the three samples of such an interval has its minimum in the interval.
    """
    if len(times) < 3:
        return []
    step = times[1] - times[0]
    slope, curvature = (heights[2:] - heights[:-2]) / 2, heights[2:] - 2 * heights[1:-1] + heights[:-2]
    dips = np.flatnonzero((curvature > 0) & (np.abs(slope) <= curvature) & (heights[2:] > 0))
    return [(times[i], times[i] + 2 * step) for i in dips]


def _zero(function: Callable[[float], float], low: float, high: float) -> float:
    return float(scipy.optimize.brentq(function, low, high))
