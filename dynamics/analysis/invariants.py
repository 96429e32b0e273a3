"""Define the function ``invariants``: quantities that a flow conserves, or that decay if there is weight decay."""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from dynamics import errors
from dynamics.generated import eigenvalues
from dynamics.model.model import Model, check_model
from dynamics.numerics.context import isolated
from dynamics.presentation.result import Result
from dynamics.presentation.text import Fact
from dynamics.results.trajectory import Trajectory

Array = npt.NDArray[np.float64]


@dataclass(frozen=True, repr=False, eq=False)
class Invariant(Result):
    """A function V of the state of a model that obeys V(t) = V(0) e^(-decay t) in the flow.

    A step of the descent map with learning rate eta changes V by an additional amount of order eta^2. If an Invariant
    is called with a trajectory of the model, it returns V along the trajectory.

    Attributes
    ----------
    formula : str
        V as text, with the names s (correlation eigenvalues), lam (predictor eigenvalues), alpha and epsilon (exponent
        and offset of a closed-form predictor), rate_ratio (learning rate of a learned predictor divided by that of the
        encoder), and cross (second moments that the views share).
    decay : ndarray of shape (...)
        Decay rate of V; zero if there is no weight decay.
    """

    formula: str
    decay: Array
    model: Model = field(repr=False)
    value: Callable[[Model, Trajectory], Array] = field(repr=False)

    def __call__(self, trajectory: Trajectory) -> Array:
        """Return V along a trajectory of the model: one value at each time (..., T, 1), or one per mode (..., T, M)."""
        errors.instance("trajectory", trajectory, Trajectory, "be a trajectory of the model")
        return self.value(self.model, trajectory)

    @property
    def headline(self) -> str:
        """The conserved quantity, and its decay."""
        return str(self)

    def facts(self) -> list[Fact]:
        """Return pairs of texts, name and value, that describe the quantity."""
        return [("quantity", self.formula), ("in the flow", self._decay), ("model", str(self.model))]

    def __str__(self) -> str:
        return f"{self.formula}: {self._decay}"

    @property
    def _decay(self) -> str:
        rates = np.unique(self.decay)
        several = f"{rates[0]:.6g} ... {rates[-1]:.6g}"
        listing = ", ".join(f"{rate:.6g}" for rate in rates) if len(rates) <= 4 else several
        return f"decays at the rate {listing}" if rates.any() else "conserved"


@isolated
def invariants(model: Model) -> tuple[Invariant, ...]:
    """Return the quantities that the flow of a model conserves, or that decay exponentially if there is weight decay.

    Parameters
    ----------
    model : Model
        Any model; its parameters may be arrays.

    Returns
    -------
    tuple of Invariant
        The conserved (with weight decay: decaying) quantities; empty if none is known for the model.

    Raises
    ------
    ArgumentError
        If the model is not a Model.

    Notes
    -----
    s_m and lambda_m are the eigenvalues of the correlation and of the predictor in mode m. Cosine losses conserve
    sum_m s_m, or |W|^2 if inputs are correlated. Isotropic cosine losses with a closed-form predictor,
    lambda_m = (s_m + epsilon)^alpha, conserve sum_m (s_m + epsilon)^(1 + alpha)/(1 + alpha). With a learned predictor,
    s_m - lambda_m^2/a_P of each mode is conserved, where a_P is the learning rate of the predictor divided by that of
    the encoder. If the views share the second moment c_m in mode m, each summand of a sum is divided by c_m, and
    s_m/c_m - lambda_m^2/a_P is conserved. Each conservation law follows from an identity that holds for every sample
    (``derivations/theory/invariants.py``).

    Examples
    --------
    >>> import dynamics as dyn
    >>> (total,) = dyn.invariants(dyn.Model("cosine"))
    >>> print(total)
    Sum_j[s[j]]: conserved
    >>> flow = dyn.solve(dyn.Model("cosine"), [0.1, 0.5], [0.0, 1.0])
    >>> total(flow).round(6).ravel().tolist()
    [0.6, 0.6]
    """
    check_model(model)
    model.check_one_layer()
    return tuple(invariant for invariant in (_power_sum(model), _imbalance(model)) if invariant is not None)


def _power_sum(model: Model) -> Invariant | None:
    conserved, structure, p = model.generated.conserved, model.structure, model.parameters
    if conserved is None:
        return None
    decay = conserved.decay(p.alpha, p.rho)[..., 0]
    if conserved.exponent == 0 and model.by_weights:
        return Invariant("|W|^2", decay, model, _size_of_weights)
    # The power sum is conserved if lambda is a power of s. Without weight decay, lambda may also be a power of
    # s + epsilon; with weight decay it may not, because weight decay acts on s alone.
    shifted = p.epsilon.any() and (structure.predictor == "normalized" or p.rho.any())
    if conserved.exponent != 0 and (model.by_weights or structure.tracked or shifted):
        return None
    formula = conserved.formula if model.views is None else conserved.of_views
    return Invariant(formula, decay, model, _value_of_power_sum)


def _value_of_power_sum(model: Model, trajectory: Trajectory) -> Array:
    conserved, p = model.generated.conserved, model.parameters
    assert conserved is not None  # ``_power_sum`` has checked this
    return conserved.value(trajectory.s, *(a[..., None, :] for a in (p.alpha, p.epsilon, p.cross)))


def _size_of_weights(model: Model, trajectory: Trajectory) -> Array:
    return (np.asarray(trajectory.weights, float) ** 2).sum(axis=(-2, -1))[..., None]


def _imbalance(model: Model) -> Invariant | None:
    if model.structure.predictor != "learned" or not model.generated.balanced or model.by_weights:
        return None
    decay = eigenvalues.imbalance_decay(model.parameters.rho)[..., 0]
    formula = eigenvalues.IMBALANCE if model.views is None else eigenvalues.IMBALANCE_OF_VIEWS
    return Invariant(formula, decay, model, _value_of_imbalance)


def _value_of_imbalance(model: Model, trajectory: Trajectory) -> Array:
    p = model.parameters
    return eigenvalues.imbalance(trajectory.s, trajectory.predictor, p.rate_ratio[..., None, :], p.cross[..., None, :])
