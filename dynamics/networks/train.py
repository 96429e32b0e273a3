"""``train``: train a linear or a deep network, after its arguments are checked."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from dynamics import errors
from dynamics.model.model import Model
from dynamics.networks.run import DTYPES, TrainingRun, check_seeds
from dynamics.numerics.memory import check_steps
from dynamics.numerics.progress import check_progress
from dynamics.numerics.records import record_steps
from dynamics.results.trajectory import Trajectory

if TYPE_CHECKING:
    from dynamics.networks.deep.network import Network

BATCH_SIZE, IMAGES = 10_000, 256  # default batch sizes: samples of a linear network, images of a deep one


def train(
    model: Model,
    W0: "npt.ArrayLike | Network",
    steps: int,
    learning_rate: float,
    *,
    batch_size: int | None = None,
    seed: int | Sequence[int] = 0,
    record: int | Sequence[int] = 1,
    units: str = "linear",
    dtype: str = "float32",
    W_P0: npt.ArrayLike | None = None,
    probes: npt.ArrayLike | None = None,
    device: str | None = None,
    checkpoint: str | Path | None = None,
    progress: bool | None = None,
) -> Trajectory:
    r"""Train a network by gradient descent: W <- W - eta (dL/dW + rho W), on fresh views in every step.

    The gradient of the loss L comes from automatic differentiation with ``stop_gradient``, without any derived rate;
    eta is the learning rate, rho the weight decay. A closed-form predictor is built from the eigendecomposition of the
    correlation C at every step and never differentiated; a learned one is trained like W.

    Parameters
    ----------
    model : Model
        Loss, predictor, target, noise and weight decay; its parameters are plain numbers.
    W0 : array_like of shape (M, N), or Network
        Initial weights of a linear network on Gaussian inputs, M <= N, also of its separate target. Or a Network, the
        description of a deep network and its images.
    steps : int
        Number of steps, at least 0.
    learning_rate : float
        The learning rate eta > 0.
    batch_size : int, optional
        Samples per step; default 10 000 for a linear network, 256 images for a deep one.
    seed : int or sequence of int
        Seed of all random numbers. A sequence trains one network for each seed, side by side; the seeds are then the
        first axis of the result.
    record : int or sequence of int
        Interval of recorded steps, or the steps to record; step 0 and the last step are always recorded.
    units : {"linear", "relu"}
        Activation after W. Linear networks only.
    dtype : {"float32", "float64"}
        Precision of the computation.
    W_P0 : array_like of shape (M, M), optional
        Initial weights of a learned predictor. Default: the eigenvectors of W0 W0^T with the eigenvalues ``init`` of
        the model, in ascending order of the modes. Linear networks only.
    probes : array_like of shape (P, N), optional
        Inputs whose representations are kept, as ``embeddings`` (..., T, P, M). Linear networks only.
    device : {"cpu", "gpu", "tpu"}, optional
        Device to compute on; by default JAX chooses.
    checkpoint : str or Path, optional
        File that is written at each record. The same call continues from it, also after the process was killed. Deep
        networks only.
    progress : bool, optional
        Show a progress bar; None: on a terminal, if the training takes long.

    Returns
    -------
    Trajectory
        Eigenvalues ``s`` (..., T, M) of the correlation C in ascending order, those of the target's correlation, and
        the predictor's u_m . W_P u_m along the eigenvectors u_m of C. Linear networks have C = W Sigma_x W^T, with the
        covariance Sigma_x of the inputs, and also record all weights; deep ones have C = E[z z^T], and also record the
        ``measures``.

    Raises
    ------
    ArgumentError
        Before any work, for an argument that is not valid or belongs to the other kind of network.

    Notes
    -----
    After Ctrl-C the records so far are returned. Linear networks whose weights overflow, and deep networks that diverge
    or collapse, are reported in the ``status``; training ends when all networks have.

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
    from dynamics.networks.deep.network import Network

    errors.instance("model", model, Model, "be a Model")
    if model.batch_shape:
        errors.reject("model", "have plain numbers for parameters, because one call trains one model", model)
    if batch_size is None:
        batch_size = IMAGES if isinstance(W0, Network) else BATCH_SIZE
    run = _checked_run(steps, learning_rate, batch_size, seed, record, dtype, device, progress)
    if isinstance(W0, Network):
        _refuse("a Network", W_P0=W_P0, probes=probes, units=None if units == "linear" else units)
        return _train_deep(model, W0, run, checkpoint)
    _refuse("a linear network, because it trains quickly", checkpoint=checkpoint)
    return _train_linear(model, W0, run, units, W_P0, probes)


def _checked_run(
    steps: int,
    learning_rate: float,
    batch_size: int,
    seed: int | Sequence[int],
    record: int | Sequence[int],
    dtype: str,
    device: str | None,
    progress: bool | None,
) -> TrainingRun:
    """Check and return the settings that both kinds of network share; raise ArgumentError."""
    steps = check_steps(steps)
    errors.choice("dtype", dtype, DTYPES)
    check_progress(progress)
    return TrainingRun(
        steps,
        errors.positive_number("learning_rate", learning_rate),
        errors.count("batch_size", batch_size),
        check_seeds(seed),
        np.ndim(seed) > 0,
        record_steps(record, steps),
        dtype,
        device,
        progress,
    )


def _train_linear(
    model: Model,
    W0: npt.ArrayLike,
    run: TrainingRun,
    units: str,
    W_P0: npt.ArrayLike | None,
    probes: npt.ArrayLike | None,
) -> Trajectory:
    from dynamics.networks.linear import linear_network
    from dynamics.networks.loop import train_network

    return train_network(linear_network(model, W0, run, units, W_P0, probes), run)


def _train_deep(model: Model, description: "Network", run: TrainingRun, checkpoint: str | Path | None) -> Trajectory:
    errors.require_extra("deep", "equinox", "optax", "sklearn", "threadpoolctl")
    from dynamics.networks.deep.checkpoint import check_path
    from dynamics.networks.deep.training import DeepNetwork
    from dynamics.networks.loop import train_network

    network = DeepNetwork(model, description, run)
    return train_network(network, run, network.checkpoint(check_path(checkpoint)))


def _refuse(network: str, **options: Any) -> None:
    """Raise ArgumentError for options that belong to the other kind of network."""
    for name, value in options.items():
        if value is not None:
            errors.reject(name, f"be left out for {network}", value)
