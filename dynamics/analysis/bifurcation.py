"""``bifurcation``: equilibria as a function of a parameter, with folds and changes of stability."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from dynamics import errors
from dynamics.analysis import fixed_points
from dynamics.analysis.branches import (
    Array,
    Branches,
    EquilibriumBranch,
    IndependentModes,
    SpecialPoint,
    branches_in_learning_rate,
    branches_of_equal_modes,
    distinct,
)
from dynamics.analysis.range_check import within_range
from dynamics.model.model import Model
from dynamics.numerics.context import isolated
from dynamics.numerics.ranges import check_range
from dynamics.numerics.values import Value

if TYPE_CHECKING:
    from matplotlib.axes import Axes

EQUILIBRIUM = 2_000  # numbers that take as much memory as an equilibrium with its Jacobian, about


@dataclass(frozen=True, eq=False)
class Bifurcation(Value):
    """A bifurcation diagram: branches of equilibria, folds and bifurcation points; the result of ``bifurcation``.

    Iterating over the diagram yields the folds and bifurcation points. If modes are independent, the diagram shows one
    mode.

    Attributes
    ----------
    model : Model
        The model; the model's value of the parameter is not used.
    parameter : str
        Name of the parameter.
    between : tuple of float
        Lowest and highest value of the parameter.
    branches : tuple of EquilibriumBranch
        Branches of equilibria, each with ``value`` of the parameter, eigenvalue ``s``, number ``surviving`` of modes,
        and ``stable``.
    points : tuple of SpecialPoint
        Folds and bifurcation points, each with ``kind``, ``value`` of the parameter and eigenvalue ``s``.
    remark : str
        Explanation if there are no equilibria.
    """

    model: Model
    parameter: str
    between: tuple[float, float]
    branches: tuple[EquilibriumBranch, ...]
    points: tuple[SpecialPoint, ...]
    remark: str = ""

    def __iter__(self) -> Iterator[SpecialPoint]:
        return iter(self.points)

    def __len__(self) -> int:
        return len(self.points)

    @isolated
    def plot(self, ax: "Axes | None" = None) -> "Axes":
        """Draw the eigenvalues of equilibria against the parameter, solid where stable; return the matplotlib Axes."""
        from dynamics.analysis.plotting import plot_bifurcation

        return plot_bifurcation(self, ax)

    def __str__(self) -> str:
        rows = [f"Equilibria of {self.model}, {self.parameter} from {self.between[0]:.6g} to {self.between[1]:.6g}"]
        for branch in self.branches:
            # At its ends, where other branches meet it, a branch is marginal.
            stable = branch.stable[1:-1] if len(branch.stable) > 2 else branch.stable
            verdict = "stable" if stable.all() else "stable in part" if stable.any() else "not stable"
            modes = f"{branch.surviving} surviving at {_span(branch.s)}" if branch.surviving else "all collapsed"
            rows.append(f"  {modes}, {self.parameter} {_span(branch.value)}: {verdict}")
        rows += [f"  {point.kind} at {self.parameter} = {point.value:.10g}, s = {point.s:.6g}" for point in self.points]
        return "\n".join([*rows, f"  {self.remark}"] if self.remark else rows)


def _span(values: Array) -> str:
    return f"{values[0]:.6g}" if np.ptp(values) == 0 else f"{values[0]:.6g} to {values[-1]:.6g}"


@isolated
def bifurcation(
    model: Model,
    parameter: str,
    between: npt.ArrayLike,
    s0: npt.ArrayLike | None = None,
    *,
    learning_rate: float | None = None,
    points: int = 41,
) -> Bifurcation:
    """Follow the equilibria s (r(s) - rho) = 0 along a parameter; find their stability, folds and bifurcation points.

    Parameters
    ----------
    model : Model
        A single model with white inputs; the model's value of the parameter is not used.
    parameter : str
        "learning_rate" (of the descent map), or one of ``model.parameter_names``: "weight_decay", "sigma1", "alpha",
        "epsilon", ...
    between : array_like
        Range of the parameter: (low, high), or three or more ascending values.
    s0 : array_like of shape (M,), optional
        Initial eigenvalues; required for losses that conserve a quantity (cosine losses), because its initial value
        selects the equilibria, and refused for other losses.
    learning_rate : float, optional
        Learning rate eta > 0; only for models with an ``EMA`` target or ``tracking``, whose flow depends on eta.
    points : int
        Number of values in a range (low, high); has no effect on branches that are followed by arc length (see Notes).

    Returns
    -------
    Bifurcation
        Branches of equilibria, folds and bifurcation points.

    Raises
    ------
    ArgumentError
        For bad arguments, and for models whose equilibria cannot be computed (see ``equilibria``).

    Notes
    -----
    r is the rate of a mode, s its eigenvalue, lambda its predictor eigenvalue, and rho the weight decay. Branches of
    independent surviving modes are followed by arc length from the roots of r = rho. The folds are located to rounding
    by Newton's method on r = rho, dr/dlambda = 0. Changes of stability are located by root-finding, to 1e-12.

    Examples
    --------
    >>> import dynamics as dyn
    >>> (fold,) = dyn.bifurcation(dyn.Model("euclidean"), "weight_decay", (0.01, 0.3))
    >>> fold.kind, round(fold.value, 9), round(fold.s, 6)
    ('fold', 0.25, 0.5)
    """
    fixed_points.check_analysed(model)
    allowed = [name for name in model.parameter_names if name != "init"]  # equilibria do not depend on initial values
    errors.choice("parameter", parameter, ["learning_rate", *allowed])
    values = _values(model, parameter, between, points)
    start, eta = _check_start(model, s0), None
    if parameter != "learning_rate":
        eta = model.check_learning_rate(learning_rate)
    elif learning_rate is not None:
        errors.reject("learning_rate", "be left out if `parameter` is 'learning_rate'", learning_rate)
    with within_range("model" if start is None else "s0", model if start is None else start):
        branches, remark = _branches(model, parameter, values, start, eta)
    return Bifurcation(
        model,
        parameter,
        (float(values[0]), float(values[-1])),
        branches=tuple(branch for branch, _ in branches),
        points=distinct(point for _, on_branch in branches for point in on_branch),
        remark=remark,
    )


def _branches(model: Model, parameter: str, values: Array, s0: Array | None, eta: float | None) -> tuple[Branches, str]:
    """Return the branches of equilibria with folds and bifurcation points, and a remark if there are no branches."""
    if parameter == "learning_rate":
        return branches_in_learning_rate(model, values, s0)
    if s0 is None and model.structure.predictor == "normalized":
        return [], fixed_points.NORMALIZED_HAS_NONE
    if s0 is None:
        return IndependentModes(model, parameter, values[0], values[-1], eta).branches(values), ""
    if remark := fixed_points.why_no_equal_modes(model.replace(**{parameter: values[-1]}), s0):
        return [], remark
    return branches_of_equal_modes(model, parameter, values, s0, eta), ""


def _values(model: Model, parameter: str, between: npt.ArrayLike, points: int) -> Array:
    values = check_range("between", between, errors.count("points", points, 2), EQUILIBRIUM)
    if parameter == "learning_rate":
        errors.positive("between", values, "be a range of learning rates above zero")
    else:
        for end in (values[0], values[-1]):
            model.replace(**{parameter: end})  # raises ArgumentError for a value that the parameter cannot have
    return values


def _check_start(model: Model, s0: npt.ArrayLike | None) -> Array | None:
    if model.generated.independent_modes:
        if s0 is not None:
            errors.reject("s0", "be left out if modes are independent, because the diagram then shows one mode", s0)
        return None
    if s0 is None:
        errors.reject(
            "s0",
            "be given for a loss that conserves a quantity, because its initial value selects the equilibria",
            s0,
        )
    return fixed_points.check_one_start(model, s0)
