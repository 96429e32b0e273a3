"""The interface of generated modules: the functions that ``derivations`` wrote for one loss, as a typed object."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

Function = Callable[..., Any]  # of arrays, or of expressions that stand for them
FOLDER = Path(__file__).parent / "generated"


class Integral(NamedTuple):
    """A double integral over (0, oo)^2 of the Gaussian closure, or a single one where there is one norm.

    mean_squares: function of the spectrum that gives the mean square of each norm, per mode: the scales of the axes.
    integrand: function of the nodes and the spectrum. powers: of each norm in the integrand's weight, the lowest.
    size: sum of the absolute values of the terms of the integrand; None: its own absolute value.
    """

    mean_squares: Function
    integrand: Function
    powers: tuple[float, ...] = (1, 1)
    size: Function | None = None


class MatrixIntegral(NamedTuple):
    """The same for matrices: ``norm_vectors`` gives X of each norm |X l|, whose squared singular values are scales."""

    norm_vectors: Function
    integrand: Function


@dataclass(frozen=True, eq=False)
class Expectation:
    """One expectation over the Gaussian views, and the closures that it has.

    formula: exact, where moments suffice. mean_field: every norm and sum replaced by its mean. integrals: exact, by
    quadrature. moments: the part, to be added to the integrals, that is a formula.
    """

    formula: Function | None = None
    mean_field: Function | None = None
    integrals: tuple[Integral, ...] = ()
    moments: Function | None = None

    def under(self, closure: str) -> Function | None:
        """The formula of the expectation under a closure; None where it is an integral."""
        return self.mean_field if closure == "mean_field" else self.formula


@dataclass(frozen=True, eq=False)
class MatrixExpectation:
    """E[g l^T] or E[h l^T] for weights as matrices: a formula, or integrals."""

    formula: Function | None = None
    integrals: tuple[MatrixIntegral, ...] = ()


@dataclass(frozen=True, eq=False)
class ExactSolution:
    """The solution of the flow of a mode: lambda(t), the time between two values, and when it diverges, if it does."""

    name: str
    predictor: Function
    time_to_reach: Function
    any_weight_decay: bool
    blow_up_time: Function | None = None

    @property
    def cancels(self) -> bool:
        """Whether its terms cancel, so that it is evaluated in extended precision."""
        return self.name == "Lambert W" or self.blow_up_time is not None


@dataclass(frozen=True, eq=False)
class PowerSum:
    """A conserved sum over modes of (s + epsilon)^(1 + exponent alpha): as text, its value and its decay rate."""

    formula: str
    exponent: int
    value: Function
    decay: Function


@dataclass(frozen=True, eq=False)
class DerivedLoss:
    """Everything that was derived for one loss; None, or empty, where the loss has no such property.

    name: of the module. loss: L of each sample. force_on_view1, force_on_view2: -dL/dz of each sample.
    rates: of the modes; predictor_force: on the eigenvalues of a learned predictor. drive_on_view1, drive_on_view2: on
    the weights, as matrices, of the representations named in ``vectors``.
    no_closure, no_matrices: why the loss has no exact expectations, of modes or of matrices.
    independent_modes: each mode moves by itself. fixed_points, fold: of such a mode. poles: functions of lambda that
    the gradient contains and that are infinite where it has a pole. balanced: encoder and learned predictor share an
    invariant. source: code of a module written at run time.
    """

    name: str
    loss: Function
    force_on_view1: Function
    force_on_view2: Function
    independent_modes: bool
    force_on_predictor: Function | None = None
    rates: Expectation | None = None
    predictor_force: Expectation | None = None
    no_closure: str | None = None
    drive_on_view1: MatrixExpectation | None = None
    drive_on_view2: MatrixExpectation | None = None
    vectors: tuple[str, ...] = ()
    no_matrices: str | None = None
    exact: ExactSolution | None = None
    conserved: PowerSum | None = None
    balanced: bool = False
    fixed_points: Function | None = None
    fold: Function | None = None
    poles: Function | None = None
    source: str | None = None

    @property
    def divides_by_norms(self) -> bool:
        """Whether an exact expectation of the loss takes integrals, as that of a loss over powers of norms does."""
        expectations = (self.rates, self.predictor_force, self.drive_on_view1, self.drive_on_view2)
        return any(expectation is not None and expectation.integrals for expectation in expectations)

    @property
    def code(self) -> str:
        """The text of the module."""
        return (FOLDER / f"{self.name}.py").read_text(encoding="utf-8") if self.source is None else self.source
