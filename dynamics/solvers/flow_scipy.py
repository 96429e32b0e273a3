"""Integrate the flow by SciPy's LSODA.

The integration proceeds step by step, so that progress can be shown, a divergence detected and the run interrupted.
"""

from collections.abc import Callable, Iterator
from contextlib import suppress
from itertools import islice
from typing import Any

import numpy as np
import numpy.typing as npt
import scipy.integrate

from dynamics.numerics.progress import progress_bar
from dynamics.solvers.coordinates import finite_coordinate_of, noise_of
from dynamics.solvers.problem import FlowProblem, because_of_extremes
from dynamics.solvers.scaling import Scaling, shrunk
from dynamics.solvers.solutions import Flow
from dynamics.solvers.steady_state import EqualModes, SteadyState
from dynamics.vector_field.base import VectorField
from dynamics.vector_field.factory import vector_field_of
from dynamics.vector_field.state import Observables, State, each

MAX_EVALUATIONS = 20_000  # largest number of evaluations of the rates of one trajectory, ...
EVALUATIONS_PER_VARIABLE = 1_000  # ... plus this number for each dynamical variable; then the integration ends
STALLED = (
    1e-9  # step size relative to t below which a trajectory is held up, by a kink or by a pole at a collapsed mode
)
STEPS_PER_CHECK = 8  # number of steps between tests for equal modes
INTERRUPTED = "interrupted"
NOT_STEADY = "not steady"
FAILED = "no step of LSODA meets the tolerance"
AT_KINK = 1e-6  # distance to a kink of the loss (``VectorField.distance_to_kink``) at which a trajectory is held up
KINK = "prediction equals target in all samples, at a kink of the loss, which the flow reaches in finite time"
VANISHING = "a mode vanishes, and the gradient has a pole at a vanishing mode"
DIVERGING = 1e3  # eigenvalue, over the largest initial eigenvalue, above which a failed step means divergence


def scipy_flow(problem: FlowProblem) -> Flow:
    """Integrate the flow of an ensemble, one member after another.

    If the user interrupts the integration, the observables of members that were not integrated are NaN.
    """
    batch, many = problem.members, int(np.prod(problem.members))
    flows: list[Flow] = []
    with progress_bar(many * problem.times[-1], "solve", problem.progress) as bar:
        for _, field, start in members(problem.field, problem.start):
            flows.append(_Member(problem, field, start).integrate(bar))
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
    """Yield (index, vector field, initial state) of each ensemble member. start: initial states of all members."""
    batch = field.batch(start)
    rows = field.parameters.rows(batch)
    for number, i in enumerate(np.ndindex(batch)):
        parameters = rows.map(lambda row, number=number: row[number])
        member = vector_field_of(field.model, field.closure, field.rtol, parameters)
        yield i, member, each(lambda part, i=i: part[i], start)


def _put(observables: Observables, where: slice | tuple[int, slice], values: Observables) -> None:
    """Write ``values`` into the arrays of ``observables``, at the index ``where``."""
    each(lambda array, value: array.__setitem__(where, value), observables, values)


def _status(flows: list[Flow], many: int) -> str:
    """Return the status of an ensemble of ``many`` members, a text that is composed from the flows of the members.

    If some members did not reach the last time, the status names the first of them and states their number. Otherwise,
    if a steady state was required and some members did not converge, the status names the first of these and states
    their number. Otherwise the status is "complete". A member that diverges counts as complete.
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
    return f"{flows[short[0] - 1].status} {where}; values that were not computed, in {missing} members, are NaN"


class _Member:
    """The integration of one trajectory to the last time, or to its steady state.

    If a change of variables can remove the weight decay (``scaling``), the new variables are integrated as functions of
    the new time tau. observed: observables at all ``times``. done: number of times whose observables are recorded.
    """

    def __init__(self, problem: FlowProblem, field: VectorField, start: State):
        self.problem, self.field, self.times = problem, field, problem.times
        self.scaling = Scaling.of(field) if problem.schedules.are_constant else Scaling(field)
        self.coordinate = finite_coordinate_of(start, field.parameters, problem.atol)
        self.y0 = self.last = self.coordinate.forward(start)
        self.limit = self.coordinate.limit(self.y0)
        self.start, self.t, self.evaluations = start, 0.0, 0
        self.most = most_evaluations(self.y0)
        steady = problem.until == "steady"
        self.detector = SteadyState(start, field, problem.learning_rate) if steady else None
        self.equal_modes = EqualModes(self.scaling.field, problem.rtol)
        first = field.observables(start)
        self.observed = each(lambda a: np.full((len(self.times), *a.shape), np.inf), first)
        self.largest, self.pole = first.s.max(), field.model.pole_at_collapse.any()
        self.done = int(np.searchsorted(self.times, 0.0, side="right"))
        _put(self.observed, slice(self.done), first)

    def integrate(self, bar: Any) -> Flow:
        """Integrate the flow and return it; if it is interrupted or stopped, return it up to the last recorded time."""
        tolerances = self.coordinate.tolerances(self.problem.rtol, noise_of(self.field))
        taus = self.scaling.tau(self.times)
        if self.detector and self.detector.reached(self.start):
            return self._steady(self.start)
        try:
            for taken, (solver, message) in enumerate(steps(self.slope, self.y0, taus[-1], tolerances), 1):
                before, self.t = self.t, float(self.scaling.time(solver.t))
                flow = self._failure(solver, message) or self._progress(solver, taus)
                self.scaling.field.accumulate(solver.step_size or 0.0)
                bar.update(self.t - before)
                if flow is None and taken % STEPS_PER_CHECK == 0:
                    flow = self._equal(solver)
                if flow is not None:
                    bar.update(self.times[-1] - self.t)
                    return flow
        except KeyboardInterrupt:
            return self._stopped(f"{INTERRUPTED} at t = {self.t:.6g}")
        except FloatingPointError as error:
            if self._at_kink(self.last):
                return self._stopped(f"stopped at t = {self.t:.6g}: {KINK}")
            cause = because_of_extremes(self.problem) if self.t == 0 else ""
            return self._stopped(f"stopped at t = {self.t:.6g}: {error}{cause}")
        finally:
            self.field.note_errors_of(self.scaling.field)
        return self._finished()

    def slope(self, tau: float, y: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """Return the derivative dy/dtau of the coordinates y with respect to the time tau."""
        self.evaluations += 1
        present = self.problem.schedules.at(tau)
        return self.coordinate.slope(y, lambda state: self.scaling.field.velocity(state, *present))

    def _progress(self, solver: Any, taus: npt.NDArray[np.float64]) -> Flow | None:
        """Record observables at times that the last step has passed.

        Return the flow if the integration ends here, at a steady state or because it is stopped, else None.
        """
        passed = int(np.searchsorted(taus, solver.t, side="right"))
        if passed > self.done:
            self._record(self._state(solver.dense_output()(taus[self.done : passed]).T, self.times[self.done : passed]))
        if self.detector and self.detector.reached(state := self._state(solver.y, self.t)):
            return self._steady(state)
        self.last = solver.y
        if self.evaluations > self.most:
            return self._stopped(f"stopped at t = {self.t:.6g}: more than {self.most} evaluations of the rates needed")
        if solver.t - solver.t_old < STALLED * solver.t:
            if self._at_kink(solver.y):
                return self._stopped(f"stopped at t = {self.t:.6g}: {KINK}")
            if self.pole and self._eigenvalues(solver.y).min() < self.problem.atol:
                return self._stopped(f"stopped at t = {self.t:.6g}: {VANISHING}")
        return None

    def _failure(self, solver: Any, message: str | None) -> Flow | None:
        """Return the flow until now if the solver has failed or the trajectory has diverged, else None."""
        diverged = not self.coordinate.room(solver.y, self.limit) > 0
        if solver.status != "failed" and not diverged:
            return None
        s = self._eigenvalues(self.last)
        if self.pole and s.min() < self.problem.atol and s.max() < DIVERGING * self.largest:
            return self._stopped(f"stopped at t = {self.t:.6g}: {VANISHING}")
        if diverged or self._eigenvalues(solver.y).max() > DIVERGING * self.largest:
            return Flow(self.observed, np.array(self.t), f"eigenvalues diverge at t = {self.t:.10g}")
        return self._stopped(f"stopped at t = {self.t:.6g}: {message}")

    def _at_kink(self, y: npt.NDArray[np.float64]) -> bool:
        return self.field.distance_to_kink(self.coordinate.backward(y)) < AT_KINK

    def _equal(self, solver: Any) -> Flow | None:
        """Return the complete flow if all modes are equal, so that only weight decay changes them, else None."""
        decay = float(self.field.parameters.rho.max())
        changes = "weight_decay" in self.problem.schedules.parameters
        if changes or (self.detector and not decay):
            return None
        if not self.equal_modes.reached(self.coordinate.backward(solver.y)):
            return None
        state, t = self._state(solver.y, self.t), self.t
        self._record(shrunk(state, decay, self.times[self.done :] - t))
        steady = t + self.detector.note_decay(state, decay) if self.detector else np.inf
        self.t = min(steady, self.times[-1])
        return self._finished() if steady > self.t else self._steady(shrunk(state, decay, self.t - t))

    def _record(self, states: State) -> None:
        """Record the observables of the states (T', ...), which belong to the next T' output times."""
        stop = self.done + len(states.encoder)
        _put(self.observed, slice(self.done, stop), self.field.observables(states))
        self.done = stop

    def _state(self, y: npt.NDArray[np.float64], t: Any) -> State:
        return self.scaling.state(self.coordinate.backward(y), t)

    def _eigenvalues(self, y: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        return self.field.observables(self.coordinate.backward(y)).s

    def _steady(self, state: State) -> Flow:
        after = int(np.searchsorted(self.times, self.t, side="right"))
        _put(self.observed, slice(after, None), self.field.observables(state))
        return Flow(self.observed, np.array(np.inf), steady_time=np.array(self.t))

    def _stopped(self, status: str) -> Flow:
        reached = each(lambda a: a[: self.done], self.observed)
        return Flow(reached, np.array(np.inf), status, reached=self.done)

    def _finished(self) -> Flow:
        """Return the flow to the last time; if a steady state is required, the status states that none was reached."""
        status = f"{NOT_STEADY} at t = {self.t:.6g}, {self.detector}" if self.detector else "complete"
        return Flow(self.observed, np.array(np.inf), status)


def most_evaluations(y: npt.NDArray[np.float64]) -> int:
    """Return the number of evaluations of the rates after which an integration of coordinates y (E,) is stopped."""
    return MAX_EVALUATIONS + EVALUATIONS_PER_VARIABLE * y.size


def steps(
    slope: Callable[..., Any], y: Any, end: float, tolerances: dict[str, Any]
) -> Iterator[tuple[Any, str | None]]:
    """Yield (solver, message) after each step of an integration of dy/dt = slope(t, y) from t = 0 to ``end``.

    The solver is SciPy's LSODA, which detects stiff parts of a trajectory. A step of LSODA evaluates the slope only
    once or twice; these evaluations take most of the computing time. message: the reason if the step failed, else None.
    Raises FloatingPointError if the slope is not finite at t = 0.
    """
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):  # a trial step may be so long that it overflows
        if not np.isfinite(slope(0.0, y)).all():
            raise FloatingPointError("the rates leave the range of double precision")
        solver = scipy.integrate.LSODA(slope, 0.0, y, end, **tolerances)
        while solver.status == "running" and end > 0:
            try:
                message = solver.step() and FAILED
            except UserWarning:  # LSODA warns when it gives up; a caller may turn warnings into errors
                solver.status, message = "failed", FAILED
            if solver.t == solver.t_old and solver.status == "running":  # happens if the last time is a denormal number
                solver.status, message = "failed", "the steps are too short for double precision"
            yield solver, message


def rough_path(
    field: VectorField, start: State, learning_rate: float | None, duration: float, steps_at_most: int = 300
) -> State:
    """Return the states (T, M) of an ensemble member after each step of an integration of low accuracy.

    The integration ends at ``duration``, before a step that fails, or after ``steps_at_most`` steps.
    """
    coordinate = finite_coordinate_of(start, field.parameters, 1e-14)
    y = coordinate.forward(start)
    limit = coordinate.limit(y)
    tolerances, path = coordinate.tolerances(10 * field.rtol, noise_of(field)), [y]

    def slope(_: float, y: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        return coordinate.slope(y, lambda state: field.velocity(state, learning_rate))

    with suppress(FloatingPointError):
        for solver, _ in islice(steps(slope, y, duration, tolerances), steps_at_most):
            if solver.status == "failed" or not coordinate.room(solver.y, limit) > 0:
                break
            path.append(solver.y)
    return coordinate.backward(np.array(path))
