"""Define the function ``phase_diagram``, which computes outcomes of the descent map in a plane of two parameters."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from dynamics import errors
from dynamics.analysis.ensemble_descent import BLOCK, ENDS, EnsembleDescent
from dynamics.analysis.fixed_points import check_one_start
from dynamics.analysis.range_check import check_range_of_parameter
from dynamics.model.model import Model, check_model
from dynamics.model.options import shown
from dynamics.numerics.context import isolated
from dynamics.numerics.memory import check_size, check_steps
from dynamics.numerics.progress import check_progress
from dynamics.numerics.ranges import check_range
from dynamics.presentation.result import Result
from dynamics.presentation.text import Fact
from dynamics.solvers.problem import CLOSURE_SHARE
from dynamics.vector_field.base import choose_closure
from dynamics.vector_field.eigenmode_state import as_rows
from dynamics.vector_field.factory import vector_field_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Array = npt.NDArray[np.float64]
ARRAYS = 16  # number of arrays (points, modes) in memory, in addition to the eigenvalues of a block of steps
MOST_POINTS = 40_000  # of a picture that is drawn in a fraction of a second
Axis = tuple[str, npt.ArrayLike]  # name of a parameter, and range of this parameter


@dataclass(frozen=True, repr=False, eq=False)
class PhaseDiagram(Result):
    """The outcome of the descent map as a function of two parameters; the result of ``phase_diagram``.

    The descent maps at all points of the plane start from the same eigenvalues.

    Attributes
    ----------
    model : Model
        The model. Its own values of the two parameters are not used.
    s0 : ndarray of shape (M,)
        Initial eigenvalues.
    x, y : tuple of str and ndarray
        Name and values (X,) of the first parameter; name and values (Y,) of the second parameter.
    outcome : ndarray of str, shape (Y, X)
        "equal modes" (all modes survive and have equal eigenvalues), "unequal modes" (all modes survive and have
        different eigenvalues), "partial collapse" (some modes vanish), "collapse" (all modes vanish), "divergence",
        "oscillation", or "undecided" (no outcome was reached within the largest number of steps).
    s : ndarray of shape (Y, X, M)
        Final eigenvalues: 0 for modes that vanish, inf for modes that diverge.
    steps : ndarray of int, shape (Y, X)
        Number of steps after which the outcome was decided.
    status : str
        "complete", or a description of an interruption, or the number of points at which rates leave the range of
        double precision; these points are "undecided".
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

    @property
    def headline(self) -> str:
        """The essence of the result on one line."""
        columns, rows = len(self.x[1]), len(self.y[1])
        return f"{columns} x {rows} points, {self.x[0]} and {self.y[0]}, {shown(self.model, (self.x[0], self.y[0]))}"

    @property
    def title(self) -> str:
        """The kind of the result, the model, and the number of points."""
        return f"Phase diagram of {shown(self.model, (self.x[0], self.y[0]))}, {self.outcome.size} points"

    def facts(self) -> list[Fact]:
        """Return pairs of texts, name and value, that describe the diagram."""
        shares = {outcome: np.mean(self.outcome == outcome) for outcome in ENDS}
        return [
            *((name, f"{values[0]:.6g} to {values[-1]:.6g}") for name, values in (self.x, self.y)),
            *((outcome, f"{100 * share:.3g} %") for outcome, share in shares.items() if share),
            ("status", self.status),
        ]

    @property
    def is_quick_to_draw(self) -> bool:
        """True if there are few enough points for the card in a notebook."""
        return self.outcome.size <= MOST_POINTS


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

    s_m is the correlation eigenvalue of mode m, r_m is the rate of this mode (times the second moment that the views
    share), eta is the learning rate, and rho is the weight decay.

    Parameters
    ----------
    model : Model
        A single model with white inputs or with views of modes. Its own values of the two parameters are not used.
    s0 : array_like of shape (M,)
        Initial eigenvalues.
    x, y : tuple of str and array_like
        Name of a parameter, which is "learning_rate" or one of ``model.parameter_names``; and range of this parameter,
        which is (low, high) or three or more ascending values.
    learning_rate : float, optional
        Learning rate eta > 0; required unless "learning_rate" is one of the two parameters.
    points : int
        Number of values of each parameter whose range is (low, high).
    steps : int
        Largest number of steps, rounded up to a multiple of 64.
    closure : str, optional
        Closure, the way in which expectations over the inputs are computed; see ``solve``.
    rtol : float
        Requested relative accuracy of the eigenvalues s. The tolerance of the quadrature of the closure is a tenth of
        ``rtol``.
    progress : bool, optional
        Show a progress bar. By default the bar is shown if the computation takes long.

    Returns
    -------
    PhaseDiagram
        Outcome, final eigenvalues and number of steps of each point. After an interruption, points without a decided
        outcome are "undecided".

    Raises
    ------
    ArgumentError
        If an argument is not valid, or if inputs are correlated.

    Notes
    -----
    All points are iterated together, as an ensemble; points with a decided outcome are removed from the ensemble. A
    mode has converged if the relative distance of its eigenvalue from the limit is below 1e-3; the limit is
    extrapolated from successive blocks of steps. A mode has vanished if its eigenvalue is below 1e-3 of the largest
    initial eigenvalue and still shrinks. The outcome of a point is "oscillation" if at least one eigenvalue oscillates
    with an amplitude that does not decay.

    Examples
    --------
    >>> import dynamics as dyn
    >>> decays, rates = ("weight_decay", (0.0, 0.4)), ("learning_rate", (0.1, 0.5))
    >>> diagram = dyn.phase_diagram(dyn.Model("euclidean"), [0.5], decays, rates, points=2)
    >>> print(diagram.outcome)
    [['equal modes' 'collapse']
     ['equal modes' 'collapse']]
    """
    check_model(model)
    model.check_eigenmodes()
    if model.batch_shape:
        requirement = "have plain numbers as parameters, because `x` and `y` vary the parameters of a single model"
        errors.reject("model", requirement, model)
    points = errors.count("points", points, 2)
    x_axis, y_axis = _check_axis(model, "x", x, points), _check_axis(model, "y", y, points)
    start, shape = check_one_start(model, s0), (len(y_axis[1]), len(x_axis[1]))
    size = shape[0] * shape[1] * (len(start) * (BLOCK + ARRAYS) + ARRAYS)
    check_size(f"A phase diagram of {shape[1]:,} x {shape[0]:,} points", size, "Use fewer points.")
    ensemble, eta = _ensemble(model, x_axis, y_axis, learning_rate)
    if not start.any():
        errors.reject("s0", "have at least one eigenvalue above zero, because a mode at zero stays at zero", start)
    check_progress(progress)
    steps, rtol = check_steps(steps, 1), errors.positive_number("rtol", rtol)
    field = vector_field_of(ensemble, choose_closure(ensemble, closure), CLOSURE_SHARE * rtol)

    state, parameters = as_rows(field.start(np.broadcast_to(start, (*shape, len(start)))), field.parameters)
    descent = EnsembleDescent(field, state, parameters, np.broadcast_to(eta, (*shape, 1)).reshape(-1, 1), start)
    status = descent.follow(steps, progress)
    outcome, final = descent.outcome.reshape(shape), descent.s.reshape(*shape, -1)
    return PhaseDiagram(model, start, x_axis, y_axis, outcome, final, descent.steps.reshape(shape), status)


def _check_axis(model: Model, name: str, axis: Any, points: int) -> tuple[str, Array]:
    if not isinstance(axis, (tuple, list)) or len(axis) != 2:
        errors.reject(name, "be a pair (name, range), such as ('weight_decay', (0, 0.4))", axis)
    parameter, given_range = axis
    values = check_range(name, given_range, points)
    errors.choice(name, parameter, ("learning_rate", *model.parameter_names))
    check_range_of_parameter(model, parameter, values, name)
    return parameter, values


def _ensemble(
    model: Model, x: tuple[str, Array], y: tuple[str, Array], learning_rate: float | None
) -> tuple[Model, Array]:
    """Return one model for all points of the plane, and the learning rates at these points.

    Parameters of the model that vary in the plane are arrays, which broadcast to (Y, X). The learning rates have the
    shape (..., 1), which broadcasts with (Y, X, M).
    """
    if x[0] == y[0]:
        errors.reject("y", "name another parameter than `x`, because the diagram is a plane of two parameters", y[0])
    values = {x[0]: x[1], y[0]: y[1][:, None]}
    swept = values.pop("learning_rate", None)
    if swept is not None and learning_rate is not None:
        errors.reject("learning_rate", "be left out, because `x` or `y` already sets the learning rate", learning_rate)
    if swept is None and learning_rate is None:
        errors.reject("learning_rate", "be given, unless `x` or `y` has the name 'learning_rate'", None)
    eta = np.asarray(errors.positive_number("learning_rate", learning_rate)) if swept is None else swept
    return model.replace(**values), eta[..., None]
