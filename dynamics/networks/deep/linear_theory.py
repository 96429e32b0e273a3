"""Compare a deep network with the linear theory: fit the time scale of a flow, and compute arrival times."""

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

TIMES = 400  # number of times at which the flow is computed; the flow is interpolated between these times
PACES = (1e-2, 1e4)  # range in which the pace is fitted; the pace is the time of the flow per time of the network


class Prediction(NamedTuple):
    """The flow of the linear theory at the steps of a deep network, and the pace of the flow.

    pace: constant factor between two times; when the network is at the time t, the flow is at the time pace x t.
    """

    flow: Trajectory
    pace: float


def linear_theory(network: Trajectory, pace: float | None = None) -> Prediction:
    """Return the flow ds_m/dt = 2 s_m (r_m(s) - rho) from the initial eigenvalues of a network, at times pace x t.

    s_m is the correlation eigenvalue of mode m, r_m is the rate of this mode, rho is the weight decay, and t is the
    time of the network. The pace is a constant factor: when the network is at the time t, the flow is at the time
    pace x t.

    Parameters
    ----------
    network : Trajectory
        Trajectory of a deep network, with eigenvalues s of shape (T, M), or of S networks, with shape (S, T, M). For
        several networks, the geometric mean of s over networks is used.
    pace : float, optional
        The pace. By default it is fitted by least squares, such that the flow is close to the eigenvalues s.

    Returns
    -------
    Prediction
        The flow at the steps of the network, and the pace.

    Raises
    ------
    ArgumentError
        If ``network`` is not a trajectory, or has eigenvalues that are zero or not finite. Also if the predictor is
        learned, because the initial eigenvalues of a learned predictor are not known.

    Notes
    -----
    The theory cannot predict the pace, because all layers of the network change its output z, and because training has
    momentum. The theory can predict how losses compare at the same pace. The flow assumes white inputs, no noise, and
    that the target is the encoder itself. A cosine loss does not determine the size of z. Therefore, for the "cosine"
    loss, the eigenvalues of the flow are scaled such that they have the same sum as in the network, at each step.

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
    """Return the geometric mean (T, M) of the eigenvalues over the networks of a trajectory.

    Raises ArgumentError if an eigenvalue is zero or not finite.
    """
    errors.instance("network", network, Trajectory, "be a Trajectory of a network")
    with np.errstate(divide="ignore"):
        log_s = np.log(network.s).reshape(-1, *network.s.shape[-2:]).mean(axis=0)
    if not np.isfinite(log_s).all():
        errors.reject("network", "have finite, positive eigenvalues at all recorded steps", network)
    return np.exp(log_s)


def _reduced_model(network: Trajectory) -> Model:
    """Return the model of the linear theory, which is a simplified form of the model of the network.

    In the simplified model, the target is the encoder itself, no correlation is tracked, the views have no noise, and
    the loss is not symmetrised. Raises ArgumentError if the predictor of the network is learned.
    """
    model = replace(network.model, target=Shared(), noise=(0.0, 0.0), symmetrised=False)
    if model.structure.predictor == "learned":
        requirement = (
            "have a closed-form predictor or no predictor, because the initial eigenvalues of a learned predictor are "
            "not known"
        )
        errors.reject("network", requirement, network)
    return model.replace(tracking=0.0) if model.structure.tracked else model


def arrival(
    s: npt.NDArray[np.float64], along: npt.NDArray[np.floating[Any]], level: npt.ArrayLike
) -> npt.NDArray[np.float64]:
    """Return the step or time (..., M) at which each eigenvalue of s (..., T, M) first reaches ``level`` (..., M).

    The result is inf for eigenvalues that never reach the level. along (T,): the T steps or times at which s is given;
    between these steps or times s is interpolated linearly.
    """
    highest = np.maximum.accumulate(s, axis=-2)
    reached = highest >= level
    after = np.argmax(reached, axis=-2)[..., None, :]
    before = np.maximum(after - 1, 0)
    low, high = (np.take_along_axis(highest, at, axis=-2) for at in (before, after))
    share = np.where(high > low, (level - low) / np.where(high > low, high - low, 1), 0)
    position = along[before] + np.clip(share, 0, 1) * (along[after] - along[before])
    return np.where(reached.any(axis=-2), position[..., 0, :], np.inf)
