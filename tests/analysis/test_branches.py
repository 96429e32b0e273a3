"""Branches: changes of stability inside a branch are located and named, and points are listed once."""

from types import SimpleNamespace

import numpy as np
import pytest

from dynamics.analysis.branches import EquilibriumBranch, SpecialPoint, distinct, stability_changes


@pytest.mark.parametrize("scale", [1.0, 1e-12, 1e12])
@pytest.mark.parametrize(("frequency", "kind"), [(0.0, "exchange"), (2.0, "hopf")])
def test_changes_inside_a_branch_are_named_by_the_growth_that_changes_sign(frequency, kind, scale):
    """No model of the catalogue has one: a made-up family with growth rates (x^2 - 2 +- i frequency), and one of -5."""

    def family(x):
        return SimpleNamespace(
            s=np.ones(1),
            growth=scale * np.array([-5, x**2 - 2 - frequency * 1j, x**2 - 2 + frequency * 1j]),
            largest_growth=scale * (x**2 - 2),
            growth_error=1e-7 * scale,
        )

    values = np.linspace(0, 2, 5)
    branch = EquilibriumBranch(values, np.ones(5), 1, values < 1, tuple(family(x) for x in values))
    (point,) = stability_changes(branch, family)
    assert (point.kind, point.s) == (kind, 1) and point.value == pytest.approx(np.sqrt(2), rel=1e-14)


@pytest.mark.parametrize("scale", [1.0, 1e-12, 1e12])
def test_a_point_on_two_branches_is_listed_once(scale):
    """The distance of points is relative to the largest parameter and eigenvalue."""

    def listed(*points):
        points = [SpecialPoint(kind, scale * value, scale * s) for kind, value, s in points]
        branch = EquilibriumBranch(scale * np.array([0.0, 1.0]), scale * np.ones(2), 1, np.ones(2, bool), ())
        return [(point.kind, round(point.value / scale, 9)) for point in distinct([(branch, points)])]

    fold, same, flip = ("fold", 0.5, 0.2), ("fold", 0.5 + 1e-12, 0.2), ("flip", 0.1, 0.2)
    assert listed(fold, flip, same) == [("flip", 0.1), ("fold", 0.5)]
    assert listed(fold, ("flip", 0.5, 0.2)) == [("fold", 0.5), ("flip", 0.5)]
    assert listed(fold, ("fold", 0.5 + 1e-6, 0.2)) == [("fold", 0.5), ("fold", 0.500001)]
