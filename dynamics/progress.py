"""Progress bars for long work: on a terminal, after a second, on standard error."""

from tqdm import tqdm


def progress_bar(total: float, title: str, show: bool | None):
    """A tqdm bar. show: True always, False never, None where standard error is a terminal and the work takes long."""
    disable = {True: False, False: True, None: None}[show]
    layout = "{desc}: {percentage:3.0f}%|{bar}| {elapsed}<{remaining}"
    return tqdm(total=total, desc=title, disable=disable, delay=0.0 if show else 1.0, bar_format=layout, leave=False)
