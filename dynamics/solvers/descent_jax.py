"""Iterate the descent map in JAX: each compiled call advances some ensemble members by a block of steps."""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import numpy.typing as npt
from jax.sharding import Mesh, PartitionSpec

from dynamics.derived_loss import DerivedLoss
from dynamics.model.momentum import Momentum
from dynamics.model.parameters import Parameters, Structure
from dynamics.model.schedules import StepSchedules
from dynamics.numerics.compiler import compiled, shared_by_threads
from dynamics.numerics.context import jax_settings
from dynamics.numerics.progress import progress_bar
from dynamics.solvers.ensembles import HIGHEST, Division, choose, divide, in_turn
from dynamics.solvers.problem import DescentProblem
from dynamics.solvers.solutions import Descent
from dynamics.vector_field.eigenmode_state import as_rows, compiled_exponent, observables, step
from dynamics.vector_field.state import Observables, State, each
from dynamics.vector_field.traced_field import Rules, TracedField

Array = Any  # an array of JAX, traced or not

HOLD = 8  # number of steps after which the error of the rates is computed again
RECORDS_PER_CALL = 50  # recorded steps per compiled call; between calls the progress bar moves and Ctrl-C is noticed
STEPS_PER_CALL = 2_000  # largest number of steps of a compiled call with several recorded steps


class Place(NamedTuple):
    """Progress of a run of B ensemble members: their present state, and the steps at which members diverged.

    state: present values of the dynamical variables, (B, M). diverged: step at which each member diverged, (B,); inf
    for a member that has not diverged.
    """

    state: State
    diverged: Any


Carry = tuple[Place, Array]  # progress of an ensemble, and largest error of the rates so far


class Passed(NamedTuple):
    """Result of a compiled call that advanced B ensemble members and recorded their states at R steps.

    last: the ``Place`` after the last step. states: states at the recorded steps, (B, R, M). error: largest relative
    quadrature error of the rates, (B,); members that are computed together, as a group, have the same value.
    """

    last: Place
    states: State
    error: Any


def jax_descent(problem: DescentProblem) -> Descent:
    """Iterate the descent map in compiled calls, for groups of ensemble members.

    If the user interrupts the run, or if the integrals of the closure overflow, the result ends at the last step that
    was recorded before.
    """
    field, modes = problem.field, problem.s0.shape[-1]
    members, parameters = as_rows(problem.start, field.parameters)
    many = len(members.encoder)
    place, recorded, status = Place(members, np.full(many, np.inf)), [0], "complete"
    histories = [each(lambda part: part[:, None], members)]
    division = _divided(problem, members, parameters)
    level, ranks = 0, np.argsort(division.order)
    with progress_bar(problem.steps, "iterate", problem.progress) as bar:
        try:
            for chosen in _calls(problem.recorded[1:].tolist()):
                compute = partial(_pass_part, problem, division, level, place, parameters, recorded[-1], chosen)
                results = [found for _, found in in_turn(division.parts(), division.devices, compute)]
                passed, levels = zip(*results, strict=True)
                place, states, error = jax.tree.map(lambda *parts: np.concatenate(parts)[ranks], *passed)
                level = max(levels)
                if not np.isfinite(error).all():
                    status = f"stopped before step {chosen[-1]}: the closure's integrals overflow"
                    break
                field.note_error(float(error.max()))
                bar.update(chosen[-1] - recorded[-1])
                histories, recorded = [*histories, states], recorded + chosen
                if np.isfinite(place.diverged).all():
                    break
        except KeyboardInterrupt:
            status = f"interrupted at step {recorded[-1]}"
    finite = np.array(recorded) < place.diverged.max()
    shape = (*problem.members, finite.sum(), modes)
    states = each(lambda *parts: np.concatenate(parts, axis=1)[:, finite].reshape(shape), *histories)
    observed = _observables(problem, states)
    return Descent(np.array(recorded)[finite], observed, place.diverged.reshape(problem.members), status)


def _divided(problem: DescentProblem, members: State, parameters: Parameters) -> Division:
    """Return the division of the ensemble into groups, for a flow with the mean learning rate and mean parameters.

    With momentum, this flow is faster by the factor ``speed_up``.
    """
    rate, scheduled = problem.schedules.mean()
    rate *= 1.0 if problem.momentum is None else problem.momentum.speed_up
    means: dict[str, Any] = {name: np.full((len(members.encoder), 1), value) for name, value in scheduled.items()}
    without_buffers = members._replace(encoder_buffer=None, predictor_buffer=None)
    return divide(problem.field, without_buffers, parameters._replace(**means), rate, rate * problem.steps)


def _observables(problem: DescentProblem, states: State) -> Observables:
    """Return the observables of states (..., T, M) at T recorded steps.

    The eigenvalues at step 0 are exactly s0 if encoder and target start from these.
    """
    along_steps = problem.field.parameters.map(lambda a: a[..., None, :])
    with np.errstate(over="ignore", invalid="ignore"):  # members that diverge would give warnings
        observed = observables(problem.model.structure, along_steps, states)
    for values in (observed.s, observed.target) if problem.starts_from_s0 else ():
        values[..., 0, :] = problem.s0  # exactly, because the square of a root has rounding errors
    return observed


def _calls(chosen: list[int]) -> Iterator[list[int]]:
    """Yield, for each compiled call, the list of the steps that this call records.

    chosen: all steps to record, in ascending order, without step 0. A call records at least one step and at most
    RECORDS_PER_CALL steps. Except for calls that record one step, no call advances by more than STEPS_PER_CALL steps.
    """
    first = start = 0
    for i, record in enumerate(chosen):
        if i > first and (i - first == RECORDS_PER_CALL or record - start > STEPS_PER_CALL):
            yield chosen[first:i]
            first, start = i, chosen[i - 1]
    if chosen:
        yield chosen[first:]


def _pass_part(
    problem: DescentProblem,
    division: Division,
    level: int,
    place: Place,
    parameters: Parameters,
    first: int,
    chosen: list[int],
    part: npt.NDArray[np.intp],
) -> tuple[Passed, int]:
    """Advance the ensemble members in ``part`` from the step ``first`` to the last step of ``chosen``.

    The first returned value has the states at the steps in ``chosen``. The second returned value is the highest level
    of quadrature rules that was used. level: accuracy of the first quadrature rules, from 0 to HIGHEST. Members whose
    rates have a quadrature error above the tolerance are computed again with rules of the next higher level. division:
    division of the ensemble into groups. place: states of all members at the step ``first``.
    """
    here, own = division.padded((place, parameters), part)
    bounds = np.minimum([first, *chosen, *[chosen[-1]] * RECORDS_PER_CALL], chosen[-1])[: RECORDS_PER_CALL + 1]
    field, model = problem.field, problem.model
    exponent = compiled_exponent(own)
    run = _compiled(model.generated, model.structure, field.closure, exponent, problem.momentum, division.devices)

    def passed(level: int) -> Passed:
        rules = division.rules(part, level)
        with jax_settings(x64=True):
            return jax.tree.map(np.asarray, run(here, own, problem.schedules, bounds, rules))

    found = passed(level)
    while level < HIGHEST and field.quadratures and (missed := found.error > field.rtol).any():
        level += 1
        found = jax.tree.map(partial(choose, ~missed), found, passed(level))
    found = found._replace(states=each(lambda a: a[:, : len(chosen)], found.states))
    return jax.tree.map(lambda a: a[: len(part)], found), level


@shared_by_threads
def _compiled(
    generated: DerivedLoss,
    structure: Structure,
    closure: str,
    alpha: float | None,
    momentum: Momentum | None,
    devices: tuple[jax.Device, ...],
) -> Callable[..., Passed]:
    """Return a compiled function that iterates the descent map of one loss, for one group on each device.

    The function is (place, parameters, schedules, bounds, rules) -> Passed; see ``_pass`` for ``bounds``. alpha:
    exponent of the predictor for which the code is compiled. If alpha is None, the compiled function takes the
    exponents of the members from its argument ``parameters``.
    """
    group = partial(_pass, structure, TracedField(generated, structure, closure), alpha, momentum)

    def run(place: Place, parameters: Parameters, schedules: StepSchedules, bounds: Array, rules: Rules) -> Passed:
        own_rules = jax.tree.map(lambda a: a[0], rules)  # each device has one group
        return group(place, parameters, schedules, bounds, own_rules)

    mesh, rows = Mesh(np.array(devices), ("members",)), PartitionSpec("members")
    specs = (rows, rows, PartitionSpec(), PartitionSpec(), rows)
    on_devices = jax.shard_map(run, mesh=mesh, in_specs=specs, out_specs=rows, check_vma=False)
    return compiled(on_devices, devices[0].platform)


def _pass(
    structure: Structure,
    forces: TracedField,
    alpha: float | None,
    momentum: Momentum | None,
    place: Place,
    parameters: Parameters,
    schedules: StepSchedules,
    bounds: Array,
    rules: Rules,
) -> Passed:
    """Iterate the descent map of a group of G members, with states (G, M), in one compiled call.

    forces: the vector field. alpha: exponent of the predictor for which the code is compiled; None to use the exponents
    in ``parameters``. place: states at the start of the call. bounds: the step from which the call starts, followed by
    the steps that the call records. rules: quadrature rules of the closure's integrals.
    """
    p = parameters if alpha is None else parameters._replace(alpha=alpha)

    def finite_part(place: Place) -> State:
        return each(lambda part: jnp.where(jnp.isfinite(place.diverged)[:, None], 1.0, part), place.state)

    def one(number: Array, carry: Carry) -> Carry:
        place, error = carry
        safe, diverged = finite_part(place), place.diverged
        checked = jax.lax.cond(number % HOLD == 0, lambda: forces.error(safe, p, rules) + 0.0, lambda: 0.0)
        error = jnp.maximum(error, checked)
        learning_rate, scheduled = schedules.at(number)
        after = step(p._replace(**scheduled), safe, forces(safe, p, rules), learning_rate, momentum)
        finite = jnp.array([jnp.isfinite(part**2).all(axis=-1) for part in after if part is not None]).all(axis=0)
        diverged = jnp.where(~finite & jnp.isinf(diverged), number + 1, diverged)
        after = each(lambda part: jnp.where(jnp.isfinite(diverged)[:, None], jnp.inf, part), after)
        return Place(after, diverged), error

    def to_next_record(carry: Carry, span: tuple[Array, Array]) -> tuple[Carry, State]:
        carry = jax.lax.fori_loop(span[0], span[1], one, carry)
        return carry, carry[0].state

    (last, error), states = jax.lax.scan(to_next_record, (place, 0.0), (bounds[:-1], bounds[1:]))
    largest = jnp.maximum(error, forces.error(finite_part(last), p, rules))
    states = each(lambda part: jnp.moveaxis(part, 0, 1), states)
    return Passed(last, states, jnp.full(len(place.diverged), largest))
