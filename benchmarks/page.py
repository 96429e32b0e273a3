"""Format rows of the benchmark table as text for the terminal, and as the page docs/benchmarks.md."""

import datetime
import importlib.metadata
import os
import platform
from pathlib import Path

from benchmarks.row import Measurement, Row

PACKAGES = ("numpy", "scipy", "jax", "diffrax", "heyoka", "torch")
HEAD = """# Benchmarks

`make bench` repeats all measurements, in one run, and writes this page. For each task, this project ("ours") and other
libraries ("peers") do the same work. All are called in turn, so that variations of the machine's speed affect all
alike. The column "warm" is the median over repeated calls; the first call, which may compile, is given too. Errors are
relative to a reference of higher precision, and an implementation with too large an error is not compared. Other
libraries run with the best settings found (`benchmarks/peers.py`).

Compare ratios rather than seconds, which were measured on {machine}, with {versions}. All numbers are of {date}, and of
the code and the figures of that day.

| task | goal | result | |
|---|---|---|---|
"""
GPU = """
## On a GPU

`python benchmarks/gpu.py` needs jax, numpy and scipy only, and prints the speed of an accelerator: ensembles of the
descent map (and of the flow, if diffrax is installed), evaluations of the closure, and training of networks with many
seeds. The measurements on this page were made without a GPU; on a CPU the script runs at a smaller size.
"""


def as_text(row: Row) -> str:
    """Format a row of the benchmark table for the terminal."""
    lines = [f"{row.title}: {row.work}"]
    lines += [f"  {entry.name:<40} {_seconds(entry.seconds):>9}  {_details(entry)}" for entry in row.entries]
    return "\n".join([*lines, f"  {row.verdict}: {_mark(row)}"])


def page(rows: list[Row]) -> str:
    """Return the text of docs/benchmarks.md from all rows."""
    versions = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in PACKAGES)
    text = HEAD.format(machine=machine(), versions=versions, date=datetime.date.today().isoformat())
    text += "".join(f"| {row.title} | {row.goal} | {row.verdict} | {_mark(row)} |\n" for row in rows)
    return text + "".join(_section(row) for row in rows) + GPU


def _section(row: Row) -> str:
    lines = ["", f"## {row.title}", "", f"{row.work[:1].upper()}{row.work[1:]}.", ""]
    lines += ["| | warm | first call | error | |", "|---|---|---|---|---|"]
    for entry in row.entries:
        first = "" if entry.first is None else _seconds(entry.first)
        error = "" if entry.error is None else f"{entry.error:.0e}"
        lines.append(f"| {entry.name} | {_seconds(entry.seconds)} | {first} | {error} | {entry.note} |")
    if not row.met and row.limit:
        lines += ["", f"Limitation: {row.limit}"]
    return "\n".join([*lines, *row.notes, ""])


def _mark(row: Row) -> str:
    return "" if row.met is None else "met" if row.met else "**missed**"


def _details(entry: Measurement) -> str:
    parts = [f"first {_seconds(entry.first)}"] if entry.first is not None else []
    parts += [f"error {entry.error:.0e}"] if entry.error is not None else []
    return ", ".join([*parts, entry.note] if entry.note else parts)


def _seconds(seconds: float) -> str:
    for unit, size in (("s", 1.0), ("ms", 1e-3), ("µs", 1e-6)):
        if seconds >= size:
            return f"{seconds / size:.3g} {unit}" if seconds < 1e5 else f"{seconds:.0e} s"
    return f"{seconds / 1e-9:.3g} ns"


def machine() -> str:
    """Describe the processor, number of cores, system and Python version of this machine."""
    name = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.exists():
        names = [line.split(":")[1].strip() for line in info.read_text().splitlines() if line.startswith("model name")]
        name = names[0] if names else name
    return f"{os.cpu_count()} cores of {name}, {platform.system()}, Python {platform.python_version()}"
