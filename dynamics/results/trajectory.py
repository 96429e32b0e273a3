"""Define the trajectory: eigenvalues over time, the common result of flow, descent map and network."""

import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from dynamics import errors
from dynamics.model.model import Model
from dynamics.model.views import ModeViews
from dynamics.numerics.context import isolated
from dynamics.numerics.files import replacing
from dynamics.presentation.result import Result
from dynamics.presentation.text import Fact, counted
from dynamics.vector_field.weight_state import directions_of_inputs, on_white

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr
    from matplotlib.axes import Axes

Array = npt.NDArray[np.float64]

QUANTITIES = ("s", "target", "predictor")  # names of the eigenvalues that every trajectory has
STEADY = "steady"  # first word of the status of a flow that has reached its steady state
MOST_MODES, MOST_POINTS = 200, 2_000_000  # of a picture that is drawn in a fraction of a second
SAME = 1e-5  # relative difference of equal eigenvalues in single precision
KINDS = {"flow": "flow", "descent": "descent map", "network": "network"}


def in_order(values: Array, s: Array) -> Array:
    """Return values (..., T, M) of modes in ascending order of the initial eigenvalues of the trajectory s."""
    return np.take_along_axis(values, np.argsort(s[..., :1, :], axis=-1, kind="stable"), axis=-1)


def _ascending(s: Array) -> npt.NDArray[np.intp]:
    """Return the order in which eigenvalues (..., M) ascend; equal eigenvalues keep their order.

    Eigenvalues whose relative difference is a rounding error of single precision are equal.
    """
    order = np.argsort(s, axis=-1, kind="stable")
    ascending = np.take_along_axis(s, order, axis=-1)
    rises = np.diff(ascending, axis=-1, prepend=0.0) > SAME * ascending
    ranks = np.take_along_axis(rises.cumsum(axis=-1), np.argsort(order, axis=-1), axis=-1)
    return np.argsort(ranks, axis=-1, kind="stable")


@dataclass(frozen=True, repr=False, eq=False)
class Trajectory(Result):
    """Eigenvalues s(t) of the representation correlation, as ``solve``, ``iterate`` and ``train`` return them.

    Attributes
    ----------
    model : Model
        The model.
    kind : {"flow", "descent", "network"}
        Kind of the run: gradient flow, descent map, or trained network.
    t : ndarray of shape (T,)
        Times, in units of learning rate times steps.
    s : ndarray of shape (..., T, M)
        Eigenvalues, one column for each mode. For networks and for correlated inputs, they are in ascending order at
        each time.
    target : ndarray of shape (..., T, M)
        Eigenvalues of the correlation of the target branch.
    predictor : ndarray of shape (..., T, M)
        Eigenvalues lambda of the predictor W_P. For networks and for correlated inputs, u_m . W_P u_m along the
        eigenvectors u_m of the correlation.
    method : str
        Method of the computation.
    step : ndarray of shape (T,) or None
        Recorded steps; None for a flow.
    status : str
        How the run ended: "complete", or a sentence.
    error : float
        Estimated relative error of the rates.
    blow_up_time : ndarray of shape (...)
        Time at which eigenvalues diverge; inf if no eigenvalue diverges.
    population : ndarray of shape (T, M) or None
        Eigenvalues of the descent map, if the trajectory is a result of ``iterate`` with a ``batch_size``. In this case
        ``s`` is the predicted mean over networks.
    deviation : ndarray of shape (T, M) or None
        Predicted standard deviation of s over networks, if the trajectory is a result of ``iterate`` with a
        ``batch_size``.
    reliable : ndarray of bool, shape (T,) or None
        True for the steps up to which the predicted mean and standard deviation hold. Until then, the standard
        deviation is at most half of the mean, the curvature of the map changes the mean by at most one standard
        deviation, and single samples cause at most a fifth of the variance. An averaged target lags behind the encoder
        by at most 2 % of the variance of the target. For correlated inputs, eigenvalues are at least four standard
        deviations apart.
    mode_mean, mode_deviation : ndarray of shape (T, M) or None
        Predicted mean and standard deviation of ``modes`` over networks, if the trajectory is a result of ``iterate``
        with a ``batch_size`` for correlated inputs. In this case ``modes`` are not eigenvalues.
    mode_reliable : ndarray of bool, shape (T,) or None
        True for the steps up to which ``mode_mean`` and ``mode_deviation`` hold. Unlike ``reliable``, this does not
        require that eigenvalues are apart.
    weights, target_weights, predictor_weights : ndarray or None
        Weights of the encoder (..., T, M, N), of a separate target branch (..., T, M, N), and of a learned predictor
        (..., T, M, M). Present for linear networks, and for flow and descent map with correlated inputs.
    embeddings : ndarray of shape (..., T, P, M) or None
        Representations of the P inputs that were passed to ``train`` as ``probes``.
    settings : dict
        Arguments of ``solve``, ``iterate`` or ``train``, such as tolerances or the learning rate.
    measures : dict
        Metrics of deep networks at each recorded step, such as the training loss. The keys are the names of the metrics
        (``dynamics/networks/deep/metrics.py``). A part of a trajectory has its modes and alignment here if they cannot
        be computed from the part.

    Examples
    --------
    >>> import dynamics as dyn
    >>> flow = dyn.solve(dyn.Model("euclidean"), [0.1, 0.5], [0.0, 1.0, 2.0])
    >>> flow.kind, flow.s.shape, flow.complete
    ('flow', (3, 2), True)
    """

    model: Model
    kind: str
    t: npt.NDArray[np.floating[Any]]
    s: Array
    target: Array
    predictor: Array
    method: str
    step: npt.NDArray[np.int64] | None = None
    status: str = "complete"
    error: float = 0.0
    blow_up_time: Array = field(default_factory=lambda: np.array(np.inf))
    population: Array | None = None
    deviation: Array | None = None
    reliable: npt.NDArray[np.bool_] | None = None
    mode_mean: Array | None = None
    mode_deviation: Array | None = None
    mode_reliable: npt.NDArray[np.bool_] | None = None
    weights: Array | None = None
    target_weights: Array | None = None
    predictor_weights: Array | None = None
    embeddings: Array | None = None
    settings: dict[str, Any] = field(default_factory=dict)
    measures: dict[str, Array] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Replace the status "complete" if eigenvalues are not finite; the new status states where this happens first.

        Eigenvalues of an ensemble member at or after its ``blow_up_time`` are expected to be not finite, and do not
        change the status.
        """
        if self.complete and (reason := self._not_finite()):
            object.__setattr__(self, "status", reason)

    def _not_finite(self) -> str | None:
        """Return a sentence that states where an eigenvalue is first not finite, or None if there is no such place.

        Eigenvalues of an ensemble member at or after its ``blow_up_time`` are left out.
        """
        quantities = {id(getattr(self, name)): name for name in reversed(QUANTITIES)}  # often the same array
        for name in reversed(quantities.values()):
            values = getattr(self, name)
            if np.isfinite(values.sum()):  # a tenth of the time of the complete test
                continue
            wrong = ~np.isfinite(values).all(axis=-1) & (self.t < np.asarray(self.blow_up_time)[..., None])
            if wrong.any():
                first = self.t[wrong.reshape(-1, len(self.t)).any(axis=0)].min()
                where = f" in {wrong.any(axis=-1).sum()} of {wrong[..., 0].size} members" if wrong.ndim > 1 else ""
                return f"not finite: {name} leaves the range of double precision, first at t = {first:.6g}{where}"
        return None

    @property
    @isolated
    def alignment(self) -> Array:
        """Alignment |u_m . W_P u_m|/|W_P u_m| (..., T, M) of the predictor W_P with the eigenvectors u_m.

        u_m are the eigenvectors of the correlation of the representations, in ascending order of the eigenvalues. The
        alignment is 1 if u_m is also an eigenvector of W_P. Raises ArgumentError unless the trajectory belongs to a
        deep network, or to a linear network with a learned predictor.
        """
        if "alignment" in self.measures:
            return self.measures["alignment"]
        if self.predictor_weights is None or self.weights is None:
            requirement = "come from training a network with a learned predictor, because others have no alignment"
            errors.reject("trajectory", requirement, self)
        U = np.linalg.svd(self.weights.astype(float), full_matrices=False)[0][..., ::-1]
        image = self.predictor_weights.astype(float) @ U
        return np.abs((U * image).sum(axis=-2)) / np.linalg.norm(image, axis=-2)

    @property
    @isolated
    def modes(self) -> Array:
        """Variances u_m . C(t) u_m (..., T, M) along the eigenvectors u_m of the initial correlation C(0).

        C(t) is the correlation of the representation at the time t. The modes are in ascending order of the initial
        eigenvalues. In the theory of white inputs the eigenvectors do not rotate, and the variances are the eigenvalues
        s. In networks, the variances fluctuate symmetrically about the theory; the eigenvalues s of networks, which are
        sorted, are biased, because fluctuations drive nearly equal eigenvalues apart. If the trajectory is a result of
        ``iterate`` with a ``batch_size``, the variances are the predicted means over networks.
        """
        if self.mode_mean is not None:
            return self.mode_mean
        if "modes" in self.measures:
            return self.measures["modes"]
        if self.weights is None:
            return in_order(self.s, self.s)
        weights = on_white(np.asarray(self.weights, float), self.model.input_root)
        first = weights[..., :1, :, :]
        U = directions_of_inputs(first) if isinstance(self.model.views, ModeViews) else None
        if U is None:
            U = np.linalg.svd(first, full_matrices=False)[0][..., ::-1]
        else:
            U = np.take_along_axis(U, _ascending((first**2).sum(axis=-2))[..., None, :], axis=-1)
        return ((U.mT @ weights) ** 2).sum(axis=-1)

    @property
    def complete(self) -> bool:
        """True if the trajectory reached the last requested time or step, or its steady state."""
        return self.status == "complete" or self.status.startswith(STEADY)

    @isolated
    def plot(
        self, ax: "Axes | None" = None, quantity: str = "s", *, lines: int | str | None = None, **style: Any
    ) -> "Axes":
        """Draw eigenvalues or another quantity against the step.

        For a flow, or if ``ax`` already shows time, the horizontal axis is time. The colours of the modes go from dark
        for the smallest to light for the largest initial eigenvalue. Of an ensemble with more than ten members, the
        median and the quantiles from 5 to 95 % and from 25 to 75 % are drawn. The axes of a new figure have a legend
        and a title; the legend also includes results that are drawn into these axes later.

        Parameters
        ----------
        ax : matplotlib Axes, optional
            Axes to draw in; by default the axes of a new figure.
        quantity : str
            "s", "target" or "predictor" (eigenvalues), or a name in ``measures`` of a deep network.
        lines : int or "all", optional
            For an ensemble: the number of members that are drawn as thin lines in addition to median and quantiles, or
            "all". By default up to ten members are drawn as they are, and of more only median and quantiles.
        **style
            Arguments for ``Axes.plot`` of matplotlib. A ``label`` is the name of the trajectory in the legend.

        Returns
        -------
        matplotlib Axes

        Raises
        ------
        ArgumentError
            If the quantity is unknown, or if the trajectory is a flow but ``ax`` shows steps.
        """
        from dynamics.results.plotting import plot_trajectory

        errors.choice("quantity", quantity, (*QUANTITIES, *self.measures))
        return plot_trajectory(self, ax, quantity, lines, **style)

    @isolated
    def explore(self, figure: Any = None, quantity: str = "s") -> Any:
        """Draw eigenvalues or another quantity as an interactive Plotly figure, for notebooks and web pages.

        The value under the mouse pointer is shown. Requires the extra ``interactive``.

        Parameters
        ----------
        figure : plotly.graph_objects.Figure, optional
            Figure to draw in, such as the result of ``explore`` of another trajectory; by default a new figure.
        quantity : str
            "s", "target" or "predictor" (eigenvalues), or a name in ``measures`` of a deep network.

        Returns
        -------
        plotly.graph_objects.Figure
            The figure, which a notebook shows; ``figure.write_html(path)`` writes a web page.

        Raises
        ------
        ArgumentError
            If the quantity is unknown, or if the trajectory is a flow but ``figure`` shows steps.
        MissingExtraError
            If Plotly is not installed.

        Notes
        -----
        A page that nbconvert writes from a notebook contains the figure if the notebook has set
        ``plotly.io.renderers.default = "plotly_mimetype+notebook"``.
        """
        errors.choice("quantity", quantity, (*QUANTITIES, *self.measures))
        errors.require_extra("interactive", "plotly")
        from dynamics.results.explorer import explore_trajectory

        return explore_trajectory(self, figure, quantity)

    @isolated
    def animate(
        self,
        path: str | Path,
        *others: "Trajectory",
        quantity: str = "s",
        frames: int = 60,
        frame_rate: int = 15,
        progress: bool | None = None,
    ) -> Path:
        """Write an animation, in which eigenvalues or another quantity are drawn from left to right.

        Parameters
        ----------
        path : str or Path
            File to write: .gif, or .mp4 if the program ffmpeg is installed.
        *others : Trajectory
            Further results that are drawn on the same axes, such as a network beside its theory.
        quantity : str
            "s", "target" or "predictor" (eigenvalues), or a name in ``measures`` of a deep network.
        frames : int, default 60
            Number of frames, at most 500.
        frame_rate : int, default 15
            Frames per second.
        progress : bool, optional
            Show a progress bar. By default the bar is shown if the animation takes long.

        Returns
        -------
        Path
            The path of the file.

        Raises
        ------
        ArgumentError
            If an argument is not valid, or if ffmpeg is missing.

        Examples
        --------
        >>> import dynamics as dyn
        >>> flow = dyn.solve(dyn.Model("euclidean"), [0.1, 0.5], range(10))
        >>> flow.animate("flow.gif", frames=5).name
        'flow.gif'
        """
        from dynamics.results.animation import animate_trajectory

        errors.choice("quantity", quantity, (*QUANTITIES, *self.measures))
        for other in others:
            errors.instance("others", other, Trajectory, "be trajectories")
        return animate_trajectory(self, path, others, quantity, frames, frame_rate, progress)

    @isolated
    def select(
        self,
        *,
        t: Any = None,
        step: Any = None,
        modes: Any = None,
        members: Any = None,
        nearest: bool = False,
    ) -> "Trajectory":
        """Return a part of the trajectory: some records, modes, or members of the ensemble.

        Parameters
        ----------
        t, step : optional
            Times or steps: a pair ``(low, high)`` for all records from ``low`` to ``high``, both included; a slice,
            such as ``slice(None, None, 10)`` for every tenth record; or one or more recorded values. If both ``t`` and
            ``step`` are given, records that both contain are returned.
        modes : optional
            Positions on the axis of the modes, from 0: a number, a slice, a list or a mask. The axis is kept.
        members : optional
            Positions on the axis of the ensemble; a tuple for several axes. An axis that a number selects is removed.
            Parameters of the model are those of the selected members.
        nearest : bool
            Take, for each value in ``t`` or ``step``, the record that is nearest. By default values must be recorded.

        Returns
        -------
        Trajectory
            ``status`` and ``settings`` are those of the whole run. If modes are selected, weights are left out, because
            the units of a network are no modes.

        Raises
        ------
        ArgumentError
            If a value is not recorded, or if nothing is selected.

        Examples
        --------
        >>> import dynamics as dyn
        >>> descent = dyn.iterate(dyn.Model("euclidean"), [0.1, 0.5], steps=100, learning_rate=0.1)
        >>> descent.select(step=(10, 20), modes=0).s.shape
        (11, 1)
        >>> descent.select(t=[0.0, 5.04], nearest=True).step
        array([ 0, 50])
        """
        from dynamics.results.selection import select

        return select(self, t, step, modes, members, nearest)

    @isolated
    def save(self, path: str | Path) -> Path:
        """Write the trajectory to a file, and return the path of the file.

        The suffix of ``path`` chooses the format: .npz (compressed) or .nc (netCDF-3, for xarray and other programs),
        which ``load`` reads, or .csv (eigenvalues alone, see ``to_csv``). A missing suffix .npz is added. Raises
        ArgumentError for any other suffix.
        """
        from dynamics.results.storage import save

        return save(self, path)

    @isolated
    def to_xarray(self) -> "xr.Dataset":
        """Return the trajectory as an ``xarray.Dataset``, with named axes as in the result of ``sweep``.

        The axes of ``s`` are those of the ensemble, then "time" or, for a run in steps, "step", and "mode". If a single
        parameter varies along an axis of the ensemble, the axis has the name of this parameter, or "seed"; otherwise it
        has the name "member". Coordinates are the times, the steps, the seeds and the parameters that vary; the model
        is in the attributes, as JSON. Requires the extra ``data``.

        Examples
        --------
        >>> import dynamics as dyn
        >>> model = dyn.Model("euclidean", weight_decay=[0.0, 0.1])
        >>> runs = dyn.solve(model, [0.1, 0.5], [0.0, 1.0, 2.0]).to_xarray()
        >>> float(runs.s.sel(weight_decay=0.0, time=0.0, mode=1))
        0.5
        """
        from dynamics.results.conversion import to_xarray

        return to_xarray(self)

    @isolated
    def to_dataframe(self) -> "pd.DataFrame":
        """Return a ``pandas.DataFrame`` with one row for each member of the ensemble, record and mode.

        The columns are the axes and coordinates of ``to_xarray``, then s, target, predictor, and all other arrays that
        have one value for each record or mode. Weights are left out. Requires the extra ``data``.

        Examples
        --------
        >>> import dynamics as dyn
        >>> dyn.solve(dyn.Model("euclidean"), [0.1, 0.5], [0.0, 1.0]).to_dataframe().columns[:3].tolist()
        ['time', 'mode', 's']
        """
        from dynamics.results.conversion import to_dataframe

        return to_dataframe(self)

    @isolated
    def to_csv(self, path: str | Path) -> Path:
        """Write times, steps and eigenvalues to a text file of comma-separated values, and return the path of the file.

        The file has one row for each member of the ensemble and each time.

        Examples
        --------
        >>> import tempfile
        >>> import dynamics as dyn
        >>> flow = dyn.solve(dyn.Model("euclidean"), [0.1, 0.5], [0.0, 1.0])
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     flow.to_csv(f"{folder}/flow.csv").read_text().splitlines()[0]
        'member,t,step,s1,s2'
        """
        steps = self.step if self.step is not None else np.full(len(self.t), np.nan)
        rows = [np.column_stack([np.full(len(self.t), i), self.t, steps, s]) for i, s in enumerate(self.members())]
        path = errors.path("path", path)
        names = ["member", "t", "step", *(f"s{m + 1}" for m in range(self.s.shape[-1]))]
        with replacing(path) as fresh:
            np.savetxt(fresh, np.concatenate(rows), delimiter=",", header=",".join(names), comments="", fmt="%.17g")
        return path

    def members(self, quantity: str = "s") -> Array:
        """Return a quantity, such as the eigenvalues "s", as one array (B, T, M) for all B members of the ensemble.

        A single trajectory is an ensemble with B = 1. If the quantity is one number at each time, the array has the
        shape (B, T, 1).
        """
        values = getattr(self, quantity) if quantity in QUANTITIES else self.measures[quantity]
        return values.reshape(math.prod(self.s.shape[:-2]), len(self.t), *(values.shape[self.s.ndim - 1 :] or (1,)))

    def ranked(self, quantity: str = "s") -> Array:
        """Return a quantity as ``members``, with the modes in ascending order of their initial eigenvalues.

        Trajectories of networks, and measures, have this order already.
        """
        values = self.members(quantity)
        return in_order(values, self.members()) if quantity in QUANTITIES else values

    @property
    def headline(self) -> str:
        """The essence of the result on one line."""
        return f"{KINDS[self.kind]}, {self._sizes()}, s {self.s.shape}, {self.model}"

    @property
    def title(self) -> str:
        """The kind of the trajectory, and its model."""
        return f"{KINDS[self.kind].capitalize()} of {self.model}"

    def facts(self) -> list[Fact]:
        """Return pairs of texts, name and value, that describe the trajectory."""
        rows = [("size", f"{self._sizes()}, {counted(len(self.t), 'time')}")]
        if len(self.t):
            rows.append(("t", f"{self.t[0]:.6g} ... {self.t[-1]:.6g}  (learning rate x steps)"))
        if self.step is not None and len(self.step):
            rows.append(("step", f"{self.step[0]} ... {self.step[-1]}"))
        if self.s.size:
            rows += [("s at the start", _span(self.s[..., 0, :])), ("s at the end", _span(self.s[..., -1, :]))]
        error = f", estimated error of the rates {self.error:.1e}" if self.error else ""
        rows.append(("method", f"{self.method}{error}"))
        if self.reliable is not None and self.step is not None and not self.reliable.all():
            rows.append(("batch size", f"prediction of s unreliable from step {self.step[~self.reliable][0]} on"))
        return [*rows, ("status", self.status)]

    def _sizes(self) -> str:
        """Return the numbers of members and modes; they reveal a matrix that was passed in place of eigenvalues."""
        modes, members = counted(self.s.shape[-1], "mode"), self.s.shape[:-2]
        if not members:
            return modes
        return f"ensemble of {' x '.join(map(str, members))} member{'s' * (math.prod(members) != 1)} of {modes}"

    @property
    def is_quick_to_draw(self) -> bool:
        """True if there are lines to draw, and few enough modes and points for the card in a notebook."""
        return len(self.t) > 1 and 0 < self.s.size <= MOST_POINTS and self.s.shape[-1] <= MOST_MODES


def _span(s: Array) -> str:
    """Return a text with the smallest and largest eigenvalue in ``s``, and the number of missing eigenvalues.

    An eigenvalue that was not computed is missing, and is nan in ``s``.
    """
    computed = s[~np.isnan(s)]
    if not computed.size:
        return "not computed"
    missing = s.size - computed.size
    return f"{computed.min():.4g} ... {computed.max():.4g}" + (f", and {missing} not computed" if missing else "")
