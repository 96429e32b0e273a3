r"""Networks at a finite batch size: the mean of their moments, and the covariance of the fluctuations around it.

A step of stochastic gradient descent changes the moments of a network (``moments``) by the descent map f and by
the noise of a batch of B samples. To first order in 1/B, mean and covariance of the moments obey

    mean <- f(mean) + 1/2 f'' : Sigma + D,    Sigma <- f' Sigma f'^T + Q

Q is the covariance of the noise. D = eta^2/B (E[v v^T] - F F^T), for the gradient v of a sample with the mean F and the
learning rate eta, is what noise adds to C = W W^T. It grows with the number of inputs N, because the gradient has
noise along every input. f(mean) is the step of eigenmodes, with the expectations of their closure; derivatives and
noise are means over samples (``sampled_step``).
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from dynamics.numerics.context import jax_settings
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
from dynamics.vector_field.state import Observables, State, each

FloatArray = npt.NDArray[np.float64]

DRAWS, SAMPLES = 512, 32  # states drawn around the mean, and samples of the gradient in each
NOISE_SAMPLES = 65_536  # samples of the gradient for the noise of a step
AT_ONCE = 4096, 2**20  # of them that are computed at once: at most so many, and so many numbers divided by M^2
REFRESH = 0.04  # relative change of the mean after which derivatives and noise are computed anew
GROWTH = 0.2  # relative change of the covariance after which they are
DIFFERENCE = 1e-4  # relative size of a central difference
SMALLEST, LARGEST = 1e-4, 0.5  # relative size of a drawn fluctuation; its largest size is divided by the modes
VISIBLE = 0.1  # relative size up to which draws are enlarged: the map's curvature is hidden by noise in smaller ones

ROUNDING = 1e-12  # relative change of the mean that is due to rounding

# Limits within which first order in 1/B suffices, chosen with the settings of docs/finite_batches.md.
SIZE = 0.5  # standard deviation of an eigenvalue, relative to its mean
CURVATURE = 1.0  # change of the mean due to curvature, relative to the standard deviation
LAG = 0.02  # share of the target's variance for inputs that the encoder has turned away from
JUMPS = 0.2  # share of the variance that is due to single samples


class Linearisation(NamedTuple):
    """Derivatives of the map at a mean, and the noise of a step.

    at, spread: mean moments, and sum of relative variances, for which they were computed. jacobian: derivative of the
    map for both blocks of fluctuations. curved, added: diagonals (M,) that the curvature of the map, and noise, add to
    the mean moments. noise: covariance that a step adds. jumps: part of its diagonal block due to single samples.
    """

    at: FloatArray
    spread: float
    jacobian: Blocks
    curved: Moments
    added: Moments
    noise: Blocks
    jumps: FloatArray


class FiniteBatch:
    """Mean and covariance of the moments of networks, propagated step by step.

    Parameters
    ----------
    field : EigenmodeField
        Vector field of the model.
    initial : State
        Eigenmodes before the first step, each part (M,).
    learning_rate : float
    batch_size, inputs : int
        B and N.
    """

    def __init__(self, field: EigenmodeField, initial: State, learning_rate: float, batch_size: int, inputs: int):
        self.field, self.learning_rate, self.batch_size, self.inputs = field, learning_rate, batch_size, inputs
        self.rng = np.random.default_rng(0)
        self.mean = of_state(initial)
        self.modes = len(initial.encoder)
        sizes = scales(self.mean)
        self.covariance = Blocks(*(np.zeros((*size.shape, size.shape[-1])) for size in sizes))
        self.curved = np.zeros(sizes.diagonal.shape)  # part of the mean that is due to curvature
        self.jumps = np.zeros(self.covariance.diagonal.shape)  # part of the covariance that is due to single samples
        noiseless = not (field.parameters.sigma1.any() or field.parameters.sigma2.any())
        exists = field.model.generated.moment_exists(
            2, int(np.count_nonzero(initial.encoder)), quantity="weights", noiseless=noiseless
        )
        self.reliable = bool(exists)  # without a variance of the gradient there is no first order
        self.linearisation: Linearisation | None = None

    def advance(self) -> None:
        """Propagate mean and covariance by one step; raises FloatingPointError if the expansion breaks down."""
        if self.linearisation is None or self._is_outdated(self.linearisation):
            self.linearisation = self._sampled()
        near = self.linearisation
        growth, J = self._spread() / near.spread, near.jacobian.diagonal
        curved = each(lambda values: growth * values, near.curved)
        after = of_state(self.field.step(eigenmodes(self.mean), self.learning_rate))
        self.mean = each(lambda *terms: sum(terms), after, curved, near.added)
        self.curved = J @ self.curved + entries(curved)
        self.jumps = J @ self.jumps @ J.T + near.jumps
        self.covariance = Blocks(
            *(J @ S @ J.mT + Q for J, S, Q in zip(near.jacobian, self.covariance, near.noise, strict=True))
        )
        values = (self._flat(), *self.covariance)
        if not (all(np.isfinite(a).all() for a in values) and (self.mean.correlation >= 0).all()):
            raise FloatingPointError("the fluctuations at this batch size are as large as the eigenvalues")
        self.reliable = self.reliable and self._is_of_first_order()

    @property
    def observables(self) -> Observables:
        """The observables of the mean moments; of a closed-form predictor, those of the mean correlation."""
        seen = self.field.observables(eigenmodes(self.mean))
        return seen._replace(s=self.mean.correlation, target=seen.s if self.mean.target is None else self.mean.target)

    @property
    def deviation(self) -> FloatArray:
        """Standard deviation of u_m . C u_m over networks, (M,)."""
        return np.sqrt(np.diagonal(self.covariance.diagonal)[: self.modes])

    @property
    def lag(self) -> FloatArray:
        """Share of T that does not follow from C and X, (M,): its fluctuations, which are left out, grow with it."""
        C, X, T = self.mean[:3]
        if X is None:
            return np.zeros(self.modes)
        return 1 - np.divide(X**2, C * T, out=np.ones_like(C), where=C * T > 0)

    def _is_of_first_order(self) -> bool:
        """Return True if fluctuations are small, nearly normal, and their effect on the mean is small against them."""
        s, deviation = self.mean.correlation, self.deviation
        jumps = np.diagonal(self.jumps)[: self.modes]
        small = deviation <= SIZE * s
        normal = jumps <= JUMPS * deviation**2
        straight = np.abs(self.curved[: self.modes]) <= CURVATURE * deviation + ROUNDING * s
        return bool((small & normal & straight & (self.lag <= LAG)).all())

    # --- derivatives and noise of a step

    def _is_outdated(self, near: Linearisation) -> bool:
        moved = np.abs(self._flat() - near.at) > REFRESH * np.abs(near.at)
        return bool(moved.any()) or abs(self._spread() / near.spread - 1) > GROWTH

    def _flat(self) -> FloatArray:
        return np.concatenate([part for part in self.mean if part is not None])

    def _relative(self) -> list[FloatArray]:
        """Return the covariances relative to the natural sizes of the moments, plus that of the smallest draws."""
        return [
            S / (size[..., :, None] * size[..., None, :]) + SMALLEST**2 * np.eye(size.shape[-1])
            for S, size in zip(self.covariance, scales(self.mean), strict=True)
        ]

    def _spread(self) -> float:
        return sum(float(np.trace(S, axis1=-2, axis2=-1).sum()) for S in self._relative())

    def _sampled(self) -> Linearisation:
        """Compute derivatives and noise at the present mean."""
        import jax

        from dynamics.solvers.finite_batch.sampled_step import Batch, sampled_step

        structure, generated = self.field.structure, self.field.model.generated
        units, roots = self._draws()
        drawn = Blocks(*((root @ unit[..., None])[..., 0] for root, unit in zip(roots, units, strict=True)))
        largest = max(np.abs(a / b).max(initial=0.0) for a, b in zip(drawn, scales(self.mean), strict=True))
        share = float(min(max(1.0, VISIBLE / largest), LARGEST / self.modes / largest))
        states = neighbours(structure, self.field.parameters, self.mean, matrices(self.mean, drawn), share)
        chunk = _power_of_two(min(AT_ONCE[0], AT_ONCE[1] // self.modes**2))
        columns = self.modes if self.mean.cross is None else 2 * self.modes
        views = self._views(DRAWS, SAMPLES, columns), self._views(NOISE_SAMPLES // chunk, chunk, columns)
        parameters = self.field.parameters.map(lambda a: float(a[0]))
        batch = Batch(float(self.batch_size), float(self.inputs))
        with jax_settings(x64=True):
            program = sampled_step(generated, structure.predictor == "learned")
            estimates = program(parameters, self.learning_rate, batch, states, share, *views, self.deviation)
            sampled = jax.tree.map(np.asarray, estimates)
        of_map, of_noise = (_slopes(odd, units, roots) for odd in (sampled.odd, sampled.odd_noise))
        if structure.predictor != "normalized":  # whose map has a kink where the largest modes are equal
            of_map = of_map._replace(diagonal=self._of_eigenmodes())
        jacobian = Blocks(*map(np.add, of_map, of_noise))
        return Linearisation(self._flat(), self._spread(), jacobian, *sampled[2:])

    def _of_eigenmodes(self) -> FloatArray:
        """Return the derivative of the map of eigenmodes by central differences, (E, E)."""
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
        """Return normals (K, ...) with second moments of exactly 1, and roots of the covariances of both blocks."""
        units, roots = [], []
        for covariance, size in zip(self._relative(), scales(self.mean), strict=True):
            values, vectors = np.linalg.eigh(covariance)
            roots.append(size[..., None] * vectors * np.sqrt(np.maximum(values, SMALLEST**2))[..., None, :])
            normals = self.rng.standard_normal((DRAWS, *size.shape))
            second = np.einsum("k...a,k...b->...ab", normals, normals) / DRAWS
            units.append((np.linalg.inv(np.linalg.cholesky(second)) @ normals[..., None])[..., 0])
        return Blocks(*units), Blocks(*roots)

    def _views(self, *shape: int) -> list[FloatArray]:
        """Draw both views; new ones at each refresh, so that sampling errors average out along a trajectory."""
        p, x = self.field.parameters, self.rng.standard_normal(shape)
        return [x + sigma * self.rng.standard_normal(shape) if sigma.any() else x for sigma in (p.sigma1, p.sigma2)]


def _slopes(after: Blocks, units: Blocks, roots: Blocks) -> Blocks:
    """Return the derivatives of values (K, ...) at states whose deviations are roots times units."""
    products = (np.einsum("k...a,k...b->...ab", a, unit) / DRAWS for a, unit in zip(after, units, strict=True))
    return Blocks(*(product @ np.linalg.inv(root) for product, root in zip(products, roots, strict=True)))


def _power_of_two(number: int) -> int:
    """Return the largest power of two that is not above a number."""
    return 1 << (number.bit_length() - 1)
