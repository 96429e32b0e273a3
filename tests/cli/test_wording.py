"""Messages in the shell: they name options of the command, and lists in another form get a hint."""

import io
import warnings

import click
import numpy as np
import pytest

import dynamics as dyn
from dynamics.cli import commands as cli
from dynamics.cli.wording import in_options
from dynamics.numerics import progress
from tests.cli.calls import SOLVE, call

MISTAKES = {  # a mistake: (arguments, what the message says)
    "exponent": ([*SOLVE, "--alpha", "0"], "--alpha must be a positive number, but is 0.0."),
    "method": ([*SOLVE, "--method", "jx"], "--method must be one of 'auto', 'exact', 'heyoka', 'jax', 'scipy'"),
    "switch": ([*SOLVE, "--isotropic", "--no-predictor"], "--isotropic must be left out without a predictor"),
    "component": ([*SOLVE, "--loss", "|W_P^0.5 * z1 - sg(z2)|^2", "--learned"], "no predictor (--no-predictor)"),
    "value of a component": ([*SOLVE, "--learned", "0"], "--learned must be a positive number, but is 0.0."),
    "missing": ([*SOLVE, "--ema", "0.9"], "depends on the learning rate through a decay per step.\n"),
    "other option": (["iterate", "--s0", "1", "--input-dimension", "3"], "must be left out without --batch-size, bec"),
    "parameter": ([*SOLVE, "--loss", "beta * |p|^2"], "is a parameter, give its value: --parameter beta=0.1."),
    "assignment": (["collapse", "--s0", "0.1", "--learned"], "`phase-diagram`, or `solve` with --until steady"),
    "random weights": (["iterate", "--init-std", "0"], "--init-std must be a positive number, but is 0.0."),
    "range": (["bifurcation", "alpha", "--between", "1"], "two ascending numbers LOW,HIGH, or three or more"),
    "name": (["bifurcation", "rho", "--between", "0,1"], "PARAMETER must be one of 'learning_rate', 'sigma1'"),
    "stop-gradient": (
        [*SOLVE, "--loss", "|p - z2|^2", "--stop-gradient", "target"],
        "--stop-gradient must be left out",
    ),
    "list with blanks": (["solve", "--s0", ".1", ".3"], "separated by commas: --s0 .1,.3."),
    "list with commas and blanks": (["solve", "--s0", ".1,", ".3,", "1"], "separated by commas: --s0 .1,.3,1."),
    "range with blanks": (["bifurcation", "alpha", "--between", "0", "1"], "by commas: --between 0,1."),
    "axis with blanks": (["phase-diagram", "--x", "alpha", "1", "2"], "separated by commas: --x alpha 1,2."),
    "pair with commas": ([*SOLVE, "--noise", "0,0.1"], "separated by a blank: --noise 0 0.1."),
    "loss as argument": (["solve", "cosine", "--s0", ".1"], "A loss is given as --loss cosine."),
    "seeds": (["train", "--seed", "0,1"], "Repeat the option: --seed 0 --seed 1."),
    "value of a parameter": ([*SOLVE, "--parameter", "beta", "1"], "--parameter has the form NAME=VALUE"),
    "axis without range": (["phase-diagram", "--x", "alpha,1,2", "--y", "a,1,2"], "such as --x weight_decay 0,0.4."),
    "model": (["solve", "--model", "cosine"], "A model is described by options such as --loss"),
    "predictor": (["solve", "--predictor", "learned"], "Predictors are --alpha (a closed form), --learned and"),
    "steps of a flow": (["solve", "--steps", "3"], "A flow has times: --end-time and --points"),
    "time of a descent": (["iterate", "--end-time", "3"], "has --steps and --learning-rate; time is their product."),
    "start of a network": (["train", "--s0", "0.1"], "Weights are random, see --modes, --inputs, --init-std"),
    "parameter as option": ([*SOLVE, "--nu", "1"], "is given as --parameter nu=VALUE."),
    "misspelt option": ([*SOLVE, "--weight-deay", "1"], "Did you mean '--weight-decay'"),
    "no trajectory": (["plot", __file__, "--out", "a.png"], "FILE must name a complete file"),
    "design target": (["design", "rate-function", "--text", "x^2"], "TARGET must be an expression in lambda and rest"),
    "value in a derivation": (["derive", "--alpha", "2"], "Parameters of the model have no values here"),
    "option of another predictor": ([*SOLVE, "--init", "1"], "with a closed-form predictor; it requires --learned."),
    "number of inputs": (["iterate", "--inputs", "0"], "--inputs must be a whole number >= 1, but is 0."),
    "covariance": (["solve", "--modes", "1", "--input-variances", "-1,1"], "--input-variances must be a covariance"),
    "half a pair at the end": ([*SOLVE, "--noise", "0.1"], "--noise has two numbers, such as --noise 0 0.1."),
    "coupled modes": (
        ["equilibria", "--s0", "0.1", "--loss", "|p - sg(z2)|^2 / |z1|^2"],
        "for other models use `phase-diagram`, or `solve` with --until steady), but is",
    ),
    "collapse of coupled modes": (
        ["collapse", "--s0", "0.1", "--loss", "cosine", "--no-predictor"],
        "for other models use `phase-diagram`, or `solve` with --until steady), but is",
    ),
    "reserved name": (
        [*SOLVE, "--loss", "|p|^2 * tau", "--parameter", "tau=1"],
        "but has the key 'tau'. Use another name, such as tau_,",
    ),
    "reserved name without value": (
        [*SOLVE, "--loss", "|p|^2 * tau"],
        "`tau` is an unknown name; known names are z1, z2, p, W_P. As the name of a parameter it is reserved. Use",
    ),
    "half a pair": (["solve", "--noise", "0.1", "--points", "3"], "--noise has two numbers, such as --noise 0 0.1."),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_the_message_names_options(mistake):
    arguments, message = MISTAKES[mistake]
    done = call(*arguments)
    assert done.exit_code == 2 and message in done.stderr
    assert "Argument `" not in done.stderr


MODELS = [  # whose texts have arguments, components, expressions, quotes and parentheses
    dyn.Model("cosine", weight_decay=0.1, target=dyn.EMA(0.9)),
    dyn.Model("cosine", predictor=dyn.NoPredictor(), noise=(0.0, 0.1)),
    dyn.Model("euclidean", predictor=dyn.Learned(2.0), isotropic=False, target=dyn.EMA(0.5)),
    dyn.Model("cosine", gain="lambda^0.5", symmetrised=True),
    dyn.Model(dyn.Loss.parse("|p - sg(z2)|^2 / 2 + kappa * |z1|^2", kappa=0.02), noise=(0.1, 0.1)),
    dyn.Model(dyn.Loss.parse("|p - sg(z2)|^2 / 2 + a * (b + 1) * |z1|^2", a=0.02, b=1e-5), weight_decay=0.1),
    dyn.Model("euclidean", gain=dyn.Gain.parse("lambda^gamma", gamma=0.5), weight_decay=0.1),
]


@pytest.mark.parametrize("model", MODELS, ids=repr)
@pytest.mark.parametrize("name", ["solve", "equilibria", "compare", "train"])
def test_models_in_messages_are_kept(name, model):
    flags = [flag for option in cli.main.commands[name].params for flag in option.opts]
    rtol = "--rtol 1e-5" if "--rtol" in flags else "rtol=1e-5"
    message = f"for {model}, not {model}, use rtol=1e-5"
    assert in_options(message, cli.main.commands[name]) == f"for {model}, not {model}, use {rtol}"


def test_a_loss_that_is_refused_is_kept():
    parameters = ["--parameter", "beta=1", "--parameter", "bta=2"]
    done = call(*SOLVE, "--loss", "|p|^2 * beta", *parameters)
    assert done.stderr.endswith("but is Loss.parse('|p|^2 * beta', beta=1.0, bta=2.0).\n")


def test_a_model_that_is_shortened_in_a_message_is_kept():
    message = "--s0 must be, but is Model(loss=Loss.parse('|p - (z2 ... a=0.02, weight_decay=0.1"
    assert in_options(message, cli.main.commands["solve"]) == message


@pytest.mark.parametrize("command", ["equilibria", "collapse"])
def test_a_refused_model_is_printed_as_in_python(command):
    loss = ["--loss", "|p - sg(z2)|^2 / |z1|^2 * kappa", "--parameter", "kappa=0.02", "--noise", "0.1", "0.1"]
    done = call(command, "--s0", "0.1,0.3", *loss)
    model = "Model(loss=Loss.parse('|p - sg(z2)|^2 / |z1|^2 * kappa', kappa=0.02), noise=(0.1, 0.1))"
    assert done.exit_code == 2 and done.stderr.endswith(f"but is {model}.\n")


def test_warnings_name_options(monkeypatch):
    def collapse(model, s0):
        warnings.simplefilter("default")
        warnings.warn("`s0` is small; use method='jax' or nothing=1", UserWarning, stacklevel=2)
        return original(model, s0)

    original = dyn.collapse
    monkeypatch.setattr(dyn, "collapse", collapse)
    done = call("collapse", "--s0", "0.1")
    assert done.stderr == "Warning: --s0 is small; use method='jax' or nothing=1\n"  # it has no option --method


def test_hints_of_bars_name_options(monkeypatch):
    @cli.main.command("wait", hidden=True, params=[click.Option(["--rtol"])])
    def wait(rtol):
        with progress.hinting(lambda: "faster: rtol=1e-5"):
            bar = progress.progress_bar(1, "wait", True)
        bar.start_t -= 2 * progress.HINT_AFTER
        click.echo(bar.format_meter(**bar.format_dict))
        bar.close()

    try:
        assert "(faster: --rtol 1e-5)" in call("wait").output
    finally:
        del cli.main.commands["wait"]


@pytest.mark.parametrize("spelling", [["--lr", "0.2"], ["--learning_rate", "0.2"], ["--learning-rate", "0.2"]])
def test_other_spellings_of_options(spelling, tmp_path):
    done = call("iterate", "--s0", "0.1", "--steps", "3", *spelling, "--out", "-", "--format", "npz")
    assert np.load(io.BytesIO(done.stdout_bytes))["t"][1] == 0.2


def test_other_spellings_are_no_part_of_the_help():
    assert "--lr" not in call("iterate", "--help").output and call("phase_diagram", "--help").exit_code == 0
