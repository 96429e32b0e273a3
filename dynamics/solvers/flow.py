"""The second rung of the ladder: the flow of the eigenvalues, by whichever method fits."""

from dataclasses import replace

import numpy as np

from dynamics import errors
from dynamics.model.model import Model
from dynamics.numerics.progress import check_progress
from dynamics.results.trajectory import STEADY, Trajectory
from dynamics.solvers.flow_exact import exact_flow, has_exact_solution
from dynamics.solvers.problem import check_trajectory
from dynamics.vector_field.base import SAMPLED, choose_closure
from dynamics.vector_field.eigenmode_state import Observables
from dynamics.vector_field.eigenmodes import EigenmodeField
from dynamics.vector_field.factory import vector_field_of
from dynamics.vector_field.weight_state import WeightObservables

METHODS = ("auto", "exact", "scipy", "jax", "heyoka")
ENSEMBLE_FOR_JAX = 64  # from this many trajectories on, compiling for the whole ensemble pays


def solve(
    model: Model,
    s0,
    times,
    *,
    learning_rate=None,
    closure=None,
    method="auto",
    rtol=1e-8,
    atol=1e-14,
    until=None,
    progress=None,
) -> Trajectory:
    r"""Integrate ds_m/dt = 2 s_m (r_m - rho), and whatever else moves: gradient flow, time = learning rate x steps.

    s0: eigenvalues of the representation correlation at t = 0, (..., M), >= 0, or, of a model with ``inputs``, initial
    weights (..., M, N); leading dimensions broadcast with the model's parameters. times: (T,), >= 0, ascending.
    learning_rate: eta > 0, only for models in which something decays per step (``EMA``, a tracked correlation).
    closure: "gaussian" (exact, default), "mean_field" for losses that divide by norms, or "monte_carlo": means over
    samples, the default where a loss of your own has no exact closure; the result's ``error`` says how exact it is.
    method: "auto" (exact solution where there is one, else "scipy", or "jax" for large ensembles), "exact",
    "scipy" (DOP853, LSODA where stiff), "jax" (Diffrax, Dopri8), "heyoka" (Taylor series; where the rates are formulas,
    and that package is installed): fastest, once it has compiled for the number of modes.
    rtol, atol: the error of s is kept near rtol s + atol; default 1e-8, 1e-14. Not used by "exact". A small mode
    amplifies errors as it takes off, by up to 1/lambda0.
    until: "steady" ends where the flow has converged (``dynamics/solvers/steady_state.py``), with that time as the last
    one, and otherwise states that it has not, and whether it is only slow; members of an ensemble stay as they are from
    there on.
    By "scipy", for models without ``inputs``. progress: True, False, or None: a bar where it takes long.

    A solution that leaves the finite world ends there: the result's status and blow_up_time say when, and everything
    before is kept. Warns (AccuracyWarning) if the closure misses its tolerance. Raises ArgumentError.
    (Halvagal et al. 2023, Theorems 1 and 2; theory: exact for Gaussian inputs.)
    """
    errors.instance("model", model, Model, "be a Model")
    s0 = model.check_start(s0)
    times = check_times(times)
    errors.choice("method", method, METHODS)
    check_progress(progress)
    rtol, atol = errors.positive_number("rtol", rtol), errors.positive_number("atol", atol)
    learning_rate = model.check_learning_rate(learning_rate)
    closure = choose_closure(model, closure)
    forces = vector_field_of(model, closure, rtol=0.1 * rtol)
    start = forces.start(s0)
    method = choose_method(_for_rest(method, model, until), model, closure, start.batch)
    check_trajectory(model, s0, len(times), "Ask for fewer times, or sweep to disk.")
    if method == "exact":
        flow = exact_flow(model, s0, times)
    elif method == "scipy":
        from dynamics.solvers.flow_scipy import scipy_flow

        flow = scipy_flow(start, times, forces, learning_rate, rtol, atol, until, progress)
    elif method == "heyoka" and isinstance(forces, EigenmodeField):
        from dynamics.solvers.flow_heyoka import heyoka_flow

        flow = heyoka_flow(start, times, forces, learning_rate, rtol, atol, progress)
    else:
        from dynamics.solvers.flow_diffrax import jax_flow

        flow = jax_flow(model, start, times, forces, learning_rate, rtol, atol, progress)
    forces.warn_if_inaccurate()
    if model.inputs is None:
        _put_start(flow.observables, s0, times)
    exact = model.generated.exact
    label = f"exact solution ({exact.name})" if exact is not None and method == "exact" else method
    label += f", {SAMPLED}" if closure == "monte_carlo" else ""
    result = Trajectory(
        model=model,
        kind="flow",
        t=times[: flow.reached],
        **flow.observables._asdict(),
        method=label,
        status=flow.status,
        error=forces.error,
        blow_up_time=flow.blow_up_time,
        settings={
            "closure": closure,
            "method": method,
            "rtol": rtol,
            "atol": atol,
            "learning_rate": learning_rate,
            "until": until,
        },
    )
    return _cut_at_blow_up(_cut_at_rest(result, flow.steady_time))


def _for_rest(method: str, model: Model, until) -> str:
    """The method to choose from, where the flow is followed to its rest."""
    if until is None:
        return method
    errors.choice("until", until, ("steady",))
    if model.inputs is not None:
        errors.reject("until", "be left out for a model with `inputs`", until)
    if method not in ("auto", "scipy"):
        errors.reject("method", "be 'auto' or 'scipy' with until='steady'", method)
    return "scipy"


def choose_method(method: str, model: Model, closure: str, batch: tuple[int, ...]) -> str:
    """The method for an ensemble of this shape; raises ArgumentError for one that does not apply."""
    possible = closure == "gaussian" and has_exact_solution(model)
    if method == "exact" and not possible:
        others = "'auto', 'scipy' or 'jax'" if model.inputs is None else "'auto' or 'scipy'"
        errors.reject("method", f"be {others} for {model}, which has no exact solution", method)
    if method in ("jax", "heyoka") and model.inputs is not None:
        errors.reject("method", "be 'auto' or 'scipy' for a model with `inputs`", method)
    if method in ("jax", "heyoka") and closure == "monte_carlo":
        errors.reject("method", "be 'auto' or 'scipy' with the closure 'monte_carlo'", method)
    if method == "heyoka":
        from dynamics.solvers.flow_heyoka import check_heyoka

        check_heyoka(model, closure)
    if method != "auto":
        return method
    if possible:
        return "exact"
    compiled = model.inputs is None and closure != "monte_carlo" and np.prod(batch) >= ENSEMBLE_FOR_JAX
    return "jax" if compiled else "scipy"


def check_times(times) -> np.ndarray:
    """Times (T,); raises ArgumentError."""
    must = "be ascending, non-negative times of shape (T,)"
    times = errors.non_negative("times", times, must)
    if times.ndim != 1 or not len(times) or (np.diff(times) < 0).any():
        errors.reject("times", must, times)
    return times


def _put_start(found: Observables, s0: np.ndarray, times: np.ndarray) -> None:
    """s0 itself, to the last bit, at t = 0, and in modes that are dead, into the observables."""
    start, first = s0[..., None, :], int(np.searchsorted(times[: found.s.shape[-2]], 0.0, side="right"))
    for values in (found.s,) if found.target is found.s else (found.s, found.target):
        early = values[..., :first, :]
        np.copyto(early, start, where=~np.isnan(early))
        if not s0.all():
            np.copyto(values, 0.0, where=(start == 0) & np.isfinite(values))


def _cut_at_rest(result: Trajectory, steady_time: np.ndarray) -> Trajectory:
    """A single trajectory ends where it is at rest; of an ensemble, the status tells that all of it is."""
    if not np.isfinite(steady_time).all():
        return result
    status = f"{STEADY} at t = {steady_time.max():.6g}"
    if steady_time.ndim:
        return replace(result, status=f"{status} (the last of {steady_time.size} members)")
    last = int(np.searchsorted(result.t, steady_time))
    t = np.append(result.t[:last], steady_time)
    return replace(_until(result, slice(last + 1)), t=t, status=status)


def _until(result: Trajectory, kept) -> Trajectory:
    """Some of the times."""
    names = [name for name in ("t", *WeightObservables._fields) if getattr(result, name) is not None]
    return replace(result, **{name: getattr(result, name)[kept] for name in names})


def _cut_at_blow_up(result: Trajectory) -> Trajectory:
    """A single trajectory ends before its blow-up; in an ensemble, members that blew up are inf from there on."""
    if not np.isfinite(result.blow_up_time).any():
        return result
    first = float(np.min(result.blow_up_time))
    status = f"eigenvalues diverge at t = {first:.10g}"
    others = "" if result.status == "complete" or result.status.startswith(status) else f"; {result.status}"
    if result.s.ndim > 2:
        gone = int(np.isfinite(result.blow_up_time).sum())
        return (
            replace(result, status=f"{status} (first of {gone} members that diverge){others}")
            if first <= result.t[-1]
            else result
        )
    if first > result.t[-1]:
        return result
    return replace(_until(result, result.t < first), status=status)
