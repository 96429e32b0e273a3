"""Typed interface of the generated modules: the functions that ``derivations`` wrote for one loss."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

Function = Callable[..., Any]  # of arrays, or of expressions that stand for them
FOLDER = Path(__file__).parent / "generated"


class Integral(NamedTuple):
    """An integral of the Gaussian closure over x and y in (0, oo), or over x alone if there is one norm.

    mean_squares: function of the spectrum that returns the mean square of each norm, per mode: the scales of the axes.
    integrand: function of the nodes and the spectrum. powers: lowest power of each norm in the integrand's weight.
    size: function that returns the sum of the absolute values of the integrand's terms; None if the absolute value of
    the integrand serves as its size.
    """

    mean_squares: Function
    integrand: Function
    powers: tuple[float, ...] = (1, 1)
    size: Function | None = None


class MatrixIntegral(NamedTuple):
    """An integral of the Gaussian closure for weights as matrices, over x and y in (0, oo).

    norm_vectors: function that returns the matrix X of each norm |X l|, with independent normals l; its squared
    singular values are the scales of the axes.
    """

    norm_vectors: Function
    integrand: Function


@dataclass(frozen=True, eq=False)
class Expectation:
    """An expectation over the Gaussian views, in each closure for which it was derived.

    formula: exact expectation, if moments suffice. mean_field: formula with every norm and sum replaced by its mean.
    integrals: exact expectation, by quadrature. moments: formula that is added to the integrals.
    """

    formula: Function | None = None
    mean_field: Function | None = None
    integrals: tuple[Integral, ...] = ()
    moments: Function | None = None

    def under(self, closure: str) -> Function | None:
        """Return the formula of the expectation under a closure; None if it is an integral."""
        return self.mean_field if closure == "mean_field" else self.formula


@dataclass(frozen=True, eq=False)
class MatrixExpectation:
    """E[g l^T] or E[h l^T] for weights as matrices: a formula or integrals.

    g and h are the forces on view 1 and 2; the views are linear maps of independent normals l.
    """

    formula: Function | None = None
    integrals: tuple[MatrixIntegral, ...] = ()


@dataclass(frozen=True, eq=False)
class ExactSolution:
    """The exact solution of the flow of a mode.

    predictor: lambda(t). time_to_reach: time between two values of lambda. any_weight_decay: True if it holds with
    weight decay. blow_up_time: time at which lambda diverges; None if it never does.
    """

    name: str
    predictor: Function
    time_to_reach: Function
    any_weight_decay: bool
    blow_up_time: Function | None = None

    @property
    def cancels(self) -> bool:
        """True if terms of the solution cancel, so that it is evaluated in extended precision."""
        return self.name == "Lambert W" or self.blow_up_time is not None


@dataclass(frozen=True, eq=False)
class PowerSum:
    """A conserved sum over modes of (s + epsilon)^(1 + exponent alpha): its formula, its value and its decay rate."""

    formula: str
    exponent: int
    value: Function
    decay: Function


class Singularity(NamedTuple):
    """A set of views on which the gradient of one sample is infinite: it grows as distance^order.

    quantity: "rates", the force on a singular value; "weights", the force on a representation, which times an
    independent input is the gradient with respect to the weights; or "predictor", the force on a predictor's
    eigenvalue. at: equation of the set. noiseless: True if the set is that of views without noise. conditions: linear
    conditions per mode that define the set, whose codimension is conditions times the number of modes; 0 for a
    hypersurface. order_alone: the order with a single mode, None if the gradient is finite then.
    """

    quantity: str
    at: str
    noiseless: bool
    conditions: int
    order: float
    order_alone: float | None

    def excludes(self, moment: float, modes: int) -> bool:
        """Return True if E|F|^moment of the gradient F is infinite: codimension + moment x order <= 0."""
        order = self.order_alone if modes == 1 else self.order
        return order is not None and max(self.conditions * modes, 1) + moment * order <= 0


@dataclass(frozen=True, eq=False)
class DerivedLoss:
    """Everything that was derived for one loss; a field is None or empty if the loss has no such property.

    Attributes
    ----------
    name : str
        Name of the generated module.
    loss : callable
        L of each sample.
    force_on_view1, force_on_view2, force_on_predictor : callable
        -dL/dz for each view, and the force on a learned predictor, of each sample.
    independent_modes : bool
        True if each mode moves independently of the others.
    rates, predictor_force : Expectation
        Rates of the modes, and the force on the eigenvalues of a learned predictor.
    drive_on_view1, drive_on_view2 : MatrixExpectation
        Expected gradients for weights as matrices, of the representations named in ``vectors``.
    no_closure, no_matrices : str
        Reason why the loss has no exact expectations, of modes or of matrices.
    exact : ExactSolution
        Solution of the flow of a mode.
    conserved : PowerSum
        Conserved sum over modes.
    balanced : bool
        True if s - lambda^2/a_P of encoder and learned predictor is conserved, with a_P the predictor's learning rate
        relative to the encoder's.
    fixed_points, fold : callable
        Fixed points of an independent mode, and the fold at which two of them meet.
    poles : callable
        Functions of lambda in the gradient that are infinite where the gradient has a pole.
    singularities : tuple of Singularity
        Sets of views on which the gradient of one sample is infinite.
    source : str
        Code of a module that was written at run time.
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
    singularities: tuple[Singularity, ...] = ()
    source: str | None = None

    def infinite_moment(
        self, moment: float, modes: int, *, quantity: str = "rates", noiseless: bool = False
    ) -> Singularity | None:
        """Return a singularity that makes E|F|^moment infinite, of the gradient F of one sample; None if it is finite.

        moment: 1 for the mean, 2 for the variance. modes: number of modes above zero. quantity: as in ``Singularity``.
        noiseless: True if neither view has noise.
        """
        sets = (s for s in self.singularities if (s.quantity, s.noiseless) == (quantity, noiseless))
        return next((singularity for singularity in sets if singularity.excludes(moment, modes)), None)

    def moment_exists(self, moment: float, modes: int, *, quantity: str = "rates", noiseless: bool = False) -> bool:
        """Return True if E|F|^moment of the gradient F of one sample is finite; arguments as ``infinite_moment``."""
        return self.infinite_moment(moment, modes, quantity=quantity, noiseless=noiseless) is None

    @property
    def divides_by_norms(self) -> bool:
        """True if an exact expectation of the loss needs integrals, for example if the loss is divided by norms."""
        expectations = (self.rates, self.predictor_force, self.drive_on_view1, self.drive_on_view2)
        return any(expectation is not None and expectation.integrals for expectation in expectations)

    @property
    def code(self) -> str:
        """Source code of the module."""
        return (FOLDER / f"{self.name}.py").read_text(encoding="utf-8") if self.source is None else self.source
