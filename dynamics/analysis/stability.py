"""Compute the linear stability of equilibria, from the Jacobians of flow and descent map at equal modes.

Mode m has the singular value w_m and the eigenvalue s_m = w_m^2. The flow is dw_m/dt = w_m (r_m - rho), with rate r_m
and weight decay rho. "Equal modes" are modes with the same eigenvalue. With momentum, the descent map has a buffer for
each variable that follows gradient descent, and the model is given with the weight decay that acts at fixed points.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property, partial
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
import scipy.optimize

from dynamics.model.model import Model
from dynamics.model.momentum import Momentum
from dynamics.model.parameters import Parameters
from dynamics.numerics.values import Value
from dynamics.vector_field import update
from dynamics.vector_field.eigenmode_state import Rates, eigenvalues_of, initial, step, velocity
from dynamics.vector_field.eigenmodes import EigenmodeField
from dynamics.vector_field.state import Forces, State

MARGINAL = 1e-7  # growth rates below this fraction of the rates are zero within numerical errors
STEP = 0.01  # relative step of central differences; the error of the differences is of sixth order in this step
STEP_AT_KINK = 1e-5  # relative step for a normalized predictor, which has a kink where the largest modes are equal
SEARCHED = np.geomspace(1e-3, 1e3, 43)  # learning rates, times the size of the rates, at which stability is tested
BUFFER = "_buffer"  # end of the names of the buffers of momentum in a state
DIFFERENCE = ((1, 3 / 4), (2, -3 / 20), (3, 1 / 60))  # f' = sum_j c_j (f(x + j h) - f(x - j h))/h + O(h^6)

Complex = npt.NDArray[np.complex128]
Evolve = Callable[..., State]  # velocity of the flow, or step of the descent map
Stencil = list[tuple[float, State, Rates]]  # the terms of a central difference: weight, state, and rates at this state


@dataclass(frozen=True, eq=False)
class SurvivingModes(Value):
    """Surviving modes with equal eigenvalues at a fixed point, and the growth of small perturbations of these modes.

    jacobian: Jacobians of flow and descent map at the fixed point. neutral: number of eigenvalues of each Jacobian that
    are left out, because they belong to perturbations along a continuous family of fixed points. Such perturbations
    neither grow nor decay. growth: growth rates of all other perturbations in the flow. scale: |rate| + |weight decay|
    near the fixed point, to which growth rates are compared. largest_learning_rate: learning rate at which the descent
    map loses stability.
    """

    jacobian: "Jacobian"
    neutral: int
    growth: Complex
    scale: float
    largest_learning_rate: float

    @classmethod
    def at(
        cls,
        model: Model,
        s: float,
        count: int,
        eta: float | None,
        neutral: int = 0,
        lam: float = 1.0,
        momentum: Momentum | None = None,
    ) -> "SurvivingModes":
        """Return ``count`` surviving modes with the same eigenvalue s, and the growth of small perturbations.

        eta: learning rate of a model with an EMA target or tracking, whose flow depends on eta; None for other models.
        neutral: number of eigenvalues of the Jacobian that are left out, because they belong to perturbations along a
        continuous family of fixed points. lam: eigenvalue of a learned predictor. momentum: momentum of the descent
        map.
        """
        jacobian = Jacobian(model, s, count, lam, momentum)
        growth = jacobian.of_flow(eta, neutral)
        scale = jacobian.scale() or float(np.abs(growth).max(initial=0.0))
        modes = cls(jacobian, neutral, growth, scale, np.nan)
        return replace(modes, largest_learning_rate=_largest_learning_rate(modes))

    @property
    def growth_error(self) -> float:
        """Numerical error of growth rates; a growth rate whose absolute value is below this error counts as zero."""
        return MARGINAL * max(self.scale, float(self.jacobian.model.weight_decay))

    @property
    def s(self) -> float:
        """Correlation eigenvalue of the surviving modes, which is the same for all of them."""
        return self.jacobian.s

    @property
    def lam(self) -> float:
        """Eigenvalue of a learned predictor; not used for other predictors."""
        return self.jacobian.lam

    @property
    def count(self) -> int:
        """Number of surviving modes."""
        return self.jacobian.count

    def multipliers(self, learning_rate: float) -> Complex:
        """Return the factors by which a step of the descent map multiplies perturbations."""
        return self.jacobian.of_map(learning_rate, self.neutral)


@dataclass(frozen=True, eq=False)
class Jacobian(Value):
    """The Jacobians of flow and descent map of a model with ``count`` modes that all have the eigenvalue s.

    A mode has V dynamical variables (encoder, target, ...). As equal modes are exchangeable, two blocks (V, V)
    determine the Jacobian of all modes: one block for perturbations that are the same for all modes, and one block for
    perturbations that are opposite in two modes. lam: eigenvalue of a learned predictor. momentum: momentum of the
    descent map, which then has further variables, the buffers; None without momentum.
    """

    model: Model
    s: float
    count: int
    lam: float
    momentum: Momentum | None = None

    @cached_property
    def _stencils(self) -> list[list[Stencil]]:
        """Terms of the central differences that approximate the columns of both blocks of the Jacobian.

        There is a column for each dynamical variable of a mode. A term contains the rates at a perturbed state. The
        terms are cached, because flow and descent map use the same rates.
        """
        structure, count = self.model.structure, self.count
        fixed_point = update.with_buffers(initial(structure, np.full(count, self.s), self.lam), self.momentum)
        field = EigenmodeField(self.model, rtol=1e-12)
        patterns = [np.ones(count), np.eye(1, count)[0] - np.eye(1, count, 1)[0]][:count]
        size = STEP_AT_KINK if structure.predictor == "normalized" else STEP
        return [[_stencil(fixed_point, part, along, size, field) for part in _parts(fixed_point)] for along in patterns]

    def scale(self) -> float:
        """Return max |r_m| + |rho| near the fixed point; r_m are the rates of the modes, and rho is the weight decay.

        Rates contain the second moment that the views share. At the fixed point itself, r_m - rho is zero. Therefore
        r_m is computed at a state in which one mode has half of its singular value. The result is zero if the sum
        overflows.
        """
        model = self.model
        state = initial(model.structure, np.full(self.count, self.s), self.lam)
        halved = state._replace(encoder=np.where(np.arange(self.count) == 0, 0.5, 1.0) * state.encoder)
        try:
            rates = model.parameters.cross * EigenmodeField(model)(halved).rates
        except FloatingPointError:
            return 0.0
        size = float(np.abs(rates).max() + np.abs(model.weight_decay))
        return size if np.isfinite(size) else 0.0

    def of_flow(self, eta: float | None, neutral: int) -> Complex:
        """Return the eigenvalues of the flow's Jacobian, without the ``neutral`` eigenvalues that are nearest to 0."""
        return self._spectrum(partial(velocity, self.model.parameters), eta, neutral, 0.0)

    def of_map(self, eta: float, neutral: int) -> Complex:
        """Return the eigenvalues of the descent map's Jacobian, without the ``neutral`` eigenvalues nearest to 1."""
        parameters = step_parameters(self.model, self.momentum)
        return self._spectrum(partial(step, parameters, momentum=self.momentum), eta, neutral, 1.0)

    def _spectrum(self, evolve: Evolve, eta: float | None, neutral: int, fixed: float) -> Complex:
        """Return the eigenvalues of the Jacobian of the flow or of the descent map.

        evolve: the velocity of the flow, or the step of the descent map, a function (state, rates, eta). eta: learning
        rate. The first block of the Jacobian describes perturbations that are the same for all modes; the second block
        describes each of the count - 1 differences between modes. neutral: number of eigenvalues of the first block
        that are left out, because they belong to perturbations that neither grow nor decay. They are the eigenvalues
        nearest to ``fixed``, which is 0 for the flow and 1 for the descent map.
        """
        common, *differences = (np.linalg.eigvals(block) for block in self._blocks(evolve, eta))
        common = common[np.argsort(np.abs(common - fixed))][neutral:]
        return np.sort_complex(np.concatenate([common, *differences * (self.count - 1)]))

    def _blocks(self, evolve: Evolve, eta: float | None) -> list[npt.NDArray[np.float64]]:
        def first_mode(state: State, rates: Rates) -> npt.NDArray[np.float64]:
            return np.array([part[0] for part in evolve(state, rates, eta) if part is not None])

        def derivative(stencil: Stencil) -> Any:
            return sum(weight * first_mode(state, rates) for weight, state, rates in stencil)

        def square(columns: list[Any]) -> npt.NDArray[np.float64]:
            return np.stack(columns[: len(columns[0])], axis=-1)  # the flow has no buffers, which come last

        return [square([derivative(stencil) for stencil in block]) for block in self._stencils]


def step_parameters(model: Model, momentum: Momentum | None) -> Parameters:
    """Return the parameters of a step, for a model with the weight decay that acts at fixed points."""
    parameters = model.parameters
    return parameters if momentum is None else parameters._replace(rho=parameters.rho / momentum.decay_at_rest)


def collapsed_multipliers(model: Model, growth: float, momentum: Momentum | None, learning_rate: float) -> Complex:
    """Return the factors by which a step of the descent map multiplies perturbations of a collapsed mode.

    growth: growth rate r - rho of the mode, with rate r and weight decay rho. With momentum there are two factors, as
    the mode has a buffer.
    """
    if momentum is None or not np.isfinite(growth):
        return np.array([1 + learning_rate * growth], complex)
    rate = growth + float(model.weight_decay)
    state = State(np.array([1.0, 0.0]), encoder_buffer=np.array([0.0, 1.0]))  # one perturbation in each column
    parameters = step_parameters(model, momentum)
    after = update.step(state, Forces(rate * state.encoder), parameters, learning_rate, eigenvalues_of, momentum)
    return np.linalg.eigvals(np.array([after.encoder, after.encoder_buffer])).astype(complex)


def onset_of_instability(multipliers: Callable[[float], Complex], scale: float) -> float:
    """Return the smallest learning rate at which the absolute value of a multiplier reaches 1; inf if none is found.

    multipliers: function of the learning rate. scale: size of the rates. The result is 0 if no learning rate is small
    enough.
    """

    def excess(log_eta: float) -> float:
        return float(np.abs(multipliers(np.exp(log_eta))).max(initial=0.0)) - 1

    for low, high in pairwise(np.log(SEARCHED) - np.log(scale or 1.0)):
        if excess(high) >= 0:
            return 0.0 if excess(low) >= 0 else float(np.exp(scipy.optimize.brentq(excess, low, high, rtol=1e-12)))
    return np.inf


def _parts(state: State) -> list[str]:
    return [name for name, part in state._asdict().items() if part is not None]


def _stencil(
    fixed_point: State, name: str, pattern: npt.NDArray[np.float64], size: float, field: EigenmodeField
) -> Stencil:
    """Return the terms of a central difference at a fixed point: a list of tuples (weight, state, rates in the state).

    name: the dynamical variable that is perturbed. pattern: direction (M,) of the perturbation. size: step of the
    difference, relative to the value of the variable.
    """
    part, stencil = getattr(fixed_point, name), []
    if name.endswith(BUFFER):  # a step is linear in the buffers, which do not change the rates
        rates = field(fixed_point)
        return [(1.0, fixed_point._replace(**{name: part + pattern}), rates), (-1.0, fixed_point, rates)]
    for multiple, coefficient in DIFFERENCE:
        for sign in (1, -1):
            state = fixed_point._replace(**{name: part + sign * multiple * size * part[0] * pattern})
            stencil.append((sign * coefficient / (size * part[0]), state, field(state)))
    return stencil


def _largest_learning_rate(modes: SurvivingModes) -> float:
    """Return the smallest learning rate eta at which the absolute value of a multiplier reaches 1.

    A multiplier is a factor by which a step of the descent map multiplies a perturbation. A perturbation with the
    growth rate g in the flow has the multiplier 1 + eta g, so that |1 + eta g| = 1 gives eta. With momentum, and for
    models with an EMA target or tracking, this formula does not hold, and eta is found by a search.
    """
    if modes.jacobian.momentum is None and not modes.jacobian.model.needs_learning_rate:
        noise = MARGINAL * modes.scale
        return min((-2 * g.real / abs(g) ** 2 for g in modes.growth if abs(g) > noise), default=np.inf)
    return onset_of_instability(modes.multipliers, modes.scale)
