r"""What moves: singular values of the encoder and of the target, eigenvalues of a predictor, a tracked correlation.

Every function takes the structure (what the model has), its parameters and arrays (..., M), and works with NumPy and
JAX arrays alike. Formulas come from ``dynamics.generated.eigenvalues``.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from dynamics.generated import eigenvalues
from dynamics.model.parameters import Parameters, Structure

EXPONENTS = (0.5, 1.0, 2.0)  # of the predictor, for which compiled code has a root, nothing, or a square
SMALLEST = 1e-100  # a singular value nearer to zero is taken to be this far from it, so that v/w exists


class State(NamedTuple):
    """Each (..., M), or None where it follows from the others."""

    w: Any  # singular values of the encoder, with the sign they have in the first singular vectors
    v: Any = None  # those of the target branch
    lam: Any = None  # eigenvalues of a learned predictor
    tracked: Any = None  # eigenvalues of the tracked correlation

    @property
    def batch(self) -> tuple[int, ...]:
        """Shape of the ensemble."""
        return self.w.shape[:-1]


class Spectrum(NamedTuple):
    """What the rates depend on: eigenvalues of correlation and predictor (..., M), and v/w (..., M) or (..., 1)."""

    s: Any
    lam: Any
    ratio: Any


class Observables(NamedTuple):
    """What is reported, each (..., M): eigenvalues of the correlation, of the target's, and of the predictor."""

    s: Any
    target: Any
    predictor: Any


def each(function: Callable, *alike):
    """The named tuple (a state, observables) of what the function makes of the parts that are there."""
    return type(alike[0])(*(None if parts[0] is None else function(*parts) for parts in zip(*alike, strict=True)))


def as_rows(start: State, parameters: Parameters) -> tuple[State, Parameters]:
    """The members (B, M) of an ensemble (..., M), one after another, each with parameters of its own, (B, 1)."""
    shape = start.w.shape
    members = each(lambda part: np.broadcast_to(part, shape).reshape(-1, shape[-1]), start)
    return members, parameters.map(lambda a: np.broadcast_to(a, (*shape[:-1], 1)).reshape(-1, 1))


def initial(structure: Structure, s0, init=1.0) -> State:
    """The state at the start: target and tracked correlation are those of the encoder. s0: (..., M)."""
    xp = s0.__array_namespace__()
    w = xp.sqrt(s0)
    return State(
        w,
        v=w if structure.separate_target else None,
        lam=init + 0 * s0 if structure.predictor == "learned" else None,
        tracked=s0 if structure.tracked else None,
    )


def spectrum(structure: Structure, parameters: Parameters, state: State) -> Spectrum:
    """Correlation, predictor and relative target of a state."""
    xp = state.w.__array_namespace__()
    if not structure.separate_target:
        s = state.w**2
        return Spectrum(s, predictor(structure, parameters, state, s), xp.ones_like(s[..., :1]))
    w = xp.where(xp.abs(state.w) > SMALLEST, state.w, SMALLEST)
    return Spectrum(w**2, predictor(structure, parameters, state, w**2), state.v / w)


def predictor(structure: Structure, parameters: Parameters, state: State, s):
    """Predictor eigenvalues lambda (..., M)."""
    if structure.predictor == "none":
        return s.__array_namespace__().ones_like(s)
    if structure.predictor == "learned":
        return state.lam
    return closed_form(structure, parameters, state.tracked if structure.tracked else s)


def closed_form(structure: Structure, parameters: Parameters, s):
    """lambda = f(s) of a closed-form predictor."""
    form = eigenvalues.normalized_predictor if structure.predictor == "normalized" else eigenvalues.predictor
    return form(s, parameters.alpha, parameters.epsilon)


def observables(structure: Structure, parameters: Parameters, state: State) -> Observables:
    """What is reported of a state."""
    s = state.w**2
    return Observables(s, state.v**2 if structure.separate_target else s, predictor(structure, parameters, state, s))


def essential(structure: Structure, found: Observables) -> Observables:
    """Of observables, those that do not follow from s."""
    follows = structure.predictor in ("none", "closed form", "normalized") and not structure.tracked
    return Observables(
        found.s, found.target if structure.separate_target else None, None if follows else found.predictor
    )


def completed(structure: Structure, parameters: Parameters, found: Observables) -> Observables:
    """All observables (B, T, M), of the essential ones and parameters (B, 1). What is the same is the same array."""
    s, target, lam = found
    if lam is None:
        rows = parameters.map(lambda a: common(a[:, None]))
        lam = s if copies(structure, parameters) else predictor(structure, rows, State(s), s)
    return Observables(s, s if target is None else target, lam)


def copies(structure: Structure, parameters: Parameters) -> bool:
    """Whether lambda is s itself, of all members."""
    direct = structure.predictor == "closed form" and not structure.tracked
    return bool(direct and np.all(parameters.alpha == 1) and not np.any(parameters.epsilon))


def common(values):
    """The number that all are, or they themselves: numbers have powers that are quick to take."""
    return float(values.flat[0]) if values.size and (values == values.flat[0]).all() else values


def exponent(parameters: Parameters) -> float | None:
    """The predictor's exponent, if all members have the same, and it is one of those that are compiled in."""
    alpha = common(parameters.alpha)
    return alpha if isinstance(alpha, float) and alpha in EXPONENTS else None


def velocity(structure: Structure, parameters: Parameters, state: State, rates, learning_rate) -> State:
    """d state/dt in the flow; decays per step become rates in time through the learning rate."""
    p, (r, force) = parameters, rates
    return State(
        eigenvalues.encoder_velocity(state.w, r, p.rho),
        v=eigenvalues.average_velocity(state.v, state.w, p.decay, learning_rate) if structure.separate_target else None,
        lam=_of_learned(structure, eigenvalues.descent_velocity, state.lam, force, p.rate_ratio, p.rho),
        tracked=eigenvalues.average_velocity(state.tracked, state.w**2, p.tracking, learning_rate)
        if structure.tracked
        else None,
    )


def step(structure: Structure, parameters: Parameters, state: State, rates, learning_rate) -> State:
    """One step of gradient descent: encoder and learned predictor together, then the averages of what is new."""
    p, (r, force) = parameters, rates
    w = eigenvalues.encoder_step(state.w, r, p.rho, learning_rate)
    return State(
        w,
        v=eigenvalues.average_step(state.v, w, p.decay) if structure.separate_target else None,
        lam=_of_learned(structure, eigenvalues.descent_step, state.lam, force, p.rate_ratio, p.rho, learning_rate),
        tracked=eigenvalues.average_step(state.tracked, w**2, p.tracking) if structure.tracked else None,
    )


def _of_learned(structure: Structure, formula, *arguments):
    return formula(*arguments) if structure.predictor == "learned" else None
