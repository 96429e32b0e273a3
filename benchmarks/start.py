"""Measure the start-up: import, first solution, command line, and `make figures` before and after drawing."""

import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.row import Measurement, Row
from figures import names

REPEATS = 9
SOLVE = "import dynamics as dyn; dyn.solve(dyn.Model('euclidean'), [0.1, 0.5], [0, 1, 2])"


def measure() -> Row:
    """Time each command in new processes, one command after the other in every repetition."""
    commands = {
        "import numpy": [sys.executable, "-c", "import numpy"],
        "import numpy, dynamics": [sys.executable, "-c", "import numpy, dynamics"],
        "first exact solution, with the import": [sys.executable, "-c", SOLVE],
        "ssl-dynamics --help": [str(Path(sys.executable).with_name("ssl-dynamics")), "--help"],
    }
    runs: dict[str, list[float]] = {name: [] for name in commands}
    for _ in range(REPEATS + 1):
        for name, command in commands.items():
            runs[name].append(_seconds(command))
    entries = [Measurement(name, statistics.median(times[1:]), times[0]) for name, times in runs.items()]
    numpy, imported, exact, helped = (entry.seconds for entry in entries)
    entries += _figures()
    nothing, again = (entry.seconds for entry in entries[-2:])
    goals = {
        f"import {imported - numpy:.2g} s longer than that of NumPy (goal: 0.2)": imported - numpy <= 0.2,
        f"exact solution {exact:.2g} s (goal: 0.5)": exact <= 0.5,
        f"help {helped:.2g} s (goal: 0.4)": helped <= 0.4,
        f"{len(names())} figures {nothing / 60:.1f} min (goal: 5)": nothing <= 300,
        f"figures again {again:.2g} s (goal: 60)": again <= 60,
    }
    return Row(
        "Start",
        "complete processes, from start to exit",
        "import 0.2 s longer than that of NumPy; exact solution 0.5 s; help 0.4 s; all figures 5 min, and again 60 s",
        entries,
        "; ".join(goals),
        all(goals.values()),
        limit="Most figures train networks.",
    )


def _figures() -> list[Measurement]:
    """Time `make figures` for an empty folder, and again for the folder with all figures."""
    folder = Path(tempfile.mkdtemp())
    command = ["make", "--silent", "figures", f"FIGURE_DIR={folder}"]
    figures = f"make figures, {len(names())} figures"
    entries = [Measurement(f"{figures}, {name}", _seconds(command)) for name in ("from nothing", "again")]
    shutil.rmtree(folder)
    return entries


def _seconds(command: list[str]) -> float:
    start = time.perf_counter()
    subprocess.run(command, check=True, capture_output=True)
    return time.perf_counter() - start
