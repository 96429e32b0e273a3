"""Integrate a differential equation in JAX by steps of Diffrax's Dopri8, in a loop that this module defines.

``diffrax.diffeqsolve`` checks its arguments by callbacks to Python. JAX does not store programs with callbacks in its
persistent compilation cache. The loop of this module has no callbacks, and its program is smaller, so that it is
compiled faster.
"""

from collections.abc import Callable
from typing import Any, NamedTuple, cast

import diffrax
import jax
import jax.numpy as jnp

Array = Any  # a traced array of JAX


class Integrated(NamedTuple):
    """Solution of a differential equation.

    y: values at the output times, (T, ...); infinite at times that were not reached. end: time at which the integration
    ended. finished: True if the last output time was reached. diverged: True if a divergence ended the integration.
    """

    y: Array
    end: Array
    finished: Array
    diverged: Array


class _Loop(NamedTuple):
    """Variables of the loop over steps. A step leads from t to ``then``; saved: number of output times passed."""

    t: Array
    then: Array
    y: Array
    solver: Any
    controller: Any
    outputs: Array
    saved: Array
    constant: Array
    steps: Array


def integrate(
    slope: Callable[[Array], Array],
    y: Array,
    times: Array,
    controller: diffrax.PIDController,
    room: Callable[[Array], Array],
    constant: Callable[[Array, Array], Array],
    max_steps: int,
) -> Integrated:
    """Integrate dy/dt = slope(y) from t = 0 to the last output time.

    y: initial value. times: output times (T,), in ascending order. controller: chooses the step sizes. room: function
    of y; the integration ends as diverged when room(y) is negative. constant: function (y before a step, y after it);
    when it returns True, y is taken as constant from then on, and the integration ends. max_steps: number of steps
    after which the integration ends.
    """
    term, solver = diffrax.ODETerm(lambda _, y, args: slope(y)), diffrax.Dopri8()
    end, order = times[-1], cast(float, solver.error_order(term))

    def proceeds(loop: _Loop) -> Array:
        return (loop.t < end) & ~loop.constant & (loop.steps < max_steps) & (room(loop.y) >= 0)

    def step(loop: _Loop) -> _Loop:
        y, error, dense, state, _ = solver.step(term, loop.t, loop.then, loop.y, None, loop.solver, False)
        error = jnp.where(jnp.isnan(error), jnp.inf, error)
        accepted, t, then, _, controls, _ = controller.adapt_step_size(
            loop.t, loop.then, loop.y, y, None, error, order, loop.controller
        )
        inside = solver.interpolation_cls(t0=loop.t, t1=loop.then, **dense)

        def waiting(outputs: tuple[Array, Array]) -> Array:
            number = outputs[1]
            return accepted & (number < len(times)) & (times[jnp.minimum(number, len(times) - 1)] <= loop.then)

        def save(outputs: tuple[Array, Array]) -> tuple[Array, Array]:
            values, number = outputs
            return values.at[number].set(inside.evaluate(times[number])), number + 1

        outputs, saved = jax.lax.while_loop(waiting, save, (loop.outputs, loop.saved))
        y, state = jax.tree.map(lambda new, old: jnp.where(accepted, new, old), (y, state), (loop.y, loop.solver))
        ended = accepted & constant(loop.y, y)
        return _Loop(t, jnp.minimum(then, end), y, state, controls, outputs, saved, ended, loop.steps + 1)

    then, controls = controller.init(term, 0.0, end, y, None, None, solver.func, order)
    then = jnp.minimum(then, end)
    outputs = jnp.full((len(times), *y.shape), jnp.inf)
    at_once = jnp.sum(times <= 0)
    outputs = jnp.where((jnp.arange(len(times)) < at_once).reshape(-1, *(1,) * y.ndim), y, outputs)
    state = solver.init(term, 0.0, then, y, None)
    start = _Loop(jnp.asarray(0.0), then, y, state, controls, outputs, at_once, jnp.asarray(False), jnp.asarray(0))
    final = jax.lax.while_loop(proceeds, step, start)
    rest = final.constant & (jnp.arange(len(times)) >= final.saved)
    outputs = jnp.where(rest.reshape(-1, *(1,) * y.ndim), final.y, final.outputs)
    return Integrated(outputs, final.t, final.constant | (final.t >= end), room(final.y) < 0)
