"""Steps of Dopri8: the same values as Diffrax's, to rounding."""

import diffrax
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dynamics.solvers import stepping

START, DURATION = np.array([0.3, 1.0, 2.0]), 0.4


def slope(y):
    return y * (1 - jnp.sum(y) * y)


@pytest.fixture
def diffrax_step():
    with jax.enable_x64(True):
        solver, term = diffrax.Dopri8(), diffrax.ODETerm(lambda t, y, args: slope(y))
        state = solver.init(term, 0.0, DURATION, jnp.asarray(START), None)
        yield solver.step(term, 0.0, DURATION, jnp.asarray(START), None, state, False)


def test_stages_value_and_error_are_those_of_diffrax(diffrax_step):
    value, error, dense, *_ = diffrax_step
    first = jnp.zeros((14, 3)).at[0].set(slope(jnp.asarray(START)))
    slopes = stepping._stages(slope, DURATION, jnp.asarray(START), first)
    # Terms with coefficients of up to 17 cancel, in one stage after another, so that rounding grows.
    np.testing.assert_allclose(DURATION * slopes, dense["k"], rtol=1e-12)
    np.testing.assert_allclose(START + DURATION * stepping._weighted(stepping.STAGES[-1], slopes), value, rtol=1e-13)
    np.testing.assert_allclose(DURATION * stepping._weighted(stepping.ERROR, slopes), error, rtol=0, atol=1e-13)
    assert np.abs(error).max() > 1e-9


def test_values_between_steps_are_those_of_the_exact_solution():
    """Of dy/dt = -y, with an output at each end of steps and between."""
    times = np.linspace(0.0, 3.0, 40)
    with jax.enable_x64(True):
        controller = diffrax.PIDController(rtol=1e-10, atol=1e-12)
        start = jnp.asarray(START)
        never, room = (lambda before, after: jnp.asarray(False)), (lambda y: jnp.asarray(1.0))
        solution = stepping.integrate(jnp.negative, start, jnp.asarray(times), controller, room, never, 100)
        solution = jax.tree.map(np.asarray, solution)
    assert solution.finished and not solution.diverged and solution.end == 3.0
    np.testing.assert_allclose(solution.y, START * np.exp(-times[:, None]), rtol=1e-8)
