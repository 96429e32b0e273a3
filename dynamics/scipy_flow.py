"""The flow by SciPy's solvers, step by step, so that it can be watched, interrupted, and caught when it blows up."""

import numpy as np
import scipy.integrate

from dynamics.coordinate import Flow, coordinate_of, noise_of
from dynamics.model import Model
from dynamics.progress import progress_bar
from dynamics.rates import Rates
from dynamics.state import Parameters, Readings, State, readings, velocity

PATIENCE = 400  # steps of the explicit method before the problem is taken to be stiff
STEPS_PER_RULE = 8  # a change of the quadrature's nodes is noise to the error control: not at every step
INTERRUPTED = "interrupted"
DIVERGING = 1e3  # a solver that fails at eigenvalues this many times those at the start met a blow-up


def scipy_flow(model: Model, start: State, times, rates: Rates, learning_rate, rtol, atol, progress) -> Flow:
    """One member of the ensemble after another; interrupted, the rest is not a number. start: (..., M)."""
    batch, modes = start.w.shape[:-1], start.w.shape[-1]
    members = int(np.prod(batch))
    rows = [np.broadcast_to(a, (*batch, 1)) for a in model.parameters]
    flows: list[Flow] = []
    with progress_bar(members * times[-1], "solve", progress) as bar:
        for i in np.ndindex(batch):
            own = Rates(model, rates.closure, rates.rtol, Parameters(*(row[i] for row in rows)))
            own_start = State(*(None if part is None else part[i] for part in start))
            flows.append(_one_member(own, own_start, times, learning_rate, rtol, atol, bar))
            rates.note_error(own.error)
            if flows[-1].status.startswith(INTERRUPTED):
                break
    if not batch:
        return flows[0]
    values, blow_up = np.full((3, members, len(times), modes), np.nan), np.full(members, np.inf)
    for member, flow in enumerate(flows):
        values[:, member, : flow.readings.s.shape[0]], blow_up[member] = flow.readings, flow.blow_up_time
    return Flow(
        Readings(*values.reshape(3, *batch, len(times), modes)), blow_up.reshape(batch), _status(flows, members)
    )


def _status(flows: list[Flow], members: int) -> str:
    """How an ensemble ended: the first member that was cut short, and how many were; blow-ups speak for themselves."""
    short = [number for number, flow in enumerate(flows, 1) if flow.reached is not None]
    if not short:
        return "complete"
    missing = len(short) + members - len(flows)
    where = f"in ensemble member {short[0]} of {members}"
    return f"{flows[short[0] - 1].status} {where}; what was not computed, in {missing} of them, is not a number"


def _one_member(rates: Rates, start: State, times, learning_rate, rtol: float, atol: float, bar) -> Flow:
    """One trajectory, step by step."""
    structure, parameters = rates.structure, rates.parameters
    coordinate = coordinate_of(start, parameters, atol)

    def slope(_, y):
        return coordinate.slope(y, lambda state: velocity(structure, parameters, state, rates(state), learning_rate))

    found = np.full((3, len(times), start.w.shape[-1]), np.inf)
    done, t, never, taken = int(np.searchsorted(times, 0.0, side="right")), 0.0, np.array(np.inf), 0
    found[:, :done] = np.stack(readings(structure, parameters, start))[:, None]
    y0, largest = coordinate.forward(start), (start.w**2).max()

    def until(number: int) -> Readings:
        return Readings(*found[:, :number])

    try:
        for solver, message in _steps(slope, y0, times[-1], coordinate.tolerances(rtol, noise_of(rates))):
            t, gone = solver.t, not coordinate.room(solver.y, y0) > 0
            if solver.status == "failed" or gone:
                if gone or (coordinate.backward(solver.y).w ** 2).max() > DIVERGING * largest:
                    return Flow(until(len(times)), np.array(t), f"eigenvalues diverge at t = {t:.10g}")
                return Flow(until(done), never, f"stopped at t = {t:.6g}: {message}", reached=done)
            upto = int(np.searchsorted(times, t, side="right"))
            if upto > done:
                states = coordinate.backward(solver.dense_output()(times[done:upto]).T)
                found[:, done:upto] = readings(structure, parameters, states)
                done = upto
            bar.update(t - solver.t_old)
            if (taken := taken + 1) % STEPS_PER_RULE == 0:
                rates.relax()
    except KeyboardInterrupt:
        return Flow(until(done), never, f"{INTERRUPTED} at t = {t:.6g}", reached=done)
    except FloatingPointError as error:
        return Flow(until(done), never, f"stopped at t = {t:.6g}: {error}", reached=done)
    return Flow(until(len(times)), never)


def _steps(slope, y, end: float, tolerances: dict):
    """(solver, message) after each step to ``end``: DOP853, and LSODA once stability makes its steps short."""
    solver, taken = scipy.integrate.DOP853(slope, 0.0, y, end, **tolerances), 0
    while solver.status == "running" and end > 0:
        if (taken := taken + 1) == PATIENCE:
            solver = scipy.integrate.LSODA(slope, solver.t, solver.y, end, **tolerances)
        with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
            message = solver.step()
        yield solver, message
