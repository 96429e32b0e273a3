"""Output of commands: JSON, formats on standard output, and one thing only on standard output."""

import io
import json
import warnings

import matplotlib
import numpy as np
import pytest

import dynamics as dyn
from dynamics.cli.output import TRAJECTORY
from tests.cli.calls import ANALYSES, ITERATE, SOLVE, TRAIN, call

matplotlib.use("Agg")
MAGIC = {
    "png": b"\x89PNG",
    "pdf": b"%PDF",
    "svg": b"<?xml",
    "npz": b"PK",
    "nc": b"CDF",
    "csv": b"member,t,step,s1",
    "json": b"{",
}


def solution():
    return dyn.solve(dyn.Model("euclidean"), [0.02, 0.2], [0, 1, 2, 3])


def saved(tmp_path, *command):
    path = tmp_path / f"{command[0]}.npz"
    assert call(*command, "--out", path).exit_code == 0
    return path


# --- JSON -----------------------------------------------------------------------------------------------------------


def test_json_of_a_solution_is_the_result_of_the_function():
    done = call(*SOLVE, "--json")
    assert (done.exit_code, done.stderr) == (0, "")
    assert json.loads(done.stdout) == solution().to_dict()


@pytest.mark.parametrize("command", [ITERATE, TRAIN], ids=lambda command: command[0])
def test_json_of_a_run_has_its_eigenvalues(command, tmp_path):
    done = call(*command, "--json", "--out", tmp_path / "run.npz")
    assert done.stderr == f"written: {tmp_path / 'run.npz'}\n"
    assert json.loads(done.stdout) == dyn.load(tmp_path / "run.npz").to_dict()


def test_json_of_a_comparison(tmp_path):
    theory, network = saved(tmp_path, *ITERATE), saved(tmp_path, *TRAIN)
    done = call("compare", theory, network, "--json")
    assert json.loads(done.stdout) == dyn.compare(dyn.load(theory), dyn.load(network)).to_dict()


def test_json_of_a_check():
    done = call("check", "--s0", "0.2,0.7", "--json")
    assert json.loads(done.stdout) == dyn.check(dyn.Model("euclidean"), [0.2, 0.7]).to_dict()


def test_json_of_a_sweep_describes_the_store(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    text = """
store = "a.zarr"
model = { loss = "euclidean" }
run = { s0 = [0.1, 0.5], times = [0.0, 1.0] }
grid = { weight_decay = [0.0, 0.1, 0.2] }
"""
    done = call("sweep", "-", "--json", input=text)
    assert done.exit_code == 0, done.output
    described = json.loads(done.stdout)
    assert described["dims"] == {"weight_decay": 3, "time": 2, "mode": 2}
    assert described["attrs"]["progress"] == "complete" and (tmp_path / "a.zarr").is_dir()


# --- standard output ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", TRAJECTORY)
def test_a_trajectory_is_written_to_standard_output_in_each_format(form):
    done = call(*SOLVE, "--out", "-", "--format", form)
    assert (done.exit_code, done.stderr) == (0, "")
    content = done.stdout_bytes
    if form == "text":
        assert content.decode() == f"{solution()}\n"
    else:
        assert content.startswith(MAGIC[form])
    if form == "json":
        assert json.loads(content) == solution().to_dict()
    if form == "npz":
        np.testing.assert_array_equal(np.load(io.BytesIO(content))["s"], solution().s)


@pytest.mark.parametrize("form", [form for form in TRAJECTORY if form != "text"])
def test_the_format_may_differ_from_the_suffix(form, tmp_path):
    path = tmp_path / "run.dat"
    assert call(*SOLVE, "--out", path, "--format", form).exit_code == 0
    assert path.read_bytes().startswith(MAGIC[form]) and list(tmp_path.iterdir()) == [path]


def test_text_and_json_are_written_to_files(tmp_path):
    for suffix, expected in ((".txt", str(solution())), (".json", json.dumps(solution().to_dict()))):
        done = call(*SOLVE, "--out", tmp_path / f"run{suffix}")
        assert done.stdout == f"{solution()}\n"
        assert (tmp_path / f"run{suffix}").read_text(encoding="utf-8") == f"{expected}\n"


@pytest.mark.parametrize("command", ["derive", "export"])
def test_texts_are_written_to_standard_output(command):
    assert call(command, "--out", "-").stdout == call(command).stdout != ""


@pytest.mark.parametrize("command", ["collapse", "equilibria", "bifurcation", "phase-diagram", "design"])
def test_analyses_are_drawn(command, tmp_path):
    path = tmp_path / "picture.svg"
    assert call(command, *ANALYSES[command], "--out", path).exit_code == 0
    assert path.read_bytes().startswith(MAGIC["svg"])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--out", "-"], "--out - requires --format, one of text, json, csv, npz, nc, png, pdf, svg."),
        (["--out", "-", "--format", "csv", "--json"], "--json cannot be used with --out -"),
        (["--format", "csv"], "--format can only be used with --out, such as --out -"),
        (["--out", "a.csv", "--format", "xlsx"], "'xlsx' is not one of"),
        (["--out", "a.text"], "--out must end in one of .txt, .json"),
        (["--out", ""], "--out must end in one of .txt, .json"),
    ],
    ids=["no format", "two documents", "no file", "unknown format", "name of a format", "no file name"],
)
def test_options_of_the_output_that_do_not_fit_are_refused(options, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    done = call(*SOLVE, *options)
    assert done.exit_code == 2 and message in done.stderr and not list(tmp_path.iterdir())


def test_binary_data_are_not_printed_on_a_terminal(monkeypatch):
    monkeypatch.setattr("dynamics.cli.output._is_terminal", lambda: True)
    done = call(*SOLVE, "--out", "-", "--format", "npz")
    assert done.exit_code == 2 and "is not for a terminal" in done.stderr
    assert call(*SOLVE, "--out", "-", "--format", "csv").exit_code == 0


# --- plot -----------------------------------------------------------------------------------------------------------


def test_saved_trajectories_are_drawn_in_one_picture(tmp_path, monkeypatch):
    """A flow is drawn first, because it cannot be drawn against steps."""
    drawn, plot = [], dyn.Trajectory.plot

    def recorded(self, ax, quantity, **style):
        drawn.append((self.kind, quantity))
        return plot(self, ax, quantity, **style)

    monkeypatch.setattr(dyn.Trajectory, "plot", recorded)
    weights = ["--modes", "2", "--inputs", "3"]
    paths = [saved(tmp_path, *TRAIN), saved(tmp_path, "solve", *weights, "--end-time", "0.6", "--points", "3")]
    done = call("plot", *paths, "--quantity", "predictor", "--out", tmp_path / "both.png")
    assert (done.exit_code, done.stdout) == (0, "") and drawn == [("flow", "predictor"), ("network", "predictor")]
    assert (tmp_path / "both.png").read_bytes().startswith(MAGIC["png"])


def test_pictures_of_files_are_refused_if_they_cannot_be_drawn(tmp_path):
    path = saved(tmp_path, *SOLVE)
    assert "Missing option '--out'" in call("plot", path).stderr
    assert "--out must end in one of .png, .pdf, .svg" in call("plot", path, "--out", "a.csv").stderr
    wrong = call("plot", path, "--quantity", "speed", "--out", tmp_path / "a.png")
    assert wrong.exit_code == 2 and "--quantity must be one of 's'" in wrong.stderr
    assert "does not exist" in call("plot", "nowhere.npz", "--out", tmp_path / "a.png").stderr


@pytest.mark.parametrize(("text", "lines"), [("3", 3), ("0", 0), ("all", "all")])
def test_members_of_an_ensemble_are_drawn_on_request(text, lines, tmp_path, monkeypatch):
    dyn.solve(dyn.Model("euclidean"), [[0.1], [0.2]], [0.0, 1.0]).save(tmp_path / "two.npz")
    drawn, plot = [], dyn.Trajectory.plot
    monkeypatch.setattr(
        dyn.Trajectory, "plot", lambda self, *values, **named: drawn.append(named) or plot(self, *values, **named)
    )
    assert call("plot", tmp_path / "two.npz", "--lines", text, "--out", tmp_path / "a.png").exit_code == 0
    assert drawn == [{"lines": lines}]
    refused = call("plot", tmp_path / "two.npz", "--lines", "some", "--out", tmp_path / "a.png")
    assert refused.exit_code == 2 and "--lines" in refused.stderr


@pytest.mark.long
def test_an_animation_is_written(tmp_path):
    path = saved(tmp_path, *SOLVE)
    assert call("plot", path, "--out", tmp_path / "growth.gif").exit_code == 0
    assert (tmp_path / "growth.gif").read_bytes().startswith(b"GIF8")


def test_a_sweep_is_drawn_from_its_store(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    text = """
store = "a.zarr"
model = { loss = "euclidean" }
run = { s0 = [0.1, 0.5], times = [0.0, 1.0, 5.0] }
grid = { weight_decay = [0.0, 0.1], sigma1 = [0.0, 0.5] }
"""
    assert call("sweep", "-", input=text).exit_code == 0
    axes = ["--x", "sigma1", "--y", "weight_decay"]
    done = call("plot-sweep", "a.zarr", *axes, "--out", "a.png")
    assert done.exit_code == 0, done.output
    assert (tmp_path / "a.png").read_bytes().startswith(MAGIC["png"])
    unknown = call("plot-sweep", "a.zarr", "--x", "alpha", "--out", "b.png")
    assert unknown.exit_code == 2 and "alpha" in unknown.stderr
    (tmp_path / "empty").mkdir()
    wrong = call("plot-sweep", "empty", "--out", "b.png")
    assert wrong.exit_code == 2 and "STORE must be a folder that `sweep` has written" in wrong.stderr


# --- warnings -------------------------------------------------------------------------------------------------------


@pytest.mark.filterwarnings("default")
def test_warnings_are_one_line_on_standard_error(monkeypatch):
    def rates(model, s):
        warnings.warn("The tolerance is missed.", dyn.AccuracyWarning, stacklevel=1)
        return np.array(s)

    monkeypatch.setattr(dyn, "effective_rates", rates)
    done = call("effective-rates", "--s", "1,2", "--json")
    assert (done.exit_code, json.loads(done.stdout)) == (0, [1, 2])
    assert done.stderr == "Warning: The tolerance is missed.\n"
