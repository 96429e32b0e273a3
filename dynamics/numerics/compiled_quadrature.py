"""Compute the Gaussian closure's integrals (``quadrature``) in compiled JAX code.

The caller passes the quadrature rules. The nodes of a rule are divided into blocks of equal size, and a loop adds up
the contributions of the blocks. The number of blocks is an argument of the compiled code, so that rules with different
numbers of nodes share one compilation. The arrays of a block fit into the cache of a processor core.
"""

import operator
from collections.abc import Callable, Sequence
from functools import partial, reduce
from typing import Any, NamedTuple, TypeVar

import jax
import jax.numpy as jnp
import numpy as np

from dynamics.derived_loss import Integral
from dynamics.numerics.axes import Array
from dynamics.numerics.quadrature import (
    Estimate,
    Rule,
    Sums,
    estimate,
    mean_squares,
    rate_weights,
    replace_collapsed,
    sums_of,
    total,
    values_at_nodes,
    weighted_values,
    zero_where_collapsed,
)

Tree = TypeVar("Tree")  # a nested structure of arrays

GROWTH = 4  # ratio of successive capacities of blocked rules; each capacity needs a compilation of its own


class BlockedRule(NamedTuple):
    """A quadrature rule whose nodes are divided into blocks.

    rule: nodes and weights; the first axis of each array counts the blocks. count: number of blocks that have nodes.
    The blocks after these only fill the arrays.
    """

    rule: Rule
    count: Any


def blocked(rule: Rule, size: int) -> BlockedRule:
    """Return a rule whose nodes are divided into blocks of ``size`` nodes.

    The last blocks are filled up with copies of the last node that have weight zero.
    """
    count, capacity = -(-len(rule.x) // size), 1
    while capacity < count:
        capacity *= GROWTH
    more = capacity * size - len(rule.x)
    nodes = (np.pad(a, (0, more), mode="edge").reshape(capacity, size) for a in (rule.x, rule.y))
    weights = (np.pad(a, ((0, 0), (0, more))) for a in (rule.weights, rule.edges))
    return BlockedRule(Rule(*nodes, *(np.moveaxis(a.reshape(-1, capacity, size), 1, 0) for a in weights)), count)


def stacked(rules: list[BlockedRule]) -> BlockedRule:
    """Return several rules in one BlockedRule, where the first axis of each array counts the rules.

    Empty blocks are appended to rules that have fewer blocks than the longest rule.
    """
    capacity = max(len(rule.rule.x) for rule in rules)
    filled = [
        jax.tree.map(lambda a: np.pad(a, [(0, capacity - len(a))] + [(0, 0)] * (a.ndim - 1)), r.rule) for r in rules
    ]
    return BlockedRule(jax.tree.map(lambda *a: np.stack(a), *filled), np.array([rule.count for rule in rules]))


def values_by_rules(integrals: Sequence[Integral], parameters: Sequence[Array], rules: Sequence[BlockedRule]) -> Array:
    """Return the sum of several integrals for each mode, (..., M); each integral has its own quadrature rule.

    parameters: the arguments of the integrands, each (..., K) with any K. The first two are the eigenvalues s of the
    correlation and lam of the predictor.
    """
    parameters, alive = replace_collapsed(parameters)
    values = []
    for integral, rule in zip(integrals, rules, strict=True):
        d = mean_squares(integral, parameters)
        values.append(_over_blocks(partial(weighted_values, integral, d=d, parameters=parameters), rule))
    return jnp.where(alive, reduce(operator.add, values), 0.0)


def estimate_by_rules(
    integrals: Sequence[Integral], parameters: Sequence[Array], rules: Sequence[BlockedRule]
) -> Estimate:
    """Return the sum of several integrals for each mode, and the estimated errors of this sum by cause, each (..., M).

    The arguments are those of ``values_by_rules``.
    """
    parameters, alive = replace_collapsed(parameters)
    parts = []
    for integral, rule in zip(integrals, rules, strict=True):
        d = mean_squares(integral, parameters)
        sums = _over_blocks(partial(_sums, integral, d=d, parameters=parameters), rule)
        parts.append(estimate(sums, rate_weights(parameters[0])[-1], integral.softened))
    return zero_where_collapsed(total(parts), alive)


def _sums(integral: Integral, rule: Rule, d: Array, parameters: Sequence[Array]) -> Sums:
    return sums_of(rule, *values_at_nodes(integral, rule, d, parameters))


def _over_blocks(function: Callable[[Rule], Tree], rule: BlockedRule) -> Tree:
    """Call a function with each block of a rule, and return the sum of the values that the function returns."""

    def of_block(number: Array) -> Tree:
        return function(Rule(*(part[number] for part in rule.rule)))

    start = jax.tree.map(lambda shape: jnp.zeros(shape.shape, shape.dtype), jax.eval_shape(of_block, 0))
    return jax.lax.fori_loop(
        0, rule.count, lambda number, sums: jax.tree.map(operator.add, sums, of_block(number)), start
    )
