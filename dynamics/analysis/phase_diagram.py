"""``phase_diagram``: the outcome of the descent map as a function of two parameters."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from dynamics import errors
from dynamics.analysis.ensemble_descent import BLOCK, ENDS, EnsembleDescent
from dynamics.analysis.fixed_points import check_one_start
from dynamics.model.model import Model
from dynamics.numerics.context import isolated
from dynamics.numerics.memory import check_size, check_steps
from dynamics.numerics.progress import check_progress
from dynamics.numerics.ranges import check_range
from dynamics.numerics.values import Value
from dynamics.solvers.problem import CLOSURE_SHARE
from dynamics.vector_field.base import choose_closure
from dynamics.vector_field.eigenmode_state import as_rows
from dynamics.vector_field.factory import vector_field_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Array = npt.NDArray[np.float64]
ARRAYS = 16  # arrays of one number for each point and mode, beside the states of a block of steps
Axis = tuple[str, npt.ArrayLike]  # the name of a parameter, and its range


@dataclass(frozen=True, eq=False)
class PhaseDiagram(Value):
    """The outcome of the descent map as a function of two parameters, at fixed initial eigenvalues.

    It is the result of ``phase_diagram``.

    Attributes
    ----------
    model : Model
        The model; the model's values of the two parameters are not used.
    s0 : ndarray of shape (M,)
        Initial eigenvalues.
    x, y : tuple of str and ndarray
        Name and values of the first parameter, (X,), and of the second parameter, (Y,).
    outcome : ndarray of str, shape (Y, X)
        "isotropic" (all modes survive, with equal eigenvalues), "anisotropic" (all survive, with different
        eigenvalues), "partial collapse", "collapse", "divergence", "oscillation" or "undecided" (none of these after
        the largest number of steps).
    s : ndarray of shape (Y, X, M)
        Final eigenvalues: 0 for modes that vanish, inf for modes that diverge.
    steps : ndarray of int, shape (Y, X)
        Number of steps after which the outcome was decided.
    status : str
        "complete", or how the computation was interrupted.
    """

    model: Model
    s0: Array
    x: tuple[str, Array]
    y: tuple[str, Array]
    outcome: npt.NDArray[np.object_]
    s: Array
    steps: npt.NDArray[np.int64]
    status: str = "complete"

    @isolated
    def plot(self, ax: "Axes | None" = None) -> "Axes":
        """Draw the plane of the two parameters, coloured by outcome; return the matplotlib Axes."""
        from dynamics.analysis.plotting import plot_phases

        return plot_phases(self, ax)

    def __str__(self) -> str:
        (x, x_values), (y, y_values) = self.x, self.y
        rows = [
            f"Phase diagram of {self.model}, {self.outcome.size} points",
            f"  {x} {x_values[0]:.6g} to {x_values[-1]:.6g}, {y} {y_values[0]:.6g} to {y_values[-1]:.6g}",
        ]
        for outcome in ENDS:
            share = np.mean(self.outcome == outcome)
            rows += [f"  {outcome}: {100 * share:.3g} %"] if share else []
        return "\n".join([*rows, f"  status {self.status}"])


@isolated
def phase_diagram(
    model: Model,
    s0: npt.ArrayLike,
    x: Axis,
    y: Axis,
    *,
    learning_rate: float | None = None,
    points: int = 50,
    steps: int = 20_000,
    closure: str | None = None,
    rtol: float = 1e-5,
    progress: bool | None = None,
) -> PhaseDiagram:
    """Return the outcome of the descent map s_m <- s_m (1 + eta (r_m - rho))^2 as a function of two parameters.

    Parameters
    ----------
    model : Model
        A single model with white inputs; the model's values of the two parameters are not used.
    s0 : array_like of shape (M,)
        Initial eigenvalues.
    x, y : tuple of str and array_like
        Name of a parameter, from ``model.parameter_names`` or "learning_rate", and its range: (low, high), or three or
        more ascending values.
    learning_rate : float, optional
        Learning rate eta > 0; required unless it is one of the two parameters.
    points : int
        Number of values in a range (low, high).
    steps : int
        Largest number of steps, rounded up to a multiple of 64.
    closure : str, optional
        Closure, as for ``solve``.
    rtol : float
        Requested relative accuracy of the eigenvalues s; the quadrature of the closure has a tenth of this tolerance.
    progress : bool, optional
        Show a progress bar; None: if the computation takes long.

    Returns
    -------
    PhaseDiagram
        Outcome, final eigenvalues and number of steps of each point. After an interruption, the outcome of all points
        that were not decided is "undecided".

    Raises
    ------
    ArgumentError
        For bad arguments, and models with correlated inputs.

    Notes
    -----
    r_m is the rate of mode m, rho the weight decay. All points are iterated as one ensemble, from which points with a
    decided outcome are removed. A mode has converged if the relative distance of its eigenvalue to the limit, which is
    extrapolated from the slowing down, is below 1e-3. A mode has vanished if it keeps shrinking below 1e-3 of the
    largest initial eigenvalue. A point oscillates if the amplitude of an oscillation does not decay.

    Examples
    --------
    >>> import dynamics as dyn
    >>> decays, rates = ("weight_decay", (0.0, 0.4)), ("learning_rate", (0.1, 0.5))
    >>> diagram = dyn.phase_diagram(dyn.Model("euclidean"), [0.5], decays, rates, points=2)
    >>> print(diagram.outcome)
    [['isotropic' 'collapse']
     ['isotropic' 'collapse']]
    """
    errors.instance("model", model, Model, "be a Model")
    if model.inputs is not None or model.batch_shape:
        requirement = "have white inputs and scalar parameters, because x and y vary the parameters of one model"
        errors.reject("model", requirement, model)
    points = errors.count("points", points, 2)
    x_axis, y_axis = _check_axis(model, "x", x, points), _check_axis(model, "y", y, points)
    start, shape = check_one_start(model, s0), (len(y_axis[1]), len(x_axis[1]))
    size = shape[0] * shape[1] * (len(start) * (BLOCK + ARRAYS) + ARRAYS)
    check_size(f"A phase diagram of {shape[1]:,} x {shape[0]:,} points", size, "Ask for fewer points.")
    ensemble, eta = _ensemble(model, x_axis, y_axis, learning_rate)
    if not start.any():
        errors.reject("s0", "have an eigenvalue above zero", start)
    check_progress(progress)
    steps, rtol = check_steps(steps, 1), errors.positive_number("rtol", rtol)
    field = vector_field_of(ensemble, choose_closure(model, closure), CLOSURE_SHARE * rtol)

    state, parameters = as_rows(field.start(np.broadcast_to(start, (*shape, len(start)))), field.parameters)
    descent = EnsembleDescent(field, state, parameters, np.broadcast_to(eta, (*shape, 1)).reshape(-1, 1), start)
    status = descent.follow(steps, progress)
    outcome, final = descent.outcome.reshape(shape), descent.s.reshape(*shape, -1)
    return PhaseDiagram(model, start, x_axis, y_axis, outcome, final, descent.steps.reshape(shape), status)


def _check_axis(model: Model, name: str, axis: Any, points: int) -> tuple[str, Array]:
    if not isinstance(axis, (tuple, list)) or len(axis) != 2:
        errors.reject(name, "be a pair (name, range): the name of a parameter, and its range", axis)
    parameter, given_range = axis
    values = check_range(name, given_range, points)
    return errors.choice(name, parameter, ("learning_rate", *model.parameter_names)), values


def _ensemble(
    model: Model, x: tuple[str, Array], y: tuple[str, Array], learning_rate: float | None
) -> tuple[Model, Array]:
    """Return the model with parameters for all points (Y, X) of the plane, and the learning rates (..., 1)."""
    if x[0] == y[0]:
        errors.reject("y", "name another parameter than `x`, because the diagram is a plane of two parameters", y[0])
    values = {x[0]: x[1], y[0]: y[1][:, None]}
    swept = values.pop("learning_rate", None)
    if swept is not None and learning_rate is not None:
        errors.reject("learning_rate", "be left out if x or y is 'learning_rate'", learning_rate)
    if swept is None:
        eta = np.asarray(errors.positive_number("learning_rate", learning_rate))
    else:
        eta = errors.positive("learning_rate", swept)
    return model.replace(**values), eta[..., None]
