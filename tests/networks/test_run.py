"""Settings of a run: which steps are recorded, seeds, and the device and precision that it computes with."""

import jax
import numpy as np
import pytest

import dynamics as dyn
from dynamics.networks import loop
from dynamics.networks.run import DTYPES, check_seeds
from dynamics.numerics import progress
from dynamics.numerics.records import record_steps


def a_run(**changes):
    usual = {
        "model": dyn.Model("euclidean"),
        "W0": np.eye(2, 3) / 2,
        "steps": 6,
        "learning_rate": 0.1,
        "batch_size": 20,
    }
    return dyn.train(**usual | changes)


@pytest.mark.parametrize(
    ("record", "steps", "recorded"),
    [
        (1, 3, [0, 1, 2, 3]),
        (4, 6, [0, 4, 6]),
        (99, 6, [0, 6]),
        (np.int64(3), 6, [0, 3, 6]),
        ([5, 1, 5, 0], 6, [0, 1, 5, 6]),
        (np.array([2]), 6, [0, 2, 6]),
        ((), 6, [0, 6]),
        (1, 0, [0]),
    ],
    ids=str,
)
def test_recorded_steps_are_ascending_with_both_ends(record, steps, recorded):
    chosen = np.asarray(record, int) if np.ndim(record) else record
    assert record_steps(chosen, steps).tolist() == recorded


@pytest.mark.parametrize("record", [0, -1, 1.5, True, "all", [7], [-1], [1.0], [[1]]], ids=repr)
def test_steps_that_cannot_be_recorded_are_refused(record):
    with pytest.raises(dyn.ArgumentError, match=r"^Argument `record` must be a whole number"):
        record_steps(record, 6)


@pytest.mark.parametrize(("seed", "seeds"), [(3, [3]), ([2, 2**32 - 1], [2, 2**32 - 1]), (range(2), [0, 1])], ids=str)
def test_seeds_are_a_vector(seed, seeds):
    assert check_seeds(seed).tolist() == seeds


@pytest.mark.parametrize("seed", [-1, 2**32, 0.5, True, "1", [], [[0]], [0, -1]], ids=repr)
def test_other_seeds_are_refused(seed):
    with pytest.raises(dyn.ArgumentError, match=r"^Argument `seed` must be a whole number >= 0"):
        check_seeds(seed)


def test_settings_of_the_run_are_kept():
    settings = {"learning_rate": 0.1, "steps": 6, "batch_size": 20, "dtype": "float32", "units": "linear"}
    assert a_run(seed=3).settings == settings | {"seed": 3}
    assert a_run(seed=[3]).settings == settings | {"seed": [3]}


def test_cpu_can_be_named():
    trained = a_run(device="cpu", dtype="float64")
    assert trained.method.endswith("on cpu")


def test_absent_device_is_named_with_those_present():
    present = {device.platform for device in jax.devices()}
    absent = next(name for name in ("gpu", "tpu") if name not in present)
    with pytest.raises(
        dyn.ArgumentError,
        match=rf"`device` must be a kind of device that this machine has \(.*cpu.*\), but is '{absent}'",
    ):
        a_run(device=absent)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("globally", [False, True], ids=["x32", "x64"])
def test_global_precision_of_jax_stays_as_it_was(dtype, globally, press_ctrl_c):
    with jax.enable_x64(globally):
        assert a_run(dtype=dtype).weights.dtype == dtype
        assert jax.config.jax_enable_x64 is globally
        press_ctrl_c(loop, at_update=2)
        a_run(steps=200, dtype=dtype)
        with pytest.raises(dyn.ArgumentError):
            a_run(dtype=dtype, device="gqu")
        assert jax.config.jax_enable_x64 is globally
    assert jax.config.jax_enable_x64 is False


@pytest.mark.parametrize(
    ("changes", "hint"),
    [
        ({"batch_size": 50_000}, "(faster, with more sampling noise: batch_size=5000)"),
        ({"seed": [0, 1]}, "(faster: fewer seeds)"),
        ({}, "(faster: fewer steps with a larger `learning_rate`)"),
    ],
)
def test_the_bar_of_long_training_says_what_would_be_faster(changes, hint, monkeypatch, capsys):
    monkeypatch.setattr(progress, "HINT_AFTER", -1.0)
    a_run(progress=True, **changes)
    assert hint in capsys.readouterr().err
