"""Dynamics that can be wanted of a loss, each with the gain that gives them."""

from dataclasses import dataclass
from fractions import Fraction
from typing import NamedTuple, Protocol

import numpy as np
import scipy.optimize

from dynamics import errors
from dynamics.generated import eigenvalues
from dynamics.model.expressions import Gain

POINTS = 400  # of the eigenvalues at which a wish is looked at
ZERO = 1e-9  # of a rate, relative to its largest
STEEPNESS = 12  # power of lambda with which a fast rate goes over into a slow one
LARGEST_DENOMINATOR = 12  # of 1/(2 alpha) where a pole must cancel; and its largest value


class Task(NamedTuple):
    """What a wish is granted for: the predictor's exponent, where modes rest, and where they start (in lambda)."""

    alpha: float
    rest: float
    low: float
    high: float
    weight_decay: float


class Granted(NamedTuple):
    """A gain in the language of gains, values for its numbers, and what is to be said of it."""

    text: str
    numbers: dict[str, float]
    remarks: tuple[str, ...] = ()


class Wish(Protocol):
    """Dynamics that are wanted."""

    needs_weight_decay: bool

    def granted(self, task: Task) -> Granted:
        """The gain; raises ArgumentError with the constraint that forbids it."""


@dataclass(frozen=True)
class RateFunction:
    """r(lambda) in ds/dt = 2 s r: text in ``lambda``, and ``rest``, where modes rest under any gain (lambda = 1/n1)."""

    text: str
    needs_weight_decay = False

    def granted(self, task: Task) -> Granted:
        """h = r/q; possible where r is zero at rest."""
        from derivations.printers import loss_grammar
        from derivations.theory import designs

        rate = _read("wish", self.text)
        lam = np.geomspace(task.low, task.high, POINTS)
        sizes = np.abs(_values(rate, lam, task)).max()
        if not sizes > 0:
            errors.reject("wish", "be a rate that is a number, and not zero throughout", self.text)
        if not abs(_values(rate, np.array([task.rest]), task)[0]) <= ZERO * sizes:
            must = (
                f"be a rate that is zero at lambda = {task.rest:g}: there every gain multiplies an error that is zero"
            )
            errors.reject("wish", must, self.text)
        gain = designs.gain_of_rate(rate)
        if not np.isfinite(_values(gain, np.array([task.rest]), task)[0]):
            must = "have the factor 1 - lambda/rest, with rest by its name: what is left of the gain has a hole there"
            errors.reject("wish", must, self.text)
        return Granted(loss_grammar.formula(gain), {"rest": task.rest})


@dataclass(frozen=True)
class ArrivalTimes:
    """T(lambda): how long a mode takes from lambda to ``level`` of its rest; text in ``lambda``, up to a constant."""

    text: str
    level: float = 0.9
    needs_weight_decay = False

    def granted(self, task: Task) -> Granted:
        """r = -1/(2 alpha lambda T'); possible where T falls: a mode passes where a larger one starts."""
        import sympy as sp

        from derivations.printers import loss_grammar
        from derivations.theory import designs

        goal = _goal(self.level, task)
        time = _read("wish", self.text)
        if time.has(sp.Min, sp.Max):
            errors.reject("wish", "be smooth, without min and max: where times have a kink, rates jump", self.text)
        slope = _values(time.diff(designs.lam), np.geomspace(task.low, goal, POINTS), task)
        if not (np.isfinite(slope) & (slope < 0)).all():
            must = (
                "fall with lambda: modes share one curve, so that one that starts smaller passes where another starts"
            )
            errors.reject("wish", f"be times that {must}", self.text)
        rate = designs.rate_of_arrival(time).subs(designs.n.alpha, Fraction(task.alpha))
        return Granted(loss_grammar.formula(designs.until_goal(rate)), {"goal": goal, "rest": task.rest})


@dataclass(frozen=True)
class SimultaneousArrival:
    """All modes reach ``level`` of their rest at the same ``time``, but for a ``spread``, as a share of it."""

    time: float
    level: float = 0.9
    spread: float = 0.05
    needs_weight_decay = False

    def granted(self, task: Task) -> Granted:
        """Up to the largest start fast, and then slowly on together."""
        from derivations.printers import loss_grammar
        from derivations.theory import designs

        errors.positive_number("time", self.time)
        _share("spread", self.spread, "a mode reaches where a larger one starts after some time, not at once")
        goal = _goal(self.level, task)
        gathering, left = designs.gathering(STEEPNESS), (1 - self.spread) * self.time
        numbers = task._asdict() | {"goal": goal, "t": self.spread * self.time}
        fast = numbers["fast"] = designs.value(gathering.fast, numbers)

        def time(slow: float) -> float:
            return designs.value(gathering.time, numbers | {"slow": slow})

        least = designs.value(gathering.least_slow, numbers)
        if time(least) < left:
            errors.reject("spread", "be larger: so near the goal the fast modes cannot slow down in time", self.spread)
        if time(fast) > left:
            must = "be smaller: modes come closer together than that where all have one rate throughout"
            errors.reject("spread", must, self.spread)
        numbers["slow"] = scipy.optimize.brentq(lambda x: time(x) - left, least, fast, xtol=1e-300, rtol=1e-14)
        remark = f"exactly at once is impossible: in a share of {self.spread:g} of the time all pass the largest start"
        return Granted(loss_grammar.formula(designs.until_goal(gathering.rate)), numbers, (remark,))


@dataclass(frozen=True)
class ThresholdRecruitment:
    """Only modes that start with an eigenvalue s above ``threshold`` grow; those below die of weight decay.

    speed: the gain of large modes. sharpness: power of lambda with which the gain falls below.
    """

    threshold: float
    speed: float = 1.0
    sharpness: int = 4
    needs_weight_decay = True

    def granted(self, task: Task) -> Granted:
        """speed/(1 + (c/lambda)^sharpness), which weight decay equals at the threshold."""
        from derivations.printers import loss_grammar
        from derivations.theory import designs

        threshold = eigenvalues.predictor(errors.positive_number("threshold", self.threshold), task.alpha, 0.0)
        errors.positive_number("speed", self.speed)
        errors.count("sharpness", self.sharpness)
        if not task.weight_decay:
            must = "stand beside a model with weight decay: without it no mode that a gain moves at all ever dies"
            errors.reject("wish", must, self)
        numbers = {"threshold": threshold, "speed": self.speed, "rest": task.rest, "leak": task.weight_decay}
        if not designs.value(designs.growth_at_threshold(designs.speed), numbers) > 0:
            must = (
                "have a speed with which a mode at the threshold, below rest, grows faster than weight decay takes it"
            )
            errors.reject("wish", must, self)
        gain = designs.recruitment_gain(self.sharpness)
        if not designs.value(designs.parts_modes(gain), numbers) > 0:
            must = "have a threshold further below rest, or a larger sharpness: modes would come to rest at this one"
            errors.reject("wish", must, self)
        return Granted(loss_grammar.formula(gain), numbers)


@dataclass(frozen=True)
class FastestUniform:
    """All modes approach rest alike, dw/dt = c (w* - w), as fast as a loss can that is stable below ``learning_rate``.

    No other gain ends at a higher rate under that limit: where it is stable up to eta, modes close in on rest as
    e^(-2 t/eta) at most, which this one has from the start, for every mode. One that moves them faster on the
    way there may still be ahead by a factor.
    """

    learning_rate: float
    needs_weight_decay = False

    def granted(self, task: Task) -> Granted:
        """h = speed (w*/w - 1)/q, with speed = 2/eta: by the derived edge of stability."""
        import sympy as sp

        from derivations.printers import loss_grammar
        from derivations.theory import designs

        eta = errors.positive_number("learning_rate", self.learning_rate)
        power = Fraction(0.5 / task.alpha).limit_denominator(LARGEST_DENOMINATOR)
        if not 0 < power <= LARGEST_DENOMINATOR or abs(float(power) * 2 * task.alpha - 1) > ZERO:
            must = f"have an exponent alpha with 1/(2 alpha) a fraction of whole numbers up to {LARGEST_DENOMINATOR}"
            errors.reject("model", must, task.alpha)
        alpha = 1 / (2 * sp.Rational(power.numerator, power.denominator))
        gain = designs.uniform_gain(alpha)
        limit = designs.largest_learning_rate().subs(
            {designs.h: designs.gain_at_fixed_point(gain), designs.n.alpha: alpha}
        )
        speed = float(sp.solve(limit - sp.Float(eta), designs.speed)[0])
        return Granted(loss_grammar.formula(gain), {"speed": speed, "rest": task.rest})


def _goal(level: float, task: Task) -> float:
    _share("level", level, "a share of the eigenvalue at rest")
    goal = level * task.rest
    if not task.high < goal:
        errors.reject("level", f"be above where the largest mode starts, {task.high / task.rest:g} of its rest", level)
    return goal


def _share(name: str, value, why: str) -> None:
    must = f"be a number above 0 and below 1: {why}"
    share = errors.real_array(name, value, must)
    if share.ndim or not 0 < share < 1:
        errors.reject(name, must, value)


def _read(name: str, text: str):
    from derivations.errors import ExpressionError
    from derivations.theory import designs

    errors.instance(name, text, str, "be text in lambda, such as '1 - lambda/rest'")
    try:
        return designs.read_desired(text)
    except ExpressionError as error:
        raise errors.ArgumentError(f"Argument `{name}` must be text in lambda and rest, but {error}.") from None


def _values(expression, lam: np.ndarray, task: Task) -> np.ndarray:
    from derivations.printers import loss_grammar
    from derivations.theory import designs

    gain = Gain.parse(loss_grammar.formula(expression), **({"rest": task.rest} if expression.has(designs.rest) else {}))
    with np.errstate(all="ignore"):
        return gain(lam)
