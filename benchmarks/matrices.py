"""Measure the theory of weight matrices: the flow of the cosine loss with noise and correlated inputs."""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

import dynamics as dyn
from benchmarks import peers
from benchmarks.measure import in_turn
from benchmarks.row import Measurement, Row, agree
from dynamics.numerics.compiler import compiled

M, N, SIGMA2 = 10, 20, 0.1
LEARNING_RATE, STEPS, BATCH = 0.1, 1_500, 50_000
TIMES = np.linspace(0.0, LEARNING_RATE * STEPS, 60)
RTOL, PEER_RTOL, ERROR = 1e-3, 1e-6, 1e-6  # tolerances at which both errors are near 1e-6, and the error allowed
NODES, ENDS = (20, 14), (7.0, 5.0)  # fewest nodes for this error for this trajectory, and ends of the axes
SIMULATED = 20  # steps of the simulated network that are timed

Array = npt.NDArray[np.float64]


def measure() -> Row:
    """Compare the flow with diffrax, given the same closure written by hand in JAX, and with a simulated network."""
    covariance, W0 = inputs(), np.random.default_rng(1).normal(size=(M, N)) / 4
    model = dyn.Model("cosine", noise=(0.0, SIGMA2), inputs=covariance)
    by_hand = diffrax_by_hand(covariance)
    timings = in_turn(
        {
            "ours": lambda: dyn.solve(model, W0, TIMES, rtol=RTOL).weights,
            "diffrax Dopri8 and our closure by hand": lambda: by_hand(W0),
            "PyTorch": peers.torch_training("cosine", W0, SIMULATED, LEARNING_RATE, BATCH, inputs=covariance),
        },
        repeats=3,
    )
    reference = dyn.solve(model, W0, TIMES, rtol=1e-5).weights  # with an error of 5e-9
    ours, diffrax = (
        Measurement.of(timings[name], agree(name, deviation(timings[name].result, reference), ERROR))
        for name in list(timings)[:2]
    )
    descent = dyn.iterate(model, W0, SIMULATED, LEARNING_RATE, rtol=1e-6).s
    fluctuation = agree("PyTorch", float(np.abs(timings["PyTorch"].result / descent - 1).max()), 0.03)
    seconds = timings["PyTorch"].seconds * STEPS / SIMULATED
    network = Measurement(f"PyTorch, {BATCH} samples a step", seconds, None, fluctuation)
    network.note = f"time extrapolated from {SIMULATED} steps; the error is the largest fluctuation in these steps"
    ratio, gain = diffrax.seconds / ours.seconds, network.seconds / ours.seconds
    return Row(
        "Matrices",
        f"flow of the weights ({M}, {N}) under the cosine loss, noise sigma2 = {SIGMA2}, correlated inputs, "
        f"{len(TIMES)} times up to t = {TIMES[-1]:g}, error below {ERROR:g}",
        "as fast as diffrax with the closure by hand, and 100 times as fast as the simulation",
        [ours, diffrax, network],
        f"{ratio:.2g} times as fast as diffrax with the closure by hand (goal: 1), {gain:.2g} times as fast as the "
        "simulation (goal: 100)",
        ratio >= 1 and gain >= 100,
        limit="Both take some 450 evaluations of the rates. Ours evaluates 135 nodes, in eleven products of "
        "matrices of up to 20 x 20 numbers, 52 000 operations a node, as calls of NumPy on all nodes at once. The "
        "peer solves a system of 20 equations at each of 280 nodes. The simulation takes a step in two products of "
        "50 000 samples with a matrix, and draws 2 million random numbers.",
    )


def inputs(seed: int = 0) -> Array:
    """Return a covariance (N, N) of inputs in random directions, with variances from 0.05 to 2."""
    directions = np.linalg.qr(np.random.default_rng(seed).normal(size=(N, N)))[0]
    return (directions * np.geomspace(2.0, 0.05, N)) @ directions.T


def deviation(weights: Array, reference: Array) -> float:
    """Return the largest deviation of weights (T, M, N), relative to the largest weight at the same time."""
    return float((np.abs(weights - reference).max(axis=(1, 2)) / np.abs(reference).max(axis=(1, 2))).max())


def diffrax_by_hand(covariance: Array) -> Callable[[Array], Array]:
    """Return a compiled function W0 (M, N) -> W (T, M, N): diffrax, with the closure as written for JAX.

    The covariance of (z1, z2), tilted by exp(-x^2 |p|^2 - y^2 |z2|^2), is the inverse of a matrix (2M, 2M) at each node
    of a product of two trapezoidal rules. E[x1 | z1] = Sigma_x W^T A^(-1) z1, where A is the covariance of z1.
    """
    import diffrax
    import jax
    import jax.numpy as jnp

    taus = [np.linspace(0.0, end, n) for n, end in zip(NODES, ENDS, strict=True)]
    weights = [np.full(n, end / (n - 1)) for n, end in zip(NODES, ENDS, strict=True)]
    for weight in weights:
        weight[[0, -1]] /= 2
    node_x, node_y = (grid.ravel() for grid in np.meshgrid(*map(np.sinh, taus), indexing="ij"))
    node_weights = np.outer(*(np.cosh(tau) * weight for tau, weight in zip(taus, weights, strict=True))).ravel()

    def slope(_, W, args):
        A = W @ covariance @ W.T  # covariance of z1, and predictor
        D = A + SIGMA2**2 * W @ W.T  # covariance of z2
        joint = jnp.block([[A, A], [A, D]])
        p_squared = A @ A
        X, Y = (2 * jnp.trace(p_squared @ A)) ** -0.5, (2 * jnp.trace(D)) ** -0.5
        nothing = jnp.zeros((M, M))
        of_x = joint @ jnp.block([[p_squared, nothing], [nothing, nothing]])
        of_y = joint @ jnp.block([[nothing, nothing], [nothing, jnp.eye(M)]])

        def at_node(x, y):
            matrix = jnp.eye(2 * M) + 2 * x**2 * of_x + 2 * y**2 * of_y
            tilted = jnp.linalg.solve(matrix, joint)
            S11, S12 = tilted[:M, :M], tilted[:M, M:]
            density = 4 / jnp.pi * jnp.exp(-jnp.linalg.slogdet(matrix)[1] / 2)
            p1, p2, pp = A @ S11, A @ S12, A @ S11 @ A
            return density * (S12.T - 2 * x**2 * (pp @ S12.T + (p2 + jnp.trace(p2) * jnp.eye(M)) @ p1))

        values = jax.vmap(at_node)(X * node_x, Y * node_y)
        drive = X * Y * jnp.tensordot(node_weights, values, 1)
        return A @ drive @ jnp.linalg.solve(A, W @ covariance)

    def solve(W0):
        return diffrax.diffeqsolve(
            diffrax.ODETerm(slope),
            diffrax.Dopri8(),
            0.0,
            TIMES[-1],
            None,
            W0,
            saveat=diffrax.SaveAt(ts=jnp.asarray(TIMES)),
            stepsize_controller=diffrax.PIDController(rtol=PEER_RTOL, atol=1e-9),
        ).ys

    integrate = compiled(solve, "cpu")

    def run(W0: Array) -> Array:
        with jax.enable_x64(True):
            return np.asarray(integrate(jnp.asarray(W0)))

    return run
