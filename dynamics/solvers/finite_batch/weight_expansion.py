"""Propagate the mean and the covariance of the weights of networks with correlated inputs, to first order in 1/B.

B is the batch size. The variables are the weights of the encoder and of a separate target, and the entries of a tracked
correlation, in one vector. The descent map f(mean) is a step of gradient descent, computed with the exact expectations
of the loss. The derivatives of f with respect to the variables are central differences of such steps. The covariance of
the gradient of a batch is estimated from samples (``gradient_noise``). The eigenvalues of the correlation follow from
the mean and the covariance of the weights (``eigenvalue_law``).
"""

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.linalg import block_diag

from dynamics.numerics.axes import NEGLIGIBLE
from dynamics.numerics.context import jax_settings
from dynamics.solvers.finite_batch.eigenvalue_law import EigenvalueLaw, along, of_eigenvalues
from dynamics.solvers.finite_batch.expansion import (
    NOISE_SAMPLES,
    SIZE,
    SMALLEST,
    Expansion,
    Linearisation,
    samples_at_once,
)
from dynamics.solvers.finite_batch.states import NetworkState
from dynamics.solvers.solutions import Fluctuations
from dynamics.vector_field import update, weight_state
from dynamics.vector_field.eigenmode_state import closed_form
from dynamics.vector_field.state import Forces, Observables, State, each
from dynamics.vector_field.weights import WeightField

FloatArray = npt.NDArray[np.float64]

DIFFERENCE = 1e-2  # size of a central difference, relative to the size of the representations
NO_VARIANCE = 1e-6  # lower bound on the variance of an input, relative to the largest variance of an input
DIRECTIONS = 32  # number of directions along which differences are computed at once


class Covariance(NamedTuple):
    """Covariance of all D variables as one block, (D, D)."""

    variables: Any


class WeightExpansion(Expansion):
    """Mean and covariance of the weights of networks, propagated step by step.

    Parameters
    ----------
    field : WeightField
        Vector field of the model.
    initial : State
        Weights before the first step, (M, N), and the tracked correlation, if the model has one.
    learning_rate : float
    batch_size : int
        Batch size B.
    """

    field: WeightField

    def __init__(self, field: WeightField, initial: State, learning_rate: float, batch_size: int):
        assert field.root is not None
        self.root, self.size = field.root, initial.encoder.size
        variances, directions = np.linalg.eigh(field.model.inputs)
        variances = variances + float(field.parameters.sigma1[0]) ** 2
        # root of the covariance of a view
        self.views = directions * np.sqrt(np.maximum(variances, NO_VARIANCE * variances.max()))
        # a second vector field, with quadrature nodes of its own
        self.exact = WeightField(field.model, field.closure, parameters=field.parameters)
        covariance = Covariance(np.zeros((len(_vectors(initial)), len(_vectors(initial)))))
        modes = int(np.linalg.matrix_rank(initial.encoder @ self.views))
        super().__init__(field, initial, covariance, modes, learning_rate, batch_size)
        self.start = np.linalg.svd(initial.encoder @ self.root, full_matrices=False)[0][:, ::-1]
        self.modes_reliable = self.reliable
        self.law, self.law_of_modes = self._laws()

    # --- eigenvalues

    def _laws(self) -> tuple[EigenvalueLaw, EigenvalueLaw]:
        """Return one ``EigenvalueLaw`` for the eigenvalues of the correlation C, and another for u_m . C u_m.

        C is the correlation of a network at the present step, and u_m are the eigenvectors of the correlation before
        the first step.
        """
        of_weights = self.mean.encoder, self._part(0), self.root
        return of_eigenvalues(*of_weights), along(self.start, *of_weights)

    @property
    def observables(self) -> Observables:
        """The predicted observables of networks.

        The eigenvalues of the correlation and of the target's correlation are means over networks. A closed-form
        predictor is computed from the mean eigenvalues, unless the model has a tracked correlation. All other
        observables are those of a network that has the mean weights.
        """
        seen, s = self.field.observables(self.mean), self.eigenvalues
        target = s if self.mean.target is None else of_eigenvalues(self.mean.target, self._part(1), self.root).mean
        structure = self.field.structure
        if structure.predictor != "none" and not structure.tracked:
            seen = seen._replace(predictor=closed_form(structure, self.field.parameters, s))
        return seen._replace(s=s, target=target)

    @property
    def eigenvalues(self) -> FloatArray:
        """Mean over networks of the eigenvalues of the correlation, in ascending order, (M,)."""
        return self.law.mean

    @property
    def slopes(self) -> FloatArray:
        """Derivatives (M, D) of the eigenvalues with respect to all D variables (weights, tracked correlation)."""
        return self._of_variables(self.law)

    @property
    def fluctuations(self) -> Fluctuations:
        """Fluctuations between networks: of the eigenvalues of the correlation C and of the variances u_m . C u_m.

        C is the correlation of a network at the present step, and u_m are the eigenvectors of the correlation before
        the first step.
        """
        deviation = self._deviation(self._of_variables(self.law_of_modes))
        of_modes = {"mode_mean": self.law_of_modes.mean, "mode_deviation": deviation}
        return super().fluctuations._replace(**of_modes, mode_reliable=self.modes_reliable)

    def _part(self, number: int) -> FloatArray:
        """Return the covariance (MN, MN) of encoder weights (``number`` 0) or of target weights (``number`` 1)."""
        entries = slice(number * self.size, (number + 1) * self.size)
        return np.asarray(self.covariance.variables[entries, entries], float)

    def _of_variables(self, law: EigenvalueLaw) -> FloatArray:
        """Return the derivatives (M, D) of the quantities of an ``EigenvalueLaw`` with respect to all D variables.

        The derivatives are zero for all variables except the weights of the encoder.
        """
        return np.pad(law.slopes, ((0, 0), (0, len(self.curved) - self.size)))

    def _judge(self) -> None:
        self.law, self.law_of_modes = self._laws()
        self.reliable = self.reliable and self.law.separate and self._follows(self.law)
        self.modes_reliable = self.modes_reliable and self._follows(self.law_of_modes)

    def _follows(self, law: EigenvalueLaw) -> bool:
        """Return True if first order in one over the batch size suffices for the quantities of an ``EigenvalueLaw``."""
        slopes = self._of_variables(law)
        curvature = slopes @ self.curved + law.direct + law.repelled
        alive = law.mean > NEGLIGIBLE * law.mean.max()
        small = law.direct <= SIZE**2 * law.mean
        return bool(small[alive].all()) and self._is_of_first_order(law.mean[alive], slopes[alive], curvature[alive])

    # --- derivatives and noise of a step

    def _mapped(self) -> State:
        return self.field.step(self.mean, self.learning_rate)

    def _entries(self, mean: State) -> FloatArray:
        return _vectors(mean)

    def _relative(self) -> list[FloatArray]:
        inverse = np.linalg.pinv(self._sizes())
        return [inverse @ self.covariance.variables @ inverse.T + SMALLEST**2 * np.eye(len(inverse))]

    @property
    def _is_trusted(self) -> bool:
        return self.reliable or self.modes_reliable

    def _has_moved(self, at: FloatArray, share: float) -> bool:
        return bool((np.abs(np.linalg.pinv(self._sizes()) @ (self._flat() - at)) > share).any())

    def _sizes(self) -> FloatArray:
        """Return typical sizes of the D variables, as a root S (D, R) of a covariance S S^T of rank R.

        With this covariance each mode would fluctuate by as much as its own size, and collapsed modes would not
        fluctuate. If all weights are zero, all sizes are 1.
        """
        U, w, _ = np.linalg.svd(self.mean.encoder @ self.views, full_matrices=False)
        modes = (U * w)[:, w**2 > NEGLIGIBLE * w[0] ** 2] if w[0] else U
        of_weights = np.kron(modes, np.linalg.inv(self.views).T)
        weights = [of_weights for part in self.mean[:2] if part is not None]
        return block_diag(*weights, *(() if self.mean.tracked is None else (np.kron(modes, modes),)))

    def _linearised(self) -> Linearisation:
        relative, sizes = self._relative()[0], self._sizes()
        values, directions = np.linalg.eigh(relative)
        odd, second = self._differences((sizes @ directions).T)
        jacobian = odd.T @ directions.T @ np.linalg.pinv(sizes)
        curved = _state(self.mean, 0.5 * values @ second)
        added, noise, jumps = self._noise()
        return Linearisation(
            self._flat(), self._spread(), Covariance(jacobian), curved, added, Covariance(noise), jumps
        )

    def _differences(self, directions: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return first and second derivatives (K, D) of the variables after a step, along each of K directions.

        directions: K changes of the D variables before the step, (K, D).
        """
        at, first, second = self._flat(), [], []
        for start in range(0, len(directions), DIRECTIONS):
            steps = DIFFERENCE * directions[start : start + DIRECTIONS]
            states = np.concatenate([at + steps, at - steps, at[None]])
            after = _vectors(self.exact.step(_state(self.mean, states), self.learning_rate), 1)
            ahead, behind, still = after[: len(steps)], after[len(steps) : -1], after[-1]
            first.append((ahead - behind) / (2 * DIFFERENCE))
            second.append((ahead + behind - 2 * still) / DIFFERENCE**2)
        return np.concatenate(first), np.concatenate(second)

    def _noise(self) -> tuple[State, FloatArray, FloatArray]:
        """Return three effects of the noise of a batch on the variables after a step.

        The effects are the change of the mean variables, the covariance of the variables over batches, and the part of
        this covariance that is due to single samples with large gradients (see ``GradientNoise``).
        """
        import jax

        from dynamics.solvers.finite_batch.gradient_noise import gradient_noise

        structure, p = self.field.structure, self.field.parameters
        force = self.exact.forces(self.mean).encoder
        state = NetworkState(self.mean)
        if structure.predictor != "none":
            U, _, lam = weight_state.eigenbasis(structure, p, self.mean, self.root)
            state = NetworkState(self.mean, U, lam)
        laws = self.law, self.law_of_modes
        deviation = np.concatenate([self._deviation(self._of_variables(law)) for law in laws])
        of_force = np.concatenate([self.learning_rate * law.slopes for law in laws])
        with jax_settings(x64=True):
            program = gradient_noise(self.field.model.generated)
            parameters = p.map(lambda a: float(a[0]))
            estimates = program(parameters, float(self.batch_size), state, self._views(), of_force, deviation)
            sampled = jax.tree.map(np.asarray, estimates)
        if not all(np.isfinite(a).all() for a in sampled):
            raise FloatingPointError("the gradient of a sample is not finite")
        added, noise = self._taken_up(force, sampled.covariance)
        return added, noise, self._taken_up(force, sampled.jumps)[1]

    def _taken_up(self, force: FloatArray, covariance: FloatArray) -> tuple[State, FloatArray]:
        """Return (change of the mean variables, covariance of the variables) after a step whose gradient fluctuates.

        force: mean negative gradient, (M, N). covariance: covariance of the force, (MN, MN). The variables after a step
        are a polynomial of degree two in the force, so that central differences of any size are exact.
        """
        values, vectors = np.linalg.eigh((covariance + covariance.T) / 2)
        roots = (vectors * np.sqrt(np.maximum(values, 0.0))).T.reshape(-1, *force.shape)

        def after(forces: FloatArray) -> FloatArray:
            before = each(lambda part: np.broadcast_to(part, (len(forces), *part.shape)), self.mean)
            field = self.field
            following = update.step(before, Forces(forces), field.broadcast, self.learning_rate, field.correlation)
            return _vectors(following, 1)

        ahead, behind, still = after(force + roots), after(force - roots), after(force[None])
        odd = (ahead - behind) / 2
        return _state(self.mean, ((ahead + behind) / 2 - still).sum(axis=0)), odd.T @ odd

    def _views(self) -> tuple[FloatArray, ...]:
        """Return new samples of both views, each an array (chunks, samples, N).

        Each call draws new samples, so that sampling errors average out along a trajectory.
        """
        p, chunk = self.field.parameters, samples_at_once(self.size)
        shape = NOISE_SAMPLES // chunk, chunk, len(self.root)
        x = self.rng.standard_normal(shape) @ self.root
        return tuple(x + s * self.rng.standard_normal(shape) if s.any() else x for s in (p.sigma1, p.sigma2))


def _vectors(state: State, leading: int = 0) -> FloatArray:
    """Return the variables of states, joined in vectors (..., D).

    leading: number of leading axes of each variable, the axes (...) of the vectors.
    """
    parts = [part.reshape(*part.shape[:leading], -1) for part in state if part is not None]
    return np.concatenate(parts, axis=-1)


def _state(like: State, vectors: FloatArray) -> State:
    """Return the states whose variables are ``vectors`` (..., D). like: a state with variables of the same shapes."""
    ends = np.cumsum([part.size for part in like if part is not None])
    parts = iter(np.split(vectors, ends[:-1], axis=-1))
    return each(lambda part: next(parts).reshape(*vectors.shape[:-1], *part.shape), like)
