"""The flow in JAX: an ensemble of trajectories as one vectorised Diffrax solve (Dopri8)."""

from dataclasses import replace
from functools import lru_cache, partial

import diffrax
import jax
import jax.numpy as jnp
import numpy as np

from dynamics.closure import Closure
from dynamics.coordinate import Flow, coordinate_of, noise_of
from dynamics.model import Model
from dynamics.progress import progress_bar
from dynamics.quadrature import MAX_NODES
from dynamics.rates import traceable
from dynamics.state import Parameters, Readings, State, Structure, each, readings, velocity

MAX_STEPS = 200_000
MARGIN = 1.2  # more nodes than the start needs, as the spectrum may spread
ELEMENTS = 4_000_000  # of an integrand, in one call: members of an ensemble that are integrated side by side


def jax_flow(model: Model, start: State, times, rates: Closure, learning_rate, rtol, atol, progress) -> Flow:
    """As many members a call as fit; interrupted, the rest is not a number. start: (..., M)."""
    batch, modes = start.batch, start.w.shape[-1]
    parameters = Parameters(*(np.broadcast_to(a, (*batch, 1)).reshape(-1, 1) for a in model.parameters))
    members = each(lambda part: part.reshape(-1, modes), start)
    numbers = (times, 1.0 if learning_rate is None else learning_rate, rtol, atol, noise_of(rates))
    rates(start)
    many, size = len(members.w), ELEMENTS // (modes * int(np.prod(rates.nodes or 1)))
    size = many if size >= many else max(1, size)
    found, ends, done = np.full((3, many, len(times), modes), np.nan), np.zeros((3, many)), 0
    with progress_bar(many, "solve", progress) as bar, jax.enable_x64(True):
        try:
            while done < many:
                part = slice(done, min(done + size, many))
                run = partial(_integrated, model, rates, _rows(members, part), _rows(parameters, part), numbers)
                readings_of_part, *ends_of_part = run(pad=size)
                found[:, part], ends[:, part] = readings_of_part, ends_of_part
                bar.update(part.stop - done)
                done = part.stop
        except KeyboardInterrupt:
            status = f"interrupted after ensemble member {done} of {many}; what was not computed is not a number"
        else:
            status = "complete"
    end, finished, diverged = ends[0], ends[1] > 0, ends[2] > 0
    blow_up = np.where(diverged, end, np.inf).reshape(batch)
    flow = Flow(Readings(*found.reshape(3, *batch, len(times), modes)), blow_up, status)
    short = ~(diverged | finished)[:done]
    if not short.any():
        return flow
    stopped = end[:done][short].min()
    kept = times <= stopped
    status = f"stopped at t = {stopped:.6g}: more than {MAX_STEPS} steps needed"
    return replace(
        flow, readings=Readings(*(a[..., kept, :] for a in flow.readings)), status=status, reached=kept.sum()
    )


def _integrated(model: Model, rates: Closure, members: State, parameters: Parameters, numbers, pad: int):
    """Some members, repeated with more nodes if the closure's error calls for it; padded, to compile only once."""
    count = len(members.w)
    fill = np.minimum(np.arange(pad), count - 1)
    members, parameters = _rows(members, fill), _rows(parameters, fill)
    nodes = rates.nodes and _more(rates.nodes, MARGIN)
    while True:
        run = _compiled(model.generated, model.structure, rates.closure, nodes)
        *found, error = jax.tree.map(np.asarray, run(members, parameters, *numbers))
        if nodes is None or not error.max() > rates.rtol or max(nodes) >= MAX_NODES:
            break
        nodes = _more(nodes, 1.4)
    rates.note_error(float(error.max()))
    readings_found, *ends = found
    return (np.stack(readings_found)[:, :count], *(a[:count] for a in ends))


def _rows(arrays, which):
    """Some members of a State or of Parameters."""
    return each(lambda a: a[which], arrays)


def _more(nodes: tuple[int, int], factor: float) -> tuple[int, int]:
    """Even numbers at least ``factor`` times the given ones."""
    n_x, n_y = (2 * int(np.ceil(factor * n / 2)) for n in nodes)
    return n_x, n_y


@lru_cache(maxsize=32)
def _compiled(generated, structure: Structure, closure: str, nodes):
    """The solver for one loss and number of nodes; parameters, tolerances and times may change without recompiling."""
    one = partial(_one, structure, traceable(generated, structure, closure, nodes))
    return jax.jit(jax.vmap(one, in_axes=(0, 0, None, None, None, None, None)))


def _one(structure, forces, start: State, parameters: Parameters, times, learning_rate, rtol, atol, noise):
    """Readings (T, M), the time it ends, whether it finished or diverged, and the rates' estimated relative error."""
    coordinate = coordinate_of(start, parameters, atol)
    y0 = coordinate.forward(start)

    def slope(_, y, args):
        return coordinate.slope(
            y, lambda state: velocity(structure, parameters, state, forces(state, parameters)[0], learning_rate)
        )

    solution = diffrax.diffeqsolve(
        diffrax.ODETerm(slope),
        diffrax.Dopri8(),
        0.0,
        times[-1],
        None,
        y0,
        saveat=diffrax.SaveAt(subs=[diffrax.SubSaveAt(ts=times), diffrax.SubSaveAt(t1=True)]),
        stepsize_controller=diffrax.PIDController(**coordinate.tolerances(rtol, noise)),
        event=diffrax.Event(lambda t, y, args, **_: coordinate.room(y, y0) < 0),
        max_steps=MAX_STEPS,
        throw=False,
    )
    y, end = solution.ys[0], solution.ts[1][0]
    reached = jnp.isfinite(y).all(axis=-1, keepdims=True)
    states = coordinate.backward(jnp.where(reached, y, y0))
    _, error = forces(states, parameters)
    found = Readings(*(jnp.where(reached, a, jnp.inf) for a in readings(structure, parameters, states)))
    finished, diverged = (
        solution.result == result for result in (diffrax.RESULTS.successful, diffrax.RESULTS.event_occurred)
    )
    return found, end, finished, diverged, error
