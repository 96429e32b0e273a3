"""Export of a model's loss: the text of a module for a training loop in JAX or PyTorch, independent of this package.

Neither JAX nor PyTorch is imported to write the text.
"""

import numpy as np

from dynamics import errors
from dynamics.export.docstring import docstring
from dynamics.export.functions import LIBRARIES, Export, Exportable, closed_form, loss

# Names in an exported module, which a parameter of its loss cannot have.
RESERVED = frozenset(
    {"z", "target", "correlation", "current", "value", "C", "U"}
    | {"loss", "predictor", "spectrum", "applied", "batch_correlation", "tracked", "jax", "jnp", "torch"}
)


def source(model: Exportable, library: str) -> str:
    """Return the text of a module with the model's loss, for the library "jax" or "torch"; raises ArgumentError.

    The module defines ``loss`` and, for a closed-form predictor, ``predictor``, with the functions that they call.
    """
    errors.choice("library", library, LIBRARIES)
    _check(model)
    export = Export(model, LIBRARIES[library])
    functions = [part.strip("\n") for part in (*closed_form(export), loss(export))]
    code, statements = "\n".join(functions), export.library.imports
    imports = "\n".join(line for name, line in statements.items() if f"{name}." in code or f"{name}(" in code)
    return "\n\n\n".join([f"{docstring(export)}\n\n{imports}", *functions]) + "\n"


def _check(model: Exportable) -> None:
    """Raise ArgumentError for parameters that are arrays, or whose names the exported module uses itself."""
    for name, value in model.parameter_values.items():
        if np.ndim(value) and name != "init":  # a training loop chooses the initial values of its predictor
            errors.reject(name, "be a single number, because an exported module cannot contain an array", value)
        if name in RESERVED:
            argument = "loss" if model.gain is None else "gain"
            requirement = f"have no parameter named `{name}`, because the exported module uses this name itself"
            errors.reject(argument, requirement, getattr(model, argument))
