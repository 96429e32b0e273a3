"""Write code for a loss, for its forces (negative gradients), and for each function h(W_P) of the predictor in it."""

from dataclasses import replace

import sympy as sp

from derivations.codegen.functions import function
from derivations.codegen.manifest import Manifest
from derivations.codegen.signature import Signature
from derivations.losses import gradients
from derivations.losses.loss import SymbolicLoss
from derivations.printers.array_code import ARRAY, ArrayPrinter
from derivations.printers.predictions import Predictions
from derivations.symbols import notation as n

GIVEN_SUM = replace(ARRAY, over_modes="over_modes({})")  # the loss takes the function that sums over modes as argument


def operator_functions(signature: Signature) -> list[str]:
    """Return the source of one function for each function h(W_P) of the predictor that occurs in a loss.

    The generated function maps the eigenvalues lambda of W_P to the eigenvalues h(lambda).
    """
    return [
        function(
            f"operator_{name.base}",
            ["lam", *signature.loss_parameters],
            f"Return {name.base}(lambda), the eigenvalues of a function of W_P; lam: eigenvalues lambda of W_P.",
            [meaning],
        )
        for name, meaning in signature.operators
    ]


def pole_functions(loss: SymbolicLoss, signature: Signature, manifest: "Manifest") -> list[str]:
    """Return the source of a function ``poles``, which computes the factors of the gradient that may have a pole.

    The factors depend on a predictor eigenvalue lambda, and the pole is at lambda = 0. The source is returned as a list
    with one entry. The list is empty if no factor may have a pole, as for most losses.
    """
    doc = (
        "Return the values of the factors of the loss gradient that may have a pole at lambda = 0.\n\n"
        "The factors are functions of the predictor eigenvalue lam = lambda.\n"
    )
    if not loss.poles:
        return []
    manifest["poles"] = "poles"
    return [function("poles", ["lam", *signature.loss_parameters], doc, loss.poles)]


def loss_function(loss: SymbolicLoss, signature: Signature) -> str:
    """Return the source of a function that computes the loss, for any predictor and in any basis.

    The gradient of this function can be computed by automatic differentiation.
    """
    predictions = Predictions(loss, ArrayPrinter(dialect=GIVEN_SUM))
    expression = loss.expression(predictions)
    arguments = ["z1", "z2", "t1", "t2", "predict", "over_modes", "stop_gradient", *signature.loss_parameters]
    doc = (
        "Return the loss of each sample.\n\n"
        "z1, z2: representations of views 1 and 2 by the encoder. t1, t2: representations of views 1 and 2 by the "
        "target branch. predict: function that applies the predictor W_P, or a function of W_P, to a representation. "
        "over_modes: function that sums over modes. stop_gradient: function that returns its argument as a constant.\n"
    )
    return function("loss", arguments, doc, [expression], dialect=GIVEN_SUM, lines=predictions.lines)


def force_functions(loss: sp.Expr, trains_predictor: bool, signature: Signature, manifest: "Manifest") -> list[str]:
    """Return the source of functions that compute, for each sample, the forces on the two representations.

    If the predictor is trained, a further function computes the force on the predictor.
    """
    forces = {}
    for letter, view in (("g", 1), ("h", 2)):
        z, t = f"z{view}", f"t{view}"
        doc = (
            f"Return the force {letter} = -dL/d{z} - dL/d{t} of each sample on the representation of view {view}.\n\n"
            "L is the loss of the sample. The components of the representations belong to the modes, the "
            "eigenvectors of the correlation. z1, z2 (..., M): representations of views 1 and 2 by the encoder. lam "
            "(..., M): eigenvalues of the predictor. ratio (..., M): singular values of the target branch divided by "
            f"those of the encoder, so that the target branch represents view {view} as {t} = ratio * {z}.\n"
        )
        forces[f"force_on_view{view}"] = doc, gradients.force(loss, view)
    if trains_predictor:
        forces["force_on_predictor"] = (
            "Return the force -dL/dlam of each sample on the eigenvalues lam (..., M) of a learned predictor.\n\n"
            "L is the loss of the sample. z1, z2 (..., M): representations of views 1 and 2 by the encoder. ratio "
            "(..., M): singular values of the target branch divided by those of the encoder.\n",
            gradients.force_on_predictor(loss),
        )
    manifest |= {name: name for name in ("loss", *forces)}
    arguments, operators = ["z1", "z2", "lam", "ratio", *signature.loss_parameters], signature.operators
    return [function(name, arguments, doc, [_like_input(force)], operators) for name, (doc, force) in forces.items()]


def _like_input(force: sp.Expr) -> sp.Expr:
    return sp.Mul(0, n.z1[n.m], evaluate=False) if force == 0 else sp.factor_terms(force)
