"""Give hints on command lines that cannot be read: options that do not exist, and values in another form."""

import re
from difflib import get_close_matches
from itertools import takewhile

import click

from dynamics.cli.options import model_options
from dynamics.model.model import Model
from dynamics.model.options import options

INSTEAD = {  # names of options that do not exist, and what to use; a hint is given if the command has its options
    ("model",): "A model is described by options such as --loss and --noise.",
    ("predictor",): "Predictors are --alpha (a closed form), --learned and --no-predictor.",
    ("target",): "A target branch with averaged weights is --ema DECAY.",
    ("rate",): "The rate of a learned predictor is that of --learned RATE.",
    ("steps", "times", "time", "t"): "A flow has times: --end-time and --points; `iterate` and `train` have steps.",
    ("end-time", "times", "time", "t"): "A run in steps has --steps and --learning-rate; time is their product.",
    ("w0", "weights", "s0"): "Weights are random, see --modes, --inputs, --init-std and --init-seed.",
    ("batch",): "The number of samples in a step is --batch-size.",
    ("output", "o", "save"): "The result is written with --out FILE.",
}


def option_hint(command: click.Command, flag: str) -> str:
    """Return what to use in place of an option that a command lacks, such as "--predictor"; "" if there is no hint."""
    name, flags = flag.strip("-"), [flag for option in command.params for flag in option.opts]
    for names, hint in INSTEAD.items():
        if name.lower() in names and set(re.findall(r"--[\w-]+", hint)) <= set(flags):
            return hint
    if "--loss" in flags and flag in {flag for option in model_options() for flag in option.opts}:
        return "Parameters of the model have no values here: they are symbols."
    near = get_close_matches(name, [flag.strip("-") for flag in flags])
    if near or "--parameter" not in flags or not name.isidentifier():
        return ""
    return f"A parameter of a loss or gain is given as --parameter {name}=VALUE."


def word_hint(command: click.Command, words: list[str]) -> str:
    """Return how to write a value that has a wrong form in the command line ``words``; "" if there is no hint."""
    by_flag = {flag: option for option in command.params if isinstance(option, click.Option) for flag in option.opts}
    losses = options(Model)["loss"].choices if "--loss" in by_flag else ()
    for position, word in enumerate(words):
        if word in losses and words[position - 1 : position] != ["--loss"]:
            return f"A loss is given as --loss {word}."
        if word in by_flag and (hint := _value_hint(by_flag[word], word, words[position + 1 :])):
            return hint
    return ""


def _value_hint(option: click.Option, flag: str, following: list[str]) -> str:
    """Return advice on how the value of an option is written; "" if the words after the option have the right form.

    flag: the option as the user wrote it, such as "--noise". following: the words after the option on the command line.
    """
    if "numbers" in _kinds(option):
        return _list_hint(option, flag, following)
    first = following[0] if following else ""
    numbers = first.split(",") if "," in first and _are_numbers(first.split(",")) else []
    if option.nargs == 2 and numbers:
        return f"The two numbers of {flag} are separated by a blank: {flag} {' '.join(numbers)}."
    if option.nargs == 2 and (len(following) < 2 or not _are_numbers(following[:2])):
        return f"{flag} has two numbers, such as {flag} 0 0.1."
    if option.multiple and numbers:
        return f"Repeat the option: {' '.join(f'{flag} {number}' for number in numbers)}."
    if option.multiple and "=" in (option.metavar or "") and "=" not in first:
        return f"{flag} has the form {option.metavar}, such as {flag} beta=0.1."
    return ""


def _list_hint(option: click.Option, flag: str, following: list[str]) -> str:
    """Return advice on how an option with a list of numbers is written; "" if no mistake is found.

    The list may have a name before it, as in "--x weight_decay 0,0.4". flag: the option as the user wrote it.
    following: the words after the option on the command line.
    """
    name, rest = following[: option.nargs - 1], following[option.nargs - 1 :]
    numbers = [word.strip(",") for word in takewhile(lambda word: _are_numbers(word.strip(",").split(",")), rest)]
    if len(numbers) > 1:
        return f"Numbers of a list are separated by commas: {' '.join([flag, *name, ','.join(numbers)])}."
    return f"{flag} has a name and a range, such as {flag} weight_decay 0,0.4." if name and not numbers else ""


def _kinds(option: click.Option) -> list[str]:
    kinds = option.type.types if isinstance(option.type, click.Tuple) else [option.type]
    return [kind.name for kind in kinds]


def _are_numbers(words: list[str]) -> bool:
    return all(re.fullmatch(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", word) for word in words)
