"""Measure the speed of an accelerator. Run `python benchmarks/gpu.py` in the root folder.

The script requires jax, numpy and scipy only. It measures ensembles of the flow and of the descent map, the exact
closure, and training of networks with many seeds, by the same code as on a CPU. The speed is compared with that of
this machine's CPU on smaller ensembles. The rate at which results are written is compared with the measured bandwidth
of the device's memory. Without an accelerator everything runs on the CPU at the smaller size, and the output states
this.
"""

import importlib.util
import sys
import time
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))


def stand_in(name: str, **contents: Any) -> None:
    """Install a module with the given contents under the name of a missing module that is not needed here."""
    if importlib.util.find_spec(name) is None:
        module = types.ModuleType(name)
        module.__dict__.update(contents)
        sys.modules[name] = module


class Silent:
    """A progress bar that shows nothing."""

    def __init__(self, *_, **__):
        pass

    def __enter__(self):
        return self

    def __exit__(self, *_):
        return False

    def update(self, amount: int = 1) -> None:
        """Do nothing."""


stand_in("tqdm", tqdm=Silent)
stand_in("psutil", virtual_memory=lambda: types.SimpleNamespace(available=2**62))

import jax  # noqa: E402
import jax.numpy as jnp  # noqa: E402

import dynamics as dyn  # noqa: E402

M, N, BATCH = 10, 15, 50_000
LARGE, SMALL = (
    {"flow": 1_000_000, "descent": 1_000_000, "closure": 20_000, "seeds": 32},
    {
        "flow": 2_000,
        "descent": 20_000,
        "closure": 100,
        "seeds": 1,
    },
)
STEPS = {"descent": 200, "closure": 10, "training": 20}
TIMES = np.linspace(0, 15, 20)


def spectra(many: int) -> np.ndarray:
    """Draw initial eigenvalues (many, M)."""
    return np.random.default_rng(0).uniform(0.05, 2.0, (many, M))


def flow(size: dict[str, int]) -> float:
    """Return trajectories per second of the flow of the cosine loss in mean field, at 20 times, rtol 1e-8."""
    model, s0 = dyn.Model("cosine"), spectra(size["flow"])
    return len(s0) / warm(lambda: dyn.solve(model, s0, TIMES, closure="mean_field", method="jax", progress=False))


def descent(size: dict[str, int]) -> float:
    """Return steps per second of the descent map of the cosine loss in mean field."""
    model, s0, steps = dyn.Model("cosine"), spectra(size["descent"]), STEPS["descent"]
    run = {"closure": "mean_field", "method": "jax", "record": steps, "progress": False}
    return len(s0) * steps / warm(lambda: dyn.iterate(model, s0, steps, 0.05, **run))


def closure(size: dict[str, int]) -> float:
    """Return evaluations per second of the exact closure of the cosine loss, at a tolerance of 1e-9."""
    model, s0, steps = dyn.Model("cosine", noise=(0.0, 0.1)), spectra(size["closure"]), STEPS["closure"]
    run = {"method": "jax", "record": steps, "progress": False}
    return len(s0) * steps / warm(lambda: dyn.iterate(model, s0, steps, 0.05, **run))


def training(size: dict[str, int]) -> float:
    """Return steps per second of networks trained under the cosine loss, 50 000 samples a step, summed over seeds."""
    model, W0 = dyn.Model("cosine", noise=(0.0, 0.1)), np.random.default_rng(0).normal(size=(M, N)) / 4
    run = {"batch_size": BATCH, "seed": range(size["seeds"]), "record": STEPS["training"], "progress": False}
    return size["seeds"] * STEPS["training"] / warm(lambda: dyn.train(model, W0, STEPS["training"], 0.1, **run))


ROWS = {  # name: (function, unit, least number of bytes moved per unit for results and random numbers)
    "flow": (flow, "trajectories", 2 * 8 * M * len(TIMES)),
    "descent": (descent, "steps", 2 * 8 * M),
    "closure": (closure, "evaluations", None),
    "training": (training, "steps", 3 * 4 * BATCH * N),
}


def warm(run: Callable[[], Any]) -> float:
    """Return the seconds that a function takes when it runs for the second time; the first run compiles code."""
    run()
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


def bandwidth() -> float:
    """Return the bytes per second that the default device reads and writes when it adds one to a large array."""
    x = jnp.zeros(64_000_000, jnp.float32)
    add = jax.jit(lambda x: x + 1)
    seconds = min(warm(lambda: add(x).block_until_ready()) for _ in range(5))
    return 2 * x.nbytes / seconds


def measured(device: jax.Device, size: dict[str, int]) -> tuple[dict[str, float], float]:
    """Return the speed of each row on a device, and the bandwidth of its memory in bytes a second."""
    with jax.default_device(device):
        have_diffrax = importlib.util.find_spec("diffrax") is not None
        return {name: row[0](size) for name, row in ROWS.items() if name != "flow" or have_diffrax}, bandwidth()


def main() -> None:
    """Print the speeds of accelerator and CPU as a table."""
    device, cpu = jax.devices()[0], jax.devices("cpu")[0]
    accelerator = device.platform != "cpu"
    on_cpu, speed = measured(cpu, SMALL)
    print(f"jax {jax.__version__} on {device.device_kind}")
    if not accelerator:
        print("No accelerator found: these are results of the CPU, at a small size.")
    rates, speed = measured(device, LARGE) if accelerator else (on_cpu, speed)
    print(f"memory: {speed / 1e9:.0f} GB/s, measured")
    for name, (row, unit, moved) in ROWS.items():
        if name not in rates:
            print(f"{name}: not measured, diffrax is not installed")
            continue
        share = f", {100 * rates[name] * moved / speed:.2g} % of the memory bandwidth" if moved else ""
        ratio = f", {rates[name] / on_cpu[name]:.3g} times the CPU" if accelerator else ""
        description = (row.__doc__ or "").strip().removeprefix("Return ")
        print(f"{name}: {rates[name]:.3g} {unit} a second{share}{ratio} ({description})")


if __name__ == "__main__":
    main()
