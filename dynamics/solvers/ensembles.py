"""Divide an ensemble into groups of members, and compute the groups in JAX on all devices or on all cores of a CPU.

The quadrature rules of a member depend on the group to which it belongs, and the groups do not depend on the number of
devices or cores. Therefore the computed trajectories are the same, to the last bit, on any number of devices or cores.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any, TypeVar

import jax
import numpy as np
import numpy.typing as npt

from dynamics.model.parameters import Parameters
from dynamics.numerics.compiled_quadrature import blocked, stacked
from dynamics.numerics.threads import cores, in_order
from dynamics.solvers.flow_scipy import rough_path
from dynamics.vector_field.base import VectorField
from dynamics.vector_field.factory import vector_field_of
from dynamics.vector_field.state import State, each
from dynamics.vector_field.traced_field import Rules

Tree = TypeVar("Tree")  # a nested structure of arrays
Part = TypeVar("Part")
Result = TypeVar("Result")

SAMPLE = 2  # members of a group whose rough trajectories determine the rules of level 0; 4 times as many per level
STATES = 8  # number of states that are used of each rough trajectory
ROUGH = 1e-2  # relative accuracy of the rough trajectories
HIGHEST = 3  # highest level of quadrature rules
STRICTER = 0.3  # factor of the tolerance for rules of level 0; from level to level the tolerance falls to a tenth
GROUP = {"cpu": 128}  # largest number of members of a group whose arrays stay in the cache of a CPU core
WIDE_GROUP = 32_768  # number of members of a group that keeps an accelerator busy
BLOCK = {"cpu": 64}  # number of quadrature nodes that are evaluated at once on a CPU
WIDE_BLOCK = 4_096  # number of quadrature nodes that are evaluated at once on an accelerator
ELEMENTS = {"cpu": 32_000}  # number of values of an integrand, of all modes, that stay in the cache of a CPU core
WIDE_ELEMENTS = 50_000_000  # number of values of an integrand that are evaluated at once on an accelerator


@dataclass(frozen=True)
class Division:
    """Division of an ensemble into groups of members that are computed together.

    size: number of members of a group. devices: JAX devices, each of which computes one group at a time. order: indices
    of all members, sorted such that ``size`` consecutive indices form a group. group_rules: function (indices of the
    members of a group, level) that returns the quadrature rules of the closure's integrals for this group. The level of
    accuracy is a number from 0 to HIGHEST. Members whose quadrature misses the tolerance at one level are computed
    again at the next level.
    """

    size: int
    devices: tuple[jax.Device, ...]
    order: npt.NDArray[np.intp]
    group_rules: Callable[[tuple[int, ...], int], Rules]

    def parts(self) -> list[npt.NDArray[np.intp]]:
        """Return one array of member indices for each compiled call: the members of one group on each device."""
        size = self.size * len(self.devices)
        return [self.order[first : first + size] for first in range(0, len(self.order), size)]

    def padded(self, arrays: Tree, part: npt.NDArray[np.intp]) -> Tree:
        """Return, from each array in ``arrays``, the rows of the members in ``part``.

        The last row is repeated until the rows fill one group on every device. The arrays of all compiled calls then
        have the same shapes.
        """
        return jax.tree.map(lambda a: a[self._filled(part)], arrays)

    def rules(self, part: npt.NDArray[np.intp], level: int) -> Rules:
        """Return the quadrature rules of the groups in ``part``, stacked along a first axis of groups.

        level: level of accuracy of the rules, from 0 to HIGHEST.
        """
        groups = [tuple(group) for group in self._filled(part).reshape(-1, self.size).tolist()]
        rules = [self.group_rules(group, level) for group in groups]
        return [[stacked(list(column)) for column in zip(*own, strict=True)] for own in zip(*rules, strict=True)]

    def _filled(self, part: npt.NDArray[np.intp]) -> npt.NDArray[np.intp]:
        return np.pad(part, (0, self.size * len(self.devices) - len(part)), mode="edge")


def divide(
    field: VectorField, members: State, parameters: Parameters, learning_rate: float | None, duration: float
) -> Division:
    """Return the division of an ensemble into groups.

    If the closure has integrals, the members of a group have similar ratios of the smallest to the largest initial
    eigenvalue. Such members need similar quadrature rules and similar numbers of steps.

    members: initial states (B, M). parameters: parameters of the members, (B, 1). learning_rate: learning rate of the
    trajectories; None for a flow that does not depend on it. duration: last time of the trajectories.
    """
    many, modes = members.encoder.shape
    chosen = getattr(jax.config, "jax_default_device", None)  # set by jax.default_device
    devices = [chosen] if chosen else jax.devices()
    kind = devices[0].platform
    block = BLOCK.get(kind, WIDE_BLOCK)
    size, order = min(many, GROUP.get(kind, WIDE_GROUP)), np.arange(many)
    if field.quadratures:
        size = max(1, min(size, ELEMENTS.get(kind, WIDE_ELEMENTS) // (modes * block)))
        w = np.abs(members.encoder)
        order = np.argsort(w.min(axis=-1) / np.maximum(w.max(axis=-1), np.finfo(float).tiny), kind="stable")

    @cache
    def group_rules(group: tuple[int, ...], level: int) -> Rules:
        if not field.quadratures:
            return []
        sampled = np.unique(np.linspace(0, len(group) - 1, SAMPLE * 4**level).astype(int))
        numbers = np.array(group)[sampled]
        states, own = _rough_paths(field, numbers, members, parameters, learning_rate, duration)
        sample = vector_field_of(field.model, field.closure, STRICTER * 0.1**level * field.rtol, own)
        sample.forces(states)
        return [[blocked(rule, block) for rule in quadrature.rules] for quadrature in sample.quadratures.values()]

    return Division(size, tuple(devices[: max(1, many // size)]), order, group_rules)


def _rough_paths(
    field: VectorField,
    numbers: npt.NDArray[np.intp],
    members: State,
    parameters: Parameters,
    learning_rate: float | None,
    duration: float,
) -> tuple[State, Parameters]:
    """Return states along trajectories of low accuracy, one state per row, and for each row the member's parameters.

    numbers: indices, in the ensemble, of the members whose trajectories are computed. members, parameters: initial
    states and parameters of all members. duration: last time of the trajectories.
    """
    states: list[State] = []
    rows: list[npt.NDArray[np.intp]] = []
    for number in np.unique(numbers):
        start, own = each(lambda part, i=number: part[i], members), parameters.map(lambda row, i=number: row[i])
        rough = vector_field_of(field.model, field.closure, ROUGH, own)
        path = rough_path(rough, start, learning_rate, duration)
        kept = np.unique(np.linspace(0, len(path.encoder) - 1, STATES).astype(int))
        states.append(each(lambda part, kept=kept: part[kept], path))
        rows.append(np.full(len(kept), number))
    joined = each(lambda *parts: np.concatenate(parts), *states)
    return joined, parameters.map(lambda row: row[np.concatenate(rows)])


def choose(which: npt.NDArray[np.bool_], first: npt.NDArray[Any], second: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Return an array with the rows of ``first`` where ``which`` is True, and the rows of ``second`` elsewhere."""
    return np.where(which.reshape(-1, *(1,) * (np.ndim(first) - 1)), first, second)


def in_turn(
    parts: list[Part], devices: tuple[jax.Device, ...], compute: Callable[[Part], Result]
) -> Iterator[tuple[Part, Result]]:
    """Yield (part, compute(part)) for each part of an ensemble, in order, while several parts are computed at once.

    parts: arrays of member indices, the result of ``Division.parts``. compute: function that computes a part. devices:
    JAX devices that ``compute`` uses. On a CPU the parts are computed on all cores.
    """
    # An accelerator computes one part while the result of another part is copied.
    threads = max(1, cores() // len(devices)) if devices[0].platform == "cpu" else 2
    if len(parts) == 1 or threads == 1:
        yield from ((part, compute(part)) for part in parts)
    else:
        yield from in_order(parts, compute, threads)
