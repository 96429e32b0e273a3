"""The rates r_m of eigenmodes, and the force on a learned predictor's, with NumPy or inside JAX."""

from typing import Any, NamedTuple

import numpy as np

from dynamics import state as modes
from dynamics.closure import Closure, formula, rows_of
from dynamics.model import Model
from dynamics.quadrature import fixed_rule, relative_errors, relevance
from dynamics.state import Parameters, Readings, State, Structure, each, spectrum


class Forces(NamedTuple):
    """r_m, and the force on the eigenvalues of a learned predictor (else None), each (..., M)."""

    rates: Any
    on_predictor: Any = None


class Rates(Closure):
    """What moves eigenmodes. Arguments as of ``Closure``."""

    def __init__(self, model: Model, closure="gaussian", rtol=1e-9, parameters: Parameters | None = None):
        super().__init__(model, quantities(model.structure), closure, rtol, parameters)

    def start(self, s0: np.ndarray) -> State:
        """The state at the start, from eigenvalues (..., M)."""
        return modes.initial(self.structure, s0, self.model.init)

    def __call__(self, state: State) -> Forces:
        """Forces in a state, (..., M)."""
        arguments = (*spectrum(self.structure, self.parameters, state), self.parameters.sigma1, self.parameters.sigma2)
        forces = Forces(*(self._evaluate(quantity, arguments) for quantity in self.formulas))
        if not self.quadratures:
            return forces
        # Where one mode is left, a loss that divides by norms is the sign of p . t: nothing moves that mode.
        left = relevance(arguments[0])
        last = left & (left.sum(axis=-1, keepdims=True) == 1)
        return each(lambda force: np.where(last, 0.0, force), forces)

    def _evaluate(self, quantity: str, arguments) -> np.ndarray:
        if (known := self.formulas[quantity]) is not None:
            return known(*arguments)
        shape = arguments[0].shape
        return self.quadratures[quantity](*rows_of(arguments, shape[:-1])).value.reshape(shape)

    def velocity(self, state: State, learning_rate) -> State:
        """d state/dt."""
        return modes.velocity(self.structure, self.parameters, state, self(state), learning_rate)

    def step(self, state: State, learning_rate) -> State:
        """The state after a step of gradient descent."""
        return modes.step(self.structure, self.parameters, state, self(state), learning_rate)

    def readings(self, state: State) -> Readings:
        """What is reported of a state."""
        return modes.readings(self.structure, self.parameters, state)

    def of_eigenvalues(self, s: np.ndarray) -> np.ndarray:
        """r_m at eigenvalues s (..., M) of a model in which nothing else moves."""
        return self(State(np.sqrt(s))).rates


def quantities(structure: Structure) -> list[str]:
    """The expectations that a model with this structure needs."""
    return ["rates", "predictor_force"] if structure.predictor == "learned" else ["rates"]


def traceable(generated, structure: Structure, closure: str, nodes: tuple[int, int] | None):
    """(Forces, their estimated relative error) as a function of (state, parameters) that JAX can trace."""

    def one(quantity: str, arguments):
        if (known := formula(generated, quantity, closure)) is not None:
            return known(*arguments), 0.0
        assert nodes is not None
        found = fixed_rule(generated.INTEGRALS[quantity], arguments, nodes)
        return found.value, relative_errors(arguments[0], found, [found.error])[0]

    def forces(state: State, parameters: Parameters):
        arguments = (*spectrum(structure, parameters, state), parameters.sigma1, parameters.sigma2)
        values, found = zip(*(one(quantity, arguments) for quantity in quantities(structure)), strict=True)
        return Forces(*values), sum(found)

    return forces
