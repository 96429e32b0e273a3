"""The flow by SciPy's solvers, step by step, to show progress, to allow interruption, and to detect a divergence."""

from collections.abc import Callable, Iterator
from itertools import count
from typing import Any

import numpy as np
import numpy.typing as npt
import scipy.integrate

from dynamics.numerics.progress import progress_bar
from dynamics.solvers.coordinates import finite_coordinate_of, noise_of
from dynamics.solvers.problem import FlowProblem
from dynamics.solvers.solutions import Flow
from dynamics.solvers.steady_state import SteadyState
from dynamics.vector_field.base import VectorField
from dynamics.vector_field.factory import vector_field_of
from dynamics.vector_field.state import Observables, State, each

PATIENCE = 400  # steps of the explicit method before the problem is taken to be stiff
STEPS_PER_RULE = 8  # number of steps between changes of quadrature nodes, which are noise to the error control
INTERRUPTED = "interrupted"
NOT_STEADY = "not steady"
VANISHING = "a mode vanishes, where the gradient has a pole"
DIVERGING = 1e3  # eigenvalue, relative to the largest initial eigenvalue, above which a failure means divergence


def scipy_flow(problem: FlowProblem) -> Flow:
    """Integrate the flow of an ensemble, one member after another.

    After an interruption, the observables of members that were not integrated are not a number.
    """
    batch, many = problem.members, int(np.prod(problem.members))
    flows: list[Flow] = []
    with progress_bar(many * problem.times[-1], "solve", problem.progress) as bar:
        for _, field, start in members(problem.field, problem.start):
            flows.append(_one_member(problem, field, start, bar))
            problem.field.note_errors_of(field)
            if flows[-1].status.startswith(INTERRUPTED):
                break
    if not batch:
        return flows[0]
    values = each(lambda a: np.full((many, len(problem.times), *a.shape[1:]), np.nan), flows[0].observables)
    blow_up, steady = np.full(many, np.inf), np.full(many, np.inf)
    for number, flow in enumerate(flows):
        _put(values, (number, slice(len(flow.observables.s))), flow.observables)
        blow_up[number], steady[number] = flow.blow_up_time, flow.steady_time
    values = each(lambda a: a.reshape(*batch, *a.shape[1:]), values)
    return Flow(values, blow_up.reshape(batch), _status(flows, many), steady_time=steady.reshape(batch))


def members(field: VectorField, start: State) -> Iterator[tuple[tuple[int, ...], VectorField, State]]:
    """Yield (index, vector field, initial state) of each member of an ensemble. start: states of all members."""
    batch = field.batch(start)
    rows = field.parameters.map(lambda a: np.broadcast_to(a, (*batch, 1)))
    for i in np.ndindex(batch):
        parameters = rows.map(lambda row, i=i: row[i])
        member = vector_field_of(field.model, field.closure, field.rtol, parameters)
        yield i, member, each(lambda part, i=i: part[i], start)


def _put(observables: Observables, where: slice | tuple[int, slice], values: Observables) -> None:
    """Write values of the observables into arrays, at the index ``where``."""
    each(lambda array, value: array.__setitem__(where, value), observables, values)


def _status(flows: list[Flow], many: int) -> str:
    """Return the status of an ensemble: the first member that did not reach the last time, and how many did not.

    If the flow was to end at a steady state, members that did not converge are counted as well. A member that diverges
    counts as complete. many: number of members.
    """
    short = [number for number, flow in enumerate(flows, 1) if flow.reached is not None]
    moving = [number for number, flow in enumerate(flows, 1) if flow.status.startswith(NOT_STEADY)]
    if not short and moving:
        where = f"in {len(moving)} of {many} ensemble members; the first, number {moving[0]}, is"
        return f"{NOT_STEADY} {where}{flows[moving[0] - 1].status.removeprefix(NOT_STEADY)}"
    if not short:
        return "complete"
    missing = len(short) + many - len(flows)
    where = f"in ensemble member {short[0]} of {many}"
    return f"{flows[short[0] - 1].status} {where}; what was not computed, in {missing} members, is not a number"


def _one_member(problem: FlowProblem, field: VectorField, start: State, bar: Any) -> Flow:
    """Integrate the flow of one ensemble member to the last time, or to its steady state. bar: progress bar."""
    times, learning_rate, atol = problem.times, problem.learning_rate, problem.atol
    detector = SteadyState(start, field, learning_rate) if problem.until == "steady" else None
    coordinate = finite_coordinate_of(start, field.parameters, atol)

    def slope(_: float, y: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        return coordinate.slope(y, lambda state: field.velocity(state, learning_rate))

    first = field.observables(start)
    observed = each(lambda a: np.full((len(times), *a.shape), np.inf), first)
    done, t, never, taken = int(np.searchsorted(times, 0.0, side="right")), 0.0, np.array(np.inf), 0
    _put(observed, slice(done), first)
    y0, largest = coordinate.forward(start), first.s.max()
    last, pole = y0, field.model.pole_at_collapse.any()

    def upto(number: int) -> Observables:
        return each(lambda a: a[:number], observed)

    try:
        for solver, message in steps(slope, y0, times[-1], coordinate.tolerances(problem.rtol, noise_of(field))):
            t, diverged = solver.t, not coordinate.room(solver.y, y0) > 0
            if solver.status == "failed" or diverged:
                s = field.observables(coordinate.backward(last)).s
                if pole and s.min() < atol and s.max() < DIVERGING * largest:
                    return Flow(upto(done), never, f"stopped at t = {t:.6g}: {VANISHING}", reached=done)
                if diverged or field.observables(coordinate.backward(solver.y)).s.max() > DIVERGING * largest:
                    return Flow(upto(len(times)), np.array(t), f"eigenvalues diverge at t = {t:.10g}")
                return Flow(upto(done), never, f"stopped at t = {t:.6g}: {message}", reached=done)
            passed = int(np.searchsorted(times, t, side="right"))
            if passed > done:
                states = coordinate.backward(solver.dense_output()(times[done:passed]).T)
                _put(observed, slice(done, passed), field.observables(states))
                done = passed
            bar.update(t - solver.t_old)
            if detector and detector.reached(state := coordinate.backward(solver.y)):
                _put(observed, slice(done, None), field.observables(state))
                bar.update(times[-1] - t)
                return Flow(upto(len(times)), never, steady_time=np.array(t))
            last = solver.y
            if (taken := taken + 1) % STEPS_PER_RULE == 0:
                field.relax()
    except KeyboardInterrupt:
        return Flow(upto(done), never, f"{INTERRUPTED} at t = {t:.6g}", reached=done)
    except FloatingPointError as error:
        return Flow(upto(done), never, f"stopped at t = {t:.6g}: {error}", reached=done)
    return Flow(upto(len(times)), never, f"{NOT_STEADY} at t = {t:.6g}, {detector}" if detector else "complete")


def steps(
    slope: Callable[..., Any], y: Any, end: float, tolerances: dict[str, Any]
) -> Iterator[tuple[Any, str | None]]:
    """Yield (solver, message) after each step of an integration of dy/dt = slope(t, y) from t = 0 to ``end``.

    The first PATIENCE steps are by DOP853, all further steps by LSODA, for stiff problems. message: why a step failed.
    """
    solver: Any = None
    for taken in count():
        with np.errstate(over="ignore", invalid="ignore", divide="ignore"):  # a trial step may be too long
            if taken == 0:
                solver = scipy.integrate.DOP853(slope, 0.0, y, end, **tolerances)
            if taken == PATIENCE:
                solver = scipy.integrate.LSODA(slope, solver.t, solver.y, end, **tolerances)
            if solver.status != "running" or end == 0:
                return
            message = solver.step()
        yield solver, message
