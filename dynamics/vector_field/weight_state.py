"""Compute with states of weight matrices W (..., M, N): correlation, predictor, eigenbasis and observables.

The argument ``root`` is the matrix Sigma_x^(1/2) (N, N), where Sigma_x is the covariance of the inputs; None for
white inputs.
"""

from typing import Any

import numpy as np
import numpy.typing as npt

from dynamics.derived_loss import Function
from dynamics.model.parameters import Parameters, Structure
from dynamics.vector_field.eigenmode_state import closed_form as closed_form_eigenvalues
from dynamics.vector_field.state import Observables, State

ORTHOGONAL = 1e-5  # largest overlap of orthogonal directions; weights of networks have single precision


def on_white(W: Any, root: Any) -> Any:
    """Return W Sigma_x^(1/2), the matrix that maps white inputs to representations.

    For white inputs xi, Sigma_x^(1/2) xi are inputs with the covariance Sigma_x, which the weights W map to the
    representations. root: Sigma_x^(1/2); None if the inputs of the model are white, so that W is returned.
    """
    return W if root is None else W @ root


def directions_of_inputs(W: npt.NDArray[np.float64]) -> npt.NDArray[np.float64] | None:
    """Return the orthonormal directions (..., M, M) to which weights (..., M, M) map the inputs, in columns.

    If the inputs are the modes of the views, these are the directions of the modes, also for modes with the same
    eigenvalue. Returns None if the directions are not orthogonal, so that the inputs are not the modes.
    """
    if W.shape[-2] != W.shape[-1] or not W.any(axis=-2).all():
        return None
    directions = W / np.linalg.norm(W, axis=-2, keepdims=True)
    overlap = directions.mT @ directions - np.eye(W.shape[-1])
    return directions if np.abs(overlap).max() < ORTHOGONAL else None


def correlation(W: Any, root: Any) -> Any:
    """Return the correlation C = W Sigma_x W^T (..., M, M) of the representations.

    root: Sigma_x^(1/2) of the covariance Sigma_x of the inputs; None for white inputs.
    """
    W = on_white(W, root)
    return W @ W.mT


def initial(structure: Structure, W0: Any, root: Any, init: Any = 1.0) -> State:
    """Return the initial state at encoder weights W0 (..., M, N).

    A separate target initially has the weights W0, and a tracked correlation is initially C = W0 Sigma_x W0^T. A
    learned predictor has the eigenvectors of C, in ascending order of the eigenvalues of C, and the eigenvalues init.
    root: Sigma_x^(1/2), where Sigma_x is the covariance of the inputs; None for white inputs.
    """
    predictor = None
    if structure.predictor == "learned":
        U = np.linalg.svd(on_white(W0, root), full_matrices=False)[0][..., ::-1]
        predictor = (U * np.asarray(init)[..., None, :]) @ U.mT
    return State(
        W0,
        target=W0 if structure.separate_target else None,
        predictor=predictor,
        tracked=correlation(W0, root) if structure.tracked else None,
    )


def predictor(
    structure: Structure, parameters: Parameters, state: State, root: Any, function: Function = lambda lam: lam
) -> Any:
    """Return the closed-form predictor W_P (..., M, M) in a state; None for a model without a closed-form predictor.

    root: Sigma_x^(1/2), where Sigma_x is the covariance of the inputs; None for white inputs. function: function f of
    an eigenvalue. If it is passed, the matrix function f(W_P) is returned in place of W_P.
    """
    if structure.predictor in ("none", "learned"):
        return None
    C = correlation(state.encoder, root) if state.tracked is None else state.tracked
    return closed_form(structure, parameters, C, function)


def closed_form(structure: Structure, parameters: Parameters, C: Any, function: Function = lambda lam: lam) -> Any:
    """Return the closed-form predictor W_P (..., M, M) that is computed from the correlation C of representations.

    function: function f of an eigenvalue. If it is passed, the matrix function f(W_P) is returned in place of W_P.
    """
    xp = C.__array_namespace__()
    s, U = xp.linalg.eigh(C)
    lam = closed_form_eigenvalues(structure, parameters, xp.maximum(s, 0))
    return (U * function(lam)[..., None, :]) @ U.mT


def eigenbasis(
    structure: Structure, parameters: Parameters, state: State, root: Any
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Return the common eigenvectors of the predictor and of a correlation, and the eigenvalues of both matrices.

    The correlation is the one from which the predictor is built: that of the encoder's representations, or the tracked
    correlation. Returns three arrays: the eigenvectors (..., M, M), the eigenvalues s (..., M) of the correlation in
    descending order, and the eigenvalues lambda (..., M) of the predictor in the same order. root: Sigma_x^(1/2), where
    Sigma_x is the covariance of the inputs; None for white inputs.
    """
    if state.tracked is None:
        U, w, _ = np.linalg.svd(on_white(state.encoder, root), full_matrices=False)
        s = w**2
    else:
        s, U = np.linalg.eigh(state.tracked)
        s, U = np.maximum(s[..., ::-1], 0.0), U[..., ::-1]
    lam = np.ones_like(s) if structure.predictor == "none" else closed_form_eigenvalues(structure, parameters, s)
    return U, s, lam


def observables(structure: Structure, parameters: Parameters, state: State, root: Any) -> Observables:
    """Return the observables of a state; all eigenvalues are inf for ensemble members whose weights overflow.

    The eigenvalues of the encoder's correlation C and of the target's correlation are in ascending order. In place of
    eigenvalues of the predictor W_P, the observables contain u_m . W_P u_m, where u_m are the eigenvectors of C. root:
    Sigma_x^(1/2), where Sigma_x is the covariance of the inputs; None for white inputs.
    """
    finite = np.isfinite(state.encoder).all(axis=(-2, -1), keepdims=True)

    def svd(weights: npt.NDArray[Any]) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
        safe = np.where(finite, weights, 0).astype(float)
        U, w, _ = np.linalg.svd(on_white(safe, root), full_matrices=False)
        return U[..., ::-1], np.where(finite[..., 0], w[..., ::-1] ** 2, np.inf)

    U, s = svd(state.encoder)
    target = s if state.target is None else svd(state.target)[1]
    along_modes = np.where(finite[..., 0], _along_modes(structure, parameters, state, s, U, finite), np.inf)
    return Observables(s, target, along_modes, state.encoder, state.target, state.predictor)


def _along_modes(
    structure: Structure,
    parameters: Parameters,
    state: State,
    s: npt.NDArray[np.float64],
    U: npt.NDArray[np.float64],
    finite: npt.NDArray[np.bool_],
) -> npt.NDArray[np.float64]:
    """Return u_m . W_P u_m (..., M) for the predictor W_P.

    The vectors u_m are the columns of ``U``. They are the eigenvectors of the correlation, and ``s`` are its
    eigenvalues. finite: mask (..., 1, 1), False for ensemble members whose weights overflow.
    """
    if structure.predictor == "none":
        return np.ones_like(s)
    if state.predictor is None and state.tracked is None:
        return closed_form_eigenvalues(structure, parameters, s)
    matrix = state.tracked if state.predictor is None else state.predictor
    W_P = np.where(finite, matrix, 0).astype(float)
    if state.predictor is None:
        W_P = closed_form(structure, parameters, W_P)
    return np.einsum("...im,...ij,...jm->...m", U, W_P, U)
