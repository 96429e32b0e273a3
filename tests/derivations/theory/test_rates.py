"""Rates of the linear network, for every setting of the catalogue, against section 3 of the theory."""

from functools import cache

import pytest
import sympy as sp

from derivations.symbols import notation as n
from derivations.theory import moments, rates
from derivations.theory.tilting import Norm
from tests.reference import COSINE, EUCLIDEAN, cosine_coefficients, explicit

MODES, MODE = 3, 2  # where sums are written out
lam, s1, s2 = n.lam[n.m], n.sigma1, n.sigma2
noise = {n.n1: 1 + s1**2, n.n2: 1 + s2**2}

# (isotropic, stop-gradient, predictor): r
EUCLIDEAN_TABLE = {
    (False, "target", True): -lam * ((1 + s1**2) * lam - 1),
    (True, "target", True): -((1 + s1**2) * lam - 1),
    (False, "none", True): -((1 + s1**2) * lam**2 - 2 * lam + 1 + s2**2),
    (False, "online", True): lam - (1 + s2**2),
    (False, "target", False): -(s1**2),
    (False, "none", False): -(s1**2 + s2**2),
    (False, "online", False): -(s2**2),
}


def swapped(expression):
    return expression.subs({s1: s2, s2: s1}, simultaneous=True)


@cache
def derived(setting, closure="gaussian"):
    return rates.rates(setting.in_eigenbasis(), closure)


def parametrized(settings):
    return pytest.mark.parametrize("setting", settings, ids=lambda s: s.name)


@parametrized(EUCLIDEAN)
def test_euclidean_rate_equals_the_table(setting):
    expected = EUCLIDEAN_TABLE[setting.isotropic, setting.stop_gradient, setting.predictor]
    if setting.symmetrised:
        expected = (expected + swapped(expected)) / 2
    assert sp.expand(rates.shared_weights(derived(setting)).subs(noise) - expected) == 0


# --- cosine: with x, y the roots of the theory's, and S of (zeta1, zeta2) = (z1, z2)/sqrt(s) ------------------------

x, y, S11, S12, S22 = n.x, n.y, n.S11, n.S12, n.S22
MODE_NUMBERS = range(1, MODES + 1)


def ratio(setting, mode):
    """v/w: free where no gradient reaches the target."""
    return n.ratio[mode] if setting.stop_gradient == "target" else sp.Integer(1)


def theory_integrand(setting):
    """The integrand of r_m from A, B, C as the theory writes them, with its x, y replaced by x^2, y^2."""
    a, b = x**2, y**2
    to_roots = sp.diff(x**2, x) * sp.diff(y**2, y)
    own = {i: n.lam[i] if setting.predictor else sp.Integer(1) for i in MODE_NUMBERS}
    # Of (z1, t2) = (w zeta1, v zeta2), v = ratio w
    u = {i: ratio(setting, i) for i in MODE_NUMBERS}
    covariance = {i: (n.s[i] * S11[i], n.s[i] * u[i] * S12[i], n.s[i] * u[i] ** 2 * S22[i]) for i in MODE_NUMBERS}
    s11, s12, s22 = covariance[MODE]
    overlap = sum(own[i] * covariance[i][1] for i in MODE_NUMBERS) + 2 * own[MODE] * s12
    half, three_halves = sp.gamma(sp.Rational(1, 2)), sp.gamma(sp.Rational(3, 2))
    A = a ** sp.Rational(-1, 2) * b ** sp.Rational(-1, 2) * n.Z * s12 / half**2
    B = a ** sp.Rational(1, 2) * b ** sp.Rational(-1, 2) * n.Z * s11 * overlap / (three_halves * half)
    C = a ** sp.Rational(-1, 2) * b ** sp.Rational(1, 2) * n.Z * s22 * overlap / (half * three_halves)
    parts = zip(cosine_coefficients(setting, own[MODE]), (A, B, C), strict=True)
    return to_roots * sum(factor * part for factor, part in parts) / n.s[MODE]


def other_way(integrand):
    """The same with the views' roles swapped."""
    exchange = {x: y, y: x}
    for i in MODE_NUMBERS:
        exchange |= {S11[i]: S22[i], S22[i]: S11[i]}
    return integrand.subs(exchange, simultaneous=True)


def norm_factors(setting):
    """l1, l2 of the norms sum_k l s zeta^2 of view 1 and view 2, for each way round."""
    weight, target = n.lam[n.k] ** 2 if setting.predictor else sp.Integer(1), ratio(setting, n.k) ** 2
    return [(weight, target)] + ([(target, weight)] if setting.symmetrised else [])


def theory_integrands(setting):
    """Norms -> integrand."""
    forward = theory_integrand(setting)
    ways = [forward / 2, other_way(forward) / 2] if setting.symmetrised else [forward]
    result = {}
    for (l1, l2), integrand in zip(norm_factors(setting), ways, strict=True):
        norms = (Norm(l1 * n.s[n.k] * n.zeta1[n.k] ** 2), Norm(l2 * n.s[n.k] * n.zeta2[n.k] ** 2))
        result[norms] = result.get(norms, 0) + integrand
    return result


@parametrized(COSINE)
def test_cosine_integrand_is_the_combination_of_A_B_C(setting):
    expected = theory_integrands(setting)
    found = {integral.tilt.norms: integral.integrand for integral in derived(setting)}
    assert found.keys() == expected.keys()
    for norms, integrand in found.items():
        assert sp.expand(explicit(integrand, MODES, MODE) - expected[norms]) == 0


@parametrized(COSINE)
def test_cosine_tilt_is_the_theorys(setting):
    s = n.s[n.k]
    a, b, c = n.n1 * s, s, n.n2 * s
    zeta1, zeta2 = n.zeta1[n.k], n.zeta2[n.k]
    expected = {(Norm(l1 * s * zeta1**2), Norm(l2 * s * zeta2**2)): (l1, l2) for l1, l2 in norm_factors(setting)}
    for integral in derived(setting):
        l1, l2 = expected[integral.tilt.norms]
        delta = (1 + 2 * x**2 * l1 * a) * (1 + 2 * y**2 * l2 * c) - 4 * x**2 * y**2 * l1 * l2 * b**2
        theory = {
            n.Delta[n.k]: delta,
            S11[n.k]: (a + 2 * y**2 * l2 * (a * c - b**2)) / delta / s,
            S12[n.k]: b / delta / s,
            S22[n.k]: (c + 2 * x**2 * l1 * (a * c - b**2)) / delta / s,
        }
        definitions = integral.tilt.definitions
        assert definitions.keys() == theory.keys()
        for symbol, value in theory.items():
            found = definitions[symbol].subs(n.Delta[n.k], definitions[n.Delta[n.k]])
            assert sp.simplify(moments.white(found).subs(n.D, n.n1 * n.n2 - 1) - value) == 0, symbol
        assert [sp.expand(moments.white(q)) for q in integral.tilt.mean_squares] == [l1 * a, l2 * c]


def test_view_statistics():
    values = {symbol: sp.expand(value) for symbol, value in moments.VIEW_STATISTICS.items()}
    assert values == {
        n.n1: 1 + s1**2,
        n.n2: 1 + s2**2,
        n.D: sp.expand((1 + s1**2) * (1 + s2**2) - 1),
    }


# --- mean field -----------------------------------------------------------------------------------------------------


def sum_over_modes(component):
    return sum(component(i) for i in MODE_NUMBERS)


def theory_mean_field(setting, n1=n.n1, n2=n.n2):
    """s r from A, B, C with every factor replaced by its mean."""
    own = {i: n.lam[i] if setting.predictor else sp.Integer(1) for i in MODE_NUMBERS}
    norm_p = sp.sqrt(n1 * sum_over_modes(lambda i: own[i] ** 2 * n.s[i]))
    norm_z = sp.sqrt(n2 * sum_over_modes(lambda i: n.s[i]))
    overlap = sum_over_modes(lambda i: own[i] * n.s[i])
    A = n.s[MODE] / (norm_p * norm_z)
    B = overlap * n1 * n.s[MODE] / (norm_p**3 * norm_z)
    C = overlap * n2 * n.s[MODE] / (norm_p * norm_z**3)
    coefficients = cosine_coefficients(setting, own[MODE])
    return sum(factor * part for factor, part in zip(coefficients, (A, B, C), strict=True))


@parametrized(COSINE)
def test_mean_field_is_the_ratio_of_means(setting):
    expected = theory_mean_field(setting)
    if setting.symmetrised:
        expected = (expected + theory_mean_field(setting, n.n2, n.n1)) / 2
    found = n.s[MODE] * explicit(moments.white(rates.shared_weights(derived(setting, "mean_field"))), MODES, MODE)
    assert sp.simplify(found - expected) == 0


def test_mean_field_flow_of_the_cosine_loss_without_noise():
    """ds/dt = 2 lambda s sum_k lambda_k (lambda_k - lambda_m) s_k / ((sum lambda^2 s)^(3/2) (sum s)^(1/2))."""
    (setting,) = (s for s in COSINE if s.name == "cosine_stop_target")
    pull = sum_over_modes(lambda i: n.lam[i] * (n.lam[i] - n.lam[MODE]) * n.s[i])
    sizes = sum_over_modes(lambda i: n.lam[i] ** 2 * n.s[i]), sum_over_modes(lambda i: n.s[i])
    expected = 2 * n.lam[MODE] * n.s[MODE] * pull / (sizes[0] ** sp.Rational(3, 2) * sp.sqrt(sizes[1]))
    rate = moments.white(rates.shared_weights(derived(setting, "mean_field"))).subs({n.n1: 1, n.n2: 1})
    flow = rates.velocity().subs({rates.rate: rate, n.rho: 0})
    assert sp.simplify(explicit(flow, MODES, MODE) - expected) == 0


# --- from rates to eigenvalues --------------------------------------------------------------------------------------


def test_flow_and_descent_map():
    r, s = rates.rate, n.s[n.m]
    assert sp.expand(rates.velocity() - 2 * s * (r - n.rho)) == 0
    assert sp.expand(rates.step() - s * (1 + n.eta * (r - n.rho)) ** 2) == 0
    assert rates.predictor() == (s + n.epsilon) ** n.alpha
