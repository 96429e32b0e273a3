"""Which modes survive, which die, and why: told from the fixed points, before anything is run."""

from dataclasses import dataclass

import numpy as np

from dynamics import errors
from dynamics.analysis.equilibria import Equilibria, equilibria
from dynamics.generated import eigenvalues
from dynamics.model.model import Model
from dynamics.vector_field.eigenmodes import EigenmodeField

AT_REST = 1e-12  # relative distance from a level at which a mode is taken to start there

OUTCOMES = ("isotropic", "anisotropic", "partial collapse", "collapse", "divergence")


@dataclass(frozen=True)
class Collapse:
    """Where each mode of a start ends up in the flow.

    s0 (M,): the start. level (M,): the eigenvalue at the end, 0 where the mode dies, inf where it leaves the finite
    world. reasons: one for each mode. equilibria: what it was told from.
    """

    model: Model
    s0: np.ndarray
    level: np.ndarray
    reasons: tuple[str, ...]
    equilibria: Equilibria

    @property
    def survives(self) -> np.ndarray:
        """Modes that come to rest above zero, (M,)."""
        return np.isfinite(self.level) & (self.level > 0)

    @property
    def outcome(self) -> str:
        """ "isotropic", "anisotropic" (survivors differ), "partial collapse", "collapse", or "divergence"."""
        return outcome_of(self.level, 1e-9)

    def __str__(self):
        rows = [f"{self.outcome.capitalize()}, {self.model}"]
        for s, level, reason in zip(self.s0, self.level, self.reasons, strict=True):
            end = "dies" if level == 0 else "diverges" if np.isinf(level) else f"goes to {level:.6g}"
            rows.append(f"  {s:.6g} {end}: {reason}")
        return "\n".join(rows)

    def plot(self, ax=None):
        """Draw start and end of each mode; returns the matplotlib Axes."""
        from dynamics.results.plotting import plot_collapse

        return plot_collapse(self, ax)


def outcome_of(level: np.ndarray, tolerance: float) -> str:
    """How modes (M,) ended that are at these levels; survivors within a relative tolerance are equal."""
    if np.isinf(level).any():
        return "divergence"
    if not level.any():
        return "collapse"
    if not level.all():
        return "partial collapse"
    return "isotropic" if np.ptp(level) <= tolerance * level.max() else "anisotropic"


def collapse(model: Model, s0) -> Collapse:
    r"""Where each mode ends up, and why, from the fixed points alone: s_m (r_m - rho) = 0 and the sign between them.

    s0: eigenvalues (M,) of one start. Under Euclidean losses each mode goes where the sign of r - rho at its start
    sends it: to the next level, to zero (it starts below the boundary of the basin, or there is nothing to rest at: the
    fold is passed, and its ghost only delays), or without bound (wrong side). Cosine losses with the gradient stopped
    at the target, isotropic or not, make all modes equal; weight decay shrinks them all, as nothing sets their size.

    Raises ArgumentError, also for what is not decided without running the flow: learned predictors, targets with
    weights of their own, tracked or normalised predictors, correlated inputs, and cosine losses with another
    stop-gradient or no predictor. For those: ``solve(..., until="steady")``. (Theory: section 5.)
    """
    errors.instance("model", model, Model, "be a Model")
    found = equilibria(model, s0) if _is_decided(model) else None
    if found is None:
        errors.reject("model", "be one whose flow need not be run to know its end; use solve(until='steady')", model)
    s0 = model.check_eigenvalues(s0)
    if model.generated.divides_by_norms:
        return _all_alike(model, s0, found)
    level, reasons = zip(*(_alone(model, float(s), found) for s in s0), strict=True)
    return Collapse(model, s0, np.array(level), reasons, found)


def _is_decided(model: Model) -> bool:
    closed = model.structure.predictor in ("closed form", "none")
    plain = closed and not model.needs_learning_rate and model.inputs is None
    cosine = model.generated.divides_by_norms
    if cosine and not isinstance(model.loss, str):
        return False
    return plain and (not cosine or (model.stop_gradient == "target" and model.structure.predictor == "closed form"))


def _all_alike(model: Model, s0: np.ndarray, found: Equilibria) -> Collapse:
    alive = s0 > 0
    if model.weight_decay:
        level, fate = 0.0, "weight decay shrinks it, and nothing in the loss sets a size"
    elif not alive.any():
        level, fate = 0.0, ""
    else:
        level = next(e.s[0] for e in found if e.alive == alive.sum())
        fate = "surviving modes become equal, at the level that the invariant sets"
    reasons = tuple(fate if a else "dead from the start" for a in alive)
    return Collapse(model, s0, np.where(alive, level, 0.0), reasons, found)


def _alone(model: Model, s: float, found: Equilibria) -> tuple[float, str]:
    """Where one mode goes that no other mode moves."""
    if s == 0:
        return 0.0, "dead from the start"
    levels = np.unique(np.concatenate([e.s for e in found] or [np.zeros(1)]))
    levels = levels[levels > 0]
    if (near := levels[np.abs(levels - s) <= AT_REST * s]).size:
        return float(near[0]), "starts where it is at rest"
    below, above = levels[levels < s], levels[levels > s]
    speed = float(EigenmodeField(model).of_eigenvalues(np.array([s]))[0]) - float(model.weight_decay)
    if speed == 0:
        return s, "at rest at any size"
    if speed > 0:
        if above.size:
            return float(above[0]), "attracted from below"
        return np.inf, f"starts above the boundary {below[-1]:.6g}" if below.size else "grows at any size"
    if below.size:
        return float(below[-1]), "attracted from above"
    if above.size:
        return 0.0, f"starts below the boundary {above[0]:.6g} of the basin"
    return 0.0, _nothing_to_rest_at(model, s, found)


def _nothing_to_rest_at(model: Model, s: float, found: Equilibria) -> str:
    if found.fold is None:
        return "shrinks at any size"
    p, fold = model.parameters, model.generated.fold
    assert fold is not None  # as there is one at ``found.fold``
    ghost = float((eigenvalues.predictor_inverse(fold(*p.of_expectations)[1], p.alpha) - p.epsilon)[0])
    why = f"nothing to rest at, as the fold is at weight decay {found.fold:.6g}"
    return why + (f", whose ghost at {ghost:.6g} only delays it" if s > ghost > 0 else "")
