"""Write files completely or not at all."""

import fcntl
import glob
import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


@contextmanager
def replacing(path: str | Path) -> Iterator[Path]:
    """Yield the path of a temporary file, to which the caller writes; in the end this file replaces ``path``.

    The temporary file has the suffix of ``path``. If an error is raised, for example because the disk is full, the old
    file ``path`` is kept unchanged. If ``path`` is a device or a pipe, ``path`` itself is yielded. Temporary files that
    killed processes have left beside ``path`` are removed.
    """
    path = Path(os.path.realpath(path))  # if the path is a link, the file that it points to is replaced
    if path.exists() and not path.is_file():
        yield path
        return
    if not path.parent.is_dir():
        raise FileNotFoundError(f"No such folder: {path.parent}")
    _remove_abandoned(path)
    fresh = path.with_name(f".{path.stem[:100]}.{uuid.uuid4().hex}.new{path.suffix}")
    descriptor = os.open(fresh, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o666)
    try:
        _lock(descriptor)
        yield fresh
        os.fsync(descriptor)
        if path.exists():
            fresh.chmod(path.stat().st_mode)
        fresh.replace(path)
    finally:
        fresh.unlink(missing_ok=True)
        os.close(descriptor)


def _lock(descriptor: int) -> bool:
    """Lock an open file until it is closed or the process ends; return False if another process has locked it."""
    with suppress(OSError):  # also raised by a file system without locks
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return True
    return False


def _remove_abandoned(path: Path) -> None:
    """Remove the temporary files for ``path`` that no process writes any more.

    A process locks the temporary file that it writes, and the lock ends with the process.
    """
    stem, suffix = glob.escape(path.stem[:100]), glob.escape(path.suffix)
    for temporary in path.parent.glob(f".{stem}.{'[0-9a-f]' * 32}.new{suffix}"):
        with suppress(OSError):  # another process may remove the file
            descriptor = os.open(temporary, os.O_RDONLY)
            try:
                if _lock(descriptor):
                    temporary.unlink()
            finally:
                os.close(descriptor)


def write_text(path: str | Path, text: str) -> None:
    """Write a text file in UTF-8, completely or not at all."""
    with replacing(path) as fresh:
        fresh.write_text(text, encoding="utf-8")
