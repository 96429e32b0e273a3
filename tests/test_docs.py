"""The documents: examples run as printed, and what they point at exists."""

import ast
import importlib
import re
import shlex
from pathlib import Path

import matplotlib.pyplot as plt
import pytest
import sympy as sp
from click.testing import CliRunner

from derivations.losses import catalogue
from derivations.symbols import notation
from dynamics.cli import commands as cli

ROOT = Path(__file__).resolve().parent.parent
WITH_EXAMPLES = ("README.md", "docs/networks.md", "docs/sweeps.md", "docs/losses.md", "docs/invent_a_loss.md")
DOCUMENTS = (*WITH_EXAMPLES, "CONTRIBUTING.md", "docs/map.md", "docs/combinations.md")
SOURCES = ("dynamics", "dynamics/deep", "derivations")


def text(document):
    return (ROOT / document).read_text(encoding="utf-8")


def python_blocks(document):
    return re.findall(r"^```python\n(.*?)^```", text(document), re.MULTILINE | re.DOTALL)


def commands(document):
    """Printed calls of the command line, whose output goes where the reader is."""
    return re.findall(r"^    (ssl-dynamics .*)$", text(document), re.MULTILINE)


@pytest.mark.parametrize("document", WITH_EXAMPLES)
def test_examples_run_as_printed(document, tmp_path, monkeypatch, capsys):
    """One after another, as a reader does."""
    plt.switch_backend("Agg")
    monkeypatch.chdir(tmp_path)
    names = {"__name__": "__main__"}
    for code in python_blocks(document):
        exec(compile(code, document, "exec"), names)
        plt.close("all")
        assert all((tmp_path / name).stat().st_size for name in re.findall(r'savefig\("(.+?)"', code))
        assert ("print(" in code) == bool(capsys.readouterr().out)


def test_readme_has_an_example():
    assert any("dyn.compare(" in code for code in python_blocks("README.md"))


def test_the_files_of_sweeps_run(tmp_path, monkeypatch):
    files = re.findall(r"^```toml\n(.*?)^```", text("docs/sweeps.md"), re.MULTILINE | re.DOTALL)
    monkeypatch.chdir(tmp_path)
    sizes = ["(weight_decay: 4, decay: 3, step: 21, mode: 3)", "(beta: 11, weight_decay: 2, step: 21, mode: 3)"]
    for printed, size in zip(files, sizes, strict=True):
        Path("sweep.toml").write_text(printed, encoding="utf-8")
        done = CliRunner().invoke(cli.main, ["sweep", "sweep.toml"], prog_name="ssl-dynamics")
        assert done.exit_code == 0 and size in done.output, done.output


@pytest.mark.parametrize("line", commands("README.md") + commands("docs/losses.md"))
def test_printed_commands_run(line, tmp_path, monkeypatch):
    plt.switch_backend("Agg")
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(cli.main, shlex.split(line)[1:], prog_name="ssl-dynamics")
    plt.close("all")
    assert done.exit_code == 0, done.output


def test_commands_of_the_help_run(tmp_path, monkeypatch):
    """The examples of `ssl-dynamics --help`, in their order: later ones read what earlier ones wrote."""
    monkeypatch.chdir(tmp_path)
    plt.switch_backend("Agg")
    lines = re.findall(r"^ +(ssl-dynamics .*)$", cli.main.help, re.MULTILINE)
    assert len(lines) >= 6
    for line in lines:
        done = CliRunner().invoke(cli.main, shlex.split(line)[1:], prog_name="ssl-dynamics")
        assert done.exit_code == 0, f"{line}\n{done.output}"
    plt.close("all")


def test_the_line_that_adds_a_loss_is_valid(monkeypatch):
    """It goes into LOSSES of derivations/losses/catalogue.py: a name, and a sentence in p and z2."""
    (code,) = python_blocks("CONTRIBUTING.md")
    ((name, sentence),) = ast.literal_eval(f"{{{code}}}").items()
    monkeypatch.setitem(catalogue.LOSSES, name, sentence)
    loss = catalogue.Setting(name).in_eigenbasis()
    assert name.isidentifier() and loss.atoms(sp.IndexedBase) == {notation.lam, notation.z1, notation.t2}


def paths(document):
    """Files and folders in backticks, and the targets of relative links."""
    quoted = re.findall(r"`([\w./-]+(?:\.py|\.md|\.toml|\.lock|/))`", text(document))
    links = [link for link in re.findall(r"\]\(([^)#]+)\)", text(document)) if "://" not in link]
    base = (ROOT / document).parent
    return {ROOT / path for path in quoted if not path.startswith("build/")} | {base / link for link in links}


@pytest.mark.parametrize("document", DOCUMENTS)
def test_files_that_are_named_exist(document):
    named = paths(document)
    assert named and sorted(str(path.relative_to(ROOT)) for path in named if not path.exists()) == []


@pytest.mark.parametrize("document", DOCUMENTS)
def test_make_targets_that_are_named_exist(document):
    targets = set(re.findall(r"^([a-z]+):", text("Makefile"), re.MULTILINE))
    assert set(re.findall(r"(?:`|^ {4})make ([a-z]+)", text(document), re.MULTILINE)) <= targets


def test_the_map_leaves_no_module_out():
    listed = {path.relative_to(ROOT).as_posix() for path in paths("docs/map.md")}
    present = {path.relative_to(ROOT).as_posix() for folder in SOURCES for path in (ROOT / folder).glob("*.py")}
    helpers = {"__init__.py", "__main__.py", "errors.py", "progress.py"}
    assert {path for path in present - listed if Path(path).name not in helpers} == set()


def test_the_table_of_combinations_is_what_the_code_says(monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "tools")
    combinations = importlib.import_module("combinations")
    assert text("docs/combinations.md") == combinations.document()
