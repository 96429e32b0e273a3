"""Let JAX keep compiled programs in the user's cache folder, so that later processes need not compile them again.

Compiling a program takes seconds, reading a compiled program a tenth of a second. JAX's setting holds for the whole
process: JAX then also keeps programs that the caller compiles. The setting is made before the first program of this
package is compiled, not on import. JAX's setting stays unchanged in three cases: the caller has set JAX's own cache
folder, the caller has disabled JAX's cache, or the environment variable SSL_DYNAMICS_CACHE is "off". Any other value of
this variable names the folder that is used in place of the user's cache folder.
"""

import hashlib
import os
import platform
import stat
from functools import lru_cache
from pathlib import Path

VARIABLE = "SSL_DYNAMICS_CACHE"
OFF = "off"
WRITABLE_BY_OTHERS = stat.S_IWGRP | stat.S_IWOTH
SHORTEST = 0.2  # time of compilation in seconds from which a program is kept


def folder() -> Path | None:
    """Return the folder of compiled programs for this kind of processor; None if SSL_DYNAMICS_CACHE is "off"."""
    chosen = os.environ.get(VARIABLE, "")
    if chosen.lower() == OFF:
        return None
    if chosen:
        root = Path(chosen)
    else:
        from platformdirs import user_cache_path

        root = user_cache_path("ssl-dynamics")
    return root / f"jax-{_processor()}"


@lru_cache
def use() -> None:
    """Let JAX keep compiled programs in ``folder()``.

    JAX's settings stay unchanged in three cases: the folder is None or cannot be created, another user owns the folder
    or may write to it, or the caller has set JAX's own cache folder or disabled JAX's cache. Only the first call has an
    effect.
    """
    import jax

    path = folder()
    settings = jax.config.values
    if path is None or settings["jax_compilation_cache_dir"] or not settings["jax_enable_compilation_cache"]:
        return
    try:
        path.mkdir(parents=True, exist_ok=True, mode=0o700)
        status = path.stat()
    except OSError:  # no home folder, or one that is read-only
        return
    if status.st_uid != os.getuid() or status.st_mode & WRITABLE_BY_OTHERS:
        return  # JAX runs what is in the folder
    jax.config.update("jax_compilation_cache_dir", str(path))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", SHORTEST)


def _processor() -> str:
    """Return a short digest of the processor's instruction set.

    Several machines may share one home folder. The digest in the folder's name keeps a machine from loading programs
    that were compiled for another kind of processor.
    """
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
        features = next(line for line in lines if line.startswith(("flags", "Features")))
    except (OSError, StopIteration):
        features = platform.processor()
    return hashlib.sha256(f"{platform.machine()} {features}".encode()).hexdigest()[:12]
