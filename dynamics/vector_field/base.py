"""Define the base class of vector fields, and choose the closure: the way expectations of a loss are computed."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from dynamics import errors
from dynamics.model.model import Model
from dynamics.model.parameters import Parameters
from dynamics.numerics.adaptive_quadrature import Adaptive
from dynamics.numerics.quadrature import CANCELLED
from dynamics.vector_field import update
from dynamics.vector_field.state import Forces, Observables, State

CLOSURES = ("gaussian", "mean_field", "monte_carlo")
SAMPLED = "expectations as means over samples"
SMALLEST_RTOL = 1e-12  # smallest relative tolerance that a quadrature can meet in double precision


def choose_closure(model: Model, closure: str | None) -> str:
    """Return the name of the closure by which the expectations of the loss are computed; raises ArgumentError.

    For closure=None, the name is "gaussian" if exact expectations of the loss can be derived, else "monte_carlo".
    """
    reason = model.generated.no_closure
    if closure is None:
        return "gaussian" if reason is None else "monte_carlo"
    errors.choice("closure", closure, CLOSURES)
    if reason is not None and closure != "monte_carlo":
        errors.reject("closure", f"be 'monte_carlo' for this loss, because {reason}", closure)
    if closure == "monte_carlo" and model.inputs is not None:
        requirement = "be 'gaussian' for a model with `inputs`, because weights have no other closure"
        errors.reject("closure", requirement, closure)
    return closure


class VectorField(ABC):
    """The vector field of a model: forces on its dynamical variables, velocity of the flow, step of the descent map.

    Forces are the negative gradients of the expected loss in a state; the closure is the way expectations are computed.

    Parameters
    ----------
    model : Model
    expectations : mapping
        Expectations that ``derivations`` derived for the loss and that the forces need, by name.
    closure : {"gaussian", "mean_field", "monte_carlo"}
        "gaussian" is exact for Gaussian inputs. "mean_field" replaces norms and sums by their means, for losses that
        divide by norms. "monte_carlo" takes means over samples.
    rtol : float
        Relative tolerance of the Gaussian closure's quadrature.
    parameters : Parameters, optional
        Parameters that replace those of the model, for a field of some members of an ensemble.
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
                f"be 'gaussian' for the {model.loss_name} loss: its exact rates are formulas, so that no mean-field "
                "approximation is needed"
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
        """Return the initial state at validated eigenvalues (..., M), or weights (..., M, N) for correlated inputs.

        Raises ArgumentError if an expectation of the loss is infinite in this state.
        """

    @abstractmethod
    def forces(self, state: State) -> Forces:
        """Return the forces on the encoder and on a learned predictor in a state."""

    @abstractmethod
    def correlation(self, encoder: Any) -> Any:
        """Return the correlation of the representations of an encoder: eigenvalues (..., M) or a matrix (..., M, M)."""

    @abstractmethod
    def observables(self, state: State) -> Observables:
        """Return the observables of a state: eigenvalues of correlation, target and predictor."""

    def velocity(self, state: State, learning_rate: Any) -> State:
        """Return the time derivative d state/dt of a state in the gradient flow."""
        return update.velocity(state, self.forces(state), self.broadcast, learning_rate, self.correlation)

    def step(self, state: State, learning_rate: Any) -> State:
        """Return the state after one step of gradient descent on the expected loss."""
        return update.step(state, self.forces(state), self.broadcast, learning_rate, self.correlation)

    @property
    def broadcast(self) -> Parameters:
        """Parameters with as many trailing axes as the dynamical variables: (..., 1) or (..., 1, 1)."""
        return self.parameters if self.axes == 1 else self.parameters.map(lambda a: a[..., None])

    def batch(self, state: State) -> tuple[int, ...]:
        """Return the shape of the ensemble whose members the state contains; () for a single trajectory."""
        return state.encoder.shape[: state.encoder.ndim - self.axes]

    def _quadrature(self, expectation: Any) -> Adaptive:
        return Adaptive(expectation.integrals, self.rtol)

    def _check_means(self, quantity: str, modes: npt.NDArray[np.int64]) -> None:
        """Raise ArgumentError if the mean of a gradient is infinite.

        quantity: the gradient, named as in ``Singularity``. modes: number of modes above zero, (...).
        """
        if self.closure == "mean_field" or not self.model.generated.singularities:
            return
        silent = (self.parameters.sigma1 == 0) & (self.parameters.sigma2 == 0)
        pairs = np.broadcast_arrays(modes, silent[..., 0])
        for number, noiseless in sorted(set(zip(*(array.ravel().tolist() for array in pairs), strict=True))):
            found = self.model.generated.infinite_moment(1, number, quantity=quantity, noiseless=noiseless)
            if number and found is not None:
                modes_above_zero = f"{number} mode{'s' * (number > 1)} above zero"
                raise errors.ArgumentError(
                    f"Argument `loss` must have a gradient with a finite expectation, but with {modes_above_zero} that "
                    f"of {self.model.loss_name} is infinite: it diverges at {found.at}."
                )

    def accumulate(self, duration: float) -> None:
        """Integrate the rates of the last evaluation, and their errors, over the duration of a step.

        Rates that are zero within their error, for example at a fixed point, are left out: their errors do not add up
        along the trajectory.
        """
        for quadrature in self.quadratures.values():
            error, rate = quadrature.latest
            if error < rate:
                self.drift, self.path = self.drift + duration * error, self.path + duration * rate

    @property
    def error(self) -> float:
        """Largest relative error of the forces so far.

        The error is an estimate for a quadrature, a standard error for samples, and 0 for formulas. An error of 1 means
        that rates are zero within their error.
        """
        if self.samples is not None:
            return self.samples.worst
        return max((quadrature.worst for quadrature in self.quadratures.values()), default=0.0)

    @property
    def nodes(self) -> tuple[int, int] | None:
        """Largest numbers of quadrature nodes in x and in y in the last evaluation; None without quadrature."""
        nodes = [quadrature.nodes for quadrature in self.quadratures.values()]
        return (max(x for x, _ in nodes), max(y for _, y in nodes)) if nodes else None

    def note_error(self, error: float) -> None:
        """Include in ``error`` the relative error of another evaluation of the same forces."""
        for quadrature in self.quadratures.values():
            quadrature.worst, quadrature.missed = max(quadrature.worst, error), max(quadrature.missed, error)
        if self.samples is not None:
            self.samples.worst = max(self.samples.worst, error)

    def note_errors_of(self, field: "VectorField") -> None:
        """Include in ``error`` the errors of another vector field, for some members of the ensemble."""
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
        """Warn (AccuracyWarning) if the errors of a quadrature exceed its tolerance.

        After calls of ``accumulate`` along a trajectory, the integrated errors are divided by the integrated rates (at
        least 1), and the ratio is compared with ``rtol``, the tolerance of the trajectory. Without such calls, the
        warning is given if a quadrature has missed its tolerance, or if rates are inaccurate by cancellation. Rates
        that are zero within their error, for example at a fixed point, do not count.
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
    """Broadcast the leading dimensions of each array (..., E) to the shape ``batch``, and flatten it to (B, E)."""
    whole = (a if a.shape[:-1] == batch else np.broadcast_to(a, (*batch, a.shape[-1])) for a in arrays)
    return [a.reshape(-1, a.shape[-1]) for a in whole]
