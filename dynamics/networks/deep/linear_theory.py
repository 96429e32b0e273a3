"""What the linear theory says of a deep network, and how well it holds."""

from dataclasses import replace
from typing import NamedTuple

import numpy as np
from scipy.optimize import minimize_scalar

from dynamics import errors
from dynamics.model.components import Shared
from dynamics.results.trajectory import Trajectory
from dynamics.solvers.flow import solve
from dynamics.vector_field.eigenmode_state import observables
from dynamics.vector_field.state import State

TIMES = 400  # of the flow, between which it is interpolated
PACES = (1e-2, 1e4)  # how much faster or slower than the flow a network may be


class Prediction(NamedTuple):
    """flow: of the linear theory, at the network's steps. pace: time of the flow in units of the network's."""

    flow: Trajectory
    pace: float


def linear_theory(network: Trajectory, pace: float | None = None) -> Prediction:
    """The flow of the eigenvalues from where a network starts: ds_m/dt = 2 s_m (r_m(s) - rho) at pace x time.

    network: one network (T, M), or seeds of one (S, T, M), whose mean of log s is taken. pace: how fast time runs in
    the flow; None: the one number with which s fits best. All layers move z, with momentum, so that theory cannot
    tell it; it can tell how one loss compares with another at the same pace. The flow is that of a shared target,
    white inputs and no noise. Cosine losses leave the size of z open: theirs are shares, times the network's sum of s.
    Raises ArgumentError. (Halvagal et al. 2023, section 5 and figure 3.)
    """
    errors.instance("network", network, Trajectory, "be a Trajectory of a network")
    with np.errstate(divide="ignore"):
        measured = np.log(network.s).reshape(-1, *network.s.shape[-2:]).mean(axis=0)
    if not np.isfinite(measured).all():
        errors.reject("network", "have finite, positive eigenvalues throughout", network)
    model = replace(network.model, target=Shared(), noise=(0.0, 0.0), symmetrised=False)
    if model.structure.tracked:
        model = model.replace(tracking=0.0)
    if model.structure.predictor == "learned":
        errors.reject(
            "network", "have a closed-form predictor or none: where a learned one starts is not known", network
        )
    end = network.t[-1] * (PACES[1] if pace is None else pace)
    times = np.concatenate([[0.0], np.geomspace(1e-6 * end, end, TIMES)])
    log_s = np.log(np.maximum(solve(model, np.exp(measured[0]), times, progress=False).s, np.finfo(float).tiny))
    measured = np.exp(measured)

    def at(pace):
        s = np.exp(np.stack([np.interp(pace * network.t, times, column) for column in log_s.T], axis=-1))
        return s if model.loss != "cosine" else s / s.sum(axis=-1, keepdims=True) * measured.sum(axis=-1, keepdims=True)

    if pace is None:
        bounds = np.log(PACES)
        found = minimize_scalar(lambda x: np.square(at(np.exp(x)) - measured).sum(), bounds=bounds, method="bounded")
        pace = float(np.exp(found.x))
    found = observables(model.structure, model.parameters, State(np.sqrt(at(pace))))
    flow = replace(network, model=model, kind="flow", **found._asdict(), measures={}, status="complete")
    return Prediction(replace(flow, method=f"flow at {pace:.3g} x the network's time"), pace)


def arrival(s: np.ndarray, along: np.ndarray, level: float) -> np.ndarray:
    """Where along (T,) each eigenvalue of s (..., T, M) first reaches a level (..., M); infinite where it does not."""
    highest = np.maximum.accumulate(s, axis=-2)
    reached = highest >= level
    after = np.argmax(reached, axis=-2)[..., None, :]
    before = np.maximum(after - 1, 0)
    low, high = (np.take_along_axis(highest, at, axis=-2) for at in (before, after))
    share = np.where(high > low, (level - low) / np.where(high > low, high - low, 1), 0)
    found = along[before] + np.clip(share, 0, 1) * (along[after] - along[before])
    return np.where(reached.any(axis=-2), found[..., 0, :], np.inf)
