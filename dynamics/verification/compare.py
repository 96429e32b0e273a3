"""Define the function ``compare``, which measures deviations of a network from theory in units of sampling errors."""

from functools import partial

import numpy as np
import numpy.typing as npt

from dynamics import errors
from dynamics.numerics.context import isolated
from dynamics.presentation.text import counted
from dynamics.results.trajectory import Trajectory
from dynamics.solvers.descent import iterate
from dynamics.solvers.problem import too_many_fluctuating, without_fluctuations
from dynamics.verification.comparison import Comparison
from dynamics.verification.theories import THEORIES, check_theory, common_times, compare_theories

Array = npt.NDArray[np.float64]

# Relative rounding error of the eigenvalues of a network after thousands of steps, for each precision of the network.
ROUNDING = {"float32": 1e-5, "float64": 1e-12}
SEEDS_NEEDED = 3  # smallest number of seeds from which a standard deviation is estimated


@isolated
def compare(theory: Trajectory, network: Trajectory) -> Comparison:
    """Compare a trained network with theory: return the deviation of each mode at each step, with its sampling error.

    Two theories, such as flow and descent map, are compared at the times that both have.

    Parameters
    ----------
    theory : Trajectory
        Result of ``iterate``, or result of ``solve`` at times that the network has recorded.
    network : Trajectory
        Result of ``train`` for the same model; or a second theory, a result of ``solve`` or ``iterate``.

    Returns
    -------
    Comparison
        Deviations at all steps that both theory and network have. If the theory is a flow, or if two theories are
        compared, at all times that both have.

    Raises
    ------
    ArgumentError
        If theory and network cannot be compared, for example because their models or initial eigenvalues differ.

    Notes
    -----
    A finite batch changes the mean of the eigenvalues, and this change grows with the number of inputs. The change is
    predicted to first order in one over the batch size (see ``iterate`` with ``batch_size`` and ``input_dimension``),
    and is added to the theory, even if the theory is a flow. There is no such prediction for ReLU units, for momentum
    and schedules, or for networks with too many modes (for correlated inputs: too many weights) for ``iterate`` with
    ``batch_size``.

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

    The deviation of gradient descent from the flow, at the times of the steps:

    >>> dyn.compare(dyn.solve(model, s0, descent.t), descent)
    <Comparison: descent map against flow, 21 times, 2 modes>
    """
    for name, result in (("theory", theory), ("network", network)):
        errors.instance(name, result, Trajectory, "be one trajectory, from solve, iterate or train")
    if network.kind in THEORIES:
        return compare_theories(theory, network)
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
        model=theory.model,
        recorded=(len(theory.t), len(network.t)),
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
    if network.settings["units"] != "linear" or network.weights is None or _of_update(network):
        return None
    if without_fluctuations(network.model) is not None:
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


def _of_update(network: Trajectory) -> str:
    """Return "momentum" or "schedules" if a network has these, for which fluctuations are not predicted; else ""."""
    if "momentum" in network.settings:
        return "momentum"
    scheduled = "schedules" in network.settings or isinstance(network.settings["learning_rate"], list)
    return "schedules" if scheduled else ""


def _start(network: Trajectory) -> Array:
    """Return the initial state of a network, which is the start of its descent map.

    For white inputs, the state consists of the correlation eigenvalues (M,) in ascending order. For correlated inputs,
    it consists of the weights (M, N).
    """
    if not network.model.by_weights:
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

    predicted: descent map with the effects of finite batches. Raises ArgumentError if ``predicted`` is None, or ends
    before the last of the given steps.
    """
    if predicted is None or np.asarray(predicted.step)[-1] < step[-1]:
        too_many = too_many_fluctuating(network.model.structure, _start(network))
        of_model, _ = without_fluctuations(network.model) or ("", "")
        of_network = of_model or _of_update(network) or too_many
        reason = of_network if predicted is None else predicted.status
        requirement = (
            f"be trained with at least {SEEDS_NEEDED} seeds, because theory does not predict the fluctuations of this "
            f"network up to the last step ({reason})"
        )
        errors.reject("network", requirement, network)
    deviation = predicted.deviation if predicted.mode_deviation is None else predicted.mode_deviation
    return _at(step, predicted, np.asarray(deviation)) / np.sqrt(len(network.members()))


def _check(theory: Trajectory, network: Trajectory) -> None:
    check_theory("theory", theory)
    if "units" not in network.settings:
        errors.reject("network", "be a network of one layer, because deep networks have no exact theory", network)
    if network.weights is None:
        requirement = (
            "have all its modes, because theory starts from the weights of all modes (compare the whole network, and "
            "select columns of the result)"
        )
        errors.reject("network", requirement, network)
    if not len(network.t) or np.asarray(network.step)[0] != 0:
        requirement = "begin at step 0, where theory starts (to compare only later steps, select these in `theory`)"
        errors.reject("network", requirement, network)
    if theory.model != network.model:
        errors.reject("network", f"have the same model as the theory, which is {theory.model}", network)
    if theory.s.shape[-1] != network.s.shape[-1]:
        errors.reject("network", f"have {counted(theory.s.shape[-1], 'mode')}, as many as the theory", network)
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
    batches = theory.settings.get("batch_size"), network.settings["batch_size"]
    if batches[0] not in (None, batches[1]):
        errors.reject(
            "network", f"be trained with batch_size={batches[0]}, for which the theory was computed", batches[1]
        )
    inputs = theory.settings.get("input_dimension")
    if inputs is not None and network.weights is not None and network.weights.shape[-1] != inputs:
        errors.reject("network", f"have {inputs} inputs, for which the theory was computed", network.weights.shape[-1])
    for name in ("learning_rate", "momentum", "schedules") if theory.kind == "descent" else ():
        ours, theirs = theory.settings.get(name), network.settings.get(name)
        if ours != theirs:
            trained = f"without {name}" if ours is None else f"with {name}={errors.excerpt(ours)}"
            errors.reject("network", f"be trained {trained}, for which the theory was computed", theirs)
    if theory.kind == "flow" and "momentum" in network.settings:
        requirement = (
            "be trained without momentum to be compared with a flow, whose time is that of steps without momentum "
            "(compare it with `iterate`)"
        )
        errors.reject("network", requirement, network.settings["momentum"])


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
        of_theory, of_network = common_times(theory.t, network.t)
    if not len(of_theory):
        requirement = "contain at least one step that the network has recorded (for a flow: the time of such a step)"
        errors.reject("theory", requirement, theory)
    return of_theory, of_network
