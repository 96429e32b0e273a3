"""The third rung of the ladder: gradient descent on the population loss, as a map of the eigenvalues."""

from typing import NamedTuple

import numpy as np

from dynamics import errors
from dynamics.model.model import Model
from dynamics.numerics.progress import check_progress, progress_bar
from dynamics.results.trajectory import Trajectory
from dynamics.solvers.linear_noise import Fluctuations
from dynamics.solvers.problem import check_trajectory
from dynamics.vector_field.base import SAMPLED, VectorField, choose_closure
from dynamics.vector_field.eigenmode_state import Observables, each, observables
from dynamics.vector_field.eigenmodes import EigenmodeField
from dynamics.vector_field.factory import vector_field_of
from dynamics.vector_field.weight_state import WeightObservables

METHODS = ("auto", "numpy", "jax")
LONG = 2.0  # seconds that NumPy may take, as a step takes STEP of overhead, and ELEMENT for each number it holds
STEP, ELEMENT, NODES = 5e-5, 4e-8, 1_000  # NODES of the closure's integrals


def iterate(
    model: Model,
    s0,
    steps,
    learning_rate,
    *,
    batch_size=None,
    closure=None,
    rtol=1e-9,
    record=1,
    method="auto",
    progress=None,
) -> Trajectory:
    r"""Iterate s_m <- s_m (1 + eta (r_m - rho))^2, and whatever else moves: gradient descent on the population loss.

    s0: (..., M), >= 0, or initial weights (..., M, N) of a model with ``inputs``. steps: how many.
    learning_rate: eta > 0, a number.
    batch_size: of a network, whose fluctuations around the map are predicted then: the result's ``deviation`` (T, M)
    is the standard deviation of u_m . C u_m from batch to batch, by linear noise; for one trajectory.
    record: record each so many steps; step 0 and the last one are always there.
    closure: see ``solve``. rtol: tolerance of the Gaussian closure.
    method: "numpy"; "jax", blocks of steps compiled, which takes a second at first, for models without ``inputs`` or
    ``batch_size``; or "auto": "jax" where "numpy" would take long.
    The result has step (T,) and t = learning_rate * step. A run whose iterates overflow ends there, and the status says
    when; in an ensemble such members are inf from there on. Interrupting returns what is done. Raises ArgumentError.
    """
    errors.instance("model", model, Model, "be a Model")
    s0 = model.check_start(s0)
    steps, record = errors.count("steps", steps, 0), errors.count("record", record)
    learning_rate = errors.positive_number("learning_rate", learning_rate)
    rtol = errors.positive_number("rtol", rtol)
    closure = choose_closure(model, closure)
    forces = vector_field_of(model, closure, rtol)
    check_progress(progress)
    check_trajectory(model, s0, steps // record + 2, "Record fewer steps (record), or sweep to disk.")
    noise = _fluctuations(forces, s0, learning_rate, batch_size)
    method = choose_method(method, forces, s0.size, steps, noise is not None)
    if method == "jax" and isinstance(forces, EigenmodeField):
        found = _descend_compiled(forces, s0, steps, learning_rate, record, progress)
    else:
        found = _descend(forces, s0, noise, steps, learning_rate, record, progress)
    forces.warn_if_inaccurate()
    return Trajectory(
        model=model,
        kind="descent",
        t=learning_rate * found.recorded,
        **found.observables._asdict(),
        step=found.recorded,
        method="gradient descent on the population loss" + (f", {SAMPLED}" if closure == "monte_carlo" else ""),
        status=found.status,
        error=forces.error,
        blow_up_time=learning_rate * found.diverged,
        deviation=found.deviation,
        settings={
            "learning_rate": learning_rate,
            "steps": steps,
            "batch_size": batch_size,
            "record": record,
            "closure": closure,
            "rtol": rtol,
        },
    )


def choose_method(method: str, forces: VectorField, numbers: int, steps: int, fluctuating=False) -> str:
    """Which it is, for an ensemble of so many numbers (members times modes); raises ArgumentError."""
    errors.choice("method", method, METHODS)
    possible = isinstance(forces, EigenmodeField) and not fluctuating and forces.samples is None
    if method == "jax" and not possible:
        where = "for a model with `inputs`, with `batch_size`, or with the closure 'monte_carlo'"
        errors.reject("method", f"be 'auto' or 'numpy' {where}", method)
    if method != "auto":
        return method
    nodes = NODES if forces.quadratures else 1
    return "jax" if possible and steps * (STEP + numbers * nodes * ELEMENT) > LONG else "numpy"


class Descent(NamedTuple):
    """What was recorded, at which steps (T,), the step at which each member diverged, and how the run ended."""

    recorded: np.ndarray
    observables: Observables | WeightObservables
    deviation: np.ndarray | None
    diverged: np.ndarray
    status: str


def _descend(
    forces: VectorField, s0, noise: Fluctuations | None, steps: int, eta: float, record: int, progress
) -> Descent:
    state, status = forces.start(s0), "complete"
    recorded, kept, deviations = [0], [forces.observables(state)], [noise.deviation(state)] if noise else []
    if forces.model.inputs is None:
        kept[0] = kept[0]._replace(s=s0, target=s0)  # not the root's square
    diverged = np.full(state.batch, np.inf)
    with progress_bar(steps, "iterate", progress) as bar:
        try:
            for number in range(1, steps + 1):
                if noise:
                    noise.advance(state)
                state, gone = one_step(state, forces, eta)
                forces.relax()
                diverged = np.where(gone & np.isinf(diverged), number, diverged)
                if gone.all():
                    break
                if number % record == 0 or number == steps:
                    recorded.append(number)
                    with np.errstate(over="ignore"):  # of those that are about to diverge
                        kept.append(forces.observables(state))
                    deviations += [noise.deviation(state)] if noise else []
                bar.update()
        except KeyboardInterrupt:
            status = f"interrupted at step {number}"
        except FloatingPointError as error:
            status = f"stopped before step {number}: {error}"
    along = each(lambda *values: np.stack(values, axis=diverged.ndim), *kept)
    deviation = np.stack(deviations) if noise else None
    return Descent(np.array(recorded), along, deviation, diverged, _how_it_ended(diverged, status))


def _descend_compiled(rates: EigenmodeField, s0, steps: int, eta: float, record: int, progress) -> Descent:
    from dynamics.solvers.descent_jax import jax_descent

    recorded, states, diverged, status = jax_descent(rates, rates.start(s0), steps, eta, record, progress)
    along = rates.parameters.map(lambda a: a[..., None, :])
    with np.errstate(over="ignore", invalid="ignore"):  # of those that diverge
        found = observables(rates.structure, along, states)
    for s in (found.s, found.target):
        s[..., 0, :] = s0  # not the root's square
    return Descent(recorded, found, None, diverged, _how_it_ended(diverged, status))


def _how_it_ended(diverged: np.ndarray, status: str) -> str:
    if not np.isfinite(diverged).any():
        return status
    first = f"eigenvalues diverge at step {diverged.min():.0f}"
    return first if status == "complete" else f"{first}; {status}"


def _fluctuations(rates, s0: np.ndarray, learning_rate: float, batch_size) -> Fluctuations | None:
    if batch_size is None:
        return None
    if not isinstance(rates, EigenmodeField):
        errors.reject(
            "batch_size", "be left out for a model with `inputs`, whose fluctuations are not known", batch_size
        )
    if s0.ndim > 1:
        errors.reject("batch_size", "be left out for an ensemble: fluctuations are those of one trajectory", batch_size)
    return Fluctuations(rates, learning_rate, errors.count("batch_size", batch_size))


def one_step(state, forces: VectorField, learning_rate):
    """The next state, inf in all parts of a member that overflowed, and which members (...) did.

    learning_rate: a number, or one for each member, (..., 1).
    """
    ensemble = len(state.batch)

    def is_gone(part):
        return ~np.isfinite(part**2).all(axis=tuple(range(ensemble, part.ndim)))

    def where_gone(value):
        return lambda part: np.where(gone.reshape(*gone.shape, *(1,) * (part.ndim - ensemble)), value, part)

    with np.errstate(over="ignore", invalid="ignore"):
        gone = np.any([is_gone(part) for part in state if part is not None], axis=0)
        following = forces.step(each(where_gone(1.0), state) if gone.any() else state, learning_rate)
        gone = np.any([gone, *(is_gone(part) for part in following if part is not None)], axis=0)
    return each(where_gone(np.inf), following) if gone.any() else following, gone
