"""Define the function ``bifurcation``, which follows equilibria along a parameter and finds changes of stability."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
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
from dynamics.analysis.range_check import check_range_of_parameter, within_range
from dynamics.model.model import Model
from dynamics.model.options import shown
from dynamics.numerics.context import isolated
from dynamics.numerics.ranges import check_range
from dynamics.presentation.result import Result
from dynamics.presentation.text import Fact, listed, shortened

if TYPE_CHECKING:
    from matplotlib.axes import Axes

EQUILIBRIUM = 2_000  # an equilibrium with its Jacobian takes about as much memory as this number of floats


@dataclass(frozen=True, repr=False, eq=False)
class Bifurcation(Result):
    """A bifurcation diagram: branches of equilibria, folds and bifurcation points; the result of ``bifurcation``.

    Iterating over the diagram yields the folds and bifurcation points. If modes are independent, the diagram shows the
    equilibria of a single mode, or of each mode if the second moments of the views differ between modes.

    Attributes
    ----------
    model : Model
        The model. Its own value of the parameter is not used.
    parameter : str
        Name of the parameter along which equilibria are followed.
    between : tuple of float
        Lowest and highest value of the parameter.
    branches : tuple of EquilibriumBranch
        Branches of equilibria. A branch has the values of the parameter (``value``), the eigenvalue of the surviving
        modes at each value (``s``), the number of surviving modes (``surviving``), and the stability (``stable``). If
        second moments differ between modes, a branch has the index of its ``mode``.
    points : tuple of SpecialPoint
        Folds and bifurcation points. A point has a ``kind``, the ``value`` of the parameter, and the eigenvalue ``s``
        of the surviving modes. If second moments differ between modes, a point has the index of its ``mode``.
    remark : str
        The reason, if there are no equilibria; otherwise empty, or a remark on the equilibria.
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
        """Draw the eigenvalues of equilibria against the parameter; return the matplotlib Axes.

        Lines are solid where equilibria are stable, and dashed elsewhere.
        """
        from dynamics.analysis.plotting import plot_bifurcation

        return plot_bifurcation(self, ax)

    @property
    def headline(self) -> str:
        """The essence of the result on one line."""
        low, high = self.between
        found = f"{len(self.branches)} branches, {len(self.points)} folds and bifurcation points"
        return f"{found}, {self.parameter} from {low:g} to {high:g}, {shown(self.model, (self.parameter,))}"

    @property
    def title(self) -> str:
        """The kind of the result, the model, and the range of the parameter."""
        low, high = self.between
        return f"Equilibria of {shown(self.model, (self.parameter,))}, {self.parameter} from {low:.6g} to {high:.6g}"

    def facts(self) -> list[Fact]:
        """Return a line for each branch and for each fold or bifurcation point; the last line is the remark, if any."""
        points = (f"{_mode(p)}{p.kind} at {self.parameter} = {p.value:.10g}, s = {p.s:.6g}" for p in self.points)
        rows = [*shortened(("", self._line(branch)) for branch in self.branches), *shortened(("", p) for p in points)]
        return [*rows, ("", self.remark)] if self.remark else rows

    @property
    def is_quick_to_draw(self) -> bool:
        """True if there is a branch to draw on the card in a notebook; without a branch, the card states the reason."""
        return bool(self.branches)

    def _line(self, branch: EquilibriumBranch) -> str:
        # The ends of a branch are marginal, because other branches meet the branch there.
        stable = branch.stable[1:-1] if len(branch.stable) > 2 else branch.stable
        verdict = "stable" if stable.all() else "stable in part" if stable.any() else "not stable"
        modes = f"{branch.surviving} surviving at {_span(branch.s)}" if branch.surviving else "all collapsed"
        stretch = f"{self.parameter} {_span(branch.value)}"
        return f"{_mode(branch)}{modes}, {stretch}: {verdict}{self._exceptions(branch)}"

    def _exceptions(self, branch: EquilibriumBranch) -> str:
        """Return the ends of the range at which the stability is the opposite of that of all other equilibria, or "".

        For example, a collapsed mode is stable at any weight decay, but unstable at a weight decay of zero.
        """
        inside = branch.stable[1:-1]
        if self.parameter == "learning_rate" or not len(inside) or inside.any() != inside.all():
            return ""
        opposite = "unstable" if inside.all() else "stable"
        ends = zip(branch.value[[0, -1]], self.between, (branch.equilibria[0], branch.equilibria[-1]), strict=True)
        at = [value for value, limit, end in ends if value == limit and end.verdict == opposite]
        return "".join(f", {opposite} at {value:.6g}" for value in at)


def _mode(part: EquilibriumBranch | SpecialPoint) -> str:
    return "" if part.mode is None else f"mode {part.mode + 1}: "


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

    s is the correlation eigenvalue of a mode, r(s) is the rate of the mode (times the second moment that the views
    share), and rho is the weight decay.

    Parameters
    ----------
    model : Model
        A single model with white inputs or with views of modes. Its own value of the parameter is not used.
    parameter : str
        "learning_rate" (of the descent map), or one of ``model.parameter_names``: "weight_decay", "sigma1", "alpha",
        "epsilon", ...
    between : array_like
        Range of the parameter: (low, high), or three or more ascending values.
    s0 : array_like of shape (M,), optional
        Initial eigenvalues. Losses that conserve a quantity (cosine losses without weight decay) require s0, because
        the initial value of this quantity selects the equilibria. For losses with independent modes, s0 must be left
        out.
    learning_rate : float, optional
        Learning rate eta > 0, for models with an ``EMA`` target or ``tracking``, because their flow depends on eta. For
        other models, eta must be left out.
    points : int
        Number of values of the parameter if ``between`` is (low, high). On branches that are followed by arc length
        (see Notes), this number has no effect.

    Returns
    -------
    Bifurcation
        Branches of equilibria, folds and bifurcation points.

    Raises
    ------
    ArgumentError
        If an argument is not valid, or if the equilibria of the model cannot be computed (see ``equilibria``).

    Notes
    -----
    If modes are independent, the branches on which a mode survives are followed by arc length, starting from the roots
    of r = rho. Folds are the solutions of the two equations r = rho and dr/dlambda = 0, where lambda is the predictor
    eigenvalue of the mode; Newton's method finds them up to rounding errors. Changes of stability are found by
    root-finding, with an accuracy of 1e-12.

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
    at_end = model if parameter == "learning_rate" else model.replace(**{parameter: values[-1]})
    start, eta = _check_start(at_end, s0), None
    if parameter != "learning_rate":
        eta = model.check_learning_rate(learning_rate)
    elif learning_rate is not None:
        requirement = "be left out, because `parameter` is 'learning_rate', whose values are set by `between`"
        errors.reject("learning_rate", requirement, learning_rate)
    given = {name: value for name, value in (("s0", start), ("learning_rate", eta)) if value is not None}
    with within_range(model, start, between=values, **given):
        return _diagram(model, parameter, values, start, eta)


def _diagram(model: Model, parameter: str, values: Array, s0: Array | None, eta: float | None) -> Bifurcation:
    """Return the diagram of a model; if second moments differ between modes, it has the branches of each mode."""
    branches: list[EquilibriumBranch] = []
    points: list[SpecialPoint] = []
    remarks, members = [], fixed_points.by_mode(model)
    for m, member in enumerate(members):
        of_member, remark = _branches(member, parameter, values, s0, eta)
        mode = None if len(members) == 1 else m
        branches += [replace(branch, mode=mode) for branch, _ in of_member]
        points += [replace(point, mode=mode) for point in distinct(of_member)]
        remarks += [remark if mode is None else f"mode {m + 1}: {remark}"] if remark else []
    points.sort(key=lambda point: (point.value, point.s))
    between = float(values[0]), float(values[-1])
    return Bifurcation(model, parameter, between, tuple(branches), tuple(points), listed(remarks))


def _branches(model: Model, parameter: str, values: Array, s0: Array | None, eta: float | None) -> tuple[Branches, str]:
    """Return the branches of equilibria with their folds and bifurcation points, and a remark for the user.

    If there are no branches, the remark states the reason.
    """
    if parameter == "learning_rate":
        return branches_in_learning_rate(model, values, s0)
    if model.generated.independent_modes:
        if model.structure.predictor == "normalized":
            return [], fixed_points.NORMALIZED_HAS_NONE
        return IndependentModes(model, parameter, values[0], values[-1], eta).branches(values), ""
    at_end = model.replace(**{parameter: values[-1]})
    if s0 is None or (remark := fixed_points.why_no_equal_modes(at_end, s0)):
        return [], fixed_points.DECAY_HAS_NONE if s0 is None else remark
    return branches_of_equal_modes(model, parameter, values, s0, eta), ""


def _values(model: Model, parameter: str, between: npt.ArrayLike, points: int) -> Array:
    values = check_range("between", between, errors.count("points", points, 2), EQUILIBRIUM)
    check_range_of_parameter(model, parameter, values[[0, -1]], "between")
    for value in values[[0, -1]] if parameter in model.loss_parameters else ():
        fixed_points.check_analysed(model.replace(**{parameter: value}))  # an exponent decides whether modes interact
    return values


def _check_start(model: Model, s0: npt.ArrayLike | None) -> Array | None:
    if model.generated.independent_modes:
        if s0 is not None:
            errors.reject(
                "s0",
                "be left out, because the modes of this model are independent, so that equilibria do not depend on s0",
                s0,
            )
        return None
    if s0 is None:
        if model.weight_decay:  # there are no equilibria, whatever s0 is
            return None
        errors.reject(
            "s0",
            "be given, because this loss conserves a quantity, and the initial value of this quantity selects the "
            "equilibria",
            s0,
        )
    return fixed_points.check_one_start(model, s0)
