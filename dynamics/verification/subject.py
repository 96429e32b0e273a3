"""Prepare a model for ``check``: draw samples of representations, and compute the losses and gradients of the samples.

z1 and z2 (B, M) are the representations of the two views, for B samples and M modes. lam (M,) are the eigenvalues of
the predictor W_P.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Any, NoReturn

import numpy as np
import numpy.typing as npt

from dynamics import errors
from dynamics.model.model import Model
from dynamics.numerics.context import jax_settings
from dynamics.presentation.text import counted
from dynamics.vector_field.eigenmode_state import spectrum
from dynamics.vector_field.eigenmodes import EigenmodeField

Array = npt.NDArray[np.float64]

SAMPLES = 200_000  # number of samples in the means that are compared with the derived rates
ROUNDING = 1e-9  # relative rounding error of derivatives: condition numbers of random representations times eps
CHANCE = 4.5  # limit of a deviation in standard errors
BY_CHANCE = "exceeded by chance once in 30 000 runs"  # chance for the largest of a few modes
STANDARD_ERRORS = "deviation in standard errors {}"
SLOWEST = 1e-2  # lower bound of the largest rate, from which learning rates follow, relative to the terms of a rate
LEAST = 0.1  # absolute lower bound of the largest rate


@dataclass(frozen=True)
class LevelCheck:
    """One check of a model: the deviation between two results that should agree, and the largest allowed deviation.

    Parameters
    ----------
    name : str
        Name of the check.
    against : str
        Description of the two results that are compared, or the reason why the check does not apply.
    deviation, limit : float, optional
        Measured deviation, and largest allowed deviation; None if the check does not apply to the model.
    quantity : str
        What was measured, with its unit and value; the argument has {} in place of the value. Empty if the check does
        not apply to the model.
    bound : str
        Where the limit comes from.
    """

    name: str
    against: str
    deviation: float | None = None
    limit: float | None = None
    quantity: str = "relative deviation {}"
    bound: str = ""

    def __post_init__(self) -> None:
        """Write the deviation into the text that states what was measured."""
        measured = "" if self.deviation is None else self.quantity.format(f"{self.deviation:.2g}")
        object.__setattr__(self, "quantity", measured)

    @property
    def passed(self) -> bool:
        """True if the deviation is within its limit, or if the check does not apply to the model."""
        return self.deviation is None or bool(self.deviation <= (self.limit or 0.0))

    @property
    def verdict(self) -> str:
        """The result of the check in words; "ok" if the results agree, "NO" if not, and "--" if it does not apply."""
        if self.deviation is None:
            return f"--  {self.against}"
        measured = f"{self.quantity}, at most {self.limit:.2g}"
        source = f" ({self.bound})" if self.bound else ""
        return f"{'ok' if self.passed else 'NO'}  {self.against}: {measured}{source}"

    def __str__(self) -> str:
        return self.verdict


class Subject:
    """A model that is checked at correlation eigenvalues s0 (M,), with random samples for the check of the loss."""

    def __init__(self, model: Model, s0: Array, seed: int):
        self.model, self.s0, self.seed, self.generated = model, s0, seed, model.generated
        self.rng = np.random.default_rng(seed)
        self.closure = "gaussian" if self.generated.no_closure is None else "monte_carlo"
        self.field = EigenmodeField(model, self.closure)
        self.state = self.field.start(s0)
        self.lam: Array = spectrum(model.structure, self.field.parameters, self.state).lam
        self.learned = model.structure.predictor == "learned"
        self.loss_parameters = [float(value[0]) for value in model.parameters.of_loss]

    def representations(self, count: int) -> list[Array]:
        """Draw representations (count, M) of two views of the same inputs, whose moments the model prescribes."""
        views = self.model.parameters.views(*self.rng.standard_normal((3, count, len(self.s0))))
        return [np.sqrt(self.s0) * view for view in views]

    def independent_representations(self) -> tuple[Array, Array, Array]:
        """Draw representations z1 and z2 (50, M) that are independent of each other, and predictor eigenvalues (M,).

        The predictor eigenvalues are random, between 0.5 and 1.5 times the predictor eigenvalues of the model.
        """
        z1, z2 = np.sqrt(self.s0) * self.rng.standard_normal((2, 50, len(self.s0)))
        return z1, z2, self.lam * self.rng.uniform(0.5, 1.5, len(self.s0))

    def loss(self, z1: Any, z2: Any, lam: Any, basis: Any = None) -> Array:
        """Return the loss (B,) of each of B samples with representations z1, z2 (B, M).

        The predictor is W_P = U diag(lam) U^T with eigenvalues lam (M,). basis: the orthogonal matrix U, or None for
        the identity.
        """
        import jax.numpy as jnp

        with jax_settings(x64=True):
            U = jnp.eye(len(self.s0)) if basis is None else basis
            return np.asarray(self._generated_loss(z1, z2, lambda z, f=_identity: (U * f(lam)) @ U.T @ z)[0])

    def gradient(self, z1: Any, z2: Any, lam: Any) -> list[Array]:
        """Return the negative gradients -dL/dz1 and -dL/dz2 (B, M) of the loss L of each sample.

        z1, z2 (B, M): representations of the two views. lam: predictor eigenvalues. For a learned predictor, -dL/dlam
        (B, M) is also returned. All gradients are computed by automatic differentiation.
        """
        import jax

        def total(z1: Any, z2: Any, lam: Any) -> Any:
            # lam (B, M) has one row for each sample, so that the gradient contains the derivative of each sample.
            return self._generated_loss(z1, z2, lambda z, f=_identity: f(lam.T) * z).sum()

        with jax_settings(x64=True):
            lam = np.broadcast_to(lam, z1.shape)
            slopes = jax.grad(total, (0, 1, 2) if self.learned else (0, 1))(z1, z2, lam)
            return [-np.asarray(slope) for slope in slopes]

    def _generated_loss(self, z1: Any, z2: Any, predict: Any) -> Any:
        import jax

        from dynamics.networks.linear import over_modes

        arguments = (z1.T, z2.T, z1.T, z2.T, predict, over_modes, jax.lax.stop_gradient, *self.loss_parameters)
        return self.generated.loss(*arguments)

    @cached_property
    def sampled_rates(self) -> Array:
        """Rates (SAMPLES, M) of single samples at s0; their means are the rates of the modes.

        For a sample, the rate of mode m is (g1_m z1_m + g2_m z2_m)/s_m, where g1 and g2 are the negative gradients of
        the loss with respect to the representations z1 and z2.
        """
        z1, z2 = self.representations(SAMPLES)
        force1, force2, *_ = self.gradient(z1, z2, self.lam)
        with np.errstate(over="ignore", invalid="ignore"):
            return (force1 * z1 + force2 * z2) / self.s0

    def closure_error(self, relative: float) -> Array:
        """Return the standard error (M,) of rates that are means over samples; zero if the closure is exact.

        relative: the standard error relative to the mean |rate| of single samples, as in ``VectorField.error``.
        """
        return np.abs(self.sampled_rates).mean(axis=0) * (relative if self.closure == "monte_carlo" else 0.0)

    @cached_property
    def rate_scale(self) -> Array:
        """Estimated size (M,) of the terms whose sum is the rate of a mode: (mean of |L| over samples)/s0.

        L is the loss of a sample, and s0 are the eigenvalues. If the terms of a rate nearly cancel, the rounding error
        of the rate is proportional to the size of the terms, and not to the rate.
        """
        z1, z2 = self.representations(1000)
        return np.abs(self.loss(z1, z2, self.lam)).mean() / self.s0

    def largest_rate(self) -> float:
        """Return the largest |rate - weight decay| of all modes at s0; if this is tiny, return a lower bound instead.

        Rates are multiplied by the second moment that the views share. The value sets the learning rate and the times
        of the checks. Without the lower bound, it could be almost zero, because the terms of the rates may nearly
        cancel.
        """
        rate = np.abs(self.field.parameters.cross * self.field(self.state).rates - self.model.weight_decay).max()
        return float(max(rate, SLOWEST * self.rate_scale.min(), LEAST))

    def reject(self, requirement: str) -> NoReturn:
        """Raise ArgumentError; the message states that the model must have ``requirement`` to be checked.

        The message also states the number of modes, on which the requirement may depend.
        """
        errors.reject("model", f"have {requirement}, to be checked with {counted(len(self.s0), 'mode')}", self.model)


def relative_deviation(value: Array, expected: Array, least: float = 0.0) -> float:
    """Return the largest |value - expected| divided by the largest |expected|.

    The divisor is at least ``least``. The result is inf if a difference is not finite.
    """
    difference, scale = np.abs(value - expected).max(), max(np.abs(expected).max(), least)
    return float(difference / scale) if np.isfinite(difference) and scale > 0 else float("inf" if difference else 0.0)


def _identity(lam: Any) -> Any:
    return lam
