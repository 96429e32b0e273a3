"""Sweeps: what one call of a rung gives, in blocks, in any process, and across whatever stops them."""

import functools
import os
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
from dynamics import plans, store, sweeps, work
from dynamics.grid import Grid, block_of
from dynamics.quadrature import Adaptive

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
    found = dyn.sweep(model, GRID, store=tmp_path / "a.zarr", chunk=chunk, every=4, **DESCENT)
    direct = dyn.iterate(broadcast(model, GRID), every=4, **DESCENT)
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


def test_axis_of_learning_rates(tmp_path):
    grid, given = {"learning_rate": [0.1, 0.3], **GRID}, {"s0": S0, "steps": 4}
    found = dyn.sweep(EUCLIDEAN, grid, store=tmp_path / "a.zarr", chunk=7, **given)
    for i, eta in enumerate(grid["learning_rate"]):
        direct = dyn.iterate(broadcast(EUCLIDEAN, GRID), learning_rate=eta, **given)
        np.testing.assert_array_equal(found.s[i], direct.s)
        np.testing.assert_array_equal(found.time[i], direct.t)
    assert found.time.dims == ("learning_rate", "step")


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
    found = dyn.sweep(model, grid, store=tmp_path / "a.zarr", chunk=2, **DESCENT)
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
    np.testing.assert_array_equal(found.predictor, direct.predictor)
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
    from dynamics import closure

    def stop(self):
        raise FloatingPointError("no more nodes")

    monkeypatch.setattr(closure.Closure, "relax", stop)
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
    dyn.sweep(EUCLIDEAN, GRID, store=tmp_path / "a.zarr", chunk=1, **DESCENT)
    filters = list(warnings.filters)
    with ThreadPoolExecutor(4) as pool:
        dyn.sweep(EUCLIDEAN, GRID, store=tmp_path / "b.zarr", chunk=1, executor=pool, **DESCENT)
    assert files(tmp_path / "a.zarr") == files(tmp_path / "b.zarr") and warnings.filters == filters


class Slow(Executor):
    """Has done nothing until it is asked for the result of more than it has room for; then, the last of it first."""

    _max_workers = 2

    def __init__(self):
        self.waiting, self.most = [], 0

    def submit(self, function, /, *arguments):
        future = Future()
        self.waiting.append((future, function, arguments))
        self.most = max(self.most, len(self.waiting))
        if len(self.waiting) == sweeps.EACH * self._max_workers:
            self.work()
        return future

    def work(self):
        while self.waiting:
            future, function, arguments = self.waiting.pop()
            future.set_result(function(*arguments))


def test_few_blocks_are_under_way_and_their_order_does_not_matter(tmp_path):
    executor = Slow()
    dyn.sweep(
        EUCLIDEAN, {"sigma1": np.linspace(0.1, 1, 16)}, store=tmp_path / "a.zarr", chunk=1, executor=executor, **DESCENT
    )
    dyn.sweep(EUCLIDEAN, {"sigma1": np.linspace(0.1, 1, 16)}, store=tmp_path / "b.zarr", chunk=1, **DESCENT)
    assert executor.most == 4 and files(tmp_path / "a.zarr") == files(tmp_path / "b.zarr")
