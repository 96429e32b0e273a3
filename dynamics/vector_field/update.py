"""Define the update rule of the dynamical variables: gradient descent or exponential averages.

The encoder and a learned predictor follow gradient descent, with or without momentum. A separate target and a tracked
correlation are exponential averages. The rule applies to eigenmodes, to weight matrices, and to the weights of a
trained network; an encoder that is a tuple of layers is updated layer by layer. Parameters broadcast with the dynamical
variables. The formulas come from ``dynamics.generated.eigenvalues``.
"""

from collections.abc import Callable
from typing import Any

from dynamics.generated import eigenvalues
from dynamics.model.momentum import Momentum
from dynamics.model.parameters import Parameters
from dynamics.vector_field.state import Forces, State


def with_buffers(state: State, momentum: Momentum | None) -> State:
    """Return an initial state with zero buffers for momentum; without momentum, return the state unchanged."""
    if momentum is None:
        return state
    predictor = None if state.predictor is None else 0 * state.predictor
    return state._replace(encoder_buffer=in_layers(lambda a: 0 * a, state.encoder), predictor_buffer=predictor)


def in_layers(function: Callable[..., Any], *parts: Any) -> Any:
    """Return function(*parts), or a tuple of its results for each layer if the parts are tuples of layers."""
    return tuple(map(function, *parts)) if isinstance(parts[0], tuple) else function(*parts)


def step(
    state: State,
    forces: Forces,
    parameters: Parameters,
    learning_rate: Any,
    correlation: Callable[[Any], Any],
    momentum: Momentum | None = None,
) -> State:
    """Return the state after one step of gradient descent.

    The encoder and a learned predictor change by the forces. Then the exponential averages are updated: the target with
    the new encoder, and the tracked correlation with the correlation of the new encoder's representations. correlation:
    function that returns this correlation for an encoder. momentum: None for gradient descent without momentum.
    """
    p = parameters

    def descended(weights: Any, force: Any, buffer: Any = None) -> tuple[Any, Any]:
        return _descended(weights, buffer, force, 1.0, p.rho, learning_rate, momentum)

    buffers = () if state.encoder_buffer is None else (state.encoder_buffer,)
    moved = in_layers(descended, state.encoder, forces.encoder, *buffers)
    encoder, encoder_buffer = zip(*moved, strict=True) if isinstance(state.encoder, tuple) else moved
    encoder_buffer = None if momentum is None else encoder_buffer
    target, predictor, tracked, predictor_buffer = state.target, state.predictor, state.tracked, None
    if target is not None:
        target = in_layers(lambda average, new: eigenvalues.average_step(average, new, p.decay), target, encoder)
    if predictor is not None:
        predictor, predictor_buffer = _descended(
            predictor, state.predictor_buffer, forces.predictor, p.rate_ratio, p.rho, learning_rate, momentum
        )
    if tracked is not None:
        tracked = eigenvalues.average_step(tracked, correlation(encoder), p.tracking)
    return State(encoder, target, predictor, tracked, encoder_buffer, predictor_buffer)


def _descended(
    weights: Any, buffer: Any, force: Any, rate_ratio: Any, rho: Any, learning_rate: Any, momentum: Momentum | None
) -> tuple[Any, Any]:
    """Return weights and their momentum buffer after one step under a force and weight decay rho.

    buffer: weighted sum of earlier gradients; None without momentum. Decoupled weight decay does not enter the buffer.
    """
    if momentum is None:
        return eigenvalues.descent_step(weights, force, rate_ratio, rho, learning_rate), None
    coupled, decoupled = (0.0, rho) if momentum.decoupled else (rho, 0.0)
    gradient = eigenvalues.descent_velocity(weights, force, rate_ratio, coupled)
    buffer = eigenvalues.momentum_step(buffer, gradient, momentum.mu)
    ahead = eigenvalues.momentum_step(buffer, gradient, momentum.mu) if momentum.nesterov else buffer
    return eigenvalues.descent_step(weights, ahead, 1.0, decoupled, learning_rate), buffer


def velocity(
    state: State, forces: Forces, parameters: Parameters, learning_rate: Any, correlation: Callable[[Any], Any]
) -> State:
    """Return the time derivative d state/dt of a state in the gradient flow.

    learning_rate: duration of a step of gradient descent. An exponential average changes by a given fraction in each
    step; divided by the duration, this becomes a change per time. correlation: function that returns the correlation of
    an encoder's representations. A tracked correlation is an exponential average of this correlation.
    """
    p = parameters
    if learning_rate is None:
        learning_rate = 1.0  # has no effect: the weights of a target that is not an average are constant
    encoder = eigenvalues.descent_velocity(state.encoder, forces.encoder, 1.0, p.rho)
    target, predictor, tracked = state.target, state.predictor, state.tracked
    if target is not None:
        target = eigenvalues.average_velocity(target, state.encoder, p.decay, learning_rate)
    if predictor is not None:
        predictor = eigenvalues.descent_velocity(predictor, forces.predictor, p.rate_ratio, p.rho)
    if tracked is not None:
        tracked = eigenvalues.average_velocity(tracked, correlation(state.encoder), p.tracking, learning_rate)
    return State(encoder, target, predictor, tracked)
