"""Define the function ``check``, which compares each level of description of a model with the next.

The levels of description are the loss, the rates of modes, the flow, the descent map and the network.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from dynamics import errors
from dynamics.model.model import Model, check_model
from dynamics.numerics.context import isolated
from dynamics.numerics.memory import check_size
from dynamics.numerics.progress import check_progress
from dynamics.presentation.result import Result
from dynamics.presentation.text import COLUMNS, Fact, counted, one_line
from dynamics.verification import dynamics_checks, loss_checks
from dynamics.verification.comparison import Comparison
from dynamics.verification.subject import SAMPLES, LevelCheck, Subject

if TYPE_CHECKING:
    from matplotlib.axes import Axes

ARRAYS = 8  # number of arrays (samples, modes) in memory: two views, their representations, their gradients, ...
MODES, LOWEST, HIGHEST = 4, 0.1, 0.9  # default eigenvalues; 1 is avoided, because W_P - W_P^2 is zero there


@dataclass(frozen=True, repr=False, eq=False)
class Check(Result):
    """The checks of all levels of description of a model; the result of ``check``.

    Attributes
    ----------
    model : Model
        The model that was checked.
    levels : tuple of LevelCheck
        The check of each level of description, with ``name``, ``deviation``, ``limit`` and ``passed``.
    comparison : Comparison or None
        Comparison of the network with the descent map; None if the network diverged.
    """

    model: Model
    levels: tuple[LevelCheck, ...]
    comparison: Comparison | None = None

    @property
    def passed(self) -> bool:
        """True if all checks passed, so that all levels of description of the model agree."""
        return all(level.passed for level in self.levels)

    @isolated
    def plot(self, ax: "Axes | None" = None) -> "Axes":
        """Draw the eigenvalues of network and descent map against the step; return the matplotlib Axes.

        Error bars show two standard errors of the eigenvalues of the network, which fluctuate because batches are
        finite.
        """
        from dynamics.verification.plotting import plot_check

        return plot_check(self, ax)

    @property
    def headline(self) -> str:
        """The essence of the result on one line."""
        return f"{'passed' if self.passed else 'failed'}, {self.model}"

    @property
    def title(self) -> str:
        """The model, and whether its levels of description agree."""
        failed = sum(not level.passed for level in self.levels)
        verdict = f"{failed} of {len(self.levels)} levels disagree" if failed else "all levels agree"
        return f"Check of {one_line(str(self.model), 2 * COLUMNS)}: {verdict}"

    def facts(self) -> list[Fact]:
        """Return the name and the result of each check."""
        return [(level.name, level.verdict) for level in self.levels]


@isolated
def check(model: Model, s0: npt.ArrayLike | None = None, *, seed: int = 0, progress: bool | None = None) -> Check:
    """Check that loss, rates, flow, descent map and trained network of a model agree, each with the next.

    Parameters
    ----------
    model : Model
        A single model with white inputs or with views of modes.
    s0 : array_like of shape (M,), optional
        Correlation eigenvalues above zero. The loss is checked at these eigenvalues, and the dynamics start from them.
        Default: four eigenvalues from 0.1 to 0.9, or as many as the views have modes.
    seed : int
        Seed of the random representations, of the samples, and of the network.
    progress : bool, optional
        Show a progress bar. By default the bar is shown if the training takes long.

    Returns
    -------
    Check
        The checks of all levels of description, which can be printed and plotted.

    Raises
    ------
    ArgumentError
        If inputs are correlated, or if the model is an ensemble. Also if the variance of the gradient of the loss is
        not finite for the given number of modes, because means over a batch then do not converge.

    Notes
    -----
    The checks, in their order:

    1. basis: the loss does not change if representations and W_P are rotated together.
    2. gradient: the derived gradient of the loss of each sample agrees with automatic differentiation.
    3. rates: the rates of the modes agree with means of the gradient over samples, within the sampling error.
    4. exact: if an exact solution is known, it agrees with the integrated flow.
    5. descent map: the distance between descent map and flow is proportional to the learning rate.
    6. network: a network that is trained on samples follows the descent map, within the sampling error. If the sampling
       error cannot be predicted, the deviation of the network from the descent map must fall at least fourfold as the
       batch grows 64-fold. For views of modes, the sampling error is estimated from 32 networks.

    If expectations are means over samples, their standard error is part of the sampling error in checks 3 and 6.

    Examples
    --------
    >>> import dynamics as dyn
    >>> report = dyn.check(dyn.Model("euclidean", noise=(0.1, 0.2)), [0.2, 0.7], progress=False)
    >>> report.passed
    True
    >>> [level.name for level in report.levels]
    ['basis', 'gradient', 'rates', 'exact', 'descent map', 'network']
    """
    check_model(model)
    check_progress(progress)
    model.check_eigenmodes()
    if model.batch_shape:
        errors.reject("model", "have plain numbers as parameters, because one call checks one model", model)
    modes = MODES if model.views is None else model.views.count
    start = model.check_eigenvalues(np.geomspace(LOWEST, HIGHEST, modes) if s0 is None else s0)
    if start.ndim != 1 or not start.all():
        errors.reject("s0", "be eigenvalues above zero, in an array of shape (M,)", start)
    if model.views is not None and len(start) != modes:
        errors.reject("s0", f"have {counted(modes, 'eigenvalue')}, because networks have the inputs of `views`", start)
    size = SAMPLES * len(start) * ARRAYS
    check_size(f"Samples of {len(start):,} modes", size, "Use fewer modes.")
    subject = Subject(model, start, errors.count("seed", seed, 0))
    of_loss = (loss_checks.check_basis, loss_checks.check_gradient, loss_checks.check_rates)
    levels = [run(subject) for run in (*of_loss, dynamics_checks.check_exact_solution)]
    descent = dynamics_checks.descent_map(subject)
    levels.append(dynamics_checks.check_descent_map(subject, descent.settings["learning_rate"]))
    network, comparison = dynamics_checks.check_network(subject, descent, progress)
    return Check(model, (*levels, network), comparison)
