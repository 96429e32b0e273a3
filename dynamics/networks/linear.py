"""The fourth rung of the ladder: a Siamese network, trained. Nothing here knows a derived gradient or rate."""

from collections.abc import Callable
from functools import lru_cache, partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from dynamics import errors
from dynamics.generated import eigenvalues
from dynamics.model.model import Model
from dynamics.model.parameters import Parameters, Structure
from dynamics.networks.run import Run
from dynamics.numerics.memory import check_fits
from dynamics.numerics.progress import progress_bar
from dynamics.results.trajectory import Trajectory
from dynamics.vector_field.state import State
from dynamics.vector_field.weight_state import correlation, initial, observables, predictor

UNITS: dict[str, Callable] = {"linear": lambda z: z, "relu": jax.nn.relu}
# cos(2 pi t) and sin(2 pi t)/t as polynomials of (2t)^2, |t| <= 1/2: Chebyshev series to 4e-8, below float32's rounding
COSINE = (0.999999992, -4.93480139, 4.05869826, -1.33517447, 0.235063399, -0.0253911401, 0.00160537379)
SINE = (6.28318530, -10.3354252, 5.10032217, -1.19849147, 0.164178132, -0.0145643733, 0.000795459617)
STOPS_PER_CALL = 50  # of one call to the device, before the progress bar moves or Ctrl-C is heard
STEPS_PER_STOP = 4  # at most


def train_shallow(model: Model, W0, run: Run, units: str, W_P0, probes) -> Trajectory:
    """``train`` for a network of one layer; the arguments are those of ``train``."""
    start = _start(model, W0, W_P0)
    probes = _probes(probes, start.encoder)
    errors.choice("units", units, UNITS)
    remedy = "Record fewer steps (record), or train fewer seeds."
    kept = sum(part.size for part in start if part is not None)
    check_fits(len(run.seeds), len(run.recorded), kept, remedy, np.dtype(run.dtype).itemsize)
    with run.on_device() as where:
        weights, status = _run(_loop(model, run, units), start, run)
        embeddings = None if probes is None else UNITS[units](np.swapaxes(weights.encoder @ probes.T, -1, -2))
    if not run.side_by_side:
        weights = State(*(None if part is None else part[0] for part in weights))
        embeddings = embeddings if embeddings is None else embeddings[0]
    recorded = run.recorded[: weights.encoder.shape[-3]]
    return Trajectory(
        model=model,
        kind="network",
        t=run.learning_rate * recorded,
        **observables(model.structure, model.parameters, weights, model.input_root)._asdict(),
        step=recorded,
        method=f"gradient descent on {run.batch_size} samples a step, {units} units, {run.dtype}, on {where}",
        status=status,
        predictor_weights=weights.predictor,
        embeddings=None if embeddings is None else np.asarray(embeddings),
        settings=run.settings | {"units": units},
    )


class Rule(NamedTuple):
    """What the training loop is compiled for."""

    generated: Any
    structure: Structure
    noisy1: bool
    noisy2: bool
    batch_size: int
    units: str
    dtype: str


def _step(rule: Rule, eta, parameters: Parameters, root, weights: State, key) -> State:
    """Encoder and learned predictor by the gradient on fresh views, then the averages of what is new."""
    p, stop_gradient = parameters, jax.lax.stop_gradient
    x1, x2 = _views(rule, key, (p.sigma1, p.sigma2), root, weights.encoder.shape[1])
    fixed = jax.tree.map(stop_gradient, weights)
    closed = predictor(rule.structure, p, fixed, root)

    def mean_loss(W, W_P):
        z1, z2 = _represent(rule, x1, x2, W)
        t1, t2 = (z1, z2) if weights.target is None else _represent(rule, x1, x2, weights.target)
        matrix = closed if W_P is None else W_P

        def predict(z, function=None):
            return (matrix if function is None else predictor(rule.structure, p, fixed, root, function)) @ z

        silent = _silent(rule, z1, z2, t1, t2)
        z1, z2, t1, t2 = (jnp.where(silent, 1, a) for a in (z1, z2, t1, t2))
        loss = rule.generated.loss(z1, z2, t1, t2, predict, over_modes, stop_gradient, *p.of_loss)
        return jnp.where(silent, 0, loss).mean()

    slope, slope_P = jax.grad(mean_loss, (0, 1))(weights.encoder, weights.predictor)
    W = weights.encoder - eta * (slope + p.rho * weights.encoder)
    W_P = None if slope_P is None else weights.predictor - eta * (p.rate_ratio * slope_P + p.rho * weights.predictor)
    return State(
        W,
        None if weights.target is None else eigenvalues.average_step(weights.target, W, p.decay),
        W_P,
        None
        if weights.tracked is None
        else eigenvalues.average_step(weights.tracked, correlation(W, root), p.tracking),
    )


def _represent(rule: Rule, x1, x2, W):
    """Representations (M, B)."""
    return UNITS[rule.units](W @ x1), UNITS[rule.units](W @ x2)


def over_modes(a):
    """Sums over modes of (M, B), as a product: XLA's own sum along the first axis strides through memory."""
    return jnp.ones((1, len(a)), a.dtype) @ a


def _silent(rule: Rule, *representations):
    """Samples (1, B) without a loss: one that divides by norms says nothing where all units of a view are off."""
    if rule.units != "relu" or not rule.generated.divides_by_norms:
        return jnp.zeros((1, 1), bool)
    return ~jnp.stack([z.any(0, keepdims=True) for z in representations]).all(0)


def _views(rule: Rule, key, sigmas, root, inputs: int) -> list:
    """x_i = x + sigma_i xi_i (N, B); noise is drawn only for views that have some."""
    noisy = (rule.noisy1, rule.noisy2)
    white, *noise = _normals(key, 1 + sum(noisy), (inputs, rule.batch_size), rule.dtype)
    x = white if root is None else root @ white
    return [x + sigma * noise.pop() if has_noise else x for sigma, has_noise in zip(sigmas, noisy, strict=True)]


def _normals(key, count: int, shape, dtype) -> list:
    """Independent standard normals by Box and Muller, both of each pair: far cheaper than jax.random.normal."""
    drawn = []
    for pair in range((count + 1) // 2):
        uniform, turn = _uniform_and_turn(jax.random.fold_in(key, pair), shape, dtype)
        radius = jnp.sqrt(-2 * jnp.log(uniform))
        drawn += [radius * part for part in _on_circle(turn)]
    return drawn[:count]


def _uniform_and_turn(key, shape, dtype):
    """Uniform numbers in (0, 1), and in (-1/2, 1/2).

    In float32 both come from one word of 32 bits: 22 for the radius, and 10 for the angle, over which normals average
    smoothly: 1024 directions give their moments, up to the thousandth, as all directions do.
    """
    if dtype != "float32":
        uniform, turn = jax.random.uniform(key, (2, *shape), dtype)
        return 1 - uniform, turn - 0.5
    bits = jax.lax.optimization_barrier(jax.random.bits(key, shape, jnp.uint32))  # or XLA draws them for each use
    uniform = ((bits >> 10).astype(jnp.int32).astype(jnp.float32) + 0.5) * jnp.float32(2**-22)
    turn = ((bits & 1023).astype(jnp.int32).astype(jnp.float32) + 0.5) * jnp.float32(2**-10) - 0.5
    return uniform, turn


def _on_circle(turn):
    """cos(2 pi turn) and sin(2 pi turn), |turn| <= 1/2; in float32 by polynomials, which vectorise."""
    if turn.dtype != jnp.float32:
        return jnp.cos(2 * np.pi * turn), jnp.sin(2 * np.pi * turn)
    square = (2 * turn) ** 2
    return _polynomial(COSINE, square), turn * _polynomial(SINE, square)


def _polynomial(coefficients: tuple[float, ...], x):
    """Horner's scheme, lowest coefficient first."""
    total = jnp.full_like(x, coefficients[-1])
    for coefficient in coefficients[-2::-1]:
        total = total * x + jnp.asarray(coefficient, x.dtype)
    return total


# --- the loop -------------------------------------------------------------------------------------------------------


@lru_cache(maxsize=32)
def _compiled(rule: Rule):
    """The training loop for one loss, batch size and dtype; numbers may change without recompiling."""

    def loop(learning_rate, parameters, root, weights, key, starts, stops):
        def one(i, weights):
            return _step(rule, learning_rate, parameters, root, weights, jax.random.fold_in(key, i))

        def to_next_record(weights, bounds):
            start, stop = bounds
            weights = jax.lax.fori_loop(start, stop, one, weights)
            return weights, weights

        return jax.lax.scan(to_next_record, weights, (starts, stops))

    return jax.jit(jax.vmap(loop, in_axes=(None, None, None, 0, 0, None, None)))


def _loop(model: Model, run: Run, units: str) -> Callable:
    """The training loop of a model, a function of (weights, keys, starts, stops)."""
    p = model.parameters
    noisy = bool(p.sigma1 > 0), bool(p.sigma2 > 0)
    rule = Rule(model.generated, model.structure, *noisy, run.batch_size, units, run.dtype)
    root = None if model.inputs is None else jnp.asarray(model.input_root, run.dtype)
    return partial(_compiled(rule), run.learning_rate, p.map(lambda a: float(a[0])), root)


def _run(advance, start: State, run: Run) -> tuple[State, str]:
    """State (S, T, ...) at the recorded steps, and how the run ended. The loop runs on the device."""
    seeds, recorded, dtype = run.seeds, run.recorded, run.dtype
    keys = jax.vmap(jax.random.key)(jnp.asarray(seeds, jnp.uint32))
    weights = jax.tree.map(lambda a: jnp.broadcast_to(jnp.asarray(a, dtype), (len(seeds), *a.shape)), start)
    kept, status = [jax.tree.map(lambda a: np.asarray(a)[:, None], weights)], "complete"
    stops = np.union1d(recorded, np.arange(0, recorded[-1], STEPS_PER_STOP))
    size = min(STOPS_PER_CALL, max(len(stops) - 1, 1))
    with progress_bar(recorded[-1], "train", run.progress) as bar:
        try:
            for first in range(0, len(stops) - 1, size):
                bounds = stops[first : first + size + 1]
                padded = np.pad(bounds, (0, size + 1 - len(bounds)), mode="edge")
                weights, history = advance(weights, keys, padded[:-1], padded[1:])
                wanted = np.isin(bounds[1:], recorded)
                kept.append(_records(jax.tree.map(np.asarray, history), np.flatnonzero(wanted)))
                if not _finite(jax.tree.map(lambda a: np.asarray(a)[:, None], weights)).any():
                    break
                bar.update(bounds[-1] - bounds[0])
        except KeyboardInterrupt:
            status = f"interrupted after step {recorded[sum(len(a.encoder[0]) for a in kept) - 1]}"
    return _without_diverged(jax.tree.map(lambda *parts: np.concatenate(parts, axis=1), *kept), recorded, status)


def _without_diverged(weights: State, recorded, status: str) -> tuple[State, str]:
    """The records up to the last at which any network is finite, and what to say of those that diverged."""
    finite = _finite(weights)
    last = finite.any(axis=0).sum()
    if finite.all():
        return weights, status
    step = recorded[finite.all(axis=0).sum()]
    gone = (~finite[:, -1]).sum()
    which = "" if len(finite) == 1 else f" in {gone} of {len(finite)} networks, the first"
    diverged = f"weights diverge{which} before step {step}"
    return _records(weights, slice(last)), diverged if status == "complete" else f"{diverged}; {status}"


def _finite(weights: State) -> np.ndarray:
    """Whether all weights of a network are finite at a record, (S, T)."""
    return np.all([np.isfinite(a).all(axis=(2, 3)) for a in jax.tree.leaves(weights)], axis=0)


def _records(weights: State, which) -> State:
    """Some of the recorded steps."""
    return jax.tree.map(lambda a: a[:, which], weights)


# --- arguments ------------------------------------------------------------------------------------------------------


def _start(model: Model, W0, W_P0) -> State:
    """All weights before the first step."""
    W0, structure = model.check_weights("W0", W0, ensemble=False), model.structure
    if W_P0 is not None and structure.predictor != "learned":
        errors.reject("W_P0", f"be left out for {model}, whose predictor is not learned", W_P0)
    learned = _learned(model, W0, W_P0) if structure.predictor == "learned" else None
    return initial(structure, W0, model.input_root)._replace(predictor=learned)


def _learned(model: Model, W0: np.ndarray, W_P0) -> np.ndarray:
    """Initial weights of a learned predictor (M, M)."""
    modes = len(W0)
    if W_P0 is None:
        model.check_eigenvalues(np.ones(modes))
        U = np.linalg.svd(W0)[0][:, ::-1]
        return (U * model.init) @ U.T
    must = f"be weights of shape ({modes}, {modes})"
    W_P0 = errors.real_array("W_P0", W_P0, f"{must}, finite")
    if W_P0.shape != (modes, modes):
        raise errors.ArgumentError(f"Argument `W_P0` must {must}, but has shape {W_P0.shape}.")
    return W_P0


def _probes(probes, W0: np.ndarray) -> np.ndarray | None:
    if probes is None:
        return None
    must = f"be inputs of shape (P, N) with N = {W0.shape[1]}"
    probes = errors.real_array("probes", probes, f"{must}, finite")
    if probes.ndim != 2 or probes.shape[1] != W0.shape[1]:
        raise errors.ArgumentError(f"Argument `probes` must {must}, but has shape {probes.shape}.")
    return probes
