"""The flow in JAX: an ensemble of trajectories as one vectorised Diffrax solve (Dopri8)."""

from dataclasses import replace
from functools import lru_cache, partial

import diffrax
import jax
import jax.numpy as jnp
import numpy as np

from dynamics.coordinate import Flow, Reciprocal, relative_tolerance
from dynamics.generated import eigenvalues
from dynamics.model import ClosedForm, Model
from dynamics.quadrature import MAX_NODES
from dynamics.rates import Rates, traceable

MAX_STEPS = 200_000
MARGIN = 1.2  # more nodes than the start needs, as the spectrum may spread


def jax_flow(model: Model, s0: np.ndarray, times: np.ndarray, rates: Rates, rtol: float, atol: float) -> Flow:
    """The whole ensemble in one call; repeated with more nodes if the closure's error calls for it. s0: (..., M)."""
    batch = s0.shape[:-1]
    columns = (s0, model.alpha, *model.sigmas, model.rho)
    rows = [np.broadcast_to(a, (*batch, a.shape[-1])).reshape(-1, a.shape[-1]) for a in columns]
    key = (model.generated, rates.closure, isinstance(model.predictor, ClosedForm))
    nodes = _nodes_at_start(rates, s0)
    with jax.enable_x64(True):
        while True:
            s, end, finished, diverged, error = (
                np.asarray(a) for a in _compiled(*key, nodes)(*rows, times, relative_tolerance(rates), rtol, atol)
            )
            if nodes is None or error.max() <= rates.rtol or max(nodes) >= MAX_NODES:
                break
            nodes = _more(nodes, 1.4)
    if rates.quadrature:
        rates.quadrature.worst = float(error.max())
    s = np.where(times[:, None] == 0, rows[0][:, None, :], s).reshape(*batch, *s.shape[1:])
    flow = Flow(s, np.where(diverged, end, np.inf).reshape(batch))
    if (diverged | finished).all():
        return flow
    stopped = end[~(diverged | finished)].min()
    status = f"stopped at t = {stopped:.6g}: more than {MAX_STEPS} steps needed"
    return replace(flow, s=s[..., times <= stopped, :], status=status, reached=int((times <= stopped).sum()))


def _nodes_at_start(rates: Rates, s0: np.ndarray) -> tuple[int, int] | None:
    if rates.quadrature is None:
        return None
    rates(s0)
    return _more(rates.quadrature.nodes, MARGIN)


def _more(nodes: tuple[int, int], factor: float) -> tuple[int, int]:
    """Even numbers at least ``factor`` times the given ones."""
    n_x, n_y = (2 * int(np.ceil(factor * n / 2)) for n in nodes)
    return n_x, n_y


@lru_cache(maxsize=32)
def _compiled(generated, closure: str, has_predictor: bool, nodes):
    """The solver for one loss and number of nodes; parameters, tolerances and times may change without recompiling."""
    r = traceable(generated, closure, nodes)
    predict = eigenvalues.predictor if has_predictor else (lambda s, alpha: 0 * s + 1)
    return jax.jit(jax.vmap(partial(_one, r, predict), in_axes=(0, 0, 0, 0, 0, None, None, None, None)))


def _one(r, predict, s0, alpha, sigma1, sigma2, rho, times, relative, rtol, atol):
    """s (T, M), the time it ends, whether it finished or diverged, and the rates' estimated relative error."""
    coordinate = Reciprocal(alpha, atol)

    def slope(_, y, args):
        return coordinate.slope(y, lambda s: eigenvalues.velocity(s, r(s, predict(s, alpha), sigma1, sigma2)[0], rho))

    horizon = coordinate.horizon(coordinate.forward(s0))
    solution = diffrax.diffeqsolve(
        diffrax.ODETerm(slope),
        diffrax.Dopri8(),
        0.0,
        times[-1],
        None,
        coordinate.forward(s0),
        saveat=diffrax.SaveAt(subs=[diffrax.SubSaveAt(ts=times), diffrax.SubSaveAt(t1=True)]),
        stepsize_controller=diffrax.PIDController(rtol=relative, atol=jnp.min(coordinate.tolerance(rtol))),
        event=diffrax.Event(lambda t, y, args, **_: jnp.min(y) < horizon),
        max_steps=MAX_STEPS,
        throw=False,
    )
    y, end = solution.ys[0], solution.ts[1][0]
    reached = jnp.isfinite(y)
    s = coordinate.backward(jnp.where(reached, y, 1.0))[0]
    _, error = r(s, predict(s, alpha), sigma1, sigma2)
    finished, diverged = (
        solution.result == result for result in (diffrax.RESULTS.successful, diffrax.RESULTS.event_occurred)
    )
    return jnp.where(reached, s, jnp.inf), end, finished, diverged, error
