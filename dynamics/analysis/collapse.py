"""Define the function ``collapse``, which predicts from fixed points which modes survive, which vanish, and why."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from dynamics import errors
from dynamics.analysis.equilibria import Equilibria, equilibria
from dynamics.analysis.fixed_points import OTHERWISE, by_mode, check_analysed, check_one_start
from dynamics.analysis.range_check import within_range
from dynamics.generated import eigenvalues
from dynamics.model.model import Model, check_model
from dynamics.numerics.context import isolated
from dynamics.presentation.result import Result
from dynamics.presentation.text import Fact, shortened
from dynamics.vector_field.eigenmodes import EigenmodeField

if TYPE_CHECKING:
    from matplotlib.axes import Axes

AT_FIXED_POINT = 1e-12  # a mode starts at a fixed point if its relative distance from the fixed point is at most this
MOST_MODES = 50  # largest number of modes of a picture that is drawn in a fraction of a second

OUTCOMES = ("equal modes", "unequal modes", "partial collapse", "collapse", "divergence")


@dataclass(frozen=True, repr=False, eq=False)
class Collapse(Result):
    """The predicted final eigenvalue of each mode in the flow, and the reason; the result of ``collapse``.

    Attributes
    ----------
    model : Model
        The model.
    s0 : ndarray of shape (M,)
        Initial eigenvalues.
    final : ndarray of shape (M,)
        Final eigenvalues: 0 for a mode that vanishes, inf for a mode that diverges.
    reasons : tuple of str
        Reason for the final eigenvalue of each mode.
    equilibria : Equilibria or tuple of Equilibria
        The fixed points that determine the final eigenvalues; a tuple with the fixed points of each mode alone, if the
        second moments of the views differ between modes.
    """

    model: Model
    s0: npt.NDArray[np.float64]
    final: npt.NDArray[np.float64]
    reasons: tuple[str, ...]
    equilibria: Equilibria | tuple[Equilibria, ...]

    @property
    def survives(self) -> npt.NDArray[np.bool_]:
        """Mask (M,) of the modes that converge to an eigenvalue above zero."""
        return np.isfinite(self.final) & (self.final > 0)

    @property
    def outcome(self) -> str:
        """The joint outcome of all modes.

        The outcome is "equal modes" (all modes survive and have equal eigenvalues), "unequal modes" (all modes survive
        and have different eigenvalues), "partial collapse" (some modes vanish), "collapse" (all modes vanish), or
        "divergence" (at least one mode diverges).
        """
        return outcome_of(self.final, 1e-9)

    @property
    def headline(self) -> str:
        """The essence of the result on one line."""
        return f"{self.outcome}, {int(self.survives.sum())} of {len(self.s0)} modes survive, {self.model}"

    @property
    def title(self) -> str:
        """The outcome, and the model."""
        return f"{self.outcome.capitalize()}, {self.model}"

    def facts(self) -> list[Fact]:
        """Return a line for each mode, with its initial and final eigenvalue, and the reason."""
        rows = []
        for s, final, reason in zip(self.s0, self.final, self.reasons, strict=True):
            end = "vanishes" if final == 0 else "diverges" if np.isinf(final) else f"converges to {final:.6g}"
            rows.append(("", f"{s:.6g} {end}: {reason}"))
        return shortened(rows)

    @property
    def is_quick_to_draw(self) -> bool:
        """True if there are few enough modes for the card in a notebook."""
        return len(self.s0) <= MOST_MODES

    @isolated
    def plot(self, ax: "Axes | None" = None) -> "Axes":
        """Draw the initial and the final eigenvalue of each mode; return the matplotlib Axes."""
        from dynamics.analysis.plotting import plot_collapse

        return plot_collapse(self, ax)


def outcome_of(final: npt.NDArray[np.float64], tolerance: float) -> str:
    """Return the outcome of a run, such as "equal modes" or "partial collapse", from its final eigenvalues (M,).

    tolerance: relative difference up to which the eigenvalues of surviving modes count as equal.
    """
    if np.isinf(final).any():
        return "divergence"
    if not final.any():
        return "collapse"
    if not final.all():
        return "partial collapse"
    return "equal modes" if np.ptp(final) <= tolerance * final.max() else "unequal modes"


@isolated
def collapse(model: Model, s0: npt.ArrayLike) -> Collapse:
    """Predict the final eigenvalue of each mode, from fixed points s_m (r_m - rho) = 0 and the signs of r_m - rho.

    s_m is the correlation eigenvalue of mode m, r_m is the rate of this mode (times the second moment that the views
    share), and rho is the weight decay.

    Parameters
    ----------
    model : Model
        A single model with white inputs, or with views of modes. Its fixed points must determine the limit of the flow
        (see Raises).
    s0 : array_like of shape (M,)
        Initial eigenvalues.

    Returns
    -------
    Collapse
        Final eigenvalue and reason for each mode.

    Raises
    ------
    ArgumentError
        If an argument is not valid. Also if the fixed points of the model do not determine the limit of the flow. This
        is so for models with a learned, tracked or normalized predictor, or with separate weights in the target branch.
        It is also so for cosine losses without a predictor, for cosine losses without a stop-gradient on the target,
        and for cosine losses if the second moments of the views differ between modes. For such models, use
        ``phase_diagram``, or ``solve(..., until="steady")``.

    Notes
    -----
    Under Euclidean losses, a mode grows if r_m > rho at its initial eigenvalue, and shrinks if r_m < rho. A growing
    mode converges to the next larger fixed point. If there is no larger fixed point, the mode diverges, which is
    possible with the stop-gradient on the online branch. A shrinking mode converges to the next smaller fixed point
    above zero. If there is no such fixed point, the mode vanishes. There are two cases: the mode starts below the
    boundary of the basin of attraction, or the weight decay is beyond the fold, the weight decay at which the fixed
    points meet and disappear. In the second case the mode shrinks slowly while it passes the eigenvalue at which the
    fixed points met; this is the ghost of the fixed points, which delays the collapse.

    Cosine losses with the stop-gradient on the target, isotropic or not, make all surviving modes equal. With weight
    decay all modes shrink to zero, because cosine losses do not set the size of modes.

    Examples
    --------
    >>> import dynamics as dyn
    >>> print(dyn.collapse(dyn.Model("euclidean", weight_decay=0.05), [0.01, 0.5]))
    Partial collapse, Model(loss='euclidean', weight_decay=0.05)
      0.01 vanishes: starts below the boundary 0.0527864 of the basin
      0.5 converges to 0.947214: attracted from below
    """
    check_model(model)
    model.check_eigenmodes()
    if not _is_decided(model):
        errors.reject("model", f"have fixed points that determine the limit of the flow {OTHERWISE}", model)
    check_analysed(model)
    start, members = check_one_start(model, s0), by_mode(model)
    if model.generated.divides_by_norms:
        return _of_equal_modes(model, start, equilibria(model, start))
    alike = len(members) == 1
    if alike:
        members, of_modes = members * len(start), (equilibria(model, start),) * len(start)
    else:
        of_modes = tuple(equilibria(member, [s]) for member, s in zip(members, start, strict=True))
    with within_range(model, start, s0=start):
        modes = zip(members, start.tolist(), of_modes, strict=True)
        final, reasons = zip(*(_of_single_mode(*mode) for mode in modes), strict=True)
    return Collapse(model, start, np.array(final), reasons, of_modes[0] if alike else of_modes)


def _is_decided(model: Model) -> bool:
    """Return True if the fixed points determine the limit of the flow, whatever the initial eigenvalues are."""
    predictor, cosine = model.structure.predictor, model.generated.divides_by_norms
    if predictor not in ("closed form", "none") or model.needs_learning_rate:
        return False
    standard = isinstance(model.loss, str) and model.stop_gradient == "target" and predictor == "closed form"
    return standard or not cosine


def _of_equal_modes(model: Model, s0: npt.NDArray[np.float64], fixed_points: Equilibria) -> Collapse:
    """Return the prediction for a cosine loss, under which the eigenvalues of all surviving modes become equal.

    s0: initial eigenvalues (M,). fixed_points: the fixed points of the model, with the value of the conserved quantity
    at s0.
    """
    positive, final, reason = s0 > 0, 0.0, ""
    if model.weight_decay:
        reason = "weight decay shrinks all modes, and this loss does not set the size of modes"
    elif positive.any():
        final = next(equilibrium.s[0] for equilibrium in fixed_points if equilibrium.surviving == positive.sum())
        reason = "all surviving modes converge to the same eigenvalue, which a conserved quantity sets"
    reasons = tuple(reason if is_positive else "zero from the start" for is_positive in positive)
    return Collapse(model, s0, np.where(positive, final, 0.0), reasons, fixed_points)


def _of_single_mode(model: Model, s: float, fixed_points: Equilibria) -> tuple[float, str]:
    """Return the final eigenvalue of an independent mode with the initial eigenvalue s, and the reason in words.

    fixed_points: all fixed points of the model.
    """
    if s == 0:
        return 0.0, "zero from the start"
    stationary = np.unique(np.concatenate([np.zeros(1), *(equilibrium.s for equilibrium in fixed_points)]))[1:]
    if (near := stationary[np.abs(stationary - s) <= AT_FIXED_POINT * s]).size:
        return float(near[0]), "starts at a fixed point"
    below, above = stationary[stationary < s], stationary[stationary > s]
    rates = model.parameters.cross * EigenmodeField(model).of_eigenvalues(np.array([s]))
    rate = float(rates[0]) - float(model.weight_decay)
    if rate == 0:
        return s, "stationary at any size"
    if rate > 0:
        if above.size:
            return float(above[0]), "attracted from below"
        return np.inf, f"starts above the boundary {below[-1]:.6g}" if below.size else "grows at any size"
    if below.size:
        return float(below[-1]), "attracted from above"
    if above.size:
        return 0.0, f"starts below the boundary {above[0]:.6g} of the basin"
    return 0.0, _no_fixed_point(model, s, fixed_points)


def _no_fixed_point(model: Model, s: float, fixed_points: Equilibria) -> str:
    """Return why a mode with initial eigenvalue s vanishes, for a model that has no fixed point above zero."""
    if fixed_points.fold is None:
        return "shrinks at any size"
    p, fold = model.parameters, model.generated.fold
    assert fold is not None  # because ``fixed_points.fold`` is not None
    ghost = float((eigenvalues.predictor_inverse(fold(*p.of_expectations)[1], p.alpha) - p.epsilon)[0])
    reason = f"no fixed point beyond the fold at weight decay {fixed_points.fold:.6g}"
    return reason + (f"; a ghost of the fixed points at {ghost:.6g} delays the collapse" if s > ghost > 0 else "")
