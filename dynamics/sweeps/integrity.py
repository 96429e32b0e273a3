"""Detect damage of the store of a sweep.

The attributes of the store contain digests of all files that never change. For each block of results there is a seal, a
checksum that marks the block as completely written. The seal is computed from the names and contents of the chunks of
the block. (A chunk is the file of one array of a block.) Each chunk also ends with a checksum of its contents, by the
codec crc32c of Zarr, which every reader verifies. But only the seal detects that a chunk is missing, or that a chunk
belongs to another block.
"""

import hashlib
import json
import zlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NoReturn

from dynamics import errors

METADATA = "zarr.json"
DIGESTS = "sha256 of files"  # attribute with the digests of the files that never change
DIGEST = "sha256"  # attribute with the digest of all other attributes


def digests_of(store: Path) -> dict[str, str]:
    """Return the digest of each file of a store without results; the file with the attributes is left out."""
    files = sorted(path.relative_to(store) for path in store.rglob("*") if path.is_file())
    return {str(file): _digest((store / file).read_bytes()) for file in files if file != Path(METADATA)}


def with_digest(attributes: dict[str, Any]) -> dict[str, Any]:
    """Return the attributes of a store, and in addition the digest of these attributes."""
    return attributes | {DIGEST: _digest(json.dumps(attributes, sort_keys=True).encode())}


def check_attributes(store: Path, attributes: dict[str, Any]) -> None:
    """Raise SweepError if the attributes of a store have changed since they were written."""
    written = {name: value for name, value in attributes.items() if name != DIGEST}
    if with_digest(written) != attributes:
        damaged(store, f"{METADATA} has changed")


def check_files(store: Path, attributes: dict[str, Any]) -> None:
    """Raise SweepError if a file of the store that must never change is missing or has changed.

    attributes: attributes of the store, which contain the digests of these files.
    """
    for name, digest in attributes[DIGESTS].items():
        try:
            content = (store / name).read_bytes()
        except OSError as error:
            damaged(store, f"{name} cannot be read ({error.strerror})", error)
        if _digest(content) != digest:
            damaged(store, f"{name} has changed")


def damaged(store: Path, reason: str, cause: Exception | None = None) -> NoReturn:
    """Raise SweepError, because a store is damaged in a way that computing blocks again cannot repair.

    reason: description of the damage. cause: exception that revealed the damage; None if there was none.
    """
    message = f"The store {store} is damaged: {reason}. Use a new store, or restore this store from a copy."
    raise errors.SweepError(message) from cause


def seal(number: int, contents: Iterable[tuple[str, bytes]]) -> int:
    """Return the seal of a block, a checksum that marks the block as completely written.

    The seal is one plus the CRC-32 of the number of the block and of the names and contents of its files.
    """
    checksum = zlib.crc32(str(number).encode())
    for name, content in contents:
        checksum = zlib.crc32(f"{name} {len(content)}".encode(), checksum)
        checksum = zlib.crc32(content, checksum)
    return 1 + checksum


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
