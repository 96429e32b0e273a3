"""Sweeps: what one call of a rung gives, in blocks, in any process, and across whatever stops them."""

import functools
import json
import linecache
import os
import re
import shutil
import signal
import subprocess
import sys
import time
import warnings
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

import dynamics as dyn
from dynamics.sweeps import block as work
from dynamics.sweeps import plan as plans
from dynamics.sweeps import store
from dynamics.sweeps import sweep as sweeps
from dynamics.sweeps.grid import Grid, block_of

EUCLIDEAN = dyn.Model("euclidean", noise=(0.1, 0.2))
COSINE = dyn.Model("cosine", noise=(0.0, 0.1))
S0 = [0.1, 0.5, 1.0]
W0 = np.random.default_rng(0).normal(size=(2, 3)) / 2
DECAYS, SIGMAS = np.linspace(0.0, 0.1, 5), np.array([0.1, 0.2, 0.3])
GRID = {"weight_decay": DECAYS, "sigma2": SIGMAS}
DESCENT = {"s0": S0, "steps": 6, "learning_rate": 0.1}
FLOW = {"s0": S0, "times": [0.0, 0.5, 2.0]}
# The closure's tolerance: how many nodes a block needs, and so the error within it, depends on what is in the block.
CLOSURE = 1e-8


def files(path):
    """Everything in a folder, by name."""
    return {p.relative_to(path).as_posix(): p.read_bytes() for p in Path(path).rglob("*") if p.is_file()}


def broadcast(model, grid):
    """The model at all points of a grid of its numbers."""
    return model.replace(**dict(zip(grid, np.meshgrid(*grid.values(), indexing="ij", sparse=True), strict=True)))


# --- what one call gives --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("chunk", [1, 4, 1000])
@pytest.mark.parametrize("model", [EUCLIDEAN, COSINE], ids=["euclidean", "cosine"])
def test_descent_map(model, chunk, tmp_path):
    found = dyn.sweep(model, GRID, store=tmp_path / "a.zarr", chunk=chunk, record=4, **DESCENT)
    direct = dyn.iterate(broadcast(model, GRID), record=4, **DESCENT)
    rtol = CLOSURE if model is COSINE else 0
    np.testing.assert_allclose(found.s, direct.s, rtol=rtol)
    np.testing.assert_array_equal(found.blow_up_time, direct.blow_up_time)
    assert found.s.dims == ("weight_decay", "sigma2", "step", "mode") and (found.status == 1).all()
    assert found.step.values.tolist() == direct.step.tolist() == [0, 4, 6]
    np.testing.assert_array_equal(found.time, direct.t)
    np.testing.assert_array_equal(found.weight_decay, DECAYS)
    np.testing.assert_array_equal(found.sigma2, SIGMAS)
    assert set(found.data_vars) == {"s", "blow_up_time", "status"}
    assert found.attrs["progress"] == "complete" and found.title.startswith("descent map of Model(")


@pytest.mark.parametrize("method", ["auto", "scipy", "jax"])
def test_flow(method, tmp_path):
    found = dyn.sweep(EUCLIDEAN, GRID, store=tmp_path / "a.zarr", chunk=4, method=method, **FLOW)
    direct = dyn.solve(broadcast(EUCLIDEAN, GRID), method=method, **FLOW)
    np.testing.assert_allclose(found.s, direct.s, rtol=1e-8 if method == "jax" else 0)  # compiled apart: the rtol
    assert found.s.dims == ("weight_decay", "sigma2", "time", "mode")
    assert found.time.values.tolist() == FLOW["times"]


def test_one_method_for_all_blocks(tmp_path, monkeypatch):
    """The one that a call for the whole grid takes: blocks without decay have a formula, small ones are not for JAX."""
    used, solve = [], dyn.solve

    @functools.wraps(solve)
    def noted(*given, method, **others):
        used.append(method)
        return solve(*given, method=method, **others)

    monkeypatch.setattr(dyn, "solve", noted)
    for name, decays, method in (("a", [0.0], "exact"), ("b", DECAYS, "scipy"), ("c", np.linspace(0, 0.1, 64), "jax")):
        dyn.sweep(EUCLIDEAN, {"weight_decay": decays}, store=tmp_path / name, chunk=16, **FLOW)
        assert set(used[1:]) == {method}, used
        used.clear()


def test_networks(tmp_path):
    grid = {"sigma2": SIGMAS[:2], "seed": [3, 1, 2]}
    given = {"W0": W0, "steps": 3, "learning_rate": 0.1, "batch_size": 20, "record": [2]}
    found = dyn.sweep(COSINE, grid, store=tmp_path / "a.zarr", chunk=2, **given)
    for i, sigma in enumerate(grid["sigma2"]):
        direct = dyn.train(COSINE.replace(sigma2=sigma), seed=grid["seed"], **given)
        # Blocks of another number of seeds are compiled apart: rounding of single precision in three steps.
        np.testing.assert_allclose(found.s[i], direct.s, rtol=1e-5)
    assert found.s.dims == ("sigma2", "seed", "step", "mode") and found.step.values.tolist() == [0, 2, 3]
    assert found.seed.dtype == int and found.seed.values.tolist() == [3, 1, 2]


def test_a_network_without_seeds(tmp_path):
    given = {"W0": W0, "steps": 3, "batch_size": 20, "seed": 5}
    found = dyn.sweep(COSINE, {"learning_rate": [0.1, 0.2]}, store=tmp_path / "a.zarr", **given)
    for i, eta in enumerate([0.1, 0.2]):
        np.testing.assert_array_equal(found.s[i], dyn.train(COSINE, learning_rate=eta, **given).s)


def test_a_device_that_only_workers_have(tmp_path):
    """It is theirs to refuse, when the block gets there; here, where no device is missing but this one."""
    given = {"W0": W0, "steps": 1, "learning_rate": 0.1, "batch_size": 5, "device": "tpu"}
    with pytest.raises(dyn.SweepError, match="Argument `device` must be present, but is 'tpu'"):
        dyn.sweep(COSINE, {"seed": [1]}, store=tmp_path / "a.zarr", **given)


def test_axis_of_learning_rates(tmp_path):
    grid, given = {"learning_rate": [0.1, 0.3], **GRID}, {"s0": S0, "steps": 4}
    found = dyn.sweep(EUCLIDEAN, grid, store=tmp_path / "a.zarr", chunk=7, **given)
    for i, eta in enumerate(grid["learning_rate"]):
        direct = dyn.iterate(broadcast(EUCLIDEAN, GRID), learning_rate=eta, **given)
        np.testing.assert_array_equal(found.s[i], direct.s)
        np.testing.assert_array_equal(found.time[i], direct.t)
    assert found.time.dims == ("learning_rate", "step")


def test_axis_of_learning_rates_of_a_flow(tmp_path):
    """Of a model in which something decays per step."""
    model, grid = dyn.Model("euclidean", target=dyn.EMA(0.5)), {"decay": [0.5, 0.9], "learning_rate": [0.1, 0.2]}
    found = dyn.sweep(model, grid, store=tmp_path / "a.zarr", **FLOW)
    for i, eta in enumerate(grid["learning_rate"]):
        direct = dyn.solve(model.replace(decay=grid["decay"]), learning_rate=eta, **FLOW)
        np.testing.assert_array_equal(found.s[:, i], direct.s)
        np.testing.assert_array_equal(found.target[:, i], direct.target)


def test_axis_of_starts(tmp_path):
    starts = np.array([S0, [0.2, 0.0, 0.3], [1.0, 2.0, 3.0], [0.0, 0.1, 0.0]])
    grid, given = {"sigma1": SIGMAS, "s0": starts}, {"steps": 4, "learning_rate": 0.1}
    found = dyn.sweep(EUCLIDEAN, grid, store=tmp_path / "a.zarr", chunk=4, **given)
    direct = dyn.iterate(EUCLIDEAN.replace(sigma1=SIGMAS[:, None]), starts, **given)
    np.testing.assert_array_equal(found.s, direct.s)
    np.testing.assert_array_equal(found.start, starts)
    assert found.start.dims == ("s0", "mode") and found.s0.values.tolist() == [0, 1, 2, 3]


def test_weights_as_starts(tmp_path):
    """Of a model with correlated inputs."""
    model, starts = dyn.Model("euclidean", inputs=np.diag([1, 0.5, 0.1])), np.stack([W0, 2 * W0])
    grid, given = {"s0": starts, "weight_decay": DECAYS}, {"steps": 3, "learning_rate": 0.1}
    found = dyn.sweep(model, grid, store=tmp_path / "a.zarr", chunk=3, **given)
    direct = dyn.iterate(model.replace(weight_decay=DECAYS), starts[:, None], **given)
    np.testing.assert_array_equal(found.s, direct.s)
    assert found.start.dims == ("s0", "mode", "input")


def test_predictor_of_its_own(tmp_path):
    """``init`` goes along an axis of the grid, not along the modes; what does not follow from s is kept."""
    model = dyn.Model("euclidean", predictor=dyn.Learned(), target=dyn.EMA(0.9))
    grid = {"init": [0.5, 1.0, 2.0], "rate": [1.0, 3.0]}
    found = dyn.sweep(model, grid, store=tmp_path / "a.zarr", chunk=6, **DESCENT)
    direct = dyn.iterate(
        broadcast(model, {"init": np.zeros(3) + 1, "rate": grid["rate"]}).replace(
            init=np.reshape(grid["init"], (3, 1, 1))
        ),
        **DESCENT,
    )
    for name in ("s", "target", "predictor"):
        np.testing.assert_array_equal(found[name], getattr(direct, name))


def test_keep_says_what_is_kept(tmp_path):
    found = dyn.sweep(EUCLIDEAN, GRID, store=tmp_path / "a.zarr", keep=["predictor"], **DESCENT)
    assert set(found.data_vars) == {"predictor", "status"}
    np.testing.assert_array_equal(found.predictor, dyn.iterate(broadcast(EUCLIDEAN, GRID), **DESCENT).predictor)


@pytest.mark.parametrize("chunk", [1, 4])
def test_tracked_correlation(chunk, tmp_path):
    """The descent map knows averages of no memory; a flow does not, whatever block they are in."""
    grid = {"tracking": [0.0, 0.5, 0.9]}
    found = dyn.sweep(EUCLIDEAN, grid, store=tmp_path / "a.zarr", chunk=chunk, **DESCENT)
    direct = dyn.iterate(EUCLIDEAN.replace(**grid), **DESCENT)
    np.testing.assert_array_equal(found.s, direct.s)
    np.testing.assert_allclose(found.predictor, direct.predictor, rtol=1e-15)  # of s0, or of the square of its root
    with pytest.raises(
        dyn.ArgumentError, match=r"`tracking` must be zero everywhere or nowhere.* is \[0. , 0.5, 0.9\]"
    ):
        dyn.sweep(EUCLIDEAN, grid, store=tmp_path / "b.zarr", chunk=chunk, learning_rate=0.1, **FLOW)


def test_runs_that_diverge_are_inf_from_there_on(tmp_path):
    grid = {"learning_rate": [0.1, 3.0], "sigma2": [0.1, 0.2]}
    wrong_side = dyn.Model("euclidean", stop_gradient="online")
    found = dyn.sweep(wrong_side, grid, store=tmp_path / "a.zarr", s0=[2.0, 3.0], steps=200, chunk=2)
    assert found.status.values.tolist() == [[2, 2], [2, 2]] and np.isfinite(found.blow_up_time).all()
    gone = found.time > found.blow_up_time
    assert np.isinf(found.s.where(gone, np.inf)).all() and np.isfinite(found.s[..., 0, :]).all()
    assert not np.isnan(found.s).any()


def test_runs_that_stop_are_not_a_number_from_there_on(tmp_path, monkeypatch):
    from dynamics.vector_field import base as closure

    def stop(self):
        raise FloatingPointError("no more nodes")

    monkeypatch.setattr(closure.VectorField, "relax", stop)
    found = dyn.sweep(EUCLIDEAN, GRID, store=tmp_path / "a.zarr", **DESCENT)
    assert (found.status == 3).all()
    assert np.isnan(found.s[:, :, 1:]).all() and np.isfinite(found.s[:, :, 0]).all()


def test_a_point_at_a_time_diverges_alike(tmp_path):
    """Single runs end where they diverge; ensembles do not."""
    grid = {"learning_rate": [0.1, 3.0]}
    given = {"s0": [2.0, 3.0], "steps": 200}
    wrong_side = dyn.Model("euclidean", stop_gradient="online")
    alone = dyn.sweep(wrong_side, grid, store=tmp_path / "a.zarr", **given)
    together = dyn.sweep(wrong_side, grid | {"sigma1": [0.0]}, store=tmp_path / "b.zarr", **given)
    np.testing.assert_array_equal(alone.s, together.s[:, 0])


# --- functions ------------------------------------------------------------------------------------------------------


def table(x, y, scale=1.0):
    """Numbers, arrays, and arrays whose axes have names."""
    return {"product": scale * x * y, "powers": np.array([x, x**2]), "row": (("column",), np.arange(3) * y), "n": 1}


def logged(x, log, until=None):
    """Notes that it was called; kills its process at one point."""
    with Path(log).open("a") as file:
        file.write(f"{x}\n")
    if x == until:
        os.kill(os.getpid(), signal.SIGKILL)
    return {"square": x**2}


def calls(log):
    return [int(line) for line in Path(log).read_text().split()]


def test_function_is_called_with_plain_numbers(tmp_path):
    found = dyn.sweep(table, {"x": [1, 2, 3], "y": [0.5, 1.0]}, store=tmp_path / "a.zarr", chunk=2, scale=10)
    assert found["product"].values.tolist() == [[5, 10], [10, 20], [15, 30]]
    assert found.powers.values[2].tolist() == [[3, 9], [3, 9]] and found.powers.dims == ("x", "y", "powers_0")
    assert found.row.dims == ("x", "y", "column") and found.row.values[0, 0].tolist() == [0, 0.5, 1]
    assert (found.status == 1).all() and (found.n == 1).all()
    kinds = []

    def note(x, y):
        kinds.append((type(x), type(y)))
        return {"a": 0}

    dyn.sweep(note, {"x": [1, 2], "y": [0.5]}, store=tmp_path / "b.zarr")
    assert kinds == [(int, float)] * 2


def test_function_may_return_a_trajectory(tmp_path):
    def descend(sigma2):
        return dyn.iterate(EUCLIDEAN.replace(sigma2=sigma2), **DESCENT)

    found = dyn.sweep(descend, {"sigma2": SIGMAS}, store=tmp_path / "a.zarr")
    np.testing.assert_array_equal(found.s, dyn.iterate(EUCLIDEAN.replace(sigma2=SIGMAS), **DESCENT).s)
    assert found.s.dims == ("sigma2", "time", "mode") and found.t.dims == ("sigma2", "time")


@pytest.mark.parametrize(
    ("result", "reason"),
    [
        (3.0, "must return a dict of numbers and arrays by name, or a trajectory, but returned 3.0"),
        ({"a": "text"}, "must return numbers and arrays by name, but 'a' is 'text'"),
        ({"a": (("b", "c"), np.zeros(3))}, "'a' must have a name for each axis, but has ('b', 'c') and the shape (3,)"),
        ({"x": 1.0}, "the name of a result and those of its axes must be new, but are 'x' and ()"),
        ({"status": 1.0}, "must be new, but are 'status'"),
        ({"a": ("x", np.zeros(3))}, "must be new, but are 'a' and ('x',)"),
        ({"a": ("b", np.zeros(3)), "c": ("b", np.zeros(2))}, "axis 'b' must have one length, but has 3 and 2"),
    ],
    ids=str,
)
def test_function_that_returns_something_else(result, reason, tmp_path):
    with pytest.raises(dyn.SweepError) as raised:
        dyn.sweep(lambda x: result, {"x": [1, 2]}, store=tmp_path / "a.zarr")
    assert reason in str(raised.value) and not (tmp_path / "a.zarr").exists()


def test_function_with_results_of_other_shapes(tmp_path):
    with pytest.raises(dyn.SweepError, match=r"same shapes at all points: .*, at x = 2$"):
        dyn.sweep(lambda x: {"a": np.zeros(x)}, {"x": [1, 2]}, store=tmp_path / "a.zarr")
    with pytest.raises(
        dyn.SweepError, match="Block 2 of 2, x = 2, failed: ValueError: 'a' must be as in the first block"
    ):
        dyn.sweep(lambda x: {"a": np.zeros(x)}, {"x": [1, 2]}, store=tmp_path / "a.zarr", chunk=1)
    assert xr.open_zarr(tmp_path / "a.zarr", chunks=None, consolidated=False).status.values.tolist() == [1, 0]


# --- executors ------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def processes():
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as pool:
        yield pool


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


def test_threads_take_turns(tmp_path):
    """Warnings are collected by a setting of the process, which is left as it was."""
    inside, most = [], []

    def alone(x):
        inside.append(x)
        most.append(len(inside))
        time.sleep(0.005)
        inside.remove(x)
        return {"a": x}

    dyn.sweep(alone, {"x": range(12)}, store=tmp_path / "a.zarr", chunk=1)
    filters = list(warnings.filters)
    with ThreadPoolExecutor(4) as pool:
        dyn.sweep(alone, {"x": range(12)}, store=tmp_path / "b.zarr", chunk=1, executor=pool)
    assert files(tmp_path / "a.zarr") == files(tmp_path / "b.zarr")
    assert most == [1] * 24 and warnings.filters == filters


class Slow(Executor):
    """Does nothing until it has as much as it has room for, but the first few at once; then the last of it first."""

    def __init__(self, workers, at_once=0):
        self._max_workers, self.at_once, self.waiting = workers, at_once, []
        self.submitted = self.most = 0

    def submit(self, function, /, *arguments):
        future = Future()
        self.waiting.append((future, function, arguments))
        self.submitted += 1
        self.at_once -= 1
        if self.at_once >= 0 or len(self.waiting) == sweeps.EACH * self._max_workers:
            self.work()
        return future

    def work(self):
        while self.waiting:
            future, function, arguments = self.waiting.pop()
            try:
                future.set_result(function(*arguments))
            except ZeroDivisionError as error:
                future.set_exception(error)


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


def test_executor_that_is_broken(tmp_path):
    pool = ThreadPoolExecutor(1)
    pool.shutdown()
    with pytest.raises(dyn.SweepError, match=r"Block 1 of 5, .* failed: RuntimeError: cannot schedule new futures"):
        dyn.sweep(EUCLIDEAN, GRID, store=tmp_path / "a.zarr", chunk=3, executor=pool, **DESCENT)


# --- blocks ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("shape", "chunk", "first", "block"),
    [
        ((10, 100), 1000, [], (10, 100)),
        ((10, 100), 50, [], (1, 50)),
        ((10, 100), 200, [], (2, 100)),
        ((101,), 100, [], (51,)),
        ((7, 3), 5, [], (1, 3)),
        ((10, 100), 20, [0], (10, 2)),
        ((2, 3, 5), 6, [0, 1], (2, 3, 1)),
        ((1, 1), 1, [], (1, 1)),
    ],
)
def test_blocks_have_about_as_many_points_as_wished(shape, chunk, first, block):
    assert block_of(shape, chunk, first) == block


@pytest.mark.parametrize("block", [(1, 1), (2, 2), (3, 2), (5, 3)])
def test_blocks_are_all_points_once(block):
    grid = Grid(GRID, block)
    seen = np.zeros(grid.shape, int)
    for number in range(len(grid)):
        seen[grid.where(number)] += 1
        assert seen[grid.where(number)].size == grid.points(number) <= np.prod(block)
    assert (seen == 1).all()


# --- what stops a sweep ---------------------------------------------------------------------------------------------

KILLED = """
import sys
sys.path.insert(0, {root!r})
import dynamics as dyn
from tests.sweeps.test_sweep import logged
dyn.sweep(logged, {{"x": range(12)}}, store={store!r}, chunk=2, log={log!r}, until=7)
"""


def test_a_killed_sweep_goes_on_where_it_stopped(tmp_path, monkeypatch):
    """No block that was done is computed again; the store is that of a sweep that was left alone."""
    log, path = str(tmp_path / "log"), tmp_path / "a.zarr"
    code = KILLED.format(root=str(Path(__file__).resolve().parents[2]), store=str(path), log=log)
    done = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert calls(log) == list(range(8))
    half = xr.open_zarr(path, chunks=None, consolidated=False)
    assert half.status.values.tolist() == [1] * 6 + [0] * 6
    np.testing.assert_array_equal(half.square, [0, 1, 4, 9, 16, 25] + [np.nan] * 6)
    (path / "square" / "c" / "3.0123abc.partial").write_bytes(b"half a chu")  # of a write that a kill cut short
    Path(log).write_text("")
    monkeypatch.setattr(os, "kill", lambda *_: None)
    found = dyn.sweep(logged, {"x": range(12)}, store=path, chunk=2, log=log, until=7)
    assert calls(log) == list(range(6, 12)) and found.square.values.tolist() == [x**2 for x in range(12)]
    dyn.sweep(logged, {"x": range(12)}, store=tmp_path / "log2", chunk=2, log=log, until=7)
    assert files(path) == files(tmp_path / "log2")


def test_killed_while_it_was_laid_out(tmp_path):
    """A store is there as a whole or not at all."""
    begun = tmp_path / ".a.zarr.new" / "s" / "c"
    begun.mkdir(parents=True)
    (begun / "left over").write_bytes(b"")
    dyn.sweep(EUCLIDEAN, GRID, store=tmp_path / "a.zarr", **DESCENT)
    assert [p.name for p in tmp_path.iterdir()] == ["a.zarr"] and not list(tmp_path.rglob("left over"))


def test_a_sweep_that_is_done_computes_nothing(tmp_path):
    log = tmp_path / "log"
    for _ in range(2):
        found = dyn.sweep(logged, {"x": range(4)}, store=tmp_path / "a.zarr", log=str(log))
    assert calls(log) == [0, 1, 2, 3] and found.square.values.tolist() == [0, 1, 4, 9]


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


def failing(x, at):
    """Fails at one point."""
    if x == at:
        raise ZeroDivisionError("no")
    return {"square": x**2}


def test_a_block_that_fails_is_named_and_the_others_are_kept(tmp_path):
    reason = r"Block 3 of 4, x = 4 to 5, failed: ZeroDivisionError: no, at x = 5$"
    with pytest.raises(dyn.SweepError, match=reason) as raised:
        dyn.sweep(failing, {"x": range(8)}, store=tmp_path / "a.zarr", chunk=2, at=5)
    assert isinstance(raised.value.__cause__, ZeroDivisionError)
    with store.held(tmp_path / "a.zarr"):  # nobody holds it
        half = xr.open_zarr(tmp_path / "a.zarr", chunks=None, consolidated=False)
        assert half.status.values.tolist() == [1, 1, 1, 1, 0, 0, 0, 0]


def test_blocks_under_way_when_one_fails_are_kept(tmp_path):
    with pytest.raises(dyn.SweepError, match="Block 3 of 20, x = 2, failed"):
        dyn.sweep(failing, {"x": range(20)}, store=tmp_path / "a.zarr", chunk=1, at=2, executor=Slow(4, at_once=1))
    half = xr.open_zarr(tmp_path / "a.zarr", chunks=None, consolidated=False)
    assert half.status.values.tolist() == [1, 1, 0] + [1] * 6 + [0] * 11


def pressing(x, at):
    """Ctrl-C at one point, which the function itself takes for an end of its loop, as the rungs do."""
    try:
        if x == at:
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(10)
    except KeyboardInterrupt:
        return {"square": -1}
    return {"square": x**2}


def test_ctrl_c_returns_what_is_done(tmp_path):
    """And a block that was cut short is none that is done."""
    found = dyn.sweep(pressing, {"x": range(8)}, store=tmp_path / "a.zarr", chunk=2, at=5)
    assert found.attrs["progress"] == "interrupted after 2 of 4 blocks; the same call goes on from there"
    np.testing.assert_array_equal(found.square, [0, 1, 4, 9] + [np.nan] * 4)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_ctrl_c_in_a_rung(tmp_path, monkeypatch):
    from dynamics.solvers import descent

    class Pressed:
        def __init__(self, *_):
            self.left = 3

        def __enter__(self):
            return self

        def __exit__(self, *_):
            return False

        def update(self):
            self.left -= 1
            if not self.left:
                os.kill(os.getpid(), signal.SIGINT)
                time.sleep(10)

    monkeypatch.setattr(descent, "progress_bar", Pressed)
    found = dyn.sweep(EUCLIDEAN, GRID, store=tmp_path / "a.zarr", chunk=3, **DESCENT)
    assert found.attrs["progress"].startswith("interrupted after 0 of 5 blocks") and (found.status == 0).all()
    monkeypatch.undo()
    assert (dyn.sweep(EUCLIDEAN, GRID, store=tmp_path / "a.zarr", chunk=3, **DESCENT).status == 1).all()


def test_ctrl_c_in_a_process(tmp_path, processes):
    found = dyn.sweep(pressing, {"x": range(9)}, store=tmp_path / "a.zarr", chunk=1, at=5, executor=processes)
    assert found.attrs["progress"].startswith("interrupted after ") and found.status.values[5] == 0
    assert found.status.values[0] == 1


# --- warnings, progress ---------------------------------------------------------------------------------------------


def inaccurate(x):
    """Misses a tolerance, and warns of something else."""
    if x % 2:
        warnings.warn(f"missed by {x}", dyn.AccuracyWarning, stacklevel=1)
    return {"a": x}


@pytest.mark.parametrize("where", ["here", "processes"])
def test_accuracy_is_warned_of_once(where, tmp_path, processes):
    executor = None if where == "here" else processes
    with pytest.warns(dyn.AccuracyWarning) as warned:
        dyn.sweep(inaccurate, {"x": range(6)}, store=tmp_path / "a.zarr", chunk=1, executor=executor)
    (warning,) = warned
    assert str(warning.message) == "missed by 1 So it was in 3 blocks of the sweep." and warning.filename == __file__


def test_other_warnings_are_left_alone(tmp_path):
    def warning(x):
        warnings.warn("something else", UserWarning, stacklevel=1)
        return {"a": x}

    with pytest.warns(UserWarning, match="something else"):
        dyn.sweep(warning, {"x": [1]}, store=tmp_path / "a.zarr")
    with pytest.raises(dyn.SweepError, match="UserWarning: something else"):  # errors, as these tests have it
        dyn.sweep(warning, {"x": [1]}, store=tmp_path / "b.zarr")


def test_progress_shows_rate_and_time_left(tmp_path, capsys):
    def slow(x):
        time.sleep(0.11)  # bars move ten times a second
        return {"a": x}

    dyn.sweep(slow, {"x": range(4)}, store=tmp_path / "a.zarr", chunk=1, progress=True)
    shown = capsys.readouterr().err
    assert re.search(r"sweep:  75%\|.*\| 3/4 points, 00:00<00:00, +\d\.\d+ points/s", shown), shown
    dyn.sweep(slow, {"x": range(4)}, store=tmp_path / "b.zarr", chunk=1, progress=False)
    assert capsys.readouterr().err == ""


def test_progress_of_a_sweep_that_goes_on(tmp_path, capsys):
    dyn.sweep(table, {"x": range(4), "y": [1.0]}, store=tmp_path / "a.zarr", chunk=1)
    for number in (1, 3):
        (tmp_path / "a.zarr" / "status" / "c" / str(number) / "0").unlink()
    dyn.sweep(table, {"x": range(4), "y": [1.0]}, store=tmp_path / "a.zarr", chunk=1, progress=True)
    assert capsys.readouterr().err.startswith("\rsweep:  50%|")


# --- refusals -------------------------------------------------------------------------------------------------------


def sweep(what=EUCLIDEAN, grid=GRID, **given):
    usual = DESCENT if isinstance(what, dyn.Model) else {}
    return lambda path: dyn.sweep(what, grid, **({"store": path} | usual | given))


def run(grid=GRID, **given):
    return lambda path: dyn.sweep(EUCLIDEAN, grid, store=path, **given)


NUMBERS = "be a list of different, finite numbers"
NETWORK = {"W0": W0, "steps": 3, "learning_rate": 0.1, "batch_size": 5}

# case: (call, what the message says)
REFUSED = {
    "what": (sweep("euclidean"), "Argument `what` must be a Model or a function, but is 'euclidean'."),
    "ensemble": (sweep(EUCLIDEAN.replace(sigma1=[0.1, 0.2])), "Argument `model` must have plain numbers: arrays"),
    "chunk": (sweep(chunk=0), "Argument `chunk` must be a whole number >= 1, but is 0."),
    "progress": (sweep(progress="yes"), "Argument `progress` must be True, False or None, but is 'yes'."),
    "executor": (sweep(executor=2), "Argument `executor` must be a concurrent.futures.Executor, a Dask Client or None"),
    "store": (sweep(store=""), "Argument `store` must be a path, but is ''."),
    "no folder": (sweep(store="nowhere/a.zarr"), "Argument `store` must lie in an existing folder, but is 'nowhere/"),
    # the grid
    "no axes": (sweep(grid={}), "Argument `grid` must map the name of each axis to its values, but is {}."),
    "list of axes": (sweep(grid=[("sigma1", [1])]), "Argument `grid` must map the name of each axis to its values"),
    "axis without name": (sweep(grid={1: [1]}), "Argument `grid` must have names of arguments for its axes, but is 1."),
    "unknown axis": (sweep(grid={"wieght_decay": [0.1]}), "'wieght_decay'. Did you mean 'weight_decay'?"),
    "number of another model": (sweep(grid={"rate": [0.1]}), "Argument `grid` must be one of 'weight_decay', "),
    **{
        f"number called {name}": (
            sweep(dyn.Model(dyn.Loss.parse(f"{name} * |p - sg(z2)|^2", **{name: 1.0})), {name: [1.0, 2.0]}),
            f"Argument `grid` must go over numbers with names that a sweep leaves free, but is '{name}'.",
        )
        for name in ("s0", "seed", "time", "step", "mode", "status", "target", "closure")
    },
    "empty axis": (sweep(grid={"sigma1": []}), f"Argument `sigma1` must {NUMBERS}, but is []."),
    "axis nan": (sweep(grid={"sigma1": [0.1, np.nan]}), f"Argument `sigma1` must {NUMBERS}, but is [0.1, nan]."),
    "axis of text": (sweep(grid={"sigma1": ["a"]}), f"Argument `sigma1` must {NUMBERS}, but is ['a']."),
    "axis a number": (sweep(grid={"sigma1": 0.1}), f"Argument `sigma1` must {NUMBERS}, but is 0.1."),
    "axis ragged": (sweep(grid={"sigma1": [[1], [1, 2]]}), f"Argument `sigma1` must {NUMBERS}, but is [[1], [1, 2]]."),
    "axis twice the same": (
        sweep(grid={"sigma1": [0.1, 0.1]}),
        f"Argument `sigma1` must {NUMBERS}, but is [0.1, 0.1].",
    ),
    "negative": (sweep(grid={"sigma1": [0.1, -1]}), "Argument `noise` must be two non-negative numbers"),
    "seeds of a map": (sweep(grid={"seed": [1]}), "Argument `grid` must be one of 'weight_decay', 'sigma1', 'sigma2'"),
    "starts of a network": (run({"s0": [S0]}, **NETWORK), "Argument `grid` must be one of"),
    "seed negative": (run({"seed": [1, -1]}, **NETWORK), "Argument `seed` must be a whole number >= 0"),
    "seed twice": (run({"seed": [1]}, seed=1, **NETWORK), "Argument `seed` must be left out where it is an axis"),
    "learning rate zero": (
        run({"learning_rate": [0.1, 0.0]}, s0=S0, steps=1),
        "Argument `learning_rate` must be a positive number, or an array of them, but is [0.1, 0. ].",
    ),
    "learning rate of a flow": (
        run({"learning_rate": [0.1]}, **FLOW),
        "Argument `learning_rate` must be left out: nothing in this model decays per step",
    ),
    "starts negative": (run({"s0": [[0.1], [-1]]}, steps=1, learning_rate=0.1), "Argument `s0` must be eigenvalues"),
    "one start for an axis": (
        run({"s0": S0}, steps=1, learning_rate=0.1),
        "Argument `s0` must be a list of starts; more of them are an axis of the grid, but is [0.1, 0.5, 1. ].",
    ),
    "several starts": (sweep(s0=[S0, S0]), "Argument `s0` must be one start; more of them are an axis of the grid"),
    # the run
    "nothing to run": (run(), "A model must come with `s0` and `times` (solve), "),
    "no start": (
        run(times=[0, 1]),
        "Argument `s0` must be given, or be an axis of the grid, for dyn.solve, but is None.",
    ),
    "no learning rate": (run(s0=S0, steps=3), "Argument `learning_rate` must be given, or be an axis of the grid"),
    "no steps": (run(W0=W0, learning_rate=0.1), "Argument `steps` must be given"),
    "keyword": (sweep(recrod=2), "Argument `keyword` must be one of 's0', 'steps'"),
    "nearest keyword": (sweep(recrod=2), "but is 'recrod'. Did you mean 'record'?"),
    "keyword of another rung": (run(steps=3, **FLOW), "Argument `keyword` must be one of 's0', 'times'"),
    "fluctuations": (sweep(batch_size=3), "but is 'batch_size'."),
    "rest": (run(until="steady", **FLOW), "but is 'until'."),
    "steps": (sweep(steps=-1), "Argument `steps` must be a whole number >= 0, but is -1."),
    "record zero": (sweep(record=0), "Argument `record` must be a whole number >= 1, but is 0."),
    "times": (run(s0=S0, times=[1, 0]), "Argument `times` must be ascending, non-negative times of shape (T,)"),
    "rtol": (sweep(rtol=-1), "Argument `rtol` must be a positive number, but is -1."),
    "method": (run(method="euler", **FLOW), "Argument `method` must be one of 'auto', 'exact', 'scipy', 'jax'"),
    "no formula": (run(method="exact", **FLOW), "Argument `method` must be 'auto', 'scipy' or 'jax' for Model("),
    "record": (run({"seed": [1]}, record=[9], **NETWORK), "Argument `record` must be a whole number, or steps between"),
    "device": (run({"seed": [1]}, device="gqu", **NETWORK), "but is 'gqu'. Did you mean 'gpu'?"),
    "more modes than inputs": (run({"seed": [1]}, **NETWORK | {"W0": W0.T}), "Argument `W0` must be weights of shape"),
    "keep": (sweep(keep=["s", "weights"]), "Argument `keep` must be one of 's', 'target', 'predictor', 'blow_up_time'"),
    "keep nothing": (sweep(keep=[]), "Argument `keep` must list names of arrays, but is []."),
    "keep a blow-up of networks": (run({"seed": [1]}, keep=["blow_up_time"], **NETWORK), "Argument `keep` must be one"),
    # a function
    "keep of a function": (sweep(table, {"x": [1], "y": [1]}, keep=["s"]), "Argument `keep` must be left out for a"),
    "argument of a function": (sweep(table, {"x": [1], "z": [1]}), "Argument `grid` must have axes that table takes: "),
    "axis missing": (sweep(table, {"x": [1]}), "Argument `grid` must have axes that table takes: missing a required "),
    "axis twice": (sweep(table, {"x": [1], "y": [1]}, x=1), "Argument `x` must be left out where it is an axis of the"),
    "axis of rows": (sweep(table, {"x": [[1], [2]], "y": [1]}), f"Argument `x` must {NUMBERS}, but is [[1], [2]]."),
    "argument that is no data": (
        sweep(table, {"x": [1], "y": [1]}, scale=object),
        "Argument `scale` must be made of numbers, text or a Model, so that one sweep can be told from another",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refused_before_any_work(case, tmp_path, monkeypatch):
    call, message = REFUSED[case]
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sweeps, "outcomes", lambda *_: pytest.fail("work was done before the arguments were checked"))
    with pytest.raises(dyn.ArgumentError) as raised:
        call(tmp_path / "a.zarr")
    assert message in str(raised.value) and list(tmp_path.iterdir()) == []


OTHERS = {
    "model": (sweep(EUCLIDEAN.replace(sigma1=0.5)), "model noise ([0.1, 0.1] there, [0.5, 0.1] here)"),
    "loss": (sweep(COSINE.replace(sigma1=0.1)), 'model loss ("euclidean" there, "cosine" here)'),
    "rung": (run(**FLOW), 'call ("iterate" there, "solve" here)'),
    "argument": (sweep(steps=7), "arguments steps (6 there, 7 here)"),
    "default": (sweep(rtol=1e-3), "arguments rtol (1e-09 there, 0.001 here)"),
    "start": (sweep(s0=[0.1, 0.5, 2.0]), "arguments s0 ([0.1, 0.5, 1.0] there, [0.1, 0.5, 2.0] here)"),
    "values": (sweep(grid=GRID | {"sigma2": SIGMAS + 1}), "grid sigma2 ([0.1, 0.2, 0.3] there, [1.1, 1.2, 1.3] here)"),
    "axes": (sweep(grid={"sigma2": SIGMAS}), 'axes (["weight_decay", "sigma2"] there, ["sigma2"] here)'),
    "order of axes": (
        sweep(grid=dict(reversed(GRID.items()))),
        'axes (["weight_decay", "sigma2"] there, ["sigma2", "weight_decay"] here)',
    ),
    "chunk": (sweep(chunk=3), "block ([5, 3] there, [1, 3] here)"),
    "keep": (sweep(keep=["s"]), 'kept (["s", "blow_up_time"] there, ["s"] here)'),
    "function": (sweep(table, {"x": [1], "y": [1]}), 'call ("iterate" there, "tests.sweeps.test_sweep.table" here)'),
}


@pytest.fixture(scope="module")
def small_store(tmp_path_factory):
    path = tmp_path_factory.mktemp("store") / "a.zarr"
    dyn.sweep(EUCLIDEAN, GRID, store=path, **DESCENT)
    return path


@pytest.mark.parametrize("case", OTHERS)
def test_store_of_another_sweep_is_refused(case, small_store):
    call, difference = OTHERS[case]
    before = files(small_store)
    with pytest.raises(dyn.ArgumentError) as raised:
        call(small_store)
    start = f"Argument `store` must name a new path, or the store of this very sweep, but {small_store} is one with"
    assert str(raised.value).startswith(start) and difference in str(raised.value)
    assert files(small_store) == before


def test_values_of_the_model_that_are_axes_do_not_count(small_store):
    before = files(small_store)
    dyn.sweep(EUCLIDEAN.replace(weight_decay=3.0), GRID, store=small_store, **DESCENT)
    assert files(small_store) == before


def test_long_arrays_are_told_apart(tmp_path):
    times = np.linspace(0, 1, 100)
    sweep = functools.partial(dyn.sweep, EUCLIDEAN, GRID, store=tmp_path / "a.zarr", s0=S0)
    sweep(times=times)
    sweep(times=times.tolist())
    with pytest.raises(dyn.ArgumentError, match="another arguments times sha256"):
        sweep(times=np.nextafter(times, 2))


def test_store_of_other_generated_code_is_refused(tmp_path, monkeypatch):
    dyn.sweep(EUCLIDEAN, GRID, store=tmp_path / "a.zarr", **DESCENT)
    dyn.sweep(table, {"x": [1], "y": [1]}, store=tmp_path / "b.zarr")
    changed = tmp_path / "euclidean_stop_target.py"
    changed.write_text("# a sign was wrong")
    monkeypatch.setattr(EUCLIDEAN.generated, "__file__", str(changed))
    with pytest.raises(dyn.ArgumentError, match="is one with another generated code euclidean_stop_target"):
        dyn.sweep(EUCLIDEAN, GRID, store=tmp_path / "a.zarr", **DESCENT)
    monkeypatch.setattr(plans.generated, "__path__", [str(tmp_path)])
    with pytest.raises(dyn.ArgumentError, match="is one with another generated code "):
        dyn.sweep(table, {"x": [1], "y": [1]}, store=tmp_path / "b.zarr")


def test_store_of_another_version_of_a_function_is_refused(tmp_path):
    def version(body):
        path = tmp_path / "version.py"
        path.write_text(f"def f(x):\n    return {body}\n")
        code = compile(path.read_text(), str(path), "exec")
        names = {"__name__": "version"}
        exec(code, names)
        linecache.checkcache(str(path))
        return names["f"]

    dyn.sweep(version('{"a": x}'), {"x": [1]}, store=tmp_path / "a.zarr")
    dyn.sweep(version('{"a": x}'), {"x": [1]}, store=tmp_path / "a.zarr")
    with pytest.raises(dyn.ArgumentError, match="is one with another source "):
        dyn.sweep(version('{"a": x + 1}'), {"x": [1]}, store=tmp_path / "a.zarr")


def test_other_formats_are_refused(tmp_path, monkeypatch):
    dyn.sweep(EUCLIDEAN, GRID, store=tmp_path / "a.zarr", **DESCENT)
    monkeypatch.setattr(plans, "FORMAT", "ssl-dynamics sweep 2")
    with pytest.raises(dyn.ArgumentError, match="is one with another the format 'ssl-dynamics sweep 1'"):
        dyn.sweep(EUCLIDEAN, GRID, store=tmp_path / "a.zarr", **DESCENT)


@pytest.mark.parametrize("kind", ["file", "folder", "zarr"])
def test_what_is_no_store_of_a_sweep_is_never_overwritten(kind, tmp_path):
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


def test_a_sweep_larger_than_the_disk_is_refused(tmp_path, monkeypatch):
    """Each array of a block is a file, of whole sectors: s 5 x 3 points x 7 steps x 3 modes, blow-up time, status."""
    needed = 4096 * (1 + 1 + 1)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(10**9, 0, needed - 1))
    message = f"Argument `store` must lie on a disk with room for the sweep, {needed} bytes before compression, but"
    with pytest.raises(dyn.ArgumentError, match=f"{message} {tmp_path} has {needed - 1} bytes left."):
        dyn.sweep(EUCLIDEAN, GRID, store=tmp_path / "a.zarr", **DESCENT)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(10**9, 0, needed))
    assert (dyn.sweep(EUCLIDEAN, GRID, store=tmp_path / "a.zarr", **DESCENT).status == 1).all()


def test_blocks_that_are_there_need_no_room(tmp_path, monkeypatch):
    dyn.sweep(EUCLIDEAN, GRID, store=tmp_path / "a.zarr", **DESCENT)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(10**9, 0, 0))
    dyn.sweep(EUCLIDEAN, GRID, store=tmp_path / "a.zarr", **DESCENT)


def test_a_block_larger_than_its_compression_takes_is_refused(tmp_path):
    grid = {"sigma1": np.linspace(0.1, 1, 1000), "sigma2": np.linspace(0.1, 1, 1000)}
    with pytest.raises(
        dyn.ArgumentError, match="`chunk` must be so small that an array of a block has at most 21474836"
    ):
        dyn.sweep(EUCLIDEAN, grid, store=tmp_path / "a.zarr", chunk=10**6, s0=S0, steps=100, learning_rate=0.1)
    assert list(tmp_path.iterdir()) == []


def test_two_sweeps_do_not_write_into_one_store(tmp_path):
    def second(x):
        in_use = "`store` must not be in use, but a sweep that is running writes into "
        if x:  # at 0 there is no store
            with pytest.raises(dyn.ArgumentError, match=in_use), store.held(tmp_path / "a.zarr"):
                pass
        return {"a": x}

    assert (dyn.sweep(second, {"x": range(3)}, store=tmp_path / "a.zarr", chunk=1).status == 1).all()


FORKED = """
import os, sys, time
from pathlib import Path
from dynamics.sweeps import store
ready, tell = os.pipe()
with store.held(Path(sys.argv[1])):
    child = os.fork()
    if not child:
        os.write(tell, b"!")
        time.sleep(20)
        os._exit(0)
    os.read(ready, 1)
with store.held(Path(sys.argv[1])):
    os.kill(child, 9)
    print("free")
"""


def test_workers_that_survive_do_not_hold_the_store(tmp_path):
    """A pool of processes that were forked outlives a client that is killed."""
    run = [sys.executable, "-W", "ignore", "-c", FORKED, str(tmp_path)]  # Pythons from 3.12 on warn of forks
    assert subprocess.run(run, capture_output=True, text=True, check=False, timeout=30).stdout == "free\n"


# --- the dataset ----------------------------------------------------------------------------------------------------


def test_dataset_is_one_of_xarray(tmp_path):
    found = dyn.sweep(EUCLIDEAN, GRID, store=tmp_path / "a.zarr", **DESCENT)
    assert isinstance(found, xr.Dataset)
    near = found.s.sel(weight_decay=0.05, sigma2=0.2).isel(step=-1)
    assert near.dims == ("mode",) and near.values.tolist() == found.s.values[2, 1, -1].tolist()
    assert found.status.attrs["flag_meanings"].split() == list(work.STATUS)
    assert list(found.data_vars) == ["s", "blow_up_time", "status"]
    assert found.time.attrs["long_name"] == "time, learning rate x steps"
    assert json.loads(found.attrs["sweep"])["format"] == plans.FORMAT


def test_no_time_of_day_is_in_a_store(tmp_path):
    dyn.sweep(EUCLIDEAN, GRID, store=tmp_path / "a.zarr", **DESCENT)
    time.sleep(1.1)
    dyn.sweep(EUCLIDEAN, GRID, store=tmp_path / "b.zarr", **DESCENT)
    assert files(tmp_path / "a.zarr") == files(tmp_path / "b.zarr")


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


def test_eight_devices_write_the_same_bytes_as_one(tmp_path):
    """Host devices that JAX simulates; blocks of 100 points are 13 groups of 8, for which two rounds are needed."""
    for devices in (8, 1):
        environment = os.environ | {"XLA_FLAGS": f"--xla_force_host_platform_device_count={devices}"}
        script = [sys.executable, "-c", ON_DEVICES, str(tmp_path / f"{devices}.zarr")]
        done = subprocess.run(script, env=environment, capture_output=True, text=True, check=True)
        assert done.stdout.split() == [str(devices)]
    assert files(tmp_path / "8.zarr") == files(tmp_path / "1.zarr")
