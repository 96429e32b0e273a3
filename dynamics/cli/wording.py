"""Rewrite messages of Python functions in the words of the command line: arguments become options."""

import re
from collections.abc import Mapping

import click

import dynamics as dyn
from dynamics.cli.options import RANDOM
from dynamics.model.model import Model
from dynamics.model.options import ComponentOption, options

RENAMED = {  # words for arguments that are no option of the command, or that have another name there
    "model": "the model",
    "parameter": "PARAMETER",
    "parameters": "--parameter",
    "path": "FILE",
    "times": "--end-time",
    "until": "--until",
}


def in_options(message: str, command: click.Command, renamed: Mapping[str, str] = RENAMED) -> str:
    """Return a message in which the options of a command replace arguments of Python functions.

    For example, "Argument `learning_rate` must" becomes "--learning-rate must", "method='auto'" becomes
    "--method auto", and "NoPredictor()" becomes "no predictor (--no-predictor)". renamed: names of arguments, and the
    options that replace them; all other arguments are known from the command and the options of a model. The text of
    a model stays as it is in Python.
    """
    if command.name == "sweep":  # messages name keys of its file, which are the same as in Python
        return message
    names = {**_flags(command), **renamed}
    message, models = _without_models(message)
    message = re.sub(r"\b(?:Loss|Gain)\.parse\((?:'[^']*'|\"[^\"]*\"), ", "--parameter ", message)
    message = re.sub(r"(--parameter \w+=[\w.]+)\)", r"\1", message)
    for description in options(Model).values():
        for kind in description.classes if isinstance(description, ComponentOption) else ():
            title = f"{kind.title} ({kind.flag})" if kind.flag else kind.title
            message = re.sub(rf"(?<![=\w]){kind.__name__}\([^()]*\)", title, message)
    message = re.sub(r", `dyn\.[^`]*`|, or an array of them|, or, for an ensemble, two arrays[^,]*", "", message)
    message = re.sub(r", but is None(?=\.|$)", "", message)
    message = re.sub(r"must be False\b(.*), but is True", r"must be left out\1", message)
    message = re.sub(
        rf"(?:Argument )?`(\w+)`(?! is {OF_LOSSES})", lambda match: names.get(match[1], _command(match[0])), message
    )
    message = re.sub(r"(?<=[\w:] )(\w+)=('?)([\w.+-]+)\2", lambda match: _assigned(match, names), message)
    message = message.replace("(low, high)", "LOW,HIGH")
    message = re.sub(MODEL, lambda _: models.pop(0), message)
    return f"The {message[4:]}" if message.startswith("the ") else message


OF_LOSSES = "(?:an unknown name|a parameter)"  # words after names in an expression, which may be those of arguments
MODEL = "\0"  # stands for the text of a model while a message is rewritten
QUOTED = r"'(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\""


def _without_models(message: str) -> tuple[str, list[str]]:
    """Return a message with MODEL in place of each text of a model, or of a given loss or gain, and these texts.

    A text that was shortened, so that its parentheses are not closed, extends to the end of the message.
    """
    parts, models, start = [], [], 0
    for opening in re.finditer(r"\bModel\(|(?<=but is )(?:Loss|Gain)\.parse\(", message):
        if opening.start() < start:  # inside of another model
            continue
        parts.append(message[start : opening.start()])
        start = _closing(message, opening.end())
        models.append(message[opening.start() : start])
    return MODEL.join([*parts, message[start:]]), models


def _closing(message: str, start: int) -> int:
    """Return the end of the parenthesis whose contents begin at ``start``; parentheses in quotes are skipped."""
    depth = 1
    for token in re.finditer(rf"{QUOTED}|[()]", message[start:]):
        depth += {"(": 1, ")": -1}.get(token[0], 0)
        if not depth:
            return start + token.end()
    return len(message)


def _command(quoted: str) -> str:
    """Return the command for a function whose name is in backticks; return other words unchanged."""
    return quoted.replace("_", "-") if quoted.strip("`") in dir(dyn) else quoted


def _assigned(match: re.Match[str], names: Mapping[str, str]) -> str:
    """Return the option and value that replace an assignment such as "method='auto'"."""
    name, value = match[1], match[3]
    if name not in names:
        return match[0]
    return names[name] if value == "True" else f"{names[name]} {value}"


def _flags(command: click.Command) -> dict[str, str]:
    """Return the options of a command, and the options of a model, by the names of the arguments in Python."""
    of_model = {
        name: "the " + name if isinstance(description, ComponentOption) else str(description.flag)
        for name, description in options(Model).items()
    }
    for description in options(Model).values():
        for kind in description.classes if isinstance(description, ComponentOption) else ():
            parts = options(kind)
            of_model |= {name: part.flag for name, part in parts.items() if part.flag}
            of_model |= {kind.flag_sets: kind.flag} if kind.flag_sets else {}
    of_command = {
        str(parameter.name): parameter.opts[0] if isinstance(parameter, click.Option) else str(parameter.name).upper()
        for parameter in command.params
        if parameter.name not in RANDOM.values()  # ``weights_of`` rewrites messages on random weights
    }
    return (of_model if "loss" in of_command else {}) | of_command
