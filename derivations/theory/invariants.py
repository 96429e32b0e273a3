r"""Find conserved quantities of the flow, and prove them sample by sample.

The correlation eigenvalue s_m of mode m obeys ds_m/dt = 2 s_m (r_m - rho), with rate r_m and weight decay rho. The rate
is an expectation over samples, s_m r_m = E[q_m] with q_m = g_m z1_m + h_m z2_m. Here g and h are the forces on the
representations z1 and z2. Let lambda_m be the predictor eigenvalue of mode m. Each of two identities gives an
invariant, a function of the state that only weight decay changes:

- If sum_m lambda_m^a q_m = 0 with an exponent a, a function V(s) with dV/ds_m = lambda_m^a is an invariant.
  For a closed-form predictor V is the power sum sum_m (s_m + epsilon)^(1 + a alpha)/(1 + a alpha).
- If q_m = -lambda_m dL/dlambda_m in each mode, encoder and learned predictor are balanced:
  d(s_m - lambda_m^2/a_P)/dt = -2 rho (s_m - lambda_m^2/a_P). Here a_P is the learning rate of the predictor divided by
  that of the encoder.

Each identity holds for every single sample. So the invariants hold for any distribution of the inputs and any target.
They also hold if the expectation is replaced by any other linear map. If the views share the second moment c_m in mode
m, then ds_m/dt = 2 s_m (c_m r_m - rho), and the invariants contain dV/ds_m = lambda_m^a/c_m and s_m/c_m instead.
"""

import sympy as sp

from derivations.losses import gradients
from derivations.symbols import notation as n
from derivations.symbols.modes import per_mode, total
from derivations.theory import rates

SEARCHED = (0, 1, 2, sp.Rational(1, 2), sp.Rational(3, 2))  # the exponents a of lambda_m^a that are tried


def contribution(loss: sp.Expr) -> sp.Expr:
    """Return q_m = g_m z1_m + h_m z2_m, whose expectation over samples is s_m r_m.

    g and h are the forces of one sample on the representations z1 and z2. s_m is the correlation eigenvalue of mode m,
    and r_m the rate.
    """
    return sp.expand(sum(gradients.force(loss, view) * z[n.m] for view, (z, _) in gradients.VIEWS.items()))


def conserved_exponent(loss: sp.Expr) -> sp.Rational | int | None:
    """Return the exponent a for which sum_m lambda_m^a (g_m z1_m + h_m z2_m) = 0 for every sample.

    lambda_m are the predictor eigenvalues; g and h are the forces on the representations z1 and z2. Returns None if
    the sum is zero for no exponent in ``SEARCHED``.
    """
    c = contribution(loss)
    return next((a for a in SEARCHED if vanishes(over_modes(n.lam[n.m] ** a * c))), None)


def power_sum(a: sp.Rational | int, shared: sp.Expr = sp.S.One) -> sp.Expr:
    """Return the power sum V = sum_m (s_m + epsilon)^(1 + a alpha)/(1 + a alpha)/c_m for a given exponent a.

    s_m are the correlation eigenvalues. The derivative dV/ds_m equals lambda_m^a/c_m, where
    lambda_m = (s_m + epsilon)^alpha are the eigenvalues of the closed-form predictor. shared: the second moment c_m
    that the views share in mode ``n.k``.
    """
    return total(_integrated(a).subs(_s, n.s[n.k]) / shared)


def power_sum_decay(a: sp.Rational | int) -> sp.Expr:
    """Return the decay rate -(dV/dt)/V of the power sum V = sum_m s_m^(1 + a alpha) under weight decay.

    s_m are the correlation eigenvalues, lambda_m = s_m^alpha the eigenvalues of the closed-form predictor, and a a
    given exponent. Without weight decay, V is conserved. V is proportional to ``power_sum`` with epsilon = 0.
    """
    of_decay = {n.s[n.m]: _s, rates.rate: 0}
    slope = _integrated(a).diff(_s) * rates.velocity().subs(of_decay)
    return sp.simplify((-slope / _integrated(a)).subs(n.epsilon, 0))


_s = sp.Symbol("s", positive=True)


def _integrated(a: sp.Rational | int) -> sp.Expr:
    return sp.integrate(rates.predictor().subs(n.s[n.m], _s) ** a, _s)


def imbalance(shared: sp.Expr = sp.S.One) -> sp.Expr:
    """Return V = s_m/c_m - lambda_m^2/a_P, the imbalance between encoder and learned predictor in mode m.

    s_m is the eigenvalue of the correlation, and lambda_m the eigenvalue of the predictor. a_P is the learning rate of
    the predictor divided by that of the encoder. shared: the second moment c_m that the views share in mode m.
    """
    return n.s[n.m] / shared - n.lam[n.m] ** 2 / n.rate_ratio


def imbalance_decay() -> sp.Expr:
    """Return the rate -(dV/dt)/V at which weight decay reduces the imbalance V = s_m/c_m - lambda_m^2/a_P in mode m.

    The formula holds if encoder and learned predictor are balanced: s_m r_m = lambda_m f_m. Here s_m and lambda_m are
    the eigenvalues of the correlation and of the predictor, r_m is the rate of mode m, f_m is the force on lambda_m,
    a_P is the learning rate of the predictor divided by that of the encoder, and c_m is the second moment that the
    views share.
    """
    s, lam, c = n.s[n.m], n.lam[n.m], n.cross[n.m]
    balanced, value = {rates.force: s * rates.rate / lam}, imbalance(c)
    velocity = rates.velocity().subs(rates.rate, c * rates.rate)
    slope = value.diff(s) * velocity + value.diff(lam) * rates.flow(rates.predictor_step())
    return sp.simplify(-slope.subs(balanced) / value)


def is_balanced(loss: sp.Expr) -> bool:
    """Return True if encoder and learned predictor are balanced under a loss L.

    They are balanced if g_m z1_m + h_m z2_m = -lambda_m dL/dlambda_m for every sample and mode. Here g and h are the
    forces on the representations z1 and z2, and lambda_m are the predictor eigenvalues.
    """
    return vanishes(contribution(loss) - n.lam[n.m] * gradients.force_on_predictor(loss))


def over_modes(component: sp.Expr) -> sp.Expr:
    """Return the sum of an expression over the modes m; sums inside the expression are treated as constant in m."""
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
    """Return the sum of a term over modes, written as a symbol times a coefficient that does not depend on the mode.

    names: a dictionary from summands to the symbols for their sums over modes; a new summand is added to it. All
    symbols are positive, so that roots of sums of squares simplify.
    """
    coefficient, product = term.as_independent(n.k, as_Add=False)
    return coefficient * names.setdefault(product, sp.Dummy(positive=True))
