"""The one description of loss, predictor, views and regularisation that every rung of the ladder shares."""

import importlib
from dataclasses import dataclass, field, fields, replace
from types import ModuleType
from typing import Any

import numpy as np

from dynamics import errors
from dynamics.generated import catalogue, eigenvalues


@dataclass(frozen=True)
class ClosedForm:
    """W_P = C^alpha: predictor eigenvalues lambda = s^alpha.

    alpha: exponent > 0, a number or an array that broadcasts with the ensemble. 1 is DirectCopy and the paper's toy
    network, 1/2 is DirectPred. Raises ArgumentError for alpha <= 0. (Tian et al. 2021; Halvagal et al. 2023, eq. 2.)
    """

    alpha: Any = 1.0

    def __post_init__(self):
        errors.positive("alpha", self.alpha)


@dataclass(frozen=True)
class NoPredictor:
    """W_P = 1: the loss compares the representations themselves; lambda = 1."""


@dataclass(frozen=True, repr=False)
class Model:
    r"""Loss, predictor, views and weight decay of a linear Siamese network W.

    dW/dt = -dL/dW - rho W with views x_i = x + sigma_i xi_i, Sigma_x = 1; its eigenvalues of C = W W^T obey
    ds_m/dt = 2 s_m (r_m(s) - rho).

    loss: "euclidean" ``|W_P z1 - z2|^2 / 2`` or "cosine" ``-W_P z1 . z2 / (|W_P z1| |z2|)``.
    isotropic: the IsoLoss version, in which all modes learn at the same speed. Carries stop-gradients of its own.
    stop_gradient: "target" (default), "none", or "online" (the wrong side).
    predictor: ``ClosedForm(alpha)`` or ``NoPredictor()``.
    noise: (sigma1, sigma2) of the online and of the target view, >= 0.
    weight_decay: rho >= 0.
    symmetrised: mean of the loss and the loss with the views' roles swapped.

    alpha, sigma1, sigma2 and rho may be arrays: they broadcast with the leading dimensions of the eigenvalues.
    Raises ArgumentError for unknown names, negative values, and options that do not apply together.
    (Halvagal, Laborieux, Zenke, NeurIPS 2023, sections 2-4.)
    """

    loss: str
    isotropic: bool = False
    stop_gradient: str = "target"
    predictor: ClosedForm | NoPredictor = field(default_factory=ClosedForm)
    noise: tuple[Any, Any] = (0.0, 0.0)
    weight_decay: Any = 0.0
    symmetrised: bool = False

    def __post_init__(self):
        errors.choice("loss", self.loss, catalogue.LOSSES)
        errors.choice("stop_gradient", self.stop_gradient, sorted({key[1] for key in catalogue.MODULES}))
        for name in ("isotropic", "symmetrised"):
            if not isinstance(getattr(self, name), (bool, np.bool_)):
                errors.reject(name, "be True or False", getattr(self, name))
        if not isinstance(self.predictor, (ClosedForm, NoPredictor)):
            errors.reject("predictor", "be ClosedForm(alpha) or NoPredictor()", self.predictor)
        self._check_options()
        must = "be two non-negative numbers"
        if isinstance(self.noise, str) or not hasattr(self.noise, "__len__") or len(self.noise) != 2:
            errors.reject("noise", must, self.noise)
        try:
            for sigma in self.noise:
                errors.non_negative("noise", sigma, must)
        except errors.ArgumentError:
            errors.reject("noise", must, tuple(self.noise))
        errors.non_negative("weight_decay", self.weight_decay)

    def _check_options(self):
        if self.isotropic and self.stop_gradient != "target":
            errors.reject(
                "stop_gradient",
                "be 'target' for an isotropic loss, which has stop-gradients of its own",
                self.stop_gradient,
            )
        if self.isotropic and isinstance(self.predictor, NoPredictor):
            errors.reject("isotropic", "be False without a predictor: there is nothing to equalise", self.isotropic)
        if self._key not in catalogue.MODULES:
            errors.reject(
                "isotropic", f"be False for the {self.loss} loss, which has no isotropic version", self.isotropic
            )

    @property
    def _key(self) -> tuple[str, str, bool, bool, bool]:
        has_predictor = isinstance(self.predictor, ClosedForm)
        return (self.loss, self.stop_gradient, bool(self.isotropic), has_predictor, bool(self.symmetrised))

    @property
    def generated(self) -> ModuleType:
        """The array code derived for this loss."""
        return importlib.import_module(f"dynamics.generated.{catalogue.MODULES[self._key]}")

    @property
    def alpha(self) -> np.ndarray:
        """Exponent of the predictor, with an axis for the modes; 1 where there is no predictor."""
        return np.asarray(getattr(self.predictor, "alpha", 1.0), float)[..., None]

    @property
    def sigmas(self) -> tuple[np.ndarray, np.ndarray]:
        """sigma1 and sigma2, each with an axis for the modes."""
        sigma1, sigma2 = (np.asarray(sigma, float)[..., None] for sigma in self.noise)
        return sigma1, sigma2

    @property
    def rho(self) -> np.ndarray:
        """Weight decay, with an axis for the modes."""
        return np.asarray(self.weight_decay, float)[..., None]

    @property
    def batch_shape(self) -> tuple[int, ...]:
        """What the model's own parameters broadcast to: () for a single model."""
        try:
            return np.broadcast_shapes(*(a.shape[:-1] for a in (self.alpha, *self.sigmas, self.rho)))
        except ValueError:
            shapes = [np.shape(a)[:-1] for a in (self.alpha, *self.sigmas, self.rho)]
            raise errors.ArgumentError(
                f"The shapes of `alpha`, `noise` and `weight_decay` must broadcast, but are {shapes}."
            ) from None

    def eigenvalues_of_predictor(self, s):
        """lambda: s^alpha, or 1 without a predictor. s: (..., M)."""
        return eigenvalues.predictor(s, self.alpha) if isinstance(self.predictor, ClosedForm) else 0 * s + 1

    def member(self, index: tuple[int, ...], batch: tuple[int, ...]) -> "Model":
        """The model of one member of an ensemble of shape ``batch``, with plain numbers for parameters."""

        def pick(value):
            return float(np.broadcast_to(np.asarray(value, float), batch)[index])

        predictor = (
            self.predictor if isinstance(self.predictor, NoPredictor) else ClosedForm(pick(self.predictor.alpha))
        )
        noise = tuple(pick(sigma) for sigma in self.noise)
        return replace(self, predictor=predictor, noise=noise, weight_decay=pick(self.weight_decay))

    def with_time_axis(self) -> "Model":
        """The same model with parameters that broadcast with (..., T) in place of (...,)."""
        if isinstance(self.predictor, NoPredictor) or np.ndim(self.predictor.alpha) == 0:
            return self
        return replace(self, predictor=ClosedForm(np.asarray(self.predictor.alpha)[..., None]))

    def check_eigenvalues(self, s0) -> np.ndarray:
        """s0 (..., M) as an array, broadcast with the model's parameters; raises ArgumentError."""
        must = "be eigenvalues of shape (..., M): finite, non-negative"
        s0 = errors.non_negative("s0", s0, must)
        if s0.ndim == 0 or s0.shape[-1] == 0:
            errors.reject("s0", must, s0)
        try:
            batch = np.broadcast_shapes(s0.shape[:-1], self.batch_shape)
        except ValueError:
            message = f"have leading dimensions that broadcast with the model's parameters {self.batch_shape}"
            raise errors.ArgumentError(f"Argument `s0` must {message}, but has shape {s0.shape}.") from None
        return np.broadcast_to(s0, (*batch, s0.shape[-1])).copy()

    def __str__(self):
        plain = Model(self.loss)
        changed = [
            f.name for f in fields(self) if f.name == "loss" or not _same(getattr(self, f.name), getattr(plain, f.name))
        ]
        return f"Model({', '.join(f'{name}={_shown(getattr(self, name))}' for name in changed)})"

    __repr__ = __str__


def _shown(value: Any) -> str:
    """A value on one line: arrays by their shape."""
    if isinstance(value, ClosedForm):
        return f"ClosedForm(alpha={_shown(value.alpha)})"
    if isinstance(value, tuple):
        return f"({', '.join(_shown(part) for part in value)})"
    return f"<array {np.shape(value)}>" if np.ndim(value) else repr(value)


def _same(a: Any, b: Any) -> bool:
    return type(a) is type(b) and repr(a) == repr(b)
