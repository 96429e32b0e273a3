"""Define the function ``compare``, which measures deviations of a network from theory in units of sampling errors."""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from dynamics import errors
from dynamics.numerics.context import isolated
from dynamics.presentation.result import Result
from dynamics.presentation.text import Fact, shortened
from dynamics.results.trajectory import Trajectory
from dynamics.solvers.descent import iterate
from dynamics.solvers.problem import too_many_fluctuating

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Array = npt.NDArray[np.float64]

# Relative rounding error of the eigenvalues of a network after thousands of steps, for each precision of the network.
ROUNDING = {"float32": 1e-5, "float64": 1e-12}
SEEDS_NEEDED = 3  # smallest number of seeds from which a standard deviation is estimated


@dataclass(frozen=True, repr=False, eq=False)
class Comparison(Result):
    """The deviation of a network from its theory, for each mode and step; the result of ``compare``.

    Attributes
    ----------
    step, t : ndarray of shape (T,)
        Steps that both theory and network have, and the times of these steps.
    theory, network : ndarray of shape (T, M)
        Correlation eigenvalues in ascending order. The eigenvalues of the network are averaged over seeds. Finite
        batches change the mean of the eigenvalues of a network, depending on the batch size and the number of inputs.
        If this change can be predicted, ``theory`` includes it.
    theory_modes, network_modes : ndarray of shape (T, M)
        Variances of the modes. For the network, the variance of mode m is u_m . C u_m, where C is the correlation of
        the representations at the step, and u_m is an eigenvector of the correlation at step 0. The variances are
        averaged over seeds. They are not sorted at each step, because sorting drives values apart if they fluctuate and
        are nearly equal.
    estimate : callable
        Function that computes the sampling error when ``sampling_error`` is first used.
    source : str
        How the sampling error was estimated, in words.
    rounding : float
        Relative rounding error of the eigenvalues of the network.
    reliable : ndarray of bool, shape (T,), or None
        True for the steps up to which the predicted effects of finite batches on the network hold
        (``Trajectory.reliable``). None if there is no such prediction, for example for ReLU units; the theory then
        leaves out effects of finite batches.
    alignment : ndarray of shape (T, M) or None
        Alignment of the eigenvectors of C with a learned predictor (``Trajectory.alignment``), averaged over seeds.
    """

    step: npt.NDArray[np.int64]
    t: npt.NDArray[np.floating[Any]]
    theory: Array
    network: Array
    theory_modes: Array
    network_modes: Array
    estimate: Callable[[], Array] = field(compare=False)
    source: str
    rounding: float = 0.0
    reliable: npt.NDArray[np.bool_] | None = None
    alignment: Array | None = None

    @cached_property
    @isolated
    def sampling_error(self) -> Array:
        """The standard error (T, M) of ``network_modes``, the variances of modes averaged over seeds."""
        return self.estimate()

    @property
    @isolated
    def deviation(self) -> Array:
        """The deviation (T, M) of the eigenvalues of the network from theory, network - theory."""
        return self.network - self.theory

    @property
    @isolated
    def relative(self) -> Array:
        """The relative deviation (T, M) of the eigenvalues of the network from theory, network/theory - 1."""
        with np.errstate(divide="ignore", invalid="ignore"):
            return self.deviation / self.theory

    @property
    @isolated
    def z(self) -> Array:
        """The deviation (T, M) of the variances of modes from theory, in units of the sampling error.

        This is (network_modes - theory_modes)/sampling_error. The value is 0 at step 0, and where the deviation of
        network_modes from theory_modes is not larger than the rounding error.
        """
        difference = self.network_modes - self.theory_modes
        rounding = (self.step == 0)[:, None] | (np.abs(difference) <= self.rounding * self.theory_modes)
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.where(rounding, 0.0, difference / self.sampling_error)

    @isolated
    def max_relative(self, above: float = 0.0) -> float:
        """Return the largest relative deviation |network/theory - 1| of eigenvalues, over all steps and modes.

        Only eigenvalues that are larger than ``above`` in theory are included.
        """
        above = errors.real_number("above", above)
        return float(np.max(np.abs(self.relative), where=self.theory > above, initial=0.0))

    @isolated
    def within(self, deviations: float = 2.0) -> float:
        """Return the fraction of the entries of ``z`` whose absolute value is at most ``deviations``.

        ``z`` is the deviation of the network from theory in units of the sampling error. Step 0 is left out.
        """
        deviations, later = errors.real_number("deviations", deviations), self.z[self.step > 0]
        return float(np.mean(np.abs(later) <= deviations)) if later.size else 1.0

    @isolated
    def plot(self, ax: "Axes | None" = None) -> "Axes":
        """Draw the relative deviation of the network from theory for each mode; return the matplotlib Axes.

        A grey band shows two sampling errors, of the mode with the largest relative sampling error.
        """
        from dynamics.verification.plotting import plot_comparison

        return plot_comparison(self, ax)

    @property
    def headline(self) -> str:
        """The essence of the result on one line."""
        return f"network against theory, {len(self.step)} steps, {self.theory.shape[-1]} modes"

    @property
    def title(self) -> str:
        """The kind of the result, and its steps."""
        return f"Network against theory at {len(self.step)} steps ({self.step[0]} ... {self.step[-1]})"

    def facts(self) -> list[Fact]:
        """Return pairs of texts, name and value, that describe the comparison."""
        sizes = np.where(self.theory > 0, np.abs(self.relative), 0.0)
        step, mode = np.unravel_index(np.argmax(sizes), sizes.shape)
        where = f"(mode {mode + 1}, step {self.step[step]})"
        rows = [("largest relative deviation", f"{self.max_relative():.2e} {where}"), self._agreement()]
        if self.reliable is None:
            rows.append(("batch size", "effects on the mean are not predicted for this network"))
        elif not self.reliable.all():
            rows.append(("batch size", f"prediction unreliable from step {self.step[~self.reliable][0]} on"))
        if self.alignment is not None:
            least, last = self.alignment[0].min(), self.alignment[-1].min()
            rows.append(("least aligned eigenvector", f"{least:.4f} at the start, {last:.4f} at the end"))
        return [*rows, *shortened(self._last_step())]

    def _agreement(self) -> Fact:
        """Return the fraction of entries within two sampling errors, or the reason why these errors are unknown."""
        try:
            return "within 2 sampling errors", f"{100 * self.within():.0f} % of entries; error {self.source}"
        except errors.ArgumentError as error:
            return "sampling error", f"unknown: {error}"

    def _last_step(self) -> list[Fact]:
        """Return a row for each mode with its deviation at the last step; for a collapsed mode it is absolute."""
        try:
            sampling = self.sampling_error[-1]
        except errors.ArgumentError:
            sampling = np.full(self.theory_modes.shape[-1], np.nan)
        rows = []
        for number, (theory, network, error) in enumerate(
            np.transpose([self.theory_modes[-1], self.network_modes[-1], sampling]).tolist(), 1
        ):
            scale = theory or 1.0
            deviation = f"deviation {(network - theory) / scale:+.2e}"
            deviation += "" if np.isnan(error) else f" +- {error / scale:.2e}"
            rows.append((f"mode {number} at the end", f"theory {theory:<9.5g} network {network:<9.5g} {deviation}"))
        return rows


@isolated
def compare(theory: Trajectory, network: Trajectory) -> Comparison:
    """Compare a trained network with theory: return the deviation of each mode at each step, with its sampling error.

    Parameters
    ----------
    theory : Trajectory
        Result of ``iterate``, or result of ``solve`` at times that the network has recorded.
    network : Trajectory
        Result of ``train`` for the same model.

    Returns
    -------
    Comparison
        Deviations at all steps that both theory and network have. If the theory is a flow, at all times that both have.

    Raises
    ------
    ArgumentError
        If theory and network cannot be compared, for example because their models or initial eigenvalues differ.

    Notes
    -----
    A finite batch changes the mean of the eigenvalues, and this change grows with the number of inputs. The change is
    predicted to first order in one over the batch size (see ``iterate`` with ``batch_size`` and ``input_dimension``),
    and is added to the theory, even if the theory is a flow. There is no such prediction for ReLU units, or for
    networks with too many modes (for correlated inputs: too many weights) for ``iterate`` with ``batch_size``.

    If the network was trained with at least three seeds, the sampling error is the standard error over seeds. Otherwise
    the sampling error is predicted together with the mean. The attribute ``source`` of the result states whether the
    sampling error was estimated from seeds or predicted.

    Examples
    --------
    >>> import numpy as np
    >>> import dynamics as dyn
    >>> model, s0 = dyn.Model("euclidean"), np.array([0.2, 0.5])
    >>> descent = dyn.iterate(model, s0, steps=20, learning_rate=0.1)
    >>> network = dyn.train(model, np.diag(np.sqrt(s0)), 20, 0.1, batch_size=1000, progress=False)
    >>> report = dyn.compare(descent, network)
    >>> report.max_relative() < 0.1
    True
    """
    _check(theory, network)
    of_theory, of_network = _common(theory, network)
    step = np.asarray(network.step)[of_network]
    modes = network.modes.reshape(-1, *network.s.shape[-2:])[:, of_network]
    predicted = theory if theory.deviation is not None else _predicted(network, step)
    theory_modes, eigenvalues = theory.modes[of_theory], theory.s[of_theory]
    if predicted is not None and predicted is not theory:
        theory_modes, eigenvalues = _shifted(theory_modes, eigenvalues, predicted, network, step)
    if len(modes) >= SEEDS_NEEDED:
        estimate, source = partial(_over_seeds, modes), f"from {len(modes)} seeds"
    else:
        estimate, source = partial(_from_theory, predicted, network, step), "from theory (first order in 1/batch size)"
    return Comparison(
        step=step,
        t=network.t[of_network],
        theory=np.sort(eigenvalues, axis=-1),
        network=_mean_over_seeds(network.s)[of_network],
        theory_modes=theory_modes,
        network_modes=modes.mean(axis=0),
        estimate=estimate,
        source=source,
        rounding=ROUNDING[network.settings["dtype"]],
        reliable=None if predicted is None else _reliable(step, predicted),
        alignment=None if network.predictor_weights is None else _mean_over_seeds(network.alignment)[of_network],
    )


def _mean_over_seeds(values: Array) -> Array:
    """Return the mean (T, M) over seeds of values (seeds, T, M), or the values (T, M) of a single seed."""
    return values.reshape(-1, *values.shape[-2:]).mean(axis=0)


def _over_seeds(modes: Array) -> Array:
    """Return the standard error (T, M) of the variances of modes after averaging over seeds.

    modes: variances of the modes (seeds, T, M); their spread over seeds gives the standard error.
    """
    return modes.std(axis=0, ddof=1) / np.sqrt(len(modes))


def _predicted(network: Trajectory, step: npt.NDArray[np.int64]) -> Trajectory | None:
    """Return the descent map that includes the effects of finite batches, as a prediction for a network.

    The prediction contains the mean and the standard deviation of the eigenvalues over networks that have the same
    batch size and number of inputs. Returns None if there is no such prediction, for example for ReLU units.
    """
    if network.settings["units"] != "linear" or network.weights is None:
        return None
    if too_many_fluctuating(network.model.structure, _start(network)) is not None:
        return None
    batch_size, inputs = network.settings["batch_size"], network.weights.shape[-1]
    return _iterated(network, step, batch_size=batch_size, input_dimension=inputs)


def _iterated(
    network: Trajectory,
    step: npt.NDArray[np.int64],
    batch_size: int | None = None,
    input_dimension: int | None = None,
) -> Trajectory:
    """Return the descent map that starts from the initial state of a network, recorded at given steps.

    If batch_size is None, the map has no sampling noise. Otherwise the map contains the predicted mean and standard
    deviation over networks that are trained with this batch size.
    """
    return iterate(
        network.model,
        _start(network),
        int(step[-1]),
        network.settings["learning_rate"],
        rtol=1e-6,
        record=step.tolist(),
        progress=False,
        batch_size=batch_size,
        input_dimension=input_dimension,
    )


def _start(network: Trajectory) -> Array:
    """Return the initial state of a network, which is the start of its descent map.

    For white inputs, the state consists of the correlation eigenvalues (M,) in ascending order. For correlated inputs,
    it consists of the weights (M, N).
    """
    if network.model.inputs is None:
        return np.sort(network.s.reshape(-1, *network.s.shape[-2:])[0, 0])
    weights = np.asarray(network.weights, float)
    return weights.reshape(-1, *weights.shape[-3:])[0, 0]


def _shifted(
    modes: Array, eigenvalues: Array, predicted: Trajectory, network: Trajectory, step: npt.NDArray[np.int64]
) -> tuple[Array, Array]:
    """Return the variances of modes and the eigenvalues (T, M) of a theory, with the effects of finite batches added.

    modes, eigenvalues: the same quantities without these effects. predicted: descent map with the effects of finite
    batches. The effect is the predicted mean over networks minus the value for infinite batches.
    """
    shift = _at(step, predicted, predicted.s - np.asarray(predicted.population))
    if predicted.mode_mean is None:
        return modes + shift, modes + shift
    population = _iterated(network, np.asarray(predicted.step)).modes
    return modes + _at(step, predicted, predicted.mode_mean - population), np.sort(eigenvalues, axis=-1) + shift


def _at(step: npt.NDArray[np.int64], predicted: Trajectory, values: Array) -> Array:
    """Return the predicted values (T, M) at given steps, with modes in ascending order of the initial eigenvalues.

    predicted: descent map. values: predicted values, with one row for each step of this map. For given steps after the
    last step of the map, the last row is repeated.
    """
    order = np.argsort(predicted.s[0], kind="stable")
    rows = np.minimum(np.searchsorted(np.asarray(predicted.step), step), len(values) - 1)
    return values[rows][:, order]


def _reliable(step: npt.NDArray[np.int64], predicted: Trajectory) -> npt.NDArray[np.bool_]:
    """Return a mask (T,) that is True at the steps up to which the predicted effects of finite batches hold."""
    steps = np.asarray(predicted.step)
    rows = np.minimum(np.searchsorted(steps, step), len(steps) - 1)
    reliable = predicted.reliable if predicted.mode_reliable is None else predicted.mode_reliable
    return np.asarray(reliable)[rows] & (step <= steps[-1])


def _from_theory(predicted: Trajectory | None, network: Trajectory, step: npt.NDArray[np.int64]) -> Array:
    """Return the predicted standard error (T, M) of the variances of modes after averaging over seeds.

    predicted: descent map with the effects of finite batches. Raises ArgumentError if it is None, or if it ends before
    the last of the given steps.
    """
    if predicted is None or np.asarray(predicted.step)[-1] < step[-1]:
        too_many = too_many_fluctuating(network.model.structure, _start(network))
        reason = too_many if predicted is None else predicted.status
        requirement = (
            f"be trained with at least {SEEDS_NEEDED} seeds, because theory does not predict the fluctuations of this "
            f"network up to the last step ({reason})"
        )
        errors.reject("network", requirement, network)
    deviation = predicted.deviation if predicted.mode_deviation is None else predicted.mode_deviation
    return _at(step, predicted, np.asarray(deviation)) / np.sqrt(len(network.members()))


def _check(theory: Trajectory, network: Trajectory) -> None:
    for name, result in (("theory", theory), ("network", network)):
        errors.instance(name, result, Trajectory, "be one trajectory, from solve, iterate or train")
    if theory.kind not in ("flow", "descent") or theory.s.ndim != 2:
        errors.reject("theory", "be one trajectory from solve or iterate", theory)
    if not len(theory.t):
        errors.reject("theory", "contain at least one recorded time", theory)
    if network.kind != "network":
        errors.reject("network", "be a result of train", network)
    if network.weights is None:
        errors.reject("network", "be a network of one layer, because deep networks have no exact theory", network)
    if theory.model != network.model:
        errors.reject("network", f"have the same model as the theory, which is {theory.model}", network)
    if theory.s.shape[-1] != network.s.shape[-1]:
        errors.reject("network", f"have {theory.s.shape[-1]} modes, as many as the theory", network)
    units = network.settings["units"]
    if units != "linear" and len(network.members()) < SEEDS_NEEDED:
        requirement = (
            f"be trained with at least {SEEDS_NEEDED} seeds, because theory does not predict the sampling error for "
            f"{units} units"
        )
        errors.reject("network", requirement, network)
    if not np.isfinite(network.s).all():
        errors.reject("network", "have finite weights at all steps", network)
    start = network.s[..., 0, :]
    if theory.t[:1] == 0 and not np.allclose(np.sort(theory.s[0]), start, rtol=1e-3, atol=1e-6 * start.max()):
        errors.reject("theory", f"start from the initial eigenvalues of the network, {start}", theory.s[0])
    rates = theory.settings.get("learning_rate"), network.settings["learning_rate"]
    batches = theory.settings.get("batch_size"), network.settings["batch_size"]
    if batches[0] not in (None, batches[1]):
        errors.reject(
            "network", f"be trained with batch_size={batches[0]}, for which the theory was computed", batches[1]
        )
    inputs = theory.settings.get("input_dimension")
    if inputs is not None and network.weights is not None and network.weights.shape[-1] != inputs:
        errors.reject("network", f"have {inputs} inputs, for which the theory was computed", network.weights.shape[-1])
    if theory.kind == "descent" and rates[0] != rates[1]:
        errors.reject(
            "network", f"be trained with learning_rate={rates[0]}, for which the theory was computed", rates[1]
        )


def _common(theory: Trajectory, network: Trajectory) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Return the indices of common steps in ``theory``, and the indices of the same steps in ``network``.

    A step is common if both trajectories contain it. If the theory is a flow, which has no steps, times are compared
    instead. Raises ArgumentError if theory and network have no step or time in common.
    """
    if theory.kind == "descent":
        _, of_theory, of_network = np.intersect1d(
            np.asarray(theory.step), np.asarray(network.step), return_indices=True
        )
    else:
        close = np.isclose(theory.t[:, None], network.t, rtol=1e-9, atol=1e-12)
        of_network = np.flatnonzero(close.any(axis=0))
        of_theory = close.argmax(axis=0)[of_network]
    if not len(of_theory):
        errors.reject(
            "theory", "have at least one recorded step of the network (for a flow: the time of such a step)", theory
        )
    return of_theory, of_network
