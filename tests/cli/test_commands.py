"""The command line: every command, what it writes, and one clear line where something is wrong."""

import os
import re
import subprocess
import sys
from pathlib import Path

import matplotlib
import numpy as np
import pytest
from click.testing import CliRunner

import dynamics as dyn
from derivations.losses.catalogue import Setting
from derivations.report.documents import FORMATS, document
from dynamics.cli import commands as cli
from dynamics.cli import documents
from dynamics.networks import train as training
from dynamics.solvers import descent, flow
from tests.full_disk import full_disk
from tests.marks import parametrize

matplotlib.use("Agg")

ROOT = Path(__file__).resolve().parents[2]
SOLVE = ["solve", "--loss", "cosine", "--noise", "0", "0.1", "--s0", "0.02,0.2,2", "--end-time", "3", "--points", "4"]
ITERATE = ["iterate", "--modes", "2", "--inputs", "3", "--steps", "6", "--learning-rate", "0.1", "--record", "2"]
TRAIN = ["train", "--modes", "2", "--inputs", "3", "--steps", "6", "--learning-rate", "0.1", "--batch-size", "50"]
COMMANDS = ("solve", "iterate", "train", "check", "compare", "sweep", "derive", "export", "figures")
CLOSED, NONE = dyn.ClosedForm(0.5, normalize=True), dyn.NoPredictor()
MAGIC = {".png": b"\x89PNG", ".pdf": b"%PDF", ".svg": b"<?xml"}


def call(*arguments):
    return CliRunner().invoke(cli.main, [str(a) for a in arguments], prog_name="ssl-dynamics")


def output(*arguments):
    done = call(*arguments)
    assert done.exit_code == 0, done.output
    return done.output


# --- help -----------------------------------------------------------------------------------------------------------


def test_help_lists_the_commands():
    text = output("--help")
    assert all(re.search(rf"^  {name} ", text, re.MULTILINE) for name in COMMANDS)


@pytest.mark.parametrize("flag", ["-h", "--help"])
@pytest.mark.parametrize("command", COMMANDS)
def test_help_of_each_command(command, flag):
    text = output(command, flag)
    assert text.startswith("Usage:") and command in text.splitlines()[0]
    assert max(map(len, text.splitlines())) <= 120


def test_module_is_the_command():
    run = [sys.executable, "-m", "dynamics", "--help"]
    done = subprocess.run(run, cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("Usage: ssl-dynamics ")


# --- results --------------------------------------------------------------------------------------------------------


def test_solve_is_the_function(tmp_path):
    text = output(*SOLVE, "--out", tmp_path / "run.npz")
    expected = dyn.solve(dyn.Model("cosine", noise=(0.0, 0.1)), [0.02, 0.2, 2], [0, 1, 2, 3])
    np.testing.assert_array_equal(dyn.load(tmp_path / "run.npz").s, expected.s)
    assert text == f"{expected}\nwritten: {tmp_path / 'run.npz'}\n"


def test_iterate_is_the_function(tmp_path):
    steps = [*ITERATE[:1], *ITERATE[5:]]
    output(*steps, "--s0", "0.1 0.4", "--isotropic", "--weight-decay", "0.01", "--out", tmp_path / "run.npz")
    model = dyn.Model("euclidean", isotropic=True, weight_decay=0.01)
    expected = dyn.iterate(model, [0.1, 0.4], 6, 0.1, record=2)
    loaded = dyn.load(tmp_path / "run.npz")
    np.testing.assert_array_equal(loaded.s, expected.s)
    assert loaded.step.tolist() == [0, 2, 4, 6]


def test_momentum_is_that_of_the_functions(tmp_path):
    flags = ["--momentum", "0.9", "--nesterov", "--decoupled"]
    output(*ITERATE, "--weight-decay", "0.1", *flags, "--out", tmp_path / "run.npz")
    momentum = dyn.load(tmp_path / "run.npz").settings["momentum"]
    assert momentum == {"mu": 0.9, "nesterov": True, "decoupled": True}
    shown = output("equilibria", "--s0", "0.1", "--weight-decay", "0.05", *flags)
    assert "up to learning rate 0.678952" in shown
    assert "--nesterov requires --momentum." in call(*ITERATE, "--nesterov").stderr
    assert "--momentum must be a number of at least 0 and below 1" in call(*ITERATE, "--momentum", "1").stderr


def test_iterate_takes_method_and_tolerance(tmp_path):
    output(*ITERATE, "--method", "jax", "--rtol", "1e-7", "--out", tmp_path / "run.npz")
    assert dyn.load(tmp_path / "run.npz").settings["rtol"] == 1e-7
    assert "--method must be one of" in call(*ITERATE, "--method", "scipy").stderr


def test_solve_ends_in_the_steady_state(tmp_path):
    times = ["--s0", "0.1,0.5", "--end-time", "200", "--points", "20", "--method", "scipy"]
    output("solve", *times, "--until", "steady", "--out", tmp_path / "run.npz")
    expected = dyn.solve(dyn.Model("euclidean"), [0.1, 0.5], np.linspace(0, 200, 20), method="scipy", until="steady")
    found = dyn.load(tmp_path / "run.npz")
    np.testing.assert_array_equal(found.t, expected.t)
    assert found.t[-1] < 200


def test_train_is_the_function(tmp_path):
    options = [
        "--init-std",
        "0.5",
        "--init-seed",
        "3",
        "--seed",
        "1",
        "--seed",
        "2",
        "--dtype",
        "float64",
        "--record",
        "3",
    ]
    output(*TRAIN, *options, "--alpha", "0.5", "--units", "relu", "--out", tmp_path / "run.npz")
    W0 = 0.5 * np.random.default_rng(3).standard_normal((2, 3))
    model = dyn.Model("euclidean", predictor=dyn.ClosedForm(0.5))
    expected = dyn.train(model, W0, 6, 0.1, batch_size=50, seed=[1, 2], dtype="float64", record=3, units="relu")
    np.testing.assert_array_equal(dyn.load(tmp_path / "run.npz").weights, expected.weights)


def test_correlated_inputs_start_from_weights(tmp_path):
    """Flow, descent map and network of the same random weights; their inputs have the variances given."""
    given = ["--modes", "2", "--input-variances", "1,0.2,0.01", "--init-seed", "3"]
    model, W0 = (
        dyn.Model("euclidean", inputs=np.diag([1, 0.2, 0.01])),
        0.25 * np.random.default_rng(3).normal(size=(2, 3)),
    )
    steps = ["--steps", "2", "--learning-rate", "0.1"]
    output("solve", *given, "--end-time", "1", "--points", "2", "--out", tmp_path / "flow.npz")
    output("iterate", *given, *steps, "--out", tmp_path / "map.npz")
    output("train", *given, *steps, "--batch-size", "50", "--out", tmp_path / "network.npz")
    for name, expected in (
        ("flow", dyn.solve(model, W0, [0, 1])),
        ("map", dyn.iterate(model, W0, 2, 0.1)),
        ("network", dyn.train(model, W0, 2, 0.1, batch_size=50)),
    ):
        np.testing.assert_array_equal(dyn.load(tmp_path / f"{name}.npz").weights, expected.weights)


@pytest.mark.parametrize("option", [["--seed", "4"], []], ids=["named", "default"])
def test_a_single_seed_has_no_axis(option, tmp_path):
    output(*TRAIN, *option, "--out", tmp_path / "run.npz")
    assert dyn.load(tmp_path / "run.npz").s.shape == (7, 2)


def test_theory_and_network_start_from_the_same_weights_and_compare(tmp_path):
    theory, trained = tmp_path / "theory.npz", tmp_path / "network.npz"
    output(*ITERATE, "--init-seed", "5", "--out", theory)
    output(*TRAIN, "--init-seed", "5", "--out", trained)
    text = output("compare", theory, trained, "--out", tmp_path / "deviation.png")
    assert text.startswith(str(dyn.compare(dyn.load(theory), dyn.load(trained))))
    assert "Network against theory at 4 steps (0 ... 6)" in text
    assert (tmp_path / "deviation.png").read_bytes().startswith(MAGIC[".png"])
    # Rounding of the weights to single precision, eps = 1.2e-7.
    np.testing.assert_allclose(dyn.load(theory).s[0], dyn.load(trained).s[0], rtol=1e-6)


@pytest.mark.parametrize("command", [SOLVE, ITERATE, TRAIN], ids=lambda c: c[0])
@pytest.mark.parametrize("suffix", MAGIC)
def test_pictures(command, suffix, tmp_path):
    path = tmp_path / f"run{suffix}"
    assert output(*command, "--out", path).endswith(f"written: {path}\n")
    assert path.read_bytes().startswith(MAGIC[suffix])


def test_text(tmp_path):
    output(*SOLVE, "--out", tmp_path / "run.csv")
    table = np.genfromtxt(tmp_path / "run.csv", delimiter=",", names=True)
    assert table["t"].tolist() == [0, 1, 2, 3]
    assert [table[f"s{m}"][0] for m in (1, 2, 3)] == [0.02, 0.2, 2]


def test_without_out_nothing_is_written(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert "written" not in output(*ITERATE)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("options", "model"),
    [
        (["--no-predictor"], dyn.Model("euclidean", predictor=dyn.NoPredictor())),
        (["--alpha", "0.5", "--symmetrised"], dyn.Model("euclidean", predictor=dyn.ClosedForm(0.5), symmetrised=True)),
        (["--loss", "cosine", "--stop-gradient", "none"], dyn.Model("cosine", stop_gradient="none")),
        (
            ["--noise", "0.1", "0.2", "--weight-decay", "0.3"],
            dyn.Model("euclidean", noise=(0.1, 0.2), weight_decay=0.3),
        ),
        (["--learned"], dyn.Model("euclidean", predictor=dyn.Learned())),
        (["--learned", "2", "--init", "0.5,1"], dyn.Model("euclidean", predictor=dyn.Learned(2.0, [0.5, 1.0]))),
        (["--ema", "0.9"], dyn.Model("euclidean", target=dyn.EMA(0.9))),
        (
            ["--epsilon", "0.1", "--normalize", "--tracking", "0.5"],
            dyn.Model("euclidean", predictor=dyn.ClosedForm(1.0, 0.1, True, 0.5)),
        ),
        (
            ["--loss", "|p - sg(z2)|^2 / 2 + b * |z1|^2", "--parameter", "b=0.2"],
            dyn.Model(dyn.Loss.parse("|p - sg(z2)|^2 / 2 + b * |z1|^2", b=0.2)),
        ),
        (
            ["--gain", "lambda^c", "--parameter", "c=0.5"],
            dyn.Model("euclidean", gain=dyn.Gain.parse("lambda^c", c=0.5)),
        ),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_options_describe_the_model(options, model, tmp_path):
    output(*ITERATE, *options, "--out", tmp_path / "run.npz")
    assert dyn.load(tmp_path / "run.npz").model.to_dict() == model.to_dict()


def test_mean_field_by_name_only(tmp_path):
    paths = [tmp_path / "gaussian.npz", tmp_path / "mean_field.npz"]
    output(*SOLVE, "--out", paths[0])
    output(*SOLVE, "--closure", "mean_field", "--out", paths[1])
    closures = [dyn.load(path).settings["closure"] for path in paths]
    assert closures == ["gaussian", "mean_field"]
    assert (dyn.load(paths[0]).s[1:] != dyn.load(paths[1]).s[1:]).all()


# --- export ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "library", "options"),
    [
        ([], "torch", {}),
        (["--library", "jax", "--symmetrised"], "jax", {"symmetrised": True}),
        (["--isotropic", "--alpha", "0.5", "--normalize"], "torch", {"isotropic": True, "predictor": CLOSED}),
        (["--no-predictor", "--stop-gradient", "none"], "torch", {"predictor": NONE, "stop_gradient": "none"}),
        (["--learned", "--ema", "0.99"], "torch", {"predictor": dyn.Learned(), "target": dyn.EMA(0.99)}),
        (
            ["--library", "jax", "--learned", "2", "--noise", "0", "0.1"],
            "jax",
            {"predictor": dyn.Learned(2.0), "noise": (0.0, 0.1)},
        ),
    ],
    ids=["default", "jax", "closed form", "none", "learned", "learned at a rate"],
)
def test_export_is_the_method(given, library, options, tmp_path):
    text = getattr(dyn.Model("cosine", **options), f"to_{library}")()
    assert output("export", "--loss", "cosine", *given) == text
    assert output("export", "--loss", "cosine", *given, "--out", tmp_path / "a.py").startswith("written: ")
    assert (tmp_path / "a.py").read_text(encoding="utf-8") == text


# --- derive ---------------------------------------------------------------------------------------------------------

DERIVED = {
    "euclidean": [],
    "isotropic": ["--isotropic"],
    "no predictor": ["--no-predictor"],
    "wrong side": ["--stop-gradient", "online"],
    "no stop-gradient": ["--stop-gradient", "none"],
    "symmetrised": ["--symmetrised"],
    "cosine": ["--loss", "cosine"],
    "isotropic cosine": ["--loss", "cosine", "--isotropic"],
    "own target": ["--ema"],
    "reconstruction": ["--reconstruction", "--no-predictor"],
    "learned": ["--learned"],
    "learned cosine with own target": ["--loss", "cosine", "--learned", "--ema"],
    "mean-field cosine": ["--loss", "cosine", "--closure", "mean_field"],
    "correlated inputs": ["--correlated"],
    "correlated inputs, cosine": ["--loss", "cosine", "--correlated", "--symmetrised"],
    "correlated inputs, learned": ["--correlated", "--learned"],
}


def depth(text):
    """Check that braces balance and none closes before it opens; escaped braces are text."""
    level = 0
    for brace in re.findall(r"(?<!\\)[{}]", text):
        level += 1 if brace == "{" else -1
        assert level >= 0
    return level


@pytest.mark.parametrize("case", DERIVED)
def test_equations_are_well_formed(case):
    text = output("derive", *DERIVED[case], "--format", "equations").strip()
    assert text.startswith("\\begin{align*}") and text.endswith("\\end{align*}")
    assert depth(text) == 0
    assert len(re.findall(r"\\left\b", text)) == len(re.findall(r"\\right\b", text))
    rows = [row for row in text.splitlines()[1:-1] if not row.lstrip().startswith("%")]
    assert all(row.count("&") == 1 for row in rows)
    assert all(row.endswith("\\\\") for row in rows[:-1]) and not rows[-1].endswith("\\\\")
    moving = (
        r"\dot W"
        if "--correlated" in DERIVED[case]
        else r"\dot w_m"
        if {"--ema", "--reconstruction"} & {*DERIVED[case]}
        else r"\dot s_m"
    )
    assert moving in text and "SG(" not in text and "^T" not in text.replace("^{T}", "")


@pytest.mark.parametrize(
    ("case", "line"),
    [
        ("euclidean", "    r_m = (-n1*lam[m] + 1)*lam[m]"),
        ("isotropic", "    r_m = -n1*lam[m] + 1"),
        ("wrong side", "    r_m = -n2 + lam[m]"),
        ("no predictor", "    lam_m = 1"),
        ("cosine", "    r_m = Integral(I_1, (x, 0, oo), (y, 0, oo))"),
        ("no predictor", "    s(t) = s0*exp(2*t*(-n1 - rho + 1))"),
        ("own target", "    dv_m/dt = (1 - decay)*(-v[m] + w[m])/eta"),
        ("reconstruction", "    dv_m/dt = 0"),
        ("own target", "    r_m = (-n1*lam[m] + ratio[m])*lam[m]"),
        ("learned", "    f_m = (-n1*lam[m] + 1)*s[m]"),
        ("correlated inputs", "    E[f_p1 l^T] = -p1 + t2"),
        ("correlated inputs, cosine", "    E[f_p2 l^T] = Integral(F_p2, (x, 0, oo), (y, 0, oo))"),
        ("correlated inputs, learned", "    dW_P/dt = a_P (E[f_p1 l^T] z1^T) - rho W_P"),
    ],
)
def test_text_states_the_rate(case, line):
    assert line in output("derive", *DERIVED[case]).splitlines()


@pytest.mark.parametrize(("case", "name"), [("euclidean", "Lambert W, rho = 0"), ("isotropic", "logistic")])
def test_exact_solution_is_shown_where_there_is_one(case, name):
    assert f"exact solution ({name})" in output("derive", *DERIVED[case])
    assert "exact solution" not in output("derive", *DERIVED["cosine"])


@parametrize("form", FORMATS, quick=["markdown"])
def test_documents_are_those_of_the_derivations(form, tmp_path):
    text = output("derive", "--loss", "cosine", "--isotropic", "--format", form)
    assert text == document(Setting("cosine", isotropic=True), form) + "\n"
    out = tmp_path / "cosine.html"
    output("derive", "--loss", "cosine", "--isotropic", "--format", form, "--out", str(out))
    assert out.read_text(encoding="utf-8") + "\n" == text


def test_the_command_knows_all_documents():
    assert tuple(FORMATS) == documents.DOCUMENTS


# --- errors ---------------------------------------------------------------------------------------------------------

WRONG = {
    "unknown loss": ([*ITERATE, "--loss", "cosin"], "Did you mean 'cosine'?"),
    "negative noise": ([*ITERATE, "--noise", "-0.1", "0.2"], "--noise must be two non-negative numbers"),
    "inapplicable option": ([*ITERATE, "--isotropic", "--stop-gradient", "none"], "--stop-gradient must"),
    "alpha without predictor": ([*ITERATE, "--alpha", "1", "--no-predictor"], "--alpha cannot be used with"),
    "init of a closed form": ([*ITERATE, "--init", "1"], "--init cannot be used with a closed-form predictor"),
    "alpha of a learned predictor": (
        [*ITERATE, "--learned", "1", "--alpha", "1"],
        "--alpha cannot be used with --learned",
    ),
    "init no numbers": ([*ITERATE, "--learned", "1", "--init", "a"], "--init must be a list of numbers"),
    "modes with s0": ([*ITERATE, "--s0", "1", "--modes", "2"], "--modes cannot be used with --s0"),
    "decay above one": ([*ITERATE, "--ema", "1.1"], "--ema must be a decay per step"),
    "flow of an average": ([*SOLVE, "--ema", "0.9"], "--learning-rate must be given"),
    "alpha zero": ([*ITERATE, "--alpha", "0"], "--alpha must be a positive number"),
    "s0 no numbers": ([*SOLVE, "--s0", "a,b"], "--s0 must be a list of numbers, such as 0.02,0.2,2, but is 'a,b'"),
    "s0 negative": ([*SOLVE, "--s0", "0.1,-1"], "--s0 must be finite and non-negative eigenvalues"),
    "s0 empty": ([*SOLVE, "--s0", ""], "--s0 must be finite and non-negative eigenvalues"),
    "times negative": ([*SOLVE, "--end-time", "-1"], "--end-time must be at least 0, but is -1."),
    "no times": ([*SOLVE, "--points", "0"], "'--points': 0 is not in the range"),
    "negative number of times": ([*SOLVE, "--points", "-3"], "points"),
    "unknown method": ([*SOLVE, "--method", "euler"], "--method must be one of"),
    "more modes than inputs": ([*TRAIN, "--modes", "4"], "--modes must be at most the number of inputs, 3"),
    "number of inputs twice": ([*TRAIN, "--input-variances", "1,1"], "--inputs cannot be used with --input-variances"),
    "variances and eigenvalues": ([*SOLVE, "--input-variances", "1,1"], "--input-variances cannot be used with --s0"),
    "variances that are none": (["train", "--input-variances", "one"], "--input-variances must be a list of numbers"),
    "negative variance": (["train", "--modes", "1", "--input-variances", "-1,1"], "--input-variances must be"),
    "more modes than variances": (["solve", "--input-variances", "1,1"], "--modes must be at most"),
    "negative seed": ([*TRAIN, "--seed", "-1"], "--seed must be a whole number >= 0"),
    "negative seed of the weights": ([*TRAIN, "--init-seed", "-1"], "init-seed"),
    "unknown device": ([*TRAIN, "--device", "gqu"], "Did you mean 'gpu'?"),
    "text for a number": ([*TRAIN, "--steps", "many"], "'many' is not a valid integer"),
    "unknown suffix": (
        [*SOLVE, "--out", "run.xyz"],
        "--out must end in one of .txt, .json, .csv, .npz, .nc, .png, .pdf, .svg",
    ),
    "no suffix": ([*SOLVE, "--out", "run"], "--out must end in one of"),
    "missing folder": ([*SOLVE, "--out", "nowhere/run.npz"], "nowhere"),
    "missing file": (["compare", "nowhere.npz", "nowhere.npz"], "File 'nowhere.npz' does not exist"),
    "derive mean field": (["derive", "--closure", "mean_field"], "--closure must be 'gaussian'"),
    "derive unknown closure": (["derive", "--loss", "cosine", "--closure", "meanfield"], "Did you mean 'mean_field'?"),
    "derive unknown format": (
        ["derive", "--format", "pdf"],
        "'pdf' is not one of 'text', 'equations', 'markdown', 'latex'",
    ),
    "derive document": (["derive", "--format", "html", "--ema"], "--ema cannot be used with --format html"),
    "derive document of a closure": (
        ["derive", "--loss", "cosine", "--format", "latex", "--closure", "mean_field"],
        "--closure cannot be used with --format latex",
    ),
    "export into a table": (["export", "--out", "a.csv"], "--out must end in one of .py"),
    "export to an unknown library": (["export", "--library", "numpy"], "'numpy' is not one of 'torch', 'jax'"),
    "export an exponent without a closed form": (
        ["export", "--learned", "--alpha", "1"],
        "--alpha cannot be used with --learned",
    ),
    "derive into a picture": (["derive", "--out", "a.png"], "--out must end in one of .txt, .tex, .md, .html"),
    "two predictors": ([*ITERATE, "--no-predictor", "--learned", "1"], "--no-predictor cannot be used with --learned"),
    "parameter without a value": (
        [*ITERATE, "--gain", "lambda^c", "--parameter", "c"],
        "--parameter must be NAME=VALUE, such as beta=0.1, but is 'c'",
    ),
    "parameter of a catalogue loss": (
        [*ITERATE, "--parameter", "c=1"],
        "--parameter can only be used with a user-defined loss",
    ),
    "unknown end condition": ([*SOLVE, "--until", "60"], "'60' is not 'steady'"),
    "unknown figure": (["figures", "fig99"], "'fig99' is not one of"),
    "unknown command": (["slove"], "No such command 'slove'"),
    "unknown option": ([*SOLVE, "--speed", "9"], "No such option"),
}


@pytest.mark.parametrize("case", WRONG)
def test_errors_are_one_line_without_traceback(case, tmp_path, monkeypatch):
    arguments, message = WRONG[case]
    monkeypatch.chdir(tmp_path)
    done = call(*arguments)
    assert done.exit_code == 2
    assert isinstance(done.exception, SystemExit), done.exception
    (line,) = (line for line in done.stderr.splitlines() if line.startswith("Error: "))
    assert message in line and done.stderr.endswith(f"{line}\n")
    assert "Traceback" not in done.output and list(tmp_path.iterdir()) == []


def test_figures_outside_of_a_checkout_are_refused(monkeypatch, tmp_path):
    monkeypatch.setattr(documents, "__file__", str(tmp_path / "dynamics" / "cli" / "documents.py"))
    done = call("figures")
    assert done.exit_code == 5
    assert done.stderr.startswith("Error: The figures are not part of the installed package")


def test_compare_writes_no_table(tmp_path):
    paths = [tmp_path / "theory.npz", tmp_path / "network.npz"]
    for command, path in zip((ITERATE, TRAIN), paths, strict=True):
        output(*command, "--out", path)
    done = call("compare", *paths, "--out", tmp_path / "deviation.npz")
    assert done.exit_code == 2 and "--out must end in one of .txt, .json, .png, .pdf, .svg" in done.stderr
    assert call("compare", *reversed(paths)).stderr.startswith("Error: THEORY must be one trajectory")


@pytest.mark.parametrize(
    ("out", "message"),
    [("run.xyz", "--out must end in one of .txt, .json, .csv, .npz"), ("nowhere/run.npz", "nowhere")],
    ids=["unknown suffix", "missing folder"],
)
@pytest.mark.parametrize(
    ("command", "module", "name"),
    [(SOLVE, flow, "solve"), (ITERATE, descent, "iterate"), (TRAIN, training, "train")],
    ids=["solve", "iterate", "train"],
)
def test_a_place_that_cannot_be_written_is_refused_before_any_work(
    command, module, name, out, message, tmp_path, monkeypatch
):
    def work(*_, **__):
        raise AssertionError("work was done before the arguments were checked")

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(module, name, work)
    done = call(*command, "--out", out)
    assert isinstance(done.exception, SystemExit), done.exception
    assert message in done.stderr


# --- output that cannot be written ----------------------------------------------------------------------------------


def with_output(stream, *arguments):
    """Run a command whose standard output is a stream; return its exit status and what it reports."""
    run = [sys.executable, "-m", "dynamics", *arguments]
    done = subprocess.run(run, cwd=ROOT, stdout=stream, stderr=subprocess.PIPE, text=True, check=False, timeout=60)
    return done.returncode, done.stderr


@parametrize("command", [["--help"], SOLVE, ["derive"]], [["--help"], SOLVE], ids=lambda command: command[0])
def test_a_full_device_is_reported_in_one_line(command):
    with Path("/dev/full").open("w") as full:
        assert with_output(full, *command) == (4, "Error: The output cannot be written: No space left on device.\n")


@pytest.mark.parametrize("command", [["--help"], SOLVE], ids=lambda command: command[0])
def test_a_closed_pipe_is_not_reported(command):
    reader, writer = os.pipe()
    os.close(reader)
    assert with_output(writer, *command) == (141, "")
    os.close(writer)


def test_a_file_that_cannot_be_written_is_reported_in_one_line(tmp_path):
    with full_disk(100):
        done = call(*SOLVE, "--out", tmp_path / "run.npz")
    assert done.exit_code == 4 and done.output.splitlines()[-1].startswith("Error: ")
    assert "File too large" in done.output and not list(tmp_path.iterdir())
