"""Define the vector field of eigenmodes: rates r_m of modes and the force on a learned predictor, in NumPy."""

from typing import Any

import numpy as np
import numpy.typing as npt

from dynamics.derived_loss import DerivedLoss, Expectation, Function
from dynamics.model.components import Reconstruction
from dynamics.model.model import Model
from dynamics.model.parameters import Parameters, Structure
from dynamics.numerics.axes import significant_modes
from dynamics.numerics.quadrature import mean_squares
from dynamics.vector_field import eigenmode_state
from dynamics.vector_field.base import VectorField, rows_of
from dynamics.vector_field.eigenmode_state import Rates, spectrum
from dynamics.vector_field.state import Forces, Observables, State, each


class EigenmodeField(VectorField):
    """The vector field of the eigenmodes of a model with white inputs.

    The eigenvectors of the correlation do not change in time. The constructor has the parameters of ``VectorField``.
    """

    axes = 1

    def __init__(
        self, model: Model, closure: str = "gaussian", rtol: float = 1e-9, parameters: Parameters | None = None
    ):
        super().__init__(model, expectations_of(model.generated, model.structure), closure, rtol, parameters)

    def start(self, initial: npt.NDArray[np.float64]) -> State:
        """Return the initial state at eigenvalues (..., M) of the correlation.

        Raises ArgumentError if the expected gradient of the loss is infinite in this state.
        """
        state = eigenmode_state.initial(self.structure, initial, self.model.init)
        if isinstance(self.model.target, Reconstruction):
            state = state._replace(target=np.sqrt(self.parameters.cross) + 0 * initial)
        modes = (initial > 0) if state.predictor is None else (initial > 0) & (state.predictor != 0)
        for quantity in ("rates",) if state.predictor is None else ("rates", "predictor"):
            self._check_means(quantity, modes.sum(axis=-1))
        return state

    def __call__(self, state: State) -> Rates:
        """Return the rates r_m (..., M) of the modes in a state, and the force on a learned predictor.

        If a formula overflows, the rates are not finite. If an integral overflows, FloatingPointError is raised.
        """
        with np.errstate(all="ignore"):
            return self._rates(state)

    def _rates(self, state: State) -> Rates:
        arguments = spectrum(self.structure, self.parameters, state)
        if self.samples is not None:
            return Rates(*self.samples(state.encoder, arguments.lam, arguments.ratio, self.parameters))
        every = (*arguments, *self.parameters.of_expectations)
        rates = Rates(*(self.expectation(name, every) for name in self.expectations))
        if not self.quadratures or self.model.generated.conserved is None:
            return rates
        last = last_mode(arguments.s)
        return set_to_zero(rates, last) if last.any() else rates

    def expectation(self, name: str, arguments: tuple[Any, ...]) -> npt.NDArray[np.float64]:
        """Return an expectation (..., M), such as the rates of the modes.

        name: key of the expectation in ``expectations``. arguments: the three fields of the state's ``Spectrum``,
        followed by the parameters on which expectations depend, each (..., M) or (..., 1).
        """
        expectation = self.expectations[name]
        if (formula := expectation.under(self.closure)) is not None:
            return formula(*arguments)
        shape = arguments[0].shape
        moments = np.zeros(shape) if expectation.moments is None else expectation.moments(*arguments) + np.zeros(shape)
        rows, (added,) = rows_of(arguments, shape[:-1]), rows_of([moments], shape[:-1])
        conserved = self.model.generated.conserved is not None

        def known() -> npt.NDArray[np.bool_]:
            return last_mode(rows[0]).any(axis=-1, keepdims=True) & conserved

        return self.quadratures[name].value(*rows, added=added, known=known).reshape(shape) + moments

    def distance_to_kink(self, state: State) -> float:
        """Return the smallest root mean square of a difference whose norm is a part of the loss (``VectorField``)."""
        arguments = (*spectrum(self.structure, self.parameters, state), *self.parameters.of_expectations)
        integrals = [integral for expectation in self.expectations.values() for integral in expectation.integrals]
        with np.errstate(all="ignore"):
            size = (arguments[0] * arguments[1] ** 2).sum()
            squares = [
                mean_squares(integral, arguments)[number].sum() / size
                for integral in integrals
                for number, is_difference in enumerate(integral.differences)
                if is_difference
            ]
        return float(np.sqrt(min(squares, default=np.inf)))

    def forces(self, state: State) -> Forces:
        """Return the forces on the encoder's singular values and on a learned predictor's eigenvalues."""
        return eigenmode_state.forces(self.parameters, state, self(state))

    def correlation(self, encoder: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """Return the eigenvalues (..., M) of the correlation for singular values of the encoder."""
        return eigenmode_state.eigenvalues_of(encoder)

    def observables(self, state: State) -> Observables:
        """Return the eigenvalues of the encoder's correlation, of the target's correlation and of the predictor."""
        return eigenmode_state.observables(self.structure, self.parameters, state)

    def of_eigenvalues(self, s: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """Return the rates r_m at eigenvalues s (..., M) of the correlation.

        The encoder must be the only dynamical variable of the model, so that s determines the state.
        """
        return self(State(np.sqrt(s))).rates


def set_to_zero(rates: Rates, last: Any) -> Rates:
    """Return the rates, and the force on a learned predictor, with zeros in the modes of the mask ``last``.

    last: mask (..., M) that ``last_mode`` returned.
    """
    return each(lambda values: values.__array_namespace__().where(last, 0.0, values), rates)


def last_mode(s: Any) -> Any:
    """Return a mask (..., M), True for a mode that is the only one left because all other modes have collapsed.

    Suppose that the flow conserves a sum of functions of the eigenvalues. If only one mode is left, this sum keeps the
    eigenvalue of the mode constant, and the rate of the mode is zero. Quadrature would return a rounding error in place
    of zero.
    """
    surviving = significant_modes(s)
    return surviving & (surviving.sum(axis=-1, keepdims=True) == 1)


def expectations_of(derived: DerivedLoss, structure: Structure) -> dict[str, Expectation]:
    """Return the expectations from which the forces are computed, in a dictionary with their names as keys.

    structure: components of the model. "rates" is always needed, "predictor_force" only for a learned predictor. The
    dictionary is empty if no expectations of the loss could be derived.
    """
    names = ("rates", "predictor_force") if structure.predictor == "learned" else ("rates",)
    needed = {"rates": derived.rates, "predictor_force": derived.predictor_force}
    return {name: expectation for name in names if (expectation := needed[name]) is not None}


def formulas_of(derived: DerivedLoss, structure: Structure, closure: str) -> list[Function | None]:
    """Return a list with the formula of each expectation under a closure, in the order of ``expectations_of``.

    The list contains None for an expectation that has no formula and is computed by quadrature.
    """
    return [expectation.under(closure) for expectation in expectations_of(derived, structure).values()]
