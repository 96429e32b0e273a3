"""Define the function ``equilibria``, which computes all fixed points of a model, and their stability."""

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import combinations_with_replacement, product
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from dynamics.analysis import fixed_points
from dynamics.analysis.collapsed_mode import CollapsedMode
from dynamics.analysis.equilibrium import Equilibrium
from dynamics.analysis.invariants import invariants
from dynamics.analysis.range_check import within_range
from dynamics.analysis.stability import SurvivingModes
from dynamics.model.model import Model
from dynamics.model.momentum import Momentum, check_momentum
from dynamics.numerics.context import isolated
from dynamics.numerics.memory import check_size
from dynamics.presentation.result import Result
from dynamics.presentation.text import MOST_ROWS, Fact, listed, shortened

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["Equilibria", "Equilibrium", "equilibria"]

Array = npt.NDArray[np.float64]
EQUILIBRIUM = 300  # an equilibrium without its eigenvalues takes about as much memory as this number of floats


@dataclass(frozen=True, repr=False, eq=False)
class Equilibria(Result):
    """The fixed points of a model, in descending order of the number of surviving modes; the result of ``equilibria``.

    The object is a sequence of fixed points: it has a length, and can be iterated over and indexed.

    Attributes
    ----------
    model : Model
        The model.
    fixed_points : tuple of Equilibrium
        The fixed points. Of several fixed points that differ only in the order of modes with the same second moments,
        one is listed.
    boundary : float, ndarray of shape (M,), or None
        An independent mode collapses if its initial eigenvalue is below this value. If the second moments of the views
        differ between modes, there is a value for each mode, which is nan for a mode without boundary. None if there is
        no boundary.
    fold : float, ndarray of shape (M,), or None
        Weight decay at which the stable and the unstable fixed point of a surviving mode meet and disappear; a value
        for each mode if second moments differ. None if there is no such weight decay.
    remark : str
        Explanation if there are no fixed points, or if there is a continuous family of fixed points.
    """

    model: Model
    fixed_points: tuple[Equilibrium, ...]
    boundary: float | Array | None = None
    fold: float | Array | None = None
    remark: str = ""

    def __iter__(self) -> Iterator[Equilibrium]:
        return iter(self.fixed_points)

    def __len__(self) -> int:
        return len(self.fixed_points)

    def __getitem__(self, index: int) -> Equilibrium:
        return self.fixed_points[index]

    @property
    def stable(self) -> list[Equilibrium]:
        """List of the fixed points that are stable in the flow."""
        return [equilibrium for equilibrium in self if equilibrium.verdict == "stable"]

    @isolated
    def plot(self, ax: "Axes | None" = None) -> "Axes":
        """Draw a row for each fixed point, with markers at the eigenvalues of its modes; return the matplotlib Axes."""
        from dynamics.analysis.plotting import plot_equilibria

        return plot_equilibria(self, ax)

    @property
    def headline(self) -> str:
        """The essence of the result on one line."""
        stable = len(self.stable)
        return f"{len(self)} fixed point{'s' * (len(self) != 1)}, {stable} stable, of {self.model}"

    @property
    def title(self) -> str:
        """The kind of the result, and the model."""
        return f"Equilibria of {self.model}"

    def facts(self) -> list[Fact]:
        """Return the lines that describe the fixed points: one for each of them, and up to three about all of them.

        The three lines state the ``boundary`` below which modes collapse, the weight decay of the ``fold``, and the
        ``remark``. A line is left out if the attribute has no value.
        """
        lines = [f"modes that start below {_values(self.boundary)} collapse"] if self.boundary is not None else []
        lines += [f"no mode survives weight decay above {_values(self.fold)}, a fold"] if self.fold is not None else []
        lines += [self.remark] if self.remark else []
        return [*shortened(("", str(equilibrium)) for equilibrium in self), *(("", line) for line in lines)]

    @property
    def is_quick_to_draw(self) -> bool:
        """True if there are few enough fixed points for the card in a notebook."""
        return 0 < len(self) <= MOST_ROWS

    @property
    def picture_height(self) -> float:
        """Height of the picture in the card, in inches, enough for a row for each fixed point."""
        return max(2.7, 1.0 + 0.28 * len(self))


@isolated
def equilibria(
    model: Model, s0: npt.ArrayLike, *, learning_rate: float | None = None, momentum: float | Momentum = 0.0
) -> Equilibria:
    """Return all fixed points s_m (r_m - rho) = 0 of a model, with their stability in the flow and the descent map.

    s_m is the correlation eigenvalue of mode m, r_m is the rate of this mode (times the second moment that the views
    share), and rho is the weight decay.

    Parameters
    ----------
    model : Model
        A single model with white inputs or with views of modes.
    s0 : array_like of shape (M,)
        Initial eigenvalues, which set the number of modes. If the flow conserves a quantity, there is a continuous
        family of fixed points; only fixed points at which this quantity has the same value as at s0 are returned.
    learning_rate : float, optional
        Learning rate eta > 0, for models with an ``EMA`` target or ``tracking``, because their flow depends on eta. For
        other models, eta must be left out.
    momentum : float or Momentum, default 0
        Momentum of the descent map, as in ``iterate``; it changes ``largest_learning_rate`` and ``multipliers``, and
        decoupled weight decay also the fixed points.

    Returns
    -------
    Equilibria
        The fixed points, in descending order of the number of surviving modes. Of several fixed points that differ only
        in the order of modes with the same second moments of the views, one is returned.

    Raises
    ------
    ArgumentError
        If an argument is not valid, or if inputs are correlated. Also if the predictor is learned and the model does
        not have the invariant s_m - lambda_m^2/a_P (see Notes and ``invariants``), or if modes depend on each other and
        have different second moments of the views.

    Notes
    -----
    Under Euclidean losses, modes are independent, and there are formulas for the roots of r_m = rho. Under cosine
    losses, surviving modes are equal. With a Euclidean loss, weight decay and a learned predictor, the fixed points
    obey s_m = c_m lambda_m^2/a_P. Here c_m is the second moment that the views share in mode m, 1 for white inputs,
    lambda_m is the predictor eigenvalue, and a_P is the learning rate of the predictor divided by that of the encoder.

    With momentum mu, a step is linearised together with the buffer of each variable. A perturbation with the growth
    rate -h in the flow is then stable up to the learning rate 2 (1 + mu)/h (heavy ball). At a fixed point, decoupled
    weight decay acts as the weight decay (1 - mu) rho. The collapse ``boundary`` is then left out, because runs start
    with a buffer of zero, but the buffer is not zero at a fixed point.

    References
    ----------
    Halvagal, Laborieux, Zenke, NeurIPS 2023, section 3. Tian, Chen, Ganguli, ICML 2021 (fold in weight decay).

    Examples
    --------
    >>> import dynamics as dyn
    >>> print(dyn.equilibria(dyn.Model("euclidean", weight_decay=0.05), [0.1]))
    Equilibria of Model(loss='euclidean', weight_decay=0.05)
      1 at 0.947214: stable, up to learning rate 1.18034
      1 at 0.0527864: unstable
      1 collapsed: stable, up to learning rate 40
      modes that start below 0.0527864 collapse
      no mode survives weight decay above 0.25, a fold
    """
    fixed_points.check_analysed(model)
    start, eta = fixed_points.check_one_start(model, s0), model.check_learning_rate(learning_rate)
    given = {} if eta is None else {"learning_rate": eta}
    checked = check_momentum(momentum)
    at_rest = model
    if checked is not None and checked.decoupled:
        at_rest = model.replace(weight_decay=checked.decay_at_rest * model.weight_decay)
    with within_range(model, start, s0=start, **given):
        if model.generated.independent_modes:
            found = _of_independent_modes(at_rest, len(start), eta, checked)
        else:
            found = _of_equal_modes(at_rest, start, eta, checked)
    return replace(found, model=model)


def _of_independent_modes(model: Model, modes: int, eta: float | None, momentum: Momentum | None) -> Equilibria:
    """Return the fixed points of independent modes, at which each mode has collapsed or is at a root of r = rho.

    r is the rate of a mode, and rho the weight decay. modes: number of modes. eta: learning rate of a model with an EMA
    target or with a predictor of a tracked correlation, because its flow depends on eta; None for other models.
    momentum: momentum of the descent map.
    """
    if model.structure.predictor == "normalized":
        return Equilibria(model, (), remark=fixed_points.NORMALIZED_HAS_NONE)
    if remark := fixed_points.why_a_line(model):
        return Equilibria(model, (), remark=remark)
    members = fixed_points.by_mode(model)
    each = [
        (fixed_points.surviving_modes(member, eta, momentum), CollapsedMode.beside(member, [], momentum))
        for member in members
    ]
    states: list[list[SurvivingModes | CollapsedMode]] = [[*surviving, collapsed] for surviving, collapsed in each]
    number = math.prod(map(len, states)) if len(members) > 1 else math.comb(modes + len(states[0]) - 1, modes)
    combinations: Iterable[tuple[SurvivingModes | CollapsedMode, ...]] = (
        product(*states) if len(members) > 1 else combinations_with_replacement(states[0], modes)
    )
    is_moving = model.needs_learning_rate or model.structure.predictor == "learned"  # not the encoder alone
    has_buffer = momentum is not None and momentum.decoupled  # a buffer that is zero at first, but not at fixed points
    share = 1.0 if momentum is None else momentum.decay_at_rest
    remedy = "As modes are independent, the equilibria of fewer modes are sufficient."
    check_size(f"The {number:,} equilibria of {modes:,} modes", number * (2 * modes + EQUILIBRIUM), remedy)
    every = [Equilibrium.of(model, chosen) for chosen in combinations]
    return Equilibria(
        model,
        tuple(sorted(every, key=lambda equilibrium: -equilibrium.surviving)),
        None if is_moving or has_buffer else _for_modes([_boundary(*mode) for mode in each]),
        _for_modes([fixed_points.fold(member, share) for member in members]),
        _remark(members),
    )


def _boundary(surviving: list[SurvivingModes], collapsed: CollapsedMode) -> float | None:
    """Return the eigenvalue below which a mode collapses, or None; the encoder must be the only dynamical variable."""
    unstable = (mode.s for mode in surviving if (mode.growth.real > 0).any())
    return None if collapsed.recovers else min(unstable, default=None)


def _remark(members: tuple[Model, ...]) -> str:
    stationary = [str(m) for m, member in enumerate(members, 1) if fixed_points.is_stationary_at_any_size(member)]
    if not stationary:
        return ""
    which = "all eigenvalues" if len(stationary) == len(members) else f"all eigenvalues in mode {listed(stationary)}"
    return f"{which} are stationary: the rate always equals the weight decay"


def _for_modes(values: list[float | None]) -> float | Array | None:
    """Return the values of the modes as an array, in which nan stands for None.

    A single value, which holds for all modes, is returned unchanged. If all values are None, the result is None.
    """
    if len(values) == 1 or all(value is None for value in values):
        return values[0]
    return np.array([np.nan if value is None else value for value in values])


def _values(value: float | Array) -> str:
    """Return the value for all modes, or the values of the modes, as text."""
    if np.ndim(value) == 0:
        return f"{value:.6g}"
    return f"{listed('-' if np.isnan(number) else f'{number:.6g}' for number in np.asarray(value))} (in their order)"


def _of_equal_modes(
    model: Model, s0: npt.NDArray[np.float64], eta: float | None, momentum: Momentum | None
) -> Equilibria:
    """Return one fixed point for each number of surviving modes; all surviving modes have the same eigenvalue.

    s0: initial eigenvalues (M,). eta: learning rate of a model with an EMA target or tracking, whose flow depends on
    eta; None for other models. momentum: momentum of the descent map.
    """
    if remark := fixed_points.why_no_equal_modes(model, s0):
        return Equilibria(model, (), remark=remark)
    (alike,) = fixed_points.by_mode(model)
    members = tuple(
        fixed_points.equal_modes(alike, s0, surviving, eta, momentum) for surviving in range(len(s0), 0, -1)
    )
    return Equilibria(
        model, members, remark=f"other initial values of {invariants(model)[0].formula} lead to other equilibria"
    )
