"""Branches: changes of stability inside a branch are located and named, and points are listed once."""

from types import SimpleNamespace

import numpy as np
import pytest

from dynamics.analysis.branches import EquilibriumBranch, SpecialPoint, distinct, stability_changes


@pytest.mark.parametrize(("frequency", "kind"), [(0.0, "exchange"), (2.0, "hopf")])
def test_changes_inside_a_branch_are_named_by_the_growth_that_changes_sign(frequency, kind):
    """No model of the catalogue has one: a made-up family with growth rates (x^2 - 2 +- i frequency), and one of -5."""

    def family(x):
        return SimpleNamespace(
            s=np.ones(1),
            growth=np.array([-5, x**2 - 2 - frequency * 1j, x**2 - 2 + frequency * 1j]),
            largest_growth=x**2 - 2,
        )

    values = np.linspace(0, 2, 5)
    branch = EquilibriumBranch(values, np.ones(5), 1, values < 1, tuple(family(x) for x in values))
    (point,) = stability_changes(branch, family)
    assert (point.kind, point.s) == (kind, 1) and point.value == pytest.approx(np.sqrt(2), rel=1e-14)


def test_a_point_on_two_branches_is_listed_once():
    points = [SpecialPoint("fold", 0.5, 0.2), SpecialPoint("flip", 0.1, 0.2), SpecialPoint("fold", 0.5 + 1e-12, 0.2)]
    assert distinct(points) == (points[1], points[0])
    assert len(distinct([points[0], SpecialPoint("flip", 0.5, 0.2)])) == 2
