"""What moves the weights where inputs are correlated: E[g x1^T] + E[h x2^T], matrices in place of rates."""

from typing import NamedTuple

import numpy as np

from dynamics import errors
from dynamics.derived_loss import Integral, MatrixExpectation
from dynamics.generated import eigenvalues
from dynamics.model.model import Model
from dynamics.model.parameters import Parameters
from dynamics.numerics.adaptive import Adaptive
from dynamics.numerics.axes import NEGLIGIBLE
from dynamics.vector_field import weight_state as weights
from dynamics.vector_field.base import VectorField, rows_of
from dynamics.vector_field.eigenmode_state import each
from dynamics.vector_field.weight_state import WeightObservables, Weights

VIEWS = (1, 2)


class Views(NamedTuple):
    """Representations as maps L (..., M, d) of independent normals l, and E[l x^T] of each input."""

    vectors: list[np.ndarray]
    inputs: dict[int, np.ndarray]  # of each view, (..., d, N)


class WeightField(VectorField):
    """What moves the weights. Arguments as of ``VectorField``."""

    def __init__(self, model: Model, closure="gaussian", rtol=1e-9, parameters: Parameters | None = None):
        if closure == "mean_field":
            errors.reject("closure", "be 'gaussian' for a model with `inputs`", closure)
        self.root = model.input_root
        drives = {1: model.generated.drive_on_view1, 2: model.generated.drive_on_view2}
        known = {f"drive_on_view{view}": drive for view, drive in drives.items() if drive is not None}
        super().__init__(model, known, closure, rtol, parameters)

    def _quadrature(self, expectation: MatrixExpectation) -> Adaptive:
        rows = tuple(_flattened(*integral) for integral in expectation.integrals)
        return Adaptive(rows, self.rtol, error_weights=lambda s: (1.0,))

    def start(self, W0: np.ndarray) -> Weights:
        """The weights at the start, from those of the encoder (..., M, N)."""
        return weights.initial(self.structure, W0, self.root)

    def __call__(self, state: Weights) -> np.ndarray:
        """E[g x1^T] + E[h x2^T] (..., M, N).

        Computed in the predictor's eigenbasis, where W_P is diagonal. Nothing moves where all weights are zero, nor
        where one mode is left of a loss that divides by norms: it is the sign of p . t.
        Raises FloatingPointError where only the predictor has one mode left, beside which such a loss is not treated.
        """
        moved = self._moved(state.encoder)
        if not moved.any():
            return np.zeros_like(state.encoder)
        state = self._with_others(state, moved)
        U, s, lam = weights.eigenbasis(self.structure, self.parameters, state, self.root)
        if self.quadratures and lam.shape[-1] > 1 and (lam[..., 1] <= NEGLIGIBLE * lam[..., 0]).any():
            raise FloatingPointError("one mode of the predictor is left, beside others of the representations")
        turned = Weights(U.mT @ state.encoder, target=None if state.target is None else U.mT @ state.target)
        views, W_P = self._views(turned), lam[..., None] * np.eye(lam.shape[-1])
        drives = (self._evaluate(f"drive_on_view{view}", s, W_P, views.vectors) @ views.inputs[view] for view in VIEWS)
        return np.where(moved, U @ sum(drives), 0.0)

    def _moved(self, encoder) -> np.ndarray:
        """Whether the loss moves a network (..., 1, 1)."""
        if not self.quadratures:
            return encoder.any(axis=(-2, -1), keepdims=True)
        p = self.parameters
        w = np.linalg.svd(weights.on_white(encoder, self._seen(p.sigma1 + p.sigma2)), compute_uv=False)
        left = (w**2 > NEGLIGIBLE * w[..., :1] ** 2).sum(axis=-1)
        return (left > 1)[..., None, None]

    def _seen(self, sigma):
        """A root of Sigma_x + sigma^2: what both views together see."""
        if self.root is None:
            return None
        variances, directions = np.linalg.eigh(self.model.inputs)
        return directions * np.sqrt(np.maximum(variances, 0.0) + sigma**2)[..., None, :] @ directions.T

    def _with_others(self, state: Weights, moved) -> Weights:
        """The state, with weights that can be integrated where nothing moves."""
        if moved.all():
            return state
        modes, N = state.encoder.shape[-2:]
        other = np.eye(N)[:modes] if self.root is None else np.linalg.eigh(self.root)[1][:, ::-1].T[:modes]
        others = weights.initial(self.structure, other, self.root)
        return each(lambda part, instead: np.where(moved, part, instead), state, others)

    def _evaluate(self, quantity: str, s, W_P, vectors):
        """E[g l^T] or E[h l^T] (..., M, d); zero where there is no such force."""
        if quantity not in self.expectations:
            return np.zeros_like(vectors[0])
        if (formula := self.expectations[quantity].formula) is not None:
            return formula(W_P, *vectors)
        batch = vectors[0].shape[:-2]
        flat = (a.reshape(*a.shape[:-2], -1) for a in (W_P, *vectors))
        return self.quadratures[quantity](*rows_of((s, *flat), batch)).value.reshape(vectors[0].shape)

    def _views(self, state: Weights) -> Views:
        """The vectors that the loss needs.

        x, xi1 and xi2 are 3N independent normals; the vectors span at most as many of them as they have components.
        """
        p, N = self.parameters, state.encoder.shape[-1]
        root = np.eye(N) if self.root is None else self.root
        batch = np.broadcast_shapes(state.batch, p.sigma1.shape[:-1], p.sigma2.shape[:-1])
        zero = np.zeros((*batch, N, N))
        noise = {view: sigma[..., None] * np.eye(N) for view, sigma in zip(VIEWS, (p.sigma1, p.sigma2), strict=True)}
        x = {}  # of each view, (..., N, 3N)
        for view in VIEWS:
            own = [noise[view] + zero if view == other else zero for other in VIEWS]
            x[view] = np.concatenate([root + zero, *own], axis=-1)
        branches = {"z": state.encoder, "t": state.encoder if state.target is None else state.target}
        names = {name: name if state.target is not None else f"z{name[1]}" for name in self.model.generated.vectors}
        different = list(dict.fromkeys(names.values()))
        stacked = np.concatenate([branches[name[0]] @ x[int(name[1])] for name in different], axis=-2)
        Q, R = np.linalg.qr(stacked.mT)
        maps = dict(zip(different, np.split(R.mT, len(different), axis=-2), strict=True))
        return Views([maps[name] for name in names.values()], {view: Q.mT @ x[view].mT for view in VIEWS})

    def velocity(self, state: Weights, learning_rate) -> Weights:
        """d weights/dt in the flow; decays per step become rates in time through the learning rate."""
        p, slope = self._numbers(), eigenvalues.average_velocity
        C = weights.correlation(state.encoder, self.root)
        return Weights(
            eigenvalues.descent_velocity(state.encoder, self(state), 1.0, p.rho),
            target=None if state.target is None else slope(state.target, state.encoder, p.decay, learning_rate),
            tracked=None if state.tracked is None else slope(state.tracked, C, p.tracking, learning_rate),
        )

    def step(self, state: Weights, learning_rate) -> Weights:
        """The weights after a step of gradient descent: the encoder, then the averages of what is new."""
        p, average = self._numbers(), eigenvalues.average_step
        W = eigenvalues.descent_step(state.encoder, self(state), 1.0, p.rho, learning_rate)
        C = weights.correlation(W, self.root)
        return Weights(
            W,
            target=None if state.target is None else average(state.target, W, p.decay),
            tracked=None if state.tracked is None else average(state.tracked, C, p.tracking),
        )

    def observables(self, state: Weights) -> WeightObservables:
        """What is reported of a state."""
        return weights.observables(self.structure, self.parameters, state, self.root)

    def _numbers(self) -> Parameters:
        """The parameters with axes for rows and columns."""
        return self.parameters.map(lambda a: a[..., None])


def _flattened(norm_vectors, integrand):
    """Scales and integrand for the quadrature, which knows one axis: matrices are flattened to it."""

    def scales(s, *flat):
        return tuple(np.linalg.svd(X, compute_uv=False) ** 2 for X in norm_vectors(*_matrices(s, flat)))

    def flattened(x, y, s, *flat):
        values = integrand(x[..., None], y[..., None], *_matrices(s, flat))
        return values.reshape(*values.shape[:-2], -1)

    return Integral(scales, flattened)


def _matrices(s, flat):
    return (a.reshape(*a.shape[:-1], s.shape[-1], -1) for a in flat)
