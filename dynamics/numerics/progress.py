"""Show progress bars on standard error; by default only on a terminal, and if the work takes more than a second."""

import numpy as np
from tqdm import tqdm

from dynamics import errors


def progress_bar(total: float, title: str, show: bool | None, *, unit: str | None = None, done: float = 0) -> tqdm:
    """Return a tqdm progress bar.

    show: True always shows the bar, False never; None shows it if standard error is a terminal and the work takes more
    than a second. unit: name of the counted objects, such as "points"; with a unit, the bar shows their number and
    rate. done: part of the total that is complete when the bar starts.
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
    if show is not None and not isinstance(show, (bool, np.bool_)):
        errors.reject("progress", "be True, False or None", show)
