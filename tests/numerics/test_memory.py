"""A request that would not fit is refused before it starts, with the number."""

from collections import Counter
from types import SimpleNamespace

import numpy as np
import psutil
import pytest

import dynamics as dyn
from dynamics.numerics import memory, ranges
from dynamics.sweeps.grid import Grid
from tests.cli.test_commands import call

MODEL = dyn.Model("euclidean", stop_gradient="none")
FREE = 1_000_000  # bytes


@pytest.fixture
def little_memory(monkeypatch):
    monkeypatch.setattr(memory, "available", lambda: FREE)


REQUESTS = {
    # 8 bytes x 1 array x 3 modes x 1000 times
    "solve": (lambda n: dyn.solve(MODEL, np.ones((n, 3)), np.linspace(0, 1, 1000)), 24_000, "fewer times"),
    "iterate": (lambda n: dyn.iterate(MODEL, np.ones((n, 3)), 998, 0.1), 24_000, "fewer steps"),
    # 4 bytes x 2 x 3 weights x 1001 records
    "train": (lambda n: dyn.train(MODEL, np.eye(2, 3), 1000, 0.1, batch_size=1, seed=range(n)), 24_024, "fewer steps"),
}


@pytest.mark.parametrize("name", REQUESTS)
def test_a_result_that_does_not_fit_is_refused_with_its_size(name, little_memory):
    request, each, remedy = REQUESTS[name]
    many = FREE // each + 1
    message = rf"would take 1.\d+MB, 24.0kB for each of {many} trajectories .*, and 1.00MB of memory are free"
    with pytest.raises(dyn.ArgumentError, match=message):
        request(many)
    with pytest.raises(dyn.ArgumentError, match=remedy):
        request(many)


def test_a_result_that_fits_is_computed(little_memory):
    assert dyn.solve(MODEL, np.ones((41, 3)), np.linspace(0, 1, 1000), method="jax").s.shape == (41, 1000, 3)


def test_available_memory_is_what_psutil_reports(monkeypatch):
    monkeypatch.setattr(psutil, "virtual_memory", lambda: SimpleNamespace(total=100, available=30, free=20))
    assert memory.available() == 30


@pytest.mark.parametrize("version", [2, 1])
def test_the_limit_of_a_container_is_respected(version, monkeypatch, tmp_path):
    limit, used, cached = memory.CONTROL_GROUPS[2 - version]
    monkeypatch.setattr(memory, "CONTROL_GROUP_FOLDER", tmp_path)
    monkeypatch.setattr(psutil, "virtual_memory", lambda: SimpleNamespace(available=1000))
    for name, text in ((limit, "500"), (used, "450")):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(f"{text}\n")
    assert memory.available() == 1000  # without memory.stat
    (tmp_path / limit).with_name("memory.stat").write_text(f"anon 400\n{cached} 30\n")
    assert memory.available() == 80
    (tmp_path / limit).write_text("max\n")
    assert memory.available() == 1000


def test_memory_is_counted_by_members_times_values_and_their_size(little_memory):
    memory.check_fits(members=10, times=100, values=125, remedy="Fewer.")  # 8 bytes each: exactly what is free
    memory.check_fits(members=10, times=100, values=250, remedy="Fewer.", itemsize=4)
    with pytest.raises(
        dyn.ArgumentError, match=r"would take 1\.01MB, 101kB for each of 10 .* with 100 times.* Fewer\."
    ):
        memory.check_fits(members=10, times=100, values=126, remedy="Fewer.")


# --- sizes without limit ----------------------------------------------------------------------------------------------

W0, RANGES = np.eye(1, 2), (("weight_decay", (0.0, 0.4)), ("learning_rate", (0.1, 0.5)))
IMAGES = dyn.gaussian_images(side=4, train=10, test=5)
MILLION, BILLION, TRILLION = 10**6, 10**9, 10**12


def train(steps=1, network=W0, **options):
    return lambda _: dyn.train(MODEL, network, steps, 0.1, **options)


def iterate(steps, **options):
    return lambda _: dyn.iterate(MODEL, [0.1], steps, 0.1, **options)


def phase_diagram(**options):
    return lambda _: dyn.phase_diagram(dyn.Model("euclidean"), [0.5], *RANGES, **options)


def sweep(grid, **options):
    return lambda folder: dyn.sweep(MODEL, grid, store=folder / "a.zarr", **options)


def toml(**run):
    def command(folder):
        lines = [f"{key} = {value}" for key, value in run.items()]
        (folder / "a.toml").write_text("\n".join([f"store = '{folder}/a.zarr'", *lines]))
        return call("sweep", folder / "a.toml")

    return command


def function(weight_decay, sigma1):
    return {"a": weight_decay}


AXES = {"weight_decay": np.linspace(0, 1, MILLION), "sigma1": np.linspace(0, 1, MILLION)}
RANGE = "{ from = 0.0, to = 1.0, points = 1_000_000_000_000 }"
MODEL_TABLE = "{ loss = 'euclidean' }"
FLOW = {"s0": [0.1], "times": [0.0, 1.0]}

# case: (call with a folder, part of the message)
HUGE = {
    "batch": (train(batch_size=10**13), "A batch of 10,000,000,000,000 samples with 2 inputs, .* would take 560TB"),
    "steps of a network": (train(BILLION), "`steps` must be a whole number below 1,000,000,000, but is 1,000,000,000"),
    "more steps of a network": (train(TRILLION, record=BILLION), "but is 1,000,000,000,000. At .* 2.8e.03 hours"),
    "records of a network": (train(BILLION - 1), "The list of 1,000,000,001 recorded steps would take 24.0GB"),
    "seeds": (train(seed=range(BILLION)), "`seed` must .*, at most 10,000,000 of them, but is range"),
    "steps": (iterate(BILLION), "`steps` must be a whole number below 1,000,000,000, but is 1,000,000,000"),
    "more steps": (iterate(TRILLION, record=BILLION), "`steps` must .*, but is 1,000,000,000,000"),
    "records": (iterate(BILLION - 1), "The list of 1,000,000,001 recorded steps would take 24.0GB"),
    "phase diagram": (phase_diagram(points=10**5), "A phase diagram of 100,000 x 100,000 points would take 7.68TB"),
    "range": (phase_diagram(points=TRILLION), "A range of 1,000,000,000,000 points would take 64.0TB"),
    "steps of a phase diagram": (phase_diagram(steps=TRILLION), "`steps` must .*, but is 1,000,000,000,000"),
    "bifurcation": (
        lambda _: dyn.bifurcation(dyn.Model("euclidean"), "weight_decay", (0, 0.3), points=BILLION),
        "A range of 1,000,000,000 points would take 16.0TB",
    ),
    "prepared modes": (
        lambda _: dyn.prepare(MODEL, modes=TRILLION, times=[0, 1]),
        "An initial state of 1,000,000,000,000 modes",
    ),
    "equilibria": (
        lambda _: dyn.equilibria(dyn.Model("euclidean", weight_decay=0.1), np.ones(10**4)),
        "The 50,015,001 equilibria of 10,000 modes would take 8.12TB",
    ),
    "rates": (
        lambda _: dyn.effective_rates(dyn.Model("euclidean"), np.ones(MILLION)),
        "1,000,000 eigenvalues would take",
    ),
    "check": (
        lambda _: dyn.check(dyn.Model("euclidean"), np.ones(10**5)),
        "Samples of 100,000 modes would take 1.28TB",
    ),
    "pixels": (lambda _: dyn.gaussian_images(side=10**4), "2,500 images of 100,000,000 pixels, .* would take 240PB"),
    "widths": (train(network=dyn.Network(IMAGES, dyn.MLP((BILLION,)))), "1 networks of 80,000,003,072 weights .*TB"),
    "channels": (train(network=dyn.Network(IMAGES, dyn.ConvNet((BILLION,)))), "1 networks of 73,000,003,072 weights"),
    "images": (train(network=dyn.Network(IMAGES), batch_size=TRILLION), "batches of 1,000,000,000,000 images .*PB"),
    "sweep": (sweep(AXES, **FLOW), "room for the sweep, which needs 32768000000000 bytes before compression"),
    "sweep of a function": (
        lambda folder: dyn.sweep(function, AXES, store=folder / "a.zarr"),
        "room for the sweep, which needs 8192000000000 bytes before compression",
    ),
    "axis": (sweep({"weight_decay": range(BILLION)}, **FLOW), "`weight_decay` must .*, at most 10,000,000 of them"),
    "steps of a sweep": (
        sweep({"weight_decay": [0.1]}, s0=[0.1], steps=BILLION, learning_rate=0.1),
        "`steps` must be a whole number below 1,000,000,000",
    ),
}
HUGE_COMMANDS = {
    "points": (lambda _: call("solve", "--points", BILLION), "A range of 1,000,000,000 points would take 64.0GB"),
    "weights": (
        lambda _: call("solve", "--modes", MILLION, "--inputs", MILLION),
        "Weights (1,000,000, 1,000,000) would take 16.0TB",
    ),
    "modes": (lambda _: call("solve", "--modes", MILLION), "--modes must be at most the number of inputs, 15"),
    "times of a file": (
        toml(model=MODEL_TABLE, grid="{ weight_decay = [0.1] }", run=f"{{ s0 = [0.1], times = {RANGE} }}"),
        "A range of 1,000,000,000,000 points would take 64.0TB",
    ),
    "axis of a file": (
        toml(model=MODEL_TABLE, grid=f"{{ weight_decay = {RANGE} }}", run="{ s0 = [0.1], times = [0.0, 1.0] }"),
        "A range of 1,000,000,000,000 points would take 64.0TB",
    ),
}


@pytest.fixture
def usual_memory(monkeypatch):
    monkeypatch.setattr(memory, "available", lambda: 16 * 10**9)


@pytest.mark.parametrize("case", HUGE)
def test_a_size_without_limit_is_refused_with_the_number(case, usual_memory, tmp_path):
    request, message = HUGE[case]
    with pytest.raises(dyn.ArgumentError, match=message):
        request(tmp_path)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("case", HUGE_COMMANDS)
def test_a_size_without_limit_is_refused_by_the_command_line(case, usual_memory, tmp_path):
    request, message = HUGE_COMMANDS[case]
    done = request(tmp_path)
    assert done.exit_code == 2 and message in done.output and not (tmp_path / "a.zarr").exists()


def test_a_range_is_refused_before_it_is_made(usual_memory, monkeypatch):
    monkeypatch.setitem(ranges.SPACINGS, "linear", lambda *_: pytest.fail("the range was made"))
    with pytest.raises(dyn.ArgumentError, match="A range of 2,000,000,000 points"):
        ranges.evenly_spaced(0.0, 1.0, 2 * BILLION)


@pytest.mark.parametrize("sizes", [((7, 5), (3, 2)), ((4,), (4,)), ((6, 1, 9), (2, 1, 4))], ids=str)
def test_blocks_are_counted_by_size(sizes):
    shape, block = sizes
    grid = Grid({f"axis{i}": np.arange(n) for i, n in enumerate(shape)}, block)
    assert grid.block_sizes() == Counter(map(grid.points, range(len(grid))))
