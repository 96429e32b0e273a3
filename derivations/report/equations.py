r"""Write the equations that state a model: its loss, the flow of its eigenvalues, and its predictor.

The equations fit a card in a notebook, and are derived in a fraction of a second: a rate without a short formula is
written as an expectation.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

import sympy as sp

from derivations.errors import UnsupportedLossError
from derivations.losses.gain import read_gain
from derivations.losses.loss import SymbolicLoss
from derivations.report.derivation import Explicit
from derivations.report.loss_steps import in_vectors
from derivations.report.rate_steps import named_expectations
from derivations.report.steps import tex
from derivations.symbols import notation as n
from derivations.theory import moments, rates

MOST_TERMS, MOST_SUMS = 6, 2  # limits for a formula: expectations in a rate, sums over modes in an expectation
FORCES = r"g = -\frac{\partial L}{\partial z_1}, \quad h = -\frac{\partial L}{\partial z_2}"
IN_EIGENBASIS = (
    r"r_m &= \frac{1}{s_m} \mathbb{E}\left[g_m \hat z_{1,m} + h_m \hat z_{2,m}\right], \qquad "
    + FORCES.replace("z", r"\hat z")
)


@dataclass(frozen=True)
class Dynamics:
    """Properties of a model that determine its dynamical variables, and thus which equations describe the model.

    predictor: "none", "closed form", "normalized" or "learned". offset: True if a closed-form predictor adds epsilon to
    the eigenvalues of the correlation. tracked: True if the predictor is built from an exponential average of the
    correlation, which then is a dynamical variable. separate_target: True if the target branch has weights of its own,
    which are an exponential average of the encoder's weights. correlated: True if the inputs are correlated; the
    equations are then those of the weights, because the eigenvectors of the correlation rotate.
    """

    predictor: str = "closed form"
    offset: bool = False
    tracked: bool = False
    separate_target: bool = False
    correlated: bool = False


@lru_cache(maxsize=256)
def equations(setting: SymbolicLoss, dynamics: Dynamics) -> str:
    """Return the loss and the dynamics as the LaTeX of an environment ``aligned``."""
    explicit = Explicit(setting) if setting.operators else setting
    rows = [f"L &= {in_vectors(explicit)}"]
    rows += _of_weights(dynamics) if dynamics.correlated else _of_modes(explicit, dynamics)
    return aligned(rows + _where(rows))


def aligned(rows: list[str]) -> str:
    """Return the LaTeX of equations below each other; each equation has the mark & at its equals sign."""
    return r"\begin{aligned}" + r" \\ ".join(rows) + r"\end{aligned}"


def _of_modes(setting: SymbolicLoss, dynamics: Dynamics) -> list[str]:
    average = r"\frac{1 - \tau}{\eta}"
    if dynamics.separate_target:
        rows = [
            rf"\frac{{\mathrm{{d}} w_m}}{{\mathrm{{d}} t}} &= w_m (r_m - \rho), \quad s_m = w_m^2, \qquad "
            rf"\frac{{\mathrm{{d}} v_m}}{{\mathrm{{d}} t}} = {average} (w_m - v_m)"
        ]
    else:
        rows = [r"\frac{\mathrm{d} s_m}{\mathrm{d} t} &= 2 s_m (r_m - \rho)"]
    rows += _rate(setting, dynamics.separate_target)
    if dynamics.predictor == "learned":
        return [*rows, *_learned(setting, dynamics.separate_target)]
    if dynamics.predictor == "none":
        return rows
    eigenvalue = rates.normalized_predictor() if dynamics.predictor == "normalized" else rates.predictor()
    of_s = r"\frac{s_m}{\max_k s_k}" if dynamics.predictor == "normalized" else "s_m"
    base = rf"\left({of_s} + \epsilon\right)" if dynamics.offset else of_s
    base = rf"\left({of_s}\right)" if not dynamics.offset and eigenvalue != rates.predictor() else base
    if not dynamics.tracked:
        return [*rows, rf"\lambda_m &= {base}^\alpha"]
    tracked = rf"\frac{{\mathrm{{d}} c_m}}{{\mathrm{{d}} t}} = {average} (s_m - c_m)"
    return [*rows, rf"\lambda_m &= {base.replace('s_', 'c_')}^\alpha, \qquad {tracked}"]


def _of_weights(dynamics: Dynamics) -> list[str]:
    rows = [
        r"\frac{\mathrm{d} W}{\mathrm{d} t} &= \mathbb{E}\left[g x_1^\top\right] + \mathbb{E}\left[h x_2^\top\right] "
        rf"- \rho W, \qquad {FORCES}"
    ]
    if dynamics.predictor == "learned":
        force = r"\mathbb{E}\left[-\frac{\partial L}{\partial W_P}\right]"
        rows.append(rf"\frac{{\mathrm{{d}} W_P}}{{\mathrm{{d}} t}} &= a_P {force} - \rho W_P")
    return [*rows, r"C &= W \Sigma_x W^\top"]


def _rate(setting: SymbolicLoss, separate_target: bool) -> list[str]:
    """Return the equations for the rate of a mode: a formula, or named expectations, or one expectation."""
    try:
        named = named_expectations(setting)
    except UnsupportedLossError:
        return [IN_EIGENBASIS]
    if len(named) > MOST_TERMS or any(len(e.term.sums) > MOST_SUMS for e in named):
        return [IN_EIGENBASIS]
    if not any(e.term.norms for e in named):
        rate = moments.white(rates.rates(setting.in_eigenbasis()))
        return [f"r_m &= {tex(sp.factor_terms(rate if separate_target else rates.shared_weights(rate)))}"]
    if separate_target:
        return [IN_EIGENBASIS]
    combined = sp.Add(*(e.coefficient * e.symbol for e in named))
    return [
        f"r_m &= {tex(combined)}",
        *(rf"{tex(e.symbol)} &= \mathbb{{E}}\left[{tex(e.inside)}\right]" for e in named),
    ]


def _learned(setting: SymbolicLoss, separate_target: bool) -> list[str]:
    flow = r"\frac{\mathrm{d} \lambda_m}{\mathrm{d} t} &= a_P f_m - \rho \lambda_m"
    rate = _rate(setting, separate_target)
    if len(rate) > 1 or r"\mathbb" in rate[0]:
        return [rf"{flow}, \qquad f_m = \mathbb{{E}}\left[-\frac{{\partial L}}{{\partial \lambda_m}}\right]"]
    force = moments.white(rates.predictor_force(setting.in_eigenbasis()))
    return [rf"{flow}, \qquad f_m = {tex(sp.factor_terms(force if separate_target else rates.shared_weights(force)))}"]


def _where(rows: list[str]) -> list[str]:
    """Return an equation with the definitions of n_1, n_2 and zeta, if these occur."""
    used = [(symbol, value) for symbol, value in moments.VIEW_STATISTICS.items() if symbol in (n.n1, n.n2)]
    named = [f"{tex(symbol)} = {tex(value)}" for symbol, value in used if any(tex(symbol) in row for row in rows[1:])]
    named += [r"\hat z_{i,m} = \sqrt{s_m}\, \zeta_{i,m}"] if any(r"\zeta" in row for row in rows) else []
    return [r", \qquad ".join(named).replace("=", "&=", 1)] if named else []


@lru_cache(maxsize=256)
def loss_equation(setting: SymbolicLoss) -> str:
    """Return the LaTeX of a loss, L = ..., written in vectors where possible."""
    return f"L = {in_vectors(Explicit(setting) if setting.operators else setting)}"


def parameter_equations(values: Mapping[str, float]) -> str:
    """Return the LaTeX of the values of parameters, to stand beside an equation."""
    return "".join(rf", \quad {tex(sp.Symbol(name))} = {_number(value)}" for name, value in values.items())


def _number(value: float) -> str:
    mantissa, mark, exponent = f"{value:.6g}".partition("e")
    return rf"{mantissa} \cdot 10^{{{int(exponent)}}}" if mark else mantissa


@lru_cache(maxsize=256)
def gain_equation(text: str, parameters: tuple[str, ...]) -> str:
    """Return the LaTeX of a gain, h(lambda) = ...; text: the gain in the loss grammar."""
    eigenvalue = sp.Symbol(r"\lambda", positive=True)
    return rf"h(\lambda) = {tex(read_gain(text, parameters).subs(n.lam[n.k], eigenvalue))}"
