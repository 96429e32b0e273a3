"""Checkpoints of deep networks: a run that is killed goes on to the same result; what is not this run is refused."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

import dynamics as dyn
from dynamics.networks import loop
from dynamics.networks.deep import checkpoint, training
from dynamics.networks.deep.checkpoint import Checkpoint
from tests.networks.deep.small import IMAGES, MODEL, assert_same, network, run

ROOT = Path(__file__).resolve().parents[3]
KILLED = """
import sys, time
sys.path[:0] = [{folder!r}]
from tests.networks.deep.small import run
from dynamics.networks.deep.checkpoint import Checkpoint
write = Checkpoint.write
def slowly(*arguments):
    write(*arguments)
    time.sleep(0.3)
Checkpoint.write = slowly
run(checkpoint={path!r}, record=1)
print("finished")
"""


@pytest.fixture(scope="module")
def undisturbed():
    return run()


@pytest.fixture
def path(tmp_path):
    return tmp_path / "run.ckpt"


@pytest.fixture
def finished(path):
    run(checkpoint=path)
    return path


def recorded(path):
    """Return the number of records in a checkpoint."""
    if not path.exists():
        return 0
    with np.load(path) as file:
        return file["record.s"].shape[1]


@pytest.mark.long
def test_a_killed_run_goes_on_bit_for_bit(path):
    code = KILLED.format(folder=str(ROOT), path=str(path))
    process = subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, stdout=subprocess.PIPE)
    try:
        deadline = time.monotonic() + 120
        while recorded(path) < 3 and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.02)
    finally:
        os.kill(process.pid, signal.SIGKILL)
    out, _ = process.communicate()
    assert out == b"" and 3 <= recorded(path) < 13
    before = path.read_bytes()
    whole = run(record=1)
    assert path.read_bytes() == before
    assert_same(run(checkpoint=path, record=1), whole)
    assert recorded(path) == 13


def test_a_checkpoint_changes_nothing(path, undisturbed):
    assert_same(run(checkpoint=str(path)), undisturbed)
    assert recorded(path) == 4 and [file.name for file in path.parent.iterdir()] == ["run.ckpt"]


def test_a_finished_run_is_not_trained_again(finished, undisturbed, monkeypatch):
    begin, *_ = training._compiled(training.deep_spec(MODEL, network(), 16, 12, "float32"))

    def fail(*_):
        raise AssertionError("trained again")

    monkeypatch.setattr(training, "_compiled", lambda spec: (begin, fail, fail))
    before = finished.stat().st_mtime_ns
    assert_same(run(checkpoint=finished), undisturbed)
    assert finished.stat().st_mtime_ns == before


def test_ctrl_c_keeps_what_is_recorded_and_the_run_goes_on(path, undisturbed, press_ctrl_c, monkeypatch):
    press_ctrl_c(loop, at_update=3)
    part = run(checkpoint=path)
    assert (part.status, part.complete, part.step.tolist()) == ("interrupted after step 8", False, [0, 4, 8])
    np.testing.assert_array_equal(part.s, undisturbed.s[:, :3])
    np.testing.assert_array_equal(part.t, undisturbed.t[:3])
    monkeypatch.undo()
    assert_same(run(checkpoint=path), undisturbed)


def test_ctrl_c_without_a_checkpoint(press_ctrl_c, undisturbed):
    press_ctrl_c(loop, at_update=2)
    part = run()
    assert (part.status, part.step.tolist()) == ("interrupted after step 4", [0, 4])
    np.testing.assert_array_equal(part.measures["rankme"], undisturbed.measures["rankme"][:, :2])


@pytest.mark.parametrize("stop", [OSError("no space left"), KeyboardInterrupt()], ids=["full disk", "Ctrl-C"])
def test_an_interrupted_write_leaves_the_old_checkpoint(path, undisturbed, monkeypatch, stop):
    savez, calls = np.savez, []

    def half(file, **entries):
        calls.append(1)
        if len(calls) == 3:
            file.write(b"half of it")
            raise stop
        savez(file, **entries)

    monkeypatch.setattr(checkpoint.np, "savez", half)
    if isinstance(stop, OSError):
        with pytest.raises(OSError, match="no space left"):
            run(checkpoint=path)
    else:
        assert run(checkpoint=path).status == "interrupted after step 8"
    monkeypatch.undo()
    assert recorded(path) == 2
    assert_same(run(checkpoint=path), undisturbed)
    assert [file.name for file in path.parent.iterdir()] == ["run.ckpt"]


# --- what is refused ------------------------------------------------------------------------------------------------

OTHER = dyn.Images("small", IMAGES.train + 0.1, IMAGES.train_labels, IMAGES.test, IMAGES.test_labels)


@pytest.mark.parametrize(
    ("changes", "difference"),
    [
        ({"learning_rate": 0.1}, r"learning_rate \(0.05 stored, 0.1 now\)"),
        ({"steps": 16}, r"steps \(12 stored, 16 now\)"),
        ({"seed": [0, 2]}, r"seed \(\[0, 1\] stored, \[0, 2\] now\)"),
        ({"seed": 0}, r"seed \(\[0, 1\] stored, 0 now\)"),
        ({"batch_size": 17}, "batch_size"),
        ({"record": 3}, r"recorded \(\[0, 4, 8, 12\] stored, \[0, 3, 6, 9, 12\] now\)"),
        ({"dtype": "float64"}, "dtype"),
        ({"model": MODEL.replace(decay=0.8)}, r"model target decay \(0.9 stored, 0.8 now\)"),
        ({"W0": network(momentum=0.5)}, "network momentum"),
        ({"W0": network(views=dyn.Augmentation())}, "network views"),
        ({"W0": network(images=OTHER)}, "network images train sha256"),
    ],
    ids=lambda value: "" if isinstance(value, str) else "-".join(value),
)
def test_the_checkpoint_of_another_run(finished, changes, difference, monkeypatch):
    """Before any work."""
    before = finished.read_bytes()
    monkeypatch.setattr(Checkpoint, "write", None)
    requirement = "name a new file in an existing folder, or a checkpoint of the same run"
    with pytest.raises(dyn.ArgumentError, match=f"`checkpoint` must {requirement}, but .* differs in .*{difference}"):
        run(**{"checkpoint": finished} | changes)
    assert finished.read_bytes() == before


def test_a_checkpoint_of_other_code(finished, monkeypatch):
    monkeypatch.setattr(training, "digest", lambda *_: "other")
    with pytest.raises(dyn.ArgumentError, match=r'differs in code .*"other" now'):
        run(checkpoint=finished)


def damage(content: bytes, how: str) -> bytes:
    middle = len(content) // 2
    return {
        "text": b"not a checkpoint",
        "empty": b"",
        "truncated": content[:middle],
        "zeros in the middle": content[:middle] + bytes(200) + content[middle + 200 :],
        "zeros at the start": bytes(40) + content[40:],
    }[how]


@pytest.mark.parametrize("how", ["text", "empty", "truncated", "zeros in the middle", "zeros at the start"])
def test_a_damaged_checkpoint(finished, how):
    finished.write_bytes(damage(finished.read_bytes(), how))
    with pytest.raises(
        dyn.ArgumentError, match=r"`checkpoint` must .*, but .*run.ckpt is (damaged, or is )?not a checkpoint"
    ):
        run(checkpoint=finished)


def test_any_flipped_bit_is_one_error_or_none(finished):
    """Some bytes mean nothing, such as the dates in the archive."""
    content, refused = finished.read_bytes(), 0
    for at in np.random.default_rng(0).integers(0, len(content), 300):
        finished.write_bytes(content[:at] + bytes([content[at] ^ 255]) + content[at + 1 :])
        try:
            Checkpoint(finished, {}).read()
        except dyn.ArgumentError as error:
            refused += "damaged" in str(error) or "not a checkpoint" in str(error)
    assert refused > 200


class Trap:
    """Leaves a trace where it is unpickled."""

    def __reduce__(self):
        return (os.mkdir, ("trap",))


def test_nothing_is_unpickled(path, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with path.open("wb") as file:
        np.savez(file, identity=np.array([Trap()], dtype=object))
    with pytest.raises(dyn.ArgumentError, match="damaged, or is not a checkpoint"):
        run(checkpoint=path)
    assert not (tmp_path / "trap").exists()


@pytest.mark.parametrize("where", [".", "missing/run.ckpt", "", 3, b"run.ckpt"], ids=repr)
def test_where_no_checkpoint_can_be(where, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(dyn.ArgumentError, match="`checkpoint` must name a new file in an existing folder"):
        run(checkpoint=where)
    assert list(tmp_path.iterdir()) == []
