"""Blocks on executors: the same bytes as in one process, few under way, and failures of workers."""

import os
import shutil
import subprocess
import sys
import time
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import ClassVar

import numpy as np
import psutil
import pytest
import xarray as xr

import dynamics as dyn
from dynamics.sweeps import chunks, executor
from dynamics.sweeps.plan import plan_of_function
from tests.marks import parametrize
from tests.sweeps.models import COSINE, DESCENT, EUCLIDEAN, FLOW, GRID, W0, Slow, failing, files, pressing, table

ROOT = Path(__file__).resolve().parents[2]


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
    pool, written, write = Slow(2), [], chunks.BlockFiles.write

    def note(self, arrays):
        pool.most = max(pool.most, pool.submitted - len(written))
        written.append(self.number)
        write(self, arrays)

    grid = {"sigma1": np.linspace(0.1, 1, 16)}
    dyn.sweep(EUCLIDEAN, grid, store=tmp_path / "a.zarr", chunk=1, **DESCENT)
    monkeypatch.setattr(chunks.BlockFiles, "write", note)
    dyn.sweep(EUCLIDEAN, grid, store=tmp_path / "b.zarr", chunk=1, executor=pool, **DESCENT)
    assert files(tmp_path / "a.zarr") == files(tmp_path / "b.zarr")
    assert pool.most == 4 and pool.submitted == 16 and written != sorted(written)


def test_threads_and_processes_write_and_other_workers_return_their_blocks(processes, tmp_path, monkeypatch):
    """The workers of other executors may have other disks."""
    received = []
    monkeypatch.setattr(executor, "error_of_writing", lambda files, outcome: received.append(outcome.arrays))
    for name, pool in {"threads": ThreadPoolExecutor(2), "processes": processes, "others": Slow(2, at_once=5)}.items():
        dyn.sweep(EUCLIDEAN, GRID, store=tmp_path / name, chunk=3, executor=pool, **DESCENT)
        assert len(received) == (5 if name == "others" else 0)
    assert files(tmp_path / "threads") == files(tmp_path / "processes")
    assert all("s" in arrays for arrays in received)


def test_a_worker_does_not_write_into_a_store_that_replaced_its_own(tmp_path):
    """A block may still be computed after an interrupted sweep, when another sweep uses the same path."""
    path, other = tmp_path / "a.zarr", tmp_path / "b.zarr"
    dyn.sweep(EUCLIDEAN, GRID, store=other, **DESCENT)

    def late(x):
        if x == 2:
            shutil.rmtree(path)
            shutil.copytree(other, path)
        return {"s": x}

    with pytest.raises(dyn.SweepError, match=r"x = 2, failed: FileNotFoundError: the store .* replaced by another"):
        dyn.sweep(late, {"x": range(3)}, store=path, chunk=1)
    assert files(path) == files(other)


def test_blocks_under_way_when_one_fails_are_kept(tmp_path):
    with pytest.raises(dyn.SweepError, match="Block 3 of 20, x = 2, failed"):
        dyn.sweep(failing, {"x": range(20)}, store=tmp_path / "a.zarr", chunk=1, at=2, executor=Slow(4, at_once=1))
    half = xr.open_zarr(tmp_path / "a.zarr", chunks=None, consolidated=False)
    assert half.status.values.tolist() == [1, 1, 0] + [1] * 6 + [0] * 11


def test_a_broken_executor_is_reported_with_the_block(tmp_path):
    pool = ThreadPoolExecutor(1)
    pool.shutdown()
    with pytest.raises(dyn.SweepError, match=r"Block 1 of 5, .* failed: RuntimeError: cannot schedule new futures"):
        dyn.sweep(EUCLIDEAN, GRID, store=tmp_path / "a.zarr", chunk=3, executor=pool, **DESCENT)


def test_ctrl_c_in_a_process_ends_the_sweep(tmp_path, processes):
    dataset = dyn.sweep(pressing, {"x": range(9)}, store=tmp_path / "a.zarr", chunk=1, at=5, executor=processes)
    assert dataset.attrs["progress"].startswith("interrupted after ") and dataset.status.values[5] == 0
    assert dataset.status.values[0] == 1


class CountedClient:
    """Stands for a Dask client, of two workers."""

    def nthreads(self):
        return {"first": 20, "second": 30}


@pytest.mark.parametrize(
    ("attributes", "limit"),
    [
        ({"_max_workers": 3}, 6),
        ({}, executor.MANY),
        ({"_client": CountedClient()}, 100),
    ],
    ids=["pool", "unknown", "dask"],
)
def test_blocks_under_way_are_a_few_for_each_worker(attributes, limit, tmp_path):
    """Until the first of them is done."""

    class Waiting(Executor):
        submitted: ClassVar[list[Future]] = []

        def submit(self, function, /, *arguments):
            self.submitted.append(Future())
            if len(self.submitted) == limit:
                self.submitted[-1].set_exception(ZeroDivisionError("full"))
            return self.submitted[-1]

    pool = Waiting()
    vars(pool).update(attributes)
    plan = plan_of_function(table, {"x": range(200), "y": [0.0]}, 1, {})
    with pytest.raises(dyn.SweepError, match=rf"Block {limit} of 200, x = {limit - 1}, y = 0.0, failed: .*full"):
        list(executor.outcomes(plan, range(200), pool, None))
    assert len(pool.submitted) == limit


def test_the_executor_of_a_client_is_used():
    class Client:
        def get_executor(self, pure):
            return None if pure else executor.LocalExecutor()

    assert isinstance(executor.check_executor(Client()), executor.LocalExecutor)
    with pytest.raises(dyn.ArgumentError, match=r"Argument `executor` must be a concurrent\.futures\.Executor, a"):
        executor.check_executor("threads")


# --- devices ----------------------------------------------------------------------------------------------------------


ON_DEVICES = """
import sys, numpy as np, jax, dynamics as dyn
from dynamics.solvers import ensembles as groups
groups.GROUP = {"cpu": 8}
model = dyn.Model("cosine", noise=(0.0, 0.1))
grid = {"weight_decay": np.linspace(0, 0.1, 20), "sigma1": np.linspace(0, 0.5, 10)}
run = {"s0": [0.2, 0.5, 1.5], "times": np.linspace(0, 3, 5), "closure": "mean_field", "method": "jax"}
dyn.sweep(model, grid, store=sys.argv[1], chunk=100, **run)
print(len(jax.devices()))
"""


@pytest.mark.long
def test_eight_devices_write_the_same_bytes_as_one(tmp_path):
    """Host devices that JAX simulates; blocks of 100 points are 13 groups of 8, for which two rounds are needed."""
    for devices in (8, 1):
        environment = os.environ | {"XLA_FLAGS": f"--xla_force_host_platform_device_count={devices}"}
        script = [sys.executable, "-c", ON_DEVICES, str(tmp_path / f"{devices}.zarr")]
        done = subprocess.run(script, env=environment, capture_output=True, text=True, check=True)
        assert done.stdout.split() == [str(devices)]
    assert files(tmp_path / "8.zarr") == files(tmp_path / "1.zarr")


# --- a parent that is killed ------------------------------------------------------------------------------------------

POOL = """
import sys
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
import dynamics as dyn
run = dict(s0=[0.1, 0.5], steps=100_000_000, learning_rate=1e-9, record=10_000_000, method="numpy")
with ProcessPoolExecutor(2, get_context(sys.argv[1])) as pool:
    dyn.sweep(dyn.Model("cosine"), {"weight_decay": [0.0, 0.1]}, store=sys.argv[2], chunk=1, executor=pool, **run)
"""
FILE = """
store = "{store}"
chunk = 1
model = {{ loss = "cosine" }}
run = {{ s0 = [0.1, 0.5], steps = 100_000_000, learning_rate = 1e-9, record = 10_000_000, method = "numpy" }}
grid = {{ weight_decay = [0.0, 0.1] }}
"""


def started(kind, folder):
    """A sweep with two workers, which computes for long."""
    if kind == "command":
        (folder / "a.toml").write_text(FILE.format(store=folder / "a.zarr"))
        run = [sys.executable, "-m", "dynamics", "sweep", str(folder / "a.toml"), "--workers", "2"]
    else:
        run = [sys.executable, "-W", "ignore", "-c", POOL, kind, str(folder / "a.zarr")]
    return subprocess.Popen(run, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def workers_of(process):
    """The processes that compute, once there are two that have imported what they need."""
    children = [
        child for child in psutil.Process(process.pid).children() if "resource_tracker" not in " ".join(child.cmdline())
    ]
    return children if len(children) == 2 and all(child.num_threads() > 1 for child in children) else []


@parametrize("kind", ["fork", "spawn", "command"], ["fork"])
def test_workers_end_when_their_parent_is_killed(kind, tmp_path):
    parent, workers = started(kind, tmp_path), []
    try:
        end = time.monotonic() + 60
        while not (workers := workers_of(parent)) and time.monotonic() < end:
            time.sleep(0.1)
        assert len(workers) == 2
        parent.kill()
        parent.wait(10)
        _, alive = psutil.wait_procs(workers, 20)
        assert not alive
    finally:
        for process in [parent, *workers]:
            with suppress(psutil.NoSuchProcess):
                process.kill()
        parent.wait()
