"""Rules of combination: each is violated by some model, and states its requirement."""

import numpy as np
import pytest

import dynamics as dyn
from dynamics.model.combinations import RULES

LEARNED, NONE, EMA = dyn.Learned(), dyn.NoPredictor(), dyn.EMA(0.9)


def loss(text):
    return dyn.Loss.parse(text)


PLAIN = loss("|p - sg(z2)|^2 / 2")
VIEWS = dyn.Views.modes([1.0, 1.5], [1.0, 1.0], [1.0, 1.5])
VIOLATIONS = [  # in the order of the rules
    {"loss": "cosine", "views": VIEWS, "noise": (0.1, 0.0)},
    {"loss": "cosine", "views": VIEWS, "inputs": np.eye(2)},
    {"loss": PLAIN, "isotropic": True},
    {"loss": PLAIN, "stop_gradient": "none"},
    {"loss": "cosine", "gain": "1", "isotropic": True},
    {"loss": "cosine", "gain": "1", "stop_gradient": "none"},
    {"loss": loss("|z1|^2 / |(1 - W_P) * z2|"), "predictor": NONE},
    {"loss": loss("((1 - W_P) * z1) . sg(z2)"), "predictor": NONE},
    {"loss": PLAIN, "gain": "1"},
    {"loss": "cosine", "gain": "1", "predictor": LEARNED},
    {"loss": loss("|W_P^0.5 * z1 - sg(z2)|^2"), "predictor": LEARNED},
    {"loss": loss("|z1 - sg(z2)|^2"), "predictor": dyn.ClosedForm(alpha=0.5)},
    {"loss": loss("|p|^4 - |z1|^2"), "target": EMA},
    {"loss": loss("|p - z2|^2"), "target": EMA},
    {"loss": loss("-exp(-|p - sg(z2)|^2)"), "inputs": np.eye(2)},
    {"loss": loss("-exp(-|p - sg(z2)|^2)"), "views": dyn.Views.moments(np.eye(2), np.eye(2), np.eye(2))},
    {"loss": "cosine", "isotropic": True, "stop_gradient": "none"},
    {"loss": "cosine", "isotropic": True, "predictor": NONE},
    {"loss": "cosine", "isotropic": True, "predictor": LEARNED},
    {"loss": "cosine", "stop_gradient": "online", "predictor": LEARNED},
    {"loss": "cosine", "stop_gradient": "none", "target": EMA},
    {"loss": "cosine", "target": dyn.Reconstruction(), "inputs": np.eye(2)},
    {"loss": "cosine", "depth": 2, "inputs": np.eye(2)},
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


LOSSES = {
    "euclidean": {"loss": "euclidean"},
    "cosine": {"loss": "cosine"},
    "isotropic": {"loss": "cosine", "isotropic": True},
    "gain": {"loss": "cosine", "gain": "lambda^0.5"},
    "user-defined": {"loss": "p . sg(z2) * (p . p) / 4"},
    "without predictor": {"loss": "-z1 . sg(z2) / (|z1| * |z2|)"},
    "with operator": {"loss": "z1 . (W_P^2 * z1) * (z1 . z1) / 4 - z1 . z1 / 2"},
    "with stopped prediction": {"loss": "sg(p) . z1 + |z1|^4 / 4"},
    "without target": {"loss": "|p|^4 / 4 - |z1|^2 / 2"},
    "without both": {"loss": "|z1|^4 / 4 - |z1|^2 / 2"},
    "of the target": {"loss": "|z2|^4 / 4 - |z2|^2 / 2"},
}
OPTIONS = {
    "alpha": {"predictor": dyn.ClosedForm(alpha=0.5)},
    "epsilon": {"predictor": dyn.ClosedForm(epsilon=0.1)},
    "tracking": {"predictor": dyn.ClosedForm(tracking=0.9)},
    "normalize": {"predictor": dyn.ClosedForm(normalize=True, epsilon=0.1)},  # the cosine has no scale without epsilon
    "learned": {"predictor": LEARNED},
    "initial predictor": {"predictor": dyn.Learned(init=[0.5, 0.1])},
    "target": {"target": EMA},
    "weight decay": {"weight_decay": 0.1},
    "stop-gradient on the target": {"stop_gradient": "target"},
    "no stop-gradient": {"stop_gradient": "none"},
    "stop-gradient on the online branch": {"stop_gradient": "online"},
    "isotropic": {"isotropic": True},
    "gain": {"gain": "lambda^0.3"},
}


CASES = [(loss, option) for loss in LOSSES for option in OPTIONS if not OPTIONS[option].items() <= LOSSES[loss].items()]


@pytest.mark.parametrize(("loss", "option"), CASES)
def test_an_option_has_an_effect_or_is_refused(loss, option):
    """Except for the default, such as the stop-gradient on the target of a loss of the catalogue."""

    def descent(**options):
        model = dyn.Model(noise=(0.3, 0.2), **(LOSSES[loss] | options))
        return dyn.iterate(model, [0.2, 0.5], 3, 0.1, rtol=1e-4, progress=False).s

    try:
        effect = np.abs(descent(**OPTIONS[option]) - descent()).max()
    except dyn.ArgumentError:
        return
    is_default = option == "stop-gradient on the target" and loss in ("euclidean", "cosine", "isotropic")
    assert effect == 0 if is_default else effect > 1e-6
