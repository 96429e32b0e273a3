"""Write files completely or not at all."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def replacing(path: str | Path) -> Iterator[Path]:
    """Yield the path of a temporary file with the same suffix; at the end, this file replaces the file ``path``.

    If an error is raised, for example because the disk is full, the old file is kept unchanged. If ``path`` is a device
    or a pipe, ``path`` itself is yielded.
    """
    path = Path(os.path.realpath(path))  # if the path is a link, the file that it points to is replaced
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
