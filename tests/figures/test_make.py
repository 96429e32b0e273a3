"""``make figures`` draws exactly the figures of the package."""

import re
from pathlib import Path

import figures

ROOT = Path(figures.__file__).parents[1]


def test_the_makefile_leaves_out_the_modules_that_are_not_figures():
    """A helper module that the Makefile takes for a figure would end ``make figures`` with an error."""
    (left_out,) = re.findall(r"^NOT_FIGURES := (.*)$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert set(left_out.split()) == {*figures.HELPERS, "__init__"}
