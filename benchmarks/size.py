"""Measure time and memory as functions of the number of modes."""

import json
import subprocess
import sys

from benchmarks.row import Measurement, Row

MEAN_FIELD = (10, 100, 1000, 10_000, 100_000, 1_000_000)
EXACT = (10, 100, 1000, 10_000)
POINTS = 10
LARGEST = 4e9  # bytes: limit of the peak memory at the largest size

# Peak memory is VmHWM if the system reports it, because ru_maxrss of a new process starts at its parent's memory.
PEAK = """
import resource
from pathlib import Path
def peak():
    status = Path("/proc/self/status")
    if not status.exists():
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return 1024 * next(int(line.split()[1]) for line in status.read_text().splitlines() if line.startswith("VmHWM"))
"""
SOLVE = """
import json, sys, time
import numpy as np, dynamics as dyn
M = int(sys.argv[1])
s0 = np.geomspace(0.02, 2.0, M)
times = np.linspace(0, 15.0 * M, {points})  # rates are proportional to 1/M
model = dyn.Model("cosine")
def run():
    return dyn.solve(model, s0, times, closure="mean_field", method="jax")
run()
start = time.perf_counter()
flow = run()
seconds = time.perf_counter() - start
assert flow.complete
print(json.dumps([seconds, peak()]))
"""
RATES = """
import json, sys, time
import numpy as np, dynamics as dyn
from dynamics.vector_field.factory import vector_field_of
M = int(sys.argv[1])
s = np.geomspace(0.02, 2.0, M)
rates = vector_field_of(dyn.Model("cosine", noise=(0.0, 0.1)), rtol=1e-8)
rates.of_eigenvalues(s)
runs = []
for _ in range(9):
    start = time.perf_counter()
    rates.of_eigenvalues(s)
    runs.append(time.perf_counter() - start)
print(json.dumps([sorted(runs)[4], peak()]))
"""


def measure() -> list[Row]:
    """Measure time and memory of a mean-field flow and of the exact closure, each size in a new process."""
    flow = _row("mean-field flow", f"cosine loss, {POINTS} times", SOLVE.format(points=POINTS), MEAN_FIELD)
    closure = _row("exact closure", "one evaluation of the rates of the cosine loss to 1e-8", RATES, EXACT)
    flow.verdict += f"; {MEAN_FIELD[-1]} modes: {flow.entries[-1].note} (goal: below {LARGEST / 1e9:g} GB)"
    return [flow, closure]


def _row(name: str, work: str, script: str, sizes) -> Row:
    runs = [_in_a_process(script, modes) for modes in sizes]
    per_mode = [seconds / modes for (seconds, _), modes in zip(runs, sizes, strict=True)]
    entries = [
        Measurement(f"M = {modes}", seconds, note=f"{1e9 * seconds / modes:.3g} ns a mode, peak {peak / 1e9:.2f} GB")
        for modes, (seconds, peak) in zip(sizes, runs, strict=True)
    ]
    growth = max(later / min(per_mode[: i + 1]) for i, later in enumerate(per_mode))
    fits = runs[-1][1] < LARGEST
    return Row(
        f"Size, {name}",
        work,
        "time and memory per mode grow by a factor of at most 2",
        entries,
        f"the time per mode is at most {growth:.2g} times that at any smaller M",
        growth <= 2 and fits,
        limit="All modes share the overhead of a call, so that the time per mode first decreases with M. From about "
        "10 000 modes on, the 14 stages of a step do not fit into the cache. The measured time is then the time in "
        "which this machine moves about 200 bytes for each mode and stage, at 7 to 10 GB/s.",
    )


def _in_a_process(script: str, modes: int) -> tuple[float, float]:
    """Run a script in a new process; return the seconds of a warm call and the peak memory in bytes."""
    done = subprocess.run([sys.executable, "-c", PEAK + script, str(modes)], capture_output=True, text=True, check=True)
    seconds, peak = json.loads(done.stdout)
    return seconds, peak
