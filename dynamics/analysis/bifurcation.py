"""How equilibria depend on a parameter: branches, and where they fold, meet, or change their stability."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
import scipy.optimize

from dynamics import errors
from dynamics.analysis.equilibria import (
    PULLS_AT_ANY_SIZE,
    Equilibrium,
    check_analysed,
    check_one_start,
    eigenvalue_of,
    equal_modes,
    equilibria,
    one_mode,
    own_rate,
    own_roots,
    why_no_equal_modes,
)
from dynamics.analysis.stability import MARGINAL
from dynamics.generated import eigenvalues
from dynamics.model.model import Model
from dynamics.numerics.continuation import Curve, Plane

STARTS = 9  # values of the parameter at which branches are looked for
ROUNDING = 1e-12  # of predictor eigenvalues: nearer to those of a dead mode they are one
SAME_POINT = 1e-9  # points nearer than this, met on two branches, are one


@dataclass(frozen=True)
class Branch:
    """Equilibria with ``alive`` surviving modes at one level, as a function of the parameter.

    value (K,): the parameter, ascending. s (K,): the level, 0 where no mode survives. stable (K,): in the flow, or,
    against the learning rate, in the descent map. equilibria: one for each value.
    """

    value: np.ndarray
    s: np.ndarray
    alive: int
    stable: np.ndarray
    equilibria: tuple[Equilibrium, ...] = field(repr=False)


@dataclass(frozen=True)
class Point:
    """Where branches change: ``kind``, the ``value`` of the parameter, and the level ``s``.

    kind: "fold" (two branches meet and vanish), "transcritical" (a surviving mode meets the dead one, and they trade
    places), "exchange" and "hopf" (a real growth rate changes its sign, or a complex pair its real part); in the
    descent map "flip" (a factor of -1: an oscillation of period two), "exchange" (of 1), "neimark-sacker" (a pair).
    """

    kind: str
    value: float
    s: float


@dataclass(frozen=True)
class Bifurcation:
    """A bifurcation diagram: branches and special points against one parameter. Iterates over the points.

    Where modes move independently, it is the diagram of one mode.
    """

    model: Model
    parameter: str
    between: tuple[float, float]
    branches: tuple[Branch, ...]
    points: tuple[Point, ...]
    remark: str = ""

    def __iter__(self) -> Iterator[Point]:
        return iter(self.points)

    def __len__(self) -> int:
        return len(self.points)

    def plot(self, ax=None):
        """Draw levels against the parameter, solid where stable; returns the matplotlib Axes."""
        from dynamics.results.plotting import plot_bifurcation

        return plot_bifurcation(self, ax)

    def __str__(self):
        rows = [f"Equilibria of {self.model}, {self.parameter} from {self.between[0]:.6g} to {self.between[1]:.6g}"]
        for branch in self.branches:
            stable = branch.stable[1:-1] if len(branch.stable) > 2 else branch.stable  # at the ends branches may meet
            verdict = "stable" if stable.all() else "stable in part" if stable.any() else "not stable"
            what = f"{branch.alive} alive at {_span(branch.s)}" if branch.alive else "all dead"
            rows.append(f"  {what}, {self.parameter} {_span(branch.value)}: {verdict}")
        rows += [f"  {point.kind} at {self.parameter} = {point.value:.10g}, s = {point.s:.6g}" for point in self.points]
        return "\n".join([*rows, f"  {self.remark}"] if self.remark else rows)


def _span(values: np.ndarray) -> str:
    return f"{values[0]:.6g}" if np.ptp(values) == 0 else f"{values[0]:.6g} to {values[-1]:.6g}"


def bifurcation(model: Model, parameter: str, between, s0=None, *, learning_rate=None, points=41) -> Bifurcation:
    r"""Follow s (r(s) - rho) = 0 in a parameter: branches, their stability, and the points where they change.

    parameter: "learning_rate" (of the descent map), or one of ``model.parameter_names``: "weight_decay", "sigma1",
    "alpha", "epsilon", ...; the model's own value of it does not count. between: (lowest, highest). s0: eigenvalues
    (M,) of a start, only for losses that conserve a quantity (cosine): it tells the levels. learning_rate: eta > 0,
    only for models in which something decays per step. points: how many values, on branches not followed by length.

    Where modes move independently, branches are followed by pseudo-arclength from the roots of r = rho, and folds are
    located by Newton's method on r = rho, dr/dlambda = 0, to rounding; changes of stability by root-finding, to 1e-12.
    Raises ArgumentError, as ``equilibria`` does. (Theory: section 5.)
    """
    check_analysed(model)
    allowed = [name for name in model.parameter_names if name != "init"]  # a start, on which equilibria do not depend
    errors.choice("parameter", parameter, ["learning_rate", *allowed])
    low, high = _range(model, parameter, between)
    values = np.linspace(low, high, errors.count("points", points, 2))
    s0, eta = _start(model, s0), None
    if parameter != "learning_rate":
        eta = model.check_learning_rate(learning_rate)
    elif learning_rate is not None:
        errors.reject("learning_rate", "be left out where it is the parameter", learning_rate)
    if parameter == "learning_rate":
        found, remark = _in_learning_rate(model, values, s0)
    elif s0 is None:
        found, remark = IndependentModes(model, parameter, low, high, eta).diagram(values)
    else:
        found, remark = _equal_modes(model, parameter, values, s0, eta)
    branches = tuple(branch for branch, _ in found)
    return Bifurcation(model, parameter, (low, high), branches, _distinct(p for _, own in found for p in own), remark)


def _range(model: Model, parameter: str, between) -> tuple[float, float]:
    must = "be two ascending numbers that the parameter can have"
    ends = errors.real_array("between", between, must)
    if ends.shape != (2,) or not ends[0] < ends[1] or (parameter == "learning_rate" and ends[0] <= 0):
        errors.reject("between", must, between)
    if parameter != "learning_rate":
        for end in ends:
            model.replace(**{parameter: end})  # refuses, by name, what it cannot be
    return float(ends[0]), float(ends[1])


def _start(model: Model, s0) -> np.ndarray | None:
    if model.generated.independent_modes:
        if s0 is not None:
            errors.reject("s0", "be left out where modes move independently: the diagram is that of one mode", s0)
        return None
    if s0 is None:
        errors.reject("s0", "be given for a loss that conserves a quantity: it tells the levels", s0)
    return check_one_start(model, s0)


def _distinct(points) -> tuple[Point, ...]:
    """In the order of the parameter; a point that two branches meet in, once."""
    kept: list[Point] = []
    for point in sorted(points, key=lambda point: (point.value, point.s)):
        if not any(p.kind == point.kind and np.hypot(p.value - point.value, p.s - point.s) < SAME_POINT for p in kept):
            kept.append(point)
    return tuple(kept)


# --- branches, each with its points ---------------------------------------------------------------------------------

Found = tuple[list[tuple[Branch, list[Point]]], str]


@dataclass(frozen=True)
class IndependentModes:
    """The equilibria of one mode that moves on its own, in the plane of parameter and predictor eigenvalue."""

    model: Model
    parameter: str
    low: float
    high: float
    eta: float | None

    def diagram(self, values: np.ndarray) -> Found:
        """Branches of the surviving mode, and the dead mode at these values."""
        if self.model.structure.predictor == "normalized":
            return [], PULLS_AT_ANY_SIZE
        plane = Plane(self.residual, self.low, self.high, self.floor)
        curves: list[Curve] = []
        for value in np.linspace(self.low, self.high, STARTS):
            for lam in own_roots(self.at(value)):
                if lam > self.floor(value) and not any(_lies_on(curve, value, lam) for curve in curves):
                    curves += plane.follow(np.array([value, lam]))
        found = [self.surviving(plane, curve) for curve in curves]
        dead = _branch(values, 0, [self.equilibrium(value) for value in values])
        return [*found, (dead, exchanges(dead, self.equilibrium, "transcritical"))], ""

    def surviving(self, plane: Plane, curve: Curve) -> tuple[Branch, list[Point]]:
        """A branch along a curve that was followed."""
        p, lam = curve.points.T
        branch = _branch(p, 1, [self.equilibrium(*point) for point in curve.points])
        ends = zip(curve.points[[0, -1]], curve.folds, strict=True)
        folds = [Point("fold", end[0], self.level(*end)) for end, is_fold in ends if is_fold]

        def between(value: float) -> Equilibrium:
            return self.equilibrium(value, plane.on_curve(value, float(np.interp(value, p, lam))))

        return branch, folds + exchanges(branch, between)

    def at(self, value: float) -> Model:
        """The model at a value of the parameter."""
        return self.model.replace(**{self.parameter: value})

    def equilibrium(self, value: float, lam: float = 0.0) -> Equilibrium:
        """The one at a predictor eigenvalue; dead where that is of a dead mode."""
        return one_mode(self.at(value), lam if self.lives(value, lam) else None, self.eta)

    def level(self, value: float, lam: float) -> float:
        """The eigenvalue s."""
        return eigenvalue_of(self.at(value), lam) if self.lives(value, lam) else 0.0

    def lives(self, value: float, lam: float) -> bool:
        """Whether this is more than the predictor eigenvalue of a dead mode."""
        return lam > self.floor(value) + ROUNDING

    def residual(self, value, lam):
        """r(lambda) - rho, complex where the arguments are."""
        p, one = self._parameters(value), np.ones(1)
        return (own_rate(self.model)(one, np.array([lam]), one, *p.of_expectations) - p.rho)[0]

    def floor(self, value: float) -> float:
        """The predictor eigenvalue of a dead mode."""
        p = self._parameters(value)
        return float(eigenvalues.predictor(np.zeros(1), p.alpha, p.epsilon)[0])

    def _parameters(self, value):
        return self.model.with_parameter(self.parameter, np.array([value]))


def _lies_on(curve: Curve, value: float, lam: float) -> bool:
    """To the accuracy of interpolation: another branch at the same value is further away, but at a fold."""
    p, x = curve.points.T
    return bool(p[0] <= value <= p[-1]) and abs(np.interp(value, p, x) - lam) < 1e-2 * lam


def _equal_modes(model: Model, parameter: str, values: np.ndarray, s0: np.ndarray, eta) -> Found:
    """One branch for each number of surviving modes."""
    if remark := why_no_equal_modes(model.replace(**{parameter: values[-1]}), s0):
        return [], remark
    found = []
    for alive in range(np.count_nonzero(s0), 0, -1):

        def at(value: float, alive=alive) -> Equilibrium:
            return equal_modes(model.replace(**{parameter: value}), s0, alive, eta)

        branch = _branch(values, alive, [at(value) for value in values])
        found.append((branch, exchanges(branch, at)))
    return found, ""


def _in_learning_rate(model: Model, values: np.ndarray, s0) -> Found:
    """Fixed points stay where they are; whether a step of the descent map keeps them is what changes."""
    known = equilibria(
        model, [1.0] if s0 is None else s0, learning_rate=values[0] if model.needs_learning_rate else None
    )
    found = []
    for equilibrium in known:

        def excess(eta: float, e=equilibrium) -> float:
            return float(np.abs(e.multipliers(eta)).max(initial=0.0)) - 1

        margin, level = np.array([excess(eta) for eta in values]), float(equilibrium.s[0])
        there = (equilibrium,) * len(values)
        branch = Branch(values, np.full(len(values), level), equilibrium.alive, margin < -MARGINAL, there)
        crossings = _crossings(values, margin, excess)
        found.append((branch, [Point(_loss_of_stability(equilibrium, eta), eta, level) for eta in crossings]))
    return found, known.remark


def _loss_of_stability(equilibrium: Equilibrium, eta: float) -> str:
    factors = equilibrium.multipliers(eta)
    leading = factors[np.abs(factors).argmax()]
    return "neimark-sacker" if abs(leading.imag) > MARGINAL else "flip" if leading.real < 0 else "exchange"


def _branch(values: np.ndarray, alive: int, there: list[Equilibrium]) -> Branch:
    stable = np.array([equilibrium.verdict == "stable" for equilibrium in there])
    return Branch(values, np.array([equilibrium.s[0] for equilibrium in there]), alive, stable, tuple(there))


# --- where stability changes ----------------------------------------------------------------------------------------


def exchanges(branch: Branch, at: Callable[[float], Equilibrium], kind: str = "") -> list[Point]:
    """Points inside a branch where its largest growth rate changes sign."""
    margin = np.array([equilibrium.largest_growth for equilibrium in branch.equilibria])
    points = []
    for value in _crossings(branch.value, margin, lambda value: at(value).largest_growth):
        there = at(value)
        leading = there.growth[np.abs(there.growth.real).argmin()] if len(there.growth) else 0.0
        own_kind = "hopf" if abs(np.imag(leading)) > MARGINAL else "exchange"
        points.append(Point(kind or own_kind, value, float(there.s[0])))
    return points


def _crossings(values: np.ndarray, margin: np.ndarray, function: Callable[[float], float]) -> list[float]:
    """Where a function, given at these values, passes through zero."""
    clear = np.flatnonzero(np.abs(margin) > MARGINAL)
    return [
        float(scipy.optimize.brentq(function, values[i], values[j], xtol=1e-14, rtol=1e-14))
        for i, j in pairwise(clear)
        if margin[i] * margin[j] < 0
    ]
