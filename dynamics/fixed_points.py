"""Where a model comes to rest, and which of these places hold: fixed points of flow and descent map."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from itertools import combinations_with_replacement, pairwise

import numpy as np
import scipy.optimize

from dynamics import errors
from dynamics.conserved import invariants
from dynamics.generated import eigenvalues
from dynamics.model import Model
from dynamics.rates import Forces, Rates
from dynamics.state import State, initial, readings, step, velocity

MARGINAL = 1e-7  # a growth rate below this is zero, to the accuracy of closure and differences
NEAR_ZERO = 1e-4  # of the surviving modes: eigenvalue at which it is asked whether a dead mode comes back
STEP = 0.01  # relative, of differences: their error is its sixth power,
STEP_AT_KINK = 1e-5  # and no power where the predictor divides by the largest of equal eigenvalues
DIFFERENCE = ((1, 3 / 4), (2, -3 / 20), (3, 1 / 60))  # f' = sum_j c_j (f(x + j h) - f(x - j h))/h + O(h^6)


@dataclass(frozen=True)
class Equilibrium:
    """A fixed point, the same for flow and descent map.

    s, predictor (M,): eigenvalues of correlation and predictor, the largest first. growth: rates at which perturbations
    of the surviving modes grow in the flow, complex, ascending: eigenvalues of the Jacobian, without the zero along a
    family of equilibria that an invariant tells apart. invasion: rate r - rho at which the singular value of a dead
    mode grows; None where all survive. invaded: whether dead modes come back, even if slower than exponentially.
    largest_learning_rate: where the descent map loses stability; zero where the flow is not stable.
    """

    s: np.ndarray
    predictor: np.ndarray
    growth: np.ndarray
    invasion: float | None
    invaded: bool
    largest_learning_rate: float
    _multipliers: Callable[[float], np.ndarray] = field(repr=False)

    @property
    def alive(self) -> int:
        """How many modes survive."""
        return int(np.count_nonzero(self.s))

    @property
    def verdict(self) -> str:
        """Of the flow after a small perturbation that keeps the invariants: it returns where "stable".

        "marginal" where the Jacobian has another zero: as at a fold, which attracts from one side only.
        """
        if self.invaded or (self.growth.real > MARGINAL).any():
            return "unstable"
        return "marginal" if (self.growth.real > -MARGINAL).any() else "stable"

    def multipliers(self, learning_rate) -> np.ndarray:
        """What a step of the descent map multiplies those perturbations with, complex; stable where all are below 1."""
        return self._multipliers(errors.positive_number("learning_rate", learning_rate))

    def __str__(self):
        levels = [
            f"{count} at {s:.6g}" for s, count in zip(*np.unique(self.s[self.s > 0], return_counts=True), strict=True)
        ]
        dead = len(self.s) - self.alive
        levels += [f"{dead} dead{' but coming back' if self.invaded else ''}"] if dead else []
        limit = f", up to learning rate {self.largest_learning_rate:.6g}" if self.verdict == "stable" else ""
        return f"{', '.join(levels)}: {self.verdict}{limit}"


@dataclass(frozen=True)
class Equilibria:
    """The fixed points of a model, as many modes alive as there can be first.

    boundary: eigenvalue below which a mode dies, where each mode moves on its own and some do; None otherwise.
    fold: weight decay at which the levels where modes survive meet and vanish; None where they do not.
    remark: what is to be said where there are none, or a family.
    """

    model: Model
    found: tuple[Equilibrium, ...]
    boundary: float | None = None
    fold: float | None = None
    remark: str = ""

    def __iter__(self) -> Iterator[Equilibrium]:
        return iter(self.found)

    def __len__(self) -> int:
        return len(self.found)

    def __getitem__(self, index):
        return self.found[index]

    @property
    def stable(self) -> list[Equilibrium]:
        """Those that the flow returns to."""
        return [equilibrium for equilibrium in self.found if equilibrium.verdict == "stable"]

    def plot(self, ax=None):
        """Draw the levels of the eigenvalues, a row each equilibrium; returns the matplotlib Axes."""
        from dynamics.plotting import plot_equilibria

        return plot_equilibria(self, ax)

    def __str__(self):
        rows = [f"Equilibria of {self.model}", *(f"  {equilibrium}" for equilibrium in self.found)]
        rows += [f"  modes that start below {self.boundary:.6g} die"] if self.boundary is not None else []
        rows += [f"  none survives weight decay above {self.fold:.6g}, a fold"] if self.fold is not None else []
        return "\n".join([*rows, f"  {self.remark}"] if self.remark else rows)


def equilibria(model: Model, s0, *, learning_rate=None) -> Equilibria:
    r"""Solve s_m (r_m - rho) = 0: every fixed point, with its stability in the flow and in the descent map.

    s0: eigenvalues (M,) of a start. They say how many modes there are, and, where the flow conserves a quantity, which
    member of a family of equilibria is meant. learning_rate: eta > 0, only for models in which something decays per
    step, whose flow depends on it. Modes are exchangeable: one equilibrium stands for all that differ in their order.

    Where each mode moves on its own (Euclidean losses), the roots of r = rho are formulas; surviving modes of cosine
    losses are equal. Raises ArgumentError, also for learned predictors and correlated inputs, not treated here.
    (Theory: Halvagal et al. 2023, section 3; Tian et al. 2021 for the fold in weight decay.)
    """
    errors.instance("model", model, Model, "be a Model")
    if model.inputs is not None or model.structure.predictor == "learned" or model.batch_shape:
        errors.reject("model", "have white inputs, plain numbers, and a predictor that is not learned", model)
    s0 = model.check_eigenvalues(s0)
    if s0.ndim != 1:
        errors.reject("s0", "be the eigenvalues of one start, (M,)", s0)
    eta = model.check_learning_rate(learning_rate)
    if hasattr(model.generated, "INTEGRALS"):
        return _equal_modes(model, s0, eta)
    return _modes_of_their_own(model, len(s0), eta)


# --- which ----------------------------------------------------------------------------------------------------------


def _modes_of_their_own(model: Model, modes: int, eta) -> Equilibria:
    """Each mode is dead, or at a root of r = rho."""
    p, generated = model.parameters, model.generated
    if model.structure.predictor == "normalized":
        return Equilibria(model, (), remark="none: a normalized predictor pulls with the same strength at any size")
    roots: tuple = ()
    if hasattr(generated, "fixed_points"):
        with np.errstate(invalid="ignore"):
            roots = generated.fixed_points(p.sigma1, p.sigma2, p.rho)
    roots = roots if isinstance(roots, tuple) else (roots,)
    lams = {float(root[0]): None for root in roots if root[0] > 0}  # not a number where not real; once at a fold
    levels = [float((eigenvalues.predictor_inverse(lam, p.alpha) - p.epsilon)[0]) for lam in lams]
    levels = [s for s in levels if s > 0]
    branches = [Branch.of(model, s, 1, eta) for s in levels]
    invasion, invaded = _invasion(model, [])
    chosen = combinations_with_replacement([*branches, None], modes)
    found = tuple(_equilibrium(model, [b for b in some if b], modes, invasion, invaded) for some in chosen)
    remark = "" if roots or invasion else "any spectrum is at rest: the rate is zero throughout"
    thresholds = [b.s for b in branches if (b.growth.real > 0).any()]
    boundary = min(thresholds, default=None) if not (model.needs_learning_rate or invaded) else None
    fold = float(generated.fold(p.sigma1, p.sigma2)[0][0]) if hasattr(generated, "fold") else None
    return Equilibria(model, found, boundary, fold, remark)


def _equal_modes(model: Model, s0: np.ndarray, eta) -> Equilibria:
    """All modes that survive are equal; what is conserved says at which level."""
    if model.weight_decay:
        return Equilibria(model, (), remark="none: weight decay shrinks what the loss would keep at any size")
    if not s0.any():
        return Equilibria(model, (), remark="none: all modes are dead from the start, and stay so")
    if not (known := invariants(model)):
        return Equilibria(model, (), remark="not determined: no invariant tells the members of the family apart")
    p, conserved, found = model.parameters, model.generated.conserved, []

    def excess(level: float, alive: int) -> float:
        s = np.where(np.arange(len(s0)) < alive, level, 0.0)
        return float((conserved(s, p.alpha, p.epsilon) - conserved(s0, p.alpha, p.epsilon))[0])

    for alive in range(len(s0), 0, -1):
        level = scipy.optimize.brentq(excess, 0.0, s0.sum(), (alive,), xtol=1e-300, rtol=1e-15)
        branch = Branch.of(model, level, alive, eta, neutral=len(known))
        dead = _invasion(model, [level] * alive) if alive < len(s0) else (0.0, False)
        found.append(_equilibrium(model, [branch], len(s0), *dead))
    return Equilibria(model, tuple(found), remark=f"one of a family for each value of {known[0].formula}")


def _equilibrium(model: Model, branches: list["Branch"], modes: int, invasion: float, invaded: bool) -> Equilibrium:
    s = np.concatenate([np.full(b.modes, b.s) for b in branches] + [np.zeros(modes - sum(b.modes for b in branches))])
    growth = np.sort_complex(np.concatenate([b.growth for b in branches] + [np.zeros(0)]))
    dead = not s.all()

    def multipliers(learning_rate: float) -> np.ndarray:
        return np.sort_complex(np.concatenate([b.multipliers(learning_rate) for b in branches] + [np.zeros(0)]))

    limits = [b.largest_learning_rate for b in branches] + ([2 / -invasion] if dead and invasion < 0 else [])
    found = Equilibrium(
        s=s,
        predictor=readings(model.structure, model.parameters, initial(model.structure, s)).predictor,
        growth=growth,
        invasion=invasion if dead else None,
        invaded=dead and invaded,
        largest_learning_rate=min(limits, default=np.inf),
        _multipliers=multipliers,
    )
    return found if found.verdict == "stable" else replace(found, largest_learning_rate=0.0)


def _invasion(model: Model, alive: list[float]) -> tuple[float, bool]:
    """r - rho of a dead mode beside these, and whether it comes back: a small one, if the rate at zero does not say."""
    rates, rho = Rates(model, rtol=1e-10), float(model.weight_decay)

    def at(s: float) -> float:
        return float(rates(initial(model.structure, np.array([*alive, s]))).rates[-1]) - rho

    near = at(NEAR_ZERO * max(alive, default=1.0))
    exact = near if len(alive) == 1 else at(0.0)  # beside a single mode of a cosine loss the rate at zero is no number
    return exact, bool(exact > 0 if abs(exact) > MARGINAL else near > 0)


# --- how they are left ----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Branch:
    """Modes that survive at one level, and what perturbations of them do: rates in the flow, factors in a step."""

    s: float
    modes: int
    growth: np.ndarray
    multipliers: Callable[[float], np.ndarray]
    largest_learning_rate: float

    @classmethod
    def of(cls, model: Model, s: float, modes: int, eta, neutral: int = 0) -> "Branch":
        """neutral: how many perturbations of all modes alike an invariant keeps."""
        blocks = _linearised(model, s, modes)
        growth = _spectrum(blocks(velocity, eta), modes, neutral, 0.0)

        def multipliers(learning_rate: float) -> np.ndarray:
            return _spectrum(blocks(step, learning_rate), modes, neutral, 1.0)

        return cls(s, modes, growth, multipliers, _largest_learning_rate(model, growth, multipliers))


def _spectrum(blocks, modes: int, neutral: int, zero: float) -> np.ndarray:
    """Eigenvalues for all modes alike, less those at ``zero`` that are neutral, and for each way modes may differ."""
    alike, *different = (np.linalg.eigvals(block) for block in blocks)
    alike = alike[np.argsort(np.abs(alike - zero))][neutral:]
    return np.sort_complex(np.concatenate([alike, *different * (modes - 1)]))


def _linearised(model: Model, s: float, modes: int) -> Callable:
    """The Jacobian of ``velocity`` or ``step`` at equal modes, as a function of which and eta: blocks (parts, parts).

    Equal modes are exchangeable, so what all share and what two of them differ by is all there is.
    """
    structure, parameters = model.structure, model.parameters
    start, forces = initial(structure, np.full(modes, s)), _forces(model, modes)
    patterns = [np.ones(modes), np.eye(1, modes)[0] - np.eye(1, modes, 1)[0]][:modes]
    size = STEP_AT_KINK if structure.predictor == "normalized" else STEP
    points = [[_stencil(start, name, pattern, size, forces) for name in _parts(start)] for pattern in patterns]

    def following(moved: Callable, eta, state: State, force: Forces) -> np.ndarray:
        after = moved(structure, parameters, state, force, eta)
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


def _stencil(start: State, name: str, pattern, size: float, forces: Callable) -> list[tuple[float, State, Forces]]:
    """Coefficients, states and forces whose weighted sum is a derivative along one part of the state."""
    part, found = getattr(start, name), []
    for multiple, coefficient in DIFFERENCE:
        for sign in (1, -1):
            state = start._replace(**{name: part + sign * multiple * size * part[0] * pattern})
            found.append((sign * coefficient / (size * part[0]), state, forces(state)))
    return found


def _forces(model: Model, modes: int) -> Callable[[State], Forces]:
    """The forces; none on a single mode of a cosine loss, which is the sign of p . t."""
    rates = Rates(model, rtol=1e-12)
    return rates if modes > 1 or not rates.quadratures else lambda state: Forces(0 * state.w)


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
