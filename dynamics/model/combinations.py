"""Define the rules that state which options of a model can be combined, and check whether a model meets the rules.

If a model violates several rules, the error states only the violated rule that comes first in the list of rules.
``tools/combinations.py`` writes ``docs/combinations.md`` from the rules.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

from dynamics import errors
from dynamics.generated import catalogue
from dynamics.model.components import ClosedForm, Learned, NoPredictor, Reconstruction, Shared
from dynamics.model.expressions import Loss
from dynamics.model.views import MatrixViews

Model: TypeAlias = Any  # the class in ``dynamics.model.model``, which imports this module


@dataclass(frozen=True)
class CombinationRule:
    """A requirement on one argument of ``Model`` that depends on the other arguments.

    argument: name of the argument. requirement: the words after "must" in the error message "Argument `...` must ...".
    The words may contain fields such as ``{model.loss}``, which are replaced by values of the model. violated: function
    of the model. The function returns False if the model meets the requirement. Otherwise the function returns True, or
    a text that states the reason; the message then contains this text.
    """

    argument: str
    requirement: str
    violated: Callable[[Model], bool | str]


def check_combination(model: Model) -> None:
    """Raise ArgumentError if a model violates a rule in RULES; the message states the first rule that is violated."""
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


def _separate(model: Model) -> bool:
    return not isinstance(model.target, Shared)


def _deep(model: Model) -> bool:
    return bool(model.depth > 1)


def _without_predictor(model: Model) -> bool:
    return isinstance(model.predictor, NoPredictor)


def _stops_elsewhere(model: Model) -> bool:
    return model.stop_gradient not in (None, "target")


def _lacks(model: Model, *names: str) -> bool:
    """Return True if the loss is an expression that contains none of the names."""
    if not _custom(model):
        return False
    from derivations.losses import grammar

    return not set(names) & set(grammar.names(model.loss.text))


def _has_noise(model: Model) -> bool:
    return any(np.any(sigma) for sigma in model.noise)


def _meaningless_at_one(model: Model) -> bool | str:
    """Return the reason as text if the loss is undefined because the model has no predictor; otherwise return False.

    A model without predictor has W_P = 1. A user-defined loss may be undefined at W_P = 1, for example if the loss
    contains 1/(1 - W_P).
    """
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
    return _derived(model) and model.by_weights and model.generated.no_matrices is not None


def _states_matrices(model: Model) -> bool:
    return isinstance(model.views, MatrixViews)


def _keeps_samples(model: Model) -> bool:
    return isinstance(model.views, MatrixViews) and model.views.samples is not None


def _is_not_in_the_catalogue(model: Model) -> bool:
    return not _derived(model) and model.catalogue_key not in catalogue.MODULES


# --- rules ----------------------------------------------------------------------------------------------------------

STATED = "be left out with a user-defined loss, because stop-gradients are written into the expression as sg(...)"
STATED_BY_VIEWS = "be left out with `views`, because the second moments of the views contain it"
IMPLIED = "be left out with a gain, because the gain determines the stop-gradients of the loss"

RULES = (
    CombinationRule("noise", STATED_BY_VIEWS, lambda model: model.views is not None and _has_noise(model)),
    CombinationRule("inputs", STATED_BY_VIEWS, lambda model: model.views is not None and model.inputs is not None),
    CombinationRule("isotropic", STATED, lambda model: _custom(model) and model.isotropic),
    CombinationRule("stop_gradient", STATED, lambda model: _custom(model) and model.stop_gradient is not None),
    CombinationRule("isotropic", IMPLIED, lambda model: _gained(model) and model.isotropic),
    CombinationRule("stop_gradient", IMPLIED, lambda model: _gained(model) and model.stop_gradient is not None),
    CombinationRule("loss", "be defined at W_P = 1 if the predictor is NoPredictor()", _meaningless_at_one),
    CombinationRule("loss", "have a nonzero gradient at W_P = 1 if the predictor is NoPredictor()", _constant_at_one),
    CombinationRule(
        "gain",
        "be left out with a user-defined loss, because the expression of the loss can contain the gain",
        lambda model: _gained(model) and _custom(model),
    ),
    CombinationRule(
        "predictor",
        "be ClosedForm(...) with a gain, because the gain is a function of the eigenvalues of this predictor",
        lambda model: _gained(model) and not isinstance(model.predictor, ClosedForm),
    ),
    CombinationRule(
        "predictor",
        "be ClosedForm(...) or NoPredictor(), because the gradient of this loss does not reach W_P, or because the "
        "loss contains a function of W_P that is not a positive integer power",
        lambda model: _custom(model) and _learned(model) and not model.derivation.trains_predictor,
    ),
    CombinationRule(
        "predictor",
        "be left out, or be NoPredictor(), for a loss without p and W_P, because nothing depends on the predictor",
        lambda model: _lacks(model, "p", "W_P") and model.predictor not in (ClosedForm(), NoPredictor()),
    ),
    CombinationRule(
        "target",
        "be Shared() for a loss without z2, because nothing depends on the target branch",
        lambda model: _lacks(model, "z2") and _separate(model),
    ),
    CombinationRule(
        "target",
        "be Shared(), because z2 stands outside sg() in this loss, so that a gradient reaches the target branch, and "
        "an average of the weights of the encoder cannot be trained by gradients",
        lambda model: _derived(model) and _separate(model) and not model.derivation.has_free_target,
    ),
    CombinationRule(
        "inputs",
        "be None for this loss, because {model.generated.no_matrices}",
        lambda model: _has_no_matrix_form(model) and not _states_matrices(model),
    ),
    CombinationRule(
        "views",
        "be white, have moments of each mode or keep measured samples for this loss, because "
        "{model.generated.no_matrices}",
        lambda model: _has_no_matrix_form(model) and _states_matrices(model) and not _keeps_samples(model),
    ),
    CombinationRule(
        "stop_gradient",
        "be 'target' for an isotropic loss, because the definition of this loss contains its stop-gradients",
        lambda model: model.isotropic and _stops_elsewhere(model),
    ),
    CombinationRule(
        "isotropic",
        "be False without a predictor, because there are no predictor eigenvalues by which the rates of modes differ",
        lambda model: model.isotropic and _without_predictor(model),
    ),
    CombinationRule(
        "predictor",
        "be ClosedForm(...) for an isotropic loss, because no gradient of this loss reaches the predictor",
        lambda model: model.isotropic and _learned(model),
    ),
    CombinationRule(
        "stop_gradient",
        "be 'target' or 'none' for a learned predictor, because no gradient reaches the predictor with 'online'",
        lambda model: _learned(model) and model.stop_gradient == "online",
    ),
    CombinationRule(
        "target",
        "be Shared() unless `stop_gradient` is 'target', because otherwise a gradient reaches the target branch, and "
        "an average of the weights of the encoder cannot be trained by gradients",
        lambda model: _separate(model) and _stops_elsewhere(model),
    ),
    CombinationRule(
        "target",
        "be Shared() or EMA(...) for correlated inputs and views of matrices, because modes then rotate "
        "away from the directions of view 2",
        lambda model: isinstance(model.target, Reconstruction) and model.by_weights,
    ),
    CombinationRule(
        "depth",
        "be 1 for correlated inputs and views of matrices, because the theory of layers assumes aligned singular "
        "vectors",
        lambda model: _deep(model) and model.by_weights,
    ),
    CombinationRule(
        "isotropic",
        "be False for the {model.loss} loss, because this loss has no isotropic version",
        _is_not_in_the_catalogue,
    ),
)
