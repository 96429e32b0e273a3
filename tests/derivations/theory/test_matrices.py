"""Forces as words in W_P: against the theory typed in, Isserlis by brute force, and what has no matrix form."""

from functools import cache

import numpy as np
import pytest
import sympy as sp

from derivations.codegen import matrix_code
from derivations.codegen.manifest import Manifest
from derivations.errors import UnsupportedLossError
from derivations.losses.catalogue import Setting
from derivations.symbols import notation as n
from derivations.symbols.modes import dot, norm
from derivations.symbols.stop_gradient import StopGradient as SG
from derivations.theory import matrices
from derivations.theory.matrices import TILTED, VECTORS, W_P, K

Z1, Z2, T1, T2 = (vector[n.k] for vector in (n.z1, n.z2, n.t1, n.t2))
P = n.lam[n.k] * Z1
L1, L2, K2 = VECTORS[n.z1], VECTORS[n.z2], VECTORS[n.t2]
X, Y = TILTED  # W_P L1 K^T and K2 K^T
pairs = sp.Trace(X * Y.T) * W_P * X + (W_P * X * Y.T * X + W_P * X * X.T * Y)
COSINE = (4 * n.Z / sp.pi) * W_P * Y * K - (8 * n.Z * n.x**2 / sp.pi) * pairs * K


@pytest.mark.parametrize(
    ("setting", "view", "expected"),
    [
        (Setting("euclidean"), 1, W_P * K2 - W_P**2 * L1),
        (Setting("euclidean", isotropic=True), 1, K2 - W_P * L1),
        (Setting("euclidean", predictor=False), 1, K2 - L1),
        (Setting("euclidean", stop_gradient="none"), 2, W_P * L1 - K2),
        (Setting("cosine"), 1, COSINE),
    ],
    ids=lambda value: str(value) if isinstance(value, int) else None,
)
def test_words_of_the_catalogue(setting, view, expected):
    (found,) = matrices.expectations(setting.in_eigenbasis(), view)
    assert found.terms == expected.doit()
    assert found.norms == (((L1, 2, L1), (K2, 0, K2)) if setting.loss == "cosine" else ())


@pytest.mark.parametrize(
    ("numerator", "word"), [(Z2, L2 * K.T), (Z1, L1 * K.T), (n.lam[n.k] ** 2 * Z1, W_P * X), (T2, Y)], ids=str
)
def test_words_beside_norms_are_tilted(numerator, word):
    """Terms without a norm, or with a lower power of W_P than in their norm, are multiplied by K^T."""
    (found,) = matrices.expectations(dot(Z1, SG(numerator)) / SG(norm(P) * norm(T2)), 1)
    assert found.terms == (-(4 * n.Z / sp.pi) * word * K).doit()


def test_no_force_is_no_term():
    assert matrices.expectations(Setting("cosine").in_eigenbasis(), 2) == []


# --- moments, by brute force ----------------------------------------------------------------------------------------

MODES, NORMALS = 2, 3


@cache
def wick(indices):
    """E of a product of independent normals: pair the first with each of the others."""
    if not indices:
        return 1
    first, *others = indices
    return sum((first == other) * wick(tuple(others[:i] + others[i + 1 :])) for i, other in enumerate(others))


def brute_force(coefficient, forms):
    """E[A l prod_j (l^T B_j l) l^T], entry by entry."""
    found = np.zeros((MODES, NORMALS))
    for index in np.ndindex(*[NORMALS] * (2 + 2 * len(forms))):
        inside, last, ends = index[0], index[1], list(zip(index[2::2], index[3::2], strict=True))
        weight = np.prod([form[end] for form, end in zip(forms, ends, strict=True)])
        found[:, last] += coefficient[:, inside] * weight * wick(tuple(sorted(index)))
    return found


@pytest.mark.parametrize("power", [2, 3, 4])
def test_polynomial_forces_are_moments(power):
    """L = (p . t)^power/power: g = (p . t)^(power - 1) W_P t, of any maps z1, t2 and any W_P."""
    loss = dot(P, SG(T2)) ** power / power
    scope: dict = {}
    exec("\n".join(matrix_code.matrix_functions(loss, Manifest("test"))), scope)
    random = np.random.default_rng(power)
    z1, t2 = random.standard_normal((2, MODES, NORMALS))
    predictor = random.standard_normal((MODES, MODES))
    predictor = predictor + predictor.T
    form = z1.T @ predictor @ t2
    expected = -brute_force(predictor @ t2, [form] * (power - 1))
    np.testing.assert_allclose(scope["drive_on_view1"](predictor, z1, t2), expected, rtol=1e-12)


# --- what is refused ------------------------------------------------------------------------------------------------

REFUSED = {
    "one norm": (norm(P), "1 norms"),
    "norms beside none": (
        dot(P, SG(T2)) * (1 + 1 / SG(norm(P) * norm(T2))),
        "some terms have norms in their denominator and other terms have none",
    ),
    "no vector": (
        dot(sp.sin(Z1), SG(T2)),
        r"cos\(z1\[m\]\), which is neither a representation nor a positive integer power of W_P",
    ),
    "product of components": (dot(Z1, SG(Z1 * T2)), r"not a power of W_P times a single vector"),
    "quartic norm": (
        dot(Z1, SG(T2)) / SG(norm(Z1) * sp.sqrt(dot(T2, T2**3))),
        r"t2\[k\]\*\*4 summed over modes is not a bilinear form",
    ),
    "cubic form": (dot(Z1, SG(T2)) * SG(dot(Z1, Z1 * T2)), "summed over modes is not a bilinear form"),
    "root of an overlap": (
        dot(Z1, SG(T2)) / SG(norm(Z1) * sp.sqrt(dot(Z1, T2))),
        r"(t2\[k\]\*z1\[k\]|z1\[k\]\*t2\[k\]) summed over modes, which is not the square of a norm",
    ),
    "root of W_P": (
        dot(P, SG(T2)) / SG(norm(T2) * sp.sqrt(dot(P, Z1))),
        "divided by a norm that contains a root of W_P",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_has_no_matrix_form_is_refused_by_name(name):
    loss, culprit = REFUSED[name]
    with pytest.raises(UnsupportedLossError, match=culprit):
        matrices.expectations(loss, 1)
