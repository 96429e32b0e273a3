"""Checks of initial eigenvalues, of initial weights (for correlated inputs), and of the learning rate of a model.

The functions whose first argument is a model are methods of ``Model``.
"""

from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from dynamics import errors
from dynamics.numerics.memory import check_size

Model: TypeAlias = Any  # the class in ``dynamics.model.model``, which imports this module

Array = npt.NDArray[np.float64]


def random_weights(modes: int = 10, inputs: int = 15, std: float = 0.25, seed: int = 0) -> Array:
    """Return random weights (modes, inputs) of an encoder, Gaussian of standard deviation std; raises ArgumentError."""
    modes, inputs, seed = errors.count("modes", modes), errors.count("inputs", inputs), errors.count("seed", seed, 0)
    if modes > inputs:
        errors.reject("modes", f"be at most the number of inputs, {inputs}", modes)
    check_size(f"Weights ({modes:,}, {inputs:,})", 2 * modes * inputs, "Ask for fewer modes or inputs.")
    return errors.positive_number("std", std) * np.random.default_rng(seed).standard_normal((modes, inputs))


def eigenvalues_of(W0: Array) -> Array:
    """Return the eigenvalues (M,), ascending, of the correlation C = W0 W0^T of the representations of white inputs."""
    return np.asarray(np.linalg.svd(W0, compute_uv=False)[::-1] ** 2, np.float64)


def check_learning_rate(model: Model, learning_rate: float | None) -> float | None:
    """Return the learning rate of a flow; None for models whose flow does not depend on it. Raises ArgumentError.

    Only the flow of a model with a decay per step (EMA target, tracked correlation) depends on the learning rate.
    """
    if learning_rate is None:
        if model.needs_learning_rate:
            requirement = f"be given for {model}, whose flow depends on it through a decay per step"
            errors.reject("learning_rate", requirement, None)
        return None
    if not model.needs_learning_rate:
        requirement = "be left out, because the flow depends on it only in models with a decay per step"
        errors.reject("learning_rate", requirement, learning_rate)
    return errors.positive_number("learning_rate", learning_rate)


def check_start(model: Model, s0: npt.ArrayLike) -> Array:
    """Return validated initial eigenvalues (..., M), or initial weights (..., M, N) for correlated inputs."""
    return check_eigenvalues(model, s0) if model.inputs is None else check_weights(model, "s0", s0)


def check_weights(model: Model, name: str, W0: npt.ArrayLike, *, ensemble: bool = True) -> Array:
    """Return initial weights W0 (..., M, N), broadcast with the model's parameters; raises ArgumentError."""
    N = "N" if model.inputs is None else len(model.inputs)
    requirement = f"be weights of shape ({'..., ' * ensemble}M, {N}) with 1 <= M <= {N}"
    weights = errors.real_array(name, W0, f"{requirement}, finite")
    fits = weights.ndim >= 2 if ensemble else weights.ndim == 2
    if not fits or not 1 <= weights.shape[-2] <= weights.shape[-1] or N not in ("N", weights.shape[-1]):
        raise errors.ArgumentError(f"Argument `{name}` must {requirement}, but has shape {weights.shape}.")
    root = model.input_root
    whitened = weights if root is None else weights @ root
    if model.structure.predictor == "normalized" and not whitened.any(axis=(-2, -1)).all():
        errors.reject(name, "have a nonzero weight on inputs that vary, because the predictor is normalized", weights)
    batch = _with_batch(model, name, weights.shape[:-2])
    return np.broadcast_to(weights, (*batch, *weights.shape[-2:])).copy()


def check_eigenvalues(model: Model, s0: npt.ArrayLike) -> Array:
    """Return initial eigenvalues s0 (..., M), broadcast with the model's parameters; raises ArgumentError."""
    requirement = "be eigenvalues of shape (..., M), finite and non-negative"
    s = errors.non_negative("s0", s0, requirement)
    if s.ndim == 0 or s.shape[-1] == 0:
        errors.reject("s0", requirement, s)
    batch = _with_batch(model, "s0", s.shape[:-1])
    _check_initial_predictor(model, s.shape[-1])
    if model.structure.predictor == "normalized" and not s.max(axis=-1).all():
        errors.reject("s0", "have an eigenvalue above zero, because the predictor is normalized", s)
    if (model.pole_at_collapse & ~s.all(axis=-1)).any():
        function = model.loss_name if model.gain is None else model.gain.text
        errors.reject("s0", f"have no eigenvalue of zero, because {function} has a pole there", s)
    return np.broadcast_to(s, (*batch, s.shape[-1])).copy()


def _check_initial_predictor(model: Model, modes: int) -> None:
    if model.init.shape[-1] not in (1, modes):
        errors.reject("init", f"be one number, or one number for each of the {modes} modes", model.init)
    if model.generated.divides_by_norms and not model.init.any(axis=-1).all():
        loss = f"the {model.loss_name} loss, because this loss divides by the norm of the prediction"
        errors.reject("init", f"have an eigenvalue other than zero for {loss}", model.init)


def _with_batch(model: Model, name: str, leading: tuple[int, ...]) -> tuple[int, ...]:
    try:
        return np.broadcast_shapes(leading, model.batch_shape)
    except ValueError:
        requirement = (
            f"have leading dimensions that broadcast with the shape {model.batch_shape} of the model's parameters"
        )
        raise errors.ArgumentError(f"Argument `{name}` must {requirement}, but they are {leading}.") from None
