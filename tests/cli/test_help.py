"""Help that is true: its examples run, and help is quick."""

import os
import re
import shlex
import subprocess
import sys

import matplotlib.pyplot as plt
import pytest

from dynamics.cli import commands as cli
from dynamics.cli.group import FIRST_STEPS
from tests.cli.calls import ROOT, call, process
from tests.marks import parametrize

SLOW = ("check", "first steps")  # whose examples train a network; those of "main" do so, too
TEXTS = {"first steps": FIRST_STEPS, "main": cli.main.help}
TEXTS |= {name: command.help for name, command in cli.main.commands.items()}
EXAMPLES = {name: re.findall(r"^ +(ssl-dynamics .*)$", text, re.MULTILINE) for name, text in TEXTS.items()}
RUNNING = [name for name, examples in EXAMPLES.items() if examples]


@parametrize("name", RUNNING, quick=[name for name in RUNNING if name not in SLOW])
def test_examples_of_the_help_run(name, tmp_path, monkeypatch):
    """Run the examples of a command in their order: later ones read what earlier ones wrote."""
    monkeypatch.chdir(tmp_path)
    plt.switch_backend("Agg")
    for line in EXAMPLES[name]:
        done = call(*shlex.split(line, comments=True)[1:])
        assert done.exit_code == 0, f"{line}\n{done.output}"
    plt.close("all")


def test_every_analysis_has_an_example():
    assert {"collapse", "equilibria", "bifurcation", "phase-diagram", "invariants", "design"} <= set(RUNNING)


def test_help_is_quick():
    """The help of the main command and of each command imports no library that is not needed for the options."""
    heavy = ("scipy", "sympy", "jax", "matplotlib", "xarray", "zarr", "lark")
    code = f"""
import sys
from click.testing import CliRunner
from dynamics.cli.commands import main
for command in ([], *([name] for name in main.commands if name not in ("solve", "iterate", "figures"))):
    assert CliRunner().invoke(main, [*command, "--help"]).exit_code == 0
print(*(name for name in {heavy} if name in sys.modules))
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


# --- completion -----------------------------------------------------------------------------------------------------


def completed(shell, *words):
    """Return what the command prints if a shell asks for the completions of the last word."""
    *_, incomplete = words
    environment = os.environ | {
        "_SSL_DYNAMICS_COMPLETE": f"{shell}_complete",
        "COMP_WORDS": " ".join(("ssl-dynamics", *words)),
        "COMP_CWORD": incomplete if shell == "fish" else str(len(words)),
    }
    done = process(env=environment)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


@pytest.mark.parametrize(
    ("shell", "entry"),
    [("bash", r"^plain,(.+)$"), ("zsh", r"^plain\n(.+)\n.+$"), ("fish", r"^plain,(.+)\t.+$")],
    ids=["bash", "zsh", "fish"],
)
def test_commands_are_completed(shell, entry):
    assert set(re.findall(entry, completed(shell, ""), re.MULTILINE)) == set(cli.main.commands)


def test_names_and_options_are_completed():
    assert completed("bash", "solve", "--loss", "c") == "plain,cosine\n"
    assert completed("bash", "solve", "--weight") == "plain,--weight-decay\n"
    assert completed("bash", "design", "fast") == "plain,fastest-uniform\n"
    assert completed("bash", "collapse", "--stop-gradient", "") == "plain,none\nplain,online\nplain,target\n"


def test_bash_completes_with_the_documented_line(tmp_path):
    (line,) = re.findall(r"^ +(eval .*bash_source.*)$", (ROOT / "docs/command_line.md").read_text(), re.MULTILINE)
    program = tmp_path / "ssl-dynamics"
    program.write_text(f'#!/bin/sh\nPYTHONPATH="{ROOT}" exec "{sys.executable}" -m dynamics "$@"\n', encoding="utf-8")
    program.chmod(0o755)
    words = 'COMP_WORDS=(ssl-dynamics eff); COMP_CWORD=1; _ssl_dynamics_completion ssl-dynamics; echo "${COMPREPLY[@]}"'
    environment = os.environ | {"PATH": f"{tmp_path}:{os.environ['PATH']}"}
    done = subprocess.run(
        ["bash", "-c", f"{line}\n{words}"], env=environment, capture_output=True, text=True, check=False
    )
    assert (done.stdout, done.stderr) == ("effective-rates\n", "")
