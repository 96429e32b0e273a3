"""Solving for fixed points: of a mode that moves on its own, and of equal modes of a loss with an invariant."""

import numpy as np
import numpy.typing as npt
import scipy.optimize

from dynamics import errors
from dynamics.analysis.equilibrium import Equilibrium
from dynamics.analysis.invariants import invariants
from dynamics.analysis.stability import SurvivingModes, collapsed_growth
from dynamics.derived_loss import Function
from dynamics.generated import eigenvalues
from dynamics.model.model import Model

SEARCHED, GRID = (1e-8, 1e4), 4_000  # predictor eigenvalues among which roots without a formula are searched
NORMALIZED_HAS_NONE = "none: a normalized predictor pulls with the same strength at any size"


def check_analysed(model: Model) -> None:
    """Raise ArgumentError unless the equilibria of the model can be computed."""
    errors.instance("model", model, Model, "be a Model")
    if model.inputs is not None or model.batch_shape:
        errors.reject("model", "have white inputs and scalar parameters", model)
    learned = model.structure.predictor == "learned"
    if learned and not (model.generated.independent_modes and model.generated.balanced):
        requirement = "have a predictor that is not learned, or a loss that balances it with the encoder, mode by mode"
        errors.reject("model", requirement, model)
    if not (model.generated.independent_modes or model.generated.conserved is not None):
        errors.reject("model", "have modes that move independently, or a loss that conserves a power sum", model)


def check_one_start(model: Model, s0: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """Return the eigenvalues (M,) of one start; raise ArgumentError."""
    s0 = model.check_eigenvalues(s0)
    if s0.ndim != 1:
        errors.reject("s0", "be the eigenvalues of one start, (M,)", s0)
    return s0


# --- a mode that moves on its own -----------------------------------------------------------------------------------


def single_mode(model: Model, lam: float | None, eta: float | None) -> Equilibrium:
    """The equilibrium of one mode at the predictor eigenvalue lam; None: collapsed."""
    if lam is None:
        return Equilibrium.of(model, [], 1, *collapsed_growth(model, []))
    modes = SurvivingModes.at(model, eigenvalue_of(model, lam), 1, eta, lam=lam)
    return Equilibrium.of(model, [modes], 1, 0.0, False)


def single_mode_roots(model: Model) -> list[float]:
    """Predictor eigenvalues above zero with r = rho, the largest first."""
    p, fixed_points = model.parameters, model.generated.fixed_points
    if fixed_points is None:
        return _roots_between_signs(model)
    with np.errstate(invalid="ignore"):
        roots = fixed_points(*p.of_expectations, p.rho)
    roots = roots if isinstance(roots, tuple) else (roots,)
    return list(dict.fromkeys(float(root[0]) for root in roots if root[0] > 0))  # nan where complex; once at a fold


def single_mode_rate(model: Model) -> Function:
    """The rate of a mode that moves on its own, as a formula."""
    rates = model.generated.rates
    assert rates is not None and rates.formula is not None
    return rates.formula


def _roots_between_signs(model: Model) -> list[float]:
    """Roots of a rate that has no formula for them: one per change of sign on a fine grid of eigenvalues."""
    p = model.parameters

    def excess(log_lam: npt.ArrayLike) -> npt.NDArray[np.float64]:
        lam = np.exp(np.atleast_1d(log_lam))[:, None]
        rates = single_mode_rate(model)(np.ones_like(lam), lam, np.ones(1), *p.of_expectations)
        return np.broadcast_to(rates - p.rho, lam.shape)[:, 0]

    grid = np.log(np.geomspace(*SEARCHED, GRID))
    with np.errstate(all="ignore"):
        signs = np.sign(excess(grid))
    at_zero = (signs[1:-1] == 0) & (signs[:-2] * signs[2:] < 0)  # a rate that is zero throughout has no root there
    roots = [float(np.exp(x)) for x in grid[1:-1][at_zero]]
    for i in np.flatnonzero(signs[:-1] * signs[1:] < 0):
        roots.append(float(np.exp(scipy.optimize.brentq(lambda x: excess(x)[0], *grid[i : i + 2], xtol=1e-14))))
    return sorted(roots, reverse=True)


def eigenvalue_of(model: Model, lam: float) -> float:
    """The eigenvalue s at which the predictor has the eigenvalue lam: f^-1(lam), or balanced with it."""
    p = model.parameters
    if model.structure.predictor == "learned":
        return float(-eigenvalues.imbalance(0.0, lam, p.rate_ratio)[0])  # the imbalance decays to zero
    return float((eigenvalues.predictor_inverse(lam, p.alpha) - p.epsilon)[0])


def why_a_line(model: Model) -> str:
    """Remark on the line of equilibria of a learned predictor without weight decay; empty for other models."""
    if model.structure.predictor != "learned" or model.weight_decay:
        return ""
    roots = ", ".join(f"{lam:.6g}" for lam in single_mode_roots(model))
    return f"a line of them: lambda = {roots} at any s; {invariants(model)[-1].formula} selects where a mode ends"


# --- equal modes ----------------------------------------------------------------------------------------------------


def equal_modes(model: Model, s0: npt.NDArray[np.float64], surviving: int, eta: float | None) -> Equilibrium:
    """The equilibrium of equal surviving modes, the others collapsed, with the invariant of the flow from s0."""
    p, power_sum, pattern = model.parameters, model.generated.conserved, np.arange(len(s0)) < surviving
    assert power_sum is not None  # of losses whose modes are not independent, by ``check_analysed``
    conserved = power_sum.value

    def excess(s: float) -> float:
        return float((conserved(s * pattern, p.alpha, p.epsilon) - conserved(s0, p.alpha, p.epsilon))[0])

    s = scipy.optimize.brentq(excess, 0.0, s0.sum(), xtol=1e-300, rtol=1e-15)
    collapsed = collapsed_growth(model, [s] * surviving) if surviving < len(s0) else (0.0, False)
    modes = SurvivingModes.at(model, s, surviving, eta, neutral=len(invariants(model)))
    return Equilibrium.of(model, [modes], len(s0), *collapsed)


def why_no_equal_modes(model: Model, s0: npt.NDArray[np.float64]) -> str:
    """Reason why there is no equilibrium of equal modes, or none that is determined; empty where there is."""
    if model.weight_decay:
        return "none: weight decay shrinks what the loss would keep at any size"
    if not s0.any():
        return "none: all modes are zero from the start, and stay so"
    return "" if invariants(model) else "not determined: no invariant distinguishes the members of the family"
