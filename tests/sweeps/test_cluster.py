"""Sweeps on a Dask cluster: a scheduler and two workers, each a process of its own, over TCP; and what kills them."""

import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from distributed import Client

import dynamics as dyn
from dynamics.cli import commands as cli
from dynamics.sweeps.store import SEAL
from tests.sweeps.models import COSINE, files

LONG = 900  # seconds after which a process that should end never will
DASK = [sys.executable, "-m"]
CLIENT = """
import sys
import numpy as np
import dynamics as dyn
from distributed import Client
address, store, points, steps, chunk = sys.argv[1], sys.argv[2], *map(int, sys.argv[3:])
model = dyn.Model("cosine", noise=(0.0, 0.1))
grid = {"weight_decay": np.linspace(0, 0.1, points // 10), "sigma2": np.linspace(0.1, 1, 10)}
with Client(address) if address else __import__("contextlib").nullcontext() as executor:
    dataset = dyn.sweep(model, grid, store=store, chunk=chunk, executor=executor, s0=[0.1, 0.5, 1.0], steps=steps,
                      learning_rate=0.1)
assert dataset.attrs["progress"] == "complete" and (dataset.status == 1).all()
"""


@contextmanager
def process(arguments, log):
    """A process that is gone afterwards, by its own id."""
    with log.open("w") as out:
        started = subprocess.Popen(arguments, stdout=out, stderr=out, cwd=log.parent)
        try:
            yield started
        finally:
            if started.poll() is None:
                started.terminate()
            try:
                started.wait(10)
            except subprocess.TimeoutExpired:
                started.kill()
                started.wait()


@contextmanager
def cluster(folder):
    """(address of the scheduler, the two workers)."""
    folder.mkdir()
    about = folder / "scheduler.json"
    common = ["--scheduler-file", str(about), "--dashboard-address", "127.0.0.1:0"]  # a port that is free
    scheduler = [*DASK, "distributed.cli.dask_scheduler", *common, "--host", "127.0.0.1", "--port", "0"]
    worker = [*DASK, "distributed.cli.dask_worker", *common, "--no-nanny", "--nthreads", "1"]
    with (
        process(scheduler, folder / "scheduler.log"),
        process(worker, folder / "first.log") as first,
        process(worker, folder / "second.log") as second,
        Client(scheduler_file=str(about)) as client,
    ):
        client.wait_for_workers(2, timeout=60)
        address = client.scheduler.address
        assert address.startswith("tcp://") and len(client.scheduler_info()["workers"]) == 2
        yield address, (first, second)


def wait_until(condition, running):
    """Look often, as long as the process runs."""
    end = time.monotonic() + LONG
    while not condition():
        assert running.poll() is None, "it ended before it could be killed"
        assert time.monotonic() < end, "it hangs"
        time.sleep(0.005)


def kill_and_restart(folder, points, steps, chunk, record_property):
    """A worker is killed once a quarter is there, the client once half is; another client ends what it began."""
    disturbed, alone = folder / "disturbed.zarr", folder / "alone.zarr"
    seals, blocks = disturbed / SEAL, points // chunk  # the seal of a block is written last

    def done():
        return {path: path.stat().st_mtime_ns for path in seals.glob("c/*/*")}

    def client(address, store, log):
        return process(
            [sys.executable, "-W", "error", "-c", CLIENT, address, str(store), str(points), str(steps), str(chunk)],
            folder / log,
        )

    began = time.perf_counter()
    with cluster(folder / "dask") as (address, (worker, other)):
        with client(address, disturbed, "client.log") as killed:
            wait_until(lambda: len(done()) >= blocks // 4, killed)
            worker.kill()
            wait_until(lambda: len(done()) >= blocks // 2, killed)
            killed.kill()
        assert killed.returncode == worker.wait() == -signal.SIGKILL
        before = done()
        assert blocks // 2 <= len(before) < blocks
        with client(address, disturbed, "restarted.log") as restarted:
            assert restarted.wait(LONG) == 0, (folder / "restarted.log").read_text()
        assert other.poll() is None
    after = done()
    assert len(after) == blocks and {path: after[path] for path in before} == before  # none was written again
    record_property("seconds, disturbed", time.perf_counter() - began)
    began = time.perf_counter()
    with client("", alone, "alone.log") as here:
        assert here.wait(LONG) == 0, (folder / "alone.log").read_text()
    record_property("seconds, in one process", time.perf_counter() - began)
    record_property("blocks when the client was killed", len(before))
    assert files(disturbed) == files(alone)
    size = sum(map(len, files(alone).values()))
    record_property("bytes a point on disk", size / points)


@pytest.mark.long
def test_a_worker_and_the_client_are_killed(tmp_path, record_property):
    kill_and_restart(tmp_path, 2000, 5, 50, record_property)


@pytest.mark.full
def test_a_worker_and_the_client_are_killed_at_full_size(tmp_path, record_property):
    kill_and_restart(tmp_path, 100_000, 3, 1000, record_property)


@pytest.fixture(scope="module")
def client(tmp_path_factory):
    with cluster(tmp_path_factory.mktemp("cluster") / "dask") as (address, _), Client(address) as client:
        yield client


@pytest.mark.parametrize("executor", ["client", "executor"])
def test_workers_write_the_same_bytes(executor, client, tmp_path):
    grid, given = {"weight_decay": np.linspace(0, 0.1, 6)}, {"s0": [0.1, 0.5], "steps": 3, "learning_rate": 0.1}
    there = client if executor == "client" else client.get_executor()
    dyn.sweep(COSINE, grid, store=tmp_path / "a.zarr", chunk=2, executor=there, **given)
    dyn.sweep(COSINE, grid, store=tmp_path / "b.zarr", chunk=2, **given)
    assert files(tmp_path / "a.zarr") == files(tmp_path / "b.zarr")


def test_a_function_that_only_this_process_knows(client, tmp_path):
    dataset = dyn.sweep(lambda x, y: {"a": x - y}, {"x": range(4)}, store=tmp_path / "a.zarr", executor=client, y=1)
    assert dataset.a.values.tolist() == [-1, 0, 1, 2]


def test_a_failure_on_a_worker_names_the_points(client, tmp_path):
    def fail(x):
        return {"a": 1 // (x - 2)}

    with pytest.raises(dyn.SweepError, match=r"Block 2 of 2, x = 2 to 3, failed: ZeroDivisionError: .*, at x = 2$"):
        dyn.sweep(fail, {"x": range(4)}, store=tmp_path / "a.zarr", chunk=2, executor=client)


def test_accuracy_is_warned_of_here(client, tmp_path):
    def inaccurate(x):
        import warnings

        import dynamics as dyn

        warnings.warn(f"missed by {x}", dyn.AccuracyWarning, stacklevel=1)
        return {"a": x}

    with pytest.warns(dyn.AccuracyWarning, match=r"^missed by 0 This tolerance was missed in 3 blocks") as warned:
        dyn.sweep(inaccurate, {"x": range(3)}, store=tmp_path / "a.zarr", chunk=1, executor=client)
    assert len(warned) == 1 and warned[0].filename == __file__


def test_the_command_line_on_a_cluster(client, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    text = """
    store = "a.zarr"
    chunk = 2
    model = { loss = "cosine", noise = [0.0, 0.1] }
    run = { s0 = [0.1, 0.5], steps = 3, learning_rate = 0.1 }
    grid = { weight_decay = { from = 0.0, to = 0.1, points = 6 } }
    """
    Path("sweep.toml").write_text(text, encoding="utf-8")
    done = CliRunner().invoke(cli.main, ["sweep", "sweep.toml", "--scheduler", client.scheduler.address])
    assert done.exit_code == 0 and "progress:  complete" in done.output, done.output
    output = CliRunner().invoke(cli.main, ["sweep", "sweep.toml"]).output
    assert output == done.output
    given = {"s0": [0.1, 0.5], "steps": 3, "learning_rate": 0.1}
    dyn.sweep(COSINE, {"weight_decay": np.linspace(0, 0.1, 6)}, store=tmp_path / "b.zarr", chunk=2, **given)
    assert files(tmp_path / "a.zarr") == files(tmp_path / "b.zarr")
