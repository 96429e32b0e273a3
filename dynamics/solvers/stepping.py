"""Integrate a differential equation in JAX by Dopri8, with Diffrax's coefficients and control of the step size.

``diffrax.diffeqsolve`` checks its arguments by callbacks to Python. JAX does not store programs with callbacks in its
persistent compilation cache. The loop of this module has no callbacks, and its program is smaller, so that it is
compiled faster. A stage of Diffrax's step reads the slopes of all 14 stages, most of which have the coefficient zero;
that of this module reads the others only, because reading takes most of the time if there are many variables.
"""

import operator
from collections.abc import Callable, Sequence
from functools import partial, reduce
from typing import Any, NamedTuple, cast

import diffrax
import jax
import jax.numpy as jnp

Array = Any  # a traced array of JAX

# Coefficients of the slopes of the 14 stages: in each stage after the first, the last of which is the value after the
# step; in the estimated error of this value; and, as polynomials in the fraction of the step, in values between.
# A slope that does not contribute has None in place of its coefficient.
STAGES = [[a or None for a in row.tolist()] for row in diffrax.Dopri8.tableau.a_lower]
ERROR = [a or None for a in diffrax.Dopri8.tableau.b_error.tolist()]
BETWEEN = [row if row.any() else None for row in vars(diffrax.Dopri8.interpolation_cls)["eval_coeffs"]]


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
    """Variables of the loop over steps.

    A step leads from t to ``then``. slopes: slopes at the stages of a step, (14, ...); the first is the slope at t.
    saved: number of output times passed.
    """

    t: Array
    then: Array
    y: Array
    slopes: Array
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
        duration, slopes = loop.then - loop.t, _stages(slope, loop.then - loop.t, loop.y, loop.slopes)
        y = loop.y + duration * _weighted(STAGES[-1], slopes)
        error = duration * _weighted(ERROR, slopes)
        error = jnp.where(jnp.isnan(error), jnp.inf, error)
        accepted, t, then, _, controls, _ = controller.adapt_step_size(
            loop.t, loop.then, loop.y, y, None, error, order, loop.controller
        )

        def waiting(outputs: tuple[Array, Array]) -> Array:
            number = outputs[1]
            return accepted & (number < len(times)) & (times[jnp.minimum(number, len(times) - 1)] <= loop.then)

        def save(outputs: tuple[Array, Array]) -> tuple[Array, Array]:
            values, number = outputs
            fraction = (times[number] - loop.t) / duration
            coefficients = [row if row is None else jnp.polyval(row, fraction) * fraction for row in BETWEEN]
            return values.at[number].set(loop.y + duration * _weighted(coefficients, slopes)), number + 1

        outputs, saved = jax.lax.while_loop(waiting, save, (loop.outputs, loop.saved))
        slopes = slopes.at[0].set(jnp.where(accepted, slopes[-1], slopes[0]))
        y = jnp.where(accepted, y, loop.y)
        ended = accepted & constant(loop.y, y)
        return _Loop(t, jnp.minimum(then, end), y, slopes, controls, outputs, saved, ended, loop.steps + 1)

    then, controls = controller.init(term, 0.0, end, y, None, None, solver.func, order)
    then = jnp.minimum(then, end)
    outputs = jnp.full((len(times), *y.shape), jnp.inf)
    at_once = jnp.sum(times <= 0)
    outputs = jnp.where((jnp.arange(len(times)) < at_once).reshape(-1, *(1,) * y.ndim), y, outputs)
    slopes = jnp.zeros((len(BETWEEN), *y.shape), y.dtype).at[0].set(slope(y))
    start = _Loop(jnp.asarray(0.0), then, y, slopes, controls, outputs, at_once, jnp.asarray(False), jnp.asarray(0))
    final = jax.lax.while_loop(proceeds, step, start)
    rest = final.constant & (jnp.arange(len(times)) >= final.saved)
    outputs = jnp.where(rest.reshape(-1, *(1,) * y.ndim), final.y, final.outputs)
    return Integrated(outputs, final.t, final.constant | (final.t >= end), room(final.y) < 0)


def _stages(slope: Callable[[Array], Array], duration: Array, y: Array, slopes: Array) -> Array:
    """Return the slopes at all stages of a step from y, (14, ...). slopes[0]: slope at y."""
    sums = [partial(_weighted, row) for row in STAGES]

    def stage(number: Array, slopes: Array) -> Array:
        return slopes.at[number + 1].set(slope(y + duration * jax.lax.switch(number, sums, slopes)))

    return jax.lax.fori_loop(0, len(STAGES), stage, slopes)


def _weighted(coefficients: Sequence[Any], slopes: Array) -> Array:
    """Return the sum of slopes times coefficients. A slope whose coefficient is None is not read."""
    return reduce(operator.add, (a * slopes[number] for number, a in enumerate(coefficients) if a is not None))
