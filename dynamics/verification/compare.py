"""``compare``: the deviation of a network from theory, in units of the sampling error."""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from dynamics import errors
from dynamics.numerics.context import isolated
from dynamics.numerics.values import Value
from dynamics.results.trajectory import Trajectory
from dynamics.solvers.descent import iterate
from dynamics.solvers.problem import too_many_fluctuating

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Array = npt.NDArray[np.float64]

ROUNDING = {
    "float32": 1e-5,
    "float64": 1e-12,
}  # relative rounding error of eigenvalues after thousands of steps of a network
SEEDS_NEEDED = 3  # number of seeds below which their standard deviation is of no use


@dataclass(frozen=True, repr=False, eq=False)
class Comparison(Value):
    """Deviation of a network from its theory, mode by mode, at common steps; the result of ``compare``.

    Attributes
    ----------
    step, t : ndarray of shape (T,)
        Steps that theory and network share, and their times.
    theory, network : ndarray of shape (T, M)
        Eigenvalues in ascending order, the network's averaged over seeds. Theory includes the change of the mean that
        is due to the network's batch size and number of inputs.
    theory_modes, network_modes : ndarray of shape (T, M)
        Variances of the modes: for the network u_m . C u_m, where u_m are the eigenvectors of the initial correlation
        C. They are not sorted, because sorted eigenvalues that are nearly equal repel.
    estimate : callable
        Function that computes ``sampling_error`` when it is first used.
    source : str
        Description of how the sampling error is estimated.
    rounding : float
        Relative error of the network's arithmetic.
    reliable : ndarray of bool, shape (T,), or None
        True up to the step until which the prediction for the network's batch size holds (``Trajectory.reliable``);
        None where there is none, as for ReLU units: theory is then the descent map itself.
    alignment : ndarray of shape (T, M) or None
        Alignment of the eigenvectors of C with a learned predictor (``Trajectory.alignment``), mean over seeds.
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
        """Standard error of ``network_modes``, (T, M)."""
        return self.estimate()

    @property
    @isolated
    def deviation(self) -> Array:
        """Deviation of eigenvalues, network - theory, (T, M)."""
        return self.network - self.theory

    @property
    @isolated
    def relative(self) -> Array:
        """Relative deviation of eigenvalues, network/theory - 1, (T, M)."""
        with np.errstate(divide="ignore", invalid="ignore"):
            return self.deviation / self.theory

    @property
    @isolated
    def z(self) -> Array:
        """Deviation of modes in units of the sampling error, (T, M); 0 if it is within rounding, and at step 0."""
        difference = self.network_modes - self.theory_modes
        rounding = (self.step == 0)[:, None] | (np.abs(difference) <= self.rounding * self.theory_modes)
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.where(rounding, 0.0, difference / self.sampling_error)

    @isolated
    def max_relative(self, above: float = 0.0) -> float:
        """Return the largest |network/theory - 1| of eigenvalues that are above ``above`` in theory."""
        above = errors.real_number("above", above)
        return float(np.max(np.abs(self.relative), where=self.theory > above, initial=0.0))

    @isolated
    def within(self, deviations: float = 2.0) -> float:
        """Return the fraction of entries after the start with a deviation of at most ``deviations`` sampling errors."""
        deviations, later = errors.real_number("deviations", deviations), self.z[self.step > 0]
        return float(np.mean(np.abs(later) <= deviations)) if later.size else 1.0

    @isolated
    def plot(self, ax: "Axes | None" = None) -> "Axes":
        """Draw the relative deviation of each mode with its sampling error; return the matplotlib Axes."""
        from dynamics.verification.plotting import plot_comparison

        return plot_comparison(self, ax)

    def __repr__(self) -> str:
        return f"<Comparison: {len(self.step)} steps, {self.theory.shape[-1]} modes>"

    def __str__(self) -> str:
        sizes = np.where(self.theory > 0, np.abs(self.relative), 0.0)
        step, mode = np.unravel_index(np.argmax(sizes), sizes.shape)
        rows = [
            f"Network against theory at {len(self.step)} steps ({self.step[0]} ... {self.step[-1]})",
            f"  largest relative deviation {self.max_relative():.2e} (mode {mode + 1}, step {self.step[step]})",
            f"  within 2 sampling errors   {100 * self.within():.0f} % of entries; error {self.source}",
        ]
        if self.reliable is None:
            rows.append("  batch size                 its effect on the mean is not predicted for this network")
        elif not self.reliable.all():
            rows.append(
                f"  batch size                 prediction unreliable from step {self.step[~self.reliable][0]} on"
            )
        if self.alignment is not None:
            least, last = self.alignment[0].min(), self.alignment[-1].min()
            rows.append(f"  least aligned eigenvector  {least:.4f} at the start, {last:.4f} at the end")
        rows.append("  mode   theory      network     deviation   sampling error   (last step)")
        last = (self.theory_modes[-1], self.network_modes[-1], self.sampling_error[-1])
        for number, (theory, network, error) in enumerate(np.transpose(last).tolist(), 1):
            scale = theory or 1.0  # absolute deviation of a collapsed mode
            deviation = (network - theory) / scale
            rows.append(f"  {number:4d}   {theory:<10.5g}  {network:<10.5g}  {deviation:+.2e}   {error / scale:.2e}")
        return "\n".join(rows)


@isolated
def compare(theory: Trajectory, network: Trajectory) -> Comparison:
    """Compare a trained network with its theory, per mode and step, in units of the sampling error.

    Parameters
    ----------
    theory : Trajectory
        Result of ``iterate``, or of ``solve`` at the network's times.
    network : Trajectory
        Result of ``train``, of the same model.

    Returns
    -------
    Comparison
        Deviations at the steps, or times of a flow, that both have.

    Raises
    ------
    ArgumentError
        For results that cannot be compared.

    Notes
    -----
    A finite batch changes the mean of the eigenvalues; the change grows with the number of inputs. It is predicted to
    first order in one over the batch size (``iterate`` with ``batch_size`` and ``input_dimension``) and added to the
    theory, also to a flow. It is not predicted for ReLU units, nor for more modes, or weights under correlated inputs,
    than ``iterate`` admits.

    The sampling error is the standard error over seeds if the network was trained with at least three. Otherwise it is
    predicted together with the mean. ``source`` states which of the two is used.

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
    """Return the mean over seeds, (T, M), of values (T, M) or (seeds, T, M)."""
    return values.reshape(-1, *values.shape[-2:]).mean(axis=0)


def _over_seeds(modes: Array) -> Array:
    """Return the standard error (T, M) of the mean over networks (seeds, T, M)."""
    return modes.std(axis=0, ddof=1) / np.sqrt(len(modes))


def _predicted(network: Trajectory, step: npt.NDArray[np.int64]) -> Trajectory | None:
    """Return the prediction at the network's batch size and number of inputs; None where there is none."""
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
    """Return the descent map from the network's start at some steps, with a batch size or without."""
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
    """Return the initial eigenvalues (M,), ascending, or the initial weights (M, N) for correlated inputs."""
    if network.model.inputs is None:
        return np.sort(network.s.reshape(-1, *network.s.shape[-2:])[0, 0])
    weights = np.asarray(network.weights, float)
    return weights.reshape(-1, *weights.shape[-3:])[0, 0]


def _shifted(
    modes: Array, eigenvalues: Array, predicted: Trajectory, network: Trajectory, step: npt.NDArray[np.int64]
) -> tuple[Array, Array]:
    """Return modes and eigenvalues (T, M) of theory with the predicted change of their means."""
    shift = _at(step, predicted, predicted.s - np.asarray(predicted.population))
    if predicted.mode_mean is None:
        return modes + shift, modes + shift
    population = _iterated(network, np.asarray(predicted.step)).modes
    return modes + _at(step, predicted, predicted.mode_mean - population), np.sort(eigenvalues, axis=-1) + shift


def _at(step: npt.NDArray[np.int64], predicted: Trajectory, values: Array) -> Array:
    """Return values (T, M) of a prediction at some steps, ascending by mode; after its end, the last values."""
    order = np.argsort(predicted.s[0], kind="stable")
    rows = np.minimum(np.searchsorted(np.asarray(predicted.step), step), len(values) - 1)
    return values[rows][:, order]


def _reliable(step: npt.NDArray[np.int64], predicted: Trajectory) -> npt.NDArray[np.bool_]:
    """Return True for the steps at which the prediction for the modes holds."""
    steps = np.asarray(predicted.step)
    rows = np.minimum(np.searchsorted(steps, step), len(steps) - 1)
    reliable = predicted.reliable if predicted.mode_reliable is None else predicted.mode_reliable
    return np.asarray(reliable)[rows] & (step <= steps[-1])


def _from_theory(predicted: Trajectory | None, network: Trajectory, step: npt.NDArray[np.int64]) -> Array:
    """Return the predicted standard error (T, M) of the mean over networks."""
    if predicted is None or np.asarray(predicted.step)[-1] < step[-1]:
        too_many = too_many_fluctuating(network.model.structure, _start(network))
        reason = too_many if predicted is None else predicted.status
        requirement = (
            f"have at least {SEEDS_NEEDED} seeds, because its fluctuations are not predicted up to the last step"
        )
        errors.reject("network", requirement, reason)
    deviation = predicted.deviation if predicted.mode_deviation is None else predicted.mode_deviation
    return _at(step, predicted, np.asarray(deviation)) / np.sqrt(len(network.members()))


def _check(theory: Trajectory, network: Trajectory) -> None:
    for name, result in (("theory", theory), ("network", network)):
        errors.instance(name, result, Trajectory, "be one trajectory, from solve, iterate or train")
    if theory.kind not in ("flow", "descent") or theory.s.ndim != 2:
        errors.reject("theory", "be one trajectory from solve or iterate", theory)
    if not len(theory.t):
        errors.reject("theory", "reach at least its first time", theory)
    if network.kind != "network":
        errors.reject("network", "be a result of train", network)
    if network.weights is None:
        errors.reject("network", "be a network of one layer, because deep networks have no exact theory", network)
    if theory.model != network.model:
        errors.reject("network", f"be of the same model as the theory, {theory.model}", network)
    if theory.s.shape[-1] != network.s.shape[-1]:
        errors.reject("network", f"have {theory.s.shape[-1]} modes, like the theory", network)
    units = network.settings["units"]
    if units != "linear" and len(network.members()) < SEEDS_NEEDED:
        requirement = (
            f"be trained with at least {SEEDS_NEEDED} seeds, because theory has no sampling error for {units} units"
        )
        errors.reject("network", requirement, network)
    if not np.isfinite(network.s).all():
        errors.reject("network", "have finite weights at all steps", network)
    start = network.s[..., 0, :]
    if theory.t[:1] == 0 and not np.allclose(np.sort(theory.s[0]), start, rtol=1e-3, atol=1e-6 * start.max()):
        errors.reject("theory", f"start from the network's eigenvalues {start}", theory.s[0])
    rates = theory.settings.get("learning_rate"), network.settings["learning_rate"]
    batches = theory.settings.get("batch_size"), network.settings["batch_size"]
    if batches[0] not in (None, batches[1]):
        errors.reject("network", f"be trained with the batch size {batches[0]} of the theory", batches[1])
    inputs = theory.settings.get("input_dimension")
    if inputs is not None and network.weights is not None and network.weights.shape[-1] != inputs:
        errors.reject("network", f"have {inputs} inputs, like the theory", network.weights.shape[-1])
    if theory.kind == "descent" and rates[0] != rates[1]:
        errors.reject("network", f"be trained with the learning rate {rates[0]} of the theory", rates[1])


def _common(theory: Trajectory, network: Trajectory) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Return the indices, in theory and network, of the steps (of a flow: times) that both have."""
    if theory.kind == "descent":
        _, of_theory, of_network = np.intersect1d(
            np.asarray(theory.step), np.asarray(network.step), return_indices=True
        )
    else:
        close = np.isclose(theory.t[:, None], network.t, rtol=1e-9, atol=1e-12)
        of_network = np.flatnonzero(close.any(axis=0))
        of_theory = close.argmax(axis=0)[of_network]
    if not len(of_theory):
        errors.reject("theory", "share at least one step (or time) with the network", theory)
    return of_theory, of_network
