"""A model's loss to take away: the text of a module for a training loop in JAX or PyTorch, which needs nothing of this.

Its functions are those of ``dynamics.export_functions``, its explanation that of ``dynamics.export_explained``. Neither
library is imported.
"""

import numpy as np

from dynamics import errors
from dynamics.export.docstring import docstring
from dynamics.export.functions import LIBRARIES, Export, Exportable, closed_form, loss, number_of

# What a written module calls things; a number of its loss cannot have these names.
RESERVED = frozenset(
    {"z", "target", "correlation", "current", "value", "C", "U"}
    | {"loss", "predictor", "spectrum", "applied", "batch_correlation", "tracked", "jax", "jnp", "torch"}
)


def source(model: Exportable, library: str) -> str:
    """The text of a module with the model's loss, in "jax" or "torch"; raises ArgumentError.

    It has ``loss`` and, for a closed-form predictor, ``predictor`` and what they are made of.
    """
    errors.choice("library", library, LIBRARIES)
    _check(model)
    export = Export(model, LIBRARIES[library])
    functions = [part.strip("\n") for part in (*closed_form(export), loss(export))]
    code, known = "\n".join(functions), export.library.imports
    imports = "\n".join(line for name, line in known.items() if f"{name}." in code or f"{name}(" in code)
    return "\n\n\n".join([f"{docstring(export)}\n\n{imports}", *functions]) + "\n"


def _check(model: Exportable) -> None:
    """Refuses what a text cannot say."""
    for name in model.parameter_names:
        value = number_of(model, name)
        if np.ndim(value) and name != "init":  # which is where the predictor of a training loop starts by itself
            errors.reject(name, "be a single number to be written into a text", value)
    for part in ("loss", "gain"):
        for number in getattr(getattr(model, part), "parameters", ()):
            if number in RESERVED:
                must = "have numbers with names that a training loop leaves free"
                errors.reject(part, f"{must}: one other than `{number}`", getattr(model, part))
