"""The rates r_m of a model under a closure, and the force on its learned predictor, with NumPy or inside JAX."""

import warnings
from typing import Any, NamedTuple

import numpy as np

from dynamics import errors
from dynamics.model import Model
from dynamics.quadrature import Adaptive, fixed_rule, relative_error
from dynamics.state import Parameters, State, Structure, spectrum

CLOSURES = ("gaussian", "mean_field")


class Forces(NamedTuple):
    """r_m, and the force on the eigenvalues of a learned predictor (else None), each (..., M)."""

    rates: Any
    on_predictor: Any = None


class Rates:
    """The generated array code of a model, bound to its parameters.

    closure: "gaussian" (exact) or "mean_field" (cosine losses only: the Euclidean ones need no closure).
    rtol: relative tolerance of the Gaussian closure's quadrature. parameters: of one member of an ensemble.
    """

    def __init__(self, model: Model, closure="gaussian", rtol=1e-9, parameters: Parameters | None = None):
        errors.choice("closure", closure, CLOSURES)
        if closure == "mean_field" and not hasattr(model.generated, "INTEGRALS"):
            must = f"be 'gaussian' for the {model.loss} loss, whose rates are exact without a mean field"
            errors.reject("closure", must, closure)
        self.model, self.closure, self.rtol = model, closure, max(rtol, 1e-12)
        self.structure, self.parameters = model.structure, parameters or model.parameters
        self.formulas = {q: formula(model.generated, q, closure) for q in quantities(self.structure)}
        self.quadratures = {
            q: Adaptive(model.generated.INTEGRALS[q], self.rtol) for q, known in self.formulas.items() if known is None
        }

    def __call__(self, state: State) -> Forces:
        """Forces in a state, (..., M)."""
        arguments = (*spectrum(self.structure, self.parameters, state), self.parameters.sigma1, self.parameters.sigma2)
        return Forces(*(self._evaluate(quantity, arguments) for quantity in self.formulas))

    def _evaluate(self, quantity: str, arguments) -> np.ndarray:
        if (known := self.formulas[quantity]) is not None:
            return known(*arguments)
        shape = arguments[0].shape
        rows = [np.broadcast_to(a, (*shape[:-1], a.shape[-1])).reshape(-1, a.shape[-1]) for a in arguments]
        return self.quadratures[quantity](*rows).value.reshape(shape)

    def of_eigenvalues(self, s: np.ndarray) -> np.ndarray:
        """r_m at eigenvalues s (..., M) of a model in which nothing else moves."""
        return self(State(np.sqrt(s))).rates

    def relax(self) -> None:
        """Let the quadratures save nodes; forces change by less than their tolerance."""
        for quadrature in self.quadratures.values():
            quadrature.relax()

    @property
    def error(self) -> float:
        """Largest estimated relative error of the closure so far; 0 where it is a formula."""
        return max((quadrature.worst for quadrature in self.quadratures.values()), default=0.0)

    @property
    def nodes(self) -> tuple[int, int] | None:
        """Nodes of the last evaluation on the two axes, the most any quantity needed; None where there are formulas."""
        found = [quadrature.nodes for quadrature in self.quadratures.values()]
        return (max(x for x, _ in found), max(y for _, y in found)) if found else None

    def note_error(self, error: float) -> None:
        """Take account of an error that the same closure made elsewhere."""
        for quadrature in self.quadratures.values():
            quadrature.worst = max(quadrature.worst, error)

    def warn_if_inaccurate(self) -> None:
        """AccuracyWarning if a quadrature missed its tolerance."""
        if self.quadratures and self.error > self.rtol:
            most = max(quadrature.max_nodes for quadrature in self.quadratures.values())
            warnings.warn(
                f"The Gaussian closure's quadrature reached a relative error of {self.error:.1e}, "
                f"not the {self.rtol:.1e} aimed at (at most {most} nodes an axis).",
                errors.AccuracyWarning,
                stacklevel=3,
            )


def quantities(structure: Structure) -> list[str]:
    """The expectations that a model with this structure needs."""
    return ["rates", "predictor_force"] if structure.predictor == "learned" else ["rates"]


def formula(generated, quantity: str, closure: str):
    """The generated function for an expectation under a closure; None where it is an integral."""
    return getattr(generated, f"{quantity}_mean_field" if closure == "mean_field" else quantity, None)


def traceable(generated, structure: Structure, closure: str, nodes: tuple[int, int] | None):
    """(Forces, their estimated relative error) as a function of (state, parameters) that JAX can trace."""

    def one(quantity: str, arguments):
        if (known := formula(generated, quantity, closure)) is not None:
            return known(*arguments), 0.0
        assert nodes is not None
        found = fixed_rule(generated.INTEGRALS[quantity], arguments, nodes)
        return found.value, relative_error(arguments[0], found, found.error)

    def forces(state: State, parameters: Parameters):
        arguments = (*spectrum(structure, parameters, state), parameters.sigma1, parameters.sigma2)
        values, found = zip(*(one(quantity, arguments) for quantity in quantities(structure)), strict=True)
        return Forces(*values), sum(found)

    return forces
