"""Sweeps are refused before any work, and told from other sweeps."""

import functools
import linecache

import numpy as np
import pytest

import dynamics as dyn
from dynamics import derived_loss
from dynamics.sweeps import plan
from dynamics.sweeps import sweep as sweep_module
from tests.sweeps.models import COSINE, DESCENT, EUCLIDEAN, FLOW, GRID, S0, SIGMAS, W0, files, table


def sweep(what=EUCLIDEAN, grid=GRID, **given):
    usual = DESCENT if isinstance(what, dyn.Model) else {}
    return lambda path: dyn.sweep(what, grid, **({"store": path} | usual | given))


def run(grid=GRID, **given):
    return lambda path: dyn.sweep(EUCLIDEAN, grid, store=path, **given)


NUMBERS = "be a list of different, finite numbers"


NETWORK = {"W0": W0, "steps": 3, "learning_rate": 0.1, "batch_size": 5}


# case: (call, what the message says)
REFUSED = {
    "what": (sweep("euclidean"), "Argument `what` must be a Model or a function, but is 'euclidean'."),
    "ensemble": (sweep(EUCLIDEAN.replace(sigma1=[0.1, 0.2])), "Argument `model` must have plain numbers as parameters"),
    "chunk": (sweep(chunk=0), "Argument `chunk` must be a whole number >= 1, but is 0."),
    "progress": (sweep(progress="yes"), "Argument `progress` must be True, False or None, but is 'yes'."),
    "executor": (sweep(executor=2), "Argument `executor` must be a concurrent.futures.Executor, a Dask Client or None"),
    "store": (sweep(store=""), "Argument `store` must be a path, but is ''."),
    "no folder": (sweep(store="nowhere/a.zarr"), "Argument `store` must lie in an existing folder, but is 'nowhere/"),
    # schedules
    "schedule of an axis": (
        sweep(schedules={"weight_decay": [0.1] * 6}),
        "Argument `schedules` must have no key `weight_decay`, because `weight_decay` is an axis of the grid",
    ),
    "schedule of another length": (sweep(learning_rate=[0.1, 0.2]), "one value for each of the 6 steps"),
    "momentum": (sweep(momentum="adam"), "Argument `momentum` must be a number of at least 0 and below 1"),
    "function of time": (
        run(**FLOW, learning_rate=lambda t: 0.1),
        "Argument `learning_rate` must be a number in a sweep of `solve`",
    ),
    "functions of time": (run(**FLOW, schedules={}), "Argument `keyword` must be one of 's0', 'times', "),
    # the grid
    "no axes": (
        sweep(grid={}),
        "Argument `grid` must map the name of each axis to the values along this axis, but is {}.",
    ),
    "list of axes": (
        sweep(grid=[("sigma1", [1])]),
        "Argument `grid` must map the name of each axis to the values along this axis",
    ),
    "axis without name": (
        sweep(grid={1: [1]}),
        "Argument `grid` must have names of parameters or arguments as keys, but is 1.",
    ),
    "unknown axis": (sweep(grid={"wieght_decay": [0.1]}), "'wieght_decay'. Did you mean 'weight_decay'?"),
    "parameter of another model": (
        sweep(grid={"rate": [0.1]}),
        "Argument `key of grid` must be one of 'sigma1', 'sigma2', 'weight_decay', ",
    ),
    **{
        f"parameter called {name}": (
            sweep(dyn.Model(dyn.Loss.parse(f"{name} * |p - sg(z2)|^2", **{name: 1.0})), {name: [1.0, 2.0]}),
            "Argument `grid` must have no axis for a parameter of the model that has the same name as an argument of "
            f"dyn.iterate or as an array of the results (rename the parameter), but is '{name}'.",
        )
        for name in ("s0", "seed", "time", "step", "mode", "status", "target", "closure")
    },
    "empty axis": (sweep(grid={"sigma1": []}), f"Argument `sigma1` must {NUMBERS}, but is []."),
    "axis nan": (sweep(grid={"sigma1": [0.1, np.nan]}), f"Argument `sigma1` must {NUMBERS}, but is [0.1, nan]."),
    "axis of text": (sweep(grid={"sigma1": ["a"]}), f"Argument `sigma1` must {NUMBERS}, but is ['a']."),
    "axis a number": (sweep(grid={"sigma1": 0.1}), f"Argument `sigma1` must {NUMBERS}, but is 0.1."),
    "axis ragged": (sweep(grid={"sigma1": [[1], [1, 2]]}), f"Argument `sigma1` must {NUMBERS}, but is [[1], [1, 2]]."),
    "axis twice the same": (
        sweep(grid={"sigma1": [0.1, 0.1]}),
        f"Argument `sigma1` must {NUMBERS}, but is [0.1, 0.1].",
    ),
    "negative": (sweep(grid={"sigma1": [0.1, -1]}), "Argument `noise` must be two non-negative numbers"),
    "seeds of a map": (sweep(grid={"seed": [1]}), "Argument `key of grid` must be one of 'sigma1', 'sigma2', "),
    "starts of a network": (run({"s0": [S0]}, **NETWORK), "Argument `key of grid` must be one of"),
    "seed negative": (run({"seed": [1, -1]}, **NETWORK), "Argument `seed` must be a whole number >= 0"),
    "seed twice": (
        run({"seed": [1]}, seed=1, **NETWORK),
        "Argument `seed` must be left out, because `seed` is an axis",
    ),
    "learning rate zero": (
        run({"learning_rate": [0.1, 0.0]}, s0=S0, steps=1),
        "Argument `learning_rate` must be a positive number, or an array of them, but is [0.1, 0. ].",
    ),
    "learning rate of a flow": (
        run({"learning_rate": [0.1]}, **FLOW),
        "Argument `learning_rate` must be left out, because the flow of this model does not depend on the learning",
    ),
    "starts negative": (
        run({"s0": [[0.1], [-1]]}, steps=1, learning_rate=0.1),
        "Argument `s0` must be finite and non-negative eigenvalues",
    ),
    "one start for an axis": (
        run({"s0": S0}, steps=1, learning_rate=0.1),
        "Argument `s0` must be a list with the initial values of each run, but is [0.1, 0.5, 1. ].",
    ),
    "several starts": (
        sweep(s0=[S0, S0]),
        "Argument `s0` must be the initial values of one run; the initial values of several runs must",
    ),
    # the run
    "nothing to run": (run(), "A sweep of a model must have one of these sets of arguments, but has []: "),
    "no start": (
        run(times=[0, 1]),
        "Argument `s0` must be given, or be an axis of the grid, because dyn.solve requires it, but is None.",
    ),
    "no learning rate": (run(s0=S0, steps=3), "Argument `learning_rate` must be given, or be an axis of the grid"),
    "no steps": (run(W0=W0, learning_rate=0.1), "Argument `steps` must be given"),
    "keyword": (sweep(recrod=2), "Argument `keyword` must be one of 's0', 'steps'"),
    "nearest keyword": (sweep(recrod=2), "but is 'recrod'. Did you mean 'record'?"),
    "keyword of another calculation": (run(steps=3, **FLOW), "Argument `keyword` must be one of 's0', 'times'"),
    "fluctuations": (sweep(batch_size=3), "but is 'batch_size'."),
    "rest": (run(until="steady", **FLOW), "but is 'until'."),
    "steps": (sweep(steps=-1), "Argument `steps` must be a whole number >= 0, but is -1."),
    "record zero": (sweep(record=0), "Argument `record` must be a whole number >= 1, but is 0."),
    "times": (run(s0=S0, times=[1, 0]), "Argument `times` must be ascending, non-negative times of shape (T,)"),
    "rtol": (sweep(rtol=-1), "Argument `rtol` must be a positive number, but is -1."),
    "method": (
        run(method="euler", **FLOW),
        "Argument `method` must be one of 'auto', 'exact', 'heyoka', 'jax', 'scipy'",
    ),
    "no formula": (run(method="exact", **FLOW), "which has no exact solution, but is 'exact'."),
    "record": (
        run({"seed": [1]}, record=[9], **NETWORK),
        "Argument `record` must be a whole number >= 1, or a sequence of steps between",
    ),
    "device": (run({"seed": [1]}, device="gqu", **NETWORK), "but is 'gqu'. Did you mean 'gpu'?"),
    "more modes than inputs": (
        run({"seed": [1]}, **NETWORK | {"W0": W0.T}),
        "Argument `W0` must be finite weights of shape",
    ),
    "keep": (sweep(keep=["s", "weights"]), "Argument `keep` must be one of 's', 'target', 'predictor', 'blow_up_time'"),
    "keep nothing": (sweep(keep=[]), "Argument `keep` must be a list of names of result arrays, such as"),
    "keep a blow-up of networks": (run({"seed": [1]}, keep=["blow_up_time"], **NETWORK), "Argument `keep` must be one"),
    # a function
    "keep of a function": (
        sweep(table, {"x": [1], "y": [1]}, keep=["s"]),
        "Argument `keep` must be left out if `what` is",
    ),
    "argument of a function": (
        sweep(table, {"x": [1], "z": [1]}),
        "Argument `grid` must have axes that are arguments of the function table, but: ",
    ),
    "axis missing": (
        sweep(table, {"x": [1]}),
        "Argument `grid` must have axes that are arguments of the function table, but: missing a required ",
    ),
    "axis twice": (
        sweep(table, {"x": [1], "y": [1]}, x=1),
        "Argument `x` must be left out, because `x` is an axis of the",
    ),
    "axis of rows": (sweep(table, {"x": [[1], [2]], "y": [1]}), f"Argument `x` must {NUMBERS}, but is [[1], [2]]."),
    "argument that is no data": (
        sweep(table, {"x": [1], "y": [1]}, scale=object),
        "Argument `scale` must consist of numbers, text or a Model, because a sweep is identified by its arguments",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refused_before_any_work(case, tmp_path, monkeypatch):
    call, message = REFUSED[case]
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sweep_module, "outcomes", lambda *_: pytest.fail("a block was computed before the refusal"))
    with pytest.raises(dyn.ArgumentError) as raised:
        call(tmp_path / "a.zarr")
    assert message in str(raised.value) and list(tmp_path.iterdir()) == []


# --- identity ---------------------------------------------------------------------------------------------------------


OTHERS = {
    "model": (sweep(EUCLIDEAN.replace(sigma1=0.5)), "model noise ([0.1, 0.1] stored, [0.5, 0.1] now)"),
    "loss": (sweep(COSINE.replace(sigma1=0.1)), 'model loss ("euclidean" stored, "cosine" now)'),
    "calculation": (run(**FLOW), 'call ("iterate" stored, "solve" now)'),
    "argument": (sweep(steps=7), "arguments steps (6 stored, 7 now)"),
    "default": (sweep(rtol=1e-3), "arguments rtol (1e-08 stored, 0.001 now)"),
    "start": (sweep(s0=[0.1, 0.5, 2.0]), "arguments s0 ([0.1, 0.5, 1.0] stored, [0.1, 0.5, 2.0] now)"),
    "values": (sweep(grid=GRID | {"sigma2": SIGMAS + 1}), "grid sigma2 ([0.1, 0.2, 0.3] stored, [1.1, 1.2, 1.3] now)"),
    "axes": (sweep(grid={"sigma2": SIGMAS}), 'axes (["weight_decay", "sigma2"] stored, ["sigma2"] now)'),
    "order of axes": (
        sweep(grid=dict(reversed(GRID.items()))),
        'axes (["weight_decay", "sigma2"] stored, ["sigma2", "weight_decay"] now)',
    ),
    "chunk": (sweep(chunk=3), "block ([5, 3] stored, [1, 3] now)"),
    "keep": (sweep(keep=["s"]), 'kept (["s", "blow_up_time"] stored, ["s"] now)'),
    "function": (sweep(table, {"x": [1], "y": [1]}), 'call ("iterate" stored, "tests.sweeps.models.table" now)'),
}


@pytest.fixture(scope="module")
def small_store(tmp_path_factory):
    path = tmp_path_factory.mktemp("store") / "a.zarr"
    dyn.sweep(EUCLIDEAN, GRID, store=path, **DESCENT)
    return path


@pytest.mark.parametrize("case", OTHERS)
def test_store_of_another_sweep_is_refused(case, small_store):
    call, difference = OTHERS[case]
    before = files(small_store)
    with pytest.raises(dyn.ArgumentError) as raised:
        call(small_store)
    requirement = "name a new path, or a store of the same sweep"
    start = f"Argument `store` must {requirement}, but {small_store} is of a sweep that differs in"
    assert str(raised.value).startswith(start) and difference in str(raised.value)
    assert files(small_store) == before


def test_values_of_the_model_for_axes_are_ignored(small_store):
    before = files(small_store)
    dyn.sweep(EUCLIDEAN.replace(weight_decay=3.0), GRID, store=small_store, **DESCENT)
    assert files(small_store) == before


def test_long_arrays_are_distinguished_by_their_digest(tmp_path):
    times = np.linspace(0, 1, 100)
    sweep = functools.partial(dyn.sweep, EUCLIDEAN, GRID, store=tmp_path / "a.zarr", s0=S0)
    sweep(times=times)
    sweep(times=times.tolist())
    with pytest.raises(dyn.ArgumentError, match="differs in arguments times sha256"):
        sweep(times=np.nextafter(times, 2))


def test_store_of_other_generated_code_is_refused(tmp_path, monkeypatch):
    dyn.sweep(EUCLIDEAN, GRID, store=tmp_path / "a.zarr", **DESCENT)
    dyn.sweep(table, {"x": [1], "y": [1]}, store=tmp_path / "b.zarr")
    (tmp_path / "euclidean_stop_target.py").write_text("# a sign was wrong")
    monkeypatch.setattr(derived_loss, "FOLDER", tmp_path)
    with pytest.raises(dyn.ArgumentError, match="differs in generated code euclidean_stop_target"):
        dyn.sweep(EUCLIDEAN, GRID, store=tmp_path / "a.zarr", **DESCENT)
    monkeypatch.setattr(plan.generated, "__path__", [str(tmp_path)])
    with pytest.raises(dyn.ArgumentError, match="differs in generated code "):
        dyn.sweep(table, {"x": [1], "y": [1]}, store=tmp_path / "b.zarr")


def test_store_of_another_version_of_a_function_is_refused(tmp_path):
    def version(body):
        path = tmp_path / "version.py"
        path.write_text(f"def f(x):\n    return {body}\n")
        code = compile(path.read_text(), str(path), "exec")
        names = {"__name__": "version"}
        exec(code, names)
        linecache.checkcache(str(path))
        return names["f"]

    dyn.sweep(version('{"a": x}'), {"x": [1]}, store=tmp_path / "a.zarr")
    dyn.sweep(version('{"a": x}'), {"x": [1]}, store=tmp_path / "a.zarr")
    with pytest.raises(dyn.ArgumentError, match="differs in source "):
        dyn.sweep(version('{"a": x + 1}'), {"x": [1]}, store=tmp_path / "a.zarr")


def test_stores_of_other_formats_are_refused(tmp_path, monkeypatch):
    dyn.sweep(EUCLIDEAN, GRID, store=tmp_path / "a.zarr", **DESCENT)
    monkeypatch.setattr(plan, "FORMAT", "ssl-dynamics sweep 4")
    with pytest.raises(dyn.ArgumentError, match="differs in the format 'ssl-dynamics sweep 3'"):
        dyn.sweep(EUCLIDEAN, GRID, store=tmp_path / "a.zarr", **DESCENT)


def test_a_function_whose_file_holds_other_text_has_no_digest(tmp_path):
    path, names = tmp_path / "prose.md", {}
    path.write_text("text (\n" * 3)
    exec(compile("\ndef square(x):\n    return {'square': x**2}\n", str(path), "exec"), names)
    squares = dyn.sweep(names["square"], {"x": [1, 2]}, store=tmp_path / "a.zarr")
    np.testing.assert_array_equal(squares.square, [1, 4])
