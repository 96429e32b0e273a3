r"""Fluctuations of networks around the descent map at a finite batch size: the linear noise approximation.

One step with learning rate eta moves the singular value w_m of a mode by eta times the mean over the batch of the
force q_m = g_m zeta1_m + h_m zeta2_m. zeta1, zeta2 are the views along the input directions of the modes, z = w zeta;
g, h are -dL/dz of the two views. The eigenvalue lambda_m of a learned predictor moves by eta a_P times the mean of
-dL/dlambda_m, with its relative learning rate a_P. The covariance Q of these forces is computed for Gaussian inputs, by
Monte Carlo over the derived per-sample forces. The covariance P of the state obeys P <- J P J^T + B (Q/batch) B^T,
where J and B are the derivatives of the descent map with respect to state and forces.
"""

from typing import Any

import numpy as np
import numpy.typing as npt

from dynamics.generated import eigenvalues
from dynamics.vector_field.eigenmode_state import spectrum
from dynamics.vector_field.eigenmodes import EigenmodeField
from dynamics.vector_field.monte_carlo import sampled_forces
from dynamics.vector_field.state import State

SAMPLES = 20_000  # samples of the forces, for an error of the deviation of about 1 %
CHUNK = 2_000  # samples that are computed at once and stay in the cache
REFRESH = 0.02  # relative change of the state after which J and Q are computed anew
DIFFERENCE = 1e-4  # relative size of a central difference
ROTATIONS = 32  # random bases in which differences are taken, if the map has kinks


class Fluctuations:
    """Covariance of the state of one trajectory, propagated with the descent map."""

    def __init__(self, rates: EigenmodeField, learning_rate: float, batch_size: int):
        self.rates, self.learning_rate, self.batch_size = rates, learning_rate, batch_size
        self.rng = np.random.default_rng(0)
        self.covariance: npt.NDArray[np.float64] | None = None
        self.at: npt.NDArray[np.float64] | None = None  # the state at which jacobian and noise were computed

    def advance(self, state: State) -> None:
        """Propagate the covariance over the step that starts in this state, whose parts are (M,)."""
        flat = _flat(state)
        if self.covariance is None:
            self.covariance = np.zeros((len(flat), len(flat)))
        if self.at is None or (np.abs(flat - self.at) > REFRESH * np.abs(self.at)).any():
            self.at, self.jacobian, self.noise = flat, self._jacobian(state), self._noise(state)
        self.covariance = self.jacobian @ self.covariance @ self.jacobian.T + self.noise

    def deviation(self, state: State) -> npt.NDArray[np.float64]:
        """Return the standard deviation of s_m = w_m^2 in this state, (M,)."""
        modes = len(state.encoder)
        variance = np.zeros(modes) if self.covariance is None else np.diag(self.covariance)[:modes]
        return 2 * np.abs(state.encoder) * np.sqrt(variance)

    def _jacobian(self, state: State) -> npt.NDArray[np.float64]:
        """Return d step(state)/d state, by central differences.

        A predictor that divides by the largest of nearly equal eigenvalues gives the map a kink. The effective slope is
        then a mean over the fluctuations: differences have the size of the fluctuations, and random directions.
        """
        flat = _flat(state)
        size, directions = DIFFERENCE * np.where(flat == 0, 1.0, np.abs(flat)), np.eye(len(flat))[None]
        if self.rates.structure.predictor == "normalized":
            assert self.covariance is not None
            size = np.maximum(size, np.sqrt(np.diag(self.covariance)))
            directions = np.linalg.qr(self.rng.standard_normal((ROTATIONS, len(flat), len(flat))))[0]
        moved = size * directions
        after, before = (_flat(self._step(_like(state, flat + sign * moved))) for sign in (1, -1))
        slopes = directions.mT @ ((after - before) / 2)  # sum over directions q of q (d/dq)^T
        return (slopes.mean(axis=0) / size[:, None]).T

    def _step(self, state: State) -> State:
        return self.rates.step(state, self.learning_rate)

    def _noise(self, state: State) -> npt.NDArray[np.float64]:
        """Return the covariance of the change of the state in a step, over batches."""
        mean, square, after = 0.0, 0.0, self._step(state)
        for _ in range(SAMPLES // CHUNK):
            added = _flat(self._added(state, after, *self._views(len(state.encoder))))
            mean, square = mean + added.sum(axis=0) / SAMPLES, square + added.T @ added / SAMPLES
        return (square - np.outer(mean, mean)) / self.batch_size

    def _added(
        self, state: State, after: State, zeta1: npt.NDArray[np.float64], zeta2: npt.NDArray[np.float64]
    ) -> State:
        """Return the change of the state in a step whose batch is a single sample; each part is (samples, M)."""
        structure, p, learned = self.rates.structure, self.rates.parameters, self.rates.structure.predictor == "learned"
        _, lam, ratio = spectrum(structure, p, state)
        generated = self.rates.model.generated
        force, *on_predictor = sampled_forces(generated, state.encoder, lam, ratio, p, zeta1, zeta2, learned)
        shift = self.learning_rate * force
        return State(
            shift,
            target=eigenvalues.average_step(0.0, shift, p.decay) if structure.separate_target else None,
            predictor=self.learning_rate * p.rate_ratio * on_predictor[0] if learned else None,
            tracked=eigenvalues.average_step(0.0, 2 * after.encoder * shift, p.tracking) if structure.tracked else None,
        )

    def _views(self, modes: int) -> list[npt.NDArray[np.float64]]:
        """Draw new views (CHUNK, M) for each state, so that sampling errors average out along a trajectory."""
        p, x = self.rates.parameters, self.rng.standard_normal((CHUNK, modes))
        return [x + sigma * self.rng.standard_normal(x.shape) if sigma.any() else x for sigma in (p.sigma1, p.sigma2)]


def _flat(state: State) -> npt.NDArray[Any]:
    """Concatenate the parts of a state, (..., parts * M)."""
    return np.concatenate([part for part in state if part is not None], axis=-1)


def _like(state: State, flat: npt.NDArray[np.float64]) -> State:
    """Split concatenated parts into states like the given one."""
    parts = iter(np.split(flat, flat.shape[-1] // len(state.encoder), axis=-1))
    return State(*(None if part is None else next(parts) for part in state))
