"""The flow by SciPy's solvers, step by step, so that it can be watched, interrupted, and caught when it blows up."""

from itertools import count
from typing import Any

import numpy as np
import scipy.integrate

from dynamics.numerics.progress import progress_bar
from dynamics.solvers.coordinates import Flow, coordinate_of, noise_of
from dynamics.solvers.steady_state import Rest
from dynamics.vector_field.base import VectorField
from dynamics.vector_field.eigenmode_state import each
from dynamics.vector_field.factory import vector_field_of

PATIENCE = 400  # steps of the explicit method before the problem is taken to be stiff
STEPS_PER_RULE = 8  # a change of the quadrature's nodes is noise to the error control: not at every step
INTERRUPTED = "interrupted"
NOT_STEADY = "not steady"
DYING = "a mode dies, where the gradient has a pole"
DIVERGING = 1e3  # a solver that fails at eigenvalues this many times those at the start met a blow-up


def scipy_flow(start, times, forces: VectorField, learning_rate, rtol, atol, until, progress) -> Flow:
    """One member of the ensemble after another; interrupted, the rest is not a number. start: a state (...)."""
    batch, many = start.batch, int(np.prod(start.batch))
    flows: list[Flow] = []
    with progress_bar(many * times[-1], "solve", progress) as bar:
        for _, own, own_start in members(forces, start):
            rest = Rest(own_start, own, learning_rate) if until == "steady" else None
            flows.append(_one_member(own, own_start, times, learning_rate, rtol, atol, rest, bar))
            forces.note_error(own.error)
            if flows[-1].status.startswith(INTERRUPTED):
                break
    if not batch:
        return flows[0]
    values = each(lambda a: np.full((many, len(times), *a.shape[1:]), np.nan), flows[0].observables)
    blow_up, steady = np.full(many, np.inf), np.full(many, np.inf)
    for number, flow in enumerate(flows):
        _put(values, (number, slice(len(flow.observables.s))), flow.observables)
        blow_up[number], steady[number] = flow.blow_up_time, flow.steady_time
    values = each(lambda a: a.reshape(*batch, *a.shape[1:]), values)
    return Flow(values, blow_up.reshape(batch), _status(flows, many), steady_time=steady.reshape(batch))


def members(forces: VectorField, start):
    """(index, forces with its own parameters, state at the start) of each member of an ensemble."""
    rows = forces.parameters.map(lambda a: np.broadcast_to(a, (*start.batch, 1)))
    for i in np.ndindex(start.batch):
        own = vector_field_of(forces.model, forces.closure, forces.rtol, rows.map(lambda row, i=i: row[i]))
        yield i, own, each(lambda part, i=i: part[i], start)


def _put(observables, where, values) -> None:
    """Write values into the arrays of observables."""
    each(lambda array, value: array.__setitem__(where, value), observables, values)


def _status(flows: list[Flow], many: int) -> str:
    """How an ensemble ended: the first member that was cut short, and how many were; blow-ups speak for themselves."""
    short = [number for number, flow in enumerate(flows, 1) if flow.reached is not None]
    moving = [number for number, flow in enumerate(flows, 1) if flow.status.startswith(NOT_STEADY)]
    if not short and moving:
        where = f"in {len(moving)} of {many} ensemble members; the first, number {moving[0]}, is"
        return f"{NOT_STEADY} {where}{flows[moving[0] - 1].status.removeprefix(NOT_STEADY)}"
    if not short:
        return "complete"
    missing = len(short) + many - len(flows)
    where = f"in ensemble member {short[0]} of {many}"
    return f"{flows[short[0] - 1].status} {where}; what was not computed, in {missing} of them, is not a number"


def _one_member(
    forces: VectorField, start, times, learning_rate, rtol: float, atol: float, rest: Rest | None, bar
) -> Flow:
    """One trajectory, step by step, up to the last time or to where it is at rest."""
    coordinate = coordinate_of(start, forces.parameters, atol)

    def slope(_, y):
        return coordinate.slope(y, lambda state: forces.velocity(state, learning_rate))

    first = forces.observables(start)
    found = each(lambda a: np.full((len(times), *a.shape), np.inf), first)
    done, t, never, taken = int(np.searchsorted(times, 0.0, side="right")), 0.0, np.array(np.inf), 0
    _put(found, slice(done), first)
    y0, largest = coordinate.forward(start), first.s.max()
    last, pole = y0, forces.model.pole_at_collapse.any()

    def until(number: int):
        return each(lambda a: a[:number], found)

    try:
        for solver, message in steps(slope, y0, times[-1], coordinate.tolerances(rtol, noise_of(forces))):
            t, gone = solver.t, not coordinate.room(solver.y, y0) > 0
            if solver.status == "failed" or gone:
                s = forces.observables(coordinate.backward(last)).s
                if pole and s.min() < atol and s.max() < DIVERGING * largest:
                    return Flow(until(done), never, f"stopped at t = {t:.6g}: {DYING}", reached=done)
                if gone or forces.observables(coordinate.backward(solver.y)).s.max() > DIVERGING * largest:
                    return Flow(until(len(times)), np.array(t), f"eigenvalues diverge at t = {t:.10g}")
                return Flow(until(done), never, f"stopped at t = {t:.6g}: {message}", reached=done)
            upto = int(np.searchsorted(times, t, side="right"))
            if upto > done:
                states = coordinate.backward(solver.dense_output()(times[done:upto]).T)
                _put(found, slice(done, upto), forces.observables(states))
                done = upto
            bar.update(t - solver.t_old)
            if rest and rest.reached(state := coordinate.backward(solver.y)):
                _put(found, slice(done, None), forces.observables(state))
                bar.update(times[-1] - t)
                return Flow(until(len(times)), never, steady_time=np.array(t))
            last = solver.y
            if (taken := taken + 1) % STEPS_PER_RULE == 0:
                forces.relax()
    except KeyboardInterrupt:
        return Flow(until(done), never, f"{INTERRUPTED} at t = {t:.6g}", reached=done)
    except FloatingPointError as error:
        return Flow(until(done), never, f"stopped at t = {t:.6g}: {error}", reached=done)
    return Flow(until(len(times)), never, f"{NOT_STEADY} at t = {t:.6g}, {rest}" if rest else "complete")


def steps(slope, y, end: float, tolerances: dict):
    """(solver, message) after each step to ``end``: DOP853, and LSODA once stability makes its steps short."""
    solver: Any = None
    for taken in count():
        with np.errstate(over="ignore", invalid="ignore", divide="ignore"):  # a step may be tried that is too long
            if taken == 0:
                solver = scipy.integrate.DOP853(slope, 0.0, y, end, **tolerances)
            if taken == PATIENCE:
                solver = scipy.integrate.LSODA(slope, solver.t, solver.y, end, **tolerances)
            if solver.status != "running" or end == 0:
                return
            message = solver.step()
        yield solver, message
