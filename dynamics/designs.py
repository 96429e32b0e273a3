"""``design``: from wanted dynamics to the gain that gives them, and what it costs."""

import re
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any, NamedTuple, Protocol

import numpy as np
import scipy.optimize

from dynamics import errors
from dynamics.fixed_points import Equilibrium, equilibria
from dynamics.loss import Gain, Loss
from dynamics.model import Model, Shared
from dynamics.rates import Rates

POINTS = 400  # of the eigenvalues at which a design is looked at
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


# --- wishes ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class RateFunction:
    """r(lambda) in ds/dt = 2 s r: text in ``lambda``, and ``rest``, where modes rest under any gain (lambda = 1/n1)."""

    text: str
    needs_weight_decay = False

    def granted(self, task: Task) -> Granted:
        """h = r/q; possible where r is zero at rest."""
        from derivations import designs

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
        return Granted(designs.sentence(gain), {"rest": task.rest})


@dataclass(frozen=True)
class ArrivalTimes:
    """T(lambda): how long a mode takes from lambda to ``level`` of its rest; text in ``lambda``, up to a constant."""

    text: str
    level: float = 0.9
    needs_weight_decay = False

    def granted(self, task: Task) -> Granted:
        """r = -1/(2 alpha lambda T'); possible where T falls: a mode passes where a larger one starts."""
        import sympy as sp

        from derivations import designs

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
        return _until(goal, designs.sentence(rate), task)


@dataclass(frozen=True)
class SimultaneousArrival:
    """All modes reach ``level`` of their rest at the same ``time``, but for a ``spread``, as a share of it."""

    time: float
    level: float = 0.9
    spread: float = 0.05
    needs_weight_decay = False

    def granted(self, task: Task) -> Granted:
        """Up to the largest start fast, and then slowly on together."""
        errors.positive_number("time", self.time)
        _share("spread", self.spread, "a mode reaches where a larger one starts after some time, not at once")
        goal = _goal(self.level, task)
        fast = np.log(task.high / task.low) / (2 * task.alpha * self.spread * self.time)

        def surplus(slow: float) -> float:
            """Of the time from the largest start to the goal, in units of the whole."""
            faded = max(fast / slow, 1.0)
            passed = (faded - 1) / (STEEPNESS * fast) + np.log(goal / task.high / faded ** (1 / STEEPNESS)) / slow
            return passed / (2 * task.alpha * self.time) - (1 - self.spread)

        least, most = fast * (task.high / goal) ** STEEPNESS, 1e6 * fast
        if surplus(least) < 0:
            errors.reject("spread", "be larger: so near the goal the fast modes cannot slow down in time", self.spread)
        slow = scipy.optimize.brentq(surplus, least, most, rtol=1e-13)
        rate = f"max(slow, fast * min(1, (high/lambda)^{STEEPNESS}))"
        found = _until(goal, rate, task)
        numbers = found.numbers | {"slow": float(slow), "fast": float(fast), "high": task.high}
        remark = f"exactly at once is impossible: in a share of {self.spread:g} of the time all pass the largest start"
        return found._replace(numbers=numbers, remarks=(*found.remarks, remark))


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
        from derivations import designs

        threshold = errors.positive_number("threshold", self.threshold) ** task.alpha
        errors.positive_number("speed", self.speed)
        errors.count("sharpness", self.sharpness)
        if not task.weight_decay:
            must = "stand beside a model with weight decay: without it no mode that a gain moves at all ever dies"
            errors.reject("wish", must, self)
        if not self.speed * (1 - threshold / task.rest) > task.weight_decay:
            must = (
                "have a speed with which a mode at the threshold, below rest, grows faster than weight decay takes it"
            )
            errors.reject("wish", must, self)
        gain = designs.recruitment_gain(self.sharpness)
        numbers = {"threshold": threshold, "speed": self.speed, "rest": task.rest, "leak": task.weight_decay}
        if not designs.parts_modes(gain).subs({getattr(designs, name): value for name, value in numbers.items()}) > 0:
            must = "have a threshold further below rest, or a larger sharpness: modes would come to rest at this one"
            errors.reject("wish", must, self)
        return Granted(designs.sentence(gain), numbers)


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

        from derivations import designs

        eta = errors.positive_number("learning_rate", self.learning_rate)
        power = Fraction(0.5 / task.alpha).limit_denominator(LARGEST_DENOMINATOR)
        if not 0 < power <= LARGEST_DENOMINATOR or abs(float(power) * 2 * task.alpha - 1) > ZERO:
            must = f"have an exponent alpha with 1/(2 alpha) a fraction of whole numbers up to {LARGEST_DENOMINATOR}"
            errors.reject("model", must, task.alpha)
        alpha = 1 / (2 * sp.Rational(power.numerator, power.denominator))
        gain = designs.uniform_gain(alpha)
        limit = designs.largest_learning_rate(designs.at_rest(gain)).subs(designs.n.alpha, alpha)
        speed = float(sp.solve(limit - sp.Float(eta), designs.speed)[0])
        return Granted(designs.sentence(gain), {"speed": speed, "rest": task.rest})


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


def _until(goal: float, rate: str, task: Task) -> Granted:
    """The gain of a rate up to the goal; from there on it stays as it is."""
    from derivations import designs

    gain = f"({rate}) / ({designs.sentence(designs.per_gain())})"
    return Granted(gain.replace("lambda", "min(lambda, goal)"), {"goal": goal, "rest": task.rest})


def _read(name: str, text: str):
    from derivations import designs
    from derivations.grammar import SentenceError

    errors.instance(name, text, str, "be text in lambda, such as '1 - lambda/rest'")
    try:
        return designs.wanted(text)
    except SentenceError as error:
        raise errors.ArgumentError(f"Argument `{name}` must be text in lambda and rest, but {error}.") from None


def _values(expression, lam: np.ndarray, task: Task) -> np.ndarray:
    from derivations import designs

    gain = Gain.parse(designs.sentence(expression), **({"rest": task.rest} if expression.has(designs.rest) else {}))
    with np.errstate(all="ignore"):
        return gain(lam)


# --- what is given back ---------------------------------------------------------------------------------------------


@dataclass(frozen=True, repr=False)
class Design:
    """A gain for a wish. model: with that gain, to be solved, iterated, trained, checked.

    largest_learning_rate: below which descent keeps modes at rest. fastest: largest \\|r\\| of modes between the given
    eigenvalues; eta times it should be well below 1. smallest_gain: below zero the loss is climbed there.
    noise: variance of s at rest from finite batches, relative to the standard loss at the same small learning rate;
    not a number where either has no rest.
    remarks: what else is to be said.
    """

    wish: Any
    model: Model
    between: tuple[float, float]
    largest_learning_rate: float
    fastest: float
    smallest_gain: float
    noise: float
    remarks: tuple[str, ...] = ()

    @property
    def gain(self) -> Gain:
        """h(lambda)."""
        return self.model.gain

    @property
    def loss(self) -> Loss:
        """The loss with the gain written out, as one sentence."""
        derivation = self.model.derivation
        gain = re.sub(r"\blambda\b", "W_P", self.gain.text)
        return Loss.parse(re.sub(r"\bh\b", f"({gain})", derivation.sentence), **self.gain.numbers)

    def rate(self, s) -> np.ndarray:
        """r of modes with eigenvalues s (...), weight decay not counted."""
        return _rate(self.model, s)

    def rates_beside(self, s) -> dict[str, np.ndarray]:
        """r of the standard, the isotropic and the designed loss, each (...)."""
        plain = replace(self.model, gain=None)
        models = {"standard": plain, "isotropic": replace(plain, isotropic=True), "designed": self.model}
        return {name: _rate(model, s) for name, model in models.items()}

    def plot(self, ax=None):
        """Draw the rate beside those of the standard and the isotropic loss; returns the matplotlib Axes."""
        from dynamics.plotting import plot_design

        return plot_design(self, ax)

    def __repr__(self):
        return f"<Design for {self.wish}: {self.gain!r}>"

    def __str__(self):
        low, high = self.between
        rows = [
            f"Design for {self.wish}",
            f"  gain                   h(lambda) = {self.gain.text}",
            *(f"    {name:<20} = {value:.6g}" for name, value in self.gain.numbers.items()),
            f"  largest learning rate  {self.largest_learning_rate:.4g}",
            f"  fastest mode           |r| = {self.fastest:.4g} for s between {low:g} and {high:g}",
            f"  noise at rest          {self.noise:.3g} times the variance of the standard loss",
            *(f"  {remark}" for remark in self.remarks),
        ]
        return "\n".join(rows)


def design(wish: Wish, model: Model | None = None, *, between=(0.01, 0.5)) -> Design:
    r"""The gain h(lambda) with which modes move as wanted, ds/dt = 2 s (h(lambda) (1 - n1 lambda) - rho), and its cost.

    wish: ``RateFunction``, ``ArrivalTimes``, ``SimultaneousArrival``, ``ThresholdRecruitment``, or ``FastestUniform``.
    model: the Euclidean model that is given the gain: predictor's exponent, noise, weight decay; default:
    ``Model("euclidean")``. Only there every mode moves on its own: under cosine losses all share one scalar drive and
    conserve a sum, and no mode's rate can be chosen alone. between: eigenvalues s at which modes start, (low, high).

    Raises ArgumentError; for a wish that is impossible with the constraint that forbids it. (Halvagal et al. 2023,
    section 5, suggest losses that shape the spectrum's dynamics; formulas are derived in ``derivations/designs.py``.)
    """
    wishes = (RateFunction, ArrivalTimes, SimultaneousArrival, ThresholdRecruitment, FastestUniform)
    if not isinstance(wish, wishes):
        errors.reject("wish", f"be one of {', '.join(kind.__name__ for kind in wishes)}", wish)
    model = Model("euclidean") if model is None else model
    _check_model(model, wish)
    low, high = _check_between(between)
    p = model.parameters
    alpha = float(p.alpha[0])
    task = Task(alpha, _rest(model), low**alpha, high**alpha, float(p.rho[0]))
    granted = wish.granted(task)
    designed = replace(model, gain=Gain.parse(granted.text, **_used(granted)))
    return _with_limits(wish, designed, task, (low, high), granted.remarks)


def _rest(model: Model) -> float:
    """Where modes rest under any gain, in lambda."""
    from derivations import closures, designs

    level = designs.level().subs(closures.VIEW_STATISTICS)
    return float(level.subs(designs.n.sigma1, model.parameters.sigma1[0]))


def _rate(model: Model, s) -> np.ndarray:
    s = np.asarray(s, float)
    return Rates(model).of_eigenvalues(s.reshape(-1, 1)).reshape(s.shape)


def _with_limits(wish, model: Model, task: Task, between: tuple[float, float], remarks: tuple[str, ...]) -> Design:
    lam = np.geomspace(task.low, task.high, POINTS)
    gains, rates = model.gain(lam), _rate(model, lam ** (1 / task.alpha))
    if gains.min() < 0:
        remarks = (*remarks, f"the gain is negative down to {gains.min():.3g}: there modes climb the loss")
    alive = _alive(model)
    if not alive:
        remarks = (*remarks, "nothing holds modes at rest")
    return Design(
        wish,
        model,
        between,
        largest_learning_rate=alive[0].largest_learning_rate if alive else 0.0,
        fastest=float(np.abs(rates).max()),
        smallest_gain=float(gains.min()),
        noise=_noise(model) / _noise(replace(model, gain=None)) if model.weight_decay else _gain_at_rest(model),
        remarks=remarks,
    )


def _alive(model: Model) -> list[Equilibrium]:
    """Where modes are held, the largest first."""
    return [found for found in equilibria(model, [1.0]) if found.alive and found.largest_learning_rate]


def _gain_at_rest(model: Model) -> float:
    """h/lambda: what multiplies both a mode's pull and its noise where all gains rest alike."""
    alive = _alive(model)
    return float(model.gain(alive[0].predictor)[0] / alive[0].predictor[0]) if alive else np.nan


def _noise(model: Model) -> float:
    """Variance of s at rest, per learning rate and 1/batch; no number where nothing holds modes."""
    from derivations import designs

    alive, p = _alive(model), model.parameters
    if not alive:
        return np.nan
    (lam,), (growth,) = alive[0].predictor, alive[0].growth.real
    gain = model.gain(np.array([lam]))[0] if model.gain else lam
    numbers = {"alpha": p.alpha[0], "sigma1": p.sigma1[0], "sigma2": p.sigma2[0]}
    noise = designs.noise_at_rest(growth, gain).subs(designs.lam, lam)
    return float(noise.subs({getattr(designs.n, name): value for name, value in numbers.items()}))


def _used(granted: Granted) -> dict[str, float]:
    """Those of the numbers that are in the text."""
    from derivations.grammar import names

    there = names(granted.text)
    return {name: value for name, value in granted.numbers.items() if name in there}


def _check_model(model: Model, wish) -> None:
    errors.instance("model", model, Model, "be a Model")
    if model.loss != "euclidean" or model.gain is not None or model.symmetrised:
        must = "have the plain Euclidean loss: under others modes are not free to move each on its own"
        errors.reject("model", must, model)
    plain = model.structure.predictor == "closed form" and not model.parameters.epsilon.any()
    if not plain or model.structure.tracked or not isinstance(model.target, Shared) or model.inputs is not None:
        errors.reject("model", "have a predictor ClosedForm(alpha), a shared target and white inputs", model)
    if model.batch_shape or model.isotropic or model.stop_gradient != "target":
        errors.reject("model", "be a single one, with the stop-gradient on the target, and not isotropic", model)
    if model.weight_decay and not wish.needs_weight_decay:
        errors.reject("model", f"have no weight decay for {type(wish).__name__}: it moves where modes rest", model)


def _check_between(between) -> tuple[float, float]:
    must = "be two ascending eigenvalues above zero, (low, high)"
    ends = errors.real_array("between", between, must)
    if ends.shape != (2,) or not 0 < ends[0] < ends[1]:
        errors.reject("between", must, between)
    return float(ends[0]), float(ends[1])
