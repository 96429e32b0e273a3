"""The flow by heyoka: Taylor series of high order, compiled for the model and its number of modes.

The generated rates are evaluated once, on symbols in place of numbers; heyoka differentiates and compiles them. The
encoder is integrated as log w, in which an absolute error is a relative one of s; all else as it is. Members that do
not reach the end that way are left to SciPy's solvers, which tell why.
"""

import math
import threading
from copy import copy
from functools import lru_cache

import numpy as np

from dynamics import errors
from dynamics.generated import eigenvalues
from dynamics.model.model import Model
from dynamics.model.parameters import Parameters, Structure
from dynamics.numerics.progress import progress_bar
from dynamics.numerics.threads import cores, in_order
from dynamics.solvers.coordinates import Flow
from dynamics.solvers.flow_scipy import scipy_flow
from dynamics.vector_field.eigenmode_state import (
    SMALLEST,
    Observables,
    Spectrum,
    State,
    as_rows,
    completed,
    each,
    essential,
    exponent,
    observables,
    predictor,
    velocity,
)
from dynamics.vector_field.eigenmodes import EigenmodeField, Forces, expectations_of
from dynamics.vector_field.factory import vector_field_of

LANES = 8  # members in one integrator
FINEST = 1e-15  # tolerance of the series
COMPACT = 64  # modes from which on the code consists of calls: slower, but compiled in bounded time
MAX_STEPS = 20_000


def check_heyoka(model: Model, closure: str) -> None:
    """Raises ArgumentError where it cannot serve a model."""
    others = "be 'auto', 'scipy' or 'jax'"
    needed = expectations_of(model.generated, model.structure).values()
    if any(expectation is None or expectation.under(closure) is None for expectation in needed):
        errors.reject("method", f"{others} for a closure that takes integrals or samples, and is no formula", "heyoka")
    if model.structure.predictor == "normalized":
        errors.reject("method", f"{others} for a normalized predictor", "heyoka")
    kinks = [name for name in ("maximum", "minimum", "abs") if f"xp.{name}(" in (model.generated.source or "")]
    if kinks:
        errors.reject("method", f"{others} for a loss with kinks ({kinks[0]}), where a series ends", "heyoka")
    try:
        import heyoka  # noqa: F401
    except ImportError:
        errors.reject("method", f"{others} where the package heyoka is not installed", "heyoka")


def heyoka_flow(start: State, times, rates: EigenmodeField, learning_rate, rtol, atol, progress) -> Flow:
    """Members in lanes, on all cores; interrupted, the rest is not a number. start: (..., M)."""
    batch, modes = start.batch, start.w.shape[-1]
    members, parameters = as_rows(start, rates.parameters)
    many = len(members.w)
    found = essential(rates.structure, Observables(*(np.empty((many, len(times), modes)) for _ in Observables._fields)))
    blow_up, left, status = np.full(many, np.inf), np.zeros(many, bool), "complete"
    done = _integrate(rates, members, parameters, times, learning_rate, rtol, progress, found, left)
    if done < many:
        each(lambda a: a[done:].fill(np.nan), found)
        status = f"interrupted after ensemble member {done} of {many}; what was not computed is not a number"
    elif left.any():
        own = vector_field_of(rates.model, rates.closure, rates.rtol, parameters.map(lambda row: row[left]))
        start_left = each(lambda part: part[left], members)
        others = scipy_flow(start_left, times, own, learning_rate, rtol, atol, None, progress)
        each(lambda whole, part: whole.__setitem__(left, part), found, essential(rates.structure, others.observables))
        blow_up[left], status = others.blow_up_time, others.status
    found = each(lambda a: a.reshape(*batch, *a.shape[1:]), completed(rates.structure, parameters, found))
    return Flow(found, blow_up.reshape(batch), status)


def _integrate(rates: EigenmodeField, members, parameters, times, learning_rate, rtol, progress, found, left) -> int:
    """Puts essential observables into found (B, T, M), and who did not get to the end into left; how many are done."""
    many, modes = members.w.shape
    numbers = np.hstack(
        [*parameters[:-1], *parameters.of_loss, np.full((many, 1), 1.0 if learning_rate is None else learning_rate)]
    )
    grid, back = np.unique(np.concatenate([[0.0], times]), return_inverse=True)
    lanes = 1 if many == 1 else LANES
    own = len(parameters.of_loss)
    key = (rates.model.generated, rates.structure, rates.closure, exponent(parameters), own, modes, lanes)
    tolerance = _tolerance(rates.structure, members, parameters, rtol)
    _integrator(key, tolerance)  # compiled before threads ask for it

    def run(part: slice) -> None:
        rows = np.minimum(np.arange(part.start, part.start + lanes), part.stop - 1)
        own = _own_integrator(key, tolerance, threading.get_ident())
        own.set_time(0.0)
        own.state[:] = _forward(each(lambda a: a[rows], members)).T
        own.pars[:] = numbers[rows].T[: len(own.pars)]  # which ends with the last that is used
        _, passed = own.propagate_grid(np.repeat(grid[:, None], lanes, axis=1), max_steps=MAX_STEPS)
        states = _backward(members, np.moveaxis(passed, -1, 0)[: part.stop - part.start, back[1:]])
        left[part] = ~np.isfinite(states.w).all(axis=(1, 2))
        along = parameters.map(lambda a: a[part, None])
        values = essential(rates.structure, observables(rates.structure, along, states))
        each(lambda whole, piece: whole.__setitem__(part, piece), found, values)

    done = 0
    if many == 1:
        run(slice(0, 1))
        return 1
    with progress_bar(many, "solve", progress) as bar:
        try:
            parts = [slice(first, min(first + lanes, many)) for first in range(0, many, lanes)]
            for part, _ in in_order(parts, run, cores()):
                done = part.stop
                bar.update(part.stop - part.start)
        except KeyboardInterrupt:
            pass
    return done


# --- what is integrated ---------------------------------------------------------------------------------------------


def _forward(members: State) -> np.ndarray:
    """(B, E): log w, and the other parts of the state that there are."""
    w, *others = members
    return np.hstack([np.log(np.maximum(w, SMALLEST)), *(part for part in others if part is not None)])


def _backward(like: State, y: np.ndarray) -> State:
    """The states (B, T, M) of y (B, T, E)."""
    parts = iter(np.split(y, y.shape[-1] // like.w.shape[-1], axis=-1))
    return each(lambda part: next(parts), like)._replace(w=np.exp(y[..., : like.w.shape[-1]]))


def _tolerance(structure: Structure, members: State, parameters: Parameters, rtol: float) -> float:
    """Of the series, a power of ten, so that few are compiled: a small mode amplifies errors by 1/lambda0."""
    lam = np.abs(predictor(structure, parameters, members, members.w**2))
    least = min(1.0, lam.min(where=lam > 0, initial=1.0))
    return max(10.0 ** np.ceil(np.log10(rtol * least)), FINEST)


# --- compiled -------------------------------------------------------------------------------------------------------


@lru_cache(maxsize=64)
def _own_integrator(key, tolerance: float, thread: int):
    """An integrator that no other thread uses."""
    return copy(_integrator(key, tolerance))


@lru_cache(maxsize=16)
def _integrator(key, tolerance: float):
    """For one loss, structure, closure, exponent (None: a parameter), number of modes, and lanes."""
    hy = _heyoka()
    generated, structure, closure, alpha, own, modes, lanes = key
    shared = len(Parameters._fields) - 1
    *numbers, learning_rate = (_symbols([hy.par[i]]) for i in range(shared + own + 1))
    named = dict(zip(Parameters._fields[:shared], numbers[:shared], strict=True))
    p = Parameters(**named, of_loss=tuple(numbers[shared:]))
    p = p if alpha is None else p._replace(alpha=alpha)
    there = State(True, structure.separate_target, structure.predictor == "learned", structure.tracked)
    variables = State(
        *(_symbols([hy.make_vars(f"{name}{m}") for m in range(modes)]) if is_there else None
          for name, is_there in there._asdict().items())
    )  # fmt: skip
    state = variables._replace(w=_Namespace.exp(variables.w))
    s = _Namespace.exp(2 * variables.w)
    ratio = state.v / state.w if structure.separate_target else _Namespace.ones_like(s[:1])
    spectrum = Spectrum(s, predictor(structure, p, state, s), ratio)
    needed = expectations_of(generated, structure).values()
    forces = Forces(*(expectation.under(closure)(*spectrum, *p.of_expectations) for expectation in needed))
    slope = velocity(structure, p, state, forces, learning_rate)
    slope = slope._replace(w=eigenvalues.encoder_velocity(1, forces.rates, p.rho))  # d log w/dt
    system = [
        pair
        for names, own in zip(variables, slope, strict=True)
        if own is not None
        for pair in zip(names, own, strict=True)
    ]
    start = np.zeros((len(system), lanes))
    return hy.taylor_adaptive_batch(system, start, tol=tolerance, compact_mode=modes >= COMPACT)


class _Symbols(np.ndarray):
    """An array of heyoka's expressions, (M,), that generated code takes for one of numbers."""

    def __array_namespace__(self, **_):
        return _Namespace


class _Namespace:
    """What generated code of rates calls, on symbols."""

    @staticmethod
    def sum(a, axis, keepdims):
        return _symbols([_heyoka().sum(list(a))])  # over modes, the only axis

    e = math.e

    @staticmethod
    def exp(a):
        return _of_entries("exp", a)

    @staticmethod
    def sqrt(a):
        return _of_entries("sqrt", a)

    @staticmethod
    def log(a):
        return _of_entries("log", a)

    @staticmethod
    def tanh(a):
        return _of_entries("tanh", a)

    @staticmethod
    def ones_like(a):
        return _symbols([_heyoka().expression(1.0) for _ in a])


def _of_entries(name: str, a):
    """A function of symbols, or of a number."""
    if np.ndim(a) == 0:
        return float(getattr(np, name)(a))
    return _symbols([getattr(_heyoka(), name)(entry) for entry in a])


def _symbols(entries: list) -> _Symbols:
    return np.array(entries, dtype=object).view(_Symbols)


def _heyoka():
    import heyoka

    return heyoka
