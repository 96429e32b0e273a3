r"""Derive exact solutions of the eigenvalue flow, and prove each by substitution into the derived ODE.

Let s be the correlation eigenvalue of a mode, and lambda = s^alpha its predictor eigenvalue (alpha = 1 if there is no
predictor). With rate r and weight decay rho, the flow of the mode is d lambda/dt = 2 alpha lambda (r - rho). If the
rate is a polynomial r = c0 + c1 lambda + c2 lambda^2, three cases have a formula. With b = c0 - rho, tau = 2 alpha t
and Lambert's function W:

- c1 = c2 = 0: exponential,  lambda = lambda0 e^(b tau)
- c2 = 0: logistic,          1/lambda = e^(-b tau)/lambda0 - c1 (1 - e^(-b tau))/b
                             (for b < 0 also written lambda = lambda0 e^(b tau)/(1 - c1 lambda0 (e^(b tau) - 1)/b))
- c0 = rho = 0: Lambert,     lambda = q/(1 + W(y0 e^(y0) e^(-q c1 tau))),  q = -c1/c2, y0 = q/lambda0 - 1

A gain that favours small modes can lead to a rate with a pole. If r = c/lambda + c0, the flow of lambda is linear:

- linear:                    lambda = e^(b tau) lambda0 + c (e^(b tau) - 1)/b
"""

from dataclasses import dataclass, replace
from typing import NamedTuple

import sympy as sp
from sympy.core.function import ArgumentIndexError

from derivations.errors import ProofError
from derivations.losses.catalogue import Setting
from derivations.symbols import notation as n
from derivations.theory import moments, rates

lam, lam0, lam1 = sp.symbols("lam lam0 lam1", positive=True)


class LambertGrowth(sp.Function):
    """The function lambda = q/(1 + W(y0 e^(y0 - tau))) with the arguments lam0, q and tau, and y0 = q/lam0 - 1.

    W is the principal branch of Lambert's function. As a function of tau, lambda has the initial value lam0 and obeys
    d lambda/dtau = lambda^2 (q - lambda)/q^2.
    """

    nargs = 3

    def _eval_rewrite_as_LambertW(self, start: sp.Expr, level: sp.Expr, elapsed: sp.Expr, **hints: object) -> sp.Expr:
        y0 = level / start - 1
        return level / (1 + sp.LambertW(y0 * sp.exp(y0 - elapsed)))

    def fdiff(self, argindex: int = 3) -> sp.Expr:
        _, level, _ = self.args
        if argindex != 3:
            raise ArgumentIndexError(self, argindex)
        return self**2 * (level - self) / level**2


class LinearGrowth(sp.Function):
    """The logarithm log(x(tau)/x(0)) for a variable x that obeys dx/dtau = b x + c.

    The arguments are log x(0), c, b and tau.
    """

    nargs = 4

    def _eval_rewrite_as_exp(self, start: sp.Expr, c: sp.Expr, b: sp.Expr, tau: sp.Expr, **_: object) -> sp.Expr:
        return sp.log(sp.exp(b * tau) + c * sp.exp(-start) * (sp.exp(b * tau) - 1) / b)


class LinearTime(sp.Function):
    """The time tau that a variable takes from x(0) to x, if it obeys dx/dtau = b x + c.

    The arguments are log x(0), log x, c and b.
    """

    nargs = 4

    def _eval_rewrite_as_exp(self, start: sp.Expr, end: sp.Expr, c: sp.Expr, b: sp.Expr, **_: object) -> sp.Expr:
        return sp.log((b * sp.exp(end) + c) / (b * sp.exp(start) + c)) / b


class LambertLogGrowth(sp.Function):
    """The logarithm log(lambda(tau)/lam0) for lambda(tau) = ``LambertGrowth(lam0, q, tau)``.

    The arguments are lam0, log lam0, q and tau.
    """

    nargs = 4

    def _eval_rewrite_as_exp(self, start: sp.Expr, log: sp.Expr, q: sp.Expr, tau: sp.Expr, **_: object) -> sp.Expr:
        return sp.log(LambertGrowth(start, q, tau) / start)


class LambertTime(sp.Function):
    """The time tau that a variable lambda takes from lam0 to lam1, if d lambda/dtau = lambda^2 (q - lambda)/q^2.

    The arguments are log lam0, log lam1 and q.
    """

    nargs = 3

    def _eval_rewrite_as_exp(self, start: sp.Expr, end: sp.Expr, q: sp.Expr, **_: object) -> sp.Expr:
        y0, y1 = (q * sp.exp(-log) - 1 for log in (start, end))
        return sp.log(y0 / y1) + y0 - y1


@dataclass(frozen=True)
class Solution:
    """An exact solution lambda(t) of the flow of a predictor eigenvalue.

    There are two forms of the solution. The first form is used in proofs and reports. predictor: lambda(t) with
    lambda(0) = lam0. time: the time from lam0 to lam1. The second form is used in generated code. growth:
    log(lambda(t)/lam0). duration: the time from lam0 to lam1, as in ``time``. The second form consists of functions
    whose code neither overflows nor loses digits. It contains log(lam0) and log(lam1), which are finite even if
    lambda = s^alpha overflows.

    any_weight_decay: False if the solution is valid only without weight decay. blow_up: the time at which the solution
    diverges; None if the solution cannot diverge.
    """

    name: str
    predictor: sp.Expr
    time: sp.Expr
    growth: sp.Expr
    duration: sp.Expr
    any_weight_decay: bool = True
    blow_up: sp.Expr | None = None

    def subs(self, values: dict[sp.Expr, sp.Expr]) -> "Solution":
        """Return the solution with symbols replaced by values."""
        expressions = {name: e.subs(values) for name, e in vars(self).items() if isinstance(e, sp.Expr)}
        return replace(self, **expressions)


def predictor_velocity(rate: sp.Expr) -> sp.Expr:
    """Return d lambda/dt = (d lambda/ds) (ds/dt) = 2 alpha lambda (r - rho), the flow of a predictor eigenvalue.

    In a mode, lambda = s^alpha is the predictor eigenvalue, s the correlation eigenvalue, and r the rate. rho is the
    weight decay.
    """
    s = sp.Symbol("s", positive=True)
    values = {n.s[n.m]: s, n.epsilon: 0, rates.rate: rate}
    velocity = rates.predictor().subs(values).diff(s) * rates.velocity().subs(values)
    return sp.powsimp(velocity.subs(s, lam ** (1 / n.alpha)))


def solve(rate: sp.Expr) -> Solution | None:
    """Return the exact solution of d lambda/dt = 2 alpha lambda (r(lambda) - rho), proved by substitution.

    lambda is the predictor eigenvalue of a mode, r the rate of this mode, and rho the weight decay. Returns None if no
    exact solution is known.
    """
    of_lambda = sp.expand(rates.shared_weights(rate).subs(n.lam[n.m], lam))
    if of_lambda.has(sp.Sum, sp.Indexed):
        return None
    of_lambda, constants = _named(of_lambda)
    solution = _with_a_pole(of_lambda) if of_lambda.has(1 / lam) else _of_polynomial(of_lambda)
    if solution is None:
        return None
    prove(solution, of_lambda)
    return solution.subs(constants)


def _named(rate: sp.Expr) -> tuple[sp.Expr, dict[sp.Expr, sp.Expr]]:
    """Replace irrational constants of a rate, such as exp(1), by symbols; return the new rate and the symbols' values.

    Without the replacement, SymPy may take forever to simplify products of such constants.
    """
    constants, terms = {}, []
    for term in sp.Add.make_args(rate):
        constant, rest = term.as_independent(*term.free_symbols, as_Add=False)
        if not constant.is_Rational:
            name = sp.Dummy(positive=constant.is_positive, negative=constant.is_negative, real=True)
            constants[name], constant = constant, name
        terms.append(constant * rest)
    return sp.Add(*terms), constants


def _with_a_pole(rate: sp.Expr) -> Solution | None:
    pole, c0 = rate.coeff(lam, -1), rate.coeff(lam, 0)
    if sp.expand(rate - pole / lam - c0) != 0 or not pole.is_positive:  # otherwise lambda would reach zero
        return None
    tau, b = 2 * n.alpha * n.t, sp.factor(c0) - n.rho
    return Solution(
        "linear",
        predictor=lam0 * sp.exp(b * tau) + pole * (sp.exp(b * tau) - 1) / b,
        time=sp.log((b * lam1 + pole) / (b * lam0 + pole)) / (2 * n.alpha * b),
        growth=LinearGrowth(sp.log(lam0), pole, b, tau),
        duration=LinearTime(sp.log(lam0), sp.log(lam1), pole, b) / (2 * n.alpha),
    )


def _of_polynomial(rate: sp.Expr) -> Solution | None:
    if not rate.is_polynomial(lam) or sp.degree(rate, lam) > 2:
        return None
    c0, c1, c2 = (sp.factor(rate.coeff(lam, power)) for power in range(3))
    if c1 == c2 == 0:
        return _exponential(c0)
    if c2 == 0:
        return _logistic(c0, c1)
    return _lambert(c1, c2) if c0 == 0 and c1.is_positive and c2.is_negative else None


def _exponential(c0: sp.Expr) -> Solution:
    tau, b = 2 * n.alpha * n.t, c0 - n.rho
    time = sp.log(lam1 / lam0) / (2 * n.alpha * b)
    duration = (sp.log(lam1) - sp.log(lam0)) / (2 * n.alpha * b)
    return Solution("exponential", lam0 * sp.exp(b * tau), time, growth=b * tau, duration=duration)


def _logistic(c0: sp.Expr, c1: sp.Expr) -> Solution:
    """Return the solution for a rate c0 + c1 lambda, under which 1/lambda obeys a linear differential equation."""
    tau, b = 2 * n.alpha * n.t, c0 - n.rho
    formula = 1 / (sp.exp(-b * tau) / lam0 - c1 * (1 - sp.exp(-b * tau)) / b)
    if b.is_negative:  # written in e^(b tau) or e^(-b tau), whichever stays finite
        formula = lam0 * sp.exp(b * tau) / (1 - c1 * lam0 * (sp.exp(b * tau) - 1) / b)
    return Solution(
        "logistic",
        predictor=formula,
        time=sp.log(lam1 * (b + c1 * lam0) / (lam0 * (b + c1 * lam1))) / (2 * n.alpha * b),
        growth=-LinearGrowth(-sp.log(lam0), -c1, -b, tau),
        duration=LinearTime(-sp.log(lam0), -sp.log(lam1), -c1, -b) / (2 * n.alpha),
        blow_up=sp.log(1 + b / (c1 * lam0)) / (2 * n.alpha * b) if c1.is_positive is not False else None,
    )


def _lambert(c1: sp.Expr, c2: sp.Expr) -> Solution:
    tau, q = 2 * n.alpha * n.t, -c1 / c2
    time = sp.log(lam1 * (q - lam0) / (lam0 * (q - lam1))) + q / lam0 - q / lam1
    return Solution(
        "Lambert W",
        predictor=LambertGrowth(lam0, q, q * c1 * tau),
        time=time / (2 * n.alpha * q * c1),
        growth=LambertLogGrowth(lam0, sp.log(lam0), q, q * c1 * tau),
        duration=LambertTime(sp.log(lam0), sp.log(lam1), q) / (2 * n.alpha * q * c1),
        any_weight_decay=False,
    )


def prove(solution: Solution, rate: sp.Expr) -> None:
    """Prove an exact solution lambda(t); raise ProofError if a part of the proof fails.

    The solution must satisfy the derived ODE and start at lam0. The formulas for the time from lam0 to lam1 and for the
    time of blow-up must agree with the solution.
    """
    explicit = solution.predictor
    velocity = predictor_velocity(rate) if solution.any_weight_decay else predictor_velocity(rate).subs(n.rho, 0)
    if sp.simplify(explicit.diff(n.t) - velocity.subs(lam, explicit)) != 0:
        raise ProofError(f"the {solution.name} solution does not satisfy its differential equation")
    if sp.simplify(_at_start(solution.predictor) - lam0) != 0:
        raise ProofError(f"the {solution.name} solution does not start at lam0")
    slope = solution.time.diff(lam1) * velocity.subs(lam, lam1)
    if sp.simplify(slope - 1) != 0 or sp.simplify(solution.time.subs(lam1, lam0)) != 0:
        raise ProofError(f"the {solution.name} solution has a wrong formula for the time from lam0 to lam1")
    if solution.blow_up is not None and sp.simplify((1 / explicit).subs(n.t, solution.blow_up)) != 0:
        raise ProofError(f"1/lambda of the {solution.name} solution is not zero at its blow-up time")
    _prove_code(solution)


def _prove_code(solution: Solution) -> None:
    """Raise ProofError unless ``growth`` and ``duration`` agree with the formulas ``predictor`` and ``time``.

    Code is generated from ``growth`` and ``duration``, whereas ``prove`` checks only ``predictor`` and ``time`` against
    the differential equation.
    """
    grown = sp.exp(solution.growth.rewrite(sp.exp)) * lam0
    if sp.simplify(sp.expand(grown - solution.predictor)) != 0:
        raise ProofError(f"the {solution.name} solution has a wrong formula for its growth log(lambda(t)/lam0)")
    duration = solution.duration.rewrite(sp.exp)
    if sp.simplify((duration - solution.time).diff(lam1)) != 0 or sp.simplify(duration.subs(lam1, lam0)) != 0:
        raise ProofError(f"the {solution.name} solution has a wrong formula for its duration")


def _at_start(expression: sp.Expr) -> sp.Expr:
    """Return the value of an expression at t = 0.

    At t = 0 a solution with Lambert's function W contains W(y0 e^(y0)). This equals y0, because W is the principal
    branch and y0 = q/lam0 - 1 > -1.
    """
    at_zero = expression.subs(n.t, 0)
    return at_zero.replace(LambertGrowth, lambda start, level, tau: level / (1 + (level / start - 1)))


class SharedForcing(NamedTuple):
    """An exact solution for the correlation eigenvalues s_m of all modes: s_m = e^A/(1/s_m(0) + B).

    A and B are functions of a rescaled time tau, and are the same for all modes. unit: the derivative d tau/dt.
    slope_A, slope_B: the derivatives of A and B with respect to tau. ``unit`` and ``slope_A`` contain sums over modes
    of powers of s_m; these s_m are the eigenvalues at the current time, not their initial values.
    """

    A: sp.Expr
    B: sp.Expr
    solution: sp.Expr  # s_m(tau); the symbol s_m in it is the initial value s_m(0)
    slope_A: sp.Expr
    slope_B: sp.Expr
    unit: sp.Expr


def shared_forcing() -> SharedForcing:
    """Return the solution of the isotropic cosine loss in mean field, for alpha = 1 and views without noise."""
    tau, j = sp.Symbol("tau", positive=True), sp.Symbol("j", integer=True)
    A, B = sp.Function("A", real=True)(tau), sp.Function("B", real=True)(tau)
    power = {q: sp.Sum(n.s[j] ** q, (j, 1, n.M)) for q in (1, 2, 3)}
    unit = 2 * power[2] / (power[3] ** sp.Rational(3, 2) * sp.sqrt(power[1]))
    return SharedForcing(A, B, sp.exp(A) / (1 / n.s[n.m] + B), power[3] / power[2], sp.exp(A), unit)


def shared_forcing_residual() -> sp.Expr:
    """Return the error with which ``shared_forcing`` solves the derived equation for ds_m/dtau; it must be zero."""
    forcing, noiseless = shared_forcing(), {n.n1: 1, n.n2: 1}
    rate = rates.rates(Setting("cosine", isotropic=True).in_eigenbasis(), "mean_field")
    rate = moments.white(rates.shared_weights(rate)).subs(noiseless)
    rate = rate.replace(lambda e: isinstance(e, sp.Indexed), lambda e: n.s[e.indices])  # lambda = s
    derived = sp.expand(2 * n.s[n.m] * rate / forcing.unit)
    (tau,) = forcing.A.args
    slope = forcing.solution.diff(tau).subs(
        {forcing.A.diff(tau): forcing.slope_A, forcing.B.diff(tau): forcing.slope_B}
    )
    return sp.simplify(sp.expand(slope - derived.subs(n.s[n.m], forcing.solution)))
