"""Captions: paragraphs in lines of one width, tables as they are, and both as HTML."""

from figures.captions import reflow, table
from figures.gallery import to_html

ROWS = [["", "shared"], ["DirectPred", "97.5 +- 0.1"], ["a < b", "1"]]
TABLE = "|  | shared |\n|---|---|\n| DirectPred | 97.5 +- 0.1 |\n| a < b | 1 |"


def test_a_table_is_markdown():
    assert table(ROWS) == TABLE


def test_paragraphs_are_filled_and_tables_left_alone():
    long = "word " * 40
    first, second, third = reflow(f"{long}\n\n{TABLE}\n\nend").rstrip("\n").split("\n\n")
    assert max(map(len, first.splitlines())) <= 100 and first.split() == long.split()
    assert second == TABLE and third == "end"


def test_both_become_html():
    html = to_html(f"A `name` & more.\n\n{TABLE}")
    paragraph, whole = html.split("\n")
    assert paragraph == "<p>A <code>name</code> &amp; more.</p>"
    assert whole == (
        "<table><tr><th></th><th>shared</th></tr><tr><td>DirectPred</td><td>97.5 +- 0.1</td></tr>"
        "<tr><td>a &lt; b</td><td>1</td></tr></table>"
    )
