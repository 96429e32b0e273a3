"""Sweeps from TOML files: their keys, and one clear line for each error."""

import signal
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from click.testing import CliRunner

import dynamics as dyn
from dynamics.cli import commands as cli
from dynamics.sweeps import toml_file as sweep_file

PLAIN = """
store = "a.zarr"
model = { loss = "euclidean", noise = [0.1, 0.2] }
run = { s0 = [0.1, 0.5], steps = 4, learning_rate = 0.1 }
grid = { weight_decay = [0.0, 0.1], sigma2 = [0.1, 0.2, 0.3] }
"""
EUCLIDEAN = dyn.Model("euclidean", noise=(0.1, 0.2))


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    """Files and stores lie in a folder of their own, which is the current one."""
    monkeypatch.chdir(tmp_path)


def call(text, *options):
    Path("sweep.toml").write_text(text, encoding="utf-8")
    return CliRunner().invoke(cli.main, ["sweep", "sweep.toml", *options], prog_name="ssl-dynamics")


def output(text, *options):
    done = call(text, *options)
    assert done.exit_code == 0, done.output
    return done.output


def read(text):
    Path("sweep.toml").write_text(text, encoding="utf-8")
    return sweep_file.read("sweep.toml")


def files(path):
    """Everything in a folder, by name."""
    return {p.relative_to(path).as_posix(): p.read_bytes() for p in Path(path).rglob("*") if p.is_file()}


def test_a_file_has_momentum_and_values_of_schedules():
    run = "learning_rate = [0.1, 0.2, 0.1, 0.05], momentum = { mu = 0.9, nesterov = true }"
    output(PLAIN.replace("learning_rate = 0.1", run))
    model = dyn.Model("euclidean", noise=(0.1, 0.3), weight_decay=0.1)
    options = {"learning_rate": [0.1, 0.2, 0.1, 0.05], "momentum": dyn.Momentum(0.9, nesterov=True)}
    direct = dyn.iterate(model, [0.1, 0.5], 4, **options)
    np.testing.assert_allclose(xr.open_zarr("a.zarr", consolidated=False).s.values[-1, -1], direct.s, rtol=1e-14)


@pytest.mark.parametrize("options", [[], ["--workers", "2"]], ids=["here", "workers"])
def test_a_file_gives_the_store_of_the_function(options):
    shown = output(PLAIN + "chunk = 2", *options)
    grid = {"weight_decay": [0.0, 0.1], "sigma2": [0.1, 0.2, 0.3]}
    found = dyn.sweep(EUCLIDEAN, grid, store="b.zarr", chunk=2, s0=[0.1, 0.5], steps=4, learning_rate=0.1)
    assert shown == f"{found}\n" and "progress:  complete" in shown
    assert files("a.zarr") == files("b.zarr")


def test_a_loss_without_parameters_is_a_text():
    assert read(changed("euclidean", EXPRESSION))["what"].loss == dyn.Loss(EXPRESSION)


def test_workers_are_processes_that_leave_ctrl_c_to_the_command(monkeypatch):
    seen = []

    def sweep(*_, executor, **__):
        seen.append((type(executor), executor._max_workers, executor.submit(signal.getsignal, signal.SIGINT).result()))
        return xr.Dataset(attrs={"progress": "complete"})

    monkeypatch.setattr(sweep_file, "sweep", sweep)
    output(PLAIN, "--workers", "2")
    assert seen == [(ProcessPoolExecutor, 2, signal.SIG_IGN)]


def test_the_same_command_continues_a_sweep():
    output(PLAIN + "chunk = 2")
    (Path("a.zarr") / "status" / "c" / "1" / "0").unlink()
    written = Path("a.zarr/status/c/0/0").stat().st_mtime_ns
    time.sleep(0.01)
    output(PLAIN + "chunk = 2")
    assert (xr.open_zarr("a.zarr", chunks=None, consolidated=False).status == 1).all()
    assert Path("a.zarr/status/c/0/0").stat().st_mtime_ns == written


def test_every_key_of_a_file_is_read():
    given = read("""
store = "b.zarr"
chunk = 7
keep = ["s"]
[model]
loss = "cosine"
noise = [0, 0.5]
stop_gradient = "target"
isotropic = false
symmetrised = true
weight_decay = 0.5
inputs = [[1, 0], [0, 2]]
predictor = { kind = "ClosedForm", alpha = 0.5, epsilon = 0.1, normalize = true, tracking = 0.2 }
target = { kind = "EMA", decay = 0.9 }
[run]
times = { from = 0, to = 1, points = 3 }
W0 = { modes = 2, inputs = 3, std = 0.5, seed = 4 }
s0 = { modes = 2, inputs = 3, std = 0.5, seed = 4 }
method = "scipy"
[grid]
weight_decay = { from = 1e-3, to = 1e-1, points = 3, spacing = "log" }
sigma1 = { from = 0, to = 3, points = 4 }
sigma2 = { from = 0.0, to = 3.0, points = 4 }
decay = { from = 0, to = 1, points = 3 }
alpha = [1, 2]
""")
    part = {"predictor": dyn.ClosedForm(0.5, 0.1, normalize=True, tracking=0.2), "target": dyn.EMA(0.9)}
    model = dyn.Model("cosine", noise=(0, 0.5), symmetrised=True, weight_decay=0.5, inputs=np.diag([1, 2]), **part)
    assert str(given.pop("what")) == str(model)
    W0 = 0.5 * np.random.default_rng(4).standard_normal((2, 3))
    assert {name: given.pop(name) for name in ("store", "chunk", "keep", "method")} == {
        "store": "b.zarr",
        "chunk": 7,
        "keep": ["s"],
        "method": "scipy",
    }
    np.testing.assert_array_equal(given.pop("W0"), W0)
    np.testing.assert_array_equal(given.pop("s0"), np.linalg.svd(W0, compute_uv=False)[::-1] ** 2)
    assert given.pop("times").tolist() == [0, 0.5, 1]
    grid = given.pop("grid")
    assert not given and list(grid) == ["weight_decay", "sigma1", "sigma2", "decay", "alpha"]
    np.testing.assert_allclose(grid["weight_decay"], [1e-3, 1e-2, 1e-1], rtol=1e-15)
    assert grid["sigma1"].tolist() == [0, 1, 2, 3] and grid["sigma1"].dtype == int
    assert grid["sigma2"].tolist() == [0, 1, 2, 3] and grid["sigma2"].dtype == float
    assert grid["decay"].tolist() == [0, 0.5, 1] and grid["alpha"] == [1, 2]


@pytest.mark.parametrize(
    ("kind", "part"),
    [
        ('predictor = { kind = "Learned", rate = 2, init = [1, 2] }', dyn.Learned(2, [1, 2])),
        ('predictor = { kind = "NoPredictor" }', dyn.NoPredictor()),
        ('target = { kind = "Shared" }', dyn.Shared()),
    ],
    ids=["learned", "none", "shared"],
)
def test_components_are_tables(kind, part):
    model = read(PLAIN.replace("noise = [0.1, 0.2]", kind))["what"]
    assert repr(part) in (repr(model.predictor), repr(model.target))


def test_networks_start_from_random_weights():
    text = PLAIN.replace("s0 = [0.1, 0.5]", "W0 = { modes = 2, inputs = 3 }, batch_size = 5")
    output(text.replace("sigma2 = [0.1, 0.2, 0.3]", "seed = { from = 0, to = 3, points = 4 }"))
    found = xr.open_zarr("a.zarr", chunks=None, consolidated=False)
    W0 = 0.25 * np.random.default_rng(0).standard_normal((2, 3))
    direct = dyn.train(EUCLIDEAN, W0, 4, 0.1, batch_size=5, seed=range(4))
    np.testing.assert_allclose(found.s[0], direct.s, rtol=1e-6)  # rounding of single precision


CUSTOM = {
    "loss": (
        'loss = { expression = "-p . sg(z2) / |p| + beta * |z1|^2", beta = 0.2 }',
        dyn.Model(dyn.Loss.parse("-p . sg(z2) / |p| + beta * |z1|^2", beta=0.2), noise=(0.1, 0.2)),
        "beta",
    ),
    "gain": (
        'loss = "cosine", gain = { expression = "lambda^gamma", gamma = 0.5 }',
        dyn.Model("cosine", gain=dyn.Gain.parse("lambda^gamma", gamma=0.5), noise=(0.1, 0.2)),
        "gamma",
    ),
}


@pytest.mark.parametrize("case", CUSTOM)
def test_parameters_of_user_defined_losses_and_gains_are_axes(case):
    """As in Python, and as in single runs to the closure's tolerance of 1e-9: these have nodes of their own."""
    written, model, number = CUSTOM[case]
    text = changed('loss = "euclidean"', written).replace("sigma2 = [0.1, 0.2, 0.3]", f"{number} = [0.1, 0.3]")
    output(text)
    grid, given = {"weight_decay": [0.0, 0.1], number: [0.1, 0.3]}, {"s0": [0.1, 0.5], "steps": 4, "learning_rate": 0.1}
    found = dyn.sweep(model, grid, store="b.zarr", **given)
    assert files("a.zarr") == files("b.zarr")
    part = getattr(model, case)
    for i, value in enumerate(grid[number]):
        single = dyn.Model(
            **{"loss": model.loss, case: type(part).parse(part.text, **{number: value})}, noise=(0.1, 0.2)
        )
        np.testing.assert_allclose(found.s[0, i], dyn.iterate(single, **given).s, rtol=1e-8)
    assert np.abs(found.s[0, 0, -1] - found.s[0, 1, -1]).max() > 1e-3


def test_gains_as_text_and_losses_without_parameters():
    assert read(changed("noise = [0.1, 0.2]", 'gain = "lambda^0.5"'))["what"].gain == dyn.Gain.parse("lambda^0.5")
    text = changed('loss = "euclidean"', 'loss = { expression = "|p - sg(z2)|^2 / 2" }')
    assert read(text)["what"].loss == dyn.Loss.parse("|p - sg(z2)|^2 / 2")


def test_another_expression_or_parameter_is_another_sweep():
    text = changed('loss = "euclidean"', CUSTOM["loss"][0])
    output(text)
    for old, new in (("beta = 0.2", "beta = 0.3"), ("|z1|^2", "|z1|^4")):
        done = call(text.replace(old, new))
        assert done.exit_code == 2 and "a.zarr is of a sweep that differs in model loss" in done.stderr, done.output


def changed(old, new):
    assert old in PLAIN
    return PLAIN.replace(old, new)


def custom_loss(table):
    return changed('"euclidean"', f"{{ {table} }}")


EXPRESSION, TABLE = "|p - sg(z2)|^2 / 2", "an expression in a table, such as { expression = '%s' }"
SPAN = "sigma2 = [0.1, 0.2, 0.3]"
WRONG = {
    "no TOML": ("store = ", "Argument `file` must name a TOML file, but sweep.toml is not a valid TOML file: "),
    "unknown key": ("stroe = 1\n" + PLAIN, "Argument `key of the file` must be one of 'model', 'run', 'grid', 'store'"),
    "nearest key": ("stroe = 1\n" + PLAIN, "but is 'stroe'. Did you mean 'store'?"),
    "no store": (changed('store = "a.zarr"', ""), "Argument `store` must be given in sweep.toml, but is None."),
    "no grid": (changed("grid", "keep"), "Argument `grid` must be given in sweep.toml"),
    "no table": (
        changed('{ loss = "euclidean", noise = [0.1, 0.2] }', "3"),
        "Argument `model` must be a table, [model]",
    ),
    "option of a model": (changed("noise", "nose"), "but is 'nose'. Did you mean 'noise'?"),
    "no loss": (changed('loss = "euclidean", ', ""), "Argument `loss` must be given in the model, but is None."),
    "loss": (
        changed("euclidean", "euclid"),
        f"Argument `loss` must be one of 'euclidean', 'cosine', or {TABLE % EXPRESSION}, but is 'euclid'. Did you mean",
    ),
    "loss without expression": (
        custom_loss("beta = 2"),
        "Argument `loss` must be a table with the key `expression`, but is {'beta': 2}.",
    ),
    "loss under the key of version 0.1": (
        custom_loss(f'sentence = "{EXPRESSION}"'),
        "Argument `loss` must be a table with the key `expression` (which had the name `sentence` in version 0.1), "
        "but is {'sent",
    ),
    "loss whose expression is none": (
        custom_loss("expression = 3"),
        f"Argument `loss` must be an expression, such as '{EXPRESSION}', but is 3.",
    ),
    "loss that is called": (
        custom_loss("""expression = "__import__('os')" """),
        f"Argument `loss` must be an expression, such as '{EXPRESSION}', but at position 12 of",
    ),
    "loss whose number has no value": (
        custom_loss(f'expression = "{EXPRESSION} * beta"'),
        "but at position 22 of '|p - sg(z2)|^2 / 2 * beta': `beta` is an unknown name",
    ),
    "loss that does not use a number": (
        custom_loss(f'expression = "{EXPRESSION}", beta = 2'),
        "Argument `loss` must contain the parameter beta in its expression, because a value of beta is given, but is "
        f"Loss.parse('{EXPRESSION}",
    ),
    "number with no name": (
        custom_loss(f'expression = "{EXPRESSION}", "a b" = 2'),
        "Argument `parameters` must have as keys ASCII identifiers, but has the key 'a b'.",
    ),
    "number that is none": (
        custom_loss(f'expression = "{EXPRESSION} * beta", beta = "2"'),
        "Argument `beta` must be a finite number, or an array of them, but is '2'. Write numbers without quotes.",
    ),
    "number that is many": (
        custom_loss(f'expression = "{EXPRESSION} * beta", beta = [1, 2]'),
        "Argument `model` must have plain numbers as parameters; a parameter with several values must be an axis of "
        "the grid, but is",
    ),
    "gain": (
        changed("noise = [0.1, 0.2]", "gain = 3"),
        f"Argument `gain` must be text, such as 'lambda^0.5', or {TABLE % 'lambda^0.5'}, but is 3.",
    ),
    "gain without expression": (
        changed("noise = [0.1, 0.2]", "gain = { gamma = 2 }"),
        "Argument `gain` must be a table with the key `expression`, but is {'gamma': 2}.",
    ),
    "gain that is a loss": (
        changed("noise = [0.1, 0.2]", 'gain = { expression = "|z1|^2" }'),
        "Argument `gain` must be an expression, such as 'lambda^0.5', but at position 2 of '|z1|^2': `z1` is an",
    ),
    "gain with a user-defined loss": (
        custom_loss(f'expression = "{EXPRESSION}" }}, gain = {{ expression = "lambda" '),
        "Argument `gain` must be left out with a user-defined loss",
    ),
    "predictor": (
        changed("noise = [0.1, 0.2]", "predictor = 3"),
        'Argument `predictor` must be a table, such as { kind = "ClosedForm" }, but is 3.',
    ),
    "kind": (
        changed("noise = [0.1, 0.2]", 'predictor = { kind = "learned" }'),
        "Argument `kind of predictor` must be one of 'ClosedForm', 'Learned', 'NoPredictor', but is 'learned'.",
    ),
    "number of a part": (
        changed("noise = [0.1, 0.2]", 'target = { kind = "EMA", decy = 0.5 }'),
        "Argument `key of the target EMA` must be 'decay', but is 'decy'.",
    ),
    "number that a part needs": (
        changed("noise = [0.1, 0.2]", 'target = { kind = "EMA" }'),
        "Argument `decay` must be given in the target EMA, but is None.",
    ),
    "argument of the run": (changed("steps", "setps"), "but is 'setps'. Did you mean 'steps'?"),
    "argument of the sweep": (
        changed("steps = 4", "steps = 4, executor = 2"),
        "Argument `key of [run]` must be one of",
    ),
    "argument of another level": (
        changed("steps = 4", "steps = 4, dtype = 1"),
        "Argument `keyword` must be one of 's0'",
    ),
    "axis": (changed("weight_decay", "wieght_decay"), "Did you mean 'weight_decay'?"),
    "span": (changed(SPAN, "sigma2 = { from = 0, till = 3 }"), "Argument `key of sigma2` must be one of 'from', 'to'"),
    "span without points": (
        changed(SPAN, "sigma2 = { from = 0, to = 3 }"),
        "Argument `points` must be given in the table of sigma2, but is None.",
    ),
    "span of text": (
        changed(SPAN, 'sigma2 = { from = "a", to = 3, points = 2 }'),
        "Argument `from` must be a finite number, but is 'a'.",
    ),
    "span from zero": (
        changed(SPAN, 'sigma2 = { from = 0, to = 3, points = 2, spacing = "log" }'),
        "Argument `from` must be a positive number, but is 0.",
    ),
    "span without end": (
        changed(SPAN, "sigma2 = { from = 0, to = inf, points = 2 }"),
        "Argument `to` must be a finite number, but is inf.",
    ),
    "spacing": (
        changed(SPAN, 'sigma2 = { from = 0, to = 3, points = 2, spacing = "lin" }'),
        "Argument `spacing` must be one of 'linear', 'log', but is 'lin'. Did you mean 'linear'?",
    ),
    "weights": (
        changed("s0 = [0.1, 0.5]", "s0 = { modes = 4, inputs = 3 }"),
        "Argument `modes` must be at most the number of inputs, 3, but is 4.",
    ),
    "spread": (changed("s0 = [0.1, 0.5]", "s0 = { std = -1 }"), "Argument `std` must be a positive number, but is -1."),
    "day": (changed("s0 = [0.1, 0.5]", "s0 = 2020-01-01"), "Argument `s0` must be finite and non-negative eigenvalues"),
}


@pytest.mark.parametrize("case", WRONG)
def test_errors_are_one_line_without_traceback(case):
    text, message = WRONG[case]
    assert_one_line(call(text), message)


def assert_one_line(done, message):
    assert isinstance(done.exception, SystemExit), done.exception
    (line,) = (line for line in done.stderr.splitlines() if line.startswith("Error: "))
    assert message in line and done.stderr.endswith(f"{line}\n") and "Traceback" not in done.output
    assert [path.name for path in Path().iterdir()] in ([], ["sweep.toml"])


def test_missing_file():
    done = CliRunner().invoke(cli.main, ["sweep", "nowhere.toml"])
    assert_one_line(done, "Invalid value for 'FILE': File 'nowhere.toml' does not exist.")


def test_workers_and_schedulers_that_do_not_exist_are_refused():
    assert_one_line(call(PLAIN, "--workers", "0"), "Invalid value for '--workers': 0 is not in the range 1<=x<=1024.")
    both = call(PLAIN, "--workers", "2", "--scheduler", "tcp://127.0.0.1:1")
    assert_one_line(both, "--scheduler cannot be used with --workers.")
    no_address = call(PLAIN, "--scheduler", "nonsense://1")
    assert_one_line(no_address, "Argument `scheduler` must be the address of a Dask scheduler, but is 'nonsense://1'")


@pytest.mark.long
def test_a_block_that_fails_is_one_line(monkeypatch):
    def fail(*_):
        raise MemoryError("too large")

    monkeypatch.setattr("dynamics.sweeps.block.ModelEvaluator.__call__", fail)
    done = call(PLAIN)
    assert done.exit_code == 3 and "Traceback" not in done.output
    message = "Block 1 of 1, weight_decay = 0.0 to 0.1, sigma2 = 0.1 to 0.3, failed: MemoryError: too large"
    assert done.stderr == f"Error: {message}\n"
