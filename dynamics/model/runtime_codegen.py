"""Derive array code for user-defined losses and gains when they are first used, and cache the code.

The text of a user is never executed. The text is parsed into a symbolic expression, from which ``derivations`` writes
the code that is executed.
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
    """Return the array functions (rates, gradients, ...) that are derived from a symbolic loss.

    The result is a ``DerivedLoss``, as in the modules of ``dynamics.generated``, and also contains the source code.
    """
    from derivations.codegen.module import module
    from derivations.errors import UntranslatableError

    try:
        source = module(derivation, whole=False)
    except UntranslatableError as error:
        raise errors.ArgumentError(
            f"Argument `loss` must contain only functions for which array code exists, but {error}."
        ) from error
    return replace(executed(source, derivation.name).DERIVED, source=source)


def executed(source: str, name: str) -> ModuleType:
    """Execute the source of a generated module, and return the module; tracebacks show the lines of the source.

    name: name of the module.
    """
    module = ModuleType(f"dynamics.model.runtime_codegen.{name}")
    path = f"<derived {name} {hash(source):x}>"
    linecache.cache[path] = (len(source), None, source.splitlines(keepends=True), path)
    exec(compile(source, path, "exec"), module.__dict__)
    return module
