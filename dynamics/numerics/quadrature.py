r"""The Gaussian closure's integrals, r_m = int_0^oo dx int_0^oo dy f_m(x, y), with an error estimate.

r_m is the rate of mode m, an expectation over Gaussian views of terms that are divided by powers of norms. Each inverse
power of a norm is written as an integral, 1/|p|^q ~ int_0^oo x^(q-1) exp(-x^2 |p|^2) dx. The expectation is then one
over a Gaussian that is tilted (multiplied) by exp(-x^2 |p|^2 - y^2 |z2|^2), with x for the first norm |p| and y for
the second norm |z2|; it is a formula f_m(x, y) of the eigenvalues.

The quadrature rule is the product of the trapezoidal rules in x and in y (``axes``), at a cost of O(M) per node for M
modes; an expectation with a single norm has no y. The error estimate compares the rule with itself at twice the step
(convergence is geometric, so that half the step squares the relative error) and adds the contribution of the last nodes
(truncation) and rounding.
"""

import operator
from collections.abc import Callable, Iterable, Sequence
from functools import reduce
from typing import NamedTuple

import numpy as np

from dynamics.derived_loss import Integral
from dynamics.numerics.axes import NEGLIGIBLE, Array, Axis, extent, mode_weights, point_axis, trapezoidal_axis

CANCELLED = 1e-3  # a rate below this fraction of the sum of its terms' absolute values has an absolute tolerance
ROUNDING = 200  # rounding error of an integral, beside that of Z, in units of the precision and the mass of its terms
TAIL = 1e-14  # relative weight of the node at which an axis of a fixed rule ends


class Sums(NamedTuple):
    """Weighted sums of an integrand over the nodes of a quadrature rule, for its value and its error, each (..., M)."""

    fine: Array  # the value of the rule
    coarse_x: Array  # the value of the rule at twice the step in x
    coarse_y: Array  # the value of the rule at twice the step in y
    mass: Array  # sum of the absolute values of the terms
    last_y: Array  # contribution of the last nodes in y, for the truncation error
    last_x: Array  # contribution of the last nodes in x, for the truncation error


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


def fixed_rule(
    integrals: Sequence[Integral],
    parameters: Sequence[Array],
    n: tuple[int, int],
    extents: Iterable[Sequence[tuple[Array, Array]]],
) -> Estimate:
    """Return the sum of integrals by a quadrature rule with n = (n_x, n_y) intervals in x and y, all nodes at once.

    parameters: eigenvalues s and lam of correlation and predictor, and the further arguments of the integrand, each
    (..., K) with any K. extents: result of ``extents_of``. Works in any array namespace, and can be traced by JAX.
    """
    parameters, alive = replace_collapsed(parameters)
    parts = []
    for integral, of_axes in zip(integrals, extents, strict=True):
        axes = zip(of_axes, n, integral.powers, strict=False)
        x, *second = (trapezoidal_axis(scale, length, nodes, power) for (scale, length), nodes, power in axes)
        y = second[0] if second else point_axis(x)
        exponent = rounding_exponent(mean_squares(integral, parameters))
        parts.append(estimate(sums(integral, x, y, parameters), x, y, exponent))
    return zero_where_collapsed(total(parts), alive)


def extents_of(integrals: Sequence[Integral], parameters: Sequence[Array]) -> list[list[tuple[Array, Array]]]:
    """Return (scale, length) of each integration axis of each integral, in any array namespace, traced by JAX or not.

    parameters: arguments of the integrand, as for ``fixed_rule``.
    """
    parameters, _ = replace_collapsed(parameters)
    return [axis_extents(integral, mean_squares(integral, parameters), parameters[0], TAIL) for integral in integrals]


def axis_extents(integral: Integral, d: Array, s: Array, tail: float) -> list[tuple[Array, Array]]:
    """Return (scale, length) of each integration axis of an integral.

    d: result of ``mean_squares``, (axes, ..., M). s: eigenvalues (..., M). tail: relative weight of the last node.
    """
    mode_weight = mode_weights(s)
    return [extent(of_norm, mode_weight, power, tail) for of_norm, power in zip(d, integral.powers, strict=True)]


def mean_squares(integral: Integral, parameters: Sequence[Array]) -> Array:
    """Return the contribution of each mode to the mean square of each norm, (2, ..., M); (1, ..., M) for one norm."""
    d = integral.mean_squares(*parameters)
    d = (d,) if len(integral.powers) == 1 else d
    return parameters[0].__array_namespace__().stack([of_norm + 0 * parameters[0] for of_norm in d])


# --- the sums and their error ---------------------------------------------------------------------------------------


def sums(integral: Integral, x: Axis, y: Axis, parameters: Sequence[Array]) -> Sums:
    """Return the sums from which the value of an integral and its error follow, by one evaluation of the integrand."""
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


def _product(a: Array, b: Array) -> Array:
    """Return the weights of the product rule, flattened to (..., n_x n_y), from the weights a and b of both axes."""
    xp = a.__array_namespace__()
    return xp.reshape(a[..., :, None] * b[..., None, :], (*a.shape[:-1], -1))


def estimate(sums: Sums, x: Axis, y: Axis, exponent: Array) -> Estimate:
    """Return the value of an integral, and its errors due to the step and the end of each axis and to rounding.

    sums: result of the function ``sums`` for the axes x and y. exponent: result of ``rounding_exponent``.
    """
    xp = sums.fine.__array_namespace__()

    def of_step(coarse: Array) -> Array:
        relative = xp.abs(sums.fine - coarse) / xp.where(sums.mass > 0, sums.mass, 1.0)
        return 2 * sums.mass * xp.minimum(relative, relative**1.5)

    steps = of_step(sums.coarse_x), of_step(sums.coarse_y)
    if exponent.shape[-1] != sums.fine.shape[-1]:  # the sums are the entries of a matrix, not one per mode
        exponent = xp.max(exponent, axis=-1, keepdims=True)
    rounding = (ROUNDING + exponent) * np.finfo(np.float64).eps * sums.mass
    return Estimate(sums.fine, *steps, sums.last_x / x.step, sums.last_y / y.step, sums.mass, rounding)


def rounding_exponent(d: Array) -> Array:
    """Return an upper bound of -log Z_m = sum_k log(1 + 2 d_k/d_m)/2, summed over the norms, (..., M).

    d: contribution d_k of each mode to the mean square of each norm, (norms, ..., M). Z_m is the normalisation of the
    tilted Gaussian at x^2 = 1/d_m, near which the integrand of mode m is largest. Z_m is computed as an exponential, so
    that a rounding error of the exponent becomes a relative error of the integrand.
    """
    xp = d.__array_namespace__()
    order, modes = xp.argsort(d, axis=-1), d.shape[-1]
    ascending = xp.maximum(xp.take_along_axis(d, order, axis=-1), np.finfo(np.float64).tiny)
    logs, rank = xp.log(ascending), np.arange(modes)
    larger = xp.sum(logs, axis=-1, keepdims=True) - xp.cumsum(logs, axis=-1) + (modes - 1 - rank) * (np.log(3) - logs)
    smaller = xp.minimum(2 * xp.cumsum(ascending, axis=-1) / ascending, np.log(3) * (1 + rank))
    return xp.sum(xp.take_along_axis(larger + smaller, xp.argsort(order, axis=-1), axis=-1), axis=0) / 2


def total(parts: list[Estimate]) -> Estimate:
    """Return the estimate of a sum of integrals from the estimates of its terms."""
    return Estimate(*(reduce(operator.add, column) for column in zip(*parts, strict=True)))


def rate_weights(s: Array) -> tuple[Array, ...]:
    """Return two weights (..., M), by which the errors of the rates r_m are multiplied before they are compared.

    The first weight is s_m, for the error of s_m r_m. The second, for the error of r_m itself, is 1 and falls to 0 for
    nearly collapsed modes. s: eigenvalues (..., M).
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
    """Return the largest weighted error of each kind, relative to the largest weighted entry of the integrals' value.

    If terms cancel, so that the value is smaller than ``floor``, errors are relative to the latter. errors: one array
    (..., M) for each kind of error. weights: function of s, as ``rate_weights``. floor: (..., M); by default CANCELLED
    times the mass of the terms.
    """
    xp = s.__array_namespace__()
    floor = CANCELLED * estimate.mass if floor is None else floor
    columns = xp.stack([xp.abs(estimate.value), floor, *errors])
    largest = xp.max(xp.stack([weight * columns for weight in weights(s)]), axis=-1)  # (weights, columns, ...)
    ratios = largest[:, 2:] / xp.maximum(largest[:, 0], largest[:, 1])[:, None]
    return xp.max(xp.reshape(ratios, (*ratios.shape[:2], -1)), axis=(0, 2))


# --- spectra whose modes have all collapsed -------------------------------------------------------------------------


def replace_collapsed(parameters: Sequence[Array]) -> tuple[tuple[Array, ...], Array]:
    """Replace s and lam by 1 in spectra whose modes have all collapsed; return the parameters and a mask.

    The mask (..., 1) is True for spectra with a nonzero eigenvalue. parameters: s, lam, and further arguments.
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
