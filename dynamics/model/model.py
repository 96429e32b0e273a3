"""Define the model (loss, predictor, target branch, views, weight decay), the first argument of most functions."""

import importlib
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import numpy.typing as npt

from dynamics import errors
from dynamics.derived_loss import DerivedLoss
from dynamics.generated import catalogue, eigenvalues
from dynamics.model import checks, starts
from dynamics.model.combinations import check_combination
from dynamics.model.components import EMA, ClosedForm, Learned, NoPredictor, Reconstruction, Shared
from dynamics.model.expressions import Gain, Loss
from dynamics.model.options import (
    ComponentOption,
    ExpressionOption,
    check_names,
    check_options,
    defaults,
    from_plain,
    option,
    options,
    parameters_of,
    shown,
    symbols_of,
    to_plain,
    with_parameters,
)
from dynamics.model.parameters import Parameters, Structure
from dynamics.model.shown_in_notebooks import displayed, equations_of, facts_of, title_of
from dynamics.model.views import MatrixViews, Views, ViewsOption, WhiteViews, symmetric_root
from dynamics.numerics.context import isolated
from dynamics.numerics.values import Value
from dynamics.presentation.card import card

if TYPE_CHECKING:
    from derivations.losses.catalogue import Setting
    from derivations.losses.user_defined import UserDefinedLoss

LATER = {"depth"}  # options that version 0.2 did not have
STOP_GRADIENTS = tuple(sorted({key[1] for key in catalogue.MODULES}))


@dataclass(frozen=True, repr=False, eq=False)
class Model(Value):
    r"""A linear Siamese network with its loss; the eigenvalues of C = W W^T obey ds_m/dt = 2 s_m (r_m(s) - rho).

    W are the weights of the encoder, and C is the correlation of the representations. Each eigenvalue s_m of C belongs
    to a mode m. r_m(s) is the rate of mode m; it is derived from the loss, and depends on the eigenvalues s of all
    modes. rho is the weight decay.

    Parameters
    ----------
    loss : str or Loss
        "euclidean" ``|W_P z1 - z2|^2 / 2``, "cosine" ``-W_P z1 . z2 / (|W_P z1| |z2|)``, or a
        user-defined loss: an expression as text, or a ``Loss``, which may have parameters.
    isotropic : bool, default False
        Use the isotropic version of the loss (IsoLoss), in which all modes learn at the same rate. The definition of
        this version contains its stop-gradients.
    stop_gradient : {"target", "none", "online"}, optional
        Branch through which no gradient flows; by default the target. To be left out with a user-defined loss, whose
        expression contains ``sg(...)``, and with a gain.
    predictor : ClosedForm, Learned or NoPredictor, default ClosedForm()
        The predictor W_P, with eigenvalues lambda.
    noise : (array_like, array_like), default (0, 0)
        Standard deviations sigma1 and sigma2 of the noise on the online view and on the target view. Arrays define an
        ensemble of models: ``noise=([0.1, 0.2, 0.3], 0.5)`` defines three models.
    weight_decay : array_like, default 0
        The non-negative weight decay rho in dW/dt = -dL/dW - rho W.
    symmetrised : bool, default False
        Average the loss over both assignments of the two views to the two branches.
    target : Shared, EMA or Reconstruction, default Shared()
        The target branch: the encoder itself, an exponential average of the encoder, or view 2 itself.
    inputs : (N, N) array_like, optional
        Covariance Sigma_x of the inputs, symmetric and positive semidefinite. By default inputs are white. If inputs
        are correlated, C = W Sigma_x W^T and the singular vectors of W rotate. Flow and descent map then start from
        weights (..., M, N) instead of eigenvalues. The noise on the views is white in any case.
    gain : str or Gain, optional
        Function h(lambda), such as "lambda^0.5", that replaces the factor lambda in the gradient of each mode. The gain
        lambda leaves the loss unchanged, and the gain 1 gives the isotropic version of the loss. The gain also
        determines the stop-gradients.
    depth : int, default 1
        Number L of layers of a deep linear encoder W = W_L ... W_1. The layers have aligned singular vectors, which
        therefore do not rotate, and initially equal singular values.
    views : Views, optional
        Second moments of the two views, such as ``Views.modes(online, cross, target)`` for moments that differ between
        modes. The options ``noise`` and ``inputs`` are short forms for the most common views.

    Raises
    ------
    ArgumentError
        If a name is unknown, if a value is out of range, or if options cannot be combined.

    Notes
    -----
    The weights obey dW/dt = -dL/dW - rho W. The views are x_i = x + sigma_i xi_i, where the input x and the noise xi_i
    are Gaussian. Parameters may be arrays, which define an ensemble of models. The arrays broadcast with the leading
    dimensions of the eigenvalues.

    References
    ----------
    Halvagal, Laborieux, Zenke: Implicit variance regularization in non-contrastive SSL, NeurIPS 2023, sections 2-4.

    Examples
    --------
    >>> import dynamics as dyn
    >>> model = dyn.Model(loss="cosine", noise=(0.0, 0.1))
    >>> model.replace(weight_decay=0.01)
    Model(loss='cosine', noise=(0.0, 0.1), weight_decay=0.01)
    """

    loss: str | Loss = option(
        described_by=ExpressionOption,
        kind=Loss,
        choices=catalogue.LOSSES,
        flag="--loss",
        help="Name of a loss, or a user-defined loss such as '|p - sg(z2)|^2 / 2'.",
        example=catalogue.LOSSES[0],
    )
    isotropic: bool = option(
        False,
        check=checks.flag,
        value_type=bool,
        flag="--isotropic",
        help="Use the isotropic version of the loss (IsoLoss), in which all modes learn at the same rate.",
    )
    stop_gradient: str | None = option(
        None,
        implied="target",
        choices=STOP_GRADIENTS,
        value_type=str,
        flag="--stop-gradient",
        help="Branch through which no gradient flows.",
    )
    predictor: ClosedForm | Learned | NoPredictor = option(
        ClosedForm(), described_by=ComponentOption, classes=(ClosedForm, Learned, NoPredictor)
    )
    noise: tuple[Any, Any] = option(
        (0.0, 0.0),
        check=checks.two_sigmas,
        symbol=("sigma1", "sigma2"),
        value_type=tuple,
        flag="--noise",
        help="Standard deviations of the noise on views 1 and 2.",
    )
    weight_decay: Any = option(
        0.0, check=errors.non_negative, symbol="rho", flag="--weight-decay", help="rho in dW/dt = -dL/dW - rho W."
    )
    symmetrised: bool = option(
        False,
        check=checks.flag,
        value_type=bool,
        flag="--symmetrised",
        help="Average the loss over both assignments of the views to the branches.",
    )
    target: Shared | EMA | Reconstruction = option(
        Shared(), described_by=ComponentOption, classes=(Shared, EMA, Reconstruction)
    )
    inputs: Any = option(
        None,
        check=checks.covariance,
        value_type=list,
        convert=np.diag,
        flag="--input-variances",
        help="Variances of the N inputs, such as 1,0.3,0.01; if left out, inputs are white.",
    )
    gain: Any = option(
        None,
        described_by=ExpressionOption,
        kind=Gain,
        flag="--gain",
        help="Function h(lambda), such as lambda^0.5, that replaces the factor lambda in the gradient of each mode.",
    )
    depth: int = option(
        1,
        check=errors.count,
        value_type=int,
        flag="--depth",
        help="Number of layers of the encoder, each a matrix.",
    )
    views: Any = option(
        None,
        described_by=ViewsOption,
        value_type=dict,
        convert=lambda moments: Views.modes(*moments),
        flag="--views",
        metavar="ONLINE CROSS TARGET",
        help="Second moments of the views in each mode: three lists, such as 1,1.5 1,1 1,1.5; white if left out.",
    )

    def __new__(cls, *values: Any, **named: Any) -> Self:
        """Create a model; a keyword that is no option is refused with advice."""
        check_names(cls, named)
        return super().__new__(cls)

    @isolated
    def __post_init__(self) -> None:
        check_options(self)
        check_combination(self)
        if isinstance(self.views, WhiteViews):
            white = {"noise": (self.views.sigma1, self.views.sigma2), "views": None}
            for name, value in white.items():
                object.__setattr__(self, name, options(self)[name].checked(name, value))
        if self.stop_gradient is None and isinstance(self.loss, str) and self.gain is None:
            object.__setattr__(self, "stop_gradient", options(self)["stop_gradient"].implied)
        self.batch_shape  # noqa: B018  # raises an error if shapes of parameters do not broadcast

    # --- as plain data and text -------------------------------------------------------------------------------------

    def to_dict(self) -> dict[str, Any]:
        """Return the model as a dictionary of plain data for JSON or TOML; ``Model.from_dict`` is the inverse."""
        return to_plain(self)

    @classmethod
    def from_dict(cls, description: dict[str, Any]) -> "Model":
        """Return the model that a dictionary of plain data describes.

        Parameters
        ----------
        description : dict
            The options of the model, with their names as keys. A predictor or target is a dictionary with the key
            "kind" (the name of its class) and its options as keys. A user-defined loss or gain is a dictionary with the
            key "expression" and its parameters as keys.

        Raises
        ------
        ArgumentError
            If a key is unknown (the message suggests the nearest known key) or missing, or if an option is not valid.

        Examples
        --------
        >>> import dynamics as dyn
        >>> dyn.Model.from_dict({"loss": "cosine", "predictor": {"kind": "ClosedForm", "alpha": 0.5}})
        Model(loss='cosine', predictor=ClosedForm(alpha=0.5))
        """
        return from_plain(cls, _without_implied(description), "the model")

    def __repr__(self) -> str:
        return shown(self)

    @isolated
    def _repr_html_(self) -> str:
        return card(title_of(self), facts_of(self), formula=equations_of(self))

    def _repr_latex_(self) -> str | None:
        return displayed(equations_of(self))

    def to_jax(self) -> str:
        """Return the text of a JAX module with the loss and the predictor of the model, for a training loop.

        Returns
        -------
        str
            Python code that depends on JAX alone. The function ``loss(p, z, target, ...)`` in this code returns the
            mean of the loss over a batch of representations (batch, M). If the predictor is a ``ClosedForm``, the
            function ``predictor(correlation)`` returns W_P.

        Raises
        ------
        ArgumentError
            If a parameter is an array, or has a name that the module uses.

        Notes
        -----
        JAX need not be installed to write the module (``docs/losses.md``).

        Examples
        --------
        >>> import dynamics as dyn
        >>> "def loss(p, z, target" in dyn.Model("cosine").to_jax()
        True
        """
        from dynamics.export.module import source

        return source(self, "jax")

    def to_torch(self) -> str:
        """Return the text of a PyTorch module with the loss and the predictor of the model; see ``to_jax``.

        Examples
        --------
        >>> import dynamics as dyn
        >>> "import torch" in dyn.Model("cosine").to_torch()
        True
        """
        from dynamics.export.module import source

        return source(self, "torch")

    # --- derived code -----------------------------------------------------------------------------------------------

    @property
    def catalogue_key(self) -> tuple[Any, str, bool, bool, bool]:
        """Key of the loss in ``catalogue.MODULES``, which lists the generated modules.

        The entries of the tuple are: the loss, the branch with the stop-gradient, and three bools. These are True if
        the loss is isotropic, if the model has a predictor, and if the loss is symmetrised.
        """
        has_predictor = not isinstance(self.predictor, NoPredictor)
        return (self.loss, self.stop_gradient or "target", self.isotropic, has_predictor, self.symmetrised)

    @property
    def derivation(self) -> "Setting | UserDefinedLoss":
        """Symbolic form of the loss, in which parameters may have any values."""
        from derivations.losses.catalogue import Setting

        if isinstance(self.loss, Loss):
            return self.loss.derivation(not isinstance(self.predictor, NoPredictor), self.symmetrised)
        gain = (self.gain.text, tuple(self.gain.parameters)) if self.gain else ()
        return Setting(*self.catalogue_key, *gain)

    @cached_property
    def derivation_of_rates(self) -> "Setting | UserDefinedLoss":
        """Symbolic form of the loss, from which ``derivations`` derives gradients and rates.

        This form states the assumptions about the parameters of a user-defined loss: their signs and, if exact rates
        exist only for some values, their values.
        """
        from derivations.losses.user_defined import UserDefinedLoss
        from derivations.theory.closure import with_known_parameters

        if not (isinstance(self.loss, Loss) and isinstance(self.derivation, UserDefinedLoss)):
            return self.derivation
        return with_known_parameters(self.derivation, *self.loss.known_parameters(), self.by_weights)

    @cached_property
    def generated(self) -> DerivedLoss:
        """The array functions that are derived from the loss of this model, such as rates and gradients."""
        if isinstance(self.loss, Loss) or self.gain is not None:
            from dynamics.model.runtime_codegen import derived_loss

            return derived_loss(self.derivation_of_rates)
        return importlib.import_module(f"dynamics.generated.{catalogue.MODULES[self.catalogue_key]}").DERIVED

    @property
    def loss_parameters(self) -> tuple[str, ...]:
        """Names of the parameters of a user-defined loss; () for a named loss."""
        return tuple(self.loss.parameters) if isinstance(self.loss, Loss) else ()

    @property
    def loss_name(self) -> str:
        """Name or expression of the loss, and the gain if the model has one, as text for messages."""
        name = self.loss.text if isinstance(self.loss, Loss) else self.loss
        return name if self.gain is None else f"{name} (gain {self.gain.text})"

    # --- parameters -------------------------------------------------------------------------------------------------

    @cached_property
    def structure(self) -> Structure:
        """The kinds of predictor and target branch, which determine the dynamical variables of the model."""
        tracked = bool(np.any(self._parameter_values.get("tracking", 0.0)))
        return Structure(self.predictor.form, tracked, not isinstance(self.target, Shared))

    @property
    def parameter_names(self) -> tuple[str, ...]:
        """Names of the parameters of this model; ``replace`` takes these names as keywords."""
        return tuple(self._parameter_values)

    @property
    def parameter_values(self) -> dict[str, Any]:
        """Values of the parameters of this model, numbers or arrays, in a dictionary with their names as keys."""
        return dict(self._parameter_values)

    @cached_property
    def _parameter_values(self) -> dict[str, Any]:
        """Values of the parameters; the noise is left out if the second moments of the views contain it."""
        is_white = self.views is None or isinstance(self.views, WhiteViews)
        absent = () if is_white else options(self)["noise"].parameters("noise", self.noise)
        return {name: value for name, value in parameters_of(self).items() if name not in absent}

    @isolated
    def replace(self, /, **parameters: npt.ArrayLike) -> "Model":
        """Return the model with new values of some of its parameters.

        Parameters
        ----------
        **parameters : array_like
            New values. The keywords are names in ``parameter_names``, such as ``weight_decay`` or ``alpha``.

        Raises
        ------
        ArgumentError
            If a name is unknown, or if a value is out of range.

        Examples
        --------
        >>> import dynamics as dyn
        >>> dyn.Model("cosine").replace(alpha=0.5, sigma2=0.1)
        Model(loss='cosine', predictor=ClosedForm(alpha=0.5), noise=(0.0, 0.1))
        """
        for name in parameters:
            if name in options(self) and name not in self.parameter_names:
                numbers = errors.nearest(name, self.parameter_names)
                advice = f"Did you mean '{numbers}'?" if numbers else f"Create another model with `{name}`."
                errors.reject("parameter", f"be one of {', '.join(map(repr, self.parameter_names))}", name, advice)
            errors.choice("parameter", name, self.parameter_names)
        return with_parameters(self, parameters)

    @cached_property
    def parameters(self) -> Parameters:
        """The parameters as read-only arrays (..., 1), which broadcast against arrays (..., M) of M modes.

        ``Parameters`` also has fields for parameters that this model lacks. Such a field has a value without effect.
        """
        return self._parameters({}).map(_read_only)

    def with_parameter(self, name: str, value: npt.NDArray[Any]) -> Parameters:
        """Return all parameters as arrays, with a new value of the parameter ``name``; the new value is not validated.

        The new value may be complex, so that derivatives with respect to the parameter can be computed by a complex
        step.
        """
        return self._parameters({name: value})

    def _parameters(self, replaced: dict[str, npt.NDArray[Any]]) -> Parameters:
        values = {
            name: np.asarray(value, float)[..., None] for name, value in self._parameter_values.items()
        } | replaced
        symbols = symbols_of(self) | symbols_of(self.predictor) | symbols_of(self.target)
        if self.views is None:
            of_views = {"excess1": values["sigma1"] ** 2, "excess2": values["sigma2"] ** 2}
        else:
            of_views = self.views.parameters
        by_symbol = {symbol: values[name] for name, symbol in symbols.items() if symbol in Parameters._fields}
        of_loss = tuple(value for name, value in values.items() if name not in symbols)
        neutral = Parameters().map(lambda value: np.asarray(value)[..., None])
        constant = {"decay": np.ones(1)} if isinstance(self.target, Reconstruction) else {}
        return neutral._replace(**by_symbol, **of_views, **constant, of_loss=of_loss)

    @cached_property
    def init(self) -> npt.NDArray[np.float64]:
        """Initial eigenvalues of a learned predictor, of shape (..., M), or (..., 1) if all modes have the same value.

        For predictors that are not learned, this is the array [1], which has no effect.
        """
        return _read_only(np.atleast_1d(np.asarray(self._parameter_values.get("init", 1.0), float)))

    @cached_property
    def batch_shape(self) -> tuple[int, ...]:
        """Shape to which all parameters broadcast: the shape of the ensemble, or () for a single model."""
        shapes = {name: np.shape(value) for name, value in self._parameter_values.items()}
        shapes |= {"init": self.init.shape[:-1]} | ({"views": self.views.batch_shape} if self.views else {})
        try:
            return np.broadcast_shapes(*shapes.values())
        except ValueError:
            listing = ", ".join(f"{name} {shape}" for name, shape in shapes.items() if shape)
            raise errors.ArgumentError(
                f"The parameters of the model must have shapes that broadcast, but the shapes are {listing}."
            ) from None

    # --- properties of the dynamics ---------------------------------------------------------------------------------

    @cached_property
    def pole_at_collapse(self) -> npt.NDArray[np.bool_]:
        """Array that is True for each model of the ensemble whose loss has an infinite gradient at s = 0."""
        parameters = self.parameters
        if self.generated.poles is None:
            return np.zeros(self.batch_shape, bool)
        with np.errstate(all="ignore"):
            eigenvalue = eigenvalues.predictor(0.0, parameters.alpha, parameters.epsilon)
            poles = self.generated.poles(eigenvalue, *parameters.of_loss)
        values = np.broadcast_arrays(*(poles if isinstance(poles, tuple) else (poles,)))
        return ~np.all([np.isfinite(value).all(axis=-1) for value in values], axis=0)

    @property
    def needs_learning_rate(self) -> bool:
        """True if the flow of the model depends on the learning rate.

        The flow does so if the model has an EMA target or a tracked correlation. Both are exponential averages with a
        decay per step, and the learning rate converts a decay per step into a rate in time.
        """
        return isinstance(self.target, EMA) or self.structure.tracked

    @property
    def input_root(self) -> npt.NDArray[np.float64] | None:
        """Symmetric square root Sigma_x^(1/2) (N, N) of the covariance Sigma_x of the inputs; None for white inputs.

        For a model with ``views``, Sigma_x is the second moment that the views share.
        """
        if self.views is not None:
            return self.views.root
        return None if self.inputs is None else symmetric_root(self.inputs)

    @property
    def by_weights(self) -> bool:
        """True if the dynamics is that of the weights as matrices, because eigenvectors of the correlation rotate.

        This is so for correlated inputs, and for views whose second moments are matrices. Trajectories of such a model
        start from weights (..., M, N).
        """
        return self.inputs is not None or isinstance(self.views, MatrixViews)

    check_learning_rate = starts.check_learning_rate
    check_start = starts.check_start
    check_white_inputs = starts.check_white_inputs
    check_weights = starts.check_weights
    check_white_views = starts.check_white_views
    check_predictor_weights = starts.check_predictor_weights
    check_layers = starts.check_layers
    check_one_layer = starts.check_one_layer
    check_eigenmodes = starts.check_eigenmodes
    check_eigenvalues = starts.check_eigenvalues


def check_model(model: Any) -> None:
    """Raise ArgumentError unless the argument ``model`` of a function is a ``Model``."""
    errors.instance("model", model, Model, "be a Model, such as Model('cosine')")


def _read_only(array: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    view = array.view()
    view.setflags(write=False)
    return view


def _without_implied(description: Any) -> Any:
    """Return the description of a model without a stop-gradient that has no effect.

    Version 0.2 and before wrote the stop-gradient "target" also for user-defined losses and gains. Such a description
    contains all options of that version. In any other description, such as one that is written by hand, the
    stop-gradient is kept, and is refused later.
    """
    written = {name for name, default in defaults(Model).items() if default is not None} - LATER
    if not isinstance(description, dict) or not written <= description.keys():
        return description
    stated = isinstance(description["loss"], dict) or description.get("gain") is not None
    return {name: value for name, value in description.items() if not (stated and name == "stop_gradient")}
