r"""Compute the Gaussian closure's integrals, r_m = int_0^oo dx int_0^oo dy f_m(x, y), with an error estimate.

r_m is the rate of mode m, an expectation over Gaussian views of terms that are divided by powers of norms. Each inverse
power of a norm is written as an integral, 1/|p|^q ~ int_0^oo x^(q-1) exp(-x^2 |p|^2) dx. What remains at given x and y
is an expectation over a Gaussian that is tilted (multiplied) by exp(-x^2 |p|^2 - y^2 |z2|^2), with x for the first norm
|p| and y for the second norm |z2|. This expectation is a formula f_m(x, y) of the eigenvalues.

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
    """A quadrature rule for x and y in units of their scales X and Y: K nodes and their weights.

    x, y: nodes (K,). weights: weights (3, K) of the rule, of the rule at twice the step in x, and of the rule at twice
    the step in y. edges: weights (2, K) of the outermost nodes in x and of the outermost nodes in y, which estimate the
    truncation error.
    """

    x: Array
    y: Array
    weights: Array
    edges: Array

    def part(self, nodes: slice | Array) -> "Rule":
        """Return the rule restricted to some of its nodes."""
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

    step_x, step_y: errors due to the steps. end_x, end_y: errors due to the truncation of the axes. mass: sum of the
    absolute values of the terms. rounding: rounding error.
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
    """Return the contribution of each mode to the mean square of each norm, (2, ..., M); (1, ..., M) for one norm.

    parameters: eigenvalues s and lam of correlation and predictor, and the further arguments of the integrand.
    """
    s, d = parameters[0], integral.mean_squares(*parameters)
    d = (d,) if len(integral.powers) == 1 else d
    return s.__array_namespace__().concat([(a if a.shape == s.shape else a + 0 * s)[None] for a in d])


# --- the sums and their error ---------------------------------------------------------------------------------------


def values_at_nodes(
    integral: Integral, rule: Rule, d: Array, parameters: Sequence[Array]
) -> tuple[Array, Array, Array]:
    """Return the integrand at the nodes, the sum of the absolute values of its terms, and the unit of dx dy.

    The first two results are (..., M, K). The unit is the product X Y of the scales of x and y. d: result of
    ``mean_squares``, (axes, ..., M), which sets these scales.
    """
    xp = d.__array_namespace__()
    scales = (2 * xp.sum(d, axis=-1)) ** -0.5
    unit = (scales[0] if len(scales) == 1 else scales[0] * scales[1])[..., None]
    x, *second = (scale[..., None, None] * nodes for scale, nodes in zip(scales, rule[:2], strict=False))
    y, at_all_nodes = second[0] if second else 0 * x, [a[..., None] for a in parameters]
    f = integral.integrand(x, y, *at_all_nodes)
    return f, f if integral.size is None else integral.size(x, y, *at_all_nodes), unit


def weighted_values(integral: Integral, rule: Rule, d: Array, parameters: Sequence[Array]) -> Array:
    """Return the value of an integral, (..., M), without an error estimate. d: result of ``mean_squares``."""
    f, _, unit = values_at_nodes(integral, rule, d, parameters)
    return unit * (f @ rule.weights[0])


def sums_of(rule: Rule, f: Array, size: Array, unit: Array) -> Sums:
    """Return the weighted sums of an integrand over the nodes of a rule; f, size, unit: result of values_at_nodes."""
    xp = f.__array_namespace__()
    by_rule = unit[..., None] * (f @ rule.weights.T)
    positive = xp.concat([xp.asarray(rule.weights[:1]), xp.asarray(rule.edges)])
    by_edge = unit[..., None] * (xp.abs(size) @ positive.T)
    return Sums(*(by_rule[..., i] for i in range(3)), *(by_edge[..., i] for i in range(3)))


def estimate(sums: Sums, weights: Array, softened: bool) -> Estimate:
    """Return the value of an integral, and its errors due to the step and the end of each axis and to rounding.

    weights: weights (..., M) of a mean over the entries of the integral. The mean guards against an error of one entry
    that vanishes by chance. Halving the step squares the relative error, so that the estimate is the square of the
    error at twice the step. For softened norms (``softened``) the estimate is the power 3/2 of this error instead. The
    reason is the factor exp(-c x^2) of a softened norm, which is small only for |Im tau| < pi/4, where tau is the
    variable of an axis (see ``axes``). This factor adds a part to the error that falls half as fast with the inverse
    step, and that may appear only at the smaller step.
    """
    xp = sums.fine.__array_namespace__()
    power = 1.5 if softened else 2

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
    """Return the estimate of a sum of integrals from the estimates of its terms."""
    return Estimate(*(reduce(operator.add, column) for column in zip(*parts, strict=True)))


def rate_weights(s: Array) -> tuple[Array, ...]:
    """Return two weights (..., M), by which the errors of the rates r_m are multiplied before they are compared.

    The first weight is s_m, for the error of s_m r_m. The second weight, for the error of r_m itself, is 1, but falls
    to 0 for nearly collapsed modes. s: eigenvalues (..., M) of the correlation.
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
    """Return the largest weighted error of each kind, divided by the largest weighted absolute value of the integrals.

    If terms cancel so that the value is smaller than ``floor``, the divisor is ``floor`` instead. errors: one array
    (..., M) for each kind of error. weights: function of s that returns weights, such as ``rate_weights``. floor: array
    (..., M); by default CANCELLED times the mass of the terms.
    """
    xp = s.__array_namespace__()
    floor = CANCELLED * estimate.mass if floor is None else floor
    columns = xp.stack([xp.abs(estimate.value), floor, *errors])
    largest = xp.max(xp.stack([weight * columns for weight in weights(s)]), axis=-1)  # (weights, columns, ...)
    ratios = largest[:, 2:] / xp.maximum(largest[:, 0], largest[:, 1])[:, None]
    return xp.max(xp.reshape(ratios, (*ratios.shape[:2], -1)), axis=(0, 2))


# --- spectra whose modes have all collapsed -------------------------------------------------------------------------


def replace_collapsed(parameters: Sequence[Array]) -> tuple[tuple[Array, ...], Array]:
    """Replace s and lam by 1 in spectra whose modes have all collapsed; return all parameters and a mask.

    parameters: the eigenvalues s of the correlation and lam of the predictor, and further arguments. The mask (..., 1)
    is True for spectra with a nonzero eigenvalue.
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
