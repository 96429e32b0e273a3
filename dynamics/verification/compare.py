"""Theory against network, in units of the sampling error."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, partial

import numpy as np

from dynamics import errors
from dynamics.model.serialization import describe
from dynamics.results.trajectory import Trajectory
from dynamics.solvers.descent import iterate

ROUNDING = {"float32": 1e-5, "float64": 1e-12}  # of eigenvalues, relative, over thousands of steps of a network
SEEDS_NEEDED = 3  # fewer give no useful standard deviation


@dataclass(frozen=True, repr=False, eq=False)
class Comparison:
    """How far a network is from its theory, mode by mode, at common steps.

    step (T,), t (T,). theory, network (T, M): eigenvalues in ascending order, the network's averaged over seeds.
    theory_modes, network_modes (T, M): the same mode by mode; of the network u_m . C u_m, with u_m the eigenvectors
    at the start. Unlike sorted eigenvalues, which sampling drives apart where they are nearly equal, these fluctuate
    evenly around theory.
    sampling_error (T, M): standard error of ``network_modes`` from finite batches, computed when it is first asked
    for. source: where it comes from.
    rounding: relative size of what the network's arithmetic may be off by.
    alignment (T, M): of the eigenvectors of C with a learned predictor, see ``Trajectory.alignment``; mean over seeds.
    """

    step: np.ndarray
    t: np.ndarray
    theory: np.ndarray
    network: np.ndarray
    theory_modes: np.ndarray
    network_modes: np.ndarray
    estimate: Callable[[], np.ndarray]  # makes sampling_error
    source: str
    rounding: float = 0.0
    alignment: np.ndarray | None = None

    @cached_property
    def sampling_error(self) -> np.ndarray:
        """Standard error of ``network_modes``, (T, M)."""
        return self.estimate()

    @property
    def deviation(self) -> np.ndarray:
        """network - theory, (T, M)."""
        return self.network - self.theory

    @property
    def relative(self) -> np.ndarray:
        """network/theory - 1, (T, M)."""
        with np.errstate(divide="ignore", invalid="ignore"):
            return self.deviation / self.theory

    @property
    def z(self) -> np.ndarray:
        """(network_modes - theory_modes)/sampling_error, (T, M); 0 where only rounding differs, as at step 0."""
        difference = self.network_modes - self.theory_modes
        rounding = (self.step == 0)[:, None] | (np.abs(difference) <= self.rounding * self.theory_modes)
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.where(rounding, 0.0, difference / self.sampling_error)

    def max_relative(self, above: float = 0.0) -> float:
        """Largest |network/theory - 1| among eigenvalues whose theory value is above ``above``."""
        return float(np.max(np.abs(self.relative), where=self.theory > above, initial=0.0))

    def within(self, deviations: float = 2.0) -> float:
        """Fraction of entries past the start whose deviation is within so many sampling errors."""
        later = self.z[self.step > 0]
        return float(np.mean(np.abs(later) <= deviations)) if later.size else 1.0

    def plot(self, ax=None):
        """Draw the relative deviation of each mode with its sampling error; returns the matplotlib Axes."""
        from dynamics.results.plotting import plot_comparison

        return plot_comparison(self, ax)

    def __repr__(self):
        return f"<Comparison: {len(self.step)} steps, {self.theory.shape[-1]} modes>"

    def __str__(self):
        sizes = np.where(self.theory > 0, np.abs(self.relative), 0.0)
        at = np.unravel_index(np.argmax(sizes), sizes.shape)
        rows = [
            f"Network against theory at {len(self.step)} steps ({self.step[0]} ... {self.step[-1]})",
            f"  largest relative deviation {self.max_relative():.2e} (mode {at[1] + 1}, step {self.step[at[0]]})",
            f"  within 2 sampling errors   {100 * self.within():.0f} % of entries; error {self.source}",
        ]
        if self.alignment is not None:
            least, last = self.alignment[0].min(), self.alignment[-1].min()
            rows.append(f"  least aligned eigenvector  {least:.4f} at the start, {last:.4f} at the end")
        rows.append("  mode   theory      network     deviation   sampling error   (last step)")
        for mode, values in enumerate(
            zip(self.theory_modes[-1], self.network_modes[-1], self.sampling_error[-1], strict=True), 1
        ):
            theory, network, error = (float(a) for a in values)
            scale = theory or 1.0  # absolute where the mode is dead
            deviation = (network - theory) / scale
            rows.append(f"  {mode:4d}   {theory:<10.5g}  {network:<10.5g}  {deviation:+.2e}   {error / scale:.2e}")
        return "\n".join(rows)


def compare(theory: Trajectory, network: Trajectory) -> Comparison:
    r"""Deviation of a trained network from theory, per mode and step, and how much of it sampling explains.

    theory: from ``iterate``, or from ``solve`` at the network's times. network: from ``train``, of the same model. They
    are compared at the steps (times) they share: eigenvalues in ascending order, and mode by mode.
    The sampling error is the standard error over seeds if the network was trained with at least three; else the
    linear noise approximation: covariance of one step's gradient from the Gaussian model, propagated by the descent
    map. ``source`` says which. Raises ArgumentError for results that cannot be compared.
    """
    _check(theory, network)
    ours, theirs = _common(theory, network)
    step = np.asarray(network.step)[theirs]
    modes = network.modes.reshape(-1, *network.s.shape[-2:])[:, theirs]
    predicted = theory.modes[ours]
    if len(modes) >= SEEDS_NEEDED:
        estimate, source = partial(_over_seeds, modes), f"from {len(modes)} seeds"
    else:
        estimate, source = partial(_from_theory, theory, network, step), "from theory (linear noise approximation)"
    return Comparison(
        step=step,
        t=network.t[theirs],
        theory=np.sort(theory.s[ours], axis=-1),
        network=_mean_over_seeds(network.s)[theirs],
        theory_modes=predicted,
        network_modes=modes.mean(axis=0),
        estimate=estimate,
        source=source,
        rounding=ROUNDING[network.settings["dtype"]],
        alignment=None if network.predictor_weights is None else _mean_over_seeds(network.alignment)[theirs],
    )


def _mean_over_seeds(values: np.ndarray) -> np.ndarray:
    """(T, M) of (T, M) or (seeds, T, M)."""
    return values.reshape(-1, *values.shape[-2:]).mean(axis=0)


def _over_seeds(modes: np.ndarray) -> np.ndarray:
    """Standard error (T, M) of the mean of networks (seeds, T, M)."""
    return modes.std(axis=0, ddof=1) / np.sqrt(len(modes))


def _from_theory(theory: Trajectory, network: Trajectory, step: np.ndarray) -> np.ndarray:
    """Predicted standard error (T, M) of the networks' mean, at their common steps (T,)."""
    noisy = theory if theory.deviation is not None else _fluctuating(network)
    if np.asarray(noisy.step)[-1] < step[-1]:
        errors.reject("network", "be of a model with fluctuations that can be followed to its end", noisy.status)
    at = np.searchsorted(np.asarray(noisy.step), step)
    return np.asarray(noisy.deviation)[at][:, np.argsort(noisy.s[0])] / np.sqrt(len(network.members()))


def _fluctuating(network: Trajectory) -> Trajectory:
    """The descent map of a network with its fluctuations."""
    start = np.sort(network.s.reshape(-1, *network.s.shape[-2:])[0, 0])
    batch_size, eta = network.settings["batch_size"], network.settings["learning_rate"]
    return iterate(network.model, start, int(np.asarray(network.step)[-1]), eta, batch_size=batch_size, rtol=1e-6)


def _check(theory: Trajectory, network: Trajectory) -> None:
    for name, result in (("theory", theory), ("network", network)):
        errors.instance(name, result, Trajectory, "be one trajectory, from solve, iterate or train")
    if theory.kind not in ("flow", "descent") or theory.s.ndim != 2:
        errors.reject("theory", "be one trajectory from solve or iterate", theory)
    if not len(theory.t):
        errors.reject("theory", "have at least one time; this one ends before its first", theory)
    if network.kind != "network":
        errors.reject("network", "be a result of train", network)
    if describe(theory.model) != describe(network.model):
        errors.reject("network", f"be of the same model as the theory, {theory.model}", network)
    if theory.s.shape[-1] != network.s.shape[-1]:
        errors.reject("network", f"have {theory.s.shape[-1]} modes, like the theory", network)
    units, correlated = network.settings["units"], network.model.inputs is not None
    if (units != "linear" or correlated) and len(network.members()) < SEEDS_NEEDED:
        what = "correlated inputs" if correlated else f"{units} units"
        must = f"be trained with at least {SEEDS_NEEDED} seeds, as theory has no sampling error for {what}"
        errors.reject("network", must, network)
    if not np.isfinite(network.s).all():
        errors.reject("network", "be finite throughout; some weights diverge", network)
    start = network.s[..., 0, :]
    if theory.t[:1] == 0 and not np.allclose(np.sort(theory.s[0]), start, rtol=1e-3, atol=1e-6 * start.max()):
        errors.reject("theory", f"start from the network's eigenvalues {start}", theory.s[0])
    rates = theory.settings.get("learning_rate"), network.settings["learning_rate"]
    batches = theory.settings.get("batch_size"), network.settings["batch_size"]
    if batches[0] not in (None, batches[1]):
        errors.reject("network", f"be trained with the batch size {batches[0]} of the theory", batches[1])
    if theory.kind == "descent" and rates[0] != rates[1]:
        errors.reject("network", f"be trained with the learning rate {rates[0]} of the theory", rates[1])


def _common(theory: Trajectory, network: Trajectory) -> tuple[np.ndarray, np.ndarray]:
    """Indices of the steps (flow: times) that both have."""
    if theory.kind == "descent":
        _, ours, theirs = np.intersect1d(np.asarray(theory.step), np.asarray(network.step), return_indices=True)
    else:
        close = np.isclose(theory.t[:, None], network.t, rtol=1e-9, atol=1e-12)
        theirs = np.flatnonzero(close.any(axis=0))
        ours = close.argmax(axis=0)[theirs]
    if not len(ours):
        errors.reject("theory", "share at least one step (or time) with the network", theory)
    return ours, theirs
