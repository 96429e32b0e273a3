"""Design targets: dynamics that a loss should have, each with the gain that gives them."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, ClassVar, NamedTuple

import numpy as np
import numpy.typing as npt
import scipy.optimize

from dynamics import errors
from dynamics.generated import eigenvalues
from dynamics.model.expressions import Gain

POINTS = 400  # number of eigenvalues at which a target is evaluated
ZERO = 1e-9  # of a rate, relative to its largest
STEEPNESS = 12  # power of lambda with which a fast rate turns into a slow one
LARGEST_DENOMINATOR = 12  # of 1/(2 alpha) where a pole must cancel; and its largest value


class Conditions(NamedTuple):
    """Conditions of a design: exponent of the predictor, fixed point, smallest and largest start (in lambda)."""

    alpha: float
    rest: float
    low: float
    high: float
    weight_decay: float


class DesignedGain(NamedTuple):
    """A gain as text in the loss grammar, with its parameters, and remarks on it."""

    text: str
    parameters: dict[str, float]
    remarks: tuple[str, ...] = ()


class DesignTarget(ABC):
    """Dynamics that a loss should have."""

    needs_weight_decay: ClassVar[bool] = False

    @abstractmethod
    def gain_for(self, conditions: Conditions) -> DesignedGain:
        """Return the gain; raise ArgumentError with the constraint that forbids it."""


@dataclass(frozen=True)
class RateFunction(DesignTarget):
    """A rate r(lambda) in ds/dt = 2 s r.

    Parameters
    ----------
    text : str
        r in ``lambda`` and ``rest``, the fixed point that modes have under any gain (lambda = 1/n1), where r is zero.

    Examples
    --------
    >>> import dynamics as dyn
    >>> dyn.design(dyn.RateFunction("1 - lambda/rest")).gain.text
    '1'
    """

    text: str

    def gain_for(self, conditions: Conditions) -> DesignedGain:
        """Return h = r/q; possible where r is zero at the fixed point."""
        from derivations.printers import loss_grammar
        from derivations.theory import designs

        rate, rest = _read(self.text), np.array([conditions.rest])
        largest = np.abs(_values(rate, np.geomspace(conditions.low, conditions.high, POINTS), conditions)).max()
        if not largest > 0:
            errors.reject("target", "be a rate that is a number, and not zero throughout", self.text)
        if not abs(_values(rate, rest, conditions)[0]) <= ZERO * largest:
            reason = "there every gain multiplies an error that is zero"
            errors.reject("target", f"be a rate that is zero at lambda = {conditions.rest:g}: {reason}", self.text)
        gain = designs.gain_of_rate(rate)
        if not np.isfinite(_values(gain, rest, conditions)[0]):
            requirement = "have the factor 1 - lambda/rest, with rest by its name: else the gain is undefined there"
            errors.reject("target", requirement, self.text)
        return DesignedGain(loss_grammar.formula(gain), {"rest": conditions.rest})


@dataclass(frozen=True)
class ArrivalTimes(DesignTarget):
    """Times T(lambda) that a mode takes from lambda to a share of its fixed point.

    Parameters
    ----------
    text : str
        T in ``lambda``, up to a constant; it falls with lambda.
    level : float
        Share of the predictor's eigenvalue at the fixed point at which a mode has arrived.

    Examples
    --------
    >>> import dynamics as dyn
    >>> design = dyn.design(dyn.ArrivalTimes("-3 * log(lambda)"))
    >>> dyn.convergence_time(design.model, [0.1, 0.2], 0.9).round(3).tolist()  # 3 log(0.9/lambda)
    [6.592, 4.512]
    """

    text: str
    level: float = 0.9

    def gain_for(self, conditions: Conditions) -> DesignedGain:
        """Return the gain of r = -1/(2 alpha lambda T'); possible where T falls."""
        import sympy as sp

        from derivations.printers import loss_grammar
        from derivations.symbols import notation
        from derivations.theory import designs

        goal = _goal(self.level, conditions)
        time = _read(self.text)
        if time.has(sp.Min, sp.Max):
            errors.reject("target", "be smooth, without min and max: where times have a kink, rates jump", self.text)
        slope = _values(time.diff(designs.lam), np.geomspace(conditions.low, goal, POINTS), conditions)
        if not (np.isfinite(slope) & (slope < 0)).all():
            reason = "modes share one curve, so that one that starts smaller passes where another starts"
            errors.reject("target", f"be times that fall with lambda: {reason}", self.text)
        rate = designs.rate_of_arrival(time).subs(notation.alpha, Fraction(conditions.alpha))
        gain = loss_grammar.formula(designs.until_goal(rate))
        return DesignedGain(gain, {"goal": goal, "rest": conditions.rest})


@dataclass(frozen=True)
class SimultaneousArrival(DesignTarget):
    """Arrival of all modes at a share of their fixed point at the same time, but for a spread.

    Parameters
    ----------
    time : float
        Time at which the smallest mode arrives.
    level : float
        Share of the predictor's eigenvalue at the fixed point at which a mode has arrived.
    spread : float
        Time between the first and the last arrival, as a share of ``time``.

    Examples
    --------
    >>> import dynamics as dyn
    >>> design = dyn.design(dyn.SimultaneousArrival(10.0, spread=0.3))
    >>> dyn.convergence_time(design.model, [0.01, 0.5], 0.9).round(3).tolist()
    [10.0, 7.0]
    """

    time: float
    level: float = 0.9
    spread: float = 0.05

    def gain_for(self, conditions: Conditions) -> DesignedGain:
        """Return a gain that is fast up to the largest start, and then slow for all modes together."""
        from derivations.printers import loss_grammar
        from derivations.theory import designs

        errors.positive_number("time", self.time)
        _check_share("spread", self.spread, "a mode reaches where a larger one starts after some time, not at once")
        goal = _goal(self.level, conditions)
        gathering, remaining = designs.gathering(STEEPNESS), (1 - self.spread) * self.time
        parameters = conditions._asdict() | {"goal": goal, "t": self.spread * self.time}
        fast = parameters["fast"] = designs.value(gathering.fast, parameters)

        def time(slow: float) -> float:
            return designs.value(gathering.time, parameters | {"slow": slow})

        least = designs.value(gathering.least_slow, parameters)
        if time(least) < remaining:
            requirement = "be larger: so near the goal the fast modes cannot slow down in time"
            errors.reject("spread", requirement, self.spread)
        if time(fast) > remaining:
            requirement = "be smaller: modes come closer together than that where all have one rate throughout"
            errors.reject("spread", requirement, self.spread)
        parameters["slow"] = scipy.optimize.brentq(lambda x: time(x) - remaining, least, fast, xtol=1e-300, rtol=1e-14)
        remark = f"exactly at once is impossible: in a share of {self.spread:g} of the time all pass the largest start"
        return DesignedGain(loss_grammar.formula(designs.until_goal(gathering.rate)), parameters, (remark,))


@dataclass(frozen=True)
class ThresholdRecruitment(DesignTarget):
    """Growth of modes that start above a threshold; those below vanish by weight decay.

    Parameters
    ----------
    threshold : float
        Eigenvalue s.
    speed : float
        Gain of large modes.
    sharpness : int
        Power of lambda with which the gain falls below the threshold.

    Examples
    --------
    >>> import dynamics as dyn
    >>> model = dyn.Model("euclidean", weight_decay=0.05)
    >>> design = dyn.design(dyn.ThresholdRecruitment(0.1), model)
    >>> dyn.collapse(design.model, [0.09, 0.11]).final.round(3).tolist()
    [0.0, 0.95]
    """

    threshold: float
    speed: float = 1.0
    sharpness: int = 4

    needs_weight_decay: ClassVar[bool] = True

    def gain_for(self, conditions: Conditions) -> DesignedGain:
        """Return speed/(1 + (c/lambda)^sharpness), which weight decay equals at the threshold."""
        from derivations.printers import loss_grammar
        from derivations.theory import designs

        threshold = eigenvalues.predictor(errors.positive_number("threshold", self.threshold), conditions.alpha, 0.0)
        errors.positive_number("speed", self.speed)
        errors.count("sharpness", self.sharpness)
        if not conditions.weight_decay:
            requirement = "stand beside a model with weight decay: without it no mode that a gain moves ever vanishes"
            errors.reject("target", requirement, self)
        leak, rest = conditions.weight_decay, conditions.rest
        parameters = {"threshold": threshold, "speed": self.speed, "rest": rest, "leak": leak}
        if not designs.value(designs.growth_at_threshold(designs.speed), parameters) > 0:
            requirement = "have a speed with which a mode at the threshold grows faster than weight decay shrinks it"
            errors.reject("target", f"{requirement}, and a threshold below the fixed point", self)
        gain = designs.recruitment_gain(self.sharpness)
        if not designs.value(designs.parts_modes(gain), parameters) > 0:
            requirement = "have a threshold further below the fixed point, or a larger sharpness"
            errors.reject("target", f"{requirement}: modes would converge to the threshold", self)
        return DesignedGain(loss_grammar.formula(gain), parameters)


@dataclass(frozen=True)
class FastestUniform(DesignTarget):
    """Uniform convergence of all modes, dw/dt = c (w* - w), as fast as is stable below a learning rate.

    Parameters
    ----------
    learning_rate : float
        eta below which the descent map is stable.

    Notes
    -----
    No other gain ends at a higher rate under that limit: where it is stable up to eta, modes approach the fixed point
    as e^(-2 t/eta) at most, which this one has from the start, for every mode. One that moves them faster on the way
    there may still be ahead by a factor.

    Examples
    --------
    >>> import dynamics as dyn
    >>> round(dyn.design(dyn.FastestUniform(0.4)).largest_learning_rate, 6)
    0.4
    """

    learning_rate: float

    def gain_for(self, conditions: Conditions) -> DesignedGain:
        """Return h = speed (w*/w - 1)/q, with speed = 2/eta by the derived edge of stability."""
        import sympy as sp

        from derivations.printers import loss_grammar
        from derivations.symbols import notation
        from derivations.theory import designs

        eta = errors.positive_number("learning_rate", self.learning_rate)
        power = Fraction(0.5 / conditions.alpha).limit_denominator(LARGEST_DENOMINATOR)
        if not 0 < power <= LARGEST_DENOMINATOR or abs(float(power) * 2 * conditions.alpha - 1) > ZERO:
            fraction = f"a fraction of whole numbers up to {LARGEST_DENOMINATOR}"
            errors.reject("model", f"have an exponent alpha with 1/(2 alpha) {fraction}", conditions.alpha)
        alpha = 1 / (2 * sp.Rational(power.numerator, power.denominator))
        gain = designs.uniform_gain(alpha)
        limit = designs.largest_learning_rate().subs(
            {designs.h: designs.gain_at_fixed_point(gain), notation.alpha: alpha}
        )
        speed = float(sp.solve(limit - sp.Float(eta), designs.speed)[0])
        return DesignedGain(loss_grammar.formula(gain), {"speed": speed, "rest": conditions.rest})


def _goal(level: float, conditions: Conditions) -> float:
    """The predictor eigenvalue at which a mode has arrived."""
    _check_share("level", level, "a share of the predictor's eigenvalue at the fixed point")
    goal, start = level * conditions.rest, conditions.high / conditions.rest
    if not conditions.high < goal:
        errors.reject("level", f"be above where the largest mode starts, {start:g} of the fixed point", level)
    return goal


def _check_share(name: str, value: Any, reason: str) -> None:
    requirement = f"be a number above 0 and below 1: {reason}"
    share = errors.real_array(name, value, requirement)
    if share.ndim or not 0 < share < 1:
        errors.reject(name, requirement, value)


def _read(text: str) -> Any:
    """The SymPy expression of a target's text."""
    from derivations.errors import ExpressionError
    from derivations.theory import designs

    errors.instance("target", text, str, "be text in lambda, such as '1 - lambda/rest'")
    try:
        return designs.read_desired(text)
    except ExpressionError as error:
        raise errors.ArgumentError(f"Argument `target` must be text in lambda and rest, but {error}.") from None


def _values(expression: Any, lam: npt.NDArray[np.float64], conditions: Conditions) -> npt.NDArray[np.float64]:
    """Values of a SymPy expression in lambda and rest."""
    from derivations.printers import loss_grammar
    from derivations.theory import designs

    parameters = {"rest": conditions.rest} if expression.has(designs.rest) else {}
    with np.errstate(all="ignore"):
        return Gain.parse(loss_grammar.formula(expression), **parameters)(lam)
