"""Write the manifest of a generated module: the statement ``DERIVED = DerivedLoss(...)``, which lists its contents."""

import json
import re
from collections.abc import Hashable, Iterable
from typing import Any

from derivations.codegen.layout import INDENT, broken


class Manifest(dict[str, str]):
    """A dictionary from fields of ``dynamics.derived_loss.DerivedLoss`` to the Python code of their values.

    The dictionary contains the fields that a generated module sets.
    """

    def __init__(self, name: str):
        super().__init__(name=json.dumps(name))

    @property
    def classes(self) -> list[str]:
        """Names of the classes that the generated module imports for its manifest."""
        code = re.sub(
            r'"(\\.|[^"\\])*"', "", " ".join(self.values())
        )  # strings are left out, as they may contain expressions
        return sorted({*re.findall(r"\b[A-Z]\w+(?=\()", code), "DerivedLoss"})

    def source(self) -> str:
        """Return the statement ``DERIVED = DerivedLoss(...)``, which defines the manifest in the generated module."""
        rows = "".join(broken(f"{field}={code},", INDENT) + "\n" for field, code in self.items())
        return f"DERIVED = DerivedLoss(\n{rows})\n"


def call(callee: str, /, **arguments: str) -> str:
    """Return the Python code of a call with keyword arguments."""
    return f"{callee}({', '.join(f'{key}={code}' for key, code in arguments.items())})"


def tuple_of(items: Iterable[str]) -> str:
    """Return the Python code of a tuple."""
    items = list(items)
    return f"({', '.join(items)}{',' if len(items) == 1 else ''})"


def numbered(name: str, keys: Iterable[Hashable]) -> dict[Any, str]:
    """Return a dictionary that gives each distinct key a name: ``name_1``, ``name_2``, ...

    A single distinct key gets ``name`` without a number.
    """
    keys = list(dict.fromkeys(keys))
    return {key: f"{name}_{number}" if len(keys) > 1 else name for number, key in enumerate(keys, 1)}
