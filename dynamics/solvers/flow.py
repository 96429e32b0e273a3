"""Define ``solve``, which integrates the gradient flow, and ``prepare``, which returns a solver for repeated use."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from dynamics import errors
from dynamics.model.model import Model, check_model
from dynamics.numerics.context import isolated
from dynamics.numerics.memory import check_size
from dynamics.numerics.progress import hinting
from dynamics.numerics.values import Value
from dynamics.presentation.card import card
from dynamics.presentation.text import counted
from dynamics.results.selection import part
from dynamics.results.trajectory import STEADY, Trajectory
from dynamics.solvers.methods import FLOW_METHODS, Method, choose, faster
from dynamics.solvers.problem import FlowProblem
from dynamics.solvers.solutions import Flow
from dynamics.vector_field.base import SAMPLED
from dynamics.vector_field.state import Observables


@isolated
def solve(
    model: Model,
    s0: npt.ArrayLike,
    times: npt.ArrayLike,
    *,
    learning_rate: float | Callable[[float], float] | None = None,
    schedules: Mapping[str, Any] | None = None,
    W_P0: npt.ArrayLike | None = None,
    layers0: npt.ArrayLike | None = None,
    closure: str | None = None,
    method: str = "auto",
    rtol: float = 1e-8,
    atol: float = 1e-14,
    until: str | None = None,
    progress: bool | None = None,
) -> Trajectory:
    r"""Integrate the gradient flow of the eigenvalues, ds_m/dt = 2 s_m (r_m - rho).

    Time t is the learning rate times the number of steps, and rho is the weight decay. The rate r_m of mode m is the
    relative growth rate of its singular value sqrt(s_m) due to the loss; it depends on the eigenvalues of all modes.
    Further dynamical variables of the model (a target branch, a learned predictor, a tracked correlation) are
    integrated together with the eigenvalues.

    Parameters
    ----------
    model : Model
    s0 : array_like, shape (..., M) or (..., M, N)
        Eigenvalues of the representation correlation at t = 0, non-negative; initial weights for a model with
        ``inputs``. Leading dimensions are an ensemble and broadcast with the model's parameters.
    times : array_like, shape (T,)
        Times of the result, non-negative and ascending.
    learning_rate : float or callable, optional
        Learning rate eta, a number or a function of time. Required for models with a decay per step (``EMA`` target, or
        a tracked correlation). Other models do not accept it, because their flow does not depend on eta.
    schedules : dict, optional
        A dictionary with the keys "weight_decay", "decay" (of an EMA target) or "tracking" (of a closed-form
        predictor). Its values, numbers or functions of time, replace the values in the model. Only the method "scipy"
        can call functions.
    W_P0 : array_like of shape (M, M), optional
        Initial weights of a learned predictor, for a model that starts from weights. By default, W_P0 has the
        eigenvectors of the initial correlation, and the values ``init`` of the model as eigenvalues.
    layers0 : array_like of shape (L, M), optional
        Initial singular values of the layers of a deep encoder. In each mode, the square of their product over the
        layers, times the second moment that the views share, is ``s0``. By default, the layers have equal
        singular values.
    closure : {"gaussian", "mean_field", "monte_carlo", "samples"}, optional
        "gaussian" is exact for Gaussian inputs. It is the default if the loss has exact expectations. "mean_field",
        for losses that divide by norms, replaces each norm and each sum over modes by its mean. "monte_carlo", for any
        loss, takes means over samples. "samples" takes means over the samples of ``Views.measured``.
    method : {"auto", "exact", "heyoka", "jax", "scipy"}
        "exact" evaluates the formula of the exact solution, if there is one. "scipy" integrates with LSODA, also stiff
        problems. "jax" integrates with Diffrax's Dopri8. "heyoka" integrates by Taylor series, if the rates are
        formulas and the package heyoka is installed; after its compilation this method is the fastest. "auto" chooses
        "exact" if it applies; else, for large ensembles, "heyoka" if it applies, or "jax"; else "scipy".
    rtol, atol : float
        The error of s is kept near ``rtol * s + atol``; the tolerance of the closure's quadrature is a tenth of rtol.
        The method "exact" does not use them. The growth of a small mode amplifies errors by a factor of up to
        1/lambda(0), where lambda(0) is the initial eigenvalue of the predictor.
    until : {"steady"}, optional
        With "steady", the solution ends when the flow has converged to a steady state
        (``dynamics/solvers/steady_state.py``). The time of convergence is then the last time of the result. If the flow
        does not converge, ``status`` states this, and states if the flow slows down. Ensemble members that have
        converged stay constant. This option requires the method "scipy" and a model without ``inputs``.
    progress : bool, optional
        Show a progress bar; None shows it on a terminal if the solution takes more than a second.

    Returns
    -------
    Trajectory
        A trajectory of kind "flow". A solution that diverges is kept up to the divergence; ``status`` and
        ``blow_up_time`` state the time of the divergence. A solution by "scipy" ends early if it needs more than
        20 000 + 1000 E evaluations of the rates, where E is the number of dynamical variables of all modes together;
        ``status`` then states the time that was reached. ``status`` also states which values of an ensemble were not
        computed.

    Raises
    ------
    ArgumentError
        An argument is invalid, or the method does not apply to the problem.

    Warns
    -----
    AccuracyWarning
        The quadrature of the closure misses its tolerance.

    Notes
    -----
    With the closure "gaussian" the flow is exact for Gaussian inputs and networks of any size, not only in the limit of
    many modes.

    Descent with momentum mu has no flow of its own: at a small learning rate eta it follows this flow at the time
    t/(1 - mu), where t is eta times steps (``Momentum``). Functions of time should be smooth, or have few jumps. The
    integrator may call them at times slightly after the last time. ``settings`` contains their values at ``times``.

    References
    ----------
    Halvagal, Laborieux, Zenke (2023), Theorems 1 and 2. Tian, Chen, Ganguli (2021) for learned predictors.

    Examples
    --------
    >>> import dynamics as dyn
    >>> flow = dyn.solve(dyn.Model("euclidean"), s0=[0.1, 0.5], times=[0.0, 1.0, 10.0])
    >>> flow.s.shape, flow.method
    ((3, 2), 'exact solution (Lambert W)')
    """
    problem = FlowProblem.of(
        model,
        s0,
        times,
        learning_rate=learning_rate,
        schedules=schedules,
        W_P0=W_P0,
        layers0=layers0,
        closure=closure,
        rtol=rtol,
        atol=atol,
        until=until,
        progress=progress,
    )
    return _solve(problem, choose(FLOW_METHODS, method, problem))


@dataclass(frozen=True, eq=False)
class PreparedSolver(Value):
    """A solver for one model with fixed times and options, as ``prepare`` returns it.

    The model, the times and the options are validated once. Called with initial eigenvalues s0, the solver returns the
    same ``Trajectory`` as ``solve``.
    """

    problem: FlowProblem
    method: Method[FlowProblem, Flow]

    @isolated
    def __call__(self, s0: npt.ArrayLike) -> Trajectory:
        """Return the trajectory from initial eigenvalues s0 (..., M); raises ArgumentError if s0 is invalid."""
        problem = self.problem.starting_from(s0)
        modes = self.problem.s0.shape[-1]
        if problem.s0.shape[-1] != modes:
            requirement = f"have {modes} eigenvalues on the last axis, because `prepare` was called with modes={modes}"
            errors.reject("s0", requirement, problem.s0)
        return _solve(problem, self.method)

    def __repr__(self) -> str:
        return (
            f"<PreparedSolver: {self.method.name}, {counted(self.problem.s0.shape[-1], 'mode')}, {self.problem.model}>"
        )

    def _repr_html_(self) -> str:
        times = self.problem.times
        facts = [("method", self.method.name), ("modes", str(self.problem.s0.shape[-1]))]
        facts.append(("times", f"{times[0]:.6g} ... {times[-1]:.6g} ({len(times)})" if len(times) else "none"))
        return card(f"Prepared solver of {self.problem.model}", facts)


@isolated
def prepare(model: Model, *, modes: int, times: npt.ArrayLike, method: str = "auto", **options: Any) -> PreparedSolver:
    """Return a solver for many sets of initial eigenvalues.

    The arguments are validated, the method is chosen and its code is compiled only once.

    Parameters
    ----------
    model : Model
        A model without correlated ``inputs``.
    modes : int
        Number M of eigenvalues.
    times : array_like, shape (T,)
        Times of the trajectories, non-negative and ascending.
    method : str
        One of the methods of ``solve``. "auto" chooses the method that is fastest once it is compiled: "exact", else
        "heyoka", "jax" or "scipy".
    **options
        The options ``learning_rate``, ``schedules``, ``closure``, ``rtol``, ``atol``, ``until`` and ``progress`` of
        ``solve``.

    Returns
    -------
    PreparedSolver
        A function of the initial eigenvalues s0 (..., M). If the method is compiled, it is compiled again for an
        ensemble.

    Raises
    ------
    ArgumentError
        An argument is invalid, or the method does not apply to the problem.

    Examples
    --------
    >>> import dynamics as dyn
    >>> solver = dyn.prepare(dyn.Model("euclidean"), modes=2, times=[0.0, 5.0])
    >>> float(solver([0.1, 0.5]).s[0, 1])
    0.5
    """
    check_model(model)
    if model.by_weights:
        errors.reject(
            "model",
            "have white inputs: a prepared solver starts from eigenvalues, but a model with correlated `inputs` starts "
            "from weights; use `solve` for such a model",
            model,
        )
    modes = errors.count("modes", modes)
    check_size(f"An initial state of {modes:,} modes", 4 * modes, "Ask for fewer modes.")
    problem = FlowProblem.of(model, np.ones(modes), times, **options)
    solver = PreparedSolver(problem, choose(FLOW_METHODS, method, problem, repeated=True))
    if solver.method.needs_start_up:
        solver(np.linspace(0.5, 1.0, modes))  # the first call compiles
    return solver


def _solve(problem: FlowProblem, method: Method[FlowProblem, Flow]) -> Trajectory:
    """Return the trajectory that a method computes for a problem."""
    with hinting(partial(faster, FLOW_METHODS, method, problem)):
        flow = method.integrate(problem)
    problem.field.warn_if_inaccurate(problem.rtol)
    if problem.starts_from_s0:
        _put_start(flow.observables, problem.s0, problem.times)
    sampled = f", {SAMPLED}" if problem.closure in ("monte_carlo", "samples") else ""
    trajectory = Trajectory(
        model=problem.model,
        kind="flow",
        t=problem.times[: flow.reached],
        **flow.observables._asdict(),
        method=method.label(problem) + sampled,
        status=flow.status,
        error=problem.field.error,
        blow_up_time=flow.blow_up_time,
        settings={**problem.settings, "method": method.name},
    )
    return _cut_at_blow_up(_cut_at_steady_state(trajectory, flow.steady_time))


def _put_start(observed: Observables, s0: npt.NDArray[np.float64], times: npt.NDArray[np.float64]) -> None:
    """Set the eigenvalues at t = 0 to exactly s0, and the eigenvalues of modes with s0 = 0 to zero at all times."""
    start, first = s0[..., None, :], int(np.searchsorted(times[: observed.s.shape[-2]], 0.0, side="right"))
    for values in (observed.s,) if observed.target is observed.s else (observed.s, observed.target):
        early = values[..., :first, :]
        np.copyto(early, start, where=~np.isnan(early))
        if not s0.all():
            np.copyto(values, 0.0, where=(start == 0) & np.isfinite(values))


def _cut_at_steady_state(trajectory: Trajectory, steady_time: npt.NDArray[np.float64]) -> Trajectory:
    """End a single trajectory at its steady state; if all members of an ensemble converge, state this in the status.

    steady_time: time at which each member has converged; inf for a member that has not converged.
    """
    if not np.isfinite(steady_time).all():
        return trajectory
    status = f"{STEADY} at t = {steady_time.max():.6g}"
    if steady_time.ndim:
        return replace(trajectory, status=f"{status} (the last of {steady_time.size} members to converge)")
    last = int(np.searchsorted(trajectory.t, steady_time))
    t = np.append(trajectory.t[:last], steady_time)
    return replace(part(trajectory, slice(last + 1)), t=t, status=status)


def _cut_at_blow_up(trajectory: Trajectory) -> Trajectory:
    """End a single trajectory before it diverges; for an ensemble, state in the status when a member first diverges."""
    if not np.isfinite(trajectory.blow_up_time).any():
        return trajectory
    first = float(np.min(trajectory.blow_up_time))
    if first > trajectory.t[-1]:
        return trajectory
    status = f"eigenvalues diverge at t = {first:.10g}"
    if trajectory.s.ndim == 2:
        return replace(part(trajectory, trajectory.t < first), status=status)
    said = trajectory.status == "complete" or trajectory.status.startswith(status)
    rest = "" if said else f"; {trajectory.status}"
    diverging = int(np.isfinite(trajectory.blow_up_time).sum())
    return replace(trajectory, status=f"{status} (first of {diverging} members that diverge){rest}")
