"""The update rule against the formulas of the theory notes, section 6, for scalars, modes and matrices."""

import numpy as np
import pytest

import dynamics as dyn
from dynamics.vector_field.state import Forces, State
from dynamics.vector_field.update import step, velocity, with_buffers

ETA, RHO, RATE, DECAY, TRACKING, MU = 0.1, 0.3, 2.5, 0.9, 0.8, 0.7
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


@pytest.mark.parametrize("decoupled", [False, True])
@pytest.mark.parametrize("nesterov", [False, True])
@pytest.mark.parametrize("kind", SHAPES)
def test_momentum_moves_encoder_and_predictor_by_buffers_of_their_own(kind, nesterov, decoupled):
    state, forces = random_state(SHAPES[kind])
    p = PARAMETERS if kind == "matrices" else PARAMETERS.map(lambda a: a[..., 0])
    b = {"encoder": 0.3 * state.encoder + 1, "predictor": state.predictor - 2}
    state = state._replace(encoder_buffer=b["encoder"], predictor_buffer=b["predictor"])
    after = step(state, forces, p, ETA, square, dyn.Momentum(MU, nesterov, decoupled))
    for name, force in (("encoder", forces.encoder), ("predictor", RATE * forces.predictor)):
        W = getattr(state, name)
        gradient = force if decoupled else force - RHO * W
        buffer = MU * b[name] + gradient
        change = ETA * (MU * buffer + gradient if nesterov else buffer) - (ETA * RHO * W if decoupled else 0)
        np.testing.assert_allclose(getattr(after, name), W + change, rtol=1e-13, atol=1e-14)
        np.testing.assert_allclose(getattr(after, f"{name}_buffer"), buffer, rtol=1e-13, atol=1e-14)
    np.testing.assert_allclose(after.target, DECAY * state.target + (1 - DECAY) * after.encoder, rtol=1e-13)


def test_buffers_are_zero_at_first_and_absent_without_momentum():
    state, _ = random_state((3,))
    assert with_buffers(state, None) is state
    alone = with_buffers(state._replace(predictor=None), dyn.Momentum(0.5))
    assert not alone.encoder_buffer.any() and alone.predictor_buffer is None
    assert not with_buffers(state, dyn.Momentum(0.5)).predictor_buffer.any()
