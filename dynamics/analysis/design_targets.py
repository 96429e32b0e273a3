"""Define design targets, which describe desired dynamics of modes, and compute the gain h that yields the dynamics.

A mode has the correlation eigenvalue s, the singular value w = sqrt(s) and the predictor eigenvalue lambda = s^alpha.
Under the Euclidean loss with a gain h, the mode obeys ds/dt = 2 s (r - rho), with weight decay rho. The rate is
r = h(lambda) q(lambda), with q = 1 - n1 lambda; n1 = 1 + sigma1^2 is the variance of view 1 in each direction. Under
any gain, r is zero at lambda = 1/n1. In desired rates and times that are given as text, ``rest`` stands for 1/n1.
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
from dynamics.presentation.plain import plain_fields

POINTS = 400  # number of eigenvalues at which a desired rate or time is evaluated
ZERO = 1e-9  # a rate below this fraction of the largest rate counts as zero
STEEPNESS = (12, 24, 48, 96, 192, 384)  # powers of lambda with which a rate may change; they are tried in this order
LARGEST_DENOMINATOR = 12  # 1/(2 alpha) must be a fraction whose value and denominator are at most this number


class Conditions(NamedTuple):
    """Properties of the model and of the initial eigenvalues on which a designed gain depends.

    alpha: exponent of the predictor. rest: predictor eigenvalue at the fixed point without weight decay. low, high:
    smallest and largest initial predictor eigenvalue. weight_decay: weight decay of the model.
    """

    alpha: float
    rest: float
    low: float
    high: float
    weight_decay: float


class DesignedGain(NamedTuple):
    """A gain h(lambda) as text in the loss grammar, the values of its parameters, and remarks for the user."""

    text: str
    parameters: dict[str, float]
    remarks: tuple[str, ...] = ()


class DesignTarget(Value, ABC):
    """Base class of design targets; a design target describes desired dynamics of modes.

    needs_weight_decay: True if the target requires a model with weight decay; False if it requires a model without
    weight decay.
    """

    needs_weight_decay: ClassVar[bool] = False

    @abstractmethod
    def gain_for(self, conditions: Conditions) -> DesignedGain:
        """Return the gain that yields the desired dynamics.

        conditions: properties of the model and of the initial eigenvalues. Raises ArgumentError if no gain yields the
        desired dynamics; the message states the reason.
        """

    def to_dict(self) -> dict[str, Any]:
        """Return the name of the target, under the key "kind", and its options as plain values for JSON."""
        return {"kind": type(self).__name__} | plain_fields(self)


@dataclass(frozen=True, eq=False)
class RateFunction(DesignTarget):
    """A desired rate r(lambda) of modes with predictor eigenvalue lambda, ds/dt = 2 s r.

    Parameters
    ----------
    text : str
        The rate r as text in ``lambda`` and ``rest``. The name ``rest`` stands for 1/(1 + sigma1^2), the value of
        lambda at the fixed point, which is the same for any gain. The rate must be zero at lambda = rest.

    Examples
    --------
    >>> import dynamics as dyn
    >>> dyn.design(dyn.RateFunction("1 - lambda/rest")).gain.text
    '1'
    """

    text: str

    def gain_for(self, conditions: Conditions) -> DesignedGain:
        """Return the gain h = r/q, where r(lambda) is the desired rate and q = 1 - lambda/rest.

        rest is the predictor eigenvalue lambda at the fixed point. Raises ArgumentError unless r is zero at
        lambda = rest.
        """
        from derivations.printers import loss_grammar
        from derivations.theory import designs

        rate, rest = _read(self.text), np.array([conditions.rest])
        largest = np.abs(_values(rate, np.geomspace(conditions.low, conditions.high, POINTS), conditions)).max()
        if not largest > 0:
            requirement = (
                "be a rate that is finite for all initial eigenvalues, and nonzero for at least one initial eigenvalue"
            )
            errors.reject("target", requirement, self.text)
        if not abs(_values(rate, rest, conditions)[0]) <= ZERO * largest:
            reason = "the gradient of the Euclidean loss is zero at this lambda under any gain"
            errors.reject(
                "target", f"be a rate that is zero at lambda = {conditions.rest:g}, because {reason}", self.text
            )
        gain = designs.gain_of_rate(rate)
        if not np.isfinite(_values(gain, rest, conditions)[0]):
            requirement = (
                "contain the factor 1 - lambda/rest, written with the name `rest`, because otherwise the gain is "
                "undefined at lambda = rest"
            )
            errors.reject("target", requirement, self.text)
        return DesignedGain(loss_grammar.formula(gain), {"rest": conditions.rest})


@dataclass(frozen=True, eq=False)
class ArrivalTimes(DesignTarget):
    """Desired times T(lambda) at which modes arrive near the fixed point.

    T is a function of lambda, the initial predictor eigenvalue of a mode.

    Parameters
    ----------
    text : str
        T as text in ``lambda``. T must decrease with lambda; a constant that is added to T has no effect.
    level : float
        A mode has arrived if its predictor eigenvalue is this fraction of the predictor eigenvalue at the fixed point.

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
        """Return the gain that yields the arrival times T(lambda) of modes with initial predictor eigenvalues lambda.

        Under this gain the rate of a mode is r = -1/(2 alpha lambda dT/dlambda), where alpha is the exponent of the
        predictor. Raises ArgumentError unless T decreases with lambda.
        """
        import sympy as sp

        from derivations.printers import loss_grammar
        from derivations.symbols import notation
        from derivations.theory import designs

        goal = _goal(self.level, conditions)
        time = _read(self.text)
        if time.has(sp.Min, sp.Max):
            errors.reject(
                "target", "contain no min or max, because the rate would jump at a kink of the arrival times", self.text
            )
        slope = _values(time.diff(designs.lam), np.geomspace(conditions.low, goal, POINTS), conditions)
        if not (np.isfinite(slope) & (slope < 0)).all():
            reason = "a small mode must first grow to the initial lambda of a larger mode, and so arrives later"
            errors.reject("target", f"be finite times that decrease with lambda, because {reason}", self.text)
        rate = designs.rate_of_arrival(time).subs(notation.alpha, Fraction(conditions.alpha))
        gain = loss_grammar.formula(designs.until_goal(rate))
        return DesignedGain(gain, {"goal": goal, "rest": conditions.rest})


@dataclass(frozen=True, eq=False)
class SimultaneousArrival(DesignTarget):
    """Arrival of all modes near the fixed point at nearly the same time.

    Parameters
    ----------
    time : float
        Time at which the smallest mode, which is the last, arrives.
    level : float
        A mode has arrived if its predictor eigenvalue is this fraction of the predictor eigenvalue at the fixed point.
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

        Under this gain, small modes first become nearly as large as the largest mode. Then all modes reach their final
        eigenvalue at nearly the same time.
        """
        from derivations.printers import loss_grammar
        from derivations.theory import designs

        errors.positive_number("time", self.time)
        _check_share(
            "spread", self.spread, "because a small mode needs time to reach the initial eigenvalue of a larger mode"
        )
        goal = _goal(self.level, conditions)
        parameters = conditions._asdict() | {"goal": goal, "t": self.spread * self.time}
        gathering = designs.gathering(designs.steepness)
        fast = parameters["fast"] = designs.value(gathering.fast, parameters)
        parameters |= {"steepness": STEEPNESS[0], "slow": fast}
        rises = designs.value(gathering.time, parameters) > (1 - self.spread) * self.time  # a constant rate is too slow
        parameters |= self._changing_rate(parameters, rises)
        first = parameters["steepness"] == STEEPNESS[0]
        rate = designs.gathering(STEEPNESS[0] if first else designs.steepness, rises).rate
        remark = (
            "exactly equal arrival times are impossible: the smallest mode needs the fraction "
            f"{self.spread:g} of its arrival time to reach the largest initial s"
        )
        return DesignedGain(loss_grammar.formula(designs.until_goal(rate)), parameters, (remark,))

    def _changing_rate(self, parameters: dict[str, float], rises: bool) -> dict[str, float]:
        """Return values of "steepness" and "slow" with which the first mode arrives at the desired time.

        The desired time is (1 - spread) times the arrival time of the last mode. The rate of a mode is ``fast`` while
        its predictor eigenvalue lambda is at most the largest initial one. For larger lambda, the rate falls as
        lambda^(-steepness) until it equals ``slow``. The smallest possible steepness is returned. rises: True if the
        rate must rise as lambda^steepness, because with a constant rate the first mode would arrive too late; ``slow``
        is then larger than ``fast``.
        """
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
            f"be {word}, because the fast modes cannot {change} enough before they arrive (rates of this target change "
            f"at most with the power {STEEPNESS[-1]} of lambda)"
        )
        errors.reject("spread", requirement, self.spread)


@dataclass(frozen=True, eq=False)
class ThresholdRecruitment(DesignTarget):
    """Growth of modes that start above a threshold; weight decay makes all other modes vanish.

    Parameters
    ----------
    threshold : float
        Threshold of the initial correlation eigenvalue s.
    speed : float
        Gain h of modes far above the threshold.
    sharpness : int
        Far below the threshold, the gain h falls as lambda to this power, where lambda is the predictor eigenvalue.

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
        """Return the gain h(lambda) = speed/(1 + (c/lambda)^sharpness), where lambda is the predictor eigenvalue.

        speed and sharpness are attributes of this target. The constant c is chosen such that a mode at the threshold is
        stationary: there its rate h (1 - lambda/rest) equals the weight decay. rest is the predictor eigenvalue at the
        fixed point without weight decay.
        """
        from derivations.printers import loss_grammar
        from derivations.theory import designs

        threshold = eigenvalues.predictor(errors.positive_number("threshold", self.threshold), conditions.alpha, 0.0)
        errors.positive_number("speed", self.speed)
        errors.count("sharpness", self.sharpness)
        if not conditions.weight_decay:
            requirement = "be used with a model that has weight decay, because without weight decay no mode vanishes"
            errors.reject("target", requirement, self)
        leak, rest = conditions.weight_decay, conditions.rest
        parameters = {"threshold": threshold, "speed": self.speed, "rest": rest, "leak": leak}
        if not designs.value(designs.growth_at_threshold(designs.speed), parameters) > 0:
            requirement = (
                "have a threshold below the fixed point, and so large a speed that a mode at the threshold grows in "
                "spite of weight decay"
            )
            errors.reject("target", requirement, self)
        gain = designs.recruitment_gain(self.sharpness)
        if not designs.value(designs.parts_modes(gain), parameters) > 0:
            requirement = "have a smaller threshold or a larger sharpness"
            reason = "otherwise modes converge to the threshold, instead of growing above it or vanishing below it"
            errors.reject("target", f"{requirement}, because {reason}", self)
        return DesignedGain(loss_grammar.formula(gain), parameters)


@dataclass(frozen=True, eq=False)
class FastestUniform(DesignTarget):
    """Convergence of all singular values w with the same rate c, dw/dt = c (w* - w), as fast as stability allows.

    w is the singular value of a mode, and w* is the value of w at the fixed point. The rate c is as large as possible
    under one condition: the fixed point is stable in the descent map for all learning rates up to a given value.

    Parameters
    ----------
    learning_rate : float
        Learning rate eta up to which the fixed point shall be stable in the descent map.

    Notes
    -----
    If the descent map is stable up to eta, modes near the fixed point cannot approach it faster than e^(-2 t/eta).
    Under the designed gain all modes approach the fixed point as e^(-2 t/eta) at all times. Another gain may move modes
    faster far from the fixed point; this reduces the distance at a given time only by a constant factor.

    Examples
    --------
    >>> import dynamics as dyn
    >>> round(dyn.design(dyn.FastestUniform(0.4)).largest_learning_rate, 6)
    0.4
    """

    learning_rate: float

    def gain_for(self, conditions: Conditions) -> DesignedGain:
        """Return the gain h = speed (w*/w - 1)/(1 - lambda/rest).

        w is the singular value and lambda the predictor eigenvalue of a mode; w* and rest are their values at the fixed
        point. With the factor speed = 2/eta, the fixed point is stable in the descent map for learning rates up to eta.
        """
        import sympy as sp

        from derivations.printers import loss_grammar
        from derivations.symbols import notation
        from derivations.theory import designs

        eta = errors.positive_number("learning_rate", self.learning_rate)
        power = Fraction(0.5 / conditions.alpha).limit_denominator(LARGEST_DENOMINATOR)
        if not 0 < power <= LARGEST_DENOMINATOR or abs(float(power) * 2 * conditions.alpha - 1) > ZERO:
            fraction = f"a fraction with a denominator and a value of at most {LARGEST_DENOMINATOR}"
            requirement = (
                f"have an exponent alpha for which 1/(2 alpha) is {fraction}, because the gain is computed from the "
                "power lambda^(-1/(2 alpha))"
            )
            errors.reject("model", requirement, conditions.alpha)
        alpha = 1 / (2 * sp.Rational(power.numerator, power.denominator))
        gain = designs.uniform_gain(alpha)
        limit = designs.largest_learning_rate().subs(
            {designs.h: designs.gain_at_fixed_point(gain), notation.alpha: alpha}
        )
        speed = float(sp.solve(limit - sp.Float(eta), designs.speed)[0])
        return DesignedGain(loss_grammar.formula(gain), {"speed": speed, "rest": conditions.rest})


def _goal(level: float, conditions: Conditions) -> float:
    """Return the predictor eigenvalue at which a mode counts as arrived near the fixed point.

    level: the returned eigenvalue divided by the predictor eigenvalue at the fixed point. Raises ArgumentError unless
    the returned eigenvalue is above the largest initial predictor eigenvalue.
    """
    _check_share("level", level, "because the level is a fraction of the predictor eigenvalue at the fixed point")
    goal, start = level * conditions.rest, conditions.high / conditions.rest
    if not conditions.high < goal:
        requirement = (
            f"be above {start:g}, because the largest initial predictor eigenvalue is this fraction of the value at "
            "the fixed point"
        )
        errors.reject("level", requirement, level)
    return goal


def _check_share(name: str, value: Any, reason: str) -> None:
    requirement = f"be a number between 0 and 1, {reason}"
    share = errors.real_array(name, value, requirement)
    if share.ndim or not 0 < share < 1:
        errors.reject(name, requirement, value)


def _read(text: str) -> Any:
    """Return a desired rate or time as a SymPy expression; raises ArgumentError if the text is not valid."""
    from derivations.errors import ExpressionError
    from derivations.theory import designs

    errors.instance("target", text, str, "be text in lambda, such as '1 - lambda/rest'")
    try:
        return designs.read_desired(text)
    except ExpressionError as error:
        raise errors.ArgumentError(
            f"Argument `target` must be an expression in lambda and rest, but has an error {error}."
        ) from None


def _values(expression: Any, lam: npt.NDArray[np.float64], conditions: Conditions) -> npt.NDArray[np.float64]:
    """Return the values (K,) of a SymPy expression in lambda and rest, for K predictor eigenvalues lam.

    rest is the predictor eigenvalue at the fixed point; its value is that in ``conditions``.
    """
    from derivations.printers import loss_grammar
    from derivations.theory import designs

    parameters = {"rest": conditions.rest} if expression.has(designs.rest) else {}
    return Gain.parse(loss_grammar.formula(expression), **parameters).values(lam)
