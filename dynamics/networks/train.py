"""``train``: what all networks are trained by, checked, and which kind of network it is."""

import numpy as np

from dynamics import errors
from dynamics.model.model import Model
from dynamics.networks.run import DTYPES, Run, check_seeds, record_steps
from dynamics.numerics.progress import check_progress
from dynamics.results.trajectory import Trajectory

BATCH_SIZE, IMAGES = 10_000, 256  # samples or images a step, by default


def train(
    model: Model,
    W0,
    steps,
    learning_rate,
    *,
    batch_size=None,
    seed=0,
    record=1,
    units="linear",
    dtype="float32",
    W_P0=None,
    probes=None,
    device=None,
    checkpoint=None,
    progress=None,
) -> Trajectory:
    r"""Train W by gradient descent on fresh Gaussian views: W <- W - eta (dL/dW + rho W); or a deep network on images.

    The gradient is automatic differentiation of the loss through ``stop_gradient``. A closed-form predictor is built
    from ``eigh(W W^T)`` at every step and never differentiated; a learned one is a matrix, trained like W.

    W0: initial weights (M, N), M <= N; also those of a target with weights of its own. Or a ``Network``: encoder,
    projector and images; what it learns is measured at each record, and kept as ``measures`` of the result.
    steps: how many. learning_rate: eta > 0. batch_size: samples a step; default 10 000, or 256 images.
    seed: a whole number, or a sequence of them: networks trained side by side, a leading axis of the result.
    record: record each so many steps (step 0 and the last one always), or the steps to record.
    units: "linear", or "relu" after W. dtype: "float32" or "float64".
    W_P0: initial weights (M, M) of a learned predictor; None: those with the eigenvectors of W0 W0^T and the
    eigenvalues ``init`` of the model, in ascending order of the modes.
    probes: inputs (P, N) whose representations are kept, as ``embeddings`` (..., T, P, M).
    device: "cpu", "gpu" or "tpu"; None leaves the choice to JAX. progress: True, False, or None.
    checkpoint: of a Network, a file that is written at each record; the same call goes on from it, after a kill, too.
    Of the rest, ``units``, ``W_P0`` and ``probes`` are for linear networks only.

    The result has the eigenvalues of the correlation C = W Sigma_x W^T in ascending order, s (..., T, M), those of the
    target, the predictor's u_m . W_P u_m for the eigenvectors u_m of C, and all weights.
    Interrupting returns what is done; weights that overflow end the run, and the status says when.
    Raises ArgumentError. (Halvagal et al. 2023, section 4 and appendix: the toy network.)
    """
    from dynamics.networks.deep.network import Network

    errors.instance("model", model, Model, "be a Model")
    if model.batch_shape:
        errors.reject("model", "have plain numbers for parameters, to be trained", model)
    deep = isinstance(W0, Network)
    steps = errors.count("steps", steps, 0)
    errors.choice("dtype", dtype, DTYPES)
    check_progress(progress)
    run = Run(
        steps,
        errors.positive_number("learning_rate", learning_rate),
        errors.count("batch_size", (IMAGES if deep else BATCH_SIZE) if batch_size is None else batch_size),
        check_seeds(seed),
        np.ndim(seed) > 0,
        record_steps(record, steps),
        dtype,
        device,
        progress,
    )
    if deep:
        errors.require_extra("deep", "equinox", "optax", "sklearn", "threadpoolctl")
        from dynamics.networks.deep.loop import train_deep

        _check_left_out("a Network", W_P0=W_P0, probes=probes, units=None if units == "linear" else units)
        return train_deep(model, W0, run, checkpoint)
    from dynamics.networks.linear import train_shallow

    _check_left_out("a linear network, which is quick", checkpoint=checkpoint)
    return train_shallow(model, W0, run, units, W_P0, probes)


# --- arguments ------------------------------------------------------------------------------------------------------


def _check_left_out(network: str, **options) -> None:
    """Raises ArgumentError for options that another kind of network has."""
    for name, value in options.items():
        if value is not None:
            errors.reject(name, f"be left out for {network}", value)
