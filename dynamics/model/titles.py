"""Describe models in words and formulas on one line, for titles and legends of plots."""

import re
from collections.abc import Collection
from typing import TYPE_CHECKING, Any

import numpy as np

from dynamics.model.options import ExpressionOption, changed, options
from dynamics.presentation.labels import symbol

if TYPE_CHECKING:
    from dynamics.model.model import Model

TOKEN = re.compile(r"[A-Za-z_λ][A-Za-z_0-9]*|\d+(?:\.\d+)?(?:[eE][+-]?\d+)?|\*\*|\|\||\S")  # of the loss grammar
RAISED = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")
FIXED = "\u00a0"  # a no-break space
EQUALS = f"{FIXED}={FIXED}"
SIGNS = {"*": "·", ".": "·", "**": "^", "||": "‖", ",": f",{FIXED}"}
COMPONENTS = {  # predictors and targets, by the names of their classes
    "ClosedForm": "closed-form predictor",
    "Learned": "learned predictor",
    "NoPredictor": "no predictor",
    "Shared": "shared target",
    "EMA": "EMA target",
    "Reconstruction": "reconstruction target",
}


def title_of(model: "Model", brief: bool = False, swept: Collection[str] = ()) -> str:
    """Return a model on one line: its loss, and the options that differ from the default.

    Arrays are represented by their range and size. brief: True to leave out the formulas of user-defined expressions.
    swept: names of parameters whose values are left out, because they vary in the plot.
    """
    loss = [f"{model.loss} loss"] if isinstance(model.loss, str) else _expression("loss", model.loss, brief, swept)
    parts = [part for name in changed(model, swept) if name != "loss" for part in _phrases(model, name, brief, swept)]
    return ", ".join([*loss, *parts])


def formula(text: str) -> str:
    """Return an expression of the loss grammar in mathematical signs, such as "|p − sg(z₂)|²/2".

    The line may be broken at its spaces; where it may not, there are no-break spaces.
    """
    tokens, written, operand = TOKEN.findall(text), "", False
    while tokens:
        token = tokens.pop(0)
        if token in ("+", "-"):
            sign = token.replace("-", "−")
            written, operand = f"{written} {sign}{FIXED}" if operand else f"{written}{sign}", False
        elif token in ("^", "**") and (power := _integer(tokens)):
            written += power.translate(RAISED)
        else:
            written += SIGNS.get(token, token if token[0].isdigit() else symbol(token))
            operand = token[0].isalnum() or token[0] in "_)" or (token in ("|", "||") and operand)
    return written


def assigned(name: str, value: Any) -> str:
    """Return a parameter and its value as a phrase, such as "weight decay 0.1" or "α = 0.5"."""
    sign = symbol(name)
    return f"{name.replace('_', ' ')} {spread(value)}" if sign == name else f"{sign}{EQUALS}{spread(value)}"


def spread(value: Any) -> str:
    """Return the value of a parameter as text; of an array, the range and the number of values."""
    if isinstance(value, tuple):
        return " and ".join(map(spread, value))
    array = np.asarray(value)
    if array.size < 2:
        return ", ".join(f"{number:.4g}" for number in array.flat)
    low, high = f"{array.min():.4g}", f"{array.max():.4g}"
    size = f"({array.size}{FIXED}values)"
    return f"{low} to {high}{FIXED}{size}" if low != high else f"{low}{FIXED}{size}"


def _integer(tokens: list[str]) -> str:
    """Remove an integer at the start of a list of tokens, with its sign, and return it; "" if there is none."""
    count = 2 if tokens[:1] == ["-"] else 1
    if len(tokens) < count or not tokens[count - 1].isdigit():
        return ""
    return "".join(tokens.pop(0) for _ in range(count))


def _phrases(part: Any, name: str, brief: bool, swept: Collection[str]) -> list[str]:
    """Return the phrases that describe the value of one option of a model, predictor or target, for a title.

    part: the model, predictor or target. name: name of the option. Most options have one phrase, such as "α = 0.5"; a
    user-defined loss or gain has a phrase for each parameter, too. brief: True to leave out the formula of a
    user-defined expression. swept: names of the parameters that vary, which are left out.
    """
    value, description = getattr(part, name), options(part)[name]
    if isinstance(description, ExpressionOption):
        return _expression(name, value, brief, swept)
    if name == "stop_gradient":
        return ["no stop-gradient" if value == "none" else f"stop-gradient on {value}"]
    if name == "inputs":
        return [f"{len(value)}{FIXED}correlated{FIXED}inputs"]
    if name == "views":
        return [f"v{str(value)[1:]}"]
    if type(value).__name__ in COMPONENTS:
        phrases = [phrase for option in changed(value, swept) for phrase in _phrases(value, option, brief, swept)]
        return [COMPONENTS[type(value).__name__] + (f" ({', '.join(phrases)})" if phrases else "")]
    if value is True:
        return [name.replace("_", " ")]
    members = description.parameters(name, value)
    if swept and len(members) > 1 and not members.keys().isdisjoint(swept):  # the values of a pair, one by one
        return [assigned(member, members[member]) for member in members if member not in swept]
    return [assigned(name, value)]


def _expression(kind: str, expression: Any, brief: bool, swept: Collection[str]) -> list[str]:
    """Return the phrases for a user-defined loss or gain: its formula, and the value of each of its parameters.

    kind: "loss" or "gain". brief: True to write, for example, "user-defined loss" in place of the formula. swept: names
    of the parameters that vary, which are left out.
    """
    text = f"user-defined {kind}" if brief else formula(expression.text)
    text = f"{kind} {text}" if kind != "loss" and not brief else text
    values = {name: value for name, value in expression.parameters.items() if name not in swept}
    return [text, *(f"{symbol(name)}{EQUALS}{spread(value)}" for name, value in values.items())]
