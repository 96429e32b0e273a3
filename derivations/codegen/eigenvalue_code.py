"""Code of the module that all losses share: predictors, and the step and flow of each dynamical variable."""

import sympy as sp

from derivations.codegen.functions import function
from derivations.codegen.module import header
from derivations.printers.text import MathText
from derivations.symbols import notation as n
from derivations.theory import invariants, rates


def eigenvalues() -> str:
    """Return the source of the module that all losses share."""
    in_code = {rates.rate: sp.IndexedBase("r", real=True)[n.m]}
    trained = {n.lam[n.m]: sp.Symbol("weights", real=True)}
    inverse = (n.s[n.m] ** (1 / n.alpha)).subs(n.s[n.m], n.lam[n.m])
    encoder, descent = rates.encoder_step(), rates.predictor_step()
    descent_arguments = ["weights", "force", "rate_ratio", "rho"]
    parts = [
        function(name, arguments, doc, [expression.subs(in_code)])
        for name, arguments, doc, expression in (
            (
                "predictor",
                ["s", "alpha", "epsilon"],
                "Return lambda = (s + epsilon)^alpha, the eigenvalues of the closed-form predictor.",
                rates.predictor(),
            ),
            (
                "normalized_predictor",
                ["s", "alpha", "epsilon"],
                "Return lambda = (s/max s + epsilon)^alpha, the eigenvalues of the normalised closed-form predictor.",
                rates.normalized_predictor(),
            ),
            ("predictor_inverse", ["lam", "alpha"], "Return s = lambda^(1/alpha), for epsilon = 0.", inverse),
            (
                "velocity",
                ["s", "r", "rho"],
                "Return ds/dt = 2 s (r - rho).",
                rates.velocity(),
            ),
            (
                "encoder_velocity",
                ["w", "r", "rho"],
                "Return dw/dt = w (r - rho).",
                rates.flow(encoder),
            ),
            (
                "encoder_step",
                ["w", "r", "rho", "eta"],
                "Return w (1 + eta (r - rho)).",
                encoder,
            ),
            (
                "descent_velocity",
                descent_arguments,
                "Return d lambda/dt = a_P f - rho lambda of a learned predictor; dW/dt of a matrix with a_P = 1.",
                rates.flow(descent).subs(trained),
            ),
            (
                "descent_step",
                [*descent_arguments, "eta"],
                "Return lambda + eta (a_P f - rho lambda), the weights after a step.",
                descent.subs(trained),
            ),
            (
                "average_velocity",
                ["average", "x", "decay", "eta"],
                "Return da/dt = (1 - tau)/eta (x - a) of an exponential average a of x with the decay tau per step.",
                rates.average_velocity(),
            ),
            (
                "average_step",
                ["average", "x", "decay"],
                "Return tau a + (1 - tau) x.",
                rates.average_step(),
            ),
            (
                "imbalance",
                ["s", "lam", "rate_ratio"],
                "Return s - lambda^2/a_P of encoder and learned predictor, conserved if they are balanced and rho = 0.",
                invariants.imbalance(),
            ),
            (
                "imbalance_decay",
                ["rho"],
                "Return the decay rate of the imbalance under weight decay.",
                invariants.imbalance_decay(),
            ),
        )
    ]
    parts.append(f'IMBALANCE = "{MathText().doprint(invariants.imbalance())}"\n')
    return header("From rates to the step of each dynamical variable") + "\n\n" + "\n\n".join(parts)
