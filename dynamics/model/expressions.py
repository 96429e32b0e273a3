"""Define user-defined losses and gains: expressions in the grammar of ``docs/losses.md``, with parameter values."""

import keyword
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar, NoReturn, Self

import numpy as np
import numpy.typing as npt

from dynamics import errors
from dynamics.model.options import frozen, shown_expression
from dynamics.model.shown_in_notebooks import displayed, equation_of
from dynamics.numerics.values import Value

if TYPE_CHECKING:
    from derivations.losses.user_defined import UserDefinedLoss

# Names that generated code uses, and names that are keys of a TOML file; a parameter cannot have one of these names.
TAKEN = frozenset(
    set(keyword.kwlist)
    | {"D", "Delta", "K", "M", "S11", "S12", "S22", "W_P", "X", "Y", "Z", "alpha", "average", "decay", "dot"}
    | {"epsilon", "eta", "excess1", "excess2", "exp", "expression", "force", "growth", "h", "init", "lam", "lam0"}
    | {"lam1", "lambert_growth", "lambert_time", "linear_growth", "linear_time", "log_lam0", "log_lam1"}
    | {"learning_rate", "log", "loss", "max", "min", "n1", "n2", "norm", "over_modes", "p", "predict", "r", "rate"}
    | {"rate_ratio", "ratio", "rho", "s", "sg", "sigma1", "sigma2", "sqrt", "stop_gradient", "t", "t1", "t2"}
    | {"tanh", "tau", "tilt", "tracking", "v", "w", "weight_decay", "weights", "x", "xp", "y", "z1", "z2"}
)


@dataclass(frozen=True, repr=False, eq=False)
class Expression(Value):
    """An expression in the loss grammar, and the values of its parameters, each a number or an array.

    This is the base class of ``Loss`` and ``Gain``.
    """

    text: str
    parameters: Mapping[str, Any] = field(default_factory=dict)

    example: ClassVar[str]

    def __post_init__(self) -> None:
        argument = type(self).__name__.lower()
        requirement = f"be an expression, such as {self.example!r}"
        errors.instance(argument, self.text, str, requirement)
        errors.instance("parameters", self.parameters, Mapping, "map the name of each parameter to its value")
        for name in self.parameters:
            if not isinstance(name, str):
                _reject_key("strings as keys", name)
            if not name.isidentifier() or not name.isascii():
                _reject_key("as keys ASCII identifiers", name)
            if _is_reserved(name):
                _reject_key("as keys names that are not reserved", name, _advice(name))
        values = {name: _value(name, value) for name, value in sorted(self.parameters.items())}
        object.__setattr__(self, "text", " ".join(self.text.split()))
        object.__setattr__(self, "parameters", MappingProxyType(values))
        from derivations.errors import ExpressionError
        from derivations.losses.grammar import names

        try:
            self._check(argument)
            unused = [name for name in values if name not in names(self.text)]
        except ExpressionError as error:
            raise errors.ArgumentError(
                f"Argument `{argument}` must {requirement}, but {self._completed(error)}"
            ) from None
        if unused:
            errors.reject(
                argument,
                f"contain the parameter {unused[0]} in its expression, because a value of {unused[0]} is given",
                self,
            )

    def _completed(self, error: Any) -> str:
        """Return the message of an ExpressionError as the end of a sentence, with advice on a name without value."""
        message = str(error)
        if error.unknown and _is_reserved(error.unknown):
            return f"{message}. As the name of a parameter it is reserved. {_advice(error.unknown)}"
        if error.unknown:
            values = "".join(f", {name}={errors.excerpt(value)}" for name, value in self.parameters.items())
            call = f"{type(self).__name__}.parse({errors.excerpt(self.text)}{values}, {error.unknown}=0.1)"
            message += f". If `{error.unknown}` is a parameter, give its value: {call}"
        return message if message.endswith("?") else f"{message}."

    def _check(self, argument: str) -> None:
        """Raise ExpressionError or ArgumentError unless the text is a valid expression for a loss or a gain.

        argument: "loss" or "gain", the name of the argument in messages.
        """
        raise NotImplementedError

    @classmethod
    def parse(cls, text: Any, /, **parameters: npt.ArrayLike) -> Self:
        """Return the loss or the gain that a text defines, with values of its parameters.

        Parameters
        ----------
        text : str or SymPy expression
            Text in the loss grammar (``docs/losses.md``). If a SymPy expression is given, it is converted to text; its
            symbols and undefined functions must therefore have the names that the grammar uses.
        **parameters : array_like
            Values of the parameters. Parameters are all names in the text that the grammar does not define.

        Raises
        ------
        ArgumentError
            If the text is not in the grammar (the message states the position of the error), or if a parameter does not
            occur in the text.

        Examples
        --------
        >>> import dynamics as dyn
        >>> dyn.Loss.parse("|p - sg(z2)|^2 / 2 + beta * |z1|^2", beta=0.1).parameters["beta"]
        0.1
        """
        return cls(str(text) if hasattr(text, "free_symbols") else text, parameters)

    def replace(self, /, **parameters: npt.ArrayLike) -> Self:
        """Return the same expression with new values of some of its parameters.

        Examples
        --------
        >>> import dynamics as dyn
        >>> dyn.Gain.parse("lambda^gamma", gamma=0.5).replace(gamma=2.0)
        Gain.parse('lambda^gamma', gamma=2.0)
        """
        return type(self)(self.text, {**self.parameters, **parameters})

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.text, dict(self.parameters))

    def _repr_latex_(self) -> str | None:
        return displayed(equation_of(self))

    def __repr__(self) -> str:
        return shown_expression(self)

    def __new__(cls, *arguments: Any, **named: Any) -> Self:
        """Create an expression; values of parameters that are passed as keywords are refused with advice."""
        if unexpected := sorted(named.keys() - {"text", "parameters"}):
            values = ", ".join(f"{name}={named[name]!r}" for name in unexpected)
            example = f"dyn.{cls.__name__}.parse({(*arguments, cls.example)[0]!r}, {values})"
            raise errors.ArgumentError(f"{cls.__name__} takes parameters in a dictionary; use {example}.")
        return super().__new__(cls)


def _reject_key(keys: str, key: Any, advice: str = "") -> NoReturn:
    message = f"Argument `parameters` must have {keys}, but has the key {errors.excerpt(key)}. {advice}"
    raise errors.ArgumentError(message.rstrip())


def _advice(name: str) -> str:
    """Return advice on another name for a parameter that has a reserved one."""
    free = f"{name.removeprefix('operator_').strip('_') or 'c'}_"
    return f"Use another name, such as {free}, in the expression and for its value."


def _is_reserved(name: str) -> bool:
    """Return True if generated code or TOML files use a name, or all names of its kind, such as "p1" and "_x"."""
    generated = name.rstrip("0123456789") in {"h", "p", "v"} or name.startswith(("operator_", "_"))
    return generated or name in TAKEN


def _value(name: str, value: Any) -> Any:
    return frozen(errors.real_array(name, value, "be a finite number, or an array of them"))


class Loss(Expression):
    """A user-defined loss L(z1, z2, p, W_P), such as ``Loss.parse("|p - sg(z2)|^2 / 2 + beta * |z1|^2", beta=0.1)``.

    Notes
    -----
    z1 is the representation of view 1 by the encoder, z2 is the representation of view 2 by the target branch, W_P is
    the predictor, and p = W_P z1 is the prediction. ``sg`` marks stop-gradients. The gradient of the loss of
    a sample is derived from the expression. The rates r_m of the modes are derived from this gradient. The eigenvalues
    then obey ds_m/dt = 2 s_m (r_m - rho) with weight decay rho, as for the named losses "euclidean" and "cosine".
    Networks are trained with the same loss.

    The rates are exact if each term of the gradient is a polynomial divided by powers of at most two norms. Otherwise
    the rates are computed by Monte Carlo. The grammar is described in ``docs/losses.md``.

    Examples
    --------
    >>> import dynamics as dyn
    >>> damped = dyn.Loss.parse("|p - sg(z2)|^2 / 2 + beta * |z1|^2", beta=0.1)
    >>> dyn.Model(damped).replace(beta=0.2)
    Model(loss=Loss.parse('|p - sg(z2)|^2 / 2 + beta * |z1|^2', beta=0.2))
    """

    example = "|p - sg(z2)|^2 / 2"

    def _check(self, argument: str) -> None:
        from derivations.losses import gradients

        loss = self.derivation().in_eigenbasis()
        if gradients.force(loss, 1) == gradients.force(loss, 2) == 0:
            needed = "have a nonzero gradient with respect to z1 (directly or through p) or z2, to train the encoder"
            errors.reject(argument, needed, self)

    def derivation(self, predictor: bool = True, symmetrised: bool = False) -> "UserDefinedLoss":
        """Return the symbolic form of the loss, from which ``derivations`` derives gradients and rates.

        predictor: False if the model has no predictor, so that W_P = 1. symmetrised: True to average the loss L over
        both orders of the views: the encoder gets view 1 and the target branch gets view 2, and the reverse.
        """
        from derivations.losses.user_defined import UserDefinedLoss

        return UserDefinedLoss(self.text, tuple(self.parameters), predictor, symmetrised)

    def known_parameters(self) -> tuple[dict[str, str], dict[str, str]]:
        """Return the signs of all parameters that have one sign, and the values of all that have one value, as text.

        A parameter that is an array has a sign if all its entries have this sign.
        """
        arrays = {name: np.asarray(value) for name, value in self.parameters.items()}
        signs = {name: "positive" for name, value in arrays.items() if (value > 0).all()}
        signs |= {name: "negative" for name, value in arrays.items() if (value < 0).all()}
        return signs, {name: repr(float(value.flat[0])) for name, value in arrays.items() if np.ptp(value) == 0}


class Gain(Expression):
    """A gain h(lambda), such as "lambda^0.5", which replaces lambda as a factor of the gradient in each mode.

    Notes
    -----
    ``lambda`` is the eigenvalue of the predictor W_P in the mode. The gradient of a loss with respect to the
    representation z1 contains lambda as a factor, because the loss depends on the prediction p = W_P z1. The gain
    h = lambda leaves the loss unchanged, and the gain h = 1 gives the isotropic version of the loss. A gain may contain
    sums, products, powers, sqrt, exp, log, tanh, and names of parameters.

    Examples
    --------
    >>> import dynamics as dyn
    >>> gain = dyn.Gain.parse("lambda^gamma", gamma=0.5)
    >>> gain([0.25, 1.0])
    array([0.5, 1. ])
    """

    example = "lambda^0.5"

    def _check(self, argument: str) -> None:
        from derivations.losses.gain import read_gain

        read_gain(self.text, tuple(self.parameters))

    @cached_property
    def _function(self) -> Callable[..., Any]:
        from derivations.codegen.functions import function
        from derivations.losses.gain import read_gain
        from dynamics.model.runtime_codegen import executed

        expression = read_gain(self.text, tuple(self.parameters))
        source = function("gain", ["lam", *self.parameters], "h(lambda).", [expression])
        return executed(source, "gain").gain

    def __call__(self, lam: npt.ArrayLike) -> npt.NDArray[np.float64]:
        """Return the gain h at predictor eigenvalues lam (..., M).

        Parameters that are arrays broadcast with the leading dimensions of lam. At a pole, h is inf. Raises
        ArgumentError if h is not defined at an eigenvalue, for example if h is a square root and the eigenvalue is
        negative.
        """
        gain = self.values(errors.real_array("lam", lam, "be finite eigenvalues of the predictor"))
        if np.isnan(gain).any():
            errors.reject("lam", f"be eigenvalues at which the gain {self.text} is defined", lam)
        return gain

    def values(self, lam: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """Return the gain h at predictor eigenvalues lam, without validation; h is nan where it is undefined."""
        parameters = (np.asarray(value)[..., None] for value in self.parameters.values())
        with np.errstate(all="ignore"):
            return self._function(lam, *parameters) + 0 * lam
