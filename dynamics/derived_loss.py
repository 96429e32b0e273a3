"""Define the typed interface of the generated modules: the functions that ``derivations`` wrote for one loss."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

Function = Callable[..., Any]  # a function of arrays, or of symbolic expressions in place of arrays
FOLDER = Path(__file__).parent / "generated"


class Integral(NamedTuple):
    """An expectation whose terms are divided by one or two norms, written as an integral over x and y in (0, oo).

    x is the integration variable of the first norm, and y that of the second norm (see ``numerics.quadrature``). With a
    single norm there is no y.

    mean_squares: function of the eigenvalues that returns, for each norm, the contributions of the modes to its mean
    square; the mean squares determine the scales of x and y. integrand: function of x and y (..., 1, K) at K nodes and
    of the eigenvalues (..., M, 1), which returns (..., M, K). powers: for each norm, the lowest exponent q of the
    divisors |norm|^q in the terms; other exponents of the same norm differ from the lowest by even numbers. size:
    function that returns the sum of the absolute values of the integrand's terms; if it is None, the absolute value of
    the integrand is used in place of this sum. softened: True if a constant is added to the square of a norm.
    differences: for each norm, True if it is the norm of a difference of the views, such as |p - z2|, without an added
    constant. () stands for False for all norms.
    """

    mean_squares: Function
    integrand: Function
    powers: tuple[float, ...] = (1, 1)
    size: Function | None = None
    softened: bool = False
    differences: tuple[bool, ...] = ()


class MatrixIntegral(NamedTuple):
    """One of the integrals over x and y in (0, oo) whose sum is a ``MatrixExpectation``.

    The terms of the expectation are divided by the norms of two vectors, which are linear maps of a vector l of
    independent standard normals. x is the integration variable of the first norm, and y that of the second norm. norms:
    names of the two vectors; the squared singular values of their maps determine the scales of x and y. integrand:
    function of x, y, the maps of all vectors, and the parameters of the loss; it returns a tuple of arrays (M, d), or a
    single array. driven: names of the vectors on which the forces in this tuple act.
    """

    norms: tuple[str, str]
    integrand: Function
    driven: tuple[str, ...]


class VectorProduct(NamedTuple):
    """A vector ``name`` = h(W_P) ``of`` in a loss, such as the prediction p1 = W_P z1.

    name, of: names of the two vectors. function: function h of the eigenvalues lambda of W_P and of the parameters of
    the loss; None for lambda itself. stopped: True if no gradient flows into the vector ``of``.
    """

    name: str
    of: str
    function: Function | None = None
    stopped: bool = False


@dataclass(frozen=True, eq=False)
class Expectation:
    """An expectation over Gaussian views: functions for the exact closure "gaussian" and the closure "mean_field".

    formula: exact expectation as a formula; None if the loss divides by norms, because the expectation then is no
    function of Gaussian moments alone. integrals: in this case, the terms of the exact expectation that contain norms,
    as a sum of integrals for quadrature. moments: the terms without norms, as a formula; they are added to the
    integrals. mean_field: approximate expectation as a formula, in which every norm and every sum over modes is
    replaced by its mean.
    """

    formula: Function | None = None
    mean_field: Function | None = None
    integrals: tuple[Integral, ...] = ()
    moments: Function | None = None

    def under(self, closure: str) -> Function | None:
        """Return the formula of the expectation under a closure; None if the expectation needs quadrature."""
        return self.mean_field if closure == "mean_field" else self.formula


@dataclass(frozen=True, eq=False)
class MatrixExpectation:
    """The expectations E[f l^T] of forces f, from which the forces on the encoder's weights and on W_P are computed.

    The expectations are formulas, or sums of integrals. A force is the negative gradient of the loss with respect to a
    vector: a representation, or a product of a representation with the predictor. l is a vector of independent standard
    normals, of which all vectors are linear functions. formula: function of the maps of all vectors, and of the
    parameters of the loss; it returns a tuple of arrays (M, d), or a single array. driven: names of the vectors on
    which the forces in this tuple act.
    """

    formula: Function | None = None
    driven: tuple[str, ...] = ()
    integrals: tuple[MatrixIntegral, ...] = ()


@dataclass(frozen=True, eq=False)
class ExactSolution:
    """The exact solution of the flow of one mode, in terms of the eigenvalue lambda of the predictor.

    s is the eigenvalue of the correlation. growth: function that returns log(s(t)/s(0)) at a time t; it takes lambda(0)
    and also log lambda(0), which stays finite if lambda = s^alpha overflows. time_to_reach: function that returns the
    time in which log lambda changes from a first to a second value. any_weight_decay: True if the solution also holds
    with weight decay. diverges: True if lambda may diverge at a finite time.
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
    """A quantity that the flow without weight decay conserves: a sum over modes of powers of s + epsilon.

    s are the eigenvalues of the correlation. alpha and epsilon are the parameters of the closed-form predictor, whose
    eigenvalues are (s + epsilon)^alpha. The power is 1 + a alpha. Each summand is divided by the second moment that the
    views share in the mode. formula: the sum for white views as text. of_views: the sum for any views as text.
    exponent: the number a. value: function that returns the sum. decay: function that returns the rate at which the sum
    decays under weight decay if epsilon = 0.
    """

    formula: str
    of_views: str
    exponent: int
    value: Function
    decay: Function


class Singularity(NamedTuple):
    """A set of views on which the gradient of one sample is infinite.

    Near the set, the gradient grows as (distance from the set)^order. quantity: with respect to what the gradient is
    taken: "rates" for the encoder's singular values, "predictor" for the eigenvalues of a learned predictor, "weights"
    for the encoder's weights. The gradient with respect to the weights is the product of the force on a representation
    and an input that is independent of this force. The gradient has the same order as the force.

    at: equation of the set. noiseless: True for views without noise, False for views with noise. conditions: number of
    linear conditions for each mode that define the set. The codimension of the set is ``conditions`` times the number
    of modes. For a hypersurface, ``conditions`` is 0 and the codimension is 1. order_alone: the order if there is only
    one mode; None if the gradient is finite in this case.
    """

    quantity: str
    at: str
    noiseless: bool
    conditions: int
    order: float
    order_alone: float | None

    def excludes(self, moment: float, modes: int) -> bool:
        """Return True if this set makes E|F|^moment infinite, where F is the gradient of one sample.

        E|F|^moment is infinite if the codimension of the set plus moment x order is zero or negative. modes: number of
        modes with an eigenvalue above zero.
        """
        order = self.order_alone if modes == 1 else self.order
        return order is not None and max(self.conditions * modes, 1) + moment * order <= 0


@dataclass(frozen=True, eq=False)
class DerivedLoss:
    """The functions and properties that were derived for one loss; a field that this loss does not have is None or ().

    Attributes
    ----------
    name : str
        Name of the generated module.
    loss : callable
        Function that returns the loss L of each sample.
    force_on_view1, force_on_view2, force_on_predictor : callable
        Functions that return, for each sample, -dL/dz1, -dL/dz2 and -dL/dlambda. z1 and z2 are the representations of
        views 1 and 2, and lambda are the eigenvalues of a learned predictor.
    independent_modes : bool
        True if the rate of each mode depends on the eigenvalues of this mode alone.
    rates, predictor_force : Expectation
        Rates of the modes, and the expected force on the eigenvalues of a learned predictor.
    forces : MatrixExpectation
        Expected forces on the vectors of the loss, from which the forces on the weights of the encoder and of the
        predictor are computed, for correlated inputs.
    vectors : tuple of str
        Names of the vectors on which ``forces`` depend: representations, and products with the predictor.
    products : tuple of VectorProduct
        The products of functions of the predictor with representations.
    no_closure : str
        Reason why the loss has no exact expectations for eigenmodes.
    no_matrices : str
        Reason why the loss has no ``forces``.
    exact : ExactSolution
        Exact solution of the flow of one mode.
    conserved : PowerSum
        Sum over modes that the flow without weight decay conserves.
    balanced : bool
        True if the flow without weight decay conserves s - lambda^2/a_P in each mode. Here s is the eigenvalue of the
        correlation, lambda the eigenvalue of a learned predictor, and a_P the learning rate of the predictor divided by
        that of the encoder.
    degrees : tuple of float
        Degrees of homogeneity of the rates: in s at fixed lambda, and in lambda at fixed s. None if the rates are not
        homogeneous.
    fixed_points, fold : callable
        Functions that return the fixed points of a mode, and the fold at which two fixed points meet, for a loss with
        independent modes.
    poles : callable
        Function that evaluates those functions of lambda in the gradient that may be infinite at lambda = 0.
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
    forces: MatrixExpectation | None = None
    vectors: tuple[str, ...] = ()
    products: tuple[VectorProduct, ...] = ()
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

        Returns None if E|F|^moment is finite. moment: 1 for the mean of the gradient, 2 for its variance. modes: number
        of modes with an eigenvalue above zero. quantity: with respect to what the gradient F is taken: "rates",
        "weights" or "predictor", as explained in ``Singularity``. noiseless: True if neither view has noise.
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
        """True if an exact expectation of the loss is a sum of integrals, as for losses that are divided by norms."""
        expectations = (self.rates, self.predictor_force, self.forces)
        return any(expectation is not None and expectation.integrals for expectation in expectations)

    @property
    def code(self) -> str:
        """Source code of the generated module."""
        return (FOLDER / f"{self.name}.py").read_text(encoding="utf-8") if self.source is None else self.source
