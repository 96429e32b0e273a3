"""Compute time scales of modes: times at which modes reach a given eigenvalue, and growth rates of small changes."""

from typing import Any

import numpy as np
import numpy.typing as npt

from dynamics import errors
from dynamics.analysis.range_check import check_finite, within_range
from dynamics.analysis.stability import DIFFERENCE, STEP
from dynamics.generated import eigenvalues
from dynamics.model.model import Model, check_model
from dynamics.numerics.context import isolated
from dynamics.numerics.crossings import first_crossings
from dynamics.numerics.memory import check_size
from dynamics.solvers.coordinates import finite_coordinate_of, noise_of
from dynamics.solvers.flow_scipy import DIVERGING, STEPS_PER_CHECK, members, most_evaluations, steps
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
        before. The time is nan for a mode that has not reached the level at the time ``within``, or when the
        integration ends, but may do so later.

    Raises
    ------
    ArgumentError
        If an argument is not valid, if inputs are correlated, or if rates overflow at the initial eigenvalues.

    Warns
    -----
    AccuracyWarning
        If the integration ends before the time ``within``, because a step fails or because it needs more than
        20 000 + 1000 E evaluations of the rates, with E dynamical variables over all modes; or if the quadrature of the
        closure misses its tolerance.

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
    check_model(model)
    model.check_white_inputs()
    s0, eta = model.check_eigenvalues(s0), model.check_learning_rate(learning_rate)
    within, rtol = errors.positive_number("within", within), errors.positive_number("rtol", rtol)
    levels = _levels(level, s0.shape)
    if has_exact_solution(model):
        return _by_formula(model, s0, levels)
    field = vector_field_of(model, "gaussian", CLOSURE_SHARE * rtol)
    times, given = np.empty(s0.shape), {} if eta is None else {"learning_rate": eta}
    for index, member_field, start in members(field, field.start(s0)):
        with within_range(model, s0[index], s0=s0[index], **given):
            times[index] = _Passage(member_field, start, levels[index], eta, within, rtol).find()
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
    check_model(model)
    model.check_eigenmodes()
    if model.structure.predictor == "learned" or model.needs_learning_rate:
        errors.reject(
            "model",
            "have no learned or tracked predictor and no EMA target, because the eigenvalues s must be the only "
            "variables of the flow",
            model,
        )
    s = errors.non_negative("s", s, "be finite eigenvalues above zero, in an array of shape (..., M)")
    if s.ndim == 0 or not s.all():
        errors.reject("s", "be finite eigenvalues above zero, in an array of shape (..., M)", s)
    if model.batch_shape:
        errors.reject("model", "have plain numbers as parameters, because rates are computed for one model", model)
    check_size(f"A change of each of {s.size:,} eigenvalues", 4 * s.size * s.shape[-1], "Use fewer eigenvalues.")
    field = EigenmodeField(model, rtol=1e-10)
    field.start(s)  # raises ArgumentError if expectations are infinite
    with within_range(model, s, s=s):
        slopes = _slopes(field, s)
        check_finite(slopes)
    field.warn_if_inaccurate()
    return slopes


def _slopes(field: EigenmodeField, s: Array) -> Array:
    """Return the derivative d(ds_m/dt)/ds_m (..., M) by finite differences, with all modes except m held fixed."""
    shape, p = s.shape, field.parameters
    s = s.reshape(-1, 1, shape[-1])
    each_mode, slopes = np.eye(shape[-1]), np.zeros(s[:, 0].shape)
    for multiple, coefficient in DIFFERENCE:
        for sign in (1, -1):
            moved = s * (1 + sign * multiple * STEP * each_mode)
            velocity = eigenvalues.velocity(moved, p.cross * field.of_eigenvalues(moved), p.rho)
            slopes += sign * coefficient * velocity.diagonal(axis1=-2, axis2=-1) / (STEP * s[:, 0])
    return slopes.reshape(shape)


def _levels(level: npt.ArrayLike, shape: tuple[int, ...]) -> Array:
    requirement = "be a number above zero, or an array of numbers above zero that broadcasts with s0"
    levels = errors.positive("level", level, requirement)
    try:
        return np.broadcast_to(levels, shape)
    except ValueError:
        errors.reject("level", requirement, level)


def _by_formula(model: Model, s0: Array, levels: Array) -> Array:
    p, solution = model.parameters, model.generated.exact
    assert solution is not None
    numbers = (p.cross, p.alpha, *p.of_expectations, p.rho / p.cross)
    cross, alpha, *others = (a.astype(np.longdouble) for a in numbers)
    with np.errstate(all="ignore"):
        log_lam0, log_lam1 = (alpha * np.log(s.astype(np.longdouble)) for s in (s0, levels))
        time = np.asarray(solution.time_to_reach(log_lam0, log_lam1, alpha, *others) / cross, float)
        never = ~(time > 0) | ~np.isfinite(time) | (s0 == 0)
    return np.where(s0 == levels, 0.0, np.where(never, np.inf, time))


class _Passage:
    """The times (M,) at which the modes of one trajectory first reach the eigenvalues ``levels`` (M,).

    start: initial state. Under losses whose rates are homogeneous functions of the eigenvalues, weight decay shrinks
    all modes by a common factor. For these losses the integrator computes the state divided by this factor, in a
    rescaled time tau (see ``Scaling``). The time at which a mode reaches its level is located within a step of the
    integrator.
    """

    def __init__(
        self, field: VectorField, start: State, levels: Array, learning_rate: float | None, within: float, rtol: float
    ):
        self.field, self.levels, self.learning_rate, self.within, self.rtol = field, levels, learning_rate, within, rtol
        self.coordinate, self.scaling = finite_coordinate_of(start, field.parameters, ATOL), Scaling.of(field)
        self.steady_state, self.equal_modes = SteadyState(start, field, learning_rate), EqualModes(field, rtol)
        self.y0, self.s = self.coordinate.forward(start), field.observables(start).s
        self.largest, self.t, self.evaluations = self.s.max(), 0.0, 0
        self.times = np.where(self.s == levels, 0.0, np.inf)

    def find(self) -> Array:
        """Return the times (M,): inf for a mode that never reaches its level, nan for a mode that may reach it later.

        "Later" means after the last time up to which the flow is followed.
        """
        most, last = most_evaluations(self.y0), self.scaling.tau(self.within)
        limit = self.coordinate.limit(self.y0)
        tolerances = self.coordinate.tolerances(self.rtol, noise_of(self.field))
        try:
            for taken, (solver, message) in enumerate(steps(self._slope, self.y0, last, tolerances), 1):
                if solver.status == "failed" or not self.coordinate.room(solver.y, limit) > 0:
                    diverged = not message or self.s.max() > DIVERGING * self.largest
                    return self.times if diverged else self._unfinished(str(message))
                if self._pass(solver):
                    return self.times
                if taken % STEPS_PER_CHECK == 0 and self.equal_modes.reached(self.coordinate.backward(solver.y)):
                    return np.fmin(self.times, self.t + _decay_time(self.s, self.levels, self.field.parameters.rho))
                if self.evaluations > most:
                    return self._unfinished(f"more than {most} evaluations of the rates are needed")
        except FloatingPointError as error:
            if self.t == 0:
                raise
            return self._unfinished(str(error))
        return self._later()

    def _slope(self, _: float, y: Array) -> Array:
        self.evaluations += 1
        return self.coordinate.slope(y, lambda state: self.scaling.field.velocity(state, self.learning_rate))

    def _state(self, tau: Any, y: Array) -> State:
        return self.scaling.state(self.coordinate.backward(y), self.scaling.time(tau))

    def _pass(self, solver: Any) -> bool:
        """Find the times in the last step at which modes reach their levels; return True if no more steps are needed.

        No more steps are needed if all modes have reached their levels, or if the flow has converged.
        """
        dense, pending = solver.dense_output(), np.isinf(self.times)

        def distance(tau: Any) -> Array:
            return self.field.observables(self._state(tau, dense(tau).T)).s - self.levels

        crossings = self.scaling.time(first_crossings(distance, solver.t_old, solver.t))
        self.times[pending] = crossings[pending]
        state = self._state(solver.t, solver.y)
        self.s, self.t = self.field.observables(state).s, float(self.scaling.time(solver.t))
        self.scaling.field.accumulate(solver.step_size)
        self.evaluations += 2  # those of the test for a steady state
        return bool(np.isfinite(self.times).all()) or self.steady_state.reached(state)

    def _unfinished(self, reason: str) -> Array:
        advice = "Modes whose time is nan may reach the level later."
        errors.warn_caller(f"The flow is followed to t = {self.t:.6g} only: {reason}. {advice}")
        return self._later()

    def _later(self) -> Array:
        return np.where(np.isinf(self.times), np.nan, self.times)


def _decay_time(s: Array, levels: Array, rho: Array) -> Array:
    """Return the durations t (M,) after which eigenvalues that only decay, as s e^(-2 rho t), reach their levels.

    s (M,): present eigenvalues. rho: weight decay. A duration is inf if the eigenvalue never reaches its level.
    """
    with np.errstate(all="ignore"):
        durations = np.log(s / levels) / (2 * rho)
    return np.where(durations >= 0, durations, np.inf)
