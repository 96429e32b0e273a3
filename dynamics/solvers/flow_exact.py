"""Compute the flow of models that have an exact solution, by the formula of the solution."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from dynamics.derived_loss import ExactSolution
from dynamics.generated import eigenvalues
from dynamics.numerics.special import times_exp
from dynamics.numerics.threads import cores
from dynamics.solvers.problem import FlowProblem
from dynamics.solvers.solutions import Flow
from dynamics.vector_field.state import Observables

BLOCK = 131_072  # number of values computed at once: few enough for a cache, enough to outweigh Python's overhead
LARGEST_EXPONENT = 650.0  # largest x for which float64 holds e^x, with a margin
NORMAL = 1e-300  # smallest lambda(0) that float64 holds accurately; 1/NORMAL is the largest
FEW_BLOCKS = 4  # number of blocks below which threads take longer than they save


def exact_flow(problem: FlowProblem) -> Flow:
    """Evaluate the formula of the exact solution, one block of ensemble members and times after another.

    The formula returns log(s(t)/s(0)), which stays finite if the predictor eigenvalue lambda = s^alpha underflows or
    overflows. The arguments of the formula are in extended precision, where the platform has it, in two cases: if terms
    of the formula nearly cancel, or if the product alpha t may overflow. The initial eigenvalues and the parameters are
    converted to extended precision for all members at once. They do not depend on time, and therefore need less memory
    than the result (..., T, M), which is computed in blocks.
    """
    model, solution, s0 = problem.model, problem.model.generated.exact, problem.s0
    assert solution is not None  # otherwise the method does not apply
    batch, modes, p = problem.members, s0.shape[-1], model.parameters
    number = np.longdouble if solution.cancels or _long(p.alpha, problem.times) else np.float64
    rows = p.rows(batch).map(lambda a: a.astype(number))
    numbers = (rows.alpha, rows.cross, *rows.of_expectations, rows.rho / rows.cross)
    exponent, cross, *others = (number(a[0, 0]) if a.size and (a == a[0, 0]).all() else a for a in numbers)
    alpha = float(exponent) if np.ndim(exponent) == 0 else exponent  # a Python number leaves float64 arrays as they are
    start = s0.reshape(-1, modes)
    with np.errstate(all="ignore"):
        lam0 = eigenvalues.predictor(start.astype(number), alpha, 0)
        log_lam0 = alpha * np.log(start.astype(number))
        blow_up = _blow_up(solution, cross, log_lam0, alpha, *others)
    s = np.empty((len(start), len(problem.times), modes))
    closed_form = model.structure.predictor == "closed form"
    lam = np.empty(s.shape) if closed_form and not np.all(alpha == 1) else None
    arguments = (cross, lam0, log_lam0, alpha, *others)
    work = partial(_fill, solution, start, arguments, problem.times.astype(number), blow_up, s, lam)
    blocks = list(_blocks(s.shape))
    if len(blocks) < FEW_BLOCKS:
        list(map(work, blocks))
    else:
        with ThreadPoolExecutor(cores()) as pool:
            list(pool.map(work, blocks))
    shape = (*batch, *s.shape[1:])
    whole = s.reshape(shape)
    predictor = lam.reshape(shape) if lam is not None else whole if closed_form else np.ones(shape)
    return Flow(Observables(whole, whole, predictor), blow_up.reshape(batch))


def _long(alpha: npt.NDArray[np.float64], times: npt.NDArray[np.float64]) -> bool:
    """Return True if the product alpha t may overflow in float64, for exponents alpha of the predictor and times t."""
    return bool(np.log(np.max(alpha, initial=1.0)) + np.log(np.max(times, initial=1.0)) > LARGEST_EXPONENT)


def _blow_up(solution: ExactSolution, cross: Any, log_lam0: npt.NDArray[Any], *numbers: Any) -> npt.NDArray[np.float64]:
    """Return the time (B,) at which an eigenvalue of each member first diverges; inf for a member that stays finite.

    cross: second moments that the views share; the formula has the time of the flow, multiplied by ``cross``.
    """
    if not solution.diverges:
        return np.full(len(log_lam0), np.inf)
    times = np.asarray(solution.time_to_reach(log_lam0, np.inf, *numbers) / cross, float)
    return np.where(times >= 0, np.maximum(times, np.finfo(float).tiny), np.inf).min(axis=-1)


def _blocks(shape: tuple[int, int, int]) -> Iterator[tuple[slice, slice]]:
    """Yield (slice of members, slice of times) for each block of about BLOCK values of an array (B, T, M)."""
    many, times, modes = shape
    rows, columns = max(1, BLOCK // (times * modes)), max(1, BLOCK // modes)
    for first in range(0, many, rows):
        for time in range(0, times, columns):
            yield slice(first, first + rows), slice(time, time + columns)


def _fill(
    solution: ExactSolution,
    start: npt.NDArray[np.float64],
    arguments: tuple[Any, ...],
    times: npt.NDArray[Any],
    blow_up: npt.NDArray[np.float64],
    s: npt.NDArray[np.float64],
    lam: npt.NDArray[np.float64] | None,
    block: tuple[slice, slice],
) -> None:
    """Write a block of the eigenvalues s(t) and, if ``lam`` is an array, of the predictor's eigenvalues lambda(t).

    start: s(0), (B, M). arguments: the second moments that the views share, which multiply the time, then arguments of
    the formula: lambda(0) and log lambda(0), (B, M), and the parameters. Parameters are numbers or arrays (B, 1) or
    (B, M). blow_up: time at which each member diverges, (B,). s, lam: arrays (B, T, M) to which
    the block is written; lam is None if lambda(t) equals s(t) or 1. block: slices of members and of times.
    """
    members, span = block
    start = start[members, None]
    cross, lam0, log_lam0, alpha, *numbers = (a[members, None] if np.ndim(a) else a for a in arguments)
    t = times[span, None]
    diverged = t >= blow_up[members, None, None]
    t = t if np.ndim(cross) == 0 and cross == 1 else cross * t

    def complete(values: npt.NDArray[np.float64]) -> None:
        if not start.all():
            np.copyto(values, 0.0, where=start == 0)
        if diverged.any():
            np.copyto(values, np.inf, where=diverged)

    with np.errstate(all="ignore"):
        growth = solution.growth(lam0, log_lam0, t, alpha, *numbers)
        times_exp(start, growth, out=s[block])
        complete(s[block])
        if lam is not None:
            normal, first = (lam0 > NORMAL) & (lam0 < 1 / NORMAL), lam0.astype(float)
            from_start, from_one = np.where(normal, first, 1.0), np.where(normal, 0.0, log_lam0)
            times_exp(from_start, from_one + alpha * growth, out=lam[block])
            complete(lam[block])
