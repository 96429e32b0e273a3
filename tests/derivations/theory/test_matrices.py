"""Forces on vectors: against the theory typed in, Isserlis by brute force, and what has no matrix form."""

from functools import cache

import numpy as np
import pytest
import sympy as sp

from derivations.codegen import matrix_code
from derivations.codegen.manifest import Manifest
from derivations.errors import UnsupportedLossError
from derivations.losses.catalogue import Setting
from derivations.losses.products import LossInVectors, Product, in_vectors
from derivations.losses.user_defined import UserDefinedLoss
from derivations.symbols import notation as n
from derivations.symbols.modes import dot, norm
from derivations.symbols.stop_gradient import StopGradient as SG
from derivations.theory import matrices
from derivations.theory.matrices import TILTED, K, map_of

P1 = sp.IndexedBase("p1", real=True)
P, Z1, Z2, T1, T2 = (vector[n.k] for vector in (P1, n.z1, n.z2, n.t1, n.t2))
L1, L2, K2, LP = (map_of(vector) for vector in (n.z1, n.z2, n.t2, P1))
X, Y = TILTED  # LP K^T and K2 K^T
pairs = sp.Trace(Y * X.T) * X + (X * X.T * Y + X * Y.T * X)
COSINE = (4 * n.Z / sp.pi) * Y * K - (8 * n.Z * n.x**2 / sp.pi) * pairs * K


@pytest.mark.parametrize(
    ("setting", "expected"),
    [
        (Setting("euclidean"), {LP: K2 - LP}),
        (Setting("euclidean", isotropic=True), {L1: K2 - LP}),
        (Setting("euclidean", predictor=False), {L1: K2 - L1}),
        (Setting("euclidean", stop_gradient="none"), {LP: K2 - LP, K2: LP - K2}),
        (Setting("cosine"), {LP: COSINE}),
    ],
    ids=lambda value: value.name if isinstance(value, Setting) else "",
)
def test_forces_of_the_catalogue(setting, expected):
    (found,) = matrices.expectations(in_vectors(setting).expression)
    assert dict(found.forces) == {vector: force.doit() for vector, force in expected.items()}
    assert found.norms == ((LP, K2) if setting.loss == "cosine" else ())


@pytest.mark.parametrize(("numerator", "word"), [(Z2, L2 * K.T), (Z1, L1 * K.T), (P, X), (T2, Y)], ids=str)
def test_vectors_beside_norms_are_tilted(numerator, word):
    """A vector without a norm is multiplied by K^T; for a vector with a norm, the product has a symbol."""
    (found,) = matrices.expectations(dot(Z1, SG(numerator)) / SG(norm(P) * norm(T2)))
    assert dict(found.forces)[L1] == (-(4 * n.Z / sp.pi) * word * K).doit()


# --- products with the predictor ------------------------------------------------------------------------------------

LAM = n.lam[n.k]
PRODUCTS = {
    "|p - sg(z2)|^2": [("p1", LAM, "z1", False)],
    "|W_P^2 * z1 - sg(z2)|^2": [("p1", LAM, "z1", False), ("v2", LAM, "p1", False)],
    "|W_P * (z1 - sg(z2))|^2": [("p1", LAM, "z1", False), ("v2", LAM, "t2", True)],
    "|(1 - W_P) * z1|^2": [("v2", 1 - LAM, "z1", False)],
    "|W_P^0.5 * z1 - 2 * z2|^2": [("v2", sp.sqrt(LAM), "z1", False)],
    "|W_P * (z1 * (z1 . z2))|^2": [("p1", LAM, "z1", False)],
    "|z1 - z2|^2": [],
}


@pytest.mark.parametrize("text", PRODUCTS)
def test_products_with_the_predictor_become_vectors(text):
    found = [(str(p.vector), p.function, str(p.of), p.stopped) for p in in_vectors(UserDefinedLoss(text)).products]
    assert found == PRODUCTS[text]


def test_a_function_of_the_predictor_applied_to_no_vector_is_refused():
    with pytest.raises(UnsupportedLossError, match="which is not a sum of vectors"):
        in_vectors(UserDefinedLoss("|W_P * sg(z1 * (z1 . z2))|^2"))


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
    """L = (p . t)^power/power: the force on p is -(p . t)^(power - 1) t, of any maps p and t."""
    loss = dot(P, SG(T2)) ** power / power
    scope: dict = {}
    prediction = Product(P1, n.lam[n.k], n.z1, False)
    exec("\n".join(matrix_code.matrix_functions(LossInVectors(loss, (prediction,)), Manifest("test"))), scope)
    p1, t2 = np.random.default_rng(power).standard_normal((2, MODES, NORMALS))
    expected = -brute_force(t2, [p1.T @ t2] * (power - 1))
    np.testing.assert_allclose(scope["forces"](z1=p1, t2=t2, p1=p1), expected, rtol=1e-12)


# --- what is refused ------------------------------------------------------------------------------------------------

REFUSED = {
    "one norm": (norm(P), "1 norms"),
    "norms beside none": (
        dot(P, SG(T2)) * (1 + 1 / SG(norm(P) * norm(T2))),
        "some terms have norms in their denominator and other terms have none",
    ),
    "no vector": (
        dot(sp.sin(Z1), SG(T2)),
        r"cos\(z1\[m\]\), which is not a representation, or a product of one with W_P",
    ),
    "product of components": (dot(Z1, SG(Z1 * T2)), r"not a scalar times a single vector"),
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
        r"(p1\[k\]\*z1\[k\]|z1\[k\]\*p1\[k\]) summed over modes, which is not the square of a norm",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_has_no_matrix_form_is_refused_by_name(name):
    loss, culprit = REFUSED[name]
    with pytest.raises(UnsupportedLossError, match=culprit):
        matrices.expectations(loss)
