r"""The Gaussian closure's integrals, r_m = int_0^oo dx int_0^oo dy f_m(x, y), with an error estimate.

f is even and smooth in x and y, and its singularities lie on the imaginary axis, at distances 1/sqrt(2 d_k) set by the
mean square d_k that mode k gives to the norm. With x = X sinh(tau), X = 1/sqrt(2 sum_k d_k), every singularity moves to
|Im tau| >= pi/2 whatever the spread of the d_k, so the trapezoidal rule in tau converges geometrically at a speed that
does not depend on the spectrum; only the length of the tau axis grows, as the logarithm of the spread. O(M) a node.

Where a norm has a power q that is not odd, x^(q-1) makes f neither even nor smooth at zero. There x = X exp(tau), and
what lies left of the first node is a geometric series, f dx ~ exp(q tau), that its weight sums up. Where there is only
one norm, the y axis is a point.

The estimate compares the rule with itself at twice the step (at a geometric rate the relative error is squared when
the step is halved) and adds what the last nodes contribute (truncation) and rounding.
"""

import operator
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import reduce
from typing import Any, NamedTuple

import numpy as np

from dynamics.derived_loss import Integral

CHUNK = 40_000  # elements of an integrand held at once with NumPy: they stay in cache
FARTHEST = 300.0  # end of a tau axis, at most: sinh(tau)^2 is 1e260
NEWTON_STEPS = 8  # from there to where it ends
MAX_NODES = 600  # intervals of an axis
MAX_STEP = 0.35  # of tau
SHARE = 0.15  # of the tolerance: what each cause of error may use
TAIL = 1e-5  # of the tolerance: where the tau axis ends
CANCELLED = 1e-3  # rates below this fraction of the terms they are made of are held to an absolute tolerance
NEAR = 1e-16  # how far f dx is from a geometric series, relative, where one begins
RISE = 2.5  # of an exponent: faster than tau^RISE a single mode would not let the weight of a node come down
SAME = 0.1  # relative: mean squares that changed by less keep the ends of their axes
IRRELEVANT = 1e-13  # modes below this fraction of the largest eigenvalue lengthen the axes less and less


@dataclass(frozen=True)
class Axis:
    """Trapezoidal rule on one norm's axis: nodes and weights (..., n + 1), and the weights at twice the step."""

    nodes: np.ndarray
    fine: np.ndarray
    coarse: np.ndarray
    step: np.ndarray  # of tau, (..., 1)

    def __getitem__(self, part: slice) -> "Axis":
        return Axis(self.nodes[..., part], self.fine[..., part], self.coarse[..., part], self.step)

    def rows(self, part: slice) -> "Axis":
        """The axes of a part of the batch (B, n + 1)."""
        return Axis(self.nodes[part], self.fine[part], self.coarse[part], self.step[part])


def span(d, heed, power: float, tail: float):
    """Scale X and length T, each (...,), of the tau axis of a norm of mean square sum_k d_k. d, heed: (..., M).

    T is where the weight of a node at y = 0, times the room the other axis gives it, has come down to the tail, for the
    slowest mode, as far as it is heeded. (From the second power on, every two factors of x come with one of S, which
    takes them back.) The logarithm of that is concave in tau and starts at 0, so that Newton's method from the right
    comes down to its only crossing. A fixed number of steps: a jump would be noise to an integrator.
    """
    xp = d.__array_namespace__()
    total = xp.sum(d, axis=-1, keepdims=True)
    share = d / total
    slowest = xp.min(share**heed, axis=-1, keepdims=True)
    tau, rise = FARTHEST + 0 * total, min(1 + (power % 2 or 2), RISE)
    for _ in range(NEWTON_STEPS):
        square, double = xp.sinh(tau) ** 2, xp.sinh(2 * tau)
        growth = xp.sum(xp.log1p(share * square), axis=-1, keepdims=True) / 2
        steepness = xp.sum(share * double / (1 + share * square), axis=-1, keepdims=True) / 2
        decay = rise * tau - growth - xp.log1p(slowest * square)
        slope = rise - steepness - slowest * double / (1 + slowest * square)
        tau = tau - (decay - np.log(tail)) / slope
    return 1 / xp.sqrt(2 * total[..., 0]), tau[..., 0]


def before_zero(power: float) -> float:
    """How far the tau axis reaches to the left of zero: nowhere for an odd power, else to where a series begins."""
    return 0.0 if power % 2 == 1 else -np.log(NEAR) / (power + 2)


def axis(scale, length, n: int, power: float = 1) -> Axis:
    """n intervals (even) on tau up to length; x = scale sinh(tau), or scale exp(tau). scale, length: (...,)."""
    xp = scale.__array_namespace__()
    start, grid, even = before_zero(power), np.arange(n + 1) / n, np.arange(n + 1) % 2 == 0
    tau, step = (start + length)[..., None] * grid - start, (start + length)[..., None] / n
    last = np.where(grid == 1, 0.5, 1.0)
    if power % 2 == 1:
        x, slope = xp.sinh(tau), xp.cosh(tau)
        fine = coarse = np.where(grid == 0, 0.5, last)
    else:
        x = slope = xp.exp(tau)
        fine, coarse = (xp.where(grid == 0, -1 / xp.expm1(-power * h), last) for h in (step, 2 * step))
    width = scale[..., None] * step * slope
    return Axis(scale[..., None] * x, width * fine, width * (2 * coarse * even), step)


def point(like: Axis) -> Axis:
    """The axis of a norm that is not there."""
    one = like.nodes[..., :1] ** 0
    return Axis(0 * one, one, one, np.inf * one)


def scales(integral: Integral, parameters):
    """Mean squares of the norms of the x and of the y axis, (2, ..., M); (1, ..., M) where there is only one."""
    found = integral.mean_squares(*parameters)
    found = (found,) if len(integral.powers) == 1 else found
    return parameters[0].__array_namespace__().stack([d + 0 * parameters[0] for d in found])


def relevance(s):
    """Which modes count: (..., M)."""
    return s > IRRELEVANT * s.__array_namespace__().max(s, axis=-1, keepdims=True)


def heeded(s):
    """The power of a mode's share that lengthens an axis (..., M): 1 of what is relevant, 0 of what is dead.

    In between it falls with the orders of magnitude, so that an axis does not jump while a mode dies.
    """
    xp = s.__array_namespace__()
    share = xp.maximum(s / xp.max(s, axis=-1, keepdims=True), IRRELEVANT**2)
    return 2 / xp.maximum(xp.log(share) / np.log(IRRELEVANT), 1.0) - 1


class Sums(NamedTuple):
    """Sums of an integrand over the nodes, each (..., M)."""

    fine: np.ndarray
    coarse_x: np.ndarray  # at twice the step in x
    coarse_y: np.ndarray
    mass: np.ndarray  # of the sizes of its terms
    last_y: np.ndarray  # of the last nodes, for truncation
    last_x: np.ndarray


def sums(integral: Integral, x: Axis, y: Axis, parameters) -> Sums:
    """One evaluation of the integrand, (..., x, y, M), summed in all the ways that value and error need."""
    xp = x.nodes.__array_namespace__()
    per_node = [a[..., None, None, :] for a in parameters]
    nodes = x.nodes[..., :, None, None], y.nodes[..., None, :, None]
    f = integral.integrand(*nodes, *per_node)
    size = f if integral.size is None else integral.size(*nodes, *per_node)
    rows = xp.stack([_product(*w) for w in ((x.fine, y.fine), (x.coarse, y.fine), (x.fine, y.coarse))], axis=-2)
    last_y = x.fine[..., None, :] @ xp.abs(y.fine[..., -1:, None] * f[..., -1, :])
    last_x = y.fine[..., None, :] @ f[..., -1, :, :]
    flat, flat_size = (xp.reshape(a, (*a.shape[:-3], -1, a.shape[-1])) for a in (f, size))
    by_rule, mass = rows @ flat, rows[..., :1, :] @ xp.abs(flat_size)
    return Sums(
        fine=by_rule[..., 0, :],
        coarse_x=by_rule[..., 1, :],
        coarse_y=by_rule[..., 2, :],
        mass=mass[..., 0, :],
        last_y=last_y[..., 0, :],
        last_x=xp.abs(x.fine[..., -1:] * last_x[..., 0, :]),
    )


def _product(a, b):
    """Weights of all nodes, one after another, (..., x y)."""
    xp = a.__array_namespace__()
    return xp.reshape(a[..., :, None] * b[..., None, :], (*a.shape[:-1], -1))


class Estimate(NamedTuple):
    """Value, its estimated absolute errors by cause, the mass of what is summed, and rounding, each (..., M)."""

    value: np.ndarray
    step_x: np.ndarray
    step_y: np.ndarray
    end_x: np.ndarray
    end_y: np.ndarray
    mass: np.ndarray
    rounding: np.ndarray

    @property
    def error(self) -> np.ndarray:
        """All causes together, (..., M)."""
        return self.step_x + self.step_y + self.end_x + self.end_y + self.rounding


def depth(d):
    """-log Z where a mode has its weight, x^2 = 1/d_m: sum_k log(1 + 2 d_k/d_m)/2, bounded, of both axes (..., M).

    It is the argument of an exponential, which turns its rounding into a relative error. d: (2, ..., M).
    """
    xp = d.__array_namespace__()
    order, modes = xp.argsort(d, axis=-1), d.shape[-1]
    ascending = xp.maximum(xp.take_along_axis(d, order, axis=-1), np.finfo(np.float64).tiny)
    logs, rank = xp.log(ascending), np.arange(modes)
    larger = xp.sum(logs, axis=-1, keepdims=True) - xp.cumsum(logs, axis=-1) + (modes - 1 - rank) * (np.log(3) - logs)
    smaller = xp.minimum(2 * xp.cumsum(ascending, axis=-1) / ascending, np.log(3) * (1 + rank))
    return xp.sum(xp.take_along_axis(larger + smaller, xp.argsort(order, axis=-1), axis=-1), axis=0) / 2


def estimate(sums: Sums, x: Axis, y: Axis, exponent) -> Estimate:
    """The rule's value, and what its step and its end on each axis, and rounding, cost. exponent: see ``depth``."""
    xp = sums.fine.__array_namespace__()

    def of_step(coarse):
        relative = xp.abs(sums.fine - coarse) / xp.where(sums.mass > 0, sums.mass, 1.0)
        return 2 * sums.mass * xp.minimum(relative, relative**1.5)

    steps = of_step(sums.coarse_x), of_step(sums.coarse_y)
    if exponent.shape[-1] != sums.fine.shape[-1]:  # entries of a matrix: not one a mode
        exponent = xp.max(exponent, axis=-1, keepdims=True)
    rounding = (8 + exponent) * np.finfo(np.float64).eps * sums.mass
    return Estimate(sums.fine, *steps, sums.last_x / x.step, sums.last_y / y.step, sums.mass, rounding)


def ends_of(integrals, parameters) -> list:
    """(scale, length) of the axes of each integral; for any array namespace (JAX: traceable)."""
    parameters, _ = with_dead(parameters)
    return [_ends(integral, scales(integral, parameters), parameters, tail=1e-14) for integral in integrals]


def _ends(integral: Integral, d, parameters, tail: float) -> list:
    heed = heeded(parameters[0])
    return [span(own, heed, power, tail) for own, power in zip(d, integral.powers, strict=True)]


def fixed_rule(integrals, parameters, n: tuple[int, int], ends: list) -> Estimate:
    """The rule with n = (n_x, n_y) intervals to given ends, all nodes at once; for any array namespace."""
    parameters, alive = with_dead(parameters)
    parts = []
    for integral, own in zip(integrals, ends, strict=True):
        axes = zip(own, n, integral.powers, strict=False)
        x, *others = (axis(scale, length, nodes, power) for (scale, length), nodes, power in axes)
        y = others[0] if others else point(x)
        parts.append(estimate(sums(integral, x, y, parameters), x, y, depth(scales(integral, parameters))))
    return only(together(parts), alive)


def with_dead(parameters) -> tuple[tuple, Any]:
    """Parameters (s, lam, ...) with numbers that can be integrated where all modes are dead, and where they are not."""
    s, lam, *others = parameters
    xp = s.__array_namespace__()
    alive = xp.max(s, axis=-1, keepdims=True) > 0
    return (xp.where(alive, s, 1.0), xp.where(alive, lam, 1.0), *others), alive


def only(found: Estimate, alive) -> Estimate:
    """Zero where all modes are dead: nothing moves there."""
    xp = found.value.__array_namespace__()
    return Estimate(*(xp.where(alive, column, 0.0) for column in found))


def together(parts: list[Estimate]) -> Estimate:
    """The estimate of a sum of integrals."""
    return Estimate(*(reduce(operator.add, column) for column in zip(*parts, strict=True)))


def weights_of_rates(s) -> tuple:
    """What errors of rates count with: those of s r, and of r, the less the closer a mode is to dead."""
    xp = s.__array_namespace__()
    return s, s / (s + IRRELEVANT * xp.max(s, axis=-1, keepdims=True))


def relative_errors(s, estimate: Estimate, errors, weights=weights_of_rates):
    """The largest of each kind of error, weighted, relative to the largest entry, or to CANCELLED of what cancels."""
    xp = s.__array_namespace__()
    columns = xp.stack([xp.abs(estimate.value), estimate.mass, *errors])
    largest = xp.max(xp.stack([weight * columns for weight in weights(s)]), axis=-1)  # (weights, columns, ...)
    ratios = largest[:, 2:] / xp.maximum(largest[:, 0], CANCELLED * largest[:, 1])[:, None]
    return xp.max(xp.reshape(ratios, (*ratios.shape[:2], -1)), axis=(0, 2))


@dataclass
class Adaptive:
    """r(s) to a relative tolerance, with NumPy: adapts steps and ends of both axes until the estimated error meets it.

    integrals: rows of a generated module, as ``Integral`` has them. rtol: allowed error of s_m r_m relative to its
    largest entry, and of r_m relative to its largest entry, or as ``error_weights`` says. What was found is kept for
    the next spectrum.
    """

    integrals: tuple
    rtol: float
    error_weights: Callable = weights_of_rates
    max_nodes: int = MAX_NODES
    step: list[float] = field(default_factory=lambda: [MAX_STEP, MAX_STEP])  # of tau, on the x and the y axis
    reach: list[float] = field(default_factory=lambda: [1.0, 1.0])  # end of each axis, as a fraction of ``span``
    worst: float = field(default=0.0, init=False)  # largest estimated relative error so far
    nodes: tuple[int, int] = field(default=(0, 0), init=False)  # of the last evaluation
    causes: list[float] = field(default_factory=lambda: [0.0] * 4, init=False)  # errors in units of rtol, the largest
    intervals: dict = field(default_factory=dict, init=False)  # of each axis
    spans: dict = field(default_factory=dict, init=False)  # of each integral, with the mean squares they are for

    def __call__(self, s, lam, *others) -> Estimate:
        """s: eigenvalues (B, M); lam and others: what else the integrand takes, each (B, any)."""
        parameters, alive = with_dead((s, lam, *others))
        while True:
            found = self._evaluate(parameters)
            kinds = [found.error, *found[1:5]]
            relative, *causes = map(float, relative_errors(parameters[0], found, kinds, self.error_weights))
            if not np.isfinite(relative):
                raise _overflow(s)
            causes = [cause / self.rtol for cause in causes]
            if relative <= self.rtol or max(self.nodes) >= self.max_nodes or max(causes) < SHARE:
                break
            self._refine(causes)
        self.causes = [max(pair) for pair in zip(self.causes, causes, strict=True)]
        self.worst = max(self.worst, relative)
        return only(found, alive)

    def _refine(self, causes: list[float]) -> None:
        for axis in (0, 1):
            if causes[axis] > SHARE:
                self.step[axis] /= 1.4
            if causes[2 + axis] > SHARE:
                self.reach[axis] *= 1.15

    def relax(self) -> None:
        """Save nodes where every spectrum since the last call left room; for callers between steps, not within one.

        The factors keep the errors, which are exponential in them, below the tolerance.
        """
        for axis in (0, 1):
            if self.causes[axis] < 1e-2:
                self.step[axis] = min(1.1 * self.step[axis], MAX_STEP)
            if self.causes[2 + axis] < 1e-3:
                self.reach[axis] *= 0.9 if self.causes[2 + axis] < 1e-8 else 0.97
        self.causes = [0.0] * 4

    def _evaluate(self, parameters) -> Estimate:
        parts, self.nodes = [], (0, 0)
        for integral in self.integrals:
            spans, exponent = self._spans(integral, parameters)
            x, *others = (self._axis(integral, number, ends) for number, ends in enumerate(spans))
            y = others[0] if others else point(x)
            parts.append(estimate(_in_chunks(integral, x, y, parameters), x, y, exponent))
            needed = (max(axis.nodes.shape[-1] - 1, 1) for axis in (x, y))
            self.nodes = tuple(map(max, self.nodes, needed))
        return together(parts)

    def _spans(self, integral, parameters):
        """(scale, length) of both axes, and ``depth``; the last ones while the mean squares are nearly the same."""
        d = scales(integral, parameters)
        if not np.isfinite(d).all():
            raise _overflow(parameters[0])
        kept, *found = self.spans.get(integral, (np.empty(0),))
        if kept.shape != d.shape or (np.abs(d - kept) > SAME * kept).any():
            found = [_ends(integral, d, parameters, tail=TAIL * self.rtol), depth(d)]
            self.spans[integral] = d, *found
        return found

    def _axis(self, integral, number: int, ends) -> Axis:
        """The axis of one norm, to its end and with its step."""
        scale, length, power = ends[0], self.reach[number] * ends[1], integral.powers[number]
        whole = before_zero(power) + length
        return axis(scale, length, self._intervals((integral, number), self.step[number], whole), power)

    def _intervals(self, axis, step: float, length) -> int:
        """Enough intervals for the step; the last number where it still fits, so that r is smooth in s."""
        needed = max(float(length.max()) / step, 16)
        if not needed <= self.intervals.get(axis, 0) <= 1.3 * needed:
            self.intervals[axis] = min(2 * int(np.ceil(1.05 * needed / 2)), self.max_nodes)
        return self.intervals[axis]


def _overflow(s) -> FloatingPointError:
    return FloatingPointError(f"the closure's integrals overflow at eigenvalues {s[s > 0].min():.3g} ... {s.max():.3g}")


def _in_chunks(integral: Integral, x: Axis, y: Axis, parameters) -> Sums:
    """``sums`` over pieces of the batch and of the x axis that fit the cache."""
    batch, entries = (max(a.shape[i] for a in parameters) for i in (0, 1))
    row = y.nodes.shape[-1] * entries
    many, wide = max(1, CHUNK // (row * x.nodes.shape[-1])), max(1, CHUNK // row)
    if many >= batch:
        return sums(integral, x, y, parameters)
    parameters = [np.broadcast_to(a, (batch, a.shape[1])) for a in parameters]
    pieces = []
    for start in range(0, batch, many):
        part = slice(start, start + many)
        rows, own = [a[part] for a in parameters], y.rows(part)
        strips = [sums(integral, x.rows(part)[i : i + wide], own, rows) for i in range(0, x.nodes.shape[-1], wide)]
        over_strips = Sums(*(np.sum(column, axis=0) for column in zip(*strips, strict=True)))
        pieces.append(over_strips._replace(last_x=strips[-1].last_x))
    return Sums(*(np.concatenate(column) for column in zip(*pieces, strict=True)))
