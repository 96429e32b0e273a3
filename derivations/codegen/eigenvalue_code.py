"""Code of the module that all losses share: predictors, and the step and flow of each dynamical variable."""

import sympy as sp

from derivations.codegen.functions import function
from derivations.codegen.module import header
from derivations.printers.text import MathText
from derivations.symbols import notation as n
from derivations.theory import invariants, rates

Row = tuple[str, list[str], str, sp.Expr]  # name, arguments and docstring of a function, and its value


def eigenvalues() -> str:
    """Return the source of the module that all losses share."""
    in_code = {rates.rate: sp.IndexedBase("r", real=True)[n.m]}
    rows = [*_predictors(), *_flow_and_steps(), *_averages(), *_imbalance()]
    parts = [function(name, arguments, doc, [value.subs(in_code)]) for name, arguments, doc, value in rows]
    parts.append(f'IMBALANCE = "{MathText().doprint(invariants.imbalance())}"\n')
    return header("From rates to the step of each dynamical variable") + "\n\n" + "\n\n".join(parts)


def _predictors() -> list[Row]:
    arguments = ["s", "alpha", "epsilon"]
    doc = "Return lambda = (s + epsilon)^alpha, the eigenvalues of the closed-form predictor."
    normalized = "Return lambda = (s/max s + epsilon)^alpha, the eigenvalues of the normalised closed-form predictor."
    inverse = (n.s[n.m] ** (1 / n.alpha)).subs(n.s[n.m], n.lam[n.m])
    return [
        ("predictor", arguments, doc, rates.predictor()),
        ("normalized_predictor", arguments, normalized, rates.normalized_predictor()),
        ("predictor_inverse", ["lam", "alpha"], "Return s = lambda^(1/alpha), for epsilon = 0.", inverse),
    ]


def _flow_and_steps() -> list[Row]:
    encoder, descent = rates.encoder_step(), rates.predictor_step()
    arguments, trained = ["weights", "force", "rate_ratio", "rho"], {n.lam[n.m]: sp.Symbol("weights", real=True)}
    flow = "Return d lambda/dt = a_P f - rho lambda of a learned predictor; dW/dt of a matrix with a_P = 1."
    step = "Return lambda + eta (a_P f - rho lambda), the weights after a step."
    return [
        ("velocity", ["s", "r", "rho"], "Return ds/dt = 2 s (r - rho).", rates.velocity()),
        ("encoder_velocity", ["w", "r", "rho"], "Return dw/dt = w (r - rho).", rates.flow(encoder)),
        ("descent_velocity", arguments, flow, rates.flow(descent).subs(trained)),
        ("descent_step", [*arguments, "eta"], step, descent.subs(trained)),
    ]


def _averages() -> list[Row]:
    arguments = ["average", "x", "decay"]
    flow = "Return da/dt = (1 - tau)/eta (x - a) of an exponential average a of x with the decay tau per step."
    return [
        ("average_velocity", [*arguments, "eta"], flow, rates.average_velocity()),
        ("average_step", arguments, "Return tau a + (1 - tau) x.", rates.average_step()),
    ]


def _imbalance() -> list[Row]:
    doc = "Return s - lambda^2/a_P of encoder and learned predictor, conserved if they are balanced and rho = 0."
    decay = "Return the decay rate of the imbalance under weight decay."
    return [
        ("imbalance", ["s", "lam", "rate_ratio"], doc, invariants.imbalance()),
        ("imbalance_decay", ["rho"], decay, invariants.imbalance_decay()),
    ]
