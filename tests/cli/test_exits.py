"""Exit statuses: one meaning each, end to end."""

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import dynamics as dyn
from dynamics.cli.exits import MEANINGS, Exit
from tests.cli.calls import ITERATE, ROOT, SOLVE, TRAIN, call, process

DIVERGING = ["solve", "--stop-gradient", "online", "--s0", "2", "--end-time", "50"]
WRONG_LOSS = "|p - sg(z2)|^2 / 2 + |z1|^4"


def test_meanings_are_listed_in_the_help_and_in_the_docs():
    shown = re.sub(r"\s+", " ", call("--help").stdout)
    documented = (ROOT / "docs" / "command_line.md").read_text(encoding="utf-8")
    for status in Exit:
        assert f" {int(status)} {MEANINGS[status]}" in shown
        assert re.search(rf"^\| {int(status)} \| ", documented, re.MULTILINE)


@pytest.mark.parametrize(
    ("arguments", "status"),
    [
        (SOLVE, Exit.SUCCESS),
        ([*SOLVE, "--s0", "abc"], Exit.INVALID),
        ([*SOLVE, "--s0", "1,-2"], Exit.INVALID),
        (["slove"], Exit.INVALID),
        (["compare", "nowhere.npz", "nowhere.npz"], Exit.INVALID),
        (["compare", __file__, __file__], Exit.INVALID),
        (DIVERGING, Exit.INCOMPLETE),
        (
            ["convergence-time", "--s0", "0.01,1", "--level", "0.4", "--loss", "cosine", "--within", "1"],
            Exit.INCOMPLETE,
        ),
        (["solve", "--s0", "0.1,0.5", "--end-time", "200", "--method", "scipy", "--until", "steady"], Exit.SUCCESS),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else str(int(value)),
)
def test_each_kind_of_end_has_its_status(arguments, status):
    done = call(*arguments)
    assert done.exit_code == status, done.output
    assert ("Ended early: " in done.stderr) == (status == Exit.INCOMPLETE)


def test_a_check_that_does_not_hold(monkeypatch):
    from dynamics.verification.check import Check

    monkeypatch.setattr(Check, "passed", False)
    assert call("check", "--s0", "0.2,0.7").exit_code == Exit.DISAGREEMENT


def test_a_run_that_diverges_is_printed_and_written(tmp_path):
    done = call(*DIVERGING, "--out", tmp_path / "run.csv")
    assert done.exit_code == Exit.INCOMPLETE and "diverge" in done.stdout
    assert done.stderr.splitlines()[0] == f"written: {tmp_path / 'run.csv'}"
    assert "--out would keep the result" in call(*DIVERGING).stderr


def test_a_folder_that_cannot_be_read(tmp_path):
    done = call("sweep", "-", input='store = "/proc/a.zarr"\nmodel = { loss = "euclidean" }\n')
    assert done.exit_code == Exit.INVALID
    with Path("/dev/full").open("w") as full:
        run = [sys.executable, "-m", "dynamics", *SOLVE, "--out", "-", "--format", "npz"]
        done = subprocess.run(run, cwd=ROOT, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert done.returncode == Exit.INPUT_OUTPUT
    assert done.stderr == "Error: The output cannot be written: No space left on device.\n"
    assert call(*SOLVE, "--out", "/dev/full", "--format", "csv").exit_code == Exit.INPUT_OUTPUT


def test_an_error_in_the_program_is_not_a_check_that_does_not_hold(monkeypatch):
    monkeypatch.setattr(dyn, "equilibria", lambda *_, **__: 1 / 0)
    done = call("equilibria", "--s0", "1")
    assert done.exit_code == Exit.INTERNAL and "ZeroDivisionError" in done.stderr


# --- pipes ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("options", [[], ["--json"], ["--out", "-", "--format", "csv"]], ids=["text", "json", "csv"])
def test_a_reader_that_leaves_early_is_not_reported(options):
    command = " ".join([sys.executable, "-m", "dynamics", *SOLVE[:-1], "20000", *options])
    script = f"set -o pipefail; {command} | head -n 1"
    done = subprocess.run(["bash", "-c", script], cwd=ROOT, capture_output=True, text=True, check=False)
    assert len(done.stdout.splitlines()) == 1 and done.stderr == ""
    assert done.returncode in (Exit.SUCCESS, Exit.CLOSED_PIPE)  # 0 if all was written before the reader left


# --- interruption ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "command",
    [
        [*ITERATE, "--steps", "1000000", "--method", "numpy"],
        pytest.param([*TRAIN, "--steps", "1000000"], marks=pytest.mark.long),
    ],
    ids=lambda command: command[0],
)
def test_an_interrupted_run_is_kept(command, tmp_path):
    path = tmp_path / "run.npz"
    run = [sys.executable, "-m", "dynamics", *command, "--record", "1000", "--progress", "--out", str(path)]
    with subprocess.Popen(run, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as running:
        shown = b""
        while not re.search(rb"[1-9]%", shown):  # the progress bar shows that steps have been computed
            shown += os.read(running.stderr.fileno(), 100)
        running.send_signal(signal.SIGINT)
        out, errors = running.communicate(timeout=60)
    assert running.returncode == Exit.INTERRUPTED, errors
    assert re.search(rb"status +interrupted", out), out
    assert f"written: {path}".encode() in errors and b"Ended early" in errors
    assert path.exists()


def test_a_sweep_that_is_interrupted_states_how_it_continues(monkeypatch):
    from dynamics.sweeps import toml_file

    class Store:
        attrs = {"progress": "interrupted after 1 of 2 blocks; the same call resumes the sweep"}  # noqa: RUF012

        def to_dict(self, data):
            return {}

    monkeypatch.setattr(toml_file, "run", lambda *_: Store())
    done = call("sweep", "-")
    assert done.exit_code == Exit.INTERRUPTED
    assert done.stderr == "Ended early: interrupted after 1 of 2 blocks; the same call resumes the sweep\n"


@pytest.mark.parametrize(
    ("cause", "status"),
    [(OSError(28, "No space left on device"), Exit.INPUT_OUTPUT), (MemoryError("too large"), Exit.INCOMPLETE)],
    ids=["disk", "block"],
)
def test_a_sweep_that_fails(cause, status, monkeypatch):
    from dynamics.sweeps import toml_file

    def fail(*_):
        raise dyn.SweepError(f"Block 1 of 2 failed: {cause}") from cause

    monkeypatch.setattr(toml_file, "run", fail)
    done = call("sweep", "-")
    assert done.exit_code == status and done.stderr.startswith("Error: Block 1 of 2 failed: ")


def test_an_interrupted_analysis_keeps_nothing(monkeypatch):
    def interrupted(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(dyn, "equilibria", interrupted)
    done = call("equilibria", "--s0", "1")
    assert (done.exit_code, done.stderr) == (Exit.INTERRUPTED, "Error: Interrupted; no result is kept.\n")


# --- first steps ----------------------------------------------------------------------------------------------------


def test_without_arguments_three_commands_are_suggested():
    done = process()
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert len(lines) <= 10 and len([line for line in lines if line.startswith("  ssl-dynamics ")]) == 3
