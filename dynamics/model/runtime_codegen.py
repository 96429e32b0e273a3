"""Array code for user-defined losses and gains, derived when a loss is first used, and cached.

Only code that ``derivations`` wrote from a parsed expression is executed, never the text of a user.
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
    """Return the functions derived for a symbolic loss, as ``dynamics.generated`` has them for the catalogue losses."""
    from derivations.codegen.module import module
    from derivations.errors import UntranslatableError

    try:
        source = module(derivation, whole=False)
    except UntranslatableError as error:
        raise errors.ArgumentError(f"Argument `loss` must have array code, but {error}.") from error
    return replace(executed(source, derivation.name).DERIVED, source=source)


def executed(source: str, name: str) -> ModuleType:
    """Execute the source of a generated module and return the module; tracebacks show the lines of the source."""
    module = ModuleType(f"dynamics.model.runtime_codegen.{name}")
    path = f"<derived {name} {hash(source):x}>"
    linecache.cache[path] = (len(source), None, source.splitlines(keepends=True), path)
    exec(compile(source, path, "exec"), module.__dict__)
    return module
