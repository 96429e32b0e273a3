"""Define the base class of vector fields, and choose the closure: the way in which expectations are computed."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any

import numpy as np
import numpy.typing as npt

from dynamics import errors
from dynamics.model.model import Model
from dynamics.model.momentum import Momentum
from dynamics.model.parameters import Parameters
from dynamics.model.views import MatrixViews
from dynamics.numerics.adaptive_quadrature import Adaptive
from dynamics.numerics.quadrature import CANCELLED
from dynamics.vector_field import update
from dynamics.vector_field.state import Forces, Observables, State

CLOSURES = ("gaussian", "mean_field", "monte_carlo", "samples")
SAMPLED = "expectations as means over samples"
NEEDS_MODES = "other closures need modes, whose eigenvectors do not rotate"
SMALLEST_RTOL = 1e-12  # smallest relative tolerance that a quadrature can meet in double precision


def choose_closure(model: Model, closure: str | None) -> str:
    """Return the name of the closure, the way in which the expectations of the loss are computed.

    closure: name that the user chose. For None, the function returns "gaussian" if exact expectations of the loss can
    be derived. Otherwise it returns "monte_carlo" for modes, and "samples" for weights. Raises ArgumentError if the
    chosen closure is unknown, or unavailable for the model.
    """
    sampled = "samples" if model.by_weights else "monte_carlo"
    reason = model.generated.no_matrices if model.by_weights else model.generated.no_closure
    if closure is None:
        return "gaussian" if reason is None else sampled
    errors.choice("closure", closure, CLOSURES)
    if closure == "samples":
        if not isinstance(model.views, MatrixViews) or model.views.samples is None:
            requirement = "be another closure, because the views of the model keep no samples (see `Views.measured`)"
            errors.reject("closure", requirement, closure)
        return closure
    if reason is not None and closure != sampled:
        errors.reject("closure", f"be '{sampled}' for this loss, because {reason}", closure)
    if closure == "monte_carlo" and model.by_weights:
        requirement = f"be 'gaussian' for a model with correlated inputs, because {NEEDS_MODES}"
        errors.reject("closure", requirement, closure)
    return closure


class VectorField(ABC):
    """The vector field of a model: the forces on the dynamical variables, the velocity of the flow, the descent step.

    The forces are the negative gradients of the expected loss in a state. The closure is the way in which expectations
    are computed.

    Parameters
    ----------
    model : Model
    expectations : mapping
        Expectations from which the forces are computed, by name; they are fields of the loss's ``DerivedLoss``.
    closure : {"gaussian", "mean_field", "monte_carlo", "samples"}
        "gaussian" is exact for Gaussian inputs. "mean_field", for losses that divide by norms, replaces each norm and
        each sum over modes by its mean. "monte_carlo" takes means over samples of Gaussian views, and "samples" takes
        means over measured samples.
    rtol : float
        Relative tolerance of the quadrature by which the Gaussian closure computes integrals.
    parameters : Parameters, optional
        Parameters used in place of the model's parameters, for the vector field of some members of an ensemble.
    """

    axes: int  # number of trailing axes of the encoder's array: 1 for eigenmodes, 2 for weights as matrices

    def __init__(
        self,
        model: Model,
        expectations: Mapping[str, Any],
        closure: str = "gaussian",
        rtol: float = 1e-9,
        parameters: Parameters | None = None,
    ):
        closure = choose_closure(model, closure)
        if closure == "mean_field" and not model.generated.divides_by_norms:
            requirement = (
                f"be 'gaussian' for the {model.loss_name} loss: the exact rates of this loss are formulas, so that no "
                "mean-field approximation is needed"
            )
            errors.reject("closure", requirement, closure)
        self.model, self.closure, self.rtol = model, closure, max(rtol, SMALLEST_RTOL)
        self.structure, self.parameters = model.structure, parameters or model.parameters
        self.samples = None
        if closure == "monte_carlo":
            from dynamics.vector_field.monte_carlo import Samples

            self.samples = Samples(model.generated, model.structure.predictor == "learned")
            expectations = {}
        self.drift = self.path = 0.0  # errors of the rates, and rates, integrated along a trajectory (``accumulate``)
        self.expectations = expectations
        self.quadratures = {
            name: self._quadrature(expectation)
            for name, expectation in expectations.items()
            if expectation.integrals and closure == "gaussian"
        }

    @abstractmethod
    def start(self, initial: npt.NDArray[np.float64]) -> State:
        """Return the initial state of the dynamics.

        initial: validated eigenvalues (..., M) of the correlation or, for correlated inputs, encoder weights
        (..., M, N). Raises ArgumentError if the expected gradient of the loss is infinite in this state.
        """

    @abstractmethod
    def forces(self, state: State) -> Forces:
        """Return the forces on the encoder and on a learned predictor in a state."""

    @abstractmethod
    def correlation(self, encoder: Any) -> Any:
        """Return the correlation of an encoder's representations: eigenvalues (..., M) or a matrix (..., M, M)."""

    @abstractmethod
    def observables(self, state: State) -> Observables:
        """Return the observables of a state, such as the eigenvalues of the correlation and of the predictor."""

    def distance_to_kink(self, state: State) -> float:
        """Return the smallest root mean square of a difference, such as p - z2, whose norm is a part of the loss.

        The root mean square is relative to that of the prediction. If it is zero, all samples are at a kink of the
        loss. Returns inf if the loss contains no norm of a difference.
        """
        return np.inf

    def velocity(self, state: State, learning_rate: Any, scheduled: Mapping[str, Any] = MappingProxyType({})) -> State:
        """Return the time derivative d state/dt of a state in the gradient flow.

        scheduled: values that take the place of parameters of the model at this time (``dynamics.model.schedules``).
        """
        parameters = self.broadcast._replace(**scheduled)
        return update.velocity(state, self.forces(state), parameters, learning_rate, self.correlation)

    def step(
        self,
        state: State,
        learning_rate: Any,
        scheduled: Mapping[str, Any] = MappingProxyType({}),
        momentum: Momentum | None = None,
    ) -> State:
        """Return the state after one step of gradient descent on the expected loss.

        scheduled: values that take the place of parameters of the model in this step (``dynamics.model.schedules``).
        momentum: None for gradient descent without momentum.
        """
        parameters = self.broadcast._replace(**scheduled)
        return update.step(state, self.forces(state), parameters, learning_rate, self.correlation, momentum)

    @property
    def broadcast(self) -> Parameters:
        """Parameters of the model in the shape (..., 1) for eigenmodes, or (..., 1, 1) for weight matrices."""
        return self.parameters if self.axes == 1 else self.parameters.map(lambda a: a[..., None])

    def batch(self, state: State) -> tuple[int, ...]:
        """Return the shape of the ensemble of models that a state describes; () for a single model."""
        return state.encoder.shape[: state.encoder.ndim - self.axes]

    def _quadrature(self, expectation: Any) -> Adaptive:
        return Adaptive(expectation.integrals, self.rtol)

    def _check_means(self, quantity: str, modes: npt.NDArray[np.int64]) -> None:
        """Raise ArgumentError if the mean of a gradient over the inputs is infinite.

        quantity: with respect to what the gradient is taken: "rates" for the encoder's singular values, "weights" for
        the encoder's weights, "predictor" for a learned predictor. modes: for each ensemble member, the number of modes
        with an eigenvalue above zero, (...).
        """
        if self.closure == "mean_field" or not self.model.generated.singularities:
            return
        silent = ((self.parameters.excess1 == 0) & (self.parameters.excess2 == 0)).all(axis=-1)
        pairs = np.broadcast_arrays(modes, silent)
        for number, noiseless in sorted(set(zip(*(array.ravel().tolist() for array in pairs), strict=True))):
            found = self.model.generated.infinite_moment(1, number, quantity=quantity, noiseless=noiseless)
            if number and found is not None:
                above_zero = f"{number} eigenvalue{'s' * (number > 1)} above zero"
                raise errors.ArgumentError(
                    f"Argument `loss` must have a gradient with a finite expectation, but with {above_zero} the "
                    f"expected gradient of {self.model.loss_name} is infinite: the gradient diverges at {found.at}."
                )

    def accumulate(self, duration: float) -> None:
        """Integrate the rates and their errors over one more step of a trajectory. duration: duration of the step.

        The largest rate of the last quadrature, times ``duration``, is added to ``path``. The largest error, times
        ``duration``, is added to ``drift``. Nothing is added if this error is at least as large as this rate, for
        example at a fixed point: such errors do not add up along a trajectory.
        """
        for quadrature in self.quadratures.values():
            error, rate = quadrature.latest
            if error < rate:
                self.drift, self.path = self.drift + duration * error, self.path + duration * rate

    @property
    def error(self) -> float:
        """Largest relative error of the forces in all evaluations so far.

        The error is an estimate if the forces are integrals, a standard error if they are means over samples, and 0 if
        they are formulas. For integrals, an error of 1 means that in some state all forces were smaller than their
        error.
        """
        if self.samples is not None:
            return self.samples.worst
        return max((quadrature.worst for quadrature in self.quadratures.values()), default=0.0)

    @property
    def nodes(self) -> tuple[int, int] | None:
        """Numbers of intervals of the x and of the y axis of the quadrature; None if the forces need no quadrature.

        For each axis, the largest number over all expectations from which the forces are computed is returned.
        """
        nodes = [quadrature.nodes for quadrature in self.quadratures.values()]
        return (max(x for x, _ in nodes), max(y for _, y in nodes)) if nodes else None

    def note_error(self, error: float) -> None:
        """Update the property ``error`` with a relative error of forces that compiled code has computed."""
        for quadrature in self.quadratures.values():
            quadrature.worst, quadrature.missed = max(quadrature.worst, error), max(quadrature.missed, error)
        if self.samples is not None:
            self.samples.worst = max(self.samples.worst, error)

    def note_errors_of(self, field: "VectorField") -> None:
        """Update the property ``error``, and the errors for warnings, with the errors of another vector field.

        field: the vector field with which a part of the ensemble's members was computed.
        """
        if field.drift * max(self.path, 1.0) > self.drift * max(field.path, 1.0):
            self.drift, self.path = field.drift, field.path
        for name, quadrature in self.quadratures.items():
            other = field.quadratures[name]
            quadrature.worst, quadrature.missed = (
                max(quadrature.worst, other.worst),
                max(quadrature.missed, other.missed),
            )
        if self.samples is not None and field.samples is not None:
            self.samples.worst = max(self.samples.worst, field.samples.worst)

    def warn_if_inaccurate(self, rtol: float = 0.0) -> None:
        """Issue an AccuracyWarning if the errors of a quadrature exceed the tolerance.

        rtol: relative tolerance of the trajectory. After calls of ``accumulate`` along a trajectory, ``drift`` holds
        the integrated errors and ``path`` the integrated rates. The warning is then given if drift/max(path, 1) exceeds
        the larger of ``rtol`` and the tolerance of the quadrature.

        Without such calls, the warning is given in two cases: a quadrature has missed its tolerance, or the rates are
        inaccurate because their terms nearly cancel. The second case does not include rates that are smaller than
        their error, for example at a fixed point.
        """
        if not self.quadratures:
            return
        if self.path:
            error, requested = self.drift / max(self.path, 1.0), max(rtol, self.rtol)
        else:
            requested = self.rtol
            missed = max(quadrature.missed for quadrature in self.quadratures.values())
            error = max(missed, self.error if self.rtol / CANCELLED < self.error < 1 else 0.0)
        if error > requested:
            most = max(quadrature.max_nodes for quadrature in self.quadratures.values())
            errors.warn_caller(
                f"The Gaussian closure's quadrature reached a relative error of {error:.1e}, "
                f"not the requested {requested:.1e} (with at most {most} nodes per axis).",
            )


def rows_of(arrays: Iterable[npt.NDArray[Any]], batch: tuple[int, ...]) -> list[npt.NDArray[Any]]:
    """Return arrays (..., K) as arrays (B, K), which have one row for each of the B members of an ensemble.

    batch: shape of the ensemble. The axes of each array before the last axis are broadcast to this shape and then
    flattened. The length K of the last axis may differ between the arrays.
    """
    whole = (a if a.shape[:-1] == batch else np.broadcast_to(a, (*batch, a.shape[-1])) for a in arrays)
    return [a.reshape(-1, a.shape[-1]) for a in whole]
