"""Worker processes that tests of sweeps share."""

from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import pytest


@pytest.fixture(scope="package")
def processes():
    """Two processes, started afresh."""
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as pool:
        yield pool
