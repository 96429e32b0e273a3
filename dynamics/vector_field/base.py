"""The expectations that move a model, under a closure: formulas, or integrals to a tolerance."""

import warnings
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any

import numpy as np

from dynamics import errors
from dynamics.model.model import Model
from dynamics.model.parameters import Parameters
from dynamics.numerics.adaptive import Adaptive

CLOSURES = ("gaussian", "mean_field", "monte_carlo")
SAMPLED = "expectations as means over samples"


def choose_closure(model: Model, closure: str | None) -> str:
    """The closure that is asked for; None: the exact one, where the loss has it. Raises ArgumentError."""
    missing = model.generated.no_closure
    if closure is None:
        return "gaussian" if missing is None else "monte_carlo"
    errors.choice("closure", closure, CLOSURES)
    if missing is not None and closure != "monte_carlo":
        errors.reject("closure", f"be 'monte_carlo' for this loss: {missing}", closure)
    if closure == "monte_carlo" and model.inputs is not None:
        errors.reject("closure", "be 'gaussian' for a model with `inputs`", closure)
    return closure


class VectorField(ABC):
    """Generated array code of a model, bound to its parameters, and how it moves a state.

    expectations: by name. closure: "gaussian" (exact), "mean_field" (cosine losses only: the Euclidean
    ones need no closure) or "monte_carlo". rtol: relative tolerance of the Gaussian closure's quadrature.
    parameters: of one member of an ensemble.
    """

    def __init__(
        self,
        model: Model,
        expectations: Mapping[str, Any],
        closure="gaussian",
        rtol=1e-9,
        parameters: Parameters | None = None,
    ):
        closure = choose_closure(model, closure)
        if closure == "mean_field" and not model.generated.divides_by_norms:
            must = f"be 'gaussian' for the {model.loss_name} loss, whose rates are exact without a mean field"
            errors.reject("closure", must, closure)
        self.model, self.closure, self.rtol = model, closure, max(rtol, 1e-12)
        self.structure, self.parameters = model.structure, parameters or model.parameters
        self.samples = None
        if closure == "monte_carlo":
            from dynamics.vector_field.monte_carlo import Samples

            self.samples = Samples(model.generated, model.structure.predictor == "learned")
            expectations = {}
        self.expectations = expectations
        self.quadratures = {
            name: self._quadrature(expectation)
            for name, expectation in expectations.items()
            if expectation.integrals and closure == "gaussian"
        }

    @abstractmethod
    def start(self, initial) -> Any:
        """The state at the start, from what ``solve`` and ``iterate`` are given."""

    @abstractmethod
    def __call__(self, state) -> Any:
        """The forces in a state."""

    @abstractmethod
    def velocity(self, state, learning_rate) -> Any:
        """d state/dt."""

    @abstractmethod
    def step(self, state, learning_rate) -> Any:
        """The state after a step of gradient descent."""

    @abstractmethod
    def observables(self, state) -> Any:
        """What is reported of a state."""

    def _quadrature(self, expectation) -> Adaptive:
        """The integrals of an expectation that has no formula."""
        return Adaptive(expectation.integrals, self.rtol)

    def relax(self) -> None:
        """Let the quadratures save nodes; forces change by less than their tolerance."""
        for quadrature in self.quadratures.values():
            quadrature.relax()

    @property
    def error(self) -> float:
        """Largest estimated relative error of the closure so far; 0 where it is a formula; standard, where sampled."""
        if self.samples is not None:
            return self.samples.worst
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
        if self.samples is not None:
            self.samples.worst = max(self.samples.worst, error)

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


def rows_of(arrays, batch: tuple[int, ...]) -> list[np.ndarray]:
    """Arrays whose leading dimensions broadcast to the batch, each flattened to (B, E)."""
    whole = (a if a.shape[:-1] == batch else np.broadcast_to(a, (*batch, a.shape[-1])) for a in arrays)
    return [a.reshape(-1, a.shape[-1]) for a in whole]
