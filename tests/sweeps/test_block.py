"""The arrays of a block: of runs that end early, and of functions; warnings of its computation."""

import time
import warnings
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import xarray as xr

import dynamics as dyn
from dynamics.sweeps import block
from tests.sweeps.models import DESCENT, EUCLIDEAN, GRID, SIGMAS, files, table


def test_runs_that_diverge_are_inf_from_there_on(tmp_path):
    grid = {"learning_rate": [0.1, 3.0], "sigma2": [0.1, 0.2]}
    wrong_side = dyn.Model("euclidean", stop_gradient="online")
    dataset = dyn.sweep(wrong_side, grid, store=tmp_path / "a.zarr", s0=[2.0, 3.0], steps=200, chunk=2)
    assert dataset.status.values.tolist() == [[2, 2], [2, 2]] and np.isfinite(dataset.blow_up_time).all()
    gone = dataset.time > dataset.blow_up_time
    assert np.isinf(dataset.s.where(gone, np.inf)).all() and np.isfinite(dataset.s[..., 0, :]).all()
    assert not np.isnan(dataset.s).any()


def test_runs_that_stop_are_nan_from_there_on(tmp_path, monkeypatch):
    from dynamics.vector_field import base as closure

    def stop(self, duration):
        raise FloatingPointError("no more nodes")

    monkeypatch.setattr(closure.VectorField, "accumulate", stop)
    dataset = dyn.sweep(EUCLIDEAN, GRID, store=tmp_path / "a.zarr", **DESCENT)
    assert (dataset.status == 3).all()
    assert np.isnan(dataset.s[:, :, 1:]).all() and np.isfinite(dataset.s[:, :, 0]).all()


def test_single_runs_and_ensembles_diverge_alike(tmp_path):
    """Single runs end where they diverge; ensembles do not."""
    grid = {"learning_rate": [0.1, 3.0]}
    given = {"s0": [2.0, 3.0], "steps": 200}
    wrong_side = dyn.Model("euclidean", stop_gradient="online")
    alone = dyn.sweep(wrong_side, grid, store=tmp_path / "a.zarr", **given)
    together = dyn.sweep(wrong_side, grid | {"sigma1": [0.0]}, store=tmp_path / "b.zarr", **given)
    np.testing.assert_array_equal(alone.s, together.s[:, 0])


def test_a_function_is_called_with_plain_numbers(tmp_path):
    dataset = dyn.sweep(table, {"x": [1, 2, 3], "y": [0.5, 1.0]}, store=tmp_path / "a.zarr", chunk=2, scale=10)
    assert dataset["product"].values.tolist() == [[5, 10], [10, 20], [15, 30]]
    assert dataset.powers.values[2].tolist() == [[3, 9], [3, 9]] and dataset.powers.dims == ("x", "y", "powers_0")
    assert dataset.row.dims == ("x", "y", "column") and dataset.row.values[0, 0].tolist() == [0, 0.5, 1]
    assert (dataset.status == 1).all() and (dataset.n == 1).all()
    kinds = []

    def note(x, y):
        kinds.append((type(x), type(y)))
        return {"a": 0}

    dyn.sweep(note, {"x": [1, 2], "y": [0.5]}, store=tmp_path / "b.zarr")
    assert kinds == [(int, float)] * 2


def test_a_function_may_return_a_trajectory(tmp_path):
    def descend(sigma2):
        return dyn.iterate(EUCLIDEAN.replace(sigma2=sigma2), **DESCENT)

    dataset = dyn.sweep(descend, {"sigma2": SIGMAS}, store=tmp_path / "a.zarr")
    np.testing.assert_array_equal(dataset.s, dyn.iterate(EUCLIDEAN.replace(sigma2=SIGMAS), **DESCENT).s)
    assert dataset.s.dims == ("sigma2", "time", "mode") and dataset.t.dims == ("sigma2", "time")


@pytest.mark.parametrize(
    ("result", "reason"),
    [
        (3.0, "must return a trajectory, or a dict from names to numbers and arrays, but returned 3.0"),
        ({"a": "text"}, "must return numbers and arrays with names, but returned 'a': 'text'"),
        (
            {"a": (("b", "c"), np.zeros(3))},
            "'a' must have a name for each axis, but has the names ('b', 'c') and the shape (3,)",
        ),
        ({"x": 1.0}, "the result 'x' with the axes () must have a name and axes whose names are not used elsewhere"),
        ({"status": 1.0}, "the result 'status' with the axes () must have a name and axes"),
        ({"a": ("x", np.zeros(3))}, "the result 'a' with the axes ('x',) must have a name and axes"),
        (
            {"a": ("b", np.zeros(3)), "c": ("b", np.zeros(2))},
            "the axis 'b' must have the same length in all results, but has the lengths 3 and 2",
        ),
    ],
    ids=str,
)
def test_invalid_results_of_a_function_are_refused(result, reason, tmp_path):
    with pytest.raises(dyn.SweepError) as raised:
        dyn.sweep(lambda x: result, {"x": [1, 2]}, store=tmp_path / "a.zarr")
    assert reason in str(raised.value) and not (tmp_path / "a.zarr").exists()


def test_results_of_other_shapes_are_refused(tmp_path):
    with pytest.raises(dyn.SweepError, match=r"same names and shapes at all points, .*, at x = 2$"):
        dyn.sweep(lambda x: {"a": np.zeros(x)}, {"x": [1, 2]}, store=tmp_path / "a.zarr")
    with pytest.raises(
        dyn.SweepError,
        match="Block 2 of 2, x = 2, failed: ValueError: the array 'a' must have the same axes and type as in the first",
    ):
        dyn.sweep(lambda x: {"a": np.zeros(x)}, {"x": [1, 2]}, store=tmp_path / "a.zarr", chunk=1)
    assert xr.open_zarr(tmp_path / "a.zarr", chunks=None, consolidated=False).status.values.tolist() == [1, 0]


def test_threads_of_one_process_take_turns(tmp_path):
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


def test_other_warnings_are_raised_as_they_are(tmp_path):
    def warning(x):
        warnings.warn("something else", UserWarning, stacklevel=1)
        return {"a": x}

    with pytest.warns(UserWarning, match="something else"):
        dyn.sweep(warning, {"x": [1]}, store=tmp_path / "a.zarr")
    with pytest.raises(dyn.SweepError, match="UserWarning: something else"):  # errors, as these tests have it
        dyn.sweep(warning, {"x": [1]}, store=tmp_path / "b.zarr")


# --- its parts ------------------------------------------------------------------------------------------------------


def test_status_states_how_each_run_ended():
    s = np.ones((4, 3, 2))
    s[1, 2] = np.inf
    s[2, 1:] = np.nan
    s[3, 1], s[3, 2] = np.nan, np.inf  # diverged in one mode, so that nothing is left of the others
    status = block.status_of(s)
    assert [block.STATUS[number] for number in status] == ["complete", "diverged", "stopped", "diverged"]
    assert status.dtype == np.int8


def test_open_axes_broadcast_to_the_block():
    axes = {"sigma1": np.arange(2.0), "init": np.arange(3.0), "s0": np.ones((4, 5))}
    opened = block.open_axes(axes)
    assert {name: values.shape for name, values in opened.items()} == {
        "sigma1": (2, 1, 1),
        "init": (1, 3, 1, 1),  # the last axis is for the modes
        "s0": (1, 1, 4, 5),
    }


def test_trajectories_of_an_ensemble_become_named_arrays():
    run = dyn.iterate(EUCLIDEAN, [[0.1, 0.5], [0.2, 0.3]], 2, 0.1)
    arrays = block.named_arrays(run)
    assert {name: array.dims for name, array in arrays.items()} == {
        "t": ("time",),
        "s": ("s_0", "time", "mode"),
        "blow_up_time": ("s_0",),
    }
    np.testing.assert_array_equal(arrays["s"].values, run.s)
