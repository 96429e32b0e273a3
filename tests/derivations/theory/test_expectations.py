"""Gaussian expectations: known moments, brute force over explicit modes, and what is refused."""

from functools import cache

import pytest
import sympy as sp

from derivations.errors import UnsupportedLossError
from derivations.symbols import notation as n
from derivations.symbols.modes import dot, norm
from derivations.symbols.stop_gradient import StopGradient as SG
from derivations.theory import moments, rates
from tests.reference import explicit

Z1, Z2, P = n.z1[n.k], n.z2[n.k], n.lam[n.k] * n.z1[n.k]
zeta1, zeta2 = n.zeta1[n.k], n.zeta2[n.k]
n1, n2 = n.n1, n.n2
white = moments.white


# --- one mode -------------------------------------------------------------------------------------------------------

MOMENTS = [  # E[zeta1^a zeta2^b], by hand from Isserlis' theorem with E[zeta1 zeta2] = 1
    (0, 0, 1),
    (1, 0, 0),
    (1, 1, 1),
    (2, 0, n1),
    (0, 4, 3 * n2**2),
    (2, 2, n1 * n2 + 2),
    (3, 1, 3 * n1),
    (1, 3, 3 * n2),
    (2, 1, 0),
    (3, 3, 9 * n1 * n2 + 6),
    (6, 0, 15 * n1**3),
    (4, 2, 3 * n1**2 * n2 + 12 * n1),
]


@pytest.mark.parametrize(("a", "b", "value"), MOMENTS)
def test_moment_is_isserlis(a, b, value):
    assert sp.expand(white(moments.moment(zeta1**a * zeta2**b, moments.VIEWS)) - value) == 0


def test_moment_of_a_polynomial_with_coefficients():
    polynomial = (n.lam[n.k] * zeta1 - zeta2) ** 2
    expected = n.lam[n.k] ** 2 * n1 - 2 * n.lam[n.k] + n2
    assert sp.expand(white(moments.moment(polynomial, moments.VIEWS)) - expected) == 0


CUMULANTS = [
    ("variance", [zeta1, zeta1], n1),
    ("covariance", [zeta1, zeta2], 1),
    ("squares", [zeta1**2, zeta1**2], 2 * n1**2),
    ("squares of both", [zeta1**2, zeta2**2], 2),
    ("products", [zeta1 * zeta2, zeta1 * zeta2], n1 * n2 + 1),
    ("three squares", [zeta1**2] * 3, 8 * n1**3),
    ("of a Gaussian beyond two", [zeta1] * 4, 0),
    ("mean", [zeta1 * zeta2], 1),
]


@pytest.mark.parametrize(("polynomials", "value"), [c[1:] for c in CUMULANTS], ids=[c[0] for c in CUMULANTS])
def test_cumulant(polynomials, value):
    assert sp.expand(white(moments.cumulant(polynomials, moments.VIEWS, n.k)) - value) == 0


# --- sums over modes: brute force -----------------------------------------------------------------------------------


def covariance(first, second):
    """The covariance of two entries of zeta: they are independent over modes."""
    if first.indices != second.indices:
        return 0
    return {(n.zeta1, n.zeta1): n1, (n.zeta2, n.zeta2): n2}.get((first.base, second.base), 1)


@cache
def wick(factors):
    """E of a product of entries of zeta: pair the first with each of the others."""
    if not factors:
        return sp.Integer(1)
    first, *others = factors
    return sum(covariance(first, other) * wick(tuple(others[:i] + others[i + 1 :])) for i, other in enumerate(others))


def brute_force(polynomial):
    """E of a polynomial in the entries zeta1[i], zeta2[i] of explicit modes."""
    entries = sorted((e for e in polynomial.atoms(sp.Indexed) if e.base in (n.zeta1, n.zeta2)), key=sp.default_sort_key)
    result = sp.Integer(0)
    for powers, coefficient in sp.Poly(sp.expand(polynomial), *entries).terms():
        factors = [entry for entry, power in zip(entries, powers, strict=True) for _ in range(power)]
        result += coefficient * wick(tuple(factors))
    return sp.expand(result)


JOINT = {
    "no sums": (zeta1 * zeta2, []),
    "one sum": (zeta1 * zeta2, [n.lam[n.k] * zeta1 * zeta2]),
    "square times sum": (zeta1**2, [n.lam[n.k] ** 2 * zeta1**2]),
    "two sums": (zeta1**2, [n.s[n.k] * zeta1 * zeta2, n.lam[n.k] * zeta2**2]),
    "sum squared": (zeta1 * zeta2, [n.lam[n.k] * zeta1**2] * 2),
    "linear sums": (zeta1, [n.s[n.k] * zeta2, n.lam[n.k] * zeta1 + zeta1**3, zeta2]),
    "quartic local": (zeta1**3 * zeta2, [n.s[n.k] * zeta2**2]),
}


@pytest.mark.parametrize("modes", [2, 3])
@pytest.mark.parametrize("name", JOINT)
def test_joint_moment_equals_brute_force(name, modes):
    local, summands = JOINT[name]
    product = local.subs(n.k, 1)
    for summand in summands:
        product *= sum(summand.subs(n.k, i) for i in range(1, modes + 1))
    found = moments.joint_moment(local.subs(n.k, n.m), tuple(summands), moments.VIEWS)
    assert sp.expand(explicit(white(found), modes, 1) - brute_force(sp.expand(product))) == 0


# --- a user-defined loss --------------------------------------------------------------------------------------------

LAM, S = n.lam[n.m], n.s[n.m]
SPREAD = sum(n.lam[i] ** 2 * n.s[i] for i in (1, 2, 3))
QUARTIC = -(LAM**2) * n1**2 * (SPREAD + 2 * LAM**2 * S)  # E of -(p.p) lambda^2 zeta1^2, two ways to pair
NEW_LOSSES = {
    "stop-gradient on the target": (dot(P, P) ** 2 / 4 - dot(P, SG(Z2)), QUARTIC + LAM),
    "no stop-gradient": (dot(P, P) ** 2 / 4 - dot(P, Z2), QUARTIC + 2 * LAM),
    "alignment of squares": (-(dot(Z1, SG(Z2)) ** 2) / 2, None),
}


@pytest.mark.parametrize("name", NEW_LOSSES)
def test_a_new_loss_has_exact_rates(name):
    loss, typed = NEW_LOSSES[name]
    found = explicit(white(rates.rates(loss)), 3, 1)
    if typed is None:  # g = (z1.z2) z2: E[(z1.z2) zeta2 zeta1], by brute force
        overlap = sum(n.s[i] * n.zeta1[i] * n.zeta2[i] for i in (1, 2, 3))
        typed = brute_force(sp.expand(overlap * n.zeta1[1] * n.zeta2[1]))
    assert sp.expand(found - explicit(typed, 3, 1)) == 0


# --- what is refused ------------------------------------------------------------------------------------------------

REFUSED = {
    "exponential": (sp.exp(dot(P, SG(Z2))), "exp"),
    "logarithm of a logarithm": (sp.log(1 + sp.log(1 + dot(P, P))), r"log\(Sum"),
    "sine of a component": (dot(sp.sin(Z1), SG(Z2)), r"cos\("),
    "overlap": (1 / dot(P, SG(Z2)), r"power of Sum\(.*\), which is not the square of a norm"),
    "norm below zero": (sp.sqrt(dot(P, P) - 1), r"power of Sum\(.*\) - 1, which is not the square of a norm"),
    "difference of norms": (sp.sqrt(dot(P, P) - dot(Z2, Z2)), r"which is not the square of a norm"),
    "three norms": (dot(P, SG(Z2)) / SG(norm(P) * norm(Z2) * norm(Z1)), "3 norms"),
    "no quadratic form": (
        dot(Z1, SG(Z2)) / SG(norm(Z1) * sp.sqrt(dot(Z2, Z2**3))),
        r"zeta2\[k\]\*\*4.*not a quadratic form",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_has_no_closure_is_refused_by_name(name):
    loss, culprit = REFUSED[name]
    with pytest.raises(UnsupportedLossError, match=culprit):
        rates.rates(loss)
