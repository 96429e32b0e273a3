"""Progress bars: shown, hidden, or left to the terminal; what they count."""

import os
import pty
import re
import subprocess
import sys
import termios
from pathlib import Path
from types import SimpleNamespace

import pytest

import dynamics as dyn
from dynamics.numerics import progress
from dynamics.numerics.progress import check_progress, has_notebook, hinting, progress_bar

ROOT = Path(__file__).resolve().parents[2]


def test_a_bar_shows_the_share_that_is_done(capsys):
    with progress_bar(4.0, "solve", True) as bar:
        bar.update(1.0)
        bar.refresh()
    assert re.search(r"solve:  25%\|.*\| 00:00<00:0\d", capsys.readouterr().err)


def test_a_bar_with_a_unit_counts_and_starts_from_what_was_done(capsys):
    with progress_bar(4, "sweep", True, unit="points", done=2):
        pass
    assert re.search(r"sweep:  50%\|.*\| 2/4 points, ", capsys.readouterr().err)


@pytest.mark.parametrize(("after", "shown"), [(10.0, False), (-1.0, True)])
def test_a_hint_is_shown_when_the_work_takes_long(after, shown, capsys, monkeypatch):
    monkeypatch.setattr(progress, "HINT_AFTER", after)
    asked = []

    def hint():
        asked.append(1)
        return "faster: another method"

    with hinting(hint), progress_bar(4.0, "solve", True) as bar:
        bar.update(1.0)
        bar.refresh()
        bar.refresh()
    assert ("(faster: another method)" in capsys.readouterr().err) == shown
    assert len(asked) == shown  # only when it is shown, and only once
    with progress_bar(4.0, "solve", True) as bar:
        bar.refresh()
    assert "faster" not in capsys.readouterr().err


@pytest.mark.parametrize("show", [False, None], ids=str)
def test_no_bar_is_shown_if_not_wanted_or_not_on_a_terminal(show, capsys):
    with progress_bar(1, "solve", show) as bar:
        bar.update()
        bar.refresh()
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("show", ["yes", 2], ids=str)
def test_progress_is_refused_unless_true_false_or_none(show):
    with pytest.raises(dyn.ArgumentError, match="Argument `progress` must be True, False or None, but is "):
        check_progress(show)


# --- terminals, pipes and notebooks -----------------------------------------------------------------------------------

SLOW = """
import time
from dynamics.numerics.progress import progress_bar
with progress_bar(4, "solve", None) as bar:
    for _ in range(3):
        time.sleep(0.5)
        bar.update()
print("done")
"""


def test_a_terminal_shows_a_bar_and_a_pipe_none():
    """A pseudo-terminal is standard error of the first process, a pipe that of the second."""
    run = [sys.executable, "-c", SLOW]
    leader, follower = pty.openpty()
    termios.tcsetwinsize(follower, (24, 80))  # without a size, a bar has no columns
    assert subprocess.run(run, cwd=ROOT, stdout=subprocess.PIPE, stderr=follower, check=True).stdout == b"done\n"
    assert b"solve:  75%|" in os.read(leader, 100_000)
    os.close(leader)
    os.close(follower)
    assert subprocess.run(run, cwd=ROOT, capture_output=True, check=True).stderr == b""


class Cell:
    """A cell of a notebook, with the interface of IPython: it keeps the contents of its output, in their order."""

    def __init__(self):
        self.shown = []

    def display(self, contents, raw, display_id):
        assert raw and display_id
        self.shown.append(contents)
        return self

    def update(self, contents, raw):
        assert raw
        self.shown.append(contents)


@pytest.fixture
def cell(monkeypatch):
    cell, shell = Cell(), SimpleNamespace(kernel="kernel")
    monkeypatch.setitem(sys.modules, "IPython", SimpleNamespace(get_ipython=lambda: shell))
    monkeypatch.setitem(sys.modules, "IPython.display", SimpleNamespace(display=cell.display))
    return cell


SHELLS = {"no IPython": None, "no shell": SimpleNamespace(), "no kernel": SimpleNamespace(get_ipython=lambda: None)}


@pytest.mark.parametrize("ipython", SHELLS.values(), ids=SHELLS)
def test_a_shell_is_no_notebook(monkeypatch, ipython):
    """IPython is not imported, or imported by a script, or runs in a terminal."""
    monkeypatch.setitem(sys.modules, "IPython", ipython)
    assert not has_notebook()
    monkeypatch.setitem(sys.modules, "IPython", SimpleNamespace(get_ipython=lambda: SimpleNamespace()))
    assert not has_notebook()


def test_a_notebook_shows_a_bar_that_vanishes(cell, capsys):
    with progress_bar(4.0, "a < b", True, unit="steps") as bar:
        bar.update(1.0)
        bar.refresh()
    first, second, last = cell.shown
    assert '<progress value="1" max="4" ' in second["text/html"] and "a &lt; b:  25%" in second["text/html"]
    assert second["text/plain"].startswith("a < b:  25%|") and "1.0/4.0 steps" in second["text/html"]
    assert 'value="0"' in first["text/html"] and last == {"text/plain": ""}
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize("show", [False, None], ids=str)
def test_a_notebook_shows_no_bar_for_quick_work(show, cell):
    with progress_bar(4.0, "solve", show) as bar:
        for _ in range(4):
            bar.update(1.0)
    assert cell.shown == []
