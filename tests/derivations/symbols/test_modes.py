"""Sums over a symbolic number of modes, against the same sums written out."""

import pytest
import sympy as sp

from derivations.symbols import modes
from derivations.symbols import notation as n
from derivations.symbols.stop_gradient import StopGradient, release
from tests.reference import explicit

Z1, Z2, LAM = n.z1[n.k], n.z2[n.k], n.lam[n.k]
M = 3

EXPRESSIONS = {
    "linear": modes.total(LAM * Z1),
    "bilinear": modes.dot(LAM * Z1, Z2),
    "square": modes.dot(LAM * Z1 - Z2, LAM * Z1 - Z2),
    "norm": modes.norm(LAM * Z1),
    "power of a sum": modes.dot(Z1, Z1) ** 3,
    "cosine": -modes.dot(LAM * Z1, Z2) / (modes.norm(LAM * Z1) * modes.norm(Z2)),
    "quartic summand": modes.total(Z1**4 * Z2 + Z1),
    "product of sums": modes.dot(Z1, Z2) * modes.dot(Z1, LAM * Z1),
    "sum with a sum in front": modes.total(modes.dot(Z1, Z2) * Z1 * Z2),
    "sum that does not factor out": modes.total((Z1 + modes.dot(Z1, Z2)) ** 2),
    "without the variable": modes.dot(Z2, Z2),
}


def written_out(vector_a, vector_b):
    return sum(vector_a[i] * vector_b[i] for i in range(1, M + 1))


@pytest.mark.parametrize("name", EXPRESSIONS)
@pytest.mark.parametrize("mode", range(1, M + 1))
def test_derivative_equals_that_of_the_sum_written_out(name, mode):
    expression = EXPRESSIONS[name]
    derived = explicit(modes.derivative(expression, n.z1), M, mode)
    assert sp.simplify(derived - explicit(expression, M).diff(n.z1[mode])) == 0


def test_derivative_respects_the_stop_gradient():
    stopped = modes.dot(StopGradient(Z1), Z1) * StopGradient(modes.dot(Z1, Z2))
    derived = release(explicit(modes.derivative(stopped, n.z1), M, 2))
    assert sp.expand(derived - n.z1[2] * written_out(n.z1, n.z2)) == 0


def test_dot_is_the_sum_of_products():
    assert sp.expand(explicit(modes.dot(Z1, Z2), M) - written_out(n.z1, n.z2)) == 0


def test_norm_is_the_root_of_the_sum_of_squares():
    assert explicit(modes.norm(Z1), M) == sp.sqrt(written_out(n.z1, n.z1))


def test_a_sum_inside_a_vector_keeps_its_own_index():
    nested = modes.dot(Z1, modes.dot(Z1, Z2) * Z2)
    assert sp.expand(explicit(nested, M) - written_out(n.z1, n.z2) ** 2) == 0


def test_what_all_modes_share_stands_in_front_of_the_sum():
    assert modes.total(n.alpha * Z1).func is sp.Mul
    assert modes.total(n.alpha * Z1).args[0] == n.alpha


def test_per_mode_is_the_summand_in_mode_k():
    assert modes.per_mode(modes.dot(LAM * Z1, Z2)) == LAM * Z1 * Z2


ROOTS = {
    "norm in a numerator": modes.norm(Z1) * (LAM + Z2),
    "softened, in a denominator": (LAM + Z1) * (1 + Z2) / (1 + modes.dot(Z1, Z1)),
    "of a difference": (Z1 + Z2) / modes.norm(LAM * Z1 - Z2) ** 3,
    "one inside another": (LAM + Z1) / (1 + modes.norm(Z1)) ** 2,
    "of a multiple": (LAM + Z1) * sp.sqrt(3 * modes.dot(Z2, Z2)),
}


@pytest.mark.parametrize("name", ROOTS)
def test_expanded_is_the_same_and_keeps_its_roots(name):
    found = modes.expanded(ROOTS[name])
    assert sp.simplify(explicit(found, M, 1) - explicit(ROOTS[name], M, 1)) == 0
    for term in sp.Add.make_args(found):
        assert not any(isinstance(factor, sp.Add) for factor in term.args)  # multiplied out
        powers = term.atoms(sp.Pow)
        assert all(power.exp.is_Integer or power.exp < 1 for power in powers)
