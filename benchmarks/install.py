"""Measure the size of an installation, and the time from a clone to the first figure."""

import importlib.metadata
import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from benchmarks.row import Measurement, Row

ROOT = Path(__file__).resolve().parents[1]
PACKAGE, FIRST, LARGEST = "ssl-dynamics", "fig2_eigenvalues", 3  # FIRST: figure of the README
NOT_NEEDED = {"heyoka", "pytest", "hypothesis", "mypy", "ruff", "import-linter", "torch"}  # without extras
GOAL = 30.0  # seconds


def measure() -> Row:
    """Measure the installed sizes of ``make venv`` and of the wheel alone, and the time to the first figure."""
    everything, alone = sizes(locked()), sizes(required(PACKAGE))
    superfluous = NOT_NEEDED & set(alone)
    drawn, finished = first_figure()
    text = f"{_megabytes(alone)} for the wheel without extras, {_megabytes(everything)} for `make venv`"
    return Row(
        "Install",
        f"installed sizes: {text}. Largest packages without extras: {_largest(alone)}; with `make venv`: "
        f"{_largest(everything)}. Downloads are compressed, and smaller. The clone uses an existing environment, "
        "without programs that JAX has compiled before",
        f"first figure of a new clone in {GOAL:g} s; without extras, no package that only extras need",
        [
            Measurement("clone, and draw the figure of the README", drawn),
            Measurement("the same, and write its caption", finished),
        ],
        f"first figure after {drawn:.2g} s (goal: {GOAL:g}); {text}"
        + (f"; needs {', '.join(sorted(superfluous))}" if superfluous else ""),
        drawn <= GOAL and not superfluous,
        limit="The figure trains eight networks, and JAX compiles their training. Most of the time is spent on the "
        "caption, which compares each network with the prediction for finite batches.",
    )


def locked() -> set[str]:
    """Return the names of the packages that ``make venv`` installs, apart from this one."""
    lines = (ROOT / "requirements.lock").read_text(encoding="utf-8").splitlines()
    return {canonicalize_name(match[0]) for line in lines if (match := re.match(r"[\w.-]+(?=\[|==)", line))}


def required(package: str) -> set[str]:
    """Return the names of the packages that a package needs without extras, directly or not."""
    found: set[str] = set()
    waiting = {(package, "")}
    while waiting:
        name, extra = waiting.pop()
        for line in importlib.metadata.requires(name) or []:
            requirement = Requirement(line)
            needed = canonicalize_name(requirement.name)
            if (requirement.marker is None or requirement.marker.evaluate({"extra": extra})) and needed not in found:
                found.add(needed)
                waiting |= {(needed, wanted) for wanted in {"", *requirement.extras}}
    return found


def sizes(names: set[str]) -> dict[str, int]:
    """Return the bytes of the files of each package that is installed, the largest first."""
    found = {}
    for name in names:
        try:
            files = importlib.metadata.files(name) or []
        except importlib.metadata.PackageNotFoundError:  # not for this system or version of Python
            continue
        paths = {Path(str(file.locate())) for file in files}
        found[name] = sum(path.stat().st_size for path in paths if path.is_file())
    return dict(sorted(found.items(), key=lambda item: -item[1]))


def first_figure() -> tuple[float, float]:
    """Return the seconds from the start of a clone to the picture of the first figure, and to its caption.

    The clone uses the packages that are installed here.
    """
    with tempfile.TemporaryDirectory() as folder:
        clone = Path(folder) / "clone"
        environment = os.environ | {"PYTHONPATH": str(clone), "SSL_DYNAMICS_CACHE": str(Path(folder) / "cache")}
        start = time.perf_counter()
        subprocess.run(["git", "clone", "--quiet", str(ROOT), str(clone)], check=True, capture_output=True)
        draw = [sys.executable, "-m", "figures", FIRST, "--out", "build/figures"]
        with subprocess.Popen(draw, stderr=subprocess.PIPE, text=True, cwd=clone, env=environment) as process:
            assert process.stderr is not None
            lines = {line.split(":")[0]: time.perf_counter() - start for line in process.stderr}
        if process.returncode:
            raise subprocess.CalledProcessError(process.returncode, draw)
        return lines["drawn"], lines["written"]


def _megabytes(sizes: dict[str, int]) -> str:
    return f"{sum(sizes.values()) / 1e6:.0f} MB in {len(sizes)} packages"


def _largest(sizes: dict[str, int]) -> str:
    return ", ".join(f"{name} {size / 1e6:.0f} MB" for name, size in list(sizes.items())[:LARGEST])
