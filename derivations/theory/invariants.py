r"""Conserved quantities of the flow, found and proved sample by sample.

In the flow s_m (r_m - rho) = E[c_m] - rho s_m, with c_m = g_m z1_m + h_m z2_m for every sample. Two things follow:

- sum_m lambda_m^a c_m = 0 for all samples: a quantity with slope lambda_m^a in each s_m changes by weight decay alone.
  For a closed-form predictor it is the power sum V = sum_m (s_m + epsilon)^(1 + a alpha)/(1 + a alpha).
- c_m = -lambda_m dL/dlambda_m, mode by mode: encoder and a learned predictor are balanced, and
  d(s_m - lambda_m^2/a_P)/dt = -2 rho (s_m - lambda_m^2/a_P).

Both hold for each sample, so for any distribution of the inputs, any target, and under every closure that keeps the
expectation's linearity.
"""

import sympy as sp

from derivations.losses import gradients
from derivations.symbols import notation as n
from derivations.symbols.modes import per_mode, total
from derivations.theory import rates

SEARCHED = (0, 1, 2, sp.Rational(1, 2), sp.Rational(3, 2))  # exponents a of the predictor's eigenvalue


def contribution(loss: sp.Expr) -> sp.Expr:
    """Return c_m = g_m z1_m + h_m z2_m of one sample."""
    return sp.expand(sum(gradients.force(loss, view) * z[n.m] for view, (z, _) in gradients.VIEWS.items()))


def conserved_exponent(loss: sp.Expr) -> sp.Rational | int | None:
    """Return the a for which sum_m lambda_m^a c_m = 0 for every sample; None where no searched a satisfies this."""
    c = contribution(loss)
    return next((a for a in SEARCHED if vanishes(over_modes(n.lam[n.m] ** a * c))), None)


def power_sum(a: sp.Rational | int) -> sp.Expr:
    """Return V, with dV/ds_m = lambda_m^a."""
    return total(_integrated(a).subs(_s, n.s[n.k]))


def power_sum_decay(a: sp.Rational | int) -> sp.Expr:
    """Return -(dV/dt)/V, where weight decay alone changes V, for epsilon = 0."""
    of_decay = {n.s[n.m]: _s, rates.rate: 0}
    slope = _integrated(a).diff(_s) * rates.velocity().subs(of_decay)
    return sp.simplify((-slope / _integrated(a)).subs(n.epsilon, 0))


_s = sp.Symbol("s", positive=True)


def _integrated(a: sp.Rational | int) -> sp.Expr:
    return sp.integrate(rates.predictor().subs(n.s[n.m], _s) ** a, _s)


def imbalance() -> sp.Expr:
    """Return s_m - lambda_m^2/a_P, of encoder and learned predictor."""
    return n.s[n.m] - n.lam[n.m] ** 2 / n.rate_ratio


def imbalance_decay() -> sp.Expr:
    """Return -(dV/dt)/V of the imbalance where c_m = lambda_m f_m = s_m r_m."""
    s, lam = n.s[n.m], n.lam[n.m]
    balanced = {rates.force: s * rates.rate / lam}
    slope = imbalance().diff(s) * rates.velocity() + imbalance().diff(lam) * rates.flow(rates.predictor_step())
    return sp.simplify(-slope.subs(balanced) / imbalance())


def is_balanced(loss: sp.Expr) -> bool:
    """Return True if c_m = -lambda_m dL/dlambda_m for every sample and mode."""
    return vanishes(contribution(loss) - n.lam[n.m] * gradients.force_on_predictor(loss))


def over_modes(component: sp.Expr) -> sp.Expr:
    """Return the sum over m of a component in mode ``m``; sums inside it are constants."""
    terms = []
    for term in sp.Add.make_args(sp.expand(component)):
        constant, summand = term.as_independent(n.m, as_Add=False)
        terms.append(constant * sp.Sum(summand.subs(n.m, n.k), (n.k, 1, n.M)))
    return sp.Add(*terms)


def vanishes(expression: sp.Expr) -> bool:
    """Return True if an expression is zero with every sum over modes taken for an independent number."""
    names: dict[sp.Expr, sp.Symbol] = {}

    def number(*arguments: sp.Basic) -> sp.Expr:
        summand = per_mode(sp.Sum(*arguments))
        return sp.Add(*(_named(term, names) for term in sp.Add.make_args(sp.expand(summand))))

    return sp.simplify(sp.expand(expression).replace(sp.Sum, number)) == 0


def _named(term: sp.Expr, names: dict[sp.Expr, sp.Symbol]) -> sp.Expr:
    """The sum over modes of one product in mode k, as a symbol: positive, as roots of sums of squares are taken."""
    coefficient, product = term.as_independent(n.k, as_Add=False)
    return coefficient * names.setdefault(product, sp.Dummy(positive=True))
