"""Define the vector field of weight matrices, for correlated inputs and for views of any second moments.

The force on the encoder W is E[g x1^T] + E[h x2^T], where g and h are the negative gradients of the loss with respect
to the representations of the views x1 and x2.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from dynamics import errors
from dynamics.derived_loss import Integral, MatrixExpectation, MatrixIntegral, VectorProduct
from dynamics.model.model import Model
from dynamics.model.parameters import Parameters
from dynamics.model.views import MatrixViews
from dynamics.numerics.adaptive_quadrature import Adaptive
from dynamics.numerics.axes import NEGLIGIBLE
from dynamics.vector_field import weight_state
from dynamics.vector_field.base import NEEDS_MODES, VectorField, rows_of
from dynamics.vector_field.state import Forces, Observables, State, each

VIEWS = (1, 2)
PREDICTOR = "predictor"  # key of the force on a learned predictor, beside the views
REPRESENTATIONS = ("z1", "z2", "t1", "t2")  # of both views, by the encoder and by the target branch
FloatArray = npt.NDArray[np.float64]


class LinearMaps(NamedTuple):
    """All vectors of a loss as linear maps of a vector l of d independent standard normals.

    vectors: for the name of each vector, the matrix (..., M, d) that maps l to this vector. inputs: the covariances
    E[l x1^T] and E[l x2^T] of l and of the views x1 and x2, under the keys 1 and 2.
    """

    vectors: dict[str, FloatArray]
    inputs: dict[int, FloatArray]  # (..., d, N)


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
        self.products, self.vectors = model.generated.products, model.generated.vectors
        self.representations = [name for name in self.vectors if name in REPRESENTATIONS]
        forces = model.generated.forces
        super().__init__(
            model, {} if forces is None or closure == "samples" else {"forces": forces}, closure, rtol, parameters
        )

    def _quadrature(self, expectation: MatrixExpectation) -> Adaptive:
        rows = tuple(self._on_flat_arrays(integral) for integral in expectation.integrals)
        return Adaptive(rows, self.rtol, error_weights=lambda s: (1.0,))

    def start(self, initial: npt.NDArray[np.float64]) -> State:
        """Return the initial state at weights (..., M, N) of the encoder; a learned predictor is aligned with them.

        Raises ArgumentError if the expected gradient of the loss is infinite in this state.
        """
        self._check_means("weights", np.linalg.matrix_rank(weight_state.on_white(initial, self._root_of_views())))
        return weight_state.initial(self.structure, initial, self.root, self.model.init)

    def correlation(self, encoder: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """Return the correlation C = W Sigma_x W^T (..., M, M) of an encoder with weights W."""
        return weight_state.correlation(encoder, self.root)

    def observables(self, state: State) -> Observables:
        """Return the weights, and the eigenvalues of the correlation, the target's correlation and the predictor."""
        return weight_state.observables(self.structure, self.parameters, state, self.root)

    def forces(self, state: State) -> Forces:
        """Return the force E[g x1^T] + E[h x2^T] (..., M, N) on the encoder, and the force on a learned predictor.

        g and h are the negative gradients of the loss with respect to the representations of the views x1 and x2. With
        a predictor that is not learned, the expectations are computed in the eigenbasis of W_P. The forces are zero if
        all weights are zero. They are also zero if the loss divides by norms and all modes but one have collapsed,
        because the loss then depends only on the sign of (W_P z1) . z2. Raises FloatingPointError if a closed-form
        predictor has a single nonzero eigenvalue but the correlation has several; this case is not implemented.
        """
        moved = self._is_moved(state.encoder)
        if not moved.any():
            return each(np.zeros_like, Forces(state.encoder, state.predictor))  # at most one mode is left
        state = self._with_substitutes(state, moved)
        if state.predictor is not None:
            s = np.linalg.svd(weight_state.on_white(state.encoder, self.root), compute_uv=False) ** 2
            self._check_rank(np.linalg.svd(state.predictor, compute_uv=False))
            of_encoder, of_predictor = self._expected(s, state, lambda product: state.predictor)
            return each(lambda force: np.where(moved, force, 0.0), Forces(of_encoder, of_predictor))
        U, s, lam = weight_state.eigenbasis(self.structure, self.parameters, state, self.root)
        self._check_rank(lam)

        def matrix(product: VectorProduct) -> FloatArray:
            h: FloatArray = lam if product.function is None else product.function(lam, *self.parameters.of_loss)
            return h[..., None] * np.eye(h.shape[-1])

        turned = State(U.mT @ state.encoder, target=None if state.target is None else U.mT @ state.target)
        of_encoder, _ = self._expected(s, turned, matrix)
        return Forces(np.where(moved, U @ of_encoder, 0.0))

    def _check_rank(self, lam: FloatArray) -> None:
        """Raise FloatingPointError if only one of the eigenvalues lam of the predictor, in descending order, is not 0.

        This case is not implemented for losses that divide by norms.
        """
        if self.quadratures and lam.shape[-1] > 1 and (lam[..., 1] <= NEGLIGIBLE * lam[..., 0]).any():
            raise FloatingPointError("the predictor has one nonzero eigenvalue, but the correlation has several")

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

    def _expected(
        self, s: FloatArray, state: State, matrix_of: Callable[[VectorProduct], FloatArray]
    ) -> tuple[FloatArray, FloatArray | None]:
        """Return the expected forces on the weights of the encoder (..., M, N) and of a learned predictor (..., M, M).

        s: eigenvalues of the correlation. matrix_of: function that returns the matrix h(W_P) of a product.
        """
        matrices = [matrix_of(product) for product in self.products]
        maps = self._linear_maps(state, matrices)
        arrays = *(maps.vectors[name] for name in self.vectors), *matrices
        values = self._values(s, arrays)
        on_views = [values[view] @ maps.inputs[view] for view in VIEWS if view in values]
        return np.sum(on_views, axis=0), values.get(PREDICTOR)

    def _values(self, s: FloatArray, arrays: tuple[FloatArray, ...]) -> dict[Any, FloatArray]:
        """Return the expectations E[g l^T] and E[h l^T] (..., M, d), and the force (..., M, M) on a learned predictor.

        g and h are the negative gradients of the loss with respect to the representations of views 1 and 2, and l is
        the vector of d independent standard normals in ``LinearMaps``. The keys of the result are 1, 2 and PREDICTOR;
        expectations that are zero are left out. s: eigenvalues of the correlation. arrays: the map of each vector in
        ``vectors``, and the matrix of each product.
        """
        expectation = self.expectations["forces"]
        if expectation.formula is not None:
            vectors = arrays[: len(self.vectors)]
            forces = expectation.formula(*vectors, *self.broadcast.of_loss)
            return self._passed_on(forces, expectation.driven, arrays)
        batch = arrays[0].shape[:-2]
        flat: Iterator[FloatArray] = (a.reshape(*a.shape[:-2], -1) for a in arrays)
        values = self.quadratures["forces"].value(*rows_of((s, *flat, *self.parameters.of_loss), batch))
        shapes = self._shapes(arrays[0].shape)
        ends = np.cumsum([math.prod(shape) for shape in shapes.values()])[:-1]
        parts = zip(shapes.items(), np.split(values, ends, axis=-1), strict=True)
        return {key: part.reshape(*batch, *shape) for (key, shape), part in parts}

    def _shapes(self, shape: tuple[int, ...]) -> dict[Any, tuple[int, int]]:
        """Return the shape of each expectation that is not zero. shape: shape (..., M, d) of the map of a vector."""
        M, d = shape[-2:]
        expectation, learned = self.expectations["forces"], self.structure.predictor == "learned"
        driven = {*expectation.driven, *(name for integral in expectation.integrals for name in integral.driven)}
        predictor: dict[Any, tuple[int, int]] = {}
        for product in reversed(self.products):
            if product.name in driven:
                predictor = {PREDICTOR: (M, M)} if learned else {}
                driven |= set() if product.stopped else {product.of}
        return {view: (M, d) for view in VIEWS if driven & {f"z{view}", f"t{view}"}} | predictor

    def _passed_on(self, forces: Any, driven: tuple[str, ...], arrays: Sequence[FloatArray]) -> dict[Any, FloatArray]:
        """Convert forces on products with the predictor to forces on representations and on a learned predictor.

        A force f on a product h(W_P) u is a force h(W_P)^T f on u, and, if h(W_P) = W_P, a force f u^T on W_P. forces:
        E[f l^T], an array or a tuple of arrays. driven: names of the vectors on which the forces act. arrays: the map
        of each vector in ``vectors``, and the matrix of each product. The keys of the result are those of ``_values``.
        """
        on = dict(zip(driven, forces if isinstance(forces, tuple) else (forces,), strict=True))
        vectors = dict(zip(self.vectors, arrays, strict=False))
        values: dict[Any, FloatArray] = {}
        for product, matrix in reversed(list(zip(self.products, arrays[len(self.vectors) :], strict=True))):
            if product.name not in on:
                continue
            force = on.pop(product.name)
            if self.structure.predictor == "learned":
                values[PREDICTOR] = values.get(PREDICTOR, 0.0) + force @ vectors[product.of].mT
            if not product.stopped:
                on[product.of] = on.get(product.of, 0.0) + matrix.mT @ force
        for name, force in on.items():
            values[int(name[1])] = values.get(int(name[1]), 0.0) + force
        return values

    def _linear_maps(self, state: State, matrices: Sequence[FloatArray]) -> LinearMaps:
        """Return the vectors of the loss as linear maps of a vector l of independent normals.

        Each component of a representation is a linear combination of the normals that determine a sample. An
        orthonormal basis of the space that these combinations span defines l: the components of l are again independent
        standard normals, and there are at most as many as the representations have components in total. matrices: the
        matrix of each product of the predictor with a vector.
        """
        x = dict(zip(VIEWS, self.joint_roots or self._roots_with_noise(state), strict=True))
        branches = {"z": state.encoder, "t": state.encoder if state.target is None else state.target}
        names = {name: name if state.target is not None else f"z{name[1]}" for name in self.representations}
        different = list(dict.fromkeys(names.values()))
        stacked = np.concatenate([branches[name[0]] @ x[int(name[1])] for name in different], axis=-2)
        Q, R = np.linalg.qr(stacked.mT)
        parts = dict(zip(different, np.split(R.mT, len(different), axis=-2), strict=True))
        vectors = {name: parts[shared] for name, shared in names.items()}
        for product, matrix in zip(self.products, matrices, strict=True):
            vectors[product.name] = matrix @ vectors[product.of]
        return LinearMaps(vectors, {view: Q.mT @ x[view].mT for view in VIEWS})

    def _roots_with_noise(self, state: State) -> list[FloatArray]:
        """Return the maps (..., N, 3N) of 3N normals to the views x + sigma_i xi_i: N for x, and N for each xi_i."""
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

    def _on_flat_arrays(self, integral: MatrixIntegral) -> Integral:
        """Convert an integral of matrices into an ``Integral`` that ``Adaptive`` can compute.

        ``Adaptive`` requires arrays with one axis for the entries. Therefore the arguments and values of the new
        integrand have the entries of each matrix on a single axis, and the entries of all values follow one another.
        """
        matrices = len(self.vectors) + len(self.products)
        norms = [self.vectors.index(name) for name in integral.norms]

        def scales(s: FloatArray, *flat: FloatArray) -> tuple[npt.NDArray[Any], ...]:
            arguments = list(_arguments(s, flat, matrices))
            return tuple(np.linalg.svd(arguments[norm], compute_uv=False) ** 2 for norm in norms)

        def integrand(x: FloatArray, y: FloatArray, s: FloatArray, *flat: FloatArray) -> FloatArray:
            at_nodes = (axis[..., 0, :, None, None] for axis in (x, y))
            arguments = list(_arguments(s.mT, [a.mT for a in flat], matrices))
            vectors, parameters = arguments[: len(self.vectors)], arguments[matrices:]
            forces = integral.integrand(*at_nodes, *vectors, *parameters)
            values = self._passed_on(forces, integral.driven, arguments[:matrices])
            nodes = next(iter(values.values())).shape[:-2]
            parts = [
                values[key] if key in values else np.zeros((*nodes, *shape))
                for key, shape in self._shapes(vectors[0].shape).items()
            ]
            return np.concatenate([part.reshape(*part.shape[:-2], -1) for part in parts], axis=-1).mT

        return Integral(scales, integrand)


def _arguments(s: FloatArray, flat: Sequence[FloatArray], matrices: int) -> Iterator[FloatArray]:
    yield from (a.reshape(*a.shape[:-1], s.shape[-1], -1) for a in flat[:matrices])
    yield from (parameter[..., None] for parameter in flat[matrices:])
