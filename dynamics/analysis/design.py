"""``design``: from wanted dynamics to the gain that gives them, and what it costs."""

import re
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from dynamics import errors
from dynamics.analysis.design_targets import (
    POINTS,
    ArrivalTimes,
    FastestUniform,
    Granted,
    RateFunction,
    SimultaneousArrival,
    Task,
    ThresholdRecruitment,
    Wish,
)
from dynamics.analysis.equilibria import Equilibrium, equilibria
from dynamics.generated import eigenvalues
from dynamics.model.components import Shared
from dynamics.model.expressions import Gain, Loss
from dynamics.model.model import Model
from dynamics.vector_field.eigenmodes import EigenmodeField


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
        return Loss.parse(re.sub(r"\bh\b", f"({gain})", derivation.formula), **self.gain.parameters)

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
        from dynamics.results.plotting import plot_design

        return plot_design(self, ax)

    def __repr__(self):
        return f"<Design for {self.wish}: {self.gain!r}>"

    def __str__(self):
        low, high = self.between
        rows = [
            f"Design for {self.wish}",
            f"  gain                   h(lambda) = {self.gain.text}",
            *(f"    {name:<20} = {value:.6g}" for name, value in self.gain.parameters.items()),
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
    section 5, suggest losses that shape the spectrum's dynamics; formulas are derived in ``derivations/theory/designs.py``.)
    """
    wishes = (RateFunction, ArrivalTimes, SimultaneousArrival, ThresholdRecruitment, FastestUniform)
    if not isinstance(wish, wishes):
        errors.reject("wish", f"be one of {', '.join(kind.__name__ for kind in wishes)}", wish)
    model = Model("euclidean") if model is None else model
    _check_model(model, wish)
    between = _check_between(between)
    p = model.parameters
    alpha = float(p.alpha[0])
    low, high = (eigenvalues.predictor(s, alpha, 0.0) for s in between)
    task = Task(alpha, _rest(model), low, high, float(p.rho[0]))
    granted = wish.granted(task)
    designed = replace(model, gain=Gain.parse(granted.text, **_used(granted)))
    return _with_limits(wish, designed, task, between, granted.remarks)


def _rest(model: Model) -> float:
    """Where modes rest under any gain, in lambda."""
    from derivations.theory import designs, moments

    return designs.value(designs.level().subs(moments.VIEW_STATISTICS), {"sigma1": model.parameters.sigma1[0]})


def _rate(model: Model, s) -> np.ndarray:
    s = np.asarray(s, float)
    return EigenmodeField(model).of_eigenvalues(s.reshape(-1, 1)).reshape(s.shape)


def _with_limits(wish, model: Model, task: Task, between: tuple[float, float], remarks: tuple[str, ...]) -> Design:
    lam = np.geomspace(task.low, task.high, POINTS)
    gains, rates = model.gain(lam), _rate(model, eigenvalues.predictor_inverse(lam, task.alpha))
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
        noise=_relative_noise(model),
        remarks=remarks,
    )


def _alive(model: Model) -> list[Equilibrium]:
    """Where modes are held, the largest first."""
    return [found for found in equilibria(model, [1.0]) if found.alive and found.largest_learning_rate]


def _relative_noise(model: Model) -> float:
    """Variance of s at rest, relative to the standard loss; no number where nothing holds modes."""
    from derivations.theory import designs

    if model.weight_decay:  # which has the two rest at different places
        return _noise(model) / _noise(replace(model, gain=None))
    alive = _alive(model)
    if not alive:
        return np.nan
    (lam,) = alive[0].predictor
    return designs.value(designs.relative_noise(), {"h": float(model.gain(alive[0].predictor)[0]), "lambda": lam})


def _noise(model: Model) -> float:
    """Variance of s at rest, per learning rate and 1/batch; no number where nothing holds modes."""
    from derivations.theory import designs

    alive, p = _alive(model), model.parameters
    if not alive:
        return np.nan
    (lam,), (growth,) = alive[0].predictor, alive[0].growth.real
    gain = model.gain(np.array([lam]))[0] if model.gain else lam
    numbers = {"alpha": p.alpha[0], "sigma1": p.sigma1[0], "sigma2": p.sigma2[0], "lambda": lam}
    return designs.value(designs.noise_at_fixed_point(growth, gain), numbers)


def _used(granted: Granted) -> dict[str, float]:
    """Those of the numbers that are in the text."""
    from derivations.losses.grammar import names

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
