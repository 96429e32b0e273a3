"""Progress bars for long work: on a terminal, after a second, on standard error."""

from tqdm import tqdm

from dynamics import errors


def progress_bar(total: float, title: str, show: bool | None):
    """A tqdm bar. show: True always, False never, None where standard error is a terminal and the work takes long."""
    check_progress(show)
    disable = None if show is None else not show
    layout = "{desc}: {percentage:3.0f}%|{bar}| {elapsed}<{remaining}"
    return tqdm(total=total, desc=title, disable=disable, delay=0.0 if show else 1.0, bar_format=layout, leave=False)


def check_progress(show) -> None:
    """Raises ArgumentError unless ``show`` is True, False or None."""
    if show not in (True, False, None):
        errors.reject("progress", "be True, False or None", show)
