"""Define the typed interface of the generated modules: the functions that ``derivations`` wrote for one loss."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

Function = Callable[..., Any]  # a function of arrays, or of symbolic expressions in place of arrays
FOLDER = Path(__file__).parent / "generated"


class Integral(NamedTuple):
    """An expectation of terms that are divided by one or two norms, as an integral over x and y in (0, oo).

    x belongs to the first norm, and y to the second norm if there is one (see ``numerics.quadrature``). mean_squares:
    function of the eigenvalues that returns the contribution of each mode to the mean square of each norm; the mean
    squares set the scales of x and y. integrand: function of x and y (..., 1, K) at K nodes and of the eigenvalues
    (..., M, 1), which returns (..., M, K). powers: lowest inverse power of each norm; the inverse powers in all terms
    differ from the lowest power by even numbers. size: function that returns the sum of the absolute values of the
    integrand's terms; None if the absolute value of the integrand is used as this sum. softened: True if a constant is
    added to the square of a norm.
    """

    mean_squares: Function
    integrand: Function
    powers: tuple[float, ...] = (1, 1)
    size: Function | None = None
    softened: bool = False


class MatrixIntegral(NamedTuple):
    """A part of a ``MatrixExpectation``, as an integral over x and y in (0, oo); x and y belong to two norms.

    norm_vectors: function that returns the matrix X of each norm |X l|, with independent standard normals l. The
    squared singular values of the matrices set the scales of x and y. integrand: function of x, y and the matrices.
    """

    norm_vectors: Function
    integrand: Function


@dataclass(frozen=True, eq=False)
class Expectation:
    """An expectation over the Gaussian views, in the exact closure and in mean field.

    formula: exact expectation as a formula; None if the loss divides by norms, so that Gaussian moments do not suffice.
    mean_field: formula in which every norm and sum over modes is replaced by its mean. integrals: exact expectation as
    a sum of integrals, for quadrature. moments: formula of the terms without norms, which is added to the integrals.
    """

    formula: Function | None = None
    mean_field: Function | None = None
    integrals: tuple[Integral, ...] = ()
    moments: Function | None = None

    def under(self, closure: str) -> Function | None:
        """Return the formula of the expectation under a closure; None if the expectation is an integral."""
        return self.mean_field if closure == "mean_field" else self.formula


@dataclass(frozen=True, eq=False)
class MatrixExpectation:
    """The expectation E[g l^T] or E[h l^T], from which the gradient of a weight matrix is computed.

    The expectation is a formula, or a sum of integrals. g and h are the negative gradients of the loss with respect to
    the representations of views 1 and 2. The representations are linear maps of independent standard normals l.
    """

    formula: Function | None = None
    integrals: tuple[MatrixIntegral, ...] = ()


@dataclass(frozen=True, eq=False)
class ExactSolution:
    """The exact solution of the flow of one mode, in terms of the eigenvalue lambda of the predictor.

    growth: function that returns log(s(t)/s(0)) from lambda(0) and log lambda(0); the logarithm stays finite if
    lambda = s^alpha overflows. time_to_reach: function that returns the time between two values of log lambda.
    any_weight_decay: True if the solution holds with weight decay. diverges: True if lambda may diverge at a finite
    time.
    """

    name: str
    growth: Function
    time_to_reach: Function
    any_weight_decay: bool
    diverges: bool = False

    @property
    def cancels(self) -> bool:
        """True if terms of the solution nearly cancel, so that it must be evaluated in extended precision."""
        return self.name == "Lambert W" or self.diverges


@dataclass(frozen=True, eq=False)
class PowerSum:
    """A conserved quantity of the flow, the sum over modes of (s + epsilon)^(1 + exponent alpha).

    s are the eigenvalues of the correlation. alpha and epsilon are the parameters of the closed-form predictor, whose
    eigenvalues are (s + epsilon)^alpha. formula: the sum as text. exponent: the factor of alpha in the sum. value:
    function that returns the sum. decay: function that returns the rate at which the sum decays under weight decay.
    """

    formula: str
    exponent: int
    value: Function
    decay: Function


class Singularity(NamedTuple):
    """A set of views on which the gradient of one sample is infinite.

    Near the set, the gradient grows as (distance from the set)^order. quantity: "rates" for the force on a singular
    value; "weights" for the force on a representation, which is multiplied by an independent input in the gradient with
    respect to the weights; "predictor" for the force on an eigenvalue of the predictor. at: equation of the set.
    noiseless: True for views without noise, False for views with noise. conditions: number of linear conditions per
    mode that define the set. The codimension of the set is this number times the number of modes; for a hypersurface,
    ``conditions`` is 0 and the codimension is 1. order_alone: the order with a single mode; None if the gradient with a
    single mode is finite.
    """

    quantity: str
    at: str
    noiseless: bool
    conditions: int
    order: float
    order_alone: float | None

    def excludes(self, moment: float, modes: int) -> bool:
        """Return True if this set makes E|F|^moment infinite, where F is the gradient of one sample.

        The expectation is infinite if codimension + moment x order <= 0. modes: number of modes above zero.
        """
        order = self.order_alone if modes == 1 else self.order
        return order is not None and max(self.conditions * modes, 1) + moment * order <= 0


@dataclass(frozen=True, eq=False)
class DerivedLoss:
    """The functions and properties that were derived for one loss; a field that does not apply is None or empty.

    Attributes
    ----------
    name : str
        Name of the generated module.
    loss : callable
        Function that returns the loss L of each sample.
    force_on_view1, force_on_view2, force_on_predictor : callable
        Functions that return, for each sample, -dL/dz1 and -dL/dz2 for the representations of views 1 and 2, and
        -dL/dlambda for the eigenvalues of a learned predictor.
    independent_modes : bool
        True if the rate of each mode depends on the eigenvalues of this mode alone.
    rates, predictor_force : Expectation
        Rates of the modes, and the expected force on the eigenvalues of a learned predictor.
    drive_on_view1, drive_on_view2 : MatrixExpectation
        Expectations from which the gradient of the weight matrix is computed, for correlated inputs.
    vectors : tuple of str
        Names of the representations on which ``drive_on_view1`` and ``drive_on_view2`` depend.
    no_closure : str
        Reason why the loss has no exact expectations for eigenmodes.
    no_matrices : str
        Reason why the loss has no ``drive_on_view1`` and ``drive_on_view2``.
    exact : ExactSolution
        Exact solution of the flow of one mode.
    conserved : PowerSum
        Sum over modes that the flow conserves.
    balanced : bool
        True if the flow without weight decay conserves s - lambda^2/a_P in each mode. Here s is the eigenvalue of the
        correlation, lambda the eigenvalue of a learned predictor, and a_P the learning rate of the predictor divided by
        that of the encoder.
    degrees : tuple of float
        Degrees of homogeneity of the rates: in s at fixed lambda, and in lambda at fixed s. None if the rates are not
        homogeneous.
    fixed_points, fold : callable
        Fixed points of an independent mode, and the fold at which two fixed points meet.
    poles : callable
        Function that returns the values of the functions of lambda in the gradient that may be infinite at lambda = 0.
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
    degrees: tuple[float, float] | None = None
    fixed_points: Function | None = None
    fold: Function | None = None
    poles: Function | None = None
    singularities: tuple[Singularity, ...] = ()
    source: str | None = None

    def infinite_moment(
        self, moment: float, modes: int, *, quantity: str = "rates", noiseless: bool = False
    ) -> Singularity | None:
        """Return a singularity at which F, the gradient of one sample, grows so fast that E|F|^moment is infinite.

        Returns None if E|F|^moment is finite. moment: 1 for the mean, 2 for the variance. modes: number of modes with
        an eigenvalue above zero. quantity: which gradient F is: "rates", "weights" or "predictor", as explained in
        ``Singularity``. noiseless: True if neither view has noise.
        """
        sets = (s for s in self.singularities if (s.quantity, s.noiseless) == (quantity, noiseless))
        return next((singularity for singularity in sets if singularity.excludes(moment, modes)), None)

    def moment_exists(self, moment: float, modes: int, *, quantity: str = "rates", noiseless: bool = False) -> bool:
        """Return True if E|F|^moment is finite for the gradient F of one sample.

        The arguments are those of ``infinite_moment``.
        """
        return self.infinite_moment(moment, modes, quantity=quantity, noiseless=noiseless) is None

    @property
    def divides_by_norms(self) -> bool:
        """True if an exact expectation of the loss needs integrals, for example if the loss is divided by norms."""
        expectations = (self.rates, self.predictor_force, self.drive_on_view1, self.drive_on_view2)
        return any(expectation is not None and expectation.integrals for expectation in expectations)

    @property
    def code(self) -> str:
        """Source code of the generated module."""
        return (FOLDER / f"{self.name}.py").read_text(encoding="utf-8") if self.source is None else self.source
