"""Array code for losses outside the catalogue: derived when they are first used, and kept for the session.

Only code that ``derivations`` wrote from a parsed expression is executed; no text of a user's is.
"""

import linecache
from dataclasses import replace
from functools import lru_cache
from types import ModuleType
from typing import Any

from dynamics import errors
from dynamics.derived_loss import DerivedLoss


@lru_cache(maxsize=256)
def derived_loss(derivation: Any) -> DerivedLoss:
    """Return the generated functions of a loss, as of the catalogue; they state why a part is missing."""
    from derivations.codegen.module import module
    from derivations.errors import UntranslatableError

    try:
        source = module(derivation, whole=False)
    except UntranslatableError as error:
        raise errors.ArgumentError(f"Argument `loss` must have array code, but {error}.") from error
    return replace(executed(source, derivation.name).DERIVED, source=source)


def executed(source: str, name: str) -> ModuleType:
    """Return a module from its source, which stays visible in tracebacks."""
    module = ModuleType(f"dynamics.model.runtime_codegen.{name}")
    path = f"<derived {name} {hash(source):x}>"
    linecache.cache[path] = (len(source), None, source.splitlines(keepends=True), path)
    exec(compile(source, path, "exec"), module.__dict__)
    return module
