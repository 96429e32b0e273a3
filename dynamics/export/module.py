"""Write the loss of a model as the text of a module for a training loop in JAX or PyTorch.

The written module does not depend on this package. Neither JAX nor PyTorch is imported to write the text.
"""

import numpy as np

from dynamics import errors
from dynamics.export.docstring import docstring
from dynamics.export.functions import LIBRARIES, Export, Exportable, closed_form, loss

# Names that an exported module uses; a parameter of its loss cannot have one of these names.
RESERVED = frozenset(
    {"z", "target", "correlation", "current", "value", "C", "U"}
    | {"loss", "predictor", "spectrum", "applied", "batch_correlation", "tracked", "jax", "jnp", "torch"}
)


def source(model: Exportable, library: str) -> str:
    """Return the text of a module that computes the loss of a model with the library "jax" or "torch".

    The module defines the function ``loss``, and the function ``predictor`` if the loss contains a closed-form
    predictor. It also defines the functions that these two call. Raises ArgumentError if the loss cannot be exported.
    """
    errors.choice("library", library, LIBRARIES)
    _check(model)
    export = Export(model, LIBRARIES[library])
    functions = [part.strip("\n") for part in (*closed_form(export), loss(export))]
    code, statements = "\n".join(functions), export.library.imports
    imports = "\n".join(line for name, line in statements.items() if f"{name}." in code or f"{name}(" in code)
    return "\n\n\n".join([f"{docstring(export)}\n\n{imports}", *functions]) + "\n"


def _check(model: Exportable) -> None:
    """Raise ArgumentError if a parameter of the model cannot be exported.

    A parameter must be a single number, and its name must not be one of the names that the exported module uses itself.
    """
    for name, value in model.parameter_values.items():
        if np.ndim(value) and name != "init":  # a training loop chooses the initial values of its predictor
            errors.reject(name, "be a single number, because an exported module cannot contain an array", value)
        if name in RESERVED:
            argument = "loss" if model.gain is None else "gain"
            requirement = f"have no parameter named `{name}`, because the exported module uses this name"
            errors.reject(argument, requirement, getattr(model, argument))
