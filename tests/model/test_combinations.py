"""Rules of combination: each is violated by some model, and states its requirement."""

import numpy as np
import pytest

import dynamics as dyn
from dynamics.model.combinations import RULES

LEARNED, NONE, EMA = dyn.Learned(), dyn.NoPredictor(), dyn.EMA(0.9)


def loss(text):
    return dyn.Loss.parse(text)


PLAIN = loss("|p - sg(z2)|^2 / 2")
VIOLATIONS = [  # in the order of the rules
    {"loss": PLAIN, "isotropic": True},
    {"loss": PLAIN, "stop_gradient": "none"},
    {"loss": "cosine", "gain": "1", "isotropic": True},
    {"loss": "cosine", "gain": "1", "stop_gradient": "none"},
    {"loss": loss("|z1|^2 / |(1 - W_P) * z2|"), "predictor": NONE},
    {"loss": loss("((1 - W_P) * z1) . sg(z2)"), "predictor": NONE},
    {"loss": PLAIN, "gain": "1"},
    {"loss": "cosine", "gain": "1", "predictor": LEARNED},
    {"loss": loss("|W_P^0.5 * z1 - sg(z2)|^2"), "predictor": LEARNED},
    {"loss": loss("|p - z2|^2"), "target": EMA},
    {"loss": loss("-exp(-|p - sg(z2)|^2)"), "inputs": np.eye(2)},
    {"loss": "cosine", "isotropic": True, "stop_gradient": "none"},
    {"loss": "cosine", "isotropic": True, "predictor": NONE},
    {"loss": "cosine", "isotropic": True, "predictor": LEARNED},
    {"loss": "cosine", "stop_gradient": "online", "predictor": LEARNED},
    {"loss": "cosine", "stop_gradient": "none", "target": EMA},
    {"loss": "cosine", "predictor": LEARNED, "inputs": np.eye(2)},
]


@pytest.mark.parametrize("number", range(len(VIOLATIONS)))
def test_a_violated_rule_names_its_argument_and_requirement(number):
    rule = RULES[number]
    with pytest.raises(dyn.ArgumentError) as raised:
        dyn.Model(**VIOLATIONS[number])
    requirement = rule.requirement.partition("{")[0]
    assert str(raised.value).startswith(f"Argument `{rule.argument}` must {requirement}")


def test_every_rule_has_a_violation_but_that_of_a_loss_without_isotropic_version():
    """Both losses of the catalogue have one; a loss that is added need not."""
    assert len(RULES) == len(VIOLATIONS) + 1 and "no isotropic version" in RULES[-1].requirement


def test_a_loss_without_isotropic_version_is_refused(monkeypatch):
    from dynamics.generated import catalogue

    modules = {key: name for key, name in catalogue.MODULES.items() if not key[2]}
    monkeypatch.setattr(catalogue, "MODULES", modules)
    with pytest.raises(
        dyn.ArgumentError, match="`isotropic` must be False for the cosine loss, because this loss has no isotropic"
    ):
        dyn.Model("cosine", isotropic=True)
