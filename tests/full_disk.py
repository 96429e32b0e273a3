"""A disk that is full, for tests: files cannot grow beyond a number of bytes."""

import resource
from contextlib import contextmanager


@contextmanager
def full_disk(room):
    """Let writing fail for every file of this process that grows beyond ``room`` bytes."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (room, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
