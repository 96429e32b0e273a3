"""A model at given eigenvalues, as ``check`` uses it: samples of its representations, with their losses and gradients.

z1, z2 (B, M) are the representations of the two views for B samples in M modes, lam the eigenvalues of the predictor
W_P.
"""

import textwrap
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NoReturn

import numpy as np
import numpy.typing as npt

from dynamics import errors
from dynamics.model.model import Model
from dynamics.numerics.context import jax_settings
from dynamics.vector_field.eigenmode_state import spectrum
from dynamics.vector_field.eigenmodes import EigenmodeField

Array = npt.NDArray[np.float64]

COLUMNS = 100  # width of printed lines
ROUNDING = 1e-9  # relative rounding error of derivatives: condition numbers of random representations times eps
CHANCE = 4.5  # number of standard errors that the deviation of a few modes exceeds by chance once in 30 000 runs
SLOWEST = 1e-2  # smallest rate for which a learning rate is chosen, relative to the terms that cancel in the rate
LEAST = 0.1  # smallest rate for which a learning rate is chosen


@dataclass(frozen=True)
class LevelCheck:
    """The result of comparing one level of description of a model with another.

    Parameters
    ----------
    name, against : str
        Name of the check, and a description of what is compared.
    deviation, limit : float, optional
        Measured deviation, and the largest allowed deviation; None if the check does not apply to the model.
    note : str
        Unit of the deviation, or the reason for a failure.
    """

    name: str
    against: str
    deviation: float | None = None
    limit: float | None = None
    note: str = ""

    @property
    def passed(self) -> bool:
        """True if the deviation is within its limit, or if the check does not apply to the model."""
        return self.deviation is None or bool(self.deviation <= (self.limit or 0.0))

    def __str__(self) -> str:
        mark = "--" if self.deviation is None else "ok" if self.passed else "NO"
        measured = "" if self.deviation is None else f"{self.deviation:.2g} (at most {self.limit:.2g})"
        line = f"  {mark}  {self.name:<12} {self.against:<44} {measured}{' ' * bool(measured and self.note)}{self.note}"
        return textwrap.fill(line.rstrip(), COLUMNS, subsequent_indent=" " * 19)


class Subject:
    """A model at eigenvalues s0 (M,) of the correlation, with the random samples on which its loss is checked."""

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
        """Draw representations (count, M) of both views, with the model's noise."""
        x = self.rng.standard_normal((count, len(self.s0)))
        views = (x + sigma * self.rng.standard_normal(x.shape) for sigma in self.model.noise)
        return [np.sqrt(self.s0) * view for view in views]

    def independent_representations(self) -> tuple[Array, Array, Array]:
        """Draw representations (50, M) of two independent views, and predictor eigenvalues (M,) near the model's."""
        z1, z2 = np.sqrt(self.s0) * self.rng.standard_normal((2, 50, len(self.s0)))
        return z1, z2, self.lam * self.rng.uniform(0.5, 1.5, len(self.s0))

    def loss(self, z1: Any, z2: Any, lam: Any, basis: Any = None) -> Array:
        """Return the loss of each of B samples with representations z1, z2 (B, M).

        The predictor is W_P = U diag(lam) U^T with U = basis; for None, U is the identity.
        """
        import jax.numpy as jnp

        with jax_settings(x64=True):
            U = jnp.eye(len(self.s0)) if basis is None else basis
            return np.asarray(self._generated_loss(z1, z2, lambda z, f=_identity: (U * f(lam)) @ U.T @ z)[0])

    def gradient(self, z1: Any, z2: Any, lam: Any) -> list[Array]:
        """Return -dL/dz1, -dL/dz2 (B, M) and, for a learned predictor, -dL/dlam, by automatic differentiation."""
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
    def rate_scale(self) -> Array:
        """Size mean |L|/s (M,) of the terms of each rate, the scale of rounding errors if the terms nearly cancel."""
        z1, z2 = self.representations(1000)
        return np.abs(self.loss(z1, z2, self.lam)).mean() / self.s0

    def largest_rate(self) -> float:
        """Return the largest |rate - weight decay| at s0; if its terms nearly cancel, a fraction of the terms' size."""
        rate = np.abs(self.field(self.state).rates - self.model.weight_decay).max()
        return float(max(rate, SLOWEST * self.rate_scale.min(), LEAST))

    def reject(self, requirement: str) -> NoReturn:
        """Raise ArgumentError: ``Argument `model` must have <requirement>, in a check with ... modes``."""
        errors.reject("model", f"have {requirement}, in a check with {len(self.s0)} modes", self.model)


def relative_deviation(value: Array, expected: Array, least: float = 0.0) -> float:
    """Return the largest |value - expected|, divided by the largest |expected|, or by ``least`` if that is larger.

    The result is inf if a difference is not finite.
    """
    difference, scale = np.abs(value - expected).max(), max(np.abs(expected).max(), least)
    return float(difference / scale) if np.isfinite(difference) and scale > 0 else float("inf" if difference else 0.0)


def _identity(lam: Any) -> Any:
    return lam
