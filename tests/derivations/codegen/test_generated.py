"""Generated code: up to date, the same every time, for NumPy and JAX alike."""

import hashlib
import importlib
import inspect
import os
import shutil
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import sympy as sp

from derivations.codegen import folder, generated
from derivations.codegen.functions import function
from derivations.errors import UntranslatableError
from derivations.losses import reader
from derivations.losses.catalogue import catalogue
from derivations.symbols import notation as n
from tests.reference import over_modes


@pytest.fixture(scope="module")
def sources():
    """File name -> source, generated once."""
    return generated.files()


def committed():
    """Return file name -> source of the committed files."""
    return {path.name: path.read_text(encoding="utf-8") for path in generated.GENERATED.glob("*.py")}


@pytest.fixture
def copy(tmp_path, monkeypatch):
    """A folder with the generated files as committed, which ``generated.files`` returns."""
    monkeypatch.setattr(generated, "files", committed)
    for path in generated.GENERATED.glob("*.py"):
        shutil.copy(path, tmp_path)
    return tmp_path


def test_committed_files_are_what_the_derivations_give(sources):
    assert committed() == sources


def test_every_setting_has_a_module():
    assert {f"{setting.name}.py" for setting in catalogue()} < committed().keys()


DIGEST = "import hashlib; from derivations.codegen import generated; "
DIGEST += "print(hashlib.sha256(repr(sorted(generated.files().items())).encode()).hexdigest())"


@pytest.mark.long
@pytest.mark.parametrize("seed", ["1", "4242"])
def test_generation_does_not_depend_on_the_hash_seed(sources, seed):
    paths = os.pathsep.join(p for p in [str(generated.GENERATED.parent.parent), os.environ.get("PYTHONPATH")] if p)
    environment = os.environ | {"PYTHONHASHSEED": seed, "PYTHONPATH": paths}
    command = [sys.executable, "-W", "error", "-c", DIGEST]
    result = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    expected = hashlib.sha256(repr(sorted(sources.items())).encode()).hexdigest()
    assert (result.returncode, result.stdout.strip()) == (0, expected), result.stderr


def test_no_drift_in_a_copy(copy):
    assert folder.differing(copy, generated.files()) == []
    assert folder.write(copy, generated.files()) == []


def change(folder):
    path = folder / "cosine_isotropic.py"
    path.write_text(path.read_text(encoding="utf-8") + "\n", encoding="utf-8")
    return "cosine_isotropic.py"


def remove(folder):
    (folder / "eigenvalues.py").unlink()
    return "eigenvalues.py"


def add(folder):
    (folder / "stray.py").write_text("", encoding="utf-8")
    return "stray.py"


@pytest.mark.parametrize("spoil", [change, remove, add])
def test_drift_is_noticed_and_repaired(copy, spoil):
    name = spoil(copy)
    assert folder.differing(copy, generated.files()) == [name]
    assert folder.write(copy, generated.files()) == [name]
    assert folder.differing(copy, generated.files()) == []


def test_the_command_fails_on_drift_and_names_the_file(copy, monkeypatch, capsys):
    name = change(copy)
    monkeypatch.setattr(sys, "argv", ["codegen", "--check"])
    assert folder.main("codegen", "", copy, generated.files) == 1
    assert name in capsys.readouterr().out
    change(copy)
    folder.write(copy, generated.files())
    assert folder.main("codegen", "", copy, generated.files) == 0


# --- the printer ----------------------------------------------------------------------------------------------------


def source_of(expression):
    return function("f", ["s", "lam", "alpha"], "...", [expression])


def energy(index):
    return 2 * sp.Sum(n.lam[index] * n.s[index] ** 2, (index, 1, n.M)) + n.s[n.m]


def test_the_name_of_a_bound_index_does_not_matter():
    first, second = (energy(sp.Symbol(name, integer=True)) for name in ("j", "zz"))
    assert first != second
    assert source_of(first) == source_of(second)


def test_sums_are_over_the_last_axis():
    scope = {}
    exec(source_of(energy(sp.Symbol("j", integer=True))), scope)
    s, lam = np.arange(1.0, 7.0).reshape(2, 3), np.array([1.0, 2.0, 3.0])
    expected = 2 * np.einsum("m,bm->b", lam, s**2)[:, None] + s
    np.testing.assert_allclose(scope["f"](s, lam, 1.0), expected, rtol=1e-15)  # a handful of exact small integers


@pytest.mark.parametrize("name", reader.FUNCTIONS)
def test_functions_of_the_language_have_array_code(name):
    scope, s = {}, np.array([0.3, 1.0, 2.0])
    applied = reader.FUNCTIONS[name]
    exec(source_of(applied(n.s[n.m]) + applied(sp.Integer(1))), scope)
    numeric = getattr(np, name)
    np.testing.assert_allclose(scope["f"](s, s, 1.0), numeric(s) + numeric(1.0), rtol=1e-15, atol=1e-15)


i, j = sp.symbols("i j", integer=True)
UNTRANSLATABLE = {
    "gamma function": (sp.gamma(n.s[n.m]), r"gamma.*s\[m\]"),
    "sine": (sp.sin(n.alpha), r"function sin in sin\(alpha\)"),
    "sum over two indices": (sp.Sum(n.s[i] * n.lam[j], (i, 1, n.M)), r"lam\[j\].*several mode indices"),
    "derivative": (sp.Derivative(sp.Function("f")(n.t), n.t), "Derivative"),
    "integral": (sp.Integral(sp.exp(-(n.t**4)), (n.t, 0, 1)), "Integral"),
    "product over two indices": (sp.Product(n.s[i] * n.lam[j], (i, 1, n.M)), r"lam\[j\].*several mode indices"),
    "case distinction": (sp.Piecewise((n.alpha, n.alpha > 1), (0, True)), "Piecewise"),
    "Lambert function": (sp.LambertW(n.alpha), "LambertW"),
    "Kronecker delta": (sp.KroneckerDelta(n.m, i), "KroneckerDelta"),
}


@pytest.mark.parametrize("name", UNTRANSLATABLE)
def test_what_has_no_array_code_is_refused_by_name(name):
    expression, culprit = UNTRANSLATABLE[name]
    with pytest.raises(UntranslatableError, match=culprit):
        source_of(expression)


# --- NumPy and JAX --------------------------------------------------------------------------------------------------

MODES = 3
VECTORS = {
    "s": [0.3, 1.1, 2.0],
    "lam": [0.5, 0.9, 1.7],
    "lam0": [0.2, 0.5, 3.0],
    "lam1": [0.3, 0.4, 2.0],
    "r": [0.1, -0.2, 0.3],
    "z1": [0.4, -1.2, 0.7],
    "z2": [1.3, 0.2, -0.6],
    "t1": [0.3, -1.0, 0.8],
    "t2": [1.1, 0.3, -0.5],
    "ratio": [0.9, 1.2, 0.8],
    "w": [0.5, -1.0, 1.4],
    "force": [0.2, -0.1, 0.4],
    "weights": [0.3, -0.7, 1.2],
    "average": [0.6, 1.0, 1.5],
    "buffer": [0.2, -0.4, 0.9],
    "cross": [0.5, 1.0, 1.7],
}
NUMBERS = {"x": 0.7, "y": 0.4, "alpha": 0.5, "excess1": 0.09, "excess2": 0.04, "rho": 0.1, "eta": 0.01, "t": 0.05}
NUMBERS |= {"n1": 1.09, "epsilon": 0.1, "decay": 0.9, "rate_ratio": 2.0, "momentum": 0.8}


RANDOM = np.random.default_rng(0)
MATRICES = {name: RANDOM.normal(size=(MODES, 2 * MODES)) for name in ("z1", "z2", "t1", "t2", "p1", "p2")}


def arguments(code, asarray, stop_gradient):
    parameters, vectors = inspect.signature(code).parameters, VECTORS
    if code.__name__.startswith("forces"):  # the vectors are matrices
        vectors = VECTORS | MATRICES
    elif "x" in parameters:  # an integrand, with nodes on the last axis
        vectors = {name: np.asarray(value)[:, None] for name, value in VECTORS.items()}
    known = {name: asarray(value) for name, value in (vectors | NUMBERS).items()}
    known |= {"predict": lambda z: asarray(np.diag([0.5, 0.9, 1.7])) @ z, "stop_gradient": stop_gradient}
    known["over_modes"] = over_modes
    return [known[name] for name in parameters]


def functions(module):
    """Functions for both kinds of arrays; exact solutions are evaluated in NumPy's extended precision only."""
    own = {name: f for name, f in vars(module).items() if inspect.isfunction(f) and f.__module__ == module.__name__}
    return {name: f for name, f in own.items() if name not in ("growth", "time_to_reach")}


def as_tuple(results):
    return results if isinstance(results, tuple) else (results,)


MODULES = [s.name for s in catalogue()] + ["eigenvalues"]


@pytest.mark.parametrize("name", MODULES)
def test_generated_code_gives_the_same_with_numpy_and_jax(name, double_precision):
    module = importlib.import_module(f"dynamics.generated.{name}")
    assert functions(module)
    for code in functions(module).values():
        with np.errstate(invalid="ignore"):  # fixed points that are not there are not a number
            with_numpy = code(*arguments(code, np.asarray, lambda z: z))
        with_jax = code(*arguments(code, jnp.asarray, jax.lax.stop_gradient))
        for a, b in zip(as_tuple(with_numpy), as_tuple(with_jax), strict=True):
            # Fewer than 100 operations, each rounded to 1.1e-16, on numbers between 0.05 and 5.
            np.testing.assert_allclose(np.asarray(a, float), np.asarray(b, float), rtol=1e-13, atol=1e-14)
