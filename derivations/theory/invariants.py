r"""Conserved quantities of the flow, found and proved sample by sample.

The flow ds_m/dt = 2 s_m (r_m - rho) of the eigenvalues s has s_m r_m = E[c_m], where c_m = g_m z1_m + h_m z2_m for
every sample, with the forces g and h on the representations z1 and z2, and weight decay rho. Each of two identities
gives an invariant:

- If sum_m lambda_m^a c_m = 0, a function V(s) with dV/ds_m = lambda_m^a changes by weight decay alone.
  For a closed-form predictor it is the power sum V = sum_m (s_m + epsilon)^(1 + a alpha)/(1 + a alpha).
- If c_m = -lambda_m dL/dlambda_m in each mode, encoder and learned predictor are balanced:
  d(s_m - lambda_m^2/a_P)/dt = -2 rho (s_m - lambda_m^2/a_P), with a_P the predictor's relative learning rate.

Both identities hold for each sample, and therefore for any distribution of the inputs, any target, and every closure
that is linear, as the expectation is.
"""

import sympy as sp

from derivations.losses import gradients
from derivations.symbols import notation as n
from derivations.symbols.modes import per_mode, total
from derivations.theory import rates

SEARCHED = (0, 1, 2, sp.Rational(1, 2), sp.Rational(3, 2))  # exponents a of the predictor's eigenvalue that are tried


def contribution(loss: sp.Expr) -> sp.Expr:
    """Return c_m = g_m z1_m + h_m z2_m of one sample, with the forces g and h on the representations z1 and z2."""
    return sp.expand(sum(gradients.force(loss, view) * z[n.m] for view, (z, _) in gradients.VIEWS.items()))


def conserved_exponent(loss: sp.Expr) -> sp.Rational | int | None:
    """Return the exponent a for which sum_m lambda_m^a (g_m z1_m + h_m z2_m) = 0 for every sample.

    g and h are the forces on the representations z1 and z2. Returns None if no exponent in ``SEARCHED`` satisfies this.
    """
    c = contribution(loss)
    return next((a for a in SEARCHED if vanishes(over_modes(n.lam[n.m] ** a * c))), None)


def power_sum(a: sp.Rational | int) -> sp.Expr:
    """Return V = sum_m (s_m + epsilon)^(1 + a alpha)/(1 + a alpha), the power sum with dV/ds_m = lambda_m^a."""
    return total(_integrated(a).subs(_s, n.s[n.k]))


def power_sum_decay(a: sp.Rational | int) -> sp.Expr:
    """Return the decay rate -(dV/dt)/V, under weight decay alone, of the power sum V = sum_m s_m^(1 + a alpha).

    This is the case epsilon = 0 of ``power_sum``, with the predictor lambda = s^alpha.
    """
    of_decay = {n.s[n.m]: _s, rates.rate: 0}
    slope = _integrated(a).diff(_s) * rates.velocity().subs(of_decay)
    return sp.simplify((-slope / _integrated(a)).subs(n.epsilon, 0))


_s = sp.Symbol("s", positive=True)


def _integrated(a: sp.Rational | int) -> sp.Expr:
    return sp.integrate(rates.predictor().subs(n.s[n.m], _s) ** a, _s)


def imbalance() -> sp.Expr:
    """Return V = s_m - lambda_m^2/a_P, the imbalance of a mode between encoder and learned predictor.

    s is the eigenvalue of the correlation, lambda of the predictor, a_P the predictor's relative learning rate.
    """
    return n.s[n.m] - n.lam[n.m] ** 2 / n.rate_ratio


def imbalance_decay() -> sp.Expr:
    """Return the decay rate -(dV/dt)/V of the imbalance V if encoder and learned predictor are balanced.

    They are balanced if s_m r_m = lambda_m f_m, with the rate r of the encoder and the force f on the predictor.
    """
    s, lam = n.s[n.m], n.lam[n.m]
    balanced = {rates.force: s * rates.rate / lam}
    slope = imbalance().diff(s) * rates.velocity() + imbalance().diff(lam) * rates.flow(rates.predictor_step())
    return sp.simplify(-slope.subs(balanced) / imbalance())


def is_balanced(loss: sp.Expr) -> bool:
    """Return True if encoder and learned predictor are balanced.

    They are if g_m z1_m + h_m z2_m = -lambda_m dL/dlambda_m for every sample and mode, with the forces g and h on the
    representations z1 and z2.
    """
    return vanishes(contribution(loss) - n.lam[n.m] * gradients.force_on_predictor(loss))


def over_modes(component: sp.Expr) -> sp.Expr:
    """Return the sum over m of a component in mode ``m``; sums inside the component are constants."""
    terms = []
    for term in sp.Add.make_args(sp.expand(component)):
        constant, summand = term.as_independent(n.m, as_Add=False)
        terms.append(constant * sp.Sum(summand.subs(n.m, n.k), (n.k, 1, n.M)))
    return sp.Add(*terms)


def vanishes(expression: sp.Expr) -> bool:
    """Return True if an expression is zero when every sum over modes is treated as an independent number."""
    names: dict[sp.Expr, sp.Symbol] = {}

    def number(*arguments: sp.Basic) -> sp.Expr:
        summand = per_mode(sp.Sum(*arguments))
        return sp.Add(*(_named(term, names) for term in sp.Add.make_args(sp.expand(summand))))

    return sp.simplify(sp.expand(expression).replace(sp.Sum, number)) == 0


def _named(term: sp.Expr, names: dict[sp.Expr, sp.Symbol]) -> sp.Expr:
    """Return a symbol for the sum over modes of one product, times the product's constant coefficient.

    The symbol is positive, so that roots of sums of squares simplify.
    """
    coefficient, product = term.as_independent(n.k, as_Add=False)
    return coefficient * names.setdefault(product, sp.Dummy(positive=True))
