"""Check the dynamics: compare exact solution, flow, descent map and trained network, each with the next."""

from typing import Any

import numpy as np
from scipy.special import ndtri, stdtr

from dynamics.networks.train import train
from dynamics.results.trajectory import Trajectory
from dynamics.solvers.descent import iterate
from dynamics.solvers.flow import solve
from dynamics.solvers.methods import has_exact_solution
from dynamics.verification.compare import compare
from dynamics.verification.comparison import Comparison
from dynamics.verification.subject import (
    BY_CHANCE,
    CHANCE,
    STANDARD_ERRORS,
    Array,
    LevelCheck,
    Subject,
    relative_deviation,
)

SPARE_INPUTS = 2  # number of inputs of the network minus its number of modes
STEPS = 60  # number of steps
MOVES = 0.02  # desired relative change of the singular value of the fastest mode in a step
FRACTIONS = (2, 4, 8)  # numbers by which the learning rate is divided, for descent maps that are closer to the flow
SAMPLES_A_STEP = (20_000, 160_000, 1_280_000)  # batch sizes; the next is used if predicted fluctuations are unreliable
FALLS = 0.25  # limit of deviation(last batch size)/deviation(first batch size); errors as 1/sqrt(size) give 0.125
SEEDS = 32  # number of networks whose spread gives the standard error, if fluctuations are not predicted
TRIALS = 8  # number of learning rates that are tried; each learning rate is half of the previous learning rate


def check_exact_solution(subject: Subject) -> LevelCheck:
    """Compare the exact solution of a model with the integrated flow, if an exact solution is known."""
    if subject.closure != "gaussian" or not has_exact_solution(subject.model):
        return LevelCheck("exact", "no exact solution is known")
    times = np.linspace(0, 1 / subject.largest_rate(), 5)
    exact, flow = (solve(subject.model, subject.s0, times, method=way, rtol=1e-10) for way in ("exact", "scipy"))
    common = min(len(exact.t), len(flow.t))
    deviation = relative_deviation(flow.s[:common], exact.s[:common])
    return LevelCheck("exact", f"{exact.method} against the flow", deviation, 1e-8, bound="error of the integration")


def descent_map(subject: Subject) -> Trajectory:
    """Return the descent map at a learning rate at which all modes change slowly.

    With this learning rate, the singular value of the fastest mode changes by about 2 % (MOVES) in the first step. If
    an eigenvalue changes by more than 8 % (4 MOVES) in a step, for example because its mode collapses in finite time,
    the learning rate is halved, and the descent map is computed again. Raises ArgumentError if such halvings do not
    suffice.
    """
    eta = MOVES / subject.largest_rate()
    for _ in range(TRIALS):
        descent = iterate(subject.model, _start(subject), STEPS, eta, closure=subject.closure, method="numpy")
        if descent.complete and _slow(descent.s) and (not subject.learned or _slow(descent.predictor)):
            return descent
        eta /= 2
    subject.reject(
        f"rates with which a step at learning rate {2 * eta:.1g} changes no eigenvalue by over {4 * MOVES:.0%}"
    )


def check_descent_map(subject: Subject, eta: float) -> LevelCheck:
    """Check that the distance between descent map and flow is proportional to the learning rate eta.

    The distance is measured at the learning rates eta and eta/2. If the second distance is not half of the first,
    smaller learning rates are tried, because eta may be too large for the distance to be proportional to eta.
    """
    if subject.model.needs_learning_rate:
        return LevelCheck("descent map", "not checked: the flow depends on the learning rate")
    times = eta * np.arange(STEPS // 2 + 1)
    flow = solve(subject.model, subject.s0, times, closure=subject.closure, method="scipy", rtol=1e-9).s
    distance = _distance_to_flow(subject, flow, eta, 1)
    size = np.abs(distance).max() / np.abs(flow).max()
    if size < 1e-9:
        return LevelCheck("descent map", "the same as the flow", float(size), 1e-9, bound="error of the integration")
    for shorter in FRACTIONS:
        previous, distance = distance, _distance_to_flow(subject, flow, eta, shorter)
        deviation = abs(float(np.linalg.norm(previous) / np.linalg.norm(distance)) - 2)
        if deviation <= 0.2:
            break
    against, quantity = "distances to the flow at eta and eta/2", "ratio differs from 2 by {}"
    return LevelCheck("descent map", against, deviation, 0.2, quantity, "terms of higher order in eta")


def _distance_to_flow(subject: Subject, flow: Array, eta: float, shorter: int) -> Array:
    """Return the eigenvalues (T, M) of a descent map minus the eigenvalues of the flow, at the times 0, eta, 2 eta, ...

    flow: eigenvalues (T, M) of the flow. shorter: integer k; the learning rate of the descent map is eta/k, so that k
    steps of the map correspond to the time eta.
    """
    steps = shorter * (STEPS // 2)
    descent = iterate(subject.model, subject.s0, steps, eta / shorter, closure=subject.closure, method="numpy")
    s = descent.s[::shorter]
    common = min(len(s), len(flow))
    return s[:common] - flow[:common]


def check_network(subject: Subject, descent: Trajectory, progress: bool | None) -> tuple[LevelCheck, Comparison | None]:
    """Compare a network that is trained on samples with the descent map; the deviation is in standard errors.

    The standard error follows from predicted fluctuations of the network. If this prediction is unreliable, as for
    gradients with heavy tails, larger batches are tried. If the prediction is unreliable for all batch sizes, the check
    instead requires that the relative deviation from the descent map becomes smaller as the batch grows, down to the
    error of a descent map whose rates are means over samples. For views with moments of each mode, there is no
    prediction, and the standard error is that of many networks.
    """
    W0 = _weights(subject)
    options: dict[str, Any] = {"progress": progress, "record": STEPS // 6}
    if subject.model.views is not None:
        return _check_networks(subject, descent, W0, options)
    options["seed"] = subject.seed
    eta, deviations = descent.settings["learning_rate"], []
    for samples in SAMPLES_A_STEP:
        network = train(subject.model, W0, STEPS, eta, batch_size=samples, **options)
        if not network.complete:
            return LevelCheck("network", network.status, np.inf, CHANCE, STANDARD_ERRORS), None
        comparison = compare(descent, network)
        reliable = comparison.reliable is not None and bool(comparison.reliable.all())
        if reliable:
            break
        deviations.append(_from_the_map(descent, network))
    else:
        return _check_fall(deviations, comparison, CHANCE * float(_closure_drift(subject, descent, comparison).max()))
    z = _standard_errors(subject, descent, comparison)
    unreliable = "; with fewer samples, fluctuations cannot be predicted" if deviations else ""
    against = f"network on {samples:,} samples a step against the descent map{unreliable}"
    quantity = f"{STANDARD_ERRORS} (largest relative deviation of modes {comparison.max_relative():.1%})"
    return LevelCheck("network", against, z, CHANCE, quantity, BY_CHANCE), comparison


def _start(subject: Subject) -> Array:
    """Return the initial eigenvalues: in ascending order, or in the order of the modes for views of modes."""
    return np.sort(subject.s0) if subject.model.views is None else subject.s0


def _weights(subject: Subject) -> Array:
    """Return random initial weights (M, N) of a network; the eigenvalues of its correlation are the start.

    If the views have moments of each mode, the inputs of the network are the modes. Otherwise the modes are random
    directions of the inputs.
    """
    start, views = _start(subject), subject.model.views
    inputs = len(start) + (SPARE_INPUTS if views is None else 0)
    directions = np.linalg.qr(subject.rng.standard_normal((inputs, len(start))))[0]
    return np.sqrt(start)[:, None] * directions.T if views is None else directions * np.sqrt(start / views.cross)


def _check_networks(
    subject: Subject, descent: Trajectory, W0: Array, options: dict[str, Any]
) -> tuple[LevelCheck, Comparison | None]:
    """Compare the mean over SEEDS networks with the descent map.

    The standard error is estimated from the spread of the networks. Therefore the deviation follows Student's t
    distribution; it is converted to the deviation of a normal distribution that has the same probability.
    """
    seeds, samples = range(subject.seed, subject.seed + SEEDS), SAMPLES_A_STEP[0]
    eta = descent.settings["learning_rate"]
    network = train(subject.model, W0, STEPS, eta, batch_size=samples, seed=seeds, **options)
    if not network.complete:
        return LevelCheck("network", network.status, np.inf, CHANCE, STANDARD_ERRORS), None
    comparison = compare(descent, network)
    z = float(-ndtri(stdtr(SEEDS - 1, -_standard_errors(subject, descent, comparison))))
    against = f"{SEEDS} networks on {samples:,} samples a step against the descent map"
    quantity = f"{STANDARD_ERRORS} (largest relative deviation of modes {comparison.max_relative():.1%})"
    return LevelCheck("network", against, z, CHANCE, quantity, BY_CHANCE), comparison


def _check_fall(deviations: list[float], comparison: Comparison, closure_error: float) -> tuple[LevelCheck, Comparison]:
    """Check that the relative deviation of networks from the descent map falls as the batch grows.

    deviations: for each batch size in SAMPLES_A_STEP. closure_error: largest deviation that is due to the samples of
    the descent map's rates; it does not fall, because all networks are compared with the same map.
    """
    limit = max(FALLS * deviations[0] + closure_error, comparison.rounding)
    bound = f"{FALLS:g} x {deviations[0]:.2g}, the deviation on {SAMPLES_A_STEP[0]:,} samples a step"
    if closure_error:
        bound += f", + {closure_error:.2g}, {CHANCE} standard errors of the map's sampled rates"
    against = f"network on {SAMPLES_A_STEP[-1]:,} samples a step, whose fluctuations cannot be predicted, against the "
    return LevelCheck("network", f"{against}descent map", deviations[-1], limit, bound=bound), comparison


def _closure_drift(subject: Subject, descent: Trajectory, comparison: Comparison) -> Array:
    """Return the standard error (T, M) of the logarithms of a descent map's eigenvalues that is due to sampled rates.

    As the same samples are used in all steps, errors add up along the trajectory: d log s/dt = 2 (c r - rho), with the
    second moment c that the views share.
    """
    return 2 * _in_order(subject, subject.closure_error(descent.error)) * comparison.t[:, None]


def _in_order(subject: Subject, errors_of_rates: Array) -> Array:
    """Return errors (M,) of c r in ascending order of the initial eigenvalues, from errors of the rates r."""
    order = np.argsort(subject.s0, kind="stable")
    return (subject.field.parameters.cross * errors_of_rates)[order]


def _from_the_map(descent: Trajectory, network: Trajectory) -> float:
    """Return the largest relative deviation between network and descent map, for the variances of modes."""
    return float(np.abs(network.modes / descent.modes[np.asarray(network.step)] - 1).max())


def _standard_errors(subject: Subject, descent: Trajectory, comparison: Comparison) -> float:
    """Return the largest deviation of a network from the descent map, in units of the standard error.

    The standard error combines the error due to the finite batches of the network, the error due to the single
    precision of the network, and, for the closure "monte_carlo", the error of the rates, which are means over samples.
    """
    theory, t = comparison.theory_modes, comparison.t[:, None]
    drift = _closure_drift(subject, descent, comparison) * theory
    single = 2 * np.finfo(np.float32).eps * _in_order(subject, subject.rate_scale) * t * theory
    error = np.hypot(np.hypot(comparison.sampling_error, drift), single)
    difference = np.abs(comparison.network_modes - theory)
    with np.errstate(divide="ignore", invalid="ignore"):
        z = np.where(difference <= comparison.rounding * theory, 0.0, difference / error)
    return float(z[1:].max())


def _slow(values: Array) -> bool:
    """Return True if no eigenvalue in ``values`` (T, M) changes by more than 4 MOVES = 8 % in a step.

    This is twice the expected change: if a singular value changes by MOVES = 2 %, its square, the eigenvalue, changes
    by 2 MOVES.
    """
    return bool((np.abs(np.diff(values, axis=0)) <= 4 * MOVES * np.abs(values[:-1])).all())
