"""The rates r_m of eigenmodes, and the force on a learned predictor's, with NumPy or inside JAX."""

from typing import Any, NamedTuple

import numpy as np

from dynamics.derived_loss import DerivedLoss
from dynamics.model.model import Model
from dynamics.model.parameters import Parameters, Structure
from dynamics.numerics.axes import significant_modes
from dynamics.numerics.quadrature import extents_of, fixed_rule, relative_errors
from dynamics.vector_field import eigenmode_state as modes
from dynamics.vector_field.base import VectorField, rows_of
from dynamics.vector_field.eigenmode_state import Observables, State, each, spectrum


class Forces(NamedTuple):
    """r_m, and the force on the eigenvalues of a learned predictor (else None), each (..., M)."""

    rates: Any
    on_predictor: Any = None


class EigenmodeField(VectorField):
    """What moves eigenmodes. Arguments as of ``VectorField``."""

    def __init__(self, model: Model, closure="gaussian", rtol=1e-9, parameters: Parameters | None = None):
        super().__init__(model, expectations_of(model.generated, model.structure), closure, rtol, parameters)

    def start(self, s0: np.ndarray) -> State:
        """The state at the start, from eigenvalues (..., M)."""
        return modes.initial(self.structure, s0, self.model.init)

    def __call__(self, state: State) -> Forces:
        """Forces in a state, (..., M)."""
        if self.samples is not None:
            found = spectrum(self.structure, self.parameters, state)
            return Forces(*self.samples(state.w, found.lam, found.ratio, self.parameters))
        arguments = (*spectrum(self.structure, self.parameters, state), *self.parameters.of_expectations)
        forces = Forces(*(self._evaluate(name, arguments) for name in self.expectations))
        if not self.quadratures or self.model.generated.conserved is None:
            return forces
        return _at_rest_if_last(forces, arguments[0])

    def _evaluate(self, name: str, arguments) -> np.ndarray:
        expectation = self.expectations[name]
        if (formula := expectation.under(self.closure)) is not None:
            return formula(*arguments)
        shape = arguments[0].shape
        integral = self.quadratures[name](*rows_of(arguments, shape[:-1])).value.reshape(shape)
        return integral if expectation.moments is None else integral + expectation.moments(*arguments)

    def velocity(self, state: State, learning_rate) -> State:
        """d state/dt."""
        return modes.velocity(self.structure, self.parameters, state, self(state), learning_rate)

    def step(self, state: State, learning_rate) -> State:
        """The state after a step of gradient descent."""
        return modes.step(self.structure, self.parameters, state, self(state), learning_rate)

    def observables(self, state: State) -> Observables:
        """What is reported of a state."""
        return modes.observables(self.structure, self.parameters, state)

    def of_eigenvalues(self, s: np.ndarray) -> np.ndarray:
        """r_m at eigenvalues s (..., M) of a model in which nothing else moves."""
        return self(State(np.sqrt(s))).rates


def _at_rest_if_last(forces: Forces, s) -> Forces:
    """Where one mode is left of a loss that conserves a sum over modes, nothing moves it: integrals are rounding."""
    xp = s.__array_namespace__()
    left = significant_modes(s)
    last = left & (xp.sum(left, axis=-1, keepdims=True) == 1)
    return each(lambda force: xp.where(last, 0.0, force), forces)


def expectations_of(derived: DerivedLoss, structure: Structure) -> dict[str, Any]:
    """The expectations that a model with this structure needs, by name."""
    needed = {"rates": derived.rates}
    return needed | {"predictor_force": derived.predictor_force} if structure.predictor == "learned" else needed


class TracedField:
    """The same with a fixed number of nodes on the two axes, as JAX can trace it."""

    def __init__(self, derived: DerivedLoss, structure: Structure, closure: str, nodes: tuple[int, int] | None):
        self.structure, self.closure, self.nodes = structure, closure, nodes or (0, 0)
        self.expectations = list(expectations_of(derived, structure).values())
        self.integrals = [] if nodes is None else [e.integrals for e in self.expectations if not e.under(closure)]
        self.conserves = derived.conserved is not None

    def ends(self, state: State, parameters: Parameters) -> list:
        """Where the axes of the integrals end; those of a state nearby serve as well."""
        arguments = self._arguments(state, parameters)
        return [extents_of(integrals, arguments) for integrals in self.integrals]

    def __call__(self, state: State, parameters: Parameters, ends: list | None = None) -> tuple[Forces, Any]:
        """(Forces, their estimated relative error), (..., M)."""
        arguments = self._arguments(state, parameters)
        ends = self.ends(state, parameters) if ends is None else ends
        found = [fixed_rule(rule, arguments, self.nodes, own) for rule, own in zip(self.integrals, ends, strict=True)]
        error = sum(relative_errors(arguments[0], one, [one.error])[0] for one in found)
        values = iter(found)
        forces = Forces(*(self._force(expectation, values, arguments) for expectation in self.expectations))
        return (_at_rest_if_last(forces, arguments[0]) if found and self.conserves else forces), error

    def _force(self, expectation, values, arguments):
        if (formula := expectation.under(self.closure)) is not None:
            return formula(*arguments)
        integral = next(values).value
        return integral if expectation.moments is None else integral + expectation.moments(*arguments)

    def _arguments(self, state: State, parameters: Parameters) -> tuple:
        return (*spectrum(self.structure, parameters, state), *parameters.of_expectations)
