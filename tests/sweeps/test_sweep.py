"""Sweeps give what one call gives, and go on after whatever stops them."""

import functools
import os
import re
import signal
import subprocess
import sys
import time
import warnings
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

import dynamics as dyn
from dynamics.sweeps import block, store
from tests.marks import parametrize
from tests.sweeps.models import (
    COSINE,
    DECAYS,
    DESCENT,
    EUCLIDEAN,
    FLOW,
    GRID,
    S0,
    SIGMAS,
    W0,
    broadcast,
    calls,
    failing,
    files,
    logged,
    pressing,
    table,
)

# The closure's tolerance: how many nodes a block needs, and so the error within it, depends on what is in the block.
CLOSURE = 1e-8


@pytest.mark.parametrize("chunk", [1, 4, 1000])
@pytest.mark.parametrize("model", [EUCLIDEAN, COSINE], ids=["euclidean", "cosine"])
def test_a_sweep_equals_one_call_of_iterate(model, chunk, tmp_path):
    dataset = dyn.sweep(model, GRID, store=tmp_path / "a.zarr", chunk=chunk, record=4, **DESCENT)
    direct = dyn.iterate(broadcast(model, GRID), record=4, **DESCENT)
    rtol = CLOSURE if model is COSINE else 0
    np.testing.assert_allclose(dataset.s, direct.s, rtol=rtol)
    np.testing.assert_array_equal(dataset.blow_up_time, direct.blow_up_time)
    assert dataset.s.dims == ("weight_decay", "sigma2", "step", "mode") and (dataset.status == 1).all()
    assert dataset.step.values.tolist() == direct.step.tolist() == [0, 4, 6]
    np.testing.assert_array_equal(dataset.time, direct.t)
    np.testing.assert_array_equal(dataset.weight_decay, DECAYS)
    np.testing.assert_array_equal(dataset.sigma2, SIGMAS)
    assert set(dataset.data_vars) == {"s", "blow_up_time", "status"}
    assert dataset.attrs["progress"] == "complete" and dataset.title.startswith("descent map over weight decay, σ₂: ")


@parametrize("method", ["auto", "scipy", "jax"], quick=["auto", "scipy"])
def test_a_sweep_equals_one_call_of_solve(method, tmp_path):
    dataset = dyn.sweep(EUCLIDEAN, GRID, store=tmp_path / "a.zarr", chunk=4, method=method, **FLOW)
    direct = dyn.solve(broadcast(EUCLIDEAN, GRID), method=method, **FLOW)
    np.testing.assert_allclose(dataset.s, direct.s, rtol=1e-8 if method == "jax" else 0)  # compiled apart: the rtol
    assert dataset.s.dims == ("weight_decay", "sigma2", "time", "mode")
    assert dataset.time.values.tolist() == FLOW["times"]


def test_all_blocks_use_the_method_of_the_whole_grid(tmp_path, monkeypatch):
    """Blocks without weight decay have an exact solution, and small grids are not compiled."""
    used, solve = [], block.CALLS["solve"]

    @functools.wraps(solve)
    def noted(*arguments, method, **options):
        used.append(method)
        return solve(*arguments, method=method, **options)

    monkeypatch.setitem(block.CALLS, "solve", noted)
    compiled = "heyoka" if find_spec("heyoka") else "jax"
    many = np.linspace(0, 0.1, 64)
    for name, decays, method in (("a", [0.0], "exact"), ("b", DECAYS, "scipy"), ("c", many, compiled)):
        dyn.sweep(EUCLIDEAN, {"weight_decay": decays}, store=tmp_path / name, chunk=16, **FLOW)
        assert set(used) == {method}, used
        used.clear()


def test_seeds_equal_one_call_of_train(tmp_path):
    grid = {"sigma2": SIGMAS[:2], "seed": [3, 1, 2]}
    given = {"W0": W0, "steps": 3, "learning_rate": 0.1, "batch_size": 20, "record": [2]}
    dataset = dyn.sweep(COSINE, grid, store=tmp_path / "a.zarr", chunk=2, **given)
    for i, sigma in enumerate(grid["sigma2"]):
        direct = dyn.train(COSINE.replace(sigma2=sigma), seed=grid["seed"], **given)
        # Blocks of another number of seeds are compiled apart: rounding of single precision in three steps.
        np.testing.assert_allclose(dataset.s[i], direct.s, rtol=1e-5)
    assert dataset.s.dims == ("sigma2", "seed", "step", "mode") and dataset.step.values.tolist() == [0, 2, 3]
    assert dataset.seed.dtype == int and dataset.seed.values.tolist() == [3, 1, 2]


def test_a_network_without_an_axis_of_seeds_equals_train(tmp_path):
    given = {"W0": W0, "steps": 3, "batch_size": 20, "seed": 5}
    dataset = dyn.sweep(COSINE, {"learning_rate": [0.1, 0.2]}, store=tmp_path / "a.zarr", **given)
    for i, eta in enumerate([0.1, 0.2]):
        np.testing.assert_array_equal(dataset.s[i], dyn.train(COSINE, learning_rate=eta, **given).s)


def test_a_missing_device_is_refused_where_the_block_is_computed(tmp_path):
    """It is theirs to refuse, when the block gets there; here, where no device is missing but this one."""
    given = {"W0": W0, "steps": 1, "learning_rate": 0.1, "batch_size": 5, "device": "tpu"}
    with pytest.raises(
        dyn.SweepError, match=r"Argument `device` must be a kind of device that this machine has .*, but"
    ):
        dyn.sweep(COSINE, {"seed": [1]}, store=tmp_path / "a.zarr", **given)


def test_an_axis_of_learning_rates_equals_separate_calls(tmp_path):
    grid, given = {"learning_rate": [0.1, 0.3], **GRID}, {"s0": S0, "steps": 4}
    dataset = dyn.sweep(EUCLIDEAN, grid, store=tmp_path / "a.zarr", chunk=7, **given)
    for i, eta in enumerate(grid["learning_rate"]):
        direct = dyn.iterate(broadcast(EUCLIDEAN, GRID), learning_rate=eta, **given)
        np.testing.assert_array_equal(dataset.s[i], direct.s)
        np.testing.assert_array_equal(dataset.time[i], direct.t)
    assert dataset.time.dims == ("learning_rate", "step")


def test_schedules_and_momentum_are_those_of_iterate(tmp_path):
    given = {"s0": S0, "steps": 4, "momentum": dyn.Momentum(0.9, nesterov=True)}
    scheduled = {"schedules": {"decay": lambda step: 0.9 + 0.02 * step}, "learning_rate": lambda step: 0.1 / (1 + step)}
    model = dyn.Model("euclidean", target=dyn.EMA(0.5))
    dataset = dyn.sweep(model, GRID, store=tmp_path / "a.zarr", chunk=7, **given, **scheduled)
    direct = dyn.iterate(broadcast(model, GRID), **given, **scheduled)
    np.testing.assert_array_equal(dataset.s, direct.s)
    np.testing.assert_array_equal(dataset.time, direct.t)
    again = scheduled | {"learning_rate": (0.1 / (1 + np.arange(4))).tolist()}
    kept = dyn.sweep(model, GRID, store=tmp_path / "a.zarr", chunk=7, **given, **again)  # the same sweep, by its values
    np.testing.assert_array_equal(kept.s, direct.s)


def test_schedules_and_momentum_are_those_of_train(tmp_path):
    given = {"W0": np.eye(2, 3) / 2, "steps": 3, "batch_size": 5, "momentum": 0.5, "learning_rate": [0.1, 0.2, 0.1]}
    dataset = dyn.sweep(EUCLIDEAN, {"seed": [1, 2]}, store=tmp_path / "a.zarr", **given)
    np.testing.assert_array_equal(dataset.s, dyn.train(EUCLIDEAN, seed=[1, 2], **given).s)
    np.testing.assert_allclose(dataset.time, [0.0, 0.1, 0.3, 0.4])


def test_an_axis_of_learning_rates_of_a_flow_equals_separate_calls(tmp_path):
    """A model in which something decays per step has one."""
    model, grid = dyn.Model("euclidean", target=dyn.EMA(0.5)), {"decay": [0.5, 0.9], "learning_rate": [0.1, 0.2]}
    dataset = dyn.sweep(model, grid, store=tmp_path / "a.zarr", **FLOW)
    for i, eta in enumerate(grid["learning_rate"]):
        direct = dyn.solve(model.replace(decay=grid["decay"]), learning_rate=eta, **FLOW)
        np.testing.assert_array_equal(dataset.s[:, i], direct.s)
        np.testing.assert_array_equal(dataset.target[:, i], direct.target)


def test_an_axis_of_starts_equals_an_ensemble(tmp_path):
    starts = np.array([S0, [0.2, 0.0, 0.3], [1.0, 2.0, 3.0], [0.0, 0.1, 0.0]])
    grid, given = {"sigma1": SIGMAS, "s0": starts}, {"steps": 4, "learning_rate": 0.1}
    dataset = dyn.sweep(EUCLIDEAN, grid, store=tmp_path / "a.zarr", chunk=4, **given)
    direct = dyn.iterate(EUCLIDEAN.replace(sigma1=SIGMAS[:, None]), starts, **given)
    np.testing.assert_array_equal(dataset.s, direct.s)
    np.testing.assert_array_equal(dataset.start, starts)
    assert dataset.start.dims == ("s0", "mode") and dataset.s0.values.tolist() == [0, 1, 2, 3]


def test_an_axis_of_weights_equals_an_ensemble(tmp_path):
    """A model with correlated inputs starts from weights."""
    model, starts = dyn.Model("euclidean", inputs=np.diag([1, 0.5, 0.1])), np.stack([W0, 2 * W0])
    grid, given = {"s0": starts, "weight_decay": DECAYS}, {"steps": 3, "learning_rate": 0.1}
    dataset = dyn.sweep(model, grid, store=tmp_path / "a.zarr", chunk=3, **given)
    direct = dyn.iterate(model.replace(weight_decay=DECAYS), starts[:, None], **given)
    np.testing.assert_array_equal(dataset.s, direct.s)
    assert dataset.start.dims == ("s0", "mode", "input")


def test_a_learned_predictor_and_target_are_stored(tmp_path):
    """``init`` goes along an axis of the grid, not along the modes; what does not follow from s is kept."""
    model = dyn.Model("euclidean", predictor=dyn.Learned(), target=dyn.EMA(0.9))
    grid = {"init": [0.5, 1.0, 2.0], "rate": [1.0, 3.0]}
    dataset = dyn.sweep(model, grid, store=tmp_path / "a.zarr", chunk=6, **DESCENT)
    direct = dyn.iterate(model.replace(init=np.reshape(grid["init"], (3, 1, 1)), rate=grid["rate"]), **DESCENT)
    for name in ("s", "target", "predictor"):
        np.testing.assert_array_equal(dataset[name], getattr(direct, name))


def test_keep_names_the_arrays_that_are_stored(tmp_path):
    dataset = dyn.sweep(EUCLIDEAN, GRID, store=tmp_path / "a.zarr", keep=["predictor"], **DESCENT)
    assert set(dataset.data_vars) == {"predictor", "status"}
    np.testing.assert_array_equal(dataset.predictor, dyn.iterate(broadcast(EUCLIDEAN, GRID), **DESCENT).predictor)


@pytest.mark.parametrize("chunk", [1, 4])
def test_tracking_from_zero_on_is_swept_by_the_descent_map_but_not_by_the_flow(chunk, tmp_path):
    """The descent map knows averages of no memory; a flow does not, whatever block they are in."""
    grid = {"tracking": [0.0, 0.5, 0.9]}
    dataset = dyn.sweep(EUCLIDEAN, grid, store=tmp_path / "a.zarr", chunk=chunk, **DESCENT)
    direct = dyn.iterate(EUCLIDEAN.replace(**grid), **DESCENT)
    np.testing.assert_array_equal(dataset.s, direct.s)
    np.testing.assert_allclose(dataset.predictor, direct.predictor, rtol=1e-15)  # of s0, or of the square of its root
    with pytest.raises(
        dyn.ArgumentError,
        match=r"`tracking` must be zero at all grid points or nonzero at all grid points.* is \[0. , 0.5, 0.9\]",
    ):
        dyn.sweep(EUCLIDEAN, grid, store=tmp_path / "b.zarr", chunk=chunk, learning_rate=0.1, **FLOW)


# --- what stops a sweep -----------------------------------------------------------------------------------------------


KILLED = """
import sys
sys.path.insert(0, {root!r})
import dynamics as dyn
from tests.sweeps.models import logged
dyn.sweep(logged, {{"x": range(12)}}, store={store!r}, chunk=2, log={log!r}, until=7)
"""


def test_a_killed_sweep_continues_where_it_stopped(tmp_path, monkeypatch):
    """No finished block is computed again; the store equals the store of a sweep that was not interrupted."""
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
    dataset = dyn.sweep(logged, {"x": range(12)}, store=path, chunk=2, log=log, until=7)
    assert calls(log) == list(range(6, 12)) and dataset.square.values.tolist() == [x**2 for x in range(12)]
    dyn.sweep(logged, {"x": range(12)}, store=tmp_path / "log2", chunk=2, log=log, until=7)
    assert files(path) == files(tmp_path / "log2")


def test_a_complete_sweep_computes_nothing(tmp_path):
    log = tmp_path / "log"
    for _ in range(2):
        dataset = dyn.sweep(logged, {"x": range(4)}, store=tmp_path / "a.zarr", log=str(log))
    assert calls(log) == [0, 1, 2, 3] and dataset.square.values.tolist() == [0, 1, 4, 9]


def test_a_block_that_fails_is_named_and_the_others_are_kept(tmp_path):
    reason = r"Block 3 of 4, x = 4 to 5, failed: ZeroDivisionError: no, at x = 5$"
    with pytest.raises(dyn.SweepError, match=reason) as raised:
        dyn.sweep(failing, {"x": range(8)}, store=tmp_path / "a.zarr", chunk=2, at=5)
    assert isinstance(raised.value.__cause__, ZeroDivisionError)
    with store.locked(tmp_path / "a.zarr"):  # nobody holds it
        half = xr.open_zarr(tmp_path / "a.zarr", chunks=None, consolidated=False)
        assert half.status.values.tolist() == [1, 1, 1, 1, 0, 0, 0, 0]


def test_ctrl_c_returns_what_is_done(tmp_path):
    """And a block that was cut short is none that is done."""
    dataset = dyn.sweep(pressing, {"x": range(8)}, store=tmp_path / "a.zarr", chunk=2, at=5)
    assert dataset.attrs["progress"] == "interrupted after 2 of 4 blocks; the same call resumes the sweep"
    np.testing.assert_array_equal(dataset.square, [0, 1, 4, 9] + [np.nan] * 4)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_ctrl_c_during_a_calculation_stores_no_part_of_the_block(tmp_path, monkeypatch):
    from dynamics.solvers import descent_numpy

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

    monkeypatch.setattr(descent_numpy, "progress_bar", Pressed)
    dataset = dyn.sweep(EUCLIDEAN, GRID, store=tmp_path / "a.zarr", chunk=3, **DESCENT)
    assert dataset.attrs["progress"].startswith("interrupted after 0 of 5 blocks") and (dataset.status == 0).all()
    monkeypatch.undo()
    assert (dyn.sweep(EUCLIDEAN, GRID, store=tmp_path / "a.zarr", chunk=3, **DESCENT).status == 1).all()


# --- warnings, progress -----------------------------------------------------------------------------------------------


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
    assert (
        str(warning.message) == "missed by 1 This tolerance was missed in 3 blocks of the sweep."
        and warning.filename == __file__
    )


def test_progress_shows_rate_and_time_left(tmp_path, capsys):
    def slow(x):
        time.sleep(0.11)  # bars move ten times a second
        return {"a": x}

    dyn.sweep(slow, {"x": range(4)}, store=tmp_path / "a.zarr", chunk=1, progress=True)
    shown = capsys.readouterr().err
    assert re.search(r"sweep:  75%\|.*\| 3/4 points, 00:00<00:00, +\d\.\d+ points/s", shown), shown
    dyn.sweep(slow, {"x": range(4)}, store=tmp_path / "b.zarr", chunk=1, progress=False)
    assert capsys.readouterr().err == ""


def test_progress_of_a_continued_sweep_starts_from_what_is_done(tmp_path, capsys):
    dyn.sweep(table, {"x": range(4), "y": [1.0]}, store=tmp_path / "a.zarr", chunk=1)
    for number in (1, 3):
        (tmp_path / "a.zarr" / "status" / "c" / str(number) / "0").unlink()
    dyn.sweep(table, {"x": range(4), "y": [1.0]}, store=tmp_path / "a.zarr", chunk=1, progress=True)
    assert capsys.readouterr().err.startswith("\rsweep:  50%|")
