"""Commands of analyses: they call the function, and their JSON is the result of the function."""

import json
from dataclasses import fields

import numpy as np
import pytest

import dynamics as dyn
from dynamics.cli.analyses import OF_TARGETS, TARGETS
from dynamics.presentation.plain import plain
from tests.cli.calls import ANALYSES, call

DECAY = dyn.Model("euclidean", weight_decay=0.05)
PLANE = (("weight_decay", (0.0, 0.4)), ("learning_rate", (0.1, 0.5)))
EXPECTED = {
    "collapse": lambda: dyn.collapse(DECAY, [0.01, 0.5]),
    "equilibria": lambda: dyn.equilibria(DECAY, [0.1]),
    "bifurcation": lambda: dyn.bifurcation(dyn.Model("euclidean"), "weight_decay", (0.01, 0.3), points=5),
    "phase-diagram": lambda: dyn.phase_diagram(dyn.Model("euclidean"), [0.5], *PLANE, points=2),
    "invariants": lambda: dyn.invariants(dyn.Model("euclidean", predictor=dyn.Learned())),
    "convergence-time": lambda: dyn.convergence_time(dyn.Model("euclidean"), [0.01, 0.1], 0.9),
    "effective-rates": lambda: dyn.effective_rates(dyn.Model("euclidean"), [0.01, 1.0]),
    "design": lambda: dyn.design(dyn.FastestUniform(0.1)),
}


@pytest.mark.parametrize("command", ANALYSES)
def test_json_is_the_result_of_the_function(command):
    done = call(command, *ANALYSES[command], "--json")
    assert (done.exit_code, done.stderr) == (0, "")
    assert json.loads(done.stdout) == plain(EXPECTED[command]())


@pytest.mark.parametrize("command", ["collapse", "equilibria", "bifurcation", "phase-diagram", "design"])
def test_text_is_that_of_the_result(command):
    done = call(command, *ANALYSES[command])
    assert (done.exit_code, done.stdout) == (0, f"{EXPECTED[command]()}\n")


def test_numbers_are_printed_one_mode_a_line():
    times = call("convergence-time", *ANALYSES["convergence-time"]).stdout
    assert times == "0.01 reaches 0.9 at t = 52.8406\n0.1 reaches 0.9 at t = 6.64167\n"
    assert call("effective-rates", *ANALYSES["effective-rates"]).stdout == "0.01: 0.0394\n1: -2\n"
    assert call("invariants", "--learned").stdout == "s[m] - lam[m]**2/rate_ratio: conserved\n"
    assert call("invariants").stdout == "No conserved quantity of this model is known.\n"


def test_each_mode_has_its_own_level():
    done = call("convergence-time", "--s0", "0.01,0.1", "--level", "0.5,0.9", "--json")
    assert json.loads(done.stdout) == dyn.convergence_time(dyn.Model("euclidean"), [0.01, 0.1], [0.5, 0.9]).tolist()


def test_ranges_may_be_lists_of_values():
    done = call("bifurcation", "learning_rate", "--between", "0.5,1,1.5,3", "--json")
    expected = dyn.bifurcation(dyn.Model("euclidean"), "learning_rate", [0.5, 1, 1.5, 3])
    assert json.loads(done.stdout) == expected.to_dict()


def test_options_of_the_function_reach_it():
    ema = ["--ema", "0.9", "--learning-rate", "0.1", "--json"]
    model = dyn.Model("euclidean", target=dyn.EMA(0.9))
    done = call("equilibria", "--s0", "0.1,0.2", *ema)
    assert json.loads(done.stdout) == dyn.equilibria(model, [0.1, 0.2], learning_rate=0.1).to_dict()
    times = json.loads(call("convergence-time", "--s0", "0.1", "--level", "0.5", "--rtol", "1e-6", *ema).stdout)
    np.testing.assert_array_equal(times, dyn.convergence_time(model, [0.1], 0.5, learning_rate=0.1, rtol=1e-6))


# --- design ---------------------------------------------------------------------------------------------------------

DESIGNS = {
    "rate-function": (["--text", "1 - lambda/rest"], dyn.RateFunction("1 - lambda/rest")),
    "arrival-times": (["--text", "-3 * log(lambda)", "--level", "0.8"], dyn.ArrivalTimes("-3 * log(lambda)", 0.8)),
    "simultaneous-arrival": (["--time", "10", "--spread", "0.3"], dyn.SimultaneousArrival(10.0, spread=0.3)),
    "threshold-recruitment": (
        ["--threshold", "0.1", "--sharpness", "5", "--weight-decay", "0.05"],
        dyn.ThresholdRecruitment(0.1, sharpness=5),
    ),
    "fastest-uniform": (["--learning-rate", "0.4"], dyn.FastestUniform(0.4)),
}


@pytest.mark.parametrize("target", TARGETS)
def test_every_target_can_be_designed(target):
    options, expected = DESIGNS[target]
    model = DECAY if "--weight-decay" in options else dyn.Model("euclidean")
    done = call("design", target, *options, "--between", "0.05,0.4", "--json")
    assert json.loads(done.stdout) == dyn.design(expected, model, between=(0.05, 0.4)).to_dict()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["simultaneous-arrival"], "simultaneous-arrival requires --time."),
        (["fastest-uniform", "--learning-rate", "1", "--time", "2"], "--time cannot be used with fastest-uniform."),
        (["fastest"], "'fastest' is not one of"),
        (["fastest-uniform", "--learning-rate", "-1"], "--learning-rate must be a positive number"),
        (["simultaneous-arrival", "--time", "5", "--loss", "cosine"], "The model must have the Euclidean loss"),
    ],
    ids=["missing", "of another target", "unknown", "value", "model"],
)
def test_designs_that_cannot_be_made_are_refused(arguments, message):
    done = call("design", *arguments)
    assert done.exit_code == 2 and message in done.stderr


def test_help_states_the_defaults_of_targets():
    for name in TARGETS.values():
        for field in fields(getattr(dyn, name)):
            kind, help_text = OF_TARGETS[field.name]
            assert kind is field.type
            if isinstance(field.default, (int, float)):
                assert f"[default: {field.default:g}]" in help_text
