"""Code of a loss, of its negative gradients (forces), and of the functions of the predictor W_P in both."""

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

GIVEN_SUM = replace(ARRAY, over_modes="over_modes({})")  # the function that sums over modes is an argument of a loss


def operator_functions(signature: Signature) -> list[str]:
    """Return the source of the functions of W_P in a loss; each maps lambda to the eigenvalues of a function of W_P."""
    return [
        function(
            f"operator_{name.base}",
            ["lam", *signature.loss_parameters],
            f"Return {name.base}(lambda), the eigenvalues of a function of W_P.",
            [meaning],
        )
        for name, meaning in signature.operators
    ]


def pole_functions(loss: SymbolicLoss, signature: Signature, manifest: "Manifest") -> list[str]:
    """Return the source of the functions of lambda in the gradient that may have a pole at lambda = 0.

    Most losses have no such function.
    """
    doc = "Return the functions of lambda in the loss gradient that may have poles; at a pole they are not finite."
    if not loss.poles:
        return []
    manifest["poles"] = "poles"
    return [function("poles", ["lam", *signature.loss_parameters], doc, loss.poles)]


def loss_function(loss: SymbolicLoss, signature: Signature) -> str:
    """Return the source of the loss itself, for automatic differentiation with any predictor in any basis."""
    predictions = Predictions(loss, ArrayPrinter(dialect=GIVEN_SUM))
    expression = loss.expression(predictions)
    arguments = ["z1", "z2", "t1", "t2", "predict", "over_modes", "stop_gradient", *signature.loss_parameters]
    doc = "Return the loss of each sample; predict applies W_P or a function of W_P, over_modes sums over modes."
    return function("loss", arguments, doc, [expression], dialect=GIVEN_SUM, lines=predictions.lines)


def force_functions(loss: sp.Expr, trains_predictor: bool, signature: Signature, manifest: "Manifest") -> list[str]:
    """Return the source of the forces on the representations of each sample, and on a predictor that is trained."""
    forces = {
        "force_on_view1": (
            "Return the force on view 1 per sample, g = -dL/dz1 - dL/dt1, in the eigenbasis; target: t = ratio z.",
            gradients.force(loss, 1),
        ),
        "force_on_view2": (
            "Return the force on view 2 per sample, h = -dL/dz2 - dL/dt2, in the eigenbasis; target: t = ratio z.",
            gradients.force(loss, 2),
        ),
    }
    if trains_predictor:
        forces["force_on_predictor"] = (
            "Return the force -dL/dlam of each sample on the eigenvalues lam of a learned predictor.",
            gradients.force_on_predictor(loss),
        )
    manifest |= {name: name for name in ("loss", *forces)}
    arguments, operators = ["z1", "z2", "lam", "ratio", *signature.loss_parameters], signature.operators
    return [function(name, arguments, doc, [_like_input(force)], operators) for name, (doc, force) in forces.items()]


def _like_input(force: sp.Expr) -> sp.Expr:
    return sp.Mul(0, n.z1[n.m], evaluate=False) if force == 0 else sp.factor_terms(force)
