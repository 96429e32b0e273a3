"""States of eigenmodes: initial state, spectrum, observables, and the velocity and step of a state.

Functions take the structure and parameters of a model and arrays (..., M), and work with NumPy and JAX arrays alike.
Formulas come from ``dynamics.generated.eigenvalues``.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from dynamics.generated import eigenvalues
from dynamics.model.parameters import Parameters, Structure
from dynamics.vector_field import update
from dynamics.vector_field.state import Forces, Observables, State, each

EXPONENTS = (0.5, 1.0, 2.0)  # exponents alpha for which compiled code has a root, no power, or a square
SMALLEST = 1e-100  # smallest singular value w for which v/w is computed; a smaller w is replaced by it


class Spectrum(NamedTuple):
    """Arguments of the rates.

    s, lam: eigenvalues of correlation and predictor (..., M). ratio: v/w, singular values of the target branch relative
    to the encoder's, (..., M), or ones (..., 1) for a shared target.
    """

    s: Any
    lam: Any
    ratio: Any


class Rates(NamedTuple):
    """Rates r_m of the modes, and the force on the eigenvalues of a learned predictor, each (..., M)."""

    rates: Any
    on_predictor: Any = None


def initial(structure: Structure, s0: Any, init: Any = 1.0) -> State:
    """Return the state at eigenvalues s0 (..., M); target and tracked correlation start at the encoder's values."""
    w = s0.__array_namespace__().sqrt(s0)
    return State(
        w,
        target=w if structure.separate_target else None,
        predictor=init + 0 * s0 if structure.predictor == "learned" else None,
        tracked=s0 if structure.tracked else None,
    )


def as_rows(start: State, parameters: Parameters) -> tuple[State, Parameters]:
    """Flatten an ensemble (..., M) to members (B, M), each with parameters (B, 1)."""
    shape = start.encoder.shape
    members = each(lambda part: np.broadcast_to(part, shape).reshape(-1, shape[-1]), start)
    return members, parameters.map(lambda a: np.broadcast_to(a, (*shape[:-1], 1)).reshape(-1, 1))


# --- spectrum and observables ---------------------------------------------------------------------------------------


def spectrum(structure: Structure, parameters: Parameters, state: State) -> Spectrum:
    """Return the eigenvalues of correlation and predictor, and the target relative to the encoder."""
    xp = state.encoder.__array_namespace__()
    if not structure.separate_target:
        s = state.encoder**2
        return Spectrum(s, predictor(structure, parameters, state, s), xp.ones_like(s[..., :1]))
    w = xp.where(xp.abs(state.encoder) > SMALLEST, state.encoder, SMALLEST)
    return Spectrum(w**2, predictor(structure, parameters, state, w**2), state.target / w)


def predictor(structure: Structure, parameters: Parameters, state: State, s: Any) -> Any:
    """Eigenvalues lambda (..., M) of the predictor in a state with eigenvalues s."""
    if structure.predictor == "none":
        return s.__array_namespace__().ones_like(s)
    if structure.predictor == "learned":
        return state.predictor
    return closed_form(structure, parameters, state.tracked if structure.tracked else s)


def closed_form(structure: Structure, parameters: Parameters, s: Any) -> Any:
    """Eigenvalues lambda = f(s) of a closed-form predictor."""
    form: Callable[..., Any] = (
        eigenvalues.normalized_predictor if structure.predictor == "normalized" else eigenvalues.predictor
    )
    return form(s, parameters.alpha, parameters.epsilon)


def observables(structure: Structure, parameters: Parameters, state: State) -> Observables:
    """Return the observables of a state."""
    s = state.encoder**2
    target = state.target**2 if structure.separate_target else s
    return Observables(s, target, predictor(structure, parameters, state, s))


def independent(structure: Structure, observed: Observables) -> Observables:
    """Return s and the observables that s does not determine, and None for the others."""
    follows = structure.predictor in ("none", "closed form", "normalized") and not structure.tracked
    target = observed.target if structure.separate_target else None
    return Observables(observed.s, target, None if follows else observed.predictor)


def completed(structure: Structure, parameters: Parameters, observed: Observables) -> Observables:
    """Return all observables (B, T, M) from the independent ones and parameters (B, 1); equal arrays are shared."""
    s, target, lam, *_ = observed
    if lam is None:
        rows = parameters.map(lambda a: common(a[:, None]))
        lam = s if predictor_is_s(structure, parameters) else predictor(structure, rows, State(s), s)
    return Observables(s, s if target is None else target, lam)


def predictor_is_s(structure: Structure, parameters: Parameters) -> bool:
    """Return True if lambda = s in all members."""
    direct = structure.predictor == "closed form" and not structure.tracked
    return bool(direct and np.all(parameters.alpha == 1) and not np.any(parameters.epsilon))


def common(values: Any) -> Any:
    """Return the number that all values equal, whose powers are quick to compute; the values if they differ."""
    return float(values.flat[0]) if values.size and (values == values.flat[0]).all() else values


def compiled_exponent(parameters: Parameters) -> float | None:
    """Return the exponent of the predictor if all members share one of EXPONENTS, else None."""
    alpha = common(parameters.alpha)
    return alpha if isinstance(alpha, float) and alpha in EXPONENTS else None


# --- velocity and step ----------------------------------------------------------------------------------------------


def velocity(parameters: Parameters, state: State, rates: Rates, learning_rate: Any) -> State:
    """Return d state/dt of the flow."""
    return update.velocity(state, forces(state, rates), parameters, learning_rate, eigenvalues_of)


def step(parameters: Parameters, state: State, rates: Rates, learning_rate: Any) -> State:
    """Return the state after a step of gradient descent."""
    return update.step(state, forces(state, rates), parameters, learning_rate, eigenvalues_of)


def forces(state: State, rates: Rates) -> Forces:
    """Forces on singular values, w_m r_m, and on the eigenvalues of a learned predictor."""
    return Forces(state.encoder * rates.rates, rates.on_predictor)


def eigenvalues_of(w: Any) -> Any:
    """Eigenvalues s = w^2 of the correlation."""
    return w**2
