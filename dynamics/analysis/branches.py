"""Follow branches of equilibria along a parameter; find the points where branches fold, meet, or change stability."""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from itertools import pairwise

import numpy as np
import numpy.typing as npt
import scipy.optimize

from dynamics import errors
from dynamics.analysis import fixed_points
from dynamics.analysis.equilibria import equilibria
from dynamics.analysis.equilibrium import Equilibrium
from dynamics.generated import eigenvalues
from dynamics.model.model import Model
from dynamics.numerics.continuation import Plane, SolutionCurve
from dynamics.numerics.values import Value

STARTS = 9  # number of parameter values at which a first point of each branch is searched
ROUNDING = 1e-12  # a mode has collapsed if its lambda exceeds the value of lambda at s = 0 by at most this number
SAME_POINT = 1e-9  # distance of two special points below which they are one, relative to the largest value and s

Array = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class EquilibriumBranch(Value):
    """A branch of equilibria with the same number of surviving modes, as a function of a parameter.

    value (K,): K values of the parameter in ascending order. s (K,): eigenvalue of the surviving modes at each value; 0
    if no mode survives. surviving: number of surviving modes. stable (K,): True for stable equilibria. If the parameter
    is the learning rate, stability refers to the descent map; for all other parameters, it refers to the flow.
    equilibria: K equilibria, one for each value of the parameter. mode: index of the mode to which the branch belongs;
    None if the branch holds for all modes.
    """

    value: Array
    s: Array
    surviving: int
    stable: npt.NDArray[np.bool_]
    equilibria: tuple[Equilibrium, ...] = field(repr=False)
    mode: int | None = None

    @classmethod
    def of(cls, value: Array, surviving: int, at_value: list[Equilibrium]) -> "EquilibriumBranch":
        """Return the branch whose equilibrium is ``at_value[i]`` if the parameter has the value ``value[i]``.

        surviving: number of surviving modes. The stability of the branch refers to the flow.
        """
        s = np.array([equilibrium.s[0] for equilibrium in at_value])
        stable = np.array([equilibrium.verdict == "stable" for equilibrium in at_value])
        return cls(value, s, surviving, stable, tuple(at_value))


@dataclass(frozen=True)
class SpecialPoint:
    """A fold or bifurcation point: its ``kind``, ``value`` of the parameter, and eigenvalue ``s`` of surviving modes.

    In the flow there are four kinds. At a "fold", two branches meet and vanish. At a "transcritical" point, a branch on
    which the mode survives meets the branch on which the mode has collapsed, and the two branches exchange stability.
    At an "exchange", a real growth rate of a perturbation changes sign. At a "hopf" point, the real part of a complex
    pair of growth rates changes sign.

    In the descent map there are three kinds. Every step multiplies a perturbation by a factor, called its multiplier.
    At the point, the absolute value of one multiplier, or of a complex pair of multipliers, reaches 1. At a "flip" the
    multiplier is -1, and an oscillation of period two begins. At an "exchange" the multiplier is 1. At a
    "neimark-sacker" point two multipliers are a complex pair.

    mode: index of the mode to which the point belongs; None if the point holds for all modes.
    """

    kind: str
    value: float
    s: float
    mode: int | None = None


Branches = list[tuple[EquilibriumBranch, list[SpecialPoint]]]  # each branch with its folds and bifurcation points


def distinct(branches: Branches) -> tuple[SpecialPoint, ...]:
    """Return folds and bifurcation points in ascending order of the parameter; a point on two branches appears once."""
    points = [point for _, on_branch in branches for point in on_branch]
    largest = max((np.abs(branch.value).max() for branch, _ in branches), default=0.0) or 1.0
    largest_s = max((branch.s.max() for branch, _ in branches), default=0.0) or 1.0
    result: list[SpecialPoint] = []
    for point in sorted(points, key=lambda point: (point.value, point.s)):
        if not any(
            p.kind == point.kind
            and np.hypot((p.value - point.value) / largest, (p.s - point.s) / largest_s) < SAME_POINT
            for p in result
        ):
            result.append(point)
    return tuple(result)


@dataclass(frozen=True)
class IndependentModes:
    """Equilibria of an independent mode: curves in the plane of a parameter and the predictor eigenvalue lambda.

    low, high: lowest and highest value of the parameter. eta: learning rate of a model with an EMA target or tracking,
    whose flow depends on eta; None for other models.
    """

    model: Model
    parameter: str
    low: float
    high: float
    eta: float | None

    def branches(self, values: Array) -> Branches:
        """Return all branches of equilibria, with their folds and bifurcation points.

        On one branch the mode has collapsed; on all other branches the mode survives. values: values of the parameter
        for the branch on which the mode has collapsed.
        """
        plane = Plane(self.residual, self.low, self.high, self.floor)
        curves: list[SolutionCurve] = []
        for value in np.linspace(self.low, self.high, STARTS):
            for lam in fixed_points.single_mode_roots(self.at(value)):
                if lam > self.floor(value) and not any(_contains(curve, value, lam) for curve in curves):
                    curves += plane.follow(np.array([value, lam]))
        collapsed = EquilibriumBranch.of(values, 0, [self.equilibrium(value) for value in values])
        of_collapsed = stability_changes(collapsed, self.equilibrium, "transcritical")
        return [*(self.surviving(plane, curve) for curve in curves), (collapsed, of_collapsed)]

    def surviving(self, plane: Plane, curve: SolutionCurve) -> tuple[EquilibriumBranch, list[SpecialPoint]]:
        """Return a branch of equilibria on which the mode survives, with its folds and bifurcation points.

        curve: the branch as a curve in the plane of the parameter and lambda. On this curve the rate of the mode equals
        the weight decay.
        """
        values, lams = curve.points.T
        branch = EquilibriumBranch.of(values, 1, [self.equilibrium(*point) for point in curve.points])
        ends = zip(curve.points[[0, -1]], curve.folds, strict=True)
        folds = [SpecialPoint("fold", float(end[0]), self.s(*end)) for end, is_fold in ends if is_fold]

        def on_curve(value: float) -> Equilibrium:
            return self.equilibrium(value, plane.on_curve(value, float(np.interp(value, values, lams))))

        return branch, folds + stability_changes(branch, on_curve)

    def at(self, value: float) -> Model:
        """Return the model at a value of the parameter.

        Raises RuntimeError if continuation has led to a value that the parameter cannot have.
        """
        try:
            return self.model.replace(**{self.parameter: value})
        except errors.ArgumentError as error:
            raise RuntimeError(f"the continuation of a branch leads to {value:.3g}") from error

    def equilibrium(self, value: float, lam: float = 0.0) -> Equilibrium:
        """Return the equilibrium at a value of the parameter, for a mode with predictor eigenvalue lam.

        The mode has collapsed if lam is not larger than the predictor eigenvalue at the correlation eigenvalue s = 0.
        """
        return fixed_points.single_mode(self.at(value), lam if self.survives(value, lam) else None, self.eta)

    def s(self, value: float, lam: float) -> float:
        """Return the correlation eigenvalue s of a mode with predictor eigenvalue lam, at a value of the parameter."""
        return fixed_points.eigenvalue_of(self.at(value), lam) if self.survives(value, lam) else 0.0

    def survives(self, value: float, lam: float) -> bool:
        """Return True if a mode with predictor eigenvalue lam survives, at a value of the parameter.

        The mode survives if lam is larger than the predictor eigenvalue of a collapsed mode (``floor``).
        """
        return lam > self.floor(value) + ROUNDING

    def residual(self, value: complex, lam: complex) -> complex:
        """Return c r(lam) - rho of a mode at a value of the parameter.

        r is the rate, c the second moment that the views share, and rho the weight decay. value: value of the
        parameter. lam: predictor eigenvalue of the mode. Both may be complex; then the result is complex.
        """
        # The code that is derived for a user-defined loss may hold for parameters of one sign only.
        model = self.at(np.real(value)) if self.parameter in self.model.loss_parameters else self.model
        p, one = model.with_parameter(self.parameter, np.array([value])), np.ones(1)
        rate = fixed_points.single_mode_rate(model)(one, np.array([lam]), one, *p.of_expectations)
        return (p.cross * rate - p.rho)[0]

    def floor(self, value: float) -> float:
        """Return the predictor eigenvalue of a collapsed mode (s = 0), at a value of the parameter."""
        p = self.model.with_parameter(self.parameter, np.array([value]))
        return float(eigenvalues.predictor(np.zeros(1), p.alpha, p.epsilon)[0])


def _contains(curve: SolutionCurve, value: float, lam: float) -> bool:
    """Return True if a point lies on a curve of equilibria, up to one percent of the predictor eigenvalue ``lam``.

    value: parameter at the point. lam: predictor eigenvalue at the point. The curve is interpolated linearly between
    its computed points. One percent is more than the error of the interpolation, and less than the distance between two
    curves.
    """
    values, lams = curve.points.T
    return bool(values[0] <= value <= values[-1]) and abs(np.interp(value, values, lams) - lam) < 1e-2 * lam


def branches_of_equal_modes(model: Model, parameter: str, values: Array, s0: Array, eta: float | None) -> Branches:
    """Return the branches of equilibria at which all surviving modes have the same eigenvalue.

    There is one branch for each number of surviving modes. Each branch is returned with the points at which its
    stability changes.

    s0: initial eigenvalues (M,). The flow conserves a quantity, and the value of this quantity at s0 selects the
    equilibria. eta: learning rate of a model with an EMA target or tracking, whose flow depends on eta; None for other
    models.
    """

    def at(value: float, surviving: int) -> Equilibrium:
        return fixed_points.equal_modes(model.replace(**{parameter: value}), s0, surviving, eta)

    branches: Branches = []
    for surviving in range(np.count_nonzero(s0), 0, -1):
        branch = EquilibriumBranch.of(values, surviving, [at(value, surviving) for value in values])
        branches.append((branch, stability_changes(branch, partial(at, surviving=surviving))))
    return branches


def branches_in_learning_rate(model: Model, values: Array, s0: Array | None) -> tuple[Branches, str]:
    """Return the branches of fixed points of the descent map along the learning rate eta, and a remark.

    The fixed points do not depend on eta, but their stability does. The remark is the attribute ``remark`` of the
    result of ``equilibria``. values: values of eta. s0: initial eigenvalues (M,), or None if modes are independent.
    """
    eta = values[0] if model.needs_learning_rate else None
    result, branches = equilibria(model, [1.0] if s0 is None else s0, learning_rate=eta), []
    for equilibrium in result:

        def excess(eta: float, equilibrium: Equilibrium = equilibrium) -> float:
            return float(np.abs(equilibrium.multipliers(eta)).max(initial=0.0)) - 1

        margin, s = np.array([excess(eta) for eta in values]), float(equilibrium.s[0])
        at_values = (equilibrium,) * len(values)
        noise = values * equilibrium.growth_error  # error of a multiplier 1 + eta g; g: growth rate
        branch = EquilibriumBranch(values, np.full(len(values), s), equilibrium.surviving, margin < -noise, at_values)
        crossings = _crossings(values, margin, noise, excess)
        branches.append((branch, [SpecialPoint(_loss_of_stability(equilibrium, eta), eta, s) for eta in crossings]))
    return branches, result.remark


def _loss_of_stability(equilibrium: Equilibrium, eta: float) -> str:
    factors = equilibrium.multipliers(eta)
    leading = factors[np.abs(factors).argmax()]
    if abs(leading.imag) > eta * equilibrium.growth_error:
        return "neimark-sacker"
    return "flip" if leading.real < 0 else "exchange"


def stability_changes(
    branch: EquilibriumBranch, at: Callable[[float], Equilibrium], kind: str = ""
) -> list[SpecialPoint]:
    """Return the points of a branch at which the largest growth rate of perturbations changes sign.

    at: function that returns the equilibrium at a value of the parameter. kind: the kind of all returned points. If
    ``kind`` is empty, the growth rate that changes sign determines the kind of a point: "hopf" for a complex growth
    rate, and "exchange" for a real growth rate.
    """
    margin = np.array([equilibrium.largest_growth for equilibrium in branch.equilibria])
    points = []
    noise = np.array([equilibrium.growth_error for equilibrium in branch.equilibria])
    for value in _crossings(branch.value, margin, noise, lambda value: at(value).largest_growth):
        equilibrium = at(value)
        growth = equilibrium.growth
        leading = growth[np.abs(growth.real).argmin()] if len(growth) else 0.0
        by_growth = "hopf" if abs(np.imag(leading)) > equilibrium.growth_error else "exchange"
        points.append(SpecialPoint(kind or by_growth, value, float(equilibrium.s[0])))
    return points


def _crossings(values: Array, margin: Array, noise: Array, function: Callable[[float], float]) -> list[float]:
    """Return the arguments at which a function changes sign, found by root-finding between successive ``values``.

    values (K,): arguments in ascending order. margin (K,): known values of the function at these arguments. noise (K,):
    numerical error of ``margin``; arguments at which |margin| is at most this error are left out. Raises RuntimeError
    if the function has the same sign at two arguments between which ``margin`` changes sign. This happens if the
    function has moved from the branch of ``margin`` to another branch.
    """
    clear = np.flatnonzero(np.abs(margin) > noise)
    intervals = [(values[i], values[j]) for i, j in pairwise(clear) if margin[i] * margin[j] < 0]
    closeness = 1e-14 * max(np.abs(values).max(), np.finfo(float).tiny)
    find_root = partial(scipy.optimize.brentq, lambda x: _finite(function(x)), xtol=closeness, rtol=1e-14)
    try:
        return [float(find_root(*ends)) for ends in intervals]
    except ValueError as error:
        raise RuntimeError("a branch is lost") from error


def _finite(growth: float) -> float:
    """Return the growth rate if it is finite, and the largest float of the same sign if it is infinite."""
    return float(np.clip(growth, -np.finfo(float).max, np.finfo(float).max))
