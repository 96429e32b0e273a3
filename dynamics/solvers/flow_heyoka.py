"""Integrate the flow by heyoka: Taylor series of high order, compiled for the model and its number of modes.

The generated rates are evaluated once, on symbols in place of numbers; heyoka differentiates and compiles the resulting
expressions. The singular values w of the modes are integrated in units of the largest initial one, because heyoka's
tolerance is relative to the largest variable. All coefficients of the Taylor series of a small mode contain the factor
w, as dw/dt = w (r - rho) with the rate r of the mode and the weight decay rho, so that small modes are as accurate as
large ones. The other dynamical variables are integrated as they are. Ensemble members that do not reach the last time
are integrated again by another method, whose status states the reason.
"""

import math
import threading
from collections.abc import Callable
from copy import copy
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from dynamics.derived_loss import DerivedLoss
from dynamics.generated import eigenvalues
from dynamics.model.parameters import Parameters, Structure
from dynamics.numerics.progress import progress_bar
from dynamics.numerics.threads import cores, in_order
from dynamics.solvers.problem import FlowProblem
from dynamics.solvers.solutions import Flow
from dynamics.vector_field.eigenmode_state import (
    SMALLEST,
    Rates,
    Spectrum,
    as_rows,
    compiled_exponent,
    completed,
    independent,
    independent_observables,
    predictor,
    velocity,
)
from dynamics.vector_field.eigenmodes import formulas_of
from dynamics.vector_field.factory import vector_field_of
from dynamics.vector_field.state import Observables, State, each

Key = tuple[
    DerivedLoss, Structure, str, float | None, tuple[int, ...], int, int
]  # identifies an integrator (``_integrator``)

LANES = 8  # number of ensemble members that one integrator computes at once
FINEST = 1e-15  # smallest tolerance of the Taylor series
COMPACT = (
    16  # number of modes from which the compiled code calls functions: it compiles in 0.4 s for any number of modes
)
SAFETY = 0.1  # tolerance of the series in units of rtol: it is relative to the largest variable, not to each mode
MAX_STEPS = 20_000  # largest number of steps of an integration
VANISHED = 1e-30  # added to w: powers of s, and the ratio v/w of the target, have no Taylor series at w = 0
BLOCKS = 8  # largest number of blocks of LANES members that a thread integrates before it stores their observables


def heyoka_flow(problem: FlowProblem, solve_others: Callable[[FlowProblem], Flow]) -> Flow:
    """Integrate the flow of an ensemble, LANES members at once on each core.

    If the user interrupts the integration, the observables of members that were not integrated are NaN. solve_others:
    function that integrates by another method the members that did not reach the last time here.
    """
    field, modes = problem.field, problem.s0.shape[-1]
    members, parameters = as_rows(problem.start, field.parameters)
    many = len(members.encoder)
    whole = Observables(*np.empty((3, many, len(problem.times), modes)))
    observed = independent(field.structure, whole)
    blow_up, left, status = np.full(many, np.inf), np.zeros(many, bool), "complete"
    done = _integrate(problem, members, parameters, observed, left)
    if done < many:
        each(lambda a: a[done:].fill(np.nan), observed)
        status = f"interrupted after ensemble member {done} of {many}; values that were not computed are NaN"
    elif left.any():
        others = solve_others(_members_left(problem, parameters, left))
        pieces = independent(field.structure, others.observables)
        each(lambda rows, piece: _replace(rows, left, piece), observed, pieces)
        blow_up[left], status = others.blow_up_time, others.status
    observed = completed(field.structure, parameters, observed)
    shape = (*problem.members, len(problem.times), modes)
    return Flow(each(lambda a: a.reshape(shape), observed), blow_up.reshape(problem.members), status)


def _replace(rows: npt.NDArray[np.float64], left: npt.NDArray[np.bool_], piece: npt.NDArray[np.float64]) -> None:
    """Replace an observable in some rows of the array ``rows`` (B, T, M).

    left: mask (B,), True for the B' members to replace. piece: new values at the first T' times, (B', T', M); the
    values at later times become NaN.
    """
    rows[left] = np.nan
    rows[left, : piece.shape[1]] = piece


def _members_left(problem: FlowProblem, parameters: Parameters, left: npt.NDArray[np.bool_]) -> FlowProblem:
    """Return the problem reduced to the members that did not reach the last time, each with its own parameters.

    left: mask (B,) of the B members of the whole problem, True for the members to keep.
    """
    s0 = problem.s0.reshape(len(left), -1)[left]
    member_parameters = parameters.map(lambda row: row[left])
    field = vector_field_of(problem.model, problem.closure, problem.field.rtol, member_parameters)
    return problem.with_field(field, s0, (len(s0),))


def _integrate(
    problem: FlowProblem, members: State, parameters: Parameters, observed: Observables, left: npt.NDArray[np.bool_]
) -> int:
    """Integrate B members, write their observables (B, T, M), and return the number of members that were integrated.

    observed: arrays to which the observables are written; None for observables that can be computed from the
    eigenvalues s. left: mask (B,) that is set to True for members that did not reach the last time.
    """
    field, times = problem.field, problem.times
    many, modes = members.encoder.shape
    learning_rate = 1.0 if problem.learning_rate is None else problem.learning_rate
    scales = _scales(members)
    arrays = [*parameters[:-1], *parameters.of_loss, np.full((many, 1), learning_rate), scales]
    values, widths = np.hstack(arrays), tuple(a.shape[1] for a in arrays)
    grid, recorded = _grid(times)
    lanes = 1 if many == 1 else LANES
    model, alpha = problem.model, compiled_exponent(parameters)
    key = (model.generated, model.structure, problem.closure, alpha, widths, modes, lanes)
    y0 = _forward(members, scales)
    tolerance = _tolerance(model.structure, members, parameters, SAFETY * problem.rtol / np.abs(y0).max(initial=1.0))
    _integrator(key, tolerance)  # compile the integrator before threads use it

    def variables(part: slice) -> npt.NDArray[np.float64]:
        """Return the integrated variables (B, T, E) of the members in ``part``."""
        integrator = _own_integrator(key, tolerance, threading.get_ident())
        y = np.empty((part.stop - part.start, len(times), y0.shape[1]))
        for first in range(part.start, part.stop, lanes):
            rows = np.minimum(np.arange(first, first + lanes), part.stop - 1)
            integrator.set_time(0.0)
            integrator.state[:] = y0[rows].T
            integrator.pars[:] = values[rows].T[: len(integrator.pars)]  # heyoka drops parameters after the last used
            _, passed = integrator.propagate_grid(np.repeat(grid[:, None], lanes, axis=1), max_steps=MAX_STEPS)
            block = y[first - part.start : first - part.start + lanes]
            block[:] = np.moveaxis(passed[recorded], -1, 0)[: len(block)]
        return y

    def run(part: slice) -> None:
        states = _backward(members, scales[part], variables(part))
        left[part] = ~np.isfinite(states.encoder).all(axis=(1, 2))
        along_times = parameters.map(lambda a: a[part, None]) if field.structure.tracked else parameters
        pieces = independent_observables(field.structure, along_times, states)
        each(lambda whole, piece: whole.__setitem__(part, piece), observed, pieces)

    done = 0
    if many == 1:
        run(slice(0, 1))
        return 1
    size = LANES * int(np.clip(many // (4 * LANES * cores()), 1, BLOCKS))
    with progress_bar(many, "solve", problem.progress) as bar:
        try:
            parts = [slice(first, min(first + size, many)) for first in range(0, many, size)]
            for part, _ in in_order(parts, run, cores()):
                done = part.stop
                bar.update(part.stop - part.start)
        except KeyboardInterrupt:
            pass
    return done


def _grid(times: npt.NDArray[np.float64]) -> tuple[npt.NDArray[np.float64], slice | npt.NDArray[np.intp]]:
    """Return a grid of distinct times, which contains 0 and all ``times`` (T,), and the indices of ``times`` in it."""
    if times[0] == 0 and (times[1:] > times[:-1]).all():
        return times, slice(None)
    grid, back = np.unique(np.concatenate([[0.0], times]), return_inverse=True)
    return grid, back[1:]


# --- integrated variables -------------------------------------------------------------------------------------------


def _scales(members: State) -> npt.NDArray[np.float64]:
    """Return the unit (B, 1) in which the singular values of B members are integrated: the largest initial one."""
    return np.maximum(members.encoder.max(axis=1, keepdims=True), SMALLEST)


def _forward(members: State, scales: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return the integrated variables y (B, E) of states.

    The variables are the singular values of the encoder in units of ``scales`` (B, 1), followed by all other dynamical
    variables.
    """
    w, *others = members
    return np.hstack([w / scales, *(part for part in others if part is not None)])


def _backward(like: State, scales: npt.NDArray[np.float64], y: npt.NDArray[np.float64]) -> State:
    """Return the states (B, T, M) whose integrated variables are y (B, T, E); the inverse of ``_forward``.

    like: states with the same dynamical variables as the result. scales: units of the encoder's singular values (B, 1).
    """
    parts = iter(np.split(y, y.shape[-1] // like.encoder.shape[-1], axis=-1))
    w = scales[:, None] * y[..., : like.encoder.shape[-1]]
    return each(lambda part: next(parts), like)._replace(encoder=w)


def _tolerance(structure: Structure, members: State, parameters: Parameters, rtol: float) -> float:
    """Return the tolerance of the Taylor series: rtol times the smallest initial predictor eigenvalue lambda(0).

    A small mode amplifies errors by the factor 1/lambda(0) while it grows. The tolerance is rounded up to a power of
    ten, so that problems with similar tolerances share a compiled integrator. members: initial states. rtol: relative
    tolerance of the flow.
    """
    lam = np.abs(predictor(structure, parameters, members, members.encoder**2))
    least = min(1.0, lam.min(where=lam > 0, initial=1.0))
    return max(10.0 ** np.ceil(np.log10(rtol * least)), FINEST)


# --- compiled -------------------------------------------------------------------------------------------------------


@lru_cache(maxsize=64)
def _own_integrator(key: Key, tolerance: float, thread: int) -> Any:
    """Return a copy of the compiled integrator ``_integrator(key, tolerance)``, for use by one thread.

    thread: identifier of the thread.
    """
    return copy(_integrator(key, tolerance))


@lru_cache(maxsize=16)
def _integrator(key: Key, tolerance: float) -> Any:
    """Return heyoka's integrator, compiled for the problem that ``key`` identifies and for a tolerance.

    The entries of ``key`` are: loss, structure of the model, closure, exponent alpha of the predictor (None if alpha is
    one of the parameters at run time), number of values of each parameter (one, or one for each mode), number of modes,
    and number of ensemble members that are computed at once.
    """
    hy = _heyoka()
    generated, structure, closure, alpha, widths, modes, lanes = key
    shared, ends = len(Parameters._fields) - 1, np.cumsum(widths)
    *numbers, learning_rate, scale = (
        _symbols([hy.par[i] for i in range(end - width, end)]) for end, width in zip(ends.tolist(), widths, strict=True)
    )
    named = dict(zip(Parameters._fields[:shared], numbers[:shared], strict=True))
    p = Parameters(**named, of_loss=tuple(numbers[shared:]))
    p = p if alpha is None else p._replace(alpha=alpha)
    present = State(True, structure.separate_target, structure.predictor == "learned", structure.tracked)
    variables = State(
        *(_symbols([hy.make_vars(f"{name}{m}") for m in range(modes)]) if is_there else None
          for name, is_there in present._asdict().items())
    )  # fmt: skip
    state = variables._replace(encoder=scale * (variables.encoder + VANISHED))
    s = state.encoder**2
    ratio = state.target / state.encoder if structure.separate_target else _Namespace.ones_like(s[:1])
    spectrum = Spectrum(s, predictor(structure, p, state, s), ratio)
    formulas = formulas_of(generated, structure, closure)
    rates = Rates(*(formula(*spectrum, *p.of_expectations) for formula in formulas if formula is not None))
    slope = velocity(p, state, rates, learning_rate)
    slope = slope._replace(encoder=variables.encoder * eigenvalues.encoder_velocity(1, p.cross * rates.rates, p.rho))
    system = [
        pair
        for names, own in zip(variables, slope, strict=True)
        if own is not None
        for pair in zip(names, np.broadcast_to(own, names.shape), strict=True)
    ]
    start = np.zeros((len(system), lanes))
    return hy.taylor_adaptive_batch(system, start, tol=tolerance, compact_mode=modes >= COMPACT)


class _Symbols(np.ndarray):
    """An array (M,) of heyoka's symbolic expressions; generated code treats them like numbers."""

    def __array_namespace__(self, **_: Any) -> Any:
        return _Namespace


class _Namespace:
    """The array functions that generated rates call, for arrays of heyoka's symbolic expressions."""

    @staticmethod
    def sum(a: _Symbols, axis: int, keepdims: bool) -> _Symbols:
        return _symbols([_heyoka().sum(list(a))])  # the sum over modes, which are the only axis

    e = math.e

    @staticmethod
    def exp(a: Any) -> Any:
        return _of_entries("exp", a)

    @staticmethod
    def sqrt(a: Any) -> Any:
        return _of_entries("sqrt", a)

    @staticmethod
    def log(a: Any) -> Any:
        return _of_entries("log", a)

    @staticmethod
    def ones_like(a: _Symbols) -> _Symbols:
        return _symbols([_heyoka().expression(1.0) for _ in a])


def _of_entries(name: str, a: Any) -> Any:
    """Apply a function to each symbol in the array ``a``, or to the number ``a``; return the result.

    name: name of the function in NumPy and in heyoka.
    """
    if np.ndim(a) == 0:
        return float(getattr(np, name)(a))
    return _symbols([getattr(_heyoka(), name)(entry) for entry in a])


def _symbols(entries: list[Any]) -> _Symbols:
    return np.array(entries, dtype=object).view(_Symbols)


def _heyoka() -> Any:
    import heyoka

    return heyoka
