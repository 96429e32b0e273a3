"""Trajectories: printed, saved and loaded, written as text; damaged and foreign files are refused."""

import json
import pickle
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import psutil
import pytest

import dynamics as dyn
from dynamics.results.entries import ENTRIES as ARRAYS
from tests.full_disk import full_disk
from tests.results.makers import ALPHAS, made

PLAIN = ("kind", "method", "status", "error", "settings")


# --- printed --------------------------------------------------------------------------------------------------------


def test_print_fits_one_screen(result):
    lines = str(result).splitlines()
    assert 3 < len(lines) < 25 and max(map(len, lines)) <= 120
    text = " ".join(str(result).split())
    assert text.endswith(f" status {result.status}") and f" method {result.method}" in text
    modes, times = result.s.shape[-1], len(result.t)
    assert f"{modes} mode{'s' * (modes != 1)}, {times} time{'s' * (times != 1)}" in str(result)


def test_repr_is_one_line(result):
    assert "\n" not in repr(result) and str(result.s.shape) in repr(result)


@pytest.mark.parametrize("name", ["ensemble", "networks"])
def test_an_ensemble_is_printed_as_its_members_and_modes(name):
    """Also if a matrix was meant, such as representations without negative entries."""
    result = made(name)
    members, modes = " x ".join(map(str, result.s.shape[:-2])), result.s.shape[-1]
    for text in (repr(result), str(result)):
        assert f"ensemble of {members} members of {modes} modes" in text


def test_print_states_times_eigenvalues_and_settings():
    text = " ".join(str(made("descent")).split())
    for part in (
        "Descent map of Model(loss='cosine', isotropic=True)",
        "t 0 ... 0.4",
        "step 0 ... 4",
        "0.1 ... 0.5",
    ):
        assert part in text


def test_print_states_from_which_step_a_prediction_is_unreliable():
    predicted = replace(made("descent"), reliable=np.array([True, False, False]))
    assert "batch size prediction of s unreliable from step 2 on" in " ".join(str(predicted).split())
    assert "unreliable" not in str(replace(predicted, reliable=np.ones(3, bool)))


# --- numbers that are not finite --------------------------------------------------------------------------------------


def with_value(name, value, where):
    trajectory = made("ensemble" if len(where) > 2 else "flow")
    values = getattr(trajectory, name).copy()
    values[where] = value
    return replace(trajectory, **{name: values})


@pytest.mark.parametrize("name", ["s", "target", "predictor"])
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_status_states_where_values_are_not_finite(name, value):
    assert made("flow").complete
    broken = with_value(name, value, (1, 0))
    assert broken.status == f"not finite: {name} leaves the range of double precision, first at t = 1"
    assert not broken.complete
    member = with_value(name, value, (2, 1, 1, 0))
    assert member.status.endswith("first at t = 1 in 1 of 6 members")


def test_members_that_diverge_may_be_infinite_afterwards():
    flow = dyn.solve(dyn.Model("euclidean", stop_gradient="online"), [[0.5], [2.0]], [0, 0.1, 9])
    assert np.isinf(flow.s[1, 2]).all() and flow.status.startswith("eigenvalues diverge at")
    assert replace(flow, status="complete").complete


def test_print_states_values_that_were_not_computed():
    assert "0.1 ... 0.9, and 1 not computed" in str(with_value("s", np.nan, (0, 0, 0, 1)))


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


@pytest.mark.parametrize("name", ["run.npz", "run.nc"])
def test_saved_and_loaded_is_the_same(name, result, tmp_path):
    loaded = dyn.load(result.save(tmp_path / name))
    assert loaded == result
    assert_same(result, loaded)
    np.testing.assert_array_equal(result.predictor, loaded.predictor)
    assert loaded.complete == result.complete


def test_a_loaded_model_gives_the_same_flow(tmp_path):
    first = made("ensemble")
    loaded = dyn.load(first.save(tmp_path / "run.npz"))
    again = dyn.solve(loaded.model, loaded.s[..., 0, :], loaded.t)
    np.testing.assert_array_equal(again.s, first.s)


@pytest.mark.parametrize(
    ("name", "written"),
    [("run.npz", "run.npz"), ("run.NPZ", "run.NPZ"), ("run", "run.npz"), ("rate0.1", "rate0.1.npz"), ("a.nc", "a.nc")],
)
@pytest.mark.parametrize("kind", [str, Path])
def test_a_missing_suffix_is_added(name, written, kind, tmp_path):
    flow = made("exact flow")
    path = flow.save(kind(tmp_path / name))
    assert path == tmp_path / written and [p.name for p in tmp_path.iterdir()] == [written]
    assert_same(flow, dyn.load(kind(path)))


@pytest.mark.parametrize("name", ["run.h5", "run.v2", "run.nc4", "run.png", "run.npz.gz"])
def test_an_unknown_suffix_is_refused(name, tmp_path):
    with pytest.raises(dyn.ArgumentError, match=r"`path` must end in one of \.npz .*, \.nc .*, \.csv .*, but is"):
        made("exact flow").save(tmp_path / name)
    assert list(tmp_path.iterdir()) == []


def test_a_table_of_eigenvalues_is_written_but_not_read(tmp_path):
    written = made("networks").save(tmp_path / "run.csv").read_text()
    assert written == made("networks").to_csv(tmp_path / "other").read_text()
    with pytest.raises(dyn.ArgumentError, match=r"not an npz or nc file, such as a \.csv file"):
        dyn.load(tmp_path / "run.csv")


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


def nested(levels):
    """A table in tables."""
    table = {}
    for _ in range(levels):
        table = {"in": table}
    return table


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

# case: (change of a file that holds a descent map of 3 times and 2 modes, what the message states)
ENTRIES_AT_FAULT = {
    "complex s": ({"s": np.ones((3, 2), complex)}, "an entry `s` of type complex128"),
    "s as text": ({"s": np.full((3, 2), "a")}, "an entry `s` of type <U1"),
    "s of no modes": ({"s": np.ones((3, 0))}, "an entry `s` of shape (3, 0), which must be (..., T, M)"),
    "s without times": ({"s": np.ones(2)}, "an entry `s` of shape (2,), which must be (..., T, M)"),
    "t with two axes": ({"t": np.ones((3, 1))}, "an entry `t` of shape (3, 1), which must be (T,)"),
    "t descending": ({"t": np.array([0.0, 0.4, 0.2])}, "an entry `t` that is not ascending"),
    "t negative": ({"t": np.array([-1.0, 0.2, 0.4])}, "an entry `t` that is not ascending, finite and non-negative"),
    "t nan": ({"t": np.array([0.0, np.nan, 0.4])}, "an entry `t` that is not ascending, finite and non-negative"),
    "step fractional": ({"step": np.array([0.0, 2.0, 4.0])}, "an entry `step` of type float64"),
    "step descending": ({"step": np.array([4, 2, 0])}, "an entry `step` that is not ascending"),
    "target of other modes": ({"target": np.ones((3, 3))}, "an entry `target` of shape (3, 3)"),
    "predictor of one time": ({"predictor": np.ones((1, 2))}, "an entry `predictor` of shape (1, 2)"),
    "blow-up times": ({"blow_up_time": np.ones(3)}, "an entry `blow_up_time` of shape (3,)"),
    "deviation": ({"deviation": np.ones(2)}, "an entry `deviation` of shape (2,)"),
    "weights": ({"weights": np.ones((3, 4, 5))}, "an entry `weights` of shape (3, 4, 5)"),
    "predictor weights": ({"predictor_weights": np.ones((3, 2, 3))}, "an entry `predictor_weights` of shape (3, 2, 3)"),
    "embeddings": ({"embeddings": np.ones((3, 2, 5))}, "an entry `embeddings` of shape (3, 2, 5)"),
    "a measure": ({"measures.rank": np.ones((2, 3))}, "an entry `measures.rank` of shape (2, 3)"),
    "a measure of text": ({"measures.rank": np.full(3, "a")}, "an entry `measures.rank` of type <U1"),
    "an array of another name": ({"weather": np.ones(3)}, "an unknown entry `weather`"),
    "JSON of many levels": ({"about": np.array("[" * 10**5)}, "too many levels in the description"),
    "settings of many levels": ({"settings": nested(100)}, "an entry `settings` of more than 20 levels"),
    "settings a list": ({"settings": [1]}, "an entry `settings` that is [1]"),
    "settings without learning rate": ({"settings": {}}, "an entry `settings` whose `learning_rate` is None"),
    "status a number": ({"status": 3}, "an entry `status` that is 3"),
    "error text": ({"error": "small"}, "an entry `error` that is 'small'"),
    "kind a list": ({"kind": ["flow"]}, "kind"),
    "model of many levels": ({"model": {"loss": "cosine", "weight_decay": nested(300)}}, "weight_decay"),
}


@pytest.mark.parametrize("case", ENTRIES_AT_FAULT)
def test_an_entry_that_would_fail_later_is_refused_by_name(case, tmp_path):
    changes, message = ENTRIES_AT_FAULT[case]
    arrays = {name: value for name, value in changes.items() if isinstance(value, np.ndarray)}
    rewritten(tmp_path / "run.npz", {name: changes[name] for name in changes.keys() - arrays.keys()}, **arrays)
    with pytest.raises(dyn.ArgumentError) as raised:
        dyn.load(tmp_path / "run.npz")
    assert f"{tmp_path / 'run.npz'} does not contain a valid trajectory" in str(raised.value) and message in str(
        raised.value
    )


@pytest.mark.parametrize(("write", "name"), [("save", "run.npz"), ("save", "run.nc"), ("to_csv", "run.npz")])
def test_a_full_disk_leaves_the_old_file(write, name, tmp_path):
    path = tmp_path / name
    getattr(made("exact flow"), write)(path)
    before = path.read_bytes()
    with full_disk(100), pytest.raises(OSError, match="File too large"):
        getattr(made("ensemble"), write)(path)
    assert path.read_bytes() == before and list(tmp_path.iterdir()) == [path]


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
    with pytest.raises(dyn.ArgumentError, match=r"pickled objects, which are never loaded|not an npz or nc file"):
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
