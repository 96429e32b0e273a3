"""Compute with states of eigenmodes: initial state, spectrum, observables, velocity of the flow, and descent step.

The functions take the structure and the parameters of a model, and NumPy or JAX arrays (..., M) for M modes. The
formulas come from ``dynamics.generated.eigenvalues``.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from dynamics.generated import eigenvalues
from dynamics.model.momentum import Momentum
from dynamics.model.parameters import Parameters, Structure
from dynamics.vector_field import update
from dynamics.vector_field.state import Forces, Observables, State, each

EXPONENTS = (0.5, 1.0, 2.0)  # exponents alpha for which compiled code needs no general power
SMALLEST = 1e-100  # smallest |w| in the ratio v/w of singular values of target and encoder; replaces smaller |w|


class Spectrum(NamedTuple):
    """Quantities of a state on which the rates of the modes depend.

    s, lam: eigenvalues of the correlation and of the predictor, (..., M). ratio: v/w (..., M), where v and w are the
    singular values of the target branch and of the encoder; ones (..., 1) if the target branch is the encoder itself.
    """

    s: Any
    lam: Any
    ratio: Any


class Rates(NamedTuple):
    """Rates r_m of the modes, and the force on the eigenvalues of a learned predictor, each (..., M).

    The force on the encoder's singular value w_m is w_m r_m.
    """

    rates: Any
    on_predictor: Any = None


def initial(structure: Structure, s0: Any, init: Any = 1.0) -> State:
    """Return the initial state at eigenvalues s0 (..., M) of the correlation.

    Initially, the encoder and a separate target have the singular values sqrt(s0), and a tracked correlation has the
    eigenvalues s0. init: initial eigenvalues of a learned predictor, one number for all modes or an array.
    """
    w = s0.__array_namespace__().sqrt(s0)
    return State(
        w,
        target=w if structure.separate_target else None,
        predictor=init + 0 * s0 if structure.predictor == "learned" else None,
        tracked=s0 if structure.tracked else None,
    )


def as_rows(start: State, parameters: Parameters) -> tuple[State, Parameters]:
    """Flatten the leading axes of an ensemble: states (..., M) to (B, M), and parameters to (B, 1), for B members."""
    shape = start.encoder.shape
    if len(shape) == 1:  # a single trajectory: broadcasting would take as long as a short integration
        return each(lambda part: part.reshape(1, -1), start), parameters.map(lambda a: np.reshape(a, (1, -1)))
    members = each(lambda part: np.broadcast_to(part, shape).reshape(-1, shape[-1]), start)
    return members, parameters.rows(shape[:-1])


# --- spectrum and observables ---------------------------------------------------------------------------------------


def spectrum(structure: Structure, parameters: Parameters, state: State) -> Spectrum:
    """Return the spectrum of a state: eigenvalues of the correlation and of the predictor, and the ratio v/w.

    v and w are the singular values of the target branch and of the encoder.
    """
    xp = state.encoder.__array_namespace__()
    if not structure.separate_target:
        s = state.encoder**2
        return Spectrum(s, predictor(structure, parameters, state, s), xp.ones_like(s[..., :1]))
    w = xp.where(xp.abs(state.encoder) > SMALLEST, state.encoder, SMALLEST)
    s = xp.where((state.encoder == 0) & (state.target == 0), 0.0, w**2)
    ratio = xp.where(s == 0, 1.0, state.target / w)
    return Spectrum(s, predictor(structure, parameters, state, s), ratio)


def predictor(structure: Structure, parameters: Parameters, state: State, s: Any) -> Any:
    """Return the eigenvalues lambda (..., M) of the predictor in a state whose correlation has the eigenvalues s."""
    if structure.predictor == "none":
        return s.__array_namespace__().ones_like(s)
    if structure.predictor == "learned":
        return state.predictor
    return closed_form(structure, parameters, state.tracked if structure.tracked else s)


def closed_form(structure: Structure, parameters: Parameters, s: Any) -> Any:
    """Return the eigenvalues lambda (..., M) of the closed-form predictor for eigenvalues s of the correlation."""
    form: Callable[..., Any] = (
        eigenvalues.normalized_predictor if structure.predictor == "normalized" else eigenvalues.predictor
    )
    with np.errstate(over="ignore"):  # callers detect eigenvalues that are not finite
        return form(s, parameters.alpha, parameters.epsilon)


def observables(structure: Structure, parameters: Parameters, state: State) -> Observables:
    """Return the eigenvalues of the encoder's correlation, of the target's correlation and of the predictor."""
    s = state.encoder**2
    target = state.target**2 if structure.separate_target else s
    return Observables(s, target, predictor(structure, parameters, state, s))


def independent(structure: Structure, observed: Observables) -> Observables:
    """Return the observables with None in place of eigenvalues that can be computed from s.

    s are the eigenvalues of the correlation. The target's eigenvalues equal s unless the target has separate weights.
    The predictor's eigenvalues are a function of s unless the predictor is learned or built from a tracked correlation.
    """
    target = observed.target if structure.separate_target else None
    return Observables(observed.s, target, None if predictor_follows(structure) else observed.predictor)


def independent_observables(structure: Structure, parameters: Parameters, state: State) -> Observables:
    """Return the result of ``independent`` for the observables of a state, without computing the other eigenvalues."""
    s = state.encoder**2
    target = state.target**2 if structure.separate_target else None
    lam = None if predictor_follows(structure) else predictor(structure, parameters, state, s)
    return Observables(s, target, lam)


def predictor_follows(structure: Structure) -> bool:
    """Return True if the predictor's eigenvalues are a function of the eigenvalues s of the present correlation."""
    return structure.predictor in ("none", "closed form", "normalized") and not structure.tracked


def completed(structure: Structure, parameters: Parameters, observed: Observables) -> Observables:
    """Return all observables, (B, T, M), of B ensemble members at T times.

    observed: observables in which ``independent`` has replaced eigenvalues by None; this function computes them from
    the eigenvalues s of the correlation. parameters: parameters (B, 1) of the members. If the eigenvalues of the target
    or of the predictor equal s, the array s itself is returned in their place, not a copy.
    """
    s, target, lam, *_ = observed
    if lam is None and predictor_is_s(structure, parameters):
        lam = s
    elif lam is None:
        rows = parameters.map(lambda a: common(a[:, None]))
        lam = predictor(structure, rows, State(s), s)
    return Observables(s, s if target is None else target, lam)


def predictor_is_s(structure: Structure, parameters: Parameters) -> bool:
    """Return True if the predictor of every ensemble member has the eigenvalues lambda = s of the correlation."""
    direct = structure.predictor == "closed form" and not structure.tracked
    return bool(direct and np.all(parameters.alpha == 1) and not np.any(parameters.epsilon))


def common(values: Any) -> Any:
    """Return a single number for an array whose entries are all equal; return any other array unchanged.

    A power is quicker to compute if the exponent is a number and not an array.
    """
    return float(values.flat[0]) if values.size and (values == values.flat[0]).all() else values


def compiled_exponent(parameters: Parameters) -> float | None:
    """Return the exponent alpha of the predictor if all ensemble members have the same alpha; else None.

    Also returns None if this alpha is not in EXPONENTS, which are the exponents with compiled code of their own.
    """
    alpha = common(parameters.alpha)
    return alpha if isinstance(alpha, float) and alpha in EXPONENTS else None


# --- velocity and step ----------------------------------------------------------------------------------------------


def velocity(parameters: Parameters, state: State, rates: Rates, learning_rate: Any) -> State:
    """Return the time derivative d state/dt of a state in the gradient flow, from the rates of the modes."""
    return update.velocity(state, forces(parameters, state, rates), parameters, learning_rate, eigenvalues_of)


def step(
    parameters: Parameters, state: State, rates: Rates, learning_rate: Any, momentum: Momentum | None = None
) -> State:
    """Return the state after one step of gradient descent on the expected loss, from the rates of the modes.

    momentum: None for gradient descent without momentum.
    """
    return update.step(state, forces(parameters, state, rates), parameters, learning_rate, eigenvalues_of, momentum)


def forces(parameters: Parameters, state: State, rates: Rates) -> Forces:
    """Return the forces w_m r_m on the singular values w_m of the encoder, and the forces on a learned predictor.

    The singular values are in units in which the second moment that the views share is 1 (``dynamics.model.views``).
    The force on w_m is therefore multiplied by this second moment.
    """
    w = state.encoder
    if state.target is not None:  # the force of a separate target on w = 0 is not zero, as rates contain the ratio v/w
        w = w.__array_namespace__().where(abs(w) > SMALLEST, w, SMALLEST)
    return Forces(parameters.cross * w * rates.rates, rates.on_predictor)


def eigenvalues_of(w: Any) -> Any:
    """Return the eigenvalues s = w^2 of the correlation for singular values w of the encoder."""
    return w**2
