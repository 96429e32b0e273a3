"""How fast modes move: when each reaches a level, and its linearised speed."""

import numpy as np
import scipy.optimize

from dynamics import errors
from dynamics.analysis.stability import DIFFERENCE, STEP
from dynamics.generated import eigenvalues
from dynamics.model.model import Model
from dynamics.solvers.coordinates import coordinate_of, noise_of
from dynamics.solvers.flow_scipy import members, steps
from dynamics.solvers.methods import has_exact_solution
from dynamics.solvers.steady_state import SteadyState
from dynamics.vector_field.base import VectorField
from dynamics.vector_field.eigenmodes import EigenmodeField
from dynamics.vector_field.factory import vector_field_of
from dynamics.vector_field.state import State

ATOL = 1e-14  # of s, as in ``solve``


def convergence_time(model: Model, s0, level, *, learning_rate=None, within=1e6, rtol=1e-8) -> np.ndarray:
    r"""Time in the flow at which each mode first has the eigenvalue ``level``: s_m(t) = level.

    s0: (..., M), >= 0. level: > 0, a number or what broadcasts with s0. learning_rate: eta > 0, only for models in
    which something decays per step. within: how long the flow is followed. rtol: of the flow's s.
    The result (..., M) is inf for modes that never have it (the flow is at rest, or leaves the finite world), and not
    a number where the time ``within`` did not suffice to tell. A formula where the flow has an exact solution, like
    T = n1/(2 alpha) [1/u0 - 1/u1 + log(u1 (1 - u0)/(u0 (1 - u1)))] with u = n1 lambda for the Euclidean loss;
    otherwise the flow is integrated up to the crossings. Raises ArgumentError. (Theory: section 4.)
    """
    _has_eigenmodes(model)
    s0, eta = model.check_eigenvalues(s0), model.check_learning_rate(learning_rate)
    within, rtol = errors.positive_number("within", within), errors.positive_number("rtol", rtol)
    levels = _levels(level, s0.shape)
    if has_exact_solution(model):
        return _by_formula(model, s0, levels)
    forces = vector_field_of(model, "gaussian", 0.1 * rtol)
    found = np.empty(s0.shape)
    for index, own, start in members(forces, forces.start(s0)):
        found[index] = _by_flow(own, start, levels[index], eta, within, rtol)
        forces.note_error(own.error)
    forces.warn_if_inaccurate()
    return found


def effective_rates(model: Model, s) -> np.ndarray:
    r"""kappa_m = d(ds_m/dt)/ds_m, the other modes held: how fast a small change of a mode grows, or dies out if < 0.

    s: eigenvalues (..., M), for example ``trajectory.s``; > 0 where finite. The result has the same shape.
    It is what an eigenvalue does to the learning rate: a small mode grows at 2 (1 + alpha) lambda under the Euclidean
    loss, at 2 under its isotropic version. For models in which only the encoder moves. Raises ArgumentError.
    """
    _has_eigenmodes(model)
    if model.structure.predictor == "learned" or model.needs_learning_rate:
        errors.reject("model", "have a closed-form predictor or none, and a shared target, untracked", model)
    s = errors.non_negative("s", s, "be eigenvalues of shape (..., M), finite and above zero")
    if s.ndim == 0 or not s.all():
        errors.reject("s", "be eigenvalues of shape (..., M), finite and above zero", s)
    shape = s.shape
    if model.batch_shape:
        errors.reject("model", "have plain numbers for parameters", model)
    rates = EigenmodeField(model, rtol=1e-10)
    s = s.reshape(-1, 1, shape[-1])
    one, found = np.eye(shape[-1]), 0.0
    for multiple, coefficient in DIFFERENCE:
        for sign in (1, -1):
            moved = s * (1 + sign * multiple * STEP * one)
            r = rates(State(np.sqrt(moved))).rates
            own = eigenvalues.velocity(moved, r, model.parameters.rho).diagonal(axis1=-2, axis2=-1)
            found = found + sign * coefficient * own / (STEP * s[:, 0])
    rates.warn_if_inaccurate()
    return np.reshape(found, shape)


def _has_eigenmodes(model) -> None:
    errors.instance("model", model, Model, "be a Model")
    if model.inputs is not None:
        errors.reject("model", "have white inputs: eigenvectors turn, and no mode has a speed of its own", model)


def _levels(level, shape: tuple[int, ...]) -> np.ndarray:
    must = "be above zero: a number, or what broadcasts with s0"
    levels = errors.non_negative("level", level, must)
    try:
        levels = np.broadcast_to(levels, shape)
    except ValueError:
        errors.reject("level", must, level)
    if not levels.all():
        errors.reject("level", must, level)
    return levels


def _by_formula(model: Model, s0: np.ndarray, levels: np.ndarray) -> np.ndarray:
    p, solution = model.parameters, model.generated.exact
    assert solution is not None
    with np.errstate(all="ignore"):
        lam0, lam1 = (eigenvalues.predictor(s, p.alpha, 0) for s in (s0, levels))
        time = solution.time_to_reach(lam0, lam1, p.alpha, *p.of_expectations, p.rho)
        never = ~(time > 0) | ~np.isfinite(time)
    return np.where(s0 == levels, 0.0, np.where(never, np.inf, time))


def _by_flow(forces: VectorField, start, levels: np.ndarray, learning_rate, within: float, rtol: float) -> np.ndarray:
    """The crossings of one trajectory, found step by step."""
    coordinate, rest = coordinate_of(start, forces.parameters, ATOL), SteadyState(start, forces, learning_rate)

    def excess(y) -> np.ndarray:
        return forces.observables(coordinate.backward(y)).s - levels

    def slope(_, y):
        return coordinate.slope(y, lambda state: forces.velocity(state, learning_rate))

    y = start_y = coordinate.forward(start)
    before = forces.observables(start).s - levels
    times = np.where(before == 0, 0.0, np.inf)
    for solver, _ in steps(slope, y, within, coordinate.tolerances(rtol, noise_of(forces))):
        if solver.status == "failed" or not coordinate.room(solver.y, start_y) > 0:
            return times
        after, dense = excess(solver.y), solver.dense_output()
        for m in np.flatnonzero(np.isinf(times) & (before * after <= 0)):
            times[m] = scipy.optimize.brentq(lambda t, m=m, f=dense: excess(f(t))[m], solver.t_old, solver.t)
        before = after
        if np.isfinite(times).all() or rest.reached(coordinate.backward(solver.y)):
            return times
    return np.where(np.isinf(times), np.nan, times)
