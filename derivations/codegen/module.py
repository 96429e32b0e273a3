"""Write a module of array code that contains all that is derived for one loss."""

import json
from collections.abc import Callable

import sympy as sp

from derivations import errors
from derivations.codegen.expectation_code import expectation_functions
from derivations.codegen.layout import INDENT, WIDTH
from derivations.codegen.loss_code import force_functions, loss_function, operator_functions, pole_functions
from derivations.codegen.manifest import Manifest
from derivations.codegen.matrix_code import matrix_functions
from derivations.codegen.signature import Signature
from derivations.codegen.singularity_code import write_singularities
from derivations.codegen.solution_code import equilibrium_functions, exact_functions, invariant_functions
from derivations.errors import UntranslatableError
from derivations.losses.loss import SymbolicLoss
from derivations.losses.products import in_vectors
from derivations.printers.array_code import SPECIAL
from derivations.theory import rates
from derivations.theory.homogeneity import degrees_of_rates


def module(loss: SymbolicLoss, whole: bool = True) -> str:
    """Return the source of the generated module of a loss.

    whole: if True, a part of the module that cannot be derived raises an error with the name of the loss. If False,
    such a part is left out. The ``DerivedLoss`` in the module states why exact expectations are left out: for
    eigenmodes in the field ``no_closure``, and for matrices of weights in the field ``no_matrices``.
    """
    try:
        return _module(loss, whole)
    except (errors.UnsupportedLossError, UntranslatableError, errors.ProofError) as error:
        raise type(error)(f"{loss.name}: {error}") from error


def _module(loss: SymbolicLoss, whole: bool) -> str:
    expression, signature, learned = loss.in_eigenbasis(), Signature.of(loss), loss.trains_predictor
    manifest = Manifest(loss.name)
    if (degrees := degrees_of_rates(expression, learned)) is not None:
        manifest["degrees"] = f"({degrees.s}, {degrees.lam})"
    parts = [
        *operator_functions(signature),
        *pole_functions(loss, signature, manifest),
        loss_function(loss, signature),
        *force_functions(expression, learned, signature, manifest),
        *_unless(
            whole, manifest, "no_closure", lambda: expectation_functions(expression, learned, manifest, signature)
        ),
        *_unless(whole, manifest, "no_matrices", lambda: matrix_functions(in_vectors(loss), manifest, signature)),
    ]
    write_singularities(expression, learned, manifest)
    rate = None if "integrals=" in manifest.get("rates", "") else _own_rate(loss)
    parts += [
        *exact_functions(rate, signature, manifest, whole),
        *invariant_functions(expression, learned, manifest),
        *equilibrium_functions(rate, signature, manifest),
        manifest.source(),
    ]
    code = "\n\n".join(parts)
    special = sorted(name for name in SPECIAL.values() if f"{name}(" in code)
    imports = [_import("dynamics.derived_loss", manifest.classes)]
    imports += [_import("dynamics.numerics.special", special)] if special else []
    return "\n".join([header(loss.title), *imports, "\n", code])


def _import(module: str, names: list[str]) -> str:
    """Return an import statement; if the statement is too long for one line, it has one name per line."""
    line = f"from {module} import {', '.join(names)}"
    if len(line) <= WIDTH:
        return line
    return "\n".join([f"from {module} import (", *(f"{INDENT}{name}," for name in names), ")"])


def _unless(whole: bool, manifest: "Manifest", reason: str, derive: Callable[[], list[str]]) -> list[str]:
    """Return the result of ``derive``; return an empty list if the derivation fails.

    derive: function that returns the source of generated functions, or raises UnsupportedLossError if the derivation
    fails. whole: if True, ``_unless`` also raises this error and returns no empty list. manifest: the fields of the
    ``DerivedLoss`` in the generated module. reason: the field that receives the message of the error.
    """
    try:
        return derive()
    except errors.UnsupportedLossError as error:
        if whole:
            raise
        manifest[reason] = json.dumps(str(error))
        return []


def _own_rate(loss: SymbolicLoss) -> sp.Expr | None:
    """Return a formula for the exact rate of mode m.

    Functions of the predictor W_P are written as functions of the eigenvalues lambda of W_P. Returns None if the exact
    rate is an integral, or if the rate cannot be derived.
    """
    try:
        rate = rates.rates(loss.in_eigenbasis(), "gaussian")
    except errors.UnsupportedLossError:
        return None
    return loss.explicit(rate) if isinstance(rate, sp.Expr) else None


def header(title: str) -> str:
    """Return the docstring of a generated file."""
    how = "Written by ``python -m derivations.codegen``: change ``derivations/``, then run ``make derive``."
    return f'"""{title}.\n\n{how}\n"""\n'
