"""Compare two theories, such as flow and descent map, at the times that both have."""

from typing import Any

import numpy as np
import numpy.typing as npt

from dynamics import errors
from dynamics.presentation.text import counted
from dynamics.results.trajectory import KINDS, Trajectory
from dynamics.verification.comparison import Comparison

THEORIES = ("flow", "descent")
LONGEST_NAME = 60  # characters of a value in the name of a theory
ROUNDING = 1e-12  # relative deviation below which two theories agree


def check_theory(name: str, theory: Trajectory) -> None:
    """Raise ArgumentError unless a trajectory is a single result of ``solve`` or ``iterate`` with a recorded time."""
    if theory.kind not in THEORIES or theory.s.ndim != 2:
        errors.reject(name, "be one trajectory from solve or iterate", theory)
    if not len(theory.t):
        errors.reject(name, "contain at least one recorded time", theory)


def compare_theories(first: Trajectory, second: Trajectory) -> Comparison:
    """Return the deviation of a second theory from a first, at all times that both have; their models may differ."""
    check_theory("theory", first)
    check_theory("network", second)
    if first.s.shape[-1] != second.s.shape[-1]:
        errors.reject("network", f"have {counted(first.s.shape[-1], 'mode')}, as many as the first theory", second)
    of_first, of_second = common_times(first.t, second.t)
    if not (first.t[of_first] > 0).any():
        requirement = (
            "be recorded at times of the first theory, after time 0; for a flow and a descent map, compute the flow at "
            "the times of the descent map, `dyn.solve(model, s0, descent.t)`"
        )
        errors.reject("network", requirement, second)
    modes = second.modes[of_second]
    return Comparison(
        step=next(
            (run.step[rows] for run, rows in ((second, of_second), (first, of_first)) if run.step is not None), None
        ),
        t=first.t[of_first],
        theory=np.sort(first.s[of_first], axis=-1),
        network=np.sort(second.s[of_second], axis=-1),
        theory_modes=first.modes[of_first],
        network_modes=modes,
        estimate=lambda: np.zeros_like(modes),
        source="theories have no sampling error",
        rounding=ROUNDING,
        names=_names(first, second),
        model=first.model,
        recorded=(len(first.t), len(second.t)),
    )


def common_times(
    first: npt.NDArray[np.floating[Any]], second: npt.NDArray[np.floating[Any]]
) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]:
    """Return the indices of common times in two ascending arrays; times may differ by rounding errors."""
    after = np.clip(np.searchsorted(first, second), 1, max(len(first) - 1, 1))
    nearest = np.where(second - first[after - 1] <= first[np.minimum(after, len(first) - 1)] - second, after - 1, after)
    nearest = np.minimum(nearest, len(first) - 1)
    of_second = np.flatnonzero(np.isclose(first[nearest], second, rtol=1e-9, atol=1e-12))
    return nearest[of_second], of_second


def _names(first: Trajectory, second: Trajectory) -> tuple[str, str]:
    """Return names of two theories: their kinds, and for equal kinds the property in which they differ."""
    names = KINDS[first.kind], KINDS[second.kind]
    if names[0] != names[1] and first.model == second.model:
        return names
    for a, b in zip(_properties(first), _properties(second), strict=True):
        if a != b:
            return f"{names[0]} ({a})", f"{names[1]} ({b})"
    return f"{names[0]} (first)", f"{names[1]} (second)"


def _properties(theory: Trajectory) -> list[str]:
    names = ("closure", "learning_rate", "momentum", "schedules")
    options = ((name.replace("_", " "), theory.settings.get(name)) for name in names)
    texts = (
        f"no {name}" if value is None else f"{name} {errors.shortened(str(value), LONGEST_NAME)}"
        for name, value in options
    )
    return [str(theory.model), *texts, f"method {theory.method}"]
