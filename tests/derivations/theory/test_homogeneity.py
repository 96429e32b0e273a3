"""Degrees of homogeneity: found from expressions, and true of the rates."""

import numpy as np
import pytest
import sympy as sp

import dynamics as dyn
from derivations.losses.catalogue import catalogue
from derivations.symbols import notation as n
from derivations.symbols.modes import dot, norm
from derivations.theory.homogeneity import degree, degrees_of_rates
from dynamics.vector_field.eigenmodes import EigenmodeField
from tests.marks import parametrize
from tests.reference import model_of

Z, LAM = n.z1[n.k], n.lam[n.k]
WEIGHTS = {n.z1: sp.Integer(1), n.lam: sp.Rational(1, 2)}
CASES = {
    "vector": (n.z1[n.m], 1),
    "dot product": (dot(Z, Z), 2),
    "norm": (norm(LAM * Z), sp.Rational(3, 2)),
    "quotient": (n.z1[n.m] / norm(Z) ** 3, -2),
    "sum of equals": (norm(Z) + dot(LAM, LAM), 1),
    "sum of different degrees": (norm(Z) + dot(Z, Z), None),
    "parameter": (n.rho * n.z1[n.m], 1),
    "exponential of a ratio": (sp.exp(n.z1[n.m] / norm(Z)), 0),
    "exponential": (sp.exp(n.z1[n.m]), None),
    "other vector": (n.z2[n.m], None),
}


@pytest.mark.parametrize("name", CASES)
def test_degree_of_an_expression(name):
    expression, expected = CASES[name]
    assert degree(expression, WEIGHTS) == expected


CATALOGUE = [setting for setting in catalogue() if degrees_of_rates(setting.in_eigenbasis(), setting.trains_predictor)]


def test_cosine_losses_and_losses_without_predictor_are_homogeneous():
    assert {s.name for s in CATALOGUE} == {s.name for s in catalogue() if s.loss == "cosine" or not s.predictor}


@parametrize("setting", CATALOGUE, quick=CATALOGUE[::6], ids=lambda setting: setting.name)
@pytest.mark.parametrize("alpha", [0.5, 1.0])
def test_rates_scale_with_the_degrees(setting, alpha):
    """r(g s) = g^(degree in s + alpha degree in lambda) r(s), to the tolerance of the quadrature."""
    model, s = model_of(setting, alpha, (0.2, 0.3)), np.array([0.05, 0.4, 1.5])
    in_s, in_lam = model.generated.degrees
    field, exponent = EigenmodeField(model, rtol=1e-10), in_s + alpha * in_lam * setting.predictor
    expected = field.of_eigenvalues(s)
    np.testing.assert_allclose(field.of_eigenvalues(7.0 * s), 7.0**exponent * expected, rtol=1e-8, atol=1e-9)


def test_a_loss_that_is_not_homogeneous_has_no_degrees():
    assert dyn.Model(dyn.Loss("|p|^4 / 4 - p . z2")).generated.degrees is None
