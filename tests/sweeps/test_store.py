"""The store of a sweep: written as a whole or not at all, on disks with room, by one sweep at a time."""

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from subprocess import PIPE

import numpy as np
import pytest
import xarray as xr

import dynamics as dyn
from dynamics.sweeps import block, chunks, plan, store
from tests.full_disk import full_disk
from tests.sweeps.models import DESCENT, EUCLIDEAN, GRID, S0, files, table

ROOT = Path(__file__).resolve().parents[2]


def test_the_result_is_a_dataset_with_named_axes(tmp_path):
    dataset = dyn.sweep(EUCLIDEAN, GRID, store=tmp_path / "a.zarr", **DESCENT)
    assert isinstance(dataset, xr.Dataset)
    near = dataset.s.sel(weight_decay=0.05, sigma2=0.2).isel(step=-1)
    assert near.dims == ("mode",) and near.values.tolist() == dataset.s.values[2, 1, -1].tolist()
    assert dataset.status.attrs["flag_meanings"].split() == list(block.STATUS)
    assert list(dataset.data_vars) == ["s", "blow_up_time", "status"]
    assert dataset.time.attrs["long_name"] == "time, learning rate x steps"
    assert json.loads(dataset.attrs["sweep"])["format"] == plan.FORMAT


def test_stores_of_equal_sweeps_are_equal_whenever_written(tmp_path):
    dyn.sweep(EUCLIDEAN, GRID, store=tmp_path / "a.zarr", **DESCENT)
    time.sleep(1.1)
    dyn.sweep(EUCLIDEAN, GRID, store=tmp_path / "b.zarr", **DESCENT)
    assert files(tmp_path / "a.zarr") == files(tmp_path / "b.zarr")


def test_status_is_written_last(tmp_path, monkeypatch):
    """Stopped between two arrays of a block, here by a disk that is full: the block is computed again."""

    def full(path, content, write=chunks._write):
        if "blow_up_time" in path.parts:
            raise OSError("No space left on device")
        write(path, content)

    monkeypatch.setattr(chunks, "_write", full)
    with pytest.raises(dyn.SweepError, match=r"Block 1 of 5, .*, failed: OSError: No space left"):
        dyn.sweep(EUCLIDEAN, GRID, store=tmp_path / "a.zarr", chunk=3, **DESCENT)
    monkeypatch.undo()
    assert not (xr.open_zarr(tmp_path / "a.zarr", chunks=None, consolidated=False).status != 0).any()
    dyn.sweep(EUCLIDEAN, GRID, store=tmp_path / "a.zarr", chunk=3, **DESCENT)
    dyn.sweep(EUCLIDEAN, GRID, store=tmp_path / "b.zarr", chunk=3, **DESCENT)
    assert files(tmp_path / "a.zarr") == files(tmp_path / "b.zarr")


def test_only_blocks_without_status_are_computed_again(tmp_path, monkeypatch):
    dyn.sweep(EUCLIDEAN, GRID, store=tmp_path / "a.zarr", chunk=3, **DESCENT)
    whole, seen, write = files(tmp_path / "a.zarr"), [], chunks.BlockFiles.write
    (tmp_path / "a.zarr" / "status" / "c" / "2" / "0").unlink()
    monkeypatch.setattr(chunks.BlockFiles, "write", lambda self, a: seen.append(self.number) or write(self, a))
    dyn.sweep(EUCLIDEAN, GRID, store=tmp_path / "a.zarr", chunk=3, **DESCENT)
    assert seen == [2] and files(tmp_path / "a.zarr") == whole


def test_a_half_created_store_is_replaced(tmp_path):
    """A store is there as a whole or not at all."""
    for name, age in (("killed", 10**6), ("running", 10)):
        begun = tmp_path / f".a.zarr.{name}.new"
        (begun / "s" / "c").mkdir(parents=True)
        os.utime(begun, (time.time() - age,) * 2)
    dyn.sweep(EUCLIDEAN, GRID, store=tmp_path / "a.zarr", **DESCENT)
    assert sorted(p.name for p in tmp_path.iterdir()) == [".a.zarr.running.new", "a.zarr"]


@pytest.mark.parametrize("kind", ["file", "folder", "zarr"])
def test_a_path_that_is_no_store_of_a_sweep_is_never_overwritten(kind, tmp_path):
    path = tmp_path / "a.zarr"
    if kind == "file":
        path.write_text("mine")
    elif kind == "folder":
        path.mkdir()
        (path / "notes.txt").write_text("mine")
    else:
        xr.Dataset({"a": ("x", np.zeros(3))}).to_zarr(path, consolidated=False)
    before = files(tmp_path)
    with pytest.raises(dyn.ArgumentError, match=rf"but {path} is not the store of a sweep\."):
        dyn.sweep(EUCLIDEAN, GRID, store=path, **DESCENT)
    assert files(tmp_path) == before


# --- room on the disk -------------------------------------------------------------------------------------------------


def test_a_sweep_larger_than_the_disk_is_refused(tmp_path, monkeypatch):
    """Arrays of a block are files of whole sectors: s (5 x 3 points, 7 steps, 3 modes), blow-up time, status, seal."""
    needed = 4096 * (1 + 1 + 1 + 1)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(10**9, 0, needed - 1))
    requirement = f"be on a disk with room for the sweep, which needs {needed} bytes before compression"
    message = f"Argument `store` must {requirement}, but"
    with pytest.raises(dyn.ArgumentError, match=f"{message} the disk of {tmp_path} has {needed - 1} bytes left."):
        dyn.sweep(EUCLIDEAN, GRID, store=tmp_path / "a.zarr", **DESCENT)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(10**9, 0, needed))
    assert (dyn.sweep(EUCLIDEAN, GRID, store=tmp_path / "a.zarr", **DESCENT).status == 1).all()


def test_only_missing_blocks_need_room_on_the_disk(tmp_path, monkeypatch):
    path = tmp_path / "a.zarr"
    complete = dyn.sweep(EUCLIDEAN, GRID, store=path, chunk=3, **DESCENT).load()
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(10**9, 0, 0))
    assert dyn.sweep(EUCLIDEAN, GRID, store=path, chunk=3, **DESCENT).identical(complete)
    (path / "status" / "c" / "2" / "0").unlink()
    needed = 4 * 4096  # of one block: s, blow-up time, status and seal
    with pytest.raises(dyn.ArgumentError, match=rf"room for the sweep, which needs {needed} bytes .* has 0 bytes left"):
        dyn.sweep(EUCLIDEAN, GRID, store=path, chunk=3, **DESCENT)


def test_a_block_too_large_to_compress_is_refused(tmp_path):
    grid = {"sigma1": np.linspace(0.1, 1, 1000), "sigma2": np.linspace(0.1, 1, 1000)}
    with pytest.raises(
        dyn.ArgumentError, match="`chunk` must be so small that each array of a block has at most 21474836"
    ):
        dyn.sweep(EUCLIDEAN, grid, store=tmp_path / "a.zarr", chunk=10**6, s0=S0, steps=100, learning_rate=0.1)
    assert list(tmp_path.iterdir()) == []


# --- locks ------------------------------------------------------------------------------------------------------------


def test_two_sweeps_do_not_write_into_one_store(tmp_path):
    def second(x):
        in_use = "`store` must not be in use, but a running sweep is writing to "
        if x:  # at 0 there is no store
            with pytest.raises(dyn.ArgumentError, match=in_use), store.locked(tmp_path / "a.zarr"):
                pass
        return {"a": x}

    assert (dyn.sweep(second, {"x": range(3)}, store=tmp_path / "a.zarr", chunk=1).status == 1).all()


FORKED = """
import os, sys, time
from pathlib import Path
from dynamics.sweeps import store
ready, tell = os.pipe()
with store.locked(Path(sys.argv[1])):
    child = os.fork()
    if not child:
        os.write(tell, b"!")
        time.sleep(20)
        os._exit(0)
    os.read(ready, 1)
with store.locked(Path(sys.argv[1])):
    os.kill(child, 9)
    print("free")
"""


def test_forked_workers_that_survive_do_not_lock_the_store(tmp_path):
    """A pool of processes that were forked outlives a client that is killed."""
    run = [sys.executable, "-W", "ignore", "-c", FORKED, str(tmp_path)]  # Pythons from 3.12 on warn of forks
    assert subprocess.run(run, capture_output=True, text=True, check=False, timeout=30).stdout == "free\n"


# --- two sweeps at once -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["model", "function"])
def test_a_store_that_another_sweep_creates_meanwhile_is_used(kind, tmp_path, monkeypatch):
    """Both sweeps have seen that there is no store; the one that is slower finds a store that is complete."""
    path, write_empty = tmp_path / "a.zarr", store._write_empty

    def sweep():
        if kind == "model":
            return dyn.sweep(EUCLIDEAN, GRID, store=path, chunk=3, **DESCENT)
        return dyn.sweep(table, {"x": range(4), "y": [0.5, 1.0]}, store=path, chunk=2)

    def faster(*arguments):
        monkeypatch.undo()
        first.append((sweep().load(), files(path)))
        write_empty(*arguments)

    first = []
    monkeypatch.setattr(store, "_write_empty", faster)
    second = sweep()
    assert second.identical(first[0][0]) and files(path) == first[0][1]
    assert [p.name for p in tmp_path.iterdir()] == ["a.zarr"]


def test_a_store_that_another_sweep_creates_meanwhile_is_refused_if_it_differs(tmp_path, monkeypatch):
    path, write_empty = tmp_path / "a.zarr", store._write_empty

    def faster(*arguments):
        monkeypatch.undo()
        dyn.sweep(EUCLIDEAN, {"weight_decay": [0.1, 0.2]}, store=path, **DESCENT)
        write_empty(*arguments)

    monkeypatch.setattr(store, "_write_empty", faster)
    with pytest.raises(
        dyn.ArgumentError, match=rf"`store` must name a new path, .*, but {path} is of a sweep that differs in"
    ):
        dyn.sweep(EUCLIDEAN, GRID, store=path, **DESCENT)
    assert [p.name for p in tmp_path.iterdir()] == ["a.zarr"]


AT_ONCE = """
import sys, time
import dynamics as dyn
from tests.sweeps.models import slow_square
print("ready", flush=True)
sys.stdin.readline()
try:
    print("complete", dyn.sweep(slow_square, {"x": range(6)}, store=sys.argv[1], chunk=1).square.values.sum())
except dyn.ArgumentError as error:
    print(error)
"""


def test_of_sweeps_that_start_at_once_on_a_new_store_one_writes_it(tmp_path):
    run, streams = (
        [sys.executable, "-c", AT_ONCE, str(tmp_path / "a.zarr")],
        {"stdin": PIPE, "stdout": PIPE, "text": True},
    )
    started = [subprocess.Popen(run, stderr=subprocess.STDOUT, cwd=ROOT, **streams) for _ in range(3)]
    assert [process.stdout.readline() for process in started] == ["ready\n"] * 3
    for process in started:
        process.stdin.write("go\n")
        process.stdin.flush()
    ends = sorted(process.communicate(timeout=60)[0] for process in started)
    in_use = f"Argument `store` must not be in use, but a running sweep is writing to {tmp_path / 'a.zarr'}.\n"
    assert ends == [in_use, in_use, "complete 55.0\n"]
    assert [p.name for p in tmp_path.iterdir()] == ["a.zarr"]


# --- a full disk ------------------------------------------------------------------------------------------------------


def test_a_full_disk_ends_a_sweep_with_its_error(tmp_path):
    """The disk is full once the store is created; afterwards the same call continues."""
    path, options = tmp_path / "a.zarr", {"s0": S0, "times": np.linspace(0, 1, 300)}
    with full_disk(4000), pytest.raises(dyn.SweepError, match=r"Block 1 of 15, .* failed: OSError: .*File too large"):
        dyn.sweep(EUCLIDEAN, GRID, store=path, chunk=1, **options)
    assert dyn.sweep(EUCLIDEAN, GRID, store=path, chunk=1, **options).attrs["progress"] == "complete"


def test_a_store_that_cannot_be_created_is_reported(tmp_path):
    with full_disk(200), pytest.raises(dyn.SweepError, match=r"The store .*a\.zarr cannot be created: File too large"):
        dyn.sweep(EUCLIDEAN, GRID, store=tmp_path / "a.zarr", **DESCENT)
    assert not list(tmp_path.iterdir())


# --- damage: more in tests/fuzz/test_store_damage.py ------------------------------------------------------------------


def test_a_chunk_with_a_flipped_bit_is_detected_by_any_reader(tmp_path):
    path = tmp_path / "a.zarr"
    dyn.sweep(EUCLIDEAN, GRID, store=path, chunk=3, **DESCENT)
    chunk = path / "s" / "c" / "0" / "0" / "0" / "0"
    content = bytearray(chunk.read_bytes())
    content[len(content) // 2] ^= 1
    chunk.write_bytes(content)
    with pytest.raises(ValueError, match="checksum do not match"):
        xr.open_zarr(path, chunks=None, consolidated=False).s.load()


def test_damaged_blocks_are_computed_again(tmp_path):
    path = tmp_path / "a.zarr"
    expected = dyn.sweep(EUCLIDEAN, GRID, store=path, chunk=3, **DESCENT).load()
    whole = files(path)
    (path / "s" / "c" / "2" / "0" / "0" / "0").unlink()
    first, last = (path / "blow_up_time" / "c" / number / "0" for number in "04")
    first.write_bytes(b"")
    shutil.copy(path / "seal" / "c" / "1" / "0", path / "seal" / "c" / "3" / "0")
    last.unlink()
    last.mkdir()
    again = dyn.sweep(EUCLIDEAN, GRID, store=path, chunk=3, **DESCENT)
    assert again.attrs["progress"] == "complete; 4 damaged blocks were computed again"
    assert again.drop_attrs().identical(expected.drop_attrs()) and files(path) == whole


@pytest.mark.parametrize("name", ["s/zarr.json", "weight_decay/c/0", "step/zarr.json", "seal/zarr.json"])
@pytest.mark.parametrize("how", ["changed", "missing"])
def test_damage_that_no_block_repairs_is_named(name, how, tmp_path):
    path = tmp_path / "a.zarr"
    dyn.sweep(EUCLIDEAN, GRID, store=path, **DESCENT)
    (path / name).unlink()
    if how == "changed":
        (path / name).write_bytes(b"{}")
    reason = "has changed" if how == "changed" else r"cannot be read \(No such file or directory\)"
    with pytest.raises(dyn.SweepError, match=rf"The store {path} is damaged: {name} {reason}\. Use a new store"):
        dyn.sweep(EUCLIDEAN, GRID, store=path, **DESCENT)


def test_changed_attributes_are_named(tmp_path):
    path = tmp_path / "a.zarr"
    dyn.sweep(EUCLIDEAN, GRID, store=path, **DESCENT)
    metadata = json.loads((path / "zarr.json").read_text())
    metadata["attributes"]["variables"] = "blow_up_time"
    (path / "zarr.json").write_text(json.dumps(metadata))
    with pytest.raises(dyn.SweepError, match=rf"The store {path} is damaged: zarr\.json has changed"):
        dyn.sweep(EUCLIDEAN, GRID, store=path, **DESCENT)
