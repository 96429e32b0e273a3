"""Shared: generated inputs, compiled code, a limit of time, double precision, a user who presses Ctrl-C."""

import os
import signal
import sys
import time
from pathlib import Path

import hypothesis
import jax
import pytest

# A shell that starts a job in the background has it, and all it starts, ignore Ctrl-C.
signal.signal(signal.SIGINT, signal.default_int_handler)

# What XLA has compiled is kept for the next run, and for the processes that tests start.
COMPILED = {
    "jax_compilation_cache_dir": str(Path(__file__).resolve().parent.parent / ".pytest_cache" / "jax"),
    "jax_persistent_cache_min_compile_time_secs": 0.0,
}
for name, value in COMPILED.items():
    os.environ[name.upper()] = str(value)
    jax.config.update(name, value)

hypothesis.settings.register_profile(
    "deterministic", derandomize=True, deadline=None, max_examples=30, database=None, print_blob=False
)
hypothesis.settings.load_profile("deterministic")


START = time.monotonic()


def pytest_addoption(parser):
    parser.addoption("--seconds", type=float, help="start no test later than this; what is left over is skipped")


def pytest_runtest_setup(item):
    limit = item.config.getoption("seconds")
    if limit is not None and time.monotonic() - START > limit:
        pytest.skip("no time left")


@pytest.fixture
def double_precision():
    """JAX computes in float64 inside the test."""
    with jax.enable_x64(True):
        yield


@pytest.fixture(autouse=True)
def no_open_figures():
    """Close the figures of each test: many open figures cause a warning, and warnings are errors."""
    yield
    if "matplotlib.pyplot" in sys.modules:
        sys.modules["matplotlib.pyplot"].close("all")


@pytest.fixture
def press_ctrl_c(monkeypatch):
    """press_ctrl_c(module, at_update): whoever watches the module's next progress bar presses Ctrl-C."""

    class Bar:
        def __init__(self, at_update):
            self.left = at_update

        def __enter__(self):
            return self

        def __exit__(self, *_):
            return False

        def update(self, _=1):
            self.left -= 1
            if self.left == 0:
                raise KeyboardInterrupt

    def press(module, at_update: int):
        monkeypatch.setattr(module, "progress_bar", lambda *_, **__: Bar(at_update))

    return press
