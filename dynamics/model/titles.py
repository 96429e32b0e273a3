"""Describe models in words and formulas on one line, for titles and legends of plots."""

import re
from typing import TYPE_CHECKING, Any

import numpy as np

from dynamics.model.options import ExpressionOption, changed, options

if TYPE_CHECKING:
    from dynamics.model.model import Model

TOKEN = re.compile(r"[A-Za-z_λ][A-Za-z_0-9]*|\d+(?:\.\d+)?(?:[eE][+-]?\d+)?|\*\*|\|\||\S")  # of the loss grammar
LETTERS = "alpha beta gamma delta epsilon zeta eta theta iota kappa lambda mu nu xi pi rho sigma tau phi chi psi omega"
GREEK = dict(zip(LETTERS.split(), "αβγδεζηθικλμνξπρστφχψω", strict=True))
RAISED, LOWERED = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"), str.maketrans("0123456789", "₀₁₂₃₄₅₆₇₈₉")
FIXED = "\u00a0"  # a no-break space
EQUALS = f"{FIXED}={FIXED}"
SIGNS = {"*": "·", ".": "·", "**": "^", "||": "‖", ",": f",{FIXED}"}
COMPONENTS = {  # predictors and targets, by the names of their classes
    "ClosedForm": "closed-form predictor",
    "Learned": "learned predictor",
    "NoPredictor": "no predictor",
    "Shared": "shared target",
    "EMA": "EMA target",
}


def title_of(model: "Model", brief: bool = False) -> str:
    """Return a model on one line: its loss, and the options that differ from the default.

    Arrays are represented by their range and size. brief: True to leave out the formulas of user-defined expressions.
    """
    loss = [f"{model.loss} loss"] if isinstance(model.loss, str) else _expression("loss", model.loss, brief)
    parts = [part for name in changed(model) if name != "loss" for part in _phrases(model, name, brief)]
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


def symbol(name: str) -> str:
    """Return a name as a symbol, such as "σ₁" for "sigma1", or "z₁" for "z1"; other names are returned unchanged."""
    letters = name.rstrip("0123456789")
    return GREEK.get(letters, letters) + name[len(letters) :].translate(LOWERED) if letters else name


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


def _phrases(part: Any, name: str, brief: bool) -> list[str]:
    """Return the phrases that describe the value of one option of a model, predictor or target, for a title.

    part: the model, predictor or target. name: name of the option. Most options have one phrase, such as "α = 0.5"; a
    user-defined loss or gain has a phrase for each parameter, too. brief: True to leave out the formula of a
    user-defined expression.
    """
    value, words = getattr(part, name), name.replace("_", " ")
    if isinstance(options(part)[name], ExpressionOption):
        return _expression(words, value, brief)
    if name == "stop_gradient":
        return ["no stop-gradient" if value == "none" else f"stop-gradient on {value}"]
    if name == "inputs":
        return [f"{len(value)}{FIXED}correlated{FIXED}inputs"]
    if type(value).__name__ in COMPONENTS:
        details = [phrase for option in changed(value) for phrase in _phrases(value, option, brief)]
        return [COMPONENTS[type(value).__name__] + (f" ({', '.join(details)})" if details else "")]
    if value is True:
        return [words]
    sign = symbol(name)
    return [f"{words} {spread(value)}" if sign == name else f"{sign}{EQUALS}{spread(value)}"]


def _expression(kind: str, expression: Any, brief: bool) -> list[str]:
    """Return the phrases for a user-defined loss or gain: its formula, and the value of each of its parameters.

    kind: "loss" or "gain". brief: True to write, for example, "user-defined loss" in place of the formula.
    """
    text = f"user-defined {kind}" if brief else formula(expression.text)
    text = f"{kind} {text}" if kind != "loss" and not brief else text
    return [text, *(f"{symbol(name)}{EQUALS}{spread(value)}" for name, value in expression.parameters.items())]
