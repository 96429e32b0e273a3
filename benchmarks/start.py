"""Start: import, first solve, command line, and all figures from nothing and again."""

import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.row import Entry, Row

REPEATS = 9
SOLVE = "import dynamics as dyn; dyn.solve(dyn.Model('euclidean'), [0.1, 0.5], [0, 1, 2])"


def measure() -> Row:
    """Measure each command in new processes, in turn."""
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
    entries = [Entry(name, statistics.median(times[1:]), times[0]) for name, times in runs.items()]
    numpy, imported, exact, helped = (entry.seconds for entry in entries)
    entries += _figures()
    nothing, again = (entry.seconds for entry in entries[-2:])
    goals = {
        f"import {imported - numpy:.2g} s over NumPy (goal: 0.2)": imported - numpy <= 0.2,
        f"exact solution {exact:.2g} s (0.5)": exact <= 0.5,
        f"help {helped:.2g} s (0.4)": helped <= 0.4,
        f"figures {nothing / 60:.1f} min (5)": nothing <= 300,
        f"again {again:.2g} s (60)": again <= 60,
    }
    return Row(
        "Start",
        "complete processes",
        "0.2 s over NumPy; 0.5 s; 0.4 s; figures in 5 min from nothing, and 60 s again",
        entries,
        "; ".join(goals),
        all(goals.values()),
        limit="Most figures train networks.",
    )


def _figures() -> list[Entry]:
    """Time `make figures` into an empty folder, and again."""
    folder = Path(tempfile.mkdtemp())
    command = ["make", "--silent", "figures", f"FIGURE_DIR={folder}"]
    entries = [Entry(f"make figures, {name}", _seconds(command)) for name in ("from nothing", "again")]
    shutil.rmtree(folder)
    return entries


def _seconds(command: list[str]) -> float:
    start = time.perf_counter()
    subprocess.run(command, check=True, capture_output=True)
    return time.perf_counter() - start
