"""Trajectories as datasets of xarray, as data frames of pandas, and as netCDF files."""

import json
from dataclasses import replace

import numpy as np
import pytest
import xarray as xr
from scipy.io import netcdf_file

import dynamics as dyn
from dynamics.results import netcdf
from tests.results.makers import ALPHAS, made


def test_a_dataset_has_all_arrays_of_a_trajectory(result):
    dataset = result.to_xarray()
    for name in dataset.data_vars:
        np.testing.assert_array_equal(dataset[name], getattr(result, name), strict=True)
    np.testing.assert_array_equal(dataset.time, result.t)
    assert dyn.Model.from_dict(json.loads(dataset.attrs["model"])) == result.model
    assert (dataset.attrs["method"], dataset.attrs["status"]) == (result.method, result.status)
    assert ("weights" in dataset) == (result.weights is not None)
    assert dataset.s.dims[-2:] == ("time" if result.step is None else "step", "mode")


def test_axes_of_an_ensemble_are_those_of_its_parameters():
    dataset = made("ensemble").to_xarray()  # alpha and weight decay vary along the first axis, sigma1 along the second
    assert dataset.s.dims == ("member1", "sigma1", "time", "mode")
    np.testing.assert_array_equal(dataset.alpha, ALPHAS[:, 0])
    assert dataset.alpha.dims == dataset.weight_decay.dims == ("member1",) and dataset.sigma1.dims == ("sigma1",)
    member = dataset.s.sel(sigma1=0.1).isel(member1=2)
    np.testing.assert_array_equal(member, made("ensemble").s[2, 1])
    assert made("networks").to_xarray().seed.values.tolist() == [4, 2]


def test_a_parameter_along_several_axes_is_a_coordinate_of_all():
    alphas = np.array([[0.5, 1.0, 2.0], [0.6, 1.1, 2.1]])
    dataset = dyn.solve(dyn.Model("euclidean", predictor=dyn.ClosedForm(alphas)), [0.1], [0.0, 1.0]).to_xarray()
    assert dataset.s.dims == ("member1", "member2", "time", "mode") and dataset.alpha.dims == ("member1", "member2")
    np.testing.assert_array_equal(dataset.alpha, alphas)


def test_a_parameter_with_the_name_of_an_axis_gets_a_prefix():
    loss = dyn.Loss.parse("|p - sg(z2)|^2 / 2 + mode * |z1|^2", mode=[0.1, 0.2])
    flow = dyn.solve(dyn.Model(loss), [0.1, 0.5, 0.9], [0.0, 1.0])
    assert flow.to_xarray().s.dims == ("parameter_mode", "time", "mode")


def test_a_data_frame_has_one_row_for_each_value(result):
    frame = result.to_dataframe()
    assert len(frame) == result.s.size
    np.testing.assert_array_equal(frame.s, result.s.ravel())
    np.testing.assert_array_equal(frame.predictor, result.predictor.ravel())
    times = np.broadcast_to(result.t[:, None], result.s.shape)
    np.testing.assert_array_equal(frame["time"], times.ravel())
    np.testing.assert_array_equal(frame["mode"], np.broadcast_to(np.arange(result.s.shape[-1]), result.s.shape).ravel())
    if result.step is not None:
        np.testing.assert_array_equal(frame["step"], np.broadcast_to(result.step[:, None], result.s.shape).ravel())


def test_a_data_frame_has_the_parameters_of_each_member():
    frame = made("ensemble").to_dataframe()
    rows = frame[(frame.alpha == 2.0) & (frame.sigma1 == 0.1) & (frame["mode"] == 1)]
    np.testing.assert_array_equal(rows.s, made("ensemble").s[2, 1, :, 1])


# --- netCDF ---------------------------------------------------------------------------------------------------------


def test_xarray_opens_a_saved_file_as_the_dataset(result, tmp_path):
    with xr.open_dataset(result.save(tmp_path / "run.nc"), engine="scipy") as opened:
        xr.testing.assert_equal(opened, result.to_xarray())
        assert set(opened.coords) == set(result.to_xarray().coords)


def with_measures():
    members = made("networks")
    measures = {
        "loss": np.full(members.s.shape[:-1], np.nan, np.float32),
        "alignment": members.s / 2,
        "counts": np.arange(8).reshape(2, 4, 1),
        "s_of_encoder": np.ones((2, 4, 3), np.float16),
        "collapsed": np.zeros((2, 4), bool),
    }
    return replace(members, measures=measures)


def test_measures_are_read_back_with_their_types(tmp_path):
    members = with_measures()
    loaded = dyn.load(members.save(tmp_path / "run.nc"))
    assert loaded == members
    assert {n: a.dtype for n, a in loaded.measures.items()} == {n: a.dtype for n, a in members.measures.items()}
    assert members.to_xarray().alignment.dims == ("seed", "step", "mode")
    assert members.to_xarray().s_of_encoder.dims == ("seed", "step", "s_of_encoder_axis0")


def test_an_array_that_netcdf_cannot_hold_is_refused(tmp_path):
    too_large = replace(made("networks"), measures={"count": np.full((2, 4), 2**40)})
    with pytest.raises(dyn.ArgumentError, match=r"must end in \.npz, because netCDF-3 cannot hold `count` \(int64\)"):
        too_large.save(tmp_path / "run.nc")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("limit", [100, 10**9])
def test_an_array_that_is_too_large_is_refused(limit, tmp_path, monkeypatch):
    monkeypatch.setattr(netcdf, "LARGEST", limit)
    if limit == 100:
        with pytest.raises(dyn.ArgumentError, match="has at most 100 bytes for an array, and `s` has 432"):
            made("ensemble").save(tmp_path / "run.nc")
    else:
        made("ensemble").save(tmp_path / "run.nc")


@pytest.mark.parametrize("name", ["descent", "networks"])
@pytest.mark.parametrize("seed", range(4))
def test_a_damaged_file_is_refused_or_harmless(name, seed, tmp_path):
    """Bytes overwritten, cut off and inserted at random places: an ArgumentError or the same numbers."""
    rng, original = np.random.default_rng(seed), made(name)
    path = original.save(tmp_path / "run.nc")
    whole, refused = path.read_bytes(), 0
    for _ in range(100):
        damaged = bytearray(whole)
        place = int(rng.integers(len(whole)))
        if (kind := rng.integers(4)) < 2:
            damaged[place] ^= int(rng.integers(1, 256))
        elif kind == 2:
            del damaged[place : place + int(rng.integers(1, len(whole)))]
        else:
            damaged[place:place] = rng.bytes(int(rng.integers(1, 9)))
        path.write_bytes(damaged)
        try:
            assert dyn.load(path) == original
        except dyn.ArgumentError as error:
            assert str(path) in str(error)
            refused += 1
    assert refused > 70  # the others are in padding, titles or coordinates, which are not read


def rewritten(path, **changes):
    """The file of a descent map, with other attributes, written by another program."""
    with netcdf_file(made("descent").save(path), "a", mmap=False) as file:
        for name, value in changes.items():
            setattr(file, name, value)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"status": "fine"}, "is damaged"),
        ({"model": '{"loss": "hinge"}'}, "is damaged"),
        ({"checksum": ""}, "is damaged"),
        ({"settings": "["}, "is damaged"),
    ],
)
def test_a_file_with_other_contents_is_refused(changes, message, tmp_path):
    rewritten(tmp_path / "run.nc", **changes)
    with pytest.raises(dyn.ArgumentError, match=message):
        dyn.load(tmp_path / "run.nc")


def test_a_file_written_unchanged_by_another_program_is_loaded(tmp_path):
    rewritten(tmp_path / "run.nc", history="looked at")
    assert dyn.load(tmp_path / "run.nc") == made("descent")


@pytest.mark.parametrize("begin", [b"CDF\x01", b"CDF\x02", b"CDF\x05"])
def test_random_bytes_after_the_first_are_refused(begin, tmp_path):
    rng = np.random.default_rng(0)
    for size in (0, 1, 30, 300):
        (tmp_path / "run.nc").write_bytes(begin + rng.bytes(size))
        with pytest.raises(dyn.ArgumentError):
            dyn.load(tmp_path / "run.nc")
