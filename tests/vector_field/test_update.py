"""The update rule against the formulas of the theory notes, section 6, for scalars, modes and matrices."""

import numpy as np
import pytest

import dynamics as dyn
from dynamics.vector_field.state import Forces, State
from dynamics.vector_field.update import step, velocity

ETA, RHO, RATE, DECAY, TRACKING = 0.1, 0.3, 2.5, 0.9, 0.8
MODEL = dyn.Model(
    "euclidean",
    predictor=dyn.Learned(rate=RATE),
    weight_decay=RHO,
    target=dyn.EMA(DECAY),
)
PARAMETERS = MODEL.parameters.map(lambda a: a[..., None])._replace(tracking=np.array([[TRACKING]]))
SHAPES = {"modes": (4,), "matrices": (4, 6)}


def random_state(shape):
    random = np.random.default_rng(0)
    W, V, G = random.standard_normal((3, *shape))
    P, C, F = random.standard_normal((3, *shape[:1] * len(shape)))
    return State(W, V, P, C), Forces(G, F)


def square(W):
    return W**2 if W.ndim == 1 else W @ W.T


@pytest.mark.parametrize("kind", SHAPES)
def test_step_trains_encoder_and_predictor_together_and_averages_the_new_encoder(kind):
    state, forces = random_state(SHAPES[kind])
    p = PARAMETERS if kind == "matrices" else PARAMETERS.map(lambda a: a[..., 0])
    after = step(state, forces, p, ETA, square)
    W = state.encoder + ETA * (forces.encoder - RHO * state.encoder)
    np.testing.assert_allclose(after.encoder, W, rtol=1e-14)
    P = state.predictor + ETA * (RATE * forces.predictor - RHO * state.predictor)
    np.testing.assert_allclose(after.predictor, P, rtol=1e-13)
    np.testing.assert_allclose(after.target, DECAY * state.target + (1 - DECAY) * W, rtol=1e-13)
    tracked = TRACKING * state.tracked + (1 - TRACKING) * square(W)
    np.testing.assert_allclose(after.tracked, tracked, rtol=1e-13)


@pytest.mark.parametrize("kind", SHAPES)
def test_velocity_turns_decays_per_step_into_rates_in_time(kind):
    state, forces = random_state(SHAPES[kind])
    p = PARAMETERS if kind == "matrices" else PARAMETERS.map(lambda a: a[..., 0])
    moving = velocity(state, forces, p, ETA, square)
    np.testing.assert_allclose(moving.encoder, forces.encoder - RHO * state.encoder, rtol=1e-13)
    np.testing.assert_allclose(moving.target, (1 - DECAY) / ETA * (state.encoder - state.target), rtol=1e-12)
    tracked = (1 - TRACKING) / ETA * (square(state.encoder) - state.tracked)
    np.testing.assert_allclose(moving.tracked, tracked, rtol=1e-12)


def test_variables_that_a_model_does_not_have_stay_absent():
    state, forces = random_state((3,))
    alone = step(State(state.encoder), Forces(forces.encoder), dyn.Model("euclidean").parameters, ETA, square)
    assert all(part is None for part in alone[1:])
