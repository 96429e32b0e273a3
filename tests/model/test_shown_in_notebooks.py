"""Models, losses and gains in notebooks: their parameters, and their equations in LaTeX."""

import re
from html import unescape

import numpy as np
import pytest

import dynamics as dyn
from derivations.report.derivation import report
from derivations.report.equations import Dynamics, equations
from dynamics.generated import catalogue
from dynamics.model.shown_in_notebooks import LONGEST_LOSS
from tests import random_losses
from tests.marks import parametrize

QUICK = [("euclidean", "target", False, True, False), ("cosine", "none", False, False, True)]
MODELS = {
    "closed form": (
        dyn.Model("euclidean"),
        [r"\lambda_m &= s_m^\alpha", r"\frac{\mathrm{d} s_m}{\mathrm{d} t} &= 2 s_m"],
    ),
    "offset": (dyn.Model("euclidean", predictor=dyn.ClosedForm(epsilon=0.1)), [r"\left(s_m + \epsilon\right)^\alpha"]),
    "normalized": (dyn.Model("euclidean", predictor=dyn.ClosedForm(normalize=True)), [r"\frac{s_m}{\max_k s_k}"]),
    "tracked": (dyn.Model("cosine", predictor=dyn.ClosedForm(tracking=0.9)), [r"c_m^\alpha", r"\mathrm{d} c_m"]),
    "learned": (dyn.Model("euclidean", predictor=dyn.Learned()), [r"a_P f_m - \rho \lambda_m", r"f_m = \left(1 - n_1"]),
    "learned, norms": (dyn.Model("cosine", predictor=dyn.Learned()), [r"-\frac{\partial L}{\partial \lambda_m}"]),
    "EMA target": (dyn.Model("euclidean", target=dyn.EMA(0.9)), [r"\mathrm{d} v_m", r"(v/w)_{m}"]),
    "correlated": (dyn.Model("euclidean", inputs=np.diag([1.0, 2.0])), [r"\mathrm{d} W", r"W \Sigma_x W^\top"]),
    "user-defined": (dyn.Model(dyn.Loss.parse("|p - sg(z2)|^2 + b * |z1|^4", b=0.1)), [r"b \left\|z_1\right\|^{4}"]),
    "no closure": (dyn.Model(dyn.Loss.parse("|p - sg(z2)|^8")), [r"\frac{1}{s_m} \mathbb{E}\left[g_m \hat z_{1,m}"]),
    "gain": (dyn.Model("euclidean", gain="lambda^0.5"), [r"\sqrt{\lambda_{m}}"]),
}


@parametrize("key", catalogue.MODULES, quick=QUICK)
def test_the_rate_is_that_of_the_derivation(key):
    loss, stop, isotropic, predictor, symmetrised = key
    parts = {} if predictor else {"predictor": dyn.NoPredictor()}
    model = dyn.Model(loss, isotropic, stop, symmetrised=symmetrised, **parts)
    steps = [equation for step in report(model.derivation) for equation in step.equations]
    rows = [row.replace("&=", "=") for row in equations(model.derivation, Dynamics()).split(r" \\ ")]
    assert next(equation for equation in steps if equation.startswith("r_m = ")) in rows
    assert rows[0].removeprefix(r"\begin{aligned}") == steps[0]


@pytest.mark.parametrize("name", MODELS)
def test_the_equations_name_the_variables_that_move(name):
    model, parts = MODELS[name]
    latex = model._repr_latex_()
    assert latex.startswith(r"$$\begin{aligned}") and latex.endswith(r"\end{aligned}$$")
    assert all(part in latex for part in parts)
    assert latex.count("{") == latex.count("}") and latex.count(r"\left") == latex.count(r"\right")
    assert latex.count("&=") == latex.count(r" \\ ") + 1
    assert latex in unescape(model._repr_html_())


@parametrize("seed", range(60), quick=range(5))
def test_random_losses_have_equations(seed):
    text, values = random_losses.loss_of(seed)
    try:
        model = dyn.Model(dyn.Loss.parse(text, **values), **random_losses.options_of(seed))
    except dyn.ArgumentError:
        return  # the loss does not allow these options
    latex = model._repr_latex_()
    assert latex.count("{") == latex.count("}") and latex.count(r"\left") == latex.count(r"\right")
    assert latex.count("&=") == latex.count(r" \\ ") + 1


def test_the_card_of_a_model_lists_its_parameters():
    model = dyn.Model(dyn.Loss.parse("|p - sg(z2)|^2 + b * |z1|^2", b=[0.1, 0.5]), noise=(0.25, 0.0), symmetrised=True)
    cells = re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", model._repr_html_())
    table = dict(zip(cells[::2], cells[1::2], strict=True))
    assert table.keys() >= set(model.parameter_names)
    assert table["sigma1"] == "0.25" and table["b"] == "0.1 ... 0.5, shape (2,)"
    assert table["loss"] == "|p - sg(z2)|^2 + b * |z1|^2" and table["symmetrised"] == "yes"


def test_a_loss_and_a_gain_are_shown_with_the_values_of_their_parameters():
    loss = dyn.Loss.parse("|p - sg(z2)|^2 + beta * |z1|^2", beta=1e-7)
    assert loss._repr_latex_() == (
        r"$$L = \beta \left\|z_1\right\|^{2} + \left\|p - \mathrm{SG}\left(z_2\right)\right\|^{2}, "
        r"\quad \beta = 1 \cdot 10^{-7}$$"
    )
    gain = dyn.Gain.parse("lambda^gamma", gamma=0.5)
    assert gain._repr_latex_() == r"$$h(\lambda) = \lambda^{\gamma}, \quad \gamma = 0.5$$"
    assert dyn.Loss.parse("b * p . sg(z2)", b=[1.0, 2.0])._repr_latex_().count("=") == 1  # an array is left out


def test_a_loss_that_is_too_long_to_read_is_shown_as_text():
    loss = dyn.Loss.parse(" + ".join(["|p - sg(z2)|^2"] * (LONGEST_LOSS // 14 + 1)))
    assert loss._repr_latex_() is None and dyn.Model(loss)._repr_latex_() is None
    assert "$$" not in dyn.Model(loss)._repr_html_()


OF_MODES = dyn.Views.modes([1.3], [1.0], [1.1])
DYNAMICS = {
    "views of modes": (
        {"views": OF_MODES},
        [r"2 s_m (c_m r_m - \rho)", r"n_1 &= \mathbb{E}[x_{1,m}^2]/c_m", r"c_m = \mathbb{E}[x_{1,m} x_{2,m}]"],
    ),
    "averaged target": (
        {"views": OF_MODES, "target": dyn.EMA(0.9)},
        [r"w_m (c_m r_m - \rho), \quad s_m = c_m w_m^2", r"\frac{1 - \tau}{\eta} (w_m - v_m)"],
    ),
    "layers": (
        {"depth": 2, "target": dyn.EMA(0.9)},
        [r"r_m \frac{w_m^2}{u_{l,m}} - \rho u_{l,m}", r"\frac{1 - \tau}{\eta} (u_{l,m} - \bar u_{l,m})"],
    ),
    "reconstruction": ({"target": dyn.Reconstruction()}, ["v_m = 1", r"s_m = w_m^2"]),
}


@pytest.mark.parametrize("case", DYNAMICS)
def test_formulas_are_those_of_the_variables_of_the_model(case):
    options, parts = DYNAMICS[case]
    latex = dyn.Model("euclidean", **options)._repr_latex_()
    assert all(part in latex for part in parts)
    assert ("c_m" in latex) == ("views" in options) and (r"\tau" in latex) == isinstance(options.get("target"), dyn.EMA)
