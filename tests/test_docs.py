"""Documents: examples run as printed, and files, names and commands in them exist."""

import ast
import importlib
import re
import shlex
from pathlib import Path

import matplotlib.pyplot as plt
import pytest
import sympy as sp
from click.testing import CliRunner

import dynamics as dyn
import figures
from derivations.losses import catalogue
from derivations.symbols import notation
from dynamics.cli import commands as cli

ROOT = Path(__file__).resolve().parent.parent
WITH_EXAMPLES = ("README.md", "docs/networks.md", "docs/sweeps.md", "docs/losses.md", "docs/invent_a_loss.md")
DOCUMENTS = (
    *WITH_EXAMPLES,
    "CONTRIBUTING.md",
    "docs/guide.md",
    "docs/command_line.md",
    "docs/glossary.md",
    "docs/map.md",
    "docs/architecture.md",
    "docs/finite_batches.md",
    "docs/finite_batches_table.md",
    "docs/combinations.md",
    "docs/benchmarks.md",
)
LONG = ("docs/networks.md", "docs/sweeps.md")  # train deep networks, start processes
AVOIDED = (  # words of earlier versions, for which the field has others (docs/glossary.md)
    r"rungs?|ladder|sentences?|dies|dead|at rest|comes? to rest|heeded|wish(es)?|of (your|one's|its) own|finite world"
)


def text(document):
    return (ROOT / document).read_text(encoding="utf-8")


def python_blocks(document):
    return re.findall(r"^```python\n(.*?)^```", text(document), re.MULTILINE | re.DOTALL)


def commands(document):
    """Return the printed calls of the command line."""
    return re.findall(r"^    (ssl-dynamics .*)$", text(document), re.MULTILINE)


@pytest.mark.parametrize(
    "document", [pytest.param(name, marks=[pytest.mark.long] * (name in LONG)) for name in WITH_EXAMPLES]
)
def test_examples_run_as_printed(document, tmp_path, monkeypatch, capsys):
    """Run the blocks of a document one after another, as a reader does."""
    plt.switch_backend("Agg")
    monkeypatch.chdir(tmp_path)
    names = {"__name__": "__main__"}
    for code in python_blocks(document):
        exec(compile(code, f"<{document}>", "exec"), names)
        plt.close("all")
        assert all((tmp_path / name).stat().st_size for name in re.findall(r'savefig\("(.+?)"', code))
        assert ("print(" in code) == bool(capsys.readouterr().out)


def test_the_readme_is_short_and_leads_to_every_document():
    """One example of ten lines, two commands, one picture, and a link to each page of docs/."""
    (example,) = python_blocks("README.md")
    assert len([line for line in example.splitlines() if line]) <= 10
    assert len(re.findall(r"^ {4}make ", text("README.md"), re.MULTILINE)) == 2
    assert len(re.findall(r"^!\[", text("README.md"), re.MULTILINE)) == 1
    linked = {path.resolve() for path in paths("README.md")}
    assert {path for path in (ROOT / "docs").glob("*.md") if path not in linked} == set()


def test_toml_files_in_the_documents_run(tmp_path, monkeypatch):
    files = re.findall(r"^```toml\n(.*?)^```", text("docs/sweeps.md"), re.MULTILINE | re.DOTALL)
    monkeypatch.chdir(tmp_path)
    sizes = ["(weight_decay: 4, decay: 3, step: 21, mode: 3)", "(beta: 11, weight_decay: 2, step: 21, mode: 3)"]
    for printed, size in zip(files, sizes, strict=True):
        Path("sweep.toml").write_text(printed, encoding="utf-8")
        result = CliRunner().invoke(cli.main, ["sweep", "sweep.toml"], prog_name="ssl-dynamics")
        assert result.exit_code == 0 and size in result.output, result.output


@pytest.mark.parametrize(
    "line", [line for name in ("guide", "losses", "command_line") for line in commands(f"docs/{name}.md")]
)
def test_printed_commands_run(line, tmp_path, monkeypatch):
    plt.switch_backend("Agg")
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(cli.main, shlex.split(line)[1:], prog_name="ssl-dynamics")
    plt.close("all")
    assert result.exit_code == 0, result.output


def test_the_line_that_adds_a_loss_is_valid(monkeypatch):
    """The example of CONTRIBUTING.md is an entry of LOSSES: a name, and an expression in p and z2."""
    (code,) = python_blocks("CONTRIBUTING.md")
    ((name, expression),) = ast.literal_eval(f"{{{code}}}").items()
    monkeypatch.setitem(catalogue.LOSSES, name, expression)
    loss = catalogue.Setting(name).in_eigenbasis()
    assert name.isidentifier() and loss.atoms(sp.IndexedBase) == {notation.lam, notation.z1, notation.t2}


def paths(document):
    """Return the files and folders in backticks, and the targets of relative links."""
    quoted = re.findall(r"`([\w./-]+(?:\.py|\.md|\.toml|\.lark|\.lock|/))`", text(document))
    links = [link for link in re.findall(r"\]\(([^)#]+)[^)]*\)", text(document)) if "://" not in link]
    base = (ROOT / document).parent
    return {ROOT / path for path in quoted if not path.startswith("build/")} | {base / link for link in links}


@pytest.mark.parametrize("document", DOCUMENTS)
def test_files_in_the_documents_exist(document):
    named = paths(document)
    assert named and sorted(str(path.relative_to(ROOT)) for path in named if not path.exists()) == []


@pytest.mark.parametrize("document", DOCUMENTS)
def test_public_names_in_the_documents_exist(document):
    names = set(re.findall(r"\bdyn\.([A-Za-z]\w*)", text(document)))
    assert sorted(name for name in names if not hasattr(dyn, name)) == []


@pytest.mark.parametrize("file", [*DOCUMENTS, *sorted((ROOT / "dynamics").rglob("*.py"))], ids=str)
def test_no_installation_from_an_index_is_promised(file):
    """The package is on no index: it is installed from a clone, by the path of the clone."""
    assert re.findall(r"pip install [\"']?ssl-dynamics", text(file)) == []


@pytest.mark.parametrize("document", DOCUMENTS)
def test_make_targets_in_the_documents_exist(document):
    targets = set(re.findall(r"^([a-z-]+):", text("Makefile"), re.MULTILINE))
    assert set(re.findall(r"(?:`|^ {4})make ([a-z-]+)", text(document), re.MULTILINE)) <= targets


@pytest.mark.parametrize("document", [name for name in DOCUMENTS if name != "docs/combinations.md"])
def test_documents_use_the_words_of_the_field(document):
    assert re.findall(rf"\b(?:{AVOIDED})\b", text(document), re.IGNORECASE) == []


def test_the_glossary_defines_each_term_of_its_table_in_two_sentences():
    page = text("docs/glossary.md")
    listed = re.findall(r"^\| \[(.+?)\]\(#(.+?)\)", page, re.MULTILINE)
    defined = dict(re.findall(r"^### (.+?)\n(.+?)(?=\n\n|\n*\Z)", page, re.MULTILINE | re.DOTALL))
    assert [term.lower() for term, _ in listed] == [title.lower() for title in defined] != []
    assert [anchor for term, anchor in listed if anchor != term.replace(" ", "-").lower()] == []
    lengths = {title: len(re.findall(r"\.(?:\s|$)", body)) for title, body in defined.items()}
    assert {title for title, length in lengths.items() if length != 2} == set()


def test_the_map_has_every_package_and_every_figure():
    """A formula may move between modules, but no package and no figure is left out."""
    listed = {path.relative_to(ROOT) for path in paths("docs/map.md")}
    folders = {listing if (ROOT / listing).is_dir() else listing.parent for listing in listed}
    inits = [init for name in ("dynamics", "derivations") for init in (ROOT / name).rglob("__init__.py")]
    packages = {init.parent.relative_to(ROOT) for init in inits} - {Path("dynamics"), Path("derivations")}
    assert packages - folders == set()
    assert {Path(f"figures/{name}.py") for name in figures.names()} - listed == set()


def test_the_table_of_combinations_agrees_with_the_code(monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "tools")
    combinations = importlib.import_module("combinations")
    assert text("docs/combinations.md") == combinations.document()
