"""The flow by SciPy's solvers, step by step, so that it can be watched, interrupted, and caught when it blows up."""

import numpy as np
import scipy.integrate

from dynamics.coordinate import Flow, Reciprocal, relative_tolerance
from dynamics.generated import eigenvalues
from dynamics.model import Model
from dynamics.progress import progress_bar
from dynamics.rates import Rates

PATIENCE = 400  # steps of the explicit method before the problem is taken to be stiff
STEPS_PER_RULE = 8  # a change of the quadrature's nodes is noise to the error control: not at every step
DIVERGING = 1e3  # a solver that fails at eigenvalues this many times those at the start met a blow-up


def scipy_flow(
    model: Model, s0: np.ndarray, times: np.ndarray, rates: Rates, rtol: float, atol: float, progress
) -> Flow:
    """One member of the ensemble after another; interrupted, the rest is not a number. s0: (..., M)."""
    batch = s0.shape[:-1]
    members = [(s0[i], model.member(i, batch)) for i in np.ndindex(batch)]
    results = []
    with progress_bar(len(members) * times[-1], "solve", progress) as bar:
        for start, member in members:
            own = Rates(member, rates.closure, rates.rtol)
            results.append(_one_member(own, start, times, rtol, atol, bar))
            if rates.quadrature:
                rates.quadrature.worst = max(rates.quadrature.worst, own.error)
            if results[-1].reached is not None:
                break
    status = next((r.status for r in results if r.status != "complete"), "complete")
    if not batch:
        return results[0]
    s = np.full((len(members), len(times), s0.shape[-1]), np.nan)
    blow_up = np.full(len(members), np.inf)
    for i, result in enumerate(results):
        s[i, : len(result.s)], blow_up[i] = result.s, result.blow_up_time
    if results[-1].reached is not None:
        status += f" in ensemble member {len(results)} of {len(members)}; what was not computed is not a number"
    return Flow(s.reshape(*batch, *s.shape[1:]), blow_up.reshape(batch), status)


def _one_member(rates: Rates, s0: np.ndarray, times: np.ndarray, rtol: float, atol: float, bar) -> Flow:
    """One trajectory, step by step."""
    coordinate, rho = Reciprocal(float(rates.model.alpha[0]), atol), rates.model.rho

    def slope(_, y):
        return coordinate.slope(y, lambda s: eigenvalues.velocity(s, rates(s), rho))

    s = np.full((len(times), len(s0)), np.inf)
    done, t, never = int(np.searchsorted(times, 0.0, side="right")), 0.0, np.array(np.inf)
    s[:done], taken = s0, 0
    start = coordinate.forward(s0)
    horizon = coordinate.horizon(start)
    tolerances = {"rtol": relative_tolerance(rates), "atol": coordinate.tolerance(rtol)}
    try:
        for solver, message in _steps(slope, start, times[-1], tolerances):
            t, gone = solver.t, solver.y.min() < horizon
            if solver.status == "failed" or gone:
                if gone or coordinate.backward(solver.y)[0].max() > DIVERGING * s0.max():
                    return Flow(s, np.array(t), f"eigenvalues diverge at t = {t:.10g}")
                return Flow(s[:done], never, f"stopped at t = {t:.6g}: {message}", reached=done)
            upto = int(np.searchsorted(times, t, side="right"))
            if upto > done:
                s[done:upto] = coordinate.backward(solver.dense_output()(times[done:upto]))[0].T
                done = upto
            bar.update(t - solver.t_old)
            if (taken := taken + 1) % STEPS_PER_RULE == 0:
                rates.relax()
    except KeyboardInterrupt:
        return Flow(s[:done], never, f"interrupted at t = {t:.6g}", reached=done)
    return Flow(s, never)


def _steps(slope, y, end: float, tolerances: dict):
    """(solver, message) after each step to ``end``: DOP853, and LSODA once stability makes its steps short."""
    solver, taken = scipy.integrate.DOP853(slope, 0.0, y, end, **tolerances), 0
    while solver.status == "running" and end > 0:
        if (taken := taken + 1) == PATIENCE:
            solver = scipy.integrate.LSODA(slope, solver.t, solver.y, end, **tolerances)
        with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
            message = solver.step()
        yield solver, message
