"""Division of ensembles in JAX into groups of members, which are computed on all devices, or on all cores of a CPU.

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

MARGIN = 1.1  # number of quadrature nodes divided by the number for the initial spectrum, which may spread
SAMPLE = 32  # members whose initial states determine the number of nodes; a group that needs more nodes adds them
GROUP = {"cpu": 128}  # largest number of members of a group whose arrays stay in the cache of a CPU core
WIDE_GROUP = 32_768  # number of members of a group that keeps an accelerator busy
ELEMENTS = {"cpu": 250_000}  # largest number of integrand values of a group that stay in the cache of a CPU core
WIDE_ELEMENTS = 50_000_000  # largest number of integrand values of a group on an accelerator


class Division(NamedTuple):
    """Division of an ensemble into groups of members that are computed together.

    size: number of members of a group. devices: JAX devices, of which each computes one group at a time. nodes: numbers
    of quadrature nodes in x and y of the closure's integrals; None without integrals.
    """

    size: int
    devices: tuple[jax.Device, ...]
    nodes: tuple[int, int] | None

    def parts(self, many: int) -> list[slice]:
        """Return, for each compiled call, the slice of members that it computes: one group on every device.

        many: number of members of the ensemble.
        """
        size = self.size * len(self.devices)
        return [slice(first, min(first + size, many)) for first in range(0, many, size)]

    def padded(self, arrays: Tree, part: slice) -> Tree:
        """Return the rows of arrays that belong to the members in ``part``.

        The last row is repeated until the rows fill a group on every device, so that all compiled calls have one shape.
        """
        rows = np.minimum(np.arange(part.start, part.start + self.size * len(self.devices)), part.stop - 1)
        return jax.tree.map(lambda a: a[rows], arrays)


def divide(field: VectorField, members: State, parameters: Parameters) -> Division:
    """Return the division of an ensemble into groups. members: initial states (B, M). parameters: (B, 1)."""
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
    """Return even numbers of quadrature nodes in x and y, at least ``factor`` times ``nodes``."""
    n_x, n_y = (2 * int(np.ceil(factor * n / 2)) for n in nodes)
    return n_x, n_y


def in_turn(
    parts: list[slice], devices: tuple[jax.Device, ...], compute: Callable[[slice], Result]
) -> Iterator[tuple[slice, Result]]:
    """Yield (part, compute(part)) for each part of an ensemble, in order; several parts are computed at once.

    parts: result of ``Division.parts``. A CPU uses all its cores.
    """
    yield parts[0], compute(parts[0])  # alone, because it compiles
    if len(parts) > 1:
        # On an accelerator, one part is computed while another is copied.
        threads = max(1, cores() // len(devices)) if devices[0].platform == "cpu" else 2
        yield from in_order(parts[1:], compute, threads)
