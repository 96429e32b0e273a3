"""Integrate the flow of ensembles in JAX (Diffrax, Dopri8): all members of a group share the same steps.

The members of a group form one system of equations, whose steps are as short as the member that changes fastest needs.
With common steps, no masks for finished members are needed, no member waits for another one, and all members share one
list of output times. Members are integrated separately, each with its own steps, in three cases: if a member of their
group diverges, if their group needs too many steps, or if the closure has integrals, which make unnecessary steps
expensive.
"""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any, NamedTuple

import diffrax
import jax
import jax.numpy as jnp
import numpy as np
import numpy.typing as npt
from jax.sharding import Mesh, PartitionSpec

from dynamics.derived_loss import DerivedLoss
from dynamics.model.parameters import Parameters, Structure
from dynamics.numerics.compiler import compiled, shared_by_threads
from dynamics.numerics.context import jax_settings
from dynamics.numerics.progress import progress_bar
from dynamics.solvers.coordinates import Plain, Reciprocal, coordinate_of, noise_of
from dynamics.solvers.ensembles import HIGHEST, Division, choose, divide, in_turn
from dynamics.solvers.problem import FlowProblem
from dynamics.solvers.solutions import Flow
from dynamics.solvers.steady_state import EQUAL, keeps_equal_modes, spread
from dynamics.solvers.stepping import Integrated, integrate
from dynamics.vector_field.base import VectorField
from dynamics.vector_field.eigenmode_state import (
    as_rows,
    compiled_exponent,
    completed,
    independent,
    independent_observables,
    velocity,
)
from dynamics.vector_field.state import Observables, State, each
from dynamics.vector_field.traced_field import Rules, TracedField

Array = Any  # an array of JAX, traced or not

MAX_STEPS = 200_000  # largest number of steps of a member that is integrated alone
CHECKED = 16  # largest number of output times at which the error of the rates is estimated
MAX_STEPS_TOGETHER = 10_000  # largest number of steps of a group, beyond which members are integrated alone


class Options(NamedTuple):
    """Options of an integration.

    Other values of the options need no new compilation. Another number of times needs a new compilation.
    """

    times: Any  # times of the result (T,)
    learning_rate: Any
    rtol: Any
    atol: Any
    noise: Any  # relative noise of the rates


class Solved(NamedTuple):
    """Solutions of B ensemble members; the first axis of each array, of length B, counts the members."""

    observables: Observables  # (B, T, M); None for observables that can be computed from the eigenvalues s
    end: Any  # time at which the integration ended
    finished: Any  # True if the integration reached the last time
    diverged: Any  # True if the member diverged
    error: Any  # relative error of the rates


Solver = Callable[[State, Parameters, Options, Rules], Solved]


def jax_flow(problem: FlowProblem) -> Flow:
    """Integrate the flow of an ensemble, one group of members after another.

    If the user interrupts the integration, the observables of members that were not integrated are NaN.
    """
    structure, times, field = problem.model.structure, problem.times, problem.field
    members, parameters = as_rows(problem.start, field.parameters)
    learning_rate = 1.0 if problem.learning_rate is None else problem.learning_rate
    options = Options(times, learning_rate, problem.rtol, problem.atol, noise_of(field))
    many, modes = members.encoder.shape
    status = "complete"
    division = divide(field, members, parameters, problem.learning_rate, float(times[-1]))
    solved, done = _room_for(structure, many, len(times), modes), np.zeros(many, bool)
    with progress_bar(many, "solve", problem.progress) as bar:
        try:
            for level in range(HIGHEST + 1):
                compute = partial(_solve_part, field, division, level, members, parameters, options)
                for part, piece in in_turn(division.parts(), division.devices, compute):
                    jax.tree.map(lambda whole, rows, part=part: whole.__setitem__(part, rows), solved, piece)
                    before = done.sum()
                    done[part] = True
                    bar.update(done.sum() - before)
                missed = division.order[solved.error[division.order] > field.rtol]
                if not (len(missed) and field.quadratures):
                    break
                division = replace(division, order=missed)
        except KeyboardInterrupt:
            status = f"interrupted after {done.sum()} of {many} ensemble members; values that were not computed are NaN"
    each(lambda a: a.__setitem__(~done, np.nan), solved.observables)
    field.note_error(solved.error[done].max(initial=0.0))
    shape = (*problem.members, len(times), modes)
    observed = each(lambda a: a.reshape(shape), completed(structure, parameters, solved.observables))
    blow_up = np.where(solved.diverged, solved.end, np.inf).reshape(problem.members)
    flow = Flow(observed, blow_up, status)
    short = done & ~(solved.diverged | solved.finished)
    if not short.any():
        return flow
    stopped = solved.end[short].min()
    reached = times <= stopped
    status = f"stopped at t = {stopped:.6g}: more than {MAX_STEPS} steps needed"
    observed = each(lambda a: a[..., reached, :], observed)
    return replace(flow, observables=observed, status=status, reached=reached.sum())


def _room_for(structure: Structure, many: int, times: int, modes: int) -> Solved:
    """Return arrays with undefined values, to which the solutions of all ensemble members will be written.

    many, times, modes: numbers of members, of times and of modes.
    """
    whole = Observables(*np.empty((3, many, times, modes)))
    end, error = np.zeros((2, many))
    finished, diverged = np.zeros((2, many), bool)
    return Solved(independent(structure, whole), end, finished, diverged, error)


# --- groups ---------------------------------------------------------------------------------------------------------


def _solve_part(
    field: VectorField,
    division: Division,
    level: int,
    members: State,
    parameters: Parameters,
    options: Options,
    part: npt.NDArray[np.intp],
) -> Solved:
    """Integrate the flow of the ensemble members in ``part``; the solutions are in the order of ``part``.

    part: indices of these members. members: initial states of all members. division: division of the ensemble into
    groups. level: level of accuracy of the quadrature rules, from 0 to HIGHEST.
    """
    start, own = division.padded((members, parameters), part)
    rules, alpha = division.rules(part, level), compiled_exponent(own)
    run = partial(_compiled, field.model.generated, field.structure, field.closure, alpha, division.devices)
    alone = division.size == 1 or bool(field.quadratures)  # with integrals, separate steps of members save time
    with jax_settings(x64=True):
        found = jax.tree.map(np.asarray, run(alone)(start, own, options, rules))
        if not alone and not found.finished.all():
            found = jax.tree.map(partial(choose, found.finished), found, run(True)(start, own, options, rules))
    return jax.tree.map(lambda a: a[: len(part)], found)


# --- compiled -------------------------------------------------------------------------------------------------------


@shared_by_threads
def _compiled(
    generated: DerivedLoss,
    structure: Structure,
    closure: str,
    alpha: float | None,
    devices: tuple[jax.Device, ...],
    alone: bool,
) -> Solver:
    """Return the compiled solver for one loss, a function (members, parameters, options, rules) -> Solved.

    alpha: exponent of the predictor for which the code is compiled. If alpha is None, the compiled function takes the
    exponents of the members from its argument ``parameters``. alone: True if each member has its own steps; False if
    each device integrates one group with common steps.
    """
    group = partial(_group, structure, TracedField(generated, structure, closure), alpha, alone)

    def each_alone(members: State, parameters: Parameters, options: Options, rules: Rules) -> Solved:
        members, parameters = jax.tree.map(lambda a: a[:, None], (members, parameters))
        found = jax.vmap(group, in_axes=(0, 0, None, None))(members, parameters, options, rules)
        return jax.tree.map(lambda a: a[:, 0], found)

    mesh, rows = Mesh(np.array(devices), ("members",)), PartitionSpec("members")

    def run(members: State, parameters: Parameters, options: Options, rules: Rules) -> Solved:
        own_rules = jax.tree.map(lambda a: a[0], rules)  # each device has one group
        return (each_alone if alone else group)(members, parameters, options, own_rules)

    specs = (rows, rows, PartitionSpec(), rows)
    on_devices = jax.shard_map(run, mesh=mesh, in_specs=specs, out_specs=rows, check_vma=False)
    return compiled(on_devices, devices[0].platform)


def _group(
    structure: Structure,
    forces: TracedField,
    alpha: float | None,
    alone: bool,
    start: State,
    parameters: Parameters,
    options: Options,
    rules: Rules,
) -> Solved:
    """Integrate the flow of a group of G members with common steps, from initial states (G, M) to the last time.

    forces: the vector field. alpha: exponent of the predictor for which the code is compiled; None to use the exponents
    in ``parameters``. alone: True if the group consists of one member. rules: quadrature rules of the closure's
    integrals.
    """

    def own(parameters: Parameters) -> Parameters:
        return parameters if alpha is None else parameters._replace(alpha=alpha)

    like = each(lambda part: part[0], start)

    def coordinate(parameters: Parameters) -> Reciprocal | Plain:
        return coordinate_of(like, parameters, options.atol)

    def slope(y: Array) -> Array:
        def of_one(y: Array, parameters: Parameters) -> Array:
            def velocity_of(state: State) -> State:
                moved_by = forces(state, own(parameters), rules)
                return velocity(own(parameters), state, moved_by, options.learning_rate)

            return coordinate(own(parameters)).slope(y, velocity_of)

        return jax.vmap(of_one, in_axes=-1, out_axes=-1)(y, columns)

    def room(y: Array) -> Array:
        return jnp.min(jax.vmap(lambda y, most, p: coordinate(own(p)).room(y, most), in_axes=-1)(y, limits, columns))

    def equal_modes(before: Array, after: Array) -> Array:
        """Return True if the modes of every member have become equal and no member has weight decay.

        The reason is given in ``EqualModes``.
        """
        if not keeps_equal_modes(forces.conserves, structure, parameters):
            return jnp.asarray(False)
        earlier, later = (
            jax.vmap(lambda y, p: spread(coordinate(own(p)).backward(y).encoder), in_axes=-1)(y, columns)
            for y in (before, after)
        )
        return jnp.all((later < jnp.minimum(EQUAL * options.rtol, earlier)) & (parameters.rho[:, 0] == 0))

    columns = jax.tree.map(jnp.transpose, parameters)
    y0 = jax.vmap(lambda state, p: coordinate(own(p)).forward(state), out_axes=-1)(start, parameters)
    limits = jax.vmap(lambda y, p: coordinate(own(p)).limit(y), in_axes=-1)(y0, columns)
    strictest = parameters._replace(alpha=jnp.min(parameters.alpha, axis=0))
    tolerances = coordinate(strictest).tolerances(options.rtol, options.noise)
    controller = diffrax.PIDController(norm=_of_the_worst, **tolerances)
    most = MAX_STEPS if alone else MAX_STEPS_TOGETHER
    solution = integrate(slope, y0, options.times, controller, room, equal_modes, most)
    y = jnp.moveaxis(solution.y, -1, 0)  # (G, T, E)
    reached = jnp.isfinite(y).all(axis=-1, keepdims=True)
    y = jnp.where(reached, y, jnp.moveaxis(y0, -1, 0)[:, None])
    states = jax.vmap(lambda y, p: coordinate(own(p)).backward(y))(y, parameters)
    along_times = own(jax.tree.map(lambda row: row[:, None], parameters))
    observed = independent_observables(structure, along_times, states)
    observed = each(lambda a: jnp.where(reached, a, jnp.inf), observed)
    checked = np.unique(np.linspace(0, len(options.times) - 1, CHECKED).astype(int))
    error = jax.lax.map(
        lambda w: forces.error(w, own(parameters), rules), each(lambda a: jnp.moveaxis(a[:, checked], 1, 0), states)
    )
    return _solved(solution, observed, jnp.max(error), start.encoder.shape[:1])


def _solved(solution: Integrated, observed: Observables, error: Array, members: tuple[int, ...]) -> Solved:
    """Return the ``Solved`` of a group of G ensemble members.

    solution: the result of the integration. observed: observables along the solution. error: relative error of the
    rates of the group. A number that holds for the whole group is repeated for each member. members: the shape (G,).
    """
    solved = Solved(observed, solution.end, solution.finished, solution.diverged, error)
    return jax.tree.map(lambda a: jnp.broadcast_to(a, members) if a.ndim == 0 else a, solved)


def _of_the_worst(errors: Array) -> Array:
    """Return the largest error over members; a member's error is the root mean square over the member's variables.

    errors: array (E, G) of the errors of E variables in G members.
    """
    return jnp.sqrt(jnp.max(jnp.mean(errors**2, axis=0)))
