"""Blocks on executors: the same bytes as in one process, few under way, and failures of workers."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import xarray as xr

import dynamics as dyn
from dynamics.sweeps import store
from tests.sweeps.models import COSINE, DESCENT, EUCLIDEAN, FLOW, GRID, W0, Slow, failing, files, pressing, table


@pytest.mark.parametrize(
    ("what", "grid", "given"),
    [
        (COSINE, GRID, DESCENT),
        (dyn.Model("euclidean", target=dyn.EMA(0.9)), GRID, FLOW | {"learning_rate": 0.1}),
        (COSINE, {"seed": range(6)}, {"W0": W0, "steps": 3, "learning_rate": 0.1, "batch_size": 20}),
        (table, {"x": range(5), "y": [0.5, 1.0]}, {"scale": 2.0}),
    ],
    ids=["iterate", "solve", "train", "function"],
)
def test_processes_write_the_same_bytes(what, grid, given, processes, tmp_path):
    dyn.sweep(what, grid, store=tmp_path / "here.zarr", chunk=4, **given)
    dyn.sweep(what, grid, store=tmp_path / "there.zarr", chunk=4, executor=processes, **given)
    here = files(tmp_path / "here.zarr")
    assert here == files(tmp_path / "there.zarr")
    assert sum(name.startswith("status/c/") for name in here) >= 2


def test_few_blocks_are_under_way_and_their_order_does_not_matter(tmp_path, monkeypatch):
    executor, written, write = Slow(2), [], store.Store.write

    def note(self, number, arrays):
        executor.most = max(executor.most, executor.submitted - len(written))
        written.append(number)
        write(self, number, arrays)

    grid = {"sigma1": np.linspace(0.1, 1, 16)}
    dyn.sweep(EUCLIDEAN, grid, store=tmp_path / "a.zarr", chunk=1, **DESCENT)
    monkeypatch.setattr(store.Store, "write", note)
    dyn.sweep(EUCLIDEAN, grid, store=tmp_path / "b.zarr", chunk=1, executor=executor, **DESCENT)
    assert files(tmp_path / "a.zarr") == files(tmp_path / "b.zarr")
    assert executor.most == 4 and executor.submitted == 16 and written != sorted(written)


def test_blocks_under_way_when_one_fails_are_kept(tmp_path):
    with pytest.raises(dyn.SweepError, match="Block 3 of 20, x = 2, failed"):
        dyn.sweep(failing, {"x": range(20)}, store=tmp_path / "a.zarr", chunk=1, at=2, executor=Slow(4, at_once=1))
    half = xr.open_zarr(tmp_path / "a.zarr", chunks=None, consolidated=False)
    assert half.status.values.tolist() == [1, 1, 0] + [1] * 6 + [0] * 11


def test_a_broken_executor_fails_with_the_block(tmp_path):
    pool = ThreadPoolExecutor(1)
    pool.shutdown()
    with pytest.raises(dyn.SweepError, match=r"Block 1 of 5, .* failed: RuntimeError: cannot schedule new futures"):
        dyn.sweep(EUCLIDEAN, GRID, store=tmp_path / "a.zarr", chunk=3, executor=pool, **DESCENT)


def test_ctrl_c_in_a_process_ends_the_sweep(tmp_path, processes):
    found = dyn.sweep(pressing, {"x": range(9)}, store=tmp_path / "a.zarr", chunk=1, at=5, executor=processes)
    assert found.attrs["progress"].startswith("interrupted after ") and found.status.values[5] == 0
    assert found.status.values[0] == 1
