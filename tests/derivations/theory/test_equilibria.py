"""Fixed points of a mode of its own: theory section 5, and the roots against mpmath where the formula could cancel."""

import importlib

import mpmath as mp
import numpy as np
import pytest
import sympy as sp

from derivations.losses.catalogue import Setting, catalogue
from derivations.symbols import notation as n
from derivations.theory import equilibria, rates
from derivations.theory.equilibria import lam

WITH_ROOTS = [s for s in catalogue() if s.loss == "euclidean" and s.predictor]


def own_rate(setting):
    return equilibria.independent_rate(rates.rates(setting.in_eigenbasis()))


@pytest.mark.parametrize("setting", catalogue(), ids=lambda setting: setting.name)
def test_which_losses_have_them(setting):
    assert equilibria.has_roots(own_rate(setting)) == (setting in WITH_ROOTS)
    assert (own_rate(setting) is not None) == (setting.loss == "euclidean")


@pytest.mark.parametrize("setting", WITH_ROOTS, ids=lambda setting: setting.name)
def test_roots_solve_the_equation(setting):
    own = own_rate(setting)
    for root in equilibria.roots(own):
        assert sp.simplify(own.subs(lam, root) - n.rho) == 0


@pytest.mark.parametrize("setting", WITH_ROOTS, ids=lambda setting: setting.name)
def test_two_roots_meet_at_the_fold(setting):
    own = own_rate(setting)
    if sp.degree(own, lam) == 1:
        assert equilibria.fold(own) is None
        return
    rho, where = equilibria.fold(own)
    for root in equilibria.roots(own):
        assert sp.simplify(root.subs(n.rho, rho) - where) == 0


def test_statements_of_the_theory():
    n1, n2, rho = n.n1, n.n2, n.rho
    standard, isotropic = own_rate(Setting("euclidean")), own_rate(Setting("euclidean", isotropic=True))
    none, wrong = (own_rate(Setting("euclidean", stop_gradient=stop)) for stop in ("none", "online"))
    larger, smaller = equilibria.roots(standard)
    assert sp.simplify(larger - (1 + sp.sqrt(1 - 4 * n1 * rho)) / (2 * n1)) == 0
    assert sp.simplify(smaller - (1 - sp.sqrt(1 - 4 * n1 * rho)) / (2 * n1)) == 0
    assert sp.simplify(equilibria.fold(standard)[0] - 1 / (4 * n1)) == 0
    assert sp.simplify(equilibria.roots(isotropic)[0] - (1 - rho) / n1) == 0
    # Descent map, 1 + eta g at rho = 0: stable below eta = n1/alpha, and 1/alpha for the isotropic loss.
    for own, limit in ((standard, n1 / n.alpha), (isotropic, 1 / n.alpha)):
        fixed = equilibria.roots(own)[0].subs(rho, 0)
        assert sp.simplify(-2 / equilibria.growth(own).subs(lam, fixed) - limit) == 0
    # Without stop-gradient: none above zero once n1 n2 > 1, and a semi-stable one at lambda = 1 without noise.
    assert sp.simplify(equilibria.fold(none)[0] - (1 - n1 * n2) / n1) == 0
    assert equilibria.fold(none)[1].subs(n1, 1) == 1
    assert equilibria.growth(none).subs({lam: 1, n1: 1}) == 0
    # Wrong side: lambda = n2 repels.
    assert equilibria.roots(wrong)[0].subs(rho, 0) == n2
    assert equilibria.growth(wrong).is_positive


@pytest.mark.parametrize("rho", [1e-14, 1e-6, 0.1])
@pytest.mark.parametrize("sigma", [0.0, 1e-9, 0.3])
@pytest.mark.parametrize("setting", WITH_ROOTS, ids=lambda setting: setting.name)
def test_generated_roots_do_not_cancel(setting, sigma, rho):
    """Against 60 digits; the square root of a difference that is near zero doubles the rounding."""
    module = importlib.import_module(f"dynamics.generated.{setting.name}")
    with np.errstate(invalid="ignore"):
        found = module.fixed_points(*(np.float64(a) for a in (sigma**2, sigma**2, rho)))
    with mp.workdps(60):
        numbers = {n.n1: 1 + sp.Rational(sigma**2), n.n2: 1 + sp.Rational(sigma**2), n.rho: sp.Rational(rho)}
        expected = [sp.N(root.subs(numbers), 40) for root in equilibria.roots(own_rate(setting))]
    for value, root in zip(found if isinstance(found, tuple) else [found], expected, strict=True):
        assert np.isnan(value) if not root.is_real else value == pytest.approx(float(root), rel=1e-13)


@pytest.mark.parametrize(
    "rate", [lam**2 - lam, 1 + lam - lam**3, 1 / lam - 1, sp.Symbol("c", real=True) * lam**2 + lam]
)
def test_a_rate_of_another_shape_is_not_guessed_at(rate):
    assert not equilibria.has_roots(rate)
