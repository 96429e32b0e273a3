"""Check the initial eigenvalues, initial weights and learning rate that are given for a model; draw random weights.

The class ``Model`` uses the functions whose first argument is a model as its methods.
"""

from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from dynamics import errors
from dynamics.model.components import Reconstruction
from dynamics.numerics.memory import check_size

Model: TypeAlias = Any  # the class in ``dynamics.model.model``, which imports this module

Array = npt.NDArray[np.float64]

PRODUCT = 1e-8  # relative accuracy to which the product of initial layers has to agree with s0


def random_weights(modes: int = 10, inputs: int = 15, std: float = 0.25, seed: int = 0) -> Array:
    """Return random weights (modes, inputs) of an encoder: independent Gaussian numbers with standard deviation std.

    Raises ArgumentError if an argument is not valid.
    """
    modes, inputs, seed = errors.count("modes", modes), errors.count("inputs", inputs), errors.count("seed", seed, 0)
    if modes > inputs:
        errors.reject("modes", f"be at most the number of inputs, {inputs}", modes)
    check_size(f"Weights ({modes:,}, {inputs:,})", 2 * modes * inputs, "Use fewer modes or inputs.")
    return errors.positive_number("std", std) * np.random.default_rng(seed).standard_normal((modes, inputs))


def eigenvalues_of(W0: Array) -> Array:
    """Return the eigenvalues (M,) of the correlation C = W0 W0^T for white inputs, in ascending order."""
    return np.asarray(np.linalg.svd(W0, compute_uv=False)[::-1] ** 2, np.float64)


def check_learning_rate(model: Model, learning_rate: float | None) -> float | None:
    """Return the learning rate of a flow, or None if the flow of the model does not depend on the learning rate.

    The flow depends on the learning rate if the model has an EMA target or a tracked correlation, because these have a
    decay per step. Raises ArgumentError if the learning rate is missing although the flow depends on it, if it is given
    although the flow does not depend on it, or if it is not positive.
    """
    if learning_rate is None:
        if model.needs_learning_rate:
            requirement = f"be given, because the flow of {model} depends on the learning rate through a decay per step"
            errors.reject("learning_rate", requirement, None)
        return None
    if not model.needs_learning_rate:
        requirement = "be left out, because the flow of this model does not depend on the learning rate"
        errors.reject("learning_rate", requirement, learning_rate)
    return errors.positive_number("learning_rate", learning_rate)


def check_start(model: Model, s0: npt.ArrayLike) -> Array:
    """Return validated initial eigenvalues (..., M); for correlated inputs, validated initial weights (..., M, N).

    Raises ArgumentError if s0 is not valid.
    """
    return check_weights(model, "s0", s0) if model.by_weights else check_eigenvalues(model, s0)


def _inputs(model: Model) -> int | str:
    """Return the number of inputs of a network; "N" if the model does not determine this number."""
    if model.views is not None:
        return model.views.count
    return "N" if model.inputs is None else len(model.inputs)


def check_white_views(model: Model) -> None:
    """Raise ArgumentError unless both views have the same second moments in all directions.

    Analyses of modes call this function, because their formulas hold for modes with equal moments.
    """
    check_eigenmodes(model)
    if model.views is not None:
        requirement = "have white views, because this analysis is not available for moments that differ between modes"
        errors.reject("model", requirement, model)


def check_weights(model: Model, name: str, W0: npt.ArrayLike, *, ensemble: bool = True) -> Array:
    """Return validated initial weights W0 (..., M, N), broadcast against the parameters of the model.

    name: name of the argument in messages. ensemble: True if W0 may have leading dimensions. Raises ArgumentError if W0
    is not valid.
    """
    N = _inputs(model)
    requirement = f"be finite weights of shape ({'..., ' * ensemble}M, {N}) with 1 <= M <= {N}"
    weights = errors.real_array(name, W0, requirement)
    fits = weights.ndim >= 2 if ensemble else weights.ndim == 2
    if not fits or not 1 <= weights.shape[-2] <= weights.shape[-1] or N not in ("N", weights.shape[-1]):
        advice = _weights_advice(weights, not model.by_weights)
        raise errors.ArgumentError(f"Argument `{name}` must {requirement}, but has shape {weights.shape}.{advice}")
    root = model.input_root
    whitened = weights if root is None else weights @ root
    if model.structure.predictor == "normalized" and not whitened.any(axis=(-2, -1)).all():
        errors.reject(
            name,
            "have a nonzero weight on an input with nonzero variance, because a normalized predictor divides by the "
            "largest eigenvalue of the correlation, which would be zero",
            weights,
        )
    batch = _with_batch(model, name, weights.shape[:-2])
    return np.broadcast_to(weights, (*batch, *weights.shape[-2:])).copy()


def check_predictor_weights(model: Model, weights: Array, W_P0: npt.ArrayLike | None) -> Array | None:
    """Return validated initial weights W_P0 (..., M, M) of a learned predictor; None if none are given.

    weights: validated initial weights (..., M, N) of the encoder. Raises ArgumentError if W_P0 is given although the
    predictor is not learned, or if it is not valid.
    """
    modes = weights.shape[-2]
    if W_P0 is None:
        _check_initial_predictor(model, modes)
        return None
    if model.structure.predictor != "learned":
        errors.reject("W_P0", f"be left out, because the predictor of {model} is not learned", W_P0)
    requirement = f"be finite weights of shape ({modes}, {modes})"
    W_P = errors.real_array("W_P0", W_P0, requirement)
    if W_P.shape != (modes, modes):
        raise errors.ArgumentError(f"Argument `W_P0` must {requirement}, but has shape {W_P.shape}.")
    return np.broadcast_to(W_P, (*weights.shape[:-2], modes, modes))


def check_layers(model: Model, s0: Array, layers0: npt.ArrayLike | None) -> Array | None:
    """Return validated initial singular values (..., L, M) of the layers; None if none are given.

    s0: validated initial eigenvalues (..., M), or weights.
    """
    if layers0 is None:
        return None
    if model.depth == 1:
        errors.reject("layers0", "be left out for an encoder of one layer", layers0)
    shape = (model.depth, s0.shape[-1])
    requirement = f"be finite singular values of shape (..., {shape[0]}, {shape[1]}), one for each layer and mode"
    layers = errors.real_array("layers0", layers0, requirement)
    if layers.shape[-2:] != shape:
        raise errors.ArgumentError(f"Argument `layers0` must {requirement}, but has shape {layers.shape}.")
    product = model.parameters.cross * layers.prod(axis=-2) ** 2
    if not np.allclose(product, s0, rtol=PRODUCT, atol=0.0):
        requirement = "have a product over the layers whose square, times the second moment of the mode, is s0"
        errors.reject("layers0", requirement, layers)
    return np.broadcast_to(layers, (*s0.shape[:-1], *shape))


def check_eigenvalues(model: Model, s0: npt.ArrayLike) -> Array:
    """Return validated initial eigenvalues s0 (..., M), broadcast against the parameters of the model.

    Raises ArgumentError if s0 is not valid.
    """
    requirement = "be finite and non-negative eigenvalues of shape (..., M)"
    s = errors.real_array("s0", s0, requirement)
    if s.ndim == 0 or s.shape[-1] == 0:
        errors.reject("s0", requirement, s, f"For one mode use [{s:g}]." if s.ndim == 0 else "")
    s = _without_rounding(s)
    if (s < 0).any():
        errors.reject("s0", requirement, s if s.ndim else s0, matrix_advice(s))
    if looks_like_matrix(s):
        errors.warn_caller(f"`s0` is an ensemble of {len(s)} sets of eigenvalues. {matrix_advice(s)}", UserWarning)
    if model.views is not None and model.views.count not in (1, s.shape[-1]):
        errors.reject("s0", f"have one eigenvalue for each of the {model.views.count} modes of {model.views}", s)
    batch = _with_batch(model, "s0", s.shape[:-1])
    _check_initial_predictor(model, s.shape[-1])
    if model.structure.predictor == "normalized" and not s.max(axis=-1).all():
        errors.reject(
            "s0",
            "have an eigenvalue above zero, because a normalized predictor divides by the largest eigenvalue",
            s,
        )
    if (model.pole_at_collapse & ~s.all(axis=-1)).any():
        function = model.loss_name if model.gain is None else model.gain.text
        errors.reject("s0", f"have no eigenvalue of zero, because {function} has a pole at zero", s)
    return np.broadcast_to(s, (*batch, s.shape[-1])).copy()


def _without_rounding(s: Array) -> Array:
    """Return eigenvalues (..., M); negative eigenvalues that are rounding errors of ``eigvalsh`` become zero."""
    smallest = -s.shape[-1] * np.finfo(float).eps * np.abs(s).max(axis=-1, keepdims=True)
    return np.where((s < 0) & (s >= smallest), 0.0, s)


def looks_like_matrix(s: Array) -> bool:
    """Return True if non-negative eigenvalues (B, M) of an ensemble resemble a correlation or ReLU representations.

    A correlation is symmetric and positive semidefinite, with entries beside the diagonal. Representations after a ReLU
    have zeros and positive entries in all columns. An ensemble may have these properties by chance, and is not refused.
    """
    if s.ndim != 2 or s.shape[-1] < 3:
        return False
    if s.shape[0] == s.shape[1]:
        symmetric = np.array_equal(s, s.T) and (s - np.diag(np.diag(s))).any()
        return bool(symmetric and np.linalg.eigvalsh(s).min() >= -1e-9 * s.max())
    zeros = (s == 0).mean(axis=0)
    return bool(len(s) > 2 * s.shape[-1] and ((zeros > 0.1) & (zeros < 1)).all())


def matrix_advice(s: Array) -> str:
    """Return advice on computing eigenvalues from the matrix that was probably passed instead; "" for a vector."""
    if s.ndim != 2:
        return ""
    if s.shape[0] == s.shape[1]:
        return "If it is a correlation matrix C, pass its eigenvalues: np.linalg.eigvalsh(C)."
    if s.shape[0] > s.shape[1]:
        return "If it has representations z in its rows, pass the eigenvalues np.linalg.eigvalsh(z.T @ z / len(z))."
    return "If it has the weights W0 of an encoder, pass the eigenvalues np.linalg.eigvalsh(W0 @ W0.T)."


def _weights_advice(weights: Array, white: bool) -> str:
    """Return advice on what to pass in place of weights of the wrong shape; "" if there is no advice.

    white: True if the inputs of the model are white.
    """
    if weights.ndim == 1:
        what = "A network" if white else "A model with `inputs`"
        return f" {what} starts from weights; if these are eigenvalues s0, use np.diag(s0**0.5)."
    if weights.ndim == 2 and weights.shape[0] > weights.shape[1]:
        return " The rows are the units, the columns the inputs; transpose it."
    return ""


def _check_initial_predictor(model: Model, modes: int) -> None:
    if model.init.shape[-1] not in (1, modes):
        errors.reject("init", f"be one number, or one number for each of the {modes} modes", model.init)
    if model.generated.divides_by_norms and not model.init.any(axis=-1).all():
        reason = f"the {model.loss_name} loss divides by the norm of the prediction W_P z1"
        errors.reject("init", f"contain a nonzero predictor eigenvalue, because {reason}", model.init)


def _with_batch(model: Model, name: str, leading: tuple[int, ...]) -> tuple[int, ...]:
    try:
        return np.broadcast_shapes(leading, model.batch_shape)
    except ValueError:
        requirement = (
            f"have leading dimensions that broadcast with the shape {model.batch_shape} of the parameters of the model"
        )
        raise errors.ArgumentError(
            f"Argument `{name}` must {requirement}, but its leading dimensions are {leading}."
        ) from None


def check_white_inputs(model: Model) -> None:
    """Raise ArgumentError if the inputs of a model are correlated, so that its modes have no rates."""
    if model.by_weights:
        requirement = (
            "have white inputs, because with correlated inputs eigenvectors rotate and modes have no rates (for such "
            "models use `solve` and `iterate`, from weights)"
        )
        errors.reject("model", requirement, model)


def check_eigenmodes(model: Model) -> None:
    """Raise ArgumentError unless inputs are white and each dynamical variable has one value for each mode."""
    check_white_inputs(model)
    check_one_layer(model)


def check_one_layer(model: Model) -> None:
    """Raise ArgumentError for a deep encoder, and for the target Reconstruction(), in analyses of single modes."""
    if model.depth > 1 or isinstance(model.target, Reconstruction):
        requirement = (
            "have depth 1 and not the target Reconstruction(), because this analysis is available for encoders of one "
            "layer and targets that follow the encoder (for other models use `solve` and `iterate`)"
        )
        errors.reject("model", requirement, model)
