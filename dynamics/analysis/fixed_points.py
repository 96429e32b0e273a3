"""Compute fixed points of independent modes, and of equal modes under losses that conserve a sum over modes.

A mode has the correlation eigenvalue s, the predictor eigenvalue lambda, and the rate r; rho is the weight decay. If
the views share the second moment c in the mode, fixed points are the roots of c r = rho.
"""

from dataclasses import replace

import numpy as np
import numpy.typing as npt
import scipy.optimize

from dynamics import errors
from dynamics.analysis.collapsed_mode import CollapsedMode
from dynamics.analysis.equilibrium import Equilibrium
from dynamics.analysis.invariants import invariants
from dynamics.analysis.range_check import check_finite
from dynamics.analysis.stability import SurvivingModes
from dynamics.derived_loss import Function
from dynamics.generated import eigenvalues
from dynamics.model.model import Model, check_model
from dynamics.model.momentum import Momentum
from dynamics.model.starts import matrix_advice
from dynamics.presentation.text import listed
from dynamics.vector_field.eigenmodes import EigenmodeField

SEARCHED, GRID = (1e-8, 1e4), 4_000  # range, and number of points, of the lambda at which roots are searched
DECAY_HAS_NONE = "no equilibria: weight decay shrinks all modes, and the loss does not set the size of modes"
OTHERWISE = "(for other models use `phase_diagram`, or `solve` with until='steady')"
NORMALIZED_HAS_NONE = "no equilibria: with a normalized predictor, rates do not depend on the size of s"


def check_analysed(model: Model) -> None:
    """Raise ArgumentError unless the equilibria of the model can be computed."""
    check_model(model)
    model.check_eigenmodes()
    if model.batch_shape:
        requirement = "have plain numbers as parameters, because equilibria are computed for a single model"
        errors.reject("model", requirement, model)
    learned = model.structure.predictor == "learned"
    if learned and not (model.generated.independent_modes and model.generated.balanced):
        requirement = (
            "have a predictor that is not learned, or a loss with independent modes that conserves s - lambda^2/a_P of "
            f"each mode, where a_P is the learning rate of the predictor divided by that of the encoder {OTHERWISE}"
        )
        errors.reject("model", requirement, model)
    if not (model.generated.independent_modes or model.generated.conserved is not None):
        requirement = (
            "have a loss with independent modes, or a loss that conserves a sum over modes, because equilibria are "
            f"computed for such losses only {OTHERWISE}"
        )
        errors.reject("model", requirement, model)
    if not model.generated.independent_modes and model.views is not None and not model.views.are_alike:
        requirement = (
            "have views with the same second moments in all modes, or a loss with independent modes, because otherwise "
            f"modes are not equal at equilibria, and no formula gives their eigenvalues {OTHERWISE}"
        )
        errors.reject("model", requirement, model)


def by_mode(model: Model) -> tuple[Model, ...]:
    """Return a model of each mode; if all modes have the same second moments of the views, return one model for all."""
    if model.views is None:
        return (model,)
    count = 1 if model.views.are_alike else model.views.count
    return tuple(replace(model, views=model.views.mode(m)) for m in range(count))


def check_one_start(model: Model, s0: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """Return validated initial eigenvalues (M,) of a single trajectory; raises ArgumentError if they are not valid."""
    s0 = model.check_eigenvalues(s0)
    if s0.ndim != 1:
        requirement = "have the shape (M,), because s0 contains the initial eigenvalues of one trajectory"
        errors.reject("s0", requirement, s0, matrix_advice(s0))
    return s0


# --- an independent mode --------------------------------------------------------------------------------------------


def single_mode(model: Model, lam: float | None, eta: float | None) -> Equilibrium:
    """Return the equilibrium of an independent mode with the predictor eigenvalue lam.

    lam is None for a collapsed mode. eta: learning rate of a model with an EMA target or tracking, whose flow depends
    on eta; None for other models.
    """
    if lam is None:
        return Equilibrium.of(model, [CollapsedMode.beside(model, [])])
    return Equilibrium.of(model, [SurvivingModes.at(model, eigenvalue_of(model, lam), 1, eta, lam=lam)])


def surviving_modes(model: Model, eta: float | None, momentum: Momentum | None) -> list[SurvivingModes]:
    """Return an independent mode at each of its fixed points above zero, the largest first.

    eta: learning rate of a model with an EMA target or tracking, whose flow depends on eta; None for other models.
    momentum: momentum of the descent map.
    """
    roots = [(eigenvalue_of(model, lam), lam) for lam in single_mode_roots(model)]
    return [SurvivingModes.at(model, s, 1, eta, lam=lam, momentum=momentum) for s, lam in roots if s > 0]


def single_mode_roots(model: Model) -> list[float]:
    """Return the predictor eigenvalues lambda > 0 at which an independent mode has r(lambda) = rho, the largest first.

    r is the rate of the mode, and rho the weight decay.
    """
    p, fixed_points = model.parameters, model.generated.fixed_points
    if fixed_points is None:
        return _roots_between_signs(model)
    with np.errstate(invalid="ignore"):
        roots = fixed_points(*p.of_expectations, p.rho / p.cross)
    roots = roots if isinstance(roots, tuple) else (roots,)
    # Complex roots are nan, and are left out. At a fold, both roots are equal, and one is listed.
    return list(dict.fromkeys(float(root[0]) for root in roots if root[0] > 0))


def fold(model: Model, share: float) -> float | None:
    """Return the weight decay at which two fixed points of an independent mode meet; None if there is no formula.

    share: share of the weight decay that acts at a fixed point, below 1 for momentum with decoupled weight decay.
    """
    p, of_expectations = model.parameters, model.generated.fold
    return None if of_expectations is None else float((p.cross * of_expectations(*p.of_expectations)[0])[0]) / share


def is_stationary_at_any_size(model: Model) -> bool:
    """Return True if the rate of an independent mode equals the weight decay at every predictor eigenvalue lambda."""
    lam, p = np.geomspace(*SEARCHED, 9)[:, None], model.parameters
    with np.errstate(all="ignore"):
        rates = single_mode_rate(model)(np.ones_like(lam), lam, np.ones(1), *p.of_expectations)
    return bool(np.all(p.cross * rates == p.rho))


def single_mode_rate(model: Model) -> Function:
    """Return the generated function that computes the rate of an independent mode from the predictor eigenvalue."""
    rates = model.generated.rates
    assert rates is not None and rates.formula is not None
    return rates.formula


def _roots_between_signs(model: Model) -> list[float]:
    """Return the predictor eigenvalues lambda at which an independent mode has r(lambda) = rho, the largest first.

    r is the rate of the mode, and rho the weight decay. This search is used if there is no formula for the roots. The
    search finds one root for each change of sign of r - rho on a fine grid of lambda.
    """
    p = model.parameters

    def excess(log_lam: npt.ArrayLike) -> npt.NDArray[np.float64]:
        lam = np.exp(np.atleast_1d(log_lam))[:, None]
        rates = single_mode_rate(model)(np.ones_like(lam), lam, np.ones(1), *p.of_expectations)
        return np.broadcast_to(p.cross * rates - p.rho, lam.shape)[:, 0]

    grid = np.log(np.geomspace(*SEARCHED, GRID))
    with np.errstate(all="ignore"):
        signs = np.sign(excess(grid))
    at_zero = (signs[1:-1] == 0) & (signs[:-2] * signs[2:] < 0)  # isolated roots that are points of the grid
    roots = [float(np.exp(x)) for x in grid[1:-1][at_zero]]
    for i in np.flatnonzero(signs[:-1] * signs[1:] < 0):
        roots.append(float(np.exp(scipy.optimize.brentq(lambda x: excess(x)[0], *grid[i : i + 2], xtol=1e-14))))
    return sorted(roots, reverse=True)


def eigenvalue_of(model: Model, lam: float) -> float:
    """Return the correlation eigenvalue s at an equilibrium with the predictor eigenvalue lam.

    For a closed-form predictor lambda = (s + epsilon)^alpha, this equation is solved for s. For a learned predictor,
    s = c lam^2/a_P, where a_P is the learning rate of the predictor divided by that of the encoder, and c the second
    moment that the views share.
    """
    p = model.parameters
    if model.structure.predictor == "learned":  # the imbalance s/c - lam^2/a_P is zero
        return float((-eigenvalues.imbalance(0.0, lam, p.rate_ratio, p.cross) * p.cross)[0])
    return float((eigenvalues.predictor_inverse(lam, p.alpha) - p.epsilon)[0])


def why_a_line(model: Model) -> str:
    """Return a remark if the equilibria of a model form a line; return an empty text for other models.

    The equilibria form a line if the predictor is learned and there is no weight decay.
    """
    if model.structure.predictor != "learned" or model.weight_decay:
        return ""
    members = by_mode(model)
    roots = listed(" or ".join(f"{lam:.6g}" for lam in single_mode_roots(member)) or "none" for member in members)
    order = " of the modes, in their order," if len(members) > 1 else ""
    selection = f"the conserved quantity {invariants(model)[-1].formula} selects the equilibrium that a mode reaches"
    return f"a line of equilibria: lambda{order} = {roots} at any s; {selection}"


# --- equal modes ----------------------------------------------------------------------------------------------------


def equal_modes(
    model: Model,
    s0: npt.NDArray[np.float64],
    surviving: int,
    eta: float | None,
    momentum: Momentum | None = None,
) -> Equilibrium:
    """Return the equilibrium at which ``surviving`` modes have the same eigenvalue, and all other modes have collapsed.

    s0: initial eigenvalues (M,). The loss conserves a sum over modes (see ``invariants``). This sum has the same value
    at s0 and at the equilibrium, which determines the eigenvalue. eta: learning rate of a model with an EMA target or
    tracking, whose flow depends on eta; None for other models. momentum: momentum of the descent map.
    """
    p, power_sum, pattern = model.parameters, model.generated.conserved, np.arange(len(s0)) < surviving
    assert power_sum is not None  # ``check_analysed`` requires this if modes are not independent
    conserved = power_sum.value

    def excess(s: float) -> float:
        at_s, at_start = (conserved(values, p.alpha, p.epsilon, p.cross) for values in (s * pattern, s0))
        return float((at_s - at_start)[0])

    check_finite(excess(0.0), excess(s0.sum()))
    s = scipy.optimize.brentq(excess, 0.0, s0.sum(), xtol=1e-300, rtol=1e-15)
    EigenmodeField(model).start(np.full(surviving, s))  # raises ArgumentError if expectations are infinite
    modes = SurvivingModes.at(model, s, surviving, eta, neutral=len(invariants(model)), momentum=momentum)
    collapsed = [CollapsedMode.beside(model, [s] * surviving, momentum)] if surviving < len(s0) else []
    return Equilibrium.of(model, [modes, *collapsed * (len(s0) - surviving)])


def why_no_equal_modes(model: Model, s0: npt.NDArray[np.float64]) -> str:
    """Return an empty text if an equilibrium with equal modes can be computed; otherwise return the reason why not.

    One reason is that no equilibrium exists. Another reason is that there is a continuous family of equilibria, and no
    invariant selects one of them. s0: initial eigenvalues (M,).
    """
    if model.weight_decay:
        return DECAY_HAS_NONE
    if not s0.any():
        return "no equilibria: all modes are zero from the start, and stay zero"
    return "" if invariants(model) else "not determined: no invariant selects an equilibrium from a continuous family"
