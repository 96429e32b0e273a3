"""Code of the module that all losses share: predictors, and one step of everything that moves."""

import sympy as sp

from derivations.codegen.functions import function
from derivations.codegen.module import header
from derivations.printers.text import MathText
from derivations.symbols import notation as n
from derivations.theory import invariants, rates


def eigenvalues() -> str:
    """Return the module that all losses share: predictors, and the step and flow of each dynamical variable."""
    in_code = {rates.rate: sp.IndexedBase("r", real=True)[n.m]}
    trained = {n.lam[n.m]: sp.Symbol("weights", real=True)}
    inverse = (n.s[n.m] ** (1 / n.alpha)).subs(n.s[n.m], n.lam[n.m])
    encoder, descent = rates.encoder_step(), rates.predictor_step()
    descent_arguments = ["weights", "force", "rate_ratio", "rho"]
    parts = [
        function(name, arguments, doc, [expression.subs(in_code)])
        for name, arguments, doc, expression in (
            ("predictor", ["s", "alpha", "epsilon"], "lambda = (s + epsilon)^alpha.", rates.predictor()),
            (
                "normalized_predictor",
                ["s", "alpha", "epsilon"],
                "lambda = (s/max s + epsilon)^alpha.",
                rates.normalized_predictor(),
            ),
            ("predictor_inverse", ["lam", "alpha"], "s = lambda^(1/alpha), for epsilon = 0.", inverse),
            ("velocity", ["s", "r", "rho"], "ds/dt = 2 s (r - rho).", rates.velocity()),
            ("encoder_velocity", ["w", "r", "rho"], "dw/dt = w (r - rho).", rates.flow(encoder)),
            ("encoder_step", ["w", "r", "rho", "eta"], "w <- w (1 + eta (r - rho)).", encoder),
            (
                "descent_velocity",
                descent_arguments,
                "d lambda/dt = a_P f - rho lambda, of a learned predictor; of a matrix of weights with a_P = 1.",
                rates.flow(descent).subs(trained),
            ),
            (
                "descent_step",
                [*descent_arguments, "eta"],
                "lambda <- lambda + eta (a_P f - rho lambda).",
                descent.subs(trained),
            ),
            (
                "average_velocity",
                ["average", "x", "decay", "eta"],
                "da/dt = (1 - tau)/eta (x - a), of an exponential average.",
                rates.average_velocity(),
            ),
            ("average_step", ["average", "x", "decay"], "a <- tau a + (1 - tau) x.", rates.average_step()),
            (
                "imbalance",
                ["s", "lam", "rate_ratio"],
                "s - lambda^2/a_P, of encoder and learned predictor; conserved where the two are balanced.",
                invariants.imbalance(),
            ),
            ("imbalance_decay", ["rho"], "Its decay rate.", invariants.imbalance_decay()),
        )
    ]
    parts.append(f'IMBALANCE = "{MathText().doprint(invariants.imbalance())}"\n')
    return header("From rates to the step of each dynamical variable") + "\n\n" + "\n\n".join(parts)
