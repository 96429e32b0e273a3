"""Calls of the command line, for tests: each command with arguments with which it is quick."""

import subprocess
import sys
from pathlib import Path

from click.testing import CliRunner

from dynamics.cli import commands as cli

ROOT = Path(__file__).resolve().parents[2]
STEPS = ["--modes", "2", "--inputs", "3", "--steps", "6", "--learning-rate", "0.1"]
SOLVE = ["solve", "--s0", "0.02,0.2", "--end-time", "3", "--points", "4"]
ITERATE = ["iterate", *STEPS]
TRAIN = ["train", *STEPS, "--batch-size", "50"]
ANALYSES = {  # a call of each analysis
    "collapse": ["--s0", "0.01,0.5", "--weight-decay", "0.05"],
    "equilibria": ["--s0", "0.1", "--weight-decay", "0.05"],
    "bifurcation": ["weight_decay", "--between", "0.01,0.3", "--points", "5"],
    "phase-diagram": [
        "--s0",
        "0.5",
        "--x",
        "weight_decay",
        "0,0.4",
        "--y",
        "learning_rate",
        "0.1,0.5",
        "--points",
        "2",
    ],
    "invariants": ["--learned"],
    "convergence-time": ["--s0", "0.01,0.1", "--level", "0.9"],
    "effective-rates": ["--s", "0.01,1"],
    "design": ["fastest-uniform", "--learning-rate", "0.1"],
}


def call(*arguments, **options):
    """Run a command in this process."""
    return CliRunner().invoke(cli.main, [str(a) for a in arguments], prog_name="ssl-dynamics", **options)


def process(*arguments, **options):
    """Run a command in a new process."""
    run = [sys.executable, "-m", "dynamics", *map(str, arguments)]
    return subprocess.run(run, cwd=ROOT, capture_output=True, text=True, check=False, timeout=60, **options)
