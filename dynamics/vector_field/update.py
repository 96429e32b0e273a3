"""Define the update rule of the dynamical variables: gradient descent or exponential averages.

The encoder and a learned predictor follow gradient descent. A separate target and a tracked correlation are exponential
averages. The rule applies to eigenmodes, to weight matrices, and to the weights of a trained network. Parameters
broadcast with the dynamical variables. The formulas come from ``dynamics.generated.eigenvalues``.
"""

from collections.abc import Callable
from typing import Any

from dynamics.generated import eigenvalues
from dynamics.model.parameters import Parameters
from dynamics.vector_field.state import Forces, State


def step(
    state: State, forces: Forces, parameters: Parameters, learning_rate: Any, correlation: Callable[[Any], Any]
) -> State:
    """Return the state after one step of gradient descent.

    The encoder and a learned predictor change by the forces. Then the exponential averages are updated: the target with
    the new encoder, and the tracked correlation with the correlation of the new encoder's representations. correlation:
    function that returns this correlation for an encoder.
    """
    p = parameters
    encoder = eigenvalues.descent_step(state.encoder, forces.encoder, 1.0, p.rho, learning_rate)
    target, predictor, tracked = state.target, state.predictor, state.tracked
    if target is not None:
        target = eigenvalues.average_step(target, encoder, p.decay)
    if predictor is not None:
        predictor = eigenvalues.descent_step(predictor, forces.predictor, p.rate_ratio, p.rho, learning_rate)
    if tracked is not None:
        tracked = eigenvalues.average_step(tracked, correlation(encoder), p.tracking)
    return State(encoder, target, predictor, tracked)


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
        learning_rate = 1.0  # not used: the weights of a target that is no average are constant
    encoder = eigenvalues.descent_velocity(state.encoder, forces.encoder, 1.0, p.rho)
    target, predictor, tracked = state.target, state.predictor, state.tracked
    if target is not None:
        target = eigenvalues.average_velocity(target, state.encoder, p.decay, learning_rate)
    if predictor is not None:
        predictor = eigenvalues.descent_velocity(predictor, forces.predictor, p.rate_ratio, p.rho)
    if tracked is not None:
        tracked = eigenvalues.average_velocity(tracked, correlation(state.encoder), p.tracking, learning_rate)
    return State(encoder, target, predictor, tracked)
