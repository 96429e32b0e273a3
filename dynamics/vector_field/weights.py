"""Define the vector field of weight matrices, for correlated inputs and for views of any second moments.

The force on the encoder W is E[g x1^T] + E[h x2^T], where g and h are the negative gradients of the loss with respect
to the representations of the views x1 and x2.
"""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from dynamics import errors
from dynamics.derived_loss import Integral, MatrixExpectation, MatrixIntegral
from dynamics.model.model import Model
from dynamics.model.parameters import Parameters
from dynamics.model.views import MatrixViews
from dynamics.numerics.adaptive_quadrature import Adaptive
from dynamics.numerics.axes import NEGLIGIBLE
from dynamics.vector_field import weight_state
from dynamics.vector_field.base import NEEDS_MODES, VectorField, rows_of
from dynamics.vector_field.state import Forces, Observables, State, each

VIEWS = (1, 2)
FloatArray = npt.NDArray[np.float64]


class ViewMaps(NamedTuple):
    """Representations of the views as linear maps of a vector l of d independent standard normals.

    vectors: for each representation that the loss contains, the matrix (..., M, d) that maps l to this representation.
    inputs: the covariances E[l x1^T] and E[l x2^T] of l and of the views x1 and x2, under the keys 1 and 2.
    """

    vectors: list[npt.NDArray[np.float64]]
    inputs: dict[int, npt.NDArray[np.float64]]  # (..., d, N)


class WeightField(VectorField):
    """The vector field of the weight matrices of a model with correlated inputs, or with views of any moments.

    The eigenvectors of the correlation rotate in time. The constructor has the parameters of ``VectorField``.
    """

    axes = 2

    def __init__(
        self, model: Model, closure: str = "gaussian", rtol: float = 1e-9, parameters: Parameters | None = None
    ):
        if closure == "mean_field":
            requirement = f"be 'gaussian' for a model with correlated inputs, because {NEEDS_MODES}"
            errors.reject("closure", requirement, closure)
        self.root = model.input_root
        self.joint_roots = model.views.joint_roots if isinstance(model.views, MatrixViews) else None
        drives = {1: model.generated.drive_on_view1, 2: model.generated.drive_on_view2}
        expectations = {f"drive_on_view{view}": drive for view, drive in drives.items() if drive is not None}
        super().__init__(model, expectations, closure, rtol, parameters)

    def _quadrature(self, expectation: MatrixExpectation) -> Adaptive:
        matrices = 1 + len(self.model.generated.vectors)
        rows = tuple(_on_flat_arrays(integral, matrices) for integral in expectation.integrals)
        return Adaptive(rows, self.rtol, error_weights=lambda s: (1.0,))

    def start(self, initial: npt.NDArray[np.float64]) -> State:
        """Return the initial state at weights (..., M, N) of the encoder.

        Raises ArgumentError if the expected gradient of the loss is infinite in this state.
        """
        self._check_means("weights", np.linalg.matrix_rank(weight_state.on_white(initial, self._root_of_views())))
        return weight_state.initial(self.structure, initial, self.root)

    def correlation(self, encoder: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """Return the correlation C = W Sigma_x W^T (..., M, M) of an encoder with weights W."""
        return weight_state.correlation(encoder, self.root)

    def observables(self, state: State) -> Observables:
        """Return the weights, and the eigenvalues of the correlation, the target's correlation and the predictor."""
        return weight_state.observables(self.structure, self.parameters, state, self.root)

    def forces(self, state: State) -> Forces:
        """Return the force E[g x1^T] + E[h x2^T] (..., M, N) on the weights of the encoder.

        g and h are the negative gradients of the loss with respect to the representations of the views x1 and x2. The
        expectations are computed in the predictor's eigenbasis, where W_P is diagonal. The force is zero if all weights
        are zero. It is also zero if the loss divides by norms and all modes but one have collapsed, because the loss
        then depends only on the sign of (W_P z1) . z2. Raises FloatingPointError if the predictor has a single nonzero
        eigenvalue but the correlation has several; this case is not implemented.
        """
        moved = self._is_moved(state.encoder)
        if not moved.any():
            return Forces(np.zeros_like(state.encoder))
        state = self._with_substitutes(state, moved)
        U, s, lam = weight_state.eigenbasis(self.structure, self.parameters, state, self.root)
        if self.quadratures and lam.shape[-1] > 1 and (lam[..., 1] <= NEGLIGIBLE * lam[..., 0]).any():
            raise FloatingPointError("the predictor has one nonzero eigenvalue, but the correlation has several")
        turned = State(U.mT @ state.encoder, target=None if state.target is None else U.mT @ state.target)
        maps, W_P = self._view_maps(turned), lam[..., None] * np.eye(lam.shape[-1])
        drives = (self._evaluate(f"drive_on_view{view}", s, W_P, maps.vectors) @ maps.inputs[view] for view in VIEWS)
        return Forces(np.where(moved, U @ sum(drives), 0.0))

    def _is_moved(self, encoder: Any) -> npt.NDArray[np.bool_]:
        """Return a mask (..., 1, 1), True for ensemble members in which the loss exerts a force on the encoder."""
        if not self.quadratures:
            return encoder.any(axis=(-2, -1), keepdims=True)
        w = np.linalg.svd(weight_state.on_white(encoder, self._root_of_views()), compute_uv=False)
        surviving = (w**2 > NEGLIGIBLE * w[..., :1] ** 2).sum(axis=-1)
        return (surviving > 1)[..., None, None]

    def _root_of_views(self) -> FloatArray | None:
        """Return a matrix (..., N, d) in whose column space both views lie; None for white inputs.

        For inputs of covariance Sigma_x, the matrix is a square root of Sigma_x + (sigma1 + sigma2)^2 I, where sigma1
        and sigma2 are the standard deviations of the noise.
        """
        if self.joint_roots is not None:
            return np.concatenate(self.joint_roots, axis=-1)
        if self.root is None:
            return None
        sigma1, sigma2 = self.parameters.noise
        variances, directions = np.linalg.eigh(self.model.inputs)
        return directions * np.sqrt(np.maximum(variances, 0.0) + (sigma1 + sigma2) ** 2)[..., None, :] @ directions.T

    def _with_substitutes(self, state: State, moved: npt.NDArray[np.bool_]) -> State:
        """Replace the weights of ensemble members on whose encoder no force acts; return the state.

        The rates of these members are zero and need no integrals, but the integrals are computed for all members, and
        they overflow at the weights of these members. They can be computed at the weights that are put in place.
        moved: mask (..., 1, 1), True for the members on which a force acts; the weights of these stay unchanged.
        """
        if moved.all():
            return state
        modes, N = state.encoder.shape[-2:]
        W = np.eye(N)[:modes] if self.root is None else np.linalg.eigh(self.root)[1][:, ::-1].T[:modes]
        substitutes = weight_state.initial(self.structure, W, self.root)
        return each(lambda part, substitute: np.where(moved, part, substitute), state, substitutes)

    def _evaluate(self, name: str, s: FloatArray, W_P: FloatArray, vectors: list[FloatArray]) -> FloatArray:
        """Return E[g l^T] (..., M, d) for the name "drive_on_view1", or E[h l^T] for the name "drive_on_view2".

        g and h are the negative gradients of the loss with respect to the representations of views 1 and 2, and l is
        the vector of d independent standard normals in ``ViewMaps``. The expectation is zero if no gradient flows into
        the representation of the view. s: eigenvalues of the correlation. W_P: matrix of the predictor. vectors:
        matrices that map l to the representations.
        """
        if name not in self.expectations:
            return np.zeros_like(vectors[0])
        if (formula := self.expectations[name].formula) is not None:
            return formula(W_P, *vectors, *self.broadcast.of_loss)
        batch = vectors[0].shape[:-2]
        flat = (a.reshape(*a.shape[:-2], -1) for a in (W_P, *vectors))
        rows = rows_of((s, *flat, *self.parameters.of_loss), batch)
        return self.quadratures[name].value(*rows).reshape(vectors[0].shape)

    def _view_maps(self, state: State) -> ViewMaps:
        """Return the representations that the loss contains as linear maps of a vector l of independent normals.

        Each component of a representation is a linear combination of the normals that determine a sample. An
        orthonormal basis of the space that these combinations span defines l: the components of l are again independent
        standard normals, and there are at most as many as the representations have components in total.
        """
        x = dict(zip(VIEWS, self.joint_roots or self._roots_with_noise(state), strict=True))
        branches = {"z": state.encoder, "t": state.encoder if state.target is None else state.target}
        names = {name: name if state.target is not None else f"z{name[1]}" for name in self.model.generated.vectors}
        different = list(dict.fromkeys(names.values()))
        stacked = np.concatenate([branches[name[0]] @ x[int(name[1])] for name in different], axis=-2)
        Q, R = np.linalg.qr(stacked.mT)
        maps = dict(zip(different, np.split(R.mT, len(different), axis=-2), strict=True))
        return ViewMaps([maps[name] for name in names.values()], {view: Q.mT @ x[view].mT for view in VIEWS})

    def _roots_with_noise(self, state: State) -> list[FloatArray]:
        """Return for each view x + sigma_i xi_i its map (..., N, 3N) from 3N normals: N for x, and N for each noise."""
        sigmas, N = self.parameters.noise, state.encoder.shape[-1]
        root = np.eye(N) if self.root is None else self.root
        batch = np.broadcast_shapes(self.batch(state), *(sigma.shape[:-1] for sigma in sigmas))
        zero = np.zeros((*batch, N, N))
        noise = {view: sigma[..., None] * np.eye(N) for view, sigma in zip(VIEWS, sigmas, strict=True)}
        maps = []
        for view in VIEWS:
            of_noise = [noise[view] + zero if view == branch else zero for branch in VIEWS]
            maps.append(np.concatenate([root + zero, *of_noise], axis=-1))
        return maps


def _on_flat_arrays(integral: MatrixIntegral, matrices: int) -> Integral:
    """Convert an integral of matrices into an ``Integral`` that ``Adaptive`` can compute.

    ``Adaptive`` requires arrays with one axis for the entries. Therefore the arguments and values of the new integrand
    have the entries of each matrix on a single axis. matrices: number of arguments that are matrices; parameters of the
    loss follow.
    """

    def scales(s: FloatArray, *flat: FloatArray) -> tuple[FloatArray, ...]:
        vectors = integral.norm_vectors(*_arguments(s, flat, matrices))
        return tuple(np.linalg.svd(X, compute_uv=False) ** 2 for X in vectors)

    def integrand(x: FloatArray, y: FloatArray, s: FloatArray, *flat: FloatArray) -> FloatArray:
        at_nodes = (axis[..., 0, :, None, None] for axis in (x, y))
        values = integral.integrand(*at_nodes, *_arguments(s.mT, [a.mT for a in flat], matrices))
        return values.reshape(*values.shape[:-2], -1).mT

    return Integral(scales, integrand)


def _arguments(s: FloatArray, flat: Sequence[FloatArray], matrices: int) -> Iterator[FloatArray]:
    yield from (a.reshape(*a.shape[:-1], s.shape[-1], -1) for a in flat[:matrices])
    yield from (parameter[..., None] for parameter in flat[matrices:])
