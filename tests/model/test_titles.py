"""Models as titles of plots: in words, signs and ranges."""

from itertools import pairwise

import numpy as np
import pytest

import dynamics as dyn
from dynamics.model.options import shown
from dynamics.model.titles import formula, spread, title_of
from dynamics.presentation.labels import label_of, symbol
from dynamics.presentation.plotting import fitted

TITLES = {
    "a catalogue loss": (dyn.Model("cosine"), "cosine loss"),
    "numbers": (
        dyn.Model("cosine", noise=(0.0, 0.1), weight_decay=0.01),
        "cosine loss, noise 0 and 0.1, weight decay 0.01",
    ),
    "an ensemble": (
        dyn.Model("euclidean", noise=(0.0, np.linspace(0.1, 0.5, 50))),
        "euclidean loss, noise 0 and 0.1 to 0.5 (50 values)",
    ),
    "a predictor": (
        dyn.Model("euclidean", predictor=dyn.ClosedForm(np.array([2.0, 0.5]), normalize=True)),
        "euclidean loss, closed-form predictor (α = 0.5 to 2 (2 values), normalize)",
    ),
    "switches": (
        dyn.Model("euclidean", stop_gradient="none", predictor=dyn.NoPredictor(), symmetrised=True),
        "euclidean loss, no stop-gradient, no predictor, symmetrised",
    ),
    "a target": (
        dyn.Model("euclidean", isotropic=True, target=dyn.EMA(0.99)),
        "euclidean loss, isotropic, EMA target (decay 0.99)",
    ),
    "a reconstruction": (
        dyn.Model("euclidean", target=dyn.Reconstruction(), depth=2),
        "euclidean loss, reconstruction target, depth 2",
    ),
    "inputs": (dyn.Model("euclidean", inputs=np.diag([1.0, 0.5])), "euclidean loss, 2 correlated inputs"),
    "views": (dyn.Model("euclidean", views=dyn.Views.modes([1.0, 2.0], 1.0, 2.0)), "euclidean loss, views of 2 modes"),
    "a gain": (dyn.Model("cosine", gain="lambda^0.5"), "cosine loss, gain λ^0.5"),
    "a user-defined loss": (
        dyn.Model(dyn.Loss.parse("|p - sg(z2)|^2 / 2 + beta * |z1|^2", beta=0.1), noise=(0, 0.1)),
        "|p − sg(z₂)|²/2 + β·|z₁|², β = 0.1, noise 0 and 0.1",
    ),
}


@pytest.mark.parametrize(("model", "title"), TITLES.values(), ids=TITLES)
def test_a_title_states_what_is_not_the_default(model, title):
    assert title_of(model).replace("\u00a0", " ") == title


def test_a_brief_title_has_no_formulas():
    loss = dyn.Loss.parse("|p - sg(z2)|^2 / 2 + beta * |z1|^2", beta=0.1)
    assert title_of(dyn.Model(loss), brief=True).replace("\u00a0", " ") == "user-defined loss, β = 0.1"
    brief = title_of(dyn.Model("cosine", gain="lambda^0.5"), brief=True)
    assert brief.replace("\u00a0", " ") == "cosine loss, user-defined gain"


@pytest.mark.parametrize(("model", "title"), TITLES.values(), ids=TITLES)
def test_a_title_is_broken_after_commas_and_within_formulas_only(model, title):
    for width in np.linspace(3.0, 4.0, 9):
        lines = fitted((title_of(model),), width).splitlines()
        assert " ".join(lines).replace("\u00a0", " ") == title
        assert all(line.endswith(",") or after[0] in "+−" for line, after in pairwise(lines)), lines


MODEL = dyn.Model(
    dyn.Loss.parse("|p - sg(z2)|^2 / 2 + kappa * |z1|^2", kappa=0.02),
    noise=(0.1, 0.3),
    predictor=dyn.ClosedForm(0.5, 0.1),
    weight_decay=0.2,
    target=dyn.EMA(0.9),
)
SWEPT = {  # title, and printed text, without the values of these parameters
    (): ("{loss}, κ = 0.02, {predictor}, noise 0.1 and 0.3, weight decay 0.2, EMA target (decay 0.9)", str(MODEL)),
    ("kappa", "weight_decay"): (
        "{loss}, {predictor}, noise 0.1 and 0.3, EMA target (decay 0.9)",
        str(MODEL).replace(", kappa=0.02", "").replace(", weight_decay=0.2", ""),
    ),
    ("alpha", "sigma1"): (
        "{loss}, κ = 0.02, closed-form predictor (ε = 0.1), σ₂ = 0.3, weight decay 0.2, EMA target (decay 0.9)",
        str(MODEL).replace("alpha=0.5, ", "").replace("(0.1, 0.3)", "(sigma1, 0.3)"),
    ),
    ("alpha", "epsilon", "sigma1", "sigma2", "decay"): (
        "{loss}, κ = 0.02, weight decay 0.2, EMA target",
        str(MODEL)
        .replace("predictor=ClosedForm(alpha=0.5, epsilon=0.1), noise=(0.1, 0.3), ", "")
        .replace("EMA(decay=0.9)", "EMA()"),
    ),
    ("learning_rate",): (
        "{loss}, κ = 0.02, {predictor}, noise 0.1 and 0.3, weight decay 0.2, EMA target (decay 0.9)",
        str(MODEL),
    ),
}


@pytest.mark.parametrize("swept", SWEPT, ids=", ".join)
def test_swept_parameters_are_left_out(swept):
    title, text = SWEPT[swept]
    parts = {"loss": "|p − sg(z₂)|²/2 + κ·|z₁|²", "predictor": "closed-form predictor (α = 0.5, ε = 0.1)"}
    assert title_of(MODEL, swept=swept).replace("\u00a0", " ") == title.format(**parts)
    assert shown(MODEL, swept) == text


@pytest.mark.parametrize("name", MODEL.parameter_names)
def test_no_value_of_a_swept_parameter_is_stated(name):
    changed = MODEL.replace(**{name: 0.777})
    assert "0.777" in title_of(changed) and "0.777" in shown(changed, [])
    assert "0.777" not in title_of(changed, swept=[name]) + shown(changed, [name])


def test_the_only_noise_is_left_out_if_it_is_swept():
    model = dyn.Model("euclidean", noise=(0.0, 0.1))
    assert title_of(model, swept=["sigma2"]) == title_of(dyn.Model("euclidean"))
    assert shown(model, ["sigma2"]) == "Model(loss='euclidean')"


@pytest.mark.parametrize("name", ["kappa", "kappa1", "sigma1", "alpha", "epsilon", "weight_decay", "tracking"])
def test_an_axis_has_the_symbol_of_the_title(name):
    symbols = {"sigma1": r"\sigma_1", "alpha": r"\alpha", "epsilon": r"\epsilon", "weight_decay": "weight decay"}
    assert symbols.get(name, symbol(name)) in label_of(name)


FORMULAS = {
    "-p . sg(z2) / (|p| * sqrt(0.1 + ||z2||**2))": "−p·sg(z₂)/(|p|·sqrt(0.1 + ‖z₂‖²))",
    "|-p - z2| - -2 * norm(z1)": "|−p − z₂| − −2·norm(z₁)",
    "W_P^-0.5 * z1": "W_P^−0.5·z₁",
    "W_P^-2 * z1 + z2^12": "W_P⁻²·z₁ + z₂¹²",
    "1e-5 * dot(z1, z2) + lambda^(1/2)": "1e-5·dot(z₁, z₂) + λ^(1/2)",
}


@pytest.mark.parametrize(("text", "expected"), FORMULAS.items())
def test_a_formula_has_mathematical_signs(text, expected):
    assert formula(text).replace("\u00a0", " ") == expected


def test_a_formula_can_be_broken_before_plus_and_minus_only():
    parts = formula("|p - sg(z2)|^2 / 2 + dot(z1, z2) - 3 * p . z2").split(" ")
    assert [part[0] for part in parts[1:]] == ["−", "+", "−"]


def test_symbols_and_values():
    assert [symbol(name) for name in ("sigma1", "beta", "z2", "b", "weight_decay")] == [
        "σ₁",
        "β",
        "z₂",
        "b",
        "weight_decay",
    ]
    assert spread(0.123456) == "0.1235" and spread([3.0]) == "3"
    assert spread((0, [1, 1])).replace("\u00a0", " ") == "0 and 1 (2 values)"
