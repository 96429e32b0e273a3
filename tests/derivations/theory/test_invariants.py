"""Identities that hold for every sample: which losses have them, as typed in, and in numbers."""

import importlib

import numpy as np
import pytest
import sympy as sp

from derivations.losses.catalogue import catalogue
from derivations.symbols import notation as n
from derivations.symbols.modes import dot, norm
from derivations.symbols.stop_gradient import StopGradient as SG
from derivations.theory import invariants

by_setting = pytest.mark.parametrize("setting", catalogue(), ids=lambda setting: setting.name)
MODES, SAMPLES = 3, 5


@by_setting
def test_power_sums_of_the_catalogue(setting):
    """Cosine: sum of s; isotropic cosine: one power of the predictor more; Euclidean: none."""
    expected = None if setting.loss == "euclidean" else 1 if setting.isotropic else 0
    assert invariants.conserved_exponent(setting.in_eigenbasis()) == expected


@pytest.mark.parametrize("setting", [s for s in catalogue() if s.trains_predictor], ids=lambda s: s.name)
def test_balance_of_the_catalogue(setting):
    """Both losses see only the product W_P W, unless the gradient reaches a target branch without W_P."""
    assert invariants.is_balanced(setting.in_eigenbasis()) == (setting.stop_gradient == "target")


def contributions(setting):
    """c_m of random samples (SAMPLES, MODES), by the generated forces, and the eigenvalues they were made with."""
    module, random = importlib.import_module(f"dynamics.generated.{setting.name}"), np.random.default_rng(0)
    z1, z2 = random.standard_normal((2, SAMPLES, MODES))
    lam = random.uniform(0.3, 2, MODES) if setting.predictor else np.ones(MODES)
    ratio = random.uniform(0.5, 1.5, MODES) if setting.stop_gradient == "target" else np.ones(MODES)
    arguments = (z1, z2, lam, ratio)
    c = module.force_on_view1(*arguments) * z1 + module.force_on_view2(*arguments) * z2
    return c, lam, module.force_on_predictor(*arguments) if setting.trains_predictor else None


@by_setting
def test_in_numbers_they_hold_where_claimed_and_nowhere_else(setting):
    """Any target weights. Rounding of sums of three terms of order one."""
    c, lam, on_predictor = contributions(setting)
    claimed = invariants.conserved_exponent(setting.in_eigenbasis())
    for a in invariants.SEARCHED if setting.predictor else (0,):
        left = np.abs((lam**a * c).sum(axis=-1)).max()
        assert left < 1e-14 if a == claimed else left > 1e-3
    if on_predictor is not None:
        left = np.abs(c - lam * on_predictor).max()
        assert left < 1e-14 if invariants.is_balanced(setting.in_eigenbasis()) else left > 1e-3


Z1, T2 = n.z1[n.k], n.t2[n.k]
P = n.lam[n.k] * Z1


@pytest.mark.parametrize(
    ("loss", "exponent"),
    [
        (-dot(P, SG(T2)) / SG(norm(P) * norm(T2)), None),
        (-(dot(P, SG(T2)) ** 2) / (dot(P, P) * SG(dot(T2, T2))), 0),
        (-dot(P, SG(T2)) / (norm(Z1) * SG(norm(T2))), 0),
        (dot(P, P) ** 2 / 4, None),
    ],
    ids=["norms held", "cosine squared", "norm of z", "quartic"],
)
def test_losses_of_ones_own(loss, exponent):
    """A loss that does not change with the size of z conserves the sum."""
    assert invariants.conserved_exponent(loss) == exponent


@pytest.mark.parametrize("a", invariants.SEARCHED)
def test_power_sum_has_the_slope_it_was_made_for(a):
    s = sp.Symbol("s", positive=True)
    for shared, c in ((sp.S.One, 1), (n.cross[n.k], n.cross[1])):
        summand = invariants.power_sum(a, shared).doit().subs(n.M, 1).doit().subs(n.s[1], s)
        assert sp.simplify(summand.diff(s) - ((s + n.epsilon) ** n.alpha) ** a / c) == 0
    assert sp.simplify(invariants.power_sum_decay(a) - 2 * n.rho * (1 + a * n.alpha)) == 0


def test_decay_of_the_imbalance():
    assert invariants.imbalance_decay() == 2 * n.rho
