"""Design targets: desired dynamics of modes, and the gain h of the Euclidean loss that yields them.

A mode has the eigenvalue s, the singular value w = sqrt(s) and the predictor eigenvalue lambda = s^alpha. It obeys
ds/dt = 2 s (r - rho) with weight decay rho and the rate r = h(lambda) q(lambda), q = 1 - n1 lambda, n1 = 1 + sigma1^2.
Under any gain r is zero at lambda = 1/n1, called ``rest`` in texts.
"""

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
from dynamics.numerics.values import Value

POINTS = 400  # number of eigenvalues at which a desired rate or time is evaluated
ZERO = 1e-9  # a rate below this fraction of the largest rate counts as zero
STEEPNESS = (12, 24, 48, 96, 192, 384)  # powers of lambda with which a rate changes, tried in turn
LARGEST_DENOMINATOR = 12  # largest denominator, and largest value, of 1/(2 alpha) for which a pole of the gain cancels


class Conditions(NamedTuple):
    """Properties of the model and of the initial eigenvalues on which a designed gain depends.

    alpha: exponent of the predictor. rest: predictor eigenvalue lambda at the fixed point. low, high: predictor
    eigenvalues at the smallest and at the largest initial eigenvalue.
    """

    alpha: float
    rest: float
    low: float
    high: float
    weight_decay: float


class DesignedGain(NamedTuple):
    """A gain as text in the loss grammar, with the values of its parameters, and remarks on it."""

    text: str
    parameters: dict[str, float]
    remarks: tuple[str, ...] = ()


class DesignTarget(Value, ABC):
    """Base class of design targets, which describe the desired dynamics of modes."""

    needs_weight_decay: ClassVar[bool] = False

    @abstractmethod
    def gain_for(self, conditions: Conditions) -> DesignedGain:
        """Return the gain that yields the desired dynamics; raise ArgumentError with the reason if no gain does."""


@dataclass(frozen=True, eq=False)
class RateFunction(DesignTarget):
    """A desired rate r(lambda) of modes, ds/dt = 2 s r.

    Parameters
    ----------
    text : str
        The rate r as text in ``lambda``, the predictor eigenvalue of a mode, and ``rest``, the fixed point
        1/(1 + sigma1^2) of lambda under any gain. r must be zero at ``rest``.

    Examples
    --------
    >>> import dynamics as dyn
    >>> dyn.design(dyn.RateFunction("1 - lambda/rest")).gain.text
    '1'
    """

    text: str

    def gain_for(self, conditions: Conditions) -> DesignedGain:
        """Return the gain h = r/q, q = 1 - lambda/rest; raise ArgumentError unless r is zero at lambda = rest."""
        from derivations.printers import loss_grammar
        from derivations.theory import designs

        rate, rest = _read(self.text), np.array([conditions.rest])
        largest = np.abs(_values(rate, np.geomspace(conditions.low, conditions.high, POINTS), conditions)).max()
        if not largest > 0:
            errors.reject("target", "be a rate that is finite, and nonzero for some initial eigenvalues", self.text)
        if not abs(_values(rate, rest, conditions)[0]) <= ZERO * largest:
            reason = "the gradient is zero there under any gain"
            errors.reject(
                "target", f"be a rate that is zero at lambda = {conditions.rest:g}, because {reason}", self.text
            )
        gain = designs.gain_of_rate(rate)
        if not np.isfinite(_values(gain, rest, conditions)[0]):
            requirement = (
                "have the factor 1 - lambda/rest, with `rest` by name; otherwise the gain is undefined at lambda = rest"
            )
            errors.reject("target", requirement, self.text)
        return DesignedGain(loss_grammar.formula(gain), {"rest": conditions.rest})


@dataclass(frozen=True, eq=False)
class ArrivalTimes(DesignTarget):
    """Desired times T(lambda) of arrival near the fixed point, for a mode with initial predictor eigenvalue lambda.

    Parameters
    ----------
    text : str
        T as text in ``lambda``, up to an added constant. T must decrease with lambda.
    level : float
        A mode has arrived when its predictor eigenvalue is this fraction of its value at the fixed point.

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
        """Return the gain that yields the arrival times T(lambda), by the rate r = -1/(2 alpha lambda dT/dlambda).

        alpha is the exponent of the predictor. Raises ArgumentError unless T decreases with lambda.
        """
        import sympy as sp

        from derivations.printers import loss_grammar
        from derivations.symbols import notation
        from derivations.theory import designs

        goal = _goal(self.level, conditions)
        time = _read(self.text)
        if time.has(sp.Min, sp.Max):
            errors.reject(
                "target", "be smooth, without min and max, because rates jump where times have a kink", self.text
            )
        slope = _values(time.diff(designs.lam), np.geomspace(conditions.low, goal, POINTS), conditions)
        if not (np.isfinite(slope) & (slope < 0)).all():
            reason = "a small mode passes the initial lambda of a larger mode before it arrives"
            errors.reject("target", f"be times that decrease with lambda, because {reason}", self.text)
        rate = designs.rate_of_arrival(time).subs(notation.alpha, Fraction(conditions.alpha))
        gain = loss_grammar.formula(designs.until_goal(rate))
        return DesignedGain(gain, {"goal": goal, "rest": conditions.rest})


@dataclass(frozen=True, eq=False)
class SimultaneousArrival(DesignTarget):
    """Arrival of all modes near their fixed point at nearly the same time.

    Parameters
    ----------
    time : float
        Time at which the smallest mode arrives.
    level : float
        A mode has arrived when its predictor eigenvalue is this fraction of its value at the fixed point.
    spread : float
        Time between the first and the last arrival, as a fraction of ``time``.

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
        """Return a gain under which modes grow fast up to the largest initial eigenvalue, and slowly above it.

        Small modes then catch up with the largest mode before all of them arrive.
        """
        from derivations.printers import loss_grammar
        from derivations.theory import designs

        errors.positive_number("time", self.time)
        _check_share("spread", self.spread, "because a small mode needs time to reach the initial size of a larger one")
        goal = _goal(self.level, conditions)
        parameters = conditions._asdict() | {"goal": goal, "t": self.spread * self.time}
        gathering = designs.gathering(designs.steepness)
        fast = parameters["fast"] = designs.value(gathering.fast, parameters)
        parameters |= {"steepness": STEEPNESS[0], "slow": fast}
        rises = designs.value(gathering.time, parameters) > (1 - self.spread) * self.time  # one constant rate: too slow
        parameters |= self._changing_rate(parameters, rises)
        first = parameters["steepness"] == STEEPNESS[0]
        rate = designs.gathering(STEEPNESS[0] if first else designs.steepness, rises).rate
        remark = (
            f"equal times are impossible: small modes need {self.spread:g} of the time to reach the largest initial s"
        )
        return DesignedGain(loss_grammar.formula(designs.until_goal(rate)), parameters, (remark,))

    def _changing_rate(self, parameters: dict[str, float], rises: bool) -> dict[str, float]:
        """Return the least steepness, and the slow rate, with which modes arrive at the two times."""
        from derivations.theory import designs

        gathering, remaining = designs.gathering(designs.steepness, rises), (1 - self.spread) * self.time
        for steepness in STEEPNESS:
            values = parameters | {"steepness": float(steepness)}
            fast, extreme = values["fast"], designs.value(gathering.extreme, values)

            def excess(slow: float, values: dict[str, float] = values) -> float:
                return designs.value(gathering.time, values | {"slow": slow}) - remaining

            if np.isfinite(extreme) and extreme > 0 and (excess(extreme) <= 0 if rises else excess(extreme) >= 0):
                slow = scipy.optimize.brentq(excess, *sorted((extreme, fast)), xtol=1e-300, rtol=1e-14)
                return {"steepness": float(steepness), "slow": slow}
        change, word = ("accelerate", "smaller") if rises else ("slow down", "larger")
        requirement = (
            f"be {word} for the rates of this target, which change at most with the power {STEEPNESS[-1]} of lambda: "
            f"the fast modes cannot {change} enough before they arrive (other rates are not tried)"
        )
        errors.reject("spread", requirement, self.spread)


@dataclass(frozen=True, eq=False)
class ThresholdRecruitment(DesignTarget):
    """Growth of modes whose initial eigenvalue s exceeds a threshold; weight decay makes all other modes vanish.

    Parameters
    ----------
    threshold : float
        Threshold of the initial eigenvalue s.
    speed : float
        Gain h of modes far above the threshold.
    sharpness : int
        Power of lambda with which the gain vanishes for modes below the threshold.

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
        """Return the gain h = speed/(1 + (c/lambda)^sharpness); at the threshold, c makes r equal to the weight decay.

        r = h q is the rate, with q = 1 - lambda/rest.
        """
        from derivations.printers import loss_grammar
        from derivations.theory import designs

        threshold = eigenvalues.predictor(errors.positive_number("threshold", self.threshold), conditions.alpha, 0.0)
        errors.positive_number("speed", self.speed)
        errors.count("sharpness", self.sharpness)
        if not conditions.weight_decay:
            requirement = "be used with a model with weight decay, because without weight decay no mode vanishes"
            errors.reject("target", requirement, self)
        leak, rest = conditions.weight_decay, conditions.rest
        parameters = {"threshold": threshold, "speed": self.speed, "rest": rest, "leak": leak}
        if not designs.value(designs.growth_at_threshold(designs.speed), parameters) > 0:
            requirement = "have a speed with which a mode at the threshold grows faster than weight decay shrinks it"
            errors.reject("target", f"{requirement}, and a threshold below the fixed point", self)
        gain = designs.recruitment_gain(self.sharpness)
        if not designs.value(designs.parts_modes(gain), parameters) > 0:
            requirement = "have a threshold further below the fixed point, or a larger sharpness"
            reason = "otherwise modes converge to the threshold, in place of growing above it and vanishing below it"
            errors.reject("target", f"{requirement}; {reason}", self)
        return DesignedGain(loss_grammar.formula(gain), parameters)


@dataclass(frozen=True, eq=False)
class FastestUniform(DesignTarget):
    """Convergence of all singular values w at one rate c, dw/dt = c (w* - w), the largest stable at a learning rate.

    Parameters
    ----------
    learning_rate : float
        Learning rate eta below which the fixed point is stable in the descent map.

    Notes
    -----
    Here w is the singular value of a mode, and w* its fixed point. If the descent map is stable up to eta, modes
    approach the fixed point at most as e^(-2 t/eta). Under this gain every mode does so at all times. A gain that moves
    modes faster far from the fixed point may bring modes closer to it at a given time, by a constant factor.

    Examples
    --------
    >>> import dynamics as dyn
    >>> round(dyn.design(dyn.FastestUniform(0.4)).largest_learning_rate, 6)
    0.4
    """

    learning_rate: float

    def gain_for(self, conditions: Conditions) -> DesignedGain:
        """Return the gain h = speed (w*/w - 1)/q, with q = 1 - lambda/rest and singular value w of a mode.

        speed = 2/eta follows from the derived limit of stability of the descent map with learning rate eta.
        """
        import sympy as sp

        from derivations.printers import loss_grammar
        from derivations.symbols import notation
        from derivations.theory import designs

        eta = errors.positive_number("learning_rate", self.learning_rate)
        power = Fraction(0.5 / conditions.alpha).limit_denominator(LARGEST_DENOMINATOR)
        if not 0 < power <= LARGEST_DENOMINATOR or abs(float(power) * 2 * conditions.alpha - 1) > ZERO:
            fraction = f"a fraction of whole numbers up to {LARGEST_DENOMINATOR}"
            errors.reject("model", f"have an exponent alpha with 1/(2 alpha) equal to {fraction}", conditions.alpha)
        alpha = 1 / (2 * sp.Rational(power.numerator, power.denominator))
        gain = designs.uniform_gain(alpha)
        limit = designs.largest_learning_rate().subs(
            {designs.h: designs.gain_at_fixed_point(gain), notation.alpha: alpha}
        )
        speed = float(sp.solve(limit - sp.Float(eta), designs.speed)[0])
        return DesignedGain(loss_grammar.formula(gain), {"speed": speed, "rest": conditions.rest})


def _goal(level: float, conditions: Conditions) -> float:
    """Return the predictor eigenvalue at which a mode has arrived, ``level`` times its value at the fixed point."""
    _check_share("level", level, "a fraction of the predictor's eigenvalue at the fixed point")
    goal, start = level * conditions.rest, conditions.high / conditions.rest
    if not conditions.high < goal:
        requirement = f"be above the largest initial predictor eigenvalue, which is {start:g} of the fixed point"
        errors.reject("level", requirement, level)
    return goal


def _check_share(name: str, value: Any, reason: str) -> None:
    requirement = f"be a number above 0 and below 1, {reason}"
    share = errors.real_array(name, value, requirement)
    if share.ndim or not 0 < share < 1:
        errors.reject(name, requirement, value)


def _read(text: str) -> Any:
    """Return the text of a desired rate or time as a SymPy expression; raises ArgumentError."""
    from derivations.errors import ExpressionError
    from derivations.theory import designs

    errors.instance("target", text, str, "be text in lambda, such as '1 - lambda/rest'")
    try:
        return designs.read_desired(text)
    except ExpressionError as error:
        raise errors.ArgumentError(f"Argument `target` must be text in lambda and rest, but {error}.") from None


def _values(expression: Any, lam: npt.NDArray[np.float64], conditions: Conditions) -> npt.NDArray[np.float64]:
    """Evaluate a SymPy expression in lambda and rest at the predictor eigenvalues lam (K,)."""
    from derivations.printers import loss_grammar
    from derivations.theory import designs

    parameters = {"rest": conditions.rest} if expression.has(designs.rest) else {}
    return Gain.parse(loss_grammar.formula(expression), **parameters).values(lam)
