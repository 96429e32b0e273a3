"""Define the comparison: deviations of a network from theory in units of sampling errors, or of two theories."""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from dynamics import errors
from dynamics.model.model import Model
from dynamics.numerics.context import isolated
from dynamics.presentation.plain import plain
from dynamics.presentation.result import Result
from dynamics.presentation.text import Fact, counted, shortened

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Array = npt.NDArray[np.float64]

LONGEST_NAME = 11  # number of characters of a name in a row for a mode


@dataclass(frozen=True, repr=False, eq=False)
class Comparison(Result):
    """The deviation of a network from its theory, for each mode and step; the result of ``compare``.

    A comparison of two theories has the second theory in place of the network, and no sampling error.

    Attributes
    ----------
    step : ndarray of shape (T,) or None
        Steps that both theory and network have; None for two flows.
    t : ndarray of shape (T,)
        Times of these steps. Two theories are compared at all times that both have.
    theory, network : ndarray of shape (T, M)
        Correlation eigenvalues in ascending order. The eigenvalues of the network are averaged over seeds. Finite
        batches change the mean of the eigenvalues of a network, depending on the batch size and the number of inputs.
        If this change can be predicted, ``theory`` includes it. All deviations are those of modes, see below.
    theory_modes, network_modes : ndarray of shape (T, M)
        Variances of the modes. For the network, the variance of mode m is u_m . C u_m, where C is the correlation of
        the representations at the step, and u_m is an eigenvector of the correlation at step 0. The variances are
        averaged over seeds. They are not sorted at each step, because sorting drives values apart if they fluctuate and
        are nearly equal. For white inputs, the modes of a theory are its eigenvalues.
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
    names : (str, str)
        What is compared: ("theory", "network"), or the names of two theories, such as ("flow", "descent map").
    model : Model or None
        The model of the theory.
    recorded : (int, int) or None
        Numbers of records of theory and network, of which those at common steps or times are compared.
    """

    step: npt.NDArray[np.int64] | None
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
    names: tuple[str, str] = ("theory", "network")
    model: Model | None = None
    recorded: tuple[int, int] | None = None

    @property
    def has_network(self) -> bool:
        """True if a network is compared with theory, False if two theories are compared."""
        return self.names[1] == "network"

    @property
    def along(self) -> tuple[str, npt.NDArray[Any]]:
        """The name and the values of the axis along which deviations are recorded: "step", or "t" for two theories."""
        return ("t", self.t) if self.step is None or not self.has_network else ("step", self.step)

    @cached_property
    @isolated
    def sampling_error(self) -> Array:
        """The standard error (T, M) of ``network_modes``, the variances of modes averaged over seeds.

        The error of a theory is zero.
        """
        return self.estimate()

    @isolated
    def to_dict(self) -> dict[str, Any]:
        """Return the contents as plain values for JSON; the sampling error is None if theory does not predict it."""
        try:
            error = plain(self.sampling_error)
        except errors.ArgumentError:
            error = None
        return super().to_dict() | {"sampling_error": error}

    @property
    @isolated
    def deviation(self) -> Array:
        """The deviation (T, M) of the variances of modes from theory, network_modes - theory_modes."""
        return self.network_modes - self.theory_modes

    @property
    @isolated
    def relative(self) -> Array:
        """The relative deviation (T, M) of the variances of modes from theory, network_modes/theory_modes - 1."""
        with np.errstate(divide="ignore", invalid="ignore"):
            return self.deviation / self.theory_modes

    @property
    @isolated
    def z(self) -> Array:
        """The deviation (T, M) of the variances of modes from theory, in units of the sampling error.

        This is deviation/sampling_error. The value is 0 at step 0, and where the deviation is not larger than the
        rounding error. Elsewhere the value is infinite if two theories are compared, because theories have no sampling
        error.
        """
        rounding = (self.t == 0)[:, None] | (np.abs(self.deviation) <= self.rounding * self.theory_modes)
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.where(rounding, 0.0, self.deviation / self.sampling_error)

    @isolated
    def max_relative(self, above: float = 0.0) -> float:
        """Return the largest absolute value of ``relative``, over all steps and modes.

        Only variances of modes that are larger than ``above`` in theory are included.
        """
        above = errors.real_number("above", above)
        return float(np.max(np.abs(self.relative), where=self.theory_modes > above, initial=0.0))

    @isolated
    def within(self, deviations: float = 2.0) -> float:
        """Return the fraction of the entries of ``z`` whose absolute value is at most ``deviations``.

        ``z`` is the deviation of the network from theory in units of the sampling error. Step 0 is left out.
        """
        deviations, later = errors.real_number("deviations", deviations), self.z[self.t > 0]
        return float(np.mean(np.abs(later) <= deviations)) if later.size else 1.0

    @isolated
    def plot(self, ax: "Axes | None" = None) -> "Axes":
        """Draw theory and network, and below them their deviation in units of the sampling error.

        Error bars of the network are two sampling errors, and a grey band shows deviations up to two sampling errors.
        For two theories, the lower panel shows the relative deviation.

        Parameters
        ----------
        ax : matplotlib Axes, optional
            Axes in which the deviation is drawn alone; by default both panels are drawn in a new figure.

        Returns
        -------
        matplotlib Axes
            The axes with the deviation; ``axes.figure.axes`` are both panels.
        """
        from dynamics.verification.plotting import plot_comparison

        return plot_comparison(self, ax)

    @property
    def headline(self) -> str:
        """The essence of the result on one line."""
        places = counted(len(self.t), "step" if self.has_network else "time")
        return f"{self.names[1]} against {self.names[0]}, {places}, {counted(self.theory_modes.shape[-1], 'mode')}"

    @property
    def title(self) -> str:
        """The results that are compared, and their common steps or times."""
        along, values = self.along
        places = counted(len(values), "step" if along == "step" else "time")
        span = f"{values[0]:g} ... {values[-1]:g}" if along == "step" else f"t = {values[0]:g} ... {values[-1]:g}"
        names = f"{self.names[1][0].upper()}{self.names[1][1:]} against {self.names[0]}"
        return f"{names} at {places} ({span})"

    def facts(self) -> list[Fact]:
        """Return pairs of texts, name and value, that describe the comparison."""
        along, values = self.along
        sizes = np.where(self.theory_modes > 0, np.abs(self.relative), 0.0)
        row, mode = np.unravel_index(np.argmax(sizes), sizes.shape)
        at = f"step {values[row]:g}" if along == "step" else f"t = {values[row]:g}"
        partly = self.recorded is not None and len(self.t) < max(self.recorded)
        rows = [("common times", self._common())] if partly else []
        rows.append(("largest relative deviation", f"{self.max_relative():.2e} (mode {mode + 1}, {at})"))
        rows += self._sampling() if self.has_network else [("sampling error", "none, because both are theories")]
        if self.alignment is not None:
            least, last = self.alignment[0].min(), self.alignment[-1].min()
            rows.append(("least aligned eigenvector", f"{least:.4f} at the start, {last:.4f} at the end"))
        if self.has_network or (self.model is not None and self.model.by_weights):
            rows.append(("modes", "variances along the initial eigenvectors, not sorted eigenvalues"))
        return [*rows, *shortened(self._last_values())]

    def _common(self) -> str:
        """Return how many of the recorded times are compared, and what to do if they could be more."""
        assert self.recorded is not None  # the caller requires it
        number, (first, second) = len(self.t), self.recorded
        counts = f"{number} of {first} ({self.names[0]}), {number} of {second} ({self.names[1]})"
        if number == min(self.recorded):
            return counts
        return f"{counts}; for more, solve at the times of the other (times), or record the same steps (record)"

    def _sampling(self) -> list[Fact]:
        """Return the fraction of entries within the sampling error, and how this error was estimated."""
        try:
            rows = [("within 2 sampling errors", f"{100 * self.within():.0f} % of entries; error {self.source}")]
        except errors.ArgumentError as error:
            rows = [("sampling error", f"unknown: {error}")]
        if self.reliable is None:
            rows.append(("batch size", "effects on the mean are not predicted for this network"))
        elif not self.reliable.all():
            rows.append(("batch size", f"prediction unreliable from step {self.along[1][~self.reliable][0]} on"))
        return rows

    def _last_values(self) -> list[Fact]:
        """Return a row for each mode with the relative deviation at the end; the absolute deviation if theory is 0."""
        error = np.full(self.theory_modes.shape[-1], np.nan)
        if self.has_network:
            with suppress(errors.ArgumentError):  # the sampling error is not known
                error = self.sampling_error[-1]
        short = max(map(len, self.names)) <= LONGEST_NAME
        (first, second), rows = self.names if short else ("first", "second"), []
        columns = (self.theory_modes[-1], self.network_modes[-1], error)
        shown = [[f"{value:.5g}," for value in column] for column in columns[:2]]
        widths = [max(10, *map(len, texts)) for texts in shown]
        for number, (theory, network, sampling) in enumerate(np.transpose(columns).tolist(), 1):
            scale = theory or 1.0
            known = "" if np.isnan(sampling) else f" +- {sampling / scale:.2e}"
            left, right = (f"{texts[number - 1]:<{width}}" for texts, width in zip(shown, widths, strict=True))
            deviation = f"deviation {(network - theory) / scale:+.2e}{known}"
            rows.append((f"mode {number} at the end", f"{first} {left} {second} {right} {deviation}"))
        return rows
