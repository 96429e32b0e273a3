"""The store of a sweep: written as a whole or not at all, on disks with room, by one sweep at a time."""

import json
import shutil
import subprocess
import sys
import time

import numpy as np
import pytest
import xarray as xr

import dynamics as dyn
from dynamics.sweeps import block, plan, store
from tests.sweeps.models import DESCENT, EUCLIDEAN, GRID, S0, files


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

    class Full:
        def __setitem__(self, where, values):
            raise OSError("No space left on device")

    def opened(self, path, grid, init=store.Store.__init__):
        init(self, path, grid)
        self.arrays["s"] = Full()

    monkeypatch.setattr(store.Store, "__init__", opened)
    with pytest.raises(OSError, match="No space left"):
        dyn.sweep(EUCLIDEAN, GRID, store=tmp_path / "a.zarr", chunk=3, **DESCENT)
    monkeypatch.undo()
    assert not (xr.open_zarr(tmp_path / "a.zarr", chunks=None, consolidated=False).status != 0).any()
    dyn.sweep(EUCLIDEAN, GRID, store=tmp_path / "a.zarr", chunk=3, **DESCENT)
    dyn.sweep(EUCLIDEAN, GRID, store=tmp_path / "b.zarr", chunk=3, **DESCENT)
    assert files(tmp_path / "a.zarr") == files(tmp_path / "b.zarr")


def test_only_blocks_without_status_are_computed_again(tmp_path, monkeypatch):
    dyn.sweep(EUCLIDEAN, GRID, store=tmp_path / "a.zarr", chunk=3, **DESCENT)
    whole, seen, write = files(tmp_path / "a.zarr"), [], store.Store.write
    (tmp_path / "a.zarr" / "status" / "c" / "2" / "0").unlink()
    monkeypatch.setattr(store.Store, "write", lambda self, number, a: seen.append(number) or write(self, number, a))
    dyn.sweep(EUCLIDEAN, GRID, store=tmp_path / "a.zarr", chunk=3, **DESCENT)
    assert seen == [2] and files(tmp_path / "a.zarr") == whole


def test_a_half_created_store_is_replaced(tmp_path):
    """A store is there as a whole or not at all."""
    begun = tmp_path / ".a.zarr.new" / "s" / "c"
    begun.mkdir(parents=True)
    (begun / "left over").write_bytes(b"")
    dyn.sweep(EUCLIDEAN, GRID, store=tmp_path / "a.zarr", **DESCENT)
    assert [p.name for p in tmp_path.iterdir()] == ["a.zarr"] and not list(tmp_path.rglob("left over"))


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
    with pytest.raises(dyn.ArgumentError, match=rf"but {path} is no store of a sweep\."):
        dyn.sweep(EUCLIDEAN, GRID, store=path, **DESCENT)
    assert files(tmp_path) == before


# --- room on the disk -------------------------------------------------------------------------------------------------


def test_a_sweep_larger_than_the_disk_is_refused(tmp_path, monkeypatch):
    """Each array of a block is a file, of whole sectors: s 5 x 3 points x 7 steps x 3 modes, blow-up time, status."""
    needed = 4096 * (1 + 1 + 1)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(10**9, 0, needed - 1))
    requirement = f"lie on a disk with room for the sweep, which takes {needed} bytes before compression"
    message = f"Argument `store` must {requirement}, but"
    with pytest.raises(dyn.ArgumentError, match=f"{message} {tmp_path} has {needed - 1} bytes left."):
        dyn.sweep(EUCLIDEAN, GRID, store=tmp_path / "a.zarr", **DESCENT)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(10**9, 0, needed))
    assert (dyn.sweep(EUCLIDEAN, GRID, store=tmp_path / "a.zarr", **DESCENT).status == 1).all()


def test_only_missing_blocks_need_room_on_the_disk(tmp_path, monkeypatch):
    path = tmp_path / "a.zarr"
    complete = dyn.sweep(EUCLIDEAN, GRID, store=path, chunk=3, **DESCENT).load()
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(10**9, 0, 0))
    assert dyn.sweep(EUCLIDEAN, GRID, store=path, chunk=3, **DESCENT).identical(complete)
    (path / "status" / "c" / "2" / "0").unlink()
    needed = 3 * 4096  # of one block: s, blow-up time and status
    with pytest.raises(dyn.ArgumentError, match=rf"room for the sweep, which takes {needed} bytes .* has 0 bytes left"):
        dyn.sweep(EUCLIDEAN, GRID, store=path, chunk=3, **DESCENT)


def test_a_block_too_large_to_compress_is_refused(tmp_path):
    grid = {"sigma1": np.linspace(0.1, 1, 1000), "sigma2": np.linspace(0.1, 1, 1000)}
    with pytest.raises(
        dyn.ArgumentError, match="`chunk` must be so small that an array of a block has at most 21474836"
    ):
        dyn.sweep(EUCLIDEAN, grid, store=tmp_path / "a.zarr", chunk=10**6, s0=S0, steps=100, learning_rate=0.1)
    assert list(tmp_path.iterdir()) == []


# --- locks ------------------------------------------------------------------------------------------------------------


def test_two_sweeps_do_not_write_into_one_store(tmp_path):
    def second(x):
        in_use = "`store` must not be in use, but a sweep that is running writes into "
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
