r"""Compute the Gaussian closure's integrals, r_m = int_0^oo dx int_0^oo dy f_m(x, y), with an error estimate.

r_m is the rate of mode m. It is an expectation over Gaussian views, and its terms are divided by powers of the norms
|p| and |z2|. Each inverse power of a norm is written as an integral, 1/|p|^q ~ int_0^oo x^(q-1) exp(-x^2 |p|^2) dx,
with the integration variable x for |p| and y for |z2|. At fixed x and y, the expectation is then taken over a Gaussian
that is tilted (multiplied) by exp(-x^2 |p|^2 - y^2 |z2|^2). A formula f_m(x, y) of the eigenvalues gives this
expectation.

The quadrature rule is the product of the trapezoidal rules in x and in y (``axes``), without the nodes that contribute
almost nothing. An expectation with a single norm has no y. Each node costs O(M) operations for M modes. The error
estimate is a sum of three parts. The first part is the error due to the finite step. It is computed from the difference
between the rule and the same rule at twice the step: the rule converges geometrically, so that halving the step squares
the relative error. The second part is the truncation error, estimated by the contribution of the outermost nodes. The
third part is the rounding error.
"""

import operator
from collections.abc import Callable, Sequence
from functools import reduce
from typing import NamedTuple

import numpy as np

from dynamics.derived_loss import Integral
from dynamics.numerics.axes import NEGLIGIBLE, Array, Axis

CANCELLED = 1e-3  # a rate below this fraction of the sum of its terms' absolute values has an absolute tolerance
SAFETY = 16  # safety factor of the error that is estimated from the rule at twice the step
ROUNDING = 200  # rounding error in units of float64's precision times the mass; the number of modes is added to it


class Rule(NamedTuple):
    """A quadrature rule for an integral over x and y: K nodes and their weights.

    x, y: values of x/X and of y/Y at the nodes, each (K,), where X and Y are the scales of x and y. weights: three sets
    of weights (3, K). The first set is that of the rule; in the second set the step in x is doubled, in the third set
    the step in y. edges: two sets of weights (2, K), which are nonzero only at the outermost nodes in x and in y. The
    contributions of these nodes estimate the truncation error.
    """

    x: Array
    y: Array
    weights: Array
    edges: Array

    def part(self, nodes: slice | Array) -> "Rule":
        """Return the rule that consists only of the selected nodes. nodes: slice, mask or indices of these nodes."""
        return Rule(self.x[nodes], self.y[nodes], self.weights[:, nodes], self.edges[:, nodes])


class Sums(NamedTuple):
    """Weighted sums of an integrand over the nodes of a quadrature rule, each (..., M).

    The value of the integral and its estimated error follow from these sums.
    """

    fine: Array  # the value of the rule
    coarse_x: Array  # the value of the rule at twice the step in x
    coarse_y: Array  # the value of the rule at twice the step in y
    mass: Array  # sum of the absolute values of the terms
    edge_x: Array  # contribution of the outermost nodes in x, for the truncation error
    edge_y: Array  # contribution of the outermost nodes in y, for the truncation error


class Estimate(NamedTuple):
    """Value of an integral, and its estimated absolute errors by cause, each (..., M).

    step_x, step_y: errors due to the steps of the x axis and of the y axis. end_x, end_y: errors due to the truncation
    of these axes. rounding: rounding error. mass: the quadrature sum with every term of the integrand replaced by its
    absolute value.
    """

    value: Array
    step_x: Array
    step_y: Array
    end_x: Array
    end_y: Array
    mass: Array
    rounding: Array

    @property
    def error(self) -> Array:
        """Estimated absolute error from all causes, (..., M)."""
        return self.step_x + self.step_y + self.end_x + self.end_y + self.rounding


def product_rule(x: Axis, y: Axis) -> Rule:
    """Return the product of the trapezoidal rules in x and in y."""
    weights = np.stack([np.outer(*pair).ravel() for pair in ((x.fine, y.fine), (x.coarse, y.fine), (x.fine, y.coarse))])
    last_x, last_y = (np.arange(len(axis.nodes)) == len(axis.nodes) - 1 for axis in (x, y))
    edges = [np.outer(x.fine * last_x / x.step, y.fine), np.outer(x.fine, y.fine * last_y / y.step)]
    nodes_x, nodes_y = np.meshgrid(x.nodes, y.nodes, indexing="ij")
    return Rule(nodes_x.ravel(), nodes_y.ravel(), weights, np.stack([edge.ravel() for edge in edges]))


def mean_squares(integral: Integral, parameters: Sequence[Array]) -> Array:
    """Return the contributions of the modes to the mean squares of the one or two norms: (1, ..., M) or (2, ..., M).

    parameters: the arguments of the integrand. The first two are the eigenvalues s of the correlation and lam of the
    predictor.
    """
    s, d = parameters[0], integral.mean_squares(*parameters)
    d = (d,) if len(integral.powers) == 1 else d
    return s.__array_namespace__().concat([(a if a.shape == s.shape else a + 0 * s)[None] for a in d])


# --- the sums and their error ---------------------------------------------------------------------------------------


def values_at_nodes(
    integral: Integral, rule: Rule, d: Array, parameters: Sequence[Array]
) -> tuple[Array, Array, Array]:
    """Return the integrand at the nodes, the sum of the absolute values of its terms, and the product of the scales.

    The first two arrays are (..., M, K) for K nodes. The product X Y of the scales of x and y converts the weights of
    the rule, which is a rule for x/X and y/Y; with a single norm it is X. d: what ``mean_squares`` returned,
    (axes, ..., M), from which X and Y are computed.
    """
    xp = d.__array_namespace__()
    scales = (2 * xp.sum(d, axis=-1)) ** -0.5
    unit = (scales[0] if len(scales) == 1 else scales[0] * scales[1])[..., None]
    x, *second = (scale[..., None, None] * nodes for scale, nodes in zip(scales, rule[:2], strict=False))
    y, at_all_nodes = second[0] if second else 0 * x, [a[..., None] for a in parameters]
    f = integral.integrand(x, y, *at_all_nodes)
    return f, f if integral.size is None else integral.size(x, y, *at_all_nodes), unit


def weighted_values(integral: Integral, rule: Rule, d: Array, parameters: Sequence[Array]) -> Array:
    """Return the value of an integral, (..., M), without an error estimate.

    d: contributions of the modes to the mean squares of the norms, as returned by ``mean_squares``.
    """
    f, _, unit = values_at_nodes(integral, rule, d, parameters)
    return unit * (f @ rule.weights[0])


def sums_of(rule: Rule, f: Array, size: Array, unit: Array) -> Sums:
    """Return the weighted sums of an integrand over the nodes of a rule.

    f (..., M, K): the integrand at the K nodes. size (..., M, K): sum of the absolute values of the terms of the
    integrand at the nodes. unit (..., 1): product of the scales of the integration variables, by which the sums are
    multiplied. ``values_at_nodes`` returns these three arrays.
    """
    xp = f.__array_namespace__()
    by_rule = unit[..., None] * (f @ rule.weights.T)
    positive = xp.concat([xp.asarray(rule.weights[:1]), xp.asarray(rule.edges)])
    by_edge = unit[..., None] * (xp.abs(size) @ positive.T)
    return Sums(*(by_rule[..., i] for i in range(3)), *(by_edge[..., i] for i in range(3)))


def estimate(sums: Sums, weights: Array, softened: bool) -> Estimate:
    """Return the value of an integral, and its errors due to the step and the end of each axis and to rounding.

    The error due to a step is estimated from e, the relative difference between the rule and the rule at twice the
    step. Halving the step squares the relative error, so that the estimate is SAFETY e^2, or e if e is smaller. For one
    mode, e may vanish by chance. Therefore the weighted mean of e over the modes is used if it is larger. weights:
    weights (..., M) of this mean.

    softened: True if a constant c is added to the square of a norm. The estimate is then SAFETY e^(3/2). The reason is
    the factor exp(-c x^2) of the integrand, which is small only for |Im tau| < pi/4, where tau is the variable of an
    axis (see ``axes``). This factor adds a second term to the error. The second term falls half as fast with the
    inverse step, and may become visible only at the smaller step.

    If the terms of the integrand cancel exactly at all nodes, as in a mode whose prediction equals the target, they
    cancel in the integral, and there is no error.
    """
    xp = sums.fine.__array_namespace__()
    power = 1.5 if softened else 2
    cancelled = (sums.fine == 0) & (sums.coarse_x == 0)
    sums = Sums(*(xp.where(cancelled, 0.0, column) for column in sums))

    def of_step(coarse: Array) -> Array:
        difference = xp.abs(sums.fine - coarse)
        mean, mean_mass = (xp.sum(weights * a, axis=-1, keepdims=True) for a in (difference, sums.mass))
        pairs = (difference, sums.mass), (mean, mean_mass)
        own, overall = (a / xp.where(mass > 0, mass, 1.0) for a, mass in pairs)
        relative = xp.maximum(own, overall)
        return sums.mass * xp.minimum(relative, SAFETY * relative**power)

    rounding = (ROUNDING + sums.fine.shape[-1]) * np.finfo(np.float64).eps * sums.mass
    return Estimate(
        sums.fine, of_step(sums.coarse_x), of_step(sums.coarse_y), sums.edge_x, sums.edge_y, sums.mass, rounding
    )


def total(parts: list[Estimate]) -> Estimate:
    """Return the estimate for a sum of integrals: the values, and the errors of the same cause, are added."""
    return Estimate(*(reduce(operator.add, column) for column in zip(*parts, strict=True)))


def rate_weights(s: Array) -> tuple[Array, ...]:
    """Return two weights (..., M), by which the rates r_m and their errors are multiplied before they are compared.

    s: eigenvalues s_m (..., M) of the correlation. The first weight is s_m: it selects the error of s_m r_m. The second
    weight selects the error of r_m itself; it is 1, but falls to 0 for nearly collapsed modes.
    """
    xp = s.__array_namespace__()
    return s, s / (s + NEGLIGIBLE * xp.max(s, axis=-1, keepdims=True))


def relative_errors(
    s: Array,
    estimate: Estimate,
    errors: Sequence[Array],
    weights: Callable[[Array], tuple[Array, ...]] = rate_weights,
    floor: Array | None = None,
) -> Array:
    """Return one relative error for each array (..., M) of absolute errors in ``errors``.

    In each row, the error of the mode with the largest error is divided by the |value| of the mode with the largest
    |value|. Before, errors and values are multiplied by weights. The largest of these ratios over all rows and weights
    is returned.

    s: eigenvalues (..., M) of the correlation. weights: function of s that returns the weights, such as
    ``rate_weights``. floor: array (..., M). If the terms of the integrals cancel so that the largest weighted |value|
    is smaller than the largest weighted floor, this floor is the divisor. By default, ``floor`` is CANCELLED times
    ``estimate.mass``.
    """
    xp = s.__array_namespace__()
    floor = CANCELLED * estimate.mass if floor is None else floor
    columns = xp.stack([xp.abs(estimate.value), floor, *errors])
    largest = xp.max(xp.stack([weight * columns for weight in weights(s)]), axis=-1)  # (weights, columns, ...)
    ratios = largest[:, 2:] / xp.maximum(largest[:, 0], largest[:, 1])[:, None]
    return xp.max(xp.reshape(ratios, (*ratios.shape[:2], -1)), axis=(0, 2))


# --- spectra whose modes have all collapsed -------------------------------------------------------------------------


def replace_collapsed(parameters: Sequence[Array]) -> tuple[tuple[Array, ...], Array]:
    """Return ``parameters`` with s and lam replaced by 1 in spectra whose modes have all collapsed, and a mask.

    parameters: the eigenvalues s of the correlation and lam of the predictor, followed by further arguments. The mask
    (..., 1) is True for spectra in which an eigenvalue s is not zero.
    """
    s, lam, *rest = parameters
    xp = s.__array_namespace__()
    alive = xp.max(s, axis=-1, keepdims=True) > 0
    return (xp.where(alive, s, 1.0), xp.where(alive, lam, 1.0), *rest), alive


def zero_where_collapsed(estimate: Estimate, alive: Array) -> Estimate:
    """Set the estimate to zero in spectra whose modes have all collapsed, where the flow is stationary.

    alive: mask (..., 1), True for spectra with a nonzero eigenvalue.
    """
    xp = estimate.value.__array_namespace__()
    return Estimate(*(xp.where(alive, column, 0.0) for column in estimate))
