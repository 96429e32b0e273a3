"""Texts of plots, in which no-break spaces are written as spaces."""


def plain(text):
    """Return a text on one line with ordinary spaces."""
    return " ".join(text.split())
