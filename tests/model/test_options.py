"""Options described once: completeness of the descriptions, plain data, files of version 0.1."""

import json
from dataclasses import MISSING

import numpy as np
import pytest

import dynamics as dyn
from dynamics.model.options import ComponentOption, defaults, options, signature

KINDS = [dyn.Model, dyn.ClosedForm, dyn.Learned, dyn.NoPredictor, dyn.Shared, dyn.EMA]
DAMPED = dyn.Loss.parse("|p - sg(z2)|^2 / 2 + beta * |z1|^2", beta=0.1)
MODELS = [
    dyn.Model("cosine", noise=(0.0, 0.1), weight_decay=0.01, symmetrised=True),
    dyn.Model("euclidean", predictor=dyn.ClosedForm(0.5, 0.1, True, 0.9), inputs=np.diag([1.0, 0.2])),
    dyn.Model("cosine", predictor=dyn.Learned(2.0, [0.5, 1.0]), target=dyn.EMA([0.9, 0.8]), noise=(0.0, [0.1, 0.2])),
    dyn.Model(DAMPED, predictor=dyn.NoPredictor()),
    dyn.Model("euclidean", gain=dyn.Gain.parse("lambda^gamma", gamma=[0.5, 1.0])),
]


@pytest.mark.parametrize("kind", KINDS)
def test_every_option_can_be_reached_from_the_command_line(kind):
    for name, description in options(kind).items():
        by_component = isinstance(description, ComponentOption) or name == getattr(kind, "flag_sets", None)
        assert by_component or (description.flag or "").startswith("--")
        assert isinstance(description, ComponentOption) or description.help.endswith(".")


@pytest.mark.parametrize("kind", KINDS)
def test_defaults_and_examples_are_valid(kind):
    for name, description in options(kind).items():
        default = defaults(kind)[name]
        value = description.example if default is MISSING else default
        assert repr(description.checked(name, value)) == repr(value)


def test_signatures_show_what_a_component_requires():
    assert [signature(kind) for kind in KINDS[1:]] == [
        "ClosedForm(...)",
        "Learned(...)",
        "NoPredictor()",
        "Shared()",
        "EMA(decay)",
    ]


@pytest.mark.parametrize("model", MODELS, ids=str)
def test_models_survive_plain_data(model):
    plain = json.loads(json.dumps(model.to_dict()))
    restored = dyn.Model.from_dict(plain)
    assert restored.to_dict() == model.to_dict() == plain
    assert (str(restored), restored.parameter_names) == (str(model), model.parameter_names)
    for one, other in zip(restored.parameter_values.values(), model.parameter_values.values(), strict=True):
        np.testing.assert_array_equal(one, other)


OLD = {  # as version 0.1 wrote a model into a file
    "loss": {"kind": "Loss", "text": DAMPED.text, "numbers": {"beta": 0.1}},
    "isotropic": False,
    "stop_gradient": "target",
    "predictor": {"kind": "ClosedForm", "alpha": 0.5, "epsilon": 0.0, "normalize": False, "tracking": 0.0},
    "noise": [0.0, 0.1],
    "weight_decay": 0.0,
    "symmetrised": False,
    "target": {"kind": "EMA", "decay": 0.9},
    "inputs": None,
}


def test_descriptions_of_version_0_1_are_read():
    expected = dyn.Model(DAMPED, predictor=dyn.ClosedForm(0.5), noise=(0.0, 0.1), target=dyn.EMA(0.9))
    assert dyn.Model.from_dict(OLD) == expected
    gained = OLD | {"loss": "cosine", "gain": {"kind": "Gain", "text": "lambda^c", "numbers": {"c": 0.5}}}
    assert dyn.Model.from_dict(gained).gain == dyn.Gain.parse("lambda^c", c=0.5)


@pytest.mark.parametrize(
    ("description", "message"),
    [
        ({}, "`loss` must be given in the model, but is None"),
        ({"loss": "cosine", "nose": 1}, "`key of the model` must be one of 'loss', .* Did you mean 'noise'"),
        ({"loss": "cosine", "target": {"kind": "EMA"}}, "`decay` must be given in the target EMA"),
        ({"loss": "cosine", "target": {"kind": "Learned"}}, "`kind of target` must be one of 'Shared', 'EMA'"),
        ({"loss": "cosine", "predictor": "none"}, "`predictor` must be a table, such as"),
        ({"loss": {"beta": 1}}, "`loss` must be a table with the key `expression`, but"),
        (
            {"loss": {"sentence": "|p - sg(z2)|^2"}},
            "must be a table with the key `expression` .which had the name `sentence` in version 0.1.",
        ),
        ({"loss": "cosine", "weight_decay": -1}, "`weight_decay` must be a non-negative number"),
    ],
)
def test_plain_data_that_are_no_model_are_refused(description, message):
    with pytest.raises(dyn.ArgumentError, match=message):
        dyn.Model.from_dict(description)


def test_models_compare_by_their_options():
    assert dyn.Model("cosine", predictor=dyn.ClosedForm(1)) == dyn.Model("cosine") != dyn.Model("euclidean")


@pytest.mark.parametrize("model", MODELS, ids=str)
def test_parameters_are_found_by_their_symbols(model):
    symbols = {"weight_decay": "rho", "rate": "rate_ratio"}
    for name, value in model.parameter_values.items():
        if name in ("beta", "gamma"):
            np.testing.assert_array_equal(model.parameters.of_loss[0][..., 0], value)
        elif name in ("sigma1", "sigma2"):
            variance = getattr(model.parameters, name.replace("sigma", "excess"))
            np.testing.assert_array_equal(variance[..., 0], np.square(value))
        elif name != "init":
            np.testing.assert_array_equal(getattr(model.parameters, symbols.get(name, name))[..., 0], value)
