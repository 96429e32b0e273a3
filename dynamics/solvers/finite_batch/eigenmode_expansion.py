"""Propagate the mean and the covariance of the moments of networks with white inputs, to first order in 1/B.

B is the batch size. The ``moments`` are C = W W^T for encoder weights W, further second moments of weights, a learned
predictor and a tracked correlation. The noise of a batch adds D = eta^2/B (E[v v^T] - F F^T) to the mean of C. Here eta
is the learning rate, v the gradient of the loss of a sample with respect to W, and F the mean of v over samples. D
grows with the number of inputs N, because the gradient has noise along every input. The descent map f(mean) is a step
of gradient descent in the eigenmodes, with expectations by the closure of the vector field. The derivatives of f with
respect to the moments, and the noise of a step, are estimated from samples (``sampled_step``). If f is smooth, its
derivatives with respect to diagonal entries are central differences instead.
"""

import numpy as np
import numpy.typing as npt

from dynamics.numerics.context import jax_settings
from dynamics.solvers.finite_batch.expansion import (
    NOISE_SAMPLES,
    SMALLEST,
    Expansion,
    Linearisation,
    samples_at_once,
)
from dynamics.solvers.finite_batch.moments import (
    Blocks,
    Moments,
    diagonals,
    eigenmodes,
    entries,
    matrices,
    of_state,
    scales,
)
from dynamics.solvers.finite_batch.states import neighbours
from dynamics.vector_field.eigenmodes import EigenmodeField
from dynamics.vector_field.state import Observables, State

FloatArray = npt.NDArray[np.float64]

DRAWS, SAMPLES = 512, 32  # states drawn around the mean, and samples of the gradient in each state
DIFFERENCE = 1e-4  # relative size of a central difference
LARGEST = 0.5  # largest relative size of a drawn fluctuation, times the number of modes
VISIBLE = 0.1  # relative size to which smaller draws are enlarged; else noise hides the curvature of the map
LAG = 0.02  # largest share of the target's variance along inputs from which the encoder has turned away


class EigenmodeExpansion(Expansion):
    """Mean and covariance of the moments of networks, such as W W^T for encoder weights W, propagated step by step.

    Parameters
    ----------
    field : EigenmodeField
        Vector field of the model.
    initial : State
        Eigenmodes before the first step, (M,) for each dynamical variable.
    learning_rate : float
    batch_size, inputs : int
        Batch size B, and number of inputs N of the networks.
    """

    field: EigenmodeField

    def __init__(self, field: EigenmodeField, initial: State, learning_rate: float, batch_size: int, inputs: int):
        mean = of_state(initial)
        sizes = scales(mean)
        covariance = Blocks(*(np.zeros((*size.shape, size.shape[-1])) for size in sizes))
        super().__init__(field, mean, covariance, int(np.count_nonzero(initial.encoder)), learning_rate, batch_size)
        self.inputs, self.modes = inputs, len(initial.encoder)

    @property
    def observables(self) -> Observables:
        """The observables of a network whose ``Moments`` equal the mean over networks.

        A closed-form predictor is computed from the mean correlation, or from the mean tracked correlation if there is
        one.
        """
        seen = self.field.observables(eigenmodes(self.mean))
        return seen._replace(s=self.mean.correlation, target=seen.s if self.mean.target is None else self.mean.target)

    @property
    def eigenvalues(self) -> FloatArray:
        """Mean over networks of u_m . C u_m, (M,).

        C is the correlation of a network at the present step, and u_m are the eigenvectors of the correlation before
        the first step.
        """
        return np.asarray(self.mean.correlation, float)

    @property
    def slopes(self) -> FloatArray:
        """Derivatives (M, E) of the diagonal of C = W W^T with respect to the diagonals of all moments except T.

        The diagonals have E entries. W are the encoder weights, and T = V V^T is the moment of target weights V. C is
        itself one of the moments, so that all derivatives are 0 or 1.
        """
        return np.eye(self.modes, len(self.curved))

    @property
    def lag(self) -> FloatArray:
        """Share (M,) of the target's moment T = V V^T that is due to inputs which the encoder ignores.

        The share is 1 - X^2/(C T) with the diagonal entries of the moments C = W W^T, X = V W^T and T. W are the
        weights of the encoder, and V those of the target. The prediction leaves out the fluctuations of T, which grow
        with this share.
        """
        C, X, T = self.mean[:3]
        if X is None:
            return np.zeros(self.modes)
        return 1 - np.divide(X**2, C * T, out=np.ones_like(C), where=C * T > 0)

    def _judge(self) -> None:
        super()._judge()
        self.reliable = self.reliable and bool((self.lag <= LAG).all())

    # --- derivatives and noise of a step

    def _mapped(self) -> Moments:
        return of_state(self.field.step(eigenmodes(self.mean), self.learning_rate))

    def _entries(self, mean: Moments) -> FloatArray:
        return entries(mean)

    def _has_moved(self, at: FloatArray, share: float) -> bool:
        return bool((np.abs(self._flat() - at) > share * np.abs(at)).any())

    def _relative(self) -> list[FloatArray]:
        """Return the covariance of the moments in units of the moments' typical sizes (``scales``).

        The list has two matrices: one for the diagonal entries, and one for the pairs of modes (see ``Blocks``).
        SMALLEST^2 is added to the diagonal entries of the covariance, so that each moment has a variance above zero.
        """
        return [
            S / (size[..., :, None] * size[..., None, :]) + SMALLEST**2 * np.eye(size.shape[-1])
            for S, size in zip(self.covariance, scales(self.mean), strict=True)
        ]

    def _linearised(self) -> Linearisation:
        """Return the derivatives of a descent step with respect to the moments, and the noise of a step.

        Derivatives and noise are computed at the present mean of the moments.
        """
        import jax

        from dynamics.solvers.finite_batch.sampled_step import Batch, sampled_step

        structure, generated = self.field.structure, self.field.model.generated
        units, roots = self._draws()
        drawn = Blocks(*((root @ unit[..., None])[..., 0] for root, unit in zip(roots, units, strict=True)))
        largest = max(np.abs(a / b).max(initial=0.0) for a, b in zip(drawn, scales(self.mean), strict=True))
        share = float(min(max(1.0, VISIBLE / largest), LARGEST / self.modes / largest))
        states = neighbours(structure, self.field.parameters, self.mean, matrices(self.mean, drawn), share)
        chunk = samples_at_once(self.modes**2)
        columns = self.modes if self.mean.cross is None else 2 * self.modes
        views = self._views(DRAWS, SAMPLES, columns), self._views(NOISE_SAMPLES // chunk, chunk, columns)
        parameters = self.field.parameters.map(lambda a: float(a[0]))
        batch = Batch(float(self.batch_size), float(self.inputs))
        with jax_settings(x64=True):
            program = sampled_step(generated, structure.predictor == "learned")
            estimates = program(parameters, self.learning_rate, batch, states, share, *views, self.deviation)
            sampled = jax.tree.map(np.asarray, estimates)
        of_map, of_noise = (_slopes(odd, units, roots) for odd in (sampled.odd, sampled.odd_noise))
        if structure.predictor != "normalized":  # its descent map has a kink at equal largest modes
            of_map = of_map._replace(diagonal=self._of_eigenmodes())
        jacobian = Blocks(*map(np.add, of_map, of_noise))
        return Linearisation(self._flat(), self._spread(), jacobian, *sampled[2:])

    def _of_eigenmodes(self) -> FloatArray:
        """Return the Jacobian (E, E) of a descent step for the E diagonal entries of all moments except T.

        T = V V^T is the moment of target weights V. Entry (i, j) is the derivative of diagonal entry i after the step
        with respect to diagonal entry j before the step, computed as a central difference.
        """
        values, size = entries(self.mean), scales(self.mean).diagonal
        vanished = np.tile(self.mean.correlation == 0, len(size) // self.modes)  # modes without fluctuations
        step = DIFFERENCE * np.diag(np.where(vanished, 0.0, size))
        after = [
            entries(
                of_state(self.field.step(eigenmodes(diagonals(self.mean, values + sign * step)), self.learning_rate))
            )
            for sign in (1, -1)
        ]
        return ((after[0] - after[1]) / (2 * DIFFERENCE * size[:, None])).T

    def _draws(self) -> tuple[Blocks, Blocks]:
        """Return K standard normal draws, and a square root R of the covariance, each as ``Blocks``.

        R times a draw is a fluctuation of the moments. The draws are transformed such that their matrix of second
        moments, the mean over draws of the products of two entries, is exactly the identity.
        """
        units, roots = [], []
        for covariance, size in zip(self._relative(), scales(self.mean), strict=True):
            values, vectors = np.linalg.eigh(covariance)
            roots.append(size[..., None] * vectors * np.sqrt(np.maximum(values, SMALLEST**2))[..., None, :])
            normals = self.rng.standard_normal((DRAWS, *size.shape))
            second = np.einsum("k...a,k...b->...ab", normals, normals) / DRAWS
            units.append((np.linalg.inv(np.linalg.cholesky(second)) @ normals[..., None])[..., 0])
        return Blocks(*units), Blocks(*roots)

    def _views(self, *shape: int) -> list[FloatArray]:
        """Return new samples of both views, two arrays of shape ``shape``.

        Each call draws new samples, so that sampling errors average out along a trajectory.
        """
        p, x = self.field.parameters, self.rng.standard_normal(shape)
        return [x + sigma * self.rng.standard_normal(shape) if sigma.any() else x for sigma in (p.sigma1, p.sigma2)]


def _slopes(after: Blocks, units: Blocks, roots: Blocks) -> Blocks:
    """Return the derivatives of functions with respect to the moments, by linear regression on K network states.

    after: changes of the functions from their values at the mean, in the K states, (K, ...). units: K draws of standard
    normal numbers. roots: square roots of the covariances of the moments. The moments of a state deviate from the mean
    by ``roots`` times the draw of this state. The result has one matrix of derivatives, (functions, moments), for the
    diagonal entries, and one for each pair of modes.
    """
    products = (np.einsum("k...a,k...b->...ab", a, unit) / DRAWS for a, unit in zip(after, units, strict=True))
    return Blocks(*(product @ np.linalg.inv(root) for product, root in zip(products, roots, strict=True)))
