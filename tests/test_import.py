"""Importing: quick, without side effects, and nothing heavy before it is needed. Each test in a fresh interpreter."""

import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

import dynamics as dyn
from dynamics.cli import commands

ROOT = Path(__file__).resolve().parent.parent
EXACT = "dyn.solve(dyn.Model('euclidean', noise=(0.1, 0.2)), [0.1, 0.5], [0, 1])"
TRAINED = "dyn.train(dyn.Model('cosine'), np.eye(2, 3), 2, 0.1, batch_size=10, dtype='{dtype}')"


START = "import sys\nimport numpy as np\nimport dynamics as dyn\n"


def fresh(code, start=START):
    """Return the words that a new interpreter prints; warnings are errors."""
    run = [sys.executable, "-W", "error", "-c", start + code]
    done = subprocess.run(run, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


def loaded(code, *modules):
    """Which of the modules are loaded after the code."""
    return fresh(f"{code}\nprint(*(name for name in {modules} if name in sys.modules))")


def test_import_loads_nothing_but_the_package():
    code = """
import sys
before = set(sys.modules)
import dynamics
print(*{name.split('.')[0] for name in set(sys.modules) - before} - set(sys.stdlib_module_names))
"""
    assert set(fresh(code, start="")) == {"dynamics", "lazy_loader"}


def test_a_sweep_needs_neither_dask_nor_jax_nor_matplotlib(tmp_path):
    code = f"""
model, path = dyn.Model('cosine'), {str(tmp_path / "a.zarr")!r}
assert dyn.sweep(model, {{'sigma1': [0.1]}}, store=path, s0=[0.1, 0.5], steps=2, learning_rate=0.1).status.item() == 1
"""
    assert loaded(code, "xarray", "zarr", "distributed", "sympy", "jax", "matplotlib") == ["xarray", "zarr"]


def test_a_worker_needs_no_store():
    """A worker unpickles its calculation without the modules that write results."""
    assert loaded("import dynamics.sweeps.block", "xarray", "zarr", "jax", "scipy") == []


def test_exact_solution_needs_neither_sympy_nor_jax_nor_matplotlib():
    assert loaded(f"assert {EXACT}.complete", "scipy", "sympy", "jax", "matplotlib") == []


@pytest.mark.parametrize(
    "code",
    [
        "dyn.solve(dyn.Model('cosine'), [0.1, 0.5], [0, 1])",
        "dyn.iterate(dyn.Model('cosine'), [0.1, 0.5], 2, 0.1)",
    ],
    ids=["flow", "descent"],
)
def test_numpy_and_scipy_do_without_sympy_and_jax(code):
    assert loaded(code, "sympy", "jax", "matplotlib") == []


def test_training_needs_neither_sympy_nor_matplotlib():
    assert loaded(TRAINED.format(dtype="float32"), "sympy", "jax", "matplotlib") == ["jax"]


def test_a_linear_network_needs_no_layers():
    code = TRAINED.format(dtype="float32")
    assert loaded(code, "equinox", "optax", "sklearn") == []


def test_images_need_neither_jax_nor_matplotlib():
    assert loaded("dyn.gaussian_images(train=2, test=2), dyn.digits()", "jax", "equinox", "matplotlib", "sklearn") == [
        "sklearn"
    ]


@pytest.mark.parametrize("suffix", ["npz", "nc"])
def test_reading_a_file_needs_nothing_heavy(suffix, tmp_path):
    code = f"dyn.load({EXACT}.save({str(tmp_path / 'run')!r} + '.{suffix}'))"
    assert loaded(code, "sympy", "jax", "matplotlib", "xarray", "pandas") == []


def test_training_and_solving_change_no_setting_of_jax():
    code = f"""
import jax
names = [name for name in jax.config.values if hasattr(jax.config, name)]
before = {{name: getattr(jax.config, name) for name in names}}
{TRAINED.format(dtype="float64")}
dyn.solve(dyn.Model('euclidean'), [0.1, 0.5], [0, 1], method='jax')
assert jax.config.jax_enable_x64 is False and jax.numpy.ones(1).dtype == 'float32'
print(*(name for name in names if getattr(jax.config, name) != before[name]), 'checked', len(names) > 50)
"""
    assert fresh(code) == ["checked", "True"]


def test_drawing_changes_no_setting_of_matplotlib():
    code = f"""
import matplotlib
matplotlib.use('Agg')
before = dict(matplotlib.rcParams)
{EXACT}.plot().figure.canvas.draw()
print(*(name for name in before if before[name] != matplotlib.rcParams[name]), 'checked', len(before) > 50)
"""
    assert fresh(code) == ["checked", "True"]


@pytest.mark.long
def test_random_numbers_of_the_user_are_left_alone():
    code = f"""
import jax  # which draws from them itself when it is imported
np.random.seed(0)
before = np.random.get_state()[1].tolist()
{TRAINED.format(dtype="float32")}
print(before == np.random.get_state()[1].tolist())
"""
    assert fresh(code) == ["True"]


# --- extras ---------------------------------------------------------------------------------------------------------

DEEP = """
images = dyn.gaussian_images(train=4, test=4)
dyn.train(dyn.Model('cosine'), dyn.Network(images, encoder=dyn.MLP((4,))), 1, 0.1)
"""


@pytest.mark.parametrize(
    ("library", "code", "extra"),
    [
        ("sklearn", "dyn.digits()", "deep"),
        ("equinox", DEEP, "deep"),
        ("optax", DEEP, "deep"),
        ("threadpoolctl", DEEP, "deep"),
        ("xarray", "dyn.sweep", "sweeps"),
        ("zarr", "dyn.sweep", "sweeps"),
        ("xarray", f"{EXACT}.to_xarray()", "data"),
        ("xarray", f"{EXACT}.to_dataframe()", "data"),
    ],
)
def test_a_missing_library_is_named_with_its_extra(library, code, extra):
    attempt = "\n".join(f"    {line}" for line in code.strip().splitlines())
    printed = fresh(
        f"from dynamics.errors import MissingExtraError\n"
        f"sys.modules[{library!r}] = None  # as if it were not installed\n"
        f"try:\n{attempt}\nexcept MissingExtraError as error:\n    print(error)"
    )
    wanted = (
        f'Not installed: {library}. In a clone of the repository, install what is missing: pip install ".[{extra}]"'
    )
    assert printed == wanted.split()


def test_the_command_line_names_the_extra_too(monkeypatch):
    monkeypatch.setitem(sys.modules, "latex2mathml", None)
    result = CliRunner().invoke(commands.main, ["derive", "--format", "html"])
    assert result.exit_code == 5
    assert result.output.startswith("Error: ") and 'pip install ".[report]"' in result.output


# --- public names ---------------------------------------------------------------------------------------------------

PUBLIC = {
    *(
        "Model",
        "ClosedForm",
        "Learned",
        "NoPredictor",
        "Shared",
        "EMA",
        "Reconstruction",
        "solve",
        "iterate",
        "train",
        "compare",
        "load",
    ),
    "concatenate",
    "Views",
    "Momentum",
    *("prepare", "PreparedSolver"),
    *("Loss", "Gain", "check", "Check", "design", "Design"),
    *("RateFunction", "ArrivalTimes", "SimultaneousArrival", "ThresholdRecruitment", "FastestUniform"),
    *("Trajectory", "Comparison", "ArgumentError", "AccuracyWarning", "sweep", "SweepError", "plot_sweep"),
    *("invariants", "Invariant", "equilibria", "Equilibria", "Equilibrium"),
    *("bifurcation", "Bifurcation", "phase_diagram", "PhaseDiagram"),
    *("collapse", "Collapse", "convergence_time", "effective_rates"),
    *("Network", "MLP", "ConvNet", "Augmentation", "Images", "digits", "cifar10", "gaussian_images"),
}


def test_public_names():
    assert set(dir(dyn)) == set(dyn.__all__) == PUBLIC
    assert dir(dyn) == sorted(PUBLIC)


@pytest.mark.parametrize("name", sorted(PUBLIC))
def test_each_public_name_is_there_and_documented(name):
    assert getattr(dyn, name).__name__ == name
    assert getattr(dyn, name).__doc__


@pytest.mark.parametrize("name", ["trian", "np", "_nothing"])
def test_an_unknown_attribute_is_named(name):
    with pytest.raises(AttributeError, match=f"`dynamics` has no `{name}`"):
        getattr(dyn, name)


def test_the_citation_names_the_version():
    assert f"\nversion: {dyn.__version__}\n" in (ROOT / "CITATION.cff").read_text(encoding="utf-8")
