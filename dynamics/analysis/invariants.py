"""What the flow of a model conserves, or lets decay at one rate, as derived sample by sample."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from dynamics import errors
from dynamics.generated import eigenvalues
from dynamics.model.model import Model
from dynamics.results.trajectory import Trajectory


@dataclass(frozen=True)
class Invariant:
    """A quantity V with V(t) = V(0) e^(-decay t) in the flow. Called with a trajectory, its values there.

    formula: V, in the names of the code. decay: its rate (...), zero where it is conserved.
    The descent map breaks it at order eta^2.
    """

    formula: str
    decay: Any
    value: Callable[[Trajectory], np.ndarray] = field(repr=False)

    def __call__(self, trajectory: Trajectory) -> np.ndarray:
        """V at the times of a trajectory of the model, (..., T, 1), or (..., T, M) where each mode has its own."""
        errors.instance("trajectory", trajectory, Trajectory, "be a trajectory of the model")
        return self.value(trajectory)

    def __str__(self):
        rate = np.unique(self.decay)
        fate = "conserved" if not rate.any() else f"decays at the rate {', '.join(f'{a:.6g}' for a in rate)}"
        return f"{self.formula}: {fate}"


def invariants(model: Model) -> tuple[Invariant, ...]:
    r"""Quantities that the flow of a model conserves; with weight decay, those that decay at one rate.

    Cosine losses: sum_m s_m; isotropic ones: sum_m (s_m + epsilon)^(1 + alpha)/(1 + alpha) of a closed-form predictor.
    With a learned predictor: s_m - lambda_m^2/a_P of each mode. With correlated inputs: |W|^2 in place of sum_m s_m.
    Each follows from an identity that holds for every sample (``derivations/theory/invariants.py``). Raises ArgumentError.
    """
    errors.instance("model", model, Model, "be a Model")
    return tuple(found for found in (_power_sum(model), _imbalance(model)) if found is not None)


def _power_sum(model: Model) -> Invariant | None:
    conserved, structure, p = model.generated.conserved, model.structure, model.parameters
    if conserved is None:
        return None
    decay = conserved.decay(p.alpha, p.rho)[..., 0]
    if conserved.exponent == 0 and model.inputs is not None:
        return Invariant("|W|^2", decay, _size_of_weights)
    # lambda must be a power of s, or of s + epsilon where weight decay does not tell the two apart.
    shifted = p.epsilon.any() and (structure.predictor == "normalized" or p.rho.any())
    if conserved.exponent != 0 and (model.inputs is not None or structure.tracked or shifted):
        return None
    alpha, epsilon = p.alpha[..., None, :], p.epsilon[..., None, :]
    return Invariant(conserved.formula, decay, lambda found: conserved.value(found.s, alpha, epsilon))


def _size_of_weights(found: Trajectory) -> np.ndarray:
    return (np.asarray(found.weights, float) ** 2).sum(axis=(-2, -1))[..., None]


def _imbalance(model: Model) -> Invariant | None:
    if model.structure.predictor != "learned" or not model.generated.balanced:
        return None
    p = model.parameters
    ratio = p.rate_ratio[..., None, :]
    decay = eigenvalues.imbalance_decay(p.rho)[..., 0]
    return Invariant(eigenvalues.IMBALANCE, decay, lambda found: eigenvalues.imbalance(found.s, found.predictor, ratio))
