"""Models from the values of options, without a command around them."""

import click
import numpy as np
import pytest

import dynamics as dyn
from dynamics.cli.parsing import model_of

PLAIN = {"loss": "cosine"}


@pytest.mark.parametrize(
    ("values", "model"),
    [
        ({}, dyn.Model("cosine")),
        ({"alpha": 0.5, "normalize": True}, dyn.Model("cosine", predictor=dyn.ClosedForm(0.5, normalize=True))),
        ({"learned": True}, dyn.Model("cosine", predictor=dyn.Learned())),  # a switch where values do not matter
        ({"learned": 2.0}, dyn.Model("cosine", predictor=dyn.Learned(2.0))),
        ({"no_predictor": True, "ema": 0.9}, dyn.Model("cosine", predictor=dyn.NoPredictor(), target=dyn.EMA(0.9))),
        ({"no_predictor": False, "normalize": False, "ema": None}, dyn.Model("cosine")),
        ({"gain": "lambda^c", "parameter": ("c = 2",)}, dyn.Model("cosine", gain=dyn.Gain.parse("lambda^c", c=2.0))),
        ({"loss": "|p - sg(z2)|^2"}, dyn.Model(dyn.Loss.parse("|p - sg(z2)|^2"))),
    ],
    ids=str,
)
def test_options_describe_a_model(values, model):
    assert model_of(PLAIN | values) == model


def test_variances_of_the_inputs_become_a_covariance():
    np.testing.assert_array_equal(model_of(PLAIN | {"input_variances": [1.0, 0.5]}).inputs, np.diag([1.0, 0.5]))


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"init": [1.0]}, "--init cannot be used with a closed-form predictor"),
        ({"learned": 1.0, "tracking": 0.5}, "--tracking cannot be used with --learned"),
        ({"learned": 1.0, "no_predictor": True}, "--no-predictor cannot be used with --learned"),
        ({"parameter": ("c=1",)}, "--parameter can only be used with a user-defined loss or with --gain"),
        ({"gain": "lambda^c", "parameter": ("c=one",)}, "--parameter must be NAME=VALUE, such as beta=0.1"),
    ],
    ids=str,
)
def test_options_that_do_not_apply_are_refused(values, message):
    with pytest.raises(click.UsageError) as raised:
        model_of(PLAIN | values)
    assert message in raised.value.message
