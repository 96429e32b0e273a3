"""Define the vector field of eigenmodes as functions that JAX can trace."""

from collections.abc import Iterator, Sequence
from typing import Any

from dynamics.derived_loss import DerivedLoss, Expectation
from dynamics.model.parameters import Parameters, Structure
from dynamics.numerics.compiled_quadrature import BlockedRule, estimate_by_rules, values_by_rules
from dynamics.numerics.quadrature import relative_errors
from dynamics.vector_field.eigenmode_state import Rates, spectrum
from dynamics.vector_field.eigenmodes import expectations_of, last_mode, set_to_zero
from dynamics.vector_field.state import State

Rules = Sequence[Sequence[BlockedRule]]  # one list of quadrature rules for each expectation that is an integral


class TracedField:
    """The vector field of eigenmodes as functions that JAX can trace.

    The functions take the quadrature rules as an argument ``rules``. This argument contains one list for each
    expectation that is a sum of integrals, in the order of ``EigenmodeField.quadratures``. The list contains one rule
    for each integral of the sum.
    """

    def __init__(self, derived: DerivedLoss, structure: Structure, closure: str):
        self.structure, self.closure = structure, closure
        self.expectations = list(expectations_of(derived, structure).values())
        self.integrals = [e.integrals for e in self.expectations if not e.under(closure)]
        self.conserves = derived.conserved is not None

    def __call__(self, state: State, parameters: Parameters, rules: Rules) -> Rates:
        """Return the rates (..., M) of the modes in a state, and the force on a learned predictor.

        rules: quadrature rules, as described in ``TracedField``.
        """
        arguments = self._arguments(state, parameters)
        pairs = zip(self.integrals, rules, strict=True)
        integrals = iter([values_by_rules(of_one, arguments, own_rules) for of_one, own_rules in pairs])
        rates = Rates(*(self._value(expectation, integrals, arguments) for expectation in self.expectations))
        return set_to_zero(rates, last_mode(arguments[0])) if self.integrals and self.conserves else rates

    def error(self, state: State, parameters: Parameters, rules: Rules) -> Any:
        """Return the estimated relative error of the quadrature in states (..., M).

        For each expectation that is a sum of integrals, the largest relative error over all states is computed. These
        largest errors are added up. rules: quadrature rules, as described in ``TracedField``.
        """
        arguments = self._arguments(state, parameters)
        pairs = zip(self.integrals, rules, strict=True)
        estimates = [estimate_by_rules(of_one, arguments, own_rules) for of_one, own_rules in pairs]
        return sum(relative_errors(arguments[0], one, [one.error])[0] for one in estimates)

    def _value(self, expectation: Expectation, integrals: Iterator[Any], arguments: tuple[Any, ...]) -> Any:
        if (formula := expectation.under(self.closure)) is not None:
            return formula(*arguments)
        integral = next(integrals)
        return integral if expectation.moments is None else integral + expectation.moments(*arguments)

    def _arguments(self, state: State, parameters: Parameters) -> tuple[Any, ...]:
        return (*spectrum(self.structure, parameters, state), *parameters.of_expectations)
