"""Write ``dynamics/generated/eigenvalues.py``, the functions of eigenvalues that are the same for all losses.

The functions return the eigenvalues of the closed-form predictor, the steps of gradient descent, the velocities of the
continuous flow, and the imbalance between encoder and learned predictor.
"""

import sympy as sp

from derivations.codegen.functions import function
from derivations.codegen.module import header
from derivations.printers.text import MathText
from derivations.symbols import notation as n
from derivations.theory import invariants, rates

Row = tuple[str, list[str], str, sp.Expr]  # name, arguments, docstring and return value of a generated function


def eigenvalues() -> str:
    """Return the source of ``dynamics/generated/eigenvalues.py``; its functions are the same for all losses."""
    in_code = {rates.rate: sp.IndexedBase("r", real=True)[n.m]}
    rows = [*_predictors(), *_flow_and_steps(), *_averages(), *_imbalance()]
    parts = [function(name, arguments, doc, [value.subs(in_code)]) for name, arguments, doc, value in rows]
    parts.append(f'IMBALANCE = "{MathText().doprint(invariants.imbalance())}"\n')
    parts.append(f'IMBALANCE_OF_VIEWS = "{MathText().doprint(invariants.imbalance(n.cross[n.m]))}"\n')
    title = "Functions of eigenvalues that are the same for all losses: predictor, velocities, steps and imbalance"
    return header(title) + "\n\n" + "\n\n".join(parts)


def _predictors() -> list[Row]:
    arguments = ["s", "alpha", "epsilon"]
    doc = "Return the closed-form predictor's eigenvalues (s + epsilon)^alpha; s: eigenvalues of the correlation."
    normalized = (
        "Return the normalised predictor's eigenvalues (s/max s + epsilon)^alpha; s: eigenvalues of the correlation."
    )
    inverse_doc = "Return the correlation eigenvalues s = lambda^(1/alpha) of a predictor with epsilon = 0."
    inverse = (n.s[n.m] ** (1 / n.alpha)).subs(n.s[n.m], n.lam[n.m])
    return [
        ("predictor", arguments, doc, rates.predictor()),
        ("normalized_predictor", arguments, normalized, rates.normalized_predictor()),
        ("predictor_inverse", ["lam", "alpha"], inverse_doc, inverse),
    ]


def _flow_and_steps() -> list[Row]:
    encoder, descent = rates.encoder_step(), rates.predictor_step()
    arguments, trained = ["weights", "force", "rate_ratio", "rho"], {n.lam[n.m]: sp.Symbol("weights", real=True)}
    flow = (
        "Return dW/dt = a_P f - rho W, the velocity of weights W under the force f and weight decay rho.\n\n"
        "weights, force: W and f. rate_ratio: a_P, the learning rate of W divided by that of the encoder.\n"
    )
    step = (
        "Return W + eta (a_P f - rho W), the weights W after a step under the force f and weight decay rho.\n\n"
        "weights, force: W and f. eta: learning rate of the encoder. rate_ratio: a_P, the learning rate of W divided "
        "by eta.\n"
    )
    of_s = "Return ds/dt = 2 s (r - rho) of correlation eigenvalues s, with rates r and weight decay rho."
    of_w = "Return dw/dt = w (r - rho) of the encoder's singular values w, with rates r and weight decay rho."
    return [
        ("velocity", ["s", "r", "rho"], of_s, rates.velocity()),
        ("encoder_velocity", ["w", "r", "rho"], of_w, rates.flow(encoder)),
        ("descent_velocity", arguments, flow, rates.flow(descent).subs(trained)),
        ("descent_step", [*arguments, "eta"], step, descent.subs(trained)),
    ]


def _averages() -> list[Row]:
    arguments = ["average", "x", "decay"]
    flow = (
        "Return da/dt = (1 - tau)/eta (x - a), the velocity of an exponential average a of x.\n\n"
        "average: a. decay: tau, the decay per step. eta: learning rate, which is the time of a step.\n"
    )
    step = (
        "Return tau a + (1 - tau) x, the value after a step of an exponential average a of x.\n\n"
        "average: a before the step. decay: tau, the decay per step.\n"
    )
    momentum = (
        "Return mu b + x, the value after a step of a momentum buffer b that adds up gradients x.\n\n"
        "buffer: b before the step. momentum: mu, the share of b that is kept.\n"
    )
    return [
        ("average_velocity", [*arguments, "eta"], flow, rates.average_velocity()),
        ("average_step", arguments, step, rates.average_step()),
        ("momentum_step", ["buffer", "x", "momentum"], momentum, rates.momentum_step()),
    ]


def _imbalance() -> list[Row]:
    doc = (
        "Return the imbalance s/c - lambda^2/a_P between the encoder and a learned predictor in each mode.\n\n"
        "s, lam: eigenvalues s of the correlation and lambda of the predictor. rate_ratio: a_P, the learning rate of "
        "the predictor divided by that of the encoder. cross: c, the second moment that the views share.\n"
    )
    decay = (
        "Return k >= 0: under weight decay rho, the imbalance falls as exp(-k t) in the time t of the flow.\n\n"
        "The imbalance is that between the encoder and a learned predictor (see ``imbalance``).\n"
    )
    return [
        ("imbalance", ["s", "lam", "rate_ratio", "cross"], doc, invariants.imbalance(n.cross[n.m])),
        ("imbalance_decay", ["rho"], decay, invariants.imbalance_decay()),
    ]
