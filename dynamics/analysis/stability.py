"""Linear stability of equilibria: Jacobians of flow and descent map at equal modes, and growth of collapsed modes."""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
import scipy.optimize

from dynamics.model.model import Model
from dynamics.vector_field.eigenmode_state import Rates, initial, step, velocity
from dynamics.vector_field.eigenmodes import EigenmodeField
from dynamics.vector_field.state import State

MARGINAL = 1e-7  # a growth rate below this is zero, to the accuracy of closure and differences
NEAR_ZERO = 1e-4  # relative to the surviving modes: the eigenvalue at which growth of a collapsed mode is probed
STEP = 0.01  # relative, of differences: their error is its sixth power,
STEP_AT_KINK = 1e-5  # and no power where the predictor divides by the largest of equal eigenvalues
DIFFERENCE = ((1, 3 / 4), (2, -3 / 20), (3, 1 / 60))  # f' = sum_j c_j (f(x + j h) - f(x - j h))/h + O(h^6)

Complex = npt.NDArray[np.complex128]
Evolve = Callable[..., State]  # velocity or step
Stencil = list[tuple[float, State, Rates]]  # weights, and where they apply
Blocks = Callable[[Evolve, float | None], list[npt.NDArray[np.float64]]]


@dataclass(frozen=True)
class SurvivingModes:
    """Equal modes at a fixed point, and the linearised evolution of their perturbations.

    s, lam: their eigenvalue, and that of a learned predictor (unused for others). count: number of modes.
    growth: rates in the flow. multipliers: factors per step of the descent map, as a function of the learning rate.
    """

    s: float
    lam: float
    count: int
    growth: Complex
    multipliers: Callable[[float], Complex]
    largest_learning_rate: float

    @classmethod
    def at(
        cls, model: Model, s: float, count: int, eta: float | None, neutral: int = 0, lam: float = 1.0
    ) -> "SurvivingModes":
        """Linearise a model; neutral: number of common perturbations that an invariant keeps."""
        blocks = _jacobian_blocks(model, s, count, lam)
        growth = _spectrum(blocks(velocity, eta), count, neutral, 0.0)

        def multipliers(learning_rate: float) -> Complex:
            return _spectrum(blocks(step, learning_rate), count, neutral, 1.0)

        return cls(s, lam, count, growth, multipliers, _largest_learning_rate(model, growth, multipliers))


def _spectrum(blocks: list[npt.NDArray[np.float64]], count: int, neutral: int, fixed: float) -> Complex:
    """Eigenvalues for a common perturbation, less neutral ones (at ``fixed``), and for each difference of modes."""
    common, *differences = (np.linalg.eigvals(block) for block in blocks)
    common = common[np.argsort(np.abs(common - fixed))][neutral:]
    return np.sort_complex(np.concatenate([common, *differences * (count - 1)]))


def _jacobian_blocks(model: Model, s: float, count: int, lam: float) -> Blocks:
    """The Jacobian of ``velocity`` or ``step`` at equal modes, as a function of which and eta: blocks (parts, parts).

    Equal modes are exchangeable, so one block for a common perturbation and one for a difference suffice.
    """
    structure, parameters = model.structure, model.parameters
    fixed_point, field = initial(structure, np.full(count, s), lam), EigenmodeField(model, rtol=1e-12)
    patterns = [np.ones(count), np.eye(1, count)[0] - np.eye(1, count, 1)[0]][:count]
    size = STEP_AT_KINK if structure.predictor == "normalized" else STEP
    stencils = [[_stencil(fixed_point, part, along, size, field) for part in _parts(fixed_point)] for along in patterns]

    def first_mode(evolve: Evolve, eta: float | None, state: State, rates: Rates) -> npt.NDArray[np.float64]:
        result = evolve(parameters, state, rates, eta)
        return np.array([getattr(result, part)[0] for part in _parts(fixed_point)])

    def derivative(evolve: Evolve, eta: float | None, stencil: Stencil) -> Any:
        return sum(weight * first_mode(evolve, eta, state, rates) for weight, state, rates in stencil)

    def blocks(evolve: Evolve, eta: float | None) -> list[npt.NDArray[np.float64]]:
        return [np.stack([derivative(evolve, eta, stencil) for stencil in block], axis=-1) for block in stencils]

    return blocks


def _parts(state: State) -> list[str]:
    return [name for name, part in state._asdict().items() if part is not None]


def _stencil(
    fixed_point: State, name: str, pattern: npt.NDArray[np.float64], size: float, field: EigenmodeField
) -> Stencil:
    """Weights, states and rates whose weighted sum is a derivative along one part of the state."""
    part, stencil = getattr(fixed_point, name), []
    for multiple, coefficient in DIFFERENCE:
        for sign in (1, -1):
            state = fixed_point._replace(**{name: part + sign * multiple * size * part[0] * pattern})
            stencil.append((sign * coefficient / (size * part[0]), state, field(state)))
    return stencil


def _largest_learning_rate(model: Model, growth: Complex, multipliers: Callable[[float], Complex]) -> float:
    """Smallest eta at which a factor reaches 1: |1 + eta g| = 1, or by search where something decays per step."""
    if not model.needs_learning_rate:
        return min((-2 * g.real / abs(g) ** 2 for g in growth if abs(g) > MARGINAL), default=np.inf)

    def excess(log_eta: float) -> float:
        return float(np.abs(multipliers(np.exp(log_eta))).max(initial=0.0)) - 1

    for low, high in pairwise(np.linspace(np.log(1e-3), np.log(1e3), 43)):
        if excess(high) >= 0:
            return 0.0 if excess(low) >= 0 else float(np.exp(scipy.optimize.brentq(excess, low, high, rtol=1e-12)))
    return np.inf


def collapsed_growth(model: Model, surviving: list[float]) -> tuple[float, bool]:
    """Return r - rho of a collapsed mode beside surviving eigenvalues, and whether it recovers.

    Where the rate at zero is zero or undefined, the growth of a small mode decides.
    """
    field, rho = EigenmodeField(model, rtol=1e-10), float(model.weight_decay)

    def growth(s: float) -> float:
        state = initial(model.structure, np.array([*surviving, s]), 0.0)  # a learned predictor has collapsed, too
        with np.errstate(divide="ignore"):  # part of the gradient may have a pole at zero
            return float(field(state).rates[-1]) - rho

    near = growth(NEAR_ZERO * max(surviving, default=1.0))
    if model.pole_at_collapse:
        return float(np.copysign(np.inf, near)), near > 0
    exact = near if len(surviving) == 1 else growth(0.0)  # undefined beside a single mode of a cosine loss
    return exact, bool(exact > 0 if abs(exact) > MARGINAL else near > 0)
