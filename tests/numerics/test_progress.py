"""Progress bars: shown, hidden, or left to the terminal; what they count."""

import re

import pytest

import dynamics as dyn
from dynamics.numerics.progress import check_progress, progress_bar


def test_a_bar_shows_the_share_that_is_done(capsys):
    with progress_bar(4.0, "solve", True) as bar:
        bar.update(1.0)
        bar.refresh()
    assert re.search(r"solve:  25%\|.*\| 00:00<00:0\d", capsys.readouterr().err)


def test_a_bar_with_a_unit_counts_and_starts_from_what_was_done(capsys):
    with progress_bar(4, "sweep", True, unit="points", done=2):
        pass
    assert re.search(r"sweep:  50%\|.*\| 2/4 points, ", capsys.readouterr().err)


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
