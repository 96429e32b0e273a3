"""Where a model comes to rest, and which of these places hold: fixed points of flow and descent map."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from itertools import combinations_with_replacement

import numpy as np
import scipy.optimize

from dynamics import errors
from dynamics.analysis.invariants import invariants
from dynamics.analysis.stability import MARGINAL, Level, invasion_of
from dynamics.derived_loss import Function
from dynamics.generated import eigenvalues
from dynamics.model.model import Model
from dynamics.vector_field.eigenmode_state import initial, observables

SEARCHED, GRID = (1e-8, 1e4), 4_000  # predictor eigenvalues among which roots without a formula are looked for
PULLS_AT_ANY_SIZE = "none: a normalized predictor pulls with the same strength at any size"


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

    @classmethod
    def of(cls, model: Model, levels: list[Level], modes: int, invasion: float, invaded: bool) -> "Equilibrium":
        """Some levels of surviving modes; the others of all the modes are dead."""
        s = np.concatenate([np.full(level.modes, level.s) for level in levels] + [np.zeros(0)])
        missing = modes - len(s)
        lam = np.concatenate([np.full(level.modes, level.lam) for level in levels] + [np.zeros(missing)])
        s, dead = np.pad(s, (0, missing)), missing > 0

        def multipliers(learning_rate: float) -> np.ndarray:
            of_dead = np.full(missing, 1 + learning_rate * invasion)
            return np.sort_complex(np.concatenate([*(level.multipliers(learning_rate) for level in levels), of_dead]))

        limits = [level.largest_learning_rate for level in levels] + ([2 / -invasion] if dead and invasion < 0 else [])
        found = cls(
            s=s,
            predictor=observables(model.structure, model.parameters, initial(model.structure, s, lam)).predictor,
            growth=np.sort_complex(np.concatenate([level.growth for level in levels] + [np.zeros(0)])),
            invasion=invasion if dead else None,
            invaded=dead and invaded,
            largest_learning_rate=min(limits, default=np.inf),
            _multipliers=multipliers,
        )
        return found if found.verdict == "stable" else replace(found, largest_learning_rate=0.0)

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

    @property
    def largest_growth(self) -> float:
        """The largest rate at which a perturbation grows in the flow, of surviving modes or of dead ones."""
        return max([*self.growth.real, *([] if self.invasion is None else [self.invasion])], default=-np.inf)

    def multipliers(self, learning_rate) -> np.ndarray:
        """What a step of the descent map multiplies perturbations with, of surviving and of dead modes; complex.

        Stable where all are below 1 in size.
        """
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
        from dynamics.results.plotting import plot_equilibria

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
    losses are equal. A learned predictor of a Euclidean loss rests, with weight decay, where it is balanced with the
    encoder, s = lambda^2/a_P. Raises ArgumentError, also for other learned predictors and for correlated inputs.
    (Theory: Halvagal et al. 2023, section 3; Tian et al. 2021 for the fold in weight decay.)
    """
    check_analysed(model)
    s0, eta = check_one_start(model, s0), model.check_learning_rate(learning_rate)
    return (
        _independent_modes(model, len(s0), eta) if model.generated.independent_modes else _equal_modes(model, s0, eta)
    )


def check_analysed(model: Model) -> None:
    """Raises ArgumentError unless the equilibria of the model are treated here."""
    errors.instance("model", model, Model, "be a Model")
    if model.inputs is not None or model.batch_shape:
        errors.reject("model", "have white inputs and plain numbers", model)
    learned = model.structure.predictor == "learned"
    if learned and not (model.generated.independent_modes and model.generated.balanced):
        must = "have a predictor that is not learned, or a loss that balances it with the encoder, mode by mode"
        errors.reject("model", must, model)
    if not (model.generated.independent_modes or model.generated.conserved is not None):
        errors.reject("model", "have modes that move independently, or a loss that conserves a power sum", model)


def check_one_start(model: Model, s0) -> np.ndarray:
    """Eigenvalues (M,) of one start; raises ArgumentError."""
    s0 = model.check_eigenvalues(s0)
    if s0.ndim != 1:
        errors.reject("s0", "be the eigenvalues of one start, (M,)", s0)
    return s0


# --- independent modes ----------------------------------------------------------------------------------------------


def _independent_modes(model: Model, modes: int, eta) -> Equilibria:
    """Each mode is dead, or at a root of r = rho."""
    p, generated = model.parameters, model.generated
    if model.structure.predictor == "normalized":
        return Equilibria(model, (), remark=PULLS_AT_ANY_SIZE)
    if remark := why_a_line(model):
        return Equilibria(model, (), remark=remark)
    levels = [Level.of(model, s, 1, eta, lam=lam) for lam in own_roots(model) if (s := eigenvalue_of(model, lam)) > 0]
    invasion, invaded = invasion_of(model, [])
    chosen = combinations_with_replacement([*levels, None], modes)
    found = tuple(
        Equilibrium.of(model, [level for level in some if level], modes, invasion, invaded) for some in chosen
    )
    remark = (
        "" if generated.fixed_points is not None or invasion else "any spectrum is at rest: the rate is zero throughout"
    )
    thresholds = [level.s for level in levels if (level.growth.real > 0).any()]
    alone = not model.needs_learning_rate and model.structure.predictor != "learned"
    boundary = min(thresholds, default=None) if alone and not invaded else None
    fold = float(generated.fold(*p.of_expectations)[0][0]) if generated.fold is not None else None
    return Equilibria(model, found, boundary, fold, remark)


def own_roots(model: Model) -> list[float]:
    """Predictor eigenvalues above zero where the rate of a mode of its own is rho, the largest first."""
    p, fixed_points = model.parameters, model.generated.fixed_points
    if fixed_points is None:
        return _roots_between_signs(model)
    with np.errstate(invalid="ignore"):
        roots = fixed_points(*p.of_expectations, p.rho)
    roots = roots if isinstance(roots, tuple) else (roots,)
    return list(dict.fromkeys(float(root[0]) for root in roots if root[0] > 0))  # no number if not real; once at a fold


def own_rate(model: Model) -> Function:
    """The rate of a mode that moves on its own, as a formula; of losses with independent modes."""
    rates = model.generated.rates
    assert rates is not None and rates.formula is not None
    return rates.formula


def _roots_between_signs(model: Model) -> list[float]:
    """Of a rate without a formula for them: one wherever it changes its sign on a fine grid of eigenvalues."""
    p = model.parameters

    def excess(log_lam):
        lam = np.exp(np.atleast_1d(log_lam))[:, None]
        rates = own_rate(model)(np.ones_like(lam), lam, np.ones(1), *p.of_expectations)
        return np.broadcast_to(rates - p.rho, lam.shape)[:, 0]

    grid = np.log(np.geomspace(*SEARCHED, GRID))
    with np.errstate(all="ignore"):
        signs = np.sign(excess(grid))
    at_zero = (signs[1:-1] == 0) & (signs[:-2] * signs[2:] < 0)  # a rate that is zero throughout has no root there
    found = [float(np.exp(x)) for x in grid[1:-1][at_zero]]
    for i in np.flatnonzero(signs[:-1] * signs[1:] < 0):
        found.append(float(np.exp(scipy.optimize.brentq(lambda x: excess(x)[0], *grid[i : i + 2], xtol=1e-14))))
    return sorted(found, reverse=True)


def why_a_line(model: Model) -> str:
    """What is to be said of a learned predictor without weight decay; empty for other models."""
    if model.structure.predictor != "learned" or model.weight_decay:
        return ""
    roots = ", ".join(f"{lam:.6g}" for lam in own_roots(model))
    return f"a line of them: lambda = {roots} at any s; {invariants(model)[-1].formula} tells where on it a mode ends"


def eigenvalue_of(model: Model, lam: float) -> float:
    """The eigenvalue of the correlation at which a predictor has the eigenvalue lam: f^-1, or balanced with it."""
    p = model.parameters
    if model.structure.predictor == "learned":
        return float(-eigenvalues.imbalance(0.0, lam, p.rate_ratio)[0])  # which decays to zero
    return float((eigenvalues.predictor_inverse(lam, p.alpha) - p.epsilon)[0])


def one_mode(model: Model, lam: float | None, eta) -> Equilibrium:
    """The equilibrium of a single mode whose predictor eigenvalue rests at lam; None: the dead mode."""
    if lam is not None:
        return Equilibrium.of(model, [Level.of(model, eigenvalue_of(model, lam), 1, eta, lam=lam)], 1, 0.0, False)
    return Equilibrium.of(model, [], 1, *invasion_of(model, []))


# --- equal modes ----------------------------------------------------------------------------------------------------


def _equal_modes(model: Model, s0: np.ndarray, eta) -> Equilibria:
    """All modes that survive are equal; what is conserved says at which level."""
    if remark := why_no_equal_modes(model, s0):
        return Equilibria(model, (), remark=remark)
    found = [equal_modes(model, s0, alive, eta) for alive in range(len(s0), 0, -1)]
    return Equilibria(model, tuple(found), remark=f"one of a family for each value of {invariants(model)[0].formula}")


def why_no_equal_modes(model: Model, s0: np.ndarray) -> str:
    """What is to be said where there is no equilibrium, or none can be told; empty where there is."""
    if model.weight_decay:
        return "none: weight decay shrinks what the loss would keep at any size"
    if not s0.any():
        return "none: all modes are dead from the start, and stay so"
    return "" if invariants(model) else "not determined: no invariant tells the members of the family apart"


def equal_modes(model: Model, s0: np.ndarray, alive: int, eta) -> Equilibrium:
    """The equilibrium of ``alive`` equal modes that has what the flow from s0 conserves, the others dead."""
    p, power_sum, alike = model.parameters, model.generated.conserved, np.arange(len(s0)) < alive
    assert power_sum is not None  # of losses whose modes are not independent, by ``check_analysed``
    conserved = power_sum.value

    def excess(level: float) -> float:
        return float((conserved(level * alike, p.alpha, p.epsilon) - conserved(s0, p.alpha, p.epsilon))[0])

    level = scipy.optimize.brentq(excess, 0.0, s0.sum(), xtol=1e-300, rtol=1e-15)
    dead = invasion_of(model, [level] * alive) if alive < len(s0) else (0.0, False)
    there = Level.of(model, level, alive, eta, neutral=len(invariants(model)))
    return Equilibrium.of(model, [there], len(s0), *dead)
