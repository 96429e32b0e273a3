"""Files that are written completely or not at all."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def replacing(path: str | Path) -> Iterator[Path]:
    """Yield a path at which to write a new file, with the same suffix, which replaces the file ``path`` at the end.

    If an error is raised, such as on a full disk, the old file is left as it was. A device or pipe is written directly.
    """
    path = Path(os.path.realpath(path))  # a link keeps pointing to the file
    if path.exists() and not path.is_file():
        yield path
        return
    if not path.parent.is_dir():
        raise FileNotFoundError(f"No such folder: {path.parent}")
    fresh = path.with_name(f".{path.stem[:100]}.{os.getpid()}.new{path.suffix}")
    try:
        yield fresh
        with fresh.open("rb+") as file:
            os.fsync(file.fileno())
        if path.exists():
            fresh.chmod(path.stat().st_mode)
        fresh.replace(path)
    finally:
        fresh.unlink(missing_ok=True)


def write_text(path: str | Path, text: str) -> None:
    """Write a text file in UTF-8, completely or not at all."""
    with replacing(path) as fresh:
        fresh.write_text(text, encoding="utf-8")
