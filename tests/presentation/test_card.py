"""The card of a result: every text is shown as text, and the card fits its page."""

import re
from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dynamics.presentation.card import LONGEST_VALUE, Picture, card
from dynamics.presentation.text import MOST_ROWS, one_line, screen, shortened

TAGS = {"div", "table", "tbody", "tr", "th", "td", "span", "img"}
HOSTILE = ["<script>alert(1)</script>", '" onload="alert(1)', "&lt;b&gt;", "$x_1$ and \\(y\\)", "</td></table>", "a\nb"]
texts = st.one_of(st.sampled_from(HOSTILE), st.text(max_size=50))


class Elements(HTMLParser):
    """The elements and attributes of a page, and its texts, in their order; ``whole`` is the text of each cell."""

    def __init__(self, page):
        super().__init__()
        self.tags, self.attributes, self.texts, self.whole = [], [], [], []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        self.attributes += attributes
        if tag != "span":
            self.whole.append("")

    def handle_data(self, data):
        self.texts.append(data)
        self.whole[-1] += data


@given(title=texts, facts=st.lists(st.tuples(texts, texts), max_size=4), alternative=texts)
def test_every_text_is_shown_as_text(title, facts, alternative):
    page = Elements(card(title, facts, Picture(b"png", 384, alternative)))
    assert set(page.tags) <= TAGS
    assert {name for name, _ in page.attributes} <= {"style", "scope", "colspan", "src", "width", "alt"}
    shown = [one_line(text) for text in page.whole if one_line(text)]
    expected = [title, *(text for fact in facts for text in fact)]
    assert shown == [one_line(text) for text in expected if one_line(text)]
    assert dict(page.attributes)["alt"] == one_line(alternative)


@given(texts)
def test_no_text_is_typeset_as_a_formula(text):
    """A formula has its delimiters in one text, and these stand alone."""
    for piece in Elements(card(text, [("name", text)])).texts:
        assert piece in ("$", "\\") or not {"$", "\\"} & set(piece)


@pytest.mark.parametrize("formula", [r"\begin{aligned}a &< b\end{aligned}", r"s < 1 & t > 2"])
def test_a_formula_arrives_as_it_is(formula):
    assert f"$${formula}$$" in Elements(card("title", [], formula=formula)).texts


def test_a_card_fits_its_page_and_inherits_its_colours():
    page = card("title", [("name", "value")], Picture(b"png", 384, "picture"), "x")
    assert page.startswith('<div style="display:inline-block;max-width:100%;')
    assert "max-width:100%;height:auto" in page  # the picture
    assert not re.search(r"[;\"]color:", page) and "<style" not in page and "class=" not in page
    assert page.count("background:#fff") == 1  # behind the picture alone


def test_long_texts_are_cut():
    page = card("t" * 5000, [("name", "v" * 5000)])
    assert max(map(len, Elements(page).texts)) == LONGEST_VALUE


def test_a_long_list_ends_with_the_number_of_the_others():
    rows = shortened((str(i), "value") for i in range(100))
    assert len(rows) == MOST_ROWS and rows[-1] == ("", f"... and {100 - MOST_ROWS + 1} more")
    assert shortened(rows) == rows


def test_a_screen_has_two_columns():
    assert screen("Title", [("a", "1"), ("long name", "2"), ("", "remark")]).splitlines() == [
        "Title",
        "  a          1",
        "  long name  2",
        "  remark",
    ]
    wrapped = screen("Title", [("name", "word " * 40)]).splitlines()
    assert len(wrapped) == 4 and wrapped[2].startswith("        word") and max(map(len, wrapped)) <= 100
