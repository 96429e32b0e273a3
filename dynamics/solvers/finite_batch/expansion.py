r"""Propagate the mean and the covariance of the variables of networks that are trained with finite batches.

A step of stochastic gradient descent changes the variables of a network by the descent map f and by the noise of a
batch of B samples. To first order in 1/B, the mean of the variables and their covariance Sigma obey

    mean <- f(mean) + 1/2 f'' : Sigma + D,    Sigma <- f' Sigma f'^T + Q

f' and f'' are the first and second derivatives of f with respect to the variables, and f'' : Sigma is the sum of the
second derivatives times the entries of Sigma. The noise of a batch changes the variables by D on average, and Q is the
covariance of this change. For white inputs the variables are second moments of the weights (``eigenmode_expansion``).
For correlated inputs the variables are the weights (``weight_expansion``).
"""

from abc import ABC, abstractmethod
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from dynamics.solvers.solutions import Fluctuations
from dynamics.vector_field.base import VectorField
from dynamics.vector_field.state import Observables, each

FloatArray = npt.NDArray[np.float64]

NOISE_SAMPLES = 65_536  # samples of the gradient for the noise of a step
AT_ONCE = 4096, 2**17  # largest number of samples that are computed at once, and of numbers in them, which fit in cache
REFRESH = 0.04  # relative change of the mean after which derivatives and noise are computed anew
GROWTH = 0.2  # relative change of the covariance after which derivatives and noise are computed anew
UNRELIABLE = 5.0  # factor of REFRESH and GROWTH once the prediction is not reliable
SMALLEST = 1e-4  # relative size of the smallest fluctuation for which derivatives are computed
ROUNDING = 1e-12  # relative change of an eigenvalue that is due to rounding

# Limits within which first order in 1/B suffices, chosen with the settings of docs/finite_batches.md.
SIZE = 0.5  # standard deviation of an eigenvalue, relative to the mean of this eigenvalue
CURVATURE = 1.0  # change of the mean due to the curvature of f, relative to the standard deviation
JUMPS = 0.2  # share of the variance that is due to single samples


class Linearisation(NamedTuple):
    """Derivatives of a descent step with respect to the variables, and noise of a step, at one mean of the variables.

    The variables form blocks; variables of different blocks do not correlate. at: the mean of the variables. spread:
    sum of the variances of all variables, each in units of the squared size of its variable. jacobian: first
    derivatives of the map, one matrix for each block. curved: change of the mean by the curvature of the map. added:
    change of the mean by the noise. noise: covariance that the noise of a step adds, one matrix for each block. jumps:
    part of the first matrix in ``noise`` that is due to single samples with large gradients.
    """

    at: FloatArray
    spread: float
    jacobian: Any
    curved: Any
    added: Any
    noise: Any
    jumps: FloatArray


class Expansion(ABC):
    """Mean and covariance of the variables of networks, propagated step by step.

    Parameters
    ----------
    field : VectorField
        Vector field of the model.
    mean : named tuple
        Mean of the variables before the first step; None in place of a variable that the model does not have.
    covariance : named tuple
        Covariance of each block of variables before the first step, which is zero. Variables of different blocks do not
        correlate. The first block contains the variables that determine the eigenvalues.
    modes : int
        Number of modes with an eigenvalue above zero.
    learning_rate : float
    batch_size : int
        Batch size B.
    """

    def __init__(
        self, field: VectorField, mean: Any, covariance: Any, modes: int, learning_rate: float, batch_size: int
    ):
        self.field, self.learning_rate, self.batch_size = field, learning_rate, batch_size
        self.rng = np.random.default_rng(0)
        self.mean, self.covariance = mean, covariance
        self.curved = np.zeros(len(covariance[0]))  # part of the mean that is due to curvature
        self.jumps = np.zeros(covariance[0].shape)  # part of the covariance that is due to single samples
        noiseless = not (field.parameters.sigma1.any() or field.parameters.sigma2.any())
        exists = field.model.generated.moment_exists(2, modes, quantity="weights", noiseless=noiseless)
        self.reliable = bool(exists)  # without a finite variance of the gradient, there is no expansion in 1/B
        self.linearisation: Linearisation | None = None

    def advance(self) -> None:
        """Propagate mean and covariance by one step.

        Raises FloatingPointError if the fluctuations are as large as the eigenvalues.
        """
        spread = self._spread()
        if self.linearisation is None or self._is_outdated(self.linearisation, spread):
            self.linearisation = self._linearised()
        near = self.linearisation
        growth, J = spread / near.spread, near.jacobian[0]
        curved = each(lambda values: growth * values, near.curved)
        self.mean = each(lambda *terms: sum(terms), self._mapped(), curved, near.added)
        self.curved = J @ self.curved + self._entries(curved)
        self.jumps = J @ self.jumps @ J.T + near.jumps
        self.covariance = each(lambda J, S, Q: J @ S @ J.mT + Q, near.jacobian, self.covariance, near.noise)
        values = (self._flat(), *(S for S in self.covariance if S is not None))
        if finite := all(np.isfinite(a).all() for a in values):
            self._judge()
        if not (finite and (self.eigenvalues >= 0).all()):
            raise FloatingPointError("the fluctuations at this batch size are as large as the eigenvalues")

    @property
    @abstractmethod
    def observables(self) -> Observables:
        """The predicted means of the observables over networks."""

    @property
    @abstractmethod
    def eigenvalues(self) -> FloatArray:
        """Mean over networks of the eigenvalues of the correlation, (M,)."""

    @property
    @abstractmethod
    def slopes(self) -> FloatArray:
        """Derivatives (M, E) of the eigenvalues with respect to the E variables of the first block."""

    @property
    def deviation(self) -> FloatArray:
        """Standard deviation over networks of the eigenvalues, (M,)."""
        return self._deviation(self.slopes)

    @property
    def fluctuations(self) -> Fluctuations:
        """Standard deviation of the eigenvalues over networks, and a flag: True if the prediction is reliable."""
        return Fluctuations(self.deviation, self.reliable)

    def _deviation(self, slopes: FloatArray) -> FloatArray:
        """Return the standard deviations (M,) over networks of M functions of the variables, such as the eigenvalues.

        slopes: derivatives of the functions with respect to the E variables of the first block, (M, E).
        """
        return np.sqrt(variances(slopes, self.covariance[0]))

    def _judge(self) -> None:
        """Set ``reliable`` to False if the expansion to first order in one over the batch size fails at this step."""
        first_order = self._is_of_first_order(self.eigenvalues, self.slopes, self.slopes @ self.curved)
        self.reliable = self.reliable and first_order

    def _is_of_first_order(self, s: FloatArray, slopes: FloatArray, curvature: FloatArray) -> bool:
        """Return True if an expansion to first order in one over the batch size describes M functions of variables.

        Three conditions must hold. The fluctuations of the functions are small relative to their means. The
        fluctuations are nearly normal: single samples with large gradients contribute only a small part of the
        variance. The curvature of the descent map changes the means by less than about a standard deviation. s: means
        of the functions, such as eigenvalues, (M,). slopes: derivatives of the functions with respect to the E
        variables of the first block, (M, E). curvature: change of the means by the curvature, (M,).
        """
        deviation = self._deviation(slopes)
        small = deviation <= SIZE * s
        normal = variances(slopes, self.jumps) <= JUMPS * deviation**2 + (ROUNDING * s) ** 2
        straight = np.abs(curvature) <= CURVATURE * deviation + ROUNDING * s
        return bool((small & normal & straight).all())

    # --- derivatives and noise of a step

    @abstractmethod
    def _mapped(self) -> Any:
        """Return the mean of the variables after a step of the descent map, without noise and curvature."""

    @abstractmethod
    def _linearised(self) -> Linearisation:
        """Return the derivatives of a descent step with respect to the variables, and the noise of a step.

        Derivatives and noise are computed at the present mean of the variables.
        """

    @abstractmethod
    def _entries(self, mean: Any) -> FloatArray:
        """Return the values (E,) of the E variables that belong to the first block.

        mean: values of the variables of all blocks.
        """

    @abstractmethod
    def _relative(self) -> list[FloatArray]:
        """Return the covariance of each block in units of the variables' sizes, plus SMALLEST^2 times the identity.

        In these units a fluctuation as large as the typical size of its variable has the variance 1.
        """

    @abstractmethod
    def _has_moved(self, at: FloatArray, share: float) -> bool:
        """Return True if the mean of a variable has changed by more than ``share`` times the size of the variable.

        at: earlier means of all variables, with which the present means are compared.
        """

    @property
    def _is_trusted(self) -> bool:
        """True as long as a part of the prediction is reliable."""
        return self.reliable

    def _is_outdated(self, near: Linearisation, spread: float) -> bool:
        factor = 1.0 if self._is_trusted else UNRELIABLE
        return self._has_moved(near.at, factor * REFRESH) or abs(spread / near.spread - 1) > factor * GROWTH

    def _flat(self) -> FloatArray:
        return np.concatenate([part.ravel() for part in self.mean if part is not None])

    def _spread(self) -> float:
        return sum(float(np.trace(S, axis1=-2, axis2=-1).sum()) for S in self._relative())


def variances(slopes: FloatArray, covariance: FloatArray) -> FloatArray:
    """Return the variances (...) of functions of E random variables, to first order in the covariance.

    slopes: derivatives of the functions with respect to the variables, (..., E). covariance: covariance of the
    variables, (E, E).
    """
    return np.maximum(((slopes @ covariance) * slopes).sum(axis=-1), 0.0)


def samples_at_once(numbers: int) -> int:
    """Return the number of samples to compute at once, a power of two.

    numbers: count of floating-point numbers that a sample consists of.
    """
    return 1 << (min(AT_ONCE[0], AT_ONCE[1] // numbers).bit_length() - 1)
