"""Adaptive quadrature, with NumPy, of the Gaussian closure's integrals that ``quadrature`` defines.

The estimated error determines the steps and the lengths of the integration axes.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from dynamics.derived_loss import Integral
from dynamics.numerics.axes import Array, Axis, left_extent, point_axis, trapezoidal_axis
from dynamics.numerics.quadrature import (
    Estimate,
    Sums,
    axis_extents,
    estimate,
    mean_squares,
    rate_weights,
    relative_errors,
    replace_collapsed,
    rounding_exponent,
    sums,
    total,
    zero_where_collapsed,
)

CHUNK = 40_000  # number of integrand values that are computed at once, small enough for the cache
MAX_NODES = 600  # largest number of intervals of an axis
MAX_STEP = 0.35  # largest step of tau, the variable of an axis (see ``axes``)
SHARE = 0.15  # fraction of the tolerance that the error of a single step size or axis end may reach
TAIL_SHARE = 1e-5  # relative weight of the node at which a tau axis ends, in units of the tolerance
SAME = 0.1  # relative change of the mean squares below which the axes keep their ends


@dataclass
class Adaptive:
    """Sums r_m(s) of integrals over (x, y), one sum for each mode m, computed to a relative tolerance.

    s are the eigenvalues of the correlation. The estimated error determines the steps and the lengths of the x axis and
    of the y axis.

    Parameters
    ----------
    integrals : sequence of Integral
        The integrals of one expectation of a derived loss.
    rtol : float
        Allowed error of s_m r_m, relative to the largest s_m r_m, and of r_m, relative to the largest r_m. With
        ``error_weights``, allowed relative error of the weighted r_m.
    error_weights : callable, optional
        Function of the eigenvalues s (B, M) that returns a tuple of weights, each (B, M). The tolerance holds for r_m
        times each of the weights.
    max_nodes : int, optional
        Largest number of intervals of an axis.

    Attributes
    ----------
    worst : float
        Largest estimated error so far, relative to the largest r_m so far in the same row of the batch, weighted as the
        tolerance. It includes rounding, which dominates where terms cancel; 1 if all r_m are zero within their error.
    missed : float
        Largest error so far in the sense of the tolerance, which leaves rounding errors out where terms cancel; it
        exceeds ``rtol`` if ``max_nodes`` intervals were too few.
    latest : tuple of float
        Largest estimated absolute error and largest |r_m| of the last evaluation, under the last of the weights.
    nodes : tuple of int
        Largest numbers of intervals of the x axis and of the y axis in the last evaluation.

    Notes
    -----
    Steps and lengths of the axes are kept from one call to the next, so that r is a smooth function of time along a
    trajectory.

    Examples
    --------
    >>> import numpy as np
    >>> import dynamics as dyn
    >>> from dynamics.numerics.adaptive_quadrature import Adaptive
    >>> rates = dyn.Model("cosine").generated.rates
    >>> s, one, sigma = np.array([[0.5, 1.0]]), np.ones((1, 1)), np.zeros((1, 1))
    >>> Adaptive(rates.integrals, rtol=1e-9)(s, s, one, sigma, sigma).value.shape
    (1, 2)
    """

    integrals: Sequence[Integral]
    rtol: float
    error_weights: Callable[[Array], tuple[Any, ...]] = rate_weights
    max_nodes: int = MAX_NODES
    worst: float = field(default=0.0, init=False)
    missed: float = field(default=0.0, init=False)
    latest: tuple[float, float] = field(default=(0.0, 0.0), init=False)
    nodes: tuple[int, int] = field(default=(0, 0), init=False)

    def __post_init__(self) -> None:
        self._step = [MAX_STEP, MAX_STEP]  # step of tau on the x and the y axis
        self._reach = [1.0, 1.0]  # length of each axis, as a fraction of its ``extent``
        self._causes = [0.0] * 4  # largest errors since ``relax``, in units of rtol: x step, y step, x end, y end
        self._intervals: dict[tuple[Integral, int], int] = {}  # number of intervals of each axis
        self._largest: Array = np.zeros((0, 0))  # largest weighted |r_m| so far, for each weight and row (weights, B)
        self._extents: dict[Integral, tuple[Any, ...]] = {}  # mean squares; extents and exponent for them

    def __call__(self, s: Array, lam: Array, *others: Array, added: Array = 0.0, known: Array = False) -> Estimate:
        """Return the estimate of the integrals.

        s: eigenvalues (B, M). lam, others: the further arguments of the integrand, each (B, K) with any K. added: part
        of r_m that is no integral, (B, M); errors are relative to the sum. known: mask (B, 1) of rows whose r_m is
        known, so that their error does not count. Raises FloatingPointError if the integrand overflows.
        """
        parameters, alive = replace_collapsed((s, lam, *others))
        while True:
            with np.errstate(all="ignore"):
                result = self._evaluate(parameters)
            kinds = [result.error, *result[1:5]]
            attainable = 2 * result.rounding / self.rtol  # least r_m whose rounding error leaves room for other errors
            ratios = relative_errors(parameters[0], result, kinds, self.error_weights, attainable)
            relative, *causes = map(float, ratios)
            if not np.isfinite(relative):
                raise _overflow(s)
            causes = [cause / self.rtol for cause in causes]
            if relative <= self.rtol or max(self.nodes) >= self.max_nodes or max(causes) < SHARE:
                break
            self._refine(causes)
        self._causes = [max(pair) for pair in zip(self._causes, causes, strict=True)]
        self.missed = max(self.missed, relative)
        self._note(parameters[0], result, added, alive & ~np.asarray(known))
        return zero_where_collapsed(result, alive)

    def _note(self, s: Array, result: Estimate, added: Array, counts: Array) -> None:
        """Note the error relative to the largest r_m so far, in the rows that count."""
        value, error = (
            np.stack([(weight * column).max(axis=-1) for weight in self.error_weights(s)])
            for column in (np.abs(result.value + added), result.error)
        )
        self.latest = tuple(float(np.max(part[-1], where=counts[:, 0], initial=0.0)) for part in (error, value))
        if self._largest.shape == value.shape:
            value = np.maximum(value, self._largest)
        elif self._largest.size:  # other members of the ensemble
            value = np.maximum(value, self._largest.min(axis=-1, keepdims=True))
        self._largest = value
        relative = np.where(error < value, error / np.where(value > 0, value, 1.0), error > 0)
        self.worst = max(self.worst, float(np.max(relative, where=counts[:, 0], initial=0.0)))

    def relax(self) -> None:
        """Lengthen the steps and shorten the axes whose errors since the last ``relax`` were far below the tolerance.

        To be called between the steps of an integrator, not within a step. Errors depend exponentially on the step and
        on the length of an axis; both change by factors small enough to keep the errors below the tolerance.
        """
        for axis in (0, 1):
            if self._causes[axis] < 1e-2:
                self._step[axis] = min(1.1 * self._step[axis], MAX_STEP)
            if self._causes[2 + axis] < 1e-3:
                self._reach[axis] *= 0.9 if self._causes[2 + axis] < 1e-8 else 0.97
        self._causes = [0.0] * 4

    def _refine(self, causes: list[float]) -> None:
        for axis in (0, 1):
            if causes[axis] > SHARE:
                self._step[axis] /= 1.4
            if causes[2 + axis] > SHARE:
                self._reach[axis] *= 1.15

    def _evaluate(self, parameters: Sequence[Array]) -> Estimate:
        parts, self.nodes = [], (0, 0)
        for integral in self.integrals:
            extents, exponent = self._extents_of(integral, parameters)
            x, *second = (self._axis(integral, number, extent) for number, extent in enumerate(extents))
            y = second[0] if second else point_axis(x)
            parts.append(estimate(_sums_in_chunks(integral, x, y, parameters), x, y, exponent))
            n_x, n_y = (max(axis.nodes.shape[-1] - 1, 1) for axis in (x, y))
            self.nodes = max(self.nodes[0], n_x), max(self.nodes[1], n_y)
        return total(parts)

    def _extents_of(self, integral: Integral, parameters: Sequence[Array]) -> tuple[Any, ...]:
        """Return (scale, length) of each integration axis, and the result of ``rounding_exponent``.

        The previous results are returned while the mean squares of the norms have changed by less than SAME.
        """
        d = mean_squares(integral, parameters)
        if not np.isfinite(d).all():
            raise _overflow(parameters[0])
        last, *results = self._extents.get(integral, (np.empty(0),))
        if last.shape != d.shape or (np.abs(d - last) > SAME * last).any():
            extents = axis_extents(integral, d, parameters[0], TAIL_SHARE * self.rtol)
            if not np.isfinite(extents).all():  # as a norm is zero, or too small for its square
                raise _overflow(parameters[0])
            results = [extents, rounding_exponent(d)]
            self._extents[integral] = d, *results
        return tuple(results)

    def _axis(self, integral: Integral, number: int, extent: tuple[Array, Array]) -> Axis:
        """Return the integration axis of a norm, with the present length and step. number: 0 for x, 1 for y."""
        scale, length, power = extent[0], self._reach[number] * extent[1], integral.powers[number]
        n = self._intervals_of((integral, number), self._step[number], left_extent(power) + length)
        return trapezoidal_axis(scale, length, n, power)

    def _intervals_of(self, axis: tuple[Integral, int], step: float, length: Array) -> int:
        """Return a number of intervals that divides an axis of the given length into steps of at most ``step``.

        The previous number is returned while it is large enough and not much too large, so that the integrals are
        smooth functions of the eigenvalues.
        """
        needed = max(float(length.max()) / step, 16)
        if not needed <= self._intervals.get(axis, 0) <= 1.3 * needed:
            self._intervals[axis] = min(2 * int(np.ceil(1.05 * needed / 2)), self.max_nodes)
        return self._intervals[axis]


def _overflow(s: Array) -> FloatingPointError:
    smallest = s[s > 0].min(initial=np.inf)
    return FloatingPointError(f"the closure's integrals overflow at eigenvalues {smallest:.3g} ... {s.max():.3g}")


def _sums_in_chunks(integral: Integral, x: Axis, y: Axis, parameters: Sequence[Array]) -> Sums:
    """Return the result of ``sums``, computed for pieces of the batch and of the x axis that fit into the cache."""
    batch, entries = (max(a.shape[i] for a in parameters) for i in (0, 1))
    row = y.nodes.shape[-1] * entries
    many, wide = max(1, CHUNK // (row * x.nodes.shape[-1])), max(1, CHUNK // row)
    if many >= batch:
        return sums(integral, x, y, parameters)
    parameters = [np.broadcast_to(a, (batch, a.shape[1])) for a in parameters]
    pieces = []
    for start in range(0, batch, many):
        part = slice(start, start + many)
        rows, y_part = [a[part] for a in parameters], y.rows(part)
        strips = [sums(integral, x.rows(part)[i : i + wide], y_part, rows) for i in range(0, x.nodes.shape[-1], wide)]
        over_strips = Sums(*(np.sum(column, axis=0) for column in zip(*strips, strict=True)))
        pieces.append(over_strips._replace(last_x=strips[-1].last_x))
    return Sums(*(np.concatenate(column) for column in zip(*pieces, strict=True)))
