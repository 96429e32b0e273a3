"""Measure sweeps per core: the flow of the cosine loss at many points of (noise, weight decay)."""

import itertools
import math
import os
import tempfile
from collections.abc import Iterator
from concurrent.futures import Executor, ProcessPoolExecutor
from contextlib import ExitStack, contextmanager
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import scipy.integrate

import dynamics as dyn
from benchmarks.measure import Timing, in_turn
from benchmarks.row import Measurement, Row, agree

S0 = np.geomspace(0.05, 1.0, 10)
TIMES = np.linspace(0.0, 50.0, 60)
SIZES = {"gaussian": (40, 25), "mean_field": (400, 100)}  # numbers of values of sigma2 and of the weight decay
CHUNKS = {"gaussian": 125, "mean_field": 1_000}  # points of a block
RTOL, PEER_RTOL, ERROR = 1e-6, 1e-7, 1e-6  # tolerances at which both errors are near 1e-7, and the error allowed
NODES, ENDS = (32, 20), (8.0, 6.0)  # fewest nodes for this error at these points, and ends of the axes
SHARE = {"gaussian": 50, "mean_field": 200}  # the peer computes this fraction of the points; its time is multiplied
TITLES = {"gaussian": "the exact closure", "mean_field": "mean field"}
EVERY = 5  # the error is computed at one in EVERY points of the peer
OVERHEAD, SPEEDUP = 0.2, 1.8  # goals

Array = npt.NDArray[np.float64]


def measure() -> list[Row]:
    """Compare sweeps in one and two processes with calls of ``dyn.solve`` alone, and with a loop over points by SciPy.

    Each process runs on one core.
    """
    with ExitStack() as stack:
        pools = [stack.enter_context(pinned_processes(workers)) for workers in (1, 2)]
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        return [_row(closure, pools, folder) for closure in TITLES]


def _row(closure: str, pools: list[Executor], folder: Path) -> Row:
    one, two = pools
    timings = in_turn(
        {
            "sweep, 1 process": lambda: sweep(closure, one, folder),
            "sweep, 2 processes": lambda: sweep(closure, two, folder),
            "dyn.solve for the same blocks, 1 process": lambda: one.submit(blocks, closure).result(),
            "SciPy LSODA in a loop, 1 process": lambda: loop(closure, one),
            "SciPy LSODA in a loop, 2 processes": lambda: loop(closure, two),
        },
        repeats=3,
    )
    reference = np.stack([reference_at(closure, *point) for point in peer_points(closure)[::EVERY]])
    entries = [_measurement(timing, closure, reference) for timing in timings.values()]
    single, double, work, *by_hand = entries
    points, overhead = math.prod(SIZES[closure]), single.seconds / work.seconds - 1
    speedup = single.seconds / double.seconds
    return Row(
        f"Sweep, {TITLES[closure]}",
        f"flow of the cosine loss at {points} points of (sigma2, weight_decay), M = {len(S0)}, {len(TIMES)} times, "
        f"error below {ERROR:g}, in processes with one core each; ours {points / single.seconds:.3g} points a second "
        f"and core, SciPy {points / by_hand[0].seconds:.3g}",
        f"overhead of the sweep at most {OVERHEAD:g} of the calls of dyn.solve; {SPEEDUP:g} times as fast on 2 cores",
        entries,
        f"overhead {overhead:.2g} (goal: {OVERHEAD:g}); {speedup:.2g} times as fast on 2 cores (goal: {SPEEDUP:g}); "
        f"{by_hand[0].seconds / single.seconds:.2g} times as fast as SciPy on one core, "
        f"{by_hand[1].seconds / double.seconds:.2g} times on two",
        overhead <= OVERHEAD and speedup >= SPEEDUP,
        limit="Workers compute, compress and write the blocks. The process that calls dyn.sweep creates the store and "
        "reads the results, on one core.",
    )


def _measurement(timing: Timing, closure: str, reference: Array) -> Measurement:
    """Return the time for all points, and the largest error at the points of the reference."""
    error = agree(timing.name, float(np.abs(timing.result[::EVERY] / reference - 1).max()), ERROR)
    if "loop" not in timing.name:
        return Measurement.of(timing, error)
    note = f"time of 1 in {SHARE[closure]} points, multiplied"
    return Measurement(timing.name, timing.seconds * SHARE[closure], None, error, note)


@contextmanager
def pinned_processes(workers: int) -> Iterator[Executor]:
    """Yield a pool of processes, each of which runs on a core of its own where the system allows this."""
    context = get_context("spawn")
    free: Any = context.Queue()
    available = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_setaffinity") else []
    for number in range(workers):
        free.put(available[number % len(available)] if available else None)
    with ProcessPoolExecutor(workers, mp_context=context, initializer=_pin, initargs=(free,)) as pool:
        yield pool


def _pin(free: Any) -> None:
    core = free.get()
    if core is not None:
        os.sched_setaffinity(0, {core})


_numbers = itertools.count()


def grid(closure: str) -> dict[str, Array]:
    """Return the values along both axes of the grid."""
    noises, decays = SIZES[closure]
    return {"sigma2": np.linspace(0.05, 0.5, noises), "weight_decay": np.linspace(0.0, 0.02, decays)}


def sweep(closure: str, pool: Executor, folder: Path) -> Array:
    """Sweep over all points into a new store, and read all results; return s (K, T, M) at the points of the peer."""
    store, arguments = folder / f"{next(_numbers)}.zarr", {"s0": S0, "times": TIMES, "closure": closure, "rtol": RTOL}
    model, chunk = dyn.Model("cosine"), CHUNKS[closure]
    data = dyn.sweep(model, grid(closure), store=store, chunk=chunk, executor=pool, **arguments)
    return at_peer_points(closure, data.s.values)


def blocks(closure: str) -> Array:
    """Call ``dyn.solve`` for each block of points; return s (K, T, M) at the points of the peer."""
    sigma2, decay = grid(closure).values()
    rows, parts = CHUNKS[closure] // len(decay), []
    for first in range(0, len(sigma2), rows):
        model = dyn.Model("cosine", noise=(0.0, sigma2[first : first + rows, None]), weight_decay=decay)
        parts.append(dyn.solve(model, S0, TIMES, closure=closure, rtol=RTOL).s)
    return at_peer_points(closure, np.concatenate(parts))


def peer_points(closure: str) -> list[tuple[float, float]]:
    """Return the points (sigma2, weight decay) that the peer computes."""
    return list(itertools.product(*(values.tolist() for values in grid(closure).values())))[:: SHARE[closure]]


def at_peer_points(closure: str, s: Array) -> Array:
    """Return s (K, T, M) at the points of the peer, from s (..., T, M) at all points of the grid."""
    return s.reshape(-1, *s.shape[-2:])[:: SHARE[closure]]


def reference_at(closure: str, sigma2: float, decay: float) -> Array:
    """Return s (T, M) at one point with a small error."""
    model = dyn.Model("cosine", noise=(0.0, sigma2), weight_decay=decay)
    return dyn.solve(model, S0, TIMES, closure=closure, method="scipy", rtol=1e-10).s


def loop(closure: str, pool: Any) -> Array:
    """Return s (points, T, M) at the points of the peer, integrated one after another in each process."""
    return np.stack(list(pool.map(partial(by_hand, closure), peer_points(closure), chunksize=5)))


def by_hand(closure: str, point: tuple[float, float]) -> Array:
    """Return s (T, M) at one point, as written for SciPy and NumPy."""
    sigma2, decay = point
    rates = partial({"gaussian": exact_rates, "mean_field": mean_field_rates}[closure], sigma2)

    def slope(_: float, s: Array) -> Array:
        return 2 * s * (rates(s) - decay)

    span = (0.0, TIMES[-1])
    return scipy.integrate.solve_ivp(slope, span, S0, "LSODA", TIMES, rtol=PEER_RTOL, atol=1e-12).y.T


def mean_field_rates(sigma2: float, s: Array) -> Array:
    """Return the rates (M,) of the cosine loss in mean field."""
    squares = s * s
    p1, p2, p3 = s.sum(), squares.sum(), (squares * s).sum()
    return s * (p3 - s * p2) / (p3**1.5 * (p1 * (1 + sigma2**2)) ** 0.5)


def _nodes(axis: int) -> tuple[Array, Array]:
    tau, step = np.linspace(0.0, ENDS[axis], NODES[axis], retstep=True)
    ends = np.where(np.arange(NODES[axis]) % (NODES[axis] - 1) == 0, 0.5, 1.0)
    return np.sinh(tau), np.cosh(tau) * step * ends


def exact_rates(sigma2: float, s: Array) -> Array:
    """Return the rates (M,) of the cosine loss by a product of two trapezoidal rules."""
    variance, (x, dx), (y, dy) = sigma2**2, _nodes(0), _nodes(1)
    scale_x, scale_y = (2 * (s**3).sum()) ** -0.5, (2 * (1 + variance) * s.sum()) ** -0.5
    x2, y2, each = ((scale_x * x) ** 2)[:, None], (scale_y * y) ** 2, s[:, None, None]
    delta = 1 + 2 * each**3 * x2 + 2 * (1 + variance) * each * y2 + 4 * variance * each**4 * (x2 * y2)
    overlap, spread = 1 / delta, (1 + 2 * variance * each * y2) / delta
    density = 4 / np.pi * scale_x * scale_y / np.sqrt(delta.prod(axis=0)) * (dx[:, None] * dy)
    shared = (each**2 * overlap).sum(axis=0)
    terms = overlap - 2 * each * x2 * (2 * each**2 * overlap + shared) * spread
    return s * (density * terms).sum(axis=(1, 2))
