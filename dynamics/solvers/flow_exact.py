"""The flow of models that have an exact solution, by its formula."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from dynamics.derived_loss import ExactSolution
from dynamics.generated import eigenvalues
from dynamics.numerics.threads import cores
from dynamics.solvers.problem import FlowProblem
from dynamics.solvers.solutions import Flow
from dynamics.vector_field.state import Observables

BLOCK = 131_072  # number of values computed at once: they fit a cache, and outweigh the overhead of Python
FEW_BLOCKS = 4  # number of blocks below which threads do not pay


def exact_flow(problem: FlowProblem) -> Flow:
    """Evaluate the formula of the exact solution, one block of ensemble members and times after another.

    If terms of the formula nearly cancel, its arguments are in extended precision, where the platform has it; the
    arguments take less memory than the result (..., T, M).
    """
    model, solution, s0 = problem.model, problem.model.generated.exact, problem.s0
    assert solution is not None  # otherwise the method does not apply
    batch, modes, p = problem.members, s0.shape[-1], model.parameters
    number = np.longdouble if solution.cancels else np.float64
    numbers = (p.alpha, *p.of_expectations, p.rho)
    members = [np.broadcast_to(a, (*batch, 1)).reshape(-1, 1).astype(number) for a in numbers]
    alpha, *others = (number(a[0, 0]) if len(a) and (a == a[0]).all() else a for a in members)
    start = s0.reshape(-1, modes).astype(number)
    with np.errstate(all="ignore"):
        lam0 = eigenvalues.predictor(start, alpha, 0)
        blow_up = _blow_up(solution, lam0, alpha, *others)
    shape = (len(start), len(problem.times), modes)
    lam = np.empty(shape)
    s = lam if np.all(alpha == 1) else np.empty(shape)
    work = partial(_fill, solution, (lam0, alpha, *others), problem.times.astype(number), blow_up, lam, s)
    blocks = list(_blocks(shape))
    if len(blocks) < FEW_BLOCKS:
        list(map(work, blocks))
    else:
        with ThreadPoolExecutor(cores()) as pool:
            list(pool.map(work, blocks))
    s, lam = (a.reshape(*batch, *shape[1:]) for a in (s, lam))
    predictor = lam if model.structure.predictor != "none" else np.ones_like(s)
    return Flow(Observables(s, s, predictor), blow_up.reshape(batch))


def _blow_up(solution: ExactSolution, lam0: npt.NDArray[Any], *numbers: Any) -> npt.NDArray[np.float64]:
    """Return the time at which the first mode of each member diverges, (B,); inf if no mode diverges.

    lam0: initial eigenvalues of the predictor (B, M). numbers: further arguments of the formula.
    """
    if solution.blow_up_time is None:
        return np.full(len(lam0), np.inf)
    times = solution.blow_up_time(lam0, *numbers).astype(float)
    return np.where(times > 0, times, np.inf).min(axis=-1)


def _blocks(shape: tuple[int, int, int]) -> Iterator[tuple[slice, slice]]:
    """Yield a slice of members and a slice of times for each block of about BLOCK values. shape: (B, T, M)."""
    many, times, modes = shape
    rows, columns = max(1, BLOCK // (times * modes)), max(1, BLOCK // modes)
    for first in range(0, many, rows):
        for time in range(0, times, columns):
            yield slice(first, first + rows), slice(time, time + columns)


def _fill(
    solution: ExactSolution,
    arguments: tuple[Any, ...],
    times: npt.NDArray[Any],
    blow_up: npt.NDArray[np.float64],
    lam: npt.NDArray[np.float64],
    s: npt.NDArray[np.float64],
    block: tuple[slice, slice],
) -> None:
    """Compute the predictor eigenvalues ``lam`` (B, T, M), and the eigenvalues ``s``, of a block of members and times.

    s may be the array ``lam`` itself, if both are equal. arguments: initial eigenvalues lam0 (B, M) of the predictor,
    then parameters that are numbers or arrays (B, 1). blow_up: time at which each member diverges.
    """
    members, span = block
    lam0, alpha, *others = (a[members, None] if np.ndim(a) else a for a in arguments)
    t = times[span, None]
    with np.errstate(all="ignore"):
        found = solution.predictor(lam0, t, alpha, *others).astype(float, copy=False)
        if not lam0.all():
            found = np.where(lam0 == 0, 0.0, found)
        if np.isfinite(blow_up[members]).any():
            found = np.where(t >= blow_up[members, None, None], np.inf, found)
        lam[block] = found
        if s is not lam:
            s[block] = eigenvalues.predictor_inverse(found, np.asarray(alpha, float))
