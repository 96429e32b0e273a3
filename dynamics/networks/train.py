"""Define the function ``train``, which validates its arguments and trains a linear or a deep network."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from dynamics import errors
from dynamics.model.model import Model, check_model
from dynamics.model.momentum import Momentum, check_momentum
from dynamics.model.schedules import PerStep, StepSchedules, is_single
from dynamics.model.views import MatrixViews
from dynamics.networks.run import DTYPES, TrainingRun, check_seeds
from dynamics.numerics.context import isolated
from dynamics.numerics.memory import check_steps
from dynamics.numerics.progress import check_progress
from dynamics.numerics.records import record_steps
from dynamics.results.trajectory import Trajectory

if TYPE_CHECKING:
    from dynamics.networks.deep.network import Network

BATCH_SIZE, IMAGES = 10_000, 256  # default batch sizes of a linear network (samples) and of a deep network (images)


@isolated
def train(
    model: Model,
    W0: "npt.ArrayLike | Network",
    steps: int,
    learning_rate: PerStep,
    *,
    momentum: float | Momentum = 0.0,
    schedules: Mapping[str, PerStep] | None = None,
    batch_size: int | None = None,
    seed: int | Sequence[int] = 0,
    record: int | Sequence[int] = 1,
    units: str = "linear",
    dtype: str = "float32",
    W_P0: npt.ArrayLike | None = None,
    layers0: npt.ArrayLike | None = None,
    probes: npt.ArrayLike | None = None,
    device: str | None = None,
    checkpoint: str | Path | None = None,
    progress: bool | None = None,
) -> Trajectory:
    r"""Train a network by gradient descent, W <- W - eta (dL/dW + rho W), on newly drawn views in every step.

    W are the weights, eta is the learning rate, and rho is the weight decay. The gradient of the loss L is computed by
    automatic differentiation with ``stop_gradient``, without any derived rate. A closed-form predictor is built in
    every step from the eigendecomposition of the correlation C, and is not differentiated. A learned predictor is
    trained like W.

    Parameters
    ----------
    model : Model
        Loss, predictor, target, noise and weight decay. Parameters must be plain numbers, not arrays.
    W0 : array_like of shape (M, N), or Network
        For a linear network on Gaussian inputs: its initial weights, with M <= N. A separate target branch has the same
        initial weights. For a deep network: a Network, which describes the network and its images.
    steps : int
        Number of steps, at least 0.
    learning_rate : float, array_like of shape (steps,), or callable
        The learning rate eta > 0: a number, or for a linear network also an array with one value for each step, or a
        function of the step, from 0 to steps - 1, such as an Optax schedule. Values of a schedule may be 0.
    momentum : float or Momentum
        Momentum of gradient descent, as in ``iterate``. Only for linear networks; the momentum of a deep network is an
        option of ``Network``.
    schedules : dict, optional
        Schedules of parameters of the model, as in ``iterate``. Only for linear networks.
    batch_size : int, optional
        Samples per step; default 10 000 for a linear network, 256 images for a deep network. If the views of the model
        keep samples (``Views.measured``), a linear network trains on these samples: by default on all in every step,
        otherwise on ``batch_size`` of them, drawn with replacement.
    seed : int or sequence of int
        Seed of all random numbers. For a sequence, one network is trained for each seed, and the first axis of the
        results is that of the seeds.
    record : int or sequence of int
        Number of steps between two records, or the recorded steps; step 0 and the last step are always recorded.
    units : {"linear", "relu"}
        Activation after W; "relu" is possible only if ``W0`` is an array.
    dtype : {"float32", "float64"}
        Precision of the computation.
    W_P0 : array_like of shape (M, M), optional
        Initial weights of a learned predictor, if ``W0`` is an array. By default, W_P0 has the eigenvectors of the
        initial correlation C, and the values ``init`` of the model as eigenvalues; the eigenvectors are in ascending
        order of the eigenvalues of C, or, for views of modes, in the order of these modes.
    layers0 : array_like of shape (L, M), optional
        Initial singular values of the layers of a deep linear encoder (``depth``), whose initial product is ``W0``. By
        default, all layers of a mode are equal. The layers have aligned singular vectors.
    probes : array_like of shape (P, N), optional
        P inputs to a linear network. The representations of these inputs at all recorded steps are returned as
        ``embeddings`` (..., T, P, M).
    device : {"cpu", "gpu", "tpu"}, optional
        Device to compute on; by default JAX chooses.
    checkpoint : str or Path, optional
        File in which the run of a deep network is saved at each recorded step. If the process is killed, the same call
        continues the run from the file.
    progress : bool, optional
        Show a progress bar. By default it is shown on a terminal if the training takes long.

    Returns
    -------
    Trajectory
        Eigenvalues ``s`` (..., T, M) of the correlation C in ascending order, eigenvalues of the correlation of the
        target branch, and the values u_m . W_P u_m of the predictor W_P along the eigenvectors u_m of C. For linear
        networks C = W Sigma_x W^T, with the covariance Sigma_x of the inputs, and the result contains all weights. For
        deep networks C = E[z z^T], and the result contains the metrics ``measures``.

    Raises
    ------
    ArgumentError
        If an argument is not valid, or does not apply to the kind of network (linear or deep). The error is raised
        before training begins.

    Notes
    -----
    After Ctrl-C the steps recorded so far are returned. The ``status`` of the result reports linear networks whose
    weights overflow, and deep networks that diverge or collapse. Training ends early if this happens to all networks.

    References
    ----------
    Halvagal, Laborieux & Zenke, NeurIPS 2023, section 4 and appendix (the toy network), section 5 (deep networks).

    Examples
    --------
    >>> import numpy as np
    >>> import dynamics as dyn
    >>> model = dyn.Model("euclidean", noise=(0.0, 0.1))
    >>> network = dyn.train(model, np.eye(2, 3) / 2, steps=5, learning_rate=0.1, batch_size=100, seed=[0, 1])
    >>> network.s.shape, network.status
    ((2, 6, 2), 'complete')
    """
    from dynamics.networks.deep.images import Images
    from dynamics.networks.deep.network import Network

    check_model(model)
    if model.batch_shape:
        errors.reject("model", "have plain numbers as parameters, because one call trains one model", model)
    if batch_size is None:
        batch_size = IMAGES if isinstance(W0, Network) else _samples(model) or BATCH_SIZE
    steps = check_steps(steps)
    per_step = StepSchedules.of(model, steps, learning_rate, schedules)
    run = _checked_run(steps, per_step, check_momentum(momentum), batch_size, seed, record, dtype, device, progress)
    if isinstance(W0, Network):
        options = {"W_P0": W_P0, "layers0": layers0, "probes": probes, "units": None if units == "linear" else units}
        _refuse("a deep network, because only linear networks have this option", **options)
        own = {"momentum": run.momentum, "schedules": schedules}
        _refuse("a deep network, because its momentum and its schedules are options of Network", **own)
        if not is_single(learning_rate):
            requirement = "be a number for a deep network, because its schedule is an option of Network"
            errors.reject("learning_rate", requirement, learning_rate)
        return _train_deep(model, W0, run, checkpoint)
    if isinstance(W0, Images):
        errors.reject("W0", "be weights (M, N), or a Network", W0, "Write Network(images).")
    _refuse("a linear network, because linear networks train quickly", checkpoint=checkpoint)
    if (samples := _samples(model)) is not None and run.batch_size > samples:
        errors.reject("batch_size", f"be at most {samples}, the number of samples that were measured", run.batch_size)
    return _train_linear(model, W0, run, units, W_P0, probes, layers0)


def _samples(model: Model) -> int | None:
    """Return the number of measured samples on which linear networks train; None for Gaussian views."""
    kept = isinstance(model.views, MatrixViews) and model.views.samples is not None
    return model.views.number if kept else None


def _checked_run(
    steps: int,
    schedules: StepSchedules,
    momentum: Momentum | None,
    batch_size: int,
    seed: int | Sequence[int],
    record: int | Sequence[int],
    dtype: str,
    device: str | None,
    progress: bool | None,
) -> TrainingRun:
    """Return the settings that linear and deep networks share; raises ArgumentError if a setting is not valid."""
    errors.choice("dtype", dtype, DTYPES)
    check_progress(progress)
    return TrainingRun(
        steps,
        schedules,
        errors.count("batch_size", batch_size),
        check_seeds(seed),
        np.ndim(seed) > 0,
        record_steps(record, steps),
        dtype,
        device,
        progress,
        momentum,
    )


def _train_linear(
    model: Model,
    W0: npt.ArrayLike,
    run: TrainingRun,
    units: str,
    W_P0: npt.ArrayLike | None,
    probes: npt.ArrayLike | None,
    layers0: npt.ArrayLike | None,
) -> Trajectory:
    from dynamics.networks.linear import linear_network
    from dynamics.networks.loop import train_network

    return train_network(linear_network(model, W0, run, units, W_P0, probes, layers0), run)


def _train_deep(model: Model, description: "Network", run: TrainingRun, checkpoint: str | Path | None) -> Trajectory:
    errors.require_extra("deep", "equinox", "optax", "sklearn", "threadpoolctl")
    from dynamics.networks.deep.checkpoint import check_path
    from dynamics.networks.deep.training import DeepNetwork
    from dynamics.networks.loop import train_network

    network = DeepNetwork(model, description, run)
    return train_network(network, run, network.checkpoint(check_path(checkpoint)))


def _refuse(network: str, **options: Any) -> None:
    """Raise ArgumentError if an option is given that does not apply to a kind of network.

    network: text for the message, which names the kind of network and states the reason. options: values of the
    options; None if an option is not given.
    """
    for name, value in options.items():
        if value is not None:
            errors.reject(name, f"be left out for {network}", value)
