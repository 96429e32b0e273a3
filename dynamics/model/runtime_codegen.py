"""Array code for losses outside the catalogue, derived at the first use of a loss and cached.

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
    """Return the generated functions of a loss, in the form that losses of the catalogue have."""
    from derivations.codegen.module import module
    from derivations.errors import UntranslatableError

    try:
        source = module(derivation, whole=False)
    except UntranslatableError as error:
        raise errors.ArgumentError(f"Argument `loss` must have array code, but {error}.") from error
    return replace(executed(source, derivation.name).DERIVED, source=source)


def executed(source: str, name: str) -> ModuleType:
    """Execute the source of a module and return the module; tracebacks show its lines."""
    module = ModuleType(f"dynamics.model.runtime_codegen.{name}")
    path = f"<derived {name} {hash(source):x}>"
    linecache.cache[path] = (len(source), None, source.splitlines(keepends=True), path)
    exec(compile(source, path, "exec"), module.__dict__)
    return module
