r"""Write the derivation of a loss as a document, from the loss to the flow of the eigenvalues and its solutions.

Each step is checked, and a check that fails raises ``ProofError``. Symbolic checks hold for any number of modes.
Numerical checks compare both sides at random values for two or three modes, in 30 digits. Expectations of polynomials
are checked by Gaussian quadrature, which is exact for polynomials.
"""

import re

import sympy as sp

from derivations.errors import UnsupportedLossError
from derivations.losses.loss import SymbolicLoss
from derivations.report import rate_steps
from derivations.report.dynamics_steps import (
    conserved_steps,
    exact_steps,
    fixed_point_steps,
    flow_step,
    shared_forcing_steps,
)
from derivations.report.loss_steps import eigenbasis_step, gradient_step, loss_step, network_step, representation_steps
from derivations.report.steps import SYMBOLS, Step, tex
from derivations.report.summary import shared_target
from derivations.symbols import notation as n
from derivations.theory import moments, rates
from derivations.theory.expectations import Mixed

# Symbols of targets with separate weights and of other predictors; these do not occur in reports.
ABSENT = {n.t1, n.t2, n.v, n.ratio, n.epsilon, n.decay, n.rate_ratio}


class Explicit(SymbolicLoss):
    """A loss in which the named functions of W_P are replaced by their expressions in the eigenvalues lambda."""

    def __init__(self, loss: SymbolicLoss):
        self.loss, self.predictor, self.symmetrised = loss, loss.predictor, loss.symmetrised
        self.parameters, self.gain = loss.parameters, loss.gain

    name = property(lambda self: self.loss.name)
    title = property(lambda self: self.loss.title)
    formula = property(lambda self: self.loss.formula)
    stopped = property(lambda self: self.loss.stopped)
    trains_predictor = property(lambda self: self.loss.trains_predictor)
    operators = property(lambda self: {})

    def parameter(self, name: str) -> sp.Expr:
        """Return the value of a parameter if it is known, otherwise a symbol with the known sign of the value."""
        return self.loss.parameter(name)

    def in_eigenbasis(self) -> sp.Expr:
        """Return the loss in the eigenbasis of W_P = diag(lambda); functions of W_P are written in lambda."""
        return self.loss.explicit(self.loss.in_eigenbasis())


def report(setting: SymbolicLoss) -> list[Step]:
    """Return all steps of the report of a loss.

    The predictor is in closed form or absent, and the target branch shares the weights of the encoder. Raises
    ProofError if a step does not follow from the step before.
    """
    setting = Explicit(setting) if setting.operators else setting
    loss = shared_target(setting.in_eigenbasis())
    try:
        rate = moments.white(rates.rates(setting.in_eigenbasis()))
    except UnsupportedLossError as error:
        rate, why = None, str(error)
    steps = [loss_step(setting), eigenbasis_step(setting, loss), gradient_step(setting, loss)]
    steps += [*representation_steps(setting, loss), network_step(setting, loss)]
    if rate is None:
        return [*steps, *_sampled(why), *conserved_steps(setting), _symbols(steps)]
    if isinstance(rate, sp.Expr):
        steps += [rate_steps.moments_step(setting, rate)]
    elif isinstance(rate, Mixed):
        steps += [_mixed(rate)]
    else:
        steps += rate_steps.integral_steps(setting, rate)
    steps += [
        flow_step(setting, rate),
        *exact_steps(setting, rate),
        *shared_forcing_steps(setting),
        *conserved_steps(setting),
        *fixed_point_steps(setting, rate),
    ]
    return [*steps, _symbols(steps)]


def _sampled(why: str) -> list[Step]:
    text = f"This expectation has no closed form: {why.replace('**', '^')}. It is estimated by a mean over samples."
    return [Step("The expectation", text)]


def _mixed(rate: Mixed) -> Step:
    text = (
        "Terms of the gradient with norms in their denominators become integrals, as in the reports of cosine losses; "
        "the other terms are Gaussian moments. The rate is the sum of both."
    )
    return Step("The expectations", text, (rf"r_m = {tex(rates.shared_weights(rate.formula))} + \int\!\!\int \ldots",))


def _symbols(steps: list[Step]) -> Step:
    """Return a step with the table of all symbols that occur in the equations; each row is LaTeX | meaning."""
    whole = " ".join(equation for step in steps for equation in step.equations)
    used = [e for e in n.TABLE if e.symbol not in ABSENT and _occurs(e.latex, whole)]
    return Step(SYMBOLS, "", tuple(f"{entry.latex}|{entry.meaning}" for entry in used))


def _occurs(latex: str, whole: str) -> bool:
    latex = rf"\mathrm{{d}}{latex}" if latex in ("x", "y") else latex  # only as integration variables
    printed = re.escape(latex) + "(?![A-Za-z])"
    if "_" in latex:  # equations add the mode: S_{11} is printed as S_{11,k}, zeta_1 as zeta_{1,m}
        head, index = latex.replace("{", "").replace("}", "").split("_")
        printed += "|" + re.escape(f"{head}_{{{index},")
    return re.search(rf"(?<![A-Za-z\\])({printed})", whole) is not None
