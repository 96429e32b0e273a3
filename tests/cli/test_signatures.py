"""Every public function has a command, and every argument of the function an option with the same default."""

import inspect

import click
import pytest

import dynamics as dyn
from dynamics.cli import commands as cli

# What is for Python alone, with the reason.
FUNCTIONS = {
    "load": "reads a file; `plot` and `compare` do it",
    "prepare": "returns a function for repeated use",
    "concatenate": "joins runs, the second of which starts in Python from the end of the first",
    "cifar10": "images are given to deep networks in Python",
    "digits": "images are given to deep networks in Python",
    "gaussian_images": "images are given to deep networks in Python",
}
ARGUMENTS = {
    **{(name, a): "a matrix" for name in ("solve", "iterate", "train") for a in ("W_P0", "layers0")},
    ("train", "probes"): "a matrix",
    **{(name, "schedules"): "functions, or a value for each step" for name in ("solve", "iterate", "train")},
    ("train", "checkpoint"): "for deep networks, which are described in Python",
    **{("sweep", name): "a key of the TOML file" for name in ("what", "grid", "store", "chunk", "keep", "arguments")},
}
OTHER_NAMES = {  # parameters of commands, where they have other names than the arguments of the function
    ("solve", "times"): ("end_time", "points"),
    ("train", "W0"): ("modes", "inputs", "init_std", "init_seed"),
    ("bifurcation", "parameter"): ("along",),
    ("sweep", "executor"): ("workers", "scheduler"),
    ("plot_sweep", "dataset"): ("store",),
    ("design", "target"): ("target", "text", "time", "level", "spread", "threshold", "speed", "sharpness"),
    **{(name, "model"): ("loss", "learned", "weight_decay", "ema", "gain") for name in dyn.__all__},
}
OTHER_DEFAULTS = {("train", "batch_size")}  # of the function: None, for another default for deep networks
SHOWN = {("design", "between"): "0.01,0.5"}  # defaults as they are written on the command line


def functions():
    return {name: getattr(dyn, name) for name in dyn.__all__ if inspect.isfunction(getattr(dyn, name))}


def arguments():
    of_functions = {name: inspect.signature(function).parameters for name, function in functions().items()}
    return [(name, argument) for name, of in of_functions.items() if name not in FUNCTIONS for argument in of.values()]


def command_of(name):
    return cli.main.commands[name.replace("_", "-")]


def test_every_public_function_has_a_command():
    missing = {name for name in functions() if name.replace("_", "-") not in cli.main.commands}
    assert missing == set(FUNCTIONS)


def test_every_argument_has_an_option():
    missing = set()
    for name, argument in arguments():
        parameters = {parameter.name for parameter in command_of(name).params}
        if not set(OTHER_NAMES.get((name, argument.name), (argument.name,))) <= parameters:
            missing.add((name, argument.name))
    assert missing == set(ARGUMENTS)


def test_defaults_are_those_of_the_functions():
    compared = 0
    for name, argument in arguments():
        if argument.default is not argument.empty and (name, argument.name) not in OTHER_DEFAULTS:
            for parameter in command_of(name).params:
                if parameter.name == argument.name:
                    default = parameter.to_info_dict()["default"]
                    value = default[0] if parameter.multiple else default
                    assert value == SHOWN.get((name, argument.name), argument.default), (name, argument.name)
                    compared += 1
    assert compared > 20


def test_trajectories_are_drawn_with_the_options_of_their_method():
    of_method = set(inspect.signature(dyn.Trajectory.plot).parameters) - {"self", "ax", "style"}
    assert of_method == {parameter.name for parameter in cli.main.commands["plot"].params} - {"files", "out", "form"}


@pytest.mark.parametrize("name", [*cli.main.commands])
def test_every_option_has_a_help_text(name):
    for parameter in cli.main.commands[name].params:
        assert isinstance(parameter, click.Argument) or parameter.help or parameter.name == "method"
