"""Comparison of a deep network with the linear theory: a flow whose time scale is fitted, and arrival times."""

from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize_scalar

from dynamics import errors
from dynamics.model.components import Shared
from dynamics.model.model import Model
from dynamics.results.trajectory import Trajectory
from dynamics.solvers.flow import solve
from dynamics.vector_field.eigenmode_state import observables
from dynamics.vector_field.state import State

TIMES = 400  # number of times at which the flow is computed, and between which it is interpolated
PACES = (1e-2, 1e4)  # range in which the pace, time of the flow divided by time of the network, is fitted


class Prediction(NamedTuple):
    """The flow of the linear theory at the steps of a deep network.

    pace: time of the flow divided by time of the network.
    """

    flow: Trajectory
    pace: float


def linear_theory(network: Trajectory, pace: float | None = None) -> Prediction:
    """Return the flow ds_m/dt = 2 s_m (r_m(s) - rho) from a network's initial eigenvalues, at the times pace x t.

    Parameters
    ----------
    network : Trajectory
        Trajectory of a deep network, with s of shape (T, M), or of S networks, (S, T, M), over which log s is averaged.
    pace : float, optional
        Time of the flow divided by time t of the network. By default the pace is fitted, by least squares of s.

    Returns
    -------
    Prediction
        The flow at the steps of the network, and the pace.

    Raises
    ------
    ArgumentError
        If ``network`` is not a trajectory, has eigenvalues that are zero or not finite, or has a learned predictor,
        whose initial eigenvalues are not known.

    Notes
    -----
    r_m is the rate of a mode, rho the weight decay, t the time of the network. Because all layers change z, and with
    momentum, the theory cannot predict the pace, but it can predict how losses compare at the same pace. The flow
    assumes that the target is the encoder itself, white inputs and no noise. Cosine losses leave the size of z
    undetermined: for the "cosine" loss, the eigenvalues of the flow are scaled to the network's sum of s at each step.

    References
    ----------
    Halvagal, Laborieux & Zenke, NeurIPS 2023, section 5 and figure 3.

    Examples
    --------
    >>> import dynamics as dyn
    >>> from dynamics.networks.deep.linear_theory import linear_theory
    >>> trajectory = dyn.iterate(dyn.Model("euclidean"), [0.1, 0.5], steps=50, learning_rate=0.01)
    >>> round(linear_theory(trajectory).pace, 1)  # a descent map, in place of a network
    1.0
    """
    measured = _mean_eigenvalues(network)
    end = network.t[-1] * (PACES[1] if pace is None else pace)
    times = np.concatenate([[0.0], np.geomspace(1e-6 * end, end, TIMES)])
    model = _reduced_model(network)
    log_s = np.log(np.maximum(solve(model, measured[0], times, progress=False).s, np.finfo(float).tiny))

    def at(pace: float) -> npt.NDArray[np.float64]:
        s = np.exp(np.stack([np.interp(pace * network.t, times, column) for column in log_s.T], axis=-1))
        return s if model.loss != "cosine" else s / s.sum(axis=-1, keepdims=True) * measured.sum(axis=-1, keepdims=True)

    if pace is None:
        bounds = np.log(PACES)
        fit = minimize_scalar(lambda x: np.square(at(np.exp(x)) - measured).sum(), bounds=bounds, method="bounded")
        pace = float(np.exp(fit.x))
    values = observables(model.structure, model.parameters, State(np.sqrt(at(pace))))._asdict()
    method = f"flow at {pace:.3g} x the network's time"
    flow = replace(network, model=model, kind="flow", **values, measures={}, status="complete", method=method)
    return Prediction(flow, pace)


def _mean_eigenvalues(network: Trajectory) -> npt.NDArray[np.float64]:
    """Return the geometric mean (T, M) of the eigenvalues over seeds; raises ArgumentError if an eigenvalue is zero."""
    errors.instance("network", network, Trajectory, "be a Trajectory of a network")
    with np.errstate(divide="ignore"):
        log_s = np.log(network.s).reshape(-1, *network.s.shape[-2:]).mean(axis=0)
    if not np.isfinite(log_s).all():
        errors.reject("network", "have finite, positive eigenvalues at all recorded steps", network)
    return np.exp(log_s)


def _reduced_model(network: Trajectory) -> Model:
    """Return the model of the linear theory: the network's model without separate target, tracking and noise.

    Raises ArgumentError if the predictor is learned.
    """
    model = replace(network.model, target=Shared(), noise=(0.0, 0.0), symmetrised=False)
    if model.structure.predictor == "learned":
        requirement = (
            "have a closed-form predictor or none, because initial eigenvalues of a learned predictor are unknown"
        )
        errors.reject("network", requirement, network)
    return model.replace(tracking=0.0) if model.structure.tracked else model


def arrival(
    s: npt.NDArray[np.float64], along: npt.NDArray[np.floating[Any]], level: npt.ArrayLike
) -> npt.NDArray[np.float64]:
    """Return the step or time (..., M) at which each eigenvalue of s (..., T, M) first reaches ``level`` (..., M).

    The result is inf for eigenvalues that never reach the level. along: steps or times (T,), between which s is
    interpolated linearly.
    """
    highest = np.maximum.accumulate(s, axis=-2)
    reached = highest >= level
    after = np.argmax(reached, axis=-2)[..., None, :]
    before = np.maximum(after - 1, 0)
    low, high = (np.take_along_axis(highest, at, axis=-2) for at in (before, after))
    share = np.where(high > low, (level - low) / np.where(high > low, high - low, 1), 0)
    position = along[before] + np.clip(share, 0, 1) * (along[after] - along[before])
    return np.where(reached.any(axis=-2), position[..., 0, :], np.inf)
