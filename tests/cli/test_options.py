"""Options of the commands: a model's options come from its descriptions, and the help states what the code does."""

import re

import click
import pytest
from click.testing import CliRunner

import dynamics as dyn
from dynamics.cli import commands as cli
from dynamics.cli.options import Numbers
from dynamics.model.options import options
from dynamics.solvers.methods import DESCENT_METHODS, FLOW_METHODS

OF_A_MODEL = ("solve", "iterate", "train", "check", "export")


def output(*arguments):
    done = CliRunner().invoke(cli.main, arguments, prog_name="ssl-dynamics")
    assert done.exit_code == 0, done.output
    return done.output


@pytest.mark.parametrize("command", [*OF_A_MODEL, "derive"])
def test_help_states_defaults(command):
    assert "[default: euclidean]" in re.sub(r"\s+", " ", output(command, "--help"))


def help_of(command):
    """{flag: its line or lines of help}."""
    text = re.sub(r"\s+", " ", output(command, "--help"))
    return {part.split()[0]: part for part in re.split(r" (?=--[a-z])", text)}


@pytest.mark.parametrize("command", OF_A_MODEL)
@pytest.mark.parametrize("kind", [dyn.Model, dyn.ClosedForm, dyn.Learned, dyn.NoPredictor, dyn.EMA])
def test_every_option_of_a_model_is_an_option_of_the_command_with_its_help(command, kind):
    shown = help_of(command)
    for description in options(kind).values():
        if description.flag is not None:
            assert description.help in shown[description.flag]
    assert getattr(kind, "flag", None) is None or kind.flag in shown


@pytest.mark.parametrize(("command", "methods"), [("solve", FLOW_METHODS), ("iterate", DESCENT_METHODS)])
def test_help_lists_all_methods(command, methods):
    assert ", ".join(["auto", *(method.name for method in methods)]) in help_of(command)["--method"]


def test_a_derivation_takes_no_values_of_parameters():
    shown = help_of("derive")
    assert {"--loss", "--isotropic", "--ema", "--learned", "--no-predictor", "--gain", "--parameter"} <= set(shown)
    assert not {"--alpha", "--init", "--noise", "--weight-decay", "--input-variances"} & set(shown)


def test_lists_of_numbers_are_separated_by_commas_or_blanks():
    assert Numbers().convert("0.02,0.2 2", None, None) == [0.02, 0.2, 2.0] and Numbers().convert("", None, None) == []
    with pytest.raises(click.UsageError, match="must be a list of numbers"):
        Numbers().convert("1,two", None, None)
