"""Find the argument that takes the rates of a model out of the range of double precision."""

from typing import Any

import numpy as np
import numpy.typing as npt

from dynamics.errors import ArgumentError
from dynamics.model.model import Model
from dynamics.vector_field.base import choose_closure
from dynamics.vector_field.factory import vector_field_of

MODERATE = {"epsilon": 0.0, "sigma1": 0.0, "sigma2": 0.0, "weight_decay": 0.0}  # 1 for all other arguments
FRACTIONS = ("tracking", "decay")  # parameters between 0 and 1, which cannot take rates out of the range


def extreme_argument(model: Model, s: npt.NDArray[np.float64] | None = None, /, **arguments: Any) -> tuple[str, Any]:
    """Return the name and the value of the argument that takes rates out of the range of double precision.

    s: eigenvalues (..., M), or weights (..., M, N), at which the rates are computed; None stands for a single
    eigenvalue 1. arguments: arguments of the calling function that may be the cause, in addition to the parameters of
    the model. One of these arguments has the value ``s``.

    Each parameter, and s, in turn is replaced by a moderate value, which is 1 or 0. An argument is a cause if its
    replacement makes all rates finite. If there are several causes, the result is the cause that is furthest from its
    moderate value on a logarithmic scale. If there is no cause of this kind, the result is chosen among all arguments
    in the same way.
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
    """Return True if all rates at the eigenvalues or weights ``s`` are finite.

    replaced: new values of parameters of the model, in a dictionary with the names of the parameters as keys.
    """
    try:
        with np.errstate(all="ignore"):
            model = model.replace(**replaced)
            field = vector_field_of(model, choose_closure(model, None))
            velocity = field.velocity(field.start(s), 1.0)
    except (FloatingPointError, ArgumentError):
        return False
    return all(np.isfinite(part).all() for part in velocity if part is not None)


def _size(value: npt.ArrayLike, moderate: float) -> float:
    """Return the largest distance of the entries x of ``value`` from ``moderate``, on a logarithmic scale.

    If ``moderate`` is 1, the distance is |log |x||. If ``moderate`` is 0, the distance is log |x|, but at least 0.
    Entries x = 0 are left out.
    """
    entries = np.abs(np.asarray(value, float))
    logs = np.log(entries[entries > 0])
    return float(np.max(np.abs(logs) if moderate else logs, initial=0.0))
