"""The weights of a linear network as matrices, what is built from them, and what is reported of them."""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from dynamics.model.parameters import Parameters, Structure
from dynamics.vector_field.eigenmode_state import closed_form as closed_form_eigenvalues


class Weights(NamedTuple):
    """What a network holds; each with leading axes for seeds and times where there are several, None where absent."""

    encoder: Any  # W (M, N)
    target: Any = None  # V (M, N), where the target branch has weights of its own
    predictor: Any = None  # W_P (M, M), where it is learned
    tracked: Any = None  # the tracked correlation (M, M)

    @property
    def batch(self) -> tuple[int, ...]:
        """Shape of the ensemble."""
        return self.encoder.shape[:-2]


class WeightObservables(NamedTuple):
    """What is reported: eigenvalues of correlation, target's and predictor (..., M), and weights (..., M, N)."""

    s: Any
    target: Any
    predictor: Any
    weights: Any
    target_weights: Any = None


def on_white(W, root):
    """W Sigma_x^(1/2): the weights as seen by white inputs. root: Sigma_x^(1/2), None for white inputs."""
    return W if root is None else W @ root


def correlation(W, root):
    """C = W Sigma_x W^T (..., M, M)."""
    W = on_white(W, root)
    return W @ W.mT


def initial(structure: Structure, W0, root) -> Weights:
    """The weights at the start: target and tracked correlation are those of the encoder."""
    return Weights(
        W0,
        target=W0 if structure.separate_target else None,
        tracked=correlation(W0, root) if structure.tracked else None,
    )


def predictor(structure: Structure, parameters: Parameters, weights: Weights, root, function=lambda lam: lam):
    """W_P (..., M, M) of a closed form, or a function of it, from weights or tracked correlation; else None."""
    if structure.predictor in ("none", "learned"):
        return None
    C = correlation(weights.encoder, root) if weights.tracked is None else weights.tracked
    return closed_form(structure, parameters, C, function)


def closed_form(structure: Structure, parameters: Parameters, C, function: Callable = lambda lam: lam):
    """W_P = f(C), or a function of it, h(W_P), by that of its eigenvalues."""
    xp = C.__array_namespace__()
    s, U = xp.linalg.eigh(C)
    lam = closed_form_eigenvalues(structure, parameters, xp.maximum(s, 0))
    return (U * function(lam)[..., None, :]) @ U.mT


def eigenbasis(structure: Structure, parameters: Parameters, weights: Weights, root):
    """Eigenvectors (..., M, M) of what the predictor is built from, its eigenvalues and the predictor's, descending."""
    if weights.tracked is None:
        U, w, _ = np.linalg.svd(on_white(weights.encoder, root), full_matrices=False)
        s = w**2
    else:
        s, U = np.linalg.eigh(weights.tracked)
        s, U = np.maximum(s[..., ::-1], 0.0), U[..., ::-1]
    lam = np.ones_like(s) if structure.predictor == "none" else closed_form_eigenvalues(structure, parameters, s)
    return U, s, lam


def observables(structure: Structure, parameters: Parameters, weights: Weights, root) -> WeightObservables:
    """Eigenvalues in ascending order, and the predictor's values along the eigenvectors of C; inf where not finite."""
    finite = np.isfinite(weights.encoder).all(axis=(-2, -1), keepdims=True)
    U, w, _ = np.linalg.svd(on_white(np.where(finite, weights.encoder, 0).astype(float), root), full_matrices=False)
    kept, finite, U, s = finite, finite[..., 0], U[..., ::-1], np.where(finite[..., 0], w[..., ::-1] ** 2, np.inf)
    target = s
    if weights.target is not None:
        v = on_white(np.where(kept, weights.target, 0).astype(float), root)
        target = np.where(finite, np.linalg.svd(v, compute_uv=False)[..., ::-1] ** 2, np.inf)
    along = _along(structure, parameters, weights, s, U, kept)
    return WeightObservables(s, target, np.where(finite, along, np.inf), weights.encoder, weights.target)


def _along(structure: Structure, parameters: Parameters, weights: Weights, s, U, finite) -> np.ndarray:
    """u_m . W_P u_m (..., M)."""
    if structure.predictor == "none":
        return np.ones_like(s)
    if weights.predictor is None and weights.tracked is None:
        return closed_form_eigenvalues(structure, parameters, s)
    W_P = np.where(finite, weights.tracked if weights.predictor is None else weights.predictor, 0).astype(float)
    if weights.predictor is None:
        W_P = closed_form(structure, parameters, W_P)
    return np.einsum("...im,...ij,...jm->...m", U, W_P, U)
