"""Solve the tasks of the benchmarks with other libraries, each with the best settings found.

Functions of JAX are compiled with the same options of XLA as those of this project.

The system is the flow of the cosine loss in mean field with alpha = 1 and no noise,
ds_m/dt = 2 s_m^2 (P3 - s_m P2)/(P3^1.5 P1^0.5), where P_k is the sum of s_m^k over modes.
"""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from copy import copy
from typing import Any

import numpy as np
import numpy.typing as npt
import scipy.integrate

from benchmarks.setting import END, TIMES
from dynamics.numerics.compiler import compiled

Array = npt.NDArray[np.float64]


def velocity(_: float, s: Array) -> Array:
    """Return ds/dt (M,) of the cosine loss in mean field, with NumPy."""
    squares = s * s
    p1, p2, p3 = s.sum(), squares.sum(), (squares * s).sum()
    return 2 * squares * (p3 - s * p2) / (p3**1.5 * p1**0.5)


def scipy_trajectory(s0: Array, method: str, rtol: float = 1e-10, atol: float = 1e-12) -> Array:
    """Return the eigenvalues s (T, M) of the flow, integrated with SciPy."""
    solution = scipy.integrate.solve_ivp(velocity, (0, END), s0, method=method, t_eval=TIMES, rtol=rtol, atol=atol)
    return solution.y.T


def diffrax_solver(solver: str, ensemble: bool, rtol: float = 1e-10) -> Callable[[Array], Array]:
    """Return a compiled function that integrates with diffrax from s0 (M,) to s (T, M).

    With ``ensemble`` the function maps s0 (B, M) to s (B, T, M).
    """
    import diffrax
    import jax
    import jax.numpy as jnp

    def slope(_, s, args):
        squares = s * s
        p1, p2, p3 = s.sum(), squares.sum(), (squares * s).sum()
        return 2 * squares * (p3 - s * p2) / (p3**1.5 * p1**0.5)

    def solve(s0):
        return diffrax.diffeqsolve(
            diffrax.ODETerm(slope),
            getattr(diffrax, solver)(),
            0.0,
            END,
            None,
            s0,
            saveat=diffrax.SaveAt(ts=jnp.asarray(TIMES)),
            stepsize_controller=diffrax.PIDController(rtol=rtol, atol=1e-12),
            max_steps=4096,
        ).ys

    integrate = compiled(jax.vmap(solve) if ensemble else solve, "cpu")

    def run(s0):
        with jax.enable_x64(True):
            return np.asarray(integrate(jnp.asarray(s0)))

    return run


def heyoka_system(modes: int) -> list[tuple[Any, Any]]:
    """Return the flow of the cosine loss for heyoka: pairs of variable and right-hand side, one for each mode."""
    import heyoka as hy

    s = hy.make_vars(*(f"s{m}" for m in range(modes)))
    p1, p2, p3 = (hy.sum([v**k for v in s]) for k in (1, 2, 3))
    return [(v, v * v * (p3 - v * p2) * (2 * p3**-1.5 * p1**-0.5)) for v in s]


def heyoka_trajectory(s0: Array, tol: float = 1e-10) -> Callable[[], Array]:
    """Return a function () -> s (T, M) that integrates the flow from s0 with heyoka's Taylor method."""
    import heyoka as hy

    integrator = hy.taylor_adaptive(heyoka_system(len(s0)), s0, tol=tol)

    def run():
        integrator.time = 0.0
        integrator.state[:] = s0
        return integrator.propagate_grid(TIMES)[-1]

    return run


def heyoka_ensemble(spectra: Array, batch: int, tol: float = 1e-10) -> Callable[[], Array]:
    """Return a function () -> s (B, T, M) that integrates B spectra in batches, with heyoka's ensemble function."""
    import heyoka as hy

    many, modes = spectra.shape
    integrator = hy.taylor_adaptive_batch(heyoka_system(modes), np.ascontiguousarray(spectra[:batch].T), tol=tol)

    def start(copied, number):
        copied.state[:] = spectra[number * batch : (number + 1) * batch].T
        return copied

    def run():
        results = hy.ensemble_propagate_grid_batch(integrator, TIMES, many // batch, start)
        return np.concatenate([np.moveaxis(result[-1], 2, 0) for result in results])

    return run


def heyoka_by_hand(spectra: Array, batch: int, threads: int, tol: float = 1e-10) -> Callable[[], Array]:
    """Return a function () -> s (B, T, M) that integrates B spectra in batches, one heyoka integrator per thread."""
    import heyoka as hy

    many, modes = spectra.shape
    first = hy.taylor_adaptive_batch(heyoka_system(modes), np.ascontiguousarray(spectra[:batch].T), tol=tol)
    integrators, grid = [copy(first) for _ in range(threads)], np.repeat(TIMES[:, None], batch, 1)

    def part(s, number):
        integrator = integrators[number]
        for block in range(number, many // batch, threads):
            rows = slice(block * batch, (block + 1) * batch)
            integrator.set_time(0.0)
            integrator.state[:] = spectra[rows].T
            s[rows] = np.moveaxis(integrator.propagate_grid(grid)[-1], 2, 0)

    def run():
        s = np.empty((many, len(TIMES), modes))
        with ThreadPoolExecutor(threads) as pool:
            list(pool.map(lambda number: part(s, number), range(threads)))
        return s

    return run


def torch_training(
    loss: str,
    W0: Array,
    steps: int,
    learning_rate: float,
    batch: int,
    seed: int = 0,
    device: str = "cpu",
    inputs: Array | None = None,
) -> Callable[[], Array]:
    """Return a function () -> s (steps + 1, M) that trains the linear network in PyTorch; s: eigenvalues of W W^T.

    inputs: covariance Sigma_x (N, N) of the inputs, so that s are the eigenvalues of W Sigma_x W^T; None for white
    inputs.
    """
    import torch

    root = None if inputs is None else torch.tensor(np.linalg.cholesky(inputs), dtype=torch.float32, device=device)

    def seen(W):
        return W if root is None else W @ root

    def loss_of(p, z2):
        if loss == "euclidean":
            return 0.5 * (p - z2).square().sum(1).mean()
        return -torch.nn.functional.cosine_similarity(p, z2, dim=1).mean()

    def run():
        generator = torch.Generator(device).manual_seed(seed)

        def normal():
            return torch.randn(batch, W0.shape[1], generator=generator, device=device)

        W = torch.tensor(W0, dtype=torch.float32, device=device, requires_grad=True)
        weights = [W.detach().clone()]
        for _ in range(steps):
            x1 = normal() if root is None else normal() @ root.T
            x2 = x1 + 0.1 * normal()
            z1, z2 = x1 @ W.T, x2 @ W.T
            predictor = (seen(W) @ seen(W).T).detach()
            value = loss_of(z1 @ predictor.T, z2.detach())
            (slope,) = torch.autograd.grad(value, W)
            with torch.no_grad():
                W -= learning_rate * slope
            weights.append(W.detach().clone())
        weights = [seen(W) for W in weights]
        return np.linalg.svd(torch.stack(weights).cpu().numpy().astype(float), compute_uv=False)[:, ::-1] ** 2

    return run
