"""Names of sums over modes: they state what is summed, and no two are the same."""

import pytest
import sympy as sp

from derivations.printers.array_code import ArrayPrinter
from derivations.printers.sum_names import names_of_sums
from derivations.symbols import notation as n
from derivations.symbols.modes import dot, total
from derivations.symbols.stop_gradient import StopGradient as SG

Z1, Z2, T2, LAM, RATIO, S = (base[n.k] for base in (n.z1, n.z2, n.t2, n.lam, n.ratio, n.s))
NAMES = {
    "norm_z2_squared": dot(Z2, Z2),
    "norm_p1_squared": dot(LAM * Z1, LAM * Z1),
    "p1_dot_z2": dot(LAM * Z1, Z2),
    "p1_dot_t2": dot(LAM * Z1, RATIO * Z2),
    "z1_dot_t2": dot(Z1, RATIO * Z2),
    "t2_dot_z1": dot(SG(T2), Z1),
    "norm_z1_minus_t2_squared": dot(Z1 - SG(T2), Z1 - SG(T2)),
    "sum_lam2_s": total(LAM**2 * S),
    "sum_lam_ratio_s_S12": total(LAM * RATIO * S * n.S12[n.k]),
    "sum_1": total(sp.exp(LAM)),
}


def named(sums, taken=()):
    return list(names_of_sums(sums, ArrayPrinter().doprint, taken).values())


@pytest.mark.parametrize("name", [name for name in NAMES if name != "z1_dot_t2"])
def test_a_sum_is_named_after_what_is_summed(name):
    assert named([NAMES[name]]) == [name]


def test_a_name_that_is_taken_gets_a_number():
    assert named([NAMES["p1_dot_z2"]], ["p1_dot_z2"]) == ["p1_dot_z2_2"]
    assert named([NAMES["sum_1"], total(sp.exp(S))], ["sum_2"]) == ["sum_1", "sum_2_2"]


def test_sums_that_differ_in_stop_gradients_are_told_apart():
    assert named([dot(T2, T2), dot(SG(T2), SG(T2))]) == ["norm_t2_squared", "norm_sg_t2_squared"]
