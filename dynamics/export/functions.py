"""Write the functions of an exported module, which compute the closed-form predictor and the loss.

``derivations.printers.training_loop`` prints the mathematics of these functions. This module adds arguments, default
values and docstrings.
"""

import textwrap
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Protocol

from derivations.printers import training_loop
from derivations.printers.array_code import Dialect

WIDTH = 88  # largest number of characters in a line of prose
CLOSED_FORM = ("alpha", "epsilon")  # parameters of the predictor


class Exportable(Protocol):
    """The properties that a model must have to be exported; ``dynamics.model.model.Model`` has all of them."""

    @property
    def loss(self) -> Any:
        """The loss: a name in the catalogue, or a user-defined ``Loss``."""

    @property
    def gain(self) -> Any:
        """The gain of the loss, or None for a loss without gain."""

    @property
    def symmetrised(self) -> bool:
        """True if the loss is averaged over two directions: view 2 predicted from view 1, and view 1 from view 2."""

    @property
    def structure(self) -> Any:
        """The components of the model, as a ``dynamics.model.parameters.Structure``."""

    @property
    def derivation(self) -> Any:
        """The symbolic form of the loss, from which ``derivations`` derives code."""

    @property
    def parameter_values(self) -> dict[str, Any]:
        """The values of the parameters of the model, in a dictionary with their names as keys."""


@dataclass(frozen=True)
class Library:
    """A library, JAX or PyTorch, for which modules are written."""

    name: str
    dialect: Dialect
    imports: dict[str, str]  # for each name that a module may need, the statement that imports this name
    arrays: str  # word of the library for arrays: "arrays" or "tensors"


JAX_NAMES = {"jnp": "import jax.numpy as jnp", "stop_gradient": "from jax.lax import stop_gradient"}
JAX = Library("JAX", training_loop.JAX, JAX_NAMES, "arrays")
TORCH = Library("PyTorch", training_loop.TORCH, {"torch": "import torch"}, "tensors")
LIBRARIES = {"jax": JAX, "torch": TORCH}


@dataclass(frozen=True, eq=False)
class Export:
    """A model that is exported for a library, JAX or PyTorch; its properties determine the code of the module."""

    model: Exportable
    library: Library

    @cached_property
    def one_way(self) -> Any:
        """The symbolic form of the loss without symmetrisation: only view 2 is predicted from view 1."""
        return replace(self.model, symmetrised=False).derivation  # type: ignore[type-var]  # a dataclass

    @cached_property
    def lines(self) -> training_loop.Lines:
        """The lines of code that compute the loss."""
        product = "applied({values}, U, {vector})" if self.closed else "{vector} @ W_P.T"
        return training_loop.loss_lines(self.one_way, self.library.dialect, product)

    @property
    def closed(self) -> bool:
        """True if the predictor is not learned but computed from the correlation by a formula."""
        return self.model.structure.predictor in ("closed form", "normalized")

    @property
    def predicts(self) -> bool:
        """True if the module computes the predictor: the predictor has a closed form, and the loss contains it."""
        return self.closed and ("p" in self.lines.uses or bool(self.lines.products))

    @property
    def tracked(self) -> bool:
        """True if the module computes the predictor from an exponential average of the correlation."""
        return self.predicts and self.model.structure.tracked

    @property
    def takes_W_P(self) -> bool:
        """True if the loss contains the matrix W_P of a learned predictor also outside the prediction W_P z."""
        return bool(self.lines.products) and not self.closed

    @property
    def closed_formula(self) -> str:
        """Formula of the closed-form predictor W_P, as text."""
        normalized = self.model.structure.predictor == "normalized"
        return "W_P = (C / max s + epsilon)^alpha" if normalized else "W_P = (C + epsilon)^alpha"

    def defaults(self, *names: str) -> str:
        """Return code of keyword arguments, such as "alpha=1.0", whose defaults are the values in the model."""
        return ", ".join(f"{name}={float(self.values[name])!r}" for name in names)

    @property
    def values(self) -> dict[str, Any]:
        """The values of the parameters of the model, in a dictionary with their names as keys."""
        return self.model.parameter_values


# --- the closed-form predictor --------------------------------------------------------------------------------------


def closed_form(export: Export) -> list[str]:
    """Return the code of the functions that compute a closed-form predictor, one text for each function.

    The list is empty if the loss contains no closed-form predictor.
    """
    if not export.predicts:
        return []
    parts = [_batch_correlation(export), _spectrum(export), _predictor(export)]
    parts += [APPLIED] if export.lines.products else []
    return parts + ([_tracked(export)] if export.tracked else [])


def _batch_correlation(export: Export) -> str:
    return f'''
def batch_correlation(z):
    """C = z^T z / batch (M, M) of representations z (batch, M), without gradient."""
    z = {export.library.dialect.stop_gradient.format("z")}
    return z.T @ z / len(z)
'''


def _spectrum(export: Export) -> str:
    normalize, dialect = export.model.structure.predictor == "normalized", export.library.dialect
    of = "(s / max s + epsilon)^alpha" if normalize else "(s + epsilon)^alpha"
    return f'''
def spectrum(correlation, {export.defaults(*CLOSED_FORM)}):
    """Eigenvalues lambda = {of} of W_P (M,), and eigenvectors U (M, M).

    correlation: C (M, M), symmetric, with eigenvalues s; no gradient flows back into it.
    """
    s, U = {dialect.namespace}.linalg.eigh({dialect.stop_gradient.format("correlation")})
    s = {dialect.larger.format("s", 0)}  # negative values are rounding errors
    return {training_loop.predictor_formula(normalize, dialect)}, U
'''


def _predictor(export: Export) -> str:
    return f'''
def predictor(correlation, {export.defaults(*CLOSED_FORM)}):
    """{export.closed_formula} (M, M), of a correlation C (M, M), without gradient.

    W_P = U diag(lambda) U^T, whichever eigenvectors U are chosen for equal eigenvalues.
    """
    lam, U = spectrum(correlation, alpha, epsilon)
    return (U * lam[None, :]) @ U.T
'''


APPLIED = '''
def applied(values, U, z):
    """U diag(values) U^T z for each row z (batch, M): a function of W_P with the eigenvalues `values`."""
    return ((z @ U) * values[None, :]) @ U.T
'''


def _tracked(export: Export) -> str:
    return f'''
def tracked(correlation, z, decay={export.values["tracking"]!r}):
    """The averaged correlation after a step, decay C + (1 - decay) z^T z / batch.

    correlation: C, the averaged correlation before the step; start with `batch_correlation` of a first batch.
    """
    current = batch_correlation(z)
    return {training_loop.average_formula(export.library.dialect)}
'''


# --- the loss -------------------------------------------------------------------------------------------------------


def loss(export: Export) -> str:
    """Return the code of the exported function ``loss``."""
    keywords = (*(CLOSED_FORM if export.predicts else ()), *export.one_way.parameters)
    arguments = [*_arguments(export), *(["*", export.defaults(*keywords)] if keywords else [])]
    lines = [*_tensors(export), *_predictions(export), *export.lines.lines]
    code = "\n".join(f"    {line}" for line in [*lines, f"return {export.library.dialect.namespace}.mean(value)"])
    return f'''
def loss({", ".join(arguments)}):
    """Mean of L over the batch.

{_explained(export)}
    """
{code}
'''


def _arguments(export: Export) -> list[str]:
    names = ["z", "target"] if export.model.structure.predictor == "none" else ["p", "z", "target"]
    names += ["correlation=None"] if export.predicts else []
    return names + (["W_P"] if export.takes_W_P else [])


def _tensors(export: Export) -> list[str]:
    """Return lines of code that convert parameters of the loss to tensors of PyTorch; return [] for JAX.

    Functions of PyTorch such as exp and log require tensors as arguments. A parameter that is a tensor already keeps
    its gradient through the conversion.
    """
    inside = sorted(export.lines.inside_functions) if export.library is TORCH else []
    return [f"{name} = torch.as_tensor({name}, dtype=z.dtype, device=z.device)" for name in inside]


def _predictions(export: Export) -> list[str]:
    """Return the lines of code that compute the prediction p = W_P z, and other products of W_P in the loss."""
    products = export.lines.products
    if not export.predicts:
        return list(products)
    C = "C = batch_correlation(z) if correlation is None else correlation"
    if not products:
        return ["if p is None:", f"    {C}", "    p = z @ predictor(C, alpha, epsilon)"]
    prediction = ["if p is None:", "    p = applied(lam, U, z)"] if "p" in export.lines.uses else []
    return [C, "lam, U = spectrum(C, alpha, epsilon)", *prediction, *products]


def _explained(export: Export) -> str:
    """Return the descriptions of the arguments of the exported function ``loss``, one paragraph for each argument."""
    gradient = (
        "no gradient flows into it"
        if export.one_way.has_free_target
        else "the gradient flows into it, too: do not detach it"
    )
    rows = {
        "p": "prediction W_P z of `target` (batch, M)" + ("; None: computed from `z`" if export.predicts else ""),
        "z": "representation of one view, by the encoder (batch, M)",
        "target": f"representation of the other view, by the target branch (batch, M); {gradient}",
        "correlation=None": "C (M, M), from which W_P is built; None: the correlation of the batch",
        "W_P": "the predictor's matrix (M, M), where p = z @ W_P.T",
    }
    used = {*export.lines.uses, *(["z"] if export.predicts else [])}
    shown = []
    for name in _arguments(export):
        unused = "; this loss does not depend on it" if name in ("p", "z", "target") and name not in used else ""
        shown.append(f"{name.partition('=')[0]}: {rows[name]}{unused}.")
    shown += ["alpha, epsilon: parameters of W_P."] if export.predicts else []
    parameters = export.one_way.parameters
    shown += [f"{', '.join(parameters)}: parameters of the loss."] if parameters else []
    return "\n".join(filled(row, "    ") for row in shown)


def filled(text: str, indent: str = "") -> str:
    """Break a text into lines of at most WIDTH characters.

    The first line begins with ``indent``, all other lines begin with twice ``indent``.
    """
    return textwrap.fill(text, WIDTH, initial_indent=indent, subsequent_indent=indent * 2, break_long_words=False)
