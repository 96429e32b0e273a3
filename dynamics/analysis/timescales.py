"""Compute time scales of modes: times at which modes reach a given eigenvalue, and growth rates of small changes."""

from typing import Any

import numpy as np
import numpy.typing as npt

from dynamics import errors
from dynamics.analysis.range_check import check_finite, within_range
from dynamics.analysis.stability import DIFFERENCE, STEP
from dynamics.generated import eigenvalues
from dynamics.model.model import Model
from dynamics.numerics.context import isolated
from dynamics.numerics.crossings import first_crossings
from dynamics.numerics.memory import check_size
from dynamics.solvers.coordinates import finite_coordinate_of, noise_of
from dynamics.solvers.flow_scipy import STEPS_PER_CHECK, members, steps
from dynamics.solvers.methods import has_exact_solution
from dynamics.solvers.problem import CLOSURE_SHARE
from dynamics.solvers.scaling import Scaling
from dynamics.solvers.steady_state import EqualModes, SteadyState
from dynamics.vector_field.base import VectorField
from dynamics.vector_field.eigenmodes import EigenmodeField
from dynamics.vector_field.factory import vector_field_of
from dynamics.vector_field.state import State

Array = npt.NDArray[np.float64]

ATOL = 1e-14  # absolute tolerance of the eigenvalues s, the same as the default of ``solve``


@isolated
def convergence_time(
    model: Model,
    s0: npt.ArrayLike,
    level: npt.ArrayLike,
    *,
    learning_rate: float | None = None,
    within: float = 1e6,
    rtol: float = 1e-8,
) -> Array:
    """Return, for each mode m, the time t at which its eigenvalue first reaches a level in the flow, s_m(t) = level.

    Parameters
    ----------
    model : Model
        A model with white inputs; its parameters may be arrays.
    s0 : array_like of shape (..., M)
        Initial eigenvalues.
    level : array_like
        The level, an eigenvalue above zero, or an array of levels that broadcasts with s0.
    learning_rate : float, optional
        Learning rate eta > 0, for models with an ``EMA`` target or ``tracking``, because their flow depends on eta. For
        other models, eta must be left out.
    within : float
        Time up to which the flow is followed.
    rtol : float
        Requested relative accuracy of the eigenvalues s. The tolerance of the quadrature of the closure is a tenth of
        ``rtol``.

    Returns
    -------
    ndarray of shape (..., M)
        The times. The time is inf for a mode that never reaches the level, because the flow converges or diverges
        before. The time is nan for a mode that has not reached the level at the time ``within`` but may do so later.

    Raises
    ------
    ArgumentError
        If an argument is not valid, if inputs are correlated, or if rates overflow at the initial eigenvalues.

    Notes
    -----
    If the flow has an exact solution, the time is computed by a formula. For the Euclidean loss without weight decay
    the formula is T = n1/(2 alpha) [1/u0 - 1/u1 + log(u1 (1 - u0)/(u0 (1 - u1)))]. Here n1 = 1 + sigma1^2 and
    u = n1 s^alpha; u0 is the initial value of u, and u1 is the value of u at the level. If the flow has no exact
    solution, the flow is integrated until all modes have reached the level.

    Examples
    --------
    >>> import dynamics as dyn
    >>> dyn.convergence_time(dyn.Model("euclidean"), [0.01, 0.1], 0.9).round(3).tolist()
    [52.841, 6.642]
    """
    _has_eigenmodes(model)
    s0, eta = model.check_eigenvalues(s0), model.check_learning_rate(learning_rate)
    within, rtol = errors.positive_number("within", within), errors.positive_number("rtol", rtol)
    levels = _levels(level, s0.shape)
    if has_exact_solution(model):
        return _by_formula(model, s0, levels)
    field = vector_field_of(model, "gaussian", CLOSURE_SHARE * rtol)
    times = np.empty(s0.shape)
    for index, member_field, start in members(field, field.start(s0)):
        with within_range("s0", s0[index]):
            times[index] = _by_flow(member_field, start, levels[index], eta, within, rtol)
        field.note_errors_of(member_field)
    field.warn_if_inaccurate(rtol)
    return times


@isolated
def effective_rates(model: Model, s: npt.ArrayLike) -> Array:
    """Return the growth rate kappa_m = d(ds_m/dt)/ds_m of a small change of s_m while all other modes are held fixed.

    s_m is the correlation eigenvalue of mode m.

    Parameters
    ----------
    model : Model
        A model with plain numbers as parameters and with white inputs, without learned predictor, ``EMA`` target and
        ``tracking``.
    s : array_like of shape (..., M)
        Eigenvalues s_m above zero, for example ``trajectory.s``.

    Returns
    -------
    ndarray of shape (..., M)
        Growth rates kappa_m; negative if a small change decays.

    Raises
    ------
    ArgumentError
        If an argument is not valid, or if the model has a learned predictor, an ``EMA`` target or ``tracking``.

    Notes
    -----
    kappa_m shows how the predictor eigenvalue lambda_m = s_m^alpha changes the effective learning rate of a mode. For
    small s_m, kappa_m is about 2 (1 + alpha) lambda_m under the Euclidean loss, but 2 under the isotropic Euclidean
    loss.

    Examples
    --------
    >>> import dynamics as dyn
    >>> dyn.effective_rates(dyn.Model("euclidean"), [0.01, 1.0]).round(4).tolist()
    [0.0394, -2.0]
    """
    _has_eigenmodes(model)
    if model.structure.predictor == "learned" or model.needs_learning_rate:
        errors.reject(
            "model",
            "have no learned or tracked predictor and no EMA target, because the eigenvalues s must be the only "
            "variables of the flow",
            model,
        )
    s = errors.non_negative("s", s, "be finite eigenvalues above zero, of shape (..., M)")
    if s.ndim == 0 or not s.all():
        errors.reject("s", "be finite eigenvalues above zero, of shape (..., M)", s)
    if model.batch_shape:
        errors.reject("model", "have plain numbers as parameters, because rates are computed for one model", model)
    check_size(f"A change of each of {s.size:,} eigenvalues", 4 * s.size * s.shape[-1], "Use fewer eigenvalues.")
    field = EigenmodeField(model, rtol=1e-10)
    field.start(s)  # raises ArgumentError if expectations are infinite
    with within_range("s", s):
        slopes = _slopes(field, s)
    check_finite("s", s, slopes)
    field.warn_if_inaccurate()
    return slopes


def _slopes(field: EigenmodeField, s: Array) -> Array:
    """Return the derivative d(ds_m/dt)/ds_m (..., M) by finite differences, with all modes except m held fixed."""
    shape = s.shape
    s = s.reshape(-1, 1, shape[-1])
    each_mode, slopes = np.eye(shape[-1]), np.zeros(s[:, 0].shape)
    for multiple, coefficient in DIFFERENCE:
        for sign in (1, -1):
            moved = s * (1 + sign * multiple * STEP * each_mode)
            velocity = eigenvalues.velocity(moved, field.of_eigenvalues(moved), field.parameters.rho)
            slopes += sign * coefficient * velocity.diagonal(axis1=-2, axis2=-1) / (STEP * s[:, 0])
    return slopes.reshape(shape)


def _has_eigenmodes(model: Model) -> None:
    errors.instance("model", model, Model, "be a Model")
    if model.inputs is not None:
        requirement = "have white inputs, because with correlated inputs eigenvectors rotate and modes have no rates"
        errors.reject("model", requirement, model)


def _levels(level: npt.ArrayLike, shape: tuple[int, ...]) -> Array:
    requirement = "be a number above zero, or an array of them that broadcasts with s0"
    levels = errors.positive("level", level, requirement)
    try:
        return np.broadcast_to(levels, shape)
    except ValueError:
        errors.reject("level", requirement, level)


def _by_formula(model: Model, s0: Array, levels: Array) -> Array:
    p, solution = model.parameters, model.generated.exact
    assert solution is not None
    alpha, *others = (a.astype(np.longdouble) for a in (p.alpha, *p.of_expectations, p.rho))
    with np.errstate(all="ignore"):
        log_lam0, log_lam1 = (alpha * np.log(s.astype(np.longdouble)) for s in (s0, levels))
        time = np.asarray(solution.time_to_reach(log_lam0, log_lam1, alpha, *others), float)
        never = ~(time > 0) | ~np.isfinite(time) | (s0 == 0)
    return np.where(s0 == levels, 0.0, np.where(never, np.inf, time))


def _by_flow(
    field: VectorField, start: State, levels: Array, learning_rate: float | None, within: float, rtol: float
) -> Array:
    """Return the times (M,) at which the modes of one trajectory reach the eigenvalues ``levels`` (M,).

    start: initial state. If the rates are homogeneous functions of the eigenvalues, weight decay shrinks all modes by a
    common factor; the integrator then computes the state divided by this factor, in a rescaled time tau (see
    ``Scaling``). Crossings of the levels are located within the steps of the integrator.
    """
    coordinate = finite_coordinate_of(start, field.parameters, ATOL)
    steady_state, scaling = SteadyState(start, field, learning_rate), Scaling.of(field)
    equal_modes = EqualModes(scaling.field, rtol)

    def state_at(tau: Any, y: Array) -> State:
        return scaling.state(coordinate.backward(y), scaling.time(tau))

    def slope(_: float, y: Array) -> Array:
        return coordinate.slope(y, lambda state: scaling.field.velocity(state, learning_rate))

    y_start = coordinate.forward(start)
    times, last = np.where(field.observables(start).s == levels, 0.0, np.inf), scaling.tau(within)
    for taken, (solver, _) in enumerate(steps(slope, y_start, last, coordinate.tolerances(rtol, noise_of(field))), 1):
        if solver.status == "failed" or not coordinate.room(solver.y, y_start) > 0:
            return times
        dense = solver.dense_output()
        path, pending = (lambda tau, f=dense: field.observables(state_at(tau, f(tau).T)).s - levels), np.isinf(times)
        times[pending] = scaling.time(first_crossings(path, solver.t_old, solver.t)[pending])
        if np.isfinite(times).all() or steady_state.reached(state_at(solver.t, solver.y)):
            return times
        scaling.field.accumulate(solver.step_size)
        if taken % STEPS_PER_CHECK == 0 and equal_modes.reached(shape := coordinate.backward(solver.y)):
            return np.fmin(times, _by_scale(field.observables(shape).s, levels, scaling, solver.t))
    return np.where(np.isinf(times), np.nan, times)


def _by_scale(s: Array, levels: Array, scaling: Scaling, tau: float) -> Array:
    """Return the times t (M,) at which the eigenvalues s e^(-2 rho t), with constant s (M,), reach the levels.

    rho is the weight decay. A time t before the time that corresponds to the rescaled time ``tau`` of ``Scaling``
    becomes inf.
    """
    with np.errstate(all="ignore"):
        times = np.log(s / levels) / (2 * scaling.decay)
    return np.where(times >= scaling.time(tau), times, np.inf)
