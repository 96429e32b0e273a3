"""``train``: which kind of network it trains, with which defaults, and which options it refuses for it."""

import re

import numpy as np
import pytest

import dynamics as dyn
from dynamics.networks import linear
from dynamics.networks.deep import training
from tests.networks.deep.small import network

MODEL = dyn.Model("euclidean", predictor=dyn.NoPredictor())
KINDS = {"linear": np.eye(4, 5), "deep": network()}


@pytest.fixture
def no_work(monkeypatch):
    """Training fails as soon as a program is compiled."""
    monkeypatch.setattr(linear, "_compiled", None)
    monkeypatch.setattr(training, "_compiled", None)


@pytest.mark.parametrize(("kind", "samples"), [("linear", "10000 samples"), ("deep", "256 images (small)")])
def test_the_second_argument_selects_network_and_batch_size(kind, samples):
    trained = dyn.train(MODEL, KINDS[kind], 0, 0.1)
    assert trained.method.startswith(f"gradient descent on {samples} a step")
    assert trained.settings["batch_size"] == int(samples.split()[0])
    assert ("network" in trained.settings) == (kind == "deep")
    assert trained.kind == "network" and trained.s.shape == (1, 4)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"units": "relu"},
            "`units` must be left out for a deep network, because only linear networks have this option, but is 'relu'",
        ),
        ({"W_P0": np.eye(4)}, "`W_P0` must be left out for a deep network, because "),
        ({"probes": np.eye(4)}, "`probes` must be left out for a deep network, because "),
    ],
    ids=lambda value: "" if isinstance(value, str) else "-".join(value),
)
def test_a_deep_network_refuses_options_of_linear_ones(options, message, no_work):
    with pytest.raises(dyn.ArgumentError, match=re.escape(f"Argument {message}")):
        dyn.train(MODEL, KINDS["deep"], 1, 0.1, **options)


def test_a_linear_network_has_no_checkpoint(no_work):
    requirement = (
        "`checkpoint` must be left out for a linear network, because linear networks train quickly, but is 'run.ckpt'"
    )
    with pytest.raises(dyn.ArgumentError, match=requirement):
        dyn.train(MODEL, KINDS["linear"], 1, 0.1, checkpoint="run.ckpt")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"model": "cosine"}, "`model` must be a Model, such as Model('cosine'), but is 'cosine'."),
        ({"model": MODEL.replace(weight_decay=[0.1, 0.2])}, "`model` must have plain numbers as parameters"),
        ({"steps": -1}, "`steps` must be a whole number >= 0, but is -1."),
        ({"learning_rate": 0}, "`learning_rate` must be a positive number, but is 0."),
        ({"batch_size": 0}, "`batch_size` must be a whole number >= 1, but is 0."),
        ({"seed": -1}, "`seed` must be a whole number >= 0"),
        ({"seed": []}, "`seed` must be a whole number >= 0"),
        (
            {"record": [13]},
            "`record` must be a whole number >= 1, or a sequence of steps between 0 and 12, but is [13].",
        ),
        ({"dtype": "float16"}, "`dtype` must be one of 'float32', 'float64', but is 'float16'."),
        ({"device": "cuda"}, "`device` must be one of 'cpu', 'gpu', 'tpu', but is 'cuda'."),
        ({"progress": "yes"}, "`progress` must be True, False or None, but is 'yes'."),
    ],
    ids=lambda value: "" if isinstance(value, str) else "-".join(value),
)
def test_settings_are_checked_before_any_work(changes, message, kind, no_work):
    usual = {"model": MODEL, "W0": KINDS[kind], "steps": 12, "learning_rate": 0.1}
    with pytest.raises(dyn.ArgumentError, match=re.escape(f"Argument {message}")):
        dyn.train(**usual | changes)
