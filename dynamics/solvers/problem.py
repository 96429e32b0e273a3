"""What is solved, validated once."""

import math

import numpy as np

from dynamics.model.model import Model
from dynamics.model.parameters import Parameters, Structure
from dynamics.numerics.memory import check_fits
from dynamics.vector_field.eigenmode_state import copies


def stored(structure: Structure, parameters: Parameters) -> int:
    """Arrays of the full size that a trajectory holds: s, and target and predictor where they are not s itself."""
    return 2 + structure.separate_target - copies(structure, parameters)


def check_trajectory(model: Model, s0: np.ndarray, times: int, remedy: str) -> None:
    """``check_fits`` for what flow and descent map start from: eigenvalues (..., M) or weights (..., M, N)."""
    if model.inputs is None:
        arrays, shape = stored(model.structure, model.parameters), s0.shape
    else:
        arrays, shape = 3 + s0.shape[-1], s0.shape[:-1]
    check_fits(math.prod(shape[:-1]), times, arrays * shape[-1], remedy)
