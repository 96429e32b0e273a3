"""The fourth rung of the ladder: a Siamese network, trained. Nothing here knows a derived gradient or rate."""

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from functools import lru_cache, partial

import jax
import jax.numpy as jnp
import numpy as np

from dynamics import errors
from dynamics.generated import eigenvalues
from dynamics.model import ClosedForm, Model
from dynamics.progress import check_progress, progress_bar
from dynamics.trajectory import Trajectory

UNITS: dict[str, Callable] = {"linear": lambda z: z, "relu": jax.nn.relu}
DTYPES = ("float32", "float64")
RECORDS_PER_CALL = 50  # what one call to the device records before the progress bar moves


def train(
    model: Model,
    W0,
    steps,
    learning_rate,
    *,
    batch_size=10_000,
    seed=0,
    record=1,
    units="linear",
    dtype="float32",
    probes=None,
    device=None,
    progress=None,
) -> Trajectory:
    r"""Train W by gradient descent on fresh Gaussian views: W <- W - eta (dL/dW + rho W).

    The gradient is automatic differentiation of the loss through ``stop_gradient``; the predictor is built from
    ``eigh(W W^T)`` at every step and never differentiated.

    W0: initial weights (M, N), M <= N. steps: how many. learning_rate: eta > 0. batch_size: samples a step.
    seed: a whole number, or a sequence of them: networks trained side by side, a leading axis of the result.
    record: record each so many steps (step 0 and the last one always), or the steps to record.
    units: "linear", or "relu" after W. dtype: "float32" or "float64".
    probes: inputs (P, N) whose representations are kept, as ``embeddings`` (..., T, P, M).
    device: "cpu", "gpu" or "tpu"; None leaves the choice to JAX. progress: True, False, or None.

    The result has the eigenvalues of W W^T in ascending order, s (..., T, M), and weights (..., T, M, N).
    Interrupting returns what is done; weights that overflow end the run, and the status says when.
    Raises ArgumentError. (Halvagal et al. 2023, section 4 and appendix: the toy network.)
    """
    errors.instance("model", model, Model, "be a Model")
    W0, many, seeds, probes = _weights(W0), np.ndim(seed) > 0, _seeds(seed), _probes(probes, W0)
    steps, batch_size = errors.count("steps", steps, 0), errors.count("batch_size", batch_size)
    learning_rate = errors.positive_number("learning_rate", learning_rate)
    errors.choice("units", units, UNITS)
    errors.choice("dtype", dtype, DTYPES)
    check_progress(progress)
    if model.batch_shape:
        errors.reject("model", "have plain numbers for parameters, to be trained", model)
    recorded = _record_steps(record, steps)

    with ExitStack() as context:
        context.enter_context(jax.enable_x64(dtype == "float64"))
        context.enter_context(jax.default_device(_device(device)))
        noisy = tuple(bool(sigma[0] > 0) for sigma in model.sigmas)
        loop = _compiled(model.generated, isinstance(model.predictor, ClosedForm), noisy, batch_size, units, dtype)
        numbers = [float(a[0]) for a in (model.alpha, *model.sigmas, model.rho)]
        weights, status = _run(partial(loop, learning_rate, *numbers), W0, seeds, recorded, dtype, progress)
        embeddings = None if probes is None else np.asarray(UNITS[units](np.swapaxes(weights @ probes.T, -1, -2)))
        where = next(iter(jnp.zeros(()).devices())).device_kind
    if not many:
        weights, embeddings = weights[0], embeddings if embeddings is None else embeddings[0]
    recorded = recorded[: weights.shape[-3]]
    return Trajectory(
        model=model,
        kind="network",
        t=learning_rate * recorded,
        s=np.linalg.svd(weights.astype(float), compute_uv=False)[..., ::-1] ** 2,
        step=recorded,
        method=f"gradient descent on {batch_size} samples a step, {units} units, {dtype}, on {where}",
        status=status,
        weights=weights,
        embeddings=embeddings,
        settings={
            "learning_rate": learning_rate,
            "steps": steps,
            "batch_size": batch_size,
            "seed": [int(a) for a in seeds] if many else int(seeds[0]),
            "units": units,
            "dtype": dtype,
        },
    )


# --- one step -------------------------------------------------------------------------------------------------------


def _step(rule, learning_rate, alpha, sigma1, sigma2, rho, W, key):
    """W <- W - eta (dL/dW + rho W) on fresh views."""
    generated, has_predictor, noisy, batch_size, units, dtype = rule
    unit, stop_gradient = UNITS[units], jax.lax.stop_gradient
    x1, x2 = _views(key, (sigma1, sigma2), noisy, (batch_size, W.shape[1]), dtype)
    predictor = _closed_form(stop_gradient(W), alpha) if has_predictor else None

    def mean_loss(W):
        z1, z2 = unit(x1 @ W.T), unit(x2 @ W.T)
        # A loss that divides by norms says nothing about samples that switch all units off: they contribute nothing.
        silent = (~(z1.any(-1) & z2.any(-1)) & (units == "relu") & hasattr(generated, "INTEGRALS"))[:, None]
        z1, z2 = jnp.where(silent, 1, z1), jnp.where(silent, 1, z2)
        return jnp.where(silent, 0, generated.loss(z1, z2, lambda z: z @ predictor, stop_gradient)).mean()

    return W - learning_rate * (jax.grad(mean_loss)(W) + rho * W)


def _closed_form(W, alpha):
    """W_P = C^alpha with C = W W^T."""
    s, U = jnp.linalg.eigh(W @ W.T)
    return (U * eigenvalues.predictor(jnp.maximum(s, 0), alpha)) @ U.T


def _views(key, sigmas, noisy: tuple[bool, bool], shape, dtype) -> list:
    """x_i = x + sigma_i xi_i; noise is drawn only for views that have some."""
    x, *noise = _normals(key, 1 + sum(noisy), shape, dtype)
    return [x + sigma * noise.pop() if has_noise else x for sigma, has_noise in zip(sigmas, noisy, strict=True)]


def _normals(key, count: int, shape, dtype) -> list:
    """Independent standard normals by Box and Muller: both of each pair, at half the cost of jax.random.normal."""
    drawn = []
    for pair in range((count + 1) // 2):
        u, angle = jax.random.uniform(jax.random.fold_in(key, pair), (2, *shape), dtype)
        radius = jnp.sqrt(-2 * jnp.log1p(-u))
        drawn += [radius * jnp.cos(2 * np.pi * angle), radius * jnp.sin(2 * np.pi * angle)]
    return drawn[:count]


# --- the loop -------------------------------------------------------------------------------------------------------


@lru_cache(maxsize=32)
def _compiled(*rule):
    """The training loop for one loss, batch size and dtype; numbers may change without recompiling."""

    def loop(learning_rate, alpha, sigma1, sigma2, rho, W, key, starts, stops):
        def one(i, W):
            return _step(rule, learning_rate, alpha, sigma1, sigma2, rho, W, jax.random.fold_in(key, i))

        def to_next_record(W, bounds):
            start, stop = bounds
            W = jax.lax.fori_loop(start, stop, one, W)
            return W, W

        return jax.lax.scan(to_next_record, W, (starts, stops))

    return jax.jit(jax.vmap(loop, in_axes=(None, None, None, None, None, 0, 0, None, None)))


def _run(advance, W0, seeds, recorded, dtype, progress):
    """Weights (S, T, M, N) at the recorded steps, and how the run ended. The loop runs on the device."""
    keys = jax.vmap(jax.random.key)(jnp.asarray(seeds, jnp.uint32))
    W = jnp.broadcast_to(jnp.asarray(W0, dtype), (len(seeds), *W0.shape))
    kept, status, done = [np.asarray(W)[:, None]], "complete", 0
    size = min(RECORDS_PER_CALL, max(len(recorded) - 1, 1))
    with progress_bar(recorded[-1], "train", progress) as bar:
        try:
            for first in range(0, len(recorded) - 1, size):
                bounds = recorded[first : first + size + 1]
                padded = np.pad(bounds, (0, size + 1 - len(bounds)), mode="edge")
                W, history = advance(W, keys, padded[:-1], padded[1:])
                history = np.asarray(history)[:, : len(bounds) - 1]
                finite = np.isfinite(history).all(axis=(0, 2, 3))
                kept.append(history[:, finite])
                if not finite.all():
                    status = f"weights diverge before step {bounds[1:][~finite][0]}"
                    break
                done = bounds[-1]
                bar.update(done - bounds[0])
        except KeyboardInterrupt:
            status = f"interrupted after step {done}"
    return np.concatenate(kept, axis=1), status


# --- arguments ------------------------------------------------------------------------------------------------------


def _weights(W0) -> np.ndarray:
    must = "be weights of shape (M, N) with 1 <= M <= N"
    W0 = errors.real_array("W0", W0, f"{must}, finite")
    if W0.ndim != 2 or not 1 <= W0.shape[0] <= W0.shape[1]:
        raise errors.ArgumentError(f"Argument `W0` must {must}, but has shape {W0.shape}.")
    return W0


def _seeds(seed) -> np.ndarray:
    must = "be a whole number >= 0 (and below 2^32), or a sequence of them"
    seeds = np.asarray(seed)
    if seeds.dtype.kind not in "iu" or seeds.ndim > 1 or not seeds.size or (seeds < 0).any() or (seeds >= 2**32).any():
        errors.reject("seed", must, seed)
    return np.atleast_1d(seeds)


def _probes(probes, W0: np.ndarray) -> np.ndarray | None:
    if probes is None:
        return None
    must = f"be inputs of shape (P, N) with N = {W0.shape[1]}"
    probes = errors.real_array("probes", probes, f"{must}, finite")
    if probes.ndim != 2 or probes.shape[1] != W0.shape[1]:
        raise errors.ArgumentError(f"Argument `probes` must {must}, but has shape {probes.shape}.")
    return probes


def _record_steps(record: int | Sequence[int], steps: int) -> np.ndarray:
    """The steps to record, with step 0 and the last one."""
    if np.ndim(record) == 0:
        chosen = np.arange(0, steps + 1, errors.count("record", record))
    else:
        chosen = np.asarray(record)
        if chosen.dtype.kind not in "iu" or chosen.ndim != 1 or (chosen < 0).any() or (chosen > steps).any():
            errors.reject("record", f"be a whole number, or steps between 0 and {steps}", chosen)
    return np.unique(np.concatenate([[0], chosen, [steps]]))


def _device(name: str | None):
    if name is None:
        return None
    errors.choice("device", name, ("cpu", "gpu", "tpu"))
    try:
        return jax.devices(name)[0]
    except RuntimeError:
        present = sorted({device.platform for device in jax.devices()})
        raise errors.ArgumentError(f"Argument `device` must be present, but is {name!r}; found: {present}.") from None
