"""Examples in docstrings run as printed, and every public function has one."""

import doctest
import importlib
import inspect
from pathlib import Path

import pytest

import dynamics as dyn

ROOT = Path(__file__).resolve().parent.parent
WITH_EXAMPLES = [
    ".".join(path.relative_to(ROOT).with_suffix("").parts)
    for path in sorted((ROOT / "dynamics").rglob("*.py"))
    if ">>> " in path.read_text(encoding="utf-8")
]


@pytest.mark.parametrize("name", WITH_EXAMPLES)
def test_examples_run_as_printed(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    results = doctest.testmod(importlib.import_module(name))
    assert results.failed == 0 < results.attempted


@pytest.mark.parametrize("name", [name for name in sorted(dyn.__all__) if inspect.isfunction(getattr(dyn, name))])
def test_a_public_function_has_an_example(name):
    assert ">>> " in inspect.getdoc(getattr(dyn, name))
