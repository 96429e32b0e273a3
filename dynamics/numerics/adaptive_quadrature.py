"""Compute the integrals of the Gaussian closure by adaptive quadrature, with NumPy.

``quadrature`` defines the integrals. The steps and the lengths of the integration axes are chosen by the estimated
error.
"""

import operator
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import reduce
from typing import Any

import numpy as np

from dynamics.derived_loss import Integral
from dynamics.numerics.axes import POINT, Array, extent, left_extent, mode_weights, trapezoidal_axis
from dynamics.numerics.quadrature import (
    CANCELLED,
    Estimate,
    Rule,
    Sums,
    estimate,
    mean_squares,
    product_rule,
    rate_weights,
    relative_errors,
    replace_collapsed,
    sums_of,
    total,
    values_at_nodes,
    weighted_values,
    zero_where_collapsed,
)

CHUNK = 40_000  # number of integrand values that are computed at once, small enough for the cache
MAX_NODES = 600  # largest number of intervals of an axis
MAX_STEP = 0.5  # largest step of tau, the variable of an axis (see ``axes``)
ACCEPTED = 0.7  # fraction of the tolerance that the error of new rules may reach, before nodes are left out
SHARE = 0.1  # fraction of the tolerance that the error of a single step size or axis end may reach
TAIL_SHARE = 1e-3  # relative weight of the node at which a tau axis ends, divided by the tolerance
DROPPED, OUTER = 0.01, 0.05  # contributions of nodes that are left out, and of outermost nodes, over the tolerance
SAMPLED = 256  # number of rows of a batch that determine which nodes are left out
KEPT = 9.0  # relative change of the mean squares up to which a rule that misses no tolerance is kept
RENEWED = 30  # number of checks up to which a rule that misses no tolerance is kept after any change
TRUSTED = 0.2  # relative change of the mean squares up to which the error of a rule is not computed anew


@dataclass
class Adaptive:
    """A function that computes, for each mode m, an expectation r_m(s) as a sum of integrals over x and y.

    s are the eigenvalues of the correlation. The steps and the lengths of the x axis and of the y axis are chosen so
    that the estimated error of r_m meets a relative tolerance.

    Parameters
    ----------
    integrals : sequence of Integral
        The integrals of one expectation of a derived loss.
    rtol : float
        Tolerance for two errors: the error of s_m r_m, relative to the largest s_m r_m, and the error of r_m, relative
        to the largest r_m. With ``error_weights``, tolerance for the relative error of the weighted r_m.
    error_weights : callable, optional
        Function of the eigenvalues s (B, M) that returns a tuple of weights, each (B, M). The tolerance holds for r_m
        times each of the weights.
    max_nodes : int, optional
        Largest number of intervals of an axis.

    Attributes
    ----------
    worst : float
        Largest estimated error so far, relative to the largest r_m so far in the same row of the batch. The error and
        r_m are multiplied by the last of the weights. The error includes rounding, which dominates if terms cancel;
        1 if all r_m are zero within their error.
    missed : float
        Largest error so far that was compared with ``rtol``. This error leaves out rounding errors if terms cancel. It
        exceeds ``rtol`` if ``max_nodes`` intervals were too few.
    latest : tuple of float
        Largest estimated absolute error and largest |r_m| when the error was last computed, under the last weight.
    rules : list of Rule
        Quadrature rule of each integral, without the nodes that the spectra so far did not need.
    nodes : tuple of int
        Numbers of intervals of the x axis and of the y axis in the rule that was chosen last, before nodes were left
        out; 1 for the y axis of an integral over x alone.

    Notes
    -----
    A rule is kept from one call to the next as long as it meets the tolerance. The nodes of a rule are proportional to
    the scales of the norms, and therefore change continuously with the eigenvalues. Along a trajectory, r_m is then a
    smooth function of time.

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
        self.rules: list[Rule] = []
        self._squares: list[Array] = []  # mean squares for which the rules were chosen
        self._checks = 0  # number of checks of the rules since they were chosen
        self._checked: list[Array] = []  # mean squares for which the error was computed last
        self._largest: Array = np.zeros((0, 0))  # largest weighted |r_m| so far, for each weight and row (weights, B)

    def value(self, s: Array, lam: Array, *others: Array, added: Array = 0.0, known: Callable[[], Any] = bool) -> Array:
        """Return r_m (B, M) without errors; estimate the errors internally only if they may have grown.

        The errors depend on the mean squares of the norms. ``__call__`` computes them again once a mean square has
        changed by more than the fraction TRUSTED since the errors were computed last. The arguments are those of
        ``__call__``.
        """
        if self._checked:
            parameters = (s, lam, *others)
            with np.errstate(all="ignore"):
                squares = [mean_squares(integral, parameters) for integral in self.integrals]
                if _near(squares, self._checked, TRUSTED):  # False if all modes of a row have collapsed, or for nan
                    pairs = zip(self.integrals, self.rules, squares, strict=True)
                    return reduce(operator.add, [_value_in_chunks(*each, parameters) for each in pairs])
        return self(s, lam, *others, added=added, known=known).value

    def __call__(
        self, s: Array, lam: Array, *others: Array, added: Array = 0.0, known: Callable[[], Any] = bool
    ) -> Estimate:
        """Return the sum r_m of the integrals for each mode m, with its estimated errors, as an ``Estimate``.

        s: eigenvalues (B, M) of the correlation. lam, others: the further arguments of the integrand, each (B, K) with
        any K. added: a term (B, M) that the caller adds to the integrals; errors are relative to the sum of ``added``
        and the integrals. known: function that returns a mask (B, 1). The mask is True for rows in which the caller
        replaces the integrals by values that it knows; errors in these rows do not count. Raises FloatingPointError if
        the integrand overflows.
        """
        parameters, alive = replace_collapsed((s, lam, *others))
        with np.errstate(all="ignore"):
            squares = self._mean_squares(parameters)
            result, relative = None, np.inf
            if self.rules and (self._checks < RENEWED or _near(squares, self._squares, KEPT)):
                self._checks += 1
                result = self._evaluate(squares, parameters)
                relative = self._relative(parameters[0], result)[0]
            if result is None or (relative > self.rtol and max(self.nodes) < self.max_nodes):
                result, relative = self._choose_rules(squares, parameters)
        self._checked, self.missed = squares, max(self.missed, relative)
        self._note(parameters[0], result, added, alive & ~np.asarray(known()))
        return zero_where_collapsed(result, alive)

    def _mean_squares(self, parameters: Sequence[Array]) -> list[Array]:
        squares = [mean_squares(integral, parameters) for integral in self.integrals]
        if not all(np.isfinite(d).all() for d in squares):
            raise _overflow(parameters[0])
        return squares

    def _evaluate(self, squares: list[Array], parameters: Sequence[Array]) -> Estimate:
        weights = self.error_weights(parameters[0])[-1]
        rows = zip(self.integrals, self.rules, squares, strict=True)
        return total([estimate(_sums_in_chunks(*each, parameters), weights, each[0].softened) for each in rows])

    def _relative(self, s: Array, result: Estimate) -> list[float]:
        """Return the relative error of a result, followed by the four parts of this error that have different causes.

        The causes are the step of the x axis, the step of the y axis, the end of the x axis and the end of the y axis.
        Raises FloatingPointError if the error is not a number.
        """
        kinds = [result.error, *result[1:5]]
        relative = [float(a) for a in relative_errors(s, result, kinds, self.error_weights, self._floor(result))]
        if not np.isfinite(relative[0]):
            raise _overflow(s)
        return relative

    def _floor(self, result: Estimate) -> Array:
        """Return the floor (B, M) of r_m: for a smaller |r_m|, the error is divided by the floor and not by |r_m|.

        If the terms of r_m cancel, an error relative to |r_m| would be too strict. The rounding error, divided by the
        floor, is at most a third of ``rtol``.
        """
        return np.maximum(3 * result.rounding / self.rtol, CANCELLED * result.mass)

    def _note(self, s: Array, result: Estimate, added: Array, counts: Array) -> None:
        """Update the attributes ``latest`` and ``worst`` with the errors of a new result.

        added: a term (B, M) that the caller adds to the integrals. counts: mask (B, 1), True for the rows whose errors
        are taken into account.
        """
        value, error = (
            np.stack([(weight * column).max(axis=-1) for weight in self.error_weights(s)])
            for column in (np.abs(result.value + added), result.error)
        )
        worst, largest = (float(np.max(part[-1], where=counts[:, 0], initial=0.0)) for part in (error, value))
        self.latest = worst, largest
        if self._largest.shape == value.shape:
            value = np.maximum(value, self._largest)
        elif self._largest.size:  # other members of the ensemble
            value = np.maximum(value, self._largest.min(axis=-1, keepdims=True))
        self._largest = value
        relative = np.where(error < value, error / np.where(value > 0, value, 1.0), error > 0)
        self.worst = max(self.worst, float(np.max(relative, where=counts[:, 0], initial=0.0)))

    # --- choice of the rules

    def _choose_rules(self, squares: list[Array], parameters: Sequence[Array]) -> tuple[Estimate, float]:
        """Choose quadrature rules that meet the tolerance; return the integrals by these rules and the relative error.

        The search begins with the steps of the previous rules. A step becomes shorter if its error is too large, and
        longer if the rules are more accurate than the tolerance requires.
        """
        while True:
            pairs = zip(self.integrals, squares, strict=True)
            self.rules = [self._product_rule(integral, d, parameters[0]) for integral, d in pairs]
            result = self._evaluate(squares, parameters)
            relative, *causes = self._relative(parameters[0], result)
            allowed = min(SHARE * self.rtol, SHARE)
            enough = relative <= ACCEPTED * self.rtol or max(self.nodes) >= self.max_nodes or max(causes) <= allowed
            for axis in (0, 1):
                if not enough and causes[2 + axis] > allowed:
                    self._reach[axis] *= 1.15
                # The error is an exponential of the inverse step.
                factor = np.log(max(causes[axis], 1e-16)) / np.log(allowed / 3) if causes[axis] < 0.1 else 0.0
                if enough or causes[axis] > allowed:
                    self._step[axis] = min(self._step[axis] * float(np.clip(factor, 0.7, 1.3)), MAX_STEP)
            if enough:
                break
        self._squares, self._checks = squares, 0
        rows = zip(self.integrals, self.rules, squares, strict=True)
        self.rules = [self._without_idle_nodes(*each, parameters, result) for each in rows]
        return result, relative

    def _product_rule(self, integral: Integral, d: Array, s: Array) -> Rule:
        """Return the quadrature rule for an integral over x and y, with the present steps and lengths of both axes."""
        weights, axes = mode_weights(s), []
        for number, power in enumerate(integral.powers):
            length = self._reach[number] * float(extent(d[number], weights, power, TAIL_SHARE * self.rtol).max())
            if not np.isfinite(length):  # a norm is zero, or so small that its square underflows
                raise _overflow(s)
            n = 2 * int(np.ceil(max((left_extent(power) + length) / self._step[number], 8) / 2))
            axes.append(trapezoidal_axis(length, min(n, self.max_nodes), power))
        counts = [len(axis.nodes) - 1 for axis in axes]
        self.nodes = counts[0], counts[1] if len(counts) > 1 else 1
        return product_rule(axes[0], axes[1] if len(axes) > 1 else POINT)

    def _without_idle_nodes(
        self, integral: Integral, rule: Rule, d: Array, parameters: Sequence[Array], result: Estimate
    ) -> Rule:
        """Return a quadrature rule without the nodes that contribute least to the integral.

        Nodes are left out, the smallest relative contribution first, as long as the sum of these contributions is at
        most DROPPED times ``rtol``. The next nodes in this order, up to a sum of OUTER times ``rtol``, become the edges
        of the new rule: their contribution estimates the truncation error.
        """
        many = len(result.value)
        rows = slice(None, None, -(-many // SAMPLED))
        s, value, floor = (a[rows] for a in (parameters[0], np.abs(result.value), self._floor(result)))
        weights = self.error_weights(s)
        scales = [(weight * np.maximum(value, floor)).max(axis=-1, keepdims=True) for weight in weights]
        pairs = zip(weights, scales, strict=True)
        relative = np.stack([weight / np.where(scale > 0, scale, 1.0) + 0 * value for weight, scale in pairs])
        sampled = [np.broadcast_to(a, (many, a.shape[-1]))[rows] for a in parameters]
        shares = np.zeros(len(rule.x))
        for nodes in _pieces(len(rule.x), value.size):
            f, _, unit = values_at_nodes(integral, rule.part(nodes), d[:, rows], sampled)
            sizes = np.abs(unit[..., None] * rule.weights[0, nodes] * f)  # (B, M, K)
            shares[nodes] = (relative[..., None] * sizes).max(axis=(0, 1, 2))
        order = np.argsort(shares)
        below = np.empty(len(shares))
        below[order] = np.cumsum(shares[order])
        outer = np.where(below <= OUTER * self.rtol, rule.weights[0], 0.0)
        return rule._replace(edges=np.stack([outer, 0 * outer])).part(below > DROPPED * self.rtol)


def _near(squares: list[Array], previous: list[Array], tolerance: float) -> bool:
    """Return True if all mean squares of norms equal their previous values to within a relative tolerance."""
    return all(
        d.shape == last.shape and bool((np.abs(d - last) <= tolerance * last).all())
        for d, last in zip(squares, previous, strict=True)
    )


def _overflow(s: Array) -> FloatingPointError:
    smallest = s[s > 0].min(initial=np.inf)
    return FloatingPointError(f"the closure's integrals overflow at eigenvalues {smallest:.3g} ... {s.max():.3g}")


def _pieces(count: int, size: int) -> Iterator[slice]:
    """Yield slices that divide an axis of length ``count`` into pieces whose arrays fit into the processor's cache.

    size: how many numbers are computed for each entry of the axis.
    """
    many = max(1, CHUNK // max(size, 1))
    yield from (slice(start, start + many) for start in range(0, count, many))


def _sums_in_chunks(integral: Integral, rule: Rule, d: Array, parameters: Sequence[Array]) -> Sums:
    """Return the weighted sums of an integrand over all nodes; the sums determine the integral and its error.

    Rows of the batch and nodes are divided into pieces whose arrays fit into the processor's cache.
    """
    batch, entries = (max(a.shape[i] for a in parameters) for i in (0, 1))
    parameters = [np.broadcast_to(a, (batch, a.shape[1])) for a in parameters]
    pieces = []
    for rows in _pieces(batch, len(rule.x) * entries):
        part, d_part = [a[rows] for a in parameters], d[:, rows]
        strips = [
            sums_of(rule.part(nodes), *values_at_nodes(integral, rule.part(nodes), d_part, part))
            for nodes in _pieces(len(rule.x), len(part[0]) * entries)
        ]
        pieces.append(Sums(*(np.sum(column, axis=0) for column in zip(*strips, strict=True))))
    return Sums(*(np.concatenate(column) for column in zip(*pieces, strict=True)))


def _value_in_chunks(integral: Integral, rule: Rule, d: Array, parameters: Sequence[Array]) -> Array:
    """Return the value of an integral; large batches are computed in pieces that fit into the processor's cache."""
    if d[0].size * len(rule.x) <= CHUNK:
        return weighted_values(integral, rule, d, parameters)
    return _sums_in_chunks(integral, rule, d, parameters).fine
