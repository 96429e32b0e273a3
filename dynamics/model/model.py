"""The one description of loss, predictor, views and regularisation that every rung of the ladder shares."""

import importlib
from dataclasses import MISSING, dataclass, field, fields, is_dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from dynamics import errors
from dynamics.derived_loss import DerivedLoss
from dynamics.generated import catalogue, eigenvalues
from dynamics.model.components import EMA, ClosedForm, Learned, NoPredictor, Shared, keep, plain
from dynamics.model.expressions import Expression, Gain, Loss
from dynamics.model.parameters import Parameters, Structure

FIELDS = {"weight_decay": "rho", "rate": "rate_ratio"}  # numbers that have another name in formulas


@dataclass(frozen=True, repr=False)
class Model:
    r"""Loss, predictor, views and weight decay of a linear Siamese network W.

    dW/dt = -dL/dW - rho W with views x_i = x + sigma_i xi_i, Sigma_x = 1; its eigenvalues of C = W W^T obey
    ds_m/dt = 2 s_m (r_m(s) - rho).

    loss: "euclidean" ``|W_P z1 - z2|^2 / 2`` or "cosine" ``-W_P z1 . z2 / (|W_P z1| |z2|)``; or a ``Loss`` of your own.
    isotropic: the IsoLoss version, in which all modes learn at the same speed. Carries stop-gradients of its own.
    gain: h(lambda), text or ``Gain``: multiplies the gradient of a mode in place of lambda, as in "lambda^0.5"; None
    (default): lambda. It interpolates between the loss, lambda, and its isotropic version, 1, and goes beyond; for a
    closed-form predictor. Carries stop-gradients of its own.
    stop_gradient: "target" (default), "none", or "online" (the wrong side).
    predictor: ``ClosedForm(alpha, epsilon, normalize, tracking)``, ``Learned(rate, init)``, or ``NoPredictor()``.
    target: ``Shared()`` (default): the target branch is the encoder; ``EMA(decay)``: an exponential average of it.
    noise: (sigma1, sigma2) of the online and of the target view, >= 0.
    weight_decay: rho >= 0.
    symmetrised: mean of the loss and the loss with the views' roles swapped.
    inputs: covariance Sigma_x (N, N) of the inputs, symmetric and positive semidefinite; None (default): white. With it
    the singular vectors of W turn, and flow and descent map start from weights (..., M, N) in place of eigenvalues;
    eigenvalues are then those of C = W Sigma_x W^T. The noise on the views is white.

    Numbers may be arrays: they broadcast with the leading dimensions of the eigenvalues.
    Raises ArgumentError for unknown names, negative values, and options that do not apply together.
    (Halvagal, Laborieux, Zenke, NeurIPS 2023, sections 2-4.)
    """

    loss: str | Loss
    isotropic: bool = False
    stop_gradient: str = "target"
    predictor: ClosedForm | Learned | NoPredictor = field(default_factory=ClosedForm)
    noise: tuple[Any, Any] = (0.0, 0.0)
    weight_decay: Any = 0.0
    symmetrised: bool = False
    target: Shared | EMA = field(default_factory=Shared)
    inputs: Any = None
    gain: Any = None  # text, or a Gain; kept as a Gain

    def __post_init__(self):
        if not isinstance(self.loss, Loss):
            errors.choice("loss", self.loss, catalogue.LOSSES)
        if isinstance(self.gain, str):
            object.__setattr__(self, "gain", Gain.parse(self.gain))
        errors.choice("stop_gradient", self.stop_gradient, sorted({key[1] for key in catalogue.MODULES}))
        for name in ("isotropic", "symmetrised"):
            errors.flag(name, getattr(self, name))
        if not isinstance(self.predictor, (ClosedForm, Learned, NoPredictor)):
            errors.reject("predictor", "be ClosedForm(...), Learned(...) or NoPredictor()", self.predictor)
        if not isinstance(self.target, (Shared, EMA)):
            errors.reject("target", "be Shared() or EMA(decay)", self.target)
        self._check_options()
        must = "be two non-negative numbers"
        if not isinstance(self.noise, (tuple, list, np.ndarray)) or len(self.noise) != 2:
            errors.reject("noise", must, self.noise)
        try:
            keep(self, "noise", tuple(plain(errors.non_negative("noise", sigma, must)) for sigma in self.noise))
        except errors.ArgumentError:
            errors.reject("noise", must, tuple(self.noise))
        keep(self, "weight_decay", errors.non_negative("weight_decay", self.weight_decay))
        if self.inputs is not None:
            keep(self, "inputs", errors.covariance("inputs", self.inputs))

    def _check_options(self):
        learned, free = isinstance(self.predictor, Learned), isinstance(self.target, EMA)
        without = isinstance(self.predictor, NoPredictor)
        if isinstance(self.loss, Loss) or self.gain is not None:
            self._check_own()
        if self.isotropic and self.stop_gradient != "target":
            must = "be 'target' for an isotropic loss, which has stop-gradients of its own"
            errors.reject("stop_gradient", must, self.stop_gradient)
        if self.isotropic and without:
            errors.reject("isotropic", "be False without a predictor: there is nothing to equalise", self.isotropic)
        if self.isotropic and learned:
            must = "be ClosedForm(...) for an isotropic loss, which lets no gradient reach the predictor"
            errors.reject("predictor", must, self.predictor)
        if learned and self.stop_gradient == "online":
            must = "be 'target' or 'none' for a learned predictor: 'online' lets no gradient reach it"
            errors.reject("stop_gradient", must, self.stop_gradient)
        if free and self.stop_gradient != "target":
            must = "be Shared() unless the gradient stops at the target: an average of the encoder is not trained"
            errors.reject("target", must, self.target)
        if learned and self.inputs is not None:
            must = "be ClosedForm(...) or NoPredictor() for correlated inputs, which turn a learned one out of symmetry"
            errors.reject("predictor", must, self.predictor)
        if not self._is_derived and self._key not in catalogue.MODULES:
            must = f"be False for the {self.loss} loss, which has no isotropic version"
            errors.reject("isotropic", must, self.isotropic)

    @property
    def _key(self) -> tuple[Any, str, bool, bool, bool]:
        has_predictor = not isinstance(self.predictor, NoPredictor)
        return (self.loss, self.stop_gradient, bool(self.isotropic), has_predictor, bool(self.symmetrised))

    def _check_own(self) -> None:
        """Options beside a loss, or a gain, of one's own."""
        whose = "a loss of your own" if isinstance(self.loss, Loss) else "a gain"
        for name, default in (("isotropic", False), ("stop_gradient", "target")):
            if getattr(self, name) != default:
                must = f"be left out beside {whose}, which has stop-gradients of its own"
                errors.reject(name, must, getattr(self, name))
        if isinstance(self.loss, Loss) and isinstance(self.predictor, NoPredictor):
            self._check_without_predictor()
        if self.gain is not None:
            errors.instance("gain", self.gain, Gain, f"be text or a Gain, such as {Gain.example!r}")
            if isinstance(self.loss, Loss):
                errors.reject("gain", "be left out beside a loss of your own: write it into the sentence", self.gain)
            if not isinstance(self.predictor, ClosedForm):
                errors.reject(
                    "predictor", "be ClosedForm(...) beside a gain, a function of its eigenvalues", self.predictor
                )
        if isinstance(self.predictor, Learned) and not self.derivation.trains_predictor:
            must = (
                "be ClosedForm(...) or NoPredictor() for a loss whose gradient does not reach W_P, or not as a matrix"
            )
            errors.reject("predictor", must, self.predictor)
        if isinstance(self.target, EMA) and not self.derivation.has_free_target:
            must = "be Shared() unless z2 only stands inside sg(): an average of the encoder is not trained"
            errors.reject("target", must, self.target)
        if self.inputs is not None and self.generated.no_matrices is not None:
            must = f"be None: for this loss {self.generated.no_matrices}"
            errors.reject("inputs", must, self.inputs)

    def _check_without_predictor(self) -> None:
        """A sentence may say something of W_P that it cannot say of 1, such as 1/(1 - W_P), or say nothing then."""
        from derivations.errors import ExpressionError
        from derivations.losses import gradients

        try:
            loss = self.derivation.in_eigenbasis()
        except ExpressionError as error:
            must = "have a meaning where W_P = 1, beside NoPredictor()"
            raise errors.ArgumentError(f"Argument `loss` must {must}, but {error}.") from None
        if gradients.force(loss, 1) == gradients.force(loss, 2) == 0:
            errors.reject("loss", "have a gradient where W_P = 1, beside NoPredictor()", self.loss)

    @property
    def _is_derived(self) -> bool:
        """Whether its array code is not that of the catalogue."""
        return isinstance(self.loss, Loss) or self.gain is not None

    @property
    def derivation(self):
        """What everything about this loss is derived from, in ``derivations``."""
        from derivations.losses.catalogue import Setting

        has_predictor = not isinstance(self.predictor, NoPredictor)
        if isinstance(self.loss, Loss):
            return self.loss.derivation(has_predictor, self.symmetrised)
        plain = (self.loss, self.stop_gradient, bool(self.isotropic), has_predictor, bool(self.symmetrised))
        return Setting(*plain, self.gain.text, tuple(self.gain.parameters)) if self.gain else Setting(*plain)

    @property
    def loss_name(self) -> str:
        """For messages: the loss in a few words."""
        name = self.loss.text if isinstance(self.loss, Loss) else self.loss
        return name if self.gain is None else f"{name} (gain {self.gain.text})"

    @property
    def generated(self) -> DerivedLoss:
        """The array code derived for this loss."""
        if self._is_derived:
            from dynamics.model.runtime_codegen import derived_loss

            return derived_loss(self.derivation)
        return importlib.import_module(f"dynamics.generated.{catalogue.MODULES[self._key]}").DERIVED

    def to_jax(self) -> str:
        """L, with the predictor it needs, as the text of a module for training in JAX: to be kept, and read.

        ``loss(p, z, target, ...)`` is its mean over a batch of representations (batch, M); for a closed-form predictor
        ``predictor(correlation)`` is W_P. The module needs JAX alone; to write it takes none. Raises ArgumentError for
        numbers that are arrays. (``docs/losses.md``, Take it away.)
        """
        from dynamics.export.module import source

        return source(self, "jax")

    def to_torch(self) -> str:
        """The same as ``to_jax``, for PyTorch."""
        from dynamics.export.module import source

        return source(self, "torch")

    @cached_property
    def structure(self) -> Structure:
        """Which parts this model has."""
        kind = {NoPredictor: "none", Learned: "learned"}.get(type(self.predictor), "closed form")
        kind = "normalized" if getattr(self.predictor, "normalize", False) else kind
        return Structure(kind, bool(np.any(getattr(self.predictor, "tracking", 0.0))), isinstance(self.target, EMA))

    @property
    def parameters(self) -> Parameters:
        """The model's numbers, each with an axis for the modes; neutral where it has none."""
        sigma1, sigma2 = self.noise
        numbers = Parameters(
            alpha=getattr(self.predictor, "alpha", 1.0),
            epsilon=getattr(self.predictor, "epsilon", 0.0),
            tracking=getattr(self.predictor, "tracking", 0.0),
            rate_ratio=getattr(self.predictor, "rate", 1.0),
            decay=getattr(self.target, "decay", 0.0),
            sigma1=sigma1,
            sigma2=sigma2,
            rho=self.weight_decay,
            of_loss=tuple(self._loss_parameters.values()),
        )
        return numbers.map(lambda number: np.asarray(number, float)[..., None])

    @property
    def _loss_parameters(self) -> dict[str, Any]:
        """Of a loss, or a gain, of one's own."""
        own: Expression | None = self.loss if isinstance(self.loss, Loss) else self.gain
        return {} if own is None else dict(own.parameters)

    def with_parameter(self, name: str, value: np.ndarray) -> Parameters:
        """The parameters with one replaced, by its name in ``parameter_names``, unchecked: it may be complex."""
        if name in self._loss_parameters:
            own = zip(self._loss_parameters, self.parameters.of_loss, strict=True)
            return self.parameters._replace(of_loss=tuple(value if key == name else old for key, old in own))
        changed: dict[str, Any] = {FIELDS.get(name, name): value}
        return self.parameters._replace(**changed)

    @property
    def init(self) -> np.ndarray:
        """Eigenvalues of a learned predictor at the start, (..., M) or (..., 1)."""
        return np.atleast_1d(np.asarray(getattr(self.predictor, "init", 1.0), float))

    @property
    def parameter_names(self) -> tuple[str, ...]:
        """Names of the parameters that this model has: what ``replace`` takes."""
        own = [f.name for part in (self.predictor, self.target) for f in fields(part) if f.name != "normalize"]
        return ("weight_decay", "sigma1", "sigma2", *own, *self._loss_parameters)

    def replace(self, /, **parameters) -> "Model":
        """The model with other parameters, by the names in ``parameter_names``; raises ArgumentError.

        Those of predictor and target go by their own names, such as ``alpha``, ``rate``, ``decay``.
        """
        model = self
        for name, value in parameters.items():
            errors.choice("parameter", name, self.parameter_names)
            if name in ("sigma1", "sigma2"):
                noise = tuple(value if name == f"sigma{view}" else old for view, old in enumerate(model.noise, 1))
                model = replace(model, noise=noise)
            elif name == "weight_decay":
                model = replace(model, weight_decay=value)
            elif name in self._loss_parameters:
                part = "loss" if isinstance(self.loss, Loss) else "gain"
                model = replace(model, **{part: getattr(model, part).replace(**{name: value})})
            else:
                part = next(part for part in ("predictor", "target") if hasattr(getattr(model, part), name))
                model = replace(model, **{part: replace(getattr(model, part), **{name: value})})
        return model

    @property
    def batch_shape(self) -> tuple[int, ...]:
        """What the model's own parameters broadcast to: () for a single model."""
        p = self.parameters
        shapes = {name: a.shape[:-1] for name, a in p._asdict().items() if name != "of_loss"}
        shapes |= {name: a.shape[:-1] for name, a in zip(self._loss_parameters, p.of_loss, strict=True)}
        shapes |= {"init": self.init.shape[:-1]}
        try:
            return np.broadcast_shapes(*shapes.values())
        except ValueError:
            listing = ", ".join(f"{name} {shape}" for name, shape in shapes.items() if shape)
            raise errors.ArgumentError(f"The model's parameters must broadcast, but have shapes {listing}.") from None

    @property
    def pole_at_death(self) -> np.ndarray:
        """Whether the gradient has a pole at the predictor's eigenvalue of a dead mode, (...)."""
        p = self.parameters
        if self.generated.poles is None:
            return np.zeros(self.batch_shape, bool)
        with np.errstate(all="ignore"):
            found = self.generated.poles(eigenvalues.predictor(0.0, p.alpha, p.epsilon), *p.of_loss)
        values = found if isinstance(found, tuple) else (found,)
        return ~np.all([np.isfinite(value).all(axis=-1) for value in np.broadcast_arrays(*values)], axis=0)

    @property
    def needs_learning_rate(self) -> bool:
        """True if something decays per step, so that a flow needs the learning rate."""
        return self.structure.separate_target or self.structure.tracked

    def check_learning_rate(self, learning_rate) -> float | None:
        """eta > 0 of a flow in which something decays per step, None of any other; raises ArgumentError."""
        if learning_rate is None:
            if self.needs_learning_rate:
                must = f"be given for {self}, in which something decays per step"
                errors.reject("learning_rate", must, None)
            return None
        if not self.needs_learning_rate:
            must = "be left out: nothing in this model decays per step, and the flow does not depend on it"
            errors.reject("learning_rate", must, learning_rate)
        return errors.positive_number("learning_rate", learning_rate)

    @property
    def input_root(self) -> np.ndarray | None:
        """Sigma_x^(1/2) (N, N); None for white inputs."""
        if self.inputs is None:
            return None
        variances, directions = np.linalg.eigh(self.inputs)
        return (directions * np.sqrt(np.maximum(variances, 0.0))) @ directions.T

    def check_start(self, s0) -> np.ndarray:
        """What flow and descent map start from: eigenvalues, or weights where inputs are correlated."""
        return self.check_eigenvalues(s0) if self.inputs is None else self.check_weights("s0", s0)

    def check_weights(self, name: str, W0, *, ensemble=True) -> np.ndarray:
        """W0 (..., M, N) as an array, broadcast with the model's parameters; raises ArgumentError."""
        N = "N" if self.inputs is None else len(self.inputs)
        must = f"be weights of shape ({'..., ' * ensemble}M, {N}) with 1 <= M <= {N}"
        W0 = errors.real_array(name, W0, f"{must}, finite")
        fits = W0.ndim >= 2 if ensemble else W0.ndim == 2
        if not fits or not 1 <= W0.shape[-2] <= W0.shape[-1] or N not in ("N", W0.shape[-1]):
            raise errors.ArgumentError(f"Argument `{name}` must {must}, but has shape {W0.shape}.")
        seen = W0 if self.inputs is None else W0 @ self.input_root
        if self.structure.predictor == "normalized" and not seen.any(axis=(-2, -1)).all():
            errors.reject(name, "have a weight other than zero on inputs that vary, to be normalized by", W0)
        return np.broadcast_to(W0, (*self._with_batch(name, W0.shape[:-2]), *W0.shape[-2:])).copy()

    def _with_batch(self, name: str, leading: tuple[int, ...]) -> tuple[int, ...]:
        try:
            return np.broadcast_shapes(leading, self.batch_shape)
        except ValueError:
            message = f"have leading dimensions that broadcast with the model's parameters {self.batch_shape}"
            raise errors.ArgumentError(f"Argument `{name}` must {message}, but they are {leading}.") from None

    def check_eigenvalues(self, s0) -> np.ndarray:
        """s0 (..., M) as an array, broadcast with the model's parameters; raises ArgumentError."""
        must = "be eigenvalues of shape (..., M): finite, non-negative"
        s0 = errors.non_negative("s0", s0, must)
        if s0.ndim == 0 or s0.shape[-1] == 0:
            errors.reject("s0", must, s0)
        batch = self._with_batch("s0", s0.shape[:-1])
        if self.init.shape[-1] not in (1, s0.shape[-1]):
            errors.reject("init", f"be a number or one per mode, {s0.shape[-1]}", self.init)
        if self.generated.divides_by_norms and not self.init.any(axis=-1).all():
            loss = f"the {self.loss_name} loss, which divides by the prediction's size"
            must = f"have an eigenvalue other than zero for {loss}"
            errors.reject("init", must, self.init)
        if self.structure.predictor == "normalized" and not s0.max(axis=-1).all():
            errors.reject("s0", "have an eigenvalue above zero, to be normalized by", s0)
        if (self.pole_at_death & ~s0.all(axis=-1)).any():
            whose = self.loss_name if self.gain is None else self.gain.text
            errors.reject("s0", f"have no eigenvalue of zero, where {whose} has a pole", s0)
        return np.broadcast_to(s0, (*batch, s0.shape[-1])).copy()

    def __str__(self):
        plain = Model(self.loss)
        changed = [
            f.name for f in fields(self) if f.name == "loss" or not _same(getattr(self, f.name), getattr(plain, f.name))
        ]
        return f"Model({', '.join(f'{name}={_shown(getattr(self, name))}' for name in changed)})"

    __repr__ = __str__


def _shown(value: Any) -> str:
    """A value on one line: arrays by their shape, parts without what is at its default."""
    if isinstance(value, Expression):
        return repr(value)
    if is_dataclass(value):
        given = [f for f in fields(value) if f.default is MISSING or not _same(getattr(value, f.name), f.default)]
        given = given or list(fields(value))[:1]
        return f"{type(value).__name__}({', '.join(f'{f.name}={_shown(getattr(value, f.name))}' for f in given)})"
    if isinstance(value, tuple):
        return f"({', '.join(_shown(part) for part in value)})"
    return f"<array {np.shape(value)}>" if np.ndim(value) else repr(value)


def _same(a: Any, b: Any) -> bool:
    return type(a) is type(b) and repr(a) == repr(b)
