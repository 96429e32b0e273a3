"""Compiled programs that are kept for later processes."""

import os
import subprocess
import sys

import pytest

from dynamics.numerics import compilation_cache

RUN = """
import jax, jax.numpy as jnp, numpy as np
from jax._src import monitoring
events = []
monitoring.register_event_listener(lambda event, **_: events.append(event))
jax.jit(lambda x: x + 1)(1.0)  # compiled before this package computes anything
from dynamics.numerics import compilation_cache
from dynamics.numerics.context import jax_settings
compilation_cache.SHORTEST = 0.0
with jax_settings(x64=True):
    jax.jit(lambda x: jnp.sin(x) @ x)(np.ones(3))
print(sum("cache_hits" in event for event in events), jax.config.jax_compilation_cache_dir)
"""


def run(**environment):
    """Hits of the cache, and JAX's cache folder, of a new process."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("JAX_", "SSL_DYNAMICS"))}
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", RUN], env=inherited | environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    hits, folder = done.stdout.split()
    return int(hits), folder


def test_a_second_process_compiles_nothing(tmp_path):
    chosen = {"SSL_DYNAMICS_CACHE": str(tmp_path)}
    (first, folder), (second, _) = run(**chosen), run(**chosen)
    assert (first, second > 0) == (0, True)
    assert folder.startswith(str(tmp_path)) and os.stat(folder).st_mode & 0o077 == 0  # JAX executes what is in it


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({"SSL_DYNAMICS_CACHE": "off"}, "None"),
        ({"JAX_COMPILATION_CACHE_DIR": "/somewhere/else"}, "/somewhere/else"),
        ({"SSL_DYNAMICS_CACHE": "/proc/no/such"}, "None"),
        ({"JAX_ENABLE_COMPILATION_CACHE": "false"}, "None"),
    ],
    ids=["off", "JAX's own", "not writable", "disabled in JAX"],
)
def test_the_choice_of_the_caller_is_left_alone(environment, expected, tmp_path):
    assert run(**{"XDG_CACHE_HOME": str(tmp_path)} | environment)[1] == expected


def test_a_folder_that_others_may_write_to_is_not_used(tmp_path):
    """JAX would run what they put there."""
    _, folder = run(SSL_DYNAMICS_CACHE=str(tmp_path))
    os.chmod(folder, 0o777)
    assert run(SSL_DYNAMICS_CACHE=str(tmp_path)) == (0, "None")


def test_programs_lie_in_the_users_cache_folder(monkeypatch, tmp_path):
    monkeypatch.delenv("SSL_DYNAMICS_CACHE", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(sys, "platform", "linux")
    assert compilation_cache.folder().parent == tmp_path / "ssl-dynamics"


def test_processors_have_folders_of_their_own(monkeypatch):
    """A program for one instruction set may not run on another."""
    here = compilation_cache.folder()
    monkeypatch.setattr(compilation_cache.platform, "machine", lambda: "another")
    assert compilation_cache.folder() != here
