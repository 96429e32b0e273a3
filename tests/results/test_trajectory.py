"""Trajectories: printed, saved and loaded, written as text; damaged and foreign files are refused."""

import json
import pickle
import zipfile
from pathlib import Path

import numpy as np
import psutil
import pytest

import dynamics as dyn
from dynamics.results.trajectory import ARRAYS
from tests.results.makers import ALPHAS, made

PLAIN = ("kind", "method", "status", "error", "settings")


# --- printed --------------------------------------------------------------------------------------------------------


def test_print_fits_one_screen(result):
    lines = str(result).splitlines()
    assert 3 < len(lines) < 25 and max(map(len, lines)) <= 120
    assert lines[-1] == f"  status {result.status}"
    assert any(line.startswith(f"  method {result.method}") for line in lines)
    assert f"modes {result.s.shape[-1]}, times {len(result.t)}" in str(result)


def test_repr_is_one_line(result):
    assert "\n" not in repr(result) and str(result.s.shape) in repr(result)


def test_print_states_times_eigenvalues_and_settings():
    text = str(made("descent"))
    for part in (
        "Descent map of Model(loss='cosine', isotropic=True)",
        "t    0 ... 0.4",
        "step 0 ... 4",
        "0.1 ... 0.5",
    ):
        assert part in text


# --- the predictor --------------------------------------------------------------------------------------------------


def test_predictor_is_a_power_of_the_eigenvalues_per_member():
    flow = made("ensemble")
    assert flow.s.shape == flow.predictor.shape == (3, 2, 3, 3)
    expected = [flow.s[i] ** alpha for i, (alpha,) in enumerate(ALPHAS)]
    np.testing.assert_allclose(flow.predictor, expected, rtol=1e-15)  # rounding of one power


@pytest.mark.parametrize("alpha", [0.5, 1.0])
def test_predictor_of_a_single_trajectory(alpha):
    flow = dyn.solve(dyn.Model("euclidean", predictor=dyn.ClosedForm(alpha)), [0.1, 0.5], [0, 1, 2.5])
    np.testing.assert_allclose(flow.predictor, flow.s**alpha, rtol=1e-15)  # rounding of one power


def test_predictor_eigenvalues_are_one_without_a_predictor():
    assert (made("no predictor").predictor == np.ones((2, 2))).all()


# --- save and load --------------------------------------------------------------------------------------------------


def assert_same(a, b):
    for name in ARRAYS:
        one, other = getattr(a, name), getattr(b, name)
        assert (one is None) == (other is None), name
        if one is not None:
            np.testing.assert_array_equal(one, other)
            assert np.asarray(one).dtype == np.asarray(other).dtype
    assert [getattr(a, name) for name in PLAIN] == [getattr(b, name) for name in PLAIN]
    assert type(a.model.predictor) is type(b.model.predictor)
    assert a.model.structure == b.model.structure
    for name in ("loss", "isotropic", "stop_gradient", "symmetrised"):
        assert getattr(a.model, name) == getattr(b.model, name)
    for one, other in zip((*a.model.parameters, a.model.init), (*b.model.parameters, b.model.init), strict=True):
        np.testing.assert_array_equal(one, other)


def test_saved_and_loaded_is_the_same(result, tmp_path):
    loaded = dyn.load(result.save(tmp_path / "run.npz"))
    assert_same(result, loaded)
    np.testing.assert_array_equal(result.predictor, loaded.predictor)
    assert loaded.complete == result.complete


def test_a_loaded_model_gives_the_same_flow(tmp_path):
    first = made("ensemble")
    loaded = dyn.load(first.save(tmp_path / "run.npz"))
    again = dyn.solve(loaded.model, loaded.s[..., 0, :], loaded.t)
    np.testing.assert_array_equal(again.s, first.s)


@pytest.mark.parametrize(
    ("name", "written"), [("run.npz", "run.npz"), ("run.NPZ", "run.NPZ"), ("run", "run.npz"), ("run.v2", "run.v2.npz")]
)
@pytest.mark.parametrize("kind", [str, Path])
def test_a_missing_suffix_is_added(name, written, kind, tmp_path):
    flow = made("exact flow")
    path = flow.save(kind(tmp_path / name))
    assert path == tmp_path / written and [p.name for p in tmp_path.iterdir()] == [written]
    assert_same(flow, dyn.load(kind(path)))


def contents(path):
    with np.load(path) as file:
        return dict(file)


def rewritten(path, changes=None, without=(), **arrays):
    """The file of a descent run, with parts exchanged."""
    parts = contents(made("descent").save(path))
    described = json.loads(str(parts["about"])) | (changes or {})
    parts |= {"about": np.array(json.dumps(described))} | arrays
    np.savez(path, **{name: array for name, array in parts.items() if name not in without})


def truncated(path):
    whole = made("descent").save(path).read_bytes()
    path.write_bytes(whole[: len(whole) // 2])


def single_array(path):
    with path.open("wb") as file:
        np.save(file, np.ones(3))


FOREIGN = {
    "truncated": truncated,
    "empty": lambda path: path.write_bytes(b""),
    "text": lambda path: path.write_text("t,s\n0,1\n"),
    "another archive": lambda path: zipfile.ZipFile(path, "w").close(),
    "other arrays": lambda path: np.savez(path, t=np.ones(3), s=np.ones((3, 2))),
    "a single array": single_array,
    "a folder": lambda path: path.mkdir(),
    "another version": lambda path: rewritten(path, {"format": "ssl-dynamics trajectory 999"}),
    "an unknown loss": lambda path: rewritten(path, {"model": {"loss": "hinge"}}),
    "an unknown entry": lambda path: rewritten(path, {"weather": "fine"}),
    "an unknown kind": lambda path: rewritten(path, {"kind": "guess"}),
    "description no JSON": lambda path: rewritten(path, about=np.array("{")),
    "description a list": lambda path: rewritten(path, about=np.array("[]")),
    "no eigenvalues": lambda path: rewritten(path, without=["s"]),
    "no times": lambda path: rewritten(path, without=["t"]),
    "shapes that do not fit": lambda path: rewritten(path, t=np.ones(7)),
}


def open_files():
    """Return the paths of the files that this process has open."""
    return [file.path for file in psutil.Process().open_files()]


@pytest.mark.parametrize("case", FOREIGN)
def test_foreign_and_damaged_files_are_refused(case, tmp_path):
    path = tmp_path / "run.npz"
    FOREIGN[case](path)
    with pytest.raises(dyn.ArgumentError) as raised:
        dyn.load(path)
    assert "Argument `path` must name a complete file written by Trajectory.save" in str(raised.value)
    assert str(path) in str(raised.value) and "\n" not in str(raised.value)
    assert str(path) not in open_files()


def test_a_file_rewritten_unchanged_is_loaded(tmp_path):
    """Each case above is thus refused for its change alone."""
    rewritten(tmp_path / "run.npz")
    assert_same(dyn.load(tmp_path / "run.npz"), made("descent"))


@pytest.mark.parametrize("seed", range(8))
def test_a_damaged_file_is_refused_or_harmless(seed, tmp_path):
    """Bytes overwritten at random places: an ArgumentError or the same numbers, nothing else."""
    rng = np.random.default_rng(seed)
    original = made("descent")
    whole = original.save(tmp_path / "run.npz").read_bytes()
    refused = 0
    for _ in range(40):
        damaged = bytearray(whole)
        damaged[rng.integers(len(whole))] ^= int(rng.integers(1, 256))
        (tmp_path / "run.npz").write_bytes(damaged)
        try:
            assert_same(dyn.load(tmp_path / "run.npz"), original)
        except dyn.ArgumentError:
            refused += 1
    assert str(tmp_path / "run.npz") not in open_files()
    assert refused > 20  # most bytes carry data


def test_a_missing_file_is_reported():
    with pytest.raises(FileNotFoundError, match=r"No such file: nowhere\.npz"):
        dyn.load("nowhere.npz")


class Trap:
    """Creates a file when it is unpickled."""

    def __init__(self, marker):
        self.marker = marker

    def __reduce__(self):
        return Path.touch, (self.marker,)


def in_archive(path, trap):
    rewritten(path, s=np.array([trap], dtype=object))


def bare(path, trap):
    path.write_bytes(pickle.dumps(trap))


@pytest.mark.parametrize("write", [in_archive, bare])
def test_pickles_are_refused_and_never_executed(write, tmp_path):
    marker = tmp_path / "executed"
    write(tmp_path / "run.npz", Trap(marker))
    with pytest.raises(dyn.ArgumentError, match=r"pickled objects, which are never loaded|not an npz file"):
        dyn.load(tmp_path / "run.npz")
    assert not marker.exists()
    pickle.loads(pickle.dumps(Trap(marker)))  # the trap works
    assert marker.exists()


# --- text ----------------------------------------------------------------------------------------------


def test_csv_holds_the_eigenvalues(result, tmp_path):
    path = result.to_csv(tmp_path / "run.csv")
    names, *rows = (line.split(",") for line in path.read_text().splitlines())
    modes, times, members = result.s.shape[-1], len(result.t), int(np.prod(result.s.shape[:-2]))
    assert names == ["member", "t", "step", *(f"s{m + 1}" for m in range(modes))]
    table = np.array(rows, float).reshape(members, times, 3 + modes)
    steps = np.full(times, np.nan) if result.step is None else result.step
    for i, member in enumerate(result.s.reshape(members, times, modes)):
        np.testing.assert_array_equal(table[i], np.column_stack([np.full(times, i), result.t, steps, member]))
