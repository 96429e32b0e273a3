"""Divide ensembles in JAX into groups of members. The groups are computed on all devices, or on all cores of a CPU.

The division does not depend on the numbers of devices and cores, so that results are the same, to the last bit, on any
number of devices or cores.
"""

from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import Any, NamedTuple, TypeVar

import jax
import numpy as np
import numpy.typing as npt

from dynamics.model.parameters import Parameters
from dynamics.numerics.quadrature import Rule
from dynamics.numerics.threads import cores, in_order
from dynamics.solvers.flow_scipy import rough_path
from dynamics.vector_field.base import VectorField
from dynamics.vector_field.eigenmodes import Rules
from dynamics.vector_field.factory import vector_field_of
from dynamics.vector_field.state import State, each

Tree = TypeVar("Tree")  # a nested structure of arrays
Result = TypeVar("Result")

SAMPLE = 8  # number of members whose rough trajectories determine the rules of level 0; 4 times as many per level
STATES = 64  # number of states of all these trajectories together at level 0; 4 times as many per level
ROUGH = 1e-3  # relative accuracy of the rough trajectories
HIGHEST = 3  # highest level of quadrature rules; from level to level the tolerance falls to a tenth
BUCKET = 64  # numbers of nodes are multiples of this, because code is compiled again for each number of nodes
GROUP = {"cpu": 128}  # largest number of members of a group whose arrays stay in the cache of a CPU core
WIDE_GROUP = 32_768  # number of members of a group that keeps an accelerator busy
ELEMENTS = {"cpu": 250_000}  # largest number of integrand values of a group that stay in the cache of a CPU core
WIDE_ELEMENTS = 50_000_000  # largest number of integrand values of a group on an accelerator


class Division(NamedTuple):
    """Division of an ensemble into groups of members that are computed together.

    size: number of members of a group. devices: JAX devices, each of which computes one group at a time. rules:
    function that returns the quadrature rules of the closure's integrals for a level of accuracy from 0 to HIGHEST. A
    group whose quadrature misses the tolerance at one level is computed again at the next level.
    """

    size: int
    devices: tuple[jax.Device, ...]
    rules: Callable[[int], Rules]

    def parts(self, many: int) -> list[slice]:
        """Return, for each compiled call, the slice of members that the call computes: one group on every device.

        many: number of members of the ensemble.
        """
        size = self.size * len(self.devices)
        return [slice(first, min(first + size, many)) for first in range(0, many, size)]

    def padded(self, arrays: Tree, part: slice) -> Tree:
        """Return the rows of arrays that belong to the members in ``part``.

        The last row is repeated until the rows fill a group on every device, so that the arrays of all compiled calls
        have the same shapes.
        """
        rows = np.minimum(np.arange(part.start, part.start + self.size * len(self.devices)), part.stop - 1)
        return jax.tree.map(lambda a: a[rows], arrays)


def divide(
    field: VectorField, members: State, parameters: Parameters, learning_rate: float | None, duration: float
) -> Division:
    """Return the division of an ensemble into groups.

    members: initial states (B, M). parameters: parameters of the members, (B, 1). learning_rate: None for a flow that
    does not depend on the learning rate. duration: last time of the trajectories.
    """
    many, modes = members.encoder.shape

    @lru_cache
    def rules(level: int) -> Rules:
        if not field.quadratures:
            return []
        states, own = _rough_paths(field, members, parameters, learning_rate, duration, level)
        return _rules_for(field, states, own, 0.1**level)

    chosen = getattr(jax.config, "jax_default_device", None)  # set by jax.default_device
    devices = [chosen] if chosen else jax.devices()
    nodes = max((len(rule.x) for of_one in rules(0) for rule in of_one), default=1)
    kind = devices[0].platform
    size = max(1, min(many, GROUP.get(kind, WIDE_GROUP), ELEMENTS.get(kind, WIDE_ELEMENTS) // (modes * nodes)))
    return Division(size, tuple(devices[: max(1, many // size)]), rules)


def _rules_for(field: VectorField, states: State, parameters: Parameters, stricter: float) -> Rules:
    """Return quadrature rules that meet the tolerance in all states (B, M).

    parameters: parameters of the model in each of the states, (B, 1). stricter: factor, at most 1, by which the
    tolerance is multiplied. The last node of a rule is repeated with weight zero until the number of nodes is a
    multiple of BUCKET.
    """
    sample = vector_field_of(field.model, field.closure, stricter * field.rtol, parameters)
    sample.forces(states)
    return [[_padded(rule) for rule in quadrature.rules] for quadrature in sample.quadratures.values()]


def _padded(rule: Rule) -> Rule:
    more = -len(rule.x) % BUCKET
    nodes = (np.pad(a, (0, more), mode="edge") for a in (rule.x, rule.y))
    return Rule(*nodes, *(np.pad(a, ((0, 0), (0, more))) for a in (rule.weights, rule.edges)))


def _rough_paths(
    field: VectorField,
    members: State,
    parameters: Parameters,
    learning_rate: float | None,
    duration: float,
    level: int,
) -> tuple[State, Parameters]:
    """Return states along rough trajectories of some members, one state per row, and the parameters for each state.

    level: level of the quadrature rules that are chosen for these states; more states are returned at higher levels.
    """
    many = len(members.encoder)
    states: list[State] = []
    rows: list[npt.NDArray[np.intp]] = []
    for number in np.unique(np.linspace(0, many - 1, SAMPLE * 4**level).astype(int)):
        start, own = each(lambda part, i=number: part[i], members), parameters.map(lambda row, i=number: row[i])
        rough = vector_field_of(field.model, field.closure, ROUGH, own)
        path = rough_path(rough, start, learning_rate, duration)
        steps = len(path.encoder)
        kept = np.unique(np.linspace(0, steps - 1, STATES // SAMPLE).astype(int))
        states.append(each(lambda part, kept=kept: part[kept], path))
        rows.append(np.full(len(kept), number))
    joined = each(lambda *parts: np.concatenate(parts), *states)
    return joined, parameters.map(lambda row: row[np.concatenate(rows)])


def choose(which: npt.NDArray[np.bool_], first: npt.NDArray[Any], second: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Return an array with the rows of ``first`` where ``which`` is True, and the rows of ``second`` elsewhere."""
    return np.where(which.reshape(-1, *(1,) * (np.ndim(first) - 1)), first, second)


def in_turn(
    parts: list[slice], devices: tuple[jax.Device, ...], compute: Callable[[slice], Result]
) -> Iterator[tuple[slice, Result]]:
    """Yield (part, compute(part)) for each part of an ensemble, in order, while several parts are computed at once.

    parts: slices of the ensemble, result of ``Division.parts``. On a CPU the parts are computed on all cores.
    """
    yield parts[0], compute(parts[0])  # computed alone, because the first call compiles
    if len(parts) > 1:
        # An accelerator computes one part while the result of another part is copied.
        threads = max(1, cores() // len(devices)) if devices[0].platform == "cpu" else 2
        yield from in_order(parts[1:], compute, threads)
