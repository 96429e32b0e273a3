"""Find the argument that takes the rates of a model out of the range of double precision."""

from typing import Any

import numpy as np
import numpy.typing as npt

from dynamics.errors import ArgumentError
from dynamics.model.model import Model
from dynamics.vector_field.base import choose_closure
from dynamics.vector_field.factory import vector_field_of

MODERATE = {"epsilon": 0.0, "sigma1": 0.0, "sigma2": 0.0, "weight_decay": 0.0}  # for other arguments it is 1
FRACTIONS = ("tracking", "decay")  # parameters between 0 and 1, which no rate can leave the range for


def extreme_argument(model: Model, s: npt.NDArray[np.float64] | None = None, /, **arguments: Any) -> tuple[str, Any]:
    """Return the name and the value of the argument that takes rates out of the range of double precision.

    s: eigenvalues (..., M), or weights (..., M, N), at which rates are computed; if it is None, they are 1. arguments:
    arguments that may be the cause beside the parameters of the model, one of them with the value ``s``.

    A parameter, or s, is a cause if rates are finite once it alone has a moderate value, which is 1 or 0. If there are
    several causes, or if none can be found in this way, the result is the argument that is furthest from its moderate
    value, on a logarithmic scale.
    """
    names = [name for name in model.parameter_names if name not in FRACTIONS]
    values = {name: model.parameter_values[name] for name in names} | arguments
    start = np.ones(1) if s is None else s

    def is_cause(name: str) -> bool:
        if name in names:
            return _is_finite(model, start, {name: MODERATE.get(name, 1.0)})
        return arguments.get(name) is s and _is_finite(model, np.where(start == 0, 0.0, np.sign(start)), {})

    causes = [] if _is_finite(model, start, {}) else [name for name in values if is_cause(name)]
    name = max(causes or values, key=lambda name: _size(values[name], MODERATE.get(name, 1.0)))
    return ("noise", model.noise) if name in ("sigma1", "sigma2") else (name, values[name])


def _is_finite(model: Model, s: npt.NDArray[np.float64], replaced: dict[str, float]) -> bool:
    """Return True if all rates are finite at the eigenvalues or weights s, with some parameters replaced."""
    try:
        with np.errstate(all="ignore"):
            model = model.replace(**replaced)
            field = vector_field_of(model, choose_closure(model, None))
            velocity = field.velocity(field.start(s), 1.0)
    except (FloatingPointError, ArgumentError):
        return False
    return all(np.isfinite(part).all() for part in velocity if part is not None)


def _size(value: npt.ArrayLike, moderate: float) -> float:
    """Return the largest |log x| of the nonzero entries x of a value; if the moderate value is 0, only x > 1 count."""
    entries = np.abs(np.asarray(value, float))
    logs = np.log(entries[entries > 0])
    return float(np.max(np.abs(logs) if moderate else logs, initial=0.0))
