"""Fixed points: of an independent mode, and of equal modes under a loss that conserves a sum over modes.

r is the rate of a mode, lambda its predictor eigenvalue, s its eigenvalue, and rho the weight decay.
"""

import numpy as np
import numpy.typing as npt
import scipy.optimize

from dynamics import errors
from dynamics.analysis.collapsed_mode import collapsed_growth
from dynamics.analysis.equilibrium import Equilibrium
from dynamics.analysis.invariants import invariants
from dynamics.analysis.range_check import check_finite
from dynamics.analysis.stability import SurvivingModes
from dynamics.derived_loss import Function
from dynamics.generated import eigenvalues
from dynamics.model.model import Model
from dynamics.vector_field.eigenmodes import EigenmodeField

SEARCHED, GRID = (1e-8, 1e4), 4_000  # range and number of lambda at which roots without a formula are searched
NORMALIZED_HAS_NONE = "none: with a normalized predictor, rates do not depend on the size of s"


def check_analysed(model: Model) -> None:
    """Raise ArgumentError unless the equilibria of the model can be computed."""
    errors.instance("model", model, Model, "be a Model")
    if model.inputs is not None or model.batch_shape:
        requirement = "have white inputs and scalar parameters, because equilibria are computed for a single model"
        errors.reject("model", requirement, model)
    learned = model.structure.predictor == "learned"
    if learned and not (model.generated.independent_modes and model.generated.balanced):
        requirement = "have a predictor that is not learned, or a loss that conserves s - lambda^2/a_P for each mode"
        errors.reject("model", requirement, model)
    if not (model.generated.independent_modes or model.generated.conserved is not None):
        errors.reject("model", "have modes that move independently, or a loss that conserves a sum over modes", model)


def check_one_start(model: Model, s0: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """Return validated initial eigenvalues (M,) of a single trajectory; raises ArgumentError."""
    s0 = model.check_eigenvalues(s0)
    if s0.ndim != 1:
        errors.reject("s0", "be the initial eigenvalues of a single trajectory, of shape (M,)", s0)
    return s0


# --- an independent mode --------------------------------------------------------------------------------------------


def single_mode(model: Model, lam: float | None, eta: float | None) -> Equilibrium:
    """Return the equilibrium of an independent mode with the predictor eigenvalue lam, or of a collapsed mode.

    lam: None for a collapsed mode. eta: learning rate of models whose flow depends on it, else None.
    """
    if lam is None:
        return Equilibrium.of(model, [], 1, *collapsed_growth(model, []))
    modes = SurvivingModes.at(model, eigenvalue_of(model, lam), 1, eta, lam=lam)
    return Equilibrium.of(model, [modes], 1, 0.0, False)


def single_mode_roots(model: Model) -> list[float]:
    """Return the predictor eigenvalues lambda > 0 of an independent mode with r(lambda) = rho, the largest first.

    r is the rate of the mode, rho the weight decay.
    """
    p, fixed_points = model.parameters, model.generated.fixed_points
    if fixed_points is None:
        return _roots_between_signs(model)
    with np.errstate(invalid="ignore"):
        roots = fixed_points(*p.of_expectations, p.rho)
    roots = roots if isinstance(roots, tuple) else (roots,)
    # Complex roots are nan; the double root at a fold is listed once.
    return list(dict.fromkeys(float(root[0]) for root in roots if root[0] > 0))


def is_stationary_at_any_size(model: Model) -> bool:
    """Return True if the rate of an independent mode is rho at every lambda."""
    lam, p = np.geomspace(*SEARCHED, 9)[:, None], model.parameters
    with np.errstate(all="ignore"):
        rates = single_mode_rate(model)(np.ones_like(lam), lam, np.ones(1), *p.of_expectations)
    return bool(np.all(rates == p.rho))


def single_mode_rate(model: Model) -> Function:
    """Return the generated function for the rate r(lambda) of an independent mode."""
    rates = model.generated.rates
    assert rates is not None and rates.formula is not None
    return rates.formula


def _roots_between_signs(model: Model) -> list[float]:
    """Return the predictor eigenvalues lambda at which r(lambda) = rho, if they have no formula, the largest first.

    r is the rate of an independent mode, rho the weight decay. There is one root for each change of sign of r - rho on
    a fine grid of lambda.
    """
    p = model.parameters

    def excess(log_lam: npt.ArrayLike) -> npt.NDArray[np.float64]:
        lam = np.exp(np.atleast_1d(log_lam))[:, None]
        rates = single_mode_rate(model)(np.ones_like(lam), lam, np.ones(1), *p.of_expectations)
        return np.broadcast_to(rates - p.rho, lam.shape)[:, 0]

    grid = np.log(np.geomspace(*SEARCHED, GRID))
    with np.errstate(all="ignore"):
        signs = np.sign(excess(grid))
    at_zero = (signs[1:-1] == 0) & (signs[:-2] * signs[2:] < 0)  # isolated roots on the grid
    roots = [float(np.exp(x)) for x in grid[1:-1][at_zero]]
    for i in np.flatnonzero(signs[:-1] * signs[1:] < 0):
        roots.append(float(np.exp(scipy.optimize.brentq(lambda x: excess(x)[0], *grid[i : i + 2], xtol=1e-14))))
    return sorted(roots, reverse=True)


def eigenvalue_of(model: Model, lam: float) -> float:
    """Return the eigenvalue s of the correlation at an equilibrium with the predictor eigenvalue lam.

    s is f^-1(lam) for a closed-form predictor lambda = f(s), and lam^2/a_P for a learned predictor whose learning rate
    is a_P times the encoder's.
    """
    p = model.parameters
    if model.structure.predictor == "learned":
        return float(-eigenvalues.imbalance(0.0, lam, p.rate_ratio)[0])  # the imbalance s - lam^2/a_P decays to zero
    return float((eigenvalues.predictor_inverse(lam, p.alpha) - p.epsilon)[0])


def why_a_line(model: Model) -> str:
    """Return a remark on the line of equilibria of a learned predictor without weight decay; empty for other models."""
    if model.structure.predictor != "learned" or model.weight_decay:
        return ""
    roots = ", ".join(f"{lam:.6g}" for lam in single_mode_roots(model))
    selection = f"the conserved {invariants(model)[-1].formula} selects the equilibrium that a mode reaches"
    return f"a line of equilibria: lambda = {roots} at any s; {selection}"


# --- equal modes ----------------------------------------------------------------------------------------------------


def equal_modes(model: Model, s0: npt.NDArray[np.float64], surviving: int, eta: float | None) -> Equilibrium:
    """Return the equilibrium with a number of equal ``surviving`` modes, all other modes having collapsed.

    The sum over modes that the loss conserves has the same value as at the initial eigenvalues s0 (M,). eta: learning
    rate of models whose flow depends on it, else None.
    """
    p, power_sum, pattern = model.parameters, model.generated.conserved, np.arange(len(s0)) < surviving
    assert power_sum is not None  # as ``check_analysed`` requires of losses whose modes are not independent
    conserved = power_sum.value

    def excess(s: float) -> float:
        return float((conserved(s * pattern, p.alpha, p.epsilon) - conserved(s0, p.alpha, p.epsilon))[0])

    check_finite("s0", s0, excess(0.0), excess(s0.sum()))
    s = scipy.optimize.brentq(excess, 0.0, s0.sum(), xtol=1e-300, rtol=1e-15)
    EigenmodeField(model).start(np.full(surviving, s))  # refuses infinite expectations
    collapsed = collapsed_growth(model, [s] * surviving) if surviving < len(s0) else (0.0, False)
    modes = SurvivingModes.at(model, s, surviving, eta, neutral=len(invariants(model)))
    return Equilibrium.of(model, [modes], len(s0), *collapsed)


def why_no_equal_modes(model: Model, s0: npt.NDArray[np.float64]) -> str:
    """Return the reason why no equilibrium of equal modes exists or is determined; an empty text if one exists."""
    if model.weight_decay:
        return "none: weight decay shrinks all modes, and the loss does not set their size"
    if not s0.any():
        return "none: all modes are zero from the start, and stay so"
    return "" if invariants(model) else "not determined: no invariant selects one of the family of equilibria"
