"""Progress bars for long work: on a terminal, after a second, on standard error."""

from tqdm import tqdm

from dynamics import errors


def progress_bar(total: float, title: str, show: bool | None, *, unit: str | None = None, done: float = 0) -> tqdm:
    """Return a tqdm bar.

    show: True always, False never, None where standard error is a terminal and the work takes more than a second.
    unit: of what is counted; adds the count and the rate to the bar. done: part of the total that was done before.
    """
    check_progress(show)
    disable = None if show is None else not show
    layout = "{desc}: {percentage:3.0f}%|{bar}| {elapsed}<{remaining}"
    if unit is not None:
        layout = "{desc}: {percentage:3.0f}%|{bar}| {n_fmt}/{total_fmt}{unit}, {elapsed}<{remaining}, {rate_fmt}"
    return tqdm(
        total=total,
        initial=done,
        desc=title,
        unit=f" {unit}",
        disable=disable,
        delay=0.0 if show else 1.0,
        bar_format=layout,
        leave=False,
    )


def check_progress(show: bool | None) -> None:
    """Raise ArgumentError unless ``show`` is True, False or None."""
    if show not in (True, False, None):
        errors.reject("progress", "be True, False or None", show)
