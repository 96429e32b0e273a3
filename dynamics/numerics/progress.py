"""Show progress bars in a terminal or in a notebook; by default only if the work takes more than a second."""

import html
import io
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import numpy as np
from tqdm import tqdm

from dynamics import errors

HINT_AFTER = 10.0  # seconds after which a bar says what would be faster

_hint: ContextVar[Callable[[], str]] = ContextVar("hint", default=str)
_wording: ContextVar[Callable[[str], str]] = ContextVar("wording", default=str)


@contextmanager
def hinting(hint: Callable[[], str]) -> Iterator[None]:
    """Let progress bars that are created in this context end in a hint, once the work has taken HINT_AFTER seconds.

    hint: function that returns what would make the work faster, or ""; it is called only when the hint is to be shown.
    """
    token = _hint.set(hint)
    try:
        yield
    finally:
        _hint.reset(token)


@contextmanager
def rewording(wording: Callable[[str], str]) -> Iterator[None]:
    """Let bars that are created in this context show hints as the function ``wording`` returns them."""
    token = _wording.set(wording)
    try:
        yield
    finally:
        _wording.reset(token)


def progress_bar(total: float, title: str, show: bool | None, *, unit: str | None = None, done: float = 0) -> tqdm:
    """Return a tqdm progress bar.

    show: True always shows the bar, False never; None shows it if standard error is a terminal or if a notebook is
    connected, and if the work takes more than a second. unit: name of the counted objects, such as "points"; with a
    unit, the bar shows their number and rate. done: part of the total that is complete when the bar starts.
    """
    check_progress(show)
    layout = "{desc}: {percentage:3.0f}%|{bar}| {elapsed}<{remaining}"
    if unit is not None:
        layout = "{desc}: {percentage:3.0f}%|{bar}| {n_fmt}/{total_fmt}{unit}, {elapsed}<{remaining}, {rate_fmt}"
    in_notebook = has_notebook()
    kind = NotebookBar if in_notebook else HintingBar
    hidden = False if in_notebook else None  # None: tqdm decides, and hides the bar unless standard error is a terminal
    return kind(
        total=total,
        initial=done,
        desc=title,
        unit=f" {unit}",
        disable=hidden if show is None else not show,
        delay=0.0 if show else 1.0,
        bar_format=layout + "{hint}",
        leave=False,
    )


def has_notebook() -> bool:
    """Return True in a kernel of Jupyter, whose outputs a notebook shows; IPython is not imported for this."""
    find_shell = getattr(sys.modules.get("IPython"), "get_ipython", None)
    return getattr(find_shell() if find_shell else None, "kernel", None) is not None


class HintingBar(tqdm):
    """A progress bar that ends in the hint of ``hinting`` when the work takes long."""

    def __init__(self, **options: Any) -> None:
        self._find_hint, self._reworded, self._hint = _hint.get(), _wording.get(), ""
        super().__init__(**options)

    @property
    def format_dict(self) -> dict[str, Any]:
        """The values from which the text of the bar is composed."""
        state = super().format_dict
        if not self._hint and state["elapsed"] > HINT_AFTER:
            text = self._reworded(self._find_hint())
            self._hint = f" ({text})" if text else " "
        return state | {"hint": self._hint}


class NotebookBar(HintingBar):
    """A progress bar in the output of a notebook's cell; the bar is removed at the end of the work.

    The bar is an HTML element, and needs no widgets. Unlike the bar of ``tqdm.notebook``, it costs nothing before it is
    shown, which matters if a function that takes milliseconds is called many times.
    """

    def __init__(self, **options: Any) -> None:
        self._output: Any = None
        super().__init__(file=io.StringIO(), **options)  # nothing is written as text

    def display(self, msg: str | None = None, pos: int | None = None) -> None:
        """Show the bar in its present state in the notebook's cell; with the message "", remove the bar."""
        from IPython.display import display

        contents = {"text/plain": ""} if msg == "" else {"text/plain": str(self), "text/html": self._html()}
        if self._output is not None:
            self._output.update(contents, raw=True)
        elif msg != "":
            self._output = display(contents, raw=True, display_id=True)

    def _html(self) -> str:
        state = self.format_dict
        before, after = self.format_meter(**state | {"bar_format": state["bar_format"].replace("{bar}", "\0")}).split(
            "\0"
        )
        left, right = html.escape(before.rstrip("|")), html.escape(after.lstrip("|"))
        bar = f'<progress value="{self.n:.6g}" max="{self.total:.6g}" style="width:20em"></progress>'
        return f"<div>{left} {bar} {right}</div>"


def check_progress(show: bool | None) -> None:
    """Raise ArgumentError unless ``show`` is True, False or None."""
    if show is not None and not isinstance(show, (bool, np.bool_)):
        errors.reject("progress", "be True, False or None", show)
