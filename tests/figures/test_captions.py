"""Captions: paragraphs in lines of one width, unchanged tables, and both as HTML."""

import pytest

from figures.captions import count, listing, noise, percent, reflow, table
from figures.gallery import to_html

ROWS = [["", "shared"], ["DirectPred", "97.5 +- 0.1"], ["a < b", "1"]]
TABLE = "|  | shared |\n|---|---|\n| DirectPred | 97.5 +- 0.1 |\n| a < b | 1 |"


@pytest.mark.parametrize(("fraction", "shown"), [(0.0034, "0.34 %"), (0.099, "9.9 %"), (0.1, "10 %"), (1.234, "123 %")])
def test_percentages_have_two_significant_digits_or_are_whole(fraction, shown):
    assert percent(fraction).replace("\u00a0", " ") == shown


def test_numbers_and_units_do_not_break_across_lines():
    filled = reflow(f"{'x' * 94} {count(100_000)}")
    assert filled == f"{'x' * 94}\n100\u00a0000\n"  # an ordinary space would leave "100" on the first line


def test_noise_names_both_views_or_once_what_is_equal():
    assert noise((0.0, 0.1)) == "noise of standard deviation 0 on the online and 0.1 on the target view"
    assert noise((0.3, 0.3)) == "noise of standard deviation 0.3 on both views"


def test_a_list_ends_with_and():
    assert [listing("a"), listing("ab"), listing("abc")] == ["a", "a and b", "a, b and c"]


def test_a_table_is_markdown():
    assert table(ROWS) == TABLE


def test_paragraphs_are_filled_and_tables_are_unchanged():
    long = "word " * 40
    first, second, third = reflow(f"{long}\n\n{TABLE}\n\nend").rstrip("\n").split("\n\n")
    assert max(map(len, first.splitlines())) <= 100 and first.split() == long.split()
    assert second == TABLE and third == "end"


def test_paragraphs_and_tables_become_html():
    html = to_html(f"A `name` & more.\n\n{TABLE}")
    paragraph, whole = html.split("\n")
    assert paragraph == "<p>A <code>name</code> &amp; more.</p>"
    assert whole == (
        "<table><tr><th></th><th>shared</th></tr><tr><td>DirectPred</td><td>97.5 +- 0.1</td></tr>"
        "<tr><td>a &lt; b</td><td>1</td></tr></table>"
    )
