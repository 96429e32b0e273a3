"""Combinations of options that have no model, each with the requirement that it violates.

The rules are asked in their order; the table in ``docs/combinations.md`` is written from them.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

from dynamics import errors
from dynamics.generated import catalogue
from dynamics.model.components import EMA, ClosedForm, Learned, NoPredictor
from dynamics.model.expressions import Loss

Model: TypeAlias = Any  # of ``dynamics.model.model``, which imports this module


@dataclass(frozen=True)
class CombinationRule:
    """A requirement on one argument of a model beside its other options.

    violated: of a model; text in place of True states why. requirement: text, in which ``{model}`` is the model.
    """

    argument: str
    requirement: str
    violated: Callable[[Model], bool | str]


def check_combination(model: Model) -> None:
    """Raise ArgumentError for the first rule that the model violates."""
    for rule in RULES:
        violated = rule.violated(model)
        if violated:
            requirement = rule.requirement.format(model=model)
            if isinstance(violated, str):
                raise errors.ArgumentError(f"Argument `{rule.argument}` must {requirement}, but {violated}.")
            errors.reject(rule.argument, requirement, getattr(model, rule.argument))


# --- conditions -----------------------------------------------------------------------------------------------------


def _custom(model: Model) -> bool:
    return isinstance(model.loss, Loss)


def _gained(model: Model) -> bool:
    return model.gain is not None


def _derived(model: Model) -> bool:
    return _custom(model) or _gained(model)


def _learned(model: Model) -> bool:
    return isinstance(model.predictor, Learned)


def _averaged(model: Model) -> bool:
    return isinstance(model.target, EMA)


def _without_predictor(model: Model) -> bool:
    return isinstance(model.predictor, NoPredictor)


def _stops_elsewhere(model: Model) -> bool:
    return model.stop_gradient != "target"


def _meaningless_at_one(model: Model) -> bool | str:
    """A loss may contain a function of W_P that does not exist at W_P = 1, such as 1/(1 - W_P)."""
    if not (_custom(model) and _without_predictor(model)):
        return False
    from derivations.errors import ExpressionError

    try:
        model.derivation.in_eigenbasis()
    except ExpressionError as error:
        return str(error)
    return False


def _constant_at_one(model: Model) -> bool:
    if not (_custom(model) and _without_predictor(model)):
        return False
    from derivations.losses import gradients

    loss = model.derivation.in_eigenbasis()
    return bool(gradients.force(loss, 1) == gradients.force(loss, 2) == 0)


def _has_no_matrix_form(model: Model) -> bool:
    return _derived(model) and model.inputs is not None and model.generated.no_matrices is not None


def _is_not_in_the_catalogue(model: Model) -> bool:
    return not _derived(model) and model.catalogue_key not in catalogue.MODULES


# --- rules ----------------------------------------------------------------------------------------------------------

STATED = "be left out with a user-defined loss, which states its stop-gradients itself"
IMPLIED = "be left out with a gain, whose loss has its own stop-gradients"

RULES = (
    CombinationRule("isotropic", STATED, lambda model: _custom(model) and model.isotropic),
    CombinationRule("stop_gradient", STATED, lambda model: _custom(model) and _stops_elsewhere(model)),
    CombinationRule("isotropic", IMPLIED, lambda model: _gained(model) and model.isotropic),
    CombinationRule("stop_gradient", IMPLIED, lambda model: _gained(model) and _stops_elsewhere(model)),
    CombinationRule("loss", "have a meaning where W_P = 1, beside NoPredictor()", _meaningless_at_one),
    CombinationRule("loss", "have a gradient where W_P = 1, beside NoPredictor()", _constant_at_one),
    CombinationRule(
        "gain",
        "be left out with a user-defined loss: write it into the expression",
        lambda model: _gained(model) and _custom(model),
    ),
    CombinationRule(
        "predictor",
        "be ClosedForm(...) with a gain, a function of its eigenvalues",
        lambda model: _gained(model) and not isinstance(model.predictor, ClosedForm),
    ),
    CombinationRule(
        "predictor",
        "be ClosedForm(...) or NoPredictor() for a loss whose gradient does not reach W_P, or not as a matrix",
        lambda model: _custom(model) and _learned(model) and not model.derivation.trains_predictor,
    ),
    CombinationRule(
        "target",
        "be Shared() unless z2 only stands inside sg(): an average of the encoder is not trained",
        lambda model: _derived(model) and _averaged(model) and not model.derivation.has_free_target,
    ),
    CombinationRule("inputs", "be None: for this loss {model.generated.no_matrices}", _has_no_matrix_form),
    CombinationRule(
        "stop_gradient",
        "be 'target' for an isotropic loss, which has its own stop-gradients",
        lambda model: model.isotropic and _stops_elsewhere(model),
    ),
    CombinationRule(
        "isotropic",
        "be False without a predictor: there are no eigenvalue-dependent rates to equalise",
        lambda model: model.isotropic and _without_predictor(model),
    ),
    CombinationRule(
        "predictor",
        "be ClosedForm(...) for an isotropic loss, which lets no gradient reach the predictor",
        lambda model: model.isotropic and _learned(model),
    ),
    CombinationRule(
        "stop_gradient",
        "be 'target' or 'none' for a learned predictor: 'online' lets no gradient reach it",
        lambda model: _learned(model) and model.stop_gradient == "online",
    ),
    CombinationRule(
        "target",
        "be Shared() unless the gradient stops at the target: an average of the encoder is not trained",
        lambda model: _averaged(model) and _stops_elsewhere(model),
    ),
    CombinationRule(
        "predictor",
        "be ClosedForm(...) or NoPredictor() for correlated inputs, which make a learned one asymmetric",
        lambda model: _learned(model) and model.inputs is not None,
    ),
    CombinationRule(
        "isotropic",
        "be False for the {model.loss} loss, which has no isotropic version",
        _is_not_in_the_catalogue,
    ),
)
