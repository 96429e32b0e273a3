"""A result that would not fit into memory is refused before the work starts."""

import math

import numpy as np

from dynamics.errors import ArgumentError
from dynamics.model.model import Model
from dynamics.vector_field.eigenmode_state import Parameters, Structure, copies


def stored(structure: Structure, parameters: Parameters) -> int:
    """Arrays of the full size that a trajectory holds: s, and target and predictor where they are not s itself."""
    return 2 + structure.own_target - copies(structure, parameters)


def check_trajectory(model: Model, s0: np.ndarray, times: int, remedy: str) -> None:
    """``check_fits`` for what flow and descent map start from: eigenvalues (..., M) or weights (..., M, N)."""
    if model.inputs is None:
        arrays, shape = stored(model.structure, model.parameters), s0.shape
    else:
        arrays, shape = 3 + s0.shape[-1], s0.shape[:-1]
    check_fits(math.prod(shape[:-1]), times, arrays * shape[-1], remedy)


def check_fits(members: int, times: int, numbers: int, remedy: str, itemsize: int = 8) -> None:
    """Raises ArgumentError unless members (trajectories) x times x numbers (kept at each time) fit into memory."""
    needed, free = members * times * numbers * itemsize, available()
    if needed > free:
        from tqdm import tqdm

        whole, each, left = (tqdm.format_sizeof(count, "B") for count in (needed, needed // members, free))
        raise ArgumentError(
            f"The result would take {whole}, {each} for each of {members} trajectories with {times} times, "
            f"and {left} of memory are free. {remedy}"
        )


def available() -> int:
    """Bytes of memory that are free for use."""
    import psutil

    return psutil.virtual_memory().available
