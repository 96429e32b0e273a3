"""The flow by SciPy's LSODA, step by step, so that it can be watched, interrupted, and caught when it blows up."""

import numpy as np
import scipy.integrate

from dynamics.coordinate import HUGE, Flow, Reciprocal, relative_tolerance
from dynamics.generated import eigenvalues
from dynamics.model import Model
from dynamics.progress import progress_bar
from dynamics.rates import Rates


def scipy_flow(
    model: Model, s0: np.ndarray, times: np.ndarray, rates: Rates, rtol: float, atol: float, progress
) -> Flow:
    """LSODA, one member of the ensemble after another. s0: (..., M)."""
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
    if results[-1].reached is not None and batch:
        raise KeyboardInterrupt(f"interrupted in ensemble member {len(results)} of {len(members)}")
    s = np.stack([r.s for r in results])
    blow_up = np.array([r.blow_up_time for r in results])
    return Flow(s.reshape(*batch, *s.shape[1:]), blow_up.reshape(batch), status, results[-1].reached)


def _one_member(rates: Rates, s0: np.ndarray, times: np.ndarray, rtol: float, atol: float, bar) -> Flow:
    """One trajectory, step by step."""
    coordinate, rho = Reciprocal(float(rates.model.alpha[0]), atol), rates.model.rho

    def slope(_, y):
        return coordinate.slope(y, lambda s: eigenvalues.velocity(s, rates(s), rho))

    s = np.full((len(times), len(s0)), np.inf)
    done = int(np.searchsorted(times, 0.0, side="right"))
    s[:done] = s0
    if done == len(times):
        return Flow(s, np.array(np.inf))
    solver = scipy.integrate.LSODA(
        slope, 0.0, coordinate.forward(s0), times[-1], rtol=relative_tolerance(rates), atol=coordinate.tolerance(rtol)
    )
    while done < len(times):
        try:
            with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
                message = solver.step()
        except KeyboardInterrupt:
            return Flow(s[:done], np.array(np.inf), f"interrupted at t = {solver.t:.6g}", reached=done)
        largest = coordinate.backward(solver.y)[0].max()
        if solver.status == "failed" or largest > HUGE * s0.max():
            if largest > 1e3 * s0.max():
                return Flow(s, np.array(solver.t), f"eigenvalues diverge at t = {solver.t:.10g}")
            return Flow(s[:done], np.array(np.inf), f"stopped at t = {solver.t:.6g}: {message}", reached=done)
        upto = int(np.searchsorted(times, solver.t, side="right"))
        if upto > done:
            s[done:upto] = coordinate.backward(solver.dense_output()(times[done:upto]))[0].T
            done = upto
        bar.update(solver.t - solver.t_old)
    return Flow(s, np.array(np.inf))
