"""How a fixed point is left: Jacobians of flow and descent map at equal modes, and what becomes of dead ones."""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import scipy.optimize

from dynamics.model.model import Model
from dynamics.vector_field.eigenmode_state import Rates, initial, step, velocity
from dynamics.vector_field.eigenmodes import EigenmodeField
from dynamics.vector_field.state import State

MARGINAL = 1e-7  # a growth rate below this is zero, to the accuracy of closure and differences
NEAR_ZERO = 1e-4  # of the surviving modes: eigenvalue at which it is asked whether a dead mode comes back
STEP = 0.01  # relative, of differences: their error is its sixth power,
STEP_AT_KINK = 1e-5  # and no power where the predictor divides by the largest of equal eigenvalues
DIFFERENCE = ((1, 3 / 4), (2, -3 / 20), (3, 1 / 60))  # f' = sum_j c_j (f(x + j h) - f(x - j h))/h + O(h^6)


@dataclass(frozen=True)
class Level:
    """Modes that survive at one level, and what perturbations of them do: rates in the flow, factors in a step."""

    s: float
    lam: float  # of a learned predictor; not used of another
    modes: int
    growth: np.ndarray
    multipliers: Callable[[float], np.ndarray]
    largest_learning_rate: float

    @classmethod
    def of(cls, model: Model, s: float, modes: int, eta, neutral: int = 0, lam: float = 1.0) -> "Level":
        """neutral: how many perturbations of all modes alike an invariant keeps. lam: of a learned predictor."""
        blocks = _linearised(model, s, modes, lam)
        growth = _spectrum(blocks(velocity, eta), modes, neutral, 0.0)

        def multipliers(learning_rate: float) -> np.ndarray:
            return _spectrum(blocks(step, learning_rate), modes, neutral, 1.0)

        return cls(s, lam, modes, growth, multipliers, _largest_learning_rate(model, growth, multipliers))


def _spectrum(blocks, modes: int, neutral: int, zero: float) -> np.ndarray:
    """Eigenvalues for all modes alike, less those at ``zero`` that are neutral, and for each way modes may differ."""
    alike, *different = (np.linalg.eigvals(block) for block in blocks)
    alike = alike[np.argsort(np.abs(alike - zero))][neutral:]
    return np.sort_complex(np.concatenate([alike, *different * (modes - 1)]))


def _linearised(model: Model, s: float, modes: int, lam: float) -> Callable:
    """The Jacobian of ``velocity`` or ``step`` at equal modes, as a function of which and eta: blocks (parts, parts).

    Equal modes are exchangeable, so what all share and what two of them differ by is all there is.
    """
    structure, parameters = model.structure, model.parameters
    start, forces = initial(structure, np.full(modes, s), lam), EigenmodeField(model, rtol=1e-12)
    patterns = [np.ones(modes), np.eye(1, modes)[0] - np.eye(1, modes, 1)[0]][:modes]
    size = STEP_AT_KINK if structure.predictor == "normalized" else STEP
    points = [[_stencil(start, name, pattern, size, forces) for name in _parts(start)] for pattern in patterns]

    def following(moved: Callable, eta, state: State, force: Rates) -> np.ndarray:
        after = moved(parameters, state, force, eta)
        return np.array([getattr(after, name)[0] for name in _parts(start)])

    def blocks(moved: Callable, eta) -> list[np.ndarray]:
        return [
            np.stack(
                [sum(c * following(moved, eta, state, force) for c, state, force in part) for part in block], axis=-1
            )
            for block in points
        ]

    return blocks


def _parts(state: State) -> list[str]:
    return [name for name, part in state._asdict().items() if part is not None]


def _stencil(start: State, name: str, pattern, size: float, forces: Callable) -> list[tuple[float, State, Rates]]:
    """Coefficients, states and forces whose weighted sum is a derivative along one part of the state."""
    part, found = getattr(start, name), []
    for multiple, coefficient in DIFFERENCE:
        for sign in (1, -1):
            state = start._replace(**{name: part + sign * multiple * size * part[0] * pattern})
            found.append((sign * coefficient / (size * part[0]), state, forces(state)))
    return found


def _largest_learning_rate(model: Model, growth: np.ndarray, multipliers: Callable) -> float:
    """The least eta at which a factor reaches 1: |1 + eta g| = 1, or searched for where something decays per step."""
    if not model.needs_learning_rate:
        return min((-2 * g.real / abs(g) ** 2 for g in growth if abs(g) > MARGINAL), default=np.inf)

    def beyond(log_eta: float) -> float:
        return float(np.abs(multipliers(np.exp(log_eta))).max(initial=0.0)) - 1

    grid = np.linspace(np.log(1e-3), np.log(1e3), 43)
    for low, high in pairwise(grid):
        if beyond(high) >= 0:
            return 0.0 if beyond(low) >= 0 else float(np.exp(scipy.optimize.brentq(beyond, low, high, rtol=1e-12)))
    return np.inf


def invasion_of(model: Model, alive: list[float]) -> tuple[float, bool]:
    """r - rho of a dead mode beside these, and whether it comes back: a small one, if the rate at zero does not say."""
    rates, rho = EigenmodeField(model, rtol=1e-10), float(model.weight_decay)

    def at(s: float) -> float:
        state = initial(model.structure, np.array([*alive, s]), 0.0)  # a learned predictor's eigenvalue is dead, too
        with np.errstate(divide="ignore"):  # part of the gradient may have a pole at zero
            return float(rates(state).rates[-1]) - rho

    near = at(NEAR_ZERO * max(alive, default=1.0))
    if model.pole_at_death:
        return float(np.copysign(np.inf, near)), near > 0
    exact = near if len(alive) == 1 else at(0.0)  # beside a single mode of a cosine loss the rate at zero is no number
    return exact, bool(exact > 0 if abs(exact) > MARGINAL else near > 0)
