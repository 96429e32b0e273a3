"""Ensembles in JAX: groups of members are computed together, on all devices, and on a CPU on all cores.

The grouping does not depend on the numbers of devices and cores, so that results are the same to the last bit.
"""

from collections.abc import Callable, Iterator
from typing import NamedTuple, TypeVar

import jax
import numpy as np

from dynamics.model.parameters import Parameters
from dynamics.numerics.threads import cores, in_order
from dynamics.vector_field.base import VectorField
from dynamics.vector_field.factory import vector_field_of
from dynamics.vector_field.state import State, each

Tree = TypeVar("Tree")  # of arrays
Result = TypeVar("Result")

MARGIN = 1.1  # number of nodes, relative to the need at the start, as the spectrum may spread
SAMPLE = 32  # members whose start determines the number of nodes; a group that needs more nodes takes more
GROUP = {"cpu": 128}  # largest number of members of a group whose arrays stay in the cache of a core
WIDE_GROUP = 32_768  # ... or which keeps an accelerator busy
ELEMENTS = {"cpu": 250_000}  # largest number of elements of an integrand of a group, for the same reasons
WIDE_ELEMENTS = 50_000_000  # ... on an accelerator


class Division(NamedTuple):
    """Division of an ensemble into groups.

    size: members of a group. devices: each computes one group at a time. nodes: of the closure's integrals, (x, y).
    """

    size: int
    devices: tuple[jax.Device, ...]
    nodes: tuple[int, int] | None

    def parts(self, many: int) -> list[slice]:
        """Return the members of each call, which computes one group on every device."""
        size = self.size * len(self.devices)
        return [slice(first, min(first + size, many)) for first in range(0, many, size)]

    def padded(self, arrays: Tree, part: slice) -> Tree:
        """Return the rows of a part; the last row is repeated to fill all groups, so that all parts have one shape."""
        rows = np.minimum(np.arange(part.start, part.start + self.size * len(self.devices)), part.stop - 1)
        return jax.tree.map(lambda a: a[rows], arrays)


def divide(field: VectorField, members: State, parameters: Parameters) -> Division:
    """Return the division of members (B, M) with parameters (B, 1)."""
    many, modes = members.encoder.shape
    shown = np.unique(np.linspace(0, many - 1, SAMPLE).astype(int))
    sample = vector_field_of(field.model, field.closure, field.rtol, parameters.map(lambda row: row[shown]))
    sample.forces(each(lambda part: part[shown], members))
    nodes = sample.nodes and more(sample.nodes, MARGIN)
    chosen = getattr(jax.config, "jax_default_device", None)  # set by jax.default_device
    devices = [chosen] if chosen else jax.devices()
    kind, elements = devices[0].platform, modes * int(np.prod(nodes or 1))
    size = max(1, min(many, GROUP.get(kind, WIDE_GROUP), ELEMENTS.get(kind, WIDE_ELEMENTS) // elements))
    return Division(size, tuple(devices[: max(1, many // size)]), nodes)


def more(nodes: tuple[int, int], factor: float) -> tuple[int, int]:
    """Return even numbers of nodes, at least ``factor`` times the given ones."""
    n_x, n_y = (2 * int(np.ceil(factor * n / 2)) for n in nodes)
    return n_x, n_y


def in_turn(
    parts: list[slice], devices: tuple[jax.Device, ...], compute: Callable[[slice], Result]
) -> Iterator[tuple[slice, Result]]:
    """Yield (part, compute(part)) of each part, in order; a CPU computes as many at once as it has cores."""
    yield parts[0], compute(parts[0])  # alone, because it compiles
    if len(parts) > 1:
        # On an accelerator, one part is computed while another is copied.
        threads = max(1, cores() // len(devices)) if devices[0].platform == "cpu" else 2
        yield from in_order(parts[1:], compute, threads)
