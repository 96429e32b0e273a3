"""Exact solutions: which settings have one, and that the proof by substitution notices an error."""

from dataclasses import replace

import pytest
import sympy as sp

from derivations.errors import ProofError
from derivations.losses.catalogue import Setting
from derivations.symbols import notation as n
from derivations.theory import rates, solutions
from derivations.theory.solutions import LambertGrowth, lam, lam0, lam1
from tests.marks import parametrize
from tests.reference import EUCLIDEAN

KINDS = {  # (isotropic, stop-gradient, predictor)
    (False, "target", True): "Lambert W",
    (True, "target", True): "logistic",
    (False, "none", True): None,
    (False, "online", True): "logistic",
    (False, "target", False): "exponential",
    (False, "none", False): "exponential",
    (False, "online", False): "exponential",
}
PROVABLE = [s for s in EUCLIDEAN if KINDS[s.isotropic, s.stop_gradient, s.predictor]]


def rate_of(setting):
    return rates.shared_weights(rates.rates(setting.in_eigenbasis()))


def in_lambda(setting):
    """The rate in the symbol the solutions use."""
    return sp.expand(rate_of(setting)).subs(n.lam[n.m], lam)


@pytest.mark.parametrize("setting", EUCLIDEAN, ids=lambda s: s.name)
def test_kind_of_solution(setting):
    solution = solutions.solve(rate_of(setting))
    assert (solution and solution.name) == KINDS[setting.isotropic, setting.stop_gradient, setting.predictor]


@pytest.mark.parametrize("setting", [s for s in EUCLIDEAN if s.stop_gradient == "online"], ids=lambda s: s.name)
def test_only_the_wrong_side_blows_up(setting):
    assert (solutions.solve(rate_of(setting)).blow_up is not None) == setting.predictor


@pytest.mark.parametrize("setting", [s for s in PROVABLE if s.stop_gradient != "online"], ids=lambda s: s.name)
def test_no_other_setting_blows_up(setting):
    assert solutions.solve(rate_of(setting)).blow_up is None


@parametrize("setting", PROVABLE, quick=PROVABLE[::3], ids=lambda s: s.name)
def test_proof_refuses_a_wrong_speed(setting):
    solution = solutions.solve(rate_of(setting))
    wrong = replace(solution, predictor=solution.predictor.subs(n.t, 2 * n.t))
    with pytest.raises(ProofError, match="differential equation"):
        solutions.prove(wrong, in_lambda(setting))


@parametrize("setting", PROVABLE, quick=PROVABLE[::3], ids=lambda s: s.name)
def test_proof_refuses_a_wrong_exponent(setting):
    solution = solutions.solve(rate_of(setting))
    wrong = replace(solution, predictor=solution.predictor.subs(n.alpha, 2 * n.alpha))
    with pytest.raises(ProofError, match="differential equation"):
        solutions.prove(wrong, in_lambda(setting))


@parametrize("setting", PROVABLE, quick=PROVABLE[::3], ids=lambda s: s.name)
def test_proof_refuses_a_wrong_start(setting):
    solution = solutions.solve(rate_of(setting))
    wrong = replace(solution, predictor=solution.predictor.subs(lam0, 2 * lam0))
    with pytest.raises(ProofError, match="does not start"):
        solutions.prove(wrong, in_lambda(setting))


def test_proof_refuses_a_wrong_blow_up_time():
    setting = Setting("euclidean", "online")
    solution = solutions.solve(rate_of(setting))
    with pytest.raises(ProofError, match="blow-up"):
        solutions.prove(replace(solution, blow_up=2 * solution.blow_up), in_lambda(setting))


@parametrize("setting", PROVABLE, quick=PROVABLE[::3], ids=lambda s: s.name)
def test_proof_refuses_a_wrong_time(setting):
    solution = solutions.solve(rate_of(setting))
    for wrong in (2 * solution.time, solution.time + 1):
        with pytest.raises(ProofError, match="time from lam0 to lam1"):
            solutions.prove(replace(solution, time=wrong), in_lambda(setting))


@parametrize("setting", PROVABLE, quick=PROVABLE[::3], ids=lambda s: s.name)
@pytest.mark.parametrize("code", ["growth", "duration"])
def test_proof_refuses_code_of_another_solution(setting, code):
    solution = solutions.solve(rate_of(setting))
    with pytest.raises(ProofError, match=f"wrong formula for its {code}"):
        solutions.prove(replace(solution, **{code: 2 * getattr(solution, code)}), in_lambda(setting))


def test_proof_refuses_weight_decay_where_the_formula_has_none():
    setting = Setting("euclidean")
    solution = solutions.solve(rate_of(setting))
    assert not solution.any_weight_decay
    with pytest.raises(ProofError, match="differential equation"):
        solutions.prove(replace(solution, any_weight_decay=True), in_lambda(setting))


COUPLED = sp.Sum(n.lam[sp.Symbol("j", integer=True)], (sp.Symbol("j", integer=True), 1, n.M))
WITHOUT_FORMULA = {
    "coupled modes": n.lam[n.m] - COUPLED,
    "cubic": n.lam[n.m] ** 3,
    "no polynomial": sp.sqrt(n.lam[n.m]),
    "full quadratic": 1 + n.lam[n.m] + n.lam[n.m] ** 2,
}


@pytest.mark.parametrize("name", WITHOUT_FORMULA)
def test_no_solution_is_claimed_where_none_is_known(name):
    assert solutions.solve(WITHOUT_FORMULA[name]) is None


def test_flow_of_the_predictor():
    """d lambda/dt = 2 alpha lambda (r - rho)."""
    r = sp.Symbol("r", real=True)
    assert sp.expand(solutions.predictor_velocity(r) - 2 * n.alpha * lam * (r - n.rho)) == 0


u0, u1 = sp.symbols("u0 u1", positive=True)
ODDS = sp.log(u1 * (1 - u0) / (u0 * (1 - u1)))
TIMES = {
    "euclidean": (Setting("euclidean"), n.n1 / (2 * n.alpha) * (1 / u0 - 1 / u1 + ODDS)),
    "isotropic": (Setting("euclidean", isotropic=True), ODDS / (2 * n.alpha)),
}


@pytest.mark.parametrize("name", TIMES)
def test_time_to_reach(name):
    setting, expected = TIMES[name]
    time = solutions.solve(rate_of(setting)).time.subs(n.rho, 0).subs({lam0: u0 / n.n1, lam1: u1 / n.n1})
    assert sp.simplify(time - expected) == 0


def test_shared_forcing_drives_all_modes():
    assert solutions.shared_forcing_residual() == 0


@pytest.mark.parametrize("part", ["slope_A", "slope_B", "unit"])
def test_other_forcings_do_not(part, monkeypatch):
    found = solutions.shared_forcing()
    monkeypatch.setattr(solutions, "shared_forcing", lambda: found._replace(**{part: 2 * getattr(found, part)}))
    assert solutions.shared_forcing_residual() != 0


def test_lambert_growth_differentiates_as_the_lambert_function():
    q, tau = sp.symbols("q tau", positive=True)
    growth = LambertGrowth(lam0, q, tau)
    y0 = q / lam0 - 1
    lambert = q / (1 + sp.LambertW(y0 * sp.exp(y0 - tau)))
    assert growth.rewrite(sp.LambertW) == lambert
    assert sp.simplify(growth.diff(tau).rewrite(sp.LambertW) - lambert.diff(tau)) == 0
    assert growth.diff(q).has(sp.Derivative)  # not known, and not needed: left as it is
