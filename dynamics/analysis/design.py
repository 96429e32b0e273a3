"""Define the function ``design``, which computes a gain for desired dynamics, and the costs of this gain."""

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from dynamics import errors
from dynamics.analysis.design_targets import (
    POINTS,
    ArrivalTimes,
    Conditions,
    DesignedGain,
    DesignTarget,
    FastestUniform,
    RateFunction,
    SimultaneousArrival,
    ThresholdRecruitment,
)
from dynamics.analysis.equilibria import Equilibrium, equilibria
from dynamics.generated import eigenvalues
from dynamics.model.components import Shared
from dynamics.model.expressions import Gain, Loss
from dynamics.model.model import Model, check_model
from dynamics.numerics.context import isolated
from dynamics.numerics.ranges import check_range
from dynamics.presentation.result import Result
from dynamics.presentation.text import Fact
from dynamics.vector_field.eigenmodes import EigenmodeField

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Array = npt.NDArray[np.float64]
TARGETS = (RateFunction, ArrivalTimes, SimultaneousArrival, ThresholdRecruitment, FastestUniform)


@dataclass(frozen=True, repr=False, eq=False)
class Design(Result):
    """A gain that meets a design target, with its largest learning rate and its noise; the result of ``design``.

    Attributes
    ----------
    target : DesignTarget
        The desired dynamics.
    model : Model
        The model with the gain, which can be solved, iterated, trained and checked.
    between : tuple of float
        Smallest and largest initial eigenvalue s of modes.
    largest_learning_rate : float
        The fixed point is stable under gradient descent with learning rates below this value.
    fastest : float
        Largest rate |r| for s in ``between``. Learning rates should be much smaller than 1/``fastest``.
    smallest_gain : float
        Smallest gain for s in ``between``. If a gain is negative, the modes increase the loss.
    noise : float
        Stationary variance of s due to finite batches, divided by the stationary variance of s under the standard loss
        at the same small learning rate; nan if one of the two losses has no stable fixed point.
    remarks : tuple of str
        Warnings about the design.
    """

    target: DesignTarget
    model: Model
    between: tuple[float, float]
    largest_learning_rate: float
    fastest: float
    smallest_gain: float
    noise: float
    remarks: tuple[str, ...] = ()

    @property
    def gain(self) -> Gain:
        """The designed gain h(lambda)."""
        return self.model.gain

    @property
    def loss(self) -> Loss:
        """The Euclidean loss with the designed gain, as one expression in which the gain is written out."""
        gain = re.sub(r"\blambda\b", "W_P", self.gain.text)
        return Loss.parse(re.sub(r"\bh\b", f"({gain})", self.model.derivation.formula), **self.gain.parameters)

    @isolated
    def rate(self, s: npt.ArrayLike) -> Array:
        """Return the rates r of modes with eigenvalues s under the designed loss; weight decay is not subtracted."""
        return _rate(self.model, _eigenvalues(s))

    @isolated
    def rates_beside(self, s: npt.ArrayLike) -> dict[str, Array]:
        """Return a dictionary with the rates r of modes with eigenvalues s under three losses.

        The keys are "standard", "isotropic" and "designed". Weight decay is not subtracted from the rates.
        """
        standard = replace(self.model, gain=None)
        models = {"standard": standard, "isotropic": replace(standard, isotropic=True), "designed": self.model}
        s = _eigenvalues(s)
        return {name: _rate(model, s) for name, model in models.items()}

    @isolated
    def plot(self, ax: "Axes | None" = None) -> "Axes":
        """Draw the rates of a mode under the designed, standard and isotropic loss; return the matplotlib Axes."""
        from dynamics.analysis.plotting import plot_design

        return plot_design(self, ax)

    @property
    def headline(self) -> str:
        """The essence of the result on one line."""
        return f"for {self.target}, h(lambda) = {self.gain.text}"

    @property
    def title(self) -> str:
        """The kind of the result, and the target."""
        return f"Design for {self.target}"

    def facts(self) -> list[Fact]:
        """Return pairs of texts, name and value, that describe the design."""
        low, high = self.between
        return [
            ("gain", f"h(lambda) = {self.gain.text}"),
            *((f"  {name}", f"{value:.6g}") for name, value in self.gain.parameters.items()),
            ("largest learning rate", f"{self.largest_learning_rate:.4g}"),
            ("fastest mode", f"|r| = {self.fastest:.4g} for s between {low:g} and {high:g}"),
            ("stationary noise", f"{self.noise:.3g} times the variance of the standard loss"),
            *(("", remark) for remark in self.remarks),
        ]


@isolated
def design(target: DesignTarget, model: Model | None = None, *, between: npt.ArrayLike = (0.01, 0.5)) -> Design:
    """Return the gain h(lambda) that gives modes desired dynamics, ds/dt = 2 s (h(lambda) (1 - n1 lambda) - rho).

    s is the correlation eigenvalue of a mode, lambda = s^alpha is its predictor eigenvalue, n1 = 1 + sigma1^2 is the
    variance of view 1 in each direction, and rho is the weight decay.

    Parameters
    ----------
    target : DesignTarget
        ``RateFunction``, ``ArrivalTimes``, ``SimultaneousArrival``, ``ThresholdRecruitment``, or ``FastestUniform``.
    model : Model, optional
        The Euclidean model to which the gain is added. This model sets the exponent of the predictor, the noise and the
        weight decay. Default: ``Model("euclidean")``.
    between : array_like
        Range (low, high) of the initial eigenvalues s. If more than two values are given, the first value and the last
        value are used.

    Returns
    -------
    Design
        The model with the gain, its largest learning rate and its noise.

    Raises
    ------
    ArgumentError
        If an argument is not valid, or if no gain can meet the target; the message states the reason.

    Notes
    -----
    The loss must be Euclidean, because modes are independent only under this loss. Cosine losses couple the modes and
    conserve a sum over the modes, so that the rate of one mode cannot be chosen alone. Formulas are derived in
    ``derivations/theory/designs.py``.

    References
    ----------
    Halvagal, Laborieux, Zenke, NeurIPS 2023, section 5: suggests losses that shape the dynamics of the spectrum.

    Examples
    --------
    >>> import dynamics as dyn
    >>> design = dyn.design(dyn.RateFunction("lambda^2 * (1 - lambda/rest)"), between=(0.1, 0.5))
    >>> print(design)
    Design for RateFunction(text='lambda^2 * (1 - lambda/rest)')
      gain                   h(lambda) = lambda^2
      largest learning rate  1
      fastest mode           |r| = 0.125 for s between 0.1 and 0.5
      stationary noise       1 times the variance of the standard loss
    """
    if not isinstance(target, TARGETS):
        listing = ", ".join(kind.__name__ for kind in TARGETS)
        errors.reject("target", f"be a design target, one of {listing}", target)
    model = Model("euclidean") if model is None else model
    _check_model(model, target)
    ends = errors.positive("between", check_range("between", between), "be a range of eigenvalues above zero")
    low, high = float(ends[0]), float(ends[-1])
    p = model.parameters
    alpha = float(p.alpha[0])
    low_lam, high_lam = (eigenvalues.predictor(s, alpha, 0.0) for s in (low, high))
    conditions = Conditions(alpha, _fixed_point(model), low_lam, high_lam, float(p.rho[0]))
    gain = target.gain_for(conditions)
    designed = replace(model, stop_gradient=None, gain=Gain.parse(gain.text, **_used_parameters(gain)))
    return _with_cost(target, designed, conditions, (low, high), gain.remarks)


def _fixed_point(model: Model) -> float:
    """Return the predictor eigenvalue at the fixed point without weight decay, which is the same under any gain."""
    from derivations.theory import designs, moments

    return designs.value(designs.level().subs(moments.VIEW_STATISTICS), {"sigma1": model.parameters.noise[0][0]})


def _eigenvalues(s: npt.ArrayLike) -> Array:
    return errors.positive("s", s, "be eigenvalues above zero")


def _rate(model: Model, s: Array) -> Array:
    return EigenmodeField(model).of_eigenvalues(s.reshape(-1, 1)).reshape(s.shape)


def _with_cost(
    target: DesignTarget,
    model: Model,
    conditions: Conditions,
    between: tuple[float, float],
    remarks: tuple[str, ...],
) -> Design:
    """Return the design with its costs: the largest learning rate, the largest rate, the smallest gain, and the noise.

    model: the model with the designed gain. remarks: remarks on the gain, to which remarks on the costs are added.
    """
    lam = np.geomspace(conditions.low, conditions.high, POINTS)
    gains, rates = model.gain(lam), _rate(model, eigenvalues.predictor_inverse(lam, conditions.alpha))
    stable = _stable(model)
    if gains.min() < 0:
        remarks = (*remarks, f"the gain falls to {gains.min():.3g}; modes with a negative gain increase the loss")
    if stable is None:
        remarks = (*remarks, "no fixed point at which modes survive is stable")
    return Design(
        target,
        model,
        between,
        largest_learning_rate=stable.largest_learning_rate if stable else 0.0,
        fastest=float(np.abs(rates).max()),
        smallest_gain=float(gains.min()),
        noise=_relative_noise(model),
        remarks=remarks,
    )


def _stable(model: Model) -> Equilibrium | None:
    """Return the stable equilibrium of a single mode at which the mode survives; None if there is no such equilibrium.

    If there are several, the equilibrium with the largest eigenvalue is returned.
    """
    stable = (point for point in equilibria(model, [1.0]) if point.surviving and point.largest_learning_rate)
    return next(stable, None)


def _relative_noise(model: Model) -> float:
    """Return the stationary variance of s under the designed loss, divided by that under the standard loss.

    s is the correlation eigenvalue of a mode. It fluctuates because batches are finite. The result is nan if the
    designed loss or the standard loss has no stable fixed point at which the mode survives.
    """
    from derivations.theory import designs

    if model.weight_decay:  # the designed and the standard loss have different fixed points
        return _noise(model) / _noise(replace(model, gain=None))
    stable = _stable(model)
    if stable is None:
        return np.nan
    (lam,), (gain,) = stable.predictor, model.gain(stable.predictor)
    return designs.value(designs.relative_noise(), {"h": float(gain), "lambda": lam})


def _noise(model: Model) -> float:
    """Return the stationary variance of s, multiplied by the batch size and divided by the learning rate.

    s is the correlation eigenvalue of a mode. It fluctuates about a stable fixed point, because batches are finite. The
    result is nan if no fixed point at which the mode survives is stable.
    """
    from derivations.theory import designs

    stable, p = _stable(model), model.parameters
    if stable is None:
        return np.nan
    (lam,), (growth,) = stable.predictor, stable.growth.real
    gain = model.gain(np.array([lam]))[0] if model.gain else lam
    parameters = {"alpha": p.alpha[0], "sigma1": p.noise[0][0], "sigma2": p.noise[1][0], "lambda": lam}
    return designs.value(designs.noise_at_fixed_point(growth, gain), parameters)


def _used_parameters(gain: DesignedGain) -> dict[str, float]:
    """Return the parameters of a gain that occur in its text."""
    from derivations.losses.grammar import names

    used = names(gain.text)
    return {name: value for name, value in gain.parameters.items() if name in used}


def _check_model(model: Model, target: DesignTarget) -> None:
    check_model(model)
    model.check_white_views()
    if model.loss != "euclidean" or model.gain is not None or model.symmetrised:
        requirement = (
            "have the Euclidean loss without gain and not symmetrised, because gains are derived for this loss only"
        )
        errors.reject("model", requirement, model)
    plain = model.structure.predictor == "closed form" and not model.parameters.epsilon.any()
    if not plain or model.structure.tracked or not isinstance(model.target, Shared):
        requirement = (
            "have a predictor ClosedForm(alpha) and a shared target, because gains are derived for these models only"
        )
        errors.reject("model", requirement, model)
    if model.batch_shape:
        errors.reject("model", "have plain numbers as parameters, because a gain is designed for a single model", model)
    if model.isotropic or model.stop_gradient not in (None, "target"):
        requirement = (
            "have the stop-gradient on the target and not be isotropic, because a model with a gain cannot have "
            "another stop-gradient or be isotropic"
        )
        errors.reject("model", requirement, model)
    if model.weight_decay and not target.needs_weight_decay:
        kind = type(target).__name__
        requirement = (
            f"have no weight decay for {kind}, because weight decay moves the fixed point to which modes shall converge"
        )
        errors.reject("model", requirement, model)
