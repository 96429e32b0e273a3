"""One equilibrium: its verdict, its multipliers, and its limits put together from groups of modes."""

from dataclasses import replace

import numpy as np
import pytest

import dynamics as dyn

PARTIAL = dyn.equilibria(dyn.Model("euclidean", weight_decay=0.05), [0.1, 0.2])[3]  # one survives, one collapsed


def test_it_joins_surviving_and_collapsed_modes():
    assert (PARTIAL.surviving, PARTIAL.verdict) == (1, "stable")
    assert PARTIAL.s[0] > 0 == PARTIAL.s[1] and PARTIAL.predictor[1] == 0
    assert PARTIAL.collapsed_growth == pytest.approx(-0.05)  # the rate of the Euclidean loss is zero at zero
    assert PARTIAL.largest_growth == pytest.approx(-0.05)
    expected = sorted([1 - 0.1 * 0.05, 1 + 0.1 * PARTIAL.growth[0].real])
    np.testing.assert_allclose(PARTIAL.multipliers(0.1), expected, rtol=1e-9)


@pytest.mark.parametrize(
    ("change", "verdict"),
    [
        ({"growth": np.array([-1.0, 1e-3])}, "unstable"),
        ({"growth": np.array([-1.0, 1e-9])}, "marginal"),
        ({"growth": np.array([-1.0 + 5j, -1.0 - 5j])}, "stable"),
        ({"recovers": True}, "unstable"),
    ],
)
def test_the_verdict_follows_the_largest_growth(change, verdict):
    assert replace(PARTIAL, **change).verdict == verdict
