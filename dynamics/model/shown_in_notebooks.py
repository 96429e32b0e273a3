"""Describe models, losses and gains for notebooks: facts for a card, and equations in LaTeX."""

from typing import TYPE_CHECKING, Any

import numpy as np

from dynamics.model.options import shown
from dynamics.presentation.text import Fact, shortened

if TYPE_CHECKING:
    from dynamics.model.expressions import Expression
    from dynamics.model.model import Model

LONGEST_LOSS = 300  # number of characters of a loss above which only its text is shown


def title_of(model: "Model") -> str:
    """Return a title for the card of a model."""
    return f"Model with {model.loss} loss" if isinstance(model.loss, str) else "Model with a user-defined loss"


def facts_of(model: "Model") -> list[Fact]:
    """Return the parts of a model, and the values of its parameters."""
    stop = "own stop-gradients" if model.isotropic or model.gain else f"stop-gradient on {model.stop_gradient}"
    named = [stop, *(["isotropic"] * model.isotropic), *(["symmetrised"] * model.symmetrised)]
    loss = model.loss if isinstance(model.loss, str) else model.loss.text
    rows = [("loss", f"{loss}, {', '.join(named)}" if isinstance(model.loss, str) else loss)]
    rows += [("symmetrised", "yes")] if model.symmetrised and not isinstance(model.loss, str) else []
    rows += [("gain", f"h(lambda) = {model.gain.text}")] if model.gain else []
    rows += [("predictor", type(model.predictor).__name__), ("target", type(model.target).__name__)]
    inputs = "white" if model.inputs is None else f"covariance of shape {np.shape(model.inputs)}"
    rows.append(("inputs", inputs) if model.views is None else ("views", str(model.views)))
    return [*rows, *shortened(((name, number(value)) for name, value in model.parameter_values.items()), most=20)]


def number(value: Any) -> str:
    """Return the value of a parameter as text; for an array, the text states its range and its shape."""
    if not np.ndim(value):
        return f"{value:.6g}"
    array = np.asarray(value)
    return f"{array.min():.6g} ... {array.max():.6g}, shape {array.shape}" if array.size else shown(value)


def equations_of(model: "Model") -> str | None:
    """Return the loss of a model and its dynamics in LaTeX, or None if the loss is too long for a formula."""
    from derivations.report.equations import Dynamics, equations

    if len(model.loss_name) > LONGEST_LOSS:
        return None
    structure = model.structure
    dynamics = Dynamics(
        predictor=structure.predictor,
        offset=bool(model.parameters.epsilon.any()),
        tracked=structure.tracked,
        separate_target=structure.separate_target,
        correlated=model.by_weights,
    )
    return equations(model.derivation_of_rates, dynamics)


def displayed(formula: str | None) -> str | None:
    """Return the LaTeX of a formula as a displayed equation; None remains None."""
    return None if formula is None else f"$${formula}$$"


def equation_of(expression: "Expression") -> str | None:
    """Return the equation L = ... of a loss or h(lambda) = ... of a gain in LaTeX; None if its text is too long."""
    from derivations.report import equations

    if len(expression.text) > LONGEST_LOSS:
        return None
    if hasattr(expression, "derivation"):
        formula = equations.loss_equation(expression.derivation())
    else:
        formula = equations.gain_equation(expression.text, tuple(expression.parameters))
    values = {name: value for name, value in expression.parameters.items() if not np.ndim(value)}
    return formula + equations.parameter_equations(values)
